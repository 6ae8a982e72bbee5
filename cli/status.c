// headgate status: how a budget stands, from the living runtime or from the ledger.
#include "cli/cli.h"

#include "bus/frames.h"
#include "cli/control.h"
#include "cli/metrics_ask.h"
#include "runner/progress.h"
#include "base/money.h"

#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#define BAR_CELLS 50
#define BAR_BYTES 256
#define WAITING_LINES 12
#define LABEL "%-11s"

static const char usage[] =
    "usage: headgate status [--config FILE | --ledger FILE] [--budget NAME] [--json | --metrics]\n"
    "How a budget stands: from the runtime while one lives, else from its ledger.\n"
    "  --config FILE   the configuration (default: " HG_CLI_CONFIG_FILE ")\n"
    "  --ledger FILE   the ledger of a run that was started with --limit\n"
    "  --budget NAME   which budget (default: default)\n"
    "  --json          one line of JSON\n"
    "  --metrics       all budgets and all that is counted, as Prometheus reads it\n"
    "Exit: 0 all told, 1 there is no ledger yet, or its runtime gives no answer, 2 wrong flags or configuration, or "
    "no\n"
    "such budget, 4 the ledger can't be read.\n";

// The flat object of a message, as its outside frame says it. False: there is no room.
static bool to_json(const struct hg_message *message, char *json, size_t room) {
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  const size_t size = hg_outside_encode(message, frame, sizeof frame);
  return size && hg_outside_to_json(frame, size, json, room);
}

static hg_err next_waiting(struct hg_control *control, uint32_t *from, struct hg_message *answer, hg_error *why) {
  struct hg_message question;
  hg_message_init(&question, HG_LIST_WAITING);
  question.as.list_waiting.from = *from;
  const int64_t deadline = hg_clock_now().monotonic_us + HG_CONTROL_PATIENCE_MS * INT64_C(1000);
  const hg_err err = hg_control_ask(control, &question, HG_WAITING_REPORT, deadline, answer, why);
  if (err == HG_OK) *from = answer->as.waiting_report.next;
  return err;
}

// One object; who waits stands in it as a list of the answers to LIST_WAITING.
static hg_err print_json(const struct hg_message *report, struct hg_control *control, hg_error *why) {
  char json[2 * HG_OUTSIDE_FRAME_MAX];
  if (!to_json(report, json, sizeof json)) return hg_fail(why, HG_ERR_PROTOCOL, "the report cannot be printed");
  printf("%.*s,\"waitingTasks\":[", (int)strlen(json) - 1, json);
  hg_err err = HG_OK;
  uint32_t from = 0;
  for (unsigned count = 0; report->as.status_report.live; count++) {
    struct hg_message answer;
    err = next_waiting(control, &from, &answer, why);
    if (err != HG_OK || answer.as.waiting_report.count == 0) break;
    if (to_json(&answer, json, sizeof json)) printf("%s%s", count ? "," : "", json);
  }
  fputs("]}\n", stdout);
  return err;
}

static void print_bar(const struct hg_status_report_message *report, uint32_t throttle_percent) {
  char bar[BAR_BYTES];
  struct hg_text_line line = {bar, 0, sizeof bar};
  hg_usage figures = HG_USAGE_INIT;
  figures.used = report->used;
  figures.reserved = report->reserved;
  figures.hard_limit = report->hard_limit;
  figures.throttle_percent = throttle_percent;
  hg_progress_bar(&figures, BAR_CELLS, strcmp(nl_langinfo(CODESET), "UTF-8") == 0, &line);
  printf(LABEL "[%s] %s\n", "", bar, hg_figure_percent(report->usage_percent).text);
}

static hg_unit unit_of(const struct hg_status_report_message *report) {
  return hg_unit_said(report->unit.data, report->unit.size);
}

static void print_amount(const char *label, hg_unit unit, int64_t amount, const char *more) {
  printf(LABEL "%15s%s%s\n", label, hg_figure_amount(unit, amount).text, unit == HG_UNIT_TOKENS ? " tokens" : "", more);
}

