// labels: budget
// The tracker's core alone: reservations, how permits end, orphans.
#include "tracker_fixture.h"

// ------------------------------------------------------------------------------------------------ reservations

TEST(tracker_permits, grants_what_is_there_up_to_what_was_asked) {
  struct fixture f;
  begin(&f, 1000, 4);
  const uint32_t child = hg_test_setup_budget(&f.setup, "child", 0, 300);
  start(&f);
  struct hg_reserved_message answer = ask(&f, (struct wish){.permit = 1, .budget = child, .min = 100, .max = 200});
  CHECK_EQ(answer.verdict, HG_VERDICT_GRANTED);
  CHECK_EQ(answer.tokens, 200);
  next_event(&f, HG_TOKENS_RESERVED);
  const struct hg_message *event = next_event(&f, HG_TASK_STARTED);
  CHECK_EQ(answer.seq, event->as.head.seq);
  answer = ask(&f, (struct wish){.permit = 2, .budget = child, .min = 50, .max = 200});
  CHECK_EQ(answer.tokens, 100);
  CHECK_EQ(usage_of(&f, 0).reserved, 300);
  answer = ask(&f, (struct wish){.permit = 2, .budget = child, .min = 50, .max = 200}); // again
  CHECK_EQ(answer.verdict, HG_VERDICT_GRANTED);
  CHECK_EQ(answer.tokens, 100);
  answer = ask(&f, (struct wish){.permit = 2, .budget = child, .min = 150, .max = 200});
  CHECK_EQ(answer.verdict, HG_VERDICT_REFUSED);
  CHECK_EQ(answer.error, HG_ERR_CONFLICT);
  CHECK_EQ(usage_of(&f, 0).reserved, 300);
  CHECK_EQ(usage_of(&f, 0).open_permits, 2);
  end(&f);
}

TEST(tracker_permits, names_the_budget_that_is_short_and_wakes_its_waiter) {
  struct fixture f;
  begin(&f, 1000, 4);
  const uint32_t child = hg_test_setup_budget(&f.setup, "child", 0, 300);
  start(&f);
  CHECK_EQ(ask(&f, (struct wish){.permit = 1, .budget = child, .min = 300, .max = 300}).verdict, HG_VERDICT_GRANTED);
  struct hg_reserved_message answer = ask(&f, (struct wish){.permit = 2, .budget = child, .min = 100, .max = 100});
  CHECK_EQ(answer.verdict, HG_VERDICT_WAIT);
  CHECK_EQ(answer.budget, child);
  answer = ask(&f, (struct wish){.permit = 3, .budget = child, .min = 1, .max = 1}); // has not heard of it
  CHECK_EQ(answer.verdict, HG_VERDICT_BEHIND);
  CHECK_EQ(answer.budget, child);
  answer = ask(&f, (struct wish){.permit = 4, .budget = 0, .min = 1, .max = 1}); // its path is not short
  CHECK_EQ(answer.verdict, HG_VERDICT_GRANTED);
  next_event(&f, HG_TOKENS_RESERVED);
  next_event(&f, HG_TASK_STARTED);
  const struct hg_message *event = next_event(&f, HG_TASK_WAITING);
  CHECK_EQ(event->as.task_waiting.head.budget, child);
  CHECK_EQ(event->as.task_waiting.needed, 100);
  CHECK_EQ(event->as.task_waiting.available, 0);
  CHECK_EQ(settled(&f, 1, 10), HG_OK);
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_ROOM).as.room.budget, child);
  CHECK(hg_test_is_silent(&f.tracker, HG_PORT_DECISIONS));
  answer = ask(&f, (struct wish){.permit = 2, .budget = child, .min = 100, .max = 100, .heard = 1});
  CHECK_EQ(answer.verdict, HG_VERDICT_GRANTED);
  end(&f);
}

