// The driver of core_driver.h.
#include "support/core_driver.h"

#include "bus/frames.h"
#include "support/test.h"

#define UTC_START INT64_C(1763894400000000)

void hg_test_setup_init(struct hg_test_setup *setup, int64_t hard_limit, uint32_t max_concurrency) {
  *setup = (struct hg_test_setup){.config = {.throttle_percent = TOKEN_THROTTLE_THRESHOLD_PERCENT,
                                             .restore_below_percent = TOKEN_THROTTLE_THRESHOLD_PERCENT,
                                             .max_concurrency = max_concurrency,
                                             .throttled_concurrency = 1}};
  setup->config.budgets = setup->budgets;
  setup->state.budgets = setup->stored;
  setup->state.opening = 1;
  hg_test_setup_budget(setup, "default", 0, hard_limit);
}

uint32_t hg_test_setup_budget(struct hg_test_setup *setup, const char *name, uint32_t parent, int64_t hard_limit) {
  const uint32_t index = setup->config.budget_count++;
  setup->state.budget_count = setup->config.budget_count;
  CHECK(index < HG_TEST_BUDGETS);
  struct hg_budget_config *budget = &setup->budgets[index];
  *budget = (struct hg_budget_config){.parent = parent, .hard_limit = hard_limit};
  struct hg_ledger_budget *stored = &setup->stored[index];
  *stored = (struct hg_ledger_budget){.parent = parent, .hard_limit = hard_limit, .configured_limit = hard_limit};
  hg_text_copy(budget->name, sizeof budget->name, hg_text_of(name));
  hg_text_copy(stored->name, sizeof stored->name, hg_text_of(name));
  return index;
}

// ------------------------------------------------------------------------------------------------- one actor

void hg_test_pipe_push(struct hg_test_pipe *pipe, struct hg_test_frame frame) {
  if (pipe->count == pipe->capacity) {
    struct hg_test_pipe larger = {.capacity = pipe->capacity ? 2 * pipe->capacity : 16};
    larger.frames = malloc(larger.capacity * sizeof *larger.frames);
    CHECK(larger.frames);
    for (; larger.count < pipe->count; larger.count++)
      larger.frames[larger.count] = pipe->frames[(pipe->first + larger.count) % pipe->capacity];
    free(pipe->frames);
    *pipe = larger;
  }
  pipe->frames[(pipe->first + pipe->count++) % pipe->capacity] = frame;
}

struct hg_test_frame hg_test_pipe_pop(struct hg_test_pipe *pipe) {
  const struct hg_test_frame frame = pipe->frames[pipe->first];
  pipe->first = (pipe->first + 1) % pipe->capacity;
  pipe->count--;
  return frame;
}

static void empty_outbox(struct hg_test_actor *actor) {
  struct hg_outgoing next;
  CHECK(!actor->out.failed);
  for (size_t at = 0; hg_outbox_next(&actor->out, &at, &next);) {
    struct hg_test_frame frame = {next.peer, next.frame_size, malloc(next.frame_size)};
    CHECK(frame.bytes);
    memcpy(frame.bytes, next.frame, frame.size);
    hg_test_pipe_push(&actor->sent[next.port], frame);
  }
  actor->finished |= actor->out.finished;
  hg_outbox_clear(&actor->out);
}

void hg_test_actor_destroy(struct hg_test_actor *actor) {
  actor->actor.destroy(actor->actor.self);
  hg_outbox_destroy(&actor->out);
  for (size_t port = 0; port < HG_PORT_COUNT; port++) {
    while (actor->sent[port].count)
      free(hg_test_pipe_pop(&actor->sent[port]).bytes);
    free(actor->sent[port].frames);
    free(actor->taken[port].bytes);
  }
}

void hg_test_send(struct hg_test_actor *actor, enum hg_port port, hg_peer peer, const struct hg_message *message) {
  hg_test_pass(actor, port, hg_test_frame_of(peer, message));
}

struct hg_test_frame hg_test_frame_of(hg_peer peer, const struct hg_message *message) {
  uint8_t encoded[HG_FRAME_MAX];
  struct hg_test_frame frame = {.peer = peer, .size = hg_frame_encode(message, encoded, sizeof encoded)};
  CHECK(frame.size > 0);
  frame.bytes = malloc(frame.size); // of its own, so that a view kept too long is noticed
  CHECK(frame.bytes);
  memcpy(frame.bytes, encoded, frame.size);
  return frame;
}

void hg_test_pass(struct hg_test_actor *actor, enum hg_port port, struct hg_test_frame frame) {
  struct hg_envelope in = {.port = port, .peer = frame.peer, .frame = frame.bytes, .frame_size = frame.size};
  if (port != HG_PORT_EVENTS && port != HG_PORT_OUTSIDE_EVENTS)
    CHECK_EQ(hg_frame_decode(frame.bytes, frame.size, &in.message), HG_OK);
  actor->actor.receive(actor->actor.self, actor->now, &in, &actor->out);
  free(frame.bytes);
  empty_outbox(actor);
}

void hg_test_flush(struct hg_test_actor *actor) {
  actor->wake = actor->actor.flush(actor->actor.self, actor->now, &actor->out);
  empty_outbox(actor);
}

bool hg_test_take(struct hg_test_actor *actor, enum hg_port port, hg_peer *peer, struct hg_message *out) {
  if (actor->sent[port].count == 0) return false;
  struct hg_test_frame *taken = &actor->taken[port];
  free(taken->bytes);
  *taken = hg_test_pipe_pop(&actor->sent[port]);
  *peer = taken->peer;
  CHECK_EQ(hg_frame_decode(taken->bytes, taken->size, out), HG_OK);
  return true;
}

