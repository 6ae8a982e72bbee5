// llm.prices: what models cost.
#include "config/sections.h"
#include "base/siphash.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A_TOKEN "nano-dollars a token (2500 is 2.50 dollars a million tokens)"

static void read_nanodollars(struct hg_object *row, const char *key, int64_t *out) {
  hg_object_integer(row, key, 0, HG_PRICE_MAX, A_TOKEN, out);
}

static void need(struct hg_object *row, const char *key, int64_t *out) {
  const struct hg_path path = {.parent = row->path, .key = key};
  *out = -1;
  read_nanodollars(row, key, out);
  if (*out < 0) hg_reader_fail(row->reader, &path, HG_AT_PARENT, "is missing: set it to " A_TOKEN);
}

static void read_model(struct hg_object *row, const struct hg_prices *before, char **out) {
  const struct hg_path path = {.parent = row->path, .key = "model"};
  const char *model = NULL;
  hg_object_text(row, path.key, HG_LABEL_MAX, &model);
  if (!model) {
    hg_reader_fail(row->reader, &path, HG_AT_PARENT, "is missing: a model's name, in which * stands for any text");
    return;
  }
  // Whoever fits the pattern itself fits everything that the pattern does.
  const struct hg_price *first = hg_prices_find(before, model);
  if (first)
    hg_reader_fail(row->reader, &path, HG_AT_VALUE,
                   "is never looked at: llm.prices[%zu], \"%.64s\", fits all of it, and the first that fits holds",
                   (size_t)(first - before->list), first->model);
  else *out = hg_reader_copy(row->reader, model);
}

static void read_row(struct hg_object *row, struct hg_prices *prices) {
  struct hg_price price = {.model = NULL};
  read_model(row, prices, &price.model);
  need(row, "input", &price.input);
  need(row, "output", &price.output);
  price.cached = price.input;
  price.cache_write = 2 * price.input; // the dearest that is known
  read_nanodollars(row, "cached", &price.cached);
  read_nanodollars(row, "cacheWrite", &price.cache_write);
  hg_object_close(row);
  assert(prices->list);
  if (price.model) prices->list[prices->count++] = price;
}

void hg_read_prices(struct hg_object *llm, struct hg_prices *prices) {
  const struct hg_path path = {.parent = llm->path, .key = "prices"};
  struct hg_config_reader *reader = llm->reader;
  char found[HG_BUDGET_NAME_MAX];
  json_t *json = hg_object_get(llm, path.key);
  if (!json || reader->err != HG_OK) return;
  if (!json_is_array(json) || json_array_size(json) > HG_PRICES_MAX) {
    hg_reader_fail(reader, &path, HG_AT_VALUE, "must be a list of at most %d prices; found %s", HG_PRICES_MAX,
                   json_is_array(json) ? "more" : hg_reader_found(reader, &path, found, sizeof found));
    return;
  }
  prices->list = calloc(json_array_size(json) + 1, sizeof *prices->list);
  if (!prices->list) hg_reader_no_memory(reader);
  for (size_t i = 0; i < json_array_size(json) && reader->err == HG_OK; i++) {
    const struct hg_path place = {.parent = &path, .index = i};
    struct hg_object row;
    hg_object_open(&row, reader, json_array_get(json, i), &place);
    if (reader->err == HG_OK) read_row(&row, prices);
  }
}

// Each row goes into the key of the next one's hash.
uint64_t hg_config_prices_mark(const struct hg_config *config) {
  uint64_t mark = 0;
  if (config->unit == HG_UNIT_TOKENS) return 0;
  for (size_t i = 0; i < config->llm.prices.count; i++) {
    const struct hg_price *row = &config->llm.prices.list[i];
    char amounts[4 * 24];
    const int size = snprintf(amounts, sizeof amounts, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, row->input,
                              row->cached, row->cache_write, row->output);
    const uint64_t model = hg_siphash((struct hg_hash_key){mark, i}, row->model, strlen(row->model));
    mark = hg_siphash((struct hg_hash_key){model, i}, amounts, (size_t)size);
  }
  return mark;
}
