// headgate serve: the runtime as a daemon, for programs in any language.
#include "cli/cli.h"

#include "actors/core.h"
#include "actors/runtime.h"
#include "cli/control.h"
#include "cli/options.h"
#include "cli/service.h"
#include "client/client.h"
#include "runner/figures.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DRAIN_S 30
#define DRAIN_S_MAX 86400
#define LOOK_US 1000000 // is the runtime well?
#define ANSWER_MS 10000

static const char usage[] =
    "usage: headgate serve [--config FILE | --ledger FILE --limit TOKENS] [--drain SECONDS]\n"
    "The runtime as a daemon: programs in any language record usage and work under permits over its control socket, "
    "and\n"
    "follow its events (docs/protocol.md); headgate run and C programs on the same ledger share its budget.\n"
    "  --config FILE    the configuration (default: " HG_CLI_CONFIG_FILE ")\n"
    "  --ledger FILE    the ledger, without a configuration\n"
    "  --limit TOKENS   then its hard limit, such as 200k, 2M, 2_000_000\n"
    "  --drain SECONDS  how long a SIGTERM or SIGINT lets open permits settle (default: 30); a second one ends at "
    "once\n"
    "SIGHUP reads the configuration again: limits and scheduler.maxConcurrency take effect at once.\n"
    "Exit: 0 ended in order · 2 configuration or usage error · 4 the ledger can't be written, or somebody else serves "
    "it.\n";

struct serve {
  const char *config_file; // NULL: there is none to read again
  struct hg_config *said;  // what the file said last
  hg_runtime *runtime;
  hg_client *client;
  unsigned long drain_s;
};

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("headgate serve: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
}

// ------------------------------------------------------------------------------------------------ signals

static sigset_t our_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  return set;
}

// The next one; 0: none came in time.
static int wait_for_signal(int64_t timeout_us) {
  const sigset_t set = our_signals();
  const struct timespec timeout = {timeout_us / 1000000, timeout_us % 1000000 * 1000};
  const int number = sigtimedwait(&set, NULL, &timeout);
  return number > 0 ? number : 0;
}

// From now on they end the process, which is no more than a crash: what was acknowledged is on disk.
static void let_signals_end_it(void) {
  const sigset_t set = our_signals();
  signal(SIGHUP, SIG_IGN); // there is nothing to read again for
  sigprocmask(SIG_UNBLOCK, &set, NULL);
}

// ------------------------------------------------------------------------------------------------ reading it again

