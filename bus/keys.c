// Reading and making keys.
#include "bus/keys.h"

#include "base/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#define KEY_CHARACTERS (HG_KEY_TEXT - 1)
#define SECRET_FILE_MAX 4096

bool hg_keys_valid(const char *key) {
  uint8_t bytes[HG_KEY_BYTES];
  const bool valid = strlen(key) == KEY_CHARACTERS && zmq_z85_decode(bytes, key);
  explicit_bzero(bytes, sizeof bytes);
  return valid;
}

static hg_err need_curve(hg_error *why) {
  return zmq_has("curve") ? HG_OK : hg_fail(why, HG_ERR_SYSTEM, "this libzmq was built without CURVE");
}

hg_err hg_keys_make(char public_key[HG_KEY_TEXT], char secret_key[HG_KEY_TEXT], hg_error *why) {
  const hg_err err = need_curve(why);
  if (err != HG_OK) return err;
  // Not one that a list of keys could take for a remark.
  do
    if (zmq_curve_keypair(public_key, secret_key) != 0)
      return hg_fail(why, HG_ERR_SYSTEM, "no key could be made: %s", zmq_strerror(errno));
  while (public_key[0] == '#' || secret_key[0] == '#');
  return HG_OK;
}

hg_err hg_keys_public(const char *secret_key, char public_key[HG_KEY_TEXT], hg_error *why) {
  const hg_err err = need_curve(why);
  if (err == HG_OK && zmq_curve_public(public_key, secret_key) != 0)
    return hg_fail(why, HG_ERR_CONFIG, "that is no key"); // without the key
  return err;
}

// The next line with a key on it, whose first word is it. False: none is left; `bad`: or a line that has none.
static bool next_key(char **text, char key[HG_KEY_TEXT], unsigned *line, bool *bad) {
  while (!*bad && **text) {
    char *at = *text + strspn(*text, " \t\r");
    const size_t word = strcspn(at, " \t\r\n");
    const char first = *at;
    char *end = at + strcspn(at, "\n");
    *text = *end ? end + 1 : end;
    ++*line;
    if (word == 0) continue;
    if (word == KEY_CHARACTERS) {
      memcpy(key, at, word);
      key[word] = '\0';
      if (hg_keys_valid(key)) return true;
    }
    *bad = first != '#';
  }
  return false;
}

static char *read_all(int fd, size_t size) {
  char *text = malloc(size + 1);
  size_t used = 0;
  while (text && used < size) {
    const ssize_t got = read(fd, text + used, size - used);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    used += (size_t)got;
  }
  if (text) text[used] = '\0';
  return text;
}

// The text of a file, for the caller to free; NULL: refused. `private_to_owner`: others must not be able to read it.
static char *read_file(const char *file, bool private_to_owner, size_t most, hg_error *why) {
  struct stat found;
  char *text = NULL;
  const int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0 || fstat(fd, &found) != 0) {
    hg_fail(why, HG_ERR_CONFIG, "ConfigurationError: the key file %s can't be read: %s", file, strerror(errno));
  } else if (!S_ISREG(found.st_mode)) {
    hg_fail(why, HG_ERR_CONFIG, "ConfigurationError: the key file %s is no file", file);
  } else if (private_to_owner && (found.st_mode & 077)) {
    hg_fail(why, HG_ERR_CONFIG,
            "ConfigurationError: the secret key file %s may be read or written by others (mode %03o): chmod 600 it",
            file, (unsigned)(found.st_mode & 0777));
  } else if (found.st_mode & 022 || (found.st_uid != 0 && found.st_uid != geteuid())) {
    hg_fail(
        why, HG_ERR_CONFIG,
        "ConfigurationError: the key file %s may be written by others (mode %03o, owner %u): chmod go-w it, and let "
        "it belong to this user or to root",
        file, (unsigned)(found.st_mode & 0777), (unsigned)found.st_uid);
  } else if ((size_t)found.st_size > most) {
    hg_fail(why, HG_ERR_CONFIG, "ConfigurationError: the key file %s has %lld bytes, too many for keys", file,
            (long long)found.st_size);
  } else if (!(text = read_all(fd, (size_t)found.st_size))) {
    hg_fail(why, HG_ERR_NO_MEMORY, "there is not enough memory to read %s", file);
  }
  if (fd >= 0) close(fd);
  return text;
}

