// Where budgets are going, as the tracker tells it. [8_RISKS-REQ-031]
// labels: budget
#include "actors/budgets.h"
#include "tracker_fixture.h"

#include <stdlib.h>

#define SECOND INT64_C(1000000)

static void pass(struct fixture *f, int64_t us) {
  f->tracker.now.monotonic_us += us;
  f->tracker.now.utc_us += us;
}

// A task of so many tokens.
static void play(struct fixture *f, uint64_t permit, int64_t tokens) {
  CHECK_EQ(ask(f, (struct wish){.permit = permit, .min = 100, .max = 100}).verdict, HG_VERDICT_GRANTED);
  CHECK_EQ(settled(f, permit, tokens), HG_OK);
}

static unsigned forecasts(struct fixture *f) {
  unsigned count = 0;
  write_facts(f);
  for (size_t i = 0; i < f->events.count; i++)
    count += f->events.at[i].kind == HG_BUDGET_FORECAST;
  return count;
}

// As the scheduler says how many wait; the request itself is taken back at once.
static void ask_while_waiting(struct fixture *f, uint64_t permit, uint32_t waiting) {
  struct hg_message message;
  hg_message_init(&message, HG_RESERVE);
  message.as.reserve.permit = permit;
  message.as.reserve.min_tokens = message.as.reserve.max_tokens = 1;
  message.as.reserve.waiting = waiting;
  hg_test_send(&f->tracker, HG_PORT_DECISIONS, 0, &message);
  CHECK_EQ(reserved(f).verdict, HG_VERDICT_GRANTED);
  release(f, permit, HG_OUTCOME_RETRY);
  CHECK_EQ(closed(f, permit), HG_OK);
}

TEST(tracker_forecast, says_how_fast_and_how_long) {
  struct fixture f;
  begin(&f, 100000, 4);
  const uint32_t part = hg_test_setup_budget(&f.setup, "part", 0, 50000);
  start(&f);
  struct hg_usage_message usage = usage_of(&f, 0);
  CHECK_EQ(usage.per_minute, 0);
  CHECK_EQ(usage.limit_in_ms, HG_UNKNOWN);
  CHECK_EQ(usage.threshold_in_ms, HG_UNKNOWN);
  for (int i = 0; i < 300; i++) { // 100 tokens a second, for half a minute
    record(&f, i % 2 ? part : 0, 10);
    pass(&f, SECOND / 10);
  }
  usage = usage_of(&f, 0);
  CHECK(usage.per_minute > 5900 && usage.per_minute < 6100);
  CHECK(usage.limit_in_ms > 950000 && usage.limit_in_ms < 990000);         // 97,000 at 100 a second
  CHECK(usage.threshold_in_ms > 850000 && usage.threshold_in_ms < 890000); // 87,000
  CHECK_EQ(usage.task_tokens, 0);
  usage = usage_of(&f, part);
  CHECK(usage.per_minute > 2900 && usage.per_minute < 3100);
  end(&f);
}

TEST(tracker_forecast, what_was_used_before_is_no_rate) {
  struct fixture f;
  begin(&f, 100000, 4);
  f.setup.stored[0].used = 50000;
  start(&f);
  record(&f, 0, 1);
  pass(&f, 10 * SECOND);
  record(&f, 0, 100);
  CHECK(usage_of(&f, 0).per_minute < 700);
  end(&f);
}

// What the attempts before its last one were charged is a task's too: one in three is cut off, and charged 1,000.
TEST(tracker_forecast, a_task_has_used_what_its_attempts_did) {
  struct fixture f;
  begin(&f, 200000, 4);
  start(&f);
  for (uint64_t permit = 1; permit <= 15; permit++) {
    CHECK_EQ(ask(&f, (struct wish){.permit = permit, .min = 1000, .max = 1000}).verdict, HG_VERDICT_GRANTED);
    settle(&f, permit, permit % 3 == 0 ? 1000 : 20, permit % 3 == 0 ? HG_OUTCOME_RETRY : HG_OUTCOME_DONE, NULL);
    CHECK_EQ(closed(&f, permit), HG_OK);
  }
  const int64_t task = usage_of(&f, 0).task_tokens; // ten have ended, with 5,200
  CHECK(task > 500 && task < 540);
  ask_while_waiting(&f, 100, 1000);
  CHECK_EQ(forecasts(&f), 1); // not when nine parts in ten are used
  end(&f);
}

