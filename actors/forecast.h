// Where a budget is going: how fast it is used, when that reaches a figure, and how many tasks of the average kind
// still fit. Exponentially weighted, so that what was long ago counts less; with few observations yet they count alike.
// Pure; times in microseconds.
#ifndef HG_FORECAST_H
#define HG_FORECAST_H

#include <stdbool.h>
#include <stdint.h>

#define HG_FORECAST_MEMORY_US INT64_C(300000000) // after so long an observation counts 1/e
#define HG_FORECAST_LEAST_US INT64_C(1000000)    // observed for less there is no rate yet
#define HG_FORECAST_TASKS 256                    // tasks that the average one is made of, about

struct hg_forecast {
  int64_t last_us;                 // of the newest observation; 0: there is none
  double tokens, elapsed_us;       // decayed sums
  double task_tokens, task_weight; // the same of tasks, each counting 1
  double slot_us, recent_slot_us;  // the same of slots, each counting as long as it ran; and since the last observation
  int64_t slots_at_us;
  uint32_t slots; // that run since then
};

// So many tokens more were used (a correction may take some away).
void hg_forecast_use(struct hg_forecast *forecast, int64_t tokens, int64_t now_us);
// So many slots run from now on.
void hg_forecast_slots(struct hg_forecast *forecast, uint32_t slots, int64_t now_us);
// A task ended with so many; or an attempt did, and the task goes on.
void hg_forecast_end_task(struct hg_forecast *forecast, int64_t tokens);
void hg_forecast_end_attempt(struct hg_forecast *forecast, int64_t tokens);

// Tokens a minute; 0: none were used lately, or it is too early to say.
int64_t hg_forecast_per_minute(const struct hg_forecast *forecast, int64_t now_us);
// How long from now until `tokens` more are used; -1: never at this rate.
int64_t hg_forecast_until_us(const struct hg_forecast *forecast, int64_t tokens, int64_t now_us);
// The same while at most so many slots run.
int64_t hg_forecast_throttled_until_us(const struct hg_forecast *forecast, int64_t tokens, uint32_t slots,
                                       int64_t now_us);
// What a task uses; 0: none has ended yet.
int64_t hg_forecast_task(const struct hg_forecast *forecast);

#endif
