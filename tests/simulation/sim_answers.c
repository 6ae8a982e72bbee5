// What must be true of every answer, and of every decision of the tracker (support/random_checks.c has the same for
// walks without a ledger).
#include "simulation/simulation.h"

// ------------------------------------------------------------------------------------------------ fairness

static bool on_path(const struct hg_sim *sim, uint32_t budget, uint32_t leaf) {
  while (leaf != budget && leaf != 0)
    leaf = sim->setup.budgets[leaf].parent;
  return leaf == budget;
}

static bool is_waiting(const struct hg_sim *sim, const struct hg_sim_wish *wish) {
  return wish->waits && wish->state == HG_SIM_OPEN && !wish->refused && !wish->unwanted && !wish->left &&
         wish->deadline > sim->time;
}

static bool is_short(const struct hg_sim *sim, uint32_t budget) {
  return sim->waiters[budget] && is_waiting(sim, &sim->wishes[sim->waiters[budget]]);
}

// Nobody who came later may be granted anything of a budget that is short for an earlier one. After word of room the
// earlier one asks again first, unless another budget of its path became short meanwhile: never with only one budget.
// One that was said again may have lost its place meanwhile.
static void check_fair(const struct hg_sim *sim, const struct hg_sim_wish *granted) {
  if (granted->parent || granted->sent > 1) return;
  for (uint64_t i = 1; i <= sim->last_wish; i++) {
    const struct hg_sim_wish *earlier = &sim->wishes[i];
    if (earlier->parent || earlier->sent > 1 || !is_waiting(sim, earlier) || earlier->arrival >= granted->arrival)
      continue;
    if (!on_path(sim, earlier->waits_for, granted->budget)) continue;
    CHECK(!is_short(sim, earlier->waits_for));
    CHECK(sim->setup.config.budget_count > 1);
  }
}

static void check_verdict(struct hg_sim *sim, const struct hg_reserved_message *answer) {
  struct hg_sim_wish *wish = &sim->wishes[answer->permit];
  const bool must_wait = answer->verdict == HG_VERDICT_WAIT || answer->verdict == HG_VERDICT_THROTTLED;
  if (answer->verdict == HG_VERDICT_GRANTED) check_fair(sim, wish);
  wish->waits = must_wait || answer->verdict == HG_VERDICT_BEHIND;
  wish->waits_for = answer->budget;
  if (must_wait && !is_short(sim, answer->budget)) sim->waiters[answer->budget] = answer->permit;
  if (must_wait) hg_sim_reach(sim, HG_SIM_HAD_TO_WAIT);
}

// What the scheduler has refused does not wait, though its client has not heard of it.
void hg_sim_note_refusals(struct hg_sim *sim) {
  for (; sim->answers_seen < sim->scheduler.sent[HG_PORT_CLIENTS].count; sim->answers_seen++) {
    const struct hg_message message = hg_test_peek(&sim->scheduler, HG_PORT_CLIENTS, sim->answers_seen);
    if (message.kind == HG_REFUSED) sim->wishes[message.as.refused.request].refused = true;
  }
}

void hg_sim_check_decisions(struct hg_sim *sim) {
  hg_sim_note_refusals(sim);
  for (; sim->decisions_seen < sim->tracker.sent[HG_PORT_DECISIONS].count; sim->decisions_seen++) {
    const struct hg_message message = hg_test_peek(&sim->tracker, HG_PORT_DECISIONS, sim->decisions_seen);
    if (message.kind == HG_RESERVED && !sim->given_up) check_verdict(sim, &message.as.reserved);
    if (message.kind == HG_ROOM) sim->waiters[message.as.room.budget] = 0;
  }
}

// ------------------------------------------------------------------------------------------------ numbered commands

static void check_recorded(struct hg_sim *sim, struct hg_sim_line *line, uint64_t number) {
  CHECK(number <= line->last && number >= line->recorded);
  for (uint64_t n = line->recorded + 1; n <= number; n++) {
    const uint32_t index = line->commands[n];
    struct hg_sim_command *command = &sim->commands[index];
    if (command->refused) continue;
    command->acknowledged = true;
    if (command->kind == HG_SET_HARD_LIMIT) continue;
    CHECK(command->row && command->row <= sim->committed); // I3, I7
    if (!command->usage_id) continue;
    CHECK_EQ(sim->usage_ids[command->usage_id].command, index);
    if (command->row <= sim->life_began) hg_sim_reach(sim, HG_SIM_USAGE_ID_KNOWN);
  }
  line->recorded = number;
}

static void check_rejected(struct hg_sim *sim, struct hg_sim_line *line, const struct hg_rejected_message *answer) {
  if (answer->error == HG_ERR_SEQUENCE) {
    CHECK(answer->last <= line->last && answer->number > answer->last + 1);
    return;
  }
  if (answer->error == HG_ERR_STORE) {
    CHECK(sim->given_up);
    return;
  }
  CHECK(answer->number > line->recorded && answer->number <= line->last); // before the RECORDED that covers it
  const uint32_t index = line->commands[answer->number];
  struct hg_sim_command *command = &sim->commands[index];
  CHECK(!command->row && !command->refused);
  command->refused = answer->error;
  if (answer->error == HG_ERR_CONFLICT) {
    CHECK(command->usage_id && sim->usage_ids[command->usage_id].row &&
          sim->usage_ids[command->usage_id].command != index);
    hg_sim_reach(sim, HG_SIM_USAGE_ID_CONFLICT);
  } else {
    CHECK_EQ(answer->error, HG_ERR_RANGE);
  }
}

