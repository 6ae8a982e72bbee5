// The world of instructions_world.h.
#include "bench/instructions_world.h"

#include "actors/event_bus.h"
#include "actors/scheduler.h"
#include "actors/tracker.h"
#include "bus/frames.h"

#include <assert.h>
#include <string.h>

// ------------------------------------------------------------------------------------------------ what a shell does

static void core_open(struct core *core) {
  core->out = (struct hg_outbox){.counters = &core->counters};
}

static void core_close(struct core *core) {
  if (core->actor.destroy) core->actor.destroy(core->actor.self);
  hg_outbox_destroy(&core->out);
}

static void hand(const struct world *world, struct core *to, const struct hg_outgoing *frame) {
  struct hg_envelope in = {
      .port = frame->port, .peer = frame->peer, .frame = frame->frame, .frame_size = frame->frame_size};
  const hg_err err = hg_frame_decode(in.frame, in.frame_size, &in.message);
  assert(err == HG_OK);
  to->actor.receive(to->actor.self, world->now, &in, &to->out);
}

void world_hand_input(struct world *world, struct core *to, int count) {
  struct hg_outgoing next;
  for (; count > 0; count--) {
    const bool there = hg_outbox_next(&world->input, &world->input_at, &next);
    assert(there);
    hand(world, to, &next);
  }
}

void world_hand_committed(struct world *world) {
  struct hg_outgoing next;
  for (size_t at = 0; hg_outbox_next(&world->committed, &at, &next);)
    hand(world, &world->tracker, &next);
  hg_outbox_clear(&world->committed);
}

static void commit(struct world *world, const struct hg_outgoing *frame) {
  struct hg_message message;
  const hg_err err = hg_frame_decode(frame->frame, frame->frame_size, &message);
  assert(err == HG_OK && message.kind == HG_FACTS);
  const uint64_t last = message.as.facts.last;
  hg_message_init(&message, HG_COMMITTED);
  message.as.committed.seq = last;
  hg_outbox_put(&world->committed, HG_PORT_FACTS, 0, &message);
  if (world->facts)
    hg_outbox_put_frame(world->facts, HG_PORT_COMMITTED, 0, (struct hg_bytes){0},
                        (struct hg_bytes){frame->frame, frame->frame_size});
}

void world_flush(struct world *world, struct core *core) {
  struct hg_outgoing next;
  core->actor.flush(core->actor.self, world->now, &core->out);
  for (size_t at = 0; hg_outbox_next(&core->out, &at, &next);)
    if (next.port == HG_PORT_DECISIONS)
      hand(world, core == &world->tracker ? &world->scheduler : &world->tracker, &next);
    else if (next.port == HG_PORT_FACTS) commit(world, &next);
    else world->answers++;
  assert(!core->out.failed);
  hg_outbox_clear(&core->out);
}

// ------------------------------------------------------------------------------------------------------- the world

void world_open(struct world *world) {
  *world = (struct world){
      .config = {.throttle_percent = TOKEN_THROTTLE_THRESHOLD_PERCENT,
                 .restore_below_percent = TOKEN_THROTTLE_THRESHOLD_PERCENT,
                 .max_concurrency = AT_ONCE,
                 .throttled_concurrency = 1,
                 .budget_count = 2},
      .budgets = {{.name = "default", .hard_limit = HG_TOKENS_MAX}, {.name = "research", .hard_limit = HG_TOKENS_MAX}},
      .state = {.ledger_id = "6f1c1d3e-0000-4000-8000-000000000001", .opening = 1, .budget_count = 2},
      .now = {1000000, INT64_C(1763894400000000)},
  };
  world->config.budgets = world->budgets;
  world->state.budgets = world->stored;
  for (uint32_t i = 0; i < world->config.budget_count; i++) {
    const int64_t limit = world->budgets[i].hard_limit;
    world->stored[i] = (struct hg_ledger_budget){.hard_limit = limit, .configured_limit = limit};
    memcpy(world->stored[i].name, world->budgets[i].name, sizeof world->stored[i].name);
  }
  core_open(&world->tracker);
  core_open(&world->scheduler);
  core_open(&world->bus);
  const bool opened = hg_tracker_new(&world->config, &world->state, &world->tracker.actor) == HG_OK &&
                      hg_scheduler_new(&world->config, &world->scheduler.actor) == HG_OK &&
                      hg_event_bus_new(&world->config, &world->state, &world->bus.actor) == HG_OK;
  assert(opened);
}

void world_close(struct world *world) {
  core_close(&world->tracker);
  core_close(&world->scheduler);
  core_close(&world->bus);
  hg_outbox_destroy(&world->input);
  hg_outbox_destroy(&world->committed);
}

void world_pass_time(struct world *world) {
  world->now.monotonic_us += 150;
  world->now.utc_us += 150;
}

void world_check(struct world *world, uint64_t answers) {
  struct hg_message message;
  struct hg_outgoing frame;
  size_t at = 0;
  world_hand_committed(world);
  world_flush(world, &world->tracker);
  world_flush(world, &world->scheduler);
  assert(world->answers == answers);
  struct hg_outbox question = {0};
  hg_message_init(&message, HG_GET_USAGE);
  message.as.get_usage.request = 1;
  message.as.get_usage.budget = BUDGET;
  hg_outbox_put(&question, HG_PORT_CLIENTS, CLIENT, &message);
  hg_outbox_next(&question, &at, &frame);
  hand(world, &world->tracker, &frame);
  at = 0;
  const bool answered = hg_outbox_next(&world->tracker.out, &at, &frame) &&
                        hg_frame_decode(frame.frame, frame.frame_size, &message) == HG_OK && message.kind == HG_USAGE;
  assert(answered && message.as.usage.used == world->used && message.as.usage.open_permits == 0);
  hg_outbox_destroy(&question);
}
