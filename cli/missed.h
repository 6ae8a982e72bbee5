// What a subscriber that can ask nobody has missed, by `prev` of the events and the heartbeats: for telling it.
#ifndef HG_MISSED_H
#define HG_MISSED_H

#include "bus/frames.h"

struct hg_missed {
  char ledger_id[64];            // of the runtime heard last
  uint64_t last[HG_EVENT_KINDS]; // newest seq of each topic
};

typedef void hg_missed_tell(void *self, enum hg_kind topic, uint64_t after, uint64_t upto);
// An event that was heard.
void hg_missed_event(struct hg_missed *missed, const struct hg_event_envelope *event, hg_missed_tell *tell, void *self);
// A heartbeat, which shows what of the topics that are wanted was lost at the tail.
void hg_missed_beat(struct hg_missed *missed, const struct hg_event_envelope *event, const struct hg_beat *beat,
                    const bool wanted[HG_EVENT_KINDS], hg_missed_tell *tell, void *self);

#endif