static void check_usage(const struct hg_sim *sim, const struct hg_usage_message *usage) {
  if (usage->error == HG_ERR_STORE) {
    CHECK(sim->given_up);
    return;
  }
  CHECK(usage->seq <= sim->committed);
  const struct hg_model_figures *then = &sim->model.history[usage->seq][usage->budget];
  CHECK_EQ(usage->used, then->used);
  CHECK_EQ(usage->reserved, then->reserved);
  CHECK_EQ(usage->hard_limit, then->limit);
}

// ------------------------------------------------------------------------------------------------ permits

static struct hg_sim_wish *wish_of(struct hg_sim *sim, uint64_t id) {
  CHECK(id >= 1 && id <= sim->last_wish);
  return &sim->wishes[id];
}

static void check_granted(struct hg_sim *sim, const struct hg_granted_message *answer) {
  struct hg_sim_wish *wish = wish_of(sim, answer->request);
  const struct hg_model_permit *permit = &sim->model.permits[answer->request];
  CHECK(++wish->answered <= wish->sent); // I8
  // Said again, it may be granted after it was refused: then its client has it all the same.
  CHECK(wish->state != HG_SIM_REFUSED || wish->sent > 1);
  if (wish->state == HG_SIM_REFUSED) wish->given_up = false;
  CHECK(permit->reserved_at && permit->reserved_at <= sim->committed); // I3
  CHECK_EQ(answer->tokens, permit->granted);
  wish->state = HG_SIM_GRANTED;
}

// An acquire that was said again after its permit had ended is refused: that id was had.
static bool may_refuse(const struct hg_sim *sim, const struct hg_sim_wish *wish, hg_err err) {
  if (err == HG_ERR_CANCELLED) return wish->unwanted;
  if (err == HG_ERR_TIMEOUT) return wish->deadline <= sim->time;
  if (err == HG_ERR_UNKNOWN_PERMIT) return wish->parent != 0;
  if (err == HG_ERR_WOULD_DEADLOCK) return wish->blocking;
  if (err == HG_ERR_STORE) return sim->given_up;
  if (err == HG_ERR_CLOSED) return sim->closing;
  if (err == HG_ERR_CONFLICT) return wish->sent > 1;
  return err == HG_ERR_BUDGET_EXHAUSTED;
}

static void check_refused(struct hg_sim *sim, const struct hg_refused_message *answer) {
  struct hg_sim_wish *wish = wish_of(sim, answer->request);
  CHECK(++wish->answered <= wish->sent); // I8
  CHECK(may_refuse(sim, wish, (hg_err)answer->error));
  CHECK(answer->error != HG_ERR_BUDGET_EXHAUSTED || answer->left < wish->min);
  CHECK(wish->state == HG_SIM_OPEN || wish->sent > 1);
  if (wish->state == HG_SIM_OPEN) wish->state = HG_SIM_REFUSED;
}

static bool may_end_with(const struct hg_sim *sim, const struct hg_sim_wish *wish, hg_err err) {
  const bool perhaps_orphan = wish->old || wish->left || wish->leased;
  if (err == HG_ERR_STORE) return sim->given_up;
  if (err == HG_ERR_CLOSED) return sim->closing;
  if (err == HG_ERR_INVALID) return wish->invalid > 0;
  // Cancelled and said again, it may have been given back after all.
  if (err == HG_ERR_CONFLICT) return wish->disputed || perhaps_orphan || (wish->sent > 1 && wish->unwanted);
  // A correction may have taken away what an orphan's late settle would give back.
  return err == HG_ERR_RANGE && perhaps_orphan;
}

static void check_settled(struct hg_sim *sim, const struct hg_settled_message *answer) {
  struct hg_sim_wish *wish = wish_of(sim, answer->permit);
  const struct hg_model_permit *permit = &sim->model.permits[answer->permit];
  CHECK(++wish->settled <= wish->settles + wish->invalid); // I8
  if (wish->again) {
    const bool is_lost =
        (answer->error == HG_ERR_STORE && sim->given_up) || (answer->error == HG_ERR_CLOSED && sim->closing);
    CHECK(answer->error == (uint32_t)wish->again_hears || is_lost);
    wish->again = false;
    if (!is_lost) hg_sim_reach(sim, HG_SIM_ENDED_EARLIER);
    return;
  }
  CHECK(answer->error == HG_OK || may_end_with(sim, wish, (hg_err)answer->error));
  if (answer->error != HG_OK) return;
  CHECK_EQ(permit->state, HG_MODEL_ENDED);
  CHECK(permit->ended_at <= sim->committed); // I3
  if (!wish->disputed) CHECK_EQ(permit->used, wish->is_release ? 0 : wish->tokens);
}

// ------------------------------------------------------------------------------------------------ all answers

void hg_sim_check_answer(struct hg_sim *sim, hg_peer to, const struct hg_message *message) {
  struct hg_sim_client *client = hg_sim_client_of(sim, to);
  if (message->kind == HG_RECORDED) check_recorded(sim, client->line, message->as.recorded.number);
  else if (message->kind == HG_REJECTED) check_rejected(sim, client->line, &message->as.rejected);
  else if (message->kind == HG_REPORTER) hg_sim_name_answered(sim, client, &message->as.reporter);
  else if (message->kind == HG_GRANTED) check_granted(sim, &message->as.granted);
  else if (message->kind == HG_REFUSED) check_refused(sim, &message->as.refused);
  else if (message->kind == HG_SETTLED) check_settled(sim, &message->as.settled);
  else {
    if (message->kind == HG_USAGE) check_usage(sim, &message->as.usage);
    else CHECK(message->kind == HG_QUEUE || message->kind == HG_DONE || message->kind == HG_ORPHAN);
    CHECK(++client->answers <= client->questions);
  }
}
