// Opens a results file: takes its lock, moves an old one aside, reads what is there, repairs what a crash tore.
#include "batch/line_reader.h"
#include "batch/results_private.h"
#include "base/fail.h"
#include "base/json_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTES_MAX 10 // lines that are named one by one before they are only counted

// One try: opens and locks what the name means now. *moved: the name came to mean another file meanwhile.
static hg_err open_once(struct hg_results_file *file, bool *moved, hg_error *why) {
  *moved = false;
  file->fd = open(file->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
  if (file->fd < 0) return hg_results_fail(file, "it can't be opened", why);
  struct stat opened, named;
  if (fstat(file->fd, &opened) != 0) return hg_results_fail(file, "it can't be read", why);
  if (!S_ISREG(opened.st_mode))
    return hg_fail(why, HG_ERR_INVALID, "%s is not a regular file; results need one, name another with -o", file->path);
  if (flock(file->fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return hg_results_fail(file, "it can't be locked", why);
    return hg_fail(why, HG_ERR_BUSY, "another run is writing to %s; wait for it, or name another file with -o",
                   file->path);
  }
  *moved = stat(file->path, &named) != 0 || named.st_dev != opened.st_dev || named.st_ino != opened.st_ino;
  return HG_OK;
}

static hg_err open_locked(struct hg_results_file *file, hg_error *why) {
  for (int tries = 0; tries < 100; tries++) {
    bool moved;
    const hg_err err = open_once(file, &moved, why);
    if (err || !moved) return err;
    close(file->fd);
    file->fd = -1;
  }
  return hg_fail(why, HG_ERR_BUSY, "%s is renamed again and again by another program", file->path);
}

// Makes the file's name durable, which its own fdatasync does not.
static hg_err sync_directory(const struct hg_results_file *file, hg_error *why) {
  const char *slash = strrchr(file->path, '/');
  char *directory = slash ? strndup(file->path, slash == file->path ? 1 : (size_t)(slash - file->path)) : strdup(".");
  if (!directory) return hg_fail(why, HG_ERR_NO_MEMORY, "%s: no memory", file->path);
  const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  free(directory);
  // Some file systems can't sync a directory (EINVAL); one that may be written but not read can't be opened.
  const bool failed = fd >= 0 && fsync(fd) != 0 && errno != EINVAL;
  const int error = errno;
  if (fd >= 0) close(fd);
  errno = error;
  return failed ? hg_results_fail(file, "its directory can't be synced", why) : HG_OK;
}

// NULL: no memory, which `why` then says.
static struct hg_results_file *file_new(const char *path, hg_error *why) {
  struct hg_results_file *file = calloc(1, sizeof *file);
  char *copy = strdup(path);
  if (!file || !copy) {
    free(file);
    free(copy);
    hg_fail(why, HG_ERR_NO_MEMORY, "%s: no memory", path);
    return NULL;
  }
  *file = (struct hg_results_file){.fd = -1, .path = copy};
  return file;
}

// --- --fresh

// Renames without ever replacing a file. Where the file system has no such call, looks first.
static int rename_new(const char *from, const char *to) {
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  struct stat there;
  if (lstat(to, &there) == 0) return errno = EEXIST, -1;
  return rename(from, to);
}

static void note(const struct hg_results_visitor *visitor, const char *text) {
  if (visitor->on_note) visitor->on_note(visitor->context, text);
}

static hg_err move_aside(struct hg_results_file *file, const struct hg_results_visitor *visitor, hg_error *why) {
  const size_t room = strlen(file->path) + 16;
  char *name = malloc(room);
  if (!name) return hg_fail(why, HG_ERR_NO_MEMORY, "%s: no memory", file->path);
  int result = -1;
  for (unsigned n = 1; result != 0 && n < 100000; n++) {
    snprintf(name, room, "%s.%u", file->path, n);
    result = rename_new(file->path, name);
    if (result != 0 && errno != EEXIST) break;
  }
  hg_err err = HG_OK;
  if (result != 0) {
    err = hg_results_fail(file, "the old results can't be moved aside", why);
  } else {
    char text[2 * PATH_MAX];
    snprintf(text, sizeof text, "%s: the old results are now in %s", file->path, name);
    note(visitor, text);
  }
  free(name);
  return err;
}

// --- reading

struct scan {
  struct hg_results_file *file;
  const struct hg_results_visitor *visitor;
  uint64_t results, successes, garbage;
  bool torn;       // the last line has no '\n' and is a part of one of ours
  bool unended;    // the last line has no '\n' but is to be kept
  uint64_t offset; // of the last line
};

static void tell_garbage(struct scan *scan, uint64_t line_number, const char *what) {
  if (++scan->garbage > NOTES_MAX) return;
  char text[PATH_MAX + 128];
  snprintf(text, sizeof text, "%s: line %llu %s; it is left as it is", scan->file->path,
           (unsigned long long)line_number, what);
  note(scan->visitor, text);
}

// Whether an unended last line can be what a crash left of a line that this program printed: a piece from its start,
// or blocks that were never filled.
static bool is_torn(const char *text, size_t len) {
  static const char start[] = "{\"id\":\"batch_req_";
  const size_t compared = len < sizeof start - 1 ? len : sizeof start - 1;
  if (memcmp(text, start, compared) == 0) return true;
  return text[0] == '\0' && memcmp(text, text + 1, len - 1) == 0;
}

static hg_err scan_line(struct scan *scan, const struct hg_line_reader *reader, const char *text, size_t len) {
  struct hg_result_line line;
  scan->unended = !reader->line_ended;
  scan->offset = reader->line_offset;
  struct hg_json root;
  if (!reader->line_ended && is_torn(text, len) && hg_json_check(text, len, &root, NULL)) {
    scan->torn = true;
    return HG_OK;
  }
  hg_err err = hg_result_line_parse(text, len, &line);
  if (err == HG_ERR_INVALID) {
    tell_garbage(scan, reader->line_number, "is not a result line");
    return HG_OK;
  }
  if (err) return err;
  scan->results++;
  scan->successes += line.succeeded;
  if (scan->visitor->on_line) err = scan->visitor->on_line(scan->visitor->context, &line);
  hg_result_line_clear(&line);
  return err;
}

static hg_err scan_lines(struct scan *scan, struct hg_line_reader *reader, hg_error *why) {
  for (;;) {
    const char *text;
    size_t len;
    hg_err err = hg_line_reader_next(reader, &text, &len);
    if (err == HG_ERR_EMPTY) return HG_OK;
    if (err == HG_ERR_SYSTEM) return hg_results_fail(scan->file, "it can't be read", why);
    if (err == HG_ERR_RANGE) {
      scan->unended = !reader->line_ended;
      tell_garbage(scan, reader->line_number, "is too long for a result line");
      continue;
    }
    if (!err) err = scan_line(scan, reader, text, len);
    if (err == HG_ERR_NO_MEMORY) return hg_fail(why, err, "%s: no memory to read it", scan->file->path);
    if (err) return err;
  }
}

static hg_err scan_file(struct scan *scan, hg_error *why) {
  struct hg_line_reader reader;
  hg_line_reader_init(&reader, scan->file->fd, HG_RESULT_LINE_MAX);
  const hg_err err = scan_lines(scan, &reader, why);
  hg_line_reader_clear(&reader);
  return err;
}

static hg_err refuse_other(const struct scan *scan, hg_error *why) {
  if (scan->results > 0 || scan->garbage == 0) return HG_OK;
  return hg_fail(why, HG_ERR_INVALID,
                 "%s holds something other than results; name another file with -o, or move it aside with --fresh",
                 scan->file->path);
}

// --- opening for results

static hg_err repair(struct scan *scan, hg_error *why) {
  struct hg_results_file *file = scan->file;
  char text[PATH_MAX + 128];
  struct stat now;
  if (scan->torn) {
    if (ftruncate(file->fd, (off_t)scan->offset) != 0)
      return hg_results_fail(file, "its torn last line can't be cut off", why);
    snprintf(text, sizeof text, "%s: the last line was torn by a crash and is cut off; its call is run again",
             file->path);
    note(scan->visitor, text);
  } else if (scan->unended) {
    if (fstat(file->fd, &now) != 0 || pwrite(file->fd, "\n", 1, now.st_size) != 1)
      return hg_results_fail(file, "its last line can't be ended", why);
    snprintf(text, sizeof text, "%s: the last line had no end and got one", file->path);
    note(scan->visitor, text);
  }
  if (scan->garbage > NOTES_MAX) {
    snprintf(text, sizeof text, "%s: %llu lines in all are not result lines", file->path,
             (unsigned long long)scan->garbage);
    note(scan->visitor, text);
  }
  // Lines that were there but perhaps never synced are about to be relied upon.
  if (fdatasync(file->fd) != 0 || fstat(file->fd, &now) != 0) return hg_results_fail(file, "it can't be synced", why);
  file->synced = (uint64_t)now.st_size;
  return HG_OK;
}

// Changes the file only after it has proven to be one of results.
static hg_err read_and_repair(struct hg_results_file *file, const struct hg_results_visitor *visitor, hg_error *why) {
  struct scan scan = {.file = file, .visitor = visitor};
  hg_err err = scan_file(&scan, why);
  if (!err) err = refuse_other(&scan, why);
  return err ? err : repair(&scan, why);
}

// The lock on the old file is held until the new one is locked too, so that no other run slips in between.
static hg_err start_afresh(struct hg_results_file *file, const struct hg_results_visitor *visitor, hg_error *why) {
  const struct hg_results_visitor quiet = {.on_line = visitor->on_line, .context = visitor->context};
  struct scan scan = {.file = file, .visitor = &quiet};
  struct stat old;
  if (fstat(file->fd, &old) != 0) return hg_results_fail(file, "it can't be read", why);
  if (old.st_size == 0) return HG_OK;
  hg_err err = scan_file(&scan, why);
  if (!err) err = move_aside(file, visitor, why);
  if (err) return err;
  const int old_fd = file->fd;
  err = open_locked(file, why);
  close(old_fd);
  return err;
}

hg_err hg_results_file_open(const char *path, bool fresh, const struct hg_results_visitor *visitor,
                            struct hg_results_file **out, hg_error *why) {
  static const struct hg_results_visitor nobody;
  if (!visitor) visitor = &nobody;
  struct hg_results_file *file = file_new(path, why);
  if (!file) return HG_ERR_NO_MEMORY;
  hg_err err = open_locked(file, why);
  if (!err && fresh) err = start_afresh(file, visitor, why);
  if (!err) err = read_and_repair(file, visitor, why);
  if (!err) err = sync_directory(file, why);
  if (err) {
    hg_results_file_close(&file, false);
    return err;
  }
  *out = file;
  return HG_OK;
}

hg_err hg_results_stream_open(struct hg_results_file **out, hg_error *why) {
  struct hg_results_file *file = file_new("standard output", why);
  if (!file) return HG_ERR_NO_MEMORY;
  file->stream = true;
  file->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
  if (file->fd < 0) {
    hg_results_file_close(&file, false);
    return hg_fail(why, HG_ERR_INVALID, "standard output can't take the results: %s", strerror(errno));
  }
  *out = file;
  return HG_OK;
}

// --- opening for errors, and only to look

// The name of one run's errors may be that of another run's results, or a file that has nothing to do with either.
static hg_err read_and_empty(struct hg_results_file *file, const struct hg_results_visitor *visitor, hg_error *why) {
  struct scan scan = {.file = file, .visitor = visitor};
  const hg_err err = scan_file(&scan, why);
  if (err) return err;
  if (scan.successes > 0 || (scan.results == 0 && scan.garbage > 0))
    return hg_fail(why, HG_ERR_INVALID,
                   "%s holds %s and would be overwritten by the failures of this run; move it away, or name "
                   "another results file with -o",
                   file->path, scan.successes > 0 ? "results" : "something other than failures");
  return ftruncate(file->fd, 0) == 0 ? HG_OK : hg_results_fail(file, "it can't be emptied", why);
}

hg_err hg_results_file_open_empty(const char *path, const struct hg_results_visitor *visitor,
                                  struct hg_results_file **out, hg_error *why) {
  static const struct hg_results_visitor nobody;
  struct hg_results_file *file = file_new(path, why);
  if (!file) return HG_ERR_NO_MEMORY;
  hg_err err = open_locked(file, why);
  if (!err) err = read_and_empty(file, visitor ? visitor : &nobody, why);
  if (!err) err = sync_directory(file, why);
  if (err) {
    hg_results_file_close(&file, false);
    return err;
  }
  *out = file;
  return HG_OK;
}

hg_err hg_results_file_look(const char *path, const struct hg_results_visitor *visitor, hg_error *why) {
  struct hg_results_file *file = file_new(path, why);
  if (!file) return HG_ERR_NO_MEMORY;
  struct scan scan = {.file = file, .visitor = visitor};
  struct stat kind;
  file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  hg_err err = HG_OK;
  if (file->fd < 0) err = errno == ENOENT ? HG_ERR_EMPTY : hg_results_fail(file, "it can't be opened", why);
  else if (fstat(file->fd, &kind) != 0 || !S_ISREG(kind.st_mode))
    err = hg_fail(why, HG_ERR_INVALID, "%s is not a regular file; results need one, name another with -o", path);
  if (!err) err = scan_file(&scan, why);
  if (!err) err = refuse_other(&scan, why);
  hg_results_file_close(&file, false);
  return err == HG_ERR_EMPTY ? HG_OK : err;
}
