// The configuration's parts: the tree of budgets, places, positions, suggestions.
// labels: budget
#include "config/locate.h"
#include "config/suggest.h"
#include "unit/config_text.h"

#include <unistd.h>

#define HEAD "{\"tokenBudget\": {\"hardLimitTokens\": 1000, \"budgets\": "
#define TAIL "}}"

static const struct hg_budget_config *budget_of(const struct hg_config *config, const char *name) {
  for (uint32_t i = 0; i < config->budget_count; i++)
    if (strcmp(config->budgets[i].name, name) == 0) return &config->budgets[i];
  return NULL;
}

// Every name is found, with the index and without one, and no beginning or lengthening of it is taken for it.
static void check_names(struct hg_config *config) {
  char longer[HG_BUDGET_NAME_MAX + 2];
  uint32_t at, *by_name = config->budgets_by_name;
  CHECK(by_name != NULL);
  for (uint32_t i = 0; i < config->budget_count; i++) {
    const char *name = config->budgets[i].name;
    const size_t len = strlen(name);
    CHECK(hg_config_find_budget(config, name, len, &at) && at == i);
    snprintf(longer, sizeof longer, "%s!", name);
    CHECK(!hg_config_find_budget(config, longer, len + 1, &at));
    const bool shorter = hg_config_find_budget(config, longer, len - 1, &at);
    CHECK(!shorter ||
          (strlen(config->budgets[at].name) == len - 1 && strncmp(config->budgets[at].name, name, len - 1) == 0));
    if (i % 1000) continue;
    config->budgets_by_name = NULL;
    CHECK(hg_config_find_budget(config, name, len, &at) && at == i);
    CHECK(!hg_config_find_budget(config, longer, len + 1, &at));
    config->budgets_by_name = by_name;
  }
  CHECK(!hg_config_find_budget(config, "", 0, &at));
  CHECK(!hg_config_find_budget(config, "default\0x", 9, &at));
}

static void check_tree(struct hg_config *config) {
  CHECK_STR(config->budgets[0].name, "default");
  CHECK_EQ(config->budgets[0].parent, 0);
  for (uint32_t i = 1; i < config->budget_count; i++)
    CHECK(config->budgets[i].parent < i);
  check_names(config);
}

TEST(budgets, parents_come_first) {
  struct hg_config *c = NULL;
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(parse(HEAD
                 "{\"leaf\": {\"hardLimitTokens\": 1, \"parent\": \"mid\"}, \"mid\": {\"parent\": \"top\", "
                 "\"hardLimitTokens\": 5000}, \"top\": {\"hardLimitTokens\": 3}, \"a.b_c-9\": {\"hardLimitTokens\": 4, "
                 "\"parent\": \"default\"}}" TAIL,
                 &c, &why),
           HG_OK);
  CHECK_EQ(c->budget_count, 5);
  check_tree(c);
  CHECK_STR(c->budgets[budget_of(c, "leaf")->parent].name, "mid");
  CHECK_STR(c->budgets[budget_of(c, "mid")->parent].name, "top");
  CHECK_EQ(budget_of(c, "top")->parent, 0);
  CHECK_EQ(budget_of(c, "a.b_c-9")->parent, 0);
  CHECK_EQ(budget_of(c, "mid")->hard_limit, 5000); // over its parent's: a child can only narrow in effect
  hg_config_destroy(&c);
}

