// Where budgets are going, kept up to date while they are used. [8_RISKS-REQ-031]
#include "actors/tracker_private.h"

#define NOTE_EVERY_US 100000 // so that a record pays for it seldom
#define TASKS_LEAST 9.5      // that have ended (ten, of which the older count a little less), before they say anything

void hg_tracker_note_use(struct hg_tracker *tracker, uint32_t index) {
  struct hg_budget *budget = &tracker->budgets.at[index];
  struct hg_forecast *forecast = &budget->forecast;
  const int64_t now = tracker->now.monotonic_us;
  if (forecast->last_us == 0) { // what was used before says nothing of the rate
    hg_forecast_use(forecast, 0, now);
    budget->forecast_used = budget->used;
  } else if (now - forecast->last_us >= NOTE_EVERY_US) {
    hg_forecast_use(forecast, budget->used - budget->forecast_used, now);
    budget->forecast_used = budget->used;
  }
}

void hg_tracker_note_task(struct hg_tracker *tracker, uint32_t leaf, int64_t tokens) {
  do
    hg_forecast_end_task(&tracker->budgets.at[leaf].forecast, tokens);
  while (hg_budget_up(&tracker->budgets, &leaf));
}

// Of all that runs and waits, as if each used what tasks use on average.
void hg_tracker_judge_queue(struct hg_tracker *tracker) {
  const struct hg_budget *root = &tracker->budgets.at[0];
  const double tasks = (double)root->slots + tracker->waiting;
  const double needed = tasks * (double)hg_forecast_task(&root->forecast);
  const double left = (double)(root->hard_limit - root->used - root->kept);
  const bool is_bad = root->forecast.task_weight >= TASKS_LEAST && needed > left;
  if (is_bad == tracker->forecast_is_bad) return;
  tracker->forecast_is_bad = is_bad;
  if (!is_bad) return;
  struct hg_message event;
  hg_message_init(&event, HG_BUDGET_FORECAST);
  struct hg_budget_forecast_message *told = &event.as.budget_forecast;
  told->used = root->used;
  told->reserved = root->reserved;
  told->hard_limit = root->hard_limit;
  told->open_permits = root->open_permits;
  told->needed = needed < (double)HG_TOKENS_MAX ? (int64_t)needed : HG_TOKENS_MAX;
  told->over_by = needed - left < (double)HG_TOKENS_MAX ? (int64_t)(needed - left) : HG_TOKENS_MAX;
  hg_tracker_emit(tracker, 0, &event);
}

// Milliseconds until so many are used; HG_UNKNOWN: never at this rate.
static int64_t until_ms(const struct hg_budget *budget, int64_t used, int64_t now_us) {
  const int64_t us = hg_forecast_until_us(&budget->forecast, used - budget->used, now_us);
  return us < 0 || us / 1000 > HG_TOKENS_MAX ? HG_UNKNOWN : us / 1000;
}

void hg_tracker_fill_forecast(const struct hg_tracker *tracker, uint32_t index, struct hg_usage_message *usage) {
  const struct hg_budget *budget = &tracker->budgets.at[index];
  const int64_t now = tracker->now.monotonic_us, threshold = hg_budget_threshold(&tracker->budgets, budget);
  const int64_t per_minute = hg_forecast_per_minute(&budget->forecast, now);
  usage->per_minute = per_minute < HG_TOKENS_MAX ? per_minute : HG_TOKENS_MAX;
  usage->limit_in_ms = until_ms(budget, budget->hard_limit, now);
  usage->threshold_in_ms = threshold >= 0 ? until_ms(budget, threshold, now) : HG_UNKNOWN;
  usage->task_tokens = hg_forecast_task(&budget->forecast);
  usage->saved = tracker->saved;
  usage->overran = tracker->overran;
}
