// The counters of schemas/counters.def as C. Each actor counts in a struct of its own; sums are made where they are
// shown.
#ifndef HG_COUNTERS_H
#define HG_COUNTERS_H

#include <stdint.h>

struct hg_counters {
#define COUNTER(NAME, name, unit, doc) uint64_t name;
#include "schemas/counters.def"
#undef COUNTER
};

enum hg_counter_id {
#define COUNTER(NAME, name, unit, doc) HG_COUNTER_##NAME,
#include "schemas/counters.def"
#undef COUNTER
  HG_COUNTER_COUNT
};

struct hg_counter_info {
  const char *name, *unit, *doc;
};
const struct hg_counter_info *hg_counter_info(enum hg_counter_id counter);
uint64_t hg_counter_value(const struct hg_counters *counters, enum hg_counter_id counter);
void hg_counters_add(struct hg_counters *sum, const struct hg_counters *more);

#endif
