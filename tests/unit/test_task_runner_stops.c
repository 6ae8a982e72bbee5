// links: program
// labels: budget
// What makes the task runner stop, and what it leaves behind: nobody let in, nobody served, interrupts, a full disk, a
// lost ledger.
#include "runner/task_runner.h"
#include "support/runner_world_parts.h"
#include "support/test.h"

// ---------------------------------------------------------------------------------------------- being let in

static enum fate wrong_key(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return FATE_KEY;
}

TEST(task_runner_stops, wrong_key_stops_after_a_few_calls) {
  struct world *world = world_new(11, 300, 1000000, 64);
  world->fate = wrong_key;
  world_play(world, 64);
  CHECK_EQ(world_stop(world), HG_STOP_ACCESS);
  CHECK_EQ(world->calls_total, HG_PROBE_CALLS);
  CHECK_EQ(world_counts(world).failed, 0);
  CHECK_EQ(world_counts(world).refused_status, 401);
  CHECK_EQ(world->used, 0);
  world_end(world);
}

TEST(task_runner_stops, wrong_key_with_fewer_lines_than_that) {
  struct world *world = world_new(12, 2, 1000000, 1);
  world->fate = wrong_key;
  world_play(world, 1);
  CHECK_EQ(world_stop(world), HG_STOP_ACCESS);
  CHECK_EQ(world->calls_total, 2);
  CHECK_EQ(world_counts(world).left, 2);
  world_end(world);
}

static enum fate first_lines_have_no_route(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)attempt;
  return line < 3 ? FATE_ROUTE : FATE_OK;
}

TEST(task_runner_stops, held_back_answers_count_once_somebody_is_let_in) {
  struct world *world = world_new(13, 40, 1000000, 4);
  world->fate = first_lines_have_no_route;
  world_play(world, 4);
  CHECK_EQ(world_stop(world), HG_STOP_NONE);
  CHECK_EQ(world_counts(world).failed, 3);
  CHECK_EQ(world_counts(world).done, 37);
  CHECK_STR(world_counts(world).failures[0].code, "http_404");
  world_end(world);
}

static enum fate quota_later(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)attempt;
  return line >= 10 ? FATE_QUOTA : FATE_OK;
}

TEST(task_runner_stops, empty_account_stops_at_any_time) {
  struct world *world = world_new(14, 200, 1000000, 2);
  world->fate = quota_later;
  world_play(world, 2);
  CHECK_EQ(world_stop(world), HG_STOP_ACCESS);
  CHECK(world_counts(world).out_of_quota);
  CHECK_EQ(world_counts(world).done, 10);
  CHECK_EQ(world_counts(world).failed, 0);
  CHECK(world->calls_total <= 12);
  world_end(world);
}

static enum fate nobody_there(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return FATE_REFUSED;
}

TEST(task_runner_stops, unreachable_provider_stops_the_run) {
  struct world *world = world_new(15, 300, 1000000, 4);
  world->fate = nobody_there;
  world_play(world, 4);
  CHECK_EQ(world_stop(world), HG_STOP_ACCESS);
  CHECK_EQ(world_counts(world).refused_status, 0);
  CHECK_EQ(world_counts(world).failed, 0);
  CHECK_EQ(world->used, 0);
  world_end(world);
}

// ---------------------------------------------------------------------------------------------- being served

// Lines from FIRST on end so, on every try.
enum { FIRST = 10 };
static enum fate gone_fate;
static enum fate gone_later(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)attempt;
  return line >= FIRST ? gone_fate : FATE_OK;
}

TEST(task_runner_stops, provider_that_goes_away_stops_the_run) {
  static const struct {
    enum fate fate;
    unsigned slots, tries;
    long status;
  } ways[] = {{FATE_REFUSED, 4, 5, 0},  {FATE_KEY, 4, 1, 401},
              {FATE_KEY, 64, 1, 401},   {FATE_BROKEN, 4, 2, HG_REFUSED_UNREADABLE},
              {FATE_TIMEOUT, 1, 2, 0},  {FATE_ROUTE, 1, 1, 404},
              {FATE_REFUSED, 64, 5, 0}, {FATE_MALFORMED, 4, 2, 200},
              {FATE_HOLLOW, 4, 2, 200}, {FATE_UNREADABLE, 4, 1, HG_REFUSED_UNREADABLE}};
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    const unsigned slots = ways[i].slots;
    struct world *world = world_new(30 + i, 400, 10000000, slots);
    gone_fate = ways[i].fate;
    world->fate = gone_later;
    world_play(world, slots);
    const struct hg_runner_counts counts = world_counts(world);
    CHECK_EQ(world_stop(world), HG_STOP_ACCESS);
    CHECK_EQ(counts.done, FIRST);
    CHECK_EQ(counts.failed, 0);
    CHECK(counts.served_before);
    CHECK_EQ(counts.refused_status, ways[i].status);
    // As many as are tried at once, and as many again, may have ended before that is clear.
    CHECK(world->next_line <= FIRST + HG_UNSERVED_ROW + 2 * (2 * slots + 16));
    CHECK(world->calls_total <= FIRST + (uint64_t)ways[i].tries * (world->next_line - FIRST));
    world_end(world);
  }
}