static void print_queue(const struct hg_status_report_message *report) {
  if (!report->live) {
    printf(LABEL "%u permits open; no runtime is living on the ledger\n", "tasks", report->open_permits);
    return;
  }
  printf(LABEL "%u running of %u at once (configured: %u), %u waiting\n", "tasks", report->running,
         report->effective_concurrency, report->max_concurrency, report->waiting);
  if (!report->waiting) return;
  if (!report->waits_for.size) {
    printf(LABEL "%s\n", "waits for",
           report->waits_for_throttle ? "the throttle to open, or a free slot" : "a free slot");
    return;
  }
  printf(LABEL "%s of budget %.*s; needs %s", "waits for",
         report->waits_for_throttle          ? "the throttle"
         : unit_of(report) == HG_UNIT_TOKENS ? "tokens"
                                             : "money",
         (int)report->waits_for.size, report->waits_for.data, hg_figure_amount(unit_of(report), report->needed).text);
  // What is free is known of the budget that was asked for only.
  if (hg_text_equal(report->waits_for, report->budget))
    printf(", %s available", hg_figure_amount(unit_of(report), report->available).text);
  putchar('\n');
}

// Apart from the budget's throttle, and beside what is configured.
static void print_pushback(const struct hg_status_report_message *report) {
  if (report->allowed == 0) return;
  printf(LABEL "the provider is too busy: a run makes %u call%s at once for now\n", "pushback", report->allowed,
         report->allowed == 1 ? "" : "s");
}

static void print_forecast(const struct hg_status_report_message *report) {
  const hg_unit unit = unit_of(report);
  if (report->per_minute > 0) {
    printf(LABEL "%s a minute", "forecast", hg_figure_tokens(unit, report->per_minute).text);
    if (report->threshold_in_ms > 0) printf(", the throttle in %s", hg_figure_time(report->threshold_in_ms).text);
    if (report->limit_in_ms > 0) printf(", the limit in %s", hg_figure_time(report->limit_in_ms).text);
    putchar('\n');
  }
  if (report->task_tokens > 0)
    printf(LABEL "%s more tasks fit, at %s each\n", report->per_minute > 0 ? "" : "forecast",
           hg_figure_count(report->available > 0 ? report->available / report->task_tokens : 0).text,
           hg_figure_tokens(unit, report->task_tokens).text);
}

static void print_savings(const struct hg_status_report_message *report) {
  if (report->saved == 0 && report->overran == 0) return;
  printf(LABEL "%s less were reserved than the bounds; %s calls used more than they had reserved\n", "saved",
         hg_figure_tokens(unit_of(report), report->saved).text, hg_figure_count((int64_t)report->overran).text);
}

// Only when it is news: a ledger that is right needs no line.
static void print_audit(const struct hg_status_report_message *report) {
  if (report->differences)
    printf(LABEL "%s differences from the journal up to row %s: see headgate audit\n", "audit",
           hg_figure_count((int64_t)report->differences).text, hg_figure_count((int64_t)report->audited).text);
  else if (report->audit_failed) printf(LABEL "could not be finished: see headgate audit\n", "audit");
}

// The first in line stands above; here are all, a budget a line.
static hg_err print_waiting(struct hg_control *control, hg_unit unit, hg_error *why) {
  uint32_t from = 0;
  for (unsigned count = 0; count < WAITING_LINES; count++) {
    struct hg_message answer;
    const hg_err err = next_waiting(control, &from, &answer, why);
    const struct hg_waiting_report_message *waiting = &answer.as.waiting_report;
    if (err != HG_OK || waiting->count == 0) return err;
    printf(LABEL "%.*s: %u wait%s for ", count ? "" : "waiting", (int)waiting->budget.size, waiting->budget.data,
           waiting->count, waiting->count == 1 ? "s" : "");
    if (!waiting->waits_for.size) printf("a slot");
    else
      printf("%s of %.*s",
             waiting->throttled       ? "the throttle"
             : unit == HG_UNIT_TOKENS ? "tokens"
                                      : "money",
             (int)waiting->waits_for.size, waiting->waits_for.data);
    char task[HG_TASK_ID_MAX + 1]; // may come from a batch file
    printf("; first %s, needs %s\n", hg_text_show(task, sizeof task, waiting->task_id),
           hg_figure_amount(unit, waiting->needed).text);
  }
  printf(LABEL "more: see --json\n", "");
  return HG_OK;
}

