// The runtime from outside: threads, events, hg_run, refusals, misuse.
// labels: budget
#include "support/runtime_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 30000
#define THREADS 64
#define RECORDS 200

// ------------------------------------------------------------------------------------------------ many threads

static void *record_many(void *argument) {
  hg_client *client;
  if (hg_client_new(argument, &client) != HG_OK) abort();
  for (int i = 0; i < RECORDS; i++) {
    hg_usage_report used = HG_USAGE_REPORT_INIT;
    used.tokens = i;
    hg_ticket ticket;
    if (hg_record_usage_start(client, &used, &ticket) != HG_OK) abort();
  }
  if (hg_flush(client, WAIT_MS) != HG_OK) abort();
  // Each ticket completes once, in order.
  for (int i = 0; i < RECORDS; i++) {
    hg_completion done = HG_COMPLETION_INIT;
    if (hg_client_next(client, &done, 0) != HG_OK || done.err != HG_OK || done.kind != HG_COMPLETED_RECORD) abort();
  }
  hg_client_destroy(&client);
  return NULL;
}

TEST(runtime, sixty_four_threads_recording_at_once_lose_nothing) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":100000000}");
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++)
    CHECK(pthread_create(&threads[i], NULL, record_many, f.runtime) == 0);
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  const int64_t sent = (int64_t)THREADS * RECORDS * (RECORDS - 1) / 2;
  CHECK_EQ(fixture_usage(&f).used, sent);
  hg_client_destroy(&f.client);
  CHECK(hg_close(&f.runtime, 0) == HG_OK);
  CHECK_EQ(fixture_sql(&f, "SELECT sum(used_delta) FROM journal"), sent);
  CHECK_EQ(fixture_sql(&f, "SELECT total_used FROM token_budget WHERE name='default'"), sent);
  CHECK_EQ(fixture_sql(&f, "SELECT count(*) FROM journal WHERE event='USAGE_RECORDED'"), THREADS * RECORDS);
  CHECK_EQ(fixture_sql(&f, "SELECT max(seq) - min(seq) + 1 - count(*) FROM journal"), 0);
  fixture_close(&f);
}

// ------------------------------------------------------------------------------------------------ events

static hg_event next(hg_subscriber *subscriber) {
  hg_event event = HG_EVENT_INIT;
  CHECK(hg_next_event(subscriber, &event, WAIT_MS) == HG_OK);
  return event;
}

TEST(runtime, an_event_never_comes_before_its_cause) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000},\"scheduler\":{\"maxConcurrency\":4}");
  hg_subscriber *subscriber;
  CHECK(hg_subscribe(f.runtime, NULL, &subscriber) == HG_OK);
  const hg_permit permit = fixture_acquire(&f, 950);
  fixture_settle(&f, permit, 950);
  static const char *const expected[] = {"TOKENS_RESERVED", "TASK_STARTED", "TOKENS_SETTLED", "CONCURRENCY_THROTTLED",
                                         "TASK_FINISHED"};
  uint64_t seq = 0;
  int64_t used = 0;
  unsigned seen = 0, reserved_at = 0, settled_at = 0, throttled_at = 0;
  while (seen < 5) {
    const hg_event event = next(subscriber);
    if (!seq && strcmp(event.type, expected[0]) != 0) continue; // from before the subscription
    if (seq) CHECK_EQ(event.seq, seq + 1);
    seq = event.seq;
    seen++;
    if (strcmp(event.type, expected[0]) == 0) reserved_at = seen;
    if (strcmp(event.type, expected[2]) == 0) settled_at = seen;
    if (strcmp(event.type, expected[3]) == 0) throttled_at = seen;
    if (strstr(event.json, "\"usedDelta\":950")) used += 950;
  }
  CHECK(reserved_at == 1 && settled_at > reserved_at && throttled_at > settled_at);
  CHECK_EQ(used, 950);
  // What a subscriber hears is committed: the figures it could ask for contain it.
  CHECK(fixture_usage(&f).seq >= seq);
  hg_subscriber_destroy(&subscriber);
  fixture_close(&f);
}

