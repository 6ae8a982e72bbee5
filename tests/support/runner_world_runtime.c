// The budget around the task runner: a queue, slots, permits.
#include "support/runner_world_parts.h"
#include "support/test.h"

static void bound(const struct world *world, unsigned line, int64_t *least, int64_t *need) {
  struct hg_prepared prepared;
  const char *body = world->lines[line].body;
  const hg_err err = hg_request_prepare("/v1/chat/completions", body, strlen(body), &world->llm, NULL, &prepared, NULL);
  CHECK_EQ(err, HG_OK);
  if (world->price.model) CHECK_EQ(hg_prepared_price(&prepared, &world->llm.prices, NULL), HG_OK);
  *least = prepared.least;
  *need = prepared.most;
  hg_prepared_clear(&prepared);
}

int64_t world_need(const struct world *world, unsigned line) {
  int64_t least, need;
  bound(world, line, &least, &need);
  return need;
}

int64_t world_least(const struct world *world, unsigned line) {
  int64_t least, need;
  bound(world, line, &least, &need);
  return least;
}

// What the count of its input has saved, in the budget's unit.
static int64_t less_of(const struct world *world, const struct world_line *line) {
  const struct hg_prepared priced = {.input_bound = line->less, .price = world->price.model ? &world->price : NULL};
  return hg_prepared_input_cost(&priced, line->less);
}

static hg_err refuse_command(struct world *world) {
  if (world->ledger_error) return world->ledger_error;
  return world_below(world, 100) < world->busy_percent ? HG_ERR_BUSY : HG_OK;
}

static void complete(struct world *world, hg_ticket ticket, hg_err err, uint64_t permit, int64_t tokens) {
  CHECK(world->completion_count < WORLD_QUEUE_MAX);
  struct world_event *event = &world->completions[world->completion_count++];
  *event = (struct world_event){.ticket = ticket};
  event->completion = (hg_completion)HG_COMPLETION_INIT;
  event->completion.ticket = ticket;
  event->completion.err = err;
  event->completion.permit.id = permit;
  event->completion.tokens = tokens;
}

hg_err world_acquire(void *context, const hg_request *request, hg_ticket *out) {
  struct world *world = context;
  const hg_err err = refuse_command(world);
  if (err) return err;
  const char *slash = strchr(request->task_id, '/');
  const unsigned number = (unsigned)strtoul(slash + 1 + strlen("line-"), NULL, 10);
  struct world_line *line = &world->lines[number];
  CHECK_STR(slash + 1, line->custom_id);
  CHECK(!line->calling && !line->succeeded && line->permit == 0);
  const bool may_have_had_turn = world->llm.reservation == HG_RESERVE_COUNTED && !request->no_wait;
  CHECK(request->first_in_line || (line->calls == 0 && !line->counted));
  CHECK(!request->first_in_line || line->calls > 0 || may_have_had_turn);
  CHECK_EQ(request->attempt, line->calls + 1);
  if (!world->learned) {
    CHECK_EQ(request->min_tokens, world_least(world, number) - less_of(world, line));
    CHECK_EQ(request->max_tokens, world_need(world, number) - less_of(world, line));
  }
  CHECK(!request->no_wait || (world->llm.reservation == HG_RESERVE_COUNTED && !line->counted));
  CHECK(!line->counting);
  if (line->budget[0] && strcmp(request->budget, "unknown") == 0) return HG_ERR_UNKNOWN_BUDGET;
  line->acquires++;
  CHECK(world->waiting_count < WORLD_QUEUE_MAX);
  const unsigned place = request->first_in_line ? 0 : world->waiting_count;
  memmove(&world->waiting[place + 1], &world->waiting[place], (world->waiting_count - place) * sizeof *world->waiting);
  world->waiting_count++;
  *out = (hg_ticket){++world->last_ticket};
  world->waiting[place] = (struct world_event){.ticket = *out,
                                               .line = number,
                                               .min_tokens = request->min_tokens,
                                               .max_tokens = request->max_tokens,
                                               .no_wait = request->no_wait};
  return HG_OK;
}

static void take_from_queue(struct world *world, unsigned place) {
  world->waiting_count--;
  memmove(&world->waiting[place], &world->waiting[place + 1], (world->waiting_count - place) * sizeof *world->waiting);
}

hg_err world_cancel(void *context, hg_ticket ticket) {
  struct world *world = context;
  const hg_err err = refuse_command(world);
  if (err) return err;
  for (unsigned i = 0; i < world->waiting_count; i++) {
    if (world->waiting[i].ticket.id != ticket.id) continue;
    take_from_queue(world, i);
    complete(world, ticket, HG_ERR_CANCELLED, 0, 0);
    break;
  }
  return HG_OK;
}

