// Products of two numbers of 53 bits and a few of their sums: 128 bits hold them all.
#include "usage/prices.h"

#include <assert.h>

__extension__ typedef __int128 wide;

// A star takes as little as it can, and one more byte whenever the rest does not fit.
static bool fits(const char *pattern, const char *text) {
  const char *star = NULL, *taken = NULL;
  while (*text) {
    if (*pattern == '*') {
      star = pattern++;
      taken = text;
    } else if (*pattern == *text) {
      pattern++;
      text++;
    } else if (star) {
      pattern = star + 1;
      text = ++taken;
    } else {
      return false;
    }
  }
  while (*pattern == '*')
    pattern++;
  return !*pattern;
}

const struct hg_price *hg_prices_find(const struct hg_prices *prices, const char *model) {
  for (size_t i = 0; i < prices->count; i++)
    if (fits(prices->list[i].model, model)) return &prices->list[i];
  return NULL;
}

static int64_t larger(int64_t a, int64_t b) {
  return a > b ? a : b;
}

static int64_t dearest_input(const struct hg_price *price) {
  return larger(price->input, larger(price->cached, price->cache_write));
}

static bool fit(wide cost, int64_t *out) {
  if (cost > HG_TOKENS_MAX) return false;
  *out = (int64_t)cost;
  return true;
}

bool hg_price_bound(const struct hg_price *price, int64_t input, int64_t output, int64_t *out) {
  assert(input >= 0 && output >= 0);
  return fit((wide)input * dearest_input(price) + (wide)output * price->output, out);
}

hg_err hg_price_amount(const struct hg_price *price, int64_t input, int64_t output, int64_t *out) {
  int64_t amount = 0;
  if (input < 0 || input > HG_TOKENS_MAX || output < 0 || output > HG_TOKENS_MAX) return HG_ERR_RANGE;
  const bool counts = price ? hg_price_bound(price, input, output, &amount) : fit((wide)input + output, &amount);
  if (!counts) return HG_ERR_RANGE;
  *out = amount > 0 ? amount : 1;
  return HG_OK;
}

int64_t hg_price_output_for(const struct hg_price *price, int64_t input, int64_t amount, int64_t most) {
  const wide left = amount - (wide)input * dearest_input(price);
  if (left < 0) return 0;
  if (price->output == 0 || left / price->output >= most) return most;
  return (int64_t)(left / price->output);
}

static int64_t known(int64_t count) {
  return count == HG_UNKNOWN ? 0 : count;
}

// Of the parts the sum may be more than the whole, where somebody else counted.
static wide input_cost(const struct hg_price *price, const hg_usage_report *used) {
  const int64_t input = used->input_tokens, cached = known(used->cached_tokens);
  const int64_t written = known(used->cache_write_tokens);
  if (used->cache_doubtful || cached + written > input) return (wide)input * dearest_input(price);
  return (wide)(input - cached - written) * price->input + (wide)cached * price->cached +
         (wide)written * price->cache_write;
}

hg_err hg_price_usage_of(const struct hg_price *price, const hg_usage_report *used, int64_t *out) {
  const int64_t input = used->input_tokens;
  // Embeddings have no output, and most say nothing of it.
  const int64_t output = used->output_tokens == HG_UNKNOWN && used->tokens == input ? 0 : used->output_tokens;
  if (input == HG_UNKNOWN || output == HG_UNKNOWN) return HG_ERR_NO_USAGE;
  const int64_t rest = larger(used->tokens - input - output, 0);
  const wide cost =
      input_cost(price, used) + (wide)output * price->output + (wide)rest * larger(dearest_input(price), price->output);
  return fit(cost, out) ? HG_OK : HG_ERR_RANGE;
}

static int64_t at_most_max(wide cost) {
  return cost < HG_TOKENS_MAX ? (int64_t)cost : HG_TOKENS_MAX;
}

int64_t hg_price_least(const struct hg_price *price, int64_t tokens) {
  int64_t cheapest = price->input;
  if (price->cached < cheapest) cheapest = price->cached;
  if (price->cache_write < cheapest) cheapest = price->cache_write;
  if (price->output < cheapest) cheapest = price->output;
  return at_most_max((wide)tokens * cheapest);
}

int64_t hg_price_most(const struct hg_price *price, int64_t tokens) {
  return at_most_max((wide)tokens * larger(dearest_input(price), price->output));
}