TEST(runtime, a_filter_hears_its_topics_and_no_others) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000}");
  static const char *const topics[] = {"CONCURRENCY_THROTTLED", "CONCURRENCY_RESTORED"};
  hg_filter filter = HG_FILTER_INIT;
  filter.topics = topics;
  filter.topic_count = 2;
  hg_subscriber *subscriber;
  CHECK(hg_subscribe(f.runtime, &filter, &subscriber) == HG_OK);
  fixture_record(&f, 900);
  CHECK(hg_correct(f.client, NULL, -1, "refund", WAIT_MS) == HG_OK);
  fixture_record(&f, 1);
  hg_event event = next(subscriber);
  CHECK_STR(event.type, "CONCURRENCY_THROTTLED");
  CHECK_EQ(event.prev, 0);
  CHECK(strstr(event.json, "\"payload\":{\"from\":4,\"to\":1,\"usagePercent\":90.0}") != NULL);
  const uint64_t first = event.seq;
  event = next(subscriber);
  CHECK_STR(event.type, "CONCURRENCY_RESTORED");
  event = next(subscriber);
  CHECK_STR(event.type, "CONCURRENCY_THROTTLED");
  CHECK_EQ(event.prev, first);
  CHECK(hg_next_event(subscriber, &event, 0) == HG_ERR_TIMEOUT);
  hg_subscriber_destroy(&subscriber);
  fixture_close(&f);
}

TEST(runtime, the_descriptor_of_a_subscriber_announces_events_from_the_first_on) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000}");
  static const char *const topics[] = {"USAGE_RECORDED"};
  hg_filter filter = HG_FILTER_INIT;
  filter.topics = topics;
  filter.topic_count = 1;
  hg_subscriber *subscriber;
  CHECK(hg_subscribe(f.runtime, &filter, &subscriber) == HG_OK);
  struct pollfd fd = {.fd = hg_subscriber_fd(subscriber), .events = POLLIN};
  for (int64_t tokens = 1; tokens <= 3; tokens++) {
    fixture_record(&f, tokens);
    hg_event event = HG_EVENT_INIT;
    hg_err err = HG_ERR_TIMEOUT;
    while (err == HG_ERR_TIMEOUT) { // heartbeats wake too
      CHECK_EQ(poll(&fd, 1, WAIT_MS), 1);
      err = hg_next_event(subscriber, &event, 0);
    }
    CHECK(err == HG_OK);
    CHECK(hg_next_event(subscriber, &event, 0) == HG_ERR_TIMEOUT);
  }
  hg_subscriber_destroy(&subscriber);
  fixture_close(&f);
}

// ------------------------------------------------------------------------------------------------ permits

static hg_completion refusal_of(struct fixture *f, const char *budget, int64_t tokens) {
  hg_request want = HG_REQUEST_INIT;
  hg_completion refused = HG_COMPLETION_INIT;
  hg_ticket ticket;
  want.budget = budget;
  want.min_tokens = want.max_tokens = tokens;
  CHECK(hg_acquire_start(f->client, &want, &ticket) == HG_OK);
  CHECK(hg_client_next(f->client, &refused, WAIT_MS) == HG_OK);
  CHECK(refused.ticket.id == ticket.id && refused.err == HG_ERR_BUDGET_EXHAUSTED);
  return refused;
}

TEST(runtime, a_refusal_names_the_budget_that_is_short) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000,\"throttlePercent\":100,\"budgets\":"
                   "{\"evals\":{\"hardLimitTokens\":700},\"small\":{\"hardLimitTokens\":50}}}");
  fixture_record(&f, 600);
  hg_completion refused = refusal_of(&f, "evals", 401); // of which 700 are left
  CHECK_EQ(refused.tokens, 400);
  CHECK_STR(refused.budget, "default");
  refused = refusal_of(&f, "small", 401); // too much for both: the one with the least left
  CHECK_EQ(refused.tokens, 50);
  CHECK_STR(refused.budget, "small");
  fixture_close(&f);
}