// Decides about the first in line. False: it has to wait.
bool world_grant_one(struct world *world) {
  unsigned place = 0;
  while (world->blocked_budget && place < world->waiting_count &&
         strcmp(world->lines[world->waiting[place].line].budget, world->blocked_budget) == 0)
    place++;
  if (place == world->waiting_count) return false;
  const struct world_event first = world->waiting[place];
  if (first.min_tokens > world->limit - world->used) {
    take_from_queue(world, place);
    complete(world, first.ticket, HG_ERR_BUDGET_EXHAUSTED, 0, world->limit - world->used);
    world->completions[world->completion_count - 1].completion.budget =
        world->short_budget ? world->short_budget : "default";
    return true;
  }
  const int64_t available = world->limit - world->used - world->reserved;
  if (world->open_permits >= world->slots || (first.min_tokens > available && !first.no_wait)) return false;
  if (first.min_tokens > available) {
    take_from_queue(world, place);
    complete(world, first.ticket, HG_ERR_TIMEOUT, 0, 0);
    return true;
  }
  const int64_t granted = first.max_tokens < available ? first.max_tokens : available;
  take_from_queue(world, place);
  CHECK(world->permit_count < WORLD_PERMITS_MAX);
  world->permits[world->permit_count++] = (struct world_permit){.line = first.line, .tokens = granted, .open = true};
  world->lines[first.line].permit = world->permit_count;
  world->reserved += granted;
  world->open_permits++;
  complete(world, first.ticket, HG_OK, world->permit_count, granted);
  CHECK(world->used + world->reserved <= world->limit);
  return true;
}

// Others may have ended it in the meantime, and said what they liked: they know nothing of the call.
static hg_err end_permit(struct world *world, struct world_permit *permit, int64_t tokens) {
  permit->ended_by_others = world->others_percent > 0 && world_below(world, 100) < world->others_percent;
  const int64_t said = permit->ended_by_others ? (int64_t)world_below(world, (unsigned)permit->tokens + 1) : tokens;
  permit->open = false;
  world->reserved -= permit->tokens;
  world->used += said;
  world->open_permits--;
  if (!permit->ended_by_others) return HG_OK;
  world->used_by_others += said;
  return world_below(world, 2) == 0 ? HG_ERR_CONFLICT : HG_ERR_UNKNOWN_PERMIT;
}

// Both ways to close a permit.
static hg_err close_permit(struct world *world, hg_permit id, int64_t tokens, bool settled, hg_outcome outcome,
                           hg_ticket *out) {
  const hg_err err = refuse_command(world);
  if (err) return err;
  struct world_permit *permit = &world->permits[id.id - 1];
  struct world_line *line = &world->lines[permit->line];
  CHECK(permit->open && !line->calling);
  CHECK_EQ(settled, permit->charged);
  if (settled) CHECK_EQ(tokens, permit->cost);
  if (outcome == HG_OUTCOME_DONE) CHECK(line->durable);
  if (outcome == HG_OUTCOME_FAILED) CHECK(line->failed || line->unserved);
  if (outcome == HG_OUTCOME_RETRY) CHECK(!line->durable && !line->failed);
  *out = (hg_ticket){++world->last_ticket};
  permit->outcome = outcome;
  permit->settled = settled;
  line->permit = 0;
  complete(world, *out, world->refusal ? world->refusal : end_permit(world, permit, tokens), id.id, 0);
  return HG_OK;
}

hg_err world_settle(void *context, hg_permit permit, const hg_usage_report *used, hg_ticket *out) {
  struct world *world = context;
  const struct world_permit *open = &world->permits[permit.id - 1];
  CHECK_EQ(used->attempt, world->lines[open->line].calls);
  CHECK_EQ(used->source == HG_SOURCE_ESTIMATED, used->input_tokens == HG_UNKNOWN);
  CHECK_EQ(used->unit, world->price.model ? HG_UNIT_NANODOLLARS : HG_UNIT_TOKENS);
  return close_permit(world, permit, used->tokens, true, used->outcome, out);
}

hg_err world_release(void *context, hg_permit permit, hg_outcome outcome, const char *reason, hg_ticket *out) {
  CHECK_EQ(outcome == HG_OUTCOME_FAILED, reason != NULL);
  return close_permit(context, permit, 0, false, outcome, out);
}

hg_err world_record(void *context, const hg_usage_report *used, hg_ticket *out) {
  struct world *world = context;
  const hg_err err = refuse_command(world);
  if (err) return err;
  unsigned long long id = 0;
  CHECK(sscanf(used->usage_id, "permit-%16llx", &id) == 1 && id > 0 && id <= world->permit_count);
  struct world_permit *permit = &world->permits[id - 1];
  const struct world_line *line = &world->lines[permit->line];
  CHECK(permit->ended_by_others && permit->settled && !permit->recorded);
  CHECK_EQ(used->tokens, permit->cost);
  CHECK_EQ(used->attempt, line->calls);
  CHECK_STR(used->task_id + strlen("run/"), line->custom_id);
  CHECK_STR(used->budget, line->budget[0] ? line->budget : "default");
  *out = (hg_ticket){++world->last_ticket};
  permit->recorded = !world->record_refusal;
  if (permit->recorded) world->used += used->tokens;
  complete(world, *out, world->record_refusal, 0, 0);
  return HG_OK;
}

bool world_deliver_one(struct world *world) {
  if (world->completion_count == 0) return false;
  const struct world_event event = world->completions[0];
  world->completion_count--;
  memmove(&world->completions[0], &world->completions[1], world->completion_count * sizeof event);
  hg_runner_completed(world->runner, &event.completion, world->now_ms);
  return true;
}
