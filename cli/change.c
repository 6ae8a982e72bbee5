// Changes a ledger from outside: through the runtime that lives on it or, when none lives, through one that is opened
// for a moment.
#include "actors/runtime.h"
#include "cli/control.h"
#include "ledger/ledger.h"

#define DURABLE_WITHIN_MS 10000

// HG_ERR_NO_RUNTIME: none lives, or it ended before it answered.
static hg_err change_live(const struct hg_site *site, const struct hg_change *change, hg_error *why) {
  struct hg_holder holder;
  struct hg_control control = {0};
  if (hg_site_holder(site, &holder) != HG_OK) return HG_ERR_NO_RUNTIME;
  hg_err err = hg_control_open(&control, holder.control);
  if (err != HG_OK) return hg_cli_fail(why, err, "cannot connect to %s: %s", holder.control, hg_err_text(err));
  err = change->live(change->context, &control, hg_clock_now().monotonic_us + DURABLE_WITHIN_MS * INT64_C(1000), why);
  hg_control_close(&control);
  return err == HG_ERR_TIMEOUT && hg_site_holder(site, &holder) != HG_OK ? HG_ERR_NO_RUNTIME : err;
}

// What a configuration said last. Opening with another figure would count as a change of the configuration.
static hg_err configured_limit(const struct hg_site *site, int64_t *out, hg_error *why) {
  struct hg_ledger_figures figures;
  struct hg_ledger_state state;
  struct hg_ledger *ledger = NULL;
  hg_err err =
      hg_ledger_read_figures(site->config, &site->places, NULL, &figures, why); // refuses one that is not there
  if (err == HG_OK) err = hg_ledger_open(site->config, &site->places, &ledger, &state, why);
  if (err != HG_OK) return err;
  *out = state.budgets[0].configured_limit;
  hg_ledger_state_clear(&state);
  err = hg_ledger_close(&ledger);
  return err == HG_OK ? HG_OK : hg_cli_fail(why, err, "%s: %s", site->config->ledger_path, hg_err_text(err));
}

// The configuration with which the ledger opens as it is.
static hg_err config_of(struct hg_site *site, struct hg_config **out, hg_error *why) {
  if (!site->from_ledger) {
    *out = site->config;
    site->config = NULL; // handed on
    return HG_OK;
  }
  int64_t limit;
  const hg_err err = configured_limit(site, &limit, why);
  return err == HG_OK ? hg_config_minimal(limit, site->config->ledger_path, out, why) : err;
}

static hg_err change_stored(struct hg_site *site, const struct hg_change *change, hg_error *why) {
  struct hg_config *config = NULL;
  hg_runtime *runtime = NULL;
  hg_client *client = NULL;
  hg_err err = config_of(site, &config, why);
  if (err == HG_OK) err = hg_open_config(&config, &runtime, why);
  if (err != HG_OK) return err;
  err = hg_client_new(runtime, &client);
  if (err != HG_OK) hg_cli_fail(why, err, "%s", hg_err_text(err));
  else err = change->stored(change->context, client, DURABLE_WITHIN_MS, why);
  hg_client_destroy(&client);
  const hg_err closed = hg_close(&runtime, 0);
  return err != HG_OK || closed == HG_OK ? err : hg_cli_fail(why, closed, "%s", hg_err_text(closed));
}

hg_err hg_site_change(struct hg_site *site, const struct hg_change *change, hg_error *why) {
  const hg_err err = change_live(site, change, why);
  return err == HG_ERR_NO_RUNTIME ? change_stored(site, change, why) : err;
}
