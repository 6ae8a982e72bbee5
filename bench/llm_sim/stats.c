/* stats.c: the counters as JSON. */
#include "stats.h"

#include <stddef.h>

static const struct {
  const char *name;
  size_t offset;
} rows[] = {
#define X(name, doc) {#name, offsetof(struct stats, name)},
    STATS_TABLE(X)
#undef X
};

void stats_write(const struct stats *stats, struct text *out) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    text_string(out, i == 0 ? "{\"" : ",\"");
    text_string(out, rows[i].name);
    text_string(out, "\":");
    text_number(out, *(const uint64_t *)(const void *)((const char *)stats + rows[i].offset));
  }
  text_string(out, "}");
}

void stats_reset(struct stats *stats) {
  *stats = (struct stats){.in_flight = stats->in_flight, .max_in_flight = stats->in_flight};
}
