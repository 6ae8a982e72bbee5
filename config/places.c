// Paths: how relative ones become absolute, and where a runtime is to be found beside its ledger.
#include "config/config.h"
#include "config/sections.h"
#include "base/fail.h"
#include "schemas/message.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Drops empty and "." segments, in place. ".." stays: what it means depends on symbolic links.
static void tidy_path(char *path) {
  char *to = path;
  for (const char *from = path; *from;) {
    if (from[0] == '/' && (from[1] == '/' || (from[1] == '.' && (from[2] == '/' || from[2] == '\0')))) {
      from += from[1] == '/' ? 1 : 2;
      continue;
    }
    *to++ = *from++;
  }
  if (to == path) *to++ = '/';
  *to = '\0';
}

char *hg_path_absolute(const char *base, const char *path) {
  assert(base[0] == '/');
  const size_t size = strlen(base) + strlen(path) + 2;
  char *out = malloc(size);
  if (!out) return NULL;
  if (path[0] == '/') snprintf(out, size, "%s", path);
  else snprintf(out, size, "%s/%s", base, path);
  tidy_path(out);
  return out;
}

// FNV-1a: short, stable over versions and machines, and spread enough to name a directory.
static uint64_t hash_path(const char *path) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (const char *c = path; *c; c++)
    hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
  return hash;
}

static bool socket_fits(const char *directory) {
  return strlen(directory) + strlen("/control.ipc") <= HG_IPC_PATH_MAX;
}

static hg_err refuse(hg_error *why, hg_err code, const char *path, const char *what) {
  const size_t len = strlen(path), shown = len < 200 ? len : 200;
  return hg_fail(why, code, "%sledger.path \"%s%s\" %s", code == HG_ERR_CONFIG ? "ConfigurationError: " : "",
                 shown < len ? "..." : "", path + len - shown, what);
}

// The directory for sockets when the ledger's own path is too long for one.
static void runtime_directory(const char *ledger_path, const char *runtime_dir, char *out, size_t size) {
  const uint64_t hash = hash_path(ledger_path);
  int written = 0;
  if (runtime_dir && runtime_dir[0] == '/')
    written = snprintf(out, size, "%s/headgate-%016llx", runtime_dir, (unsigned long long)hash);
  else
    written =
        snprintf(out, size, "/tmp/headgate-%lu/headgate-%016llx", (unsigned long)getuid(), (unsigned long long)hash);
  assert(written > 0);
}

static bool is_link(const char *path) {
  struct stat found;
  return lstat(path, &found) == 0 && S_ISLNK(found.st_mode);
}

static hg_err places_of(const char *ledger_path, const char *runtime_dir, struct hg_places *out, hg_error *why) {
  struct hg_places places;
  if (strlen(ledger_path) + strlen(".lock") > HG_PATH_MAX)
    return refuse(why, HG_ERR_CONFIG, ledger_path, "is too long: choose a directory with a shorter path");
  snprintf(places.lock_file, sizeof places.lock_file, "%s.lock", ledger_path);
  snprintf(places.directory, sizeof places.directory, "%s.d", ledger_path);
  if (!socket_fits(places.directory)) {
    runtime_directory(ledger_path, runtime_dir, places.directory, sizeof places.directory);
    if (!socket_fits(places.directory))
      return refuse(
          why, HG_ERR_CONFIG, ledger_path,
          "leaves no room for a socket beside it (107 bytes), nor does $XDG_RUNTIME_DIR: choose a shorter path");
  }
  snprintf(places.events_endpoint, sizeof places.events_endpoint, "ipc://%.*s/events.ipc", HG_IPC_PATH_MAX,
           places.directory);
  snprintf(places.control_endpoint, sizeof places.control_endpoint, "ipc://%.*s/control.ipc", HG_IPC_PATH_MAX,
           places.directory);
  *out = places;
  return HG_OK;
}

// One file is one ledger, by whatever link it is opened; SQLite too keeps its other files beside the target.
hg_err hg_places_of(const char *ledger_path, const char *runtime_dir, struct hg_places *out, hg_error *why) {
  if (!hg_text_valid(hg_text_of(ledger_path)))
    return hg_fail(why, HG_ERR_CONFIG,
                   "ConfigurationError: ledger.path, or the folder that it is relative to, is no UTF-8");
  if (ledger_path[0] != '/') return refuse(why, HG_ERR_INVALID, ledger_path, "is not an absolute path");
  char *target = is_link(ledger_path) ? realpath(ledger_path, NULL) : NULL;
  const hg_err err = places_of(target ? target : ledger_path, runtime_dir, out, why);
  free(target);
  return err;
}
