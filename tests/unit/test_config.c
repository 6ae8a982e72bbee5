// The configuration: every field, its default, and where it comes from.
// labels: budget
#include "unit/config_text.h"

#include <unistd.h>

TEST(config, defaults) {
  CHECK_EQ(TOKEN_THROTTLE_THRESHOLD_PERCENT, 90);
  struct hg_config *c = accept("{\"tokenBudget\": {\"hardLimitTokens\": 200000}}");
  CHECK_STR(c->source, "devs.config.json");
  CHECK_STR(c->base_dir, "/srv/app");
  CHECK_EQ(c->budget_count, 1);
  CHECK_STR(c->budgets[0].name, "default");
  CHECK_EQ(c->budgets[0].parent, 0);
  CHECK_EQ(c->budgets[0].hard_limit, 200000);
  CHECK_EQ(c->throttle_percent, 90);
  CHECK_EQ(c->restore_below_percent, 90);
  CHECK_EQ(c->throttle_basis, HG_THROTTLE_USED);
  CHECK_EQ(c->orphan_policy, HG_ORPHAN_CHARGE);
  CHECK_STR(c->ledger_path, "/srv/app/headgate.db");
  CHECK_EQ(c->keep_days, 0);
  CHECK(!c->shared_readers);
  CHECK_EQ(c->max_concurrency, 4);
  CHECK_EQ(c->throttled_concurrency, 1);
  CHECK_EQ(c->event_bind_count, 0);
  CHECK(c->max_subscribers == 64 && c->serve_bind_count == 0 && c->max_clients == 256);
  CHECK(c->llm.base_url == NULL && c->llm.api_key_env == NULL);
  CHECK_STR(c->llm.auth, "auto");
  CHECK_STR(c->llm.output_cap_field, "auto");
  CHECK_EQ(c->llm.header_count, 0);
  CHECK_EQ(c->llm.timeout_seconds, 600);
  CHECK_EQ(c->llm.max_attempts, 5);
  CHECK_EQ(c->llm.retry_unknown_outcome, 1);
  CHECK_EQ(c->llm.default_max_tokens, 4096);
  CHECK_EQ(c->llm.max_tokens_per_media, 0);
  CHECK(!c->llm.allow_unbounded && !c->llm.may_cap_output);
  CHECK(c->llm.reservation == HG_RESERVE_BOUND && c->llm.counter == HG_COUNT_BY_ENDPOINT);
  CHECK_STR(c->warnings, "");
  hg_config_destroy(&c);
  CHECK(c == NULL);
  hg_config_destroy(&c);
}

