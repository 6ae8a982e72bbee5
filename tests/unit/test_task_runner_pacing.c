// How fast the task runner starts calls, and how many at once while a provider pushes back.
// links: program
#include "runner/pace.h"
#include "support/runner_world_parts.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

#define LINES 200

static int64_t sent_at[WORLD_LINES_MAX]; // of each line's last call
static unsigned capacity;                // calls at once that the provider takes
static unsigned over, most;              // how often it had more; and how many at the most, after it had pushed back

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

// ---------------------------------------------------------------------------------------------- what headers say

static int64_t shut_for_ms; // what answers of model "a" say, once

static enum fate note_order(struct world *world, unsigned line, unsigned attempt) {
  (void)attempt;
  sent_at[line] = world->now_ms;
  return FATE_OK;
}

static bool is_of_a(const struct world *world, unsigned line) {
  return strstr(world->lines[line].body, "\"model\":\"a\"") != NULL;
}

static void shut_a(struct world *world, unsigned line, struct hg_rate_limits *out) {
  if (!is_of_a(world, line)) return;
  out->requests = (struct hg_rate_limit){14400, 0, shut_for_ms};
}

// Every second line is of model "a", the others of "b".
static struct world *two_models(uint64_t seed, unsigned lines, unsigned slots) {
  struct world *world = world_new(seed, lines, 10000000, slots);
  for (unsigned i = 0; i < lines; i++)
    *strstr(world->lines[i].body, "m\"") = i % 2 == 0 ? 'a' : 'b';
  world->fate = note_order;
  world->rates = shut_a;
  return world;
}

// One answer says that nothing of "a" starts for a day: its lines are left, and all of the others are done.
TEST(task_runner_pacing, a_model_that_is_shut_for_long_is_left) {
  for (uint64_t seed = 1; seed <= 10; seed++) {
    struct world *world = two_models(seed, 100, 4);
    shut_for_ms = (24 * 3600 - 60) * INT64_C(1000);
    const int64_t from = world->now_ms;
    world_play(world, 4);
    const struct hg_runner_counts counts = world_counts(world);
    unsigned done_of_b = 0;
    for (unsigned i = 1; i < 100; i += 2)
      done_of_b += world->lines[i].durable;
    CHECK_EQ(done_of_b, 50);
    CHECK(counts.left > 0 && counts.left == counts.left_for_rate);
    CHECK_EQ(counts.done + counts.left, 100);
    CHECK_EQ(world_stop(world), HG_STOP_NONE);
    CHECK_EQ(world->notes, 1); // and it is said, once
    CHECK(world->now_ms - from < 60000);
    world_end(world);
  }
}

static void end_output_of_a(struct world *world, unsigned line, struct hg_rate_limits *out) {
  if (is_of_a(world, line)) out->tokens = (struct hg_rate_limit){0, 0, shut_for_ms};
}

// What says only that no output is left shuts as well.
TEST(task_runner_pacing, a_model_is_shut_without_a_limit) {
  struct world *world = two_models(17, 100, 4);
  world->rates = end_output_of_a;
  shut_for_ms = 24 * 3600 * INT64_C(1000);
  world_play(world, 4);
  CHECK(world_counts(world).left > 0 && world_counts(world).left == world_counts(world).left_for_rate);
  world_end(world);
}

// A pause that a run waits for is waited for, without a permit: with one slot all the lines of "b" are done meanwhile.
TEST(task_runner_pacing, a_model_that_is_shut_waits_without_a_permit) {
  for (uint64_t seed = 1; seed <= 10; seed++) {
    struct world *world = two_models(seed, 10, 1);
    shut_for_ms = 9 * 60 * INT64_C(1000);
    world_open(world, 1);
    world_settle_down(world);
    CHECK_EQ(world->open_permits, 0);
    CHECK_EQ(world_counts(world).done, 6); // one of "a" and the five of "b"
    world_run(world);
    world_check_end(world);
    CHECK_EQ(world_counts(world).done, 10);
    CHECK_EQ(world_counts(world).left, 0);
    world_end(world);
  }
}