static enum fate bad_block(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)attempt;
  return line >= FIRST && line < FIRST + HG_UNSERVED_ROW - 1 ? gone_fate : FATE_OK;
}

TEST(task_runner_stops, one_less_than_a_row_of_bad_lines_fails_them_only) {
  static const enum fate fates[] = {FATE_ROUTE,   FATE_KEY,       FATE_REFUSED, FATE_BROKEN,
                                    FATE_TIMEOUT, FATE_MALFORMED, FATE_HOLLOW,  FATE_UNREADABLE};
  for (size_t i = 0; i < sizeof fates / sizeof *fates; i++) {
    struct world *world = world_new(40 + i, 100, 10000000, 4);
    gone_fate = fates[i];
    world->fate = bad_block;
    world_play(world, 4);
    CHECK_EQ(world_stop(world), HG_STOP_NONE);
    CHECK_EQ(world_counts(world).failed, HG_UNSERVED_ROW - 1);
    CHECK_EQ(world_counts(world).done, 100 - (HG_UNSERVED_ROW - 1));
    world_end(world);
  }
}

static enum fate last_is_bad(struct world *world, unsigned line, unsigned attempt) {
  (void)attempt;
  return line + 1 == world->line_count ? FATE_TIMEOUT : FATE_OK;
}

TEST(task_runner_stops, bad_line_at_the_end_fails_alone) {
  for (unsigned lines = 1; lines <= 30; lines += 29) {
    struct world *world = world_new(50 + lines, lines, 10000000, 4);
    world->fate = last_is_bad;
    world_play(world, 4);
    CHECK_EQ(world_stop(world), HG_STOP_NONE);
    CHECK_EQ(world_counts(world).failed, 1);
    CHECK_EQ(world_counts(world).done, lines - 1);
    CHECK_EQ(world->lines[lines - 1].calls, 2); // no more tries than any other
    world_end(world);
  }
}

static enum fate third_is_refused(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)attempt;
  return line % 3 == 2 ? FATE_KEY : FATE_OK;
}

// Refusals come at once, answers take their time: all the bad lines of a burst end before its first good one.
TEST(task_runner_stops, bad_lines_that_end_before_the_good_ones_stop_nothing) {
  struct world *world = world_new(60, 400, 10000000, 100);
  world->fate = third_is_refused;
  world_open(world, 100);
  while (world_counts(world).done == 0)
    if (!world_step(world)) world_turn(world);
  for (unsigned ended = 1; ended > 0;) {
    ended = 0;
    while (world_grant_one(world) || world_deliver_one(world))
      world_turn(world);
    for (unsigned i = 0; i < world->call_count; i++)
      if (world->calls[i].line % 3 == 2) {
        world_end_call(world, i);
        ended++;
        break;
      }
    world_turn(world);
  }
  CHECK_EQ(world->call_count, 100);
  CHECK_EQ(world_stop(world), HG_STOP_NONE);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(world_stop(world), HG_STOP_NONE);
  CHECK_EQ(world_counts(world).failed, 133);
  world_end(world);
}

static enum fate always_error(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return FATE_ERROR;
}

TEST(task_runner_stops, errors_that_the_provider_answers_stop_nothing) {
  struct world *world = world_new(61, 60, 10000000, 4);
  world->fate = always_error;
  world_play(world, 4);
  CHECK_EQ(world_stop(world), HG_STOP_NONE);
  CHECK_EQ(world_counts(world).failed, 60);
  world_end(world);
}

// ---------------------------------------------------------------------------------------------- interrupts

TEST(task_runner_stops, interrupt_lets_running_calls_end) {
  struct world *world = world_new(16, 200, 1000000, 4);
  world_open(world, 4);
  while (world_counts(world).done < 20 || world->call_count < 4)
    if (!world_step(world)) world_turn(world);
  const uint64_t calls = world->calls_total;
  hg_runner_interrupt(world->runner, world->now_ms);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(world_stop(world), HG_STOP_INTERRUPT);
  CHECK_EQ(world->calls_total, calls);
  CHECK_EQ(world_counts(world).done, calls);
  world_end(world);
}

TEST(task_runner_stops, second_interrupt_cuts_them) {
  struct world *world = world_new(17, 200, 1000000, 4);
  world_open(world, 4);
  while (world_counts(world).done < 20 || world->call_count < 4)
    if (!world_step(world)) world_turn(world);
  hg_runner_interrupt(world->runner, world->now_ms);
  hg_runner_cut(world->runner, world->now_ms);
  CHECK_EQ(world->call_count, 0);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(world_counts(world).failed, 0);
  CHECK(world_counts(world).left >= 4);
  world_end(world);
}

TEST(task_runner_stops, changed_line_stops_the_run) {
  struct world *world = world_new(18, 30, 1000000, 4);
  world->input_error = HG_ERR_CONFLICT;
  world_play(world, 4);
  const char *text;
  CHECK_EQ(hg_runner_stopped(world->runner, &text), HG_STOP_CHANGED);
  CHECK_STR(text, "the end of the lines");
  world_end(world);
}

