// links: program
// labels: budget
// How lines come into the task runner: from an input that is quiet at times, and which budget they are left for.
#include "runner/task_runner.h"
#include "support/runner_world.h"
#include "support/test.h"

TEST(task_runner_intake, names_the_budget_that_is_short_and_the_ones_that_pay) {
  struct world *world = world_new(1, 3, 0, 4); // nothing fits
  snprintf(world->lines[0].budget, sizeof world->lines[0].budget, "evals");
  snprintf(world->lines[1].budget, sizeof world->lines[1].budget, "evals");
  world->short_budget = "team"; // above "evals"
  world_play(world, 4);
  const struct hg_runner_counts counts = world_counts(world);
  CHECK_EQ(counts.left_for_budget, 3);
  CHECK_STR(counts.short_budget, "team");
  CHECK(!counts.several_short);
  CHECK_STR(counts.left_budgets[0].budget, "evals");
  CHECK_EQ(counts.left_budgets[0].need, world_need(world, 0) + world_need(world, 1));
  CHECK_STR(counts.left_budgets[1].budget, "default");
  CHECK_EQ(counts.left_budgets[1].need, world_need(world, 2));
  CHECK_EQ(counts.left_budgets[2].need, 0);
  world_end(world);
}

TEST(task_runner_intake, more_budgets_than_are_told_apart) {
  enum { LINES = 3 * HG_LEFT_BUDGETS_MAX };
  struct world *world = world_new(2, LINES, 0, 4);
  int64_t all = 0, told = 0;
  for (unsigned i = 0; i < LINES; i++) {
    snprintf(world->lines[i].budget, sizeof world->lines[i].budget, "b%u", i);
    all += world_need(world, i);
  }
  world_play(world, 4);
  const struct hg_runner_counts counts = world_counts(world);
  for (unsigned i = 0; i < HG_LEFT_BUDGETS_MAX; i++)
    told += counts.left_budgets[i].need;
  CHECK_EQ(counts.left_for_budget, LINES);
  CHECK_EQ(counts.left_need, all);
  CHECK(told > 0 && told < all);
  world_end(world);
}

// ---------------------------------------------------------------------------------------------- a quiet input

TEST(task_runner_intake, calls_are_served_while_the_input_is_quiet) {
  struct world *world = world_new(3, 40, 1000000, 4);
  world_open(world, 4);
  while (world->next_line < 10)
    if (!world_step(world)) world_turn(world);
  world->quiet_percent = 100;
  while (world_counts(world).open > 0) {
    (void)world_step(world);
    world_turn(world);
  }
  const unsigned taken = world->next_line;
  CHECK(!hg_runner_finished(world->runner) && taken >= 10 && taken < 40);
  CHECK_EQ(world_counts(world).done, taken);
  CHECK(world_counts(world).input_quiet && hg_runner_wants_input(world->runner));
  const unsigned quiet = world->quiet;
  world_pass(world, 1000); // it does not look again by itself, and needs no turn for that
  CHECK_EQ(world->quiet, quiet);
  CHECK_EQ(world->next_turn_ms, INT64_MAX);
  world->quiet_percent = 0;
  hg_runner_has_input(world->runner);
  CHECK(!hg_runner_wants_input(world->runner));
  world_run(world);
  world_check_end(world);
  CHECK_EQ(world_counts(world).done, 40);
  world_end(world);
}

TEST(task_runner_intake, an_interrupt_ends_a_run_whose_input_is_quiet) {
  struct world *world = world_new(4, 10, 1000000, 4);
  world->quiet_percent = 100;
  world_open(world, 4);
  world_turn(world);
  CHECK(hg_runner_wants_input(world->runner) && !hg_runner_finished(world->runner));
  hg_runner_interrupt(world->runner, world->now_ms);
  CHECK(!hg_runner_wants_input(world->runner));
  world_turn(world);
  CHECK(hg_runner_finished(world->runner));
  CHECK_EQ(world->calls_total, 0);
  world_end(world);
}

TEST(task_runner_intake, nobody_waits_for_input_that_there_is_no_room_for) {
  struct world *world = world_new(5, 100, 1000000, 0); // no slots: nothing is granted
  world_open(world, 4);
  world_turn(world);
  world->quiet_percent = 100;
  world_turn(world);
  CHECK_EQ(world_counts(world).open, HG_PROBE_CALLS); // all that are taken until somebody is let in
  CHECK(!hg_runner_wants_input(world->runner));
  CHECK_EQ(world->quiet, 0);
  world_end(world);
}

TEST(task_runner_intake, random_worlds_with_a_quiet_input) {
  for (uint64_t seed = 1; seed <= 100; seed++) {
    struct world *world = world_new(seed, 60, 2000 + 100 * (int64_t)seed, 3);
    world->quiet_percent = 10 + (unsigned)(seed % 80);
    world->busy_percent = seed % 3 == 0 ? 20 : 0;
    world_play(world, 3);
    CHECK_EQ(world->next_line, 60);
    CHECK(world->quiet > 0 && world->used <= world->limit);
    world_end(world);
  }
}
