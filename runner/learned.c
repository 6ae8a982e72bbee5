// Histograms of used ÷ bound, in steps of 1/1024.
#include "runner/learned.h"

#include "base/fail.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEPS 1024
#define FORMAT 2 // of the file; another one where bounds are counted in another way

struct model {
  char name[HG_LABEL_MAX + 1];
  uint64_t count;
  uint64_t above; // calls in the steps above the quantile …
  uint32_t step;  // … which is the upper end of this one
  uint64_t steps[STEPS];
};

struct hg_learned {
  uint64_t prices;
  struct model *models[HG_LEARNED_MODELS_MAX];
  size_t count;
};

struct hg_learned *hg_learned_new(uint64_t prices) {
  struct hg_learned *learned = calloc(1, sizeof *learned);
  if (learned) learned->prices = prices;
  return learned;
}

void hg_learned_destroy(struct hg_learned **learned) {
  if (!*learned) return;
  for (size_t i = 0; i < (*learned)->count; i++)
    free((*learned)->models[i]);
  free(*learned);
  *learned = NULL;
}

static struct model *find(const struct hg_learned *learned, const char *name) {
  for (size_t i = 0; i < learned->count; i++)
    if (strcmp(learned->models[i]->name, name) == 0) return learned->models[i];
  return NULL;
}

static struct model *find_or_add(struct hg_learned *learned, const char *name) {
  struct model *model = find(learned, name);
  if (model || learned->count == HG_LEARNED_MODELS_MAX || strlen(name) > HG_LABEL_MAX) return model;
  model = calloc(1, sizeof *model);
  if (!model) return NULL;
  snprintf(model->name, sizeof model->name, "%s", name);
  return learned->models[learned->count++] = model;
}

// At most a thousandth of the calls may be above.
static void move_quantile(struct model *model) {
  const uint64_t most = model->count / 1000;
  while (model->above > most)
    model->above -= model->steps[++model->step];
  while (model->step > 0 && model->above + model->steps[model->step] <= most)
    model->above += model->steps[model->step--];
}

static void add_calls(struct model *model, uint32_t step, uint64_t calls) {
  model->steps[step] += calls;
  model->count += calls;
  if (step > model->step) model->above += calls;
  move_quantile(model);
}

void hg_learned_add(struct hg_learned *learned, const char *name, int64_t bound, int64_t used) {
  struct model *model = bound > 0 ? find_or_add(learned, name) : NULL;
  if (!model) return;
  const double ratio = used <= 0 ? 0 : used >= bound ? 1 : (double)used / (double)bound;
  uint32_t step = (uint32_t)(ratio * STEPS);
  if (step >= STEPS) step = STEPS - 1;
  add_calls(model, step, 1);
}

int64_t hg_learned_reserve(const struct hg_learned *learned, const char *name, int64_t bound) {
  const struct model *model = find(learned, name);
  if (!model || model->count < HG_LEARNED_SAMPLES_LEAST) return bound;
  const double ratio = (double)(model->step + 1) / STEPS * (100 + HG_LEARNED_MARGIN_PERCENT) / 100;
  const int64_t tokens = (int64_t)(ratio * (double)bound) + 1;
  return tokens < bound ? tokens : bound;
}

// ---------------------------------------------------------------------------------------------- between runs

// [[step, calls], …] of one model: how many calls they are, 0: they are no such list.
static uint64_t sum_of(const json_t *steps) {
  uint64_t sum = 0;
  for (size_t i = 0; i < json_array_size(steps); i++) {
    const json_t *pair = json_array_get(steps, i), *step = json_array_get(pair, 0), *calls = json_array_get(pair, 1);
    const bool good = json_is_integer(step) && json_is_integer(calls) && json_array_size(pair) == 2 &&
                      json_integer_value(step) >= 0 && json_integer_value(step) < STEPS &&
                      json_integer_value(calls) > 0 && json_integer_value(calls) <= HG_TOKENS_MAX / STEPS;
    if (!good || json_array_size(steps) > STEPS) return 0;
    sum += (uint64_t)json_integer_value(calls);
  }
  return sum;
}

// What is cut down is rounded up: the few calls that used much are the ones that count.
static void take_over(struct model *model, const json_t *steps, uint64_t sum) {
  assert(sum > 0);
  const uint64_t part = (sum + HG_LEARNED_KEPT_CALLS - 1) / HG_LEARNED_KEPT_CALLS;
  for (size_t i = 0; i < json_array_size(steps); i++) {
    const json_t *pair = json_array_get(steps, i);
    const uint64_t calls = (uint64_t)json_integer_value(json_array_get(pair, 1));
    add_calls(model, (uint32_t)json_integer_value(json_array_get(pair, 0)), (calls + part - 1) / part);
  }
}

static bool is_kept(const json_t *file) {
  const json_t *models = json_object_get(file, "models"), *steps;
  const char *name;
  if (json_integer_value(json_object_get(file, "format")) != FORMAT || !json_is_object(models)) return false;
  json_object_foreach((json_t *)models, name, steps) {
    if (strlen(name) > HG_LABEL_MAX || sum_of(steps) == 0) return false;
  }
  return true;
}

#define PRICES_SIZE 17 // as hexadecimal digits, which no reader of JSON rounds
static void write_prices(const struct hg_learned *learned, char out[PRICES_SIZE]) {
  snprintf(out, PRICES_SIZE, "%016" PRIx64, learned->prices);
}

hg_err hg_learned_load(struct hg_learned *learned, const char *path, hg_error *why) {
  if (access(path, F_OK) != 0 && errno == ENOENT) return HG_ERR_EMPTY;
  json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, NULL), *steps;
  const char *name;
  char prices[PRICES_SIZE];
  write_prices(learned, prices);
  const char *of = json_string_value(json_object_get(file, "prices"));
  const bool kept = is_kept(file) && of, ours = kept && strcmp(of, prices) == 0;
  if (ours) json_object_foreach(json_object_get(file, "models"), name, steps) {
      struct model *model = find_or_add(learned, name);
      if (model) take_over(model, steps, sum_of(steps));
    }
  json_decref(file);
  if (ours) return HG_OK;
  return hg_fail(why, HG_ERR_PROTOCOL, "%s %s: what calls use is learnt anew", path,
                 kept ? "is of another unit or of other prices" : "can't be used");
}

static json_t *steps_of(const struct model *model) {
  json_t *steps = json_array();
  for (uint32_t i = 0; i < STEPS; i++)
    if (model->steps[i] > 0) json_array_append_new(steps, json_pack("[i, I]", (int)i, (json_int_t)model->steps[i]));
  return steps;
}

static bool dump(const json_t *json, const char *path) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  const bool dumped = fd >= 0 && json && json_dumpfd(json, fd, JSON_COMPACT) == 0;
  return (fd < 0 || close(fd) == 0) && dumped;
}

hg_err hg_learned_save(const struct hg_learned *learned, const char *path, hg_error *why) {
  char temporary[HG_PATH_MAX + 32];
  snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
  char prices[PRICES_SIZE];
  write_prices(learned, prices);
  json_t *models = json_object();
  for (size_t i = 0; i < learned->count; i++)
    json_object_set_new(models, learned->models[i]->name, steps_of(learned->models[i]));
  json_t *file = json_pack("{s:i, s:s, s:o}", "format", FORMAT, "prices", prices, "models", models);
  const bool saved = dump(file, temporary) && rename(temporary, path) == 0;
  json_decref(file);
  if (saved) return HG_OK;
  (void)unlink(temporary);
  return hg_fail(why, HG_ERR_SYSTEM, "%s can't be written: the next run learns anew what calls use", path);
}
