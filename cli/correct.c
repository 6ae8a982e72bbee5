// headgate correct: adds to or takes from what a budget has used, with a reason, as an entry of its own.
#include "cli/cli.h"

#include "cli/control.h"
#include "cli/options.h"
#include "runner/figures.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static const char usage[] =
    "usage: headgate correct [--config FILE | --ledger FILE] BUDGET AMOUNT --why TEXT [--id KEY]\n"
    "Adds to what a budget has used, or gives some back (-AMOUNT). Nothing is erased: it is an entry of its "
    "own.\n"
    "  AMOUNT          tokens such as +1200, -3k, -2_000, or, where the ledger counts dollars, '+$1.50' or -2usd\n"
    "  --why TEXT      the reason, kept with the entry\n"
    "  --id KEY        a key of your own: the same key counts once, however often it is sent\n"
    "  --config FILE   the configuration (default: " HG_CLI_CONFIG_FILE ")\n"
    "  --ledger FILE   the ledger of a run that was started with --limit\n"
    "Exit: 0 corrected, 1 the key was used for something else, or no answer came, 2 wrong flags, configuration, amount "
    "or\n"
    "unit, no such budget, or a total below 0, 4 the ledger can't be read or written.\n";

struct correction {
  const char *budget, *why, *id;
  hg_unit unit;
  int64_t tokens;
  char random_id[48];
};

static hg_err correct_live(void *context, struct hg_control *control, int64_t deadline_us, hg_error *why) {
  const struct correction *correction = context;
  struct hg_message command;
  char what[HG_BUDGET_NAME_MAX + 16];
  snprintf(what, sizeof what, "budget \"%.*s\"", HG_BUDGET_NAME_MAX, correction->budget);
  hg_message_init(&command, HG_CORRECT);
  command.as.correct.budget = hg_text_of(correction->budget);
  command.as.correct.tokens = correction->tokens;
  command.as.correct.reason = hg_text_of(correction->why);
  command.as.correct.usage_id = hg_text_of(correction->id);
  const hg_err err = hg_control_check_unit(control, correction->unit, deadline_us, why);
  return err == HG_OK ? hg_control_do(control, &command, what, deadline_us, why) : err;
}

static hg_err correct_stored(void *context, hg_client *client, int timeout_ms, hg_error *why) {
  const struct correction *correction = context;
  hg_err err = hg_client_check_unit(client, correction->unit, timeout_ms, why);
  if (err != HG_OK) return err;
  err = hg_correct_once(client, correction->budget, correction->tokens, correction->why, correction->id, timeout_ms);
  return err == HG_OK ? HG_OK : hg_fail(why, err, "budget \"%s\": %s", correction->budget, hg_err_text(err));
}

// Asked twice, when a runtime ends before it answers, it counts once all the same.
static hg_err give_id(struct correction *correction, hg_error *why) {
  uint64_t random[2];
  if (correction->id) return HG_OK;
  if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
    return hg_fail(why, HG_ERR_SYSTEM, "the system gives no random numbers");
  snprintf(correction->random_id, sizeof correction->random_id, "correct-%016llx%016llx", (unsigned long long)random[0],
           (unsigned long long)random[1]);
  correction->id = correction->random_id;
  return HG_OK;
}

static int correct(const char *config, const char *ledger, struct correction *correction) {
  const struct hg_change change = {correction, correct_live, correct_stored};
  struct hg_site site;
  hg_error why = HG_ERROR_INIT;
  if (give_id(correction, &why) != HG_OK || hg_site_open(config, ledger, &site, &why) != HG_OK)
    return hg_cli_exit("correct", &why);
  const hg_err err = hg_site_change(&site, &change, &why);
  hg_site_close(&site);
  if (err != HG_OK) return hg_cli_exit("correct", &why);
  printf("%s: %s%s (%s)\n", correction->budget, correction->tokens > 0 ? "+" : "",
         hg_figure_tokens(correction->unit, correction->tokens).text, correction->why);
  return HG_EXIT_DONE;
}

static bool parse_signed(const char *text, struct correction *out) {
  const bool negative = text[0] == '-';
  struct hg_amount amount;
  if (!hg_cli_parse_amount(text + (negative || text[0] == '+'), &amount)) return false;
  out->unit = amount.unit;
  out->tokens = negative ? -amount.amount : amount.amount;
  return true;
}

static int check_and_correct(const char *config, const char *ledger, struct correction *correction,
                             const char *tokens) {
  if (!correction->why || !correction->why[0] || strlen(correction->why) > HG_TEXT_MAX) {
    fprintf(stderr, "headgate correct: needs a reason of at most %d bytes (--why TEXT)\n", HG_TEXT_MAX);
    return HG_EXIT_USAGE;
  }
  if (correction->id && (!correction->id[0] || strlen(correction->id) > HG_LABEL_MAX)) {
    fprintf(stderr, "headgate correct: --id takes 1 to %d bytes\n", HG_LABEL_MAX);
    return HG_EXIT_USAGE;
  }
  if (!parse_signed(tokens, correction)) {
    fprintf(stderr,
            "headgate correct: \"%s\" is not a number of tokens such as +1200, -3k or -2_000, nor an "
            "amount of dollars such as '+$1.50' or -2usd\n",
            tokens);
    return HG_EXIT_USAGE;
  }
  return correct(config, ledger, correction);
}

int hg_cli_correct(int argc, char **argv) {
  static const struct option options[] = {
      {"config", required_argument, NULL, 'c'}, {"ledger", required_argument, NULL, 'l'},
      {"why", required_argument, NULL, 'w'},    {"id", required_argument, NULL, 'i'},
      {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
  const char *config = NULL, *ledger = NULL, *words[2] = {NULL, NULL};
  struct correction correction = {0};
  int count = 0;
  for (int option; (option = hg_cli_next_option(argc, argv, options)) != -1;) {
    if (option == 'c') config = optarg;
    else if (option == 'l') ledger = optarg;
    else if (option == 'w') correction.why = optarg;
    else if (option == 'i') correction.id = optarg;
    else if (option != HG_CLI_WORD) return hg_cli_usage(usage, option == 'h');
    else if (count++ < 2) words[count - 1] = optarg;
  }
  if (count != 2) {
    fputs("headgate correct: needs a budget and an amount, in tokens or dollars\n", stderr);
    return hg_cli_usage(usage, false);
  }
  correction.budget = words[0];
  return check_and_correct(config, ledger, &correction, words[1]);
}
