// headgate audit: does the ledger agree with its journal? Asked of the living runtime, which has the only connection to
// it, or found out in the ledger itself.
#include "cli/cli.h"

#include "base/clock.h"
#include "cli/control.h"
#include "ledger/ledger.h"
#include "runner/figures.h"

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AGAIN_AFTER_NS 50000000L

static const char usage[] =
    "usage: headgate audit [--config FILE | --ledger FILE] [--json]\n"
    "Compares totals, permits, topics and throttles with the journal, row by row.\n"
    "  --config FILE   the configuration (default: " HG_CLI_CONFIG_FILE ")\n"
    "  --ledger FILE   the ledger of a run that was started with --limit\n"
    "  --json          one line of JSON\n"
    "Exit: 0 all agrees, 1 differences were found, 2 wrong flags or configuration, 4 the ledger can't be audited.\n";

struct found {
  struct hg_audit_report report;
  bool live;
};

// ------------------------------------------------------------------------------------------------ asking a runtime

static void take_difference(const struct hg_audit_difference_message *told, struct hg_audit_report *report) {
  if (report->listed == HG_AUDIT_LISTED_MAX) return;
  struct hg_audit_difference *difference = &report->list[report->listed++];
  *difference = (struct hg_audit_difference){
      .permit = told->permit, .seq = told->seq, .stored = told->stored, .summed = told->summed};
  hg_text_copy(difference->check, sizeof difference->check, told->check);
  hg_text_copy(difference->subject, sizeof difference->subject, told->subject);
  hg_text_copy(difference->text, sizeof difference->text, told->text);
}

// HG_ERR_EMPTY: more is to come.
static hg_err take_answer(const struct hg_message *answer, struct found *found, hg_error *why) {
  if (answer->kind == HG_AUDIT_DIFFERENCE) {
    take_difference(&answer->as.audit_difference, &found->report);
    return HG_ERR_EMPTY;
  }
  if (answer->kind == HG_AUDIT_REPORT) {
    const struct hg_audit_report_message *told = &answer->as.audit_report;
    found->report.seq = told->seq;
    found->report.rows = told->rows;
    found->report.permits = told->permits;
    found->report.differences = told->differences;
    found->live = true;
    return HG_OK;
  }
  const struct hg_command_done_message *done = &answer->as.command_done;
  return hg_fail(why, done->error ? (hg_err)done->error : HG_ERR_PROTOCOL, "the runtime says: %.*s",
                 (int)done->reason.size, done->reason.data);
}

// An audit takes as long as the journal is; so there is no deadline but the runtime's life.
static hg_err ask(struct hg_control *control, struct found *found, hg_error *why) {
  struct hg_message question, answer;
  hg_message_init(&question, HG_AUDIT);
  hg_err err = hg_control_send(control, &question);
  while (err == HG_OK) {
    err = hg_control_receive(control, INT64_MAX, &answer);
    if (err != HG_OK) break;
    err = take_answer(&answer, found, why);
    if (err != HG_ERR_EMPTY) return err;
    err = HG_OK;
  }
  return hg_fail(why, err, "the runtime gave no answer: %s", hg_err_text(err));
}

static hg_err audit_live(const struct hg_site *site, struct found *found, hg_error *why) {
  struct hg_control control;
  hg_err err = hg_control_open(&control, site, why);
  if (err == HG_OK) err = ask(&control, found, why);
  hg_control_close(&control);
  return err;
}

// A runtime may end while it is asked, another may begin, and only one audit at a time is made: then it is tried again.
static hg_err audit(const struct hg_site *site, struct found *found, hg_error *why) {
  const struct timespec pause = {0, AGAIN_AFTER_NS};
  const int64_t patience = HG_CONTROL_PATIENCE_MS * INT64_C(1000);
  int64_t deadline = hg_clock_now().monotonic_us + patience;
  for (;;) {
    *found = (struct found){0};
    hg_err err = audit_live(site, found, why);
    const bool lives = err == HG_ERR_BUSY; // somebody else's audit
    if (err == HG_ERR_NO_RUNTIME || err == HG_ERR_CLOSED)
      err = hg_ledger_audit_file(site->config, &site->places, &found->report, why);
    if (err != HG_ERR_LEDGER_IN_USE && !lives) return err;
    if (lives) deadline = hg_clock_now().monotonic_us + patience;
    if (hg_clock_now().monotonic_us >= deadline) return err;
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
  }
}

