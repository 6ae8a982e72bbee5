/* plan.c: draws the fate of a request from its hash. */
#include "plan.h"
#include "hash.h"

#include <math.h>
#include <string.h>

enum { OUTPUT_WITHOUT_CAP = 4096, CACHE_FROM_TOKENS = 1024, CACHE_STEP_TOKENS = 128 };
static const double latency_us_max = 3600e6;

const char *outcome_name(enum outcome outcome) {
  static const char *const names[] = {
#define X(name, text) [name] = (text),
      OUTCOME_TABLE(X)
#undef X
  };
  return names[outcome];
}

static enum outcome draw_outcome(const struct options *options, uint64_t hash, uint32_t attempt) {
  const struct {
    double percent;
    enum outcome outcome;
  } rates[] = {
      {options->rate_429, OUTCOME_429},           {options->rate_500, OUTCOME_500},
      {options->rate_cut, OUTCOME_CUT},           {options->rate_malformed, OUTCOME_MALFORMED},
      {options->rate_no_usage, OUTCOME_NO_USAGE}, {options->rate_stream_error, OUTCOME_STREAM_ERROR},
  };
  double left = 100.0 * hash_fraction(hash, options->seed, DRAW_FAULT, attempt);
  for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
    if (left < rates[i].percent) return rates[i].outcome;
    left -= rates[i].percent;
  }
  return OUTCOME_OK;
}

static uint64_t draw_latency(const struct options *options, uint64_t hash) {
  const double first = hash_fraction(hash, options->seed, DRAW_LATENCY, 0);
  double ms = options->latency_ms + options->latency_jitter_ms * first;
  if (options->lognormal) {
    const double angle = 6.283185307179586 * hash_fraction(hash, options->seed, DRAW_LATENCY_ANGLE, 0);
    const double normal = sqrt(-2.0 * log(1.0 - first)) * cos(angle);
    ms = options->lognormal_median_ms * exp(options->lognormal_sigma * normal);
  }
  return (uint64_t)fmin(ms * 1000.0, latency_us_max);
}

/* Output tokens of one choice. */
static uint64_t draw_output(const struct options *options, const struct call *call, uint64_t hash) {
  const uint64_t cap = call->cap ? call->cap : OUTPUT_WITHOUT_CAP;
  const uint64_t draw = hash_draw(hash, 0, DRAW_OUTPUT, 0);
  uint64_t output = 1 + draw % cap;
  if (options->output_mean_tokens) output = options->output_mean_tokens / 2 + draw % (options->output_mean_tokens + 1);
  if (options->output_fill_percent <= 100) output = cap * options->output_fill_percent / 100;
  if (output < 1) output = 1;
  if (output > cap) output = cap;
  return options->ignore_cap && call->cap ? cap + (cap + 1) / 2 : output;
}

static bool model_reasons(const struct call *call) {
  static const char *const families[] = {"o1", "o3", "o4", "gpt-5"};
  for (size_t i = 0; i < sizeof families / sizeof *families; i++)
    if (call->model_length >= strlen(families[i]) && memcmp(call->model, families[i], strlen(families[i])) == 0)
      return true;
  return false;
}

/* Half of the long prompts are found in the provider's cache, in part. */
static void draw_cache(struct plan *plan, enum endpoint endpoint) {
  const uint64_t draw = hash_draw(plan->hash, 0, DRAW_CACHE, 0);
  if (endpoint == ENDPOINT_EMBEDDINGS || plan->input_tokens < CACHE_FROM_TOKENS || draw % 2) return;
  plan->cached_tokens = plan->input_tokens / 2 / CACHE_STEP_TOKENS * CACHE_STEP_TOKENS;
  if (endpoint == ENDPOINT_MESSAGES) plan->cache_write_tokens = plan->input_tokens / 4;
}

struct plan plan_refusal(struct refusal refusal, uint64_t hash, uint32_t attempt) {
  return (struct plan){
      .outcome = refusal.status == 429   ? OUTCOME_429
                 : refusal.status >= 500 ? OUTCOME_500
                                         : OUTCOME_4XX,
      .refusal = refusal,
      .hash = hash,
      .attempt = attempt,
  };
}

struct plan plan_count(const struct call *call, uint64_t hash, const struct options *options) {
  if (100.0 * hash_fraction(hash, options->seed, DRAW_COUNT_FAULT, 0) < options->rate_count_500)
    return plan_refusal((struct refusal){.status = 500}, hash, 0);
  return (struct plan){.outcome = OUTCOME_COUNTED,
                       .refusal = {.status = 200},
                       .hash = hash,
                       .input_tokens = (call_input_tokens(call) * options->count_percent + 99) / 100,
                       .latency_us = draw_latency(options, hash)};
}

struct plan plan_call(const struct call *call, uint64_t hash, uint32_t attempt, const struct options *options) {
  enum outcome outcome = draw_outcome(options, hash, attempt);
  if (outcome == OUTCOME_STREAM_ERROR && !call->stream) outcome = OUTCOME_OK;
  if (outcome == OUTCOME_429) return plan_refusal((struct refusal){.status = 429}, hash, attempt);
  if (outcome == OUTCOME_500) {
    struct plan failing = plan_refusal((struct refusal){.status = 500}, hash, attempt);
    failing.latency_us = draw_latency(options, hash);
    return failing;
  }
  struct plan plan = {.outcome = outcome,
                      .refusal = {.status = 200},
                      .hash = hash,
                      .attempt = attempt,
                      .input_tokens = call_input_tokens(call),
                      .latency_us = draw_latency(options, hash)};
  draw_cache(&plan, call->endpoint);
  if (call->endpoint == ENDPOINT_EMBEDDINGS) return plan;
  uint64_t output = draw_output(options, call, hash);
  if (outcome == OUTCOME_STREAM_ERROR) output = (output + 1) / 2; /* no more was generated */
  plan.output_tokens = output * call->best_of * (call->items ? call->items : 1);
  plan.at_cap = call->cap && output >= call->cap;
  if (model_reasons(call)) plan.reasoning_tokens = plan.output_tokens / 2;
  return plan;
}
