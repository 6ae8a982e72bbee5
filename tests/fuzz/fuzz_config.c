// The configuration under libFuzzer (scripts/fuzz). Whatever the bytes are: what is refused is told in words, at a
// place; what is accepted obeys every bound, and means the same when another library has written it anew.
#include "fuzz/fuzz.h"

#include "config/config.h"
#include "config/sections.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define AS_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool same_text(const char *a, const char *b) {
  return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_lists(char *const *a, size_t a_count, char *const *b, size_t b_count) {
  bool same = a_count == b_count;
  for (size_t i = 0; same && i < a_count; i++)
    same = same_text(a[i], b[i]);
  return same;
}

static bool is_between(int64_t value, int64_t least, int64_t most) {
  return value >= least && value <= most;
}

// ------------------------------------------------------------------------------------------------ bounds

// A tree under "default": parents first, names that are found again.
static void check_budgets(const struct hg_config *config) {
  unsigned depth[64] = {1};
  need(is_between(config->budget_count, 1, HG_BUDGETS_MAX));
  need(strcmp(config->budgets[0].name, "default") == 0 && config->budgets[0].parent == 0);
  for (uint32_t i = 0; i < config->budget_count; i++) {
    const struct hg_budget_config *budget = &config->budgets[i];
    const size_t len = strnlen(budget->name, sizeof budget->name);
    uint32_t found = UINT32_MAX;
    need(is_between((int64_t)len, 1, HG_BUDGET_NAME_MAX) && is_between(budget->hard_limit, 1, HG_TOKENS_MAX));
    need(hg_config_find_budget(config, budget->name, len, &found) && found == i);
    need(i == 0 || budget->parent < i);
    if (i == 0 || i >= AS_COUNT(depth)) continue;
    depth[i] = depth[budget->parent] + 1;
    need(depth[i] <= HG_BUDGET_DEPTH_MAX);
  }
}

static void check_binds(char *const *binds, size_t count, const struct hg_curve_config *curve) {
  need(count <= HG_BINDS_MAX && !curve->secret_key_file == !curve->allowed_keys_file);
  need(!curve->secret_key_file || (curve->secret_key_file[0] == '/' && curve->allowed_keys_file[0] == '/'));
  for (size_t i = 0; i < count; i++) {
    const bool loopback = strncmp(binds[i], "tcp://127.", 10) == 0 || strncmp(binds[i], "tcp://[", 7) == 0;
    const bool path = strncmp(binds[i], "ipc:///", 7) == 0 && strlen(binds[i] + 6) <= HG_IPC_PATH_MAX;
    need(path || loopback || (curve->secret_key_file && strncmp(binds[i], "tcp://", 6) == 0));
    for (size_t before = 0; before < i; before++)
      need(strcmp(binds[before], binds[i]) != 0);
  }
}

static void check_prices(const struct hg_prices *prices) {
  for (size_t i = 0; i < prices->count; i++) {
    const struct hg_price *price = &prices->list[i];
    need(price->model && price->model[0]);
    need(is_between(price->input, 0, HG_PRICE_MAX) && is_between(price->cached, 0, HG_PRICE_MAX));
    need(is_between(price->cache_write, 0, 2 * HG_PRICE_MAX) && is_between(price->output, 0, HG_PRICE_MAX));
  }
}

static void check_llm(const struct hg_llm_config *llm) {
  need(llm->auth && llm->output_cap_field && strlen(llm->output_cap_field) <= HG_BUDGET_NAME_MAX);
  need(is_between(llm->timeout_seconds, 1, 86400) && is_between(llm->max_attempts, 1, 100));
  need(llm->retry_unknown_outcome <= 100 && llm->header_count <= HG_HEADERS_MAX);
  need(is_between(llm->tokens_per_minute, 0, HG_TOKENS_MAX) && is_between(llm->requests_per_minute, 0, HG_TOKENS_MAX));
  need(is_between(llm->default_max_tokens, 1, HG_TOKENS_MAX));
  need(is_between(llm->max_tokens_per_media, 0, HG_TOKENS_MAX));
  for (size_t i = 0; i < llm->header_count; i++)
    need(strstr(llm->headers[i], ": ") && !strpbrk(llm->headers[i], "\r\n"));
  check_prices(&llm->prices);
}

static void check_metrics(const struct hg_metrics_config *metrics) {
  need(!metrics->host == !metrics->port && (metrics->wanted || !metrics->host));
  need(!metrics->is_loopback || strncmp(metrics->host, "127.", 4) == 0 || strchr(metrics->host, ':'));
}

static void check_bounds(const struct hg_config *config) {
  need(is_between(config->throttle_percent, 1, 100));
  need(is_between(config->restore_below_percent, 1, config->throttle_percent));
  need(is_between(config->max_concurrency, 1, HG_CONCURRENCY_MAX));
  need(is_between(config->throttled_concurrency, 1, config->max_concurrency));
  need(config->ledger_path[0] == '/' && strlen(config->ledger_path) <= HG_LEDGER_PATH_MAX);
  need(config->keep_days <= 36500 && config->warnings);
  need(is_between(config->max_subscribers, 1, HG_CONNECTIONS_MAX));
  need(is_between(config->max_clients, 1, HG_CONNECTIONS_MAX));
  check_budgets(config);
  check_binds(config->event_binds, config->event_bind_count, &config->event_curve);
  check_binds(config->serve_binds, config->serve_bind_count, &config->serve_curve);
  check_metrics(&config->metrics);
  check_llm(&config->llm);
}

