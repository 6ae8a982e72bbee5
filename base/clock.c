// The clocks of the system.
#include "base/clock.h"

#include <time.h>

static int64_t clock_us(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

struct hg_now hg_clock_now(void) {
  return (struct hg_now){clock_us(CLOCK_MONOTONIC), clock_us(CLOCK_REALTIME)};
}
