// A live runtime whose ledger has no room: nothing is acknowledged while it fails, everything once there is room,
// nothing is lost or counted twice, subscribers hear of it, and a close ends all the same.
//
// labels: budget
#include "support/runtime_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define RECORDS 200
#define SOON_MS 300
#define WAIT_MS 30000
#define CLOSES_WITHIN_S 20
#define SECTIONS "\"tokenBudget\":{\"hardLimitTokens\":1000000}"

// A file that cannot grow is to the ledger what a full disk is.
static void leave_room(bool room) {
  struct rlimit limit;
  signal(SIGXFSZ, SIG_IGN);
  CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
  limit.rlim_cur = room ? limit.rlim_max : 4096;
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static hg_subscriber *follow_store(struct fixture *fixture) {
  static const char *const topics[] = {"STORE_DEGRADED", "STORE_RECOVERED"};
  hg_filter filter = HG_FILTER_INIT;
  hg_subscriber *subscriber = NULL;
  filter.topics = topics;
  filter.topic_count = 2;
  CHECK(hg_subscribe(fixture->runtime, &filter, &subscriber) == HG_OK);
  return subscriber;
}

static hg_event next_event(hg_subscriber *subscriber, const char *type) {
  hg_event event = HG_EVENT_INIT;
  CHECK(hg_next_event(subscriber, &event, WAIT_MS) == HG_OK);
  CHECK_STR(event.type, type);
  return event;
}

static void start_records(hg_client *client, unsigned count) {
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  hg_ticket ticket;
  used.tokens = 1;
  used.task_id = "recorded while there is no room";
  for (unsigned i = 0; i < count; i++)
    CHECK(hg_record_usage_start(client, &used, &ticket) == HG_OK);
}

static hg_err next_completion(hg_client *client, int timeout_ms) {
  hg_completion done = HG_COMPLETION_INIT;
  const hg_err err = hg_client_next(client, &done, timeout_ms);
  if (err == HG_OK) CHECK(done.kind == HG_COMPLETED_RECORD && done.err == HG_OK);
  return err;
}

TEST(store_fails, everything_is_acknowledged_once_there_is_room) {
  struct fixture fixture;
  fixture_open(&fixture, SECTIONS);
  fixture_record(&fixture, 5000);
  hg_subscriber *subscriber = follow_store(&fixture);

  leave_room(false);
  start_records(fixture.client, RECORDS);
  const hg_event notice = next_event(subscriber, "STORE_DEGRADED");
  CHECK_EQ(notice.seq, 0);
  CHECK(strstr(notice.json, "cannot") && strstr(notice.json, "headgate.db")); // what the store said
  CHECK(next_completion(fixture.client, SOON_MS) == HG_ERR_TIMEOUT);
  hg_usage usage = HG_USAGE_INIT;
  CHECK(hg_get_usage(fixture.client, NULL, &usage, SOON_MS) == HG_ERR_TIMEOUT);

  leave_room(true);
  for (unsigned i = 0; i < RECORDS; i++)
    CHECK(next_completion(fixture.client, WAIT_MS) == HG_OK);
  CHECK(next_completion(fixture.client, 0) == HG_ERR_TIMEOUT);
  CHECK_EQ(fixture_usage(&fixture).used, 5000 + RECORDS);
  const uint64_t degraded = next_event(subscriber, "STORE_DEGRADED").seq;
  CHECK_EQ(next_event(subscriber, "STORE_RECOVERED").seq, degraded + 1);
  CHECK(degraded > RECORDS);
  hg_event more = HG_EVENT_INIT;
  CHECK(hg_next_event(subscriber, &more, SOON_MS) == HG_ERR_TIMEOUT);
  hg_subscriber_destroy(&subscriber);

  fixture_reopen(&fixture);
  CHECK_EQ(fixture_usage(&fixture).used, 5000 + RECORDS);
  hg_client_destroy(&fixture.client);
  CHECK(hg_close(&fixture.runtime, 0) == HG_OK);
  CHECK_EQ(fixture_sql(&fixture, "SELECT sum(used_delta) FROM journal"), 5000 + RECORDS);
  CHECK_EQ(fixture_sql(&fixture, "SELECT count(*) FROM journal WHERE event = 'USAGE_RECORDED'"), 1 + RECORDS);
  CHECK_EQ(fixture_sql(&fixture, "SELECT count(*) FROM event WHERE event = 'STORE_RECOVERED' AND lasted_us > 0"), 1);
  CHECK_EQ(fixture_sql(&fixture, "SELECT count(*) FROM journal WHERE event = 'STORE_DEGRADED' AND reason <> ''"), 1);
  fixture_close(&fixture);
}

TEST(store_fails, close_ends_with_an_error_in_bounded_time) {
  struct fixture fixture;
  struct timespec before, after;
  fixture_open(&fixture, SECTIONS);
  fixture_record(&fixture, 5000);
  leave_room(false);
  start_records(fixture.client, RECORDS);
  CHECK(next_completion(fixture.client, SOON_MS) == HG_ERR_TIMEOUT);
  hg_client_destroy(&fixture.client);
  clock_gettime(CLOCK_MONOTONIC, &before);
  CHECK(hg_close(&fixture.runtime, 0) == HG_ERR_STORE);
  clock_gettime(CLOCK_MONOTONIC, &after);
  CHECK(after.tv_sec - before.tv_sec < CLOSES_WITHIN_S);

  // What was acknowledged is there; of the rest all or nothing.
  leave_room(true);
  const int64_t used = fixture_sql(&fixture, "SELECT total_used FROM token_budget");
  CHECK(used >= 5000 && used <= 5000 + RECORDS);
  CHECK_EQ(fixture_sql(&fixture, "SELECT sum(used_delta) FROM journal"), used);
  fixture_close(&fixture);
}

// The store may have been given up by then, which is an answer too: what became of the record is not known.
static void expect_not_acknowledged(hg_client *client) {
  hg_completion done = HG_COMPLETION_INIT;
  const hg_err err = hg_client_next(client, &done, SOON_MS);
  CHECK(err == HG_ERR_TIMEOUT || (err == HG_OK && done.kind == HG_COMPLETED_RECORD && done.err == HG_ERR_STORE));
}

// Nothing is acknowledged that is in no file; and it is noticed without a write too.
static void take_away(bool write_first) {
  struct fixture fixture;
  char path[128];
  fixture_open(&fixture, SECTIONS);
  fixture_record(&fixture, 5000);
  hg_subscriber *subscriber = follow_store(&fixture);
  snprintf(path, sizeof path, "%s/headgate.db", fixture.folder);
  CHECK(unlink(path) == 0);
  if (write_first) start_records(fixture.client, RECORDS);
  CHECK(strstr(next_event(subscriber, "STORE_DEGRADED").json, "was moved, removed or replaced"));
  if (!write_first) start_records(fixture.client, RECORDS);
  expect_not_acknowledged(fixture.client);
  hg_subscriber_destroy(&subscriber);
  hg_client_destroy(&fixture.client);
  CHECK(hg_close(&fixture.runtime, 0) == HG_ERR_STORE);
  CHECK(access(path, F_OK) != 0);
  fixture_close(&fixture);
}

TEST(store_fails, a_ledger_that_is_taken_away_is_noticed_by_a_write) {
  take_away(true);
}

TEST(store_fails, a_ledger_that_is_taken_away_is_noticed_without_a_write) {
  take_away(false);
}
