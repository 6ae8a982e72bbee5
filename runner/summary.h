// How a run ended: the exit code, a table for people, one JSON object for programs. Pure.
#ifndef HG_SUMMARY_H
#define HG_SUMMARY_H

#include "runner/figures.h"

#include <stdio.h>

struct hg_summary {
  struct hg_run_figures figures;
  enum hg_stop stop;
  const char *stop_text;        // "": none
  const char *hint;             // what to do about it; "": nothing
  const char *go_on;            // the command that goes on; "": nothing is left
  const char *results, *errors; // paths
  bool not_durable;             // the runtime could not say that all is on disk
};

// 0 all done, 1 some failed, 2 stopped by key, input or configuration, 3 the budget ended first, 4 ledger or results
// can't be written, or what calls used was not settled as it should be, 130 interrupted. 4 is told before all others.
int hg_summary_exit(const struct hg_summary *summary);

// False: it can't be written.
bool hg_summary_print(const struct hg_summary *summary, bool utf8, FILE *to);
bool hg_summary_print_json(const struct hg_summary *summary, FILE *to);

// The name of a reason, as the JSON has it: "interrupted", "access", … ; "none".
const char *hg_stop_name(enum hg_stop stop);

// What the throttled time would have been with `concurrency` calls at once instead; -1: it can't be said.
int64_t hg_throttled_us_at(const struct hg_run_figures *figures, uint32_t concurrency);

#endif
