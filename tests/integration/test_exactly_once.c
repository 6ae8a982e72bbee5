// A command counts once: usage ids and lasting names on real threads and files, across restarts and kill -9.
// labels: budget
#include "support/runtime_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 30000
#define ROUNDS 15

static hg_err record(struct fixture *f, const char *usage_id, int64_t tokens) {
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = tokens;
  used.usage_id = usage_id;
  return hg_record_usage(f->client, &used, WAIT_MS);
}

TEST(exactly_once, a_usage_id_counts_once_over_a_restart) {
  struct fixture f;
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000}");
  CHECK_EQ(record(&f, "call-1", 100), HG_OK);
  CHECK_EQ(record(&f, "call-1", 100), HG_OK);
  CHECK_EQ(record(&f, "call-1", 101), HG_ERR_CONFLICT);
  CHECK_EQ(hg_correct_once(f.client, NULL, -10, "counted too much", "call-1 refund", WAIT_MS), HG_OK);
  fixture_reopen(&f);
  CHECK_EQ(record(&f, "call-1", 100), HG_OK);
  CHECK_EQ(record(&f, "call-1", 99), HG_ERR_CONFLICT);
  CHECK_EQ(hg_correct_once(f.client, NULL, -10, "counted too much", "call-1 refund", WAIT_MS), HG_OK);
  CHECK_EQ(hg_correct_once(f.client, NULL, -10, "another reason", "call-1 refund", WAIT_MS), HG_ERR_CONFLICT);
  CHECK_EQ(fixture_usage(&f).used, 90);
  CHECK_EQ(record(&f, "call-2", 1), HG_OK);
  CHECK_EQ(fixture_usage(&f).used, 91);
  hg_client_destroy(&f.client);
  CHECK_EQ(hg_close(&f.runtime, 0), HG_OK);
  CHECK_EQ(fixture_sql(&f, "SELECT count(*) FROM usage_id"), 3);
  CHECK_EQ(fixture_sql(&f, "SELECT count(*) FROM journal WHERE usage_id IS NOT NULL"), 3);
  fixture_close(&f);
}

TEST(exactly_once, an_id_that_was_forgotten_is_refused) {
  char longest[130] = "";
  struct fixture f;
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000}");
  CHECK_EQ(record(&f, "", 100), HG_ERR_INVALID);
  CHECK_EQ(hg_correct_once(f.client, NULL, 10, "no id", NULL, WAIT_MS), HG_ERR_INVALID);
  CHECK_EQ(hg_correct_once(f.client, NULL, 10, "no id", "", WAIT_MS), HG_ERR_INVALID);
  CHECK_EQ(fixture_usage(&f).used, 0);
  CHECK_EQ(hg_correct(f.client, NULL, 10, "wants none", WAIT_MS), HG_OK);
  CHECK_EQ(record(&f, NULL, 100), HG_OK);
  memset(longest, 'x', sizeof longest - 1);
  CHECK_EQ(record(&f, longest, 1), HG_ERR_INVALID);
  longest[128] = '\0';
  CHECK_EQ(record(&f, longest, 1), HG_OK);
  CHECK_EQ(fixture_usage(&f).used, 111);
  fixture_close(&f);
}

TEST(exactly_once, pipelined_usage_ids_keep_their_order_and_count_once) {
  enum { RECORDS = 5000, IDS = 1000 };
  struct fixture f;
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":100000000}");
  hg_ticket last = {0};
  for (int i = 0; i < RECORDS; i++) {
    char usage_id[32];
    hg_usage_report used = HG_USAGE_REPORT_INIT;
    snprintf(usage_id, sizeof usage_id, "call-%d", i % IDS);
    used.usage_id = usage_id;
    used.tokens = i % IDS + 1;
    hg_err err;
    while ((err = hg_record_usage_start(f.client, &used, &last)) == HG_ERR_BUSY)
      CHECK(hg_flush(f.client, WAIT_MS) == HG_OK);
    CHECK_EQ(err, HG_OK);
  }
  for (int i = 0; i < RECORDS; i++) {
    hg_completion done = HG_COMPLETION_INIT;
    CHECK_EQ(hg_client_next(f.client, &done, WAIT_MS), HG_OK);
    CHECK_EQ(done.err, HG_OK);
    CHECK_EQ(done.ticket.id, HG_TICKET_OF_NUMBER((uint64_t)i + 1).id);
  }
  CHECK_EQ(last.id, HG_TICKET_OF_NUMBER((uint64_t)RECORDS).id);
  CHECK_EQ(fixture_usage(&f).used, (int64_t)IDS * (IDS + 1) / 2);
  fixture_close(&f);
}