TEST(tracker_permits, says_never_when_it_can_never_fit) {
  struct fixture f;
  begin(&f, 100, 4);
  start(&f);
  record(&f, 0, 40);
  CHECK_EQ(ask(&f, (struct wish){.permit = 1, .min = 60, .max = 60}).verdict, HG_VERDICT_GRANTED);
  struct hg_reserved_message answer = ask(&f, (struct wish){.permit = 2, .min = 61, .max = 61});
  CHECK_EQ(answer.verdict, HG_VERDICT_NEVER);
  CHECK_EQ(answer.tokens, 60);
  CHECK_EQ(ask(&f, (struct wish){.permit = 2, .min = 61, .max = 61}).verdict, HG_VERDICT_NEVER);
  next_event(&f, HG_USAGE_RECORDED);
  next_event(&f, HG_TOKENS_RESERVED);
  next_event(&f, HG_TASK_STARTED);
  next_event(&f, HG_BUDGET_EXHAUSTED);
  CHECK(no_event(&f)); // once
  set_limit(&f, 0, 101);
  next_event(&f, HG_LIMIT_CHANGED);
  CHECK_EQ(ask(&f, (struct wish){.permit = 2, .min = 61, .max = 61}).verdict, HG_VERDICT_WAIT);
  CHECK_EQ(ask(&f, (struct wish){.permit = 3, .min = 62, .max = 62}).verdict, HG_VERDICT_NEVER);
  next_event(&f, HG_TASK_WAITING);
  next_event(&f, HG_BUDGET_EXHAUSTED);
  set_limit(&f, 0, 10); // under what is used: accepted, starts nothing
  CHECK(hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_CROSSED).as.crossed.closed);
  answer = ask(&f, (struct wish){.permit = 4, .min = 1, .max = 1});
  CHECK_EQ(answer.verdict, HG_VERDICT_NEVER);
  CHECK_EQ(answer.tokens, -30);
  end(&f);
}

TEST(tracker_permits, refuses_bad_requests) {
  struct fixture f;
  begin(&f, 100, 4);
  start(&f);
  CHECK_EQ(ask(&f, (struct wish){.permit = 1, .min = 0, .max = 5}).error, HG_ERR_INVALID);
  CHECK_EQ(ask(&f, (struct wish){.permit = 1, .min = 6, .max = 5}).error, HG_ERR_INVALID);
  CHECK_EQ(ask(&f, (struct wish){.permit = 1, .budget = 9, .min = 1, .max = 5}).error, HG_ERR_UNKNOWN_BUDGET);
  CHECK_EQ(ask(&f, (struct wish){.permit = 1, .min = 1, .max = 5, .parent = 8}).error, HG_ERR_UNKNOWN_PERMIT);
  CHECK(no_event(&f));
  end(&f);
}

// --------------------------------------------------------------------------------------------- settle, release

TEST(tracker_permits, an_end_that_cannot_be_is_refused_and_the_permit_stays_open) {
  struct fixture f;
  static char long_name[HG_LABEL_MAX + 1];
  begin(&f, 1000, 4);
  start(&f);
  CHECK_EQ(ask(&f, (struct wish){.permit = 1, .min = 10, .max = 10}).verdict, HG_VERDICT_GRANTED);
  f.read += 2;
  settle(&f, 1, 5, HG_OUTCOME_RETRY + 1, NULL);
  CHECK_EQ(closed(&f, 1), HG_ERR_INVALID);
  release(&f, 1, HG_OUTCOME_RETRY + 1);
  CHECK_EQ(closed(&f, 1), HG_ERR_INVALID);
  struct hg_message message;
  hg_message_init(&message, HG_SETTLE);
  message.as.settle.permit = 1;
  message.as.settle.model = (struct hg_text){memset(long_name, 'm', sizeof long_name), sizeof long_name};
  hg_test_send(&f.tracker, HG_PORT_DECISIONS, 0, &message);
  CHECK_EQ(closed(&f, 1), HG_ERR_INVALID);
  CHECK(no_event(&f));
  CHECK_EQ(usage_of(&f, 0).reserved, 10);
  end(&f);
}

TEST(tracker_permits, settles_once_and_answers_repetitions) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  ask(&f, (struct wish){.permit = 5, .min = 100, .max = 100});
  next_event(&f, HG_TOKENS_RESERVED);
  next_event(&f, HG_TASK_STARTED);
  CHECK_EQ(settled(&f, 5, 70), HG_OK);
  const struct hg_message *event = next_event(&f, HG_TOKENS_SETTLED);
  CHECK_EQ(event->as.tokens_settled.used_delta, 70);
  CHECK_EQ(event->as.tokens_settled.reserved_delta, -100);
  CHECK_EQ(event->as.tokens_settled.input_tokens, 3);
  CHECK(hg_text_equal(event->as.tokens_settled.model, hg_text_of("some-model")));
  CHECK(!event->as.tokens_settled.late);
  next_event(&f, HG_TASK_FINISHED);
  CHECK_EQ(settled(&f, 5, 70), HG_OK);
  CHECK_EQ(settled(&f, 5, 71), HG_ERR_CONFLICT);
  release(&f, 5, HG_OUTCOME_DONE);
  CHECK_EQ(closed(&f, 5), HG_ERR_CONFLICT);
  CHECK_EQ(settled(&f, 6, 70), HG_ERR_UNKNOWN_PERMIT);
  CHECK_EQ(ask(&f, (struct wish){.permit = 5, .min = 1, .max = 100}).error, HG_ERR_CONFLICT);
  CHECK(no_event(&f));
  const struct hg_usage_message usage = usage_of(&f, 0);
  CHECK_EQ(usage.used, 70);
  CHECK_EQ(usage.reserved, 0);
  CHECK_EQ(usage.open_permits, 0);
  end(&f);
}

