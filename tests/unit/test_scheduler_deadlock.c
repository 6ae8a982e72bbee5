// labels: budget
// Clients that hold permits and wait for more: who can never be served hears so, and nobody else does.
#include "scheduler_fixture.h"

#define CAROL 13

static void wait_for(struct fixture *f, hg_peer peer, uint64_t request) {
  acquire_as(f, peer, (struct wish){.request = request, .waits = true});
}

static void expect_deadlock(struct fixture *f, hg_peer peer, uint64_t request) {
  CHECK(asks_nothing(f));
  expect_refused(f, peer, request, HG_ERR_WOULD_DEADLOCK);
  CHECK(clients_hear_nothing(f));
}

TEST(scheduler_deadlock, the_last_one_that_could_free_a_slot_hears_it_at_once) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  run_task_of(&f, ALICE, 1);
  run_task_of(&f, BOB, 2);
  wait_for(&f, ALICE, 3);
  wait_for(&f, CAROL, 4); // holds nothing
  CHECK(asks_nothing(&f));
  CHECK(clients_hear_nothing(&f)); // BOB may settle
  wait_for(&f, BOB, 5);
  expect_deadlock(&f, BOB, 5);
  wait_for(&f, BOB, 6); // again, without an end to its work
  expect_deadlock(&f, BOB, 6);
  finish_task(&f, BOB, 2);
  expect_asked(&f, 3, 0);
  end(&f);
}

TEST(scheduler_deadlock, one_that_holds_every_slot_itself) {
  struct fixture f;
  begin(&f, 1);
  start(&f);
  run_task(&f, 1);
  wait_for(&f, ALICE, 2);
  expect_deadlock(&f, ALICE, 2);
  acquire_as(&f, ALICE, (struct wish){.request = 3, .waits = true, .parent = 1}); // as it should be
  expect_asked(&f, 3, 0);
  end(&f);
}

TEST(scheduler_deadlock, one_that_can_do_something_else_is_not_waiting) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  run_task_of(&f, ALICE, 1);
  run_task_of(&f, BOB, 2);
  acquire_as(&f, BOB, (struct wish){.request = 3}); // asynchronous
  wait_for(&f, ALICE, 4);
  CHECK(asks_nothing(&f));
  CHECK(clients_hear_nothing(&f));
  wait_for(&f, BOB, 5);
  expect_deadlock(&f, BOB, 5);
  end(&f);
}

// A free slot is of no use where the tokens are all promised to clients that wait.
TEST(scheduler_deadlock, tokens_that_only_those_who_wait_could_free) {
  struct fixture f;
  begin(&f, 8);
  start(&f);
  run_task_of(&f, ALICE, 1);
  run_task_of(&f, BOB, 2);
  acquire_as(&f, CAROL, (struct wish){.request = 3}); // holds nothing, and may do something else
  expect_asked(&f, 3, 0);
  answer(&f, 3, HG_VERDICT_WAIT, 0, 0);
  wait_for(&f, ALICE, 4); // behind it
  CHECK(asks_nothing(&f));
  CHECK(clients_hear_nothing(&f));                                              // BOB may settle
  acquire_as(&f, BOB, (struct wish){.request = 5, .waits = true, .parent = 2}); // in the slot that it has
  expect_asked(&f, 5, 1);
  answer(&f, 5, HG_VERDICT_WAIT, 0, 0);
  expect_deadlock(&f, BOB, 5);
  finish_task(&f, BOB, 2);
  expect_deadlock(&f, ALICE, 4);
  finish_task(&f, ALICE, 1);
  room(&f, 0);
  expect_asked(&f, 3, 2);
  CHECK(clients_hear_nothing(&f));
  end(&f);
}

TEST(scheduler_deadlock, nested_work_that_waits_for_tokens_holds_its_parent) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  run_task_of(&f, ALICE, 1);
  acquire_as(&f, ALICE, (struct wish){.request = 2, .waits = true, .parent = 1});
  expect_asked(&f, 2, 0);
  CHECK(clients_hear_nothing(&f)); // it may be granted
  answer(&f, 2, HG_VERDICT_WAIT, 0, 0);
  expect_deadlock(&f, ALICE, 2);
  end(&f);
}

