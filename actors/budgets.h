// The budget tree and its arithmetic, pure: what is used and reserved, what fits, and who has to wait for which budget.
// [8_RISKS-REQ-031]
#ifndef HG_BUDGETS_H
#define HG_BUDGETS_H

#include "actors/forecast.h"
#include "config/config.h"
#include "ledger/ledger.h"
#include "schemas/message.h"

enum hg_wait_reason { HG_WAIT_NONE, HG_WAIT_TOKENS, HG_WAIT_THROTTLE };

struct hg_budget {
  int64_t used, reserved, hard_limit;
  int64_t kept; // reserved by orphans that are kept: nobody here will settle them
  uint32_t parent;
  uint32_t open_permits;    // charged to it or below it
  uint32_t slots;           // those of them that run in a slot of their own
  uint64_t refusal;         // ordinal of the newest request that has to wait for it
  enum hg_wait_reason told; // the reason of waiting that was told last
  bool closed;              // the throttle latch
  bool throttle_told;       // the journal's last word is CONCURRENCY_THROTTLED
  bool is_short;            // somebody waits for it
  bool exhausted_told;      // BUDGET_EXHAUSTED was told, and nothing changed since
  struct hg_forecast forecast;
  int64_t forecast_used; // `used` as it was when the forecast heard of it last
  uint64_t lines;        // of runs, still to end, charged to it or below it
  bool forecast_is_bad;  // BUDGET_FORECAST was told
};
struct hg_budgets {
  struct hg_budget *at; // by index; 0 is the root and its own parent
  uint32_t count;
  uint32_t throttle_percent, restore_below_percent, throttled_concurrency;
  enum hg_throttle_basis basis;
};

bool hg_budgets_init(struct hg_budgets *budgets, const struct hg_config *config, const struct hg_ledger_state *state);
void hg_budgets_destroy(struct hg_budgets *budgets);

// A path is walked from its leaf: do { … } while (hg_budget_up(budgets, &at)). False at the root.
bool hg_budget_up(const struct hg_budgets *budgets, uint32_t *at);

// Would every budget of the path keep used and reserved within 0 and HG_TOKEN_SUM_MAX?
bool hg_budgets_fit(const struct hg_budgets *budgets, uint32_t leaf, int64_t used, int64_t reserved);
void hg_budgets_add(struct hg_budgets *budgets, uint32_t leaf, int64_t used, int64_t reserved);
// Permits that open (+1) or close (-1) on the path, slots of them, and tokens kept for orphans.
void hg_budgets_count(struct hg_budgets *budgets, uint32_t leaf, int open, int slots, int64_t kept);

int64_t hg_budget_available(const struct hg_budget *budget); // may be negative
uint32_t hg_budget_compared_percent(const struct hg_budgets *budgets, const struct hg_budget *budget);
// The least `used` at which that percent meets the threshold; -1: no throttle ever closes.
int64_t hg_budget_threshold(const struct hg_budgets *budgets, const struct hg_budget *budget);
// What the latch of the budget should be now.
bool hg_budget_should_close(const struct hg_budgets *budgets, const struct hg_budget *budget);

struct hg_judgement {
  enum hg_verdict verdict;
  uint32_t budget; // not granted: which one is short
  int64_t tokens;  // granted: how many; never: what can be left at most
};
// May a request have at least `min` and at most `max` tokens now? `heard`: how many refusals its sender knew of.
// A nested one runs in its parent's slot, so no throttle holds it back.
struct hg_judgement hg_budgets_judge(const struct hg_budgets *budgets, uint32_t leaf, int64_t min, int64_t max,
                                     uint64_t heard, bool nested);

#endif
