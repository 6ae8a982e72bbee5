// headgate keygen: makes the key of an endpoint that is open to the network, or of a client of one.
#include "cli/cli.h"

#include "bus/keys.h"
#include "cli/control.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: headgate keygen FILE\n"
    "       headgate keygen --public FILE\n"
    "Makes a key pair for CURVE, which tcp endpoints beyond loopback need. The secret key goes into FILE, which only "
    "you\n"
    "can read and which must not be there yet; the public key goes to stdout.\n"
    "  --public        prints the public key that belongs to the secret one in FILE\n"
    "A runtime names FILE in eventBus.curve or serve.curve as serverSecretKeyFile, and a file with the public keys of "
    "its\n"
    "clients as allowedClientKeys. A client needs the runtime's public key and a FILE of its own (headgate watch\n"
    "--server-key KEY --key FILE).\n"
    "Exit: 0 done, 1 FILE can't be written, 2 wrong flags, FILE is there already, or with --public it holds no key.\n";

static int fail(const char *what, const char *file) {
  fprintf(stderr, "headgate keygen: %s \"%s\": %s\n", what, file, strerror(errno));
  return HG_EXIT_FAILED;
}

// All of it, on the disk, or nothing.
static bool write_secret(int fd, const char *key) {
  char line[HG_KEY_TEXT + 1];
  const size_t size = (size_t)snprintf(line, sizeof line, "%s\n", key);
  const ssize_t written = write(fd, line, size);
  explicit_bzero(line, sizeof line);
  if (written >= 0 && (size_t)written != size) errno = ENOSPC;
  const bool good = written == (ssize_t)size && fsync(fd) == 0;
  const int reason = errno;
  if (close(fd) != 0 && good) return false;
  errno = reason;
  return good;
}

static int make(const char *file) {
  char public_key[HG_KEY_TEXT], secret_key[HG_KEY_TEXT];
  hg_error why = HG_ERROR_INIT;
  if (hg_keys_make(public_key, secret_key, &why) != HG_OK) return hg_cli_exit("keygen", &why);
  const int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  const bool written = fd >= 0 && write_secret(fd, secret_key);
  const int reason = errno;
  explicit_bzero(secret_key, sizeof secret_key);
  errno = reason;
  if (fd < 0 && errno == EEXIST) {
    fprintf(stderr, "headgate keygen: \"%s\" is there already and was left as it is: name another file\n", file);
    return HG_EXIT_USAGE;
  }
  if (!written) {
    const int code = fail(fd < 0 ? "cannot create" : "cannot write", file);
    if (fd >= 0) unlink(file);
    return code;
  }
  puts(public_key);
  return HG_EXIT_DONE;
}

static int print_public(const char *file) {
  char public_key[HG_KEY_TEXT], secret_key[HG_KEY_TEXT];
  hg_error why = HG_ERROR_INIT;
  hg_err err = hg_keys_read_secret(file, secret_key, &why);
  if (err == HG_OK) err = hg_keys_public(secret_key, public_key, &why);
  explicit_bzero(secret_key, sizeof secret_key);
  if (err != HG_OK) return hg_cli_exit("keygen", &why);
  puts(public_key);
  return HG_EXIT_DONE;
}

int hg_cli_keygen(int argc, char **argv) {
  static const struct option options[] = {
      {"public", no_argument, NULL, 'p'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
  bool existing = false;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option != 'p') return hg_cli_usage(usage, option == 'h');
    existing = true;
  }
  if (argc - optind != 1) return hg_cli_usage(usage, false);
  return existing ? print_public(argv[optind]) : make(argv[optind]);
}
