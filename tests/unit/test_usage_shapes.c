// The answers of tests/data/usage_bodies.txt: every shape that is known, good and bad.
// labels: budget
#include "support/test.h"
#include "support/usage_table.h"

#define BODIES_MIN 120

static hg_err find(const char *body, size_t len, struct hg_usage_found *found) {
  struct hg_answer answer;
  hg_answer_read(body, len, &answer);
  return hg_usage_find(&answer, found);
}

static void check_body(const struct usage_expected *expected, const char *body) {
  struct hg_usage_found found;
  char *copy = strdup(body); // with nothing behind it, so that sanitizers see what is read beyond
  const hg_err err = find(copy, strlen(body), &found);
  const bool same = usage_is_as_expected(&found, expected);
  if (!same) fprintf(stderr, "  %s\n", body);
  CHECK(same);
  CHECK_EQ(err, strcmp(expected->how, "exact") == 0        ? HG_OK
                : strcmp(expected->how, "unreadable") == 0 ? HG_ERR_PROTOCOL
                                                           : HG_ERR_NO_USAGE);
  free(copy);
}

TEST(usage_shapes, bodies) {
  char *table = usage_table_read(HG_SOURCE_DIR, "usage_bodies.txt"), *rest = table;
  struct usage_expected expected;
  unsigned bodies = 0;
  for (char *line; (line = strsep(&rest, "\n"));) {
    if (line[0] == '\0' || line[0] == '#') continue;
    usage_expected_read(line, &expected);
    check_body(&expected, strsep(&rest, "\n"));
    bodies++;
  }
  fprintf(stderr, "%u bodies\n", bodies);
  CHECK(bodies >= BODIES_MIN);
  free(table);
}

// A body that was cut is no JSON any more, so nothing of it counts.
TEST(usage_shapes, a_body_that_is_cut_says_nothing) {
  char *table = usage_table_read(HG_SOURCE_DIR, "usage_bodies.txt"), *rest = table;
  struct hg_usage_found found;
  for (char *line; (line = strsep(&rest, "\n"));) {
    if (strncmp(line, "exact", 5) != 0) continue;
    const char *body = strsep(&rest, "\n");
    for (size_t len = 0; len < strlen(body); len++) {
      CHECK_EQ(find(body, len, &found), HG_ERR_PROTOCOL);
      CHECK(found.report.source == HG_SOURCE_MISSING && found.report.tokens == 0);
    }
  }
  free(table);
}
