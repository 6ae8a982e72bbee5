// labels: budget
// The scheduler's core alone: who asks next, what clients hear and when, how it ends.
#include "scheduler_fixture.h"

TEST(scheduler, asks_in_order_while_a_slot_is_free) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  for (uint64_t request = 1; request <= 4; request++)
    acquire(&f, request);
  expect_asked(&f, 1, 0);
  expect_asked(&f, 2, 0);
  CHECK(asks_nothing(&f)); // requests in flight hold slots
  answer(&f, 1, HG_VERDICT_GRANTED, 0, 3);
  answer(&f, 2, HG_VERDICT_GRANTED, 0, 5);
  CHECK(asks_nothing(&f));
  settle(&f, ALICE, 1);
  hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE);
  CHECK(asks_nothing(&f)); // only the tracker's answer frees the slot
  close_permit(&f, 1, HG_OK, 7);
  expect_asked(&f, 3, 0);
  CHECK(asks_nothing(&f));
  end(&f);
}

TEST(scheduler, nothing_leaves_before_its_commit) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  acquire(&f, 1);
  acquire(&f, 2);
  expect_asked(&f, 1, 0);
  expect_asked(&f, 2, 0);
  answer(&f, 1, HG_VERDICT_GRANTED, 0, 3);
  answer(&f, 2, HG_VERDICT_NEVER, 3, 4);
  settle(&f, BOB, 1); // any client may settle a permit
  hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE);
  close_permit(&f, 1, HG_OK, 6);
  CHECK(clients_hear_nothing(&f));
  commit(&f, 2);
  CHECK(clients_hear_nothing(&f));
  commit(&f, 3);
  expect_granted(&f, ALICE, 1);
  CHECK(clients_hear_nothing(&f));
  commit(&f, 6);
  const struct hg_message refused = hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, ALICE, HG_REFUSED);
  CHECK_EQ(refused.as.refused.error, HG_ERR_BUDGET_EXHAUSTED);
  CHECK_EQ(refused.as.refused.left, 10);
  CHECK_EQ(refused.as.refused.budget, 3);
  CHECK_EQ(hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, BOB, HG_SETTLED).as.settled.permit, 1);
  end(&f);
}

TEST(scheduler, a_short_budget_blocks_its_path_only) {
  struct fixture f;
  begin(&f, 8);
  const uint32_t a = hg_test_setup_budget(&f.setup, "a", 0, 100);
  const uint32_t b = hg_test_setup_budget(&f.setup, "b", 0, 100);
  const uint32_t below = hg_test_setup_budget(&f.setup, "below", a, 100);
  start(&f);
  acquire_as(&f, ALICE, (struct wish){.request = 1, .budget = below});
  expect_asked(&f, 1, 0);
  answer(&f, 1, HG_VERDICT_WAIT, a, 0);
  acquire_as(&f, ALICE, (struct wish){.request = 2, .budget = a});
  acquire_as(&f, ALICE, (struct wish){.request = 3, .budget = below});
  acquire_as(&f, ALICE, (struct wish){.request = 4, .budget = b});
  acquire_as(&f, ALICE, (struct wish){.request = 5, .budget = 0});
  expect_asked(&f, 4, 1);
  expect_asked(&f, 5, 1);
  CHECK(asks_nothing(&f));
  room(&f, a);
  for (uint64_t request = 1; request <= 3; request++)
    expect_asked(&f, request, 1); // 4 and 5 were asked after it: no need to wait for them
  CHECK(asks_nothing(&f));
  end(&f);
}

TEST(scheduler, those_in_flight_come_back_before_anyone_asks_again) {
  struct fixture f;
  begin(&f, 3);
  start(&f);
  for (uint64_t request = 1; request <= 5; request++)
    acquire(&f, request);
  for (uint64_t request = 1; request <= 3; request++)
    expect_asked(&f, request, 0);
  answer(&f, 1, HG_VERDICT_WAIT, 0, 0);
  room(&f, 0);
  CHECK(asks_nothing(&f)); // 2 and 3 are on their way back, and go before 4
  answer(&f, 2, HG_VERDICT_BEHIND, 0, 0);
  CHECK(asks_nothing(&f));
  answer(&f, 3, HG_VERDICT_BEHIND, 0, 0);
  for (uint64_t request = 1; request <= 3; request++)
    expect_asked(&f, request, 1);
  CHECK(asks_nothing(&f));
  end(&f);
}

