// Opens, closes and looks whether the ledger holds what was acknowledged.
#include "bench/runtime.h"

#include "bench/bench.h"
#include "bench/raw_sqlite.h"

#include <stdio.h>
#include <string.h>

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
  const hg_err err = hg_client_new(runtime, &client);
  if (err != HG_OK) hg_bench_die("no client: %s", hg_err_text(err));
  return client;
}

void hg_bench_close_runtime(hg_runtime **runtime, const char *folder, const char *event, long count, long long tokens) {
  char path[512], query[128];
  if (hg_close(runtime, 10000) != HG_OK) hg_bench_die("not closed");
  snprintf(path, sizeof path, "%s/headgate.db", folder);
  snprintf(query, sizeof query, "SELECT count(*) FROM journal WHERE event = '%s'", event);
  hg_bench_expect(path, query, count);
  hg_bench_expect(path, "SELECT total_used FROM token_budget WHERE name = 'default'", tokens);
}
