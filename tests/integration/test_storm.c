// Many threads that acquire and settle at once under limits close to what they ask for, some of them using more than
// they said. The journal alone shows that no grant ever took a budget over its limit, nor ran beside others under a
// throttle.
//
// labels: budget
//
// HG_STORM=10000 lets each thread do as many tasks.
#include "support/runtime_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define THREADS 64
#define TASKS 150 // of each thread
#define WAIT_MS 60000
#define LIMIT "4000"

static const char *const budgets[] = {"default", "left", "right", "deep"};
static const size_t parents[] = {0, 0, 0, 2};
#define BUDGETS 4

struct storm {
  struct fixture f;
  unsigned tasks, seed;
  atomic_uint running; // threads
  atomic_ullong grants, refusals;
  atomic_bool failed;
};
struct worker {
  pthread_t thread;
  struct storm *storm;
  unsigned seed;
};

static bool expect(struct storm *storm, hg_err err) {
  if (err == HG_OK) return true;
  fprintf(stderr, "%s\n", hg_err_name(err));
  atomic_store(&storm->failed, true);
  return false;
}

// One task in ten uses more than it reserved, some use nothing, the others less.
static bool one_task(struct worker *worker, hg_client *client) {
  struct storm *storm = worker->storm;
  hg_request want = HG_REQUEST_INIT;
  want.budget = budgets[rand_r(&worker->seed) % BUDGETS];
  want.max_tokens = 1 + rand_r(&worker->seed) % 120;
  want.min_tokens = 1 + rand_r(&worker->seed) % (int)want.max_tokens;
  hg_grant grant = HG_GRANT_INIT;
  hg_err err;
  while ((err = hg_acquire(client, &want, &grant, WAIT_MS)) == HG_ERR_BUDGET_EXHAUSTED) {
    const struct timespec pause = {0, 200000}; // usage is given back all the time
    atomic_fetch_add(&storm->refusals, 1);
    nanosleep(&pause, NULL);
  }
  if (!expect(storm, err)) return false;
  if (grant.tokens < want.min_tokens || grant.tokens > want.max_tokens) return expect(storm, HG_ERR_RANGE);
  atomic_fetch_add(&storm->grants, 1);
  const int kind = rand_r(&worker->seed) % 10;
  if (kind == 0) return expect(storm, hg_release(client, grant.permit, HG_OUTCOME_FAILED, "nothing done", WAIT_MS));
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens =
      kind == 1 ? grant.tokens + rand_r(&worker->seed) % 100 : rand_r(&worker->seed) % (int)(grant.tokens + 1);
  return expect(storm, hg_settle(client, grant.permit, &used, WAIT_MS));
}

static void *work(void *argument) {
  struct worker *worker = argument;
  hg_client *client = NULL;
  bool goes_on = expect(worker->storm, hg_client_new(worker->storm->f.runtime, &client));
  for (unsigned i = 0; goes_on && i < worker->storm->tasks; i++)
    goes_on = one_task(worker, client);
  hg_client_destroy(&client);
  atomic_fetch_sub(&worker->storm->running, 1);
  return NULL;
}

// Gives back most of what was used once a budget is nearly full, so that the work goes on at the limit; earlier once
// somebody was refused, for the last tasks may all ask for more than is left below the threshold. Usage only grows
// meanwhile: what a budget had less what those below it have now is its own at least.
static void give_back(struct storm *storm) {
  const struct timespec pause = {0, 500000};
  unsigned long long refusals = 0;
  while (atomic_load(&storm->running) > 0 && !atomic_load(&storm->failed)) {
    const unsigned long long before = refusals;
    refusals = atomic_load(&storm->refusals);
    int64_t own[BUDGETS];
    bool full = false;
    for (size_t i = 0; i < BUDGETS; i++) {
      hg_usage usage = HG_USAGE_INIT;
      if (!expect(storm, hg_get_usage(storm->f.client, budgets[i], &usage, WAIT_MS))) return;
      own[i] = usage.used;
      if (i > 0) own[parents[i]] -= usage.used;
      full |= usage.used * 10 >= usage.hard_limit * (refusals > before ? 7 : 9);
    }
    for (size_t i = 0; full && i < BUDGETS; i++)
      if (own[i] > 1 && !expect(storm, hg_correct(storm->f.client, budgets[i], -own[i] * 3 / 4, "given back", WAIT_MS)))
        return;
    nanosleep(&pause, NULL);
  }
}

