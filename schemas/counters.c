// The counters' names and what is generic about them, from schemas/counters.def.
#include "schemas/counters.h"

#include <assert.h>

const struct hg_counter_info *hg_counter_info(enum hg_counter_id counter) {
  static const struct hg_counter_info infos[] = {
#define COUNTER(NAME, name, unit, doc) {#name, unit, doc},
#include "schemas/counters.def"
#undef COUNTER
  };
  assert(counter < HG_COUNTER_COUNT);
  return &infos[counter];
}

uint64_t hg_counter_value(const struct hg_counters *counters, enum hg_counter_id counter) {
  assert(counter < HG_COUNTER_COUNT);
  switch (counter) {
#define COUNTER(NAME, name, unit, doc)                                                                                 \
  case HG_COUNTER_##NAME:                                                                                              \
    return counters->name;
#include "schemas/counters.def"
#undef COUNTER
  case HG_COUNTER_COUNT: break;
  }
  return 0;
}

void hg_counters_add(struct hg_counters *sum, const struct hg_counters *more) {
#define COUNTER(NAME, name, unit, doc) sum->name += more->name;
#include "schemas/counters.def"
#undef COUNTER
}
