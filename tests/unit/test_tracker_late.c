// Settles and releases of permits that the tracker does not remember: the ledger is asked how they ended.
// labels: budget
#include "tracker_fixture.h"

#define CAROL 13

static void settle_late(struct fixture *f, hg_peer asker, uint64_t permit, int64_t tokens, uint32_t source) {
  struct hg_message message;
  hg_message_init(&message, HG_SETTLE);
  message.as.settle.permit = permit;
  message.as.settle.tokens = tokens;
  message.as.settle.source = source;
  message.as.settle.asker = asker;
  hg_test_send(&f->tracker, HG_PORT_DECISIONS, 0, &message);
}

static void release_late(struct fixture *f, hg_peer asker, uint64_t permit) {
  struct hg_message message;
  hg_message_init(&message, HG_RELEASE);
  message.as.release.permit = permit;
  message.as.release.asker = asker;
  hg_test_send(&f->tracker, HG_PORT_DECISIONS, 0, &message);
}

static void found(struct fixture *f, uint64_t request, uint32_t end, int64_t used, int64_t reserved) {
  struct hg_message message;
  hg_message_init(&message, HG_PERMIT_FOUND);
  message.as.permit_found.request = request;
  message.as.permit_found.end = end;
  message.as.permit_found.used = used;
  message.as.permit_found.reserved = reserved;
  hg_test_send(&f->tracker, HG_PORT_FACTS, 0, &message);
}

static hg_err closed_for(struct fixture *f, hg_peer asker, uint64_t permit) {
  const struct hg_message answer = hg_test_expect(&f->tracker, HG_PORT_DECISIONS, 0, HG_PERMIT_CLOSED);
  CHECK_EQ(answer.as.permit_closed.permit, permit);
  CHECK_EQ(answer.as.permit_closed.asker, asker);
  return (hg_err)answer.as.permit_closed.error;
}

static bool asks_for(struct fixture *f, uint64_t finds) {
  write_facts(f);
  return f->finds == finds;
}

// What a settle of 70 tokens hears of a permit that the ledger says to have ended so.
static hg_err settle_of_70(struct fixture *f, uint32_t end, int64_t used) {
  settle_late(f, CAROL, 5, 70, HG_SOURCE_EXACT);
  CHECK(asks_for(f, f->finds + 1));
  CHECK(hg_test_is_silent(&f->tracker, HG_PORT_DECISIONS));
  found(f, f->finds, end, used, 100);
  return closed_for(f, CAROL, 5);
}

TEST(tracker_late, the_same_end_is_answered_as_the_first_and_another_is_a_conflict) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  CHECK_EQ(settle_of_70(&f, HG_PERMIT_SETTLED, 70), HG_OK);
  CHECK_EQ(settle_of_70(&f, HG_PERMIT_SETTLED, 71), HG_ERR_CONFLICT);
  CHECK_EQ(settle_of_70(&f, HG_PERMIT_RELEASED, 0), HG_ERR_CONFLICT);
  CHECK_EQ(settle_of_70(&f, 0, 0), HG_ERR_UNKNOWN_PERMIT);
  release_late(&f, CAROL, 6);
  CHECK(asks_for(&f, 5));
  found(&f, 5, HG_PERMIT_RELEASED, 0, 100);
  CHECK_EQ(closed_for(&f, CAROL, 6), HG_OK);
  release_late(&f, CAROL, 6);
  CHECK(asks_for(&f, 6));
  found(&f, 6, HG_PERMIT_SETTLED, 0, 100);
  CHECK_EQ(closed_for(&f, CAROL, 6), HG_ERR_CONFLICT);
  CHECK(no_event(&f));
  CHECK_EQ(usage_of(&f, 0).used, 0);
  end(&f);
}

TEST(tracker_late, usage_that_was_missing_is_the_whole_reservation) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  settle_late(&f, CAROL, 5, 0, HG_SOURCE_MISSING);
  CHECK(asks_for(&f, 1));
  found(&f, 1, HG_PERMIT_SETTLED, 100, 100);
  CHECK_EQ(closed_for(&f, CAROL, 5), HG_OK);
  settle_late(&f, CAROL, 5, 0, HG_SOURCE_MISSING);
  CHECK(asks_for(&f, 2));
  found(&f, 2, HG_PERMIT_SETTLED, 99, 100);
  CHECK_EQ(closed_for(&f, CAROL, 5), HG_ERR_CONFLICT);
  end(&f);
}

// Or what is known at least, where that is more.
TEST(tracker_late, usage_that_was_missing_is_not_less_than_is_known) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  for (uint64_t permit = 1; permit <= 2; permit++) {
    const int64_t least = permit == 1 ? 9 : 11;
    CHECK_EQ(ask(&f, (struct wish){.permit = permit, .min = 10, .max = 10}).verdict, HG_VERDICT_GRANTED);
    settle_late(&f, CAROL, permit, least, HG_SOURCE_MISSING);
    CHECK_EQ(closed_for(&f, CAROL, permit), HG_OK);
    CHECK_EQ(usage_of(&f, 0).used, permit == 1 ? 10 : 21);
    settle_late(&f, CAROL, permit, least, HG_SOURCE_MISSING);
    CHECK_EQ(closed_for(&f, CAROL, permit), HG_OK);
    settle_late(&f, CAROL, permit, 12, HG_SOURCE_MISSING);
    CHECK_EQ(closed_for(&f, CAROL, permit), HG_ERR_CONFLICT);
  }
  settle_late(&f, CAROL, 5, 150, HG_SOURCE_MISSING);
  CHECK(asks_for(&f, 1));
  found(&f, 1, HG_PERMIT_SETTLED, 150, 100);
  CHECK_EQ(closed_for(&f, CAROL, 5), HG_OK);
  end(&f);
}

