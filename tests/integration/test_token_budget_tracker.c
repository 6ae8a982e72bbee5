// [8_RISKS-REQ-031] The budget rules on a real runtime: threads, sockets and a SQLite file.
// labels: budget
// ctest: TokenBudgetTracker
#include "support/runtime_fixture.h"

#define WAIT_MS 30000

TEST(TokenBudgetTracker, recording_adds_up_and_survives_a_restart) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000}");
  fixture_record(&f, 100);
  fixture_record(&f, 250);
  hg_usage usage = fixture_usage(&f);
  CHECK_EQ(usage.used, 350);
  CHECK_EQ(usage.remaining, 650);
  CHECK_EQ(usage.usage_percent_hundredths, 3500);
  CHECK(!usage.should_throttle);
  fixture_reopen(&f);
  CHECK_EQ(fixture_usage(&f).used, 350);
  fixture_record(&f, 550);
  usage = fixture_usage(&f);
  CHECK_EQ(usage.usage_percent_hundredths, 9000);
  CHECK(usage.should_throttle && usage.throttled);
  fixture_close(&f);
}

TEST(TokenBudgetTracker, the_maximum_falls_to_one_and_returns_by_correction_and_by_limit) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000},\"scheduler\":{\"maxConcurrency\":4}");
  CHECK_EQ(fixture_queue(&f).effective_concurrency, 4);
  fixture_record(&f, 905);
  CHECK_EQ(fixture_queue(&f).effective_concurrency, 1);
  CHECK(hg_correct(f.client, NULL, -100, "refund", WAIT_MS) == HG_OK);
  CHECK_EQ(fixture_queue(&f).effective_concurrency, 4);
  fixture_record(&f, 150);
  CHECK_EQ(fixture_queue(&f).effective_concurrency, 1);
  CHECK(hg_set_hard_limit(f.client, "default", 2000, WAIT_MS) == HG_OK);
  CHECK_EQ(fixture_queue(&f).effective_concurrency, 4);
  fixture_close(&f);
}

TEST(TokenBudgetTracker, the_latch_survives_a_restart) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000},\"scheduler\":{\"maxConcurrency\":4}");
  fixture_record(&f, 950);
  fixture_reopen(&f);
  CHECK(fixture_usage(&f).throttled);
  CHECK_EQ(fixture_queue(&f).effective_concurrency, 1);
  CHECK(hg_correct(f.client, NULL, -500, "refund", WAIT_MS) == HG_OK);
  CHECK_EQ(fixture_queue(&f).effective_concurrency, 4);
  hg_client_destroy(&f.client);
  CHECK(hg_close(&f.runtime, 0) == HG_OK);
  CHECK_EQ(fixture_sql(&f, "SELECT count(*) FROM journal WHERE event='CONCURRENCY_THROTTLED'"), 1);
  CHECK_EQ(fixture_sql(&f, "SELECT count(*) FROM journal WHERE event='CONCURRENCY_RESTORED'"), 1);
  fixture_close(&f);
}

TEST(TokenBudgetTracker, a_committed_throttle_reopens_when_a_task_ends_without_using_its_reservation) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000,\"throttleBasis\":\"committed\"},\"scheduler\":{"
                   "\"maxConcurrency\":4}");
  const hg_permit permit = fixture_acquire(&f, 900);
  CHECK_EQ(fixture_queue(&f).effective_concurrency, 1);
  CHECK(hg_release(f.client, permit, HG_OUTCOME_DONE, NULL, WAIT_MS) == HG_OK);
  CHECK_EQ(fixture_queue(&f).effective_concurrency, 4);
  fixture_close(&f);
}
