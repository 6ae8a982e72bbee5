// The tracker's permits: whether a request may start now, and what becomes of a reservation. [8_RISKS-REQ-031]
#include "actors/tracker_private.h"

static bool text_is(struct hg_text text, const char *word) {
  return hg_text_equal(text, hg_text_of(word));
}

// --------------------------------------------------------------------------------------------------- reserve

static void tell_exhausted(struct hg_tracker *tracker, uint32_t index, const struct hg_reserve_message *request) {
  struct hg_budget *budget = &tracker->budgets.at[index];
  if (budget->exhausted_told) return;
  budget->exhausted_told = true;
  struct hg_message event;
  hg_message_init(&event, HG_BUDGET_EXHAUSTED);
  event.as.budget_exhausted.task_id = request->task_id;
  event.as.budget_exhausted.needed = request->min_tokens;
  event.as.budget_exhausted.used = budget->used;
  event.as.budget_exhausted.reserved = budget->reserved;
  event.as.budget_exhausted.hard_limit = budget->hard_limit;
  hg_tracker_emit(tracker, index, &event);
}

static void make_wait(struct hg_tracker *tracker, uint32_t index, enum hg_wait_reason reason,
                      const struct hg_reserve_message *request) {
  struct hg_budget *budget = &tracker->budgets.at[index];
  budget->refusal = ++tracker->refusals;
  budget->is_short = true;
  if (budget->told == reason) return;
  budget->told = reason;
  struct hg_message event;
  hg_message_init(&event, HG_TASK_WAITING);
  event.as.task_waiting.task_id = request->task_id;
  event.as.task_waiting.reason = hg_text_of(reason == HG_WAIT_THROTTLE ? "throttle" : "tokens");
  event.as.task_waiting.needed = request->min_tokens;
  event.as.task_waiting.available = hg_budget_available(budget);
  hg_tracker_emit(tracker, index, &event);
}

// I1 and I4, right after a grant.
static void check_grant(const struct hg_tracker *tracker, const struct hg_permit_record *permit, bool was_closed[]) {
  const struct hg_budgets *budgets = &tracker->budgets;
  uint32_t at = permit->budget, depth = 0;
  do {
    const struct hg_budget *budget = &budgets->at[at];
    assert(budget->used + budget->reserved <= budget->hard_limit);
    assert(!permit->slot || !was_closed[depth] || budget->slots <= budgets->throttled_concurrency);
    depth++;
  } while (hg_budget_up(budgets, &at));
}

static void tell_grant(struct hg_tracker *tracker, const struct hg_permit_record *permit, uint64_t parent) {
  struct hg_message event;
  hg_message_init(&event, HG_TOKENS_RESERVED);
  struct hg_tokens_reserved_message *reserved = &event.as.tokens_reserved;
  reserved->permit = permit->id;
  reserved->task_id = hg_permit_task(permit);
  HG_SET_TOTALS(*reserved, &tracker->budgets.at[permit->budget], 0, permit->tokens);
  reserved->attempt = permit->attempt;
  reserved->parent = parent;
  hg_tracker_emit(tracker, permit->budget, &event);

  hg_message_init(&event, HG_TASK_STARTED);
  event.as.task_started.permit = permit->id;
  event.as.task_started.task_id = hg_permit_task(permit);
  event.as.task_started.attempt = permit->attempt;
  hg_tracker_emit(tracker, permit->budget, &event);
}

static hg_err grant(struct hg_tracker *tracker, const struct hg_reserve_message *request, int64_t tokens) {
  struct hg_permit_record *permit = hg_permits_open(&tracker->permits, request->permit, request->task_id);
  if (!permit) return HG_ERR_NO_MEMORY;
  permit->budget = request->budget;
  permit->tokens = tokens;
  permit->attempt = request->attempt;
  permit->slot = request->parent == 0;
  bool was_closed[HG_BUDGET_DEPTH_MAX] = {false};
  uint32_t at = permit->budget, depth = 0;
  do {
    assert(depth < HG_BUDGET_DEPTH_MAX);
    was_closed[depth++] = tracker->budgets.at[at].closed;
  } while (hg_budget_up(&tracker->budgets, &at));
  hg_budgets_add(&tracker->budgets, permit->budget, 0, tokens);
  hg_budgets_count(&tracker->budgets, permit->budget, +1, permit->slot, 0);
  check_grant(tracker, permit, was_closed);
  tell_grant(tracker, permit, request->parent);
  return HG_OK;
}

