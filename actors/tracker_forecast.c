// Where budgets are going, kept up to date while they are used. [8_RISKS-REQ-031]
#include "actors/tracker_private.h"

#include <stdlib.h>

#define NOTE_EVERY_US 100000 // so that a record pays for it seldom
#define TASKS_LEAST 9.5      // that have ended (ten, of which the older count a little less), before they say anything
#define FITS_AGAIN 0.9       // of what is left
#define LINES_MAX 4096       // that are told of apart
#define LINES_EACH_MAX (UINT64_C(1) << 50)
#define LINES_LAST_US 10000000 // unless they are told again
#define LINES_SWEEP_US 1000000

void hg_tracker_note_use(struct hg_tracker *tracker, uint32_t index) {
  struct hg_budget *budget = &tracker->budgets.at[index];
  struct hg_forecast *forecast = &budget->forecast;
  const int64_t now = tracker->now.monotonic_us;
  hg_forecast_slots(forecast, budget->slots, now);
  if (forecast->last_us == 0) { // what was used before says nothing of the rate
    hg_forecast_use(forecast, 0, now);
    budget->forecast_used = budget->used;
  } else if (now - forecast->last_us >= NOTE_EVERY_US) {
    hg_forecast_use(forecast, budget->used - budget->forecast_used, now);
    budget->forecast_used = budget->used;
  }
}

void hg_tracker_note_task(struct hg_tracker *tracker, uint32_t leaf, int64_t tokens, bool ends) {
  do {
    struct hg_forecast *forecast = &tracker->budgets.at[leaf].forecast;
    if (ends) hg_forecast_end_task(forecast, tokens);
    else hg_forecast_end_attempt(forecast, tokens);
  } while (hg_budget_up(&tracker->budgets, &leaf));
}

// ------------------------------------------------------------------------------------------------ lines of runs

struct hg_told_lines {
  hg_peer peer;
  uint64_t from; // of those that the gateway speaks for; 0: its own
  uint64_t lines;
  uint32_t allowed; // calls at once that its provider lets it make; 0: as many as it likes
  int64_t told_at;  // monotonic
  uint32_t budget;
};

// Its lines up to now, in all budgets of its path, become so many.
static void set_lines(struct hg_tracker *tracker, struct hg_told_lines *told, uint64_t lines) {
  uint32_t at = told->budget;
  do
    tracker->budgets.at[at].lines += lines - told->lines; // unsigned: may go down
  while (hg_budget_up(&tracker->budgets, &at));
  told->lines = lines;
}

static void forget(struct hg_tracker *tracker, struct hg_told_lines *told) {
  set_lines(tracker, told, 0);
  *told = tracker->lines[--tracker->line_count];
}

void hg_tracker_forget_lines(struct hg_tracker *tracker, hg_peer peer) {
  for (size_t i = tracker->line_count; i > 0; i--)
    if (tracker->lines[i - 1].peer == peer) forget(tracker, &tracker->lines[i - 1]);
}

// Of who can't say any more that it has left.
static void sweep_lines(struct hg_tracker *tracker) {
  const int64_t now = tracker->now.monotonic_us;
  if (now - tracker->lines_swept_at < LINES_SWEEP_US) return;
  tracker->lines_swept_at = now;
  for (size_t i = tracker->line_count; i > 0; i--)
    if (now - tracker->lines[i - 1].told_at > LINES_LAST_US) forget(tracker, &tracker->lines[i - 1]);
}

// NULL: there is no place for it.
static struct hg_told_lines *find_lines(struct hg_tracker *tracker, hg_peer peer, uint64_t from, uint32_t budget) {
  size_t its = 0;
  for (size_t i = 0; i < tracker->line_count; i++) {
    struct hg_told_lines *told = &tracker->lines[i];
    if (told->peer != peer || told->from != from) continue;
    if (told->budget == budget) return told;
    its++;
  }
  if (its >= HG_LINE_BUDGETS_MAX || tracker->line_count >= LINES_MAX) return NULL;
  if (tracker->line_count == tracker->line_capacity) {
    const size_t capacity = tracker->line_capacity ? 2 * tracker->line_capacity : 16;
    struct hg_told_lines *longer = realloc(tracker->lines, capacity * sizeof *longer);
    if (!longer) return NULL;
    tracker->lines = longer;
    tracker->line_capacity = capacity;
  }
  struct hg_told_lines *told = &tracker->lines[tracker->line_count++];
  *told = (struct hg_told_lines){.peer = peer, .from = from, .budget = budget};
  return told;
}

void hg_tracker_tell_lines(struct hg_tracker *tracker, hg_peer peer, const struct hg_tell_lines_message *message) {
  if (message->budget >= tracker->budgets.count) return;
  sweep_lines(tracker);
  struct hg_told_lines *told = find_lines(tracker, peer, message->from, message->budget);
  if (!told) return;
  set_lines(tracker, told, message->lines < LINES_EACH_MAX ? message->lines : LINES_EACH_MAX);
  told->allowed = message->allowed;
  told->told_at = tracker->now.monotonic_us;
  if (told->lines == 0 && told->allowed == 0) forget(tracker, told);
  hg_tracker_judge_queue(tracker, message->budget);
}

