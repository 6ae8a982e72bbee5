// The files of power_disk.h.
#include "simulation/power_disk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define DIRTY 1u   // the next sync writes it
#define DIFFERS 2u // from what is on the disk

uint64_t hg_power_roll(uint64_t *dice, uint64_t sides) {
  uint64_t z = (*dice += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return (z ^ (z >> 31)) % sides;
}

static void widen(struct hg_disk_range *range, size_t first, size_t end) {
  if (range->first == range->end) *range = (struct hg_disk_range){first, end};
  if (first < range->first) range->first = first;
  if (end > range->end) range->end = end;
}

static void mark(struct hg_disk_file *file, size_t from, size_t to) {
  if (from >= to) return;
  const size_t first = from / HG_SECTOR, end = (to + HG_SECTOR - 1) / HG_SECTOR;
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

static void reserve(struct hg_disk_file *file, size_t size) {
  if (size <= file->capacity) return;
  const size_t capacity = (2 * size + 65535) / 65536 * 65536;
  file->data = grown(file->data, file->capacity, capacity);
  file->durable = grown(file->durable, file->capacity, capacity);
  file->sectors = grown(file->sectors, file->capacity / HG_SECTOR, capacity / HG_SECTOR);
  file->capacity = capacity;
}

void hg_disk_put(struct hg_disk_file *file, const void *from, size_t at, size_t size) {
  reserve(file, at + size);
  memcpy(file->data + at, from, size);
  mark(file, at, at + size);
  if (at + size <= file->size) return;
  file->size = at + size;
  file->size_is_dirty = true;
}

// What is behind the new end is no longer written; only the cut itself is.
void hg_disk_cut_off(struct hg_disk_file *file, size_t size) {
  if (size >= file->size) return;
  const size_t first = (size + HG_SECTOR - 1) / HG_SECTOR, end = (file->size + HG_SECTOR - 1) / HG_SECTOR;
  memset(file->data + size, 0, file->size - size);
  mark(file, size, file->size);
  if (end > first) memset(file->sectors + first, DIFFERS, end - first);
  if (!file->is_cut || size < file->cut_to) file->cut_to = size;
  file->is_cut = file->size_is_dirty = true;
  file->size = size;
}

static void cut_disk(struct hg_disk_file *file) {
  const size_t end = file->differs.end * HG_SECTOR;
  if (file->is_cut && end > file->cut_to) memset(file->durable + file->cut_to, 0, end - file->cut_to);
  if (file->is_cut && file->durable_size > file->cut_to) file->durable_size = file->cut_to;
  file->is_cut = false;
}

// The cut did not reach the disk, so nothing that came behind it did.
static void forget_cut(struct hg_disk_file *file) {
  for (size_t at = file->cut_to / HG_SECTOR; at < file->differs.end; at++)
    file->sectors[at] = DIFFERS;
  file->is_cut = file->size_is_dirty = false;
}

static void reach_disk(struct hg_disk_file *file, size_t sector, size_t bytes) {
  memcpy(file->durable + sector * HG_SECTOR, file->data + sector * HG_SECTOR, bytes);
}

static void sync_size(struct hg_disk_file *file) {
  file->durable_size = file->size;
  file->size_is_dirty = false;
}

void hg_disk_sync(struct hg_disk_file *file) {
  cut_disk(file);
  for (size_t at = file->dirty.first; at < file->dirty.end; at++) {
    if (!(file->sectors[at] & DIRTY)) continue;
    reach_disk(file, at, HG_SECTOR);
    file->sectors[at] = 0;
  }
  file->dirty = (struct hg_disk_range){0, 0};
  if (file->size_is_dirty) sync_size(file);
  file->entry_is_durable = true;
}

void hg_disk_sync_badly(struct hg_disk_file *file, bool forgets, uint64_t *dice) {
  cut_disk(file);
  for (size_t at = file->dirty.first; at < file->dirty.end; at++) {
    if (!(file->sectors[at] & DIRTY)) continue;
    const bool reaches = hg_power_roll(dice, 2);
    if (reaches) reach_disk(file, at, HG_SECTOR);
    if (reaches) file->sectors[at] = 0;
    else if (forgets) file->sectors[at] = DIFFERS;
  }
  if (forgets) file->dirty = (struct hg_disk_range){0, 0};
  if (file->size_is_dirty && hg_power_roll(dice, 2)) sync_size(file); // which is no page: it is not forgotten
}

void hg_disk_lose_power(struct hg_disk_file *file, uint64_t *dice) {
  if (file->is_cut && hg_power_roll(dice, 2)) forget_cut(file);
  cut_disk(file);
  for (size_t at = file->differs.first; at < file->differs.end; at++) {
    if (!(file->sectors[at] & DIRTY)) continue;
    const uint64_t fate = hg_power_roll(dice, 3);
    if (fate == 0) reach_disk(file, at, HG_SECTOR);
    else if (fate == 1) reach_disk(file, at, hg_power_roll(dice, HG_SECTOR));
  }
  if (file->size_is_dirty && hg_power_roll(dice, 2)) file->durable_size = file->size;
  if (!file->entry_is_durable && hg_power_roll(dice, 2)) {
    file->exists = false;
    file->durable_size = 0;
  }
  const size_t end = file->differs.end * HG_SECTOR;
  if (file->differs.end > file->differs.first) {
    memset(file->sectors + file->differs.first, 0, file->differs.end - file->differs.first);
    memcpy(file->data + file->differs.first * HG_SECTOR, file->durable + file->differs.first * HG_SECTOR,
           end - file->differs.first * HG_SECTOR);
  }
  file->size = file->durable_size;
  if (end > file->size) { // no bytes are behind the end of a file
    memset(file->data + file->size, 0, end - file->size);
    memset(file->durable + file->size, 0, end - file->size);
  }
  file->size_is_dirty = false;
  file->entry_is_durable = true;
  file->dirty = file->differs = (struct hg_disk_range){0, 0};
}

void hg_disk_clear(struct hg_disk_file *file) {
  free(file->data);
  free(file->durable);
  free(file->sectors);
  *file = (struct hg_disk_file){0};
}
