// What is exported, of one moment, and how it is written. Pure: who asks fills it in (cli/metrics_ask.h).
#ifndef HG_METRICS_FIGURES_H
#define HG_METRICS_FIGURES_H

#include "metrics/exposition.h"
#include "metrics/fold.h"
#include "schemas/counters.h"

struct hg_metrics_budget {
  char name[HG_BUDGET_NAME_MAX + 1];
  int64_t hard_limit, used, reserved; // all amounts are in the ledger's unit
  uint32_t usage_percent;             // hundredths
  bool throttled;
  int64_t open_permits;                                          // HG_UNKNOWN: not told
  int64_t per_minute, threshold_in_ms, limit_in_ms, task_tokens; // HG_UNKNOWN: not told, or never
};

struct hg_metrics_figures {
  bool live;    // a runtime answered
  hg_unit unit; // of the ledger
  struct hg_metrics_budget *budgets;
  size_t budget_count, budget_room;
  bool has_state; // the budgets, and these:
  uint64_t seq, audited, differences;
  bool audit_failed;
  uint32_t max_concurrency, effective_concurrency, running, waiting; // only of a runtime

  // Only from inside its process:
  bool has_counters;
  struct hg_counters counters;
  int64_t started_us;         // UTC, when it began to serve; 0: not known
  const struct hg_fold *fold; // NULL: events are not followed; borrowed
  bool has_histograms;        // it takes more than heartbeats
};

// The next budget, to be filled in. NULL: no memory.
struct hg_metrics_budget *hg_metrics_add_budget(struct hg_metrics_figures *figures, const char *name, size_t len);
void hg_metrics_clear(struct hg_metrics_figures *figures);
// All of it as text. HG_ERR_NO_MEMORY leaves `out` empty; else the caller clears it.
hg_err hg_metrics_print(const struct hg_metrics_figures *figures, struct hg_text_buffer *out);

#endif
