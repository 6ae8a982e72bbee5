// The tracker and the store: what it journals of the store's troubles, and what it takes over from the ledger.
// labels: budget
#include "tracker_fixture.h"

#define CAROL 13

static void hear(struct fixture *f, const char *trouble) {
  struct hg_message message;
  hg_message_init(&message, HG_COMMITTED);
  message.as.committed.degraded = trouble != NULL;
  message.as.committed.reason = hg_text_of(trouble);
  hg_test_send(&f->tracker, HG_PORT_FACTS, 0, &message);
}

TEST(tracker_store, trouble_is_journalled_when_it_is_over) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  hear(&f, NULL);
  const struct hg_now began = f.tracker.now;
  hear(&f, "no space left");
  f.tracker.now.monotonic_us += 400;
  f.tracker.now.utc_us += 400;
  hear(&f, "no space left, still");
  CHECK(no_event(&f));
  f.tracker.now.monotonic_us += 300;
  hear(&f, NULL);
  const struct hg_message *event = next_event(&f, HG_STORE_DEGRADED);
  CHECK(hg_text_equal(event->as.store_degraded.reason, hg_text_of("no space left")));
  CHECK_EQ(event->as.head.at, began.utc_us);
  event = next_event(&f, HG_STORE_RECOVERED);
  CHECK_EQ(event->as.store_recovered.lasted_us, 700);
  hear(&f, NULL);
  CHECK(no_event(&f));
  end(&f);
}

TEST(tracker_store, nothing_is_journalled_behind_the_last_row) {
  struct fixture f;
  struct hg_message stop;
  begin(&f, 1000, 4);
  start(&f);
  hear(&f, "no space left");
  hg_message_init(&stop, HG_STOP);
  stop.as.stop.now = true;
  hg_test_send(&f.tracker, HG_PORT_LIFE, 0, &stop);
  (void)next_event(&f, HG_RUNTIME_STOPPED);
  hear(&f, NULL);
  CHECK(no_event(&f));
  end(&f);
}

static void hear_audit(struct fixture *f, uint64_t differences, const char *reason) {
  struct hg_message message;
  hg_message_init(&message, HG_AUDITED);
  message.as.audited.audited = 17;
  message.as.audited.rows = 16;
  message.as.audited.differences = differences;
  message.as.audited.lasted_us = 999;
  message.as.audited.reason = hg_text_of(reason);
  hg_test_send(&f->tracker, HG_PORT_FACTS, 0, &message);
}

TEST(tracker_store, audits_are_journalled_and_told_with_the_usage) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  CHECK_EQ(usage_of(&f, 0).audited, 0);
  hear_audit(&f, 3, "budget \"default\": used is wrong");
  const struct hg_audit_done_message *done = &next_event(&f, HG_AUDIT_DONE)->as.audit_done;
  CHECK_EQ(done->audited, 17);
  CHECK_EQ(done->audited_rows, 16);
  CHECK_EQ(done->differences, 3);
  CHECK_EQ(done->lasted_us, 999);
  CHECK(hg_text_equal(done->reason, hg_text_of("budget \"default\": used is wrong")));
  struct hg_usage_message usage = usage_of(&f, 0);
  CHECK(usage.audited == 17 && usage.differences == 3 && !usage.audit_failed);
  hear_audit(&f, 0, "cannot read");
  (void)next_event(&f, HG_AUDIT_DONE);
  usage = usage_of(&f, 0);
  CHECK(usage.audited == 17 && usage.differences == 0 && usage.audit_failed);
  hear_audit(&f, 0, NULL);
  (void)next_event(&f, HG_AUDIT_DONE);
  CHECK(!usage_of(&f, 0).audit_failed);

  struct hg_message stop;
  hg_message_init(&stop, HG_STOP);
  hg_test_send(&f.tracker, HG_PORT_LIFE, 0, &stop);
  hg_test_flush(&f.tracker);
  (void)next_event(&f, HG_RUNTIME_STOPPED);
  hear_audit(&f, 1, "too late");
  CHECK(no_event(&f));
  end(&f);
}

// A permit of an earlier runtime, and the reservation that is behind it.
static void leave_permit(struct fixture *f, struct hg_ledger_permit *permit) {
  f->setup.state.permits = permit;
  f->setup.state.permit_count = 1;
  f->setup.stored[0].reserved = permit->tokens;
}

TEST(tracker_store, kept_orphan_is_taken_over_without_a_word) {
  struct fixture f;
  begin(&f, 1000, 4);
  leave_permit(&f, &(struct hg_ledger_permit){.id = 7, .tokens = 300, .kept = true, .task_id = "an old task"});
  open_tracker(&f);
  CHECK_EQ(next_event(&f, HG_RUNTIME_STARTED)->as.runtime_started.orphans, 0);
  CHECK(no_event(&f));
  struct hg_usage_message usage = usage_of(&f, 0);
  CHECK_EQ(usage.reserved, 300);
  CHECK_EQ(usage.open_permits, 1);

  // What it keeps will not come back by itself.
  CHECK_EQ(ask(&f, (struct wish){.permit = 8, .min = 701, .max = 701}).verdict, HG_VERDICT_NEVER);
  CHECK_EQ(settled(&f, 7, 20), HG_OK);
  (void)next_event(&f, HG_BUDGET_EXHAUSTED);
  CHECK(next_event(&f, HG_TOKENS_SETTLED)->as.tokens_settled.late);
  usage = usage_of(&f, 0);
  CHECK_EQ(usage.reserved, 0);
  CHECK_EQ(usage.used, 20);
  CHECK_EQ(usage.open_permits, 0);
  end(&f);
}

