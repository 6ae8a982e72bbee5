// Opens, records, closes and looks whether the ledger holds what was acknowledged.
#include "bench/runtime.h"

#include "bench/bench.h"
#include "bench/raw_sqlite.h"

#include <stdio.h>
#include <string.h>

#define ANSWER_MS 60000

void hg_bench_must(hg_err err, const char *what) {
  if (err != HG_OK) hg_bench_die("%s: %s", what, hg_err_text(err));
}

hg_runtime *hg_bench_open_config(const char *config) {
  hg_runtime *runtime;
  hg_error why = HG_ERROR_INIT;
  if (hg_open_json(config, strlen(config), NULL, &runtime, &why) != HG_OK) hg_bench_die("%s", why.text);
  return runtime;
}

hg_runtime *hg_bench_open_runtime(const char *folder, unsigned max_concurrency) {
  char config[1024];
  snprintf(config, sizeof config,
           "{\"tokenBudget\":{\"hardLimitTokens\":9007199254740991},\"scheduler\":{\"maxConcurrency\":%u},"
           "\"ledger\":{\"path\":\"%s/headgate.db\"}}",
           max_concurrency, folder);
  return hg_bench_open_config(config);
}

hg_client *hg_bench_new_client(hg_runtime *runtime) {
  hg_client *client;
  hg_bench_must(hg_client_new(runtime, &client), "no client");
  return client;
}

long long hg_bench_record_all(hg_client *client, long records) {
  char task[HG_BENCH_TASK_ID_SIZE + 1];
  long long tokens = 0;
  hg_completion done = HG_COMPLETION_INIT;
  for (long i = 0; i < records; i++) {
    hg_usage_report used = HG_USAGE_REPORT_INIT;
    hg_ticket ticket;
    hg_err err;
    hg_bench_name_task(task, i);
    used.task_id = task;
    used.tokens = hg_bench_tokens(i);
    tokens += used.tokens;
    while ((err = hg_record_usage_start(client, &used, &ticket)) == HG_ERR_BUSY)
      hg_bench_must(hg_client_next(client, &done, ANSWER_MS), "no answer");
    hg_bench_must(err, "a record");
  }
  hg_bench_must(hg_flush(client, ANSWER_MS), "not all answered");
  return tokens;
}

void hg_bench_close_runtime(hg_runtime **runtime, const char *folder, const char *event, long count, long long tokens) {
  char path[512], query[128];
  if (hg_close(runtime, 10000) != HG_OK) hg_bench_die("not closed");
  snprintf(path, sizeof path, "%s/headgate.db", folder);
  snprintf(query, sizeof query, "SELECT count(*) FROM journal WHERE event = '%s'", event);
  hg_bench_expect(path, query, count);
  hg_bench_expect(path, "SELECT total_used FROM token_budget WHERE name = 'default'", tokens);
}
