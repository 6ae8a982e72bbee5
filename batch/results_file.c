// Writes result lines in durable groups. A group stays in memory until it is synced, so that a failed write or sync can
// be taken back (the file is cut to its last synced length) and tried again whole. Opening is in results_open.c.
#include "batch/results_file.h"
#include "batch/results_private.h"
#include "base/fail.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

hg_err hg_results_fail(const struct hg_results_file *file, const char *what, hg_error *why) {
  return hg_fail(why, HG_ERR_STORE, "%s: %s: %s; mend that and run the same command again, it goes on from here",
                 file->path, what, strerror(errno));
}

hg_err hg_results_file_append(struct hg_results_file *file, const struct hg_result *result, hg_error *why) {
  if (file->group.len >= 8 * HG_GROUP_BYTES)
    return hg_fail(why, HG_ERR_BUSY, "%s: the group of results is full; sync it first", file->path);
  const hg_err err = hg_result_line_print(&file->group, result);
  if (err == HG_ERR_INVALID)
    return hg_fail(why, err, "%s: an answer of %zu bytes is too long for a result line", file->path, result->body_len);
  return err ? hg_fail(why, err, "%s: no memory for a result line", file->path) : HG_OK;
}

bool hg_results_file_group_full(const struct hg_results_file *file) {
  return file->group.len >= HG_GROUP_BYTES;
}

uint64_t hg_results_file_length(const struct hg_results_file *file) {
  return file->synced;
}

// A file without its name would take in lines that nobody finds again. A length that is not ours means that somebody
// else writes to the file: cutting it back could destroy their lines.
static hg_err check_file(struct hg_results_file *file, hg_error *why) {
  struct stat now, named;
  if (fstat(file->fd, &now) != 0) return hg_results_fail(file, "its length can't be read", why);
  if (stat(file->path, &named) != 0 || named.st_dev != now.st_dev || named.st_ino != now.st_ino)
    return hg_fail(
        why, HG_ERR_STORE,
        "%s: the file was moved or removed while this run writes to it; put it back, or run the same command again",
        file->path);
  if ((uint64_t)now.st_size == file->synced) return HG_OK;
  return hg_fail(why, HG_ERR_STORE,
                 "%s: another program changed the file while this run writes to it (it has %lld bytes, not %llu); "
                 "run the same command again when nothing else writes to it",
                 file->path, (long long)now.st_size, (unsigned long long)file->synced);
}

static bool write_group(const struct hg_results_file *file) {
  size_t done = 0;
  while (done < file->group.len) {
    const ssize_t wrote =
        pwrite(file->fd, file->group.data + done, file->group.len - done, (off_t)(file->synced + done));
    if (wrote > 0) {
      done += (size_t)wrote;
    } else if (wrote == 0) {
      errno = EIO;
      return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

// Takes back what a failed write left behind. Until that succeeds nothing more is written.
static bool cut_back(struct hg_results_file *file) {
  const int before = errno;
  file->torn = ftruncate(file->fd, (off_t)file->synced) != 0;
  if (!file->torn) errno = before;
  return !file->torn;
}

// --- standard output

static void forget_written(struct hg_results_file *file, size_t len) {
  file->synced += len;
  file->group.len -= len;
  memmove(file->group.data, file->group.data + len, file->group.len);
}

// A pipe that poll calls writable takes PIPE_BUF bytes without a wait.
static hg_err write_piece(const struct hg_results_file *file, size_t *done, hg_error *why) {
  struct pollfd ready = {.fd = file->fd, .events = POLLOUT};
  if (poll(&ready, 1, 0) == 0) return hg_fail(why, HG_ERR_BUSY, "%s: its reader is behind", file->path);
  const size_t left = file->group.len - *done;
  const ssize_t wrote = write(file->fd, file->group.data + *done, left < PIPE_BUF ? left : PIPE_BUF);
  if (wrote >= 0) *done += (size_t)wrote;
  else if (errno == EAGAIN) return hg_fail(why, HG_ERR_BUSY, "%s: its reader is behind", file->path);
  else if (errno == EPIPE)
    return hg_fail(why, HG_ERR_CLOSED, "%s: nobody reads the results any more; those that nobody got are paid for",
                   file->path);
  else if (errno != EINTR)
    return hg_fail(why, HG_ERR_STORE, "%s: the results can't be written: %s", file->path, strerror(errno));
  return HG_OK;
}

static hg_err pass_on(struct hg_results_file *file, hg_error *why) {
  size_t done = 0;
  hg_err err = HG_OK;
  if (file->group.len == 0) return HG_OK;
  while (done < file->group.len && !err)
    err = write_piece(file, &done, why);
  forget_written(file, done);
  // Where it is a file after all it is as durable as one.
  if (!err && fdatasync(file->fd) != 0 && errno != EINVAL && errno != EROFS)
    return hg_fail(why, HG_ERR_STORE, "%s: the results can't be made durable: %s", file->path, strerror(errno));
  return err;
}

hg_err hg_results_file_sync(struct hg_results_file *file, hg_error *why) {
  if (file->stream) return pass_on(file, why);
  if (file->torn && !cut_back(file)) return hg_results_fail(file, "a half-written group can't be cut off", why);
  if (file->group.len == 0) return HG_OK;
  const hg_err err = check_file(file, why);
  if (err) return err;
  const bool wrote = write_group(file);
  if (!wrote || fdatasync(file->fd) != 0) {
    cut_back(file);
    return hg_results_fail(file, wrote ? "the results can't be made durable" : "the results can't be written", why);
  }
  file->synced += file->group.len;
  if (file->group.capacity > 4 * HG_GROUP_BYTES)
    hg_text_buffer_clear(&file->group); // one huge answer is not kept for ever
  file->group.len = 0;
  return HG_OK;
}

void hg_results_file_close(struct hg_results_file **file, bool remove_empty) {
  struct hg_results_file *old = *file;
  if (!old) return;
  if (old->fd >= 0) {
    struct stat now, named; // what the name means now may be a file of somebody else's
    if (remove_empty && fstat(old->fd, &now) == 0 && now.st_size == 0 && stat(old->path, &named) == 0 &&
        named.st_dev == now.st_dev && named.st_ino == now.st_ino)
      (void)unlink(old->path);
    close(old->fd); // and with it the lock
  }
  hg_text_buffer_clear(&old->group);
  free(old->path);
  free(old);
  *file = NULL;
}

char *hg_errors_path(const char *results_path) {
  static const char suffix[] = ".jsonl", replacement[] = ".errors.jsonl";
  size_t len = strlen(results_path);
  const size_t suffix_len = sizeof suffix - 1;
  if (len > suffix_len && strcmp(results_path + len - suffix_len, suffix) == 0) len -= suffix_len;
  const size_t room = len + sizeof replacement;
  char *path = malloc(room);
  if (path) snprintf(path, room, "%.*s%s", (int)len, results_path, replacement);
  return path;
}