TEST(tracker_forecast, tells_once_that_the_queue_will_not_fit) {
  struct fixture f;
  begin(&f, 10000, 4);
  start(&f);
  for (uint64_t permit = 1; permit < 10; permit++)
    play(&f, permit, 90);
  ask_while_waiting(&f, 100, 1000); // nine tasks say too little
  CHECK_EQ(forecasts(&f), 0);
  play(&f, 10, 90);
  CHECK_EQ(usage_of(&f, 0).task_tokens, 90);
  ask_while_waiting(&f, 101, 50);
  CHECK_EQ(forecasts(&f), 0);
  ask_while_waiting(&f, 102, 101); // 102 at 90 tokens, and 9,100 are left
  CHECK_EQ(forecasts(&f), 1);
  const struct hg_message *told = &f.events.at[f.events.count - 1];
  while (told->kind != HG_BUDGET_FORECAST)
    told--;
  CHECK_EQ(told->as.budget_forecast.needed, 102 * 90);
  CHECK_EQ(told->as.budget_forecast.over_by, 102 * 90 - 9100);
  ask_while_waiting(&f, 103, 500);
  CHECK_EQ(forecasts(&f), 1);
  set_limit(&f, 0, 100000);
  ask_while_waiting(&f, 104, 500);
  ask_while_waiting(&f, 105, 5000);
  CHECK_EQ(forecasts(&f), 2);
  end(&f);
}

// ------------------------------------------------------------------------------------------------ lines of runs

static void tell_allowed(struct fixture *f, hg_peer peer, uint64_t from, uint32_t budget, uint64_t lines,
                         uint32_t allowed) {
  struct hg_message message;
  hg_message_init(&message, HG_TELL_LINES);
  message.as.tell_lines.from = from;
  message.as.tell_lines.budget = budget;
  message.as.tell_lines.lines = lines;
  message.as.tell_lines.allowed = allowed;
  hg_test_send(&f->tracker, HG_PORT_CLIENTS, peer, &message);
}

static void tell_lines(struct fixture *f, hg_peer peer, uint64_t from, uint32_t budget, uint64_t lines) {
  tell_allowed(f, peer, from, budget, lines, 0);
}

static uint32_t allowed_after(struct fixture *f, int64_t us, uint64_t from, uint64_t lines, uint32_t allowed) {
  f->tracker.now.monotonic_us += us;
  tell_allowed(f, ALICE, from, 0, lines, allowed);
  return usage_of(f, 0).allowed;
}

TEST(tracker_forecast, what_providers_allow_is_known_for_ten_seconds) {
  struct fixture f;
  begin(&f, 10000, 4);
  start(&f);
  CHECK_EQ(usage_of(&f, 0).allowed, 0);
  CHECK_EQ(allowed_after(&f, 0, 1, 10, 7), 7);
  CHECK_EQ(allowed_after(&f, 5000000, 2, 10, 3), 3); // the fewest
  CHECK_EQ(allowed_after(&f, 1, 2, 10, 5), 5);
  CHECK_EQ(allowed_after(&f, 1, 3, 10, 0), 5); // which is not pushed back
  CHECK_EQ(allowed_after(&f, 1, 2, 0, 0), 7);  // has ended
  CHECK_EQ(allowed_after(&f, 4999997, 3, 10, 0), 7);
  CHECK_EQ(allowed_after(&f, 1, 3, 10, 0), 0); // nothing was heard of it
  end(&f);
}

// The budgets of the forecasts that were told so far, a bit each.
static unsigned told_of(struct fixture *f) {
  unsigned budgets = 0;
  write_facts(f);
  for (size_t i = 0; i < f->events.count; i++)
    if (f->events.at[i].kind == HG_BUDGET_FORECAST) budgets |= 1U << f->events.at[i].as.head.budget;
  return budgets;
}

// A tree of three, in whose leaf ten tasks of 90 tokens have ended.
struct tree {
  struct fixture f;
  uint32_t team, leaf;
};

static void begin_tree(struct tree *tree, int64_t root, int64_t team, int64_t leaf) {
  struct fixture *f = &tree->f;
  begin(f, root, 4);
  tree->team = hg_test_setup_budget(&f->setup, "team", 0, team);
  tree->leaf = hg_test_setup_budget(&f->setup, "leaf", tree->team, leaf);
  start(f);
  for (uint64_t permit = 1; permit <= 10; permit++) {
    CHECK_EQ(ask(f, (struct wish){.permit = permit, .budget = tree->leaf, .min = 100, .max = 100}).verdict,
             HG_VERDICT_GRANTED);
    CHECK_EQ(settled(f, permit, 90), HG_OK);
  }
}

