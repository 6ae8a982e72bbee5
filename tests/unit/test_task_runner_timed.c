// links: program
// labels: budget
// The task runner in random worlds whose calls take time, under rates that are configured and told: it comes to its end
// without a clock of its own, no minute has more requests than its rate, it wakes for something, and it asks for few
// permits that it does not use.
#include "support/runner_world_parts.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

#define IDLE_TURNS_MAX 4000 // between two things that happen

struct timed {
  struct world *world;
  int64_t longest_call, reset_ms;
  unsigned fail_percent, tell_percent, zero_percent;
  int64_t limit_requests, limit_tokens; // that answers tell
  int64_t opens_ms;                     // the blocked budget
  int64_t ends_at[WORLD_LINES_MAX];     // of each line's call
  unsigned sent[WORLD_LINES_MAX];       // of it, so far
  int64_t starts[64 * WORLD_LINES_MAX]; // of all requests
  unsigned start_count;
} timed;
static uint64_t permits, calls; // in all worlds

static enum fate timed_fate(struct world *world, unsigned line, unsigned attempt) {
  static const enum fate failures[] = {FATE_BAD_REQUEST, FATE_BUSY,    FATE_ERROR,   FATE_REFUSED,
                                       FATE_BROKEN,      FATE_TIMEOUT, FATE_NO_USAGE};
  (void)line, (void)attempt;
  world->retry_after_ms = world_below(world, 3) == 0 ? (int64_t)world_below(world, 5000) : -1;
  return world_below(world, 100) < timed.fail_percent ? failures[world_below(world, 7)] : FATE_OK;
}

static void tell(struct world *world, int64_t limit, bool zero, struct hg_rate_limit *out) {
  if (limit == 0) return;
  const int64_t remaining = world_below(world, 4) == 0 ? -1 : (int64_t)world_below(world, (unsigned)limit + 1);
  *out = (struct hg_rate_limit){limit, remaining, 0};
  if (zero) *out = (struct hg_rate_limit){limit, 0, (int64_t)world_below(world, (unsigned)timed.reset_ms)};
}

static void tell_rates(struct world *world, unsigned line, struct hg_rate_limits *out) {
  (void)line;
  if (world_below(world, 100) >= timed.tell_percent) return;
  const bool zero = world_below(world, 100) < timed.zero_percent;
  tell(world, timed.limit_requests, zero, &out->requests);
  tell(world, timed.limit_tokens, zero, &out->tokens);
}

static void note_starts(struct world *world) {
  const unsigned rate = (unsigned)world->llm.requests_per_minute;
  for (unsigned i = 0; i < world->call_count; i++) {
    const unsigned line = world->calls[i].line, sent = world->lines[line].calls + world->lines[line].counts;
    if (timed.sent[line] == sent) continue;
    timed.sent[line] = sent;
    timed.ends_at[line] = world->now_ms + (int64_t)world_below(world, (unsigned)timed.longest_call);
    CHECK(timed.start_count < 64 * WORLD_LINES_MAX);
    timed.starts[timed.start_count++] = world->now_ms;
    if (rate > 0 && timed.start_count > rate)
      CHECK(timed.starts[timed.start_count - rate - 1] <= world->now_ms - 60000);
  }
}

static bool end_one(struct world *world) {
  for (unsigned i = 0; i < world->call_count; i++) {
    if (timed.ends_at[world->calls[i].line] > world->now_ms) continue;
    world_end_call(world, i);
    return true;
  }
  return false;
}

// All that can happen without time passing. Whether anything did.
static bool happen(struct world *world) {
  bool any = false;
  for (unsigned quiet = 0; quiet < 2;) {
    bool more = world_deliver_one(world) || world_grant_one(world) || end_one(world);
    if (hg_runner_wants_input(world->runner)) hg_runner_has_input(world->runner), more = true;
    world_turn(world);
    note_starts(world);
    quiet = more ? 0 : quiet + 1;
    any |= more;
  }
  return any;
}

