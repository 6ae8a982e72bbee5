// The model of budget_model.h.
#include "support/budget_model.h"

#include "support/test.h"

#include <stddef.h>

void hg_model_init(struct hg_model *model, const struct hg_test_setup *setup) {
  memset(model->budgets, 0, sizeof *model - offsetof(struct hg_model, budgets)); // history comes with the events
  model->config = &setup->config;
  model->max_concurrency = setup->config.max_concurrency;
  for (uint32_t i = 0; i < setup->config.budget_count; i++)
    model->budgets[i].now.limit = setup->budgets[i].hard_limit;
}

static uint32_t percent_of(const struct hg_model *model, const struct hg_model_figures *figures) {
  const int64_t reserved = model->config->throttle_basis == HG_THROTTLE_COMMITTED ? figures->reserved : 0;
  return (uint32_t)(((figures->used + reserved) * 20000 + figures->limit) / (2 * figures->limit));
}

static void judge_latch(struct hg_model *model, uint32_t index) {
  if (model->starting) return;
  struct hg_model_budget *budget = &model->budgets[index];
  const uint32_t percent = percent_of(model, &budget->now);
  const uint32_t bound = budget->closed ? model->config->restore_below_percent : model->config->throttle_percent;
  budget->closed = percent >= 100 * bound;
}

static void started(struct hg_model *model) {
  model->starting = false;
  for (uint32_t i = 0; i < model->config->budget_count; i++)
    judge_latch(model, i);
}

static bool up(const struct hg_model *model, uint32_t *at) {
  const bool more = *at != 0;
  *at = model->config->budgets[*at].parent;
  return more;
}

// What every event with totals does to its path; the totals that it tells must be those of the model.
static void change(struct hg_model *model, uint32_t leaf, int64_t used, int64_t reserved,
                   struct hg_model_figures told) {
  uint32_t at = leaf;
  do {
    struct hg_model_budget *budget = &model->budgets[at];
    budget->over_due |= budget->now.used <= budget->now.limit && budget->now.used + used > budget->now.limit;
    budget->now.used += used;
    budget->now.reserved += reserved;
    CHECK(budget->now.used >= 0 && budget->now.reserved >= 0); // I2
    judge_latch(model, at);
  } while (up(model, &at));
  CHECK_EQ(model->budgets[leaf].now.used, told.used);
  CHECK_EQ(model->budgets[leaf].now.reserved, told.reserved);
  CHECK_EQ(model->budgets[leaf].now.limit, told.limit);
}
#define TOLD(event) ((struct hg_model_figures){(event)->used, (event)->reserved, (event)->hard_limit})

static struct hg_model_permit *permit_of(struct hg_model *model, uint64_t id) {
  CHECK(id > 0 && id < HG_MODEL_PERMITS);
  return &model->permits[id];
}

static void count(struct hg_model *model, const struct hg_model_permit *permit, int by) {
  uint32_t at = permit->budget;
  do {
    model->budgets[at].open += (uint32_t)by;
    if (permit->slot) model->budgets[at].slots += (uint32_t)by;
  } while (up(model, &at));
}

// Tokens that a parent lends come out of what it has itself.
static void lend(struct hg_model *model, struct hg_model_permit *permit,
                 const struct hg_tokens_reserved_message *event) {
  if (!event->from_parent) return;
  struct hg_model_permit *lender = permit_of(model, event->parent);
  CHECK_EQ(lender->state, HG_MODEL_OPEN);
  CHECK_EQ(lender->budget, event->head.budget);
  CHECK_EQ(event->reserved_delta, 0);
  CHECK(event->from_parent > 0 && event->from_parent <= lender->tokens);
  lender->tokens -= event->from_parent;
  permit->lender = event->parent;
  model->lent++;
}

// What a permit with so many tokens used gives back to the parent that lent them.
static int64_t give_back(struct hg_model *model, const struct hg_model_permit *permit, int64_t used, int64_t told,
                         uint64_t parent) {
  struct hg_model_permit *lender = permit->lender ? permit_of(model, permit->lender) : NULL;
  const bool owed = lender && lender->state == HG_MODEL_OPEN && used < permit->tokens;
  CHECK_EQ(told, owed ? permit->tokens - used : 0);
  CHECK_EQ(parent, owed ? permit->lender : 0);
  if (owed) lender->tokens += told;
  model->returned += owed;
  return told;
}

