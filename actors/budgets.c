// The arithmetic of budgets.h. [8_RISKS-REQ-031]
#include "actors/budgets.h"
#include "actors/tracker.h"

#include <stdlib.h>

__extension__ typedef __int128 wide;

#define HUNDREDTHS 100 // of a percent

uint32_t hg_usage_percent(int64_t used, int64_t hard_limit) {
  if (used <= 0) return 0;
  if (hard_limit <= 0) return UINT32_MAX;
  const wide hundredths = ((wide)used * 2 * 100 * HUNDREDTHS + hard_limit) / ((wide)hard_limit * 2);
  return hundredths > UINT32_MAX ? UINT32_MAX : (uint32_t)hundredths;
}

bool hg_should_throttle(uint32_t percent_hundredths, uint32_t throttle_percent) {
  return throttle_percent < 100 && percent_hundredths >= throttle_percent * HUNDREDTHS;
}

bool hg_budgets_init(struct hg_budgets *budgets, const struct hg_config *config, const struct hg_ledger_state *state) {
  assert(config->budget_count >= 1 && config->budget_count == state->budget_count);
  *budgets = (struct hg_budgets){.at = calloc(config->budget_count, sizeof *budgets->at),
                                 .count = config->budget_count,
                                 .throttle_percent = config->throttle_percent,
                                 .restore_below_percent = config->restore_below_percent,
                                 .throttled_concurrency = config->throttled_concurrency,
                                 .basis = config->throttle_basis};
  if (!budgets->at) return false;
  for (uint32_t i = 0; i < budgets->count; i++) {
    const struct hg_ledger_budget *stored = &state->budgets[i];
    budgets->at[i] = (struct hg_budget){.used = stored->used,
                                        .reserved = stored->reserved,
                                        .hard_limit = stored->hard_limit,
                                        .parent = config->budgets[i].parent,
                                        .closed = stored->throttled,
                                        .throttle_told = stored->throttled};
  }
  return true;
}

void hg_budgets_destroy(struct hg_budgets *budgets) {
  free(budgets->at);
  *budgets = (struct hg_budgets){0};
}

bool hg_budget_up(const struct hg_budgets *budgets, uint32_t *at) {
  if (*at == 0) return false;
  *at = budgets->at[*at].parent;
  return true;
}

static bool in_range(int64_t total, int64_t change) {
  // Both are within the sum's range, so adding them can't overflow.
  return total + change >= 0 && total + change <= HG_TOKEN_SUM_MAX;
}

bool hg_budgets_fit(const struct hg_budgets *budgets, uint32_t leaf, int64_t used, int64_t reserved) {
  if (used < -HG_TOKEN_SUM_MAX || used > HG_TOKEN_SUM_MAX) return false;
  if (reserved < -HG_TOKEN_SUM_MAX || reserved > HG_TOKEN_SUM_MAX) return false;
  do {
    const struct hg_budget *budget = &budgets->at[leaf];
    if (!in_range(budget->used, used) || !in_range(budget->reserved, reserved)) return false;
  } while (hg_budget_up(budgets, &leaf));
  return true;
}

void hg_budgets_add(struct hg_budgets *budgets, uint32_t leaf, int64_t used, int64_t reserved) {
  do {
    struct hg_budget *budget = &budgets->at[leaf];
    budget->used += used;
    budget->reserved += reserved;
    assert(budget->used >= 0 && budget->reserved >= 0); // I2
  } while (hg_budget_up(budgets, &leaf));
}

void hg_budgets_count(struct hg_budgets *budgets, uint32_t leaf, int open, int slots, int64_t kept) {
  do {
    struct hg_budget *budget = &budgets->at[leaf];
    assert(open >= 0 || budget->open_permits > 0);
    assert(slots >= 0 || budget->slots > 0);
    budget->open_permits += (uint32_t)open;
    budget->slots += (uint32_t)slots;
    budget->kept += kept;
    assert(budget->kept >= 0 && budget->slots <= budget->open_permits);
  } while (hg_budget_up(budgets, &leaf));
}

int64_t hg_budget_available(const struct hg_budget *budget) {
  return budget->hard_limit - budget->used - budget->reserved;
}

uint32_t hg_budget_compared_percent(const struct hg_budgets *budgets, const struct hg_budget *budget) {
  const int64_t counted = budget->used + (budgets->basis == HG_THROTTLE_COMMITTED ? budget->reserved : 0);
  return hg_usage_percent(counted, budget->hard_limit);
}

// The percent is rounded half up to a hundredth: half of one less than the threshold meets it.
int64_t hg_budget_threshold(const struct hg_budgets *budgets, const struct hg_budget *budget) {
  if (budgets->throttle_percent >= 100) return -1;
  const wide halves = (wide)budget->hard_limit * (2 * HUNDREDTHS * (wide)budgets->throttle_percent - 1);
  const int64_t counted = (int64_t)((halves + 2 * 100 * HUNDREDTHS - 1) / (2 * 100 * HUNDREDTHS));
  return budgets->basis == HG_THROTTLE_COMMITTED && counted > budget->reserved ? counted - budget->reserved : counted;
}

bool hg_budget_should_close(const struct hg_budgets *budgets, const struct hg_budget *budget) {
  const uint32_t percent = hg_budget_compared_percent(budgets, budget);
  if (!budget->closed) return hg_should_throttle(percent, budgets->throttle_percent);
  return budgets->throttle_percent < 100 && percent >= budgets->restore_below_percent * HUNDREDTHS;
}

// What can be left at most for new requests: all but what is used for good and what no one here will give back.
static int64_t rest_of(const struct hg_budget *budget) {
  return budget->hard_limit - budget->used - budget->kept;
}

// The budget of the path with the smallest rest, or with the least available.
static uint32_t tightest(const struct hg_budgets *budgets, uint32_t leaf,
                         int64_t (*measure)(const struct hg_budget *)) {
  uint32_t found = leaf;
  while (hg_budget_up(budgets, &leaf))
    if (measure(&budgets->at[leaf]) < measure(&budgets->at[found])) found = leaf;
  return found;
}

struct hg_judgement hg_budgets_judge(const struct hg_budgets *budgets, uint32_t leaf, int64_t min, int64_t max,
                                     uint64_t heard, bool nested) {
  const struct hg_budget *all = budgets->at;
  uint32_t at = tightest(budgets, leaf, rest_of);
  if (min > rest_of(&all[at])) return (struct hg_judgement){HG_VERDICT_NEVER, at, rest_of(&all[at])};

  at = leaf;
  do
    if (heard < all[at].refusal) return (struct hg_judgement){HG_VERDICT_BEHIND, at, 0};
  while (hg_budget_up(budgets, &at));

  at = leaf;
  do
    if (!nested && all[at].closed && all[at].slots >= budgets->throttled_concurrency)
      return (struct hg_judgement){HG_VERDICT_THROTTLED, at, 0};
  while (hg_budget_up(budgets, &at));

  at = leaf;
  do
    if (min > hg_budget_available(&all[at])) return (struct hg_judgement){HG_VERDICT_WAIT, at, 0};
  while (hg_budget_up(budgets, &at));

  at = tightest(budgets, leaf, hg_budget_available);
  const int64_t available = hg_budget_available(&all[at]);
  return (struct hg_judgement){HG_VERDICT_GRANTED, at, max < available ? max : available};
}
