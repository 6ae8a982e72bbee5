// labels: budget
// The tracker counts once: usage ids that the ledger knows or not, what waits behind a question to it, and clients with
// lasting names.
#include "tracker_fixture.h"

static void record_as(struct fixture *f, hg_peer peer, uint64_t number, const char *usage_id, int64_t tokens) {
  struct hg_message message;
  hg_message_init(&message, HG_RECORD_USAGE);
  message.as.record_usage.number = number;
  message.as.record_usage.tokens = tokens;
  message.as.record_usage.task_id = hg_text_of("a task");
  message.as.record_usage.usage_id = hg_text_of(usage_id);
  hg_test_send(&f->tracker, HG_PORT_CLIENTS, peer, &message);
}

static void leave(struct fixture *f, hg_peer peer) {
  struct hg_message message;
  hg_message_init(&message, HG_LEAVE);
  hg_test_send(&f->tracker, HG_PORT_CLIENTS, peer, &message);
}

// The ledger answers the question that the tracker asked as its `request`-th.
static void found(struct fixture *f, uint64_t request, uint64_t seq, uint64_t content) {
  struct hg_message message;
  write_facts(f);
  CHECK(request <= f->finds);
  hg_message_init(&message, HG_USAGE_FOUND);
  message.as.usage_found.request = request;
  message.as.usage_found.seq = seq;
  message.as.usage_found.content = content;
  hg_test_send(&f->tracker, HG_PORT_FACTS, 0, &message);
}

static void expect_recorded(struct fixture *f, hg_peer peer, uint64_t number) {
  commit_all(f);
  CHECK_EQ(hg_test_expect(&f->tracker, HG_PORT_CLIENTS, peer, HG_RECORDED).as.recorded.number, number);
}

static void expect_rejected(struct fixture *f, hg_peer peer, uint64_t number, hg_err err) {
  commit_all(f);
  const struct hg_message answer = hg_test_expect(&f->tracker, HG_PORT_CLIENTS, peer, HG_REJECTED);
  CHECK_EQ(answer.as.rejected.number, number);
  CHECK_EQ(answer.as.rejected.error, err);
}

TEST(tracker_once, a_usage_id_counts_once) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  record_as(&f, ALICE, 1, "u-1", 30);
  CHECK(no_event(&f));
  CHECK_EQ(f.finds, 1);
  found(&f, 1, 0, 0);
  const struct hg_message *event = next_event(&f, HG_USAGE_RECORDED);
  CHECK_EQ(event->as.usage_recorded.used_delta, 30);
  CHECK(hg_text_equal(event->as.usage_recorded.usage_id, hg_text_of("u-1")));
  expect_recorded(&f, ALICE, 1);
  record_as(&f, ALICE, 2, "u-1", 30);
  record_as(&f, BOB, 1, "u-1", 30);
  record_as(&f, ALICE, 3, "u-1", 31);
  CHECK(no_event(&f));
  CHECK_EQ(f.finds, 1); // it is remembered
  expect_rejected(&f, ALICE, 3, HG_ERR_CONFLICT);
  expect_recorded(&f, BOB, 1);
  expect_recorded(&f, ALICE, 3);
  CHECK_EQ(usage_of(&f, 0).used, 30);
  end(&f);
}

TEST(tracker_once, the_ledger_remembers_what_a_restart_forgot) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  struct hg_message said;
  hg_message_init(&said, HG_USAGE_RECORDED);
  said.as.usage_recorded.task_id = hg_text_of("a task");
  said.as.usage_recorded.used_delta = 30;
  said.as.usage_recorded.usage_id = hg_text_of("old");
  said.as.usage_recorded.used = 400; // of another moment, told by somebody else
  said.as.usage_recorded.reporter = hg_text_of("somebody");
  said.as.usage_recorded.number = 3;
  said.as.head.seq = 12;
  const uint64_t content = hg_usage_content(&said, hg_text_of("default"));
  record_as(&f, ALICE, 1, "old", 30);
  found(&f, 1, 12, content);
  expect_recorded(&f, ALICE, 1);
  record_as(&f, ALICE, 2, "old", 29);
  found(&f, 2, 12, content);
  CHECK(no_event(&f));
  expect_rejected(&f, ALICE, 2, HG_ERR_CONFLICT);
  expect_recorded(&f, ALICE, 2);
  CHECK(content != hg_usage_content(&said, hg_text_of("other")));
  end(&f);
}