static bool same_text(const char *a, const char *b) {
  return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_list(char *const *a, size_t a_count, char *const *b, size_t b_count) {
  if (a_count != b_count) return false;
  for (size_t i = 0; i < a_count; i++)
    if (!same_text(a[i], b[i])) return false;
  return true;
}

static bool same_curve(const struct hg_curve_config *a, const struct hg_curve_config *b) {
  return same_text(a->secret_key_file, b->secret_key_file) && same_text(a->allowed_keys_file, b->allowed_keys_file);
}

static bool same_budgets(const struct hg_config *a, const struct hg_config *b) {
  if (a->budget_count != b->budget_count) return false;
  for (uint32_t i = 0; i < a->budget_count; i++)
    if (!same_text(a->budgets[i].name, b->budgets[i].name) || a->budgets[i].parent != b->budgets[i].parent)
      return false;
  return true;
}

// What only an opening takes up.
static void tell_what_waits(const struct hg_config *before, const struct hg_config *now) {
  const struct {
    bool same;
    const char *name;
  } parts[] = {
      {same_text(before->ledger_path, now->ledger_path), "ledger.path"},
      {before->keep_days == now->keep_days, "ledger.keepDays"},
      {before->shared_readers == now->shared_readers, "ledger.sharedReaders"},
      {before->throttle_percent == now->throttle_percent, "tokenBudget.throttlePercent"},
      {before->restore_below_percent == now->restore_below_percent, "tokenBudget.restoreBelowPercent"},
      {before->throttle_basis == now->throttle_basis, "tokenBudget.throttleBasis"},
      {before->orphan_policy == now->orphan_policy, "tokenBudget.orphanedReservations"},
      {same_budgets(before, now), "the names and parents of tokenBudget.budgets"},
      {before->throttled_concurrency == now->throttled_concurrency, "scheduler.throttledConcurrency"},
      {same_list(before->event_binds, before->event_bind_count, now->event_binds, now->event_bind_count),
       "eventBus.bind"},
      {before->max_subscribers == now->max_subscribers, "eventBus.maxSubscribers"},
      {same_curve(&before->event_curve, &now->event_curve), "eventBus.curve"},
      {same_list(before->serve_binds, before->serve_bind_count, now->serve_binds, now->serve_bind_count), "serve.bind"},
      {before->max_clients == now->max_clients, "serve.maxClients"},
      {same_curve(&before->serve_curve, &now->serve_curve), "serve.curve"},
  };
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (!parts[i].same) say("%s: %s has changed and takes effect at the next start", now->source, parts[i].name);
}

// A limit that was raised by hand stays while the file says what it said. What can't be taken up now is taken up when
// the file is read the next time: `now` says of it what was said before.
static hg_err take_up_limit(struct serve *serve, struct hg_budget_config *budget) {
  const struct hg_config *running = hg_runtime_config(serve->runtime);
  uint32_t before, index;
  if (!hg_config_find_budget(running, budget->name, strlen(budget->name), &index)) return HG_OK;
  const bool known = hg_config_find_budget(serve->said, budget->name, strlen(budget->name), &before);
  const int64_t said = known ? serve->said->budgets[before].hard_limit : 0;
  if (said == budget->hard_limit) return HG_OK;
  const hg_err err = hg_client_configure_limit(serve->client, budget->name, budget->hard_limit, ANSWER_MS);
  if (err == HG_OK)
    say("budget \"%s\": the limit is %s tokens now", budget->name, hg_figure_count(budget->hard_limit).text);
  else budget->hard_limit = said;
  hg_service_tell("WATCHDOG=1"); // each was answered, or its patience is over
  return err;
}

// Of the lists that were named at the start.
static void take_up_keys(struct serve *serve) {
  const struct hg_config *running = hg_runtime_config(serve->runtime);
  const char *files[HG_GATE_COUNT] = {[HG_GATE_EVENTS] = running->event_curve.allowed_keys_file,
                                      [HG_GATE_CONTROL] = running->serve_curve.allowed_keys_file};
  static const char *const names[HG_GATE_COUNT] = {[HG_GATE_EVENTS] = "eventBus", [HG_GATE_CONTROL] = "serve"};
  for (int id = 0; id < HG_GATE_COUNT; id++) {
    hg_error why = HG_ERROR_INIT;
    bool changed = false;
    if (!files[id]) continue;
    if (hg_door_read_keys(hg_runtime_core(serve->runtime)->door, (enum hg_gate_id)id, files[id], &changed, &why) !=
        HG_OK)
      say("%s; the keys of before hold", why.text);
    else if (changed) say("%s: only keys of %s get in now; connections that are there stay", names[id], files[id]);
  }
}

static hg_err take_up(struct serve *serve, struct hg_config *now) {
  hg_err result = HG_OK;
  for (uint32_t i = 0; i < now->budget_count; i++) {
    const hg_err err = take_up_limit(serve, &now->budgets[i]);
    if (err != HG_OK) result = err;
  }
  if (now->max_concurrency == serve->said->max_concurrency) return result;
  const hg_err err = hg_set_max_concurrency(serve->client, now->max_concurrency, ANSWER_MS);
  if (err == HG_OK) say("up to %" PRIu32 " tasks run at once now", now->max_concurrency);
  else now->max_concurrency = serve->said->max_concurrency;
  return err == HG_OK ? result : err;
}

// One that can't be read changes nothing.
static void read_again(struct serve *serve) {
  struct hg_config *now = NULL;
  hg_error why = HG_ERROR_INIT;
  hg_service_tell("RELOADING=1");
  if (!serve->config_file) {
    say("there is no configuration to read again: it was started with --limit");
  } else if (hg_config_read(serve->config_file, &now, &why) != HG_OK) {
    say("%s; all stays as it was", why.text);
  } else {
    fputs(now->warnings, stderr);
    tell_what_waits(serve->said, now);
    take_up_keys(serve);
    const hg_err err = take_up(serve, now);
    if (err != HG_OK)
      say("not all of %s could be taken up: %s; SIGHUP tries again", serve->config_file, hg_err_text(err));
    else say("%s was read again", serve->config_file);
    hg_config_destroy(&serve->said);
    serve->said = now;
  }
  hg_service_tell("READY=1");
}

// ------------------------------------------------------------------------------------------------ serving

static hg_err look(struct serve *serve, int timeout_ms, bool watched) {
  hg_usage figures = HG_USAGE_INIT;
  char state[256];
  const hg_err err = hg_get_usage(serve->client, NULL, &figures, timeout_ms);
  if (err != HG_OK) return err == HG_ERR_TIMEOUT ? HG_OK : err; // a slow disk; a watchdog hears nothing of us meanwhile
  snprintf(state, sizeof state, "STATUS=%s of %s tokens used, %" PRIu32 " permits open%s",
           hg_figure_count(figures.used).text, hg_figure_count(figures.hard_limit).text, figures.open_permits,
           watched ? "\nWATCHDOG=1" : "");
  hg_service_tell(state);
  return HG_OK;
}

// Until it is told to end, or the runtime can't go on.
static hg_err serve_on(struct serve *serve) {
  const int64_t watchdog_us = hg_service_watchdog_us();
  const int64_t period_us = watchdog_us > 0 && watchdog_us < LOOK_US ? watchdog_us : LOOK_US;
  for (;;) {
    const hg_err err = look(serve, (int)(period_us / 1000), watchdog_us > 0);
    if (err != HG_OK) return err;
    const int number = wait_for_signal(period_us);
    if (number == SIGHUP) read_again(serve);
    else if (number != 0) return HG_OK;
  }
}

static int end(struct serve *serve, hg_err failed) {
  hg_service_tell("STOPPING=1");
  if (failed == HG_OK) say("ending; open permits have %lu seconds to settle", serve->drain_s);
  else say("the runtime can't go on: %s", hg_err_text(failed));
  let_signals_end_it();
  hg_client_destroy(&serve->client);
  const hg_err err = hg_close(&serve->runtime, failed == HG_OK ? (int)serve->drain_s * 1000 : 0);
  if (failed != HG_OK) return HG_EXIT_STORE;
  if (err != HG_OK) say("not all that was accepted is known to be on disk: %s", hg_err_text(err));
  else say("ended; all that was accepted is on disk");
  return err == HG_OK ? HG_EXIT_DONE : HG_EXIT_STORE;
}

static int open_and_serve(struct serve *serve, struct hg_config **config) {
  hg_error why = HG_ERROR_INIT;
  const sigset_t set = our_signals();
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  hg_err err = hg_open_config(config, &serve->runtime, NULL, &why);
  if (err == HG_OK && (err = hg_client_new(serve->runtime, &serve->client)) != HG_OK)
    hg_fail(&why, err, "%s", hg_err_text(err));
  if (err != HG_OK) {
    (void)hg_close(&serve->runtime, 0);
    const int code = hg_cli_exit("serve", &why);
    return err == HG_ERR_LEDGER_IN_USE ? HG_EXIT_STORE : code;
  }
  const struct hg_core *core = hg_runtime_core(serve->runtime);
  say("serving %s", core->config->ledger_path);
  say("commands at %s", core->places.control_endpoint);
  for (size_t i = 0; i < core->config->serve_bind_count; i++)
    say("commands at %s", core->config->serve_binds[i]);
  say("events at %s", core->places.events_endpoint);
  for (size_t i = 0; i < core->config->event_bind_count; i++)
    say("events at %s", core->config->event_binds[i]);
  hg_service_tell("READY=1");
  return end(serve, serve_on(serve));
}

// Twice: one goes with the runtime, one stays to compare with.
static hg_err read_config(struct serve *serve, const char *ledger, int64_t limit, struct hg_config **out,
                          hg_error *why) {
  hg_err err = ledger ? hg_config_minimal(limit, ledger, out, why) : hg_config_read(serve->config_file, out, why);
  if (err == HG_OK) fputs((*out)->warnings, stderr);
  if (err == HG_OK && !ledger) err = hg_config_read(serve->config_file, &serve->said, why);
  return err;
}

int hg_cli_serve(int argc, char **argv) {
  static const struct option options[] = {
      {"config", required_argument, NULL, 'c'}, {"ledger", required_argument, NULL, 'l'},
      {"limit", required_argument, NULL, 't'},  {"drain", required_argument, NULL, 'd'},
      {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
  struct serve serve = {.drain_s = DRAIN_S};
  const char *ledger = NULL, *limit_text = NULL, *drain = NULL;
  int64_t limit = 0;
  for (int option; (option = hg_cli_next_option(argc, argv, options)) != -1;) {
    if (option == 'c') serve.config_file = optarg;
    else if (option == 'l') ledger = optarg;
    else if (option == 't') limit_text = optarg;
    else if (option == 'd') drain = optarg;
    else return hg_cli_usage(usage, option == 'h');
  }
  hg_error why = HG_ERROR_INIT;
  if ((ledger == NULL) != (limit_text == NULL) || (ledger && serve.config_file)) {
    say("give a --config, or a --ledger and its --limit");
    return hg_cli_usage(usage, false);
  }
  if (limit_text && !hg_cli_parse_tokens(limit_text, &limit)) {
    say("\"%.64s\" is not a number of tokens, such as 200k, 2M or 2_000_000", limit_text);
    return HG_EXIT_USAGE;
  }
  if (drain && !hg_cli_parse_whole(drain, 0, DRAIN_S_MAX, &serve.drain_s)) {
    say("--drain takes seconds, from 0 to %d", DRAIN_S_MAX);
    return HG_EXIT_USAGE;
  }
  if (!ledger && !serve.config_file) serve.config_file = HG_CLI_CONFIG_FILE;
  struct hg_config *config = NULL;
  const int code = read_config(&serve, ledger, limit, &config, &why) == HG_OK ? open_and_serve(&serve, &config)
                                                                              : hg_cli_exit("serve", &why);
  hg_config_destroy(&config);
  hg_config_destroy(&serve.said);
  return code;
}
