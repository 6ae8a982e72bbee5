// Prints what a configuration comes to, defaults filled in, in the words of the file itself: one line of JSON. A file
// that is refused: the refusal on stderr, and exit 2.
#include "config/config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const reservations[] = {
    [HG_RESERVE_BOUND] = "bound", [HG_RESERVE_COUNTED] = "counted", [HG_RESERVE_LEARNED] = "learned"};

static json_t *list_of(char *const *texts, size_t count) {
  json_t *list = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(list, json_string(texts[i]));
  return list;
}

static json_t *curve_of(const struct hg_curve_config *curve) {
  if (!curve->secret_key_file) return NULL;
  return json_pack("{ssss}", "serverSecretKeyFile", curve->secret_key_file, "allowedClientKeys",
                   curve->allowed_keys_file);
}

static json_t *budgets_of(const struct hg_config *config, const char *limit) {
  json_t *budgets = json_object();
  for (uint32_t i = 1; i < config->budget_count; i++) {
    const struct hg_budget_config *budget = &config->budgets[i];
    json_object_set_new(
        budgets, budget->name,
        json_pack("{sIss}", limit, (json_int_t)budget->hard_limit, "parent", config->budgets[budget->parent].name));
  }
  return budgets;
}

static json_t *token_budget_of(const struct hg_config *config) {
  const char *limit = config->unit == HG_UNIT_TOKENS ? "hardLimitTokens" : "hardLimitUsd"; // which is in nano-dollars
  return json_pack("{sI si ss si ss so}", limit, (json_int_t)config->budgets[0].hard_limit, "throttlePercent",
                   (int)config->throttle_percent, "throttleBasis", hg_throttle_basis_name(config->throttle_basis),
                   "restoreBelowPercent", (int)config->restore_below_percent, "orphanedReservations",
                   hg_orphan_policy_name(config->orphan_policy), "budgets", budgets_of(config, limit));
}

static json_t *metrics_of(const struct hg_metrics_config *metrics) {
  char listen[128];
  if (!metrics->wanted) return NULL;
  snprintf(listen, sizeof listen, "%s:%u", metrics->host ? metrics->host : "", metrics->port);
  return json_pack("{ss* sb}", "listen", metrics->host ? listen : NULL, "beyondLoopback",
                   metrics->host && !metrics->is_loopback);
}

static json_t *prices_of(const struct hg_prices *prices) {
  json_t *list = json_array();
  for (size_t i = 0; i < prices->count; i++) {
    const struct hg_price *price = &prices->list[i];
    json_array_append_new(list, json_pack("{ss sI sI sI sI}", "model", price->model, "input", (json_int_t)price->input,
                                          "cached", (json_int_t)price->cached, "cacheWrite",
                                          (json_int_t)price->cache_write, "output", (json_int_t)price->output));
  }
  return list;
}

static json_t *llm_of(const struct hg_llm_config *llm) {
  json_t *texts = json_pack(
      "{ss* ss* ss ss ss ss ss sb so so}", "baseUrl", llm->base_url, "apiKeyEnv", llm->api_key_env, "auth", llm->auth,
      "outputCapField", llm->output_cap_field, "unbounded", llm->allow_unbounded ? "allow" : "refuse", "reservation",
      reservations[llm->reservation], "counter", llm->counter == HG_COUNT_BY_VLLM ? "vllm" : "auto", "mayCapOutput",
      llm->may_cap_output, "headers", list_of(llm->headers, llm->header_count), "prices", prices_of(&llm->prices));
  json_t *figures =
      json_pack("{sI sI si si si}", "maxTokensPerMedia", (json_int_t)llm->max_tokens_per_media, "defaultMaxTokens",
                (json_int_t)llm->default_max_tokens, "timeoutSeconds", (int)llm->timeout_seconds, "maxAttempts",
                (int)llm->max_attempts, "retryUnknownOutcome", (int)llm->retry_unknown_outcome);
  json_object_update(texts, figures);
  json_decref(figures);
  if (llm->tokens_per_minute)
    json_object_set_new(texts, "tokensPerMinute", json_integer((json_int_t)llm->tokens_per_minute));
  if (llm->requests_per_minute)
    json_object_set_new(texts, "requestsPerMinute", json_integer((json_int_t)llm->requests_per_minute));
  return texts;
}

static json_t *all_of(const struct hg_config *config) {
  return json_pack(
      "{so s{ss si sb} s{si si} s{so si so*} s{so si so* so*} so}", "tokenBudget", token_budget_of(config), "ledger",
      "path", config->ledger_path, "keepDays", (int)config->keep_days, "sharedReaders", config->shared_readers,
      "scheduler", "maxConcurrency", (int)config->max_concurrency, "throttledConcurrency",
      (int)config->throttled_concurrency, "eventBus", "bind", list_of(config->event_binds, config->event_bind_count),
      "maxSubscribers", (int)config->max_subscribers, "curve", curve_of(&config->event_curve), "serve", "bind",
      list_of(config->serve_binds, config->serve_bind_count), "maxClients", (int)config->max_clients, "curve",
      curve_of(&config->serve_curve), "metrics", metrics_of(&config->metrics), "llm", llm_of(&config->llm));
}

static int show(const char *path) {
  struct hg_config *config = NULL;
  hg_error why = HG_ERROR_INIT;
  if (hg_config_read(path, &config, &why) != HG_OK) {
    fprintf(stderr, "%s\n", why.text);
    return 2;
  }
  json_t *all = all_of(config);
  const int bad = !all || json_dumpf(all, stdout, JSON_COMPACT) != 0;
  puts("");
  json_decref(all);
  hg_config_destroy(&config);
  return bad;
}

int main(int argc, char **argv) {
  if (argc == 2) return show(argv[1]);
  fputs("usage: config_for_tests FILE\n", stderr);
  return 2;
}
