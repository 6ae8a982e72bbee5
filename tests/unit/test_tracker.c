// labels: budget
// The tracker's core alone: figures, commands, throttle, start and stop.
#include "tracker_fixture.h"

// --------------------------------------------------------------------------------------------------- figures

TEST(tracker, percent_is_rounded_half_up) {
  CHECK_EQ(hg_usage_percent(0, 100000), 0);
  CHECK_EQ(hg_usage_percent(89990, 100000), 8999);
  CHECK_EQ(hg_usage_percent(89994, 100000), 8999);
  CHECK_EQ(hg_usage_percent(89995, 100000), 9000);
  CHECK_EQ(hg_usage_percent(90000, 100000), 9000);
  CHECK_EQ(hg_usage_percent(100000, 100000), 10000);
  CHECK_EQ(hg_usage_percent(250001, 100000), 25000);
  CHECK_EQ(hg_usage_percent(1, 3), 3333);
  CHECK_EQ(hg_usage_percent(2, 3), 6667);
  CHECK_EQ(hg_usage_percent(HG_TOKENS_MAX, HG_TOKENS_MAX), 10000);
  CHECK_EQ(hg_usage_percent(HG_TOKENS_MAX - 1, HG_TOKENS_MAX), 10000);
  CHECK_EQ(hg_usage_percent(HG_TOKENS_MAX, 1), UINT32_MAX);
}

TEST(tracker, throttles_at_the_rounded_threshold) {
  CHECK(!hg_should_throttle(8999, TOKEN_THROTTLE_THRESHOLD_PERCENT));
  CHECK(hg_should_throttle(9000, TOKEN_THROTTLE_THRESHOLD_PERCENT));
  CHECK(hg_should_throttle(10000, TOKEN_THROTTLE_THRESHOLD_PERCENT));
  CHECK(!hg_should_throttle(UINT32_MAX, 100));
  static const int64_t used[] = {0, 89990, 89994, 89995, 90000, 100000, 130000};
  for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
    struct fixture f;
    begin(&f, 100000, 4);
    start(&f);
    record(&f, 0, used[i]);
    const struct hg_usage_message usage = usage_of(&f, 0);
    CHECK_EQ(usage.used, used[i]);
    CHECK_EQ(usage.usage_percent, hg_usage_percent(used[i], 100000));
    CHECK_EQ(usage.should_throttle, used[i] >= 89995);
    CHECK_EQ(usage.throttled, used[i] >= 89995);
    end(&f);
  }
}

TEST(tracker, recording_adds_up_along_the_path) {
  struct fixture f;
  begin(&f, 1000, 4);
  const uint32_t research = hg_test_setup_budget(&f.setup, "research", 0, 500);
  const uint32_t deep = hg_test_setup_budget(&f.setup, "deep", research, 100);
  start(&f);
  record(&f, 0, 10);
  record(&f, research, 20);
  record(&f, deep, 30);
  record(&f, deep, 0);
  CHECK_EQ(usage_of(&f, 0).used, 60);
  CHECK_EQ(usage_of(&f, research).used, 50);
  CHECK_EQ(usage_of(&f, deep).used, 30);
  const struct hg_message *event = next_event(&f, HG_USAGE_RECORDED);
  CHECK_EQ(event->as.usage_recorded.used_delta, 10);
  CHECK_EQ(event->as.usage_recorded.head.seq, 2);
  CHECK_EQ(event->as.usage_recorded.head.prev, 0);
  event = next_event(&f, HG_USAGE_RECORDED);
  CHECK_EQ(event->as.usage_recorded.head.budget, research);
  CHECK_EQ(event->as.usage_recorded.head.prev, 2);
  CHECK_EQ(event->as.usage_recorded.used, 20);
  CHECK_EQ(event->as.usage_recorded.hard_limit, 500);
  end(&f);
}

