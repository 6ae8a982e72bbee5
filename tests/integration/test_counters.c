// Counters that count: each is the sum of what all actors counted, read one by one from outside.
#include "support/runtime_fixture.h"

#include <pthread.h>
#include <string.h>

#define WAIT_MS 30000
#define BUDGET "\"tokenBudget\":{\"hardLimitTokens\":1000000}"

static uint64_t count_of(const struct fixture *f, const char *name) {
  hg_counter counter = HG_COUNTER_INIT;
  for (unsigned i = 0; hg_read_counter(f->runtime, i, &counter, WAIT_MS) == HG_OK; i++)
    if (strcmp(counter.name, name) == 0) return counter.value;
  CHECK(false); // there is no such counter
  return 0;
}

TEST(counters, each_says_what_it_is_and_past_the_last_there_is_none) {
  struct fixture f = {0};
  fixture_open(&f, BUDGET);
  hg_counter counter = HG_COUNTER_INIT;
  unsigned count = 0;
  hg_err err;
  while ((err = hg_read_counter(f.runtime, count, &counter, WAIT_MS)) == HG_OK) {
    CHECK(counter.name[0] && counter.unit[0] && counter.doc[0]);
    count++;
  }
  CHECK(err == HG_ERR_EMPTY && count > 0);
  counter.size = 4;
  CHECK(hg_read_counter(f.runtime, 0, &counter, WAIT_MS) == HG_ERR_INVALID);
  CHECK(hg_read_counter(NULL, 0, &counter, WAIT_MS) == HG_ERR_INVALID);
  CHECK(hg_read_counter(f.runtime, 0, NULL, WAIT_MS) == HG_ERR_INVALID);
  fixture_close(&f);
}

TEST(counters, commits_and_rows_are_those_of_the_ledger) {
  struct fixture f = {0};
  fixture_open(&f, BUDGET);
  for (int i = 0; i < 10; i++)
    fixture_record(&f, 1);
  const uint64_t rows = count_of(&f, "rows_written"), commits = count_of(&f, "commits");
  CHECK(commits >= 10 && rows >= commits);
  CHECK_EQ(rows, fixture_usage(&f).seq);
  CHECK_EQ(count_of(&f, "commit_failures"), 0);
  CHECK_EQ(count_of(&f, "frames_refused"), 0);
  CHECK_EQ(count_of(&f, "answers_dropped"), 0);
  fixture_close(&f);
}

TEST(counters, an_orphan_that_is_settled_is_a_late_settle) {
  struct fixture f = {0};
  fixture_open(&f, BUDGET);
  const hg_permit permit = fixture_acquire(&f, 100);
  fixture_reopen(&f);
  CHECK_EQ(count_of(&f, "late_settles"), 0);
  fixture_settle(&f, permit, 70);
  CHECK_EQ(count_of(&f, "late_settles"), 1);
  CHECK_EQ(fixture_usage(&f).used, 70);
  fixture_close(&f);
}

static void *read_all(void *runtime) {
  hg_counter counter = HG_COUNTER_INIT;
  for (int round = 0; round < 50; round++)
    for (unsigned i = 0; hg_read_counter(runtime, i, &counter, WAIT_MS) == HG_OK; i++)
      if (strcmp(counter.name, "frames_refused") == 0 && counter.value != 0) abort();
  return NULL;
}

TEST(counters, several_threads_read_while_others_work) {
  struct fixture f = {0};
  fixture_open(&f, BUDGET);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    CHECK(pthread_create(&threads[i], NULL, read_all, f.runtime) == 0);
  for (int i = 0; i < 100; i++)
    fixture_record(&f, 1);
  for (int i = 0; i < 4; i++)
    pthread_join(threads[i], NULL);
  CHECK_EQ(fixture_usage(&f).used, 100);
  fixture_close(&f);
}

static hg_err use_nothing(const hg_grant *grant, void *argument, hg_usage_report *used) {
  (void)grant;
  (void)argument;
  used->tokens = 0;
  return HG_OK;
}

TEST(counters, the_worker_pool_is_asked_too_once_it_is_there) {
  struct fixture f = {0};
  fixture_open(&f, BUDGET);
  hg_task task = HG_TASK_INIT;
  task.request.min_tokens = task.request.max_tokens = 1;
  task.function = use_nothing;
  hg_ticket ticket;
  hg_completion done = HG_COMPLETION_INIT;
  CHECK(hg_run(f.client, &task, &ticket) == HG_OK);
  CHECK(hg_client_next(f.client, &done, WAIT_MS) == HG_OK && done.err == HG_OK);
  CHECK_EQ(count_of(&f, "frames_refused"), 0);
  fixture_close(&f);
}
