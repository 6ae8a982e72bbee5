// What must be true of what is written, committed and published, and of what a new life finds in the ledger.
#include "bus/frames.h"
#include "ledger/internal.h"
#include "simulation/simulation.h"

// ------------------------------------------------------------------------------------------------ facts

static void count_once(struct hg_sim *sim, struct hg_text mark, struct hg_text usage_id, uint64_t seq) {
  char text[24];
  hg_text_copy(text, sizeof text, mark);
  const unsigned long number = strtoul(text + 1, NULL, 10);
  CHECK(text[0] == 'c' && number >= 1 && number <= sim->command_count);
  struct hg_sim_command *command = &sim->commands[number];
  CHECK_EQ(command->row, 0); // a retry counts once
  CHECK(!command->refused);
  command->row = seq;
  CHECK_EQ(usage_id.size > 0, command->usage_id > 0);
  if (!command->usage_id) return;
  CHECK_EQ(sim->usage_ids[command->usage_id].row, 0);
  sim->usage_ids[command->usage_id].row = seq;
  sim->usage_ids[command->usage_id].command = (uint32_t)number;
}

static bool any_closed(const struct hg_sim *sim, uint32_t budget) {
  while (!sim->model.budgets[budget].closed && budget)
    budget = sim->setup.budgets[budget].parent;
  return sim->model.budgets[budget].closed;
}

static void check_reserved(struct hg_sim *sim, const struct hg_tokens_reserved_message *event) {
  const struct hg_sim_wish *wish = &sim->wishes[event->permit];
  CHECK(event->permit <= sim->last_wish && !wish->old);
  CHECK_EQ(event->head.budget, wish->budget);
  const int64_t granted = event->reserved_delta + event->from_parent;
  CHECK(granted >= wish->min && granted <= wish->max);
  CHECK_EQ(event->from_parent > 0, wish->from_parent);
  CHECK_EQ(event->parent, wish->parent);
  if (granted < wish->max) hg_sim_reach(sim, HG_SIM_CAPPED_GRANT);
  if (event->parent && any_closed(sim, event->head.budget)) hg_sim_reach(sim, HG_SIM_NESTED_UNDER_THROTTLE);
}

static void check_fact(struct hg_sim *sim, const struct hg_message *event) {
  const uint64_t seq = event->as.head.seq;
  if (event->kind == HG_USAGE_RECORDED) {
    count_once(sim, event->as.usage_recorded.task_id, event->as.usage_recorded.usage_id, seq);
  } else if (event->kind == HG_USAGE_CORRECTED) {
    count_once(sim, event->as.usage_corrected.reason, event->as.usage_corrected.usage_id, seq);
  } else if (event->kind == HG_TOKENS_RESERVED) {
    check_reserved(sim, &event->as.tokens_reserved);
  } else if (event->kind == HG_TOKENS_SETTLED) {
    const struct hg_sim_wish *wish = &sim->wishes[event->as.tokens_settled.permit];
    CHECK(wish->settles > 0);
    if (event->as.tokens_settled.late) hg_sim_reach(sim, HG_SIM_LATE_SETTLE);
  } else if (event->kind == HG_TOKENS_RELEASED) {
    const struct hg_sim_wish *wish = &sim->wishes[event->as.tokens_released.permit];
    const bool by_scheduler = hg_text_equal(event->as.tokens_released.reason, hg_text_of("cancelled"));
    CHECK(by_scheduler ? wish->unwanted || wish->left || sim->closing : wish->settles > 0);
    if (by_scheduler) hg_sim_reach(sim, HG_SIM_LATE_GRANT_CANCELLED);
  } else if (event->kind == HG_CONCURRENCY_THROTTLED) {
    if (sim->model.budgets[0].slots >= 4) hg_sim_reach(sim, HG_SIM_CROSSING_WITH_FOUR);
  } else if (event->kind == HG_LIMIT_CHANGED) {
    const struct hg_limit_changed_message *limit = &event->as.limit_changed;
    if (limit->hard_limit < limit->used + limit->reserved) hg_sim_reach(sim, HG_SIM_LIMIT_UNDER_COMMITMENTS);
  } else if (event->kind == HG_TASK_FAILED) {
    if (hg_text_equal(event->as.task_failed.reason, hg_text_of("lease_expired")))
      hg_sim_reach(sim, HG_SIM_LEASE_EXPIRED);
  } else if (event->kind == HG_AUDIT_DONE) {
    CHECK_EQ(event->as.audit_done.differences, 0);
  }
}

