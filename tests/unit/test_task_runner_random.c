// links: program
// labels: budget
// The task runner in random worlds, each under a seed.
#include "runner/task_runner.h"
#include "support/runner_world.h"
#include "support/test.h"

// ---------------------------------------------------------------------------------------------- random worlds

static uint64_t capped, capped_by_money; // calls, in all worlds

// After so many calls the provider is gone, and every call ends so.
static uint64_t gone_after;
static enum fate gone_fate;

static enum fate mixed(struct world *world, unsigned line, unsigned attempt) {
  static const enum fate common[] = {FATE_BAD_REQUEST, FATE_BUSY,      FATE_ERROR,     FATE_REFUSED,   FATE_BROKEN,
                                     FATE_TIMEOUT,     FATE_MALFORMED, FATE_NO_USAGE,  FATE_SAID_BUSY, FATE_PAID_ERROR,
                                     FATE_BAD_CHOICE,  FATE_HOLLOW,    FATE_UNREADABLE};
  (void)line, (void)attempt;
  if (world->calls_total > gone_after) return gone_fate;
  if (world_below(world, 100) < 60) return FATE_OK;
  world->retry_after_ms = world_below(world, 3) == 0 ? 3000 : -1;
  return common[world_below(world, sizeof common / sizeof *common)];
}

static void random_world(uint64_t seed) {
  struct world *world = world_new(seed, 150, 0, 1);
  world->slots = 1 + world_below(world, 12);
  world->limit = 500 + (int64_t)world_below(world, 40000);
  if (world_below(world, 3) == 0) { // a budget of money
    const int64_t input = 1 + world_below(world, 5000), output = 1 + world_below(world, 9000);
    world->price = (struct hg_price){"*", input, world_below(world, 5000), world_below(world, 10000), output};
    world->limit *= (input + output) / 2;
  }
  world->busy_percent = world_below(world, 3) == 0 ? 20 : 0;
  world->group_max = 2 + world_below(world, 20);
  world->fate = mixed;
  world->others_percent = world_below(world, 6) == 0 ? 10 : 0;
  world->llm.may_cap_output = world_below(world, 2) == 0;
  for (unsigned i = 0; i < world->line_count && world->llm.may_cap_output; i++) {
    char *cap = strstr(world->lines[i].body, "\"max_tokens\":") + 13;
    if (cap[2] != ',') memcpy(cap, "999", 3); // the others, of two digits, can't be cut down
  }
  static const enum fate ways[] = {FATE_KEY,     FATE_ROUTE,     FATE_REFUSED, FATE_BROKEN,
                                   FATE_TIMEOUT, FATE_MALFORMED, FATE_HOLLOW,  FATE_UNREADABLE};
  gone_after = world_below(world, 3) == 0 ? world_below(world, 150) : UINT64_MAX;
  gone_fate = ways[world_below(world, 8)];
  world_open(world, world->slots);
  const unsigned interrupt_after = world_below(world, 3) == 0 ? world_below(world, 2000) : UINT32_MAX;
  const bool cuts = world_below(world, 2) == 0;
  for (unsigned steps = 0; !hg_runner_finished(world->runner); steps++) {
    CHECK(steps < 1000000);
    if (steps == interrupt_after) hg_runner_interrupt(world->runner, world->now_ms);
    if (cuts && steps == interrupt_after + 10) hg_runner_cut(world->runner, world->now_ms);
    if (world_below(world, 500) == 0) world->disk_full = !world->disk_full && world->now_ms > 2000;
    if (!world_step(world)) {
      world_turn(world);
      if (world->next_turn_ms < INT64_MAX && world->next_turn_ms > world->now_ms)
        world->now_ms = world->next_turn_ms - world->now_ms > 5000 ? world->now_ms + 5000 : world->next_turn_ms;
      world->disk_full = world->disk_full && world_below(world, 4) > 0;
    } else if (world_below(world, 8) == 0) {
      world_turn(world);
    }
  }
  if (world_stop(world) != HG_STOP_RESULTS) world_check_end(world);
  CHECK_EQ(world->open_permits, 0);
  CHECK(world->used <= world->limit || world->others_percent > 0);
  capped += world->calls_capped;
  if (world->price.model) capped_by_money += world->calls_capped;
  world_end(world);
}

TEST(task_runner_random, random_worlds) {
  const char *given = getenv("HG_SEED");
  const uint64_t first = given ? strtoull(given, NULL, 10) : 1;
  const uint64_t count = given ? 1 : 400;
  for (uint64_t seed = first; seed < first + count; seed++) {
    fprintf(stderr, "\rseed %llu (HG_SEED=%llu runs it alone)", (unsigned long long)seed, (unsigned long long)seed);
    random_world(seed);
  }
  fprintf(stderr, "\n");
  CHECK(given || (capped > capped_by_money && capped_by_money > 0));
}
