// The usage ids that were decided lately: all that the ledger may not have yet, and some more, so that repetitions need
// not ask it. Part of the tracker.
#ifndef HG_USAGE_IDS_H
#define HG_USAGE_IDS_H

#include "base/id_map.h"
#include "schemas/message.h"

struct hg_usage_ids {
  struct hg_id_map map; // hash of the key -> the newest entry with that hash
  struct hg_usage_id *oldest, *newest;
  size_t count;
};
struct hg_usage_id {
  struct hg_usage_id *next;      // decided after it
  struct hg_usage_id *same_hash; // decided before it
  uint64_t hash;
  uint64_t seq, content; // the row that counts; seq 0: none, what was said under this key was refused
  uint32_t size;
  char key[];
};

void hg_usage_ids_destroy(struct hg_usage_ids *ids);
struct hg_usage_id *hg_usage_ids_find(const struct hg_usage_ids *ids, struct hg_text key); // NULL: not there
// Enters a key that is not there. NULL: no memory.
struct hg_usage_id *hg_usage_ids_add(struct hg_usage_ids *ids, struct hg_text key);
// Forgets the oldest that are durable, down to HG_USAGE_IDS_KEPT.
#define HG_USAGE_IDS_KEPT 65536
void hg_usage_ids_forget(struct hg_usage_ids *ids, uint64_t durable);

#endif