// A frame holds whole turns of the tracker.
static void check_frame(struct hg_sim *sim, const struct hg_message *facts) {
  size_t at = sim->events.count;
  CHECK(sim->frame_count < HG_SIM_FRAMES);
  hg_test_events_add(&sim->events, facts);
  sim->frame_ends[sim->frame_count++] = facts->as.facts.last;
  for (; at < sim->events.count; at++) {
    hg_model_event(&sim->model, &sim->events.at[at]);
    check_fact(sim, &sim->events.at[at]);
  }
  hg_model_step(&sim->model);
}

void hg_sim_check_facts(struct hg_sim *sim) {
  for (; sim->facts_seen < sim->tracker.sent[HG_PORT_FACTS].count; sim->facts_seen++) {
    const struct hg_message message = hg_test_peek(&sim->tracker, HG_PORT_FACTS, sim->facts_seen);
    if (message.kind == HG_FACTS) check_frame(sim, &message);
  }
}

// ------------------------------------------------------------------------------------------ committed, published

// Nothing is acknowledged that the store has not said to be stored.
void hg_sim_check_commits(struct hg_sim *sim) {
  for (; sim->commits_seen < sim->persister.sent[HG_PORT_FACTS].count; sim->commits_seen++) {
    const struct hg_message message = hg_test_peek(&sim->persister, HG_PORT_FACTS, sim->commits_seen);
    if (message.kind != HG_COMMITTED) continue;
    CHECK(message.as.committed.seq <= sim->stored && message.as.committed.seq >= sim->committed);
    sim->committed = message.as.committed.seq;
    if (message.as.committed.given_up && !sim->given_up) hg_sim_reach(sim, HG_SIM_GIVEN_UP);
    sim->given_up |= message.as.committed.given_up;
  }
}

// I7
void hg_sim_check_published(struct hg_sim *sim) {
  struct hg_test_pipe *pipe = &sim->bus.sent[HG_PORT_EVENTS];
  while (pipe->count) {
    const struct hg_test_frame frame = hg_test_pipe_pop(pipe);
    struct hg_event_envelope envelope;
    CHECK_EQ(hg_outside_read_envelope(frame.bytes, frame.size, &envelope), HG_OK);
    if (envelope.seq) {
      CHECK_EQ(envelope.seq, sim->published + 1);
      CHECK(envelope.seq <= sim->committed);
      const struct hg_message *event = &sim->events.at[envelope.seq - 1];
      CHECK(hg_text_equal(envelope.type, hg_text_of(hg_kind_info(event->kind)->name)));
      CHECK_EQ(envelope.prev, event->as.head.prev);
      sim->published = envelope.seq;
    }
    free(frame.bytes);
  }
}

// ------------------------------------------------------------------------------------------------ a new life

// The journal is what is stored: what was said and not stored never happened.
static void take_back(struct hg_sim *sim, uint64_t stored) {
  while (sim->frame_count && sim->frame_ends[sim->frame_count - 1] > stored)
    sim->frame_count--;
  CHECK_EQ(sim->frame_count ? sim->frame_ends[sim->frame_count - 1] : 0, stored); // whole or not at all
  if (stored == sim->events.count) return;
  sim->events.count = stored;
  for (uint32_t i = 1; i <= sim->command_count; i++)
    if (sim->commands[i].row > stored) sim->commands[i].row = 0;
  for (uint32_t i = 1; i <= HG_SIM_USAGE_IDS; i++)
    if (sim->usage_ids[i].row > stored) sim->usage_ids[i].row = 0;
  hg_model_init(&sim->model, &sim->setup);
  size_t at = 0;
  for (size_t frame = 0; frame < sim->frame_count; frame++) {
    for (; at < sim->frame_ends[frame]; at++)
      hg_model_event(&sim->model, &sim->events.at[at]);
    hg_model_step(&sim->model);
  }
}