TEST(tracker, records_past_the_limit_in_full_and_says_so_once) {
  struct fixture f;
  begin(&f, 100, 1);
  start(&f);
  record(&f, 0, 100);
  next_event(&f, HG_USAGE_RECORDED);
  CHECK(no_event(&f)); // the maximum is 1: nothing to throttle
  record(&f, 0, 7);
  next_event(&f, HG_USAGE_RECORDED);
  const struct hg_message *over = next_event(&f, HG_BUDGET_OVERRUN);
  CHECK_EQ(over->as.budget_overrun.over_by, 7);
  CHECK(hg_text_equal(over->as.budget_overrun.reason, hg_text_of("over_limit")));
  record(&f, 0, 7);
  next_event(&f, HG_USAGE_RECORDED);
  CHECK(no_event(&f));
  CHECK_EQ(usage_of(&f, 0).used, 114);
  end(&f);
}

TEST(tracker, refuses_what_cannot_be_added_up) {
  struct fixture f;
  begin(&f, 1000, 4);
  const uint32_t child = hg_test_setup_budget(&f.setup, "child", 0, 1000);
  start(&f);
  record(&f, 0, HG_TOKENS_MAX);
  record(&f, child, 1);   // too much for the parent
  correct(&f, child, -1); // under zero in the child
  set_limit(&f, child, 0);
  record(&f, 99, 1);
  commit_all(&f);
  static const hg_err expected[] = {HG_ERR_RANGE, HG_ERR_RANGE, HG_ERR_RANGE, HG_ERR_UNKNOWN_BUDGET};
  for (uint64_t i = 0; i < 4; i++) {
    const struct hg_message answer = hg_test_expect(&f.tracker, HG_PORT_CLIENTS, ALICE, HG_REJECTED);
    CHECK_EQ(answer.as.rejected.number, i + 2);
    CHECK_EQ(answer.as.rejected.error, expected[i]);
  }
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_CLIENTS, ALICE, HG_RECORDED).as.recorded.number, 5);
  CHECK_EQ(usage_of(&f, 0).used, HG_TOKENS_MAX);
  CHECK_EQ(usage_of(&f, child).used, 0);
  end(&f);
}

// ------------------------------------------------------------------------------------------ numbers and commits

TEST(tracker, nothing_leaves_before_its_commit) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  record(&f, 0, 1);
  record(&f, 0, 2);
  write_facts(&f);
  CHECK(hg_test_is_silent(&f.tracker, HG_PORT_CLIENTS));
  record(&f, 0, 3);
  write_facts(&f);
  commit(&f, 3);
  hg_test_flush(&f.tracker);
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_CLIENTS, ALICE, HG_RECORDED).as.recorded.number, 2);
  CHECK(hg_test_is_silent(&f.tracker, HG_PORT_CLIENTS));
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_COMMITTED).as.committed.seq, 3);
  commit(&f, 4);
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_CLIENTS, ALICE, HG_RECORDED).as.recorded.number, 3);
  end(&f);
}

TEST(tracker, numbers_are_taken_in_sequence) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  record(&f, 0, 1);
  f.number = 0;
  record(&f, 0, 1); // again number 1
  f.number = 2;
  record(&f, 0, 1); // number 3: 2 is missing
  commit_all(&f);
  const struct hg_message answer = hg_test_expect(&f.tracker, HG_PORT_CLIENTS, ALICE, HG_REJECTED);
  CHECK_EQ(answer.as.rejected.number, 3);
  CHECK_EQ(answer.as.rejected.error, HG_ERR_SEQUENCE);
  CHECK_EQ(answer.as.rejected.last, 1);
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_CLIENTS, ALICE, HG_RECORDED).as.recorded.number, 1);
  CHECK_EQ(usage_of(&f, 0).used, 1);
  struct hg_message leave;
  hg_message_init(&leave, HG_LEAVE);
  hg_test_send(&f.tracker, HG_PORT_CLIENTS, ALICE, &leave);
  f.number = 0;
  record(&f, 0, 1); // its numbers were forgotten
  CHECK_EQ(usage_of(&f, 0).used, 2);
  end(&f);
}