TEST(tracker_once, what_a_client_sends_behind_a_question_waits_in_line) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  record_as(&f, ALICE, 1, "u-1", 1);
  record_as(&f, ALICE, 2, "", 2);
  record_as(&f, ALICE, 3, "u-2", 4);
  struct hg_message message;
  hg_message_init(&message, HG_GET_USAGE);
  message.as.get_usage.request = 99;
  hg_test_send(&f.tracker, HG_PORT_CLIENTS, ALICE, &message);
  record_as(&f, BOB, 1, "", 8); // nobody waits for another
  CHECK_EQ(next_event(&f, HG_USAGE_RECORDED)->as.usage_recorded.used_delta, 8);
  CHECK(no_event(&f));
  CHECK_EQ(f.finds, 2);
  found(&f, 2, 0, 0); // answers may come in any order, what is decided may not
  CHECK(no_event(&f));
  expect_recorded(&f, BOB, 1);
  found(&f, 1, 0, 0);
  CHECK_EQ(next_event(&f, HG_USAGE_RECORDED)->as.usage_recorded.used_delta, 1);
  CHECK_EQ(next_event(&f, HG_USAGE_RECORDED)->as.usage_recorded.used_delta, 2);
  CHECK_EQ(next_event(&f, HG_USAGE_RECORDED)->as.usage_recorded.used_delta, 4);
  commit_all(&f);
  const struct hg_message usage = hg_test_expect(&f.tracker, HG_PORT_CLIENTS, ALICE, HG_USAGE);
  CHECK_EQ(usage.as.usage.used, 15);
  expect_recorded(&f, ALICE, 3);
  end(&f);
}

TEST(tracker_once, two_clients_that_bring_the_same_new_id_count_once) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  record_as(&f, ALICE, 1, "u-1", 5);
  record_as(&f, BOB, 1, "u-1", 5);
  found(&f, 2, 0, 0);
  found(&f, 1, 0, 0);
  next_event(&f, HG_USAGE_RECORDED);
  CHECK(no_event(&f));
  commit_all(&f);
  CHECK_EQ(usage_of(&f, 0).used, 5);
  end(&f);
}

TEST(tracker_once, a_client_that_leaves_while_it_waits_is_served_first) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  record_as(&f, ALICE, 1, "u-1", 5);
  leave(&f, ALICE);
  record_as(&f, BOB, 1, "u-2", 5);
  found(&f, 1, 0, 0);
  next_event(&f, HG_USAGE_RECORDED);
  commit_all(&f);
  record_as(&f, ALICE, 1, "", 7); // a new client behind the same routing id counts from 1
  CHECK_EQ(next_event(&f, HG_USAGE_RECORDED)->as.usage_recorded.used_delta, 7);
  end(&f); // BOB's question is still open
}

TEST(tracker_once, what_was_refused_did_not_take_its_id) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  record_as(&f, ALICE, 1, "", 10);
  next_event(&f, HG_USAGE_RECORDED);
  expect_recorded(&f, ALICE, 1);
  record_as(&f, ALICE, 2, "u-1", HG_TOKENS_MAX);
  found(&f, 1, 0, 0);
  expect_rejected(&f, ALICE, 2, HG_ERR_RANGE);
  record_as(&f, ALICE, 3, "u-1", 20);
  CHECK_EQ(next_event(&f, HG_USAGE_RECORDED)->as.usage_recorded.used_delta, 20);
  end(&f);
}

TEST(tracker_once, clients_are_not_heard_while_the_ledger_is_asked_too_much) {
  struct fixture f;
  begin(&f, 1000000, 4);
  start(&f);
  for (uint64_t number = 1; number <= HG_FINDS_WINDOW; number++) {
    char usage_id[32];
    CHECK(f.tracker.actor.listens(f.tracker.actor.self) & 1U << HG_PORT_CLIENTS);
    snprintf(usage_id, sizeof usage_id, "u-%llu", (unsigned long long)number);
    record_as(&f, ALICE, number, usage_id, 1);
  }
  const uint32_t heard = f.tracker.actor.listens(f.tracker.actor.self);
  CHECK(!(heard & 1U << HG_PORT_CLIENTS));
  CHECK(heard & 1U << HG_PORT_FACTS && heard & 1U << HG_PORT_DECISIONS);
  for (uint64_t number = 1; number <= HG_FINDS_WINDOW; number++) {
    found(&f, number, 0, 0);
    commit_all(&f);
  }
  CHECK(f.tracker.actor.listens(f.tracker.actor.self) & 1U << HG_PORT_CLIENTS);
  CHECK_EQ(usage_of(&f, 0).used, HG_FINDS_WINDOW);
  end(&f);
}

// ------------------------------------------------------------------------------------------------ lasting names

static void ask_for_name(struct fixture *f, hg_peer peer, const char *name) {
  struct hg_message message;
  hg_message_init(&message, HG_REPORT_AS);
  message.as.report_as.request = 5;
  message.as.report_as.name = hg_text_of(name);
  hg_test_send(&f->tracker, HG_PORT_CLIENTS, peer, &message);
}

static struct hg_reporter_message report_as(struct fixture *f, hg_peer peer, const char *name) {
  ask_for_name(f, peer, name);
  commit_all(f);
  return hg_test_expect(&f->tracker, HG_PORT_CLIENTS, peer, HG_REPORTER).as.reporter;
}

