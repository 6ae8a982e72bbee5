// links: program
// labels: budget
// Lines whose bounds do not fit, and what their provider counts them to be (llm.reservation "counted").
#include "support/runner_world.h"
#include "support/test.h"

#define LINES 30

static struct world *counting_world(uint64_t seed, unsigned lines, int64_t limit, unsigned slots) {
  struct world *world = world_new(seed, lines, limit, slots);
  world->llm.reservation = HG_RESERVE_COUNTED;
  world->llm.counter = HG_COUNT_BY_VLLM;
  for (unsigned i = 0; i < lines; i++)
    snprintf(world->lines[i].body, sizeof world->lines[i].body,
             "{\"model\":\"m\",\"user\":\"line-%u\",\"max_tokens\":100,"
             "\"messages\":[{\"role\":\"user\",\"content\":\"line-%u\"}]}",
             i, i);
  return world;
}

// Two bounds fit side by side, and all lines in what they use.
static struct world *tight_world(unsigned lines) {
  struct world *world = counting_world(1, lines, 0, 8);
  world->limit = 2 * world_need(world, 0) + lines * 20;
  return world;
}

static void play(struct world *world) {
  world_open(world, 8);
  world_run(world);
  const struct hg_runner_counts counts = world_counts(world);
  CHECK_EQ(counts.open, 0);
  CHECK_EQ(world->open_permits, 0);
  CHECK_EQ(world->reserved, 0);
  CHECK_EQ(counts.count_calls, world->counts_total);
}

TEST(task_runner_count, what_fits_is_not_counted) {
  struct world *world = counting_world(1, LINES, 1000000, 8);
  play(world);
  CHECK_EQ(world_counts(world).done, LINES);
  CHECK_EQ(world->counts_total, 0);
  CHECK_EQ(world_counts(world).saved, 0);
  world_end(world);
}

TEST(task_runner_count, what_does_not_fit_beside_others_is_counted_once) {
  struct world *world = tight_world(LINES);
  play(world);
  const struct hg_runner_counts counts = world_counts(world);
  CHECK_EQ(counts.done, LINES);
  CHECK(counts.counted > 0 && counts.counted < LINES);
  CHECK_EQ(counts.counted, world->counts_total);
  CHECK_EQ(counts.overran + counts.count_failures, 0);
  CHECK(counts.saved > 0);
  CHECK(world->calls_most > 2);
  for (unsigned i = 0; i < LINES; i++)
    CHECK(world->lines[i].counts <= 1);
  world_end(world);
}

// Not one bound fits; counted, all do.
TEST(task_runner_count, what_never_fits_is_counted_before_it_is_left) {
  struct world *world = counting_world(1, LINES, 0, 8);
  world->limit = world_need(world, 0) - 1;
  CHECK(world->limit > LINES * 20 + 200);
  play(world);
  CHECK_EQ(world_counts(world).done, LINES);
  CHECK_EQ(world_counts(world).counted, LINES);
  CHECK_EQ(world->counts_total, LINES);
  world_end(world);
}

TEST(task_runner_count, what_would_not_fit_without_input_is_left_uncounted) {
  struct world *world = counting_world(1, LINES, 100, 8);
  play(world);
  CHECK_EQ(world_counts(world).left_for_budget, LINES);
  CHECK_EQ(world->counts_total, 0);
  world_end(world);
}

TEST(task_runner_count, chat_is_counted_by_vllm_only) {
  struct world *world = tight_world(LINES);
  world->llm.counter = HG_COUNT_BY_ENDPOINT;
  play(world);
  CHECK_EQ(world_counts(world).done, LINES);
  CHECK_EQ(world->counts_total, 0);
  world_end(world);
}

// ---------------------------------------------------------------------------------------------- counts that fail

static enum count_fate always_unknown(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return COUNT_UNKNOWN;
}

TEST(task_runner_count, a_server_that_does_not_count_is_told_of_once) {
  struct world *world = tight_world(LINES);
  world->count_fate = always_unknown;
  play(world);
  CHECK_EQ(world_counts(world).done, LINES);
  CHECK(world->counts_total >= 1 && world->counts_total <= 8); // those that were on their way
  CHECK_EQ(world_counts(world).count_failures, world->counts_total);
  CHECK_EQ(world->notes, 1);
  CHECK_EQ(world_counts(world).saved, 0);
  world_end(world);
}

static enum count_fate always_busy(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return COUNT_BUSY;
}
static enum count_fate at_first_broken(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line;
  return attempt == 1 ? COUNT_BROKEN : COUNT_OK;
}
static enum count_fate always_too_late(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return COUNT_TIMEOUT;
}
static enum count_fate always_hollow(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return COUNT_HOLLOW;
}

