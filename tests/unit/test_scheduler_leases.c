// labels: budget
// Permits that must be renewed: when their lease begins, what begins it anew, and what its end does.
#include "scheduler_fixture.h"

#define LEASE INT64_C(1000000)

static void ask_with_lease(struct fixture *f, uint64_t request, uint64_t timeout_us) {
  acquire_as(f, ALICE, (struct wish){.request = request, .lease_us = LEASE, .timeout_us = timeout_us});
}

static hg_err renew(struct fixture *f, hg_peer peer, uint64_t permit) {
  struct hg_message message;
  hg_message_init(&message, HG_RENEW);
  message.as.renew.request = 77;
  message.as.renew.permit = permit;
  hg_test_send(&f->scheduler, HG_PORT_CLIENTS, peer, &message);
  const struct hg_message done = hg_test_expect(&f->scheduler, HG_PORT_CLIENTS, peer, HG_DONE);
  CHECK_EQ(done.as.done.request, 77);
  return (hg_err)done.as.done.error;
}

static void expect_orphaned(struct fixture *f, uint64_t permit) {
  hg_test_flush(&f->scheduler);
  const struct hg_message message = hg_test_expect(&f->scheduler, HG_PORT_DECISIONS, 0, HG_ABANDON);
  CHECK_EQ(message.as.abandon.permit, permit);
  CHECK(message.as.abandon.expired);
}

TEST(scheduler_leases, one_ends_and_the_tracker_s_answer_frees_the_slot) {
  struct fixture f;
  begin(&f, 1);
  start(&f);
  ask_with_lease(&f, 1, 0);
  acquire_as(&f, BOB, (struct wish){.request = 2});
  expect_asked(&f, 1, 0);
  answer(&f, 1, HG_VERDICT_GRANTED, 0, 0);
  expect_granted(&f, ALICE, 1);
  CHECK(asks_nothing(&f));
  CHECK_EQ(f.scheduler.wake, LEASE);
  at(&f, LEASE - 1);
  CHECK(asks_nothing(&f));
  at(&f, LEASE);
  expect_orphaned(&f, 1);
  CHECK(asks_nothing(&f)); // told once, and the slot is not free yet
  CHECK_EQ(renew(&f, ALICE, 1), HG_ERR_UNKNOWN_PERMIT);
  acquire_as(&f, ALICE, (struct wish){.request = 3, .parent = 1});
  expect_refused(&f, ALICE, 3, HG_ERR_UNKNOWN_PERMIT);
  leave(&f, ALICE);
  CHECK(asks_nothing(&f)); // it is an orphan already
  close_permit(&f, 1, HG_OK, 0);
  expect_asked(&f, 2, 0);
  end(&f);
}

TEST(scheduler_leases, it_begins_when_the_grant_leaves) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  ask_with_lease(&f, 1, 0);
  expect_asked(&f, 1, 0);
  answer(&f, 1, HG_VERDICT_GRANTED, 0, 7);
  at(&f, 10 * LEASE); // a slow disk
  CHECK(asks_nothing(&f));
  CHECK_EQ(renew(&f, BOB, 1), HG_OK); // changes nothing yet
  commit(&f, 6);
  CHECK(asks_nothing(&f));
  CHECK_EQ(f.scheduler.wake, HG_NEVER);
  commit(&f, 7);
  expect_granted(&f, ALICE, 1);
  CHECK(asks_nothing(&f));
  CHECK_EQ(f.scheduler.wake, 11 * LEASE);
  at(&f, 11 * LEASE);
  expect_orphaned(&f, 1);
  end(&f);
}

