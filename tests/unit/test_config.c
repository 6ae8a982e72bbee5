// The configuration: every field, its default, its range, and the exact words and place of a refusal.
// labels: budget
#include "config/config.h"
#include "support/test.h"

#include <unistd.h>

#define LIMIT "\"hardLimitTokens\": 1000"
#define WITH(section) "{\"tokenBudget\": {" LIMIT "}, " section "}"

static struct hg_config *accept(const char *json) {
  struct hg_config *config = NULL;
  hg_error why = HG_ERROR_INIT;
  const hg_err err = hg_config_parse(json, strlen(json), "devs.config.json", "/srv/app", &config, &why);
  if (err != HG_OK) fprintf(stderr, "%s\n%s\n", json, why.text);
  CHECK_EQ(err, HG_OK);
  return config;
}

// Refused, and the text after "ConfigurationError: devs.config.json:" begins with `place` and contains `advice`.
static void refuse(const char *json, const char *place, const char *advice) {
  static const char prefix[] = "ConfigurationError: devs.config.json:";
  struct hg_config *config = NULL;
  hg_error why = HG_ERROR_INIT;
  const hg_err err = hg_config_parse(json, strlen(json), "devs.config.json", "/srv/app", &config, &why);
  const bool prefixed = strncmp(why.text, prefix, sizeof prefix - 1) == 0;
  const bool placed = prefixed && strncmp(why.text + sizeof prefix - 1, place, strlen(place)) == 0;
  const bool advised = strstr(why.text, advice) != NULL;
  if (err != HG_ERR_CONFIG || !placed || !advised)
    fprintf(stderr, "%s\n  wanted: %s … %s\n  got:    %s\n", json, place, advice, why.text);
  CHECK_EQ(err, HG_ERR_CONFIG);
  CHECK_EQ(why.code, HG_ERR_CONFIG);
  CHECK(placed);
  CHECK(advised);
  CHECK(config == NULL);
}

// `value` is put where %s stands in `format`.
static void refuse_value(const char *format, const char *value, const char *place, const char *advice) {
  char json[4096];
  const char *hole = strstr(format, "%s");
  CHECK(hole != NULL);
  snprintf(json, sizeof json, "%.*s%s%s", (int)(hole - format), format, value, hole + 2);
  refuse(json, place, advice);
}

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
      " \"tcp://localhost:5556\"]},"
      " \"llm\": {\"baseUrl\": \"http://127.0.0.1:8000/v1\", \"apiKeyEnv\": \"MY_KEY\", \"auth\": \"x-api-key\","
      " \"headers\": {\"X-Team\": \"a b\", \"OpenAI-Beta\": \"v2\"}, \"outputCapField\": \"max_completion_tokens\","
      " \"unbounded\": \"allow\", \"maxTokensPerMedia\": 1500, \"timeoutSeconds\": 86400, \"maxAttempts\": 100,"
      " \"retryUnknownOutcome\": 0, \"defaultMaxTokens\": 1, \"mayCapOutput\": true}}");
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
  CHECK_STR(c->llm.base_url, "http://127.0.0.1:8000/v1");
  CHECK_STR(c->llm.api_key_env, "MY_KEY");
  CHECK_STR(c->llm.auth, "x-api-key");
  CHECK_EQ(c->llm.header_count, 2);
  CHECK_STR(c->llm.headers[0], "X-Team: a b");
  CHECK_STR(c->llm.headers[1], "OpenAI-Beta: v2");
  CHECK_STR(c->llm.output_cap_field, "max_completion_tokens");
  CHECK(c->llm.allow_unbounded && c->llm.may_cap_output);
  CHECK_EQ(c->llm.max_tokens_per_media, 1500);
  CHECK_EQ(c->llm.timeout_seconds, 86400);
  CHECK_EQ(c->llm.max_attempts, 100);
  CHECK_EQ(c->llm.retry_unknown_outcome, 0);
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

