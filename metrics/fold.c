// Events folded into histograms.
#include "metrics/fold.h"

#include "schemas/message.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define OTHER "other"

static_assert(sizeof(void *) >= sizeof(int64_t), "a moment fits into the map's value");

const int64_t hg_token_bounds[HG_FOLD_BUCKETS] = {1,     4,     16,     64,      256,     1024,     4096,
                                                  16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864};
const int64_t hg_duration_bounds_us[HG_FOLD_BUCKETS] = {10000,    20000,    40000,    80000,   160000,
                                                        320000,   640000,   1280000,  2560000, 5120000,
                                                        10240000, 20480000, 40960000, 81920000};

const char *const hg_fold_topics[] = {"HEARTBEAT",       "TASK_STARTED",         "TOKENS_SETTLED",
                                      "TOKENS_RELEASED", "RESERVATION_ORPHANED", "TASK_FINISHED",
                                      "TASK_FAILED",     "USAGE_RECORDED"};
const size_t hg_fold_topic_count = sizeof hg_fold_topics / sizeof *hg_fold_topics;

static void observe(struct hg_histogram *histogram, const int64_t *bounds, int64_t value) {
  size_t bucket = 0;
  while (bucket < HG_FOLD_BUCKETS && value > bounds[bucket])
    bucket++;
  histogram->counts[bucket]++;
  histogram->count++;
  histogram->sum += (uint64_t)value;
}

// ------------------------------------------------------------------------------------------------ fields

static const char *text_of(json_t *payload, const char *key) {
  const char *text = json_string_value(json_object_get(payload, key));
  return text ? text : "";
}

static int64_t tokens_of(json_t *payload, const char *key) {
  const json_t *value = json_object_get(payload, key);
  return json_is_integer(value) && json_integer_value(value) >= 0 ? json_integer_value(value) : HG_UNKNOWN;
}

static uint64_t permit_of(json_t *payload) {
  return strtoull(text_of(payload, "permit"), NULL, 16);
}

// Its place; that of "other" when there is no room for another one.
static size_t model_of(struct hg_fold *fold, const char *name) {
  for (size_t i = 0; i < fold->model_count; i++)
    if (strcmp(fold->models[i].name, name) == 0) return i;
  if (fold->model_count >= HG_FOLD_MODELS_MAX && strcmp(name, OTHER) != 0) return model_of(fold, OTHER);
  struct hg_fold_model *model = &fold->models[fold->model_count];
  hg_text_copy(model->name, sizeof model->name, hg_text_of(name));
  return fold->model_count++;
}

// ------------------------------------------------------------------------------------------------ events

// Only what the provider said: a guess, or a reservation charged for want of better, is no usage.
static void count_tokens(struct hg_fold *fold, json_t *payload, size_t model) {
  static const char *const keys[HG_TOKEN_TYPES] = {
      [HG_TOKENS_INPUT] = "inputTokens", [HG_TOKENS_OUTPUT] = "outputTokens"};
  if (strcmp(text_of(payload, "source"), "exact") != 0) return;
  for (size_t type = 0; type < HG_TOKEN_TYPES; type++) {
    const int64_t tokens = tokens_of(payload, keys[type]);
    if (tokens != HG_UNKNOWN) observe(&fold->models[model].tokens[type], hg_token_bounds, tokens);
  }
}

// A start of 0 is none: the map holds no such value.
static void start(struct hg_fold *fold, uint64_t permit, int64_t at) {
  if (permit == 0 || at <= 0 || fold->starts.count >= HG_FOLD_STARTS_MAX) return;
  (void)hg_id_map_put(&fold->starts, permit, (void *)(uintptr_t)at);
}

// The event of its task's end comes behind it, from the same turn of the tracker; of one that is tried again, none.
static void end_permit(struct hg_fold *fold, uint64_t permit, int64_t at, size_t model) {
  const int64_t started = permit ? (int64_t)(uintptr_t)hg_id_map_remove(&fold->starts, permit) : 0;
  fold->ending.permit = started ? permit : 0;
  fold->ending.lasted_us = at - started;
  fold->ending.model = model;
}

// A clock that was set back meanwhile says nothing of how long it took.
static void end_task(struct hg_fold *fold, uint64_t permit, bool well) {
  if (permit == 0 || permit != fold->ending.permit) return;
  fold->ending.permit = 0;
  struct hg_fold_model *model = &fold->models[fold->ending.model];
  if (fold->ending.lasted_us >= 0)
    observe(well ? &model->finished : &model->failed, hg_duration_bounds_us, fold->ending.lasted_us);
}

static void take_payload(struct hg_fold *fold, const hg_event *event, json_t *payload) {
  const struct hg_kind_info *info = hg_kind_by_name(hg_text_of(event->type));
  const uint64_t permit = permit_of(payload);
  if (!info) return;
  if (info->kind == HG_HEARTBEAT) {
    fold->degraded = json_is_true(json_object_get(payload, "storeDegraded"));
  } else if (info->kind == HG_TASK_STARTED) {
    start(fold, permit, event->at);
  } else if (info->kind == HG_TOKENS_SETTLED || info->kind == HG_USAGE_RECORDED) {
    const size_t model = model_of(fold, text_of(payload, "model"));
    count_tokens(fold, payload, model);
    end_permit(fold, permit, event->at, model);
  } else if (info->kind == HG_TOKENS_RELEASED) {
    end_permit(fold, permit, event->at, model_of(fold, ""));
  } else if (info->kind == HG_RESERVATION_ORPHANED) {
    (void)hg_id_map_remove(&fold->starts, permit);
  } else if (info->kind == HG_TASK_FINISHED || info->kind == HG_TASK_FAILED) {
    end_task(fold, permit, info->kind == HG_TASK_FINISHED);
  }
}

void hg_fold_take(struct hg_fold *fold, const hg_event *event) {
  json_t *whole = json_loads(event->json, 0, NULL);
  fold->missed += event->oldest != 0;
  if (whole) take_payload(fold, event, json_object_get(whole, "payload"));
  json_decref(whole);
}

void hg_fold_clear(struct hg_fold *fold) {
  hg_id_map_destroy(&fold->starts);
  *fold = (struct hg_fold){0};
}