TEST(scheduler_deadlock, what_is_under_way_may_free_a_slot) {
  struct fixture f;
  begin(&f, 1);
  start(&f);
  run_task(&f, 1);
  settle(&f, ALICE, 1);
  wait_for(&f, ALICE, 2);
  hg_test_flush(&f.scheduler);
  CHECK(clients_hear_nothing(&f));
  hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE);
  close_permit(&f, 1, HG_ERR_RANGE, 0); // but did not
  hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, ALICE, HG_SETTLED);
  expect_deadlock(&f, ALICE, 2);
  settle(&f, ALICE, 1);
  wait_for(&f, ALICE, 3);
  hg_test_flush(&f.scheduler);
  hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE);
  close_permit(&f, 1, HG_OK, 0);
  hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, ALICE, HG_SETTLED);
  expect_asked(&f, 3, 0);
  CHECK(clients_hear_nothing(&f));
  end(&f);
}

TEST(scheduler_deadlock, a_request_in_flight_is_answered_first) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  run_task(&f, 1);
  acquire_as(&f, CAROL, (struct wish){.request = 2});
  expect_asked(&f, 2, 0);
  wait_for(&f, ALICE, 3);
  CHECK(asks_nothing(&f));
  CHECK(clients_hear_nothing(&f));
  answer(&f, 2, HG_VERDICT_NEVER, 0, 0); // its slot is free again
  expect_asked(&f, 3, 0);
  expect_refused(&f, CAROL, 2, HG_ERR_BUDGET_EXHAUSTED);
  end(&f);
}

TEST(scheduler_deadlock, a_throttle_takes_the_last_other_slot_away) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  run_task_of(&f, ALICE, 1);
  run_task_of(&f, BOB, 2);
  wait_for(&f, ALICE, 3);
  cross(&f, 0, true);
  CHECK(asks_nothing(&f));
  CHECK(clients_hear_nothing(&f)); // BOB may settle, which will not help: only then is it known
  finish_task(&f, BOB, 2);
  expect_deadlock(&f, ALICE, 3);
  end(&f);
}

static void set_max(struct fixture *f, uint32_t count) {
  struct hg_message message;
  hg_message_init(&message, HG_SET_MAX_CONCURRENCY);
  message.as.set_max_concurrency.request = 9;
  message.as.set_max_concurrency.count = count;
  hg_test_send(&f->scheduler, HG_PORT_CLIENTS, CAROL, &message);
  hg_test_expect(&f->scheduler, HG_PORT_DECISIONS, 0, HG_MAX_CONCURRENCY);
}

static void max_is_noted(struct fixture *f) {
  struct hg_message noted;
  hg_message_init(&noted, HG_MAX_CONCURRENCY_NOTED);
  hg_test_send(&f->scheduler, HG_PORT_DECISIONS, 0, &noted);
  hg_test_expect(&f->scheduler, HG_PORT_CLIENTS, CAROL, HG_DONE);
}

TEST(scheduler_deadlock, a_raise_on_its_way_counts_and_a_lower_maximum_is_judged_again) {
  struct fixture f;
  begin(&f, 1);
  start(&f);
  run_task(&f, 1);
  set_max(&f, 2);
  wait_for(&f, ALICE, 2);
  expect_asked(&f, 2, 0);
  answer(&f, 2, HG_VERDICT_WAIT, 0, 0);
  CHECK(asks_nothing(&f));
  CHECK(clients_hear_nothing(&f)); // the raise is under way
  max_is_noted(&f);
  expect_deadlock(&f, ALICE, 2); // it waits for tokens, whatever the slots
  set_max(&f, 1);
  wait_for(&f, ALICE, 3);
  hg_test_flush(&f.scheduler);
  CHECK(clients_hear_nothing(&f));
  max_is_noted(&f);
  expect_deadlock(&f, ALICE, 3);
  end(&f);
}

TEST(scheduler_deadlock, one_whose_deadline_has_passed_does_not_wait_any_more) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  run_task_of(&f, ALICE, 1);
  run_task_of(&f, BOB, 2);
  acquire_as(&f, ALICE, (struct wish){.request = 3, .waits = true, .timeout_us = 100});
  CHECK(asks_nothing(&f));
  at(&f, 100);
  wait_for(&f, BOB, 4); // in the same turn
  CHECK(asks_nothing(&f));
  expect_refused(&f, ALICE, 3, HG_ERR_TIMEOUT);
  CHECK(clients_hear_nothing(&f));
  cancel(&f, 1);
  wait_for(&f, ALICE, 5);
  expect_deadlock(&f, ALICE, 5);
  end(&f);
}

