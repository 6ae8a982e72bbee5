// What the tests of the scheduler share: a scheduler alone, what clients say to it, and a tracker's answers by hand.
#ifndef HG_SCHEDULER_FIXTURE_H
#define HG_SCHEDULER_FIXTURE_H

#include "support/core_driver.h"
#include "support/test.h"

#define ALICE 11
#define BOB 12

struct fixture {
  struct hg_test_setup setup;
  struct hg_test_actor scheduler;
};

static inline void begin(struct fixture *f, uint32_t max_concurrency) {
  memset(f, 0, sizeof *f);
  hg_test_setup_init(&f->setup, 1000, max_concurrency);
}

static inline void start(struct fixture *f) {
  CHECK_EQ(hg_scheduler_new(&f->setup.config, &f->scheduler.actor), HG_OK);
  hg_test_flush(&f->scheduler);
}

static inline void end(struct fixture *f) {
  hg_test_actor_destroy(&f->scheduler);
}

static inline void at(struct fixture *f, int64_t monotonic_us) {
  f->scheduler.now.monotonic_us = monotonic_us;
}

// ------------------------------------------------------------------------------------------------- clients

struct wish {
  uint64_t request;
  uint32_t budget;
  int64_t min;
  uint64_t timeout_us, parent, lease_us;
  bool first_in_line, from_parent, waits, no_wait;
};

static inline void acquire_as(struct fixture *f, hg_peer peer, struct wish wish) {
  struct hg_message message;
  hg_message_init(&message, HG_ACQUIRE);
  message.as.acquire.request = wish.request;
  message.as.acquire.budget = wish.budget;
  message.as.acquire.min_tokens = message.as.acquire.max_tokens = wish.min ? wish.min : 10;
  message.as.acquire.task_id = hg_text_of("a task");
  message.as.acquire.timeout_us = wish.timeout_us;
  message.as.acquire.parent = wish.parent;
  message.as.acquire.from_parent = wish.from_parent;
  message.as.acquire.waits = wish.waits;
  message.as.acquire.no_wait = wish.no_wait;
  message.as.acquire.lease_us = wish.lease_us;
  message.as.acquire.first_in_line = wish.first_in_line;
  hg_test_send(&f->scheduler, HG_PORT_CLIENTS, peer, &message);
}

static inline void acquire(struct fixture *f, uint64_t request) {
  acquire_as(f, ALICE, (struct wish){.request = request});
}

static inline void cancel(struct fixture *f, uint64_t request) {
  struct hg_message message;
  hg_message_init(&message, HG_CANCEL);
  message.as.cancel.request = request;
  hg_test_send(&f->scheduler, HG_PORT_CLIENTS, ALICE, &message);
}

static inline void settle(struct fixture *f, hg_peer peer, uint64_t permit) {
  struct hg_message message;
  hg_message_init(&message, HG_SETTLE);
  message.as.settle.permit = permit;
  message.as.settle.tokens = 5;
  hg_test_send(&f->scheduler, HG_PORT_CLIENTS, peer, &message);
}

static inline void leave(struct fixture *f, hg_peer peer) {
  struct hg_message message;
  hg_message_init(&message, HG_LEAVE);
  hg_test_send(&f->scheduler, HG_PORT_CLIENTS, peer, &message);
}

static inline void expect_refused(struct fixture *f, hg_peer peer, uint64_t request, hg_err err) {
  const struct hg_message message = hg_test_expect(&f->scheduler, HG_PORT_CLIENTS, peer, HG_REFUSED);
  CHECK_EQ(message.as.refused.request, request);
  CHECK_EQ(message.as.refused.error, err);
}

static inline void expect_granted(struct fixture *f, hg_peer peer, uint64_t request) {
  const struct hg_message message = hg_test_expect(&f->scheduler, HG_PORT_CLIENTS, peer, HG_GRANTED);
  CHECK_EQ(message.as.granted.request, request);
}

static inline bool clients_hear_nothing(struct fixture *f) {
  return hg_test_is_silent(&f->scheduler, HG_PORT_CLIENTS);
}

