// A settle or release of a permit that nobody here remembers: it ended in an earlier life of the ledger, or too long
// ago, or never was. The ledger is asked, so the same end again is answered as the first was. [8_RISKS-REQ-031]
#include "actors/tracker_private.h"

#include <stdlib.h>

struct hg_end_find {
  uint64_t permit, asker;
  enum hg_permit_end end;
  int64_t said;
};

static void answer(struct hg_tracker *tracker, struct hg_end_find *find, hg_err err) {
  hg_tracker_answer_closed(tracker, find->permit, find->asker, err);
  free(find);
}

void hg_tracker_look_up_end(struct hg_tracker *tracker, uint64_t permit, uint64_t asker, enum hg_permit_end end,
                            int64_t said) {
  // An end that is forgotten here must be in the ledger by now, and there are bounds on what is asked of it.
  const bool may_be_on_its_way = tracker->log.seq - tracker->log.durable >= HG_CLOSED_PERMITS;
  if (may_be_on_its_way || tracker->end_finds.count >= HG_END_FINDS_WINDOW) {
    hg_tracker_answer_closed(tracker, permit, asker, HG_ERR_BUSY);
    return;
  }
  struct hg_end_find *find = malloc(sizeof *find);
  const uint64_t request = ++tracker->finds_asked;
  if (!find || !hg_id_map_put(&tracker->end_finds, request, find)) {
    free(find);
    hg_tracker_answer_closed(tracker, permit, asker, HG_ERR_NO_MEMORY);
    return;
  }
  *find = (struct hg_end_find){permit, asker, end, said};
  struct hg_message question;
  hg_message_init(&question, HG_FIND_PERMIT);
  question.as.find_permit.request = request;
  question.as.find_permit.permit = permit;
  hg_outbox_put(tracker->out, HG_PORT_FACTS, 0, &question);
}

void hg_tracker_end_found(struct hg_tracker *tracker, const struct hg_permit_found_message *found) {
  struct hg_end_find *find = hg_id_map_remove(&tracker->end_finds, found->request);
  if (!find) return;
  const struct hg_ended_permit ended = {(enum hg_permit_end)found->end, found->used, found->reserved};
  if (ended.end == 0) answer(tracker, find, HG_ERR_UNKNOWN_PERMIT);
  else answer(tracker, find, hg_permit_ended_so(&ended, find->end, find->said) ? HG_OK : HG_ERR_CONFLICT);
}

void hg_tracker_give_up_ends(struct hg_tracker *tracker) {
  size_t at = 0;
  for (struct hg_end_find *find; (find = hg_id_map_next(&tracker->end_finds, &at));)
    answer(tracker, find, HG_ERR_STORE);
  hg_id_map_destroy(&tracker->end_finds);
  tracker->end_finds = (struct hg_id_map){0};
}

void hg_tracker_forget_ends(struct hg_tracker *tracker) {
  size_t at = 0;
  for (struct hg_end_find *find; (find = hg_id_map_next(&tracker->end_finds, &at));)
    free(find);
  hg_id_map_destroy(&tracker->end_finds);
}
