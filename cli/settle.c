// headgate settle: says what a call really used whose owner is gone.
#include "cli/cli.h"

#include "cli/control.h"
#include "cli/options.h"
#include "runner/figures.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: headgate settle [--config FILE | --ledger FILE] ID AMOUNT\n"
    "Replaces what was charged for an orphan by what it really used, as a compensating entry.\n"
    "  ID              16 hex digits, as `headgate orphans` lists them\n"
    "  AMOUNT          what it used: 0 or more tokens, such as 1200 or 3k, or, where the ledger counts "
    "dollars, '$1.50' or 2usd\n"
    "  --config FILE   the configuration (default: " HG_CLI_CONFIG_FILE ")\n"
    "  --ledger FILE   the ledger of a run that was started with --limit\n"
    "Exit: 0 settled, 1 no such orphan, one that was settled as something else or is still open, or no answer came, 2\n"
    "wrong flags, configuration, id, amount or unit, 4 the ledger can't be read or written.\n";

struct settlement {
  uint64_t permit;
  struct hg_amount used; // nothing is nothing in any unit
};

static void name(const struct settlement *settlement, char out[64]) {
  snprintf(out, 64, "permit %016" PRIx64, settlement->permit);
}

static hg_err settle_live(void *context, struct hg_control *control, int64_t deadline_us, hg_error *why) {
  const struct settlement *settlement = context;
  struct hg_message command;
  char what[64];
  name(settlement, what);
  hg_message_init(&command, HG_SETTLE_PERMIT);
  command.as.settle_permit.permit = settlement->permit;
  command.as.settle_permit.tokens = settlement->used.amount;
  command.as.settle_permit.orphans_only = true; // what a call used is told by who made it
  hg_err err = HG_OK;
  if (settlement->used.amount > 0) err = hg_control_check_unit(control, settlement->used.unit, deadline_us, why);
  return err == HG_OK ? hg_control_do(control, &command, what, deadline_us, why) : err;
}

static hg_err settle_stored(void *context, hg_client *client, int timeout_ms, hg_error *why) {
  const struct settlement *settlement = context;
  char what[64];
  name(settlement, what);
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  hg_usage figures = HG_USAGE_INIT;
  hg_err err = hg_get_usage(client, NULL, &figures, timeout_ms);
  if (err != HG_OK) return hg_fail(why, err, "%s: %s", what, hg_err_text(err));
  if (settlement->used.amount > 0) err = hg_cli_check_unit(settlement->used.unit, figures.unit, why);
  if (err != HG_OK) return err;
  used.tokens = settlement->used.amount;
  used.unit = figures.unit;
  err = hg_settle(client, (hg_permit){settlement->permit}, &used, timeout_ms);
  return err == HG_OK ? HG_OK : hg_fail(why, err, "%s: %s", what, hg_err_text(err));
}

static int settle(const char *config, const char *ledger, struct settlement *settlement) {
  const struct hg_change change = {settlement, settle_live, settle_stored};
  struct hg_site site;
  hg_error why = HG_ERROR_INIT;
  if (hg_site_open(config, ledger, &site, &why) != HG_OK) return hg_cli_exit("settle", &why);
  const hg_err err = hg_site_change(&site, &change, &why);
  hg_site_close(&site);
  if (err != HG_OK) return hg_cli_exit("settle", &why);
  printf("permit %016" PRIx64 ": %s used\n", settlement->permit,
         hg_figure_tokens(settlement->used.unit, settlement->used.amount).text);
  return HG_EXIT_DONE;
}

static bool parse_permit(const char *text, uint64_t *out) {
  if (strlen(text) != 16 || strspn(text, "0123456789abcdefABCDEF") != 16) return false;
  *out = strtoull(text, NULL, 16);
  return *out != 0;
}

int hg_cli_settle(int argc, char **argv) {
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
  struct settlement settlement = {0};
  if (argc - optind != 2) {
    fputs("headgate settle: needs the id of a permit and what it used, in tokens or dollars\n", stderr);
    return hg_cli_usage(usage, false);
  }
  if (!parse_permit(argv[optind], &settlement.permit)) {
    fprintf(stderr,
            "headgate settle: \"%s\" is not the id of a permit: 16 hex digits, as `headgate orphans` lists them\n",
            argv[optind]);
    return HG_EXIT_USAGE;
  }
  if (strcmp(argv[optind + 1], "0") != 0 && !hg_cli_parse_amount(argv[optind + 1], &settlement.used)) {
    fprintf(stderr,
            "headgate settle: \"%s\" is not a number of tokens from 0 to %lld, such as 1200 or 3k, nor "
            "an amount of dollars, such as '$1.50' or 2usd\n",
            argv[optind + 1], (long long)HG_TOKENS_MAX);
    return HG_EXIT_USAGE;
  }
  return settle(config, ledger, &settlement);
}