TEST(tracker_forecast, lines_are_judged_on_every_budget_of_the_path) {
  struct tree tree;
  struct fixture *f = &tree.f;
  begin_tree(&tree, 100000, 20000, 10000);
  tell_lines(f, ALICE, 0, tree.leaf, 101); // 9,090, and 9,100 are left
  CHECK_EQ(told_of(f), 0);
  tell_lines(f, ALICE, 0, tree.leaf, 102);
  CHECK_EQ(told_of(f), 1U << tree.leaf);
  const struct hg_message *told = &f->events.at[f->events.count - 1];
  CHECK_EQ(told->kind, HG_BUDGET_FORECAST);
  CHECK_EQ(told->as.budget_forecast.hard_limit, 10000);
  CHECK_EQ(told->as.budget_forecast.used, 900);
  CHECK_EQ(told->as.budget_forecast.needed, 102 * 90);
  CHECK_EQ(told->as.budget_forecast.over_by, 102 * 90 - 9100);
  tell_lines(f, ALICE, 0, tree.leaf, 150); // told already
  CHECK_EQ(forecasts(f), 1);
  tell_lines(f, BOB, 0, tree.team, 100); // 250 in the team, of which 212 fit
  CHECK_EQ(told_of(f), 1U << tree.leaf | 1U << tree.team);
  CHECK_EQ(forecasts(f), 2);
  tell_lines(f, ALICE, 0, tree.leaf, 92); // not with a tenth to spare
  tell_lines(f, ALICE, 0, tree.leaf, 150);
  CHECK_EQ(forecasts(f), 2);
  tell_lines(f, ALICE, 0, tree.leaf, 90);
  tell_lines(f, ALICE, 0, tree.leaf, 150);
  CHECK_EQ(forecasts(f), 4); // of the leaf, and of the team, which was well for a moment too
  end(f);
}

TEST(tracker_forecast, lines_are_forgotten_with_who_told_them) {
  struct tree tree;
  struct fixture *f = &tree.f;
  begin_tree(&tree, 10000, HG_TOKENS_MAX, HG_TOKENS_MAX);
  tell_lines(f, ALICE, 0, tree.leaf, 60);
  struct hg_message leave;
  hg_message_init(&leave, HG_LEAVE);
  hg_test_send(&f->tracker, HG_PORT_CLIENTS, ALICE, &leave);
  tell_lines(f, BOB, 1, tree.leaf, 60); // two of those outside
  tell_lines(f, BOB, 2, tree.team, 40);
  CHECK_EQ(forecasts(f), 0);
  tell_lines(f, BOB, 1, tree.leaf, 0);
  tell_lines(f, BOB, 2, tree.team, 100);
  CHECK_EQ(forecasts(f), 0);
  pass(f, 11 * SECOND); // that one has died
  tell_lines(f, BOB, 3, tree.leaf, 100);
  CHECK_EQ(forecasts(f), 0);
  pass(f, 9 * SECOND); // this one lives
  tell_lines(f, BOB, 3, tree.leaf, 100);
  pass(f, 9 * SECOND);
  tell_lines(f, BOB, 4, 0, 2);
  CHECK_EQ(told_of(f), 1);
  end(f);
}

TEST(tracker_forecast, lines_of_one_run_in_several_budgets_add_up) {
  struct tree tree;
  struct fixture *f = &tree.f;
  begin_tree(&tree, 100000, 10000, HG_TOKENS_MAX);
  tell_lines(f, BOB, 1, tree.leaf, 60);
  tell_lines(f, BOB, 1, tree.team, 60); // 120 in the team, of which 101 fit
  CHECK_EQ(told_of(f), 1U << tree.team);
  tell_lines(f, BOB, 1, tree.leaf, 0);
  tell_lines(f, BOB, 1, tree.team, 90); // and each is told anew for itself
  CHECK_EQ(forecasts(f), 1);
  tell_lines(f, BOB, 1, tree.leaf, 60);
  CHECK_EQ(forecasts(f), 2);
  end(f);
}

