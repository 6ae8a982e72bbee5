// What the tests of the tracker share: a tracker alone, what is said to it, and the events that it writes.
#ifndef HG_TRACKER_FIXTURE_H
#define HG_TRACKER_FIXTURE_H

#include "support/core_driver.h"
#include "support/test.h"

#define ALICE 11
#define BOB 12

struct fixture {
  struct hg_test_setup setup;
  struct hg_test_actor tracker;
  struct hg_test_events events;
  size_t read;     // events that a test has looked at
  uint64_t finds;  // questions for usage ids and permits that the ledger was asked
  uint64_t number; // ALICE's
};

static inline void open_tracker(struct fixture *f) {
  f->tracker = (struct hg_test_actor){.now = {1000, 2000}};
  CHECK_EQ(hg_tracker_new(&f->setup.config, &f->setup.state, &f->tracker.actor), HG_OK);
}

static inline void write_facts(struct fixture *f) {
  struct hg_message facts;
  hg_peer peer;
  hg_test_flush(&f->tracker);
  while (hg_test_take(&f->tracker, HG_PORT_FACTS, &peer, &facts))
    if (facts.kind == HG_FACTS) hg_test_events_add(&f->events, &facts);
    else if (facts.kind == HG_FIND_PERMIT) CHECK_EQ(facts.as.find_permit.request, ++f->finds);
    else CHECK_EQ(facts.as.find_usage.request, ++f->finds);
}

static inline void commit(struct fixture *f, uint64_t seq) {
  struct hg_message committed;
  hg_message_init(&committed, HG_COMMITTED);
  committed.as.committed.seq = seq;
  hg_test_send(&f->tracker, HG_PORT_FACTS, 0, &committed);
}

static inline void commit_all(struct fixture *f) {
  write_facts(f);
  if (f->events.count) commit(f, f->events.at[f->events.count - 1].as.head.seq);
  hg_test_flush(&f->tracker);
  while (!hg_test_is_silent(&f->tracker, HG_PORT_DECISIONS)) {
    struct hg_message message;
    hg_peer peer;
    hg_test_take(&f->tracker, HG_PORT_DECISIONS, &peer, &message);
  }
}

// Opens with a limit and passes over RUNTIME_STARTED.
static inline void begin(struct fixture *f, int64_t limit, uint32_t max_concurrency) {
  *f = (struct fixture){0};
  hg_test_setup_init(&f->setup, limit, max_concurrency);
}

static inline void start(struct fixture *f) {
  open_tracker(f);
  commit_all(f);
  f->read = f->events.count;
}

static inline void end(struct fixture *f) {
  hg_test_actor_destroy(&f->tracker);
  hg_test_events_destroy(&f->events);
}

static inline const struct hg_message *next_event(struct fixture *f, enum hg_kind kind) {
  write_facts(f);
  if (f->read == f->events.count) fprintf(stderr, "expected %s, got nothing\n", hg_kind_info(kind)->name);
  CHECK(f->read < f->events.count);
  const struct hg_message *event = &f->events.at[f->read++];
  if (event->kind != kind)
    fprintf(stderr, "expected %s, got %s\n", hg_kind_info(kind)->name, hg_kind_info(event->kind)->name);
  CHECK_EQ(event->kind, kind);
  return event;
}

static inline bool no_event(struct fixture *f) {
  write_facts(f);
  return f->read == f->events.count;
}

// ------------------------------------------------------------------------------------------------ commands

static inline void record(struct fixture *f, uint32_t budget, int64_t tokens) {
  struct hg_message message;
  hg_message_init(&message, HG_RECORD_USAGE);
  message.as.record_usage.number = ++f->number;
  message.as.record_usage.budget = budget;
  message.as.record_usage.tokens = tokens;
  hg_test_send(&f->tracker, HG_PORT_CLIENTS, ALICE, &message);
}

static inline void correct(struct fixture *f, uint32_t budget, int64_t tokens) {
  struct hg_message message;
  hg_message_init(&message, HG_CORRECT_USAGE);
  message.as.correct_usage.number = ++f->number;
  message.as.correct_usage.budget = budget;
  message.as.correct_usage.tokens = tokens;
  message.as.correct_usage.reason = hg_text_of("counted twice");
  hg_test_send(&f->tracker, HG_PORT_CLIENTS, ALICE, &message);
}

