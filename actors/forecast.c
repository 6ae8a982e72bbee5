// Decayed sums of tokens and of time: their quotient is the rate.
#include "actors/forecast.h"

#include <math.h>

#define MINUTE_US 60e6

void hg_forecast_slots(struct hg_forecast *forecast, uint32_t slots, int64_t now_us) {
  if (now_us > forecast->slots_at_us) {
    forecast->recent_slot_us += (double)forecast->slots * (double)(now_us - forecast->slots_at_us);
    forecast->slots_at_us = now_us;
  }
  forecast->slots = slots;
}

static struct hg_forecast at(const struct hg_forecast *forecast, int64_t now_us) {
  struct hg_forecast moved = *forecast;
  if (moved.last_us == 0 || now_us <= moved.last_us) return moved;
  const double passed = (double)(now_us - moved.last_us), memory = (double)HG_FORECAST_MEMORY_US;
  const double kept = exp(-passed / memory);
  hg_forecast_slots(&moved, moved.slots, now_us);
  moved.tokens *= kept;
  moved.elapsed_us = moved.elapsed_us * kept + memory * (1 - kept);
  moved.slot_us = moved.slot_us * kept + moved.recent_slot_us;
  moved.recent_slot_us = 0;
  moved.last_us = now_us;
  return moved;
}

void hg_forecast_use(struct hg_forecast *forecast, int64_t tokens, int64_t now_us) {
  *forecast = at(forecast, now_us);
  if (forecast->last_us == 0) {
    forecast->last_us = now_us;
    forecast->recent_slot_us = 0;
  }
  forecast->tokens += (double)tokens;
}

void hg_forecast_end_attempt(struct hg_forecast *forecast, int64_t tokens) {
  forecast->task_tokens += (double)tokens;
}

void hg_forecast_end_task(struct hg_forecast *forecast, int64_t tokens) {
  const double kept = 1 - 1.0 / HG_FORECAST_TASKS;
  forecast->task_tokens = forecast->task_tokens * kept + (double)tokens;
  forecast->task_weight = forecast->task_weight * kept + 1;
}

// Tokens a microsecond.
static double rate(const struct hg_forecast *forecast, int64_t now_us) {
  const struct hg_forecast moved = at(forecast, now_us);
  if (moved.elapsed_us < (double)HG_FORECAST_LEAST_US || moved.tokens <= 0) return 0;
  return moved.tokens / moved.elapsed_us;
}

int64_t hg_forecast_per_minute(const struct hg_forecast *forecast, int64_t now_us) {
  const double tokens = rate(forecast, now_us) * MINUTE_US + 0.5;
  return tokens < 0x1p53 ? (int64_t)tokens : INT64_C(1) << 53;
}

static int64_t until_us(double per_us, int64_t tokens) {
  if (tokens <= 0) return 0;
  if (per_us <= 0 || (double)tokens / per_us >= 0x1p62) return -1;
  return (int64_t)((double)tokens / per_us);
}

int64_t hg_forecast_until_us(const struct hg_forecast *forecast, int64_t tokens, int64_t now_us) {
  return until_us(rate(forecast, now_us), tokens);
}

int64_t hg_forecast_throttled_until_us(const struct hg_forecast *forecast, int64_t tokens, uint32_t slots,
                                       int64_t now_us) {
  const struct hg_forecast moved = at(forecast, now_us);
  const double ran = moved.elapsed_us > 0 ? moved.slot_us / moved.elapsed_us : 0, may_run = slots;
  return until_us(rate(forecast, now_us) * (ran > may_run ? may_run / ran : 1), tokens);
}

int64_t hg_forecast_task(const struct hg_forecast *forecast) {
  if (forecast->task_weight <= 0) return 0;
  const double tokens = forecast->task_tokens / forecast->task_weight + 0.5;
  return tokens < 1 ? 1 : tokens < 0x1p53 ? (int64_t)tokens : INT64_C(1) << 53;
}
