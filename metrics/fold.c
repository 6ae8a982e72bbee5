// Events folded into histograms.
#include "metrics/fold.h"

#include "schemas/message.h"
#include "base/json_scan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define OTHER "other"

static_assert(sizeof(void *) >= sizeof(int64_t), "a moment fits into the map's value");

const int64_t hg_token_bounds[HG_FOLD_BUCKETS] = {1,     4,     16,     64,      256,     1024,     4096,
                                                  16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864};
const int64_t hg_duration_bounds_us[HG_FOLD_BUCKETS] = {10000,    20000,    40000,    80000,   160000,
                                                        320000,   640000,   1280000,  2560000, 5120000,
                                                        10240000, 20480000, 40960000, 81920000};

enum topic { HEARTBEAT, STARTED, SETTLED, RELEASED, ORPHANED, FINISHED, FAILED, RECORDED, TOPICS };
const char *const hg_fold_topics[] = {
    [HEARTBEAT] = "HEARTBEAT",      [STARTED] = "TASK_STARTED",          [SETTLED] = "TOKENS_SETTLED",
    [RELEASED] = "TOKENS_RELEASED", [ORPHANED] = "RESERVATION_ORPHANED", [FINISHED] = "TASK_FINISHED",
    [FAILED] = "TASK_FAILED",       [RECORDED] = "USAGE_RECORDED"};
const size_t hg_fold_topic_count = TOPICS;

static void observe(struct hg_histogram *histogram, const int64_t *bounds, int64_t value) {
  size_t bucket = 0;
  while (bucket < HG_FOLD_BUCKETS && value > bounds[bucket])
    bucket++;
  histogram->counts[bucket]++;
  histogram->count++;
  histogram->sum += (uint64_t)value;
}

// ------------------------------------------------------------------------------------------------ fields

enum field { PERMIT, MODEL, INPUT, OUTPUT, SOURCE, DEGRADED, FIELDS };

// What is wanted of a payload. False: it can't be read.
static bool pick(const char *text, struct hg_json_field fields[FIELDS]) {
  static const char *const names[FIELDS] = {
      [PERMIT] = "permit",       [MODEL] = "model",   [INPUT] = "inputTokens",
      [OUTPUT] = "outputTokens", [SOURCE] = "source", [DEGRADED] = "storeDegraded"};
  struct hg_json_field payload = {.name = "payload"};
  struct hg_json whole;
  if (hg_json_check(text, strlen(text), &whole, NULL)) return false;
  hg_json_pick(&whole, &payload, 1);
  for (size_t i = 0; i < FIELDS; i++)
    fields[i] = (struct hg_json_field){.name = names[i]};
  hg_json_pick(&payload.value, fields, FIELDS);
  return payload.value.type == HG_JSON_OBJECT;
}

static uint64_t permit_of(const struct hg_json_field *fields) {
  char text[17];
  return hg_json_copy(&fields[PERMIT].value, text, sizeof text) ? strtoull(text, NULL, 16) : 0;
}

static size_t place_of(struct hg_fold *fold, const char *name) {
  for (size_t i = 0; i < fold->model_count; i++)
    if (strcmp(fold->models[i].name, name) == 0) return i;
  if (fold->model_count >= HG_FOLD_MODELS_MAX && strcmp(name, OTHER) != 0) return place_of(fold, OTHER);
  hg_text_copy(fold->models[fold->model_count].name, sizeof fold->models[0].name, hg_text_of(name));
  return fold->model_count++;
}

// Its place; that of "other" when there is no room for another one.
static size_t model_of(struct hg_fold *fold, const struct hg_json_field *fields) {
  char name[6 * HG_LABEL_MAX + 3] = ""; // each byte of it may be escaped
  size_t len = 0;
  const struct hg_json *value = &fields[MODEL].value;
  if (value->type != HG_JSON_STRING || value->len > sizeof name || !hg_json_decode(value, name, &len)) name[0] = '\0';
  return place_of(fold, name);
}

// ------------------------------------------------------------------------------------------------ events

// Only what the provider said: a guess, or a reservation charged for want of better, is no usage.
static void count_tokens(struct hg_fold *fold, const struct hg_json_field *fields, size_t model) {
  int64_t tokens;
  if (!hg_json_is(&fields[SOURCE].value, "exact")) return;
  for (size_t type = 0; type < HG_TOKEN_TYPES; type++)
    if (!hg_json_tokens(&fields[type == HG_TOKENS_INPUT ? INPUT : OUTPUT].value, &tokens))
      observe(&fold->models[model].tokens[type], hg_token_bounds, tokens);
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

static enum topic topic_of(const char *type) {
  enum topic topic = HEARTBEAT;
  while (topic < TOPICS && strcmp(type, hg_fold_topics[topic]) != 0)
    topic++;
  return topic;
}

void hg_fold_take(struct hg_fold *fold, const hg_event *event) {
  struct hg_json_field fields[FIELDS];
  const enum topic topic = topic_of(event->type);
  fold->missed += event->oldest != 0;
  if (topic == TOPICS || !pick(event->json, fields)) return;
  const uint64_t permit = permit_of(fields);
  if (topic == HEARTBEAT) {
    fold->degraded = fields[DEGRADED].value.type == HG_JSON_TRUE;
  } else if (topic == STARTED) {
    start(fold, permit, event->at);
  } else if (topic == SETTLED || topic == RECORDED) {
    const size_t model = model_of(fold, fields);
    count_tokens(fold, fields, model);
    end_permit(fold, permit, event->at, model);
  } else if (topic == RELEASED) {
    end_permit(fold, permit, event->at, place_of(fold, ""));
  } else if (topic == ORPHANED) {
    (void)hg_id_map_remove(&fold->starts, permit);
  } else {
    end_task(fold, permit, topic == FINISHED);
  }
}

void hg_fold_clear(struct hg_fold *fold) {
  hg_id_map_destroy(&fold->starts);
  *fold = (struct hg_fold){0};
}
