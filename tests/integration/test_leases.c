// labels: budget
// Real clients with permits that must be renewed: one that is not becomes an orphan, is told, and is settled late.
#include "support/runtime_fixture.h"

#include <string.h>

#define WAIT_MS 30000
#define LEASE_MS 100
#define CONFIG "\"tokenBudget\":{\"hardLimitTokens\":1000},\"scheduler\":{\"maxConcurrency\":1}"

static hg_permit acquire_with_lease(struct fixture *f, uint32_t lease_ms) {
  hg_request want = HG_REQUEST_INIT;
  hg_grant grant = HG_GRANT_INIT;
  want.min_tokens = want.max_tokens = 100;
  want.lease_ms = lease_ms;
  CHECK(hg_acquire(f->client, &want, &grant, WAIT_MS) == HG_OK);
  return grant.permit;
}

TEST(leases, a_permit_that_nobody_renews_becomes_an_orphan_and_frees_its_slot) {
  struct fixture f = {0};
  static const char *const topics[] = {"TASK_FAILED"};
  fixture_open(&f, CONFIG);
  hg_filter filter = HG_FILTER_INIT;
  filter.topics = topics;
  filter.topic_count = 1;
  hg_subscriber *subscriber;
  CHECK(hg_subscribe(f.runtime, &filter, &subscriber) == HG_OK);
  const hg_permit forgotten = acquire_with_lease(&f, LEASE_MS);
  hg_event event = HG_EVENT_INIT;
  CHECK(hg_next_event(subscriber, &event, WAIT_MS) == HG_OK);
  CHECK(strstr(event.json, "\"lease_expired\"") != NULL);
  CHECK(hg_renew(f.client, forgotten, WAIT_MS) == HG_ERR_UNKNOWN_PERMIT);
  CHECK_EQ(fixture_usage(&f).used, 100);          // the guess
  const hg_permit next = fixture_acquire(&f, 10); // the only slot is free again
  fixture_settle(&f, forgotten, 30);
  CHECK_EQ(fixture_usage(&f).used, 30); // the truth
  fixture_settle(&f, next, 0);
  hg_subscriber_destroy(&subscriber);
  fixture_close(&f);
}

TEST(leases, renewals_are_answered_both_ways) {
  struct fixture f = {0};
  fixture_open(&f, CONFIG);
  const hg_permit permit = acquire_with_lease(&f, 3600000);
  CHECK(hg_renew(f.client, permit, WAIT_MS) == HG_OK);
  hg_ticket ticket;
  hg_completion done = HG_COMPLETION_INIT;
  CHECK(hg_renew_start(f.client, permit, &ticket) == HG_OK);
  CHECK(hg_client_next(f.client, &done, WAIT_MS) == HG_OK);
  CHECK_EQ(done.kind, HG_COMPLETED_RENEWAL);
  CHECK(done.ticket.id == ticket.id && done.permit.id == permit.id);
  CHECK(done.err == HG_OK);
  CHECK(hg_renew(f.client, permit, 0) == HG_ERR_TIMEOUT); // its answer finds nobody
  CHECK(hg_cancel(f.client, ticket) == HG_ERR_INVALID);
  CHECK(hg_renew(f.client, (hg_permit){permit.id + 1}, WAIT_MS) == HG_ERR_UNKNOWN_PERMIT);
  CHECK(hg_client_next(f.client, &done, 0) == HG_ERR_TIMEOUT);
  fixture_settle(&f, permit, 1);
  CHECK(hg_renew(f.client, permit, WAIT_MS) == HG_ERR_UNKNOWN_PERMIT);
  hg_request want = HG_REQUEST_INIT;
  hg_grant grant = HG_GRANT_INIT;
  want.min_tokens = want.max_tokens = 1;
  want.lease_ms = 99;
  CHECK(hg_acquire(f.client, &want, &grant, WAIT_MS) == HG_ERR_INVALID);
  fixture_close(&f);
}
