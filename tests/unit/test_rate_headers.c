// Rate limits as the headers of answers say them.
// links: program
#include "runner/rate_headers.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

struct pair {
  const char *name, *value;
};

static const char *header_of(const void *answer, const char *name) {
  for (const struct pair *pair = answer; pair->name; pair++)
    if (strcmp(pair->name, name) == 0) return pair->value;
  return NULL;
}

static struct hg_rate_limits limits_of(const struct pair *headers) {
  struct hg_rate_limits limits;
  hg_rate_headers_read(header_of, headers, 1763894400, &limits);
  return limits;
}

TEST(rate_headers, durations) {
  static const struct {
    const char *text;
    int64_t ms;
  } cases[] = {
      {"1s", 1000}, {"6m0s", 360000}, {"1h2m3.5s", 3723500}, {"20ms", 20},     {"7.66s", 7660},    {"1m30s20ms", 90020},
      {"0s", 0},    {"12", 12000},    {"0.5", 500},          {"1d", 86400000}, {"999d", 86400000}, {"", -1},
      {"s", -1},    {"1x", -1},       {"-1s", -1},           {"1s ", -1},      {"1 s", -1},        {"nan", -1},
      {"1e9s", -1}, {"0x10s", -1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    if (hg_rate_duration_ms(cases[i].text) != cases[i].ms) CHECK_STR(cases[i].text, "is another duration");
}

TEST(rate_headers, openai) {
  const struct hg_rate_limits limits = limits_of((const struct pair[]){{"x-ratelimit-limit-requests", "5000"},
                                                                       {"x-ratelimit-remaining-requests", "4999"},
                                                                       {"x-ratelimit-reset-requests", "12ms"},
                                                                       {"x-ratelimit-limit-tokens", "800000"},
                                                                       {"x-ratelimit-remaining-tokens", "0"},
                                                                       {"x-ratelimit-reset-tokens", "1m2s"},
                                                                       {NULL, NULL}});
  CHECK_EQ(limits.requests.limit, 5000);
  CHECK_EQ(limits.requests.remaining, 4999);
  CHECK_EQ(limits.requests.reset_ms, 12);
  CHECK_EQ(limits.tokens.limit, 800000);
  CHECK_EQ(limits.tokens.remaining, 0);
  CHECK_EQ(limits.tokens.reset_ms, 62000);
}

TEST(rate_headers, anthropic) {
  const struct hg_rate_limits limits = limits_of(
      (const struct pair[]){{"anthropic-ratelimit-requests-limit", "50"},
                            {"anthropic-ratelimit-requests-remaining", "0"},
                            {"anthropic-ratelimit-requests-reset", "2025-11-23T10:40:30Z"}, // half a minute from now
                            {"anthropic-ratelimit-tokens-limit", "40000"},
                            {"anthropic-ratelimit-tokens-reset", "2020-01-01T00:00:00Z"}, // over
                            {NULL, NULL}});
  CHECK_EQ(limits.requests.limit, 50);
  CHECK_EQ(limits.requests.remaining, 0);
  CHECK_EQ(limits.requests.reset_ms, 30000);
  CHECK_EQ(limits.tokens.limit, 40000);
  CHECK_EQ(limits.tokens.remaining, -1);
  CHECK_EQ(limits.tokens.reset_ms, 0);
}

static int64_t reset_of(const char *text) {
  return limits_of((const struct pair[]){{"anthropic-ratelimit-tokens-limit", "40000"},
                                         {"anthropic-ratelimit-tokens-remaining", "0"},
                                         {"anthropic-ratelimit-tokens-reset", text},
                                         {NULL, NULL}})
      .tokens.reset_ms;
}

// Each that says a moment says the same one, half a minute from now.
TEST(rate_headers, moments_in_any_zone) {
  static const char *const moments[] = {
      "2025-11-23T10:40:30Z",      "2025-11-23T10:40:30z",      "2025-11-23T10:40:30",
      "2025-11-23T10:40:30.25Z",   "2025-11-23T12:40:30+02:00", "2025-11-23T05:10:30.123456-05:30",
      "2025-11-24T00:40:30+14:00", "2025-11-23T10:40:30-00:00", "2025-11-23T12:40:30+0200",
      "2025-11-23T10:40:30 UTC",   "2025-11-23T10:40:30+",      "2025-11-23T10:40:30 PST"}; // as UTC
  static const char *const others[] = {"2025-11-23", "1850-01-01T00:00:00Z", "10:40:30Z"};
  for (size_t i = 0; i < sizeof moments / sizeof *moments; i++)
    CHECK_EQ(reset_of(moments[i]), 30000);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    CHECK_EQ(reset_of(others[i]), 0);
}

// Of the input or the output alone only that nothing is left counts.
TEST(rate_headers, parts_of_the_tokens) {
  struct pair headers[] = {{"anthropic-ratelimit-input-tokens-limit", "50000"},
                           {"anthropic-ratelimit-input-tokens-remaining", "0"},
                           {"anthropic-ratelimit-input-tokens-reset", "2025-11-23T10:40:04Z"},
                           {"anthropic-ratelimit-output-tokens-limit", "8000"},
                           {"anthropic-ratelimit-output-tokens-remaining", "0"},
                           {"anthropic-ratelimit-output-tokens-reset", "2025-11-23T10:40:30Z"},
                           {NULL, NULL}};
  CHECK_EQ(limits_of(headers).tokens.limit, 0);
  CHECK_EQ(limits_of(headers).tokens.remaining, 0);
  CHECK_EQ(limits_of(headers).tokens.reset_ms, 30000);
  headers[4].value = "100";
  CHECK_EQ(limits_of(headers).tokens.reset_ms, 4000);
  headers[1].value = "1";
  CHECK_EQ(limits_of(headers).tokens.remaining, -1);
}

TEST(rate_headers, resets_may_be_since_the_epoch) {
  static const struct {
    const char *text;
    int64_t ms;
  } cases[] = {{"1763894430", 30000},
               {"1763894430.5", 30500},
               {"1763894430500", 30500},
               {"1763894399", 0},
               {"999999999", 86400000}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct pair headers[] = {{"x-ratelimit-limit-tokens", "100"},
                                   {"x-ratelimit-remaining-tokens", "0"},
                                   {"x-ratelimit-reset-tokens", cases[i].text},
                                   {NULL, NULL}};
    CHECK_EQ(limits_of(headers).tokens.reset_ms, cases[i].ms);
  }
}

TEST(rate_headers, hostile_values_say_nothing) {
  static const char *const values[] = {"",    "-1", "0", "many", "1.5", "99999999999999999999", "9007199254740992",
                                       "12x", " 5"};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    const struct hg_rate_limits limits = limits_of((const struct pair[]){{"x-ratelimit-limit-requests", values[i]},
                                                                         {"x-ratelimit-remaining-requests", "0"},
                                                                         {"x-ratelimit-reset-requests", "10s"},
                                                                         {NULL, NULL}});
    CHECK_EQ(limits.requests.limit, 0);
    CHECK_EQ(limits.requests.remaining, -1);
    CHECK_EQ(limits.requests.reset_ms, 0);
  }
  CHECK_EQ(limits_of((const struct pair[]){{NULL, NULL}}).tokens.limit, 0);
}
