// The tracker's permits: the open ones, the orphans, and the newest that were closed (so that the same settle again is
// answered as the first was).
#ifndef HG_PERMITS_H
#define HG_PERMITS_H

#include "actors/family.h"
#include "base/id_map.h"
#include "schemas/message.h"

#define HG_CLOSED_PERMITS 65536 // remembered

enum hg_permit_state {
  HG_PERMIT_OPEN,
  HG_PERMIT_KEPT,   // an orphan whose reservation stays
  HG_PERMIT_GUESSED // an orphan that is reserved no longer: `guess` of it counts as used until its late settle
};

struct hg_permit_record {
  uint64_t id;
  struct hg_family family; // its parent is the permit in whose slot it runs
  int64_t tokens;          // the reservation, without what nested work took out of it
  int64_t guess;           // of an orphan: what counts as used
  uint64_t lender;         // the parent that its reservation came out of; 0: nobody
  uint32_t budget, attempt;
  enum hg_permit_state state;
  bool slot;       // runs in a slot of its own
  bool at_opening; // was open when the last runtime died
  uint32_t task_size;
  char task_id[];
};
struct hg_closed_permit {
  uint64_t id;
  struct hg_ended_permit ended;
};
// What is said of usage that nobody knows: the whole reservation is charged, or `least` where that is more.
#define HG_USAGE_MISSING(least) (-1 - (least))
struct hg_permits {
  struct hg_id_map map;
  struct hg_permit_record **orphans; // by id
  size_t orphan_count, orphan_capacity;
  struct hg_closed_permit *closed; // a ring
  uint32_t closed_next;
  struct hg_id_map closed_map;
};

bool hg_permits_init(struct hg_permits *permits); // false: no memory
void hg_permits_destroy(struct hg_permits *permits);
struct hg_permit_record *hg_permits_get(const struct hg_permits *permits, uint64_t id);
const struct hg_ended_permit *hg_permits_closed(const struct hg_permits *permits, uint64_t id); // NULL: not remembered
// Opens one; NULL: no memory. The id must not be there.
struct hg_permit_record *hg_permits_open(struct hg_permits *permits, uint64_t id, struct hg_text task_id);
// Makes an open one an orphan; false: no memory, nothing is changed.
bool hg_permits_orphan(struct hg_permits *permits, struct hg_permit_record *permit, enum hg_permit_state state);
// The orphan with the smallest id over `after`; NULL: none.
const struct hg_permit_record *hg_permits_orphan_after(const struct hg_permits *permits, uint64_t after);
// Forgets the permit (it is freed) but for how it ended.
void hg_permits_close(struct hg_permits *permits, struct hg_permit_record *permit, enum hg_permit_end end,
                      int64_t used);
// Whether to say this of the end of a permit is to say again how it ended.
bool hg_permit_ended_so(const struct hg_ended_permit *ended, enum hg_permit_end end, int64_t said);
// What is charged of a reservation.
int64_t hg_usage_charged(int64_t reserved, int64_t said);

struct hg_text hg_permit_task(const struct hg_permit_record *permit);

#endif
