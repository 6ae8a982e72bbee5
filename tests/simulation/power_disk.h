// A file as programs see it and as the disk has it: what was written is in memory until it is synced.
#ifndef HG_POWER_DISK_H
#define HG_POWER_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HG_SECTOR 512

struct hg_disk_range {
  size_t first, end; // sectors
};
struct hg_disk_file {
  char name[128]; // "": the place is free
  bool exists, entry_is_durable;
  uint8_t *data, *durable, *sectors;
  size_t size, durable_size, capacity;
  bool size_is_dirty;
  bool is_cut; // since the last sync, to `cut_to`: all at once or not at all, and before what was written there since
  size_t cut_to;
  struct hg_disk_range dirty, differs;
};

uint64_t hg_power_roll(uint64_t *dice, uint64_t sides);

void hg_disk_put(struct hg_disk_file *file, const void *from, size_t at, size_t size);
void hg_disk_cut_off(struct hg_disk_file *file, size_t size); // nothing when it is shorter
void hg_disk_sync(struct hg_disk_file *file);
// Some sectors reach the disk. The others stay as they are, or (`forgets`) are taken for written from now on.
void hg_disk_sync_badly(struct hg_disk_file *file, bool forgets, uint64_t *dice);
// Each sector that is not synced is kept, lost or torn; a file that was never synced may be gone.
void hg_disk_lose_power(struct hg_disk_file *file, uint64_t *dice);
void hg_disk_clear(struct hg_disk_file *file); // gives back the memory

#endif
