// How fast something may start: at most so many units a minute, by the generic cell rate algorithm (ITU-T I.371): a
// single moment, up to which the past has used up the rate. Pure; times in milliseconds.
#ifndef HG_PACE_H
#define HG_PACE_H

#include <stdint.h>

// What has not been used in the last second may be used at once.
#define HG_PACE_BURST_MS 1000

struct hg_pace {
  int64_t per_minute; // 0: without bound
  int64_t taken_us;   // up to this moment the rate is used up
  int64_t shut_ms;    // nothing starts before this moment, whatever is given back
};

// The moment from which on `units` may start; they count from now on, for the time that goes into *took_us. Whoever
// asks later starts no earlier. What needs more units than a second has starts in its turn, and those behind it wait
// the longer.
int64_t hg_pace_take(struct hg_pace *pace, int64_t units, int64_t now_ms, int64_t *took_us);
// So much of what an earlier take took was not needed: time, because the rate may be another one by now.
void hg_pace_give_back(struct hg_pace *pace, int64_t us);

#endif