// Which percent a living runtime throttles at, its ledger can't tell while it lives.
static hg_err print_table(const struct hg_message *message, const struct hg_site *site, struct hg_control *control,
                          hg_error *why) {
  const struct hg_status_report_message *report = &message->as.status_report;
  const bool known = !(site->from_ledger && report->live);
  const uint32_t percent = known ? site->config->throttle_percent : 100;
  const hg_unit unit = unit_of(report);
  const char *state = report->throttled ? "closed: concurrency is reduced" : "open";
  printf(LABEL "%.*s\n", "budget", (int)report->budget.size, report->budget.data);
  print_bar(report, percent);
  print_amount("hard limit", unit, report->hard_limit, "");
  print_amount("used", unit, report->used, "");
  print_amount("reserved", unit, report->reserved, "");
  print_amount("remaining", unit, report->remaining, report->remaining < 0 ? "  (over the limit)" : "");
  print_amount("available", unit, report->available, "");
  if (!known) printf(LABEL "%s\n", "throttle", state);
  else if (percent < 100) printf(LABEL "%s (at %u %%)\n", "throttle", state, percent);
  else printf(LABEL "%s\n", "throttle", "never closes");
  print_queue(report);
  print_pushback(report);
  print_forecast(report);
  print_savings(report);
  print_audit(report);
  return report->live && report->waiting ? print_waiting(control, unit, why) : HG_OK;
}

enum form { TABLE, JSON, METRICS };

static hg_err print_report(struct hg_site *site, const char *budget, enum form form, hg_error *why) {
  struct hg_control control = {0};
  struct hg_message message;
  hg_err err = hg_site_status(site, budget, &control, &message, why);
  if (err == HG_OK)
    err = form == JSON ? print_json(&message, &control, why) : print_table(&message, site, &control, why);
  hg_control_close(&control);
  return err;
}

static int report(const char *config, const char *ledger, const char *budget, enum form form) {
  struct hg_site site;
  hg_error why = HG_ERROR_INIT;
  if (hg_site_open(config, ledger, &site, &why) != HG_OK) return hg_cli_exit("status", &why);
  const hg_err err = form == METRICS ? hg_status_metrics(&site, &why) : print_report(&site, budget, form, &why);
  hg_site_close(&site);
  return err == HG_OK ? HG_EXIT_DONE : hg_cli_exit("status", &why);
}

int hg_cli_status(int argc, char **argv) {
  static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                          {"ledger", required_argument, NULL, 'l'},
                                          {"budget", required_argument, NULL, 'b'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"metrics", no_argument, NULL, 'm'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  const char *config = NULL, *ledger = NULL, *budget = NULL;
  enum form form = TABLE;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'c') config = optarg;
    else if (option == 'l') ledger = optarg;
    else if (option == 'b') budget = optarg;
    else if (option == 'j') form = JSON;
    else if (option == 'm') form = METRICS;
    else return hg_cli_usage(usage, option == 'h');
  }
  if (optind < argc) {
    fprintf(stderr, "headgate status: \"%s\" is one argument too many\n", argv[optind]);
    return hg_cli_usage(usage, false);
  }
  if (form == METRICS && budget) {
    fprintf(stderr, "headgate status: --metrics tells of all budgets, leave out --budget\n");
    return hg_cli_usage(usage, false);
  }
  setlocale(LC_CTYPE, "");
  return report(config, ledger, budget ? budget : "default", form);
}
