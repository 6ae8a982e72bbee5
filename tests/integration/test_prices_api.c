// labels: budget
// Money through the public API: what a request may cost, what an answer cost, and reports in a unit that is not the
// ledger's.
#include "support/runtime_fixture.h"

#include <stddef.h>

#define WAIT_MS 30000
#define MONEY                                                                                                          \
  "\"tokenBudget\":{\"hardLimitUsd\":\"0.01\"},\"llm\":{\"prices\":[{\"model\":\"gpt-4o*\",\"input\":2500,"            \
  "\"cached\":1250,\"cacheWrite\":2500,\"output\":10000}]}"
#define DEAR_WRITES                                                                                                    \
  "\"tokenBudget\":{\"hardLimitUsd\":\"0.01\"},\"llm\":{\"prices\":[{\"model\":\"m\",\"input\":2500,"                  \
  "\"cached\":1250,\"cacheWrite\":5000,\"output\":10000}]}"
#define ANSWER                                                                                                         \
  "{\"choices\":[],\"model\":\"another\",\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":10,"                   \
  "\"total_tokens\":110,\"prompt_tokens_details\":{\"cached_tokens\":40}}}"
#define COST (60 * 2500 + 40 * 1250 + 10 * 10000)

static hg_usage_report answered(void) {
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  CHECK_EQ(hg_usage_from_response(ANSWER, strlen(ANSWER), &used), HG_OK);
  CHECK_EQ(used.tokens, 110);
  CHECK_EQ(used.unit, HG_UNIT_TOKENS);
  return used;
}

TEST(prices_api, a_call_reserves_what_it_may_cost_and_settles_what_it_did) {
  struct fixture f;
  fixture_open(&f, MONEY);
  int64_t most = 0;
  CHECK_EQ(hg_price_request(f.runtime, "gpt-4o", 200, 20, &most), HG_OK);
  CHECK_EQ(most, 200 * 2500 + 20 * 10000);
  const hg_permit permit = fixture_acquire(&f, most);
  hg_usage_report used = answered();
  CHECK_EQ(hg_settle(f.client, permit, &used, WAIT_MS), HG_ERR_INVALID); // 110 of what?
  CHECK_EQ(hg_price_usage(f.runtime, "gpt-4o", &used), HG_OK);
  CHECK_EQ(used.tokens, COST);
  CHECK_EQ(used.unit, HG_UNIT_NANODOLLARS);
  CHECK_EQ(hg_price_usage(f.runtime, "gpt-4o", &used), HG_OK); // once
  CHECK_EQ(used.tokens, COST);
  CHECK_EQ(hg_settle(f.client, permit, &used, WAIT_MS), HG_OK);
  const hg_usage usage = fixture_usage(&f);
  CHECK_EQ(usage.used, COST);
  CHECK_EQ(usage.hard_limit, 10000000);
  CHECK_EQ(usage.unit, HG_UNIT_NANODOLLARS);
  fixture_close(&f);
}

// Whoever sends them: figures that can't be never make a call cheaper.
TEST(prices_api, parts_that_can_not_be_cost_the_dearest) {
  static const char body[] = "{\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":10,\"prompt_tokens_details\":"
                             "{\"cached_tokens\":60,\"cache_write_tokens\":-1}}}";
  struct fixture f;
  fixture_open(&f, DEAR_WRITES);
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  CHECK_EQ(hg_usage_from_response(body, strlen(body), &used), HG_OK);
  CHECK(used.cache_doubtful && used.cached_tokens == 60);
  CHECK_EQ(hg_price_usage(f.runtime, "m", &used), HG_OK);
  CHECK_EQ(used.tokens, 100 * 5000 + 10 * 10000);
  used = answered();
  used.size = offsetof(hg_usage_report, cache_doubtful); // an older header
  used.cache_doubtful = true;
  used.cached_tokens = 60;
  used.cache_write_tokens = 40;
  CHECK_EQ(hg_price_usage(f.runtime, "m", &used), HG_OK);
  CHECK_EQ(used.tokens, 60 * 1250 + 40 * 5000 + 10 * 10000);
  used = answered();
  used.cached_tokens = 60;
  used.cache_write_tokens = 41;
  CHECK_EQ(hg_price_usage(f.runtime, "m", &used), HG_OK);
  CHECK_EQ(used.tokens, 100 * 5000 + 10 * 10000);
  fixture_close(&f);
}

TEST(prices_api, what_has_no_price_is_missing_and_never_nothing) {
  struct fixture f;
  fixture_open(&f, MONEY);
  int64_t most = 77;
  CHECK_EQ(hg_price_request(f.runtime, "llama", 1, 1, &most), HG_ERR_CONFIG);
  CHECK_EQ(hg_price_request(f.runtime, NULL, 1, 1, &most), HG_ERR_CONFIG);
  CHECK_EQ(hg_price_request(f.runtime, "gpt-4o", -1, 1, &most), HG_ERR_RANGE);
  CHECK_EQ(hg_price_request(f.runtime, "gpt-4o", HG_TOKENS_MAX, 1, &most), HG_ERR_RANGE);
  CHECK_EQ(most, 77);
  CHECK_EQ(hg_price_request(f.runtime, "gpt-4o", 0, 0, &most), HG_OK);
  CHECK_EQ(most, 1);
  const hg_permit permit = fixture_acquire(&f, 5000);
  hg_usage_report used = answered();
  CHECK_EQ(hg_price_usage(f.runtime, "llama", &used), HG_ERR_CONFIG);
  CHECK_EQ(used.source, HG_SOURCE_MISSING);
  CHECK_EQ(hg_record_usage(f.client, &used, WAIT_MS), HG_ERR_NO_USAGE);
  CHECK_EQ(hg_settle(f.client, permit, &used, WAIT_MS), HG_OK);
  CHECK_EQ(fixture_usage(&f).used, 5000);
  used = answered();
  used.output_tokens = HG_UNKNOWN;
  CHECK_EQ(hg_price_usage(f.runtime, "gpt-4o", &used), HG_ERR_NO_USAGE);
  CHECK_EQ(used.source, HG_SOURCE_MISSING);
  const hg_permit small = fixture_acquire(&f, 5000);
  CHECK_EQ(hg_settle(f.client, small, &used, WAIT_MS), HG_OK);
  CHECK_EQ(fixture_usage(&f).used, 5000 + 110 * 1250); // what 110 tokens cost at the least
  used = answered();
  used.cached_tokens = -2;
  CHECK_EQ(hg_price_usage(f.runtime, "gpt-4o", &used), HG_ERR_RANGE);
  fixture_close(&f);
}

