// Changes a ledger from outside: through the runtime that lives on it or, when none lives, through one that is opened
// for a moment.
#include "actors/runtime.h"
#include "cli/control.h"
#include "ledger/ledger.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#define DURABLE_WITHIN_MS 10000
#define LOOK_IN_MS 200 // for somebody else who looks in; whoever stays longer is to be asked
#define AGAIN_AFTER_NS 5000000L

// HG_ERR_NO_RUNTIME: none lives, or it ended before it answered; HG_ERR_CLOSED: it is about to end.
static hg_err change_live(const struct hg_site *site, const struct hg_change *change, int64_t deadline_us,
                          hg_error *why) {
  struct hg_control control;
  hg_err err = hg_control_open(&control, site, why);
  if (err == HG_OK) err = change->live(change->context, &control, deadline_us, why);
  hg_control_close(&control);
  return hg_site_explain(site, err, why);
}

// What was said last of "default" may come from a --limit: opening with another figure would count as a change, and the
// next run with that flag as another one.
static hg_err keep_limit(struct hg_site *site, hg_error *why) {
  struct hg_ledger_budget *stored = calloc(site->config->budget_count, sizeof *stored);
  if (!stored) return hg_fail(why, HG_ERR_NO_MEMORY, "%s", hg_err_text(HG_ERR_NO_MEMORY));
  const hg_err err = hg_ledger_read_budgets(site->config, &site->places, LOOK_IN_MS, stored, why);
  if (err == HG_OK && !stored[0].is_new) site->config->budgets[0].hard_limit = stored[0].configured_limit;
  free(stored);
  return err == HG_ERR_EMPTY ? HG_OK : err; // the opening makes it
}

// The configuration with which the ledger opens as it is.
static hg_err learn(struct hg_site *site, hg_error *why) {
  assert(site->config); // only an opening that failed is tried again
  return site->from_ledger ? hg_site_learn(site, LOOK_IN_MS, why) : keep_limit(site, why);
}

// HG_ERR_LEDGER_IN_USE: somebody lives on it meanwhile, and nothing is done.
static hg_err change_stored(struct hg_site *site, const struct hg_change *change, hg_error *why) {
  hg_runtime *runtime = NULL;
  hg_client *client = NULL;
  hg_err err = learn(site, why);
  if (err == HG_OK) {
    site->config->for_a_moment = true;
    err = hg_open_config(&site->config, &runtime, NULL, why);
  }
  if (err != HG_OK) return err;
  err = hg_client_new(runtime, &client);
  if (err != HG_OK) hg_fail(why, err, "%s", hg_err_text(err));
  else err = change->stored(change->context, client, DURABLE_WITHIN_MS, why);
  hg_client_destroy(&client);
  const hg_err closed = hg_close(&runtime, 0);
  return err != HG_OK || closed == HG_OK ? err : hg_fail(why, closed, "%s", hg_err_text(closed));
}

// Others change the ledger too: a runtime that is found may end before it answers, and when none is found one may live
// by the time the ledger is opened. So both ways are tried until it is done.
hg_err hg_site_change(struct hg_site *site, const struct hg_change *change, hg_error *why) {
  const int64_t deadline = hg_clock_now().monotonic_us + DURABLE_WITHIN_MS * INT64_C(1000);
  const struct timespec pause = {0, AGAIN_AFTER_NS};
  for (;;) {
    hg_err err = change_live(site, change, deadline, why);
    if (err == HG_ERR_NO_RUNTIME || err == HG_ERR_CLOSED) err = change_stored(site, change, why);
    if (err != HG_ERR_LEDGER_IN_USE || hg_clock_now().monotonic_us >= deadline) return err;
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
  }
}
