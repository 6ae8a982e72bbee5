// Figures as samples.
#include "metrics/figures.h"

#include "schemas/message.h"
#include "base/money.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 48

struct number {
  char text[NUMBER_MAX];
};

static struct number whole(int64_t value) {
  struct number number;
  snprintf(number.text, sizeof number.text, "%" PRId64, value);
  return number;
}

// value / 10^digits, exactly.
static struct number decimal(uint64_t value, unsigned digits) {
  struct number number;
  uint64_t unit = 1;
  for (unsigned i = 0; i < digits; i++)
    unit *= 10;
  snprintf(number.text, sizeof number.text, "%" PRIu64 ".%0*" PRIu64, value / unit, (int)digits, value % unit);
  return number;
}

static void add(struct hg_exposition *out, enum hg_metric_id id, struct number value) {
  const struct hg_metric_sample sample = {.value = value.text};
  hg_exposition_add(out, &hg_metrics[id], &sample);
}

// ------------------------------------------------------------------------------------------------ budgets

struct hg_metrics_budget *hg_metrics_add_budget(struct hg_metrics_figures *figures, const char *name, size_t len) {
  if (figures->budget_count == figures->budget_room) {
    const size_t room = figures->budget_room ? 2 * figures->budget_room : 16;
    struct hg_metrics_budget *budgets = realloc(figures->budgets, room * sizeof *budgets);
    if (!budgets) return NULL;
    figures->budgets = budgets;
    figures->budget_room = room;
  }
  struct hg_metrics_budget *budget = &figures->budgets[figures->budget_count++];
  *budget = (struct hg_metrics_budget){.open_permits = HG_UNKNOWN,
                                       .per_minute = HG_UNKNOWN,
                                       .threshold_in_ms = HG_UNKNOWN,
                                       .limit_in_ms = HG_UNKNOWN,
                                       .task_tokens = HG_UNKNOWN};
  hg_text_copy(budget->name, sizeof budget->name, (struct hg_text){name, (uint32_t)len});
  return budget;
}

void hg_metrics_clear(struct hg_metrics_figures *figures) {
  free(figures->budgets);
  *figures = (struct hg_metrics_figures){0};
}

#define FIRST ((int)HG_METRIC_BUDGET_LIMIT)
#define AMOUNTS ((int)HG_METRIC_BUDGET_LIMIT_DOLLARS - FIRST)
#define OTHERS (FIRST + 2 * AMOUNTS)
static_assert((int)HG_METRIC_BUDGET_TASK == FIRST + AMOUNTS - 1 && (int)HG_METRIC_BUDGET_TASK_DOLLARS == OTHERS - 1 &&
                  (int)HG_METRIC_BUDGET_USAGE == OTHERS,
              "each unit has all amounts, in one order");

static struct number amount_text(hg_unit unit, int64_t amount) {
  struct number number = {"-"};
  if (unit == HG_UNIT_TOKENS) return whole(amount);
  const uint64_t size = amount < 0 ? 0 - (uint64_t)amount : (uint64_t)amount;
  const struct number dollars = decimal(size, HG_MONEY_DECIMALS);
  if (amount >= 0) return dollars;
  memcpy(number.text + 1, dollars.text, sizeof dollars.text - 1);
  return number;
}

// As exact as a figure that is measured over minutes has to be.
static struct number rate_text(hg_unit unit, uint64_t per_minute) {
  if (unit == HG_UNIT_NANODOLLARS) return decimal(per_minute / 60, HG_MONEY_DECIMALS);
  return decimal(per_minute * 1000 / 60, 3);
}

// False: nothing is known. `id` is that of the family of tokens.
static bool budget_amount(const struct hg_metrics_budget *budget, enum hg_metric_id id, hg_unit unit,
                          struct number *out) {
  int64_t amount = HG_UNKNOWN;
  if (id == HG_METRIC_BUDGET_LIMIT) amount = budget->hard_limit;
  else if (id == HG_METRIC_BUDGET_USED) amount = budget->used;
  else if (id == HG_METRIC_BUDGET_RESERVED) amount = budget->reserved;
  else if (id == HG_METRIC_BUDGET_AVAILABLE) amount = budget->hard_limit - budget->used - budget->reserved;
  else if (id == HG_METRIC_BUDGET_RATE) amount = budget->per_minute;
  else if (id == HG_METRIC_BUDGET_TASK) amount = budget->task_tokens;
  *out = id == HG_METRIC_BUDGET_RATE ? rate_text(unit, (uint64_t)amount) : amount_text(unit, amount);
  return amount != HG_UNKNOWN || id == HG_METRIC_BUDGET_AVAILABLE; // which may be any number
}

