// Which custom_ids are known and how far their lines are, in at most 32 bytes a line, also while it grows.
#ifndef HG_LINE_INDEX_H
#define HG_LINE_INDEX_H

#include "headgate.h"

enum hg_line_state {
  HG_LINE_UNSEEN,  // succeeded in an earlier run; not met in the batch file yet
  HG_LINE_DONE,    // met, and succeeded in this run or before
  HG_LINE_FAILED,  // tried in this run, in vain
  HG_LINE_RUNNING, // handed out
  HG_LINE_LEFT,    // handed out and given back: for the next run
  HG_LINE_STATES
};

struct hg_line_entry {
  uint64_t request_hash;
  enum hg_line_state state;
};

struct hg_line_index;
hg_err hg_line_index_new(struct hg_line_index **out); // HG_ERR_NO_MEMORY
void hg_line_index_destroy(struct hg_line_index **index);

// Ids are hashes of custom_ids, not 0. HG_ERR_CONFLICT: known already, nothing changed. HG_ERR_NO_MEMORY.
hg_err hg_line_index_put(struct hg_line_index *index, uint64_t id_hash, struct hg_line_entry entry);
bool hg_line_index_find(const struct hg_line_index *index, uint64_t id_hash, struct hg_line_entry *out);
// False: not known.
bool hg_line_index_set(struct hg_line_index *index, uint64_t id_hash, struct hg_line_entry entry);
uint64_t hg_line_index_count(const struct hg_line_index *index, enum hg_line_state state);

// Allocated bytes: now, and the most at any moment so far.
size_t hg_line_index_bytes(const struct hg_line_index *index);
size_t hg_line_index_peak_bytes(const struct hg_line_index *index);

#endif