TEST(tracker, has_room_for_a_bounded_number_of_clients) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  struct hg_message message;
  hg_message_init(&message, HG_RECORD_USAGE);
  message.as.record_usage.number = 1;
  for (hg_peer peer = 1; peer <= HG_PEERS_MAX + 1; peer++)
    hg_test_send(&f.tracker, HG_PORT_CLIENTS, peer, &message);
  commit_all(&f);
  const struct hg_message answer = hg_test_expect(&f.tracker, HG_PORT_CLIENTS, HG_PEERS_MAX + 1, HG_REJECTED);
  CHECK_EQ(answer.as.rejected.error, HG_ERR_BUSY);
  CHECK_EQ(f.tracker.sent[HG_PORT_CLIENTS].count, HG_PEERS_MAX);
  end(&f);
}

TEST(tracker, stops_listening_when_the_persister_falls_behind) {
  struct fixture f;
  begin(&f, HG_TOKENS_MAX, 4);
  start(&f);
  const uint32_t clients = 1U << HG_PORT_CLIENTS;
  char text[HG_TASK_ID_MAX + 1];
  memset(text, 'x', sizeof text);
  text[HG_TASK_ID_MAX] = '\0';
  struct hg_message message;
  hg_message_init(&message, HG_RECORD_USAGE);
  message.as.record_usage.task_id = hg_text_of(text);
  uint64_t sent = 0;
  while (f.tracker.actor.listens(f.tracker.actor.self) & clients) {
    CHECK(sent < 200000);
    message.as.record_usage.number = ++sent;
    message.as.record_usage.tokens = 1;
    hg_test_send(&f.tracker, HG_PORT_CLIENTS, ALICE, &message);
    if (sent % 100 == 0) hg_test_flush(&f.tracker);
  }
  CHECK_EQ(f.tracker.sent[HG_PORT_FACTS].count, HG_FACTS_WINDOW);
  CHECK(f.tracker.actor.listens(f.tracker.actor.self) & 1U << HG_PORT_FACTS);
  size_t before;
  do {
    before = f.events.count;
    commit_all(&f);
  } while (f.events.count > before);
  CHECK(f.tracker.actor.listens(f.tracker.actor.self) & clients);
  CHECK_EQ(f.events.count, sent + 1);
  CHECK_EQ(usage_of(&f, 0).used, sent);
  end(&f);
}

// ---------------------------------------------------------------------------------------------------- throttle

TEST(tracker, throttles_and_restores_by_correction_and_by_limit) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  record(&f, 0, 899);
  next_event(&f, HG_USAGE_RECORDED);
  CHECK(no_event(&f));
  record(&f, 0, 1);
  next_event(&f, HG_USAGE_RECORDED);
  expect_throttled(&f, 4, 9000);
  CHECK(hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_CROSSED).as.crossed.closed);
  record(&f, 0, 50);
  next_event(&f, HG_USAGE_RECORDED);
  CHECK(no_event(&f)); // one event a crossing
  correct(&f, 0, -100);
  next_event(&f, HG_USAGE_CORRECTED);
  expect_restored(&f, 4, 8500);
  CHECK(!hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_CROSSED).as.crossed.closed);
  record(&f, 0, 60);
  next_event(&f, HG_USAGE_RECORDED);
  expect_throttled(&f, 4, 9100);
  set_limit(&f, 0, 2000);
  next_event(&f, HG_LIMIT_CHANGED);
  expect_restored(&f, 4, 4550);
  end(&f);
}

