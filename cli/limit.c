// headgate limit: raises or lowers a hard limit, through the living runtime or, when none lives, in the ledger.
#include "cli/cli.h"

#include "actors/runtime.h"
#include "cli/control.h"
#include "cli/options.h"
#include "ledger/ledger.h"
#include "runner/figures.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define DURABLE_WITHIN_MS 10000
#define LEDGER_PATIENCE_MS 5000 // somebody looks in for a moment

static const char usage[] = "usage: headgate limit [--config FILE | --ledger FILE] BUDGET TOKENS\n"
                            "Sets the hard limit of a budget; what waits and now fits starts at once.\n"
                            "  TOKENS          such as 200k, 2M, 2_000_000\n"
                            "  --config FILE   the configuration (default: " HG_CLI_CONFIG_FILE ")\n"
                            "  --ledger FILE   the ledger of a run that was started with --limit\n";

struct change {
  const char *budget;
  int64_t tokens, previous;
};

// HG_ERR_NO_RUNTIME: none lives, or it ended before it answered.
static hg_err change_live(const struct hg_site *site, struct change *change, hg_error *why) {
  struct hg_holder holder;
  struct hg_control control = {0};
  struct hg_message report;
  if (hg_site_holder(site, &holder) != HG_OK) return HG_ERR_NO_RUNTIME;
  const int64_t now = hg_clock_now().monotonic_us;
  hg_err err = hg_control_open(&control, holder.control);
  if (err != HG_OK) return hg_cli_fail(why, err, "cannot connect to %s: %s", holder.control, hg_err_text(err));
  err = hg_control_status(&control, change->budget, now + HG_CONTROL_PATIENCE_MS * INT64_C(1000), &report, why);
  if (err == HG_OK) {
    change->previous = report.as.status_report.hard_limit;
    err = hg_control_limit(&control, change->budget, change->tokens, now + DURABLE_WITHIN_MS * INT64_C(1000), why);
  }
  hg_control_close(&control);
  // A limit that is set twice is set once.
  return err == HG_ERR_TIMEOUT && hg_site_holder(site, &holder) != HG_OK ? HG_ERR_NO_RUNTIME : err;
}

// The configuration with which the ledger opens as it is. What was said last of "default" may come from a --limit:
// opening with another figure would count as a change, and the next run with that flag as another one.
static hg_err config_of(struct hg_site *site, struct hg_config **out, hg_error *why) {
  struct hg_ledger_budget *stored = calloc(site->config->budget_count, sizeof *stored);
  if (!stored) return hg_cli_fail(why, HG_ERR_NO_MEMORY, "%s", hg_err_text(HG_ERR_NO_MEMORY));
  const hg_err err = hg_ledger_read_budgets(site->config, &site->places, LEDGER_PATIENCE_MS, stored, why);
  const bool none = err == HG_ERR_EMPTY && !site->from_ledger; // the opening makes it
  if (err == HG_OK && !stored[0].is_new) site->config->budgets[0].hard_limit = stored[0].configured_limit;
  free(stored);
  if (err != HG_OK && !none) return err;
  *out = site->config;
  site->config = NULL; // handed on
  return HG_OK;
}

static hg_err set_limit(hg_runtime *runtime, struct change *change, hg_error *why) {
  hg_client *client = NULL;
  hg_usage figures = HG_USAGE_INIT;
  hg_err err = hg_client_new(runtime, &client);
  if (err == HG_OK) err = hg_get_usage(client, change->budget, &figures, DURABLE_WITHIN_MS);
  change->previous = figures.hard_limit;
  if (err == HG_OK) err = hg_set_hard_limit(client, change->budget, change->tokens, DURABLE_WITHIN_MS);
  hg_client_destroy(&client);
  return err == HG_OK ? HG_OK : hg_cli_fail(why, err, "budget \"%s\": %s", change->budget, hg_err_text(err));
}

static hg_err change_stored(struct hg_site *site, struct change *change, hg_error *why) {
  struct hg_config *config = NULL;
  hg_runtime *runtime = NULL;
  hg_err err = config_of(site, &config, why);
  if (err == HG_OK) err = hg_open_config(&config, &runtime, NULL, why);
  if (err != HG_OK) return err;
  err = set_limit(runtime, change, why);
  const hg_err closed = hg_close(&runtime, 0);
  return err != HG_OK || closed == HG_OK ? err : hg_cli_fail(why, closed, "%s", hg_err_text(closed));
}

static int change_limit(const char *config, const char *ledger, struct change *change) {
  struct hg_site site;
  hg_error why = HG_ERROR_INIT;
  if (hg_site_open(config, ledger, &site, &why) != HG_OK) return hg_cli_exit("limit", &why);
  hg_err err = change_live(&site, change, &why);
  if (err == HG_ERR_NO_RUNTIME) err = change_stored(&site, change, &why);
  hg_site_close(&site);
  if (err != HG_OK) return hg_cli_exit("limit", &why);
  printf("%s: %s → %s tokens\n", change->budget, hg_figure_count(change->previous).text,
         hg_figure_count(change->tokens).text);
  return HG_EXIT_DONE;
}

int hg_cli_limit(int argc, char **argv) {
  static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                          {"ledger", required_argument, NULL, 'l'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  const char *config = NULL, *ledger = NULL;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'c') config = optarg;
    else if (option == 'l') ledger = optarg;
    else return hg_cli_usage(usage, option == 'h');
  }
  if (argc - optind != 2) {
    fputs("headgate limit: needs a budget and a number of tokens\n", stderr);
    return hg_cli_usage(usage, false);
  }
  struct change change = {.budget = argv[optind]};
  if (!hg_cli_parse_tokens(argv[optind + 1], &change.tokens)) {
    fprintf(stderr, "headgate limit: \"%s\" is not a number of tokens from 1 to %lld, such as 200k, 2M or 2_000_000\n",
            argv[optind + 1], (long long)HG_TOKENS_MAX);
    return HG_EXIT_USAGE;
  }
  return change_limit(config, ledger, &change);
}