TEST(exactly_once, a_lasting_name_has_one_holder) {
  struct fixture f;
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000}");
  hg_client *first = NULL, *second = NULL;
  uint64_t last = 99;
  CHECK_EQ(hg_client_new_named(f.runtime, "loader", &first, &last, WAIT_MS), HG_OK);
  CHECK_EQ(last, 0);
  CHECK_EQ(hg_client_new_named(f.runtime, "loader", &second, &last, WAIT_MS), HG_ERR_CONFLICT);
  CHECK(second == NULL);
  CHECK_EQ(hg_client_new_named(f.runtime, "", &second, &last, WAIT_MS), HG_ERR_INVALID);
  hg_client_destroy(&first);
  CHECK_EQ(hg_client_new_named(f.runtime, "loader", &first, &last, WAIT_MS), HG_OK);
  hg_client_destroy(&first);
  fixture_close(&f);
}

// Sends the numbers from its last on, n tokens as number n, until it is killed.
static void report_until_killed(const struct fixture *parent, int started) {
  struct fixture f = *parent;
  hg_error why = HG_ERROR_INIT;
  uint64_t last = 0;
  if (hg_open_json(f.config, strlen(f.config), f.folder, &f.runtime, &why) != HG_OK) _exit(2);
  if (hg_client_new_named(f.runtime, "loader", &f.client, &last, WAIT_MS) != HG_OK) _exit(2);
  for (uint64_t number = last + 1;; number++) {
    hg_usage_report used = HG_USAGE_REPORT_INIT;
    hg_ticket ticket;
    used.tokens = (int64_t)number;
    hg_err err;
    while ((err = hg_record_usage_start(f.client, &used, &ticket)) == HG_ERR_BUSY)
      if (hg_flush(f.client, WAIT_MS) != HG_OK) _exit(2);
    if (err != HG_OK || ticket.id != HG_TICKET_OF_NUMBER(number).id) _exit(2);
    if (number == last + 1 && (hg_flush(f.client, WAIT_MS) != HG_OK || write(started, "x", 1) != 1)) _exit(2);
  }
}

TEST(exactly_once, a_reporter_that_is_killed_and_sends_again_is_counted_once) {
  srandom((unsigned)hg_test_seed("exactly_once"));
  struct fixture f = {0};
  snprintf(f.folder, sizeof f.folder, "/tmp/headgate-test.XXXXXX");
  CHECK(mkdtemp(f.folder) != NULL);
  snprintf(f.config, sizeof f.config, "{\"tokenBudget\":{\"hardLimitTokens\":%lld}}", (long long)HG_TOKENS_MAX);
  for (int round = 0; round < ROUNDS; round++) {
    int started[2];
    char byte;
    CHECK(pipe(started) == 0);
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) report_until_killed(&f, started[1]);
    close(started[1]);
    CHECK(read(started[0], &byte, 1) == 1); // one at least is acknowledged
    close(started[0]);
    const struct timespec pause = {0, random() % 60000 * 1000};
    nanosleep(&pause, NULL);
    kill(pid, SIGKILL);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  }
  hg_error why = HG_ERROR_INIT;
  uint64_t last = 0;
  CHECK_EQ(hg_open_json(f.config, strlen(f.config), f.folder, &f.runtime, &why), HG_OK);
  CHECK_EQ(hg_client_new_named(f.runtime, "loader", &f.client, &last, WAIT_MS), HG_OK);
  CHECK(last >= ROUNDS);
  // Each number from 1 to the last is there once.
  CHECK_EQ(fixture_usage(&f).used, (int64_t)(last * (last + 1) / 2));
  hg_client_destroy(&f.client);
  CHECK_EQ(hg_close(&f.runtime, 0), HG_OK);
  CHECK_EQ(fixture_sql(&f, "SELECT count(*) FROM journal WHERE reporter = 'loader'"), (int64_t)last);
  CHECK_EQ(fixture_sql(&f, "SELECT count(DISTINCT number) FROM journal"), (int64_t)last);
  fixture_close(&f);
}
