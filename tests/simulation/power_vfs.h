// A file system in memory that fails as real ones do, under a seed: writes fail half done, the disk is full, a sync
// fails (and may mark what it did not write as clean, so that the next one does not write it either), and at a power
// cut each sector that was written and not synced is kept, lost or torn. It is the default VFS of its process, and what
// the ledger asks the system about its file goes here too (power_files.c).
#ifndef HG_POWER_VFS_H
#define HG_POWER_VFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

// What happens to the next operations of a kind: after `skip` of them, `count` fail.
struct hg_power_fault {
  uint32_t skip, count;
};
struct hg_power {
  uint64_t dice;
  uint64_t changes;    // writes, truncations, syncs and removals so far
  uint64_t cut_before; // the power fails before so many changes are made; 0: it does not
  bool is_off;         // nothing works, nothing changes
  bool is_full;        // no file can grow
  bool forgets;        // a sync that fails marks its pages clean
  struct hg_power_fault writes, syncs, reads;
  int64_t delayed_us;              // that syncs have taken since somebody looked
  uint64_t failures, failed_syncs; // made so far
};
struct hg_power *hg_power(void);

void hg_power_begin(uint64_t seed); // no files, no faults
void hg_power_heal(void);           // no faults from now on
// After `is_off`: what a process finds that starts again. `cut`: the machine died, otherwise only the process did.
void hg_power_restore(bool cut);
void hg_power_end(void); // gives back the memory

// An empty file, unless it is there; false: the power is off.
bool hg_power_create(const char *path);
// As stat; false: there is no such file.
bool hg_power_stat(const char *path, struct stat *out);

#endif
