// What the configuration refuses: every range, and the exact words and place of a refusal.
// labels: budget
#include "unit/config_text.h"

TEST(config_refused, hard_limit_has_no_default) {
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

TEST(config_refused, hard_limit_is_a_whole_number) {
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

TEST(config_refused, ranges) {
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
      {WITH("\"llm\": {\"tokensPerMinute\": %s}"), "1:71: llm.tokensPerMinute ", {"0", "-1", "true"}},
      {WITH("\"llm\": {\"requestsPerMinute\": %s}"), "1:73: llm.requestsPerMinute ", {"0", "1.5", "\"60\""}},
      {WITH("\"llm\": {\"retryUnknownOutcome\": %s}"), "1:75: llm.retryUnknownOutcome ", {"-1", "101", "true"}},
      {WITH("\"llm\": {\"reservation\": %s}"),
       "1:67: llm.reservation must be \"bound\", \"counted\" or \"learned\"",
       {"1", "\"count\""}},
      {WITH("\"llm\": {\"counter\": %s}"), "1:63: llm.counter must be \"auto\" or \"vllm\"", {"true", "\"openai\""}},
      {WITH("\"llm\": {\"mayCapOutput\": %s}"), "1:68: llm.mayCapOutput must be true or false", {"1", "\"true\""}},
      {WITH("\"llm\": {\"defaultMaxTokens\": %s}"), "1:72: llm.defaultMaxTokens ", {"0", "9007199254740992"}},
      {WITH("\"llm\": {\"maxTokensPerMedia\": %s}"), "1:73: llm.maxTokensPerMedia ", {"-1", "9007199254740992"}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    for (size_t k = 0; k < 6 && cases[i].wrong[k]; k++)
      refuse_value(cases[i].format, cases[i].wrong[k], cases[i].place, "found");
}

TEST(config_refused, texts_and_choices) {
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

TEST(config_refused, secrets_are_not_repeated) {
  refuse_secret(WITH("\"llm\": {\"apiKeyEnv\": \"sk-s3cret\"}"), "1:65: llm.apiKeyEnv ", "s3cret");
  refuse_secret(WITH("\"llm\": {\"headers\": {\"X-Key\": \"s3cret\\r\\nX: y\"}}"), "1:73: llm.headers.X-Key ",
                "s3cret");
  refuse_secret(WITH("\"llm\": {\"headers\": {\"X Key\": \"s3cret\"}}"), "1:64: llm.headers.X Key ", "s3cret");
  refuse_secret(WITH("\"llm\": {\"baseUrl\": \"me:s3cret@host\"}"), "1:63: llm.baseUrl ", "s3cret");
}

TEST(config_refused, unknown_keys) {
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
  refuse(WITH("\"eventBus\": {\"curve\": {}}"), "1:66: eventBus.curve.serverSecretKeyFile is missing", "keygen");
  refuse(WITH("\"serve\": {\"curve\": {\"serverSecretKeyFile\": \"k\"}}"),
         "1:63: serve.curve.allowedClientKeys is missing", "public keys");
  refuse(WITH("\"serve\": {\"curve\": {\"serverSecretKeyFile\": \"\", \"allowedClientKeys\": \"a\"}}"),
         "1:87: serve.curve.serverSecretKeyFile ", "1 to 1024 bytes");
  refuse(WITH("\"serve\": {\"curve\": {\"serverSecretKeyFile\": \"k\", \"allowedClientKeys\": \"a\", \"key\": 1}}"),
         "1:118: serve.curve.key ", "known here are");
  refuse(WITH("\"serve\": {\"binds\": []}"), "1:54: serve.binds ", "did you mean \"bind\"?");
  refuse(WITH("\"eventBus\": {\"maxSubscribers\": 0}"), "1:75: eventBus.maxSubscribers ", "from 1 to 4096 connections");
  refuse(WITH("\"serve\": {\"maxClients\": 4097}"), "1:68: serve.maxClients ", "from 1 to 4096 connections");
}

TEST(config_refused, nothing_is_there_twice) {
  refuse("{\"tokenBudget\": {" LIMIT ",\n " LIMIT "}}", "2:2: tokenBudget.hardLimitTokens is there twice", "keep one");
  refuse(WITH("\"other\": [{\"a\": 1, \"\\u0061\": 2}]"), "1:63: other[0].", "is there twice");
}

TEST(config_refused, event_endpoints) {
  static const struct {
    const char *endpoint, *advice;
  } cases[] = {{"\"tcp://*:5555\"", "needs CURVE: make a key with \"headgate keygen FILE\" and set eventBus.curve"},
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
  refuse(WITH("\"serve\": {\"bind\": [\"tcp://*:5555\"]}"), "1:63: serve.bind[0] ", "set serve.curve");
  refuse(WITH("\"eventBus\": {\"bind\": [\"ipc://a\"]}, \"serve\": {\"bind\": [\"ipc://a\"]}"), "1:98: serve.bind[0] ",
         "is the same endpoint as eventBus.bind[0]");
}

#define KEYS "\"curve\": {\"serverSecretKeyFile\": \"k\", \"allowedClientKeys\": \"a\"}"

TEST(config_refused, endpoints_with_keys) {
  refuse(WITH("\"eventBus\": {" KEYS ", \"bind\": [\"tcp://eth0:5555\"]}"), "1:131: eventBus.bind[0] ",
         "must name an address");
  refuse(WITH("\"serve\": {" KEYS ", \"bind\": [\"tcp://example.org:5555\"]}"), "1:128: serve.bind[0] ",
         "must name an address");
  refuse(WITH("\"eventBus\": {" KEYS "}, \"serve\": {\"bind\": [\"tcp://*:1\"]}"), "1:142: serve.bind[0] ",
         "needs CURVE");
}

TEST(config_refused, metrics) {
  static const struct value_case {
    const char *listen, *advice;
  } cases[] = {{"\"0.0.0.0:9469\"", "beyondLoopback"},
               {"\"*:9469\"", "beyondLoopback"},
               {"\"[::]:9469\"", "beyondLoopback"},
               {"\"192.0.2.7:9469\"", "(\"127.0.0.1:9469\")"},
               {"\"[::ffff:127.0.0.1]:1\"", "beyondLoopback"},
               {"\"127.0.0.1\"", "ADDRESS:PORT"},
               {"\"127.0.0.1:65536\"", "ADDRESS:PORT"},
               {"\"example.org:80\"", "ADDRESS:PORT"},
               {"\"::1:80\"", "ADDRESS:PORT"},
               {"9469", "found 9469"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    refuse_value(WITH("\"serve\": {\"metrics\": {\"listen\": %s}}"), cases[i].listen, "1:76: serve.metrics.listen ",
                 cases[i].advice);
  refuse(WITH("\"serve\": {\"metrics\": {\"listn\": \"127.0.0.1:1\"}}"), "1:66: serve.metrics.listn ",
         "did you mean \"listen\"?");
  refuse(WITH("\"serve\": {\"metrics\": \"127.0.0.1:1\"}"), "1:65: serve.metrics ", "must be an object");
}
