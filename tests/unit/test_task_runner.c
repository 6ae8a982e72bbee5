// links: program
// labels: budget
// The task runner's decisions in a world of fakes: lines, budgets, tries, names.
#include "runner/retry.h"
#include "runner/task_runner.h"
#include "support/runner_world.h"
#include "support/test.h"

TEST(task_runner, every_line_is_done_once) {
  struct world *world = world_new(1, 100, 1000000, 8);
  world_play(world, 8);
  CHECK_EQ(world_counts(world).done, 100);
  CHECK_EQ(world->calls_total, 100);
  CHECK_EQ(world->calls_most, 8);
  CHECK_EQ(world_stop(world), HG_STOP_NONE);
  world_end(world);
}

TEST(task_runner, empty_file_ends_at_once) {
  struct world *world = world_new(1, 0, 1000, 4);
  world_play(world, 4);
  CHECK_EQ(world->next_turn_ms, world->now_ms);
  world_end(world);
}

TEST(task_runner, lines_ahead_are_bounded) {
  struct world *world = world_new(1, 400, 1000000, 0);
  world_open(world, 4);
  world_turn(world);
  CHECK_EQ(world_counts(world).open, HG_PROBE_CALLS); // nobody was let in yet
  world->slots = 1;
  while (world_counts(world).done == 0)
    if (!world_step(world)) world_turn(world);
  world->slots = 0;
  world_settle_down(world);
  CHECK_EQ(world_counts(world).open, 4 + 4 + 16);
  world_end(world);
}

// ---------------------------------------------------------------------------------------------- budget

TEST(task_runner, what_never_fits_is_left) {
  struct world *world = world_new(3, 60, 0, 4);
  for (unsigned i = 0; i < 60; i++) // answers use 11 to 18 tokens each
    if (world_need(world, i) + 100 > world->limit) world->limit = world_need(world, i) + 100;
  world_play(world, 4);
  const struct hg_runner_counts counts = world_counts(world);
  CHECK(world->used <= world->limit);
  CHECK(counts.left > 0 && counts.done > 5); // answers use less than they reserve
  CHECK_EQ(counts.failed, 0);
  CHECK_EQ(counts.left, counts.left_for_budget);
  CHECK_STR(counts.short_budget, "default");
  int64_t smallest = INT64_MAX, all = 0;
  for (unsigned i = 0; i < 60; i++) {
    if (!world->lines[i].left) continue;
    if (world_need(world, i) < smallest) smallest = world_need(world, i);
    all += world_need(world, i);
  }
  CHECK_EQ(counts.left_need, all);
  CHECK_EQ(counts.smallest_need, smallest);
  CHECK(smallest > world->limit - world->used);
  world_end(world);
}

TEST(task_runner, unknown_budget_fails_the_line) {
  struct world *world = world_new(4, 3, 100000, 4);
  snprintf(world->lines[1].budget, sizeof world->lines[1].budget, "unknown");
  world_play(world, 4);
  CHECK_EQ(world_counts(world).failed, 1);
  CHECK_STR(world_counts(world).failures[0].code, "unknown_budget");
  CHECK_EQ(world->lines[1].calls, 0);
  world_end(world);
}

TEST(task_runner, requests_that_cannot_be_sent_fail_without_a_permit) {
  struct world *world = world_new(4, 3, 100000, 4);
  snprintf(world->lines[0].body, sizeof world->lines[0].body, "{\"model\":\"m\",\"stream\":1}");
  world_open(world, 4);
  world_run(world);
  CHECK_EQ(world_counts(world).failed, 1);
  CHECK_STR(world_counts(world).failures[0].code, "invalid_request");
  CHECK_EQ(world->lines[0].acquires, 0);
  CHECK_EQ(world_counts(world).done, 2);
  world_end(world);
}

static enum fate first_over_cap(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)attempt;
  return line == 0 ? FATE_OVER_CAP : FATE_OK;
}

