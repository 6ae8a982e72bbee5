// Changes a ledger from outside: through the runtime that lives on it or, when none lives, through one that is opened
// for a moment.
#include "actors/runtime.h"
#include "cli/control.h"
#include "ledger/ledger.h"

#include <stdlib.h>

#define DURABLE_WITHIN_MS 10000
#define LEDGER_PATIENCE_MS 5000 // somebody looks in for a moment

// HG_ERR_NO_RUNTIME: none lives, or it ended before it answered.
static hg_err change_live(const struct hg_site *site, const struct hg_change *change, hg_error *why) {
  struct hg_holder holder;
  struct hg_control control = {0};
  if (hg_site_holder(site, &holder) != HG_OK) return HG_ERR_NO_RUNTIME;
  hg_err err = hg_control_open(&control, holder.control);
  if (err != HG_OK) return hg_fail(why, err, "cannot connect to %s: %s", holder.control, hg_err_text(err));
  err = change->live(change->context, &control, hg_clock_now().monotonic_us + DURABLE_WITHIN_MS * INT64_C(1000), why);
  hg_control_close(&control);
  if (err == HG_ERR_TIMEOUT && hg_site_holder(site, &holder) != HG_OK) return HG_ERR_NO_RUNTIME;
  return hg_site_explain(site, err, why);
}

// What was said last of "default" may come from a --limit: opening with another figure would count as a change, and the
// next run with that flag as another one.
static hg_err keep_limit(struct hg_site *site, hg_error *why) {
  struct hg_ledger_budget *stored = calloc(site->config->budget_count, sizeof *stored);
  if (!stored) return hg_fail(why, HG_ERR_NO_MEMORY, "%s", hg_err_text(HG_ERR_NO_MEMORY));
  const hg_err err = hg_ledger_read_budgets(site->config, &site->places, LEDGER_PATIENCE_MS, stored, why);
  if (err == HG_OK && !stored[0].is_new) site->config->budgets[0].hard_limit = stored[0].configured_limit;
  free(stored);
  return err == HG_ERR_EMPTY ? HG_OK : err; // the opening makes it
}

// The configuration with which the ledger opens as it is.
static hg_err config_of(struct hg_site *site, struct hg_config **out, hg_error *why) {
  const hg_err err = site->from_ledger ? hg_site_learn(site, LEDGER_PATIENCE_MS, why) : keep_limit(site, why);
  if (err != HG_OK) return err;
  *out = site->config;
  site->config = NULL; // handed on
  return HG_OK;
}

static hg_err change_stored(struct hg_site *site, const struct hg_change *change, hg_error *why) {
  struct hg_config *config = NULL;
  hg_runtime *runtime = NULL;
  hg_client *client = NULL;
  hg_err err = config_of(site, &config, why);
  if (err == HG_OK) err = hg_open_config(&config, &runtime, NULL, why);
  if (err != HG_OK) return err;
  err = hg_client_new(runtime, &client);
  if (err != HG_OK) hg_fail(why, err, "%s", hg_err_text(err));
  else err = change->stored(change->context, client, DURABLE_WITHIN_MS, why);
  hg_client_destroy(&client);
  const hg_err closed = hg_close(&runtime, 0);
  return err != HG_OK || closed == HG_OK ? err : hg_fail(why, closed, "%s", hg_err_text(closed));
}

hg_err hg_site_change(struct hg_site *site, const struct hg_change *change, hg_error *why) {
  const hg_err err = change_live(site, change, why);
  return err == HG_ERR_NO_RUNTIME ? change_stored(site, change, why) : err;
}
