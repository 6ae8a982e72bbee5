// Dollars in decimals and nano-dollars.
#include "base/money.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SHOWN 10000 // the first number with more digits than are shown

static const char *const unit_names[] = {[HG_UNIT_TOKENS] = "tokens", [HG_UNIT_NANODOLLARS] = "nanodollars"};

const char *hg_unit_name(hg_unit unit) {
  return unit_names[unit];
}

bool hg_unit_of_name(const char *name, size_t len, hg_unit *out) {
  for (unsigned i = 0; i < sizeof unit_names / sizeof *unit_names; i++) {
    if (strlen(unit_names[i]) != len || memcmp(unit_names[i], name, len) != 0) continue;
    *out = (hg_unit)i;
    return true;
  }
  return false;
}

hg_unit hg_unit_said(const char *name, size_t len) {
  hg_unit unit = HG_UNIT_TOKENS;
  (void)hg_unit_of_name(name, len, &unit);
  return unit;
}

const char *hg_unit_words(hg_unit unit) {
  return unit == HG_UNIT_TOKENS ? "tokens" : "dollars";
}

bool hg_money_parse(const char *text, size_t len, int64_t *out) {
  uint64_t sum = 0;
  unsigned whole = 0, decimals = 0;
  bool point = false;
  for (size_t i = 0; i < len; i++) {
    if (text[i] == '.' && !point && whole > 0) {
      point = true;
      continue;
    }
    if (text[i] < '0' || text[i] > '9' || decimals == HG_MONEY_DECIMALS) return false;
    sum = sum * 10 + (uint64_t)(text[i] - '0');
    if (sum > (uint64_t)HG_TOKENS_MAX) return false;
    if (point) decimals++;
    else whole++;
  }
  if (whole == 0 || (point && decimals == 0)) return false;
  for (; decimals < HG_MONEY_DECIMALS; decimals++) {
    sum *= 10;
    if (sum > (uint64_t)HG_TOKENS_MAX) return false;
  }
  *out = (int64_t)sum;
  return sum > 0;
}

static void print(uint64_t size, bool negative, char out[HG_MONEY_TEXT_MAX]) {
  const uint64_t one = (uint64_t)HG_NANODOLLARS;
  int len = snprintf(out, HG_MONEY_TEXT_MAX, "%s$%" PRIu64 ".%09" PRIu64, negative ? "-" : "", size / one, size % one);
  for (int least = len - HG_MONEY_DECIMALS + 2; len > least && out[len - 1] == '0';)
    out[--len] = '\0';
}

static uint64_t size_of(int64_t nanodollars) {
  return nanodollars < 0 ? 0 - (uint64_t)nanodollars : (uint64_t)nanodollars;
}

void hg_money_print(int64_t nanodollars, char out[HG_MONEY_TEXT_MAX]) {
  print(size_of(nanodollars), nanodollars < 0, out);
}

void hg_money_round(int64_t nanodollars, char out[HG_MONEY_TEXT_MAX]) {
  const uint64_t size = size_of(nanodollars);
  uint64_t step = 1;
  while (step < (uint64_t)HG_NANODOLLARS / SHOWN && size / step >= SHOWN)
    step *= 10;
  print((size + step / 2) / step * step, nanodollars < 0, out);
}