TEST(scheduler, a_retry_goes_before_all_that_wait) {
  struct fixture f;
  begin(&f, 1);
  const uint32_t a = hg_test_setup_budget(&f.setup, "a", 0, 100);
  start(&f);
  run_task(&f, 1);
  acquire_as(&f, ALICE, (struct wish){.request = 2, .budget = a});
  acquire(&f, 3);
  acquire_as(&f, ALICE, (struct wish){.request = 4, .first_in_line = true});
  static const uint64_t order[] = {1, 4, 2, 3};
  for (size_t i = 0; i < 3; i++) {
    settle(&f, ALICE, order[i]);
    hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE);
    close_permit(&f, order[i], HG_OK, 0);
    expect_asked(&f, order[i + 1], 0);
    answer(&f, order[i + 1], HG_VERDICT_GRANTED, 0, 0);
  }
  end(&f);
}

TEST(scheduler, cancels_by_state) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  run_task(&f, 1);
  acquire(&f, 2);
  expect_asked(&f, 2, 0);
  acquire(&f, 3);
  cancel(&f, 1); // runs: nothing
  cancel(&f, 9); // unknown: nothing
  cancel(&f, 2); // asked: answered when the tracker has
  CHECK(clients_hear_nothing(&f));
  cancel(&f, 3);
  expect_refused(&f, ALICE, 3, HG_ERR_CANCELLED);
  answer(&f, 2, HG_VERDICT_GRANTED, 0, 8);
  const struct hg_message release = hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_RELEASE);
  CHECK_EQ(release.as.release.permit, 2);
  CHECK_EQ(release.as.release.outcome, HG_OUTCOME_FAILED);
  CHECK(hg_text_equal(release.as.release.reason, hg_text_of("cancelled")));
  expect_refused(&f, ALICE, 2, HG_ERR_CANCELLED);
  acquire(&f, 4);
  CHECK(asks_nothing(&f)); // the slot is not free yet
  close_permit(&f, 2, HG_OK, 9);
  expect_asked(&f, 4, 0);
  commit(&f, 9);
  CHECK(clients_hear_nothing(&f));
  end(&f);
}

static void give_up(struct fixture *f, hg_peer peer, uint64_t request) {
  struct hg_message message;
  hg_message_init(&message, HG_CANCEL);
  message.as.cancel.request = request;
  message.as.cancel.give_back = true;
  hg_test_send(&f->scheduler, HG_PORT_CLIENTS, peer, &message);
}

TEST(scheduler, a_client_that_gave_up_need_not_take_its_grant) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  acquire(&f, 1);
  acquire(&f, 2);
  expect_asked(&f, 1, 0);
  expect_asked(&f, 2, 0);
  answer(&f, 1, HG_VERDICT_GRANTED, 0, 0);
  expect_granted(&f, ALICE, 1);
  answer(&f, 2, HG_VERDICT_GRANTED, 0, 8); // not told yet
  give_up(&f, BOB, 1);                     // not his
  CHECK(hg_test_is_silent(&f.scheduler, HG_PORT_DECISIONS));
  for (uint64_t request = 1; request <= 2; request++) {
    give_up(&f, ALICE, request);
    give_up(&f, ALICE, request);
    CHECK_EQ(hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_RELEASE).as.release.permit, request);
    CHECK(hg_test_is_silent(&f.scheduler, HG_PORT_DECISIONS));
  }
  CHECK(clients_hear_nothing(&f));
  acquire(&f, 3);
  CHECK(asks_nothing(&f));
  close_permit(&f, 1, HG_OK, 0);
  expect_asked(&f, 3, 0);
  give_up(&f, ALICE, 3); // asked: as any cancel
  answer(&f, 3, HG_VERDICT_WAIT, 0, 0);
  commit(&f, 8);
  expect_granted(&f, ALICE, 2); // answered once all the same
  expect_refused(&f, ALICE, 3, HG_ERR_CANCELLED);
  end(&f);
}