TEST(runtime, figures_hold_the_forecast_for_callers_who_know_of_it) {
  struct fixture f;
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000}");
  hg_usage usage = fixture_usage(&f);
  CHECK(usage.task_tokens == 0 && usage.threshold_in_ms == HG_UNKNOWN && usage.limit_in_ms == HG_UNKNOWN);
  for (int i = 0; i < 3; i++)
    fixture_settle(&f, fixture_acquire(&f, 100), 40 + 10 * i);
  usage = fixture_usage(&f);
  CHECK_EQ(usage.task_tokens, 50);
  usage.size = offsetof(hg_usage, tokens_per_minute);
  usage.task_tokens = 7; // behind the end of what such a caller has
  CHECK_EQ(hg_get_usage(f.client, NULL, &usage, 10000), HG_OK);
  CHECK(usage.used == 150 && usage.task_tokens == 7 && usage.size == offsetof(hg_usage, tokens_per_minute));
  usage.size--;
  CHECK_EQ(hg_get_usage(f.client, NULL, &usage, 10000), HG_ERR_INVALID);
  fixture_close(&f);
}

TEST(runtime, a_request_that_can_never_fit_is_told_so_and_smaller_ones_go_on) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000,\"throttlePercent\":100}");
  fixture_record(&f, 900);
  hg_request want = HG_REQUEST_INIT;
  hg_grant grant = HG_GRANT_INIT;
  want.min_tokens = want.max_tokens = 101;
  CHECK(hg_acquire(f.client, &want, &grant, WAIT_MS) == HG_ERR_BUDGET_EXHAUSTED);
  want.min_tokens = want.max_tokens = 100;
  CHECK(hg_acquire(f.client, &want, &grant, WAIT_MS) == HG_OK);
  // Now the limit is reached by promises: another waits, and its deadline is answered.
  want.min_tokens = want.max_tokens = 50;
  hg_grant second = HG_GRANT_INIT;
  hg_client *other;
  CHECK(hg_client_new(f.runtime, &other) == HG_OK);
  CHECK(hg_acquire(other, &want, &second, 50) == HG_ERR_TIMEOUT);
  hg_client_destroy(&other);
  CHECK_EQ(fixture_usage(&f).reserved, 100);
  CHECK(hg_release(f.client, grant.permit, HG_OUTCOME_DONE, NULL, WAIT_MS) == HG_OK);
  CHECK(hg_acquire(f.client, &want, &second, WAIT_MS) == HG_OK);
  fixture_settle(&f, second.permit, 7);
  CHECK_EQ(fixture_usage(&f).used, 907);
  fixture_close(&f);
}

TEST(runtime, a_raised_limit_wakes_what_waits) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":100,\"throttlePercent\":100}");
  const hg_permit open = fixture_acquire(&f, 100);
  hg_request want = HG_REQUEST_INIT;
  want.min_tokens = want.max_tokens = 60;
  hg_ticket ticket;
  hg_completion done = HG_COMPLETION_INIT;
  CHECK(hg_acquire_start(f.client, &want, &ticket) == HG_OK);
  CHECK(hg_client_next(f.client, &done, 50) == HG_ERR_TIMEOUT);
  const hg_queue queue = fixture_queue(&f);
  CHECK_EQ(queue.waiting, 1);
  CHECK_STR(queue.waits_for, "default");
  CHECK_EQ(queue.needed, 60);
  CHECK(hg_set_hard_limit(f.client, NULL, 160, WAIT_MS) == HG_OK);
  CHECK(hg_client_next(f.client, &done, WAIT_MS) == HG_OK);
  CHECK(done.kind == HG_COMPLETED_ACQUIRE && done.err == HG_OK && done.tokens == 60 && done.ticket.id == ticket.id);
  fixture_settle(&f, done.permit, 60);
  fixture_settle(&f, open, 100);
  CHECK_EQ(fixture_usage(&f).available, 0);
  fixture_close(&f);
}