static hg_err uses_a_total(const hg_grant *grant, void *argument, hg_usage_report *used) {
  static const char total[] = "{\"usage\":{\"total_tokens\":110}}";
  (void)grant;
  CHECK_EQ(hg_usage_from_response(total, strlen(total), used), HG_OK);
  CHECK_EQ(hg_price_usage(argument, "gpt-4o", used), HG_ERR_NO_USAGE);
  return HG_OK;
}

// A function that runs under a permit is charged as a settle is.
TEST(prices_api, a_total_of_a_function_costs_at_least_its_cheapest) {
  for (int reserved = 5000; reserved <= 500000; reserved *= 100) {
    struct fixture f;
    fixture_open(&f, MONEY);
    hg_task task = HG_TASK_INIT;
    task.request.min_tokens = task.request.max_tokens = reserved;
    task.function = uses_a_total;
    task.argument = f.runtime;
    hg_ticket ticket;
    hg_completion done = HG_COMPLETION_INIT;
    CHECK_EQ(hg_run(f.client, &task, &ticket), HG_OK);
    CHECK_EQ(hg_client_next(f.client, &done, WAIT_MS), HG_OK);
    CHECK(done.kind == HG_COMPLETED_RUN && done.err == HG_OK);
    CHECK_EQ(fixture_usage(&f).used, reserved == 5000 ? 110 * 1250 : 500000);
    fixture_close(&f);
  }
}

TEST(prices_api, changes_nothing_where_tokens_are_counted) {
  struct fixture f;
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000}");
  int64_t most = 0;
  CHECK_EQ(hg_price_request(f.runtime, "anything", 200, 20, &most), HG_OK);
  CHECK_EQ(most, 220);
  const hg_permit permit = fixture_acquire(&f, most);
  hg_usage_report used = answered();
  CHECK_EQ(hg_price_usage(f.runtime, "anything", &used), HG_OK);
  used.unit = HG_UNIT_NANODOLLARS;
  CHECK_EQ(hg_settle(f.client, permit, &used, WAIT_MS), HG_ERR_INVALID);
  used.unit = HG_UNIT_TOKENS;
  CHECK_EQ(hg_settle(f.client, permit, &used, WAIT_MS), HG_OK);
  CHECK_EQ(fixture_usage(&f).used, 110);
  CHECK_EQ(fixture_usage(&f).unit, HG_UNIT_TOKENS);
  fixture_close(&f);
}

// A program that was built with an older header has smaller structs.
TEST(prices_api, older_structs_are_filled_as_far_as_they_go) {
  struct fixture f;
  fixture_open(&f, MONEY);
  hg_usage usage = HG_USAGE_INIT;
  usage.size = offsetof(hg_usage, unit);
  usage.unit = (hg_unit)7;
  CHECK_EQ(hg_get_usage(f.client, NULL, &usage, WAIT_MS), HG_OK);
  CHECK_EQ(usage.hard_limit, 10000000);
  CHECK_EQ((int)usage.unit, 7);
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.size = offsetof(hg_usage_report, unit);
  used.unit = (hg_unit)7;
  CHECK_EQ(hg_usage_from_response(ANSWER, strlen(ANSWER), &used), HG_OK);
  CHECK_EQ((int)used.unit, 7);
  CHECK_EQ(used.tokens, 110);
  fixture_close(&f);
}

static hg_err function(const hg_grant *grant, void *argument, hg_usage_report *used) {
  CHECK_EQ(used->unit, HG_UNIT_NANODOLLARS);
  CHECK_EQ(used->tokens, grant->tokens);
  used->tokens = 9;
  used->source = HG_SOURCE_EXACT;
  if (argument) used->unit = HG_UNIT_TOKENS; // which charges the reservation
  return HG_OK;
}

TEST(prices_api, functions_report_in_the_ledger_s_unit) {
  struct fixture f;
  fixture_open(&f, MONEY);
  for (int i = 0; i < 2; i++) {
    hg_task task = HG_TASK_INIT;
    hg_ticket ticket;
    hg_completion done = HG_COMPLETION_INIT;
    task.request.min_tokens = task.request.max_tokens = 100;
    task.function = function;
    task.argument = i ? &f : NULL;
    CHECK_EQ(hg_run(f.client, &task, &ticket), HG_OK);
    CHECK_EQ(hg_client_next(f.client, &done, WAIT_MS), HG_OK);
    CHECK_EQ(done.err, i ? HG_ERR_INVALID : HG_OK);
  }
  CHECK_EQ(fixture_usage(&f).used, 109);
  fixture_close(&f);
}
