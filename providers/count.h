// How many input tokens a request has, asked of the provider: for calls whose bound does not fit (llm.reservation
// "counted"). What is sent, where to, and what the answer says. Pure.
//
// OpenAI counts bodies of /v1/responses at …/responses/input_tokens, Anthropic those of /v1/messages at
// …/messages/count_tokens, vLLM those of chat and completions at /tokenize. A chat body can't be counted at OpenAI: its
// counter takes bodies of the responses API, whose templates and tools are other ones.
#ifndef HG_COUNT_H
#define HG_COUNT_H

#include "providers/request.h"

// Counts are estimates (Anthropic's documentation says so), so a call reserves this much more than was counted.
#define HG_COUNT_MARGIN_PERCENT 2
#define HG_COUNT_MARGIN_TOKENS 32

enum hg_input_counter {
  HG_INPUT_COUNTER_NONE,
  HG_INPUT_COUNTER_OPENAI,
  HG_INPUT_COUNTER_ANTHROPIC,
  HG_INPUT_COUNTER_VLLM
};

// Who counts requests of this endpoint.
enum hg_input_counter hg_input_counter_of(enum hg_endpoint endpoint, const struct hg_llm_config *llm);
// The body that asks: of the prepared one what its counter knows. The caller's to free. HG_ERR_NO_MEMORY; HG_ERR_EMPTY:
// this one would not be counted as it will be read.
hg_err hg_count_request(const struct hg_prepared *prepared, enum hg_input_counter counter, char **out, size_t *out_len);
// Where it goes, from the URL of the call itself. The caller's to free. HG_ERR_NO_MEMORY.
hg_err hg_count_url(const char *url, enum hg_input_counter counter, char **out);
// What a good answer says, at least 1. False: it is none.
bool hg_count_read(enum hg_input_counter counter, const char *body, size_t len, int64_t *tokens);
// How much less than its bound a call has to reserve, whose input was counted; the margin is taken off, 0 at least.
int64_t hg_count_less(const struct hg_prepared *prepared, int64_t counted);

#endif
