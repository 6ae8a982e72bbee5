// kill -9 at random moments under load, and what the next start finds: what was acknowledged is stored, what is stored
// was sent, a usage id that is sent again counts once, what was open is charged, and the audit is clean.
//
// labels: budget
//
// HG_ROUNDS=200 kills as often.
#include "support/runtime_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 12
#define WAIT_MS 30000
#define RECORDERS 2 // threads that pipeline records
#define WORKERS 4   // threads that acquire and settle
#define WINDOW 128
#define RESERVATION 50

// What a thread of the child says it sent, before it sends, and what was acknowledged, after it heard so. It outlives
// it.
struct report {
  atomic_llong sent, acknowledged; // numbers, of records or of permits
};
struct load {
  struct report recorders[RECORDERS], workers[WORKERS];
  atomic_bool under_way;
};
struct thread {
  pthread_t id;
  hg_runtime *runtime;
  struct load *load;
  int index;
};

static int64_t tokens_of(long long number) {
  return number % 40 + 1;
}

// ------------------------------------------------------------------------------------------------- until it is killed

// Goes on where the acknowledgements ended: what is not known to be stored is sent again under its id.
static void *record(void *argument) {
  const struct thread *thread = argument;
  struct report *report = &thread->load->recorders[thread->index];
  hg_client *client = NULL;
  if (hg_client_new(thread->runtime, &client) != HG_OK) _exit(2);
  for (long long number = atomic_load(&report->acknowledged) + 1;; number++) {
    char usage_id[64];
    hg_usage_report used = HG_USAGE_REPORT_INIT;
    hg_ticket ticket;
    hg_completion done = HG_COMPLETION_INIT;
    snprintf(usage_id, sizeof usage_id, "%d/%lld", thread->index, number);
    used.tokens = tokens_of(number);
    used.usage_id = usage_id;
    if (number > atomic_load(&report->sent)) atomic_store(&report->sent, number);
    if (hg_record_usage_start(client, &used, &ticket) != HG_OK) _exit(2);
    while (hg_client_next(client, &done, number - atomic_load(&report->acknowledged) < WINDOW ? 0 : WAIT_MS) == HG_OK) {
      if (done.err != HG_OK) _exit(2);
      atomic_fetch_add(&report->acknowledged, 1);
      atomic_store(&thread->load->under_way, true);
    }
  }
}

// A permit whose outcome is not known is settled or an orphan; work goes on with the next.
static void *work(void *argument) {
  const struct thread *thread = argument;
  struct report *report = &thread->load->workers[thread->index];
  hg_client *client = NULL;
  if (hg_client_new(thread->runtime, &client) != HG_OK) _exit(2);
  for (;;) {
    const long long number = atomic_fetch_add(&report->sent, 1) + 1;
    char task_id[64];
    hg_request want = HG_REQUEST_INIT;
    hg_grant grant = HG_GRANT_INIT;
    hg_usage_report used = HG_USAGE_REPORT_INIT;
    snprintf(task_id, sizeof task_id, "%d/%lld", thread->index, number);
    want.task_id = task_id;
    want.min_tokens = want.max_tokens = RESERVATION;
    used.tokens = tokens_of(number);
    if (hg_acquire(client, &want, &grant, WAIT_MS) != HG_OK) _exit(2);
    if (hg_settle(client, grant.permit, &used, WAIT_MS) != HG_OK) _exit(2);
    atomic_fetch_add(&report->acknowledged, 1);
  }
}

static void child(const struct fixture *parent, struct load *load) {
  struct fixture f = *parent;
  static struct thread threads[RECORDERS + WORKERS];
  hg_error why = HG_ERROR_INIT;
  if (hg_open_json(f.config, strlen(f.config), f.folder, &f.runtime, &why) != HG_OK) _exit(2);
  for (int i = 0; i < RECORDERS + WORKERS; i++) {
    threads[i] = (struct thread){.runtime = f.runtime, .load = load, .index = i < RECORDERS ? i : i - RECORDERS};
    if (pthread_create(&threads[i].id, NULL, i < RECORDERS ? record : work, &threads[i]) != 0) _exit(2);
  }
  for (;;)
    pause();
}