// ------------------------------------------------------------------------------------------------- tracker

// The scheduler asks for this one next; `heard`: what it knew then.
static inline void expect_asked(struct fixture *f, uint64_t permit, uint64_t heard) {
  hg_test_flush(&f->scheduler);
  const struct hg_message message = hg_test_expect(&f->scheduler, HG_PORT_DECISIONS, 0, HG_RESERVE);
  CHECK_EQ(message.as.reserve.permit, permit);
  CHECK_EQ(message.as.reserve.heard, heard);
}

static inline bool asks_nothing(struct fixture *f) {
  hg_test_flush(&f->scheduler);
  return hg_test_is_silent(&f->scheduler, HG_PORT_DECISIONS);
}

static inline void answer(struct fixture *f, uint64_t permit, enum hg_verdict verdict, uint32_t budget, uint64_t seq) {
  struct hg_message message;
  hg_message_init(&message, HG_RESERVED);
  message.as.reserved.permit = permit;
  message.as.reserved.verdict = (uint32_t)verdict;
  message.as.reserved.budget = budget;
  message.as.reserved.tokens = 10;
  message.as.reserved.seq = seq;
  hg_test_send(&f->scheduler, HG_PORT_DECISIONS, 0, &message);
}

static inline void close_for(struct fixture *f, hg_peer asker, uint64_t permit, hg_err err, uint64_t seq) {
  struct hg_message message;
  hg_message_init(&message, HG_PERMIT_CLOSED);
  message.as.permit_closed.permit = permit;
  message.as.permit_closed.error = (uint32_t)err;
  message.as.permit_closed.seq = seq;
  message.as.permit_closed.asker = asker;
  hg_test_send(&f->scheduler, HG_PORT_DECISIONS, 0, &message);
}

static inline void close_permit(struct fixture *f, uint64_t permit, hg_err err, uint64_t seq) {
  close_for(f, 0, permit, err, seq);
}

static inline void expect_settled(struct fixture *f, hg_peer peer, uint64_t permit, hg_err err) {
  const struct hg_message message = hg_test_expect(&f->scheduler, HG_PORT_CLIENTS, peer, HG_SETTLED);
  CHECK_EQ(message.as.settled.permit, permit);
  CHECK_EQ(message.as.settled.error, err);
}

static inline void room(struct fixture *f, uint32_t budget) {
  struct hg_message message;
  hg_message_init(&message, HG_ROOM);
  message.as.room.budget = budget;
  hg_test_send(&f->scheduler, HG_PORT_DECISIONS, 0, &message);
}

static inline void cross(struct fixture *f, uint32_t budget, bool closed) {
  struct hg_message message;
  hg_message_init(&message, HG_CROSSED);
  message.as.crossed.budget = budget;
  message.as.crossed.closed = closed;
  hg_test_send(&f->scheduler, HG_PORT_DECISIONS, 0, &message);
}

static inline void commit(struct fixture *f, uint64_t seq) {
  struct hg_message message;
  hg_message_init(&message, HG_COMMITTED);
  message.as.committed.seq = seq;
  hg_test_send(&f->scheduler, HG_PORT_DECISIONS, 0, &message);
}

// A permit that is granted, durable and told.
static inline void run_task_of(struct fixture *f, hg_peer peer, uint64_t request) {
  acquire_as(f, peer, (struct wish){.request = request});
  expect_asked(f, request, 0);
  answer(f, request, HG_VERDICT_GRANTED, 0, 0);
  expect_granted(f, peer, request);
}

static inline void run_task(struct fixture *f, uint64_t request) {
  run_task_of(f, ALICE, request);
}

// Its client settles the permit, and the tracker says that it is closed.
static inline void finish_task(struct fixture *f, hg_peer peer, uint64_t permit) {
  settle(f, peer, permit);
  hg_test_expect(&f->scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE);
  close_permit(f, permit, HG_OK, 0);
  hg_test_expect(&f->scheduler, HG_PORT_CLIENTS, peer, HG_SETTLED);
}

#endif