// A total that does not tell its parts can't be priced exactly, but what is known of it is charged, and judged.
TEST(task_runner, a_total_without_parts_is_not_less_than_it_costs) {
  struct world *world = world_new(5, 50, INT64_C(100000000000), 1);
  world->price = (struct hg_price){"*", 2500, 2500, 2500, 2500};
  world->total_only = 1000000;
  world_play(world, 1);
  CHECK_EQ(world->used, INT64_C(2500) * 1000000);
  CHECK_EQ(world_counts(world).cap_ignored, 1);
  CHECK_EQ(world_stop(world), HG_STOP_CAP);
  CHECK_EQ(world_counts(world).estimated, 1);
  world_end(world);
  world = world_new(5, 50, INT64_C(100000000000), 1);
  world->price = (struct hg_price){"*", 2500, 2500, 2500, 2500};
  world->total_only = 5; // which may have been anything: the reservations are charged
  world_play(world, 1);
  CHECK_EQ(world_counts(world).done, 50);
  CHECK_EQ(world_counts(world).estimated, 50);
  world_end(world);
}

TEST(task_runner, ignored_cap_stops_new_starts) {
  struct world *world = world_new(5, 50, 1000000, 1);
  world->fate = first_over_cap;
  world_play(world, 1);
  CHECK_EQ(world_counts(world).cap_ignored, 1);
  CHECK_EQ(world_stop(world), HG_STOP_CAP);
  CHECK_EQ(world->calls_total, 1);
  CHECK(world->lines[0].durable); // the answer is kept, and paid for in full
  world_end(world);
}

// Lines whose worst case is far over what they use, so that reservations and not usage fill the budget.
static struct world *capping_world(uint64_t seed, unsigned lines, int64_t limit, unsigned slots) {
  struct world *world = world_new(seed, lines, limit, slots);
  world->llm.may_cap_output = true;
  for (unsigned i = 0; i < lines; i++)
    snprintf(world->lines[i].body, sizeof world->lines[i].body,
             "{\"model\":\"m\",\"user\":\"line-%u\",\"max_tokens\":%u,\"messages\":[]}", i, 1000 + i);
  return world;
}

static enum fate busy_first(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line;
  return attempt == 1 ? FATE_BUSY : FATE_OK;
}

TEST(task_runner, output_is_capped_to_what_is_left) {
  struct world *world = capping_world(7, 60, 0, 8);
  world->limit = 3 * world_need(world, 0) + world_least(world, 59) + 400; // at first three calls and a cut one fit
  world_play(world, 8);
  CHECK_EQ(world_counts(world).done, 60);
  CHECK(world->calls_capped > 0 && world->calls_capped < 60);
  world_end(world);
}

TEST(task_runner, output_is_capped_anew_with_each_permit) {
  struct world *world = capping_world(8, 2, 0, 1);
  world->fate = busy_first;
  world->retry_after_ms = 5000; // so long that the permit is given back
  world->limit = world_least(world, 0) + 5;
  world_open(world, 1);
  world_settle_down(world);
  CHECK_EQ(world->calls_capped, 2);
  world->limit = 1000000;
  world_run(world);
  world_check_end(world);
  CHECK_EQ(world_counts(world).done, 2);
  CHECK_EQ(world->calls_total, 4);
  CHECK_EQ(world->calls_capped, 2); // the whole cap is back
  world_end(world);
}

TEST(task_runner, what_cannot_be_cut_down_far_enough_is_left) {
  struct world *world = capping_world(9, 1, 0, 1);
  world->limit = world_least(world, 0) - 1;
  world_play(world, 1);
  CHECK_EQ(world_counts(world).left_for_budget, 1);
  CHECK_EQ(world_counts(world).smallest_need, world_least(world, 0));
  CHECK_EQ(world_counts(world).left_need, world_need(world, 0)); // with which nothing has to be cut
  world_end(world);
}

// ---------------------------------------------------------------------------------------------- retries

static enum fate busy_once(struct world *world, unsigned line, unsigned attempt) {
  (void)world;
  return line == 0 && attempt == 1 ? FATE_BUSY : FATE_OK;
}

TEST(task_runner, long_pause_gives_the_slot_back) {
  struct world *world = world_new(6, 1, 100000, 1);
  world->fate = busy_once;
  world->retry_after_ms = 5000;
  world_open(world, 1);
  world_settle_down(world);
  CHECK_EQ(world->lines[0].calls, 1);
  CHECK_EQ(world->open_permits, 0);
  CHECK_EQ(world->permits[0].outcome, HG_OUTCOME_RETRY);
  CHECK(!world->permits[0].settled);
  CHECK_EQ(world_counts(world).pausing, 1);
  CHECK(world->next_turn_ms >= world->now_ms + 5000);
  CHECK(world->next_turn_ms <= world->now_ms + 5000 + HG_BACKOFF_BASE_MS);
  world_pass(world, 4999);
  world_settle_down(world);
  CHECK_EQ(world->lines[0].acquires, 1); // not before its time
  world_run(world);
  world_check_end(world);
  CHECK_EQ(world->lines[0].acquires, 2);
  CHECK_EQ(world_counts(world).done, 1);
  CHECK_EQ(world_counts(world).retries, 1);
  world_end(world);
}