TEST(scheduler_leases, each_renewal_begins_it_anew) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  run_task(&f, 9); // has none
  ask_with_lease(&f, 1, 50);
  expect_asked(&f, 1, 0);
  answer(&f, 1, HG_VERDICT_GRANTED, 0, 0);
  expect_granted(&f, ALICE, 1);
  at(&f, LEASE - 1);
  CHECK_EQ(renew(&f, BOB, 1), HG_OK); // any client may, as any may settle it
  at(&f, LEASE);
  CHECK_EQ(renew(&f, ALICE, 1), HG_OK);
  CHECK_EQ(renew(&f, ALICE, 9), HG_OK);
  CHECK_EQ(renew(&f, ALICE, 8), HG_ERR_UNKNOWN_PERMIT);
  CHECK(asks_nothing(&f));
  CHECK_EQ(f.scheduler.wake, 2 * LEASE);
  at(&f, 2 * LEASE);
  CHECK_EQ(renew(&f, ALICE, 1), HG_OK); // heard in the turn in which it would end
  CHECK(asks_nothing(&f));
  finish_task(&f, ALICE, 1);
  CHECK_EQ(renew(&f, ALICE, 1), HG_ERR_UNKNOWN_PERMIT);
  at(&f, 9 * LEASE);
  CHECK(asks_nothing(&f));
  CHECK_EQ(f.scheduler.wake, HG_NEVER);
  end(&f);
}

TEST(scheduler_leases, a_settle_on_its_way_comes_first) {
  struct fixture f;
  begin(&f, 1);
  start(&f);
  ask_with_lease(&f, 1, 0);
  expect_asked(&f, 1, 0);
  answer(&f, 1, HG_VERDICT_GRANTED, 0, 0);
  expect_granted(&f, ALICE, 1);
  settle(&f, ALICE, 1);
  hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE);
  at(&f, LEASE);
  expect_orphaned(&f, 1);
  close_permit(&f, 1, HG_OK, 0);
  hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, ALICE, HG_SETTLED);
  close_permit(&f, 1, HG_OK, 0);
  CHECK(asks_nothing(&f));
  CHECK(clients_hear_nothing(&f));
  end(&f);
}

// As many settles as may be under way stop the scheduler from hearing clients, whose renewals then wait.
TEST(scheduler_leases, none_ends_while_no_renewal_could_be_heard) {
  struct fixture f;
  begin(&f, 1);
  start(&f);
  ask_with_lease(&f, 1, 0);
  expect_asked(&f, 1, 0);
  answer(&f, 1, HG_VERDICT_GRANTED, 0, 0);
  expect_granted(&f, ALICE, 1);
  unsigned settles = 0;
  for (; f.scheduler.actor.listens(f.scheduler.actor.self) >> HG_PORT_CLIENTS & 1; settles++)
    settle(&f, BOB, 1);
  at(&f, LEASE);
  hg_test_flush(&f.scheduler);
  CHECK_EQ(f.scheduler.wake, 2 * LEASE);
  while (settles-- > 0) {
    hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE);
    close_permit(&f, 1, HG_ERR_INVALID, 0);
  }
  CHECK(asks_nothing(&f));
  at(&f, 2 * LEASE);
  expect_orphaned(&f, 1);
  end(&f);
}

TEST(scheduler_leases, has_bounds_and_ends_with_the_scheduler) {
  struct fixture f;
  begin(&f, 1);
  start(&f);
  acquire_as(&f, ALICE, (struct wish){.request = 1, .lease_us = HG_LEASE_MS_MIN * UINT64_C(1000) - 1});
  expect_refused(&f, ALICE, 1, HG_ERR_INVALID);
  acquire_as(&f, ALICE, (struct wish){.request = 1, .lease_us = HG_LEASE_MS_MAX * UINT64_C(1000) + 1000});
  expect_refused(&f, ALICE, 1, HG_ERR_INVALID);
  ask_with_lease(&f, 1, 0);
  expect_asked(&f, 1, 0);
  answer(&f, 1, HG_VERDICT_GRANTED, 0, 0);
  expect_granted(&f, ALICE, 1);
  struct hg_message stop;
  hg_message_init(&stop, HG_STOP);
  hg_test_send(&f.scheduler, HG_PORT_LIFE, 0, &stop);
  at(&f, LEASE);
  CHECK(asks_nothing(&f)); // the next start makes an orphan of it
  CHECK(f.scheduler.finished);
  end(&f);
}