// ------------------------------------------------------------------------------------------------ given up

static void give_up(struct fixture *f, uint64_t durable) {
  struct hg_message message;
  hg_message_init(&message, HG_COMMITTED);
  message.as.committed.seq = durable;
  message.as.committed.degraded = message.as.committed.given_up = true;
  message.as.committed.reason = hg_text_of("the disk is broken");
  hg_test_send(&f->tracker, HG_PORT_FACTS, 0, &message);
}

static void expect_rejected(struct fixture *f, uint64_t number) {
  const struct hg_message message = hg_test_expect(&f->tracker, HG_PORT_CLIENTS, ALICE, HG_REJECTED);
  CHECK_EQ(message.as.rejected.number, number);
  CHECK_EQ(message.as.rejected.error, HG_ERR_STORE);
}

static void question(struct fixture *f, enum hg_kind kind) {
  struct hg_message message;
  hg_message_init(&message, kind); // request 0 of budget 0, or the first orphan
  hg_test_send(&f->tracker, HG_PORT_CLIENTS, BOB, &message);
}

TEST(tracker_store, once_given_up_every_answer_says_that_the_outcome_is_unknown) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  const uint64_t durable = f.events.at[f.events.count - 1].as.head.seq;
  record(&f, 0, 10);
  write_facts(&f);              // 1 waits for its commit
  record(&f, 0, HG_TOKENS_MAX); // refused
  record(&f, 0, 20);
  question(&f, HG_GET_USAGE);
  question(&f, HG_GET_ORPHAN);
  question(&f, HG_GET_SNAPSHOT);
  struct hg_message name;
  hg_message_init(&name, HG_REPORT_AS);
  name.as.report_as.name = hg_text_of("a lasting name");
  hg_test_send(&f.tracker, HG_PORT_CLIENTS, CAROL, &name);
  CHECK(hg_test_is_silent(&f.tracker, HG_PORT_CLIENTS));
  give_up(&f, durable);
  expect_rejected(&f, 1);
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_CLIENTS, BOB, HG_USAGE).as.usage.error, HG_ERR_STORE);
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_CLIENTS, BOB, HG_ORPHAN).as.orphan.error, HG_ERR_STORE);
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_CLIENTS, BOB, HG_FIGURES).as.figures.error, HG_ERR_STORE);
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_CLIENTS, CAROL, HG_REPORTER).as.reporter.error, HG_ERR_STORE);
  write_facts(&f);
  expect_rejected(&f, 3); // and with it 2, whose own refusal is no news any more
  CHECK(hg_test_is_silent(&f.tracker, HG_PORT_CLIENTS));
  CHECK(hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_COMMITTED).as.committed.given_up);
  end(&f);
}

TEST(tracker_store, once_given_up_nothing_is_decided) {
  struct fixture f;
  struct hg_message message;
  begin(&f, 1000, 4);
  start(&f);
  ask(&f, (struct wish){.permit = 1, .min = 10, .max = 10});
  f.read += 2;
  commit_all(&f);
  give_up(&f, 0);
  record(&f, 0, 10);
  write_facts(&f);
  expect_rejected(&f, 1);
  record(&f, 0, 10);
  record(&f, 0, 10);
  set_limit(&f, 0, 2000);
  write_facts(&f);
  expect_rejected(&f, 4);
  question(&f, HG_GET_USAGE);
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_CLIENTS, BOB, HG_USAGE).as.usage.error, HG_ERR_STORE);
  CHECK(hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_COMMITTED).as.committed.given_up);
  const struct hg_reserved_message answer = ask(&f, (struct wish){.permit = 2, .min = 10, .max = 10});
  CHECK_EQ(answer.verdict, HG_VERDICT_REFUSED);
  CHECK_EQ(answer.error, HG_ERR_STORE);
  CHECK_EQ(settled(&f, 1, 5), HG_ERR_STORE);
  release(&f, 1, HG_OUTCOME_DONE);
  CHECK_EQ(closed(&f, 1), HG_ERR_STORE);
  hg_message_init(&message, HG_ABANDON);
  message.as.abandon.permit = 1;
  hg_test_send(&f.tracker, HG_PORT_DECISIONS, 0, &message);
  CHECK_EQ(closed(&f, 1), HG_ERR_STORE);
  hg_message_init(&message, HG_MAX_CONCURRENCY);
  message.as.max_concurrency.count = 2;
  hg_test_send(&f.tracker, HG_PORT_DECISIONS, 0, &message);
  hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_MAX_CONCURRENCY_NOTED);
  CHECK(no_event(&f));
  end(&f);
}

TEST(tracker_store, once_given_up_a_full_backlog_stops_nobody_and_no_stop) {
  struct fixture f;
  struct hg_message message;
  begin(&f, HG_TOKENS_MAX, 4);
  start(&f);
  const uint32_t clients = 1U << HG_PORT_CLIENTS;
  while (f.tracker.actor.listens(f.tracker.actor.self) & clients) {
    record(&f, 0, 1);
    hg_test_flush(&f.tracker);
  }
  give_up(&f, 0);
  CHECK(f.tracker.actor.listens(f.tracker.actor.self) & clients);
  hg_message_init(&message, HG_STOP);
  hg_test_send(&f.tracker, HG_PORT_LIFE, 0, &message);
  hg_test_flush(&f.tracker);
  hg_test_flush(&f.tracker);
  CHECK(f.tracker.finished); // without being told that it should not wait
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_LIFE, 0, HG_STOPPED).as.stopped.error, HG_ERR_STORE);
  end(&f);
}
