// Only WALs are wrapped; every other file is the lower VFS's own. Whatever SQLite could see of a file goes through
// `flush` first, so that the file is always what SQLite takes it for. Without a sync a WAL may miss what was written to
// it when the process dies, as it may without this file when the machine dies.
#include "ledger/wal_buffer.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct wal {
  sqlite3_file head;   // what SQLite has of it
  sqlite3_file *below; // behind this struct
  uint8_t *waiting;    // HG_WAL_BUFFER_BYTES, of which `size` belong at `at`
  sqlite3_int64 at;
  int size;
};

static struct wal *wal_of(sqlite3_file *file) {
  return (struct wal *)file;
}

// What could not be written waits on: SQLite may go on with the transaction.
static int flush(struct wal *wal) {
  if (wal->size == 0) return SQLITE_OK;
  const int code = wal->below->pMethods->xWrite(wal->below, wal->waiting, wal->size, wal->at);
  if (code == SQLITE_OK) wal->size = 0;
  return code;
}

// As SQLite rolls back what a write or a sync fails for, what could not be written is forgotten: it must not stand in
// the way of a recovery, nor come true by it.
static int flush_or_drop(struct wal *wal) {
  const int code = flush(wal);
  wal->size = 0;
  return code;
}

static int wal_write(sqlite3_file *file, const void *from, int size, sqlite3_int64 at) {
  struct wal *wal = wal_of(file);
  if (at != wal->at + wal->size || size > HG_WAL_BUFFER_BYTES - wal->size) {
    const int code = flush_or_drop(wal);
    if (code != SQLITE_OK) return code;
    wal->at = at;
  }
  if (size > HG_WAL_BUFFER_BYTES) return wal->below->pMethods->xWrite(wal->below, from, size, at);
  memcpy(wal->waiting + wal->size, from, (size_t)size);
  wal->size += size;
  return SQLITE_OK;
}

static int wal_read(sqlite3_file *file, void *to, int size, sqlite3_int64 at) {
  struct wal *wal = wal_of(file);
  const bool overlaps = at < wal->at + wal->size && wal->at < at + size;
  const int code = overlaps ? flush(wal) : SQLITE_OK;
  return code == SQLITE_OK ? wal->below->pMethods->xRead(wal->below, to, size, at) : code;
}

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size) {
  struct wal *wal = wal_of(file);
  if (size <= wal->at) wal->size = 0; // on a full disk too a WAL can be cut off
  const int code = flush(wal);
  return code == SQLITE_OK ? wal->below->pMethods->xTruncate(wal->below, size) : code;
}

static int wal_sync(sqlite3_file *file, int flags) {
  struct wal *wal = wal_of(file);
  const int code = flush_or_drop(wal);
  return code == SQLITE_OK ? wal->below->pMethods->xSync(wal->below, flags) : code;
}

static int wal_size(sqlite3_file *file, sqlite3_int64 *size) {
  struct wal *wal = wal_of(file);
  const int code = flush(wal);
  return code == SQLITE_OK ? wal->below->pMethods->xFileSize(wal->below, size) : code;
}

static int wal_close(sqlite3_file *file) {
  struct wal *wal = wal_of(file);
  (void)flush(wal); // of a transaction that was never committed
  free(wal->waiting);
  return wal->below->pMethods->xClose(wal->below);
}

static int wal_lock(sqlite3_file *file, int level) {
  return wal_of(file)->below->pMethods->xLock(wal_of(file)->below, level);
}

static int wal_unlock(sqlite3_file *file, int level) {
  return wal_of(file)->below->pMethods->xUnlock(wal_of(file)->below, level);
}

static int wal_check_lock(sqlite3_file *file, int *is_reserved) {
  return wal_of(file)->below->pMethods->xCheckReservedLock(wal_of(file)->below, is_reserved);
}

static int wal_control(sqlite3_file *file, int operation, void *argument) {
  return wal_of(file)->below->pMethods->xFileControl(wal_of(file)->below, operation, argument);
}

static int wal_sector_size(sqlite3_file *file) {
  return wal_of(file)->below->pMethods->xSectorSize(wal_of(file)->below);
}

static int wal_device(sqlite3_file *file) {
  return wal_of(file)->below->pMethods->xDeviceCharacteristics(wal_of(file)->below);
}

static const sqlite3_io_methods methods = {.iVersion = 1,
                                           .xClose = wal_close,
                                           .xRead = wal_read,
                                           .xWrite = wal_write,
                                           .xTruncate = wal_truncate,
                                           .xSync = wal_sync,
                                           .xFileSize = wal_size,
                                           .xLock = wal_lock,
                                           .xUnlock = wal_unlock,
                                           .xCheckReservedLock = wal_check_lock,
                                           .xFileControl = wal_control,
                                           .xSectorSize = wal_sector_size,
                                           .xDeviceCharacteristics = wal_device};

// ------------------------------------------------------------------------------------------------ the VFS

static pthread_once_t once = PTHREAD_ONCE_INIT;
static sqlite3_vfs *lower;
static sqlite3_vfs vfs; // the lower one's functions but for xOpen
static bool is_registered;

static int open_file(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *out_flags) {
  (void)self;
  if (!(flags & SQLITE_OPEN_WAL)) return lower->xOpen(lower, name, file, flags, out_flags);
  struct wal *wal = wal_of(file);
  *wal = (struct wal){.below = (sqlite3_file *)(wal + 1), .waiting = malloc(HG_WAL_BUFFER_BYTES)};
  if (!wal->waiting) return SQLITE_NOMEM;
  const int code = lower->xOpen(lower, name, wal->below, flags, out_flags);
  if (wal->below->pMethods) wal->head.pMethods = &methods; // SQLite closes what has methods, opened or not
  else free(wal->waiting);
  return code;
}

static void make_vfs(void) {
  lower = sqlite3_vfs_find(NULL);
  if (!lower) return;
  vfs = *lower;
  vfs.zName = "headgate-wal";
  vfs.pNext = NULL;
  vfs.szOsFile += (int)sizeof(struct wal);
  vfs.xOpen = open_file;
  is_registered = sqlite3_vfs_register(&vfs, 0) == SQLITE_OK;
}

const char *hg_wal_buffer_vfs(void) {
  pthread_once(&once, make_vfs);
  return is_registered ? vfs.zName : NULL;
}
