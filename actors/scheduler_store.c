// When the persister has given up nothing more will be durable: all that waits, and all that comes, is answered
// HG_ERR_STORE, the outcome is unknown; and nothing more is asked of the tracker. [8_RISKS-REQ-031]
#include "actors/scheduler_private.h"

void hg_scheduler_tell_lost(struct hg_scheduler *scheduler, hg_peer peer, const struct hg_message *answer) {
  struct hg_message lost = *answer;
  if (answer->kind == HG_GRANTED) {
    hg_message_init(&lost, HG_REFUSED);
    lost.as.refused.request = answer->as.granted.request;
    lost.as.refused.error = HG_ERR_STORE;
  } else if (answer->kind == HG_REFUSED) {
    lost.as.refused.error = HG_ERR_STORE;
    lost.as.refused.left = 0;
  } else if (answer->kind == HG_SETTLED) {
    lost.as.settled.error = HG_ERR_STORE;
  } else if (answer->kind == HG_DONE) {
    lost.as.done.error = HG_ERR_STORE;
  } else if (answer->kind == HG_QUEUE) {
    lost.as.queue.error = HG_ERR_STORE;
  } else if (answer->kind == HG_WAITING) {
    lost.as.waiting.error = HG_ERR_STORE;
  }
  hg_scheduler_tell(scheduler, peer, &lost);
}

static void lose(void *self, hg_peer peer, const struct hg_message *answer) {
  hg_scheduler_tell_lost(self, peer, answer);
}

// Permits stay as they are: the next start finds out which of them are in the ledger, and makes orphans of those.
void hg_scheduler_lose_store(struct hg_scheduler *scheduler) {
  if (scheduler->given_up) return;
  scheduler->given_up = true;
  hg_held_give_up(&scheduler->held, scheduler, lose);
  hg_scheduler_give_up_all(scheduler, HG_ERR_STORE);
}

bool hg_scheduler_is_cut_off(const struct hg_scheduler *scheduler) {
  return scheduler->stopping || scheduler->given_up;
}

hg_err hg_scheduler_cut_off_error(const struct hg_scheduler *scheduler) {
  return scheduler->stopping ? HG_ERR_CLOSED : HG_ERR_STORE;
}
