// Who lives on this ledger: a flock on a file beside it, which says in JSON who holds it; and the directory of a
// runtime's sockets. The lock file is never removed: whoever waits for it has it open, and would get a lock that nobody
// else sees.
#include "ledger/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HOLDER_BYTES_MAX 8192
#define RETRY_MS 20

static int open_lock_file(const char *path, int flags) {
  return open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | flags, S_IRUSR | S_IWUSR);
}

// False: somebody else has it, or errno says what is wrong.
static bool try_lock(int fd) {
  int result = 0;
  do
    result = flock(fd, LOCK_EX | LOCK_NB);
  while (result != 0 && errno == EINTR);
  return result == 0;
}

static bool wait_for_lock(int fd, int patience_ms) {
  const struct timespec pause = {0, RETRY_MS * 1000000L};
  for (int waited_ms = 0;; waited_ms += RETRY_MS) {
    if (try_lock(fd)) return true;
    if (errno != EWOULDBLOCK || waited_ms >= patience_ms) return false;
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
  }
}

// What the lock file says. NULL: nothing that can be read.
static json_t *read_holder(int fd) {
  char text[HOLDER_BYTES_MAX];
  const ssize_t size = pread(fd, text, sizeof text, 0);
  return size > 0 ? json_loadb(text, (size_t)size, 0, NULL) : NULL;
}

static hg_err refuse_in_use(int fd, const char *ledger_path, hg_error *why) {
  json_t *holder = read_holder(fd);
  const char *started = json_string_value(json_object_get(holder, "startedAt"));
  const char *control = json_string_value(json_object_get(holder, "control"));
  const json_int_t pid = json_integer_value(json_object_get(holder, "pid"));
  if (started && control)
    hg_fail(why, HG_ERR_LEDGER_IN_USE,
            "another runtime (pid %lld, since %s) holds \"%s\": stop it, or use it; its control endpoint is %s",
            (long long)pid, started, ledger_path, control);
  else hg_fail(why, HG_ERR_LEDGER_IN_USE, "another program holds \"%s\" at the moment: try again", ledger_path);
  json_decref(holder);
  return HG_ERR_LEDGER_IN_USE;
}

static hg_err refuse_file(const char *path, const char *ledger_path, int error, hg_error *why) {
  if (error == ENOENT)
    return hg_fail(why, HG_ERR_STORE, "the directory of ledger \"%s\" does not exist: create it, or change ledger.path",
                   ledger_path);
  return hg_fail(why, HG_ERR_STORE, "cannot open \"%s\" beside the ledger: %s; check who may write there", path,
                 strerrordesc_np(error));
}

hg_err hg_lock_take(struct hg_lock *lock, const struct hg_places *places, const char *ledger_path, int patience_ms,
                    hg_error *why) {
  lock->fd = -1;
  const int fd = open_lock_file(places->lock_file, O_CREAT);
  if (fd < 0) return refuse_file(places->lock_file, ledger_path, errno, why);
  if (!wait_for_lock(fd, patience_ms)) {
    const hg_err err = errno == EWOULDBLOCK ? refuse_in_use(fd, ledger_path, why)
                                            : refuse_file(places->lock_file, ledger_path, errno, why);
    close(fd);
    return err;
  }
  if (ftruncate(fd, 0) != 0) { // what a holder that died has left
    const hg_err err = refuse_file(places->lock_file, ledger_path, errno, why);
    close(fd);
    return err;
  }
  lock->fd = fd;
  return HG_OK;
}