// Nor do its lines keep those behind them from being read, though there are more of them than are read ahead.
TEST(task_runner_pacing, a_model_that_is_shut_lets_later_lines_in) {
  for (uint64_t seed = 1; seed <= 5; seed++) {
    struct world *world = two_models(seed, 140, 4);
    for (unsigned i = 0; i < 140; i++)
      strstr(world->lines[i].body, "model\":\"")[8] = i < 120 ? 'a' : 'b';
    shut_for_ms = 9 * 60 * INT64_C(1000);
    world_open(world, 4);
    world_settle_down(world);
    CHECK_EQ(world->next_line, 140);
    for (unsigned i = 120; i < 140; i++)
      CHECK(world->lines[i].durable);
    world_run(world);
    world_check_end(world);
    CHECK_EQ(world_counts(world).done, 140);
    // Each time that it opens as many ask for permits as are read ahead, not all of them.
    CHECK(world->permit_count <= 24 * (world->now_ms / shut_for_ms + 2));
    world_end(world);
  }
}

// The first lines are of "a", which the first answer shuts.
static struct world *a_before_b(uint64_t seed, unsigned lines_of_a, unsigned lines) {
  struct world *world = two_models(seed, lines, 4);
  for (unsigned i = 0; i < lines; i++)
    strstr(world->lines[i].body, "model\":\"")[8] = i < lines_of_a ? 'a' : 'b';
  return world;
}

static void shut_a_once(struct world *world, unsigned line, struct hg_rate_limits *out) {
  if (line == 0) shut_a(world, line, out);
}

// Reading ends before all of "a" are aside; when they may be called again all come back.
static void play_with_some_aside(struct world *world) {
  shut_for_ms = 9 * 60 * INT64_C(1000);
  world->rates = shut_a_once;
  world_open(world, 4);
  world_settle_down(world);
  CHECK(world->next_line < 120);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(world_counts(world).done, 220);
  world_end(world);
}

// When there are more of them than are kept aside, reading ends until they may be called again, and all come back.
TEST(task_runner_pacing, more_than_are_kept_aside_come_back) {
  for (uint64_t seed = 1; seed <= 5; seed++) {
    struct world *world = a_before_b(seed, 200, 220);
    world->aside_max = 50;
    play_with_some_aside(world);
  }
}

// So it is with their bodies.
TEST(task_runner_pacing, lines_aside_fit_into_memory) {
  struct world *world = a_before_b(6, 200, 220);
  world->bodies_max = 60 * strlen(world->lines[0].body);
  play_with_some_aside(world);
}

static enum fate b_is_not_served(struct world *world, unsigned line, unsigned attempt) {
  (void)attempt;
  return is_of_a(world, line) ? FATE_OK : FATE_REFUSED;
}

// Nor do they keep a run from ending whose other calls nobody serves.
TEST(task_runner_pacing, lines_aside_are_not_tried) {
  struct world *world = a_before_b(7, 100, 350);
  world->rates = shut_a_once;
  world->fate = b_is_not_served;
  shut_for_ms = 9 * 60 * INT64_C(1000);
  world_play(world, 4);
  CHECK_EQ(world_stop(world), HG_STOP_ACCESS);
  CHECK(world->calls_total < 250);
  world_end(world);
}

static void limit_tokens_of_a(struct world *world, unsigned line, struct hg_rate_limits *out) {
  if (is_of_a(world, line)) out->tokens = (struct hg_rate_limit){1, -1, 0};
}

// A rate is that of the model that it was said of. What is more than a minute of it takes a minute.
TEST(task_runner_pacing, a_rate_that_was_learnt_is_its_models) {
  struct world *world = two_models(5, 20, 20);
  world->rates = limit_tokens_of_a;
  const int64_t from = world->now_ms;
  world_play(world, 20);
  CHECK_EQ(world_counts(world).done, 20);
  for (unsigned i = 1; i < 20; i += 2)
    CHECK(sent_at[i] < from + 60000);
  CHECK(world->now_ms - from < 11 * 60000);
  world_end(world);
}

static void limit_tokens(struct world *world, unsigned line, struct hg_rate_limits *out) {
  (void)world, (void)line;
  out->tokens = (struct hg_rate_limit){6000, -1, 0};
}

static void start_all(struct world *world) {
  world_turn(world);
  while (world_grant_one(world) || world_deliver_one(world))
    world_turn(world);
}

