// SIGHUP: limits, the concurrency and the lists of keys are taken up at once; what waits for the next start is told.
#include "cli/serve.h"

#include "actors/core.h"
#include "actors/runtime.h"
#include "cli/service.h"
#include "client/client.h"
#include "runner/figures.h"
#include "base/money.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MS 10000

static bool same_text(const char *a, const char *b) {
  return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_list(char *const *a, size_t a_count, char *const *b, size_t b_count) {
  if (a_count != b_count) return false;
  for (size_t i = 0; i < a_count; i++)
    if (!same_text(a[i], b[i])) return false;
  return true;
}

static bool same_curve(const struct hg_curve_config *a, const struct hg_curve_config *b) {
  return same_text(a->secret_key_file, b->secret_key_file) && same_text(a->allowed_keys_file, b->allowed_keys_file);
}

static bool same_metrics(const struct hg_metrics_config *a, const struct hg_metrics_config *b) {
  return a->wanted == b->wanted && same_text(a->host, b->host) && a->port == b->port;
}

static bool same_budgets(const struct hg_config *a, const struct hg_config *b) {
  if (a->budget_count != b->budget_count) return false;
  for (uint32_t i = 0; i < a->budget_count; i++)
    if (!same_text(a->budgets[i].name, b->budgets[i].name) || a->budgets[i].parent != b->budgets[i].parent)
      return false;
  return true;
}

static bool same_prices(const struct hg_prices *a, const struct hg_prices *b) {
  if (a->count != b->count) return false;
  for (size_t i = 0; i < a->count; i++) {
    const struct hg_price *x = &a->list[i], *y = &b->list[i];
    if (!same_text(x->model, y->model) || x->input != y->input || x->cached != y->cached ||
        x->cache_write != y->cache_write || x->output != y->output)
      return false;
  }
  return true;
}

// What only an opening takes up.
static void tell_what_waits(const struct hg_config *before, const struct hg_config *now) {
  const struct {
    bool same;
    const char *name;
  } parts[] = {
      {same_text(before->ledger_path, now->ledger_path), "ledger.path"},
      {before->keep_days == now->keep_days, "ledger.keepDays"},
      {before->shared_readers == now->shared_readers, "ledger.sharedReaders"},
      {before->throttle_percent == now->throttle_percent, "tokenBudget.throttlePercent"},
      {before->restore_below_percent == now->restore_below_percent, "tokenBudget.restoreBelowPercent"},
      {before->throttle_basis == now->throttle_basis, "tokenBudget.throttleBasis"},
      {before->orphan_policy == now->orphan_policy, "tokenBudget.orphanedReservations"},
      {same_budgets(before, now), "the names and parents of tokenBudget.budgets"},
      {before->throttled_concurrency == now->throttled_concurrency, "scheduler.throttledConcurrency"},
      {same_list(before->event_binds, before->event_bind_count, now->event_binds, now->event_bind_count),
       "eventBus.bind"},
      {before->max_subscribers == now->max_subscribers, "eventBus.maxSubscribers"},
      {same_curve(&before->event_curve, &now->event_curve), "eventBus.curve"},
      {same_list(before->serve_binds, before->serve_bind_count, now->serve_binds, now->serve_bind_count), "serve.bind"},
      {before->max_clients == now->max_clients, "serve.maxClients"},
      {same_curve(&before->serve_curve, &now->serve_curve), "serve.curve"},
      {same_metrics(&before->metrics, &now->metrics), "serve.metrics"},
      {same_prices(&before->llm.prices, &now->llm.prices), "llm.prices"},
  };
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (!parts[i].same)
      hg_serve_say("%s: %s has changed and takes effect at the next start", now->source, parts[i].name);
}

// What stands in the way of all that comes behind it too: a ledger that is not written, or that we are to end.
static bool is_hopeless(hg_err *err) {
  if (hg_serve_is_told_to_end()) *err = HG_ERR_CANCELLED;
  return *err == HG_ERR_TIMEOUT || *err == HG_ERR_STORE || *err == HG_ERR_CLOSED || *err == HG_ERR_CANCELLED;
}

// A limit that was raised by hand stays while the file says what it said. What can't be taken up now is taken up when
// the file is read the next time: `now` says of it what was said before. `before`: what came of those before it.
static hg_err take_up_limit(struct hg_serve *serve, struct hg_budget_config *budget, hg_err before) {
  const struct hg_config *running = hg_runtime_config(serve->runtime);
  uint32_t known, index;
  if (!hg_config_find_budget(running, budget->name, strlen(budget->name), &index)) return before;
  const bool is_known = hg_config_find_budget(serve->said, budget->name, strlen(budget->name), &known);
  const int64_t said = is_known ? serve->said->budgets[known].hard_limit : 0;
  if (said == budget->hard_limit) return before;
  const hg_err err = is_hopeless(&before)
                         ? before
                         : hg_client_configure_limit(serve->client, budget->name, budget->hard_limit, ANSWER_MS);
  if (err == HG_OK)
    hg_serve_say("budget \"%s\": the limit is %s now", budget->name,
                 hg_figure_tokens(running->unit, budget->hard_limit).text);
  else budget->hard_limit = said;
  hg_service_tell("WATCHDOG=1"); // each was answered, or its patience is over
  return err == HG_OK ? before : err;
}

static const char *const gate_names[HG_GATE_COUNT] = {[HG_GATE_EVENTS] = "eventBus", [HG_GATE_CONTROL] = "serve"};

// Of the lists that were named at the start.
static void take_up_keys(struct hg_serve *serve) {
  const struct hg_config *running = hg_runtime_config(serve->runtime);
  const char *files[HG_GATE_COUNT] = {[HG_GATE_EVENTS] = running->event_curve.allowed_keys_file,
                                      [HG_GATE_CONTROL] = running->serve_curve.allowed_keys_file};
  for (int id = 0; id < HG_GATE_COUNT; id++) {
    hg_error why = HG_ERROR_INIT;
    struct hg_door_change change;
    if (!files[id]) continue;
    if (hg_door_read_keys(hg_runtime_core(serve->runtime)->door, (enum hg_gate_id)id, files[id], &change, &why) !=
        HG_OK)
      hg_serve_say("%s; the keys of before hold", why.text);
    else if (change.is_changed) hg_serve_say("%s: only keys of %s get in now", gate_names[id], files[id]);
    if (change.cut)
      hg_serve_say("%s: a key was struck off, so %" PRIu32 " connections were cut", gate_names[id], change.cut);
  }
}

// Nobody prints the secret ones.
static void read_public_keys(const struct hg_config *config, char out[HG_GATE_COUNT][HG_KEY_TEXT]) {
  const char *files[HG_GATE_COUNT] = {
      [HG_GATE_EVENTS] = config->event_curve.secret_key_file, [HG_GATE_CONTROL] = config->serve_curve.secret_key_file};
  for (int id = 0; id < HG_GATE_COUNT; id++) {
    char secret_key[HG_KEY_TEXT];
    hg_error why = HG_ERROR_INIT;
    out[id][0] = '\0';
    if (files[id] && hg_keys_read_secret(files[id], secret_key, &why) == HG_OK)
      (void)hg_keys_public(secret_key, out[id], &why);
    explicit_bzero(secret_key, sizeof secret_key);
  }
}

void hg_serve_note_keys(struct hg_serve *serve) {
  read_public_keys(hg_runtime_config(serve->runtime), serve->public_keys);
}

static void tell_new_secret_keys(struct hg_serve *serve) {
  char now[HG_GATE_COUNT][HG_KEY_TEXT];
  read_public_keys(hg_runtime_config(serve->runtime), now);
  for (int id = 0; id < HG_GATE_COUNT; id++)
    if (strcmp(now[id], serve->public_keys[id]) != 0)
      hg_serve_say("%s.curve.serverSecretKeyFile has another key and takes effect at the next start", gate_names[id]);
}

static hg_err take_up_concurrency(struct hg_serve *serve, struct hg_config *now, hg_err before) {
  if (now->max_concurrency == serve->said->max_concurrency) return before;
  const hg_err err =
      is_hopeless(&before) ? before : hg_set_max_concurrency(serve->client, now->max_concurrency, ANSWER_MS);
  if (err == HG_OK) hg_serve_say("up to %" PRIu32 " tasks run at once now", now->max_concurrency);
  else now->max_concurrency = serve->said->max_concurrency;
  return err == HG_OK ? before : err;
}

static hg_err take_up(struct hg_serve *serve, struct hg_config *now) {
  hg_err err = HG_OK;
  for (uint32_t i = 0; i < now->budget_count; i++)
    err = take_up_limit(serve, &now->budgets[i], err);
  return take_up_concurrency(serve, now, err);
}

void hg_serve_read_again(struct hg_serve *serve) {
  struct hg_config *now = NULL;
  hg_error why = HG_ERROR_INIT;
  hg_service_tell("RELOADING=1");
  if (!serve->config_file) {
    hg_serve_say("there is no configuration to read again: it was started with --limit");
  } else if (hg_config_read(serve->config_file, &now, &why) != HG_OK) {
    hg_serve_say("%s; all stays as it was", why.text);
  } else if (now->unit != hg_runtime_config(serve->runtime)->unit) {
    hg_serve_say("%s: its limits are in %s now, and the ledger keeps counting %s; all stays as it was", now->source,
                 hg_unit_words(now->unit), hg_unit_words(hg_runtime_config(serve->runtime)->unit));
    hg_config_destroy(&now);
  } else {
    fputs(now->warnings, stderr);
    tell_what_waits(serve->said, now);
    tell_new_secret_keys(serve);
    take_up_keys(serve);
    const hg_err err = take_up(serve, now);
    if (err != HG_OK)
      hg_serve_say("not all of %s could be taken up: %s; SIGHUP tries again", serve->config_file, hg_err_text(err));
    else hg_serve_say("%s was read again", serve->config_file);
    hg_config_destroy(&serve->said);
    serve->said = now;
  }
  hg_service_tell("READY=1");
}