TEST(scheduler_deadlock, a_client_that_leaves_frees_what_it_held) {
  struct fixture f;
  begin(&f, 2);
  start(&f);
  run_task_of(&f, ALICE, 1);
  run_task_of(&f, BOB, 2);
  wait_for(&f, ALICE, 3);
  CHECK(asks_nothing(&f));
  leave(&f, BOB);
  hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_ABANDON);
  CHECK(asks_nothing(&f));
  CHECK(clients_hear_nothing(&f));
  close_permit(&f, 2, HG_OK, 0);
  expect_asked(&f, 3, 0);
  end(&f);
}

// ------------------------------------------------------------------------------------------------- random clients

// Clients that obey: one that waits does nothing else, one that does not wait acquires or settles what is its own.
// After each of their steps everything comes to rest, so it can be said exactly who can never be served.
#define CLIENTS 5
#define REQUESTS 4000

struct obedient {
  uint64_t waits_for; // 0: nothing
  uint64_t held[8];
  uint32_t count;
};
static struct world {
  struct hg_test_setup setup;
  struct hg_test_world cores;
  struct obedient clients[CLIENTS + 1]; // by peer
  uint64_t last_request, refusals, grants, judged_later;
  uint32_t max;
  bool throttled;
  uint64_t dice;
} w;

static uint64_t roll(uint64_t sides) {
  w.dice ^= w.dice << 13;
  w.dice ^= w.dice >> 7;
  w.dice ^= w.dice << 17;
  return w.dice % sides;
}

static bool all_slots_are_stuck(void) {
  uint32_t held = 0, stuck = 0;
  for (uint64_t peer = 1; peer <= CLIENTS; peer++) {
    held += w.clients[peer].count;
    if (w.clients[peer].waits_for) stuck += w.clients[peer].count;
  }
  const uint32_t effective = w.throttled ? 1 : w.max;
  return held >= effective && stuck == held;
}

// `actor` has just done something.
static void hear(hg_peer actor) {
  struct hg_message message;
  hg_peer to;
  while (hg_test_take(&w.cores.scheduler, HG_PORT_CLIENTS, &to, &message)) {
    struct obedient *client = &w.clients[to];
    if (message.kind == HG_GRANTED) {
      CHECK_EQ(message.as.granted.request, client->waits_for);
      client->held[client->count++] = client->waits_for;
      client->waits_for = 0;
      w.grants++;
    } else if (message.kind == HG_REFUSED) {
      CHECK_EQ(message.as.refused.request, client->waits_for);
      CHECK_EQ(message.as.refused.error, HG_ERR_WOULD_DEADLOCK);
      CHECK(all_slots_are_stuck());
      CHECK(client->count > 0);
      client->waits_for = 0;
      w.refusals++;
      w.judged_later += to != actor;
    }
  }
  CHECK(!all_slots_are_stuck()); // somebody can always go on
}

static void go(hg_peer peer) {
  struct obedient *client = &w.clients[peer];
  struct hg_message message;
  if (client->count && (roll(2) || client->count == 8)) {
    hg_message_init(&message, HG_SETTLE);
    message.as.settle.permit = client->held[--client->count];
  } else {
    hg_message_init(&message, HG_ACQUIRE);
    message.as.acquire.request = client->waits_for = ++w.last_request;
    message.as.acquire.min_tokens = message.as.acquire.max_tokens = 1;
    message.as.acquire.waits = true;
  }
  hg_test_send(&w.cores.scheduler, HG_PORT_CLIENTS, peer, &message);
}

// The throttle closes or opens.
static void cross_threshold(void) {
  struct hg_message message;
  static uint64_t number;
  hg_message_init(&message, HG_CORRECT_USAGE);
  message.as.correct_usage.number = ++number;
  message.as.correct_usage.tokens = w.throttled ? -90000 : 90000;
  w.throttled = !w.throttled;
  hg_test_send(&w.cores.tracker, HG_PORT_CLIENTS, CLIENTS + 1, &message);
  hg_test_world_run(&w.cores);
  hear(0);
}

TEST(scheduler_deadlock, somebody_can_always_go_on_and_nobody_is_refused_without_need) {
  w.dice = 20251123;
  w.max = 3;
  hg_test_setup_init(&w.setup, 100000, w.max);
  hg_test_world_init(&w.cores, &w.setup);
  while (w.last_request < REQUESTS) {
    const hg_peer peer = 1 + roll(CLIENTS);
    if (roll(50) == 0) cross_threshold();
    if (w.clients[peer].waits_for) continue;
    go(peer);
    hg_test_world_run(&w.cores);
    hear(peer);
  }
  CHECK(w.grants > 1000);
  CHECK(w.refusals > 100);
  CHECK(w.judged_later > 50);
  hg_test_world_destroy(&w.cores);
}
