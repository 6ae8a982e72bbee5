// The file system of power_vfs.h.
#include "simulation/power_vfs.h"

#include "simulation/power_disk.h"

#include "schemas/limits.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#define FILES 4
#define SLOW_SYNC_US 400000

struct handle {
  sqlite3_file base;
  struct hg_disk_file *file;
};

static struct hg_power power;
static struct hg_disk_file files[FILES];
static int last_error;

struct hg_power *hg_power(void) {
  return &power;
}

static int fail(int code, int error) {
  last_error = error;
  return code;
}

// Is it this operation's turn to fail?
static bool strikes(struct hg_power_fault *fault) {
  if (fault->count == 0) return false;
  if (fault->skip) {
    fault->skip--;
    return false;
  }
  fault->count--;
  power.failures++;
  return true;
}

// One more change is about to be made; false: the power is gone.
static bool is_on(void) {
  if (!power.is_off && ++power.changes == power.cut_before) power.is_off = true;
  return !power.is_off;
}

// ------------------------------------------------------------------------------------------------ an open file

static struct hg_disk_file *file_of(sqlite3_file *handle) {
  return ((struct handle *)(void *)handle)->file;
}

static int file_close(sqlite3_file *handle) {
  (void)handle;
  return SQLITE_OK;
}

static int file_read(sqlite3_file *handle, void *to, int size, sqlite3_int64 at) {
  const struct hg_disk_file *file = file_of(handle);
  if (power.is_off || strikes(&power.reads)) return fail(SQLITE_IOERR_READ, EIO);
  const size_t from = (size_t)at, wanted = (size_t)size;
  const size_t there = from >= file->size ? 0 : file->size - from < wanted ? file->size - from : wanted;
  if (there) memcpy(to, file->data + from, there);
  if (there == wanted) return SQLITE_OK;
  memset((uint8_t *)to + there, 0, wanted - there);
  return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *handle, const void *from, int size, sqlite3_int64 at) {
  struct hg_disk_file *file = file_of(handle);
  if (!is_on()) return fail(SQLITE_IOERR_WRITE, EIO);
  if (power.is_full && (size_t)at + (size_t)size > file->size) {
    power.failures++;
    return fail(SQLITE_FULL, ENOSPC);
  }
  if (strikes(&power.writes)) {
    hg_disk_put(file, from, (size_t)at, (size_t)hg_power_roll(&power.dice, (uint64_t)size));
    return fail(SQLITE_IOERR_WRITE, EIO);
  }
  hg_disk_put(file, from, (size_t)at, (size_t)size);
  return SQLITE_OK;
}

static int file_truncate(sqlite3_file *handle, sqlite3_int64 size) {
  if (!is_on()) return fail(SQLITE_IOERR_TRUNCATE, EIO);
  hg_disk_cut_off(file_of(handle), (size_t)size);
  return SQLITE_OK;
}

static int file_sync(sqlite3_file *handle, int flags) {
  (void)flags;
  if (!is_on()) return fail(SQLITE_IOERR_FSYNC, EIO);
  power.delayed_us += hg_power_roll(&power.dice, 40) ? 200 : (int64_t)hg_power_roll(&power.dice, SLOW_SYNC_US);
  if (!strikes(&power.syncs)) {
    hg_disk_sync(file_of(handle));
    return SQLITE_OK;
  }
  power.failed_syncs++;
  hg_disk_sync_badly(file_of(handle), power.forgets, &power.dice);
  return fail(SQLITE_IOERR_FSYNC, EIO);
}

static int file_size(sqlite3_file *handle, sqlite3_int64 *size) {
  *size = (sqlite3_int64)file_of(handle)->size;
  return power.is_off ? fail(SQLITE_IOERR_FSTAT, EIO) : SQLITE_OK;
}

static int file_lock(sqlite3_file *handle, int lock) {
  (void)handle;
  (void)lock;
  return SQLITE_OK;
}

static int file_check_lock(sqlite3_file *handle, int *out) {
  (void)handle;
  *out = 0;
  return SQLITE_OK;
}

static int file_control(sqlite3_file *handle, int operation, void *argument) {
  (void)handle;
  (void)operation;
  (void)argument;
  return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *handle) {
  (void)handle;
  return HG_SECTOR;
}