// ---------------------------------------------------------------------------------------------- disk and ledger

TEST(task_runner_stops, full_disk_is_waited_for) {
  struct world *world = world_new(19, 100, 1000000, 8);
  world->group_max = 3; // so that answers must be kept beside the group
  world_open(world, 8);
  while (world_counts(world).done < 10)
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
  CHECK_EQ(world_counts(world).done, 100);
  CHECK_EQ(world->calls_total, 100);
  CHECK_EQ(world->notes, 2);
  world_end(world);
}

// What can't be written was used all the same: the run ends when it is counted, exactly where an answer says it.
TEST(task_runner_stops, disk_that_stays_full_ends_the_run_when_all_is_counted) {
  struct world *world = world_new(20, 100, 1000000, 8);
  world_open(world, 8);
  while (world_counts(world).done < 10)
    if (!world_step(world)) world_turn(world);
  world->disk_full = true;
  world_run(world);
  const struct hg_runner_counts counts = world_counts(world);
  CHECK_EQ(world_stop(world), HG_STOP_RESULTS);
  CHECK_EQ(world->call_count, 0);
  CHECK_EQ(world->open_permits, 0);
  CHECK_EQ(world->reserved, 0);
  CHECK_EQ(counts.tokens, world->used);
  CHECK_EQ(counts.estimated, 0);
  unsigned unwritten = 0;
  for (unsigned i = 0; i < world->permit_count; i++)
    unwritten += world->permits[i].settled && !world->lines[world->permits[i].line].durable;
  CHECK(unwritten > 0 && counts.done + unwritten == world->calls_total);
  world_end(world);
}

TEST(task_runner_stops, interrupt_does_not_wait_for_a_full_disk) {
  struct world *world = world_new(21, 100, 1000000, 8);
  world_open(world, 8);
  world->disk_full = true;
  world_settle_down(world);
  CHECK(!hg_runner_finished(world->runner));
  const int64_t now_ms = world->now_ms;
  hg_runner_interrupt(world->runner, world->now_ms);
  world_run(world);
  CHECK_EQ(world->now_ms, now_ms);
  CHECK_EQ(world_stop(world), HG_STOP_RESULTS);
  CHECK_EQ(world->open_permits, 0);
  world_end(world);
}

// Where the runtime is gone too, nothing is waited for.
TEST(task_runner_stops, lost_results_and_a_lost_ledger_end_the_run) {
  struct world *world = world_new(23, 100, 1000000, 8);
  world_open(world, 8);
  world->disk_full = true;
  world_settle_down(world);
  hg_runner_interrupt(world->runner, world->now_ms);
  world_turn(world);
  CHECK_EQ(world_stop(world), HG_STOP_RESULTS);
  CHECK(!hg_runner_finished(world->runner));
  hg_runner_lost(world->runner, "nobody answers", world->now_ms);
  world_turn(world);
  CHECK(hg_runner_finished(world->runner));
  world_end(world);
}

TEST(task_runner_stops, lost_ledger_keeps_the_results) {
  struct world *world = world_new(22, 100, 1000000, 8);
  world_open(world, 8);
  while (world_counts(world).done < 10 || world->call_count < 5)
    if (!world_step(world)) world_turn(world);
  const unsigned running = world->call_count;
  unsigned durable = 0, before = 0;
  for (unsigned i = 0; i < 100; i++)
    before += world->lines[i].durable || world->lines[i].in_group;
  world->ledger_error = HG_ERR_STORE;
  world_run(world);
  CHECK_EQ(world_stop(world), HG_STOP_LEDGER);
  for (unsigned i = 0; i < 100; i++)
    durable += world->lines[i].durable;
  CHECK(durable >= before + running);
  CHECK_EQ(durable, world->calls_total);
  CHECK_EQ(world_counts(world).open, 0);
  world_end(world);
}

TEST(task_runner_stops, ledger_that_is_given_up_lets_go_of_what_waits) {
  struct world *world = world_new(23, 100, 1000000, 4);
  world_open(world, 4);
  while (world_counts(world).done < 5 || world->call_count < 4 || world->waiting_count == 0)
    if (!world_step(world)) world_turn(world);
  hg_runner_interrupt(world->runner, world->now_ms);
  world_turn(world);
  const unsigned running = world->call_count;
  while (world->call_count > 0) // the answers come, the runtime's do not
    world_end_call(world, 0);
  world_turn(world);
  CHECK(!hg_runner_finished(world->runner));
  hg_runner_lost(world->runner, "it is gone", world->now_ms);
  world_turn(world);
  CHECK(hg_runner_finished(world->runner));
  const char *text;
  CHECK_EQ(hg_runner_stopped(world->runner, &text), HG_STOP_LEDGER);
  CHECK_STR(text, "it is gone");
  unsigned durable = 0;
  for (unsigned i = 0; i < 100; i++)
    durable += world->lines[i].durable;
  CHECK(durable >= 5 + running);
  CHECK_EQ(world_counts(world).left, world->next_line - durable);
  world_end(world);
}