static void reserved(struct hg_model *model, const struct hg_tokens_reserved_message *event) {
  struct hg_model_permit *permit = permit_of(model, event->permit);
  CHECK_EQ(permit->state, HG_MODEL_NONE);
  if (event->permit > model->last_permit) model->last_permit = event->permit;
  *permit = (struct hg_model_permit){.state = HG_MODEL_OPEN,
                                     .budget = event->head.budget,
                                     .tokens = event->reserved_delta + event->from_parent,
                                     .slot = event->parent == 0,
                                     .reserved_at = event->head.seq};
  permit->granted = permit->tokens;
  lend(model, permit, event);
  const uint32_t throttled = model->config->throttled_concurrency;
  uint32_t at = event->head.budget, bound = model->max_concurrency;
  do // I4
    CHECK(!permit->slot || !model->budgets[at].closed || model->budgets[at].slots < throttled);
  while (up(model, &at));
  if (model->budgets[0].closed && throttled < bound) bound = throttled;
  count(model, permit, +1);
  CHECK(!permit->slot || model->budgets[0].slots <= bound); // I5
  if (event->parent) CHECK_EQ(permit_of(model, event->parent)->state, HG_MODEL_OPEN);
  CHECK_EQ(event->used_delta, 0);
  change(model, event->head.budget, 0, event->reserved_delta, TOLD(event));
  at = event->head.budget;
  do // I1
    CHECK(event->from_parent ||
          model->budgets[at].now.used + model->budgets[at].now.reserved <= model->budgets[at].now.limit);
  while (up(model, &at));
  model->start_due = event->permit;
  model->grants++;
}

static void ended(struct hg_model *model, uint64_t id, uint64_t seq, int64_t used, int64_t used_delta,
                  int64_t reserved_delta, int64_t to_parent, uint64_t parent) {
  struct hg_model_permit *permit = permit_of(model, id);
  CHECK(permit->state == HG_MODEL_OPEN || permit->state == HG_MODEL_GUESSED || permit->state == HG_MODEL_KEPT);
  const bool guessed = permit->state == HG_MODEL_GUESSED;
  CHECK_EQ(used_delta, used - (guessed ? permit->guess : 0));
  CHECK(!guessed || (to_parent == 0 && parent == 0));
  CHECK_EQ(reserved_delta, guessed ? 0 : give_back(model, permit, used, to_parent, parent) - permit->tokens);
  if (!guessed) count(model, permit, -1);
  permit->state = HG_MODEL_ENDED;
  permit->used = used;
  permit->ended_at = seq;
}

static void orphaned(struct hg_model *model, const struct hg_reservation_orphaned_message *event) {
  struct hg_model_permit *permit = permit_of(model, event->permit);
  CHECK(permit->state == HG_MODEL_OPEN || permit->state == HG_MODEL_KEPT);
  const int64_t tokens = permit->tokens;
  model->orphans++;
  count(model, permit, -1);
  permit->slot = false;
  permit->ended_at = event->head.seq;
  if (hg_text_equal(event->policy, hg_text_of("charge"))) {
    permit->state = HG_MODEL_GUESSED;
    permit->guess = tokens;
    CHECK(event->used_delta == tokens && event->reserved_delta == -tokens);
    CHECK_EQ(event->to_parent, 0);
  } else if (hg_text_equal(event->policy, hg_text_of("keep"))) {
    permit->state = HG_MODEL_KEPT;
    CHECK(event->used_delta == 0 && event->reserved_delta == 0);
    CHECK_EQ(event->to_parent, 0);
    count(model, permit, +1);
  } else {
    CHECK(hg_text_equal(event->policy, hg_text_of("release")));
    permit->state = HG_MODEL_GUESSED;
    permit->guess = 0;
    CHECK_EQ(event->used_delta, 0);
    CHECK_EQ(event->reserved_delta, give_back(model, permit, 0, event->to_parent, event->parent) - tokens);
  }
  change(model, event->head.budget, event->used_delta, event->reserved_delta, TOLD(event));
}

static void overrun(struct hg_model *model, const struct hg_budget_overrun_message *event) {
  CHECK(event->over_by > 0);
  if (!hg_text_equal(event->reason, hg_text_of("over_limit"))) return;
  struct hg_model_budget *budget = &model->budgets[event->head.budget];
  CHECK(budget->over_due);
  CHECK_EQ(event->over_by, budget->now.used - budget->now.limit);
  budget->over_due = false;
}