TEST(budgets, refusals) {
  refuse(HEAD "[]" TAIL, "1:54: tokenBudget.budgets must be an object", "a list");
  refuse(HEAD "{\"a\": 5}" TAIL, "1:60: tokenBudget.budgets.a must be an object", "found 5");
  refuse(HEAD "{\"a\": {}}" TAIL, "1:60: tokenBudget.budgets.a.hardLimitTokens is missing", "");
  refuse(HEAD "{\"a\": {\"hardLimitTokens\": 0}}" TAIL, "1:80: tokenBudget.budgets.a.hardLimitTokens ", "found 0");
  refuse(HEAD "{\"default\": {\"hardLimitTokens\": 1}}" TAIL, "1:55: tokenBudget.budgets.default may not appear here",
         "tokenBudget.hardLimitTokens");
  static const char *const names[] = {
      "", "a b", "a/b", "\\u00e9", "\\n", "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    char json[256];
    snprintf(json, sizeof json, HEAD "{\"%s\": {\"hardLimitTokens\": 1}}" TAIL, names[i]);
    refuse(json, "1:55: tokenBudget.budgets.", "not a budget's name: 1 to 64");
  }
  refuse(HEAD "{\"a\": {\"hardLimitTokens\": 1, \"parent\": 3}}" TAIL, "1:93: tokenBudget.budgets.a.parent ",
         "found 3");
  refuse(HEAD
         "{\"research\": {\"hardLimitTokens\": 1},\n\"b\": {\"hardLimitTokens\": 1, \"parent\": \"reserach\"}}" TAIL,
         "2:39: tokenBudget.budgets.b.parent names a budget that does not exist", "did you mean \"research\"?");
  refuse(HEAD "{\"a\": {\"hardLimitTokens\": 1, \"parent\": \"a\"}}" TAIL,
         "1:93: tokenBudget.budgets.a.parent leads into a circle", "\"a\"");
  refuse(HEAD "{\"x\": {\"hardLimitTokens\": 1, \"parent\": \"a\"}, \"a\": {\"hardLimitTokens\": 1, \"parent\": \"b\"},"
              " \"b\": {\"hardLimitTokens\": 1, \"parent\": \"a\"}}" TAIL,
         "1:93: tokenBudget.budgets.x.parent leads into a circle", "by way of");
}

// A chain of `count` budgets under default, written from the deepest to the highest.
static char *chain(unsigned count) {
  char *json = malloc(count * 64 + 256), *at = json;
  CHECK(json != NULL);
  at += sprintf(at, HEAD "{");
  for (unsigned i = count; i > 0; i--)
    at += sprintf(at, "%s\"b%u\": {\"hardLimitTokens\": %u, \"parent\": \"%s%.0u\"}", i == count ? "" : ", ", i, i,
                  i == 1 ? "default" : "b", i - 1);
  sprintf(at, "}" TAIL);
  return json;
}

TEST(budgets, depth_has_a_limit) {
  struct hg_config *c = NULL;
  hg_error why = HG_ERROR_INIT;
  char *json = chain(HG_BUDGET_DEPTH_MAX - 1);
  CHECK_EQ(parse(json, &c, &why), HG_OK);
  CHECK_EQ(c->budget_count, HG_BUDGET_DEPTH_MAX);
  check_tree(c);
  CHECK_STR(c->budgets[HG_BUDGET_DEPTH_MAX - 1].name, "b7");
  hg_config_destroy(&c);
  free(json);
  json = chain(HG_BUDGET_DEPTH_MAX);
  refuse(json, "1:94: tokenBudget.budgets.b8.parent is too deep", "at most 8 budgets");
  free(json);
}

// `count` budgets, each but the first 100 with a parent of a tenth of its number, so that the tree is 4 levels deep.
static char *many(unsigned count) {
  char *json = malloc((size_t)count * 80 + 256), *at = json;
  CHECK(json != NULL);
  at += sprintf(at, HEAD "{");
  for (unsigned i = 0; i < count; i++) {
    at += sprintf(at, "%s\n\"team-%u\": {\"hardLimitTokens\": %u", i ? "," : "", i, i + 1);
    at += i < 100 ? sprintf(at, "}") : sprintf(at, ", \"parent\": \"team-%u\"}", i / 10);
  }
  sprintf(at, "}" TAIL);
  return json;
}

TEST(budgets, ten_thousand) {
  struct hg_config *c = NULL;
  hg_error why = HG_ERROR_INIT;
  char *json = many(10000);
  CHECK_EQ(parse(json, &c, &why), HG_OK);
  free(json);
  CHECK_EQ(c->budget_count, 10001);
  check_tree(c);
  for (uint32_t i = 1; i < c->budget_count; i++) {
    char parent[32];
    const long number = strtol(c->budgets[i].name + strlen("team-"), NULL, 10);
    CHECK_EQ(c->budgets[i].hard_limit, number + 1);
    snprintf(parent, sizeof parent, number < 100 ? "default" : "team-%ld", number / 10);
    CHECK_STR(c->budgets[c->budgets[i].parent].name, parent);
  }
  hg_config_destroy(&c);
  json = many(10001);
  refuse(json, "1:54: tokenBudget.budgets has 10001 budgets, 10000 are possible", "");
  free(json);
}