// What no budget has to be asked about. HG_ERR_EMPTY: nothing, go on.
static hg_err check_request(const struct hg_tracker *tracker, const struct hg_reserve_message *request,
                            int64_t *granted) {
  const struct hg_permit_record *open = hg_permits_get(&tracker->permits, request->permit);
  if (open && open->state == HG_PERMIT_OPEN && open->budget == request->budget && request->min_tokens <= open->tokens &&
      open->tokens <= request->max_tokens) {
    *granted = open->tokens;
    return HG_OK;
  }
  // The ids of orphans and of what has ended are not to be had again.
  if (open || hg_permits_closed(&tracker->permits, request->permit)) return HG_ERR_CONFLICT;
  if (request->permit == 0 || request->min_tokens < 1 || request->max_tokens < request->min_tokens ||
      request->max_tokens > HG_TOKENS_MAX || request->task_id.size > HG_TASK_ID_MAX)
    return HG_ERR_INVALID;
  if (request->budget >= tracker->budgets.count) return HG_ERR_UNKNOWN_BUDGET;
  if (request->parent != 0) {
    const struct hg_permit_record *parent = hg_permits_get(&tracker->permits, request->parent);
    if (!parent || parent->state != HG_PERMIT_OPEN) return HG_ERR_UNKNOWN_PERMIT;
  }
  return HG_ERR_EMPTY;
}

static void judge(struct hg_tracker *tracker, const struct hg_reserve_message *request,
                  struct hg_reserved_message *reserved) {
  const struct hg_judgement found = hg_budgets_judge(&tracker->budgets, request->budget, request->min_tokens,
                                                     request->max_tokens, request->heard, request->parent != 0);
  reserved->verdict = (uint32_t)found.verdict;
  reserved->budget = found.budget;
  reserved->tokens = found.tokens;
  switch (found.verdict) {
  case HG_VERDICT_GRANTED: {
    const hg_err err = grant(tracker, request, found.tokens);
    if (err != HG_OK) {
      reserved->verdict = HG_VERDICT_REFUSED;
      reserved->error = (uint32_t)err;
    }
    break;
  }
  case HG_VERDICT_THROTTLED: make_wait(tracker, found.budget, HG_WAIT_THROTTLE, request); break;
  case HG_VERDICT_WAIT: make_wait(tracker, found.budget, HG_WAIT_TOKENS, request); break;
  case HG_VERDICT_NEVER: tell_exhausted(tracker, found.budget, request); break;
  case HG_VERDICT_BEHIND:
  case HG_VERDICT_REFUSED: break;
  }
}

static void reserve(struct hg_tracker *tracker, const struct hg_reserve_message *request) {
  struct hg_message answer;
  hg_message_init(&answer, HG_RESERVED);
  struct hg_reserved_message *reserved = &answer.as.reserved;
  reserved->permit = request->permit;
  const hg_err err = check_request(tracker, request, &reserved->tokens);
  bool granted = false;
  if (err == HG_ERR_EMPTY) {
    judge(tracker, request, reserved);
    granted = reserved->verdict == HG_VERDICT_GRANTED;
  } else if (err != HG_OK) {
    reserved->verdict = HG_VERDICT_REFUSED;
    reserved->error = (uint32_t)err;
  }
  reserved->seq = tracker->log.seq;
  hg_outbox_put(tracker->out, HG_PORT_DECISIONS, 0, &answer);
  if (granted) hg_tracker_settle_path(tracker, request->budget, false);
}

// --------------------------------------------------------------------------------------------- settle, release

