// Reads the tables.
#include "support/usage_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *usage_table_read(const char *directory, const char *name) {
  char path[1024];
  snprintf(path, sizeof path, "%s/tests/data/%s", directory, name);
  FILE *file = fopen(path, "rb");
  char *text = file ? calloc(1, 1 << 20) : NULL;
  if (!text || fread(text, 1, (1 << 20) - 1, file) == 0) {
    fprintf(stderr, "%s can't be read\n", path);
    abort();
  }
  fclose(file);
  return text;
}

static const char *value_of(const char *word, const char *name) {
  const size_t len = strlen(name);
  return strncmp(word, name, len) == 0 ? word + len : NULL;
}

void usage_expected_read(const char *line, struct usage_expected *out) {
  char copy[512], *rest = copy;
  snprintf(copy, sizeof copy, "%s", line);
  *out = (struct usage_expected){.how = ""};
  for (size_t i = 0; i < 6; i++)
    out->figures[i] = HG_UNKNOWN;
  snprintf(out->how, sizeof out->how, "%s", strtok_r(rest, " ", &rest));
  const bool exact = strcmp(out->how, "exact") == 0;
  size_t figure = 0;
  for (char *word; (word = strtok_r(rest, " ", &rest));) {
    const char *id = value_of(word, "id="), *model = value_of(word, "model="), *remark = value_of(word, "remark=");
    if (id) snprintf(out->id, sizeof out->id, "%s", id);
    else if (model) snprintf(out->model, sizeof out->model, "%s", model);
    else if (remark) snprintf(out->words, sizeof out->words, "%s", remark);
    else if (strcmp(word, "doubtful") == 0) out->doubtful = true;
    else if (exact && figure < 6)
      out->figures[figure++] = strcmp(word, "-") == 0 ? HG_UNKNOWN : strtoll(word, NULL, 10);
    else
      snprintf(out->words + strlen(out->words), sizeof out->words - strlen(out->words), "%s%s",
               out->words[0] ? " " : "", word);
  }
}

static bool same_label(const char *label, const char *expected) {
  return !expected[0] || (label && strcmp(label, expected) == 0);
}

bool usage_is_as_expected(const struct hg_usage_found *found, const struct usage_expected *expected) {
  const hg_usage_report *report = &found->report;
  const bool exact = strcmp(expected->how, "exact") == 0;
  const int64_t figures[] = {report->tokens,        report->input_tokens,       report->output_tokens,
                             report->cached_tokens, report->cache_write_tokens, report->reasoning_tokens};
  bool same = report->source == (exact ? HG_SOURCE_EXACT : HG_SOURCE_MISSING) &&
              same_label(report->response_id, expected->id) && same_label(report->model, expected->model);
  same &= !exact || report->cache_doubtful == expected->doubtful;
  for (size_t i = 0; i < 6; i++)
    same &= exact ? figures[i] == expected->figures[i] : figures[i] == (i == 0 ? 0 : HG_UNKNOWN);
  if (exact && !expected->words[0]) same &= found->reason == NULL;
  else same &= found->reason != NULL && strstr(found->reason, expected->words) != NULL;
  if (same) return true;
  fprintf(stderr, "source %d,%s id %s, model %s, reason %s; figures", (int)report->source,
          report->cache_doubtful ? " doubtful," : "", report->response_id ? report->response_id : "-",
          report->model ? report->model : "-", found->reason ? found->reason : "-");
  for (size_t i = 0; i < 6; i++)
    fprintf(stderr, " %" PRId64, figures[i]);
  fprintf(stderr, "\n");
  return false;
}