static inline void set_limit(struct fixture *f, uint32_t budget, int64_t tokens) {
  struct hg_message message;
  hg_message_init(&message, HG_SET_HARD_LIMIT);
  message.as.set_hard_limit.number = ++f->number;
  message.as.set_hard_limit.budget = budget;
  message.as.set_hard_limit.tokens = tokens;
  hg_test_send(&f->tracker, HG_PORT_CLIENTS, ALICE, &message);
}

static inline struct hg_usage_message usage_of(struct fixture *f, uint32_t budget) {
  commit_all(f);
  struct hg_message message;
  hg_peer peer;
  while (hg_test_take(&f->tracker, HG_PORT_CLIENTS, &peer, &message))
    ;
  hg_message_init(&message, HG_GET_USAGE);
  message.as.get_usage.request = 77;
  message.as.get_usage.budget = budget;
  hg_test_send(&f->tracker, HG_PORT_CLIENTS, BOB, &message);
  return hg_test_expect(&f->tracker, HG_PORT_CLIENTS, BOB, HG_USAGE).as.usage;
}

struct wish {
  uint64_t permit;
  uint32_t budget;
  int64_t min, max;
  uint64_t heard, parent;
  bool from_parent;
};

static inline void reserve(struct fixture *f, struct wish wish) {
  struct hg_message message;
  hg_message_init(&message, HG_RESERVE);
  message.as.reserve.permit = wish.permit;
  message.as.reserve.budget = wish.budget;
  message.as.reserve.min_tokens = wish.min;
  message.as.reserve.max_tokens = wish.max;
  message.as.reserve.heard = wish.heard;
  message.as.reserve.parent = wish.parent;
  message.as.reserve.from_parent = wish.from_parent;
  message.as.reserve.task_id = hg_text_of("a task");
  message.as.reserve.attempt = 1;
  hg_test_send(&f->tracker, HG_PORT_DECISIONS, 0, &message);
}

static inline struct hg_reserved_message reserved(struct fixture *f) {
  return hg_test_expect(&f->tracker, HG_PORT_DECISIONS, 0, HG_RESERVED).as.reserved;
}

static inline struct hg_reserved_message ask(struct fixture *f, struct wish wish) {
  reserve(f, wish);
  return reserved(f);
}

static inline void settle(struct fixture *f, uint64_t permit, int64_t tokens, uint32_t outcome, const char *reason) {
  struct hg_message message;
  hg_message_init(&message, HG_SETTLE);
  message.as.settle.permit = permit;
  message.as.settle.tokens = tokens;
  message.as.settle.outcome = outcome;
  message.as.settle.reason = hg_text_of(reason);
  message.as.settle.model = hg_text_of("some-model");
  message.as.settle.input_tokens = 3;
  hg_test_send(&f->tracker, HG_PORT_DECISIONS, 0, &message);
}

static inline void release(struct fixture *f, uint64_t permit, uint32_t outcome) {
  struct hg_message message;
  hg_message_init(&message, HG_RELEASE);
  message.as.release.permit = permit;
  message.as.release.outcome = outcome;
  hg_test_send(&f->tracker, HG_PORT_DECISIONS, 0, &message);
}

static inline hg_err closed(struct fixture *f, uint64_t permit) {
  const struct hg_message answer = hg_test_expect(&f->tracker, HG_PORT_DECISIONS, 0, HG_PERMIT_CLOSED);
  CHECK_EQ(answer.as.permit_closed.permit, permit);
  return (hg_err)answer.as.permit_closed.error;
}

static inline hg_err settled(struct fixture *f, uint64_t permit, int64_t tokens) {
  settle(f, permit, tokens, HG_OUTCOME_DONE, NULL);
  return closed(f, permit);
}

static inline void expect_throttled(struct fixture *f, uint32_t from, uint32_t percent) {
  const struct hg_message *event = next_event(f, HG_CONCURRENCY_THROTTLED);
  CHECK_EQ(event->as.concurrency_throttled.from_count, from);
  CHECK_EQ(event->as.concurrency_throttled.to_count, 1);
  CHECK_EQ(event->as.concurrency_throttled.usage_percent, percent);
}

static inline void expect_restored(struct fixture *f, uint32_t to, uint32_t percent) {
  const struct hg_message *event = next_event(f, HG_CONCURRENCY_RESTORED);
  CHECK_EQ(event->as.concurrency_restored.from_count, 1);
  CHECK_EQ(event->as.concurrency_restored.to_count, to);
  CHECK_EQ(event->as.concurrency_restored.usage_percent, percent);
}

#endif
