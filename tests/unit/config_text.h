// Configurations as text, for the tests of the configuration: accepted, or refused at a place and in words.
#ifndef CONFIG_TEXT_H
#define CONFIG_TEXT_H

#include "config/config.h"
#include "support/test.h"

#define LIMIT "\"hardLimitTokens\": 1000"
#define WITH(section) "{\"tokenBudget\": {" LIMIT "}, " section "}"
#define REFUSED "ConfigurationError: devs.config.json:"

static inline hg_err parse_bytes(const char *json, size_t len, struct hg_config **out, hg_error *why) {
  return hg_config_parse(json, len, "devs.config.json", "/srv/app", out, why);
}

static inline hg_err parse(const char *json, struct hg_config **out, hg_error *why) {
  return parse_bytes(json, strlen(json), out, why);
}

static inline struct hg_config *accept(const char *json) {
  struct hg_config *config = NULL;
  hg_error why = HG_ERROR_INIT;
  const hg_err err = parse(json, &config, &why);
  if (err != HG_OK) fprintf(stderr, "%.300s\n%s\n", json, why.text);
  CHECK_EQ(err, HG_OK);
  return config;
}

// Refused, and the text after REFUSED begins with `place` and contains `advice`.
static inline void refuse(const char *json, const char *place, const char *advice) {
  static const char prefix[] = REFUSED;
  struct hg_config *config = NULL;
  hg_error why = HG_ERROR_INIT;
  const hg_err err = parse(json, &config, &why);
  const bool prefixed = strncmp(why.text, prefix, sizeof prefix - 1) == 0;
  const bool placed = prefixed && strncmp(why.text + sizeof prefix - 1, place, strlen(place)) == 0;
  const bool advised = strstr(why.text, advice) != NULL;
  if (err != HG_ERR_CONFIG || !placed || !advised)
    fprintf(stderr, "%.300s\n  wanted: %s … %s\n  got:    %s\n", json, place, advice, why.text);
  CHECK_EQ(err, HG_ERR_CONFIG);
  CHECK_EQ(why.code, HG_ERR_CONFIG);
  CHECK(placed);
  CHECK(advised);
  CHECK(config == NULL);
}

// `value` is put where %s stands in `format`.
static inline void refuse_value(const char *format, const char *value, const char *place, const char *advice) {
  char json[4096];
  const char *hole = strstr(format, "%s");
  CHECK(hole != NULL);
  snprintf(json, sizeof json, "%.*s%s%s", (int)(hole - format), format, value, hole + 2);
  refuse(json, place, advice);
}

#endif
