// What calls from outside cost, where the ledger counts money: the amounts of acquires, and what answers used.
#include "actors/gateway_private.h"

#include <stdlib.h>

static const char no_price[] = "no price is known of the model (llm.prices)";

static bool counts_money(const struct hg_gateway *gateway) {
  return gateway->config->unit == HG_UNIT_NANODOLLARS;
}

static const struct hg_price *price_of(const struct hg_gateway *gateway, struct hg_text model) {
  char name[HG_TEXT_MAX + 1];
  hg_text_copy(name, sizeof name, model);
  return hg_prices_find(&gateway->config->llm.prices, name);
}

// ------------------------------------------------------------------------------------------------ acquires

hg_err hg_gateway_price_acquire(const struct hg_gateway *gateway, struct hg_acquire_permit_message *wish,
                                const struct hg_price **out, const char **reason) {
  const bool parts = wish->max_tokens == 0 && (wish->input_tokens > 0 || wish->output_tokens > 0);
  *out = counts_money(gateway) && wish->model.size ? price_of(gateway, wish->model) : NULL;
  *reason = no_price;
  if (counts_money(gateway) && !*out && (wish->model.size || parts)) return HG_ERR_CONFIG;
  const hg_err err = parts ? hg_price_amount(*out, wish->input_tokens, wish->output_tokens, &wish->max_tokens) : HG_OK;
  *reason = hg_err_text(err);
  return err;
}

// Two generations: whoever was remembered is so until at least as many others came as may run at once. It is not
// forgotten with its settle, which may be sent again and must then be priced as before.
void hg_gateway_remember_price(struct hg_gateway *gateway, uint64_t permit, const struct hg_price *price) {
  if (!price) return;
  if (gateway->prices.count >= HG_CONCURRENCY_MAX) {
    hg_id_map_destroy(&gateway->older_prices);
    gateway->older_prices = gateway->prices;
    gateway->prices = (struct hg_id_map){0};
  }
  (void)hg_id_map_put(&gateway->prices, permit, (void *)price); // forgotten, its answer's own model counts
}

static const struct hg_price *remembered(const struct hg_gateway *gateway, uint64_t permit) {
  if (permit == 0) return NULL;
  const struct hg_price *price = hg_id_map_get(&gateway->prices, permit);
  return price ? price : hg_id_map_get(&gateway->older_prices, permit);
}

// ------------------------------------------------------------------------------------------------ answers

hg_err hg_gateway_price_answer(const struct hg_gateway *gateway, struct hg_text named, uint64_t permit,
                               hg_usage_report *used, const char **reason) {
  *reason = "";
  if (!counts_money(gateway) || used->source == HG_SOURCE_MISSING) return HG_OK;
  const struct hg_price *price = named.size ? price_of(gateway, named) : remembered(gateway, permit);
  if (!price && !named.size) price = hg_prices_find(&gateway->config->llm.prices, used->model ? used->model : "");
  const hg_err err = price ? hg_price_usage_of(price, used, &used->tokens) : HG_ERR_CONFIG;
  if (err == HG_OK) return HG_OK;
  used->tokens = err == HG_ERR_NO_USAGE ? hg_price_least(price, used->tokens) : 0;
  used->source = HG_SOURCE_MISSING;
  *reason = err == HG_ERR_CONFIG     ? no_price
            : err == HG_ERR_NO_USAGE ? "the answer does not tell input from output"
                                     : "it costs more than a ledger can count";
  return err;
}
