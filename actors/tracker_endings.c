// How the tracker's permits end: settled, released, or orphaned by policy; and what goes back to a parent that lent its
// reservation. [8_RISKS-REQ-031]
#include "actors/tracker_private.h"

static bool text_is(struct hg_text text, const char *word) {
  return hg_text_equal(text, hg_text_of(word));
}

// --------------------------------------------------------------------------------------------- settle, release

// How a permit ends, as its settle or release says.
struct ending {
  enum hg_permit_end end;
  int64_t tokens; // used
  int64_t said;   // the same, or HG_USAGE_MISSING()
  uint32_t outcome;
  struct hg_text reason;
  const struct hg_settle_message *settle; // NULL: a release
  uint64_t asker;
};

static void tell_task_end(struct hg_tracker *tracker, const struct hg_permit_record *permit, uint32_t outcome,
                          struct hg_text reason) {
  struct hg_message event;
  if (outcome == HG_OUTCOME_DONE) {
    hg_message_init(&event, HG_TASK_FINISHED);
    event.as.task_finished.permit = permit->id;
    event.as.task_finished.task_id = hg_permit_task(permit);
    event.as.task_finished.attempt = permit->attempt;
  } else if (outcome == HG_OUTCOME_FAILED) {
    hg_message_init(&event, HG_TASK_FAILED);
    event.as.task_failed.permit = permit->id;
    event.as.task_failed.task_id = hg_permit_task(permit);
    event.as.task_failed.reason = reason;
    event.as.task_failed.attempt = permit->attempt;
  } else {
    return;
  }
  hg_tracker_emit(tracker, permit->budget, &event);
}

// The parent that lent a permit its reservation, as long as it is open.
static struct hg_permit_record *lender_of(const struct hg_tracker *tracker, const struct hg_permit_record *permit) {
  struct hg_permit_record *lender = permit->lender ? hg_permits_get(&tracker->permits, permit->lender) : NULL;
  return lender && lender->state == HG_PERMIT_OPEN ? lender : NULL;
}

// What changes with the end of a permit: of its budget, and of the parent that lent it its reservation.
struct change {
  int64_t used, reserved, to_parent;
  struct hg_permit_record *lender; // NULL: nothing goes back to one
};

static struct change change_by_end(const struct hg_tracker *tracker, const struct hg_permit_record *permit,
                                   int64_t tokens) {
  if (permit->state == HG_PERMIT_GUESSED) return (struct change){.used = tokens - permit->guess};
  struct change change = {.used = tokens, .reserved = -permit->tokens};
  struct hg_permit_record *lender = lender_of(tracker, permit);
  if (lender && tokens < permit->tokens) {
    change.lender = lender;
    change.to_parent = permit->tokens - tokens;
    change.reserved += change.to_parent;
  }
  return change;
}

static void apply(struct hg_tracker *tracker, const struct hg_permit_record *permit, struct change change) {
  hg_budgets_add(&tracker->budgets, permit->budget, change.used, change.reserved);
  if (change.lender) change.lender->tokens += change.to_parent;
}

// The same of every event that ends a permit or makes an orphan of it.
#define SET_CHANGE(tracker, event, permit_, change_)                                                                   \
  do {                                                                                                                 \
    (event).permit = (permit_)->id;                                                                                    \
    (event).task_id = hg_permit_task(permit_);                                                                         \
    HG_SET_TOTALS(event, &(tracker)->budgets.at[(permit_)->budget], (change_).used, (change_).reserved);               \
    (event).to_parent = (change_).to_parent;                                                                           \
    (event).parent = (change_).lender ? (change_).lender->id : 0;                                                      \
  } while (0)

static void tell_ending(struct hg_tracker *tracker, const struct hg_permit_record *permit, const struct ending *ending,
                        struct change change) {
  struct hg_message event;
  if (ending->settle) {
    hg_message_init(&event, HG_TOKENS_SETTLED);
    struct hg_tokens_settled_message *settled = &event.as.tokens_settled;
    SET_CHANGE(tracker, *settled, permit, change);
    HG_COPY_DETAILS(*settled, *ending->settle);
    if (settled->attempt == 0) settled->attempt = permit->attempt;
    settled->late = permit->state != HG_PERMIT_OPEN;
    if (settled->late) hg_count(tracker->out, late_settles);
  } else {
    hg_message_init(&event, HG_TOKENS_RELEASED);
    struct hg_tokens_released_message *released = &event.as.tokens_released;
    SET_CHANGE(tracker, *released, permit, change);
    released->reason = ending->reason;
  }
  hg_tracker_emit(tracker, permit->budget, &event);
}

