// Where budgets are going, as the tracker tells it. [8_RISKS-REQ-031]
// labels: budget
#include "tracker_fixture.h"

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