TEST(tracker_once, a_lasting_name_goes_on_where_its_numbers_ended) {
  struct fixture f;
  begin(&f, 1000, 4);
  f.setup.state.reporters = &(struct hg_ledger_reporter){"loader", 41};
  f.setup.state.reporter_count = 1;
  start(&f);
  struct hg_reporter_message told = report_as(&f, ALICE, "loader");
  CHECK(told.error == HG_OK && told.last == 41);
  CHECK_EQ(report_as(&f, BOB, "loader").error, HG_ERR_CONFLICT);
  record_as(&f, ALICE, 41, "", 5); // it did arrive: done already
  CHECK(no_event(&f));
  expect_recorded(&f, ALICE, 41);
  record_as(&f, ALICE, 43, "", 5);
  expect_rejected(&f, ALICE, 43, HG_ERR_SEQUENCE);
  record_as(&f, ALICE, 42, "", 5);
  const struct hg_message *event = next_event(&f, HG_USAGE_RECORDED);
  CHECK(hg_text_equal(event->as.usage_recorded.reporter, hg_text_of("loader")));
  CHECK_EQ(event->as.usage_recorded.number, 42);
  expect_recorded(&f, ALICE, 42);
  leave(&f, ALICE);
  told = report_as(&f, BOB, "loader");
  CHECK(told.error == HG_OK && told.last == 42);
  CHECK_EQ(report_as(&f, BOB, "another").error, HG_ERR_INVALID); // once is enough
  end(&f);
}

TEST(tracker_once, numbers_without_a_row_of_their_own_get_one_together) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  CHECK_EQ(report_as(&f, ALICE, "loader").last, 0);
  record_as(&f, ALICE, 1, "", 10);
  next_event(&f, HG_USAGE_RECORDED);
  record_as(&f, ALICE, 2, "", HG_TOKENS_MAX);
  record_as(&f, ALICE, 3, "", HG_TOKENS_MAX);
  const struct hg_message *event = next_event(&f, HG_NUMBERS_TAKEN);
  CHECK(hg_text_equal(event->as.numbers_taken.reporter, hg_text_of("loader")));
  CHECK_EQ(event->as.numbers_taken.number, 3);
  CHECK(no_event(&f));
  end(&f);
}

TEST(tracker_once, numbers_told_to_the_next_of_a_name_have_a_row) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  CHECK_EQ(report_as(&f, ALICE, "loader").last, 0);
  record_as(&f, ALICE, 1, "", 10);
  next_event(&f, HG_USAGE_RECORDED);
  expect_recorded(&f, ALICE, 1);
  record_as(&f, ALICE, 2, "", HG_TOKENS_MAX);
  leave(&f, ALICE); // in the same turn
  ask_for_name(&f, BOB, "loader");
  expect_rejected(&f, ALICE, 2, HG_ERR_RANGE);
  CHECK_EQ(hg_test_expect(&f.tracker, HG_PORT_CLIENTS, BOB, HG_REPORTER).as.reporter.last, 2);
  CHECK_EQ(next_event(&f, HG_NUMBERS_TAKEN)->as.numbers_taken.number, 2);
  end(&f);
}

TEST(tracker_once, names_are_checked) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  CHECK_EQ(report_as(&f, ALICE, "").error, HG_ERR_INVALID);
  char name[HG_REPORTER_NAME_MAX + 2];
  memset(name, 'n', sizeof name);
  name[HG_REPORTER_NAME_MAX + 1] = '\0';
  CHECK_EQ(report_as(&f, ALICE, name).error, HG_ERR_INVALID);
  record_as(&f, ALICE, 1, "", 1);
  next_event(&f, HG_USAGE_RECORDED);
  expect_recorded(&f, ALICE, 1);
  CHECK_EQ(report_as(&f, ALICE, "late").error, HG_ERR_INVALID); // it has numbered already
  end(&f);
}

TEST(tracker_once, a_store_that_is_given_up_answers_for_the_ledger) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  record_as(&f, ALICE, 1, "u-1", 30);
  record_as(&f, ALICE, 2, "u-2", 30);
  record_as(&f, BOB, 1, "u-3", 30);
  write_facts(&f);
  CHECK_EQ(f.finds, 3);
  struct hg_message message;
  hg_message_init(&message, HG_COMMITTED);
  message.as.committed.given_up = true;
  hg_test_send(&f.tracker, HG_PORT_FACTS, 0, &message);
  CHECK(no_event(&f)); // none is decided without the ledger
  unsigned told = 0;
  hg_peer peer;
  while (hg_test_take(&f.tracker, HG_PORT_CLIENTS, &peer, &message)) {
    CHECK_EQ(message.kind, HG_REJECTED);
    CHECK_EQ(message.as.rejected.error, HG_ERR_STORE);
    if (message.as.rejected.number == (peer == ALICE ? 2 : 1)) told |= 1U << (peer - ALICE);
  }
  CHECK_EQ(told, 3);
  end(&f);
}
