// The generic cell rate algorithm.
#include "runner/pace.h"

#define MINUTE_US INT64_C(60000000)
#define LONGEST_US (24 * 60 * MINUTE_US) // no take counts for more than a day

static int64_t us_of(const struct hg_pace *pace, int64_t units) {
  const double us = (double)units * (double)MINUTE_US / (double)pace->per_minute;
  return us < (double)LONGEST_US ? (int64_t)us : LONGEST_US;
}

int64_t hg_pace_take(struct hg_pace *pace, int64_t units, int64_t now_ms, int64_t *took_us) {
  const int64_t open_ms = pace->shut_ms > now_ms ? pace->shut_ms : now_ms;
  *took_us = 0;
  if (pace->per_minute == 0) return open_ms;
  const int64_t open_us = open_ms * 1000, free_us = pace->taken_us - HG_PACE_BURST_MS * INT64_C(1000);
  const int64_t start_us = free_us > open_us ? free_us : open_us;
  if (pace->taken_us < start_us) pace->taken_us = start_us;
  *took_us = us_of(pace, units);
  pace->taken_us += *took_us;
  return (start_us + 999) / 1000;
}

void hg_pace_give_back(struct hg_pace *pace, int64_t us) {
  if (us > 0) pace->taken_us -= us;
}
