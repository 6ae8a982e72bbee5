// What calls cost: a table of prices by model, and exact arithmetic on it. Pure; nano-dollars throughout.
#ifndef HG_PRICES_H
#define HG_PRICES_H

#include "headgate.h"

// A nano-dollar a token is a thousandth of a dollar a million tokens: 2.50 dollars a million is 2,500.
struct hg_price {
  char *model; // a pattern: * stands for any text, an empty one too
  int64_t input, cached, cache_write, output;
};

struct hg_prices {
  struct hg_price *list; // the first whose pattern fits holds
  size_t count;
};

#define HG_PRICE_MAX INT64_C(1000000000) // of a token, a dollar; cache_write may be twice that

// NULL: no price is known. A model without a name ("") is fitted by "*" alone.
const struct hg_price *hg_prices_find(const struct hg_prices *prices, const char *model);

// The most that a call with so many tokens can cost, whatever of the input is cached. False: over HG_TOKENS_MAX.
bool hg_price_bound(const struct hg_price *price, int64_t input, int64_t output, int64_t *out);

// What a permit for such a call asks for: the same, and at least 1; without a price (NULL), in a ledger that counts
// tokens, their sum. HG_ERR_RANGE: a count or the sum out of 0 to HG_TOKENS_MAX.
hg_err hg_price_amount(const struct hg_price *price, int64_t input, int64_t output, int64_t *out);

// How many tokens of output `amount` pays for, beside as much input: at least 0, at most `most`.
int64_t hg_price_output_for(const struct hg_price *price, int64_t input, int64_t amount, int64_t most);

// What was used costs: input that is neither cached nor written to a cache, cached input, cache writes, and output, the
// reasoning in it included. Where the parts of the input can't be, all of it is priced at its dearest. What a stated
// total has beyond input and output is priced at the dearest of the four. HG_ERR_NO_USAGE: input or output are not
// known. HG_ERR_RANGE: over HG_TOKENS_MAX.
hg_err hg_price_usage_of(const struct hg_price *price, const hg_usage_report *used, int64_t *out);

// What so many tokens, of which it is not known what they are, cost at least and at most; HG_TOKENS_MAX: or more.
int64_t hg_price_least(const struct hg_price *price, int64_t tokens);
int64_t hg_price_most(const struct hg_price *price, int64_t tokens);

#endif
