// kill -9 in the middle of work, and what the next start finds: nothing acknowledged is lost, nothing is counted that was
// not sent, and what was open is charged.
// labels: budget
#include "support/runtime_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 12
#define WAIT_MS 30000
#define RESERVATION 50

// What the child says it sent, before it sends, and what was acknowledged, after it heard so. The pipe outlives it.
struct report {
  int64_t sent, acknowledged, open; // tokens
};

static void say(int pipe_end, const struct report *report) {
  if (write(pipe_end, report, sizeof *report) != (ssize_t)sizeof *report) _exit(3);
}

// Records and permits, as fast as they go, until it is killed.
static void child(const struct fixture *parent, int pipe_end) {
  struct fixture f = *parent;
  hg_error why = HG_ERROR_INIT;
  if (hg_open_json(f.config, strlen(f.config), f.folder, &f.runtime, &why) != HG_OK) _exit(2);
  if (hg_client_new(f.runtime, &f.client) != HG_OK) _exit(2);
  struct report report = {0};
  for (int64_t i = 1;; i++) {
    hg_usage_report used = HG_USAGE_REPORT_INIT;
    used.tokens = i % 40 + 1;
    report.sent += used.tokens;
    report.open = 0;
    say(pipe_end, &report);
    if (i % 2) {
      if (hg_record_usage(f.client, &used, WAIT_MS) != HG_OK) _exit(2);
    } else {
      hg_request want = HG_REQUEST_INIT;
      want.min_tokens = want.max_tokens = RESERVATION;
      hg_grant grant = HG_GRANT_INIT;
      report.open = RESERVATION; // may be open from here to the settle
      say(pipe_end, &report);
      if (hg_acquire(f.client, &want, &grant, WAIT_MS) != HG_OK) _exit(2);
      if (hg_settle(f.client, grant.permit, &used, WAIT_MS) != HG_OK) _exit(2);
    }
    report.acknowledged = report.sent;
    report.open = 0;
    say(pipe_end, &report);
  }
}

static struct report run_and_kill(const struct fixture *f, long microseconds) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  fflush(NULL);
  const pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    child(f, ends[1]);
  }
  close(ends[1]);
  struct report last = {0}, next;
  // The clock starts with the first report, so that each round does some work.
  CHECK(read(ends[0], &next, sizeof next) == (ssize_t)sizeof next);
  last = next;
  struct timespec pause = {0, microseconds * 1000};
  nanosleep(&pause, NULL);
  kill(pid, SIGKILL);
  while (read(ends[0], &next, sizeof next) == (ssize_t)sizeof next)
    last = next;
  close(ends[0]);
  int status;
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  return last;
}

TEST(kill, nothing_acknowledged_is_lost_and_nothing_is_made_up) {
  const char *given = getenv("HG_SEED");
  const unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
  fprintf(stderr, "seed %u; again with HG_SEED=%u\n", seed, seed);
  srandom(seed);
  struct fixture f = {0};
  snprintf(f.folder, sizeof f.folder, "/tmp/headgate-test.XXXXXX");
  CHECK(mkdtemp(f.folder) != NULL);
  snprintf(f.config, sizeof f.config, "{\"tokenBudget\":{\"hardLimitTokens\":1000000000}}");
  int64_t before = 0;
  for (int round = 0; round < ROUNDS; round++) {
    const struct report last = run_and_kill(&f, random() % 60000);
    hg_error why = HG_ERROR_INIT;
    CHECK(hg_open_json(f.config, strlen(f.config), f.folder, &f.runtime, &why) == HG_OK);
    CHECK(hg_client_new(f.runtime, &f.client) == HG_OK);
    const hg_usage usage = fixture_usage(&f);
    CHECK_EQ(usage.reserved, 0);
    const int64_t counted = usage.used - before;
    if (counted < last.acknowledged || counted > last.sent + RESERVATION)
      fprintf(stderr, "round %d: counted %lld, acknowledged %lld, sent %lld\n", round, (long long)counted,
              (long long)last.acknowledged, (long long)last.sent);
    CHECK(counted >= last.acknowledged);
    CHECK(counted <= last.sent + RESERVATION);
    before = usage.used;
    hg_client_destroy(&f.client);
    CHECK(hg_close(&f.runtime, 0) == HG_OK);
    CHECK_EQ(fixture_sql(&f, "SELECT total(used_delta) FROM journal"), before);
    CHECK_EQ(fixture_sql(&f, "SELECT max(seq) - count(*) FROM journal"), 0);
  }
  fixture_close(&f);
}
