// The file system of power_vfs.h.
#include "simulation/power_vfs.h"

#include "schemas/limits.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512
#define FILES 4
#define SLOW_SYNC_US 400000
#define DIRTY 1u   // the next sync writes it
#define DIFFERS 2u // from what is on the disk

struct range {
  size_t first, end; // sectors
};
struct file {
  char name[128]; // "": the place is free
  bool exists, entry_is_durable;
  uint8_t *data, *durable, *sectors;
  size_t size, durable_size, capacity;
  bool size_is_dirty;
  struct range dirty, differs;
};
struct handle {
  sqlite3_file base;
  struct file *file;
};

static struct hg_power power;
static struct file files[FILES];
static int last_error;

struct hg_power *hg_power(void) {
  return &power;
}

static uint64_t roll(uint64_t sides) {
  uint64_t z = (power.dice += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return (z ^ (z >> 31)) % sides;
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

// ------------------------------------------------------------------------------------------------ what is in a file

static void widen(struct range *range, size_t first, size_t end) {
  if (range->first == range->end) *range = (struct range){first, end};
  if (first < range->first) range->first = first;
  if (end > range->end) range->end = end;
}

static void mark(struct file *file, size_t from, size_t to) {
  if (from >= to) return;
  const size_t first = from / SECTOR, end = (to + SECTOR - 1) / SECTOR;
  memset(file->sectors + first, DIRTY | DIFFERS, end - first);
  widen(&file->dirty, first, end);
  widen(&file->differs, first, end);
}

static void *grown(void *old, size_t from, size_t to) {
  uint8_t *larger = realloc(old, to);
  assert(larger);
  memset(larger + from, 0, to - from);
  return larger;
}

static void reserve(struct file *file, size_t size) {
  if (size <= file->capacity) return;
  const size_t capacity = (2 * size + 65535) / 65536 * 65536;
  file->data = grown(file->data, file->capacity, capacity);
  file->durable = grown(file->durable, file->capacity, capacity);
  file->sectors = grown(file->sectors, file->capacity / SECTOR, capacity / SECTOR);
  file->capacity = capacity;
}

static void put(struct file *file, const void *from, size_t at, size_t size) {
  reserve(file, at + size);
  memcpy(file->data + at, from, size);
  mark(file, at, at + size);
  if (at + size <= file->size) return;
  file->size = at + size;
  file->size_is_dirty = true;
}

static void cut_off(struct file *file, size_t size) {
  if (size >= file->size) return;
  memset(file->data + size, 0, file->size - size);
  mark(file, size, file->size);
  file->size = size;
  file->size_is_dirty = true;
}

static void reach_disk(struct file *file, size_t sector, size_t bytes) {
  memcpy(file->durable + sector * SECTOR, file->data + sector * SECTOR, bytes);
}

static void sync_size(struct file *file) {
  file->durable_size = file->size;
  file->size_is_dirty = false;
}

static void sync_all(struct file *file) {
  for (size_t at = file->dirty.first; at < file->dirty.end; at++) {
    if (!(file->sectors[at] & DIRTY)) continue;
    reach_disk(file, at, SECTOR);
    file->sectors[at] = 0;
  }
  file->dirty = (struct range){0, 0};
  if (file->size_is_dirty) sync_size(file);
  file->entry_is_durable = true;
}

// Some sectors reach the disk. The others stay as they are, or are taken for written from now on.
static void sync_badly(struct file *file) {
  for (size_t at = file->dirty.first; at < file->dirty.end; at++) {
    if (!(file->sectors[at] & DIRTY)) continue;
    const bool reaches = roll(2);
    if (reaches) reach_disk(file, at, SECTOR);
    if (reaches) file->sectors[at] = 0;
    else if (power.forgets) file->sectors[at] = DIFFERS;
  }
  if (power.forgets) file->dirty = (struct range){0, 0};
  if (file->size_is_dirty && roll(2)) sync_size(file); // which is no page: it is not forgotten
}

static void lose_power(struct file *file) {
  for (size_t at = file->differs.first; at < file->differs.end; at++) {
    if (!(file->sectors[at] & DIRTY)) continue;
    const uint64_t fate = roll(3);
    if (fate == 0) reach_disk(file, at, SECTOR);
    else if (fate == 1) reach_disk(file, at, roll(SECTOR));
  }
  if (file->size_is_dirty && roll(2)) file->durable_size = file->size;
  if (!file->entry_is_durable && roll(2)) {
    file->exists = false;
    file->durable_size = 0;
  }
  const size_t end = file->differs.end * SECTOR;
  if (file->differs.end > file->differs.first) {
    memset(file->sectors + file->differs.first, 0, file->differs.end - file->differs.first);
    memcpy(file->data + file->differs.first * SECTOR, file->durable + file->differs.first * SECTOR,
           end - file->differs.first * SECTOR);
  }
  file->size = file->durable_size;
  if (end > file->size) { // no bytes are behind the end of a file
    memset(file->data + file->size, 0, end - file->size);
    memset(file->durable + file->size, 0, end - file->size);
  }
  file->size_is_dirty = false;
  file->entry_is_durable = true;
  file->dirty = file->differs = (struct range){0, 0};
}

// ------------------------------------------------------------------------------------------------ an open file

static struct file *file_of(sqlite3_file *handle) {
  return ((struct handle *)(void *)handle)->file;
}

static int file_close(sqlite3_file *handle) {
  (void)handle;
  return SQLITE_OK;
}

static int file_read(sqlite3_file *handle, void *to, int size, sqlite3_int64 at) {
  const struct file *file = file_of(handle);
  if (power.is_off || strikes(&power.reads)) return fail(SQLITE_IOERR_READ, EIO);
  const size_t from = (size_t)at, wanted = (size_t)size;
  const size_t there = from >= file->size ? 0 : file->size - from < wanted ? file->size - from : wanted;
  if (there) memcpy(to, file->data + from, there);
  if (there == wanted) return SQLITE_OK;
  memset((uint8_t *)to + there, 0, wanted - there);
  return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *handle, const void *from, int size, sqlite3_int64 at) {
  struct file *file = file_of(handle);
  if (!is_on()) return fail(SQLITE_IOERR_WRITE, EIO);
  if (power.is_full && (size_t)at + (size_t)size > file->size) {
    power.failures++;
    return fail(SQLITE_FULL, ENOSPC);
  }
  if (strikes(&power.writes)) {
    put(file, from, (size_t)at, (size_t)roll((uint64_t)size));
    return fail(SQLITE_IOERR_WRITE, EIO);
  }
  put(file, from, (size_t)at, (size_t)size);
  return SQLITE_OK;
}

static int file_truncate(sqlite3_file *handle, sqlite3_int64 size) {
  if (!is_on()) return fail(SQLITE_IOERR_TRUNCATE, EIO);
  cut_off(file_of(handle), (size_t)size);
  return SQLITE_OK;
}

static int file_sync(sqlite3_file *handle, int flags) {
  (void)flags;
  if (!is_on()) return fail(SQLITE_IOERR_FSYNC, EIO);
  power.delayed_us += roll(40) ? 200 : (int64_t)roll(SLOW_SYNC_US);
  if (!strikes(&power.syncs)) {
    sync_all(file_of(handle));
    return SQLITE_OK;
  }
  power.failed_syncs++;
  sync_badly(file_of(handle));
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
  return SECTOR;
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

static struct file *find(const char *name) {
  for (struct file *file = files; file < files + FILES; file++)
    if (file->exists && strcmp(file->name, name) == 0) return file;
  return NULL;
}

static struct file *make(const char *name) {
  struct file *file = files;
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
  struct file *file = find(name);
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
  struct file *file = find(name);
  if (!file) return fail(SQLITE_IOERR_DELETE_NOENT, ENOENT);
  cut_off(file, 0);
  sync_all(file);
  file->exists = false;
  return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out) {
  (void)vfs;
  const struct file *file = find(name);
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
    out[i] = (char)roll(256);
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
  for (struct file *file = files; file < files + FILES; file++) {
    if (file->capacity) memset(file->data, 0, file->capacity);
    if (file->capacity) memset(file->durable, 0, file->capacity);
    if (file->capacity) memset(file->sectors, 0, file->capacity / SECTOR);
    *file = (struct file){
        .data = file->data, .durable = file->durable, .sectors = file->sectors, .capacity = file->capacity};
  }
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
  for (struct file *file = files; cut && file < files + FILES; file++)
    if (file->exists) lose_power(file);
  hg_power_heal();
  power.is_off = false;
}

void hg_power_end(void) {
  for (struct file *file = files; file < files + FILES; file++) {
    free(file->data);
    free(file->durable);
    free(file->sectors);
    *file = (struct file){0};
  }
}

bool hg_power_create(const char *path) {
  if (!power.is_off && !find(path)) make(path);
  return !power.is_off;
}

bool hg_power_stat(const char *path, struct stat *out) {
  const struct file *file = find(path);
  if (!file) return false;
  *out = (struct stat){.st_mode = S_IFREG | S_IRUSR | S_IWUSR,
                       .st_dev = 1,
                       .st_ino = (ino_t)(file - files + 1),
                       .st_size = (off_t)file->size};
  return true;
}