// I6
static void throttled(struct hg_model *model, const struct hg_concurrency_throttled_message *event) {
  struct hg_model_budget *budget = &model->budgets[event->head.budget];
  CHECK(!budget->told && budget->closed);
  CHECK(model->max_concurrency > model->config->throttled_concurrency);
  CHECK_EQ(event->from_count, model->max_concurrency);
  CHECK_EQ(event->to_count, model->config->throttled_concurrency);
  CHECK_EQ(event->usage_percent, percent_of(model, &budget->now));
  budget->told = true;
  model->throttles++;
}

static void restored(struct hg_model *model, const struct hg_concurrency_restored_message *event) {
  struct hg_model_budget *budget = &model->budgets[event->head.budget];
  CHECK(budget->told && !budget->closed);
  CHECK_EQ(event->to_count, model->max_concurrency);
  CHECK_EQ(event->usage_percent, percent_of(model, &budget->now));
  budget->told = false;
  model->restores++;
}

static void limit_changed(struct hg_model *model, const struct hg_limit_changed_message *event) {
  struct hg_model_budget *budget = &model->budgets[event->head.budget];
  // A budget that is new to its ledger has no earlier limit.
  CHECK(event->previous_limit == 0 || event->previous_limit == budget->now.limit);
  CHECK(event->hard_limit != event->previous_limit);
  budget->now.limit = event->hard_limit;
  judge_latch(model, event->head.budget);
}

static void fold(struct hg_model *model, const struct hg_message *event) {
  const uint32_t budget = event->as.head.budget;
  const uint64_t seq = event->as.head.seq;
  if (event->kind == HG_USAGE_RECORDED) {
    const struct hg_usage_recorded_message *e = &event->as.usage_recorded;
    change(model, budget, e->used_delta, e->reserved_delta, TOLD(e));
  } else if (event->kind == HG_USAGE_CORRECTED) {
    const struct hg_usage_corrected_message *e = &event->as.usage_corrected;
    change(model, budget, e->used_delta, e->reserved_delta, TOLD(e));
  } else if (event->kind == HG_TOKENS_RESERVED) {
    reserved(model, &event->as.tokens_reserved);
  } else if (event->kind == HG_TOKENS_SETTLED) {
    const struct hg_tokens_settled_message *e = &event->as.tokens_settled;
    const struct hg_model_permit *permit = permit_of(model, e->permit);
    CHECK_EQ(e->late, permit->state != HG_MODEL_OPEN);
    const int64_t used = e->used_delta + (permit->state == HG_MODEL_GUESSED ? permit->guess : 0);
    ended(model, e->permit, seq, used, e->used_delta, e->reserved_delta, e->to_parent, e->parent);
    change(model, budget, e->used_delta, e->reserved_delta, TOLD(e));
  } else if (event->kind == HG_TOKENS_RELEASED) {
    const struct hg_tokens_released_message *e = &event->as.tokens_released;
    ended(model, e->permit, seq, 0, e->used_delta, e->reserved_delta, e->to_parent, e->parent);
    change(model, budget, e->used_delta, e->reserved_delta, TOLD(e));
  } else if (event->kind == HG_RESERVATION_ORPHANED) {
    orphaned(model, &event->as.reservation_orphaned);
  } else if (event->kind == HG_BUDGET_OVERRUN) {
    overrun(model, &event->as.budget_overrun);
  } else if (event->kind == HG_CONCURRENCY_THROTTLED) {
    throttled(model, &event->as.concurrency_throttled);
  } else if (event->kind == HG_CONCURRENCY_RESTORED) {
    restored(model, &event->as.concurrency_restored);
  } else if (event->kind == HG_LIMIT_CHANGED) {
    limit_changed(model, &event->as.limit_changed);
  } else if (event->kind == HG_MAX_CONCURRENCY_CHANGED) {
    CHECK_EQ(event->as.max_concurrency_changed.from_count, model->max_concurrency);
    model->max_concurrency = event->as.max_concurrency_changed.to_count;
  } else if (event->kind == HG_RUNTIME_STARTED) {
    model->max_concurrency = event->as.runtime_started.max_concurrency;
    CHECK_EQ(event->as.runtime_started.throttled, model->budgets[0].told);
    model->starting = true;
    for (uint32_t i = 0; i < HG_TEST_BUDGETS; i++) {
      model->budgets[i].slots = 0;
      model->budgets[i].closed = model->budgets[i].told; // no more is stored
    }
    for (uint64_t id = 0; id <= model->last_permit; id++) {
      model->permits[id].slot = false;
      model->permits[id].lender = 0; // no parent of the last runtime is open any more
    }
  } else if (event->kind == HG_TASK_FINISHED) {
    CHECK_EQ(permit_of(model, event->as.task_finished.permit)->state, HG_MODEL_ENDED);
  } else if (event->kind == HG_TASK_FAILED) {
    const struct hg_model_permit *permit = permit_of(model, event->as.task_failed.permit);
    CHECK(permit->state != HG_MODEL_NONE && permit->state != HG_MODEL_OPEN);
  }
}

