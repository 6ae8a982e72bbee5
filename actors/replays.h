// What the persister does for those who have missed events: portions of the journal, read back. One portion a turn, so
// that a commit waits for one at most.
#ifndef HG_REPLAYS_H
#define HG_REPLAYS_H

#include "actors/persister.h"

struct hg_replays {
  const struct hg_store *store;
  struct hg_replay {
    uint64_t request, after;
    uint32_t kinds; // which events, a bit each
    uint32_t credit;
  } waiting[HG_REPLAYS_MAX]; // the oldest first
  uint32_t count;
  int64_t busy_until, next_at; // facts came lately; when the next portion is due while they do
};

void hg_replays_init(struct hg_replays *replays, const struct hg_store *store);
// REPLAY: takes its place at the end, or is refused: too many wait, or `trouble` says why the store can't be read now.
void hg_replays_ask(struct hg_replays *replays, const struct hg_replay_message *question, const char *trouble,
                    struct hg_outbox *out);
// At the end of a turn in which the store was well: answers the oldest, but for seldom while facts come (`busy`):
// whoever records must not wait for whoever reads. `newest`: the newest row that is durable. Returns when to come
// again.
int64_t hg_replays_turn(struct hg_replays *replays, uint64_t newest, bool busy, struct hg_now now,
                        struct hg_outbox *out);
// No more of it. Whoever asked hears why.
void hg_replays_stop(struct hg_replays *replays, hg_err err, const char *why, struct hg_outbox *out);

#endif