static bool budget_value(const struct hg_metrics_budget *budget, enum hg_metric_id id, struct number *out) {
  int64_t value = HG_UNKNOWN;
  if (id == HG_METRIC_BUDGET_THROTTLED) value = budget->throttled;
  else if (id == HG_METRIC_BUDGET_PERMITS) value = budget->open_permits;
  else if (id == HG_METRIC_BUDGET_TO_THRESHOLD) value = budget->threshold_in_ms;
  else if (id == HG_METRIC_BUDGET_TO_LIMIT) value = budget->limit_in_ms;
  if (id == HG_METRIC_BUDGET_USAGE) *out = decimal(budget->usage_percent, 4);
  else if (value == HG_UNKNOWN) return false;
  else if (id == HG_METRIC_BUDGET_TO_THRESHOLD || id == HG_METRIC_BUDGET_TO_LIMIT) *out = decimal((uint64_t)value, 3);
  else *out = whole(value);
  return true;
}

static void add_of_budget(struct hg_exposition *out, const struct hg_metrics_budget *budget, int id,
                          struct number value) {
  const struct hg_metric_sample sample = {.labels = {{"budget", budget->name}}, .value = value.text};
  hg_exposition_add(out, &hg_metrics[id], &sample);
}

static void add_budgets(struct hg_exposition *out, const struct hg_metrics_figures *figures) {
  const int shift = figures->unit == HG_UNIT_NANODOLLARS ? AMOUNTS : 0;
  struct number value;
  for (int id = FIRST; id < FIRST + AMOUNTS; id++)
    for (size_t i = 0; i < figures->budget_count; i++)
      if (budget_amount(&figures->budgets[i], (enum hg_metric_id)id, figures->unit, &value))
        add_of_budget(out, &figures->budgets[i], id + shift, value);
  for (int id = OTHERS; id <= HG_METRIC_BUDGET_TO_LIMIT; id++)
    for (size_t i = 0; i < figures->budget_count; i++)
      if (budget_value(&figures->budgets[i], (enum hg_metric_id)id, &value))
        add_of_budget(out, &figures->budgets[i], id, value);
}

// ------------------------------------------------------------------------------------------------ histograms

struct series {
  const struct hg_metric *metric;
  struct hg_metric_label labels[2];
  const struct hg_histogram *histogram;
  const int64_t *bounds;
  bool seconds; // values are microseconds
};

// As short as the boundaries are written elsewhere: 0.01, 1.28, 81.92.
static struct number bound_text(const struct series *series, size_t bucket) {
  if (!series->seconds) return whole(series->bounds[bucket]);
  return decimal((uint64_t)series->bounds[bucket] / 10000, 2);
}

static void add_part(struct hg_exposition *out, const struct series *series, const char *suffix, const char *le,
                     const char *value) {
  const struct hg_metric_sample sample = {
      .suffix = suffix, .labels = {series->labels[0], series->labels[1], {"le", le}}, .value = value};
  hg_exposition_add(out, series->metric, &sample);
}

static void add_histogram(struct hg_exposition *out, const struct series *series) {
  uint64_t so_far = 0;
  if (series->histogram->count == 0) return;
  for (size_t i = 0; i < HG_FOLD_BUCKETS; i++) {
    so_far += series->histogram->counts[i];
    add_part(out, series, "_bucket", bound_text(series, i).text, whole((int64_t)so_far).text);
  }
  const struct number count = whole((int64_t)series->histogram->count);
  const uint64_t sum = series->histogram->sum;
  add_part(out, series, "_bucket", "+Inf", count.text);
  add_part(out, series, "_sum", NULL, (series->seconds ? decimal(sum, 6) : whole((int64_t)sum)).text);
  add_part(out, series, "_count", NULL, count.text);
}

