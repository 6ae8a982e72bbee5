// links: program
// labels: budget
// Permits that the task runner can't close: others ended them first, or the runtime refuses. What a provider billed is
// counted all the same, or told.
#include "runner/task_runner.h"
#include "support/runner_world.h"
#include "support/test.h"

static int64_t billed_of(const struct world *world) {
  int64_t billed = 0;
  for (unsigned i = 0; i < world->permit_count; i++)
    if (world->permits[i].settled) billed += world->permits[i].cost;
  return billed;
}

TEST(task_runner_unsettled, what_others_ended_is_recorded_beside_that) {
  struct world *world = world_new(31, 100, 1000000, 8);
  world->others_percent = 100;
  world_play(world, 8);
  const struct hg_runner_counts counts = world_counts(world);
  CHECK_EQ(counts.done, 100);
  CHECK_EQ(counts.unsettled, 100);
  CHECK_EQ(counts.recorded_tokens, billed_of(world));
  CHECK_EQ(counts.tokens, billed_of(world));
  CHECK_EQ(counts.uncounted_tokens, 0);
  CHECK(counts.output_tokens > 0);
  CHECK_EQ(world->notes, 1); // not one for each
  world_end(world);
}

static enum fate broken_first(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line;
  return attempt == 1 ? FATE_BROKEN : FATE_OK;
}

TEST(task_runner_unsettled, each_try_is_recorded_under_its_own_permit) {
  struct world *world = world_new(32, 10, 1000000, 4);
  world->fate = broken_first;
  world->others_percent = 100;
  world->busy_percent = 30; // records are asked for again
  world_play(world, 4);
  CHECK_EQ(world_counts(world).unsettled, 20);
  CHECK_EQ(world_counts(world).recorded_tokens, billed_of(world));
  world_end(world);
}

static enum fate bad_request(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return FATE_BAD_REQUEST;
}

TEST(task_runner_unsettled, what_used_nothing_needs_no_record) {
  struct world *world = world_new(33, 10, 1000000, 4);
  world->fate = bad_request;
  world->others_percent = 100;
  world_play(world, 4);
  const struct hg_runner_counts counts = world_counts(world);
  CHECK_EQ(counts.unsettled, 10); // told all the same: somebody may have charged them
  CHECK_EQ(counts.recorded_tokens + counts.uncounted_tokens, 0);
  world_end(world);
}

TEST(task_runner_unsettled, record_that_is_refused_is_told) {
  struct world *world = world_new(34, 10, 1000000, 4);
  world->others_percent = 100;
  world->record_refusal = HG_ERR_RANGE;
  world_play(world, 4);
  const struct hg_runner_counts counts = world_counts(world);
  CHECK_EQ(counts.unsettled, 10);
  CHECK_EQ(counts.uncounted_tokens, billed_of(world));
  CHECK_EQ(counts.tokens, 0);
  world_end(world);
}

// Its reservation stands for it until the run ends, and by the policy for orphans afterwards: a record would be too
// much.
TEST(task_runner_unsettled, permit_that_stays_open_is_told) {
  struct world *world = world_new(35, 4, 1000000, 4);
  world->refusal = HG_ERR_RANGE;
  world_open(world, 4);
  world_run(world);
  const struct hg_runner_counts counts = world_counts(world);
  CHECK_EQ(counts.done, 4);
  CHECK_EQ(counts.unsettled, 4);
  CHECK_EQ(counts.uncounted_tokens, billed_of(world));
  CHECK_EQ(world->open_permits, 4);
  world_end(world);
}

TEST(task_runner_unsettled, ledger_that_is_lost_before_the_record_is_told) {
  struct world *world = world_new(36, 4, 1000000, 4);
  world->others_percent = 100;
  world_open(world, 4);
  while (world->permit_count == 0 || !world->permits[0].ended_by_others)
    if (!world_step(world)) world_turn(world);
  world->ledger_error = HG_ERR_STORE; // every record will be answered so
  world_run(world);
  const struct hg_runner_counts counts = world_counts(world);
  int64_t ended = 0, recorded = 0;
  for (unsigned i = 0; i < world->permit_count; i++) {
    if (world->permits[i].ended_by_others) ended += world->permits[i].cost;
    if (world->permits[i].recorded) recorded += world->permits[i].cost;
  }
  CHECK_EQ(world_stop(world), HG_STOP_LEDGER);
  CHECK(ended > recorded);
  CHECK_EQ(counts.uncounted_tokens, ended - recorded);
  world_end(world);
}