TEST(runtime, settles_are_idempotent_and_conflicts_are_told) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000}");
  const hg_permit permit = fixture_acquire(&f, 100);
  fixture_settle(&f, permit, 40);
  fixture_settle(&f, permit, 40);
  hg_usage_report other = HG_USAGE_REPORT_INIT;
  other.tokens = 41;
  CHECK(hg_settle(f.client, permit, &other, WAIT_MS) == HG_ERR_CONFLICT);
  CHECK(hg_settle(f.client, (hg_permit){12345}, &other, WAIT_MS) == HG_ERR_UNKNOWN_PERMIT);
  const hg_permit released = fixture_acquire(&f, 100);
  CHECK(hg_release(f.client, released, HG_OUTCOME_DONE, NULL, WAIT_MS) == HG_OK);
  fixture_reopen(&f);
  fixture_settle(&f, permit, 40);
  CHECK(hg_settle(f.client, permit, &other, WAIT_MS) == HG_ERR_CONFLICT);
  CHECK(hg_release(f.client, released, HG_OUTCOME_DONE, NULL, WAIT_MS) == HG_OK);
  CHECK(hg_release(f.client, permit, HG_OUTCOME_DONE, NULL, WAIT_MS) == HG_ERR_CONFLICT);
  CHECK(hg_settle(f.client, (hg_permit){12345}, &other, WAIT_MS) == HG_ERR_UNKNOWN_PERMIT);
  CHECK_EQ(fixture_usage(&f).used, 40);
  fixture_close(&f);
}

TEST(runtime, a_client_that_goes_away_leaves_an_orphan_that_is_charged) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000}");
  hg_client *leaver;
  CHECK(hg_client_new(f.runtime, &leaver) == HG_OK);
  hg_request want = HG_REQUEST_INIT;
  want.min_tokens = want.max_tokens = 300;
  want.task_id = "left";
  hg_grant grant = HG_GRANT_INIT;
  CHECK(hg_acquire(leaver, &want, &grant, WAIT_MS) == HG_OK);
  hg_client_destroy(&leaver);
  while (fixture_usage(&f).reserved) {}
  CHECK_EQ(fixture_usage(&f).used, 300);
  hg_orphan orphan = HG_ORPHAN_INIT;
  CHECK(hg_next_orphan(f.client, (hg_permit){0}, &orphan, WAIT_MS) == HG_OK);
  CHECK(orphan.permit.id == grant.permit.id && orphan.charged == 300 && !orphan.kept);
  CHECK_STR(orphan.task_id, "left");
  fixture_settle(&f, orphan.permit, 120); // the truth replaces the guess
  CHECK_EQ(fixture_usage(&f).used, 120);
  CHECK(hg_next_orphan(f.client, (hg_permit){0}, &orphan, WAIT_MS) == HG_ERR_EMPTY);
  fixture_close(&f);
}

// ------------------------------------------------------------------------------------------------ hg_run

struct counted {
  _Atomic int calls;
};

static hg_err use_half(const hg_grant *grant, void *argument, hg_usage_report *used) {
  struct counted *counted = argument;
  counted->calls++;
  used->tokens = grant->tokens / 2;
  used->source = HG_SOURCE_EXACT;
  return HG_OK;
}

static hg_err fail_after_work(const hg_grant *grant, void *argument, hg_usage_report *used) {
  (void)grant;
  (void)argument;
  used->tokens = 5;
  return HG_ERR_SYSTEM;
}