// ------------------------------------------------------------------------------------------------ written anew

static bool same_budgets(const struct hg_config *a, const struct hg_config *b) {
  bool same = a->unit == b->unit && a->budget_count == b->budget_count;
  for (uint32_t i = 0; same && i < a->budget_count; i++)
    same = strcmp(a->budgets[i].name, b->budgets[i].name) == 0 && a->budgets[i].parent == b->budgets[i].parent &&
           a->budgets[i].hard_limit == b->budgets[i].hard_limit;
  return same && a->throttle_percent == b->throttle_percent && a->restore_below_percent == b->restore_below_percent &&
         a->throttle_basis == b->throttle_basis && a->orphan_policy == b->orphan_policy;
}

static bool same_curves(const struct hg_curve_config *a, const struct hg_curve_config *b) {
  return same_text(a->secret_key_file, b->secret_key_file) && same_text(a->allowed_keys_file, b->allowed_keys_file);
}

static bool same_doors(const struct hg_config *a, const struct hg_config *b) {
  return same_lists(a->event_binds, a->event_bind_count, b->event_binds, b->event_bind_count) &&
         same_lists(a->serve_binds, a->serve_bind_count, b->serve_binds, b->serve_bind_count) &&
         same_curves(&a->event_curve, &b->event_curve) && same_curves(&a->serve_curve, &b->serve_curve) &&
         a->max_subscribers == b->max_subscribers && a->max_clients == b->max_clients &&
         a->metrics.wanted == b->metrics.wanted && same_text(a->metrics.host, b->metrics.host) &&
         a->metrics.port == b->metrics.port && a->metrics.is_loopback == b->metrics.is_loopback;
}

static bool same_llm(const struct hg_llm_config *a, const struct hg_llm_config *b) {
  return same_text(a->base_url, b->base_url) && same_text(a->api_key_env, b->api_key_env) &&
         same_text(a->auth, b->auth) && same_text(a->output_cap_field, b->output_cap_field) &&
         same_lists(a->headers, a->header_count, b->headers, b->header_count) &&
         a->timeout_seconds == b->timeout_seconds && a->max_attempts == b->max_attempts &&
         a->retry_unknown_outcome == b->retry_unknown_outcome && a->tokens_per_minute == b->tokens_per_minute &&
         a->requests_per_minute == b->requests_per_minute && a->default_max_tokens == b->default_max_tokens &&
         a->max_tokens_per_media == b->max_tokens_per_media && a->may_cap_output == b->may_cap_output &&
         a->reservation == b->reservation && a->counter == b->counter && a->allow_unbounded == b->allow_unbounded &&
         a->prices.count == b->prices.count;
}

static bool same(const struct hg_config *a, const struct hg_config *b) {
  return same_budgets(a, b) && same_doors(a, b) && same_llm(&a->llm, &b->llm) &&
         same_text(a->ledger_path, b->ledger_path) && a->keep_days == b->keep_days &&
         a->shared_readers == b->shared_readers && a->max_concurrency == b->max_concurrency &&
         a->throttled_concurrency == b->throttled_concurrency;
}

static hg_err parse(const void *data, size_t size, struct hg_config **out, hg_error *why) {
  return hg_config_parse(data, size, "devs.config.json", "/srv/app", out, why);
}

// Dollars are read as they are written, and a library that has made a double of them writes them otherwise.
static bool has_real(const json_t *json) {
  const char *key = NULL;
  const json_t *value = NULL;
  if (json_is_array(json))
    for (size_t i = 0; i < json_array_size(json); i++)
      if (has_real(json_array_get(json, i))) return true;
  if (json_is_object(json)) json_object_foreach((json_t *)(uintptr_t)json, key, value) {
      if (has_real(value)) return true;
    }
  return json_is_real(json);
}

static void check_written_anew(const struct hg_config *config, const uint8_t *data, size_t size) {
  const size_t mark = size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  json_t *json = json_loadb((const char *)data + mark, size - mark, 0, NULL);
  need(json != NULL);
  if (!has_real(json)) {
    struct hg_config *again = NULL;
    hg_error why = HG_ERROR_INIT;
    char *text = json_dumps(json, JSON_ENSURE_ASCII | JSON_INDENT(1));
    need(text && parse(text, strlen(text), &again, &why) == HG_OK && same(config, again));
    hg_config_destroy(&again);
    free(text);
  }
  json_decref(json);
}

static void check_refusal(const hg_error *why) {
  static const char prefix[] = "ConfigurationError: devs.config.json:";
  need(why->code == HG_ERR_CONFIG && memchr(why->text, '\0', sizeof why->text) != NULL);
  need(strncmp(why->text, prefix, sizeof prefix - 1) == 0);
  json_t *utf8 = json_string(why->text);
  need(utf8 != NULL);
  json_decref(utf8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct hg_config *config = NULL;
  hg_error why = HG_ERROR_INIT;
  const hg_err err = parse(data, size, &config, &why);
  need((err == HG_OK) == (config != NULL));
  if (!config) {
    check_refusal(&why);
    return 0;
  }
  check_bounds(config);
  check_written_anew(config, data, size);
  hg_config_destroy(&config);
  need(config == NULL);
  return 0;
}
