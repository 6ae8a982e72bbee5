// labels: budget
// Real clients that work inside their work: in their parent's slot and out of its reservation; without naming it they
// hear that they would wait for ever.
#include "support/runtime_fixture.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 30000
#define FOR_EVER (-1)
#define CONFIG "\"tokenBudget\":{\"hardLimitTokens\":1000},\"scheduler\":{\"maxConcurrency\":%d}"

static void open_with(struct fixture *f, int max_concurrency) {
  char sections[256];
  snprintf(sections, sizeof sections, CONFIG, max_concurrency);
  fixture_open(f, sections);
}

static hg_err acquire(hg_client *client, hg_permit parent, bool from_parent, int64_t tokens, hg_grant *out) {
  hg_request want = HG_REQUEST_INIT;
  *out = (hg_grant)HG_GRANT_INIT;
  want.task_id = "nested";
  want.min_tokens = want.max_tokens = tokens;
  want.parent = parent;
  want.from_parent = from_parent;
  return hg_acquire(client, &want, out, FOR_EVER);
}

TEST(nested_work, runs_in_the_slot_and_out_of_the_reservation_of_its_parent) {
  struct fixture f = {0};
  hg_grant grant;
  open_with(&f, 1);
  const hg_permit parent = fixture_acquire(&f, 800);
  CHECK(acquire(f.client, parent, true, 500, &grant) == HG_OK);
  const hg_permit child = grant.permit;
  CHECK_EQ(fixture_usage(&f).reserved, 800);
  CHECK_EQ(fixture_usage(&f).open_permits, 2);
  CHECK(acquire(f.client, parent, true, 301, &grant) == HG_ERR_BUDGET_EXHAUSTED);
  CHECK(acquire(f.client, (hg_permit){0}, true, 1, &grant) == HG_ERR_INVALID);
  fixture_settle(&f, child, 100);
  CHECK_EQ(fixture_usage(&f).reserved, 700);
  CHECK(acquire(f.client, parent, true, 650, &grant) == HG_OK); // 400 came back
  CHECK(hg_release(f.client, grant.permit, HG_OUTCOME_DONE, NULL, WAIT_MS) == HG_OK);
  fixture_settle(&f, parent, 700);
  CHECK_EQ(fixture_usage(&f).used, 800);
  CHECK_EQ(fixture_usage(&f).reserved, 0);
  hg_client_destroy(&f.client);
  CHECK(hg_close(&f.runtime, 0) == HG_OK);
  CHECK_EQ(fixture_sql(&f, "SELECT count(*) FROM journal WHERE event = 'BUDGET_OVERRUN'"), 0);
  CHECK_EQ(fixture_sql(&f, "SELECT sum(to_parent) FROM journal"), 400 + 650);
  fixture_close(&f);
}

TEST(nested_work, of_a_process_that_ended_is_charged_beside_its_parent) {
  struct fixture f = {0};
  hg_grant grant;
  open_with(&f, 1);
  const hg_permit parent = fixture_acquire(&f, 800);
  CHECK(acquire(f.client, parent, true, 500, &grant) == HG_OK);
  fixture_reopen(&f); // both are left open
  CHECK_EQ(fixture_usage(&f).used, 800);
  fixture_settle(&f, grant.permit, 50);
  CHECK_EQ(fixture_usage(&f).used, 350);
  fixture_settle(&f, parent, 60);
  CHECK_EQ(fixture_usage(&f).used, 110);
  CHECK_EQ(fixture_usage(&f).reserved, 0);
  fixture_close(&f);
}

TEST(nested_work, that_does_not_name_its_parent_is_no_wait_without_end) {
  struct fixture f = {0};
  hg_grant grant;
  open_with(&f, 1);
  const hg_permit parent = fixture_acquire(&f, 10);
  CHECK(acquire(f.client, (hg_permit){0}, false, 10, &grant) == HG_ERR_WOULD_DEADLOCK);
  CHECK(acquire(f.client, parent, false, 10, &grant) == HG_OK);
  CHECK(hg_release(f.client, grant.permit, HG_OUTCOME_DONE, NULL, WAIT_MS) == HG_OK);
  CHECK(hg_release(f.client, parent, HG_OUTCOME_DONE, NULL, WAIT_MS) == HG_OK);
  CHECK(acquire(f.client, (hg_permit){0}, false, 10, &grant) == HG_OK);
  fixture_close(&f);
}

TEST(nested_work, that_asks_for_tokens_that_its_own_work_holds_is_no_wait_without_end_either) {
  struct fixture f = {0};
  hg_grant grant;
  open_with(&f, 4);
  const hg_permit parent = fixture_acquire(&f, 600);
  CHECK(acquire(f.client, (hg_permit){0}, false, 500, &grant) == HG_ERR_WOULD_DEADLOCK);
  CHECK(acquire(f.client, parent, false, 500, &grant) == HG_ERR_WOULD_DEADLOCK);
  CHECK(acquire(f.client, parent, true, 500, &grant) == HG_OK);
  CHECK(hg_release(f.client, grant.permit, HG_OUTCOME_DONE, NULL, WAIT_MS) == HG_OK);
  CHECK(hg_release(f.client, parent, HG_OUTCOME_DONE, NULL, WAIT_MS) == HG_OK);
  CHECK_EQ(fixture_usage(&f).reserved, 0);
  fixture_close(&f);
}

// Each thread holds a permit and asks for another one without an end; one that hears WOULD_DEADLOCK gives up its own.
#define THREADS 4
#define ROUNDS 50
struct worker {
  struct fixture *f;
  pthread_t thread;
  uint32_t finished, deadlocks;
};

static void *work_inside_work(void *argument) {
  struct worker *worker = argument;
  hg_client *client = NULL;
  if (hg_client_new(worker->f->runtime, &client) != HG_OK) return NULL;
  for (int i = 0; i < ROUNDS; i++) {
    hg_grant outer, inner;
    if (acquire(client, (hg_permit){0}, false, 1, &outer) != HG_OK) break;
    const hg_err err = acquire(client, (hg_permit){0}, false, 1, &inner);
    worker->deadlocks += err == HG_ERR_WOULD_DEADLOCK;
    if (err == HG_OK && hg_release(client, inner.permit, HG_OUTCOME_DONE, NULL, WAIT_MS) != HG_OK) break;
    if (err != HG_OK && err != HG_ERR_WOULD_DEADLOCK) break;
    if (hg_release(client, outer.permit, HG_OUTCOME_DONE, NULL, WAIT_MS) != HG_OK) break;
    worker->finished++;
  }
  hg_client_destroy(&client);
  return NULL;
}

TEST(nested_work, threads_that_wait_for_each_other_all_finish) {
  struct fixture f = {0};
  struct worker workers[THREADS] = {0};
  uint32_t deadlocks = 0;
  open_with(&f, 2);
  for (int i = 0; i < THREADS; i++) {
    workers[i].f = &f;
    CHECK(pthread_create(&workers[i].thread, NULL, work_inside_work, &workers[i]) == 0);
  }
  for (int i = 0; i < THREADS; i++) {
    CHECK(pthread_join(workers[i].thread, NULL) == 0);
    CHECK_EQ(workers[i].finished, ROUNDS);
    deadlocks += workers[i].deadlocks;
  }
  CHECK(deadlocks > 0);
  CHECK_EQ(fixture_usage(&f).reserved, 0);
  fixture_close(&f);
}
