// headgate orphans: reservations whose owners are gone. Nobody knows yet what they used.
#include "cli/cli.h"

#include "cli/control.h"
#include "ledger/ledger.h"
#include "runner/figures.h"
#include "base/money.h"

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char usage[] = "usage: headgate orphans [--config FILE | --ledger FILE] [--json]\n"
                            "Lists calls that were open when a process died: what they used is not known. `headgate "
                            "settle ID AMOUNT` replaces\n"
                            "the guess by the truth.\n"
                            "  --config FILE   the configuration (default: " HG_CLI_CONFIG_FILE ")\n"
                            "  --ledger FILE   the ledger of a run that was started with --limit\n"
                            "  --json          one line of JSON for each\n"
                            "Exit: 0 all listed, 1 there is no ledger yet, or its runtime gives no answer, 2 wrong "
                            "flags or configuration, 4 the\n"
                            "ledger can't be read.\n";

// One after another, from the living runtime or from the ledger.
struct source {
  const struct hg_site *site;
  struct hg_control control;
  bool live;
  hg_unit unit;
  uint64_t after;
};

static hg_err ask_runtime(struct source *source, struct hg_ledger_orphan *out, hg_error *why) {
  struct hg_message question, answer;
  hg_message_init(&question, HG_LIST_ORPHANS);
  question.as.list_orphans.after = source->after;
  const int64_t deadline = hg_clock_now().monotonic_us + HG_CONTROL_PATIENCE_MS * INT64_C(1000);
  const hg_err err = hg_control_ask(&source->control, &question, HG_ORPHAN_REPORT, deadline, &answer, why);
  if (err != HG_OK) return err;
  const struct hg_orphan_report_message *report = &answer.as.orphan_report;
  *out = (struct hg_ledger_orphan){.id = report->permit, .tokens = report->tokens};
  hg_text_copy(out->budget, sizeof out->budget, report->budget);
  hg_text_copy(out->state, sizeof out->state, report->state);
  hg_text_copy(out->task_id, sizeof out->task_id, report->task_id);
  return HG_OK;
}

static hg_err next_orphan(struct source *source, struct hg_ledger_orphan *out, hg_error *why) {
  const hg_err err = source->live
                         ? ask_runtime(source, out, why)
                         : hg_ledger_read_orphan(source->site->config, &source->site->places, source->after, out, why);
  if (err != HG_OK) return err;
  source->after = out->id;
  if (!source->live) source->unit = out->unit;
  return err;
}

static bool print_json(const struct hg_ledger_orphan *orphan, hg_unit unit) {
  char id[17];
  snprintf(id, sizeof id, "%016" PRIx64, orphan->id);
  json_t *line = json_pack("{s:s s:s s:I s:s s:s s:s}", "permit", id, "budget", orphan->budget, "tokens",
                           (json_int_t)orphan->tokens, "state", orphan->state, "taskId", orphan->task_id, "unit",
                           hg_unit_name(unit));
  const bool printed = line && json_dumpf(line, stdout, JSON_COMPACT) == 0 && fputc('\n', stdout) != EOF;
  json_decref(line);
  return printed;
}

static bool print_row(const struct hg_ledger_orphan *orphan, hg_unit unit) {
  char task[HG_TASK_ID_MAX + 1]; // may come from a batch file
  return printf("%016" PRIx64 "  %-8s %22s  %-12s %s\n", orphan->id, orphan->state,
                hg_figure_tokens(unit, orphan->tokens).text, orphan->budget,
                hg_text_show(task, sizeof task, hg_text_of(orphan->task_id))) > 0;
}

static hg_err list(struct source *source, bool json, hg_error *why) {
  struct hg_ledger_orphan orphan;
  int64_t count = 0, tokens = 0;
  hg_err err;
  while ((err = next_orphan(source, &orphan, why)) == HG_OK && orphan.id != 0) {
    if (!(json ? print_json(&orphan, source->unit) : print_row(&orphan, source->unit)))
      return hg_fail(why, HG_ERR_SYSTEM, "the list cannot be printed");
    count++;
    tokens += orphan.tokens;
  }
  if (err == HG_OK && !json)
    printf(count ? "%s orphan%s, %s\n" : "no orphans\n", hg_figure_count(count).text, count == 1 ? "" : "s",
           hg_figure_tokens(source->unit, tokens).text);
  if (err == HG_OK && fflush(stdout) != 0) return hg_fail(why, HG_ERR_SYSTEM, "the list cannot be printed");
  return err;
}

static int list_orphans(const char *config, const char *ledger, bool json) {
  struct hg_site site;
  hg_error why = HG_ERROR_INIT;
  if (hg_site_open(config, ledger, &site, &why) != HG_OK) return hg_cli_exit("orphans", &why);
  struct source source = {.site = &site};
  hg_err err = hg_control_open(&source.control, &site, &why);
  const int64_t deadline = hg_clock_now().monotonic_us + HG_CONTROL_PATIENCE_MS * INT64_C(1000);
  if (err == HG_OK) err = hg_control_unit(&source.control, deadline, &source.unit, &why);
  source.live = err == HG_OK;
  if (err == HG_OK || err == HG_ERR_NO_RUNTIME) err = hg_site_explain(&site, list(&source, json, &why), &why);
  hg_control_close(&source.control);
  hg_site_close(&site);
  return err == HG_OK ? HG_EXIT_DONE : hg_cli_exit("orphans", &why);
}

int hg_cli_orphans(int argc, char **argv) {
  static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                          {"ledger", required_argument, NULL, 'l'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  const char *config = NULL, *ledger = NULL;
  bool json = false;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'c') config = optarg;
    else if (option == 'l') ledger = optarg;
    else if (option == 'j') json = true;
    else return hg_cli_usage(usage, option == 'h');
  }
  if (optind < argc) {
    fprintf(stderr, "headgate orphans: \"%s\" is one argument too many\n", argv[optind]);
    return hg_cli_usage(usage, false);
  }
  return list_orphans(config, ledger, json);
}
