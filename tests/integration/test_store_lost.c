// labels: budget
// A live runtime whose disk breaks for good: nobody waits for it, every command is answered once with HG_ERR_STORE, the
// close says so, and what was acknowledged before is there when the ledger is opened again.
#include "support/runtime_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define RECORDS 300
#define WAIT_MS 30000
#define FOR_EVER (-1)
#define CONFIG "\"tokenBudget\":{\"hardLimitTokens\":1000000},\"scheduler\":{\"maxConcurrency\":2}"

// The ledger's log is taken from under it: it can neither be written nor read.
static void break_disk(void) {
  const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  CHECK(nothing >= 0);
  int broken = 0;
  for (int fd = 3; fd < 256; fd++) {
    char link[64], target[256];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t size = readlink(link, target, sizeof target - 1);
    if (size < 4 || memcmp(target + size - 4, "-wal", 4) != 0) continue;
    CHECK(dup2(nothing, fd) == fd);
    broken++;
  }
  close(nothing);
  CHECK_EQ(broken, 1);
}

struct waiter {
  struct fixture *f;
  pthread_t thread;
  hg_err heard;
};

static void *wait_for_a_slot(void *argument) {
  struct waiter *waiter = argument;
  hg_client *client = NULL;
  hg_request want = HG_REQUEST_INIT;
  hg_grant grant = HG_GRANT_INIT;
  want.min_tokens = want.max_tokens = 1;
  waiter->heard = hg_client_new(waiter->f->runtime, &client);
  if (waiter->heard == HG_OK) waiter->heard = hg_acquire(client, &want, &grant, FOR_EVER);
  hg_client_destroy(&client);
  return NULL;
}

static void records_are_answered_once(struct fixture *f) {
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  hg_completion done = HG_COMPLETION_INIT;
  hg_ticket tickets[RECORDS];
  used.tokens = 1;
  for (int i = 0; i < RECORDS; i++)
    CHECK(hg_record_usage_start(f->client, &used, &tickets[i]) == HG_OK);
  CHECK(hg_flush(f->client, FOR_EVER) == HG_ERR_STORE);
  for (int i = 0; i < RECORDS; i++) {
    CHECK(hg_client_next(f->client, &done, FOR_EVER) == HG_OK);
    CHECK_EQ(done.ticket.id, tickets[i].id);
    CHECK_EQ(done.err, HG_ERR_STORE);
  }
  CHECK(hg_client_next(f->client, &done, 0) == HG_ERR_TIMEOUT);
}

static void every_call_says_so(struct fixture *f, hg_permit permit) {
  hg_usage usage = HG_USAGE_INIT;
  hg_queue queue = HG_QUEUE_INIT;
  hg_orphan orphan = HG_ORPHAN_INIT;
  hg_request want = HG_REQUEST_INIT;
  hg_grant grant = HG_GRANT_INIT;
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  want.min_tokens = want.max_tokens = 1;
  CHECK(hg_get_usage(f->client, NULL, &usage, FOR_EVER) == HG_ERR_STORE);
  CHECK(hg_get_queue(f->client, &queue, FOR_EVER) == HG_ERR_STORE);
  CHECK(hg_next_orphan(f->client, (hg_permit){0}, &orphan, FOR_EVER) == HG_ERR_STORE);
  CHECK(hg_acquire(f->client, &want, &grant, FOR_EVER) == HG_ERR_STORE);
  CHECK(hg_settle(f->client, permit, &used, FOR_EVER) == HG_ERR_STORE);
  CHECK(hg_release(f->client, permit, HG_OUTCOME_DONE, NULL, FOR_EVER) == HG_ERR_STORE);
  CHECK(hg_renew(f->client, permit, FOR_EVER) == HG_ERR_STORE);
  CHECK(hg_record_usage(f->client, &used, FOR_EVER) == HG_ERR_STORE);
  CHECK(hg_correct(f->client, NULL, 1, "why", FOR_EVER) == HG_ERR_STORE);
  CHECK(hg_set_hard_limit(f->client, NULL, 5, FOR_EVER) == HG_ERR_STORE);
  CHECK(hg_set_max_concurrency(f->client, 5, FOR_EVER) == HG_ERR_STORE);
  CHECK(hg_flush(f->client, FOR_EVER) == HG_ERR_STORE);
}

TEST(store_lost, nobody_waits_and_nothing_acknowledged_is_lost) {
  struct fixture f = {0};
  struct waiter waiter = {.f = &f};
  fixture_open(&f, CONFIG);
  fixture_record(&f, 77);
  const hg_permit permits[2] = {fixture_acquire(&f, 10), fixture_acquire(&f, 10)};
  CHECK(pthread_create(&waiter.thread, NULL, wait_for_a_slot, &waiter) == 0);
  for (int i = 0; i < 3000 && fixture_queue(&f).waiting == 0; i++)
    usleep(10000);
  break_disk();
  records_are_answered_once(&f);
  CHECK(pthread_join(waiter.thread, NULL) == 0);
  CHECK_EQ(waiter.heard, HG_ERR_STORE);
  every_call_says_so(&f, permits[0]);
  hg_client_destroy(&f.client);
  CHECK(hg_close(&f.runtime, WAIT_MS) == HG_ERR_STORE);
  CHECK_EQ(fixture_sql(&f, "SELECT total_used FROM token_budget"), 77);
  CHECK_EQ(fixture_sql(&f, "SELECT count(*) FROM reservation WHERE state = 'open'"), 2);
  fixture_close(&f);
}
