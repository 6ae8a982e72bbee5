// The loop around the task runner: one thread that waits for the runtime's answers, libcurl's sockets, signals, events
// and the clock, and hands each to the pure core.
#ifndef HG_LOOP_H
#define HG_LOOP_H

#include "providers/endpoint.h"
#include "runner/figures.h"

#include <signal.h>

#define HG_PROGRESS_EVERY_MS 200

struct hg_loop_options {
  // All borrowed.
  hg_runtime *runtime;
  hg_client *client;
  struct hg_batch *batch;
  const struct hg_target *target;
  struct hg_runner_options runner;
  uint32_t sockets_max; // 0: as many as calls
  uint32_t throttled_concurrency;
  uint64_t lines;
  bool wants_progress;
  void (*on_progress)(void *context, const struct hg_run_figures *figures);
  void (*on_note)(void *context, const char *text);
  void *context;
};

struct hg_loop;
hg_err hg_loop_new(const struct hg_loop_options *options, struct hg_loop **out, hg_error *why);
void hg_loop_destroy(struct hg_loop **loop);

// The signals that stop a run: SIGINT, SIGTERM, and SIGHUP unless it was ignored when the process started.
void hg_loop_signals(sigset_t *out);

// Runs until all is done, stopped or lost. Those signals must be blocked: they are taken from a descriptor. The first
// lets running calls end, a second SIGINT or SIGTERM cuts them, a third does not wait for the ledger either.
hg_err hg_loop_run(struct hg_loop *loop, hg_error *why);

// The figures at the end, and why it stopped (as hg_runner_stopped).
enum hg_stop hg_loop_result(struct hg_loop *loop, struct hg_run_figures *out, const char **text);

#endif
