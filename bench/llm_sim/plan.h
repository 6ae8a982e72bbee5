/* plan.h: what will become of a request: its outcome, its tokens, its latency. Pure: the same call, attempt and options
 * give the same plan. */
#ifndef LLM_SIM_PLAN_H
#define LLM_SIM_PLAN_H

#include "call.h"
#include "options.h"

#include <stdint.h>

#define OUTCOME_TABLE(X)                                                                                               \
  X(OUTCOME_OK, "ok")                                                                                                  \
  X(OUTCOME_NO_USAGE, "no_usage")                                                                                      \
  X(OUTCOME_CUT, "cut")                                                                                                \
  X(OUTCOME_STREAM_ERROR, "stream_error")                                                                              \
  X(OUTCOME_MALFORMED, "malformed")                                                                                    \
  X(OUTCOME_429, "429")                                                                                                \
  X(OUTCOME_500, "500")                                                                                                \
  X(OUTCOME_4XX, "4xx")                                                                                                \
  X(OUTCOME_ABANDONED, "abandoned") /* never drawn: the client went away */                                            \
  X(OUTCOME_COUNTED, "counted")     /* never drawn: what was asked for is a count */

enum outcome {
#define X(name, text) name,
  OUTCOME_TABLE(X)
#undef X
};

struct plan {
  enum outcome outcome;
  struct refusal refusal; /* its status is 200 for the outcomes before OUTCOME_429 */
  uint64_t hash;          /* of endpoint and body */
  uint32_t attempt;       /* of this hash, from 1; 0 = not counted */
  uint64_t input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens;
  bool at_cap;
  uint64_t latency_us;
};

struct plan plan_refusal(struct refusal refusal, uint64_t hash, uint32_t attempt);
/* Of a question for its input tokens: a count, or a failure. */
struct plan plan_count(const struct call *call, uint64_t hash, const struct options *options);
struct plan plan_call(const struct call *call, uint64_t hash, uint32_t attempt, const struct options *options);
const char *outcome_name(enum outcome outcome);
/* True for the answers that a provider charges for: it did the work, whatever arrived. */
static inline bool plan_is_billed(const struct plan *plan) {
  return plan->outcome < OUTCOME_429;
}

#endif
