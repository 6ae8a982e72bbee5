// headgate limit: raises or lowers a hard limit, through the living runtime or, when none lives, in the ledger.
#include "cli/cli.h"

#include "cli/control.h"
#include "cli/options.h"
#include "runner/figures.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
    "usage: headgate limit [--config FILE | --ledger FILE] BUDGET LIMIT\n"
    "Sets the hard limit of a budget; what waits and now fits starts at once.\n"
    "  LIMIT           tokens such as 200k, 2M, 2_000_000, or, where the ledger counts dollars, '$20' or 20usd\n"
    "  --config FILE   the configuration (default: " HG_CLI_CONFIG_FILE ")\n"
    "  --ledger FILE   the ledger of a run that was started with --limit\n"
    "Exit: 0 the limit is set, 1 no answer came, or somebody holds the ledger, 2 wrong flags, configuration, amount "
    "or\n"
    "unit, or no such budget, 4 the ledger can't be read or written.\n";

struct limit {
  const char *budget;
  struct hg_amount wanted;
  int64_t previous;
};

static hg_err set_live(void *context, struct hg_control *control, int64_t deadline_us, hg_error *why) {
  struct limit *limit = context;
  struct hg_message report, command;
  char what[HG_BUDGET_NAME_MAX + 16];
  const int64_t soon = hg_clock_now().monotonic_us + HG_CONTROL_PATIENCE_MS * INT64_C(1000);
  hg_err err = hg_control_check_unit(control, limit->wanted.unit, soon, why);
  if (err == HG_OK) err = hg_control_status(control, limit->budget, soon, &report, why);
  if (err != HG_OK) return err;
  limit->previous = report.as.status_report.hard_limit;
  hg_message_init(&command, HG_LIMIT);
  command.as.limit.budget = hg_text_of(limit->budget);
  command.as.limit.tokens = limit->wanted.amount;
  snprintf(what, sizeof what, "budget \"%.*s\"", HG_BUDGET_NAME_MAX, limit->budget);
  return hg_control_do(control, &command, what, deadline_us, why);
}

static hg_err set_stored(void *context, hg_client *client, int timeout_ms, hg_error *why) {
  struct limit *limit = context;
  hg_usage figures = HG_USAGE_INIT;
  hg_err err = hg_client_check_unit(client, limit->wanted.unit, timeout_ms, why);
  if (err != HG_OK) return err;
  err = hg_get_usage(client, limit->budget, &figures, timeout_ms);
  limit->previous = figures.hard_limit;
  if (err == HG_OK) err = hg_set_hard_limit(client, limit->budget, limit->wanted.amount, timeout_ms);
  return err == HG_OK ? HG_OK : hg_fail(why, err, "budget \"%s\": %s", limit->budget, hg_err_text(err));
}

static int change_limit(const char *config, const char *ledger, struct limit *limit) {
  const struct hg_change change = {limit, set_live, set_stored};
  struct hg_site site;
  hg_error why = HG_ERROR_INIT;
  if (hg_site_open(config, ledger, &site, &why) != HG_OK) return hg_cli_exit("limit", &why);
  const hg_err err = hg_site_change(&site, &change, &why);
  hg_site_close(&site);
  if (err != HG_OK) return hg_cli_exit("limit", &why);
  printf("%s: %s → %s\n", limit->budget, hg_figure_amount(limit->wanted.unit, limit->previous).text,
         hg_figure_tokens(limit->wanted.unit, limit->wanted.amount).text);
  return HG_EXIT_DONE;
}

int hg_cli_limit(int argc, char **argv) {
  static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                          {"ledger", required_argument, NULL, 'l'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  const char *config = NULL, *ledger = NULL, *words[2] = {NULL, NULL};
  int count = 0;
  for (int option; (option = hg_cli_next_option(argc, argv, options)) != -1;) {
    if (option == 'c') config = optarg;
    else if (option == 'l') ledger = optarg;
    else if (option != HG_CLI_WORD) return hg_cli_usage(usage, option == 'h');
    else if (count++ < 2) words[count - 1] = optarg;
  }
  if (count != 2) {
    fputs("headgate limit: needs a budget and its limit, in tokens or dollars\n", stderr);
    return hg_cli_usage(usage, false);
  }
  struct limit limit = {.budget = words[0]};
  if (!hg_cli_parse_amount(words[1], &limit.wanted)) {
    fprintf(stderr,
            "headgate limit: \"%s\" is not a number of tokens from 1 to %lld, such as 200k, 2M or 2_000_000, "
            "nor an amount of dollars, such as '$20' or 20usd\n",
            words[1], (long long)HG_TOKENS_MAX);
    return HG_EXIT_USAGE;
  }
  return change_limit(config, ledger, &limit);
}