// One circle through all of them is found without walking it 10,000 times.
TEST(budgets, ten_thousand_in_a_circle) {
  char *json = malloc(10000 * 80 + 256), *at = json;
  CHECK(json != NULL);
  at += sprintf(at, HEAD "{");
  for (unsigned i = 0; i < 10000; i++)
    at += sprintf(at, "%s\"t%u\": {\"hardLimitTokens\": 1, \"parent\": \"t%u\"}", i ? "," : "", i, (i + 1) % 10000);
  sprintf(at, "}" TAIL);
  refuse(json, "1:94: tokenBudget.budgets.t0.parent leads into a circle", "");
  free(json);
}

TEST(places, beside_the_ledger) {
  struct hg_places places;
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_places_of("/srv/app/headgate.db", NULL, &places, &why), HG_OK);
  CHECK_STR(places.lock_file, "/srv/app/headgate.db.lock");
  CHECK_STR(places.directory, "/srv/app/headgate.db.d");
  CHECK_STR(places.events_endpoint, "ipc:///srv/app/headgate.db.d/events.ipc");
  CHECK_STR(places.control_endpoint, "ipc:///srv/app/headgate.db.d/control.ipc");
  CHECK_EQ(hg_places_of("headgate.db", NULL, &places, &why), HG_ERR_INVALID);
  CHECK(why.text[0] != '\0');
}

// A ledger path of `len` bytes.
static void long_path(char *out, size_t len) {
  memset(out, 'x', len);
  out[0] = '/';
  out[len] = '\0';
}

TEST(places, long_paths_move_the_sockets) {
  struct hg_places places;
  hg_error why = HG_ERROR_INIT;
  char path[HG_PATH_MAX + 1], expected[HG_PATH_MAX + 64];
  long_path(path, 107 - strlen(".d/control.ipc"));
  CHECK_EQ(hg_places_of(path, "/run/user/7", &places, &why), HG_OK);
  CHECK_EQ(strlen(places.control_endpoint), strlen("ipc://") + 107);
  long_path(path, 108 - strlen(".d/control.ipc"));
  CHECK_EQ(hg_places_of(path, "/run/user/7", &places, &why), HG_OK);
  snprintf(expected, sizeof expected, "%s.lock", path);
  CHECK_STR(places.lock_file, expected);
  // FNV-1a, 64 bits, computed apart from the code under test.
  uint64_t hash = 14695981039346656037U;
  for (const char *c = path; *c; c++)
    hash = (hash ^ (uint64_t)*c) * 1099511628211U;
  snprintf(expected, sizeof expected, "/run/user/7/headgate-%016llx", (unsigned long long)hash);
  CHECK_STR(places.directory, expected);
  snprintf(expected, sizeof expected, "/tmp/headgate-%lu/headgate-%016llx", (unsigned long)getuid(),
           (unsigned long long)hash);
  CHECK_EQ(hg_places_of(path, NULL, &places, &why), HG_OK);
  CHECK_STR(places.directory, expected);
  CHECK_EQ(hg_places_of(path, "relative", &places, &why), HG_OK);
  CHECK_STR(places.directory, expected);
  char runtime_dir[101];
  long_path(runtime_dir, 100);
  CHECK_EQ(hg_places_of(path, runtime_dir, &places, &why), HG_ERR_CONFIG);
  CHECK(strncmp(why.text, "ConfigurationError: ", 20) == 0);
  long_path(path, HG_PATH_MAX - 5);
  CHECK_EQ(hg_places_of(path, "/run", &places, &why), HG_OK);
  long_path(path, HG_PATH_MAX - 4);
  CHECK_EQ(hg_places_of(path, "/run", &places, &why), HG_ERR_CONFIG);
}

