// links: program
// labels: budget
// A run whose permits another client of the same runtime ends while its calls are under way: the real loop, runtime and
// ledger. What the provider billed is in the ledger whatever the other one said.
#include "actors/runtime.h"
#include "batch/batch.h"
#include "runner/loop.h"
#include "runner/summary.h"
#include "support/http_server.h"
#include "support/runtime_fixture.h"
#include "support/test.h"

#include <inttypes.h>
#include <unistd.h>

enum { LINES = 3, BILLED = 30, WAIT_MS = 30000 };

// Ends the permit of the call that the server has just got.
struct other {
  hg_subscriber *grants;
  hg_client *client;
  int64_t says; // -1: that nothing was used
  unsigned ended;
};

static void end_newest_permit(void *context) {
  struct other *other = context;
  hg_event event = HG_EVENT_INIT;
  CHECK_EQ(hg_next_event(other->grants, &event, WAIT_MS), HG_OK);
  hg_permit permit = {0};
  const char *at = strstr(event.json, "\"permit\":\"");
  CHECK(at && sscanf(at, "\"permit\":\"%16" SCNx64, &permit.id) == 1);
  hg_usage_report said = HG_USAGE_REPORT_INIT;
  said.tokens = other->says;
  const hg_err err = other->says < 0 ? hg_release(other->client, permit, HG_OUTCOME_DONE, NULL, WAIT_MS)
                                     : hg_settle(other->client, permit, &said, WAIT_MS);
  CHECK_EQ(err, HG_OK);
  other->ended++;
}

static void on_note(void *context, const char *text) {
  (void)text;
  ++*(unsigned *)context;
}

static void write_batch(const struct fixture *fixture, char input[128], char output[128]) {
  snprintf(input, 128, "%s/batch.jsonl", fixture->folder);
  snprintf(output, 128, "%s/results.jsonl", fixture->folder);
  FILE *batch = fopen(input, "w");
  CHECK(batch != NULL);
  for (int i = 0; i < LINES; i++)
    fprintf(batch,
            "{\"custom_id\":\"r-%d\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"m\","
            "\"max_tokens\":40,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}}\n",
            i);
  fclose(batch);
}

static struct hg_summary run(struct fixture *fixture, const struct http_server *server, unsigned *notes) {
  char input[128], output[128], url[64];
  hg_error why = HG_ERROR_INIT;
  write_batch(fixture, input, output);
  snprintf(url, sizeof url, "http://127.0.0.1:%u/chat", server->port);
  const struct hg_batch_options files = {.input = input, .output = output, .ledger = 1};
  const struct hg_llm_config *llm = &hg_runtime_config(fixture->runtime)->llm;
  struct hg_target target;
  struct hg_loop_options options = {.runtime = fixture->runtime,
                                    .client = fixture->client,
                                    .target = &target,
                                    .runner = {.run_name = "results", .llm = llm, .max_concurrency = 1},
                                    .lines = LINES,
                                    .on_note = on_note,
                                    .context = notes};
  struct hg_loop *loop = NULL;
  struct hg_summary summary = {.stop_text = ""};
  CHECK_EQ(hg_batch_open(&files, &options.batch, &why), HG_OK);
  CHECK_EQ(hg_target_resolve(url, llm, &target, &why), HG_OK);
  CHECK_EQ(hg_loop_new(&options, &loop, &why), HG_OK);
  CHECK_EQ(hg_loop_run(loop, &why), HG_OK);
  summary.stop = hg_loop_result(loop, &summary.figures, &summary.stop_text);
  summary.stop_text = "";
  hg_loop_destroy(&loop);
  hg_batch_close(&options.batch);
  hg_target_clear(&target);
  return summary;
}

// Three calls of 30 tokens each; of each permit the other one says the same.
static void check_run(int64_t says) {
  struct fixture fixture;
  struct http_server server;
  struct other other = {.says = says};
  unsigned notes = 0;
  fixture_open(&fixture, "\"tokenBudget\":{\"hardLimitTokens\":10000},\"scheduler\":{\"maxConcurrency\":1}");
  static const char *const grants[] = {"TOKENS_RESERVED"};
  hg_filter filter = HG_FILTER_INIT;
  filter.topics = grants;
  filter.topic_count = 1;
  CHECK_EQ(hg_subscribe(fixture.runtime, &filter, &other.grants), HG_OK);
  CHECK_EQ(hg_client_new(fixture.runtime, &other.client), HG_OK);
  http_server_start(&server);
  server.context = &other;
  server.on_request = end_newest_permit;

  const struct hg_summary summary = run(&fixture, &server, &notes);
  http_server_stop(&server);
  CHECK_EQ(other.ended, LINES);
  CHECK_EQ(summary.figures.run.done, LINES);
  CHECK_EQ(summary.figures.run.unsettled, says == BILLED ? 0 : LINES);
  CHECK_EQ(summary.figures.run.recorded_tokens, says == BILLED ? 0 : LINES * BILLED);
  CHECK_EQ(summary.figures.run.uncounted_tokens, 0);
  CHECK_EQ(hg_summary_exit(&summary), says == BILLED ? 0 : 4);
  CHECK_EQ(notes, says != BILLED);

  const int64_t said = says < 0 || says == BILLED ? 0 : says;
  CHECK_EQ(fixture_usage(&fixture).used, LINES * (said + BILLED));
  CHECK_EQ(fixture_usage(&fixture).reserved, 0);
  hg_client_destroy(&other.client);
  hg_subscriber_destroy(&other.grants);
  hg_client_destroy(&fixture.client);
  CHECK_EQ(hg_close(&fixture.runtime, 0), HG_OK);
  CHECK_EQ(fixture_sql(&fixture, "SELECT count(*) FROM journal WHERE event = 'USAGE_RECORDED' AND used_delta = 30 "
                                 "AND usage_id LIKE 'permit-%' AND task_id LIKE 'results/r-%'"),
           says == BILLED ? 0 : LINES);
  fixture_close(&fixture);
}

TEST(run_unsettled, settled_by_another_with_less) {
  check_run(1);
}

TEST(run_unsettled, released_by_another) {
  check_run(-1);
}

// Then nothing is missing: it is the same settle twice.
TEST(run_unsettled, settled_by_another_with_the_same) {
  check_run(BILLED);
}
