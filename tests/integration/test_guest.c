// A runtime on a ledger on which another one lives: the whole API through the other's gateway. The host is in the same
// process here; test_guest.py has hosts that are killed.
#include "support/runtime_fixture.h"

#include <stdio.h>
#include <string.h>

#define WAIT_MS 20000
#define SECTIONS                                                                                                       \
  "\"tokenBudget\":{\"hardLimitTokens\":10000,\"budgets\":{\"small\":{\"hardLimitTokens\":100}}},"                     \
  "\"scheduler\":{\"maxConcurrency\":2}"

struct scene {
  struct fixture host;
  hg_runtime *guest;
  hg_client *client;
};

static void begin(struct scene *scene) {
  hg_error why = HG_ERROR_INIT;
  *scene = (struct scene){0};
  fixture_open(&scene->host, SECTIONS);
  const struct fixture *host = &scene->host;
  const hg_err err = hg_open_json(host->config, strlen(host->config), host->folder, &scene->guest, &why);
  if (err != HG_OK) fprintf(stderr, "%s\n", why.text);
  CHECK(err == HG_OK);
  CHECK(hg_client_new(scene->guest, &scene->client) == HG_OK);
}

static void end(struct scene *scene) {
  hg_client_destroy(&scene->client);
  CHECK(hg_close(&scene->guest, WAIT_MS) == HG_OK);
  fixture_close(&scene->host);
}

static hg_err acquire(struct scene *scene, int64_t tokens, const char *budget, int timeout_ms, hg_grant *grant) {
  hg_request want = HG_REQUEST_INIT;
  want.task_id = "guest";
  want.budget = budget;
  want.min_tokens = want.max_tokens = tokens;
  return hg_acquire(scene->client, &want, grant, timeout_ms);
}

TEST(guest, records_settles_and_reads_what_the_host_counts) {
  struct scene scene;
  begin(&scene);
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = 7;
  used.usage_id = "once";
  CHECK(hg_record_usage(scene.client, &used, WAIT_MS) == HG_OK);
  CHECK(hg_record_usage(scene.client, &used, WAIT_MS) == HG_OK);
  used.tokens = 8;
  CHECK(hg_record_usage(scene.client, &used, WAIT_MS) == HG_ERR_CONFLICT);
  used.usage_id = NULL;
  used.budget = "small";
  CHECK(hg_record_usage(scene.client, &used, WAIT_MS) == HG_OK);
  CHECK_EQ(fixture_usage(&scene.host).used, 15);
  hg_grant grant = HG_GRANT_INIT;
  CHECK(acquire(&scene, 50, NULL, WAIT_MS, &grant) == HG_OK);
  CHECK_EQ(grant.tokens, 50);
  CHECK_EQ(fixture_usage(&scene.host).reserved, 50);
  CHECK(hg_renew(scene.client, grant.permit, WAIT_MS) == HG_OK);
  hg_usage_report settled = HG_USAGE_REPORT_INIT;
  settled.tokens = 20;
  CHECK(hg_settle(scene.client, grant.permit, &settled, WAIT_MS) == HG_OK);
  CHECK(hg_settle(scene.client, grant.permit, &settled, WAIT_MS) == HG_OK);
  settled.tokens = 21;
  CHECK(hg_settle(scene.client, grant.permit, &settled, WAIT_MS) == HG_ERR_CONFLICT);
  CHECK(hg_renew(scene.client, grant.permit, WAIT_MS) == HG_ERR_UNKNOWN_PERMIT);
  CHECK(acquire(&scene, 50, NULL, WAIT_MS, &grant) == HG_OK);
  CHECK(hg_release(scene.client, grant.permit, HG_OUTCOME_FAILED, "no", WAIT_MS) == HG_OK);
  hg_usage seen = HG_USAGE_INIT;
  CHECK(hg_get_usage(scene.client, NULL, &seen, WAIT_MS) == HG_OK);
  const hg_usage told = fixture_usage(&scene.host);
  CHECK_EQ(seen.used, 35);
  CHECK_EQ(seen.used, told.used);
  CHECK_EQ(seen.seq, told.seq);
  CHECK_EQ(seen.hard_limit, told.hard_limit);
  CHECK_EQ(seen.usage_percent_hundredths, told.usage_percent_hundredths);
  CHECK(hg_get_usage(scene.client, "small", &seen, WAIT_MS) == HG_OK);
  CHECK_EQ(seen.used, 8);
  end(&scene);
}

