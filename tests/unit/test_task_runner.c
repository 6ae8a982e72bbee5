// links: program
// labels: budget
// The task runner's decisions in a world of fakes: scripted cases, then random worlds under a seed.
#include "runner/retry.h"
#include "runner/task_runner.h"
#include "support/runner_world.h"
#include "support/test.h"

static struct hg_runner_counts counts_of(const struct world *world) {
  struct hg_runner_counts counts;
  hg_runner_count(world->runner, &counts);
  return counts;
}

static enum hg_stop stop_of(const struct world *world) {
  const char *text;
  return hg_runner_stopped(world->runner, &text);
}

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

TEST(task_runner, every_line_is_done_once) {
  struct world *world = new_world(1, 100, 1000000, 8);
  world_open(world, 8);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(counts_of(world).done, 100);
  CHECK_EQ(world->calls_total, 100);
  CHECK_EQ(world->calls_most, 8);
  CHECK_EQ(stop_of(world), HG_STOP_NONE);
  end_world(world);
}

TEST(task_runner, empty_file_ends_at_once) {
  struct world *world = new_world(1, 0, 1000, 4);
  world_open(world, 4);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(world->next_turn_ms, world->now_ms);
  end_world(world);
}

TEST(task_runner, lines_ahead_are_bounded) {
  struct world *world = new_world(1, 400, 1000000, 0);
  world_open(world, 4);
  world_turn(world);
  CHECK_EQ(counts_of(world).open, HG_PROBE_CALLS); // nobody was let in yet
  world->slots = 1;
  while (counts_of(world).done == 0)
    if (!world_step(world)) world_turn(world);
  world->slots = 0;
  world_settle_down(world);
  CHECK_EQ(counts_of(world).open, 4 + 4 + 16);
  end_world(world);
}

// ---------------------------------------------------------------------------------------------- budget

TEST(task_runner, what_never_fits_is_left) {
  struct world *world = new_world(3, 60, 0, 4);
  for (unsigned i = 0; i < 60; i++) // answers use 11 to 18 tokens each
    if (world_need(world, i) + 100 > world->limit) world->limit = world_need(world, i) + 100;
  world_open(world, 4);
  world_run(world);
  world_check_end(world);
  const struct hg_runner_counts counts = counts_of(world);
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
  end_world(world);
}

TEST(task_runner, unknown_budget_fails_the_line) {
  struct world *world = new_world(4, 3, 100000, 4);
  snprintf(world->lines[1].budget, sizeof world->lines[1].budget, "unknown");
  world_open(world, 4);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(counts_of(world).failed, 1);
  CHECK_STR(counts_of(world).failures[0].code, "unknown_budget");
  CHECK_EQ(world->lines[1].calls, 0);
  end_world(world);
}

TEST(task_runner, requests_that_cannot_be_sent_fail_without_a_permit) {
  struct world *world = new_world(4, 3, 100000, 4);
  snprintf(world->lines[0].body, sizeof world->lines[0].body, "{\"model\":\"m\",\"stream\":true}");
  world_open(world, 4);
  world_run(world);
  CHECK_EQ(counts_of(world).failed, 1);
  CHECK_STR(counts_of(world).failures[0].code, "invalid_request");
  CHECK_EQ(world->lines[0].acquires, 0);
  CHECK_EQ(counts_of(world).done, 2);
  end_world(world);
}

static enum fate first_over_cap(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)attempt;
  return line == 0 ? FATE_OVER_CAP : FATE_OK;
}

TEST(task_runner, ignored_cap_stops_new_starts) {
  struct world *world = new_world(5, 50, 1000000, 1);
  world->fate = first_over_cap;
  world_open(world, 1);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(counts_of(world).cap_ignored, 1);
  CHECK_EQ(stop_of(world), HG_STOP_CAP);
  CHECK_EQ(world->calls_total, 1);
  CHECK(world->lines[0].durable); // the answer is kept, and paid for in full
  end_world(world);
}

// ---------------------------------------------------------------------------------------------- retries

static enum fate busy_once(struct world *world, unsigned line, unsigned attempt) {
  (void)world;
  return line == 0 && attempt == 1 ? FATE_BUSY : FATE_OK;
}