TEST(config, every_field) {
  struct hg_config *c = accept(
      "{\"tokenBudget\": {\"hardLimitTokens\": 9007199254740991, \"throttlePercent\": 70, \"throttleBasis\": "
      "\"committed\","
      " \"restoreBelowPercent\": 60, \"orphanedReservations\": \"keep\"},"
      " \"ledger\": {\"path\": \"./data//x.db\", \"keepDays\": 36500, \"sharedReaders\": true},"
      " \"scheduler\": {\"maxConcurrency\": 65536, \"throttledConcurrency\": 65536},"
      " \"eventBus\": {\"bind\": [\"ipc://run/events.ipc\", \"ipc:///run/e.ipc\", \"tcp://127.9.9.9:1\", "
      "\"tcp://[::1]:65535\","
      " \"tcp://localhost:5556\"], \"maxSubscribers\": 7},"
      " \"serve\": {\"bind\": [\"tcp://*:5557\", \"tcp://[::]:1\", \"ipc://run/c.ipc\"], \"maxClients\": 4096,"
      " \"curve\": {\"serverSecretKeyFile\": \"keys/server\", \"allowedClientKeys\": \"/etc/clients\"},"
      " \"metrics\": {\"listen\": \"[::]:9469\", \"beyondLoopback\": true}},"
      " \"llm\": {\"baseUrl\": \"http://127.0.0.1:8000/v1\", \"apiKeyEnv\": \"MY_KEY\", \"auth\": \"x-api-key\","
      " \"headers\": {\"X-Team\": \"a b\", \"OpenAI-Beta\": \"v2\"}, \"outputCapField\": \"max_completion_tokens\","
      " \"unbounded\": \"allow\", \"maxTokensPerMedia\": 1500, \"timeoutSeconds\": 86400, \"maxAttempts\": 100,"
      " \"retryUnknownOutcome\": 0, \"tokensPerMinute\": 5000, \"requestsPerMinute\": 60, \"defaultMaxTokens\": 1, "
      "\"mayCapOutput\": true, \"reservation\": \"counted\", \"counter\": \"vllm\"}}");
  CHECK_EQ(c->budgets[0].hard_limit, HG_TOKENS_MAX);
  CHECK_EQ(c->throttle_percent, 70);
  CHECK_EQ(c->throttle_basis, HG_THROTTLE_COMMITTED);
  CHECK_EQ(c->restore_below_percent, 60);
  CHECK_EQ(c->orphan_policy, HG_ORPHAN_KEEP);
  CHECK_STR(c->ledger_path, "/srv/app/data/x.db");
  CHECK_EQ(c->keep_days, 36500);
  CHECK(c->shared_readers);
  CHECK_EQ(c->max_concurrency, 65536);
  CHECK_EQ(c->throttled_concurrency, 65536);
  static const char *const binds[] = {"ipc:///srv/app/run/events.ipc", "ipc:///run/e.ipc", "tcp://127.9.9.9:1",
                                      "tcp://[::1]:65535", "tcp://127.0.0.1:5556"};
  CHECK_EQ(c->event_bind_count, 5);
  for (size_t i = 0; i < 5; i++)
    CHECK_STR(c->event_binds[i], binds[i]);
  CHECK(c->max_subscribers == 7 && c->max_clients == 4096 && !c->event_curve.secret_key_file);
  CHECK_EQ(c->serve_bind_count, 3);
  CHECK_STR(c->serve_binds[0], "tcp://*:5557");
  CHECK_STR(c->serve_binds[1], "tcp://[::]:1");
  CHECK_STR(c->serve_binds[2], "ipc:///srv/app/run/c.ipc");
  CHECK_STR(c->serve_curve.secret_key_file, "/srv/app/keys/server");
  CHECK_STR(c->serve_curve.allowed_keys_file, "/etc/clients");
  CHECK_STR(c->metrics.host, "::");
  CHECK(c->metrics.wanted && c->metrics.port == 9469 && !c->metrics.is_loopback);
  CHECK_STR(c->llm.base_url, "http://127.0.0.1:8000/v1");
  CHECK_STR(c->llm.api_key_env, "MY_KEY");
  CHECK_STR(c->llm.auth, "x-api-key");
  CHECK_EQ(c->llm.header_count, 2);
  CHECK_STR(c->llm.headers[0], "X-Team: a b");
  CHECK_STR(c->llm.headers[1], "OpenAI-Beta: v2");
  CHECK_STR(c->llm.output_cap_field, "max_completion_tokens");
  CHECK(c->llm.allow_unbounded && c->llm.may_cap_output);
  CHECK(c->llm.reservation == HG_RESERVE_COUNTED && c->llm.counter == HG_COUNT_BY_VLLM);
  CHECK_EQ(c->llm.max_tokens_per_media, 1500);
  CHECK_EQ(c->llm.timeout_seconds, 86400);
  CHECK_EQ(c->llm.max_attempts, 100);
  CHECK_EQ(c->llm.retry_unknown_outcome, 0);
  CHECK_EQ(c->llm.tokens_per_minute, 5000);
  CHECK_EQ(c->llm.requests_per_minute, 60);
  CHECK_EQ(c->llm.default_max_tokens, 1);
  hg_config_destroy(&c);
}

TEST(config, clear_point_follows_the_throttle) {
  static const struct {
    const char *fields;
    unsigned expected;
  } cases[] = {{"", 90},
               {", \"throttlePercent\": 50", 50},
               {", \"throttlePercent\": 100", 100},
               {", \"throttleBasis\": \"committed\"", 80},
               {", \"throttleBasis\": \"committed\", \"throttlePercent\": 75", 75},
               {", \"throttleBasis\": \"committed\", \"restoreBelowPercent\": 90", 90}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char json[256];
    snprintf(json, sizeof json, "{\"tokenBudget\": {" LIMIT "%s}}", cases[i].fields);
    struct hg_config *c = accept(json);
    CHECK_EQ(c->restore_below_percent, cases[i].expected);
    hg_config_destroy(&c);
  }
}

TEST(config, other_sections_are_left_alone) {
  struct hg_config *c =
      accept(WITH("\"name\": \"x\", \"phases\": [1, {\"budget\": null}], \"orchestrator\": {\"hardLimitTokens\": -1}"));
  CHECK_STR(c->warnings, "");
  hg_config_destroy(&c);
  c = accept("{\n\"tokenBudget\": {" LIMIT "},\n  \"ledgr\": 5, \"Scheduler\": 6, \"log\": 7\n}");
  CHECK_STR(c->warnings,
            "devs.config.json:3:3: ledgr is left alone as another program's: did you mean \"ledger\"?\n"
            "devs.config.json:3:15: Scheduler is left alone as another program's: did you mean \"scheduler\"?\n");
  CHECK_STR(c->ledger_path, "/srv/app/headgate.db");
  hg_config_destroy(&c);
}

