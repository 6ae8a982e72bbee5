// [8_RISKS-REQ-031] Six parallel tasks whose usage passes 90 % after the fourth: the fifth and sixth run one at a time.
// labels: budget
// ctest: TokenBudgetTracker.integration
#include "support/runtime_fixture.h"

#include <pthread.h>
#include <time.h>

#define WAIT_MS 30000
#define TASKS 6

// Four tasks run side by side; the fourth ends first and brings usage to 90.5 % of 1,000. The fifth and the sixth
// already wait for a slot by then. What each may use, and what it uses:
static const int64_t asks[TASKS] = {20, 20, 20, 910, 20, 20};
static const int64_t uses[TASKS] = {10, 10, 10, 905, 10, 10};

struct six {
  struct fixture f;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int started, ended, running;
  bool fourth_settled;
  int most_beside_fifth_or_sixth; // how many ran when the fifth or sixth did, itself included
};

struct task {
  struct six *six;
  int index;
};

static void look(struct six *six, int index) {
  if (index >= 4 && six->running > six->most_beside_fifth_or_sixth) six->most_beside_fifth_or_sixth = six->running;
}

static void begin(struct six *six, int index) {
  pthread_mutex_lock(&six->lock);
  six->started++;
  six->running++;
  look(six, index);
  pthread_cond_broadcast(&six->changed);
  if (index >= 4) { // a while of work, in which another one would be seen beside it
    pthread_mutex_unlock(&six->lock);
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    pthread_mutex_lock(&six->lock);
    look(six, index);
  }
  while (six->started < 4 || (index < 3 && !six->fourth_settled))
    pthread_cond_wait(&six->changed, &six->lock);
  six->running--;
  pthread_mutex_unlock(&six->lock);
}

static void end(struct six *six, int index) {
  pthread_mutex_lock(&six->lock);
  six->ended++;
  six->fourth_settled |= index == 3;
  pthread_cond_broadcast(&six->changed);
  pthread_mutex_unlock(&six->lock);
}

static void *work(void *argument) {
  const struct task *task = argument;
  struct six *six = task->six;
  hg_client *client;
  if (hg_client_new(six->f.runtime, &client) != HG_OK) abort();
  hg_request want = HG_REQUEST_INIT;
  want.min_tokens = want.max_tokens = asks[task->index];
  want.task_id = &"123456"[task->index];
  hg_grant grant = HG_GRANT_INIT;
  if (hg_acquire(client, &want, &grant, WAIT_MS) != HG_OK) abort();
  begin(six, task->index);
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = uses[task->index];
  if (hg_settle(client, grant.permit, &used, WAIT_MS) != HG_OK) abort();
  end(six, task->index);
  hg_client_destroy(&client);
  return NULL;
}

TEST(TokenBudgetTracker, integration_the_fifth_and_sixth_of_six_tasks_run_one_at_a_time) {
  static struct six six;
  memset(&six, 0, sizeof six);
  pthread_mutex_init(&six.lock, NULL);
  pthread_cond_init(&six.changed, NULL);
  fixture_open(&six.f, "\"tokenBudget\":{\"hardLimitTokens\":1000},\"scheduler\":{\"maxConcurrency\":4}");
  pthread_t threads[TASKS];
  static struct task tasks[TASKS];
  // The first three start and hold; then the fifth and sixth would have a place, so the fourth goes before them.
  for (int i = 0; i < TASKS; i++) {
    tasks[i] = (struct task){&six, i};
    if (i == 4) // three or four run; the fourth has settled only when all four had started
      for (bool four = false; !four;) {
        pthread_mutex_lock(&six.lock);
        four = six.started >= 4;
        pthread_mutex_unlock(&six.lock);
      }
    CHECK(pthread_create(&threads[i], NULL, work, &tasks[i]) == 0);
  }
  for (int i = 0; i < TASKS; i++)
    pthread_join(threads[i], NULL);
  CHECK_EQ(six.ended, TASKS);
  CHECK_EQ(six.most_beside_fifth_or_sixth, 1);
  const hg_usage usage = fixture_usage(&six.f);
  CHECK_EQ(usage.used, 955);
  CHECK_EQ(usage.reserved, 0);
  hg_client_destroy(&six.f.client);
  CHECK(hg_close(&six.f.runtime, 0) == HG_OK);
  // The same from the journal alone: at each start after the throttle no other permit is open.
  CHECK_EQ(fixture_sql(&six.f, "SELECT count(*) FROM event WHERE event='CONCURRENCY_THROTTLED' AND from_count=4 AND "
                               "to_count=1 AND usage_percent=9050"),
           1);
  CHECK_EQ(fixture_sql(&six.f, "SELECT count(*) FROM journal WHERE event='TASK_STARTED' AND seq > (SELECT seq FROM "
                               "journal WHERE event='CONCURRENCY_THROTTLED')"),
           2);
  CHECK_EQ(
      fixture_sql(
          &six.f,
          "SELECT max((SELECT count(*) FROM journal r WHERE r.event='TOKENS_RESERVED' AND r.seq <= s.seq) -"
          " (SELECT count(*) FROM journal e WHERE e.event='TOKENS_SETTLED' AND e.seq <= s.seq)) FROM journal s"
          " WHERE s.event='TOKENS_RESERVED' AND s.seq > (SELECT seq FROM journal WHERE event='CONCURRENCY_THROTTLED')"),
      1);
  fixture_close(&six.f);
}
