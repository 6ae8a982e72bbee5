// Finding the runtime of a ledger and asking it.
#include "cli/control.h"

#include "actors/tracker.h"
#include "bus/frames.h"
#include "cli/cli.h"
#include "ledger/ledger.h"
#include "base/money.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GLANCE_NS 20000000L // between two looks at a ledger that somebody holds for a moment
#define LOOK_EVERY_US 50000 // whether the runtime that is asked still lives

static int exit_code_of(hg_err err) {
  switch (err) {
  case HG_OK: return HG_EXIT_DONE;
  case HG_ERR_INVALID:
  case HG_ERR_CONFIG:
  case HG_ERR_UNKNOWN_BUDGET:
  case HG_ERR_RANGE: return HG_EXIT_USAGE;
  case HG_ERR_STORE:
  case HG_ERR_LEDGER_FOREIGN: return HG_EXIT_STORE;
  case HG_ERR_NO_MEMORY:
  case HG_ERR_SYSTEM:
  case HG_ERR_LEDGER_IN_USE:
  case HG_ERR_BUSY:
  case HG_ERR_TIMEOUT:
  case HG_ERR_CANCELLED:
  case HG_ERR_CLOSED:
  case HG_ERR_FORKED:
  case HG_ERR_BUDGET_EXHAUSTED:
  case HG_ERR_UNKNOWN_PERMIT:
  case HG_ERR_CONFLICT:
  case HG_ERR_SEQUENCE:
  case HG_ERR_WOULD_DEADLOCK:
  case HG_ERR_PROTOCOL:
  case HG_ERR_NO_USAGE:
  case HG_ERR_NO_RUNTIME:
  case HG_ERR_EMPTY:
  case HG_ERR_STILL_OPEN: return HG_EXIT_FAILED;
  }
  return HG_EXIT_FAILED;
}

int hg_cli_exit(const char *subcommand, const hg_error *why) {
  fprintf(stderr, "headgate %s: %s\n", subcommand, why->text[0] ? why->text : hg_err_text(why->code));
  return exit_code_of(why->code);
}

int hg_cli_usage(const char *usage, bool asked) {
  fputs(usage, asked ? stdout : stderr);
  return asked ? HG_EXIT_DONE : HG_EXIT_USAGE;
}

// ------------------------------------------------------------------------------------------------ sites and holders

hg_err hg_site_open(const char *config_file, const char *ledger_file, struct hg_site *out, hg_error *why) {
  *out = (struct hg_site){.from_ledger = ledger_file != NULL};
  if (config_file && ledger_file)
    return hg_fail(why, HG_ERR_INVALID, "--config and --ledger both say where the ledger is: give one of them");
  if (!config_file && !ledger_file && access(HG_CLI_CONFIG_FILE, F_OK) != 0)
    return hg_fail(why, HG_ERR_CONFIG,
                   "there is no " HG_CLI_CONFIG_FILE
                   " here: name a configuration with --config FILE, or the ledger of a run with --ledger FILE");
  hg_err err = ledger_file ? hg_config_minimal(HG_TOKENS_MAX, ledger_file, &out->config, why)
                           : hg_config_read(config_file ? config_file : HG_CLI_CONFIG_FILE, &out->config, why);
  if (err != HG_OK) return err;
  fputs(out->config->warnings, stderr);
  err = hg_places_of(out->config->ledger_path, getenv("XDG_RUNTIME_DIR"), &out->places, why);
  if (err != HG_OK) hg_site_close(out);
  return err;
}

hg_err hg_site_learn(struct hg_site *site, int patience_ms, hg_error *why) {
  char *text = NULL;
  struct hg_config *learnt = NULL;
  if (!site->from_ledger) return HG_OK;
  hg_err err = hg_ledger_read_config(site->config, &site->places, patience_ms, &text, why);
  if (err == HG_OK) err = hg_config_parse(text, strlen(text), site->config->ledger_path, NULL, &learnt, why);
  free(text);
  if (err != HG_OK) return err;
  char *path = learnt->ledger_path;
  learnt->ledger_path = site->config->ledger_path;
  site->config->ledger_path = path;
  hg_config_destroy(&site->config);
  site->config = learnt;
  return HG_OK;
}