TEST(scheduler, who_does_not_wait_for_tokens_is_refused_and_lets_others_ask) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  acquire_as(&f, ALICE, (struct wish){.request = 1, .no_wait = true});
  acquire(&f, 2);
  acquire_as(&f, ALICE, (struct wish){.request = 3, .no_wait = true}); // waits for a slot
  expect_asked(&f, 1, 0);
  expect_asked(&f, 2, 0);
  CHECK(asks_nothing(&f));
  answer(&f, 1, HG_VERDICT_WAIT, 0, 0);
  answer(&f, 2, HG_VERDICT_BEHIND, 0, 0);
  expect_refused(&f, ALICE, 1, HG_ERR_TIMEOUT);
  expect_asked(&f, 2, 1);
  expect_asked(&f, 3, 1);
  answer(&f, 2, HG_VERDICT_GRANTED, 0, 0);
  expect_granted(&f, ALICE, 2);
  answer(&f, 3, HG_VERDICT_THROTTLED, 0, 0); // a slot that it waits for
  CHECK(clients_hear_nothing(&f));
  room(&f, 0);
  expect_asked(&f, 3, 2);
  answer(&f, 3, HG_VERDICT_NEVER, 0, 0);
  expect_refused(&f, ALICE, 3, HG_ERR_BUDGET_EXHAUSTED);
  end(&f);
}

TEST(scheduler, when_the_one_it_is_blocked_by_goes_others_may_ask) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  acquire_as(&f, ALICE, (struct wish){.request = 1, .timeout_us = 100});
  acquire(&f, 2);
  expect_asked(&f, 1, 0);
  expect_asked(&f, 2, 0);
  answer(&f, 1, HG_VERDICT_WAIT, 0, 0);
  answer(&f, 2, HG_VERDICT_BEHIND, 0, 0);
  CHECK(asks_nothing(&f));
  CHECK_EQ(f.scheduler.wake, 100);
  at(&f, 99);
  CHECK(asks_nothing(&f));
  at(&f, 100);
  expect_asked(&f, 2, 1);
  expect_refused(&f, ALICE, 1, HG_ERR_TIMEOUT);
  CHECK_EQ(f.scheduler.wake, HG_NEVER);
  answer(&f, 2, HG_VERDICT_WAIT, 0, 0);
  acquire(&f, 3);
  CHECK(asks_nothing(&f));
  cancel(&f, 2);
  expect_asked(&f, 3, 2);
  cancel(&f, 3);
  acquire(&f, 4);
  answer(&f, 3, HG_VERDICT_WAIT, 0, 0); // the one that would wait is not wanted any more
  expect_refused(&f, ALICE, 2, HG_ERR_CANCELLED);
  expect_refused(&f, ALICE, 3, HG_ERR_CANCELLED);
  expect_asked(&f, 4, 3);
  end(&f);
}

TEST(scheduler, a_repeated_acquire_is_no_second_one) {
  struct fixture f;
  begin(&f, 1);
  start(&f);
  acquire(&f, 1);
  acquire(&f, 1);
  expect_asked(&f, 1, 0);
  acquire(&f, 1);
  CHECK(asks_nothing(&f));
  answer(&f, 1, HG_VERDICT_GRANTED, 0, 2);
  acquire(&f, 1);
  acquire_as(&f, BOB, (struct wish){.request = 1});
  expect_refused(&f, BOB, 1, HG_ERR_CONFLICT);
  CHECK(clients_hear_nothing(&f));
  commit(&f, 2);
  expect_granted(&f, ALICE, 1);
  expect_granted(&f, ALICE, 1);
  end(&f);
}

TEST(scheduler, a_client_that_leaves_takes_its_requests_along) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  run_task(&f, 1);
  acquire(&f, 2);
  acquire(&f, 3);
  acquire_as(&f, BOB, (struct wish){.request = 4});
  expect_asked(&f, 2, 0);
  leave(&f, ALICE);
  CHECK_EQ(hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_ABANDON).as.abandon.permit, 1);
  answer(&f, 2, HG_VERDICT_GRANTED, 0, 0);
  CHECK_EQ(hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_RELEASE).as.release.permit, 2);
  CHECK(asks_nothing(&f));
  close_permit(&f, 1, HG_OK, 0);
  expect_asked(&f, 4, 0); // 3 is gone
  close_permit(&f, 2, HG_OK, 0);
  CHECK(asks_nothing(&f));
  CHECK(clients_hear_nothing(&f));
  end(&f);
}

static struct hg_queue_message queue_of(struct fixture *f) {
  struct hg_message message;
  hg_message_init(&message, HG_GET_QUEUE);
  message.as.get_queue.request = 9;
  hg_test_send(&f->scheduler, HG_PORT_CLIENTS, BOB, &message);
  return hg_test_expect(&f->scheduler, HG_PORT_CLIENTS, BOB, HG_QUEUE).as.queue;
}