TEST(task_runner, long_pause_gives_the_slot_back) {
  struct world *world = new_world(6, 1, 100000, 1);
  world->fate = busy_once;
  world->retry_after_ms = 5000;
  world_open(world, 1);
  world_settle_down(world);
  CHECK_EQ(world->lines[0].calls, 1);
  CHECK_EQ(world->open_permits, 0);
  CHECK_EQ(world->permits[0].outcome, HG_OUTCOME_RETRY);
  CHECK(!world->permits[0].settled);
  CHECK_EQ(counts_of(world).pausing, 1);
  CHECK(world->next_turn_ms >= world->now_ms + 5000);
  CHECK(world->next_turn_ms <= world->now_ms + 5000 + HG_BACKOFF_BASE_MS);
  world_pass(world, 4999);
  world_settle_down(world);
  CHECK_EQ(world->lines[0].acquires, 1); // not before its time
  world_run(world);
  world_check_end(world);
  CHECK_EQ(world->lines[0].acquires, 2);
  CHECK_EQ(counts_of(world).done, 1);
  CHECK_EQ(counts_of(world).retries, 1);
  end_world(world);
}

static enum fate error_once(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line;
  return attempt == 1 ? FATE_ERROR : FATE_OK;
}

TEST(task_runner, short_pause_keeps_the_permit) {
  struct world *world = new_world(7, 1, 100000, 1);
  world->fate = error_once;
  world_open(world, 1);
  world_settle_down(world);
  CHECK_EQ(world->open_permits, 1);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(world->lines[0].acquires, 1);
  CHECK_EQ(world->lines[0].calls, 2);
  end_world(world);
}

static enum fate always_error(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return FATE_ERROR;
}

TEST(task_runner, attempts_are_bounded_and_cost_nothing) {
  struct world *world = new_world(8, 10, 100000, 4);
  world->fate = always_error;
  world_open(world, 4);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(counts_of(world).failed, 10);
  CHECK_STR(counts_of(world).failures[0].code, "http_500");
  CHECK_EQ(world->calls_total, 50);
  CHECK_EQ(world->used, 0);
  end_world(world);
}

static enum fate always_broken(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)attempt;
  return line % 3 == 0 ? FATE_BROKEN : line % 3 == 1 ? FATE_TIMEOUT : FATE_MALFORMED;
}

TEST(task_runner, unknown_outcomes_are_charged_in_full) {
  struct world *world = new_world(9, 6, 1000000, 2);
  int64_t whole = 0;
  for (unsigned i = 0; i < 6; i++)
    whole += world_need(world, i);
  world->fate = always_broken;
  world_open(world, 2);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(counts_of(world).failed, 6);
  CHECK_EQ(world->calls_total, 12); // retryUnknownOutcome is 1
  CHECK_EQ(world->used, 2 * whole);
  CHECK_EQ(counts_of(world).estimated, 12);
  for (unsigned i = 0; i < 6; i++)
    CHECK_EQ(world->lines[i].acquires, 2); // each try has a reservation of its own
  end_world(world);
}

static enum fate never_usage(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return FATE_NO_USAGE;
}

TEST(task_runner, answer_without_usage_is_done_and_charged_in_full) {
  struct world *world = new_world(10, 2, 1000000, 2);
  world->fate = never_usage;
  world_open(world, 2);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(counts_of(world).done, 2);
  CHECK_EQ(counts_of(world).estimated, 2);
  CHECK_EQ(world->used, world_need(world, 0) + world_need(world, 1));
  end_world(world);
}

// ---------------------------------------------------------------------------------------------- being let in

static enum fate wrong_key(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return FATE_KEY;
}

TEST(task_runner, wrong_key_stops_after_a_few_calls) {
  struct world *world = new_world(11, 300, 1000000, 64);
  world->fate = wrong_key;
  world_open(world, 64);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(stop_of(world), HG_STOP_ACCESS);
  CHECK_EQ(world->calls_total, HG_PROBE_CALLS);
  CHECK_EQ(counts_of(world).failed, 0);
  CHECK_EQ(counts_of(world).refused_status, 401);
  CHECK_EQ(world->used, 0);
  end_world(world);
}

