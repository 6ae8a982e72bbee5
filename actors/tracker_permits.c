// The tracker's permits: whether a request may start now. How they end is in tracker_endings.c. [8_RISKS-REQ-031]
#include "actors/tracker_private.h"

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

// I1 and I4, right after a grant. What a parent lends changes no budget.
static void check_grant(const struct hg_tracker *tracker, const struct hg_permit_record *permit, bool was_closed[]) {
  const struct hg_budgets *budgets = &tracker->budgets;
  uint32_t at = permit->budget, depth = 0;
  do {
    const struct hg_budget *budget = &budgets->at[at];
    assert(permit->lender || budget->used + budget->reserved <= budget->hard_limit);
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
  HG_SET_TOTALS(*reserved, &tracker->budgets.at[permit->budget], 0, permit->lender ? 0 : permit->tokens);
  reserved->attempt = permit->attempt;
  reserved->parent = parent;
  reserved->from_parent = permit->lender ? permit->tokens : 0;
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
  struct hg_permit_record *parent = hg_permits_get(&tracker->permits, request->parent);
  if (parent) hg_family_join(&permit->family, &parent->family);
  if (request->from_parent) {
    assert(parent); // it was judged by it
    permit->lender = request->parent;
    parent->tokens -= tokens;
  }
  bool was_closed[HG_BUDGET_DEPTH_MAX] = {false};
  uint32_t at = permit->budget, depth = 0;
  do {
    assert(depth < HG_BUDGET_DEPTH_MAX);
    was_closed[depth++] = tracker->budgets.at[at].closed;
  } while (hg_budget_up(&tracker->budgets, &at));
  hg_budgets_add(&tracker->budgets, permit->budget, 0, permit->lender ? 0 : tokens);
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
  const struct hg_permit_record *parent = hg_permits_get(&tracker->permits, request->parent);
  if (request->parent != 0 && (!parent || parent->state != HG_PERMIT_OPEN)) return HG_ERR_UNKNOWN_PERMIT;
  if (request->from_parent && (!parent || parent->budget != request->budget)) return HG_ERR_INVALID;
  return HG_ERR_EMPTY;
}

// What comes out of a parent's reservation is there or never will be: no budget has to be asked.
static struct hg_judgement judge_parent(const struct hg_permit_record *parent, int64_t min, int64_t max) {
  if (min > parent->tokens) return (struct hg_judgement){HG_VERDICT_NEVER, parent->budget, parent->tokens};
  return (struct hg_judgement){HG_VERDICT_GRANTED, parent->budget, max < parent->tokens ? max : parent->tokens};
}

static struct hg_judgement judge_request(const struct hg_tracker *tracker, const struct hg_reserve_message *request) {
  if (request->from_parent)
    return judge_parent(hg_permits_get(&tracker->permits, request->parent), request->min_tokens, request->max_tokens);
  return hg_budgets_judge(&tracker->budgets, request->budget, request->min_tokens, request->max_tokens, request->heard,
                          request->parent != 0);
}

static void judge(struct hg_tracker *tracker, const struct hg_reserve_message *request,
                  struct hg_reserved_message *reserved) {
  const struct hg_judgement found = judge_request(tracker, request);
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
  case HG_VERDICT_NEVER:
    if (!request->from_parent) tell_exhausted(tracker, found.budget, request);
    break;
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
  tracker->waiting = request->waiting;
  if (request->budget < tracker->budgets.count) hg_tracker_judge_queue(tracker, request->budget);
}

void hg_tracker_decision(struct hg_tracker *tracker, const struct hg_message *message) {
  if (message->kind == HG_RESERVE) reserve(tracker, &message->as.reserve);
  else if (message->kind == HG_SETTLE) hg_tracker_settle(tracker, &message->as.settle);
  else if (message->kind == HG_RELEASE) hg_tracker_release(tracker, &message->as.release);
  else if (message->kind == HG_ABANDON) hg_tracker_abandon(tracker, &message->as.abandon);
}
