// links: program
// labels: budget
// How lines come into the task runner: which budget they are left for.
#include "runner/task_runner.h"
#include "support/runner_world.h"
#include "support/test.h"

static struct world *new_world(uint64_t seed, unsigned lines, int64_t limit, unsigned slots) {
  struct world *world = malloc(sizeof *world);
  CHECK(world != NULL);
  world_init(world, seed, lines, limit, slots);
  return world;
}

static void end_world(struct world *world) {
  world_destroy(world);
  free(world);
}

static struct hg_runner_counts counts_of(const struct world *world) {
  struct hg_runner_counts counts;
  hg_runner_count(world->runner, &counts);
  return counts;
}

// ---------------------------------------------------------------------------------------------- what is left

TEST(task_runner_intake, names_the_budget_that_is_short_and_the_ones_that_pay) {
  struct world *world = new_world(1, 3, 0, 4); // nothing fits
  snprintf(world->lines[0].budget, sizeof world->lines[0].budget, "evals");
  snprintf(world->lines[1].budget, sizeof world->lines[1].budget, "evals");
  world->short_budget = "team"; // above "evals"
  world_open(world, 4);
  world_run(world);
  world_check_end(world);
  const struct hg_runner_counts counts = counts_of(world);
  CHECK_EQ(counts.left_for_budget, 3);
  CHECK_STR(counts.short_budget, "team");
  CHECK(!counts.several_short);
  CHECK_STR(counts.left_budgets[0].budget, "evals");
  CHECK_EQ(counts.left_budgets[0].need, world_need(world, 0) + world_need(world, 1));
  CHECK_STR(counts.left_budgets[1].budget, "default");
  CHECK_EQ(counts.left_budgets[1].need, world_need(world, 2));
  CHECK_EQ(counts.left_budgets[2].need, 0);
  end_world(world);
}

TEST(task_runner_intake, more_budgets_than_are_told_apart) {
  enum { LINES = 3 * HG_LEFT_BUDGETS_MAX };
  struct world *world = new_world(2, LINES, 0, 4);
  int64_t all = 0, told = 0;
  for (unsigned i = 0; i < LINES; i++) {
    snprintf(world->lines[i].budget, sizeof world->lines[i].budget, "b%u", i);
    all += world_need(world, i);
  }
  world_open(world, 4);
  world_run(world);
  world_check_end(world);
  const struct hg_runner_counts counts = counts_of(world);
  for (unsigned i = 0; i < HG_LEFT_BUDGETS_MAX; i++)
    told += counts.left_budgets[i].need;
  CHECK_EQ(counts.left_for_budget, LINES);
  CHECK_EQ(counts.left_need, all);
  CHECK(told > 0 && told < all);
  end_world(world);
}
