// What the ledger asks the system about its file, answered by the simulated disk: the linker's --wrap puts these in the
// place of the real ones. The lock file and the directory of sockets have no part in a simulation.
#include "ledger/internal.h"
#include "simulation/power_vfs.h"

#include <errno.h>

int __wrap_stat(const char *path, struct stat *out);
hg_err __wrap_hg_lock_take(struct hg_lock *lock, const struct hg_places *places, const char *ledger_path,
                           int patience_ms, hg_error *why);
hg_err __wrap_hg_lock_announce(const struct hg_lock *lock, const struct hg_places *places, bool momentary,
                               hg_error *why);
hg_err __wrap_hg_ledger_secure_directory(const char *directory, hg_error *why);
hg_err __wrap_hg_database_create(const char *path, hg_error *why);

int __wrap_stat(const char *path, struct stat *out) {
  if (hg_power_stat(path, out)) return 0;
  errno = ENOENT;
  return -1;
}

hg_err __wrap_hg_lock_take(struct hg_lock *lock, const struct hg_places *places, const char *ledger_path,
                           int patience_ms, hg_error *why) {
  (void)places;
  (void)ledger_path;
  (void)patience_ms;
  (void)why;
  lock->fd = -1;
  return HG_OK;
}

hg_err __wrap_hg_lock_announce(const struct hg_lock *lock, const struct hg_places *places, bool momentary,
                               hg_error *why) {
  (void)lock;
  (void)places;
  (void)momentary;
  (void)why;
  return HG_OK;
}

hg_err __wrap_hg_ledger_secure_directory(const char *directory, hg_error *why) {
  (void)directory;
  (void)why;
  return HG_OK;
}

hg_err __wrap_hg_database_create(const char *path, hg_error *why) {
  return hg_power_create(path) ? HG_OK : hg_fail(why, HG_ERR_STORE, "no power");
}
