// Prometheus' text format.
#include "metrics/exposition.h"

#include "schemas/counters.h"

#include <string.h>

const struct hg_metric hg_metrics[HG_METRIC_COUNT] = {
#define METRIC(NAME, name, type, labels, doc) [HG_METRIC_##NAME] = {name, HG_METRIC_##type, labels, doc},
#include "metrics/metrics.def"
#undef METRIC
};

static const char *const types[] = {
    [HG_METRIC_gauge] = "gauge", [HG_METRIC_counter] = "counter", [HG_METRIC_histogram] = "histogram"};

void hg_metrics_describe(FILE *to) {
  fputs("| metric | type | labels | what it says |\n|---|---|---|---|\n", to);
  for (size_t i = 0; i < HG_METRIC_COUNT; i++)
    fprintf(to, "| `%s` | %s | %s | %s |\n", hg_metrics[i].name, types[hg_metrics[i].type], hg_metrics[i].labels,
            hg_metrics[i].doc);
  for (unsigned i = 0; i < HG_COUNTER_COUNT; i++) {
    const struct hg_counter_info *info = hg_counter_info((enum hg_counter_id)i);
    fprintf(to, "| `headgate_%s_total` | counter | | %s: %s |\n", info->name, info->unit, info->doc);
  }
}

static void add(struct hg_exposition *exposition, const char *text) {
  if (hg_text_buffer_add_text(&exposition->text, text) != HG_OK) exposition->failed = true;
}

// Backslash and line feed, and in a label's value the quote, are written with a backslash.
static void add_escaped(struct hg_exposition *exposition, const char *text, bool quoted) {
  while (*text) {
    const size_t plain = strcspn(text, quoted ? "\\\n\"" : "\\\n");
    if (hg_text_buffer_add(&exposition->text, text, plain) != HG_OK) exposition->failed = true;
    text += plain;
    if (!*text) return;
    add(exposition, *text == '\n' ? "\\n" : *text == '"' ? "\\\"" : "\\\\");
    text++;
  }
}

static void begin_family(struct hg_exposition *exposition, const struct hg_metric *metric) {
  if (exposition->family && strcmp(exposition->family->name, metric->name) == 0) return;
  exposition->family = metric;
  add(exposition, "# HELP ");
  add(exposition, metric->name);
  add(exposition, " ");
  add_escaped(exposition, metric->doc, false);
  add(exposition, "\n# TYPE ");
  add(exposition, metric->name);
  add(exposition, " ");
  add(exposition, types[metric->type]);
  add(exposition, "\n");
}

void hg_exposition_add(struct hg_exposition *exposition, const struct hg_metric *metric,
                       const struct hg_metric_sample *sample) {
  const char *before = "{";
  begin_family(exposition, metric);
  add(exposition, metric->name);
  if (sample->suffix) add(exposition, sample->suffix);
  for (size_t i = 0; i < HG_METRIC_LABELS_MAX; i++) {
    if (!sample->labels[i].value) continue;
    add(exposition, before);
    add(exposition, sample->labels[i].name);
    add(exposition, "=\"");
    add_escaped(exposition, sample->labels[i].value, true);
    add(exposition, "\"");
    before = ",";
  }
  if (*before == ',') add(exposition, "}");
  add(exposition, " ");
  add(exposition, sample->value);
  add(exposition, "\n");
}
