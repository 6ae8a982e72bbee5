// The tracker's way to the persister: numbers facts, packs them into FACTS frames and keeps a window of unacknowledged
// ones. What finds no place in the window waits here.
#ifndef HG_FACT_LOG_H
#define HG_FACT_LOG_H

#include "actors/actor.h"

struct hg_fact_log {
  uint64_t seq;                        // the newest fact
  uint64_t durable;                    // the newest that is committed
  uint64_t topic_last[HG_EVENT_KINDS]; // the newest fact of each kind
  struct hg_fact_chunk *first, *last;  // not sent yet, oldest first
  struct hg_fact_chunk *spare;
  size_t backlog;                 // bytes in them
  uint64_t sent[HG_FACTS_WINDOW]; // the last seq of each unacknowledged frame
  uint32_t sent_first, sent_count;
  bool failed; // no memory: a fact is lost, so nothing after it may be acknowledged
};

void hg_fact_log_init(struct hg_fact_log *log, uint64_t last_seq, const uint64_t topic_last[HG_EVENT_KINDS]);
void hg_fact_log_destroy(struct hg_fact_log *log);
// Fills in the head of the event (seq, prev, at, budget) and takes it.
void hg_fact_log_append(struct hg_fact_log *log, int64_t at, uint32_t budget, struct hg_message *event);
// Sends what the window has room for.
void hg_fact_log_send(struct hg_fact_log *log, struct hg_outbox *out);
void hg_fact_log_committed(struct hg_fact_log *log, uint64_t seq);
bool hg_fact_log_is_full(const struct hg_fact_log *log);

#endif
