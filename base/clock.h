// What time it is.
#ifndef HG_CLOCK_H
#define HG_CLOCK_H

#include <stdint.h>

// Both clocks, read once.
struct hg_now {
  int64_t monotonic_us; // for deadlines
  int64_t utc_us;       // for people
};
#define HG_NEVER INT64_MAX

struct hg_now hg_clock_now(void);

#endif