static int64_t next_moment(const struct world *world) {
  int64_t next = world->next_turn_ms;
  if (world->blocked_budget && timed.opens_ms < next) next = timed.opens_ms;
  for (unsigned i = 0; i < world->call_count; i++)
    if (timed.ends_at[world->calls[i].line] < next) next = timed.ends_at[world->calls[i].line];
  return next;
}

static int64_t one_of(struct world *world, const int64_t choices[4]) {
  return choices[world_below(world, 4)];
}

static int64_t perhaps(struct world *world, unsigned least, unsigned bound) {
  return world_below(world, 2) ? least + world_below(world, bound) : 0;
}

static void choose(struct world *world) {
  const unsigned models = 1 + world_below(world, 4);
  for (unsigned i = 0; i < world->line_count; i++)
    *strstr(world->lines[i].body, "m\"") = (char)('a' + world_below(world, models));
  world->fate = timed_fate;
  world->rates = tell_rates;
  world->llm.max_attempts = world->llm.retry_unknown_outcome = 50;
  world->llm.requests_per_minute = perhaps(world, 1, 200);
  world->llm.tokens_per_minute = perhaps(world, 100, 6000);
  world->aside_max = (uint32_t)perhaps(world, 1, 60);
  world->bodies_max = (size_t)perhaps(world, 200, 5000);
  world->quiet_percent = (unsigned)perhaps(world, 10, 20);
  world->busy_percent = (unsigned)perhaps(world, 5, 10);
  timed.fail_percent = (unsigned)perhaps(world, 1, 30);
  timed.longest_call = one_of(world, (int64_t[]){2, 500, 5000, 300000});
  timed.reset_ms = one_of(world, (int64_t[]){1500, 60000, 500000, 900000});
  timed.tell_percent = (unsigned)perhaps(world, 1, 100);
  timed.zero_percent = (unsigned)perhaps(world, 1, 60);
  timed.limit_requests = perhaps(world, 1, 60);
  timed.limit_tokens = perhaps(world, 1, 4000);
  if (world_below(world, 3) > 0) return;
  world->blocked_budget = "blocked";
  timed.opens_ms = world->now_ms + (int64_t)world_below(world, 3600000);
  for (unsigned i = 0; i < world->line_count; i++)
    if (world_below(world, 3) == 0) strcpy(world->lines[i].budget, world->blocked_budget);
}

static void timed_world(uint64_t seed) {
  const unsigned lines = 40 + (unsigned)(seed % 7) * 50, slots = 1 + (unsigned)(seed % 13);
  struct world *world = world_new(seed, lines, INT64_C(100000000), slots);
  timed = (struct timed){.world = world};
  choose(world);
  world_open(world, slots);
  const int64_t interrupt_ms = world_below(world, 3) == 0 ? world->now_ms + world_below(world, 500000) : INT64_MAX;
  for (unsigned idle = 0; !hg_runner_finished(world->runner); idle++) {
    if (happen(world)) idle = 0;
    CHECK(idle < IDLE_TURNS_MAX);
    if (hg_runner_finished(world->runner)) break;
    const int64_t next = next_moment(world);
    CHECK(next < INT64_MAX || happen(world)); // or else it waits for nothing
    if (next > world->now_ms && next < INT64_MAX) world->now_ms = next;
    if (world->now_ms >= timed.opens_ms) world->blocked_budget = NULL;
    if (world->now_ms >= interrupt_ms) hg_runner_interrupt(world->runner, world->now_ms);
  }
  permits += world->permit_count;
  calls += world->calls_total;
  world_check_end(world);
  world_end(world);
}

TEST(task_runner_timed, worlds) {
  const char *given = getenv("HG_SEED");
  const uint64_t first = given ? strtoull(given, NULL, 10) : 1, count = given ? 1 : 500;
  for (uint64_t seed = first; seed < first + count; seed++) {
    fprintf(stderr, "\rseed %llu (HG_SEED=%llu runs it alone)", (unsigned long long)seed, (unsigned long long)seed);
    timed_world(seed);
  }
  fprintf(stderr, "\n%llu permits for %llu calls\n", (unsigned long long)permits, (unsigned long long)calls);
  CHECK(given || permits < calls + calls / 4);
}
