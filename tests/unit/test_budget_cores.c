// labels: budget
// Tracker and scheduler joined: named cases of the throttle, and random clients under a seed against a model.
#include "support/core_driver.h"
#include "support/random_clients.h"
#include "support/test.h"

// ------------------------------------------------------------------------------------------------ named cases

static void say(struct hg_test_world *world, const struct hg_message *message, bool to_tracker) {
  hg_test_send(to_tracker ? &world->tracker : &world->scheduler, HG_PORT_CLIENTS, 11, message);
}

static void acquire(struct hg_test_world *world, uint64_t request, int64_t min, int64_t max) {
  struct hg_message message;
  hg_message_init(&message, HG_ACQUIRE);
  message.as.acquire.request = request;
  message.as.acquire.min_tokens = min;
  message.as.acquire.max_tokens = max;
  say(world, &message, false);
}

static void settle(struct hg_test_world *world, uint64_t permit, int64_t tokens) {
  struct hg_message message;
  hg_message_init(&message, HG_SETTLE);
  message.as.settle.permit = permit;
  message.as.settle.tokens = tokens;
  say(world, &message, false);
}

// How many permits the events leave open.
static uint32_t running(const struct hg_test_world *world) {
  uint32_t open = 0;
  for (size_t i = 0; i < world->events.count; i++) {
    open += world->events.at[i].kind == HG_TOKENS_RESERVED;
    open -= world->events.at[i].kind == HG_TOKENS_SETTLED || world->events.at[i].kind == HG_TOKENS_RELEASED;
  }
  return open;
}

static const struct hg_message *last_of(const struct hg_test_world *world, enum hg_kind kind) {
  for (size_t i = world->events.count; i > 0; i--)
    if (world->events.at[i - 1].kind == kind) return &world->events.at[i - 1];
  return NULL;
}

static struct hg_test_world world; // too large for a stack

TEST(budget_cores, the_last_two_of_six_run_one_at_a_time) {
  struct hg_test_setup setup;
  hg_test_setup_init(&setup, 1000, 4);
  hg_test_world_init(&world, &setup);
  for (uint64_t request = 1; request <= 6; request++)
    acquire(&world, request, 30, 230);
  hg_test_world_run(&world);
  CHECK_EQ(running(&world), 4);
  for (uint64_t permit = 1; permit <= 4; permit++)
    settle(&world, permit, 226); // 904 of 1000
  hg_test_world_run(&world);
  const struct hg_message *event = last_of(&world, HG_CONCURRENCY_THROTTLED);
  CHECK(event);
  CHECK_EQ(event->as.concurrency_throttled.usage_percent, 9040);
  CHECK_EQ(running(&world), 1); // 30 would be there for the sixth
  settle(&world, 5, 30);
  hg_test_world_run(&world);
  CHECK_EQ(running(&world), 1);
  event = last_of(&world, HG_TOKENS_RESERVED);
  CHECK_EQ(event->as.tokens_reserved.permit, 6);
  CHECK(event->as.head.seq > last_of(&world, HG_TOKENS_SETTLED)->as.head.seq);
  settle(&world, 6, 30);
  hg_test_world_run(&world);
  CHECK_EQ(last_of(&world, HG_TOKENS_SETTLED)->as.tokens_settled.used, 964);
  CHECK_EQ(running(&world), 0);
  hg_test_world_destroy(&world);
}

TEST(budget_cores, lowered_usage_brings_all_slots_back) {
  struct hg_test_setup setup;
  hg_test_setup_init(&setup, 1000, 4);
  hg_test_world_init(&world, &setup);
  struct hg_message message;
  hg_message_init(&message, HG_RECORD_USAGE);
  message.as.record_usage.number = 1;
  message.as.record_usage.tokens = 900;
  say(&world, &message, true);
  for (uint64_t request = 1; request <= 6; request++)
    acquire(&world, request, 10, 10);
  hg_test_world_run(&world);
  CHECK_EQ(running(&world), 1);
  hg_message_init(&message, HG_CORRECT_USAGE);
  message.as.correct_usage.number = 2;
  message.as.correct_usage.tokens = -1; // 89.90
  say(&world, &message, true);
  hg_test_world_run(&world);
  CHECK_EQ(running(&world), 4);
  CHECK_EQ(last_of(&world, HG_CONCURRENCY_RESTORED)->as.concurrency_restored.to_count, 4);
  settle(&world, 1, 1);
  hg_test_world_run(&world);
  CHECK_EQ(running(&world), 3); // 90.00 again
  hg_message_init(&message, HG_SET_HARD_LIMIT);
  message.as.set_hard_limit.number = 3;
  message.as.set_hard_limit.tokens = 2000;
  say(&world, &message, true);
  hg_test_world_run(&world);
  CHECK_EQ(running(&world), 4);
  hg_test_world_destroy(&world);
}

TEST(budget_cores, under_the_committed_basis_an_unused_reservation_brings_all_slots_back) {
  struct hg_test_setup setup;
  hg_test_setup_init(&setup, 1000, 4);
  setup.config.throttle_basis = HG_THROTTLE_COMMITTED;
  setup.config.restore_below_percent = 80;
  hg_test_world_init(&world, &setup);
  acquire(&world, 1, 900, 900);
  for (uint64_t request = 2; request <= 5; request++)
    acquire(&world, request, 10, 10);
  hg_test_world_run(&world);
  CHECK_EQ(running(&world), 1);
  struct hg_message message;
  hg_message_init(&message, HG_RELEASE);
  message.as.release.permit = 1;
  say(&world, &message, false);
  hg_test_world_run(&world);
  CHECK_EQ(running(&world), 4);
  CHECK_EQ(last_of(&world, HG_CONCURRENCY_RESTORED)->as.concurrency_restored.usage_percent, 0);
  hg_test_world_destroy(&world);
}

// ------------------------------------------------------------------------------------------------- random clients

TEST(budget_cores, random_clients_never_break_a_law) {
  struct hg_random_totals totals = {0};
  hg_random_clients(1, 500, 2000, &totals);
  if (getenv("HG_SEED")) return;
  // The walks reach what they are for.
  CHECK(totals.grants > 10000);
  CHECK(totals.throttles > 500);
  CHECK(totals.restores > 300);
  CHECK(totals.waits > 2000);
  CHECK(totals.behinds > 200);
  CHECK(totals.orphans > 200);
  CHECK(totals.nevers > 100);
  CHECK(totals.lent > 300);
  CHECK(totals.returned > 100);
  CHECK(totals.deadlocks > 30);
}