void hg_site_close(struct hg_site *site) {
  hg_config_destroy(&site->config);
}

// ------------------------------------------------------------------------------------------------ asking a runtime

static hg_err connect_to(struct hg_control *control, const char *endpoint, const struct hg_client_keys *keys,
                         hg_error *why) {
  const struct hg_link_limits limits = {64, 64, HG_OUTSIDE_FRAME_MAX};
  hg_err err = hg_context_new(&control->context);
  if (err == HG_OK) err = hg_link_open(control->context, HG_DEALER, limits, &control->link);
  if (err == HG_OK && keys) err = hg_cli_use_keys(&control->link, endpoint, keys);
  if (err == HG_OK) err = hg_link_connect(&control->link, endpoint);
  if (err == HG_OK) return HG_OK;
  hg_control_close(control);
  return hg_fail(why, err, "cannot connect to \"%.200s\": %s", endpoint, hg_err_text(err));
}

hg_err hg_control_open(struct hg_control *control, const struct hg_site *site, hg_error *why) {
  *control = (struct hg_control){.site = site};
  if (hg_ledger_holder(&site->places, &control->holder) != HG_OK)
    return hg_fail(why, HG_ERR_NO_RUNTIME, "no runtime is living on \"%s\"", site->config->ledger_path);
  return connect_to(control, control->holder.control, NULL, why);
}

hg_err hg_control_connect(struct hg_control *control, const char *endpoint, const struct hg_client_keys *keys,
                          hg_error *why) {
  *control = (struct hg_control){.site = NULL};
  return connect_to(control, endpoint, keys, why);
}

hg_err hg_cli_use_keys(struct hg_link *link, const char *endpoint, const struct hg_client_keys *keys) {
  if (!keys->server_key[0] || strncmp(endpoint, "tcp://", 6) != 0) return HG_OK;
  return hg_link_use_curve(link, keys->server_key, keys->public_key, keys->secret_key);
}

void hg_control_close(struct hg_control *control) {
  hg_link_close(&control->link);
  if (control->context) hg_context_destroy(control->context);
  control->context = NULL;
}

// Every message of the control socket begins with it.
static uint64_t *request_of(struct hg_message *message) {
  const struct hg_kind_info *info = hg_kind_info(message->kind);
  assert(hg_is_control(message->kind) && strcmp(info->fields[0].name, "request") == 0);
  return (uint64_t *)(void *)((char *)message + info->fields[0].offset);
}

// HG_ERR_EMPTY: none is there, or one that is too long.
static hg_err take_frame(struct hg_control *control) {
  struct hg_received received;
  hg_peer peer;
  hg_err err = hg_link_receive(&control->link, &peer, &received);
  if (err != HG_OK) return err == HG_ERR_PROTOCOL ? HG_ERR_EMPTY : err;
  const uint8_t *data = hg_received_data(&received, &control->answer_size);
  const bool fits = control->answer_size <= sizeof control->answer;
  if (fits && control->answer_size) memcpy(control->answer, data, control->answer_size);
  hg_received_close(&received);
  return fits ? HG_OK : HG_ERR_EMPTY;
}

hg_err hg_control_send(struct hg_control *control, struct hg_message *question) {
  *request_of(question) = ++control->request;
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  const size_t size = hg_outside_encode_command(question, frame, sizeof frame);
  if (!size) return HG_ERR_INVALID;
  return hg_link_send(&control->link, 0, (struct hg_bytes){0}, (struct hg_bytes){frame, (uint32_t)size});
}

static bool still_lives(const struct hg_control *control) {
  struct hg_holder now;
  if (!control->site) return true;
  return hg_ledger_holder(&control->site->places, &now) == HG_OK && now.pid == control->holder.pid &&
         strcmp(now.started, control->holder.started) == 0;
}