TEST(tracker, committed_basis_restores_when_a_task_ends_without_using_its_reservation) {
  struct fixture f;
  begin(&f, 1000, 4);
  f.setup.config.throttle_basis = HG_THROTTLE_COMMITTED;
  f.setup.config.restore_below_percent = 80;
  start(&f);
  CHECK_EQ(ask(&f, (struct wish){.permit = 1, .min = 850, .max = 850}).verdict, HG_VERDICT_GRANTED);
  CHECK_EQ(ask(&f, (struct wish){.permit = 2, .min = 100, .max = 100}).verdict, HG_VERDICT_GRANTED);
  f.read += 4;
  expect_throttled(&f, 4, 9500);
  CHECK(hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_CROSSED).as.crossed.closed);
  CHECK_EQ(ask(&f, (struct wish){.permit = 3, .min = 1, .max = 1}).verdict, HG_VERDICT_THROTTLED);
  CHECK(hg_text_equal(next_event(&f, HG_TASK_WAITING)->as.task_waiting.reason, hg_text_of("throttle")));
  CHECK_EQ(settled(&f, 2, 0), HG_OK); // 85 %: not yet under 80
  next_event(&f, HG_TOKENS_SETTLED);
  next_event(&f, HG_TASK_FINISHED);
  CHECK(no_event(&f));
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_ROOM).as.room.budget, 0);
  CHECK_EQ(settled(&f, 1, 0), HG_OK);
  next_event(&f, HG_TOKENS_SETTLED);
  next_event(&f, HG_TASK_FINISHED);
  expect_restored(&f, 4, 0);
  end(&f);
}

TEST(tracker, under_the_throttle_permits_run_one_at_a_time_and_nested_ones_beside_their_parent) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  record(&f, 0, 900);
  CHECK(hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_CROSSED).as.crossed.closed);
  CHECK_EQ(ask(&f, (struct wish){.permit = 1, .min = 10, .max = 10}).verdict, HG_VERDICT_GRANTED);
  CHECK_EQ(ask(&f, (struct wish){.permit = 2, .min = 10, .max = 10, .parent = 1}).verdict, HG_VERDICT_GRANTED);
  CHECK_EQ(ask(&f, (struct wish){.permit = 3, .min = 10, .max = 10}).verdict, HG_VERDICT_THROTTLED);
  CHECK_EQ(usage_of(&f, 0).open_permits, 2);
  CHECK_EQ(settled(&f, 1, 10), HG_OK);
  hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_ROOM);
  // The slot is the nested one's now.
  CHECK_EQ(ask(&f, (struct wish){.permit = 3, .min = 10, .max = 10, .heard = 1}).verdict, HG_VERDICT_THROTTLED);
  CHECK_EQ(settled(&f, 2, 10), HG_OK);
  hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_ROOM);
  CHECK_EQ(ask(&f, (struct wish){.permit = 3, .min = 10, .max = 10, .heard = 2}).verdict, HG_VERDICT_GRANTED);
  end(&f);
}

static void set_max(struct fixture *f, uint32_t count) {
  struct hg_message message;
  hg_message_init(&message, HG_MAX_CONCURRENCY);
  message.as.max_concurrency.count = count;
  hg_test_send(&f->tracker, HG_PORT_DECISIONS, 0, &message);
}

TEST(tracker, throttle_events_alternate_while_the_maximum_changes) {
  struct fixture f;
  begin(&f, 1000, 1);
  start(&f);
  record(&f, 0, 950); // closes untold: 1 is 1 already
  next_event(&f, HG_USAGE_RECORDED);
  CHECK(no_event(&f));
  set_max(&f, 8);
  next_event(&f, HG_MAX_CONCURRENCY_CHANGED);
  expect_throttled(&f, 8, 9500);
  set_max(&f, 8);
  CHECK(no_event(&f));
  set_max(&f, 1);
  next_event(&f, HG_MAX_CONCURRENCY_CHANGED);
  correct(&f, 0, -500); // opens; what was told is taken back
  next_event(&f, HG_USAGE_CORRECTED);
  expect_restored(&f, 1, 4500);
  record(&f, 0, 500);
  next_event(&f, HG_USAGE_RECORDED);
  CHECK(no_event(&f));
  correct(&f, 0, -500);
  next_event(&f, HG_USAGE_CORRECTED);
  CHECK(no_event(&f));
  end(&f);
}

TEST(tracker, never_throttles_at_100_percent) {
  struct fixture f;
  begin(&f, 1000, 4);
  f.setup.config.throttle_percent = f.setup.config.restore_below_percent = 100;
  start(&f);
  record(&f, 0, 1000);
  CHECK(!usage_of(&f, 0).throttled);
  CHECK(!usage_of(&f, 0).should_throttle);
  end(&f);
}

