// What the tables of tests/data expect of a usage: one line of text for each.
#ifndef HG_TESTS_USAGE_TABLE_H
#define HG_TESTS_USAGE_TABLE_H

#include "usage/usage.h"

struct usage_expected {
  char how[16];                                       // exact, missing, unreadable
  int64_t figures[6];                                 // total, input, output, cached, written, reasoning
  bool doubtful;                                      // of the cache
  char id[HG_LABEL_MAX + 1], model[HG_LABEL_MAX + 1]; // "": not said
  char words[128];                                    // of the reason; "": not said
};

// The whole file of tests/data, with a NUL behind it; freed by the caller.
char *usage_table_read(const char *directory, const char *name);
void usage_expected_read(const char *line, struct usage_expected *out);
// Prints what differs.
bool usage_is_as_expected(const struct hg_usage_found *found, const struct usage_expected *expected);

#endif
