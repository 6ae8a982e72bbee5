// Events folded into the histograms that the OpenTelemetry conventions for generative AI name
// (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/): gen_ai.client.token.usage and
// gen_ai.client.operation.duration, with the bucket boundaries that they advise. Pure, and bounded in memory.
#ifndef HG_METRICS_FOLD_H
#define HG_METRICS_FOLD_H

#include "base/id_map.h"
#include "headgate.h"
#include "schemas/limits.h"

#define HG_FOLD_MODELS_MAX 64     // told apart; later ones are "other"
#define HG_FOLD_STARTS_MAX 131072 // permits whose start is remembered; of more no duration is told
#define HG_FOLD_BUCKETS 14

struct hg_histogram {
  uint64_t counts[HG_FOLD_BUCKETS + 1]; // not cumulative; the last is what no boundary covers
  uint64_t count, sum;                  // sum: tokens, or microseconds
};
// Upper ends of the buckets, each included.
extern const int64_t hg_token_bounds[HG_FOLD_BUCKETS];
extern const int64_t hg_duration_bounds_us[HG_FOLD_BUCKETS];

enum hg_token_type { HG_TOKENS_INPUT, HG_TOKENS_OUTPUT, HG_TOKEN_TYPES };

struct hg_fold_model {
  char name[HG_LABEL_MAX + 1]; // "": the call did not say
  struct hg_histogram tokens[HG_TOKEN_TYPES];
  struct hg_histogram finished, failed; // durations
};

struct hg_fold {
  struct hg_fold_model models[HG_FOLD_MODELS_MAX + 1];
  size_t model_count;
  struct hg_id_map starts; // permit -> its start, microseconds UTC
  struct {                 // the permit whose end was told last: its task's end comes next, or never
    uint64_t permit;
    int64_t lasted_us;
    size_t model;
  } ending;
  uint64_t missed; // times that rows were missed
  bool degraded;   // as the newest heartbeat says
};

// Topics for hg_filter. The first is all that `degraded` takes.
extern const char *const hg_fold_topics[];
extern const size_t hg_fold_topic_count;

// Starts from {0}. What cannot be read is passed over.
void hg_fold_take(struct hg_fold *fold, const hg_event *event);
void hg_fold_clear(struct hg_fold *fold);

#endif