void hg_model_event(struct hg_model *model, const struct hg_message *event) {
  CHECK_EQ(event->as.head.seq, model->seq + 1); // I7
  uint64_t *last = &model->topic_last[event->kind - HG_EVENT_FIRST];
  CHECK_EQ(event->as.head.prev, *last);
  *last = model->seq = event->as.head.seq;
  CHECK(event->as.head.budget < model->config->budget_count);
  if (model->start_due) {
    CHECK_EQ(event->kind, HG_TASK_STARTED);
    CHECK_EQ(event->as.task_started.permit, model->start_due);
    model->start_due = 0;
  }
  const bool of_the_start = event->kind == HG_RUNTIME_STARTED || event->kind == HG_LIMIT_CHANGED ||
                            event->kind == HG_RESERVATION_ORPHANED || event->kind == HG_TASK_FAILED ||
                            event->kind == HG_BUDGET_OVERRUN;
  if (model->starting && !of_the_start) started(model);
  fold(model, event);
  CHECK(model->seq < HG_MODEL_EVENTS);
  for (uint32_t i = 0; i < model->config->budget_count; i++)
    model->history[model->seq][i] = model->budgets[i].now;
}

void hg_model_step(struct hg_model *model) {
  if (model->starting) started(model);
  int64_t sums[HG_TEST_BUDGETS] = {0};
  for (uint64_t id = 0; id <= model->last_permit; id++) {
    const struct hg_model_permit *permit = &model->permits[id];
    if (permit->state != HG_MODEL_OPEN && permit->state != HG_MODEL_KEPT) continue;
    uint32_t at = permit->budget;
    do
      sums[at] += permit->tokens;
    while (up(model, &at));
  }
  CHECK_EQ(model->start_due, 0);
  for (uint32_t i = 0; i < model->config->budget_count; i++) {
    const struct hg_model_budget *budget = &model->budgets[i];
    CHECK_EQ(budget->now.reserved, sums[i]); // I2
    CHECK(!budget->over_due);
    CHECK(!budget->told || budget->closed);
    CHECK(budget->told || !budget->closed || model->max_concurrency <= model->config->throttled_concurrency);
  }
}

void hg_model_store(const struct hg_model *model, struct hg_test_setup *setup, struct hg_ledger_permit *permits) {
  for (uint32_t i = 0; i < setup->config.budget_count; i++) {
    struct hg_ledger_budget *stored = &setup->stored[i];
    stored->used = model->budgets[i].now.used;
    stored->reserved = model->budgets[i].now.reserved;
    stored->hard_limit = model->budgets[i].now.limit;
    stored->throttled = model->budgets[i].told;
  }
  setup->state.last_seq = model->seq;
  memcpy(setup->state.topic_last, model->topic_last, sizeof setup->state.topic_last);
  setup->state.permits = permits;
  setup->state.permit_count = 0;
  for (uint64_t id = 0; id <= model->last_permit; id++) {
    const struct hg_model_permit *permit = &model->permits[id];
    if (permit->state == HG_MODEL_NONE || permit->state == HG_MODEL_ENDED) continue;
    permits[setup->state.permit_count++] = (struct hg_ledger_permit){.id = id,
                                                                     .budget = permit->budget,
                                                                     .tokens = permit->tokens,
                                                                     .orphaned = permit->state == HG_MODEL_GUESSED,
                                                                     .guess = permit->guess,
                                                                     .attempt = 1};
  }
}