static void set_max(struct fixture *f, uint64_t request, uint32_t count) {
  struct hg_message message;
  hg_message_init(&message, HG_SET_MAX_CONCURRENCY);
  message.as.set_max_concurrency.request = request;
  message.as.set_max_concurrency.count = count;
  hg_test_send(&f->scheduler, HG_PORT_CLIENTS, BOB, &message);
}

TEST(scheduler, four_become_one_under_the_throttle_and_four_again) {
  struct fixture f;
  begin(&f, 4);
  start(&f);
  run_task(&f, 1);
  acquire_as(&f, ALICE, (struct wish){.request = 2, .min = 30});
  cross(&f, 0, true);
  CHECK(asks_nothing(&f));
  struct hg_queue_message queue = queue_of(&f);
  CHECK_EQ(queue.max_concurrency, 4);
  CHECK_EQ(queue.effective_concurrency, 1);
  CHECK_EQ(queue.running, 1);
  CHECK_EQ(queue.waiting, 1);
  CHECK_EQ(queue.needed, 30);
  CHECK(!queue.blocked);
  cross(&f, 0, false);
  expect_asked(&f, 2, 0);
  CHECK_EQ(queue_of(&f).effective_concurrency, 4);
  answer(&f, 2, HG_VERDICT_THROTTLED, 0, 0);
  queue = queue_of(&f);
  CHECK(queue.blocked);
  CHECK(queue.throttled);
  CHECK_EQ(queue.budget, 0);
  CHECK_EQ(queue.needed, 30);
  end(&f);
}

TEST(scheduler, a_new_maximum_is_done_when_it_is_durable) {
  struct fixture f;
  begin(&f, 1);
  start(&f);
  set_max(&f, 1, 0);
  CHECK_EQ(hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, BOB, HG_DONE).as.done.error, HG_ERR_RANGE);
  set_max(&f, 2, HG_CONCURRENCY_MAX + 1);
  CHECK_EQ(hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, BOB, HG_DONE).as.done.error, HG_ERR_RANGE);
  acquire(&f, 1);
  acquire(&f, 2);
  expect_asked(&f, 1, 0);
  set_max(&f, 3, 2);
  CHECK_EQ(hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_MAX_CONCURRENCY).as.max_concurrency.count, 2);
  expect_asked(&f, 2, 0);
  answer(&f, 1, HG_VERDICT_GRANTED, 0, 0);
  struct hg_message noted;
  hg_message_init(&noted, HG_MAX_CONCURRENCY_NOTED);
  noted.as.max_concurrency_noted.seq = 4;
  hg_test_send(&f.scheduler, HG_PORT_DECISIONS, 0, &noted);
  answer(&f, 2, HG_VERDICT_GRANTED, 0, 5);
  expect_granted(&f, ALICE, 1);
  CHECK(clients_hear_nothing(&f));
  commit(&f, 4);
  const struct hg_message done = hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, BOB, HG_DONE);
  CHECK_EQ(done.as.done.request, 3);
  CHECK_EQ(done.as.done.error, HG_OK);
  set_max(&f, 4, 1); // two run: neither is stopped, and nothing starts until both are done
  acquire(&f, 3);
  hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_MAX_CONCURRENCY);
  hg_test_send(&f.scheduler, HG_PORT_DECISIONS, 0, &noted);
  settle(&f, ALICE, 1);
  hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE);
  close_permit(&f, 1, HG_OK, 6);
  CHECK(asks_nothing(&f));
  end(&f);
}

// What the tracker has to look up does not hold up what it knows.
TEST(scheduler, ends_of_permits_without_a_task_are_answered_out_of_line) {
  struct fixture f;
  begin(&f, 1);
  start(&f);
  acquire(&f, 1);
  expect_asked(&f, 1, 0);
  answer(&f, 1, HG_VERDICT_GRANTED, 0, 0);
  expect_granted(&f, ALICE, 1);
  settle(&f, BOB, 70);
  settle(&f, ALICE, 1);
  settle(&f, ALICE, 71);
  CHECK_EQ(hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE).as.settle.asker, BOB);
  CHECK_EQ(hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE).as.settle.asker, 0);
  CHECK_EQ(hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE).as.settle.asker, ALICE);
  close_permit(&f, 1, HG_OK, 0);
  expect_settled(&f, ALICE, 1, HG_OK);
  close_for(&f, ALICE, 71, HG_ERR_CONFLICT, 0);
  expect_settled(&f, ALICE, 71, HG_ERR_CONFLICT);
  close_for(&f, BOB, 70, HG_OK, 9);
  CHECK(clients_hear_nothing(&f)); // not durable yet
  commit(&f, 9);
  expect_settled(&f, BOB, 70, HG_OK);
  end(&f);
}

