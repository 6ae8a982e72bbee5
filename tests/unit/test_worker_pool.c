// labels: budget
// The worker pool's core alone: permits meet threads, clients that leave, and the end.
#include "actors/worker.h"
#include "actors/worker_pool.h"
#include "support/core_driver.h"
#include "support/test.h"

#define ALICE 11
#define BOB 12
#define THREAD 21

struct fixture {
  struct hg_test_actor pool;
  int started, allowed; // threads
};

static bool start_thread(void *self) {
  struct fixture *f = self;
  if (f->started == f->allowed) return false;
  f->started++;
  return true;
}

static void begin(struct fixture *f, int allowed) {
  memset(f, 0, sizeof *f);
  f->allowed = allowed;
  CHECK_EQ(hg_worker_pool_new((struct hg_worker_source){f, start_thread}, &f->pool.actor), HG_OK);
  hg_test_flush(&f->pool);
}

static void end(struct fixture *f) {
  hg_test_actor_destroy(&f->pool);
}

static void run(struct fixture *f, hg_peer client, uint64_t request) {
  struct hg_message message;
  hg_message_init(&message, HG_RUN_FUNCTION);
  message.as.run_function.request = request;
  message.as.run_function.min_tokens = message.as.run_function.max_tokens = 10;
  message.as.run_function.attempt = 3;
  message.as.run_function.function = 77;
  hg_test_send(&f->pool, HG_PORT_RUNS, client, &message);
}

static void ask(struct fixture *f, hg_peer client, uint64_t request) {
  run(f, client, request);
  CHECK_EQ(hg_test_expect(&f->pool, HG_PORT_SCHEDULER, 0, HG_ACQUIRE).as.acquire.request, request);
}

static void grant(struct fixture *f, uint64_t request) {
  struct hg_message message;
  hg_message_init(&message, HG_GRANTED);
  message.as.granted.request = request;
  message.as.granted.tokens = 10;
  hg_test_send(&f->pool, HG_PORT_SCHEDULER, 0, &message);
  hg_test_flush(&f->pool);
}

static void refuse(struct fixture *f, uint64_t request, hg_err err) {
  struct hg_message message;
  hg_message_init(&message, HG_REFUSED);
  message.as.refused.request = request;
  message.as.refused.error = (uint32_t)err;
  hg_test_send(&f->pool, HG_PORT_SCHEDULER, 0, &message);
  hg_test_flush(&f->pool);
}

static void settled(struct fixture *f, uint64_t permit) {
  struct hg_message message;
  hg_message_init(&message, HG_SETTLED);
  message.as.settled.permit = permit;
  hg_test_send(&f->pool, HG_PORT_SCHEDULER, 0, &message);
  hg_test_flush(&f->pool);
}

static void thread_is_there(struct fixture *f, hg_peer thread) {
  struct hg_message message;
  hg_message_init(&message, HG_GET_QUEUE);
  hg_test_send(&f->pool, HG_PORT_WORKERS, thread, &message);
  hg_test_flush(&f->pool);
}

static void expect_work(struct fixture *f, hg_peer thread, uint64_t request) {
  const struct hg_message work = hg_test_expect(&f->pool, HG_PORT_WORKERS, thread, HG_RUN_FUNCTION);
  CHECK_EQ(work.as.run_function.request, request);
  CHECK_EQ(work.as.run_function.attempt, 3);
}

static void function_returns(struct fixture *f, hg_peer thread, uint64_t request, hg_err err) {
  struct hg_message message;
  hg_message_init(&message, HG_FUNCTION_RAN);
  message.as.function_ran.request = request;
  message.as.function_ran.error = (uint32_t)err;
  hg_test_send(&f->pool, HG_PORT_WORKERS, thread, &message);
  hg_message_init(&message, HG_SETTLE);
  message.as.settle.permit = request;
  message.as.settle.tokens = 4;
  hg_test_send(&f->pool, HG_PORT_WORKERS, thread, &message);
  hg_test_flush(&f->pool);
  CHECK_EQ(hg_test_expect(&f->pool, HG_PORT_SCHEDULER, 0, HG_SETTLE).as.settle.permit, request);
}

static void expect_ran(struct fixture *f, hg_peer client, uint64_t request, hg_err err, int64_t tokens) {
  const struct hg_message ran = hg_test_expect(&f->pool, HG_PORT_RUNS, client, HG_FUNCTION_RAN);
  CHECK_EQ(ran.as.function_ran.request, request);
  CHECK_EQ(ran.as.function_ran.error, err);
  CHECK_EQ(ran.as.function_ran.tokens, tokens);
}

static void leave(struct fixture *f, hg_peer client) {
  struct hg_message message;
  hg_message_init(&message, HG_LEAVE);
  hg_test_send(&f->pool, HG_PORT_RUNS, client, &message);
  hg_test_flush(&f->pool);
}

static void stop(struct fixture *f, bool now) {
  struct hg_message message;
  hg_message_init(&message, HG_STOP);
  message.as.stop.now = now;
  hg_test_send(&f->pool, HG_PORT_LIFE, 0, &message);
  hg_test_flush(&f->pool);
}

