// The hard limit of a budget: in tokens or in dollars, in one of the two throughout.
#include "config/sections.h"
#include "config/suggest.h"
#include "base/money.h"

#include <string.h>

static const char *const keys[] = {[HG_UNIT_TOKENS] = "hardLimitTokens", [HG_UNIT_NANODOLLARS] = "hardLimitUsd"};
static const char tokens_wanted[] = "a whole number from 1 to 9007199254740991 tokens";
static const char dollars_wanted[] = "dollars in decimal digits, such as 20 or \"12.50\", at most 9007199.254740991";

static_assert(HG_TOKENS_MAX == INT64_C(9007199254740991), "as the texts say");

// A key of the object that is one slip away from `wanted`, or NULL.
static const char *slip_of(json_t *object, const char *wanted) {
  const char *key = NULL;
  json_t *value = NULL;
  json_object_foreach(object, key, value) {
    if (hg_suggest(key, &wanted, 1)) return key;
  }
  return NULL;
}

static void refuse_missing(struct hg_config_reader *reader, const struct hg_path *path, hg_unit unit,
                           const char *slip) {
  hg_reader_fail(reader, path, HG_AT_PARENT, "is missing: it has no default, set it to %s%s%.64s%s",
                 unit == HG_UNIT_TOKENS ? tokens_wanted : dollars_wanted, slip ? " (is \"" : "", slip ? slip : "",
                 slip ? "\" a misspelling of it?)" : "");
}

void hg_read_limit_is_there(struct hg_object *root) {
  const struct hg_path limit = {.parent = &(struct hg_path){.key = "tokenBudget"}, .key = keys[HG_UNIT_TOKENS]};
  if (!json_object_get(root->json, "tokenBudget"))
    refuse_missing(root->reader, &limit, HG_UNIT_TOKENS, slip_of(root->json, "tokenBudget"));
}

// As it is written: a number that has gone through floating point is not exact any more.
static bool parse_dollars(const struct hg_object *object, const struct hg_path *path, const json_t *value,
                          int64_t *out) {
  struct hg_location where;
  if (json_is_string(value)) return hg_money_parse(json_string_value(value), json_string_length(value), out);
  if (!json_is_number(value) || !hg_locate(object->reader->text, object->reader->len, path, &where)) return false;
  return hg_money_parse(object->reader->text + where.value, where.end - where.value, out);
}

static void read_dollars(struct hg_object *object, const struct hg_path *path, int64_t *out) {
  char found[HG_BUDGET_NAME_MAX];
  const json_t *value = hg_object_get(object, path->key);
  if (!value || parse_dollars(object, path, value, out)) return;
  hg_reader_fail(object->reader, path, HG_AT_VALUE, "must be %s; found %s", dollars_wanted,
                 hg_reader_found(object->reader, path, found, sizeof found));
}

static int64_t read_limit(struct hg_object *object, hg_unit unit) {
  const struct hg_path path = {.parent = object->path, .key = keys[unit]};
  int64_t limit = 0;
  if (unit == HG_UNIT_TOKENS) hg_object_integer(object, path.key, 1, HG_TOKENS_MAX, "tokens", &limit);
  else read_dollars(object, &path, &limit);
  return limit;
}

int64_t hg_read_hard_limit(struct hg_object *object, hg_unit *unit) {
  const struct hg_path path = {.parent = object->path, .key = keys[HG_UNIT_TOKENS]};
  const struct hg_path other = {.parent = object->path, .key = keys[HG_UNIT_NANODOLLARS]};
  const int64_t tokens = read_limit(object, HG_UNIT_TOKENS), dollars = read_limit(object, HG_UNIT_NANODOLLARS);
  *unit = dollars > 0 ? HG_UNIT_NANODOLLARS : HG_UNIT_TOKENS;
  if (tokens > 0 && dollars > 0)
    hg_reader_fail(object->reader, &other, HG_AT_KEY,
                   "stands beside hardLimitTokens: a ledger counts tokens or dollars, never both; keep one");
  else if (tokens == 0 && dollars == 0) {
    const char *slip = object->json ? slip_of(object->json, keys[HG_UNIT_TOKENS]) : NULL;
    const char *of_other = slip || !object->json ? NULL : slip_of(object->json, keys[HG_UNIT_NANODOLLARS]);
    if (of_other) refuse_missing(object->reader, &other, HG_UNIT_NANODOLLARS, of_other);
    else refuse_missing(object->reader, &path, HG_UNIT_TOKENS, slip);
  }
  return tokens > 0 ? tokens : dollars;
}

int64_t hg_read_hard_limit_in(struct hg_object *object, hg_unit unit) {
  const hg_unit mixed = unit == HG_UNIT_TOKENS ? HG_UNIT_NANODOLLARS : HG_UNIT_TOKENS;
  const struct hg_path path = {.parent = object->path, .key = keys[unit]};
  const struct hg_path other = {.parent = object->path, .key = keys[mixed]};
  const int64_t limit = read_limit(object, unit);
  if (object->json && json_object_get(object->json, keys[mixed]))
    hg_reader_fail(object->reader, &other, HG_AT_KEY,
                   "mixes units: tokenBudget has %s, so every budget has, because a ledger counts one unit",
                   keys[unit]);
  if (limit == 0) refuse_missing(object->reader, &path, unit, object->json ? slip_of(object->json, path.key) : NULL);
  return limit;
}
