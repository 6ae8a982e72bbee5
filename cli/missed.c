// Losses, found by the newest row of each topic.
#include "cli/missed.h"

#include <string.h>

// Numbers of another ledger say nothing about this one.
static void note_ledger(struct hg_missed *missed, struct hg_text ledger_id) {
  if (hg_text_equal(ledger_id, hg_text_of(missed->ledger_id))) return;
  hg_text_copy(missed->ledger_id, sizeof missed->ledger_id, ledger_id);
  memset(missed->last, 0, sizeof missed->last);
}

void hg_missed_event(struct hg_missed *missed, const struct hg_event_envelope *event, hg_missed_tell *tell,
                     void *self) {
  const struct hg_kind_info *info = hg_kind_by_name(event->type);
  if (!event->seq || !info || !info->is_event) return;
  note_ledger(missed, event->ledger_id);
  uint64_t *last = &missed->last[(unsigned)info->kind - HG_EVENT_FIRST];
  if (*last && event->prev > *last) tell(self, info->kind, *last, event->prev);
  *last = event->seq;
}

void hg_missed_beat(struct hg_missed *missed, const struct hg_event_envelope *event, const struct hg_beat *beat,
                    const bool wanted[HG_EVENT_KINDS], hg_missed_tell *tell, void *self) {
  note_ledger(missed, event->ledger_id);
  for (unsigned i = 0; i < HG_EVENT_KINDS; i++) {
    uint64_t *last = &missed->last[i];
    if (beat->topic_newest[i] <= *last) continue;
    if (wanted[i] && *last) tell(self, (enum hg_kind)(HG_EVENT_FIRST + i), *last, beat->topic_newest[i]);
    *last = beat->topic_newest[i];
  }
}