struct hg_message hg_test_expect(struct hg_test_actor *actor, enum hg_port port, hg_peer peer, enum hg_kind kind) {
  hg_peer to = 0;
  struct hg_message message;
  hg_message_init(&message, kind);
  const bool there = hg_test_take(actor, port, &to, &message);
  if (!there || message.kind != kind)
    fprintf(stderr, "expected %s, got %s\n", hg_kind_info(kind)->name,
            there ? hg_kind_info(message.kind)->name : "nothing");
  CHECK(there);
  CHECK_EQ(message.kind, kind);
  CHECK_EQ(to, peer);
  return message;
}

struct hg_message hg_test_peek(const struct hg_test_actor *actor, enum hg_port port, size_t index) {
  const struct hg_test_pipe *pipe = &actor->sent[port];
  CHECK(index < pipe->count);
  const struct hg_test_frame *frame = &pipe->frames[(pipe->first + index) % pipe->capacity];
  struct hg_message message;
  CHECK_EQ(hg_frame_decode(frame->bytes, frame->size, &message), HG_OK);
  return message;
}

bool hg_test_is_silent(struct hg_test_actor *actor, enum hg_port port) {
  return actor->sent[port].count == 0;
}

// --------------------------------------------------------------------------------------------------- events

void hg_test_events_add(struct hg_test_events *events, const struct hg_message *facts) {
  const struct hg_bytes from = facts->as.facts.events;
  uint8_t *copy = malloc(from.size);
  events->memory = realloc(events->memory, (events->memory_count + 1) * sizeof *events->memory);
  CHECK(copy && events->memory);
  events->memory[events->memory_count++] = copy;
  memcpy(copy, from.data, from.size);
  uint32_t count = 0;
  for (size_t at = 0, taken; at < from.size; at += taken, count++) {
    if (events->count == events->capacity) {
      events->capacity = events->capacity ? 2 * events->capacity : 64;
      events->at = realloc(events->at, events->capacity * sizeof *events->at);
      CHECK(events->at);
    }
    CHECK_EQ(hg_frame_decode_next(copy + at, from.size - at, &events->at[events->count], &taken), HG_OK);
    events->count++;
  }
  CHECK_EQ(count, facts->as.facts.count);
  CHECK(count > 0);
  CHECK_EQ(events->at[events->count - 1].as.head.seq, facts->as.facts.last);
}

void hg_test_events_destroy(struct hg_test_events *events) {
  for (size_t i = 0; i < events->memory_count; i++)
    free(events->memory[i]);
  free(events->memory);
  free(events->at);
  *events = (struct hg_test_events){0};
}

// ---------------------------------------------------------------------------------------------------- world

void hg_test_world_init(struct hg_test_world *world, const struct hg_test_setup *setup) {
  memset(world, 0, sizeof *world);
  CHECK_EQ(hg_tracker_new(&setup->config, &setup->state, &world->tracker.actor), HG_OK);
  CHECK_EQ(hg_scheduler_new(&setup->config, &world->scheduler.actor), HG_OK);
  world->committed = setup->state.last_seq;
  hg_test_world_at(world, 0);
}

void hg_test_world_destroy(struct hg_test_world *world) {
  hg_test_actor_destroy(&world->tracker);
  hg_test_actor_destroy(&world->scheduler);
  hg_test_events_destroy(&world->events);
}

void hg_test_world_at(struct hg_test_world *world, int64_t monotonic_us) {
  world->tracker.now = world->scheduler.now = (struct hg_now){monotonic_us, UTC_START + monotonic_us};
}

static bool move(struct hg_test_actor *from, struct hg_test_actor *to, struct hg_message *moved) {
  hg_peer peer;
  if (!hg_test_take(from, HG_PORT_DECISIONS, &peer, moved)) return false;
  hg_test_send(to, HG_PORT_DECISIONS, 0, moved);
  return true;
}

bool hg_test_world_ask(struct hg_test_world *world, struct hg_message *moved) {
  return move(&world->scheduler, &world->tracker, moved);
}

bool hg_test_world_answer(struct hg_test_world *world, struct hg_message *moved) {
  return move(&world->tracker, &world->scheduler, moved);
}

void hg_test_world_collect(struct hg_test_world *world) {
  struct hg_message facts;
  hg_peer peer;
  while (hg_test_take(&world->tracker, HG_PORT_FACTS, &peer, &facts)) {
    CHECK(world->sent_count < sizeof world->sent / sizeof *world->sent);
    world->sent[world->sent_count++] = facts.as.facts.last;
    hg_test_events_add(&world->events, &facts);
  }
  CHECK(world->sent_count - world->committed_count <= HG_FACTS_WINDOW);
}

bool hg_test_world_commit(struct hg_test_world *world, size_t frames) {
  const size_t open = world->sent_count - world->committed_count;
  if (frames > open) frames = open;
  if (frames == 0) return false;
  world->committed_count += frames;
  world->committed = world->sent[world->committed_count - 1];
  struct hg_message committed;
  hg_message_init(&committed, HG_COMMITTED);
  committed.as.committed.seq = world->committed;
  hg_test_send(&world->tracker, HG_PORT_FACTS, 0, &committed);
  return true;
}

void hg_test_world_run(struct hg_test_world *world) {
  struct hg_message moved;
  for (bool any = true; any;) {
    any = false;
    hg_test_flush(&world->scheduler);
    while (hg_test_world_ask(world, &moved))
      any = true;
    hg_test_flush(&world->tracker);
    hg_test_world_collect(world);
    any |= hg_test_world_commit(world, HG_FACTS_WINDOW);
    while (hg_test_world_answer(world, &moved))
      any = true;
  }
}
