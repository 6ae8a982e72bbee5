// Waits for whatever comes first, and turns the task runner.
#include "runner/loop_private.h"
#include "base/fail.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define COMPLETIONS_A_TURN 4096 // so that calls are served in between
#define CONNECT_TIMEOUT_MS 30000
#define LAST_FIGURES_MS 5000
#define TELL_EVERY_MS 1000

static int64_t clock_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// ---------------------------------------------------------------------------------------------- life

static void on_end(void *context, void *tag, const struct hg_http_end *end) {
  const struct hg_loop *loop = context;
  hg_runner_called(loop->runner, tag, end, loop->now_ms);
}

static hg_err open_http(struct hg_loop *loop, hg_error *why) {
  const uint32_t timeout_ms = loop->options.runner.llm->timeout_seconds * 1000;
  const struct hg_http_options options = {.calls_max = loop->options.runner.max_concurrency,
                                          .sockets_max = loop->options.sockets_max,
                                          .timeout_ms = timeout_ms,
                                          .connect_timeout_ms =
                                              timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS,
                                          .on_end = on_end,
                                          .context = loop};
  return hg_http_new(&options, &loop->http, why);
}

void hg_loop_signals(sigset_t *out) {
  struct sigaction hangup;
  sigemptyset(out);
  sigaddset(out, SIGINT);
  sigaddset(out, SIGTERM);
  // Under nohup a hangup is ignored, and stays so.
  if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) sigaddset(out, SIGHUP);
}

static hg_err open_signals(struct hg_loop *loop, hg_error *why) {
  sigset_t set;
  hg_loop_signals(&set);
  loop->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  return loop->signals >= 0 ? HG_OK : hg_fail(why, HG_ERR_SYSTEM, "no descriptor for signals is left (see ulimit -n)");
}

static hg_err open_all(struct hg_loop *loop, hg_error *why) {
  const struct hg_runner_io io = hg_loop_io(loop);
  if (getrandom(&loop->random, sizeof loop->random, 0) != (ssize_t)sizeof loop->random || loop->random == 0)
    loop->random = (uint64_t)clock_ms() | 1; // it only spreads retries
  if (hg_runner_new(&loop->options.runner, &io, &loop->runner) != HG_OK)
    return hg_fail(why, HG_ERR_NO_MEMORY, "no memory for the task runner");
  hg_err err = open_http(loop, why);
  if (!err) err = open_signals(loop, why);
  return err ? err : hg_loop_watch(loop, why);
}

hg_err hg_loop_new(const struct hg_loop_options *options, struct hg_loop **out, hg_error *why) {
  assert(options->on_note && (options->on_progress || !options->wants_progress));
  struct hg_loop *loop = calloc(1, sizeof *loop);
  if (!loop) return hg_fail(why, HG_ERR_NO_MEMORY, "no memory for the task runner");
  loop->options = *options;
  loop->signals = -1;
  loop->now_ms = loop->started_ms = loop->rate_at_ms = clock_ms();
  loop->figures.lines = options->lines;
  loop->figures.throttled_concurrency = options->throttled_concurrency;
  const hg_err err = open_all(loop, why);
  if (err) hg_loop_destroy(&loop);
  else *out = loop;
  return err;
}

void hg_loop_destroy(struct hg_loop **loop) {
  struct hg_loop *old = *loop;
  if (!old) return;
  hg_http_destroy(&old->http);
  hg_runner_destroy(&old->runner);
  hg_subscriber_destroy(&old->events);
  if (old->signals >= 0) close(old->signals);
  free(old->url);
  free(old->url_path);
  free(old);
  *loop = NULL;
}

// ---------------------------------------------------------------------------------------------- what happened

static void first_interrupt(struct hg_loop *loop) {
  char text[160];
  const unsigned running = loop->figures.run.running;
  if (loop->ledger_fails)
    snprintf(text, sizeof text,
             "stopping once the ledger is written again; again (Ctrl-C) ends without waiting for it");
  else
    snprintf(text, sizeof text, "stopping: nothing new starts, %u running call%s may end; again (Ctrl-C) cuts them off",
             running, running == 1 ? "" : "s");
  loop->options.on_note(loop->options.context, text);
  hg_runner_interrupt(loop->runner, loop->now_ms);
}

static void second_interrupt(struct hg_loop *loop) {
  char text[128];
  const unsigned running = loop->figures.run.running;
  snprintf(text, sizeof text, "cutting off %u running call%s", running, running == 1 ? "" : "s");
  loop->options.on_note(loop->options.context, text);
  loop->cut_at_ms = loop->now_ms;
  hg_runner_cut(loop->runner, loop->now_ms);
}