// ------------------------------------------------------------------------------------------------ telling

static int64_t difference_of(const struct hg_audit_difference *found) {
  int64_t difference;
  (void)__builtin_sub_overflow(found->stored, found->summed, &difference);
  return difference;
}

static json_t *json_of(const struct hg_audit_difference *found) {
  char permit[20] = "";
  if (found->permit) snprintf(permit, sizeof permit, "%016" PRIx64, found->permit);
  return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s}", "check", found->check, "subject", found->subject,
                   "permit", permit, "seq", (json_int_t)found->seq, "stored", (json_int_t)found->stored, "summed",
                   (json_int_t)found->summed, "difference", (json_int_t)difference_of(found), "text", found->text);
}

static bool print_json(const struct hg_site *site, const struct found *found) {
  const struct hg_audit_report *report = &found->report;
  json_t *list = json_array();
  for (uint32_t i = 0; i < report->listed; i++)
    json_array_append_new(list, json_of(&report->list[i]));
  char ledger[HG_PATH_MAX + 1];
  hg_text_copy(ledger, sizeof ledger, hg_text_of(site->config->ledger_path));
  hg_text_clean(ledger); // a path need not be UTF-8
  json_t *json = json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:o}", "ledger", ledger, "live", found->live, "seq",
                           (json_int_t)report->seq, "rows", (json_int_t)report->rows, "permits",
                           (json_int_t)report->permits, "differences", (json_int_t)report->differences, "found", list);
  char *line = json ? json_dumps(json, JSON_COMPACT) : NULL;
  if (line) puts(line);
  json_decref(json);
  free(line);
  return line != NULL;
}

static void print_text(const struct hg_site *site, const struct found *found) {
  const struct hg_audit_report *report = &found->report;
  for (uint32_t i = 0; i < report->listed; i++)
    puts(report->list[i].text);
  if (report->differences > report->listed)
    printf("%s more, of the same kinds\n", hg_figure_count((int64_t)(report->differences - report->listed)).text);
  printf("%s: %s rows up to row %s, %s permits: ", site->config->ledger_path,
         hg_figure_count((int64_t)report->rows).text, hg_figure_count((int64_t)report->seq).text,
         hg_figure_count((int64_t)report->permits).text);
  if (report->differences == 0) puts("all agrees");
  else
    printf("%s difference%s\n", hg_figure_count((int64_t)report->differences).text,
           report->differences == 1 ? "" : "s");
}

static int tell(const struct hg_site *site, const struct found *found, bool json) {
  if (!json) print_text(site, found);
  else if (!print_json(site, found)) {
    fputs("headgate audit: not enough memory to print what was found\n", stderr);
    return HG_EXIT_STORE;
  }
  return found->report.differences ? HG_EXIT_FAILED : HG_EXIT_DONE;
}

static int audit_site(const char *config, const char *ledger, bool json) {
  struct hg_site site;
  struct found found;
  hg_error why = HG_ERROR_INIT;
  if (hg_site_open(config, ledger, &site, &why) != HG_OK) return hg_cli_exit("audit", &why);
  int code;
  if (audit(&site, &found, &why) == HG_OK) code = tell(&site, &found, json);
  else code = hg_cli_exit("audit", &why) == HG_EXIT_USAGE ? HG_EXIT_USAGE : HG_EXIT_STORE;
  hg_site_close(&site);
  return code;
}

int hg_cli_audit(int argc, char **argv) {
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
    fprintf(stderr, "headgate audit: \"%s\" is one argument too many\n", argv[optind]);
    return hg_cli_usage(usage, false);
  }
  return audit_site(config, ledger, json);
}