TEST(config, hard_limit_has_no_default) {
  refuse("{}", "1:1: tokenBudget.hardLimitTokens is missing", "no default");
  refuse("\n  {\"other\": 1}", "2:3: tokenBudget.hardLimitTokens is missing", "no default");
  refuse("{\n  \"tokenBudget\": {\n  }\n}", "2:18: tokenBudget.hardLimitTokens is missing", "no default");
  refuse("{\"tokenbudget\": {" LIMIT "}}", "1:1: tokenBudget.hardLimitTokens is missing",
         "\"tokenbudget\" a misspelling");
  refuse("{\"tokenBudget\": {\"hardLimitToken\": 5}}", "1:17: tokenBudget.hardLimitTokens is missing",
         "\"hardLimitToken\" a misspelling");
  refuse("{\"tokenBudget\": 5}", "1:17: tokenBudget must be an object", "found 5");
  refuse("{\"tokenBudget\": null}", "1:17: tokenBudget must be an object", "found null");
}

TEST(config, hard_limit_is_a_whole_number) {
  static const char format[] =
      "{\n  \"tokenBudget\": {\n    \"throttlePercent\": 90,\n    \"hardLimitTokens\": %s\n  }\n}\n";
  static const char place[] = "4:24: tokenBudget.hardLimitTokens ";
  static const struct {
    const char *value, *advice;
  } cases[] = {{"0", "from 1 to 9007199254740991 tokens; found 0"},
               {"-1", "found -1"},
               {"-0", "found -0"},
               {"9007199254740992", "found 9007199254740992"},
               {"9223372036854775807", "found 9223372036854775807"},
               {"9223372036854775808", "too large"},
               {"-9223372036854775809", "too large"},
               {"99999999999999999999999999999999999999", "too large"},
               {"1e400", "too large"},
               {"1.5", "digits only"},
               {"200000.0", "found 200000.0"},
               {"1e6", "found 1e6"},
               {"\"200000\"", "found \"200000\""},
               {"true", "found true"},
               {"null", "found null"},
               {"[200000]", "found a list"},
               {"{\"a\": 1}", "found an object"},
               {"200_000", "not valid JSON"},
               {"0x10", "not valid JSON"},
               {"012", "not valid JSON"},
               {"NaN", "not valid JSON"},
               {"+5", "not valid JSON"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    refuse_value(format, cases[i].value, place, cases[i].advice);
}

TEST(config, ranges) {
  static const struct {
    const char *format, *place;
    const char *wrong[6];
  } cases[] = {
      {"{\"tokenBudget\": {" LIMIT ", \"throttlePercent\": %s}}",
       "1:62: tokenBudget.throttlePercent ",
       {"0", "101", "90.5"}},
      {"{\"tokenBudget\": {" LIMIT ", \"throttlePercent\": 70, \"restoreBelowPercent\": %s}}",
       "1:89: tokenBudget.restoreBelowPercent ",
       {"0", "71", "\"70\""}},
      {WITH("\"scheduler\": {\"maxConcurrency\": %s}"),
       "1:76: scheduler.maxConcurrency ",
       {"0", "65537", "-1", "4294967297"}},
      {WITH("\"scheduler\": {\"maxConcurrency\": 8, \"throttledConcurrency\": %s}"),
       "1:103: scheduler.throttledConcurrency ",
       {"0", "9"}},
      {WITH("\"ledger\": {\"keepDays\": %s}"), "1:67: ledger.keepDays ", {"-1", "36501", "1.0"}},
      {WITH("\"ledger\": {\"sharedReaders\": %s}"),
       "1:72: ledger.sharedReaders must be true or false",
       {"1", "\"true\"", "null"}},
      {WITH("\"llm\": {\"timeoutSeconds\": %s}"), "1:70: llm.timeoutSeconds ", {"0", "86401"}},
      {WITH("\"llm\": {\"maxAttempts\": %s}"), "1:67: llm.maxAttempts ", {"0", "101"}},
      {WITH("\"llm\": {\"retryUnknownOutcome\": %s}"), "1:75: llm.retryUnknownOutcome ", {"-1", "101", "true"}},
      {WITH("\"llm\": {\"mayCapOutput\": %s}"), "1:68: llm.mayCapOutput must be true or false", {"1", "\"true\""}},
      {WITH("\"llm\": {\"defaultMaxTokens\": %s}"), "1:72: llm.defaultMaxTokens ", {"0", "9007199254740992"}},
      {WITH("\"llm\": {\"maxTokensPerMedia\": %s}"), "1:73: llm.maxTokensPerMedia ", {"-1", "9007199254740992"}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    for (size_t k = 0; k < 6 && cases[i].wrong[k]; k++)
      refuse_value(cases[i].format, cases[i].wrong[k], cases[i].place, "found");
}

TEST(config, texts_and_choices) {
  refuse("{\"tokenBudget\": {" LIMIT ", \"throttleBasis\": \"comitted\"}}", "1:60: tokenBudget.throttleBasis ",
         "\"used\" or \"committed\"; found \"comitted\"");
  refuse("{\"tokenBudget\": {" LIMIT ", \"orphanedReservations\": true}}", "1:67: tokenBudget.orphanedReservations ",
         "\"charge\", \"keep\" or \"release\"; found true");
  refuse(WITH("\"ledger\": {\"path\": \"\"}"), "1:63: ledger.path ", "1 to 1024 bytes");
  refuse(WITH("\"ledger\": {\"path\": 7}"), "1:63: ledger.path ", "text in quotes; found 7");
  refuse(WITH("\"ledger\": {\"path\": \"data/\"}"), "1:63: ledger.path ", "must name a file");
  refuse(WITH("\"llm\": {\"auth\": \"Bearer\"}"), "1:60: llm.auth ", "\"bearer\"");
  refuse(WITH("\"llm\": {\"unbounded\": \"yes\"}"), "1:65: llm.unbounded ", "\"refuse\" or \"allow\"");
  refuse(WITH("\"llm\": {\"outputCapField\": \"a b\"}"), "1:70: llm.outputCapField ", "max_tokens");
  static const char *const urls[] = {"\"api.openai.com\"", "\"ftp://x\"",     "\"https://\"",
                                     "\"https:///v1\"",    "\"https://a b\"", "\"https://a\\n\""};
  for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++)
    refuse_value(WITH("\"llm\": {\"baseUrl\": %s}"), urls[i], "1:63: llm.baseUrl must be a URL",
                 "https://api.openai.com");
}

static void refuse_secret(const char *json, const char *place, const char *secret) {
  struct hg_config *config = NULL;
  hg_error why = HG_ERROR_INIT;
  refuse(json, place, "");
  CHECK_EQ(hg_config_parse(json, strlen(json), "f", NULL, &config, &why), HG_ERR_CONFIG);
  CHECK(strstr(why.text, secret) == NULL);
}

TEST(config, secrets_are_not_repeated) {
  refuse_secret(WITH("\"llm\": {\"apiKeyEnv\": \"sk-s3cret\"}"), "1:65: llm.apiKeyEnv ", "s3cret");
  refuse_secret(WITH("\"llm\": {\"headers\": {\"X-Key\": \"s3cret\\r\\nX: y\"}}"), "1:73: llm.headers.X-Key ",
                "s3cret");
  refuse_secret(WITH("\"llm\": {\"headers\": {\"X Key\": \"s3cret\"}}"), "1:64: llm.headers.X Key ", "s3cret");
  refuse_secret(WITH("\"llm\": {\"baseUrl\": \"me:s3cret@host\"}"), "1:63: llm.baseUrl ", "s3cret");
}

TEST(config, unknown_keys) {
  refuse("{\"tokenBudget\": {" LIMIT ",\n  \"throtlePercent\": 90}}", "2:3: tokenBudget.throtlePercent ",
         "did you mean \"throttlePercent\"?");
  refuse(WITH("\"ledger\": {\"Path\": \"x\"}"), "1:55: ledger.Path ", "did you mean \"path\"?");
  refuse(WITH("\"scheduler\": {\"concurrency\": 4}"), "1:58: scheduler.concurrency ",
         "known here are maxConcurrency, throttledConcurrency");
  refuse(WITH("\"eventBus\": {\"binds\": []}"), "1:57: eventBus.binds ", "did you mean \"bind\"?");
  refuse(WITH("\"llm\": {\"timeoutSecond\": 4}"), "1:52: llm.timeoutSecond ", "did you mean \"timeoutSeconds\"?");
  refuse(WITH("\"llm\": {\"max\\u0041ttempt\": 4}"), "1:52: llm.maxAttempt ", "did you mean \"maxAttempts\"?");
  refuse("{\"tokenBudget\": {" LIMIT ", \"budgets\": {\"a\": {" LIMIT ", \"parnt\": \"default\"}}}}",
         "1:86: tokenBudget.budgets.a.parnt ", "did you mean \"parent\"?");
  refuse(WITH("\"eventBus\": {\"replay\": \"ipc://run/replay.ipc\"}"), "1:57: eventBus.replay ",
         "not supported in this version");
  refuse(WITH("\"eventBus\": {\"curve\": {}}"), "1:57: eventBus.curve ", "not supported in this version");
}

TEST(config, nothing_is_there_twice) {
  refuse("{\"tokenBudget\": {" LIMIT ",\n " LIMIT "}}", "2:2: tokenBudget.hardLimitTokens is there twice", "keep one");
  refuse(WITH("\"other\": [{\"a\": 1, \"\\u0061\": 2}]"), "1:63: other[0].", "is there twice");
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

TEST(config, event_endpoints) {
  static const struct {
    const char *endpoint, *advice;
  } cases[] = {{"\"tcp://*:5555\"", "needs CURVE, which this version does not have: bind to 127.0.0.1"},
               {"\"tcp://0.0.0.0:5555\"", "needs CURVE"},
               {"\"tcp://128.0.0.1:5555\"", "needs CURVE"},
               {"\"tcp://192.168.1.5:5555\"", "needs CURVE"},
               {"\"tcp://[::]:5555\"", "needs CURVE"},
               {"\"tcp://[::2]:5555\"", "needs CURVE"},
               {"\"tcp://eth0:5555\"", "needs CURVE"},
               {"\"tcp://localhost.example.com:5555\"", "needs CURVE"},
               {"\"tcp://127.0.0.1\"", "HOST:PORT"},
               {"\"tcp://127.0.0.1:\"", "HOST:PORT"},
               {"\"tcp://127.0.0.1:0\"", "HOST:PORT"},
               {"\"tcp://127.0.0.1:65536\"", "HOST:PORT"},
               {"\"tcp://127.0.0.1:*\"", "HOST:PORT"},
               {"\"tcp://:5555\"", "HOST:PORT"},
               {"\"ipc://\"", "path of a file"},
               {"\"ipc://*\"", "path of a file"},
               {"\"ipc://@abstract\"", "path of a file"},
               {"\"inproc://x\"", "must begin with"},
               {"\"\"", "1 to 1024 bytes"},
               {"5", "found 5"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    refuse_value(WITH("\"eventBus\": {\"bind\": [\"ipc://a\", %s]}"), cases[i].endpoint, "1:77: eventBus.bind[1] ",
                 cases[i].advice);
  refuse(WITH("\"eventBus\": {\"bind\": \"ipc://a\"}"), "1:65: eventBus.bind must be a list", "found \"ipc://a\"");
  refuse(WITH("\"eventBus\": {\"bind\": [\"ipc://a\", \"ipc:///srv/app/./a\"]}"), "1:77: eventBus.bind[1] ",
         "element 0");
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