static void run_and_kill(const struct fixture *f, struct load *load, long microseconds) {
  const struct timespec pause = {0, microseconds * 1000}, moment = {0, 1000000};
  atomic_store(&load->under_way, false);
  fflush(NULL);
  const pid_t pid = fork();
  if (pid == 0) child(f, load);
  int status = 0;
  while (!atomic_load(&load->under_way) && waitpid(pid, &status, WNOHANG) == 0)
    nanosleep(&moment, NULL);
  CHECK(atomic_load(&load->under_way));
  nanosleep(&pause, NULL);
  kill(pid, SIGKILL);
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

// --------------------------------------------------------------------------------------------- what the next start
// finds

static int64_t ask(struct fixture *f, const char *format, int index, long long number) {
  char sql[512];
  snprintf(sql, sizeof sql, format, index, number);
  return fixture_sql(f, sql);
}

// Acknowledged ⊆ stored ⊆ sent, and nothing twice.
static void expect_records(struct fixture *f, struct report *report, int index) {
  const int64_t stored = ask(
      f, "SELECT count(*) FROM journal WHERE event = 'USAGE_RECORDED' AND usage_id LIKE '%d/%%' AND %lld", index, 1);
  CHECK(stored >= atomic_load(&report->acknowledged));
  CHECK(stored <= atomic_load(&report->sent));
  CHECK_EQ(ask(f, "SELECT count(DISTINCT usage_id) FROM journal WHERE usage_id LIKE '%d/%%' AND %lld", index, 1),
           stored);
  // They are the numbers from 1 on.
  CHECK_EQ(ask(f, "SELECT count(*) FROM journal WHERE usage_id = '%d/%lld'", index, stored), stored > 0);
  CHECK_EQ(ask(f, "SELECT count(*) FROM journal WHERE usage_id = '%d/%lld'", index, stored + 1), 0);
}

static void expect_permits(struct fixture *f, struct report *report, int index) {
  const int64_t settled =
      ask(f, "SELECT count(*) FROM journal WHERE event = 'TOKENS_SETTLED' AND task_id LIKE '%d/%%' AND %lld", index, 1);
  const int64_t reserved = ask(
      f, "SELECT count(*) FROM journal WHERE event = 'TOKENS_RESERVED' AND task_id LIKE '%d/%%' AND %lld", index, 1);
  const int64_t orphans =
      ask(f, "SELECT count(*) FROM journal WHERE event = 'RESERVATION_ORPHANED' AND task_id LIKE '%d/%%' AND %lld",
          index, 1);
  CHECK(settled >= atomic_load(&report->acknowledged));
  CHECK(reserved <= atomic_load(&report->sent));
  CHECK_EQ(settled + orphans, reserved);
}

static void expect_all(struct fixture *f, struct load *load) {
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_open_json(f->config, strlen(f->config), f->folder, &f->runtime, &why), HG_OK);
  CHECK_EQ(hg_client_new(f->runtime, &f->client), HG_OK);
  const hg_usage usage = fixture_usage(f);
  CHECK_EQ(usage.reserved, 0);
  hg_client_destroy(&f->client);
  CHECK_EQ(hg_close(&f->runtime, 0), HG_OK);
  for (int i = 0; i < RECORDERS; i++)
    expect_records(f, &load->recorders[i], i);
  for (int i = 0; i < WORKERS; i++)
    expect_permits(f, &load->workers[i], i);
  CHECK_EQ(fixture_sql(f, "SELECT total(used_delta) FROM journal"), usage.used);
  CHECK_EQ(fixture_sql(f, "SELECT max(seq) - count(*) FROM journal"), 0);
  fixture_audit(f);
}

TEST(kill, nothing_acknowledged_is_lost_and_nothing_is_made_up_or_counted_twice) {
  const char *rounds = getenv("HG_ROUNDS");
  srandom((unsigned)hg_test_seed("kill"));
  struct fixture f = {0};
  snprintf(f.folder, sizeof f.folder, "/tmp/headgate-test.XXXXXX");
  CHECK(mkdtemp(f.folder) != NULL);
  snprintf(f.config, sizeof f.config,
           "{\"tokenBudget\":{\"hardLimitTokens\":1000000000000},\"scheduler\":{\"maxConcurrency\":8}}");
  struct load *load = mmap(NULL, sizeof *load, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(load != MAP_FAILED);
  for (long round = rounds ? strtol(rounds, NULL, 10) : ROUNDS; round > 0; round--) {
    run_and_kill(&f, load, random() % 60000);
    expect_all(&f, load);
  }
  for (int i = 0; i < RECORDERS; i++)
    fprintf(stderr, "records: %lld sent, %lld acknowledged\n", atomic_load(&load->recorders[i].sent),
            atomic_load(&load->recorders[i].acknowledged));
  for (int i = 0; i < WORKERS; i++)
    fprintf(stderr, "permits: %lld sent, %lld acknowledged\n", atomic_load(&load->workers[i].sent),
            atomic_load(&load->workers[i].acknowledged));
  munmap(load, sizeof *load);
  fixture_close(&f);
}
