// What the parts of the loop share: loop.c waits, loop_io.c carries out what the core decides, loop_figures.c follows
// what happens for the progress line and the summary.
#ifndef HG_LOOP_PRIVATE_H
#define HG_LOOP_PRIVATE_H

#include "runner/http.h"
#include "runner/loop.h"

struct hg_loop {
  struct hg_loop_options options;
  struct hg_runner *runner;
  struct hg_http *http;
  hg_subscriber *events; // NULL: none
  int signals;
  unsigned interrupts;
  uint64_t random;
  int64_t now_ms, started_ms;

  // The URL of the last call: nearly all go to the same.
  char *url, *url_path;
  const char *url_base;

  struct hg_run_figures figures;
  int64_t figures_at_ms;
  int64_t rate_tokens, rate_at_ms; // the last point of the rate
  uint32_t closed;                 // throttles that are closed now
  int64_t closed_at_us;            // UTC, as events have it
  int64_t degraded_since_ms;       // the ledger can't be written; 0: it can
  char stop_text[512];             // without keys
};

// loop_io.c
struct hg_runner_io hg_loop_io(struct hg_loop *loop);

// loop_figures.c
hg_err hg_loop_watch(struct hg_loop *loop, hg_error *why); // before anything starts
void hg_loop_take_events(struct hg_loop *loop);
// Gives up a ledger that can't be written for too long, or at once when the user insists.
void hg_loop_check_ledger(struct hg_loop *loop);
void hg_loop_close_figures(struct hg_loop *loop);       // at the end: a throttle that is closed counts until now
void hg_loop_ask(struct hg_loop *loop, int timeout_ms); // the newest figures of budget and queue
void hg_loop_count(struct hg_loop *loop);               // those of runner and batch

#endif