TEST(tracker_forecast, lines_without_measure_do_no_harm) {
  struct tree tree;
  struct fixture *f = &tree.f;
  begin_tree(&tree, 10000, 10000, 10000);
  tell_lines(f, ALICE, 0, 77, 5); // no such budget
  for (uint64_t from = 1; from < 5000; from++)
    tell_lines(f, BOB, from, tree.leaf, UINT64_MAX);
  CHECK_EQ(forecasts(f), 3);
  for (uint64_t from = 1; from < 5000; from++)
    tell_lines(f, BOB, from, tree.leaf, 0);
  tell_lines(f, ALICE, 0, tree.leaf, 102);
  CHECK_EQ(forecasts(f), 6);
  end(f);
}

// ------------------------------------------------------------------------------------------------ accuracy

static int64_t draw_between(uint64_t *seed, int64_t least, int64_t most) {
  return least + (int64_t)hg_test_draw(seed, (uint64_t)(most - least + 1));
}

static bool is_near(int64_t found, int64_t truth) {
  return llabs(found - truth) * 10 <= truth;
}

#define RUNS_MAX 16
struct run {
  struct fixture f;
  struct {
    uint64_t permit; // 0: none, and its next call comes when the throttle opens
    int64_t ends, tokens;
  } slots[RUNS_MAX];
  uint64_t seed, permits, heard; // heard: that somebody has to wait
  int64_t started, length;
};

// Also said on that port: CROSSED, ROOM.
static struct hg_message decision(struct run *run, enum hg_kind kind) {
  struct hg_message message = {.kind = HG_NONE};
  hg_peer peer;
  while (message.kind != kind)
    CHECK(hg_test_take(&run->f.tracker, HG_PORT_DECISIONS, &peer, &message));
  return message;
}

static void call(struct run *run, int slot) {
  const int64_t tokens = draw_between(&run->seed, 50, 150);
  const uint64_t permit = ++run->permits;
  reserve(&run->f, (struct wish){.permit = permit, .min = tokens, .max = tokens, .heard = run->heard});
  const uint32_t verdict = decision(run, HG_RESERVED).as.reserved.verdict;
  run->heard += verdict == HG_VERDICT_WAIT || verdict == HG_VERDICT_THROTTLED;
  run->slots[slot].permit = verdict == HG_VERDICT_GRANTED ? permit : 0;
  run->slots[slot].tokens = tokens;
  run->slots[slot].ends =
      run->f.tracker.now.monotonic_us + draw_between(&run->seed, run->length / 2, run->length * 3 / 2);
}

// The next call ends, and another one begins. False: there is none.
static bool turn(struct run *run) {
  int first = -1;
  for (int i = 0; i < RUNS_MAX; i++)
    if (run->slots[i].permit && (first < 0 || run->slots[i].ends < run->slots[first].ends)) first = i;
  if (first < 0) return false;
  pass(&run->f, run->slots[first].ends - run->f.tracker.now.monotonic_us);
  settle(&run->f, run->slots[first].permit, run->slots[first].tokens, HG_OUTCOME_DONE, NULL);
  CHECK_EQ(decision(run, HG_PERMIT_CLOSED).as.permit_closed.error, HG_OK);
  call(run, first);
  return true;
}

static void begin_run(struct run *run, uint64_t seed, uint32_t throttle_percent, int64_t limit) {
  *run = (struct run){.seed = seed};
  begin(&run->f, limit, RUNS_MAX);
  run->f.setup.config.throttle_percent = throttle_percent;
  run->f.setup.config.throttled_concurrency = RUNS_MAX / 4;
  start(&run->f);
  run->length = draw_between(&run->seed, 1000, 8000) * 1000;
  run->started = run->f.tracker.now.monotonic_us;
  for (int i = 0; i < RUNS_MAX; i++)
    call(run, i);
}

// What was foretold of a moment, and when.
struct foretold {
  int64_t at, until_ms;
};

static void check_foretold(const struct run *run, const struct foretold *told, size_t count) {
  const int64_t end = run->f.tracker.now.monotonic_us;
  size_t checked = 0;
  for (size_t i = 0; i < count; i++) {
    if ((told[i].at - run->started) * 10 < end - run->started) continue;
    CHECK(told[i].until_ms != HG_UNKNOWN);
    CHECK(is_near(told[i].at + told[i].until_ms * 1000 - run->started, end - run->started));
    checked++;
  }
  CHECK(checked > 20);
}

