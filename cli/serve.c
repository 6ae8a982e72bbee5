// headgate serve: the runtime as a daemon, for programs in any language.
#include "cli/serve.h"

#include "cli/cli.h"

#include "actors/core.h"
#include "actors/runtime.h"
#include "cli/control.h"
#include "cli/metrics_ask.h"
#include "cli/metrics_server.h"
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
    "Exit: 0 ended in order: all that was accepted is on disk, 1 it can't listen where it should, 2 wrong flags or\n"
    "configuration, 4 the ledger can't be written, or another runtime holds it.\n";

void hg_serve_say(const char *format, ...) {
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

bool hg_serve_is_told_to_end(void) {
  sigset_t pending;
  return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

// From now on they end the process, which is no more than a crash: what was acknowledged is on disk.
static void let_signals_end_it(void) {
  const sigset_t set = our_signals();
  signal(SIGHUP, SIG_IGN); // there is nothing to read again for
  sigprocmask(SIG_UNBLOCK, &set, NULL);
}

// ------------------------------------------------------------------------------------------------ serving

static hg_err look(struct hg_serve *serve, int timeout_ms, bool watched) {
  hg_usage figures = HG_USAGE_INIT;
  char state[256];
  const hg_err err = hg_get_usage(serve->client, NULL, &figures, timeout_ms);
  if (err != HG_OK) return err == HG_ERR_TIMEOUT ? HG_OK : err; // a slow disk; a watchdog hears nothing of us meanwhile
  snprintf(state, sizeof state, "STATUS=%s of %s used, %" PRIu32 " permits open%s",
           hg_figure_amount(figures.unit, figures.used).text, hg_figure_tokens(figures.unit, figures.hard_limit).text,
           figures.open_permits, watched ? "\nWATCHDOG=1" : "");
  hg_service_tell(state);
  return HG_OK;
}

// Until it is told to end, or the runtime can't go on.
static hg_err serve_on(struct hg_serve *serve) {
  const int64_t watchdog_us = hg_service_watchdog_us();
  const int64_t period_us = watchdog_us > 0 && watchdog_us < LOOK_US ? watchdog_us : LOOK_US;
  for (;;) {
    const hg_err err = look(serve, (int)(period_us / 1000), watchdog_us > 0);
    if (err != HG_OK) return err;
    const int number = wait_for_signal(period_us);
    if (number == SIGHUP) hg_serve_read_again(serve);
    else if (number != 0) return HG_OK;
  }
}

static int end(struct hg_serve *serve, hg_err failed) {
  hg_service_tell("STOPPING=1");
  if (failed == HG_OK) hg_serve_say("ending; open permits have %lu seconds to settle", serve->drain_s);
  else hg_serve_say("the runtime can't go on: %s", hg_err_text(failed));
  let_signals_end_it();
  hg_metrics_server_stop(&serve->metrics);
  hg_client_destroy(&serve->client);
  const hg_err err = hg_close(&serve->runtime, failed == HG_OK ? (int)serve->drain_s * 1000 : 0);
  if (failed != HG_OK) return HG_EXIT_STORE;
  if (err != HG_OK) hg_serve_say("not all that was accepted is known to be on disk: %s", hg_err_text(err));
  else hg_serve_say("ended; all that was accepted is on disk");
  return err == HG_OK ? HG_EXIT_DONE : HG_EXIT_STORE;
}

static void tell_metrics(const struct hg_metrics_config *metrics) {
  const bool v6 = strchr(metrics->host, ':') != NULL;
  hg_serve_say("metrics at http://%s%s%s:%u" HG_METRICS_PATH "%s", v6 ? "[" : "", metrics->host, v6 ? "]" : "",
               metrics->port, metrics->is_loopback ? "" : ", open to whoever gets there");
}

static int open_and_serve(struct hg_serve *serve, struct hg_config **config) {
  hg_error why = HG_ERROR_INIT;
  const sigset_t set = our_signals();
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  hg_err err = hg_open_config(config, &serve->runtime, NULL, &why);
  if (err == HG_OK && (err = hg_client_new(serve->runtime, &serve->client)) != HG_OK)
    hg_fail(&why, err, "%s", hg_err_text(err));
  if (err == HG_OK) err = hg_metrics_server_start(serve->runtime, &serve->metrics, &why);
  if (err != HG_OK) {
    hg_client_destroy(&serve->client);
    (void)hg_close(&serve->runtime, 0);
    const int code = hg_cli_exit("serve", &why);
    return err == HG_ERR_LEDGER_IN_USE ? HG_EXIT_STORE : code;
  }
  hg_serve_note_keys(serve);
  const struct hg_core *core = hg_runtime_core(serve->runtime);
  hg_serve_say("serving %s", core->config->ledger_path);
  hg_serve_say("commands at %s", core->places.control_endpoint);
  for (size_t i = 0; i < core->config->serve_bind_count; i++)
    hg_serve_say("commands at %s", core->config->serve_binds[i]);
  hg_serve_say("events at %s", core->places.events_endpoint);
  for (size_t i = 0; i < core->config->event_bind_count; i++)
    hg_serve_say("events at %s", core->config->event_binds[i]);
  if (core->config->metrics.host) tell_metrics(&core->config->metrics);
  hg_service_tell("READY=1");
  return end(serve, serve_on(serve));
}

// Twice: one goes with the runtime, one stays to compare with.
static hg_err read_config(struct hg_serve *serve, const char *ledger, int64_t limit, struct hg_config **out,
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
  struct hg_serve serve = {.drain_s = DRAIN_S};
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
    hg_serve_say("give a --config, or a --ledger and its --limit");
    return hg_cli_usage(usage, false);
  }
  if (limit_text && !hg_cli_parse_tokens(limit_text, &limit)) {
    hg_serve_say("\"%.64s\" is not a number of tokens, such as 200k, 2M or 2_000_000", limit_text);
    return HG_EXIT_USAGE;
  }
  if (drain && !hg_cli_parse_whole(drain, 0, DRAIN_S_MAX, &serve.drain_s)) {
    hg_serve_say("--drain takes seconds, from 0 to %d", DRAIN_S_MAX);
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
