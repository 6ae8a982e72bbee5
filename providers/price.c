// What a prepared call may cost at most and at least, where the ledger counts dollars.
#include "providers/fail.h"
#include "providers/request.h"

#include <assert.h>

hg_err hg_prepared_price(struct hg_prepared *prepared, const struct hg_prices *prices, hg_error *why) {
  const struct hg_price *price = hg_prices_find(prices, prepared->model);
  const int64_t input = prepared->input_bound;
  if (!price)
    return fail(why, HG_ERR_CONFIG, "unknown_price: llm.prices has no price of model \"%s\"", prepared->model);
  if (!hg_price_bound(price, input, prepared->max_tokens - input, &prepared->most))
    return fail(why, HG_ERR_INVALID,
                "the request may cost more than 9 million dollars: lower its output cap, its \"n\" or "
                "llm.maxTokensPerMedia");
  const bool fits = hg_price_bound(price, input, prepared->min_tokens - input, &prepared->least);
  assert(fits && prepared->least <= prepared->most);
  (void)fits;
  prepared->price = price;
  return HG_OK;
}

int64_t hg_prepared_input_cost(const struct hg_prepared *prepared, int64_t tokens) {
  int64_t cost = tokens;
  const bool fits = !prepared->price || hg_price_bound(prepared->price, tokens, 0, &cost);
  assert(fits && tokens <= prepared->input_bound);
  (void)fits;
  return cost;
}