TEST(runtime, functions_run_under_permits_and_are_settled) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":100000},\"scheduler\":{\"maxConcurrency\":3}");
  static struct counted counted;
  hg_task task = HG_TASK_INIT;
  task.request.min_tokens = task.request.max_tokens = 10;
  task.function = use_half;
  task.argument = &counted;
  hg_ticket ticket;
  for (int i = 0; i < 50; i++)
    CHECK(hg_run(f.client, &task, &ticket) == HG_OK);
  task.function = fail_after_work;
  CHECK(hg_run(f.client, &task, &ticket) == HG_OK);
  int failed = 0;
  for (int i = 0; i < 51; i++) {
    hg_completion done = HG_COMPLETION_INIT;
    CHECK(hg_client_next(f.client, &done, WAIT_MS) == HG_OK);
    CHECK(done.kind == HG_COMPLETED_RUN);
    CHECK_EQ(done.tokens, 5);
    failed += done.err == HG_ERR_SYSTEM;
  }
  CHECK_EQ(failed, 1);
  CHECK_EQ(counted.calls, 50);
  CHECK_EQ(fixture_usage(&f).used, 255);
  CHECK_EQ(fixture_usage(&f).reserved, 0);
  fixture_close(&f);
}

// ------------------------------------------------------------------------------------------------ misuse

TEST(runtime, calls_after_close_and_in_a_forked_child_are_refused) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000}");
  const pid_t child = fork();
  if (child == 0) {
    hg_usage usage = HG_USAGE_INIT;
    hg_runtime *runtime = f.runtime;
    const bool refused =
        hg_get_usage(f.client, NULL, &usage, 1000) == HG_ERR_FORKED && hg_close(&runtime, 0) == HG_ERR_FORKED;
    _exit(refused ? 0 : 1);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  hg_client *client;
  CHECK(hg_client_new(f.runtime, &client) == HG_OK);
  CHECK(hg_close(&f.runtime, 0) == HG_OK);
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  CHECK(hg_record_usage(client, &used, 1000) == HG_ERR_CLOSED);
  hg_completion done = HG_COMPLETION_INIT;
  CHECK(hg_client_next(client, &done, 1000) == HG_ERR_CLOSED);
  hg_client_destroy(&client);
  hg_client_destroy(&f.client);
  fixture_close(&f);
}

TEST(runtime, arguments_out_of_range_are_refused_and_change_nothing) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000}");
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = -1;
  CHECK(hg_record_usage(f.client, &used, WAIT_MS) == HG_ERR_RANGE);
  used.tokens = HG_TOKENS_MAX;
  CHECK(hg_record_usage(f.client, &used, WAIT_MS) == HG_OK); // past the limit, and true
  CHECK(hg_record_usage(f.client, &used, WAIT_MS) == HG_ERR_RANGE);
  CHECK_EQ(fixture_usage(&f).used, HG_TOKENS_MAX);
  CHECK(hg_correct(f.client, NULL, -HG_TOKENS_MAX, "mistake", WAIT_MS) == HG_OK);
  CHECK(hg_correct(f.client, NULL, -1, "under 0", WAIT_MS) == HG_ERR_RANGE);
  used.tokens = 1;
  used.budget = "no such";
  CHECK(hg_record_usage(f.client, &used, WAIT_MS) == HG_ERR_UNKNOWN_BUDGET);
  CHECK(hg_set_max_concurrency(f.client, 0, WAIT_MS) == HG_ERR_RANGE);
  CHECK(hg_set_hard_limit(f.client, NULL, 0, WAIT_MS) == HG_ERR_RANGE);
  CHECK(hg_set_max_concurrency(f.client, 9, WAIT_MS) == HG_OK);
  CHECK_EQ(fixture_queue(&f).max_concurrency, 9);
  CHECK_EQ(fixture_usage(&f).used, 0);
  // Waiting calls leave no completions behind.
  hg_completion done = HG_COMPLETION_INIT;
  CHECK(hg_client_next(f.client, &done, 0) == HG_ERR_TIMEOUT);
  fixture_close(&f);
}