hg_err hg_control_receive_frame(struct hg_control *control, int64_t deadline_us) {
  hg_err err;
  while ((err = take_frame(control)) == HG_ERR_EMPTY) {
    const int64_t left = deadline_us - hg_clock_now().monotonic_us;
    uint32_t readable;
    if (left <= 0) return HG_ERR_TIMEOUT;
    if (control->interrupted && *control->interrupted) return HG_ERR_CANCELLED;
    err = hg_links_wait(&control->link, 1, 1, left < LOOK_EVERY_US ? left : LOOK_EVERY_US, &readable);
    if (err != HG_OK) return err;
    if (!readable && !still_lives(control)) return HG_ERR_NO_RUNTIME;
  }
  return err;
}

hg_err hg_control_receive(struct hg_control *control, int64_t deadline_us, struct hg_message *answer) {
  for (;;) {
    const hg_err err = hg_control_receive_frame(control, deadline_us);
    if (err != HG_OK) return err;
    if (hg_outside_decode(control->answer, control->answer_size, answer) == HG_OK &&
        *request_of(answer) == control->request)
      return HG_OK;
  }
}

static hg_err ask(struct hg_control *control, struct hg_message *question, int64_t deadline_us,
                  struct hg_message *answer) {
  const hg_err err = hg_control_send(control, question);
  return err == HG_OK ? hg_control_receive(control, deadline_us, answer) : err;
}

// An answer in words, when it is a refusal.
static hg_err judge(const struct hg_message *answer, const char *what, hg_error *why) {
  if (answer->kind != HG_COMMAND_DONE) return HG_OK;
  const struct hg_command_done_message *done = &answer->as.command_done;
  if (done->error == HG_OK) return HG_OK;
  return hg_fail(why, (hg_err)done->error, "%s: %.*s", what, (int)done->reason.size, done->reason.data);
}

static hg_err ask_for(struct hg_control *control, struct hg_message *question, enum hg_kind wanted, const char *what,
                      int64_t deadline_us, struct hg_message *answer, hg_error *why) {
  const hg_err err = ask(control, question, deadline_us, answer);
  if (err != HG_OK) return hg_fail(why, err, "the runtime gave no answer: %s", hg_err_text(err));
  const hg_err refused = judge(answer, what, why);
  if (refused == HG_OK && answer->kind != wanted)
    return hg_fail(why, HG_ERR_PROTOCOL, "the runtime answered with something else: is it of another version?");
  return refused;
}

hg_err hg_control_status(struct hg_control *control, const char *budget, int64_t deadline_us, struct hg_message *report,
                         hg_error *why) {
  struct hg_message question;
  char what[HG_BUDGET_NAME_MAX + 16];
  hg_message_init(&question, HG_STATUS);
  question.as.status.budget = hg_text_of(budget);
  snprintf(what, sizeof what, "budget \"%.*s\"", HG_BUDGET_NAME_MAX, budget);
  return ask_for(control, &question, HG_STATUS_REPORT, what, deadline_us, report, why);
}

hg_err hg_control_do(struct hg_control *control, struct hg_message *command, const char *what, int64_t deadline_us,
                     hg_error *why) {
  struct hg_message answer;
  return ask_for(control, command, HG_COMMAND_DONE, what, deadline_us, &answer, why);
}

hg_err hg_control_ask(struct hg_control *control, struct hg_message *question, enum hg_kind wanted, int64_t deadline_us,
                      struct hg_message *answer, hg_error *why) {
  return ask_for(control, question, wanted, "the runtime", deadline_us, answer, why);
}

// ------------------------------------------------------------------------------------------------ units

hg_err hg_control_unit(struct hg_control *control, int64_t deadline_us, hg_unit *out, hg_error *why) {
  struct hg_message question, answer;
  hg_message_init(&question, HG_HELLO);
  hg_message_init(&answer, HG_WELCOME);
  const hg_err err = hg_control_ask(control, &question, HG_WELCOME, deadline_us, &answer, why);
  if (err != HG_OK) return err;
  *out = hg_unit_said(answer.as.welcome.unit.data, answer.as.welcome.unit.size);
  return HG_OK;
}