// The first calls start before any rate is known and take nothing of it, so that there is nothing to be given back: of
// those behind them one starts at once, the others when the rate lets them.
TEST(task_runner_pacing, what_took_nothing_gives_nothing_back) {
  struct world *world = world_new(7, LINES, 10000000, 6);
  world->rates = limit_tokens;
  world->input_tokens = 500;
  world_open(world, 6);
  start_all(world);
  CHECK_EQ(world->call_count, HG_PROBE_CALLS);
  world_end_call(world, 0); // which says the rate
  start_all(world);
  CHECK_EQ(world->call_count, HG_PROBE_CALLS); // one more of them
  for (unsigned place = HG_PROBE_CALLS - 1; place > 0; place--)
    world_end_call(world, place - 1);
  start_all(world);
  world_pass(world, 2000); // a call takes more than three seconds of the rate
  CHECK_EQ(world->calls_total, HG_PROBE_CALLS + 1);
  CHECK_EQ(world->open_permits, 6);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(world_counts(world).done, LINES);
  world_end(world);
}

static void cap_at(struct world *world, unsigned tokens) {
  for (unsigned i = 0; i < world->line_count; i++) {
    char *cap = strstr(world->lines[i].body, "max_tokens");
    char rest[128];
    snprintf(rest, sizeof rest, "%s", strchr(cap, ','));
    snprintf(cap, sizeof world->lines[i].body - (size_t)(cap - world->lines[i].body), "max_tokens\":%u%s", tokens,
             rest);
  }
}

// Long reservations of which little is used, at a rate that the reservations would need many minutes of: what ends lets
// those that wait go at once.
TEST(task_runner_pacing, what_was_given_back_moves_those_that_wait) {
  for (uint64_t seed = 1; seed <= 5; seed++) {
    struct world *world = world_new(seed, 100, 10000000, 16);
    cap_at(world, 4096);
    world->llm.tokens_per_minute = 60000;
    const int64_t from = world->now_ms;
    world_play(world, 16);
    CHECK_EQ(world_counts(world).done, 100);
    CHECK((world->now_ms - from) <= world->used + 1000);
    CHECK(world->calls_most > 1 && world->calls_most <= 60000 / 4096);
    world_end(world);
  }
}

static void much_remains(struct world *world, unsigned line, struct hg_rate_limits *out) {
  (void)world, (void)line;
  out->tokens = (struct hg_rate_limit){60000, 59000, 1000};
}

// Of a rate that was learnt nothing waits that the rest of it covers, and no more runs than that.
TEST(task_runner_pacing, what_remains_of_a_minute_may_start) {
  for (uint64_t seed = 1; seed <= 5; seed++) {
    struct world *world = world_new(seed, 60, 10000000, 16);
    cap_at(world, 4096);
    world->rates = much_remains;
    const int64_t from = world->now_ms;
    world_play(world, 16);
    CHECK_EQ(world_counts(world).done, 60);
    CHECK(world->now_ms - from < 2000);
    CHECK(world->calls_most <= 59000 / 4096);
    world_end(world);
  }
}

// Who would wait for long holds no permit meanwhile, and no more permits are asked for than that.
TEST(task_runner_pacing, few_wait_with_permits) {
  struct world *world = world_new(11, 100, 10000000, 64);
  cap_at(world, 4096);
  world->llm.tokens_per_minute = 6000;
  world_open(world, 64);
  start_all(world);
  for (unsigned i = 0; i < 200; i++) {
    world_pass(world, 1);
    start_all(world);
  }
  CHECK(world->open_permits <= 3);
  CHECK(world->permit_count <= 64 + 3);
  world_run(world);
  world_check_end(world);
  CHECK_EQ(world_counts(world).done, 100);
  world_end(world);
}

static void limit_requests(struct world *world, unsigned line, struct hg_rate_limits *out) {
  (void)world, (void)line;
  out->requests = (struct hg_rate_limit){30, -1, 0};
}

static void tell_requests(struct world *world, unsigned line, struct hg_rate_limits *out) {
  (void)line;
  const unsigned used = started_in(world->line_count, world->now_ms - 60000, 60001);
  out->requests = (struct hg_rate_limit){30, used < 30 ? 30 - used : 0, 0};
}

// Whoever asks for a permit is before all that ask later, so that none is asked for which is only given back; whether
// the provider tells what remains or the rate alone, and whether it was told of all or configured.
TEST(task_runner_pacing, a_permit_is_asked_for_to_be_used) {
  void (*const rates[])(struct world *, unsigned, struct hg_rate_limits *) = {limit_requests, tell_requests, NULL};
  for (unsigned i = 0; i < 3; i++) {
    struct world *world = world_new(19 + i, WORLD_LINES_MAX, 10000000, 64);
    world->fate = note_start;
    world->rates = rates[i];
    if (!rates[i]) world->llm.requests_per_minute = 30;
    world_play(world, 64);
    CHECK_EQ(world_counts(world).done, WORLD_LINES_MAX);
    CHECK_EQ(world->permit_count, WORLD_LINES_MAX);
    world_end(world);
  }
}

