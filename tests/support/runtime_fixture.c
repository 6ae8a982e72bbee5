// The runtime of integration tests.
#include "support/runtime_fixture.h"

#include "config/config.h"
#include "ledger/ledger.h"

#include <sqlite3.h>
#include <unistd.h>

#define WAIT_MS 30000

static void open_runtime(struct fixture *fixture) {
  hg_error why = HG_ERROR_INIT;
  const hg_err err = hg_open_json(fixture->config, strlen(fixture->config), fixture->folder, &fixture->runtime, &why);
  if (err != HG_OK) fprintf(stderr, "%s: %s\n", hg_err_name(err), why.text);
  CHECK(err == HG_OK);
  CHECK(hg_client_new(fixture->runtime, &fixture->client) == HG_OK);
}

void fixture_open(struct fixture *fixture, const char *sections) {
  snprintf(fixture->folder, sizeof fixture->folder, "/tmp/headgate-test.XXXXXX");
  CHECK(mkdtemp(fixture->folder) != NULL);
  snprintf(fixture->config, sizeof fixture->config, "{%s}", sections);
  open_runtime(fixture);
}

static void close_runtime(struct fixture *fixture) {
  hg_client_destroy(&fixture->client);
  CHECK(hg_close(&fixture->runtime, 0) == HG_OK);
}

void fixture_reopen(struct fixture *fixture) {
  close_runtime(fixture);
  open_runtime(fixture);
}

void fixture_audit(const struct fixture *fixture) {
  static struct hg_audit_report report; // large
  struct hg_config *config = NULL;
  struct hg_places places;
  hg_error why = HG_ERROR_INIT;
  char path[128];
  snprintf(path, sizeof path, "%s/headgate.db", fixture->folder);
  if (access(path, F_OK) != 0) return;
  CHECK_EQ(hg_config_minimal(1, path, &config, &why), HG_OK);
  CHECK_EQ(hg_places_of(path, NULL, &places, &why), HG_OK);
  const hg_err err = hg_ledger_audit_file(config, &places, &report, &why);
  if (err != HG_OK) fprintf(stderr, "%s\n", why.text);
  CHECK_EQ(err, HG_OK);
  for (uint32_t i = 0; i < report.listed; i++)
    fprintf(stderr, "%s\n", report.list[i].text);
  CHECK_EQ(report.differences, 0);
  hg_config_destroy(&config);
}

void fixture_close(struct fixture *fixture) {
  if (fixture->runtime) close_runtime(fixture);
  fixture_audit(fixture);
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", fixture->folder);
  CHECK(system(command) == 0);
}

void fixture_record(struct fixture *fixture, int64_t tokens) {
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = tokens;
  used.task_id = "recorded";
  CHECK(hg_record_usage(fixture->client, &used, WAIT_MS) == HG_OK);
}

hg_usage fixture_usage(struct fixture *fixture) {
  hg_usage usage = HG_USAGE_INIT;
  CHECK(hg_get_usage(fixture->client, NULL, &usage, WAIT_MS) == HG_OK);
  return usage;
}

hg_queue fixture_queue(struct fixture *fixture) {
  hg_queue queue = HG_QUEUE_INIT;
  CHECK(hg_get_queue(fixture->client, &queue, WAIT_MS) == HG_OK);
  return queue;
}

hg_permit fixture_acquire(struct fixture *fixture, int64_t tokens) {
  hg_request want = HG_REQUEST_INIT;
  want.task_id = "acquired";
  want.min_tokens = want.max_tokens = tokens;
  hg_grant grant = HG_GRANT_INIT;
  CHECK(hg_acquire(fixture->client, &want, &grant, WAIT_MS) == HG_OK);
  CHECK_EQ(grant.tokens, tokens);
  return grant.permit;
}

void fixture_settle(struct fixture *fixture, hg_permit permit, int64_t tokens) {
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = tokens;
  CHECK(hg_settle(fixture->client, permit, &used, WAIT_MS) == HG_OK);
}

int64_t fixture_sql(const struct fixture *fixture, const char *sql) {
  char path[128];
  sqlite3 *db;
  sqlite3_stmt *statement;
  snprintf(path, sizeof path, "%s/headgate.db", fixture->folder);
  CHECK(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
  CHECK(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK);
  CHECK(sqlite3_step(statement) == SQLITE_ROW);
  const int64_t value = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return value;
}