TEST(tracker_permits, tells_overruns_with_their_reason) {
  struct fixture f;
  begin(&f, 100, 1);
  start(&f);
  for (uint64_t permit = 1; permit <= 2; permit++)
    ask(&f, (struct wish){.permit = permit, .min = 50, .max = 50});
  f.read += 4;
  settle(&f, 1, 60, HG_OUTCOME_RETRY, "cap_ignored");
  CHECK_EQ(closed(&f, 1), HG_OK);
  next_event(&f, HG_TOKENS_SETTLED);
  const struct hg_message *over = next_event(&f, HG_BUDGET_OVERRUN);
  CHECK(hg_text_equal(over->as.budget_overrun.reason, hg_text_of("cap_ignored")));
  CHECK_EQ(over->as.budget_overrun.over_by, 10);
  settle(&f, 2, 51, HG_OUTCOME_FAILED, "broken");
  CHECK_EQ(closed(&f, 2), HG_OK);
  next_event(&f, HG_TOKENS_SETTLED);
  const struct hg_message *failed = next_event(&f, HG_TASK_FAILED);
  CHECK(hg_text_equal(failed->as.task_failed.reason, hg_text_of("broken")));
  over = next_event(&f, HG_BUDGET_OVERRUN);
  CHECK(hg_text_equal(over->as.budget_overrun.reason, hg_text_of("over_reservation")));
  over = next_event(&f, HG_BUDGET_OVERRUN);
  CHECK(hg_text_equal(over->as.budget_overrun.reason, hg_text_of("over_limit")));
  CHECK_EQ(over->as.budget_overrun.over_by, 11);
  CHECK(no_event(&f));
  end(&f);
}

TEST(tracker_permits, a_settle_that_cannot_be_stored_leaves_the_permit_open) {
  struct fixture f;
  begin(&f, HG_TOKENS_MAX, 1);
  start(&f);
  record(&f, 0, HG_TOKENS_MAX - 10);
  CHECK(hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_CROSSED).as.crossed.closed);
  CHECK_EQ(ask(&f, (struct wish){.permit = 1, .min = 10, .max = 10}).verdict, HG_VERDICT_GRANTED);
  CHECK_EQ(settled(&f, 1, 11), HG_ERR_RANGE);
  CHECK_EQ(usage_of(&f, 0).open_permits, 1);
  CHECK_EQ(settled(&f, 1, 10), HG_OK);
  CHECK_EQ(usage_of(&f, 0).used, HG_TOKENS_MAX);
  end(&f);
}

TEST(tracker_permits, a_release_gives_everything_back) {
  struct fixture f;
  begin(&f, 100, 1);
  start(&f);
  ask(&f, (struct wish){.permit = 1, .min = 50, .max = 50});
  f.read = f.events.count;
  write_facts(&f);
  f.read = f.events.count;
  release(&f, 1, HG_OUTCOME_RETRY);
  CHECK_EQ(closed(&f, 1), HG_OK);
  CHECK_EQ(next_event(&f, HG_TOKENS_RELEASED)->as.tokens_released.reserved_delta, -50);
  CHECK(no_event(&f)); // it will ask again
  release(&f, 1, HG_OUTCOME_RETRY);
  CHECK_EQ(closed(&f, 1), HG_OK);
  CHECK_EQ(settled(&f, 1, 0), HG_ERR_CONFLICT);
  CHECK_EQ(usage_of(&f, 0).used, 0);
  end(&f);
}

// ----------------------------------------------------------------------------------------------------- orphans

static struct hg_ledger_permit left_open[] = {{.id = 21, .tokens = 100, .attempt = 2, .task_id = "one"},
                                              {.id = 22, .tokens = 200, .attempt = 1, .task_id = "two"}};