static void tell_over_reservation(struct hg_tracker *tracker, const struct hg_permit_record *permit,
                                  const struct ending *ending) {
  const char *reason = text_is(ending->reason, "cap_ignored") ? "cap_ignored" : "over_reservation";
  const int64_t over_by = ending->tokens - permit->tokens;
  if (over_by > 0) hg_tracker_tell_overrun(tracker, permit->budget, over_by, reason, hg_permit_task(permit));
}

// Takes the permit out of the counts of its path. Its slot is free when the last permit that runs in it has ended.
static void uncount(struct hg_tracker *tracker, struct hg_permit_record *permit) {
  if (permit->state == HG_PERMIT_GUESSED) return;
  const int64_t kept = permit->state == HG_PERMIT_KEPT ? -permit->tokens : 0;
  hg_budgets_count(&tracker->budgets, permit->budget, -1, -(int)permit->slot, kept);
  permit->slot = false;
  struct hg_family *const left = hg_family_leave(&permit->family);
  if (!left) return;
  struct hg_permit_record *heir = HG_HOLDER(left, struct hg_permit_record, family);
  heir->slot = true;
  hg_budgets_count(&tracker->budgets, heir->budget, 0, +1, 0);
}

void hg_tracker_answer_closed(struct hg_tracker *tracker, uint64_t permit, uint64_t asker, hg_err err) {
  struct hg_message answer;
  hg_message_init(&answer, HG_PERMIT_CLOSED);
  answer.as.permit_closed.permit = permit;
  answer.as.permit_closed.error = (uint32_t)err;
  answer.as.permit_closed.seq = tracker->log.seq;
  answer.as.permit_closed.asker = asker;
  hg_outbox_put(tracker->out, HG_PORT_DECISIONS, 0, &answer);
}

// The same end again is answered as the first was.
static void end_again(struct hg_tracker *tracker, uint64_t id, const struct ending *ending) {
  const struct hg_ended_permit *ended = hg_permits_closed(&tracker->permits, id);
  if (ended) {
    const bool same = hg_permit_ended_so(ended, ending->end, ending->said);
    hg_tracker_answer_closed(tracker, id, ending->asker, same ? HG_OK : HG_ERR_CONFLICT);
  } else if (ending->asker) {
    hg_tracker_look_up_end(tracker, id, ending->asker, ending->end, ending->said);
  } else {
    hg_tracker_answer_closed(tracker, id, 0, HG_ERR_UNKNOWN_PERMIT);
  }
}

static void end_permit(struct hg_tracker *tracker, uint64_t id, const struct ending *ending) {
  struct hg_permit_record *permit = hg_permits_get(&tracker->permits, id);
  if (!permit) {
    end_again(tracker, id, ending);
    return;
  }
  const struct change change = change_by_end(tracker, permit, ending->tokens);
  if (!hg_budgets_fit(&tracker->budgets, permit->budget, change.used, change.reserved)) {
    hg_tracker_answer_closed(tracker, id, ending->asker, HG_ERR_RANGE);
    return;
  }
  const uint32_t leaf = permit->budget;
  apply(tracker, permit, change);
  uncount(tracker, permit);
  tell_ending(tracker, permit, ending, change);
  tell_task_end(tracker, permit, ending->outcome, ending->reason);
  tell_over_reservation(tracker, permit, ending);
  hg_tracker_tell_crossings(tracker, leaf, change.used, hg_permit_task(permit));
  hg_permits_close(&tracker->permits, permit, ending->end, ending->tokens);
  if (ending->settle) hg_tracker_note_task(tracker, leaf, ending->tokens, ending->outcome != HG_OUTCOME_RETRY);
  hg_tracker_answer_closed(tracker, id, ending->asker, HG_OK);
  hg_tracker_settle_path(tracker, leaf, true);
}