static enum fate error_once(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line;
  return attempt == 1 ? FATE_ERROR : FATE_OK;
}

TEST(task_runner, short_pause_keeps_the_permit) {
  struct world *world = world_new(7, 1, 100000, 1);
  world->fate = error_once;
  world_open(world, 1);
  world_settle_down(world);
  CHECK_EQ(world->open_permits, 1);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(world->lines[0].acquires, 1);
  CHECK_EQ(world->lines[0].calls, 2);
  world_end(world);
}

static enum fate always_error(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return FATE_ERROR;
}

TEST(task_runner, attempts_are_bounded_and_cost_nothing) {
  struct world *world = world_new(8, 10, 100000, 4);
  world->fate = always_error;
  world_play(world, 4);
  CHECK_EQ(world_counts(world).failed, 10);
  CHECK_STR(world_counts(world).failures[0].code, "http_500");
  CHECK_EQ(world->calls_total, 50);
  CHECK_EQ(world->used, 0);
  world_end(world);
}

static enum fate always_broken(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)attempt;
  return line % 3 == 0 ? FATE_BROKEN : line % 3 == 1 ? FATE_TIMEOUT : FATE_MALFORMED;
}

TEST(task_runner, unknown_outcomes_are_charged_in_full) {
  struct world *world = world_new(9, 6, 1000000, 2);
  int64_t whole = 0;
  for (unsigned i = 0; i < 6; i++)
    whole += world_need(world, i);
  world->fate = always_broken;
  world_play(world, 2);
  CHECK_EQ(world_counts(world).failed, 6);
  CHECK_EQ(world->calls_total, 12); // retryUnknownOutcome is 1
  CHECK_EQ(world->used, 2 * whole);
  CHECK_EQ(world_counts(world).estimated, 12);
  for (unsigned i = 0; i < 6; i++)
    CHECK_EQ(world->lines[i].acquires, 2); // each try has a reservation of its own
  world_end(world);
}

static enum fate never_usage(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return FATE_NO_USAGE;
}

TEST(task_runner, answer_without_usage_is_done_and_charged_in_full) {
  struct world *world = world_new(10, 2, 1000000, 2);
  world->fate = never_usage;
  world_play(world, 2);
  CHECK_EQ(world_counts(world).done, 2);
  CHECK_EQ(world_counts(world).estimated, 2);
  CHECK_EQ(world->used, world_need(world, 0) + world_need(world, 1));
  world_end(world);
}

// ---------------------------------------------------------------------------------------------- names

TEST(task_runner, task_ids_are_bounded_and_differ) {
  char id[HG_TASK_ID_MAX + 1], other[HG_TASK_ID_MAX + 1], run[300], custom[600];
  hg_run_task_id("results", "a", id);
  CHECK_STR(id, "results/a");
  memset(custom, 'x', 599);
  custom[599] = '\0';
  hg_run_task_id("results", custom, id);
  custom[598] = 'y';
  hg_run_task_id("results", custom, other);
  CHECK_EQ(strlen(id), HG_TASK_ID_MAX);
  CHECK(strcmp(id, other) != 0);
  for (size_t len = 0; len < 290; len++) { // never half a character, whatever the lengths
    memset(run, 'r', sizeof run);
    for (size_t i = 0; i + 2 <= len; i += 2)
      memcpy(run + i, "\xC3\xA4", 2);
    run[len] = '\0';
    hg_run_task_id(run, "\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC", id);
    CHECK(strlen(id) <= HG_TASK_ID_MAX);
    if (len + 1 + 9 <= HG_TASK_ID_MAX) CHECK_EQ(strlen(id), len + 10);
    for (const unsigned char *at = (const unsigned char *)id; *at;) {
      const size_t bytes = *at < 0x80 ? 1 : *at < 0xE0 ? 2 : 3;
      CHECK(bytes == 1 || ((at[1] & 0xC0) == 0x80 && (bytes == 2 || (at[2] & 0xC0) == 0x80)));
      at += bytes;
    }
  }
}
