// Latencies: kept one by one, since a tail is what they are measured for.
#include "bench/latencies.h"

#include "bench/bench.h"

#include <math.h>
#include <stdlib.h>

void hg_latencies_add(struct hg_latencies *latencies, double seconds) {
  if (latencies->count == latencies->capacity) {
    latencies->capacity = latencies->capacity ? 2 * latencies->capacity : 1024;
    latencies->seconds = realloc(latencies->seconds, latencies->capacity * sizeof *latencies->seconds);
    if (!latencies->seconds) hg_bench_die("not enough memory");
  }
  latencies->seconds[latencies->count++] = seconds;
}

void hg_latencies_take(struct hg_latencies *to, struct hg_latencies *from) {
  for (size_t i = 0; i < from->count; i++)
    hg_latencies_add(to, from->seconds[i]);
  free(from->seconds);
  *from = (struct hg_latencies){0};
}

// The smallest of them that `share` of all do not exceed.
static double quantile_us(const struct hg_latencies *sorted, double share) {
  const size_t rank = (size_t)ceil(share * (double)sorted->count);
  return sorted->seconds[rank ? rank - 1 : 0] * 1e6;
}

struct hg_speed hg_latencies_end(struct hg_latencies *latencies, double within_s) {
  if (latencies->count == 0) hg_bench_die("not a single answer within %.3f s", within_s);
  qsort(latencies->seconds, latencies->count, sizeof *latencies->seconds, hg_bench_compare_doubles);
  const struct hg_speed speed = {{(double)latencies->count / within_s, quantile_us(latencies, 0.5),
                                  quantile_us(latencies, 0.99), quantile_us(latencies, 0.999)}};
  free(latencies->seconds);
  *latencies = (struct hg_latencies){0};
  return speed;
}