void hg_tracker_settle(struct hg_tracker *tracker, const struct hg_settle_message *settle) {
  if (settle->tokens < 0 || settle->tokens > HG_TOKENS_MAX || settle->outcome > HG_OUTCOME_RETRY ||
      !hg_tracker_labels_fit((struct hg_text){0}, settle->model, settle->response_id)) {
    hg_tracker_answer_closed(tracker, settle->permit, settle->asker, HG_ERR_INVALID);
    return;
  }
  // Missing usage is never 0: the worst case is charged, or what is known at least where that is more, and flagged.
  struct hg_settle_message charged = *settle;
  const struct hg_permit_record *permit = hg_permits_get(&tracker->permits, settle->permit);
  if (settle->orphans_only && permit && permit->state == HG_PERMIT_OPEN) {
    hg_tracker_answer_closed(tracker, settle->permit, settle->asker, HG_ERR_STILL_OPEN);
    return;
  }
  const bool missing = settle->source == HG_SOURCE_MISSING;
  const int64_t said = missing ? HG_USAGE_MISSING(settle->tokens) : settle->tokens;
  if (missing && permit) {
    charged.tokens = hg_usage_charged(permit->tokens, said);
    charged.source = HG_SOURCE_ESTIMATED;
  }
  const struct ending ending = {.end = HG_PERMIT_SETTLED,
                                .tokens = charged.tokens,
                                .said = said,
                                .outcome = charged.outcome,
                                .reason = charged.reason,
                                .settle = &charged,
                                .asker = charged.asker};
  end_permit(tracker, charged.permit, &ending);
}

void hg_tracker_release(struct hg_tracker *tracker, const struct hg_release_message *release) {
  if (release->outcome > HG_OUTCOME_RETRY) {
    hg_tracker_answer_closed(tracker, release->permit, release->asker, HG_ERR_INVALID);
    return;
  }
  const struct ending ending = {
      .end = HG_PERMIT_RELEASED, .outcome = release->outcome, .reason = release->reason, .asker = release->asker};
  end_permit(tracker, release->permit, &ending);
}

// ---------------------------------------------------------------------------------------------------- orphans

static void tell_orphan(struct hg_tracker *tracker, const struct hg_permit_record *permit, const char *policy,
                        struct change change) {
  struct hg_message event;
  hg_message_init(&event, HG_RESERVATION_ORPHANED);
  struct hg_reservation_orphaned_message *orphaned = &event.as.reservation_orphaned;
  SET_CHANGE(tracker, *orphaned, permit, change);
  orphaned->policy = hg_text_of(policy);
  hg_tracker_emit(tracker, permit->budget, &event);
}

void hg_tracker_orphan(struct hg_tracker *tracker, struct hg_permit_record *permit, const char *reason) {
  const uint32_t leaf = permit->budget;
  const int64_t tokens = permit->tokens;
  enum hg_orphan_policy policy = tracker->config->orphan_policy;
  // What can't be added up can't be charged; kept, it still counts against the limit.
  if (policy == HG_ORPHAN_CHARGE && !hg_budgets_fit(&tracker->budgets, leaf, tokens, -tokens)) policy = HG_ORPHAN_KEEP;
  struct change change = {0};
  permit->guess = policy == HG_ORPHAN_CHARGE ? tokens : 0;
  if (policy != HG_ORPHAN_KEEP) change = change_by_end(tracker, permit, permit->guess);
  uncount(tracker, permit);
  apply(tracker, permit, change);
  if (policy == HG_ORPHAN_KEEP) hg_budgets_count(&tracker->budgets, leaf, +1, 0, tokens);
  tell_orphan(tracker, permit, hg_orphan_policy_name(policy), change);
  tell_task_end(tracker, permit, HG_OUTCOME_FAILED, hg_text_of(reason));
  hg_tracker_tell_crossings(tracker, leaf, change.used, hg_permit_task(permit));
  if (!hg_permits_orphan(&tracker->permits, permit, policy == HG_ORPHAN_KEEP ? HG_PERMIT_KEPT : HG_PERMIT_GUESSED))
    tracker->out->failed = true;
}

void hg_tracker_abandon(struct hg_tracker *tracker, const struct hg_abandon_message *abandon) {
  const uint64_t id = abandon->permit;
  struct hg_permit_record *permit = hg_permits_get(&tracker->permits, id);
  const bool open = permit && permit->state == HG_PERMIT_OPEN;
  const bool known = permit || hg_permits_closed(&tracker->permits, id);
  const uint32_t leaf = permit ? permit->budget : 0;
  if (open) hg_tracker_orphan(tracker, permit, abandon->expired ? "lease_expired" : "owner_gone");
  hg_tracker_answer_closed(tracker, id, 0, known ? HG_OK : HG_ERR_UNKNOWN_PERMIT);
  if (open) hg_tracker_settle_path(tracker, leaf, true);
}