TEST(config, socket_paths_fit_the_kernel) {
  char name[128], json[512];
  // "/srv/app/" is 9 bytes of the 107.
  for (int len = 98; len <= 99; len++) {
    memset(name, 'x', sizeof name);
    snprintf(json, sizeof json, WITH("\"eventBus\": {\"bind\": [\"ipc://%.*s\"]}"), len, name);
    if (len == 99) {
      refuse(json, "1:66: eventBus.bind[0] is too long", "108 bytes, 107 are possible");
      continue;
    }
    struct hg_config *c = accept(json);
    CHECK_EQ(strlen(c->event_binds[0]), strlen("ipc://") + 107);
    hg_config_destroy(&c);
  }
}

TEST(config, ledger_paths_fit_sqlite) {
  char name[504], json[700];
  memset(name, 'x', sizeof name);
  snprintf(json, sizeof json, WITH("\"ledger\": {\"path\": \"%.*s\"}"), 504 - 9, name);
  struct hg_config *c = accept(json);
  CHECK_EQ(strlen(c->ledger_path), 504);
  hg_config_destroy(&c);
  snprintf(json, sizeof json, WITH("\"ledger\": {\"path\": \"%.*s\"}"), 505 - 9, name);
  refuse(json, "1:63: ledger.path is too long", "505 bytes, SQLite takes 504");
}

TEST(config, files) {
  char directory[] = "/tmp/headgate-test-XXXXXX", file[64], expected[128];
  CHECK(mkdtemp(directory) != NULL);
  snprintf(file, sizeof file, "%s/devs.config.json", directory);
  struct hg_config *c = NULL;
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_config_read(file, &c, &why), HG_ERR_CONFIG);
  snprintf(expected, sizeof expected, "ConfigurationError: %s: cannot be read (No such file", file);
  CHECK(strncmp(why.text, expected, strlen(expected)) == 0);
  CHECK(strstr(why.text, "tokenBudget.hardLimitTokens") != NULL);
  CHECK_EQ(hg_config_read(directory, &c, &why), HG_ERR_CONFIG);

  FILE *out = fopen(file, "w");
  CHECK(out != NULL);
  fputs("\xef\xbb\xbf{\"tokenBudget\": {" LIMIT "}}\n", out);
  fclose(out);
  CHECK_EQ(hg_config_read(file, &c, &why), HG_OK);
  snprintf(expected, sizeof expected, "%s/headgate.db", directory);
  CHECK_STR(c->ledger_path, expected);
  CHECK_STR(c->source, file);
  hg_config_destroy(&c);

  out = fopen(file, "w");
  CHECK(out != NULL);
  fputs("{\"tokenBudget\":\n{\"hardLimitTokens\": 0}}\n", out);
  fclose(out);
  CHECK_EQ(hg_config_read(file, &c, &why), HG_ERR_CONFIG);
  snprintf(expected, sizeof expected, "ConfigurationError: %s:2:21: tokenBudget.hardLimitTokens ", file);
  CHECK(strncmp(why.text, expected, strlen(expected)) == 0);

  // One byte too many, in spaces.
  out = fopen(file, "w");
  CHECK(out != NULL);
  for (int i = 0; i < 4 * 1024 * 1024 + 1; i++)
    fputc(' ', out);
  fclose(out);
  CHECK_EQ(hg_config_read(file, &c, &why), HG_ERR_CONFIG);
  CHECK(strstr(why.text, "4194305 bytes, 4194304 are possible") != NULL);
  unlink(file);
  rmdir(directory);
}

TEST(config, the_example) {
  struct hg_config *c = NULL;
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_config_read(HG_SOURCE_DIR "/examples/devs.config.json", &c, &why), HG_OK);
  CHECK_EQ(c->budgets[0].hard_limit, 19800);
  CHECK_EQ(c->max_concurrency, 4);
  CHECK_STR(c->ledger_path, HG_SOURCE_DIR "/examples/headgate.db");
  CHECK_EQ(c->event_bind_count, 1);
  CHECK_STR(c->warnings, "");
  hg_config_destroy(&c);
}

TEST(config, metrics) {
  static const struct {
    const char *listen, *host;
  } cases[] = {{"127.0.0.1:9469", "127.0.0.1"},
               {"localhost:9469", "127.0.0.1"},
               {"127.9.9.9:9469", "127.9.9.9"},
               {"[::1]:9469", "::1"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char json[256];
    snprintf(json, sizeof json, "{\"tokenBudget\":{\"hardLimitTokens\":1},\"serve\":{\"metrics\":{\"listen\":\"%s\"}}}",
             cases[i].listen);
    struct hg_config *c = accept(json);
    CHECK(c->metrics.wanted && c->metrics.is_loopback);
    CHECK_STR(c->metrics.host, cases[i].host);
    CHECK_EQ(c->metrics.port, 9469);
    hg_config_destroy(&c);
  }
  struct hg_config *c = accept("{\"tokenBudget\":{\"hardLimitTokens\":1},\"serve\":{\"metrics\":{}}}");
  CHECK(c->metrics.wanted && !c->metrics.host);
  hg_config_destroy(&c);
}