// Every grant, on every budget of its path, from the deltas alone. Corrections may take a child's rows out of the root,
// so the sums are the journal's own.
static const char over_the_limit[] =
    "WITH RECURSIVE below(root, name) AS ("
    "  SELECT name, name FROM token_budget"
    "  UNION ALL SELECT root, b.name FROM below JOIN token_budget AS b ON b.parent = below.name),"
    "committed AS ("
    "  SELECT root, event, sum(coalesce(used_delta, 0) + coalesce(reserved_delta, 0))"
    "    OVER (PARTITION BY root ORDER BY seq) AS tokens"
    "  FROM below JOIN journal ON budget = below.name)"
    "SELECT count(*) FROM committed JOIN token_budget ON name = root"
    "  WHERE event = 'TOKENS_RESERVED' AND tokens > hard_limit";

// I4: a grant while some budget of its path was throttled, with another permit open on it.
static const char beside_others[] =
    "WITH RECURSIVE below(root, name) AS ("
    "  SELECT name, name FROM token_budget"
    "  UNION ALL SELECT root, b.name FROM below JOIN token_budget AS b ON b.parent = below.name),"
    "steps AS ("
    "  SELECT root, seq, event,"
    "    sum(CASE event WHEN 'TOKENS_RESERVED' THEN 1 WHEN 'TOKENS_SETTLED' THEN -1 WHEN 'TOKENS_RELEASED' THEN -1"
    "      ELSE 0 END) OVER (PARTITION BY root ORDER BY seq) AS open,"
    "    sum(CASE WHEN budget <> root THEN 0 WHEN event = 'CONCURRENCY_THROTTLED' THEN 1"
    "      WHEN event = 'CONCURRENCY_RESTORED' THEN -1 ELSE 0 END)"
    "      OVER (PARTITION BY root ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS closed"
    "  FROM below JOIN journal ON budget = below.name)"
    "SELECT count(*) FROM steps WHERE event = 'TOKENS_RESERVED' AND closed = 1 AND open > 1";

TEST(storm, no_grant_is_over_a_limit_whatever_tasks_use) {
  static struct storm storm;
  static struct worker workers[THREADS];
  const char *tasks = getenv("HG_STORM");
  storm.seed = (unsigned)hg_test_seed("storm");
  storm.tasks = tasks ? (unsigned)strtoul(tasks, NULL, 10) : TASKS;
  fixture_open(&storm.f, "\"tokenBudget\":{\"hardLimitTokens\":" LIMIT ",\"budgets\":{"
                         "\"left\":{\"hardLimitTokens\":1500},\"right\":{\"hardLimitTokens\":2500},"
                         "\"deep\":{\"hardLimitTokens\":900,\"parent\":\"right\"}}},"
                         "\"scheduler\":{\"maxConcurrency\":64}");
  atomic_store(&storm.running, THREADS);
  for (unsigned i = 0; i < THREADS; i++) {
    workers[i] = (struct worker){.storm = &storm, .seed = storm.seed + i};
    CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
  }
  give_back(&storm);
  for (unsigned i = 0; i < THREADS; i++)
    CHECK(pthread_join(workers[i].thread, NULL) == 0);
  CHECK(!atomic_load(&storm.failed));
  CHECK_EQ(atomic_load(&storm.grants), (uint64_t)THREADS * storm.tasks);
  CHECK_EQ(fixture_usage(&storm.f).reserved, 0);
  const int64_t used = fixture_usage(&storm.f).used;
  hg_client_destroy(&storm.f.client);
  CHECK_EQ(hg_close(&storm.f.runtime, 0), HG_OK);
  CHECK_EQ(fixture_sql(&storm.f, over_the_limit), 0);
  CHECK_EQ(fixture_sql(&storm.f, beside_others), 0);
  CHECK_EQ(fixture_sql(&storm.f, "SELECT total(used_delta) FROM journal"), used);
  CHECK_EQ(fixture_sql(&storm.f, "SELECT total(reserved_delta) FROM journal"), 0);
  CHECK(fixture_sql(&storm.f, "SELECT count(*) FROM journal WHERE event = 'BUDGET_OVERRUN'") > 0);
  CHECK(fixture_sql(&storm.f, "SELECT count(*) FROM journal WHERE event = 'CONCURRENCY_THROTTLED'") > 0);
  fixture_close(&storm.f);
}