#define LOOKS 512
// From a tenth of the way on, what a steady run is told of its limit is within a tenth of the truth.
TEST(tracker_forecast, a_steady_run_meets_its_limit_when_it_says) {
  static struct run run;
  uint64_t seed = hg_test_seed("a_steady_run_meets_its_limit_when_it_says");
  for (int round = 0; round < 5; round++) {
    struct foretold told[LOOKS];
    size_t count = 0;
    begin_run(&run, seed + (uint64_t)round, 100, 600000);
    for (unsigned i = 0; turn(&run); i++) {
      if (i % 64 != 0 || usage_of(&run.f, 0).used > 580000) continue; // the last calls find little that is left
      const struct hg_usage_message usage = usage_of(&run.f, 0);
      CHECK_EQ(usage.threshold_in_ms, HG_UNKNOWN);
      CHECK(count < LOOKS);
      told[count++] = (struct foretold){run.f.tracker.now.monotonic_us, usage.limit_in_ms};
    }
    CHECK(run.f.tracker.now.monotonic_us - run.started > 10 * SECOND);
    check_foretold(&run, told, count);
    end(&run.f);
  }
}

// With a throttle at 90 % the same holds of the moment at which it closes, and of the limit, though fewer calls run
// behind it.
TEST(tracker_forecast, a_steady_run_meets_its_throttle_when_it_says) {
  static struct run run;
  uint64_t seed = hg_test_seed("a_steady_run_meets_its_throttle_when_it_says");
  for (int round = 0; round < 5; round++) {
    struct foretold told[LOOKS], limit[2 * LOOKS];
    size_t count = 0, limits = 0;
    struct hg_usage_message usage;
    begin_run(&run, seed + (uint64_t)round, 90, 600000);
    for (unsigned i = 0; !(usage = usage_of(&run.f, 0)).throttled; i++) {
      CHECK(count < LOOKS);
      if (i % 16 == 0) {
        told[count++] = (struct foretold){run.f.tracker.now.monotonic_us, usage.threshold_in_ms};
        limit[limits++] = (struct foretold){run.f.tracker.now.monotonic_us, usage.limit_in_ms};
      }
      CHECK(turn(&run));
    }
    CHECK_EQ(usage.threshold_in_ms, 0);
    check_foretold(&run, told, count);
    const int64_t rate = usage.per_minute;
    for (unsigned i = 0; turn(&run); i++) {
      usage = usage_of(&run.f, 0);
      if (i % 16 != 0 || usage.used > 590000) continue;
      CHECK(limits < 2 * LOOKS);
      limit[limits++] = (struct foretold){run.f.tracker.now.monotonic_us, usage.limit_in_ms};
    }
    CHECK(usage.per_minute < rate * 9 / 10);
    check_foretold(&run, limit, limits);
    end(&run.f);
  }
}

// 90 % of 199 is 179.1: at 179 tokens the throttle is open, at 180 closed.
TEST(tracker_forecast, the_threshold_is_that_of_the_throttle) {
  static const struct {
    int64_t limit;
    uint32_t percent;
  } cases[] = {{199, 90}, {1, 50}, {7, 99}, {100, 1}, {12345, 33}, {HG_TOKENS_MAX, 90}, {HG_TOKENS_MAX, 99}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct hg_budget budget = {.hard_limit = cases[i].limit};
    struct hg_budgets budgets = {.throttle_percent = cases[i].percent, .basis = HG_THROTTLE_USED};
    budget.used = hg_budget_threshold(&budgets, &budget);
    CHECK(hg_budget_should_close(&budgets, &budget));
    budget.used--;
    CHECK(!hg_budget_should_close(&budgets, &budget));
    budgets.basis = HG_THROTTLE_COMMITTED;
    budget.reserved = budget.used / 3;
    budget.used = hg_budget_threshold(&budgets, &budget);
    CHECK(hg_budget_should_close(&budgets, &budget));
  }
  struct fixture f;
  begin(&f, 199, 4);
  start(&f);
  record(&f, 0, 1);
  for (int i = 0; i < 10; i++) {
    pass(&f, SECOND);
    record(&f, 0, 10);
  }
  // 79 of 100 tokens in ten seconds are left until 180; to 90 there would be none.
  CHECK(usage_of(&f, 0).threshold_in_ms > 7000);
  end(&f);
}
