// Cuts the output cap of a prepared call down to what a budget has left (llm.mayCapOutput). Pure.
#ifndef HG_OUTPUT_CAP_H
#define HG_OUTPUT_CAP_H

#include "providers/request.h"
#include "base/json_scan.h"

// No call is cut down to less output than this, for each choice: an answer of fewer words is seldom worth its input.
#define HG_OUTPUT_FLOOR 256

// The least cap that a checked body can be sent with: the floor, or its own cap where that is lower, or where other
// members of the body depend on it ("thinking", "min_tokens").
int64_t hg_output_least(const struct hg_json *body, int64_t cap);

// Tokens of output that a grant pays for.
int64_t hg_output_paid(const struct hg_prepared *prepared, int64_t granted);

struct hg_lowered {
  char *body; // malloc'd
  size_t body_len;
  int64_t output_max; // tokens of all its choices
};
// The body with every cap in it lowered, so that `granted` pays for the call: from its least up, below its most.
// HG_ERR_NO_MEMORY.
hg_err hg_output_lower(const struct hg_prepared *prepared, const struct hg_llm_config *llm, int64_t granted,
                       struct hg_lowered *out);

#endif
