// How fast the task runner starts calls, and how many at once while a provider pushes back.
// links: program
#include "runner/pace.h"
#include "support/runner_world.h"
#include "support/test.h"

#include <string.h>

#define LINES 200

static int64_t sent_at[LINES]; // of each line's last call
static unsigned capacity;      // calls at once that the provider takes
static unsigned over, most;    // how often it had more; and how many at the most, after it had pushed back

static enum fate note_start(struct world *world, unsigned line, unsigned attempt) {
  (void)attempt;
  sent_at[line] = world->now_ms;
  return FATE_OK;
}

static unsigned started_in(unsigned lines, int64_t from_ms, int64_t ms) {
  unsigned count = 0;
  for (unsigned i = 0; i < lines; i++)
    count += sent_at[i] >= from_ms && sent_at[i] < from_ms + ms;
  return count;
}

TEST(task_runner_pacing, requests_of_a_minute_are_not_passed) {
  for (uint64_t seed = 1; seed <= 5; seed++) {
    struct world *world = world_new(seed, LINES, 10000000, 64);
    world->llm.requests_per_minute = 60;
    world->fate = note_start;
    const int64_t from = world->now_ms;
    world_play(world, 64);
    CHECK_EQ(world_counts(world).done, LINES);
    for (int64_t at = from; at < world->now_ms; at += 500)
      CHECK(started_in(LINES, at, 60000) <= 62);
    CHECK(world_counts(world).paced_ms > 0);
    CHECK(world->now_ms - from < (LINES + 30) * INT64_C(1000)); // and the rate is used
    world_end(world);
  }
}

TEST(task_runner_pacing, tokens_that_were_not_used_are_there_again) {
  struct world *world = world_new(3, LINES, 10000000, 8);
  int64_t reserved = 0;
  for (unsigned i = 0; i < LINES; i++)
    reserved += world_need(world, i);
  world->llm.tokens_per_minute = 6000;
  world->fate = note_start;
  const int64_t from = world->now_ms;
  world_play(world, 8);
  CHECK_EQ(world_counts(world).done, LINES);
  // By reservations it would have taken so long; by usage it took less.
  CHECK((world->now_ms - from) * 6000 / 60000 < reserved);
  CHECK(world->used < reserved);
  world_end(world);
}

// An interrupt does not wait for turns.
TEST(task_runner_pacing, what_waits_for_its_turn_is_left_at_an_interrupt) {
  struct world *world = world_new(4, 50, 1000000, 8);
  world->llm.requests_per_minute = 1;
  world->fate = note_start;
  world_open(world, 8);
  world_settle_down(world);
  const uint64_t calls = world->calls_total;
  hg_runner_interrupt(world->runner, world->now_ms);
  world_run(world);
  CHECK_EQ(world_stop(world), HG_STOP_INTERRUPT);
  CHECK_EQ(world->calls_total, calls);
  world_check_end(world);
  world_end(world);
}

static enum fate crowded(struct world *world, unsigned line, unsigned attempt) {
  (void)line, (void)attempt;
  const unsigned running = world->call_count; // it among them
  if (over > 0 && running > most) most = running;
  over += running > capacity;
  return running > capacity ? FATE_BUSY : FATE_OK;
}

static void push_back(uint64_t seed, unsigned takes, unsigned slots) {
  struct world *world = world_new(seed, LINES, 10000000, slots);
  world->llm.max_attempts = 100;
  world->fate = crowded;
  world->retry_after_ms = 200;
  capacity = takes;
  over = most = 0;
  world_play(world, slots);
  const struct hg_runner_counts counts = world_counts(world);
  CHECK_EQ(counts.done, LINES);
  CHECK_EQ(counts.pushbacks > 0, over > 0);
  CHECK_EQ(counts.pushbacks, world->pushes);
  if (over == 0) CHECK_EQ(counts.pushed_back_to, slots);
  else CHECK(counts.pushed_back_to >= 1 && counts.pushed_back_to < slots);
  CHECK(world->notes == (over > 0));
  world_end(world);
}

TEST(task_runner_pacing, a_provider_that_pushes_back_gets_fewer_calls_at_once) {
  for (uint64_t seed = 1; seed <= 10; seed++)
    for (unsigned takes = 1; takes <= 32; takes *= 2)
      push_back(seed, takes, 32);
}

// Each refusal teaches something: with room for 4 of 64 the refused calls are a fraction of what they are without.
TEST(task_runner_pacing, pushes_become_few) {
  push_back(7, 4, 64);
  CHECK(over < LINES);
  CHECK(most <= 64);
}
