/* call.h: what llm-sim understands of a request: which endpoint, which model, how much text, how much may come back. */
#ifndef LLM_SIM_CALL_H
#define LLM_SIM_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum endpoint {
  ENDPOINT_CHAT,
  ENDPOINT_RESPONSES,
  ENDPOINT_COMPLETIONS,
  ENDPOINT_EMBEDDINGS,
  ENDPOINT_MESSAGES,
  ENDPOINT_NONE
};

enum {
  CALL_MODEL_BYTES_MAX = 256,
  CALL_USER_BYTES_MAX = 64,
  CALL_CHOICES_MAX = 128,
  CALL_ITEMS_MAX = 2048,
  CALL_CAP_MAX = 10 * 1000 * 1000,
  CALL_TOKENS_PER_MESSAGE = 3,
  CALL_TOKENS_PER_CALL = 3, /* of the endpoints that speak in messages */
  CALL_BYTES_PER_TOKEN = 4
};

/* The model is kept as it was sent, escapes and all, because it is echoed. */
struct call {
  enum endpoint endpoint;
  const char *model;
  size_t model_length;
  const char *user; /* whom the call is for: only the log says it; NULL = not said */
  size_t user_length;
  uint64_t text_bytes; /* of everything that the model reads */
  uint64_t token_ids;  /* input that came as numbers, each one token */
  uint64_t messages;
  uint64_t items;   /* prompts, or texts to embed: each is answered on its own */
  uint64_t cap;     /* of output tokens for one choice; 0 = none was asked */
  uint64_t choices; /* answered for each item */
  uint64_t best_of; /* generated, and billed, for each item */
  bool stream;
  bool include_usage; /* of a stream: asked for by stream_options */
};

/* Why a request is refused; status 0 = it is not. The strings are constants. */
struct refusal {
  unsigned status;
  const char *message;
  const char *param; /* the offending field, or NULL */
};

/* What is asked: an answer, or how many input tokens the request has. */
enum question {
  QUESTION_CALL,
  QUESTION_COUNT,   /* /v1/responses/input_tokens, /v1/messages/count_tokens */
  QUESTION_TOKENIZE /* vLLM's /tokenize, which stands beside /v1 */
};
/* The endpoint of a path under the base path ("/v1/chat/completions" when the base path is ""); of /tokenize that of
 * completions, until its body is known. */
enum endpoint endpoint_of(const char *url, const char *base_path, enum question *question);
/* `call` points into `body` afterwards. */
struct refusal call_parse(struct call *call, enum endpoint endpoint, const char *body, size_t length);
/* The same of a body that asks for a count: it has no output, and no member that its counter does not know. */
struct refusal call_parse_count(struct call *call, enum endpoint *endpoint, enum question question, const char *body,
                                size_t length);
uint64_t call_input_tokens(const struct call *call);

#endif
