// Histograms of used ÷ bound, in steps of 1/1024.
#include "runner/learned.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS 1024

struct model {
  char name[HG_LABEL_MAX + 1];
  uint64_t count;
  uint64_t above; // calls in the steps above the quantile …
  uint32_t step;  // … which is the upper end of this one
  uint64_t steps[STEPS];
};

struct hg_learned {
  struct model *models[HG_LEARNED_MODELS_MAX];
  size_t count;
};

struct hg_learned *hg_learned_new(void) {
  return calloc(1, sizeof(struct hg_learned));
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

void hg_learned_add(struct hg_learned *learned, const char *name, int64_t bound, int64_t used) {
  struct model *model = bound > 0 ? find_or_add(learned, name) : NULL;
  if (!model) return;
  const double ratio = used <= 0 ? 0 : used >= bound ? 1 : (double)used / (double)bound;
  uint32_t step = (uint32_t)(ratio * STEPS);
  if (step >= STEPS) step = STEPS - 1;
  model->steps[step]++;
  model->count++;
  if (step > model->step) model->above++;
  move_quantile(model);
}

int64_t hg_learned_reserve(const struct hg_learned *learned, const char *name, int64_t bound) {
  const struct model *model = find(learned, name);
  if (!model || model->count < HG_LEARNED_SAMPLES_LEAST) return bound;
  const double ratio = (double)(model->step + 1) / STEPS * (100 + HG_LEARNED_MARGIN_PERCENT) / 100;
  const int64_t tokens = (int64_t)(ratio * (double)bound) + 1;
  return tokens < bound ? tokens : bound;
}