TEST(guest, a_host_s_permit_is_settled_by_a_guest_and_the_other_way_round) {
  struct scene scene;
  begin(&scene);
  const hg_permit host_s = fixture_acquire(&scene.host, 40);
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = 4;
  CHECK(hg_settle(scene.client, host_s, &used, WAIT_MS) == HG_OK);
  hg_grant grant = HG_GRANT_INIT;
  CHECK(acquire(&scene, 40, NULL, WAIT_MS, &grant) == HG_OK);
  fixture_settle(&scene.host, grant.permit, 5);
  CHECK_EQ(fixture_usage(&scene.host).used, 9);
  end(&scene);
}

TEST(guest, slots_and_refusals_are_the_host_s) {
  struct scene scene;
  begin(&scene);
  hg_grant grant = HG_GRANT_INIT;
  CHECK(acquire(&scene, 101, "small", WAIT_MS, &grant) == HG_ERR_BUDGET_EXHAUSTED);
  hg_ticket ticket;
  hg_request want = HG_REQUEST_INIT;
  want.budget = "small";
  want.min_tokens = want.max_tokens = 101;
  CHECK(hg_acquire_start(scene.client, &want, &ticket) == HG_OK);
  hg_completion done = HG_COMPLETION_INIT;
  CHECK(hg_client_next(scene.client, &done, WAIT_MS) == HG_OK);
  CHECK_EQ(done.ticket.id, ticket.id);
  CHECK_EQ(done.err, HG_ERR_BUDGET_EXHAUSTED);
  CHECK_EQ(done.tokens, 100);
  CHECK_STR(done.budget, "small");
  const hg_permit one = fixture_acquire(&scene.host, 1), two = fixture_acquire(&scene.host, 1);
  CHECK(acquire(&scene, 1, NULL, 0, &grant) == HG_ERR_TIMEOUT);
  CHECK(hg_acquire_start(scene.client,
                         &(hg_request){.size = (uint32_t)sizeof(hg_request), .min_tokens = 1, .max_tokens = 1},
                         &ticket) == HG_OK);
  hg_queue queue = HG_QUEUE_INIT;
  do
    CHECK(hg_get_queue(scene.client, &queue, WAIT_MS) == HG_OK);
  while (queue.waiting == 0);
  CHECK_EQ(queue.running, 2);
  uint32_t next = 0;
  hg_waiting waiting = HG_WAITING_INIT;
  CHECK(hg_next_waiting(scene.client, &next, &waiting, WAIT_MS) == HG_OK);
  CHECK_EQ(waiting.count, 1);
  CHECK_STR(waiting.budget, "default");
  CHECK(hg_next_waiting(scene.client, &next, &waiting, WAIT_MS) == HG_ERR_EMPTY);
  CHECK(hg_cancel(scene.client, ticket) == HG_OK);
  CHECK(hg_client_next(scene.client, &done, WAIT_MS) == HG_OK);
  CHECK_EQ(done.err, HG_ERR_CANCELLED);
  CHECK(hg_set_max_concurrency(scene.client, 3, WAIT_MS) == HG_OK);
  CHECK(acquire(&scene, 1, NULL, WAIT_MS, &grant) == HG_OK);
  CHECK(hg_release(scene.client, grant.permit, HG_OUTCOME_DONE, NULL, WAIT_MS) == HG_OK);
  fixture_settle(&scene.host, one, 1);
  fixture_settle(&scene.host, two, 1);
  CHECK(hg_set_max_concurrency(scene.client, 0, WAIT_MS) == HG_ERR_RANGE);
  end(&scene);
}

TEST(guest, commands_of_operators_reach_the_host) {
  struct scene scene;
  begin(&scene);
  fixture_record(&scene.host, 100);
  CHECK(hg_correct(scene.client, NULL, -30, "a test", WAIT_MS) == HG_OK);
  CHECK(hg_correct(scene.client, NULL, -71, "too much", WAIT_MS) == HG_ERR_RANGE);
  CHECK(hg_set_hard_limit(scene.client, "small", 50, WAIT_MS) == HG_OK);
  CHECK_EQ(fixture_usage(&scene.host).used, 70);
  hg_usage seen = HG_USAGE_INIT;
  CHECK(hg_get_usage(scene.client, "small", &seen, WAIT_MS) == HG_OK);
  CHECK_EQ(seen.hard_limit, 50);
  hg_client *named = NULL;
  uint64_t last;
  CHECK(hg_client_new_named(scene.guest, "batch", &named, &last, WAIT_MS) == HG_ERR_LEDGER_IN_USE);
  end(&scene);
}