// To the run that is pushed back the most; 0: none is.
static uint32_t least_allowed(const struct hg_tracker *tracker) {
  uint32_t least = 0;
  for (size_t i = 0; i < tracker->line_count; i++) {
    const struct hg_told_lines *told = &tracker->lines[i];
    if (told->allowed == 0 || tracker->now.monotonic_us - told->told_at > LINES_LAST_US) continue;
    if (least == 0 || told->allowed < least) least = told->allowed;
  }
  return least;
}

// ------------------------------------------------------------------------------------------------ what will not fit

static int64_t tokens_of(double tokens) {
  return tokens < (double)HG_TOKENS_MAX ? (int64_t)tokens : HG_TOKENS_MAX;
}

// As if each task used what tasks use on average. Those of a run that run or wait are among its lines.
static void judge(struct hg_tracker *tracker, uint32_t index) {
  struct hg_budget *budget = &tracker->budgets.at[index];
  const uint64_t asking = (uint64_t)budget->slots + (index == 0 ? tracker->waiting : 0);
  const double tasks = (double)(asking > budget->lines ? asking : budget->lines);
  const double needed = tasks * (double)hg_forecast_task(&budget->forecast);
  const double left = (double)(budget->hard_limit - budget->used - budget->kept);
  if (budget->forecast_is_bad) {
    budget->forecast_is_bad = needed > left * FITS_AGAIN; // not at each change of the average
    return;
  }
  if (budget->forecast.task_weight < TASKS_LEAST || needed <= left) return;
  budget->forecast_is_bad = true;
  struct hg_message event;
  hg_message_init(&event, HG_BUDGET_FORECAST);
  struct hg_budget_forecast_message *told = &event.as.budget_forecast;
  told->used = budget->used;
  told->reserved = budget->reserved;
  told->hard_limit = budget->hard_limit;
  told->open_permits = budget->open_permits;
  told->needed = tokens_of(needed);
  told->over_by = tokens_of(needed - left);
  hg_tracker_emit(tracker, index, &event);
}

void hg_tracker_judge_queue(struct hg_tracker *tracker, uint32_t leaf) {
  if (tracker->store.given_up) return;
  sweep_lines(tracker);
  do
    judge(tracker, leaf);
  while (hg_budget_up(&tracker->budgets, &leaf));
}

// ------------------------------------------------------------------------------------------------ figures

static int64_t ms_of(int64_t us) {
  return us < 0 || us / 1000 > HG_TOKENS_MAX ? HG_UNKNOWN : us / 1000;
}

// Milliseconds until so many are used; HG_UNKNOWN: never at this rate.
static int64_t until_ms(const struct hg_budget *budget, int64_t used, int64_t now_us) {
  return ms_of(hg_forecast_until_us(&budget->forecast, used - budget->used, now_us));
}

// From the threshold on only so many run as its throttle lets.
static int64_t until_limit_ms(const struct hg_budgets *budgets, const struct hg_budget *budget, int64_t threshold,
                              int64_t now_us) {
  if (threshold < 0 && !budget->closed) return until_ms(budget, budget->hard_limit, now_us);
  const int64_t closes = budget->closed || threshold < budget->used ? budget->used : threshold;
  const int64_t open_us = hg_forecast_until_us(&budget->forecast, closes - budget->used, now_us);
  const int64_t closed_us = hg_forecast_throttled_until_us(&budget->forecast, budget->hard_limit - closes,
                                                           budgets->throttled_concurrency, now_us);
  return open_us < 0 || closed_us < 0 ? HG_UNKNOWN : ms_of(open_us + closed_us);
}

void hg_tracker_fill_forecast(const struct hg_tracker *tracker, uint32_t index, struct hg_usage_message *usage) {
  const struct hg_budget *budget = &tracker->budgets.at[index];
  const int64_t now = tracker->now.monotonic_us, threshold = hg_budget_threshold(&tracker->budgets, budget);
  const int64_t per_minute = hg_forecast_per_minute(&budget->forecast, now);
  usage->per_minute = per_minute < HG_TOKENS_MAX ? per_minute : HG_TOKENS_MAX;
  usage->limit_in_ms = until_limit_ms(&tracker->budgets, budget, threshold, now);
  usage->threshold_in_ms = threshold >= 0 ? until_ms(budget, threshold, now) : HG_UNKNOWN;
  usage->task_tokens = hg_forecast_task(&budget->forecast);
  usage->saved = tracker->saved;
  usage->overran = tracker->overran;
  usage->allowed = least_allowed(tracker);
}
