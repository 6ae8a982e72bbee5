// What embedders ask of the prices in the configuration of their runtime.
#include "actors/runtime.h"
#include "client/client.h"
#include "usage/prices.h"
#include "usage/report.h"

#include <stddef.h>

static hg_err find_price(const hg_runtime *rt, const char *model, const struct hg_price **out) {
  *out = NULL;
  if (hg_runtime_config(rt)->unit == HG_UNIT_TOKENS) return HG_OK;
  *out = hg_prices_find(&hg_runtime_config(rt)->llm.prices, model ? model : "");
  return *out ? HG_OK : HG_ERR_CONFIG;
}

hg_err hg_price_request(hg_runtime *rt, const char *model, int64_t input_tokens, int64_t output_tokens, int64_t *out) {
  const struct hg_price *price;
  if (!rt || !out) return HG_ERR_INVALID;
  const hg_err err = find_price(rt, model, &price);
  return err == HG_OK ? hg_price_amount(price, input_tokens, output_tokens, out) : err;
}

hg_err hg_price_usage(hg_runtime *rt, const char *model, hg_usage_report *used) {
  if (!rt || !used || used->size < offsetof(hg_usage_report, cache_doubtful)) return HG_ERR_INVALID;
  const struct hg_price *price = NULL;
  hg_usage_report checked;
  if (used->source == HG_SOURCE_MISSING) return HG_ERR_NO_USAGE;
  if (used->unit != HG_UNIT_TOKENS) return used->unit == hg_runtime_config(rt)->unit ? HG_OK : HG_ERR_INVALID;
  hg_err err = hg_report_read(used, HG_UNIT_TOKENS, &checked);
  if (err == HG_OK) err = find_price(rt, model, &price);
  if (err == HG_OK && !price) return HG_OK;
  if (err == HG_OK) err = hg_price_usage_of(price, &checked, &used->tokens);
  if (err == HG_OK) {
    used->unit = HG_UNIT_NANODOLLARS;
    return HG_OK;
  }
  used->tokens = err == HG_ERR_NO_USAGE ? hg_price_least(price, checked.tokens) : 0;
  if (err == HG_ERR_NO_USAGE) used->unit = HG_UNIT_NANODOLLARS;
  used->source = HG_SOURCE_MISSING;
  return err;
}