// ---------------------------------------------------------------------------------------------- start and stop

TEST(tracker, limits_follow_the_configuration_but_not_over_a_limit_set_by_hand) {
  struct fixture f;
  begin(&f, 1000, 4);
  const uint32_t raised = hg_test_setup_budget(&f.setup, "raised", 0, 100);
  const uint32_t changed = hg_test_setup_budget(&f.setup, "changed", 0, 100);
  const uint32_t fresh = hg_test_setup_budget(&f.setup, "fresh", 0, 100);
  f.setup.stored[raised].hard_limit = 500;       // by hand; the file says 100, as before
  f.setup.stored[changed].hard_limit = 500;      // by hand, and the file said
  f.setup.stored[changed].configured_limit = 90; // something else then
  f.setup.stored[fresh].is_new = true;
  open_tracker(&f);
  next_event(&f, HG_RUNTIME_STARTED);
  const struct hg_message *event = next_event(&f, HG_LIMIT_CHANGED);
  CHECK_EQ(event->as.head.budget, changed);
  CHECK_EQ(event->as.limit_changed.previous_limit, 500);
  CHECK_EQ(event->as.limit_changed.hard_limit, 100);
  event = next_event(&f, HG_LIMIT_CHANGED);
  CHECK_EQ(event->as.head.budget, fresh);
  CHECK_EQ(event->as.limit_changed.previous_limit, 0);
  CHECK(hg_text_equal(event->as.limit_changed.reason, hg_text_of("configuration")));
  CHECK(no_event(&f));
  CHECK_EQ(usage_of(&f, raised).hard_limit, 500);
  end(&f);
}

TEST(tracker, a_stored_latch_survives) {
  struct fixture f;
  begin(&f, 1000, 4);
  f.setup.config.restore_below_percent = 80;
  f.setup.stored[0].used = 850;
  f.setup.stored[0].throttled = true;
  open_tracker(&f);
  CHECK(next_event(&f, HG_RUNTIME_STARTED)->as.runtime_started.throttled);
  CHECK(hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_CROSSED).as.crossed.closed);
  CHECK(no_event(&f));
  correct(&f, 0, -100);
  next_event(&f, HG_USAGE_CORRECTED);
  expect_restored(&f, 4, 7500);
  end(&f);
}

static void stop(struct fixture *f, bool now) {
  struct hg_message message;
  hg_message_init(&message, HG_STOP);
  message.as.stop.now = now;
  hg_test_send(&f->tracker, HG_PORT_LIFE, 0, &message);
  hg_test_flush(&f->tracker);
}

TEST(tracker, stops_when_all_is_durable) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  stop(&f, false);
  CHECK_EQ(f.tracker.wake, f.tracker.now.monotonic_us); // one turn more, for what was under way
  record(&f, 0, 5);
  hg_test_flush(&f.tracker);
  next_event(&f, HG_USAGE_RECORDED);
  next_event(&f, HG_RUNTIME_STOPPED);
  CHECK(!f.tracker.finished);
  record(&f, 0, 5); // too late
  CHECK(no_event(&f));
  commit_all(&f);
  CHECK(f.tracker.finished);
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_LIFE, 0, HG_STOPPED).as.stopped.error, HG_OK);
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_CLIENTS, ALICE, HG_RECORDED).as.recorded.number, 1);
  CHECK(hg_test_is_silent(&f.tracker, HG_PORT_CLIENTS));
  end(&f);
}

TEST(tracker, a_stop_at_once_says_what_is_not_durable) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  record(&f, 0, 5);
  stop(&f, true);
  CHECK(f.tracker.finished);
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_LIFE, 0, HG_STOPPED).as.stopped.error, HG_ERR_STORE);
  CHECK(hg_test_is_silent(&f.tracker, HG_PORT_CLIENTS));
  end(&f);
}