static void start_with_orphans(struct fixture *f, enum hg_orphan_policy policy) {
  begin(f, 1000, 4);
  f->setup.config.orphan_policy = policy;
  f->setup.stored[0].used = 600;
  f->setup.stored[0].reserved = 300;
  f->setup.state.permits = left_open;
  f->setup.state.permit_count = 2;
  f->setup.state.last_seq = 40;
  f->setup.state.topic_last[HG_RUNTIME_STARTED - HG_EVENT_FIRST] = 1;
  open_tracker(f);
  const struct hg_message *event = next_event(f, HG_RUNTIME_STARTED);
  CHECK_EQ(event->as.head.seq, 41);
  CHECK_EQ(event->as.head.prev, 1);
  CHECK_EQ(event->as.runtime_started.orphans, 2);
  CHECK_EQ(event->as.runtime_started.reserved, 300);
}

static void expect_orphan(struct fixture *f, uint64_t permit, const char *policy, int64_t used, int64_t reserved) {
  const struct hg_message *event = next_event(f, HG_RESERVATION_ORPHANED);
  CHECK_EQ(event->as.reservation_orphaned.permit, permit);
  CHECK(hg_text_equal(event->as.reservation_orphaned.policy, hg_text_of(policy)));
  CHECK_EQ(event->as.reservation_orphaned.used_delta, used);
  CHECK_EQ(event->as.reservation_orphaned.reserved_delta, reserved);
  event = next_event(f, HG_TASK_FAILED);
  CHECK(hg_text_equal(event->as.task_failed.reason, hg_text_of("interrupted")));
}

static struct hg_orphan_message orphan_after(struct fixture *f, uint64_t after) {
  commit_all(f);
  struct hg_message message;
  hg_message_init(&message, HG_GET_ORPHAN);
  message.as.get_orphan.request = 5;
  message.as.get_orphan.after = after;
  hg_test_send(&f->tracker, HG_PORT_CLIENTS, BOB, &message);
  return hg_test_expect(&f->tracker, HG_PORT_CLIENTS, BOB, HG_ORPHAN).as.orphan;
}

TEST(tracker_permits, charges_orphans_and_settles_them_late_once) {
  struct fixture f;
  start_with_orphans(&f, HG_ORPHAN_CHARGE);
  expect_orphan(&f, 21, "charge", 100, -100);
  expect_orphan(&f, 22, "charge", 200, -200);
  expect_throttled(&f, 4, 9000);
  CHECK(no_event(&f));
  CHECK_EQ(usage_of(&f, 0).used, 900);
  CHECK_EQ(orphan_after(&f, 0).permit, 21);
  CHECK_EQ(orphan_after(&f, 21).permit, 22);
  CHECK(orphan_after(&f, 21).charged && orphan_after(&f, 21).at_opening);
  CHECK_EQ(orphan_after(&f, 22).permit, 0);
  CHECK_EQ(settled(&f, 22, 30), HG_OK);
  const struct hg_message *event = next_event(&f, HG_TOKENS_SETTLED);
  CHECK(event->as.tokens_settled.late);
  CHECK_EQ(event->as.tokens_settled.used_delta, 30 - 200);
  CHECK_EQ(event->as.tokens_settled.reserved_delta, 0);
  next_event(&f, HG_TASK_FINISHED);
  expect_restored(&f, 4, 7300);
  hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_CROSSED);
  CHECK_EQ(settled(&f, 22, 30), HG_OK);
  CHECK_EQ(settled(&f, 22, 31), HG_ERR_CONFLICT);
  CHECK_EQ(usage_of(&f, 0).used, 730);
  CHECK_EQ(orphan_after(&f, 21).permit, 0);
  end(&f);
}