TEST(worker_pool, a_client_hears_of_its_function_when_its_usage_is_durable) {
  struct fixture f;
  begin(&f, 0);
  thread_is_there(&f, THREAD);
  ask(&f, ALICE, 1);
  CHECK(hg_test_is_silent(&f.pool, HG_PORT_WORKERS));
  grant(&f, 1);
  expect_work(&f, THREAD, 1);
  function_returns(&f, THREAD, 1, HG_ERR_SYSTEM);
  CHECK(hg_test_is_silent(&f.pool, HG_PORT_RUNS));
  settled(&f, 1);
  expect_ran(&f, ALICE, 1, HG_ERR_SYSTEM, 4);
  ask(&f, BOB, 2);
  refuse(&f, 2, HG_ERR_BUDGET_EXHAUSTED);
  expect_ran(&f, BOB, 2, HG_ERR_BUDGET_EXHAUSTED, 0);
  end(&f);
}

TEST(worker_pool, a_permit_without_a_thread_starts_one) {
  struct fixture f;
  begin(&f, 2);
  thread_is_there(&f, THREAD);
  for (uint64_t request = 1; request <= 4; request++)
    ask(&f, ALICE, request);
  CHECK_EQ(f.started, 0);
  grant(&f, 1);
  expect_work(&f, THREAD, 1);
  CHECK_EQ(f.started, 0);
  grant(&f, 2);
  CHECK_EQ(f.started, 1);
  grant(&f, 3);
  grant(&f, 4); // no third thread: this one waits
  CHECK_EQ(f.started, 2);
  thread_is_there(&f, THREAD + 1);
  expect_work(&f, THREAD + 1, 2);
  thread_is_there(&f, THREAD + 2);
  expect_work(&f, THREAD + 2, 3);
  f.allowed = 3;
  function_returns(&f, THREAD, 1, HG_OK);
  expect_work(&f, THREAD, 4);
  CHECK_EQ(f.started, 2);
  end(&f);
}

TEST(worker_pool, a_client_that_leaves_takes_back_what_has_not_begun) {
  struct fixture f;
  begin(&f, 0);
  thread_is_there(&f, THREAD);
  for (uint64_t request = 1; request <= 3; request++)
    ask(&f, ALICE, request);
  ask(&f, BOB, 4);
  grant(&f, 1);
  expect_work(&f, THREAD, 1);
  grant(&f, 2);
  grant(&f, 4);
  leave(&f, ALICE);
  for (int i = 0; i < 2; i++) { // in any order
    struct hg_message message;
    hg_peer peer;
    CHECK(hg_test_take(&f.pool, HG_PORT_SCHEDULER, &peer, &message));
    if (message.kind == HG_CANCEL) CHECK_EQ(message.as.cancel.request, 3);
    else CHECK(message.kind == HG_RELEASE && message.as.release.permit == 2);
  }
  settled(&f, 2);
  grant(&f, 3); // it had crossed the cancel
  CHECK_EQ(hg_test_expect(&f.pool, HG_PORT_SCHEDULER, 0, HG_RELEASE).as.release.permit, 3);
  settled(&f, 3);
  function_returns(&f, THREAD, 1, HG_OK);
  expect_work(&f, THREAD, 4);
  settled(&f, 1);
  CHECK(hg_test_is_silent(&f.pool, HG_PORT_RUNS)); // nobody is there to hear
  function_returns(&f, THREAD, 4, HG_OK);
  settled(&f, 4);
  expect_ran(&f, BOB, 4, HG_OK, 4);
  end(&f);
}

TEST(worker_pool, it_ends_when_the_last_function_was_told_of) {
  struct fixture f;
  begin(&f, 0);
  thread_is_there(&f, THREAD);
  ask(&f, ALICE, 1);
  ask(&f, ALICE, 2);
  grant(&f, 1);
  expect_work(&f, THREAD, 1);
  stop(&f, false);
  run(&f, BOB, 3);
  expect_ran(&f, BOB, 3, HG_ERR_CLOSED, 0);
  refuse(&f, 2, HG_ERR_CLOSED);
  expect_ran(&f, ALICE, 2, HG_ERR_CLOSED, 0);
  CHECK_EQ(f.pool.wake, HG_NEVER); // a function runs as long as it likes
  function_returns(&f, THREAD, 1, HG_OK);
  CHECK(!f.pool.finished);
  settled(&f, 1);
  expect_ran(&f, ALICE, 1, HG_OK, 4);
  CHECK(f.pool.finished);
  hg_test_expect(&f.pool, HG_PORT_LIFE, 0, HG_STOPPED);
  end(&f);
}

TEST(worker_pool, answers_that_do_not_come_are_not_waited_for_without_end) {
  struct fixture f;
  begin(&f, 0);
  thread_is_there(&f, THREAD);
  ask(&f, ALICE, 1);
  ask(&f, ALICE, 2);
  grant(&f, 1);
  stop(&f, false);
  f.pool.now.monotonic_us += INT64_C(1000000000);
  hg_test_flush(&f.pool);
  CHECK(!f.pool.finished);
  function_returns(&f, THREAD, 1, HG_OK);
  CHECK(f.pool.wake > f.pool.now.monotonic_us && f.pool.wake < HG_NEVER);
  CHECK(!f.pool.finished);
  f.pool.now.monotonic_us = f.pool.wake;
  hg_test_flush(&f.pool);
  CHECK(f.pool.finished);
  end(&f);
}
