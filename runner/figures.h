// Everything that the progress line and the summary tell of a run, and how figures are written for people.
#ifndef HG_FIGURES_H
#define HG_FIGURES_H

#include "batch/batch.h"
#include "runner/task_runner.h"

// What holds of a call that nobody settled, until somebody knows what it used.
enum hg_assumed { HG_ASSUMED_CHARGED, HG_ASSUMED_KEPT, HG_ASSUMED_RELEASED, HG_ASSUMPTIONS };

struct hg_run_orphans_figures {
  uint64_t settled; // calls of an earlier run, settled late from their result lines
  struct hg_assumed_figures {
    uint64_t calls;
    int64_t tokens;
  } assumed[HG_ASSUMPTIONS]; // the others
};

// Calls in the files of results and errors that are in the budget of another ledger.
struct hg_other_ledger {
  uint64_t calls;
  int64_t tokens; // by their answers: at least
};

struct hg_run_figures {
  struct hg_runner_counts run;
  struct hg_batch_counts batch;
  uint64_t lines; // in the batch file, as counted at the start; 0: not known
  hg_usage usage; // of the run's budget
  hg_queue queue;
  uint32_t throttled_concurrency;
  int64_t elapsed_ms;
  int64_t tokens_per_second; // lately
  uint32_t throttles;        // how often the throttle closed, or was closed at the start
  int64_t throttled_us;
  uint64_t overruns; // BUDGET_OVERRUN events
  struct hg_run_orphans_figures orphans;
  struct hg_other_ledger other_ledger;
};

uint64_t hg_lines_done(const struct hg_run_figures *figures);
uint64_t hg_lines_failed(const struct hg_run_figures *figures); // bad lines and duplicates among them
uint64_t hg_lines_left(const struct hg_run_figures *figures);   // for the next run, not read ones among them

#define HG_FIGURE_MAX 32
struct hg_figure {
  char text[HG_FIGURE_MAX];
};
struct hg_figure hg_figure_count(int64_t number);                // "1,234,567"
struct hg_figure hg_figure_amount(hg_unit unit, int64_t amount); // "1,234" or "$12.3456" (hg_money_round)
struct hg_figure hg_figure_tokens(hg_unit unit, int64_t amount); // "1,234 tokens" or "$12.3456"
struct hg_figure hg_figure_percent(uint32_t hundredths);         // "90.50 %"
struct hg_figure hg_figure_time(int64_t ms);                     // "0.4 s", "59.0 s", "1:02", "2:03:04"
struct hg_figure hg_figure_about(int64_t ms);                    // "40 s", "12 min", "3 h", "5 days"; at least "10 s"

// Text that is appended to up to a bound.
struct hg_text_line {
  char *out;
  size_t len, capacity;
};
__attribute__((format(printf, 2, 3))) void hg_text_line_add(struct hg_text_line *line, const char *format, ...);

#endif