// Pipelined, and with more under way than is put to the host at once.
TEST(guest, many_records_are_answered_in_their_order) {
  struct scene scene;
  begin(&scene);
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = 1;
  for (uint64_t i = 1; i <= 20000; i++) {
    hg_ticket ticket;
    used.budget = i % 1000 == 0 ? "small" : NULL;
    used.source = i % 500 == 7 ? HG_SOURCE_ESTIMATED : HG_SOURCE_EXACT;
    hg_err err;
    while ((err = hg_record_usage_start(scene.client, &used, &ticket)) == HG_ERR_BUSY) {
      hg_completion done = HG_COMPLETION_INIT;
      CHECK(hg_client_next(scene.client, &done, WAIT_MS) == HG_OK);
    }
    CHECK(err == HG_OK);
  }
  CHECK(hg_flush(scene.client, WAIT_MS) == HG_OK);
  CHECK_EQ(fixture_usage(&scene.host).used, 20000);
  end(&scene);
}

static hg_err work(const hg_grant *grant, void *argument, hg_usage_report *used) {
  *(uint64_t *)argument = grant->permit.id;
  used->tokens = 3;
  used->source = HG_SOURCE_EXACT;
  return HG_OK;
}

TEST(guest, functions_run_under_the_host_s_permits) {
  struct scene scene;
  begin(&scene);
  uint64_t permits[20] = {0};
  for (int i = 0; i < 20; i++) {
    hg_task task = HG_TASK_INIT;
    hg_ticket ticket;
    task.request.min_tokens = task.request.max_tokens = 10;
    task.function = work;
    task.argument = &permits[i];
    CHECK(hg_run(scene.client, &task, &ticket) == HG_OK);
  }
  for (int i = 0; i < 20; i++) {
    hg_completion done = HG_COMPLETION_INIT;
    CHECK(hg_client_next(scene.client, &done, WAIT_MS) == HG_OK);
    CHECK_EQ(done.kind, HG_COMPLETED_RUN);
    CHECK_EQ(done.err, HG_OK);
    CHECK_EQ(done.tokens, 3);
    bool known = false;
    for (int k = 0; k < 20; k++)
      known |= permits[k] == done.permit.id;
    CHECK(known);
  }
  CHECK_EQ(fixture_usage(&scene.host).used, 60);
  end(&scene);
}

TEST(guest, hears_the_host_s_events_and_counts_for_itself) {
  struct scene scene;
  begin(&scene);
  const char *topics[] = {"USAGE_RECORDED"};
  hg_filter filter = HG_FILTER_INIT;
  filter.topics = topics;
  filter.topic_count = 1;
  hg_subscriber *subscriber;
  CHECK(hg_subscribe(scene.guest, &filter, &subscriber) == HG_OK);
  fixture_record(&scene.host, 5);
  hg_event event = HG_EVENT_INIT;
  CHECK(hg_next_event(subscriber, &event, WAIT_MS) == HG_OK);
  CHECK_STR(event.type, "USAGE_RECORDED");
  hg_subscriber_destroy(&subscriber);
  hg_counter counter = HG_COUNTER_INIT;
  CHECK(hg_read_counter(scene.guest, 0, &counter, WAIT_MS) == HG_OK);
  end(&scene);
}

// What a guest leaves open is not released behind its back: its lease ends, and the policy decides.
TEST(guest, a_close_waits_for_open_permits_and_then_leaves_them) {
  struct scene scene;
  begin(&scene);
  hg_grant grant = HG_GRANT_INIT;
  CHECK(acquire(&scene, 10, NULL, WAIT_MS, &grant) == HG_OK);
  hg_client_destroy(&scene.client);
  CHECK(hg_close(&scene.guest, 0) == HG_OK);
  CHECK_EQ(fixture_usage(&scene.host).reserved, 10);
  fixture_settle(&scene.host, grant.permit, 10);
  fixture_close(&scene.host);
}

TEST(guest, an_acquire_that_waits_when_its_client_goes_is_given_up) {
  struct scene scene;
  begin(&scene);
  const hg_permit one = fixture_acquire(&scene.host, 1), two = fixture_acquire(&scene.host, 1);
  hg_ticket ticket;
  hg_request want = HG_REQUEST_INIT;
  want.min_tokens = want.max_tokens = 1;
  CHECK(hg_acquire_start(scene.client, &want, &ticket) == HG_OK);
  while (fixture_queue(&scene.host).waiting == 0)
    ;
  hg_client_destroy(&scene.client);
  while (fixture_queue(&scene.host).waiting > 0)
    ;
  fixture_settle(&scene.host, one, 1);
  fixture_settle(&scene.host, two, 1);
  CHECK_EQ(fixture_usage(&scene.host).open_permits, 0);
  CHECK(hg_client_new(scene.guest, &scene.client) == HG_OK);
  end(&scene);
}