TEST(scheduler, refuses_bad_and_too_many_requests) {
  struct fixture f;
  begin(&f, 1);
  start(&f);
  acquire_as(&f, ALICE, (struct wish){.request = 0});
  expect_refused(&f, ALICE, 0, HG_ERR_INVALID);
  acquire_as(&f, ALICE, (struct wish){.request = 1, .budget = 7});
  expect_refused(&f, ALICE, 1, HG_ERR_UNKNOWN_BUDGET);
  struct hg_envelope in = {.port = HG_PORT_CLIENTS, .peer = ALICE};
  hg_message_init(&in.message, HG_ACQUIRE);
  in.message.as.acquire.min_tokens = in.message.as.acquire.max_tokens = 1;
  for (uint64_t request = 1; request <= HG_QUEUE_MAX; request++) {
    in.message.as.acquire.request = request;
    f.scheduler.actor.receive(f.scheduler.actor.self, f.scheduler.now, &in, &f.scheduler.out);
  }
  CHECK(clients_hear_nothing(&f));
  acquire(&f, HG_QUEUE_MAX + 1);
  expect_refused(&f, ALICE, HG_QUEUE_MAX + 1, HG_ERR_BUSY);
  expect_asked(&f, 1, 0);
  acquire(&f, HG_QUEUE_MAX + 1);
  CHECK(clients_hear_nothing(&f));
  end(&f);
}

static void drain(struct fixture *f, uint64_t timeout_us) {
  struct hg_message message;
  hg_message_init(&message, HG_DRAIN);
  message.as.drain.timeout_us = timeout_us;
  hg_test_send(&f->scheduler, HG_PORT_LIFE, 0, &message);
  hg_test_flush(&f->scheduler);
}

TEST(scheduler, drains_until_permits_are_closed_or_the_time_is_over) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  run_task(&f, 1);
  acquire(&f, 2);
  expect_asked(&f, 2, 0);
  acquire(&f, 3);
  drain(&f, 1000);
  expect_refused(&f, ALICE, 3, HG_ERR_CLOSED);
  acquire(&f, 4);
  expect_refused(&f, ALICE, 4, HG_ERR_CLOSED);
  answer(&f, 2, HG_VERDICT_WAIT, 0, 0);
  expect_refused(&f, ALICE, 2, HG_ERR_CLOSED);
  settle(&f, ALICE, 1);
  hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE);
  close_permit(&f, 1, HG_OK, 5);
  CHECK(asks_nothing(&f));
  CHECK(hg_test_is_silent(&f.scheduler, HG_PORT_LIFE)); // the client has not heard yet
  commit(&f, 5);
  hg_test_flush(&f.scheduler);
  hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, ALICE, HG_SETTLED);
  CHECK_EQ(hg_test_expect(&f.scheduler, HG_PORT_LIFE, 0, HG_DRAINED).as.drained.open_permits, 0);
  end(&f);

  begin(&f, 2);
  start(&f);
  run_task(&f, 1);
  drain(&f, 1000);
  CHECK_EQ(f.scheduler.wake, 1000);
  at(&f, 1000);
  hg_test_flush(&f.scheduler);
  CHECK_EQ(hg_test_expect(&f.scheduler, HG_PORT_LIFE, 0, HG_DRAINED).as.drained.open_permits, 1);
  end(&f);
}

TEST(scheduler, stops_when_held_answers_have_left_or_at_once) {
  for (int now = 0; now <= 1; now++) {
    struct fixture f;
    begin(&f, 2);
    start(&f);
    acquire(&f, 1);
    expect_asked(&f, 1, 0);
    answer(&f, 1, HG_VERDICT_GRANTED, 0, 3);
    struct hg_message stop;
    hg_message_init(&stop, HG_STOP);
    stop.as.stop.now = now;
    hg_test_send(&f.scheduler, HG_PORT_LIFE, 0, &stop);
    hg_test_flush(&f.scheduler);
    CHECK_EQ(f.scheduler.finished, now);
    commit(&f, 3);
    hg_test_flush(&f.scheduler);
    CHECK(f.scheduler.finished);
    hg_test_expect(&f.scheduler, HG_PORT_LIFE, 0, HG_STOPPED);
    expect_granted(&f, ALICE, 1);
    end(&f);
  }
}