// "_OTHER" is what the conventions say where there is no fixed list of errors.
static void add_histograms(struct hg_exposition *out, const struct hg_fold *fold) {
  static const char *const types[HG_TOKEN_TYPES] = {[HG_TOKENS_INPUT] = "input", [HG_TOKENS_OUTPUT] = "output"};
  for (size_t i = 0; i < fold->model_count; i++)
    for (size_t type = 0; type < HG_TOKEN_TYPES; type++) {
      const struct hg_fold_model *model = &fold->models[i];
      const struct series series = {
          &hg_metrics[HG_METRIC_TOKEN_USAGE],
          {{"gen_ai_token_type", types[type]}, {"gen_ai_response_model", model->name[0] ? model->name : NULL}},
          &model->tokens[type],
          hg_token_bounds,
          false};
      add_histogram(out, &series);
    }
  for (size_t i = 0; i < fold->model_count; i++)
    for (int failed = 0; failed < 2; failed++) {
      const struct hg_fold_model *model = &fold->models[i];
      const struct series series = {
          &hg_metrics[HG_METRIC_OPERATION_DURATION],
          {{"gen_ai_response_model", model->name[0] ? model->name : NULL}, {"error_type", failed ? "_OTHER" : NULL}},
          failed ? &model->failed : &model->finished,
          hg_duration_bounds_us,
          true};
      add_histogram(out, &series);
    }
}

// ------------------------------------------------------------------------------------------------ all of it

static void add_counters(struct hg_exposition *out, const struct hg_counters *counters) {
  for (unsigned i = 0; i < HG_COUNTER_COUNT; i++) {
    const struct hg_counter_info *info = hg_counter_info((enum hg_counter_id)i);
    char name[64], doc[256];
    snprintf(name, sizeof name, "headgate_%s_total", info->name);
    snprintf(doc, sizeof doc, "%s: %s", info->unit, info->doc);
    const struct hg_metric metric = {name, HG_METRIC_counter, "", doc};
    const struct number value = whole((int64_t)hg_counter_value(counters, (enum hg_counter_id)i));
    const struct hg_metric_sample sample = {.value = value.text};
    hg_exposition_add(out, &metric, &sample);
    out->family = NULL; // it goes with this turn
  }
}

static void add_state(struct hg_exposition *out, const struct hg_metrics_figures *figures) {
  add_budgets(out, figures);
  if (figures->live) {
    add(out, HG_METRIC_RUNNING, whole(figures->running));
    add(out, HG_METRIC_WAITING, whole(figures->waiting));
    add(out, HG_METRIC_CONCURRENCY_MAX, whole(figures->max_concurrency));
    add(out, HG_METRIC_CONCURRENCY_EFFECTIVE, whole(figures->effective_concurrency));
  }
  add(out, HG_METRIC_JOURNAL_SEQ, whole((int64_t)figures->seq));
  add(out, HG_METRIC_AUDIT_SEQ, whole((int64_t)figures->audited));
  add(out, HG_METRIC_AUDIT_DIFFERENCES, whole((int64_t)figures->differences));
  add(out, HG_METRIC_AUDIT_FAILED, whole(figures->audit_failed));
}

hg_err hg_metrics_print(const struct hg_metrics_figures *figures, struct hg_text_buffer *out) {
  struct hg_exposition exposition = {0};
  const struct hg_metric_sample build = {.labels = {{"version", hg_version()}}, .value = "1"};
  hg_exposition_add(&exposition, &hg_metrics[HG_METRIC_BUILD_INFO], &build);
  if (figures->started_us) add(&exposition, HG_METRIC_START_TIME, decimal((uint64_t)figures->started_us / 1000, 3));
  add(&exposition, HG_METRIC_UP, whole(figures->live));
  if (figures->fold) add(&exposition, HG_METRIC_STORE_DEGRADED, whole(figures->fold->degraded));
  if (figures->has_state) add_state(&exposition, figures);
  if (figures->has_counters) add_counters(&exposition, &figures->counters);
  if (figures->fold && figures->has_histograms) {
    add(&exposition, HG_METRIC_EVENTS_MISSED, whole((int64_t)figures->fold->missed));
    add_histograms(&exposition, figures->fold);
  }
  if (exposition.failed) hg_text_buffer_clear(&exposition.text);
  *out = exposition.text;
  return exposition.failed ? HG_ERR_NO_MEMORY : HG_OK;
}
