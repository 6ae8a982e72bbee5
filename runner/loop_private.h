// What the parts of the loop share: loop.c waits, loop_io.c carries out what the core decides, loop_figures.c follows
// what happens for the progress line and the summary, loop_ledger.c whether the ledger can be written.
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
  int64_t saved_told, told_at_ms;  // what status has heard of what was saved
  uint64_t overran_told;
  uint64_t lines_told[HG_LINE_BUDGETS_MAX];
  int64_t lines_told_at_ms;
  uint32_t closed;      // throttles that are closed now
  int64_t closed_at_us; // UTC, as events have it

  bool ledger_fails; // it can't be written now
  bool ledger_lost;  // given up
  int64_t ledger_fails_since_ms;
  int64_t cut_at_ms;                   // with two interrupts: when the second came
  char ledger_reason[HG_TEXT_MAX + 3]; // why it fails, behind ": "; "": not known
};

// loop_io.c
struct hg_runner_io hg_loop_io(struct hg_loop *loop);

// loop_figures.c
hg_err hg_loop_watch(struct hg_loop *loop, hg_error *why); // before anything starts
void hg_loop_take_events(struct hg_loop *loop);
void hg_loop_close_figures(struct hg_loop *loop);       // at the end: a throttle that is closed counts until now
void hg_loop_ask(struct hg_loop *loop, int timeout_ms); // the newest figures of budget and queue
void hg_loop_count(struct hg_loop *loop);               // those of runner and batch
void hg_loop_tell_savings(struct hg_loop *loop);        // what is new in them, for status

void hg_loop_tell_lines(struct hg_loop *loop);   // how many are left, for the forecast
void hg_loop_forget_lines(struct hg_loop *loop); // none are any more

// loop_ledger.c
void hg_loop_take_store_event(struct hg_loop *loop, const hg_event *event); // STORE_… or HEARTBEAT
void hg_loop_lose_ledger(struct hg_loop *loop, const char *what);
// Gives up a ledger that can't be written for too long, or at once when the user insists.
void hg_loop_check_ledger(struct hg_loop *loop);
bool hg_loop_watches_clock(const struct hg_loop *loop); // hg_loop_check_ledger must be called from time to time

#endif
