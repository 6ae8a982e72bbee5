// The tracker and the store: how far its facts are durable, what becomes of its troubles, and what everybody is told
// when the persister has given up: HG_ERR_STORE, the outcome is unknown. [8_RISKS-REQ-031]
#include "actors/tracker_private.h"

void hg_tracker_tell_durable(struct hg_tracker *tracker) {
  if (tracker->told_durable == tracker->log.durable && tracker->told_given_up == tracker->store.given_up) return;
  tracker->told_durable = tracker->log.durable;
  tracker->told_given_up = tracker->store.given_up;
  struct hg_message committed;
  hg_message_init(&committed, HG_COMMITTED);
  committed.as.committed.seq = tracker->log.durable;
  committed.as.committed.given_up = tracker->store.given_up;
  hg_outbox_put(tracker->out, HG_PORT_DECISIONS, 0, &committed);
}

// What could not be journalled while the store was down is journalled when it is back, but never behind the last row.
static void tell_trouble(struct hg_tracker *tracker) {
  struct hg_message event;
  hg_message_init(&event, HG_STORE_DEGRADED);
  event.as.store_degraded.reason = hg_text_of(tracker->store.reason);
  hg_fact_log_append(&tracker->log, tracker->store.since_utc_us, 0, &event);
  hg_message_init(&event, HG_STORE_RECOVERED);
  event.as.store_recovered.lasted_us = (uint64_t)(tracker->now.monotonic_us - tracker->store.since_us);
  hg_tracker_emit(tracker, 0, &event);
}

// A RECORDED or what it would have covered becomes one REJECTED of all that is unanswered.
void hg_tracker_answer_lost(struct hg_tracker *tracker, hg_peer peer, const struct hg_message *answer) {
  struct hg_message lost = *answer;
  if (answer->kind == HG_RECORDED) {
    hg_message_init(&lost, HG_REJECTED);
    lost.as.rejected.number = answer->as.recorded.number;
    lost.as.rejected.error = HG_ERR_STORE;
  } else if (answer->kind == HG_USAGE) {
    lost.as.usage.error = HG_ERR_STORE;
  } else if (answer->kind == HG_FIGURES) {
    lost.as.figures.error = HG_ERR_STORE;
  } else if (answer->kind == HG_REPORTER) {
    lost.as.reporter.error = HG_ERR_STORE;
  } else if (answer->kind == HG_ORPHAN) {
    lost.as.orphan.error = HG_ERR_STORE;
  } else if (answer->kind == HG_REJECTED && hg_number_was_taken((hg_err)answer->as.rejected.error)) {
    return;
  }
  hg_outbox_put(tracker->out, HG_PORT_CLIENTS, peer, &lost);
}

static void lose(void *self, hg_peer peer, const struct hg_message *answer) {
  hg_tracker_answer_lost(self, peer, answer);
}

void hg_tracker_note_store(struct hg_tracker *tracker, const struct hg_committed_message *committed) {
  if (committed->given_up && !tracker->store.given_up) {
    tracker->store.given_up = true;
    hg_held_give_up(&tracker->held, tracker, lose);
    hg_tracker_give_up_finds(tracker);
    hg_tracker_give_up_ends(tracker);
  }
  if (committed->degraded == tracker->store.degraded) return;
  tracker->store.degraded = committed->degraded;
  if (committed->degraded) {
    tracker->store.since_us = tracker->now.monotonic_us;
    tracker->store.since_utc_us = tracker->now.utc_us;
    hg_text_copy(tracker->store.reason, sizeof tracker->store.reason, committed->reason);
  } else if (tracker->state != HG_TRACKER_STOPPED) {
    tell_trouble(tracker);
  }
}

// The scheduler's questions are answered in their order, whatever the answer.
void hg_tracker_decide_nothing(struct hg_tracker *tracker, const struct hg_message *question) {
  struct hg_message answer;
  if (question->kind == HG_RESERVE) {
    hg_message_init(&answer, HG_RESERVED);
    answer.as.reserved.permit = question->as.reserve.permit;
    answer.as.reserved.verdict = HG_VERDICT_REFUSED;
    answer.as.reserved.error = HG_ERR_STORE;
  } else if (question->kind == HG_MAX_CONCURRENCY) {
    hg_message_init(&answer, HG_MAX_CONCURRENCY_NOTED);
  } else {
    hg_message_init(&answer, HG_PERMIT_CLOSED);
    answer.as.permit_closed.permit = question->kind == HG_SETTLE    ? question->as.settle.permit
                                     : question->kind == HG_RELEASE ? question->as.release.permit
                                                                    : question->as.abandon.permit;
    answer.as.permit_closed.asker = question->kind == HG_SETTLE    ? question->as.settle.asker
                                    : question->kind == HG_RELEASE ? question->as.release.asker
                                                                   : 0;
    answer.as.permit_closed.error = HG_ERR_STORE;
  }
  hg_outbox_put(tracker->out, HG_PORT_DECISIONS, 0, &answer);
}