hg_err hg_cli_check_unit(hg_unit given, hg_unit ledger, hg_error *why) {
  if (given == ledger) return HG_OK;
  return hg_fail(why, HG_ERR_INVALID, "%s",
                 ledger == HG_UNIT_TOKENS
                     ? "this ledger counts tokens, not dollars: give a number of tokens, such as 200k"
                     : "this ledger counts dollars, and a plain number says nothing of them: give '$20' or 20usd");
}

hg_err hg_control_check_unit(struct hg_control *control, hg_unit given, int64_t deadline_us, hg_error *why) {
  hg_unit unit;
  const hg_err err = hg_control_unit(control, deadline_us, &unit, why);
  return err == HG_OK ? hg_cli_check_unit(given, unit, why) : err;
}

hg_err hg_client_check_unit(hg_client *client, hg_unit given, int timeout_ms, hg_error *why) {
  hg_usage usage = HG_USAGE_INIT;
  const hg_err err = hg_get_usage(client, NULL, &usage, timeout_ms);
  return err == HG_OK ? hg_cli_check_unit(given, usage.unit, why) : hg_fail(why, err, "%s", hg_err_text(err));
}

// ------------------------------------------------------------------------------------------------ with or without one

static void report_figures(const struct hg_config *config, const struct hg_ledger_figures *figures, const char *budget,
                           struct hg_message *out) {
  hg_message_init(out, HG_STATUS_REPORT);
  struct hg_status_report_message *report = &out->as.status_report;
  const bool committed = config->throttle_basis == HG_THROTTLE_COMMITTED;
  const uint32_t compared = hg_usage_percent(figures->used + (committed ? figures->reserved : 0), figures->hard_limit);
  report->budget = hg_text_of(budget);
  report->hard_limit = figures->hard_limit;
  report->used = figures->used;
  report->reserved = figures->reserved;
  report->remaining = figures->hard_limit - figures->used;
  report->available = report->remaining - figures->reserved;
  report->usage_percent = hg_usage_percent(figures->used, figures->hard_limit);
  report->should_throttle = hg_should_throttle(compared, config->throttle_percent);
  report->throttled = figures->throttled;
  report->open_permits = figures->open_permits;
  report->max_concurrency = config->max_concurrency;
  report->effective_concurrency = figures->throttled ? config->throttled_concurrency : config->max_concurrency;
  report->seq = figures->seq;
  report->audited = figures->audited;
  report->differences = figures->differences;
  report->audit_failed = figures->audit_failed;
  report->unit = hg_text_of(hg_unit_name(figures->unit));
}

static hg_err status_of_ledger(struct hg_site *site, const char *budget, struct hg_message *report, hg_error *why) {
  struct hg_ledger_figures figures;
  hg_err err = hg_site_learn(site, 0, why);
  if (err == HG_OK) err = hg_ledger_read_figures(site->config, &site->places, budget, &figures, why);
  if (err == HG_OK) report_figures(site->config, &figures, budget, report);
  return err;
}

// A runtime may end while it is asked, and another reader may hold the ledger for a moment: so both ways are tried
// until the patience is over.
hg_err hg_site_status(struct hg_site *site, const char *budget, struct hg_control *control, struct hg_message *report,
                      hg_error *why) {
  const int64_t deadline = hg_clock_now().monotonic_us + HG_CONTROL_PATIENCE_MS * INT64_C(1000);
  const struct timespec pause = {0, GLANCE_NS};
  for (;;) {
    hg_err asked = hg_control_open(control, site, why);
    if (asked == HG_OK) asked = hg_control_status(control, budget, deadline, report, why);
    if (asked != HG_ERR_TIMEOUT && asked != HG_ERR_NO_RUNTIME) return asked;
    hg_control_close(control);
    const hg_err err = status_of_ledger(site, budget, report, why);
    if (err != HG_ERR_LEDGER_IN_USE) return err;
    if (asked == HG_ERR_TIMEOUT) {
      hg_fail(why, asked, "the runtime (pid %lld) holds \"%s\" but did not answer on %s within %d s",
              (long long)control->holder.pid, site->config->ledger_path, control->holder.control,
              HG_CONTROL_PATIENCE_MS / 1000);
      return hg_site_explain(site, asked, why);
    }
    if (hg_clock_now().monotonic_us >= deadline) return err;
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
  }
}