// A terminal that closes may send its hangup twice: it stops the run and cuts nothing.
static void take_signals(struct hg_loop *loop) {
  struct signalfd_siginfo info;
  while (read(loop->signals, &info, sizeof info) == (ssize_t)sizeof info) {
    if (loop->interrupts > 0 && info.ssi_signo == SIGHUP) continue;
    hg_loop_count(loop);
    loop->interrupts++;
    if (loop->interrupts == 1) first_interrupt(loop);
    else if (loop->interrupts == 2) second_interrupt(loop);
    else hg_loop_lose_ledger(loop, "nobody waits for the ledger any more");
  }
}

// False: there were none.
static bool take_completions(struct hg_loop *loop) {
  if (loop->ledger_lost) return false;
  for (unsigned i = 0; i < COMPLETIONS_A_TURN; i++) {
    hg_completion completion = HG_COMPLETION_INIT;
    const hg_err err = hg_client_next(loop->options.client, &completion, 0);
    if (err == HG_ERR_TIMEOUT) return i > 0;
    if (err) {
      hg_loop_lose_ledger(loop, hg_err_text(err));
      return false;
    }
    hg_runner_completed(loop->runner, &completion, loop->now_ms);
  }
  return true;
}

static void show_progress(struct hg_loop *loop) {
  if (!loop->options.wants_progress || loop->ledger_fails || loop->ledger_lost ||
      loop->now_ms - loop->figures_at_ms < HG_PROGRESS_EVERY_MS)
    return;
  hg_loop_ask(loop, HG_PROGRESS_EVERY_MS / 4);
  hg_loop_count(loop);
  loop->options.on_progress(loop->options.context, &loop->figures);
  loop->figures_at_ms = loop->now_ms;
}

static void tell_savings(struct hg_loop *loop) {
  if (loop->now_ms - loop->told_at_ms < TELL_EVERY_MS) return;
  loop->told_at_ms = loop->now_ms;
  hg_loop_count(loop);
  hg_loop_tell_savings(loop);
}

// ---------------------------------------------------------------------------------------------- the loop

static int wait_ms(const struct hg_loop *loop, int64_t next_turn_ms) {
  int64_t wait = next_turn_ms == INT64_MAX ? INT32_MAX : next_turn_ms - loop->now_ms;
  const int http = hg_http_wait_ms(loop->http);
  if (http >= 0 && http < wait) wait = http;
  if ((loop->options.wants_progress || hg_loop_watches_clock(loop)) && wait > HG_PROGRESS_EVERY_MS)
    wait = HG_PROGRESS_EVERY_MS;
  if (wait > TELL_EVERY_MS) wait = TELL_EVERY_MS; // what is told of lines holds for a while only
  return wait < 0 ? 0 : wait > INT32_MAX ? INT32_MAX : (int)wait;
}

enum { CLIENT, HTTP, SIGNALS, EVENTS, INPUT, WATCHED };

static hg_err wait_for_something(struct hg_loop *loop, struct pollfd watched[WATCHED], int wait, hg_error *why) {
  const int fds[WATCHED] = {hg_client_fd(loop->options.client), hg_http_fd(loop->http), loop->signals,
                            hg_subscriber_fd(loop->events),
                            hg_runner_wants_input(loop->runner) ? hg_batch_input_fd(loop->options.batch) : -1};
  for (int i = 0; i < WATCHED; i++)
    watched[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
  if (poll(watched, WATCHED, wait) < 0 && errno != EINTR) return hg_fail(why, HG_ERR_SYSTEM, "%s", strerror(errno));
  loop->now_ms = clock_ms();
  return HG_OK;
}

hg_err hg_loop_run(struct hg_loop *loop, hg_error *why) {
  for (;;) {
    const int64_t next_ms = hg_runner_turn(loop->runner, loop->now_ms);
    show_progress(loop);
    tell_savings(loop);
    hg_loop_tell_lines(loop);
    if (hg_runner_finished(loop->runner)) return HG_OK;
    // The last thing before a wait is a look that found nothing: a send may take in what the descriptor had announced.
    const bool took = take_completions(loop);
    struct pollfd watched[WATCHED];
    const hg_err err = wait_for_something(loop, watched, took ? 0 : wait_ms(loop, next_ms), why);
    if (err) return err;
    if (watched[SIGNALS].revents) take_signals(loop);
    if (watched[EVENTS].revents) hg_loop_take_events(loop);
    if (watched[INPUT].revents) hg_runner_has_input(loop->runner);
    hg_loop_check_ledger(loop);
    if (hg_http_run(loop->http) != HG_OK) return hg_fail(why, HG_ERR_SYSTEM, "libcurl's sockets fail");
  }
}

enum hg_stop hg_loop_result(struct hg_loop *loop, struct hg_run_figures *out, const char **text) {
  const enum hg_stop stop = hg_runner_stopped(loop->runner, text);
  loop->now_ms = clock_ms();
  hg_loop_count(loop);
  hg_loop_tell_savings(loop);
  hg_loop_forget_lines(loop);
  if (stop != HG_STOP_LEDGER) hg_loop_ask(loop, LAST_FIGURES_MS);
  hg_loop_close_figures(loop);
  hg_loop_count(loop);
  *out = loop->figures;
  return stop;
}