TEST(task_runner_count, is_asked_twice_at_most) {
  static const struct {
    enum count_fate (*fate)(struct world *world, unsigned line, unsigned attempt);
    unsigned most;
    bool counted;
  } cases[] = {
      {always_busy, 2, false}, {at_first_broken, 2, true}, {always_too_late, 1, false}, {always_hollow, 1, false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct world *world = counting_world(1, LINES, 0, 8);
    world->limit = world_need(world, 0) - 1;
    world->count_fate = cases[i].fate;
    play(world);
    const struct hg_runner_counts counts = world_counts(world);
    CHECK_EQ(counts.done, cases[i].counted ? LINES : 0);
    CHECK_EQ(counts.left_for_budget, cases[i].counted ? 0 : LINES);
    CHECK_EQ(counts.counted, cases[i].counted ? LINES : 0);
    CHECK_EQ(counts.count_failures, cases[i].counted ? 0 : LINES);
    CHECK_EQ(world->counts_total, cases[i].most * LINES);
    world_end(world);
  }
}

// ---------------------------------------------------------------------------------------------- counts that are wrong

TEST(task_runner_count, a_count_that_was_too_low_is_an_overrun_and_no_broken_cap) {
  struct world *world = counting_world(1, 8, 0, 8);
  world->limit = world_need(world, 0) - 1;
  world->input_tokens = world->limit / 2;
  play(world);
  const struct hg_runner_counts counts = world_counts(world);
  CHECK(counts.done >= 1 && counts.counted >= counts.done);
  CHECK_EQ(counts.overran, counts.done);
  CHECK_EQ(counts.cap_ignored, 0);
  CHECK_EQ(world_stop(world), HG_STOP_NONE);
  world_end(world);
}

TEST(task_runner_count, a_count_over_the_bound_reserves_the_bound) {
  struct world *world = tight_world(LINES);
  world->input_counted = HG_TOKENS_MAX;
  play(world);
  CHECK_EQ(world_counts(world).done, LINES);
  CHECK_EQ(world_counts(world).saved, 0);
  CHECK(world_counts(world).counted > 0);
  world_end(world);
}

// ---------------------------------------------------------------------------------------------- with other things

static enum fate at_first_busy(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line;
  return attempt < 3 ? FATE_ERROR : FATE_OK;
}

TEST(task_runner_count, tries_of_a_line_share_its_count) {
  struct world *world = counting_world(7, LINES, 0, 4);
  world->limit = world_need(world, 0) - 1;
  world->fate = at_first_busy;
  play(world);
  CHECK_EQ(world_counts(world).done, LINES);
  CHECK_EQ(world->calls_total, 3 * LINES);
  CHECK_EQ(world->counts_total, LINES);
  world_end(world);
}

TEST(task_runner_count, counts_of_a_minute_are_paced) {
  struct world *world = tight_world(LINES);
  world->llm.requests_per_minute = 600;
  const int64_t since = world->now_ms;
  play(world);
  CHECK_EQ(world_counts(world).done, LINES);
  CHECK(world_counts(world).counted > 0);
  const int64_t requests = (int64_t)(world->counts_total + world->calls_total);
  CHECK(world->now_ms - since >= (requests - 11) * 100 - 1); // those of a second at once, then one each 100 ms
  world_end(world);
}

TEST(task_runner_count, as_many_count_at_once_as_may_call) {
  struct world *world = counting_world(1, 60, 0, 8);
  world->limit = world_need(world, 0) - 1;
  world_open(world, 4);
  world_run(world);
  CHECK(world->counting_most >= 2 && world->counting_most <= 4);
  world_end(world);
}

TEST(task_runner_count, an_interrupt_drops_what_is_being_counted) {
  struct world *world = counting_world(1, LINES, 0, 8);
  world->limit = world_need(world, 0) - 1;
  world_open(world, 8);
  while (world->counting == 0)
    if (!world_step(world)) world_turn(world);
  hg_runner_interrupt(world->runner, world->now_ms);
  world_turn(world);
  CHECK_EQ(world->counting, 0);
  world_run(world);
  CHECK_EQ(world_counts(world).open, 0);
  CHECK_EQ(world_counts(world).done + world_counts(world).left, world->next_line);
  world_end(world);
}

static enum fate any_fate(struct world *world, unsigned line, unsigned attempt) {
  (void)line, (void)attempt;
  static const enum fate fates[] = {FATE_OK, FATE_OK, FATE_OK, FATE_BUSY, FATE_ERROR, FATE_BROKEN, FATE_BAD_REQUEST};
  return fates[world_below(world, sizeof fates / sizeof *fates)];
}
static enum count_fate any_count(struct world *world, unsigned line, unsigned attempt) {
  (void)line, (void)attempt;
  return world_below(world, 3) > 0 ? COUNT_OK : COUNT_BUSY + world_below(world, COUNT_FATES - COUNT_BUSY);
}

// The limit holds as long as counts are right; the world looks after each grant.
TEST(task_runner_count, random_worlds) {
  uint64_t seed = hg_test_seed("random_worlds");
  for (int round = 0; round < 300; round++) {
    struct world *world =
        counting_world(1 + hg_test_draw(&seed, 1u << 30), LINES, 0, 1 + (unsigned)hg_test_draw(&seed, 8));
    world->limit = world_need(world, 0) / 2 + (int64_t)hg_test_draw(&seed, 5000);
    world->llm.may_cap_output = hg_test_draw(&seed, 2);
    world->busy_percent = (unsigned)hg_test_draw(&seed, 30);
    world->fate = any_fate;
    world->count_fate = any_count;
    world->input_counted = world->input_tokens = 1 + (int64_t)hg_test_draw(&seed, 100);
    world_play(world, 1 + (uint32_t)hg_test_draw(&seed, 8));
    CHECK(world->used <= world->limit);
    CHECK_EQ(world_counts(world).overran, 0);
    world_end(world);
  }
}
