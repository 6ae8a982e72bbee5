// Whether results and errors may be written where they are to go. Asked before the ledger is opened, so that a run that
// is refused leaves nothing behind.
#include "cli/run_flags.h"

#include "batch/results_file.h"
#include "base/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool hg_run_has_stream(const struct hg_run_flags *flags) {
  return strcmp(flags->output, "-") == 0;
}

const char *hg_run_base(const struct hg_run_flags *flags) {
  if (flags->output && !hg_run_has_stream(flags)) return flags->output;
  return strcmp(flags->input, "-") != 0 ? flags->input : "headgate";
}

char *hg_run_errors_path(const struct hg_run_flags *flags) {
  return flags->errors ? strdup(flags->errors) : hg_errors_path(hg_run_base(flags));
}

// The directory of a path. malloc'd; NULL: no memory.
static char *directory_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
}

// Where a path leads, whether or not a file is there yet. malloc'd; NULL: nowhere.
static char *resolve(const char *path) {
  char *target = realpath(path, NULL), *directory = target ? NULL : directory_of(path);
  char *parent = directory ? realpath(directory, NULL) : NULL;
  const char *slash = strrchr(path, '/');
  if (parent && asprintf(&target, "%s/%s", parent, slash ? slash + 1 : path) < 0) target = NULL;
  free(directory);
  free(parent);
  return target;
}

static bool belongs_to_ledger(const char *path, const char *ledger_path) {
  static const char *const behind[] = {"", "-wal", "-shm", "-journal", ".lock", ".d"};
  char *target = resolve(path), *ledger = resolve(ledger_path);
  const size_t len = ledger ? strlen(ledger) : 0;
  bool belongs = false;
  if (target && ledger && strncmp(target, ledger, len) == 0)
    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++)
      belongs = belongs || strcmp(target + len, behind[i]) == 0;
  free(target);
  free(ledger);
  return belongs;
}

static bool is_file(const struct stat *found, const char *path) {
  struct stat other;
  if ((strcmp(path, "-") == 0 ? fstat(STDIN_FILENO, &other) : stat(path, &other)) != 0) return false;
  return other.st_dev == found->st_dev && other.st_ino == found->st_ino;
}

static bool is_database(const char *path) {
  static const char header[] = "SQLite format 3"; // its NUL belongs to it
  char start[sizeof header];
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  const bool is = fd >= 0 && read(fd, start, sizeof start) == sizeof start && memcmp(start, header, sizeof start) == 0;
  if (fd >= 0) close(fd);
  return is;
}

static hg_err refuse(const char *path, const char *what, hg_error *why) {
  return hg_fail(why, HG_ERR_INVALID, "%s %s; name another file with -o", path, what);
}

static hg_err check_file(const struct hg_run_flags *flags, const char *path, const char *ledger_path, hg_error *why) {
  struct stat found;
  if (belongs_to_ledger(path, ledger_path))
    return refuse(path, "belongs to the ledger of this run and would be overwritten", why);
  if (stat(path, &found) != 0) {
    if (errno != ENOENT) return refuse(path, strerror(errno), why);
    return lstat(path, &found) != 0 ? HG_OK : refuse(path, "is a symbolic link to a file that is not there", why);
  }
  if (!S_ISREG(found.st_mode)) return refuse(path, "is not a regular file, which results need", why);
  if (is_file(&found, flags->input)) return refuse(path, "is the batch file itself and would be overwritten", why);
  if (flags->config_file && is_file(&found, flags->config_file))
    return refuse(path, "is the configuration itself and would be overwritten", why);
  if (is_database(path)) return refuse(path, "is an SQLite database, perhaps a ledger, and would be overwritten", why);
  return HG_OK;
}

static hg_err check_directory(const char *path, hg_error *why) {
  char *directory = directory_of(path);
  hg_err err = HG_OK;
  if (!directory) err = hg_fail(why, HG_ERR_NO_MEMORY, "%s", hg_err_text(HG_ERR_NO_MEMORY));
  else if (access(directory, W_OK | X_OK) != 0)
    err = hg_fail(why, HG_ERR_INVALID, "%s: %s", directory,
                  errno == ENOENT ? "there is no such directory for the results; make it, or name another file with -o"
                                  : strerror(errno));
  free(directory);
  return err;
}

// Both would be written from their start.
static bool is_same(const char *path, const char *other) {
  char *target = resolve(path), *beside = resolve(other);
  const bool same = target && beside && strcmp(target, beside) == 0;
  free(target);
  free(beside);
  return same;
}

static hg_err check_errors(const struct hg_run_flags *flags, const char *path, const char *ledger_path, hg_error *why) {
  hg_err err = check_directory(path, why);
  if (!err) err = check_file(flags, path, ledger_path, why);
  if (err || hg_run_has_stream(flags) || !is_same(path, flags->output)) return err;
  return hg_fail(why, HG_ERR_INVALID, "%s is the file of the results; name another one with --errors", path);
}

hg_err hg_run_check_output(const struct hg_run_flags *flags, const char *ledger_path, hg_error *why) {
  char *errors = hg_run_errors_path(flags);
  if (!errors) return hg_fail(why, HG_ERR_NO_MEMORY, "%s", hg_err_text(HG_ERR_NO_MEMORY));
  const bool file = !hg_run_has_stream(flags);
  hg_err err = file ? check_directory(flags->output, why) : HG_OK;
  if (!err && file) err = check_file(flags, flags->output, ledger_path, why);
  if (!err) err = check_errors(flags, errors, ledger_path, why);
  free(errors);
  return err;
}