TEST(tracker_permits, keeps_or_releases_orphans_by_policy) {
  struct fixture f;
  start_with_orphans(&f, HG_ORPHAN_KEEP);
  expect_orphan(&f, 21, "keep", 0, 0);
  expect_orphan(&f, 22, "keep", 0, 0);
  CHECK_EQ(usage_of(&f, 0).reserved, 300);
  struct hg_reserved_message answer = ask(&f, (struct wish){.permit = 30, .min = 101, .max = 101});
  CHECK_EQ(answer.verdict, HG_VERDICT_NEVER); // nobody here will settle them
  CHECK_EQ(answer.tokens, 100);
  CHECK_EQ(settled(&f, 21, 10), HG_OK);
  next_event(&f, HG_BUDGET_EXHAUSTED);
  CHECK(next_event(&f, HG_TOKENS_SETTLED)->as.tokens_settled.late);
  CHECK_EQ(usage_of(&f, 0).used, 610);
  CHECK_EQ(usage_of(&f, 0).reserved, 200);
  end(&f);

  start_with_orphans(&f, HG_ORPHAN_RELEASE);
  expect_orphan(&f, 21, "release", 0, -100);
  expect_orphan(&f, 22, "release", 0, -200);
  CHECK_EQ(usage_of(&f, 0).reserved, 0);
  CHECK(orphan_after(&f, 0).permit == 21 && orphan_after(&f, 0).charged == 0 && !orphan_after(&f, 0).kept);
  CHECK_EQ(settled(&f, 21, 10), HG_OK); // the truth, late
  CHECK_EQ(next_event(&f, HG_TOKENS_SETTLED)->as.tokens_settled.used_delta, 10);
  CHECK_EQ(usage_of(&f, 0).used, 610);
  CHECK_EQ(settled(&f, 21, 11), HG_ERR_CONFLICT);
  CHECK_EQ(orphan_after(&f, 0).permit, 22);
  end(&f);
}

TEST(tracker_permits, a_permit_whose_lease_ended_becomes_an_orphan_and_its_settle_is_late) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  ask(&f, (struct wish){.permit = 1, .min = 50, .max = 50});
  f.read += 2;
  struct hg_message message;
  hg_message_init(&message, HG_ABANDON);
  message.as.abandon.permit = 1;
  message.as.abandon.expired = true;
  hg_test_send(&f.tracker, HG_PORT_DECISIONS, 0, &message);
  CHECK_EQ(closed(&f, 1), HG_OK);
  next_event(&f, HG_RESERVATION_ORPHANED);
  CHECK(hg_text_equal(next_event(&f, HG_TASK_FAILED)->as.task_failed.reason, hg_text_of("lease_expired")));
  CHECK_EQ(settled(&f, 1, 20), HG_OK);
  CHECK(next_event(&f, HG_TOKENS_SETTLED)->as.tokens_settled.late);
  CHECK_EQ(usage_of(&f, 0).used, 20);
  end(&f);
}

TEST(tracker_permits, orphans_of_older_times_are_told_apart) {
  static struct hg_ledger_permit stored[] = {{.id = 21, .tokens = 100, .orphaned = true, .guess = 100},
                                             {.id = 22, .tokens = 50, .kept = true},
                                             {.id = 23, .tokens = 200}};
  struct fixture f;
  begin(&f, 1000, 4);
  f.setup.stored[0].used = 600;
  f.setup.stored[0].reserved = 250;
  f.setup.state.permits = stored;
  f.setup.state.permit_count = 3;
  open_tracker(&f);
  CHECK_EQ(next_event(&f, HG_RUNTIME_STARTED)->as.runtime_started.orphans, 1);
  expect_orphan(&f, 23, "charge", 200, -200);
  CHECK(!orphan_after(&f, 0).at_opening);
  CHECK_EQ(orphan_after(&f, 21).permit, 22);
  CHECK(!orphan_after(&f, 21).at_opening && !orphan_after(&f, 21).charged);
  CHECK_EQ(orphan_after(&f, 22).permit, 23);
  CHECK(orphan_after(&f, 22).at_opening);
  end(&f);
}

TEST(tracker_permits, a_permit_whose_owner_left_becomes_an_orphan) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  ask(&f, (struct wish){.permit = 1, .min = 50, .max = 50});
  f.read += 2;
  struct hg_message message;
  hg_message_init(&message, HG_ABANDON);
  message.as.abandon.permit = 1;
  hg_test_send(&f.tracker, HG_PORT_DECISIONS, 0, &message);
  CHECK_EQ(closed(&f, 1), HG_OK);
  next_event(&f, HG_RESERVATION_ORPHANED);
  CHECK(hg_text_equal(next_event(&f, HG_TASK_FAILED)->as.task_failed.reason, hg_text_of("owner_gone")));
  hg_test_send(&f.tracker, HG_PORT_DECISIONS, 0, &message);
  CHECK_EQ(closed(&f, 1), HG_OK);
  CHECK(no_event(&f));
  CHECK_EQ(usage_of(&f, 0).used, 50);
  CHECK_EQ(usage_of(&f, 0).open_permits, 0);
  CHECK(!orphan_after(&f, 0).at_opening);
  CHECK_EQ(settled(&f, 1, 20), HG_OK);
  CHECK_EQ(usage_of(&f, 0).used, 20);
  end(&f);
}