// How a permit ends, as its settle or release says.
struct ending {
  enum hg_permit_end end;
  int64_t tokens; // used
  uint32_t outcome;
  struct hg_text reason;
  const struct hg_settle_message *settle; // NULL: a release
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

static void tell_ending(struct hg_tracker *tracker, const struct hg_permit_record *permit, const struct ending *ending,
                        int64_t used, int64_t reserved) {
  const struct hg_budget *budget = &tracker->budgets.at[permit->budget];
  struct hg_message event;
  if (ending->settle) {
    hg_message_init(&event, HG_TOKENS_SETTLED);
    struct hg_tokens_settled_message *settled = &event.as.tokens_settled;
    settled->permit = permit->id;
    settled->task_id = hg_permit_task(permit);
    HG_SET_TOTALS(*settled, budget, used, reserved);
    HG_COPY_DETAILS(*settled, *ending->settle);
    if (settled->attempt == 0) settled->attempt = permit->attempt;
    settled->late = permit->state != HG_PERMIT_OPEN;
    if (settled->late) hg_count(tracker->out, late_settles);
  } else {
    hg_message_init(&event, HG_TOKENS_RELEASED);
    struct hg_tokens_released_message *released = &event.as.tokens_released;
    released->permit = permit->id;
    released->task_id = hg_permit_task(permit);
    HG_SET_TOTALS(*released, budget, used, reserved);
    released->reason = ending->reason;
  }
  hg_tracker_emit(tracker, permit->budget, &event);
}

static void tell_over_reservation(struct hg_tracker *tracker, const struct hg_permit_record *permit,
                                  const struct ending *ending) {
  if (ending->tokens <= permit->tokens) return;
  const struct hg_budget *budget = &tracker->budgets.at[permit->budget];
  struct hg_message event;
  hg_message_init(&event, HG_BUDGET_OVERRUN);
  struct hg_budget_overrun_message *overrun = &event.as.budget_overrun;
  overrun->used = budget->used;
  overrun->reserved = budget->reserved;
  overrun->hard_limit = budget->hard_limit;
  overrun->over_by = ending->tokens - permit->tokens;
  overrun->reason = hg_text_of(text_is(ending->reason, "cap_ignored") ? "cap_ignored" : "over_reservation");
  overrun->task_id = hg_permit_task(permit);
  hg_tracker_emit(tracker, permit->budget, &event);
}

// Takes the permit out of the counts of its path.
static void uncount(struct hg_tracker *tracker, struct hg_permit_record *permit) {
  if (permit->state == HG_PERMIT_CHARGED) return;
  const int64_t kept = permit->state == HG_PERMIT_KEPT ? -permit->tokens : 0;
  hg_budgets_count(&tracker->budgets, permit->budget, -1, -(int)permit->slot, kept);
  permit->slot = false;
}

static void answer_closed(struct hg_tracker *tracker, uint64_t permit, hg_err err) {
  struct hg_message answer;
  hg_message_init(&answer, HG_PERMIT_CLOSED);
  answer.as.permit_closed.permit = permit;
  answer.as.permit_closed.error = (uint32_t)err;
  answer.as.permit_closed.seq = tracker->log.seq;
  hg_outbox_put(tracker->out, HG_PORT_DECISIONS, 0, &answer);
}

static hg_err check_ending(const struct hg_tracker *tracker, uint64_t id, const struct ending *ending) {
  const struct hg_closed_permit *closed = hg_permits_closed(&tracker->permits, id);
  if (closed) return closed->end == ending->end && closed->tokens == ending->tokens ? HG_OK : HG_ERR_CONFLICT;
  return HG_ERR_UNKNOWN_PERMIT;
}

static void end_permit(struct hg_tracker *tracker, uint64_t id, const struct ending *ending) {
  struct hg_permit_record *permit = hg_permits_get(&tracker->permits, id);
  if (!permit) {
    answer_closed(tracker, id, check_ending(tracker, id, ending));
    return;
  }
  // The guess of a charged orphan is in used already; what others hold is in reserved.
  const bool charged = permit->state == HG_PERMIT_CHARGED;
  const int64_t used = ending->tokens - (charged ? permit->tokens : 0), reserved = charged ? 0 : -permit->tokens;
  if (!hg_budgets_fit(&tracker->budgets, permit->budget, used, reserved)) {
    answer_closed(tracker, id, HG_ERR_RANGE);
    return;
  }
  const uint32_t leaf = permit->budget;
  hg_budgets_add(&tracker->budgets, leaf, used, reserved);
  uncount(tracker, permit);
  tell_ending(tracker, permit, ending, used, reserved);
  tell_task_end(tracker, permit, ending->outcome, ending->reason);
  tell_over_reservation(tracker, permit, ending);
  hg_tracker_tell_crossings(tracker, leaf, used, hg_permit_task(permit));
  hg_permits_close(&tracker->permits, permit, ending->end, ending->tokens);
  answer_closed(tracker, id, HG_OK);
  hg_tracker_settle_path(tracker, leaf, true);
}

static void settle(struct hg_tracker *tracker, const struct hg_settle_message *settle) {
  if (settle->tokens < 0 || settle->tokens > HG_TOKENS_MAX || settle->outcome > HG_OUTCOME_RETRY ||
      !hg_tracker_labels_fit((struct hg_text){0}, settle->model, settle->response_id)) {
    answer_closed(tracker, settle->permit, HG_ERR_INVALID);
    return;
  }
  // Missing usage is never 0: the worst case is charged, and flagged.
  struct hg_settle_message charged = *settle;
  const struct hg_permit_record *permit = hg_permits_get(&tracker->permits, settle->permit);
  if (settle->source == HG_SOURCE_MISSING && permit) {
    charged.tokens = permit->tokens;
    charged.source = HG_SOURCE_ESTIMATED;
  }
  const struct ending ending = {HG_PERMIT_SETTLED, charged.tokens, charged.outcome, charged.reason, &charged};
  end_permit(tracker, charged.permit, &ending);
}

static void release(struct hg_tracker *tracker, const struct hg_release_message *release) {
  if (release->outcome > HG_OUTCOME_RETRY) {
    answer_closed(tracker, release->permit, HG_ERR_INVALID);
    return;
  }
  const struct ending ending = {HG_PERMIT_RELEASED, 0, release->outcome, release->reason, NULL};
  end_permit(tracker, release->permit, &ending);
}

// ---------------------------------------------------------------------------------------------------- orphans

static void tell_orphan(struct hg_tracker *tracker, const struct hg_permit_record *permit, const char *policy,
                        int64_t used, int64_t reserved) {
  struct hg_message event;
  hg_message_init(&event, HG_RESERVATION_ORPHANED);
  struct hg_reservation_orphaned_message *orphaned = &event.as.reservation_orphaned;
  orphaned->permit = permit->id;
  orphaned->task_id = hg_permit_task(permit);
  HG_SET_TOTALS(*orphaned, &tracker->budgets.at[permit->budget], used, reserved);
  orphaned->policy = hg_text_of(policy);
  hg_tracker_emit(tracker, permit->budget, &event);
}

void hg_tracker_orphan(struct hg_tracker *tracker, struct hg_permit_record *permit, const char *reason) {
  static const char *const names[] = {
      [HG_ORPHAN_CHARGE] = "charge", [HG_ORPHAN_KEEP] = "keep", [HG_ORPHAN_RELEASE] = "release"};
  const uint32_t leaf = permit->budget;
  const int64_t tokens = permit->tokens;
  enum hg_orphan_policy policy = tracker->config->orphan_policy;
  // What can't be added up can't be charged; kept, it still counts against the limit.
  if (policy == HG_ORPHAN_CHARGE && !hg_budgets_fit(&tracker->budgets, leaf, tokens, -tokens)) policy = HG_ORPHAN_KEEP;
  const int64_t used = policy == HG_ORPHAN_CHARGE ? tokens : 0, reserved = policy == HG_ORPHAN_KEEP ? 0 : -tokens;
  uncount(tracker, permit);
  hg_budgets_add(&tracker->budgets, leaf, used, reserved);
  if (policy == HG_ORPHAN_KEEP) hg_budgets_count(&tracker->budgets, leaf, +1, 0, tokens);
  tell_orphan(tracker, permit, names[policy], used, reserved);
  tell_task_end(tracker, permit, HG_OUTCOME_FAILED, hg_text_of(reason));
  hg_tracker_tell_crossings(tracker, leaf, used, hg_permit_task(permit));
  if (policy == HG_ORPHAN_RELEASE) hg_permits_close(&tracker->permits, permit, HG_PERMIT_RELEASED, 0);
  else if (!hg_permits_orphan(&tracker->permits, permit, policy == HG_ORPHAN_KEEP ? HG_PERMIT_KEPT : HG_PERMIT_CHARGED))
    tracker->out->failed = true;
}

static void abandon(struct hg_tracker *tracker, uint64_t id) {
  struct hg_permit_record *permit = hg_permits_get(&tracker->permits, id);
  const bool open = permit && permit->state == HG_PERMIT_OPEN;
  const bool known = permit || hg_permits_closed(&tracker->permits, id);
  const uint32_t leaf = permit ? permit->budget : 0;
  if (open) hg_tracker_orphan(tracker, permit, "owner_gone");
  answer_closed(tracker, id, known ? HG_OK : HG_ERR_UNKNOWN_PERMIT);
  if (open) hg_tracker_settle_path(tracker, leaf, true);
}

void hg_tracker_decision(struct hg_tracker *tracker, const struct hg_message *message) {
  if (message->kind == HG_RESERVE) reserve(tracker, &message->as.reserve);
  else if (message->kind == HG_SETTLE) settle(tracker, &message->as.settle);
  else if (message->kind == HG_RELEASE) release(tracker, &message->as.release);
  else if (message->kind == HG_ABANDON) abandon(tracker, message->as.abandon.permit);
}