hg_err hg_lock_announce(const struct hg_lock *lock, const struct hg_places *places, bool momentary, hg_error *why) {
  char started[HG_LEDGER_TIME_TEXT];
  hg_ledger_time_text(hg_ledger_utc_us(), started);
  json_t *holder = json_pack("{s:I, s:s, s:s, s:s, s:b}", "pid", (json_int_t)getpid(), "startedAt", started, "events",
                             places->events_endpoint, "control", places->control_endpoint, "momentary", momentary);
  char *text = holder ? json_dumps(holder, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
  json_decref(holder);
  if (!text) return hg_fail(why, HG_ERR_NO_MEMORY, "not enough memory to write \"%s\"", places->lock_file);
  const size_t size = strlen(text);
  const ssize_t written = pwrite(lock->fd, text, size, 0);
  const int error = written < 0 ? errno : ENOSPC;
  free(text);
  if (written == (ssize_t)size) return HG_OK;
  return hg_fail(why, HG_ERR_STORE, "cannot write \"%s\" beside the ledger: %s", places->lock_file,
                 strerrordesc_np(error));
}

void hg_lock_give_back(struct hg_lock *lock) {
  if (lock->fd < 0) return;
  // Without its text a lock that lasts a moment longer is not taken for a runtime. When that fails the next holder does
  // it.
  const int ignored = ftruncate(lock->fd, 0);
  (void)ignored;
  // A forked child has this open file too, and the lock belongs to the file: without the unlock it would stay.
  flock(lock->fd, LOCK_UN);
  close(lock->fd);
  lock->fd = -1;
}

// HG_ERR_BUSY: it says nothing (yet).
static hg_err read_holder_of(int fd, struct hg_holder *out) {
  json_t *holder = read_holder(fd);
  const char *control = json_string_value(json_object_get(holder, "control"));
  const char *events = json_string_value(json_object_get(holder, "events"));
  const char *started = json_string_value(json_object_get(holder, "startedAt"));
  hg_err err = HG_ERR_BUSY;
  if (control && events && started && strlen(control) < sizeof out->control && strlen(events) < sizeof out->events &&
      strlen(started) < sizeof out->started) {
    out->pid = json_integer_value(json_object_get(holder, "pid"));
    out->momentary = json_is_true(json_object_get(holder, "momentary"));
    memcpy(out->started, started, strlen(started) + 1);
    memcpy(out->control, control, strlen(control) + 1);
    memcpy(out->events, events, strlen(events) + 1);
    err = HG_OK;
  }
  json_decref(holder);
  return err;
}

hg_err hg_ledger_holder(const struct hg_places *places, struct hg_holder *out) {
  const int fd = open_lock_file(places->lock_file, 0);
  if (fd < 0) return HG_ERR_NO_RUNTIME;
  const bool live = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  const hg_err err = live ? read_holder_of(fd, out) : HG_ERR_NO_RUNTIME;
  close(fd);
  return err;
}

static hg_err check_directory(const char *path, hg_error *why) {
  struct stat found;
  if (lstat(path, &found) != 0)
    return hg_fail(why, HG_ERR_SYSTEM, "cannot look at directory \"%s\": %s", path, strerrordesc_np(errno));
  if (!S_ISDIR(found.st_mode))
    return hg_fail(why, HG_ERR_SYSTEM, "\"%s\" must be a directory for sockets, but is something else: move it away",
                   path);
  if (found.st_uid != geteuid())
    return hg_fail(why, HG_ERR_SYSTEM,
                   "directory \"%s\" belongs to user %u: sockets there would not be ours; remove it", path,
                   (unsigned)found.st_uid);
  if (found.st_mode & (S_IRWXG | S_IRWXO))
    return hg_fail(why, HG_ERR_SYSTEM, "directory \"%s\" lets others in: chmod 700 it", path);
  return HG_OK;
}

static hg_err make_directory(const char *path, hg_error *why) {
  if (mkdir(path, S_IRWXU) == 0 || errno == EEXIST) return check_directory(path, why);
  return hg_fail(why, HG_ERR_SYSTEM, "cannot make directory \"%s\": %s", path, strerrordesc_np(errno));
}

hg_err hg_ledger_secure_directory(const char *directory, hg_error *why) {
  // The fallback in /tmp lies in a directory that anybody could have made first (config/places.c).
  char shared[64];
  const int size = snprintf(shared, sizeof shared, "/tmp/headgate-%lu/", (unsigned long)getuid());
  if (strncmp(directory, shared, (size_t)size) == 0) {
    shared[size - 1] = '\0';
    const hg_err err = make_directory(shared, why);
    if (err != HG_OK) return err;
  }
  return make_directory(directory, why);
}