// All lines but those of the blocked budget, within an hour.
static void check_others_are_done(struct world *world, unsigned others) {
  for (unsigned second = 0; second < 3600 && world_counts(world).done < others; second++) {
    world_settle_down(world);
    world_pass(world, 1000);
  }
  CHECK_EQ(world_counts(world).done, others);
}

// The others, too, when it opens.
static void check_all_are_done(struct world *world) {
  world->blocked_budget = NULL;
  world_run(world);
  world_check_end(world);
  CHECK_EQ(world_counts(world).done, world->line_count);
  world_end(world);
}

// What waits for a budget that has nothing left keeps no line of another from the minute, though it asks for more than
// one.
TEST(task_runner_pacing, who_waits_for_a_budget_keeps_no_other) {
  struct world *world = world_new(3, 200, 100000000, 64);
  world->llm.tokens_per_minute = 10000;
  world->blocked_budget = "blocked";
  for (unsigned i = 0; i < 50; i++)
    strcpy(world->lines[i].budget, world->blocked_budget);
  world_open(world, 64);
  check_others_are_done(world, 150);
  check_all_are_done(world);
}

// All of "b" are sent by then, though those of "a" wait for their rate.
static void check_b_is_sent(struct world *world, unsigned slots, int64_t within_ms) {
  world->rates = limit_tokens_of_a;
  world_open(world, slots);
  const int64_t from = world->now_ms;
  world_run(world);
  world_check_end(world);
  for (unsigned i = 1; i < 40; i += 2)
    CHECK(sent_at[i] < from + within_ms);
  world_end(world);
}

// Those of a model that has to wait for its rate let the others pass.
TEST(task_runner_pacing, a_turn_of_one_model_does_not_keep_others) {
  struct world *world = two_models(13, 40, 20);
  cap_at(world, 4096);
  check_b_is_sent(world, 20, 5000);
}

// A line that waits for the rate of its model keeps no line of another from that of the whole run.
TEST(task_runner_pacing, who_is_kept_by_its_model_keeps_no_other) {
  struct world *world = two_models(23, 40, 40);
  world->llm.requests_per_minute = 600;
  check_b_is_sent(world, 40, 10000);
}

// Of a ledger of money nothing is learnt of tokens: input that is cheap and used weighs little in what is learnt.
TEST(task_runner_pacing, what_is_learnt_of_money_says_nothing_of_tokens) {
  struct world *world = world_new(29, 100, INT64_C(1000000000000), 100);
  int64_t tokens[100], running = 0;
  for (unsigned i = 0; i < 100; i++)
    tokens[i] = world_need(world, i);
  world->price = (struct hg_price){"*", 1, 1, 1, 10};
  world->learned = hg_learned_new(1);
  for (unsigned i = 0; i < 5000; i++)
    hg_learned_add(world->learned, "m", 10000, 100);
  world->llm.tokens_per_minute = 3000;
  world_open(world, 100);
  start_all(world);
  world_end_call(world, 0); // so that all are let in
  start_all(world);
  for (unsigned i = 0; i < world->call_count; i++)
    running += tokens[world->calls[i].line];
  CHECK(running > 0 && running <= 3000);
  world_run(world);
  world_check_end(world);
  hg_learned_destroy(&world->learned);
  world_end(world);
}

// ---------------------------------------------------------------------------------------------- being pushed back

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

// What waits for a budget is no call that the provider could be too busy for.
TEST(task_runner_pacing, who_waits_for_a_budget_is_not_pushed_back) {
  struct world *world = world_new(3, LINES, 100000000, 8);
  world->llm.max_attempts = 100;
  world->fate = crowded;
  world->blocked_budget = "blocked";
  capacity = 1;
  for (unsigned i = 1; i <= 20; i++) // fewer than lines that may be open
    strcpy(world->lines[4 * i - 1].budget, world->blocked_budget);
  world_open(world, 8);
  check_others_are_done(world, LINES - 20);
  CHECK(world_counts(world).pushbacks > 0);
  check_all_are_done(world);
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