static hg_err refuse_line(const char *file, unsigned line, hg_error *why) {
  return hg_fail(why, HG_ERR_CONFIG,
                 "ConfigurationError: %s:%u: that is no key: 40 characters, as \"headgate keygen FILE\" "
                 "prints them",
                 file, line);
}

hg_err hg_keys_read_secret(const char *file, char secret_key[HG_KEY_TEXT], hg_error *why) {
  char *text = read_file(file, true, SECRET_FILE_MAX, why), *at = text, more[HG_KEY_TEXT];
  unsigned line = 0;
  bool bad = false;
  if (!text) return why->code;
  hg_err err = need_curve(why);
  if (err == HG_OK && !next_key(&at, secret_key, &line, &bad))
    err = bad ? refuse_line(file, line, why)
              : hg_fail(why, HG_ERR_CONFIG, "ConfigurationError: %s has no key: make one with \"headgate keygen FILE\"",
                        file);
  if (err == HG_OK && (next_key(&at, more, &line, &bad) || bad))
    err = hg_fail(why, HG_ERR_CONFIG, "ConfigurationError: %s:%u: there must be one key, and nothing else", file, line);
  if (err != HG_OK) explicit_bzero(secret_key, HG_KEY_TEXT);
  explicit_bzero(more, sizeof more);
  explicit_bzero(text, strlen(text));
  free(text);
  return err;
}

hg_err hg_keys_of_client(const char *server_key, const char *secret_key_file, struct hg_client_keys *out,
                         hg_error *why) {
  hg_err err = hg_keys_read_secret(secret_key_file, out->secret_key, why);
  if (err == HG_OK) err = hg_keys_public(out->secret_key, out->public_key, why);
  if (err == HG_OK) memcpy(out->server_key, server_key, HG_KEY_TEXT);
  return err;
}

static hg_err add_key(struct hg_allowed_keys *allowed, const char *file, const char *key, hg_error *why) {
  if (allowed->count == HG_KEYS_ALLOWED_MAX)
    return hg_fail(why, HG_ERR_CONFIG, "ConfigurationError: %s has more than %d keys", file, HG_KEYS_ALLOWED_MAX);
  void *longer = realloc(allowed->keys, (allowed->count + 1) * sizeof *allowed->keys);
  if (!longer) return hg_fail(why, HG_ERR_NO_MEMORY, "there is not enough memory for the keys of %s", file);
  allowed->keys = longer;
  zmq_z85_decode(allowed->keys[allowed->count++], key);
  return HG_OK;
}

hg_err hg_keys_read_allowed(const char *file, struct hg_allowed_keys *out, hg_error *why) {
  *out = (struct hg_allowed_keys){NULL, 0};
  char *text = read_file(file, false, (size_t)HG_KEYS_ALLOWED_MAX * 256, why), *at = text, key[HG_KEY_TEXT];
  unsigned line = 0;
  bool bad = false;
  if (!text) return why->code;
  hg_err err = HG_OK;
  while (err == HG_OK && next_key(&at, key, &line, &bad))
    err = add_key(out, file, key, why);
  if (err == HG_OK && bad) err = refuse_line(file, line, why);
  free(text);
  if (err != HG_OK) hg_keys_clear(out);
  return err;
}

bool hg_keys_allow(const struct hg_allowed_keys *allowed, const uint8_t *key, size_t size) {
  for (size_t i = 0; size == HG_KEY_BYTES && i < allowed->count; i++)
    if (memcmp(allowed->keys[i], key, HG_KEY_BYTES) == 0) return true;
  return false;
}

void hg_keys_clear(struct hg_allowed_keys *allowed) {
  free(allowed->keys);
  *allowed = (struct hg_allowed_keys){NULL, 0};
}
