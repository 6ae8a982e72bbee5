// Reads rate limits.
#include "runner/rate_headers.h"

#include "schemas/limits.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LONGEST_MS (24.0 * 3600 * 1000)

static int64_t whole_number(const char *text) {
  char *end = NULL;
  if (!text || !isdigit((unsigned char)text[0])) return -1;
  const unsigned long long value = strtoull(text, &end, 10);
  while (*end == ' ')
    end++;
  return *end || value > (unsigned long long)HG_TOKENS_MAX ? -1 : (int64_t)value;
}

// Of a unit at the start of `text`, whose length goes into *size.
static double unit_ms(const char *text, size_t *size) {
  *size = strncmp(text, "ms", 2) == 0 ? 2 : 1;
  if (*size == 2) return 1;
  if (text[0] == 's') return 1000;
  if (text[0] == 'm') return 60 * 1000;
  if (text[0] == 'h') return 3600 * 1000;
  if (text[0] == 'd') return 24 * 3600 * 1000;
  return 0;
}

int64_t hg_rate_duration_ms(const char *text) {
  double sum = 0;
  if (!isdigit((unsigned char)text[0])) return -1;
  while (*text) {
    char *end = NULL;
    size_t size;
    if (!isdigit((unsigned char)text[0])) return -1;
    const double value = strtod(text, &end);
    if (end > text + strspn(text, "0123456789.")) return -1; // 1e9, 0x10
    if (!*end && sum == 0) return value * 1000 < LONGEST_MS ? (int64_t)(value * 1000) : (int64_t)LONGEST_MS;
    const double unit = unit_ms(end, &size);
    if (unit == 0) return -1;
    sum += value * unit;
    text = end + size;
  }
  return sum < LONGEST_MS ? (int64_t)sum : (int64_t)LONGEST_MS;
}

static int64_t until(double ms, int64_t now) {
  const double left = ms - (double)now * 1000;
  return left <= 0 ? 0 : left < LONGEST_MS ? (int64_t)left : (int64_t)LONGEST_MS;
}

// Seconds or milliseconds since the epoch, as some have it; as a duration they would be decades. 0: it is none.
static double epoch_ms(const char *text) {
  if (strspn(text, "0123456789.") != strlen(text)) return 0;
  const double value = strtod(text, NULL);
  return value >= 1e12 ? value : value >= 1e9 ? value * 1000 : 0;
}

// Of RFC 3339; UTC where no zone follows that is known. 0: it is none.
static double moment_ms(const char *text) {
  struct tm moment = {0}, zone = {0};
  const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &moment);
  if (!rest) return 0;
  if (*rest == '.') rest += 1 + strspn(rest + 1, "0123456789");
  const bool known = strptime(rest, "%z", &zone) != NULL;
  return ((double)timegm(&moment) - (double)(known ? zone.tm_gmtoff : 0)) * 1000;
}

// Anthropic names the moment, OpenAI how long it takes.
static int64_t reset_ms(const char *text, int64_t now) {
  if (!text) return 0;
  if (moment_ms(text) > 0) return until(moment_ms(text), now);
  if (epoch_ms(text) > 0) return until(epoch_ms(text), now);
  const int64_t duration = hg_rate_duration_ms(text);
  return duration > 0 ? duration : 0;
}

static void read_limit(hg_header_of *header_of, const void *answer, int64_t now, const char *const names[3],
                       struct hg_rate_limit *out) {
  const int64_t limit = whole_number(header_of(answer, names[0]));
  if (limit <= 0) return;
  out->limit = limit;
  out->remaining = whole_number(header_of(answer, names[1]));
  out->reset_ms = reset_ms(header_of(answer, names[2]), now);
}

void hg_rate_headers_read(hg_header_of *header_of, const void *answer, int64_t now, struct hg_rate_limits *out) {
  static const char *const requests[][3] = {
      {"x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"},
      {"anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining",
       "anthropic-ratelimit-requests-reset"}};
  static const char *const tokens[][3] = {
      {"x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"},
      {"anthropic-ratelimit-tokens-limit", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"}};
  static const char *const parts[][3] = {
      {"anthropic-ratelimit-input-tokens-limit", "anthropic-ratelimit-input-tokens-remaining",
       "anthropic-ratelimit-input-tokens-reset"},
      {"anthropic-ratelimit-output-tokens-limit", "anthropic-ratelimit-output-tokens-remaining",
       "anthropic-ratelimit-output-tokens-reset"}};
  *out = (struct hg_rate_limits){{0, -1, 0}, {0, -1, 0}};
  for (size_t i = 0; i < 2 && out->requests.limit == 0; i++)
    read_limit(header_of, answer, now, requests[i], &out->requests);
  for (size_t i = 0; i < 2 && out->tokens.limit == 0; i++)
    read_limit(header_of, answer, now, tokens[i], &out->tokens);
  for (size_t i = 0; i < 2; i++) {
    struct hg_rate_limit part = {0, -1, 0};
    read_limit(header_of, answer, now, parts[i], &part);
    if (part.remaining != 0) continue;
    out->tokens.remaining = 0;
    if (part.reset_ms > out->tokens.reset_ms) out->tokens.reset_ms = part.reset_ms;
  }
}
