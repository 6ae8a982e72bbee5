// How long each of many answers took, and what a contestant's figures come to.
#ifndef HG_BENCH_LATENCIES_H
#define HG_BENCH_LATENCIES_H

#include <stddef.h>

struct hg_latencies {
  double *seconds;
  size_t count, capacity;
};
void hg_latencies_add(struct hg_latencies *latencies, double seconds);
void hg_latencies_take(struct hg_latencies *to, struct hg_latencies *from); // all; `from` is then empty

// Answers a second, and microseconds that so many of them took at most.
enum { HG_SPEED_RATE, HG_SPEED_P50, HG_SPEED_P99, HG_SPEED_P999, HG_SPEED_FIGURES };
struct hg_speed {
  double figures[HG_SPEED_FIGURES];
};
// Of all of them (at least one), which came within `within_s` altogether; empties it.
struct hg_speed hg_latencies_end(struct hg_latencies *latencies, double within_s);

#endif