TEST(task_runner, wrong_key_with_fewer_lines_than_that) {
  struct world *world = new_world(12, 2, 1000000, 1);
  world->fate = wrong_key;
  world_open(world, 1);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(stop_of(world), HG_STOP_ACCESS);
  CHECK_EQ(world->calls_total, 2);
  CHECK_EQ(counts_of(world).left, 2);
  end_world(world);
}

static enum fate first_lines_have_no_route(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)attempt;
  return line < 3 ? FATE_ROUTE : FATE_OK;
}

TEST(task_runner, held_back_answers_count_once_somebody_is_let_in) {
  struct world *world = new_world(13, 40, 1000000, 4);
  world->fate = first_lines_have_no_route;
  world_open(world, 4);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(stop_of(world), HG_STOP_NONE);
  CHECK_EQ(counts_of(world).failed, 3);
  CHECK_EQ(counts_of(world).done, 37);
  CHECK_STR(counts_of(world).failures[0].code, "http_404");
  end_world(world);
}

static enum fate quota_later(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)attempt;
  return line >= 10 ? FATE_QUOTA : FATE_OK;
}

TEST(task_runner, empty_account_stops_at_any_time) {
  struct world *world = new_world(14, 200, 1000000, 2);
  world->fate = quota_later;
  world_open(world, 2);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(stop_of(world), HG_STOP_ACCESS);
  CHECK(counts_of(world).out_of_quota);
  CHECK_EQ(counts_of(world).done, 10);
  CHECK_EQ(counts_of(world).failed, 0);
  CHECK(world->calls_total <= 12);
  end_world(world);
}

static enum fate nobody_there(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return FATE_REFUSED;
}

TEST(task_runner, unreachable_provider_stops_the_run) {
  struct world *world = new_world(15, 300, 1000000, 4);
  world->fate = nobody_there;
  world_open(world, 4);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(stop_of(world), HG_STOP_ACCESS);
  CHECK_EQ(counts_of(world).refused_status, 0);
  CHECK_EQ(counts_of(world).failed, 0);
  CHECK_EQ(world->used, 0);
  end_world(world);
}

// ---------------------------------------------------------------------------------------------- interrupts

TEST(task_runner, interrupt_lets_running_calls_end) {
  struct world *world = new_world(16, 200, 1000000, 4);
  world_open(world, 4);
  while (counts_of(world).done < 20 || world->call_count < 4)
    if (!world_step(world)) world_turn(world);
  const uint64_t calls = world->calls_total;
  hg_runner_interrupt(world->runner, world->now_ms);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(stop_of(world), HG_STOP_INTERRUPT);
  CHECK_EQ(world->calls_total, calls);
  CHECK_EQ(counts_of(world).done, calls);
  end_world(world);
}

TEST(task_runner, second_interrupt_cuts_them) {
  struct world *world = new_world(17, 200, 1000000, 4);
  world_open(world, 4);
  while (counts_of(world).done < 20 || world->call_count < 4)
    if (!world_step(world)) world_turn(world);
  hg_runner_interrupt(world->runner, world->now_ms);
  hg_runner_cut(world->runner, world->now_ms);
  CHECK_EQ(world->call_count, 0);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(counts_of(world).failed, 0);
  CHECK(counts_of(world).left >= 4);
  end_world(world);
}

TEST(task_runner, changed_line_stops_the_run) {
  struct world *world = new_world(18, 30, 1000000, 4);
  world->input_error = HG_ERR_CONFLICT;
  world_open(world, 4);
  world_run(world);
  world_check_end(world);
  const char *text;
  CHECK_EQ(hg_runner_stopped(world->runner, &text), HG_STOP_CHANGED);
  CHECK_STR(text, "the end of the lines");
  end_world(world);
}

// ---------------------------------------------------------------------------------------------- disk and ledger

TEST(task_runner, full_disk_is_waited_for) {
  struct world *world = new_world(19, 100, 1000000, 8);
  world->group_max = 3; // so that answers must be kept beside the group
  world_open(world, 8);
  while (counts_of(world).done < 10)
    if (!world_step(world)) world_turn(world);
  world->disk_full = true;
  world_settle_down(world);
  const uint64_t calls = world->calls_total;
  for (unsigned i = 0; i < 10; i++)
    world_pass(world, 1000);
  CHECK(world->syncs_failed > 1);
  CHECK_EQ(world->calls_total, calls); // nothing new starts
  world->disk_full = false;
  world_run(world);
  world_check_end(world);
  CHECK_EQ(counts_of(world).done, 100);
  CHECK_EQ(world->calls_total, 100);
  CHECK_EQ(world->notes, 2);
  end_world(world);
}

