// Prometheus' text format, version 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/): a family of
// samples after another, each with its HELP and TYPE before its first sample. One without a sample is not named.
#ifndef HG_METRICS_EXPOSITION_H
#define HG_METRICS_EXPOSITION_H

#include "base/text_buffer.h"

#include <stdio.h>

#define HG_EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum hg_metric_type { HG_METRIC_gauge, HG_METRIC_counter, HG_METRIC_histogram };

struct hg_metric {
  const char *name;
  enum hg_metric_type type;
  const char *labels; // "a, b"
  const char *doc;
};
enum hg_metric_id {
#define METRIC(NAME, name, type, labels, doc) HG_METRIC_##NAME,
#include "metrics/metrics.def"
#undef METRIC
  HG_METRIC_COUNT
};
extern const struct hg_metric hg_metrics[HG_METRIC_COUNT];
// The same as a table for people, counters included.
void hg_metrics_describe(FILE *to);

struct hg_exposition {
  struct hg_text_buffer text;
  const struct hg_metric *family; // of the last sample
  bool failed;                    // no memory: the text is not whole
};
struct hg_metric_label {
  const char *name, *value; // NULL: it is left out
};
#define HG_METRIC_LABELS_MAX 3
struct hg_metric_sample {
  const char *suffix; // of the name, such as "_bucket"; NULL: none
  struct hg_metric_label labels[HG_METRIC_LABELS_MAX];
  const char *value;
};
void hg_exposition_add(struct hg_exposition *exposition, const struct hg_metric *metric,
                       const struct hg_metric_sample *sample);

#endif
