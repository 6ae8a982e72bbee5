// labels: budget
// The scheduler when the persister has given up: nobody waits any more, nobody is told what is not so.
#include "scheduler_fixture.h"

static void give_up(struct fixture *f, uint64_t durable) {
  struct hg_message message;
  hg_message_init(&message, HG_COMMITTED);
  message.as.committed.seq = durable;
  message.as.committed.given_up = true;
  hg_test_send(&f->scheduler, HG_PORT_DECISIONS, 0, &message);
}

static void ask_queue(struct fixture *f) {
  struct hg_message message;
  hg_message_init(&message, HG_GET_QUEUE);
  message.as.get_queue.request = 9;
  hg_test_send(&f->scheduler, HG_PORT_CLIENTS, BOB, &message);
}

TEST(scheduler_store, all_that_waits_hears_that_the_outcome_is_unknown) {
  struct fixture f;
  begin(&f, 3);
  start(&f);
  run_task(&f, 1);
  acquire(&f, 2);
  expect_asked(&f, 2, 0);
  answer(&f, 2, HG_VERDICT_GRANTED, 0, 4); // not durable
  settle(&f, ALICE, 1);
  hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE);
  close_permit(&f, 1, HG_OK, 6); // not durable
  acquire(&f, 3);
  expect_asked(&f, 3, 0); // in flight
  ask_queue(&f);
  acquire(&f, 4);
  expect_asked(&f, 4, 0);
  acquire(&f, 5); // in line
  CHECK(asks_nothing(&f));
  give_up(&f, 3);
  expect_refused(&f, ALICE, 2, HG_ERR_STORE);
  expect_settled(&f, ALICE, 1, HG_ERR_STORE);
  CHECK_EQ(hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, BOB, HG_QUEUE).as.queue.error, HG_ERR_STORE);
  expect_refused(&f, ALICE, 5, HG_ERR_STORE);
  answer(&f, 3, HG_VERDICT_REFUSED, 0, 0);
  answer(&f, 4, HG_VERDICT_REFUSED, 0, 0);
  expect_refused(&f, ALICE, 3, HG_ERR_STORE);
  expect_refused(&f, ALICE, 4, HG_ERR_STORE);
  CHECK(asks_nothing(&f));
  CHECK(clients_hear_nothing(&f)); // each was answered once
  end(&f);
}

TEST(scheduler_store, all_that_comes_hears_it_at_once_and_the_tracker_is_left_alone) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  run_task(&f, 1);
  acquire_as(&f, ALICE, (struct wish){.request = 2, .lease_us = 1000000});
  expect_asked(&f, 2, 0);
  answer(&f, 2, HG_VERDICT_GRANTED, 0, 0);
  expect_granted(&f, ALICE, 2);
  settle(&f, ALICE, 1);
  hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE);
  give_up(&f, 0);
  close_permit(&f, 1, HG_ERR_STORE, 0);
  expect_settled(&f, ALICE, 1, HG_ERR_STORE);
  acquire(&f, 3);
  expect_refused(&f, ALICE, 3, HG_ERR_STORE);
  settle(&f, ALICE, 1);
  expect_settled(&f, ALICE, 1, HG_ERR_STORE);
  ask_queue(&f);
  CHECK_EQ(hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, BOB, HG_QUEUE).as.queue.error, HG_ERR_STORE);
  struct hg_message message;
  hg_message_init(&message, HG_SET_MAX_CONCURRENCY);
  message.as.set_max_concurrency.count = 3;
  hg_test_send(&f.scheduler, HG_PORT_CLIENTS, BOB, &message);
  CHECK_EQ(hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, BOB, HG_DONE).as.done.error, HG_ERR_STORE);
  hg_message_init(&message, HG_RENEW);
  message.as.renew.permit = 2;
  hg_test_send(&f.scheduler, HG_PORT_CLIENTS, BOB, &message);
  CHECK_EQ(hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, BOB, HG_DONE).as.done.error, HG_ERR_STORE);
  at(&f, 2000000);
  leave(&f, ALICE);
  CHECK(asks_nothing(&f));
  hg_message_init(&message, HG_DRAIN);
  message.as.drain.timeout_us = 60000000;
  hg_test_send(&f.scheduler, HG_PORT_LIFE, 0, &message);
  hg_test_flush(&f.scheduler);
  hg_test_expect(&f.scheduler, HG_PORT_LIFE, 0, HG_DRAINED); // no permit can be closed any more
  hg_message_init(&message, HG_STOP);
  hg_test_send(&f.scheduler, HG_PORT_LIFE, 0, &message);
  hg_test_flush(&f.scheduler);
  CHECK(f.scheduler.finished);
  end(&f);
}

TEST(scheduler_store, a_change_and_a_list_that_wait_for_their_commit_are_lost_too) {
  struct fixture f;
  struct hg_message message;
  begin(&f, 3);
  start(&f);
  hg_message_init(&message, HG_SET_MAX_CONCURRENCY);
  message.as.set_max_concurrency.request = 7;
  message.as.set_max_concurrency.count = 5;
  hg_test_send(&f.scheduler, HG_PORT_CLIENTS, BOB, &message);
  hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_MAX_CONCURRENCY);
  hg_message_init(&message, HG_MAX_CONCURRENCY_NOTED);
  message.as.max_concurrency_noted.seq = 4; // not durable
  hg_test_send(&f.scheduler, HG_PORT_DECISIONS, 0, &message);
  hg_message_init(&message, HG_GET_WAITING);
  message.as.get_waiting.request = 8;
  hg_test_send(&f.scheduler, HG_PORT_CLIENTS, BOB, &message);
  CHECK(clients_hear_nothing(&f));
  give_up(&f, 3);
  const struct hg_message done = hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, BOB, HG_DONE);
  CHECK_EQ(done.as.done.request, 7);
  CHECK_EQ(done.as.done.error, HG_ERR_STORE);
  const struct hg_message waiting = hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, BOB, HG_WAITING);
  CHECK_EQ(waiting.as.waiting.request, 8);
  CHECK_EQ(waiting.as.waiting.error, HG_ERR_STORE);
  end(&f);
}
