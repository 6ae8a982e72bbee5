// The configuration against hostile text and missing memory: it never crashes and always says what is wrong.
// labels: budget
#include "unit/config_text.h"

#include <errno.h>
#include <jansson.h>
#include <time.h>

static void check_tree(const struct hg_config *config) {
  CHECK_STR(config->budgets[0].name, "default");
  CHECK_EQ(config->budgets[0].parent, 0);
  for (uint32_t i = 1; i < config->budget_count; i++)
    CHECK(config->budgets[i].parent < i);
}

static uint64_t random_next(uint64_t *state) {
  uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static const char valid[] =
    "{\n  \"tokenBudget\": {\"hardLimitTokens\": 200000, \"throttlePercent\": 90, \"throttleBasis\": \"used\",\n"
    "    \"restoreBelowPercent\": 80, \"orphanedReservations\": \"charge\",\n    \"budgets\": {\"research\": "
    "{\"hardLimitTokens\": 50000, \"parent\": \"default\"}, \"a\\u0062\": {\"hardLimitTokens\": 7, \"parent\": "
    "\"research\"}}},\n"
    "  \"ledger\": {\"path\": \"headgate.db\", \"keepDays\": 0, \"sharedReaders\": false},\n"
    "  \"scheduler\": {\"maxConcurrency\": 4, \"throttledConcurrency\": 1},\n"
    "  \"eventBus\": {\"bind\": [\"ipc://run/events.ipc\", \"tcp://127.0.0.1:5556\"]},\n"
    "  \"llm\": {\"baseUrl\": \"https://api.openai.com\", \"headers\": {\"X-\\u0041\": \"b\"}, \"timeoutSeconds\": "
    "600},\n"
    "  \"other\": [1, 2.5, null, {\"x\": \"\\u00e9\\ud83d\\ude00\"}]\n}\n";

// One change of a text of *len bytes that has room for one more token.
static void mutate(char *text, size_t *len, uint64_t *state) {
  static const char *const tokens[] = {"{",
                                       "}",
                                       "[",
                                       "]",
                                       ",",
                                       ":",
                                       "\"",
                                       "\\",
                                       "0",
                                       "-1",
                                       "1e6",
                                       "1e999",
                                       "99999999999999999999",
                                       "null",
                                       "true",
                                       "\"\"",
                                       "\\u0000",
                                       "\\ud800",
                                       "\xff",
                                       "\xc3",
                                       "\n",
                                       "\x1b",
                                       "x"};
  const size_t at = *len ? random_next(state) % *len : 0;
  const char *token = tokens[random_next(state) % (sizeof tokens / sizeof tokens[0])];
  size_t cut = random_next(state) % 8, add = strlen(token);
  if (cut > *len - at) cut = *len - at;
  switch (random_next(state) % 4) {
  case 0: // flip a bit
    if (*len) text[at] = (char)(text[at] ^ (1 << random_next(state) % 8));
    return;
  case 1: // cut some bytes
    add = 0;
    break;
  case 2: // insert a token
    cut = 0;
    break;
  default: break; // replace some bytes by a token
  }
  memmove(text + at + add, text + at + cut, *len - at - cut);
  memcpy(text + at, token, add);
  *len = *len - cut + add;
}

static bool is_clean_line(const char *text) {
  for (const char *c = text; *c; c++)
    if ((unsigned char)*c < 0x20 || *c == 0x7f) return false;
  return text[0] != '\0';
}

TEST(hostile, mutations_never_crash_and_always_explain) {
  uint64_t state = hg_test_seed("config_hostile");
  unsigned accepted = 0, refused = 0;
  for (int round = 0; round < 20000; round++) {
    char buffer[sizeof valid + 256];
    size_t len = sizeof valid - 1;
    memcpy(buffer, valid, len);
    for (uint64_t changes = random_next(&state) % 4; changes != UINT64_MAX; changes--)
      mutate(buffer, &len, &state);
    char *text = malloc(len + 1); // of its exact size, so that a sanitizer sees a read behind it
    CHECK(text != NULL);
    memcpy(text, buffer, len);
    struct hg_config *config = NULL;
    hg_error why = HG_ERROR_INIT;
    const hg_err err = parse_bytes(text, len, &config, &why);
    if (err == HG_OK) {
      check_tree(config);
      CHECK(config->budgets[0].hard_limit >= 1 && config->ledger_path[0] == '/');
      accepted++;
    } else {
      CHECK_EQ(err, HG_ERR_CONFIG);
      CHECK(config == NULL && is_clean_line(why.text));
      CHECK(strncmp(why.text, REFUSED, strlen(REFUSED)) == 0);
      refused++;
    }
    hg_config_destroy(&config);
    free(text);
  }
  fprintf(stderr, "%u accepted, %u refused\n", accepted, refused);
  CHECK(accepted > 100 && refused > 10000);
}

TEST(hostile, every_prefix_is_refused) {
  struct hg_config *config = NULL;
  hg_error why = HG_ERROR_INIT;
  const size_t whole = sizeof valid - 2; // without the last line feed
  for (size_t len = 0; len < whole; len++) {
    CHECK_EQ(parse_bytes(valid, len, &config, &why), HG_ERR_CONFIG);
    CHECK(is_clean_line(why.text));
  }
  CHECK_EQ(parse_bytes(valid, whole, &config, &why), HG_OK);
  hg_config_destroy(&config);
}

TEST(hostile, messages_are_bounded_and_readable) {
  static char json[8192], source[2000], key[4001];
  memset(key, 'k', 4000);
  memset(source, '/', sizeof source);
  snprintf(source + 1500, 100, "/devs.config.json");
  struct hg_config *config = NULL;
  hg_error why = HG_ERROR_INIT;
  snprintf(json, sizeof json, "{\"tokenBudget\": {\"hardLimitTokens\": 5, \"%s\": 1}}", key);
  CHECK_EQ(hg_config_parse(json, strlen(json), source, NULL, &config, &why), HG_ERR_CONFIG);
  CHECK(strlen(why.text) <= HG_ERROR_TEXT_MAX);
  CHECK(strstr(why.text, "/devs.config.json:1:40: tokenBudget.kkk") != NULL);
  CHECK(strstr(why.text, "known here are hardLimitTokens") != NULL);
  refuse("{\"tokenBudget\": {\"hardLimitTokens\": 5, \"\\u001b[31m\\u009b\": 1}}", "1:40: tokenBudget.?[31m?? ", "");
  refuse("{\"tokenBudget\": {\"hardLimitTokens\": 5, \"\\u00e9\": 1}}", "1:40: tokenBudget.\xc3\xa9 ", "");
  // Nested as deep as the parser is asked to go: refused in words, not by a stack that is used up.
  memset(json, '[', sizeof json);
  CHECK_EQ(hg_config_parse(json, sizeof json, "f", NULL, &config, &why), HG_ERR_CONFIG);
  CHECK(strstr(why.text, "depth") != NULL);
}

// ------------------------------------------------------------------------------------------------------- no memory

static long allocations_left;

static void *failing_malloc(size_t size) {
  if (allocations_left-- > 0) return malloc(size);
  errno = ENOMEM;
  return NULL;
}

TEST(hostile, no_memory_for_json) {
  json_malloc_t old_malloc = NULL;
  json_free_t old_free = NULL;
  json_get_alloc_funcs(&old_malloc, &old_free);
  hg_err err = HG_ERR_NO_MEMORY;
  long budget = 0, refused = 0;
  for (; err != HG_OK && budget < 10000; budget++) {
    struct hg_config *config = NULL;
    hg_error why = HG_ERROR_INIT;
    allocations_left = budget;
    json_set_alloc_funcs(failing_malloc, free);
    err = parse(valid, &config, &why);
    json_set_alloc_funcs(old_malloc, old_free);
    if (err != HG_OK) {
      CHECK_EQ(err, HG_ERR_NO_MEMORY);
      CHECK(why.text[0] != '\0' && config == NULL);
      refused++;
    }
    hg_config_destroy(&config);
  }
  CHECK_EQ(err, HG_OK);
  CHECK(refused > 20);
}