static int file_device(sqlite3_file *handle) {
  (void)handle;
  return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {1,
                                           file_close,
                                           file_read,
                                           file_write,
                                           file_truncate,
                                           file_sync,
                                           file_size,
                                           file_lock,
                                           file_lock,
                                           file_check_lock,
                                           file_control,
                                           file_sector_size,
                                           file_device,
                                           NULL,
                                           NULL,
                                           NULL,
                                           NULL,
                                           NULL,
                                           NULL};

// ------------------------------------------------------------------------------------------------ the file system

static struct hg_disk_file *find(const char *name) {
  for (struct hg_disk_file *file = files; file < files + FILES; file++)
    if (file->exists && strcmp(file->name, name) == 0) return file;
  return NULL;
}

static struct hg_disk_file *make(const char *name) {
  struct hg_disk_file *file = files;
  while (file < files + FILES && file->name[0] && strcmp(file->name, name) != 0)
    file++;
  assert(file < files + FILES && strlen(name) < sizeof file->name);
  strcpy(file->name, name);
  file->exists = true;
  file->entry_is_durable = false;
  return file;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *handle, int flags, int *out_flags) {
  (void)vfs;
  handle->pMethods = NULL;
  if (power.is_off || !name) return fail(SQLITE_CANTOPEN, EIO);
  struct hg_disk_file *file = find(name);
  if (!file && (flags & SQLITE_OPEN_CREATE)) file = make(name);
  if (!file) return fail(SQLITE_CANTOPEN, ENOENT);
  ((struct handle *)(void *)handle)->file = file;
  handle->pMethods = &methods;
  if (out_flags) *out_flags = flags;
  return SQLITE_OK;
}

// A removal is durable at once.
static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync) {
  (void)vfs;
  (void)sync;
  if (!is_on()) return fail(SQLITE_IOERR_DELETE, EIO);
  struct hg_disk_file *file = find(name);
  if (!file) return fail(SQLITE_IOERR_DELETE_NOENT, ENOENT);
  hg_disk_cut_off(file, 0);
  hg_disk_sync(file);
  file->exists = false;
  return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out) {
  (void)vfs;
  const struct hg_disk_file *file = find(name);
  *out = file && (flags != SQLITE_ACCESS_EXISTS || file->size > 0);
  return power.is_off ? fail(SQLITE_IOERR_ACCESS, EIO) : SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *name, int room, char *out) {
  (void)vfs;
  if (strlen(name) >= (size_t)room) return SQLITE_CANTOPEN;
  strcpy(out, name);
  return SQLITE_OK;
}

static int vfs_random(sqlite3_vfs *vfs, int size, char *out) {
  (void)vfs;
  for (int i = 0; i < size; i++)
    out[i] = (char)hg_power_roll(&power.dice, 256);
  return size;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us) {
  (void)vfs;
  return us;
}

static int vfs_time(sqlite3_vfs *vfs, sqlite3_int64 *out) {
  (void)vfs;
  *out = INT64_C(212800000000000);
  return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int room, char *out) {
  (void)vfs;
  (void)room;
  (void)out;
  return last_error;
}

static void install(void) {
  static sqlite3_vfs vfs;
  if (vfs.zName) return;
  vfs = (sqlite3_vfs){.iVersion = 2,
                      .szOsFile = sizeof(struct handle),
                      .mxPathname = 512,
                      .zName = "headgate-power",
                      .xOpen = vfs_open,
                      .xDelete = vfs_delete,
                      .xAccess = vfs_access,
                      .xFullPathname = vfs_full_path,
                      .xRandomness = vfs_random,
                      .xSleep = vfs_sleep,
                      .xGetLastError = vfs_last_error,
                      .xCurrentTimeInt64 = vfs_time};
  const int code = sqlite3_vfs_register(&vfs, 1);
  assert(code == SQLITE_OK);
  (void)code;
}

// ------------------------------------------------------------------------------------------------ life and death

void hg_power_begin(uint64_t seed) {
  install();
  for (struct hg_disk_file *file = files; file < files + FILES; file++)
    hg_disk_clear(file);
  power = (struct hg_power){.dice = seed};
  last_error = 0;
  sqlite3_randomness(0, NULL); // begins anew, with what our dice say
}

void hg_power_heal(void) {
  power.is_full = power.forgets = false;
  power.cut_before = 0;
  power.writes = power.syncs = power.reads = (struct hg_power_fault){0, 0};
  last_error = 0;
}

void hg_power_restore(bool cut) {
  for (struct hg_disk_file *file = files; cut && file < files + FILES; file++)
    if (file->exists) hg_disk_lose_power(file, &power.dice);
  hg_power_heal();
  power.is_off = false;
}

void hg_power_end(void) {
  for (struct hg_disk_file *file = files; file < files + FILES; file++)
    hg_disk_clear(file);
}

bool hg_power_create(const char *path) {
  if (!power.is_off && !find(path)) make(path);
  return !power.is_off;
}

bool hg_power_stat(const char *path, struct stat *out) {
  const struct hg_disk_file *file = find(path);
  if (!file) return false;
  *out = (struct stat){.st_mode = S_IFREG | S_IRUSR | S_IWUSR,
                       .st_dev = 1,
                       .st_ino = (ino_t)(file - files + 1),
                       .st_size = (off_t)file->size};
  return true;
}