TEST(task_runner, disk_that_stays_full_ends_the_run_unsettled) {
  struct world *world = new_world(20, 100, 1000000, 8);
  world_open(world, 8);
  while (counts_of(world).done < 10)
    if (!world_step(world)) world_turn(world);
  world->disk_full = true;
  world_run(world);
  CHECK_EQ(stop_of(world), HG_STOP_RESULTS);
  CHECK(world->open_permits > 0); // orphans, charged in full at the next opening
  CHECK_EQ(world->call_count, 0);
  for (unsigned i = 0; i < world->permit_count; i++)
    if (world->permits[i].settled) CHECK(world->lines[world->permits[i].line].durable);
  end_world(world);
}

TEST(task_runner, interrupt_does_not_wait_for_a_full_disk) {
  struct world *world = new_world(21, 100, 1000000, 8);
  world_open(world, 8);
  world->disk_full = true;
  world_settle_down(world);
  CHECK(!hg_runner_finished(world->runner));
  hg_runner_interrupt(world->runner, world->now_ms);
  world_turn(world);
  CHECK(hg_runner_finished(world->runner));
  CHECK_EQ(stop_of(world), HG_STOP_RESULTS);
  end_world(world);
}

TEST(task_runner, lost_ledger_keeps_the_results) {
  struct world *world = new_world(22, 100, 1000000, 8);
  world_open(world, 8);
  while (counts_of(world).done < 10 || world->call_count < 5)
    if (!world_step(world)) world_turn(world);
  const unsigned running = world->call_count;
  unsigned durable = 0, before = 0;
  for (unsigned i = 0; i < 100; i++)
    before += world->lines[i].durable || world->lines[i].in_group;
  world->ledger_error = HG_ERR_STORE;
  world_run(world);
  CHECK_EQ(stop_of(world), HG_STOP_LEDGER);
  for (unsigned i = 0; i < 100; i++)
    durable += world->lines[i].durable;
  CHECK(durable >= before + running);
  CHECK_EQ(durable, world->calls_total);
  CHECK_EQ(counts_of(world).open, 0);
  end_world(world);
}

// ---------------------------------------------------------------------------------------------- random worlds

static enum fate mixed(struct world *world, unsigned line, unsigned attempt) {
  static const enum fate common[] = {FATE_BAD_REQUEST, FATE_BUSY,    FATE_ERROR,     FATE_REFUSED,
                                     FATE_BROKEN,      FATE_TIMEOUT, FATE_MALFORMED, FATE_NO_USAGE};
  (void)line, (void)attempt;
  if (world_below(world, 100) < 60) return FATE_OK;
  world->retry_after_ms = world_below(world, 3) == 0 ? 3000 : -1;
  return common[world_below(world, sizeof common / sizeof *common)];
}

static void random_world(uint64_t seed) {
  struct world *world = new_world(seed, 150, 0, 1);
  world->slots = 1 + world_below(world, 12);
  world->limit = 500 + (int64_t)world_below(world, 40000);
  world->busy_percent = world_below(world, 3) == 0 ? 20 : 0;
  world->group_max = 2 + world_below(world, 20);
  world->fate = mixed;
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
  if (stop_of(world) != HG_STOP_RESULTS) world_check_end(world);
  CHECK(world->used <= world->limit);
  end_world(world);
}

TEST(task_runner, random_worlds) {
  const char *given = getenv("HG_SEED");
  const uint64_t first = given ? strtoull(given, NULL, 10) : 1;
  const uint64_t count = given ? 1 : 400;
  for (uint64_t seed = first; seed < first + count; seed++) {
    fprintf(stderr, "\rseed %llu (HG_SEED=%llu runs it alone)", (unsigned long long)seed, (unsigned long long)seed);
    random_world(seed);
  }
  fprintf(stderr, "\n");
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