TEST(minimal, limit_and_ledger) {
  struct hg_config *c = NULL;
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_config_minimal(5000, "/tmp/r\xe9sults.db", &c, &why), HG_OK); // a path need not be UTF-8
  CHECK_STR(c->ledger_path, "/tmp/r\xe9sults.db");
  CHECK_EQ(c->budgets[0].hard_limit, 5000);
  CHECK_EQ(c->budget_count, 1);
  CHECK_EQ(c->event_bind_count, 0);
  hg_config_destroy(&c);
  CHECK_EQ(hg_config_minimal(1, "x.db", &c, &why), HG_OK);
  CHECK(c->ledger_path[0] == '/' && strcmp(strrchr(c->ledger_path, '/'), "/x.db") == 0);
  hg_config_destroy(&c);
  static const int64_t wrong[] = {0, -1, HG_TOKENS_MAX + 1};
  for (size_t i = 0; i < 3; i++) {
    CHECK_EQ(hg_config_minimal(wrong[i], "x.db", &c, &why), HG_ERR_CONFIG);
    CHECK(strncmp(why.text, "ConfigurationError: tokenBudget.hardLimitTokens ", 48) == 0);
  }
  CHECK_EQ(hg_config_minimal(5, "", &c, &why), HG_ERR_CONFIG);
  CHECK_EQ(hg_config_minimal(5, "out/", &c, &why), HG_ERR_CONFIG);
  char path[600];
  long_path(path, 504);
  CHECK_EQ(hg_config_minimal(5, path, &c, &why), HG_OK);
  hg_config_destroy(&c);
  long_path(path, 505);
  CHECK_EQ(hg_config_minimal(5, path, &c, &why), HG_ERR_CONFIG);
}

TEST(suggest, distance) {
  CHECK_EQ(hg_edit_distance("ledger", "ledger"), 0);
  CHECK_EQ(hg_edit_distance("ledger", "Ledger"), 1);
  CHECK_EQ(hg_edit_distance("ledger", "ldeger"), 1);
  CHECK_EQ(hg_edit_distance("ledger", "ledge"), 1);
  CHECK_EQ(hg_edit_distance("", "llm"), 3);
  CHECK_EQ(hg_edit_distance("kitten", "sitting"), 3);
  char name[HG_SUGGEST_BYTES_MAX + 2];
  long_path(name, HG_SUGGEST_BYTES_MAX + 1);
  CHECK(hg_edit_distance(name, name) > 2);
  static const char *const known[] = {"ledger", "llm", "scheduler"};
  CHECK_STR(hg_suggest("schedule", known, 3), "scheduler");
  CHECK_STR(hg_suggest("llms", known, 3), "llm");
  CHECK(hg_suggest("log", known, 3) == NULL);
  CHECK(hg_suggest("ledger", known, 3) == NULL);
  CHECK(hg_suggest("", known, 3) == NULL);
}

TEST(locate, positions) {
  static const char text[] = "{\n \"\\u00e4\\ud83d\\ude00b\": [1, {\"x\\\"y\": \"{]\", \"é\": 2.5}],\n \"z\" : true }";
  const struct hg_path list = {.key = "\xc3\xa4\xf0\x9f\x98\x80"
                                      "b"};
  const struct hg_path element = {.parent = &list, .index = 1};
  const struct hg_path quoted = {.parent = &element, .key = "x\"y"};
  const struct hg_path accent = {.parent = &element, .key = "\xc3\xa9"};
  const struct hg_path last = {.key = "z"}, absent = {.key = "y"}, beyond = {.parent = &list, .index = 2};
  struct hg_location where;
  CHECK(hg_locate(text, strlen(text), &quoted, &where));
  CHECK(strncmp(text + where.value, "\"{]\"", where.end - where.value) == 0);
  CHECK(hg_locate(text, strlen(text), &accent, &where));
  CHECK(strncmp(text + where.value, "2.5", where.end - where.value) == 0);
  struct hg_position at = hg_position_of(text, strlen(text), where.value);
  CHECK_EQ(at.line, 2);
  CHECK_EQ(at.column, 49); // characters, not bytes
  CHECK(hg_locate(text, strlen(text), &last, &where));
  at = hg_position_of(text, strlen(text), where.key);
  CHECK_EQ(at.line, 3);
  CHECK_EQ(at.column, 2);
  CHECK(hg_locate(text, strlen(text), NULL, &where));
  CHECK_EQ(where.end, strlen(text));
  CHECK(!hg_locate(text, strlen(text), &absent, &where));
  CHECK(!hg_locate(text, strlen(text), &beyond, &where));
  char name[64];
  hg_path_print(&(struct hg_path){.parent = &(struct hg_path){.parent = &last, .index = 3}, .key = "k"}, name,
                sizeof name);
  CHECK_STR(name, "z[3].k");
}

TEST(locate, trace_names_the_field) {
  static const char text[] = "{\"a\": [1, {\"b\": 5 oops";
  char name[64];
  CHECK_EQ(hg_trace(text, strlen(text), strlen(text), name, sizeof name), 18);
  CHECK_STR(name, "a[1].b");
  CHECK_EQ(hg_trace("", 0, 0, name, sizeof name), 0);
  CHECK_STR(name, "");
}