TEST(tracker_late, what_is_remembered_hears_the_same) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  CHECK_EQ(ask(&f, (struct wish){.permit = 1, .min = 10, .max = 10}).verdict, HG_VERDICT_GRANTED);
  settle_late(&f, CAROL, 1, 0, HG_SOURCE_MISSING);
  CHECK_EQ(closed_for(&f, CAROL, 1), HG_OK);
  settle_late(&f, CAROL, 1, 10, HG_SOURCE_EXACT);
  CHECK_EQ(closed_for(&f, CAROL, 1), HG_OK);
  settle_late(&f, CAROL, 1, 0, HG_SOURCE_MISSING);
  CHECK_EQ(closed_for(&f, CAROL, 1), HG_OK);
  settle_late(&f, CAROL, 1, 0, HG_SOURCE_EXACT);
  CHECK_EQ(closed_for(&f, CAROL, 1), HG_ERR_CONFLICT);
  CHECK(asks_for(&f, 0));
  end(&f);
}

TEST(tracker_late, only_so_many_are_looked_up_at_once) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  for (uint64_t i = 0; i < HG_END_FINDS_WINDOW; i++)
    settle_late(&f, CAROL, 1000 + i, 1, HG_SOURCE_EXACT);
  CHECK(asks_for(&f, HG_END_FINDS_WINDOW));
  settle_late(&f, BOB, 99, 1, HG_SOURCE_EXACT);
  CHECK_EQ(closed_for(&f, BOB, 99), HG_ERR_BUSY);
  CHECK(asks_for(&f, HG_END_FINDS_WINDOW));
  found(&f, 1, 0, 0, 0);
  CHECK_EQ(closed_for(&f, CAROL, 1000), HG_ERR_UNKNOWN_PERMIT);
  settle_late(&f, BOB, 99, 1, HG_SOURCE_EXACT);
  CHECK(asks_for(&f, HG_END_FINDS_WINDOW + 1));
  end(&f);
}

// What is remembered is not asked for, and nobody waits behind what is.
TEST(tracker_late, others_are_answered_meanwhile) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  CHECK_EQ(ask(&f, (struct wish){.permit = 1, .min = 10, .max = 10}).verdict, HG_VERDICT_GRANTED);
  settle_late(&f, CAROL, 99, 1, HG_SOURCE_EXACT);
  settle_late(&f, BOB, 99, 2, HG_SOURCE_EXACT);
  CHECK_EQ(settled(&f, 1, 4), HG_OK);
  settle_late(&f, CAROL, 1, 4, HG_SOURCE_EXACT);
  CHECK_EQ(closed_for(&f, CAROL, 1), HG_OK);
  release_late(&f, CAROL, 1);
  CHECK_EQ(closed_for(&f, CAROL, 1), HG_ERR_CONFLICT);
  CHECK(asks_for(&f, 2));
  found(&f, 2, HG_PERMIT_SETTLED, 1, 1);
  CHECK_EQ(closed_for(&f, BOB, 99), HG_ERR_CONFLICT);
  found(&f, 1, HG_PERMIT_SETTLED, 1, 1);
  CHECK_EQ(closed_for(&f, CAROL, 99), HG_OK);
  found(&f, 1, HG_PERMIT_SETTLED, 1, 1); // nobody asked
  CHECK(hg_test_is_silent(&f.tracker, HG_PORT_DECISIONS));
  end(&f);
}

// The scheduler's own releases and abandonings are of permits that ran here: there is nothing to look up.
TEST(tracker_late, without_an_asker_the_ledger_is_not_asked) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  CHECK_EQ(settled(&f, 99, 1), HG_ERR_UNKNOWN_PERMIT);
  CHECK(asks_for(&f, 0));
  end(&f);
}

TEST(tracker_late, a_stop_waits_for_the_ledger) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  settle_late(&f, CAROL, 99, 1, HG_SOURCE_EXACT);
  struct hg_message stop;
  hg_message_init(&stop, HG_STOP);
  hg_test_send(&f.tracker, HG_PORT_LIFE, 0, &stop);
  for (int turn = 0; turn < 3; turn++)
    CHECK(no_event(&f));
  found(&f, 1, 0, 0, 0);
  CHECK_EQ(closed_for(&f, CAROL, 99), HG_ERR_UNKNOWN_PERMIT);
  next_event(&f, HG_RUNTIME_STOPPED);
  end(&f);
}

TEST(tracker_late, a_store_that_is_given_up_answers_for_the_ledger) {
  struct fixture f;
  begin(&f, 1000, 4);
  start(&f);
  settle_late(&f, CAROL, 99, 1, HG_SOURCE_EXACT);
  CHECK(asks_for(&f, 1));
  struct hg_message committed;
  hg_message_init(&committed, HG_COMMITTED);
  committed.as.committed.seq = f.events.at[f.events.count - 1].as.head.seq;
  committed.as.committed.degraded = committed.as.committed.given_up = true;
  hg_test_send(&f.tracker, HG_PORT_FACTS, 0, &committed);
  CHECK_EQ(closed_for(&f, CAROL, 99), HG_ERR_STORE);
  hg_test_flush(&f.tracker);
  hg_test_expect(&f.tracker, HG_PORT_DECISIONS, 0, HG_COMMITTED);
  release_late(&f, CAROL, 98);
  CHECK_EQ(closed_for(&f, CAROL, 98), HG_ERR_STORE);
  end(&f);
}