static void check_permits(const struct hg_sim *sim, const struct hg_ledger_state *state) {
  size_t expected = 0;
  for (uint64_t id = 0; id <= sim->model.last_permit; id++) {
    const enum hg_model_state is = sim->model.permits[id].state;
    expected += is == HG_MODEL_OPEN || is == HG_MODEL_GUESSED || is == HG_MODEL_KEPT;
  }
  CHECK_EQ(state->permit_count, expected);
  for (size_t i = 0; i < state->permit_count; i++) {
    const struct hg_ledger_permit *stored = &state->permits[i];
    CHECK(stored->id <= sim->last_wish);
    const struct hg_model_permit *permit = &sim->model.permits[stored->id];
    CHECK_EQ(stored->orphaned, permit->state == HG_MODEL_GUESSED);
    if (stored->orphaned) CHECK_EQ(stored->guess, permit->guess);
    CHECK_EQ(stored->kept, permit->state == HG_MODEL_KEPT);
    CHECK_EQ(stored->tokens, permit->tokens);
    CHECK_EQ(stored->budget, permit->budget);
  }
}

static void check_reporters(const struct hg_sim *sim, const struct hg_ledger_state *state) {
  for (size_t i = 0; i < state->reporter_count; i++) {
    const size_t index = (size_t)(state->reporters[i].name[strlen("reporter")] - '0');
    CHECK(index < HG_SIM_NAMED);
    CHECK(state->reporters[i].last >= sim->clients[index].line->recorded);
    CHECK(state->reporters[i].last <= sim->clients[index].line->last);
  }
}

void hg_sim_check_opened(struct hg_sim *sim, const struct hg_ledger_state *state) {
  hg_sim_learn(sim, state->last_seq);
  if (state->last_seq < sim->committed && sim->options.synchronous_normal) {
    sim->lost = true;
    sim->totals->lost++;
    return;
  }
  CHECK(state->last_seq >= sim->committed); // I3
  CHECK(state->last_seq <= sim->events.count);
  take_back(sim, state->last_seq);
  sim->committed = sim->stored = sim->delivered = sim->published = sim->life_began = state->last_seq;
  CHECK(memcmp(state->topic_last, sim->model.topic_last, sizeof state->topic_last) == 0);
  for (uint32_t i = 0; i < state->budget_count; i++) {
    const struct hg_model_budget *budget = &sim->model.budgets[i];
    CHECK_EQ(state->budgets[i].used, budget->now.used);
    CHECK_EQ(state->budgets[i].reserved, budget->now.reserved);
    CHECK_EQ(state->budgets[i].hard_limit, budget->now.limit);
    CHECK_EQ(state->budgets[i].throttled, budget->told);
  }
  check_permits(sim, state);
  check_reporters(sim, state);
}

// ------------------------------------------------------------------------------------------------ the end

void hg_sim_check_audit(struct hg_sim *sim) {
  struct hg_audit_report *report = calloc(1, sizeof *report);
  CHECK(report);
  hg_error why = HG_ERROR_INIT;
  bool done = false;
  for (bool anew = true; !done; anew = false)
    CHECK_EQ(hg_ledger_audit(sim->ledger, anew, 4096, report, &done, &why), HG_OK);
  if (report->differences) fprintf(stderr, "\naudit: %s\n", report->list[0].text);
  CHECK_EQ(report->differences, 0);
  CHECK_EQ(report->seq, sim->events.count);
  free(report);
}

void hg_sim_check_finished(struct hg_sim *sim) {
  for (uint64_t id = 1; id <= sim->last_wish; id++) {
    const struct hg_sim_wish *wish = &sim->wishes[id];
    CHECK(wish->old || wish->left || wish->state == HG_SIM_GRANTED || wish->state == HG_SIM_REFUSED);
    CHECK(wish->old || wish->settler_left || wish->settles + wish->invalid == wish->settled);
    CHECK(sim->model.permits[id].state != HG_MODEL_OPEN); // no grant is kept that nobody has
  }
  for (size_t i = 0; i < HG_SIM_CLIENTS; i++) {
    CHECK(!sim->clients[i].naming);
    CHECK_EQ(sim->clients[i].line->recorded, sim->clients[i].line->last);
    CHECK_EQ(sim->clients[i].questions, sim->clients[i].answers);
  }
  CHECK_EQ(sim->committed, sim->events.count);
}
