// Prepares one call of a batch file: which endpoint it asks for, the most tokens that it can use, and the body to send
// with the output cap written into it. Pure: text in, text out.
#ifndef HG_REQUEST_H
#define HG_REQUEST_H

#include "config/config.h"

enum hg_endpoint {
  HG_ENDPOINT_CHAT,        // /v1/chat/completions
  HG_ENDPOINT_RESPONSES,   // /v1/responses
  HG_ENDPOINT_COMPLETIONS, // /v1/completions
  HG_ENDPOINT_EMBEDDINGS,  // /v1/embeddings
  HG_ENDPOINT_MESSAGES,    // /v1/messages (Anthropic)
  HG_ENDPOINT_OTHER        // /score, /rerank and whatever else a server offers
};

struct hg_prepared {
  enum hg_endpoint endpoint;
  char *body; // to be sent; owned, freed by hg_prepared_clear
  size_t body_len;
  int64_t input_bound; // the most input tokens that the body can mean
  int64_t output_cap;  // the cap of one choice that the body now carries; 0 where the endpoint has no output
  int64_t choices;     // n or best_of, times the prompts of a completions call; 1 otherwise
  int64_t shown;       // of these, how many an answer has: best_of more are written, and paid for, than n
  int64_t max_tokens;  // the reservation: input_bound + choices * output_cap (+ the bytes of a `prediction`, whose
                       // rejected tokens are billed as output)
  int64_t predicted;   // those bytes, of one choice
  int64_t min_tokens;  // llm.mayCapOutput: what the call can be cut down to (hg_output_lower); else max_tokens
  int64_t most, least; // what the call asks the budget for: max_tokens and min_tokens, or what these cost
  const struct hg_price *price; // of a token, where the ledger counts money; NULL: it counts tokens
  char model[HG_LABEL_MAX + 1]; // that of the url, or else the body's; "": none, or a name that is longer
  bool streams;   // the body asks for a stream, or the endpoint answers with one unasked; chat and completions then ask
                  // for usage, unless the body says no
  bool unbounded; // llm.unbounded is "allow" and the bound cannot be proven
};

// Whether the path of a url ends so, without its query and the slashes behind it.
bool hg_endpoint_ends_with(const char *url, const char *end);
// The endpoint that a line's url names, by the end of its path.
enum hg_endpoint hg_endpoint_of(const char *url);
// Endpoints that answer without generating: their output costs nothing.
bool hg_endpoint_only_reads(const char *url);
// Of these, those that embed texts in other forms than OpenAI's: Cohere's, Ollama's and Gemini's.
bool hg_endpoint_embeds(const char *url);
bool hg_endpoint_is_cohere_chat(const char *url);
// Whether the answer is a stream, for a body that says "stream": true (asked), false (declined) or nothing: Gemini's
// and Bedrock's own endpoints stream whatever it says, Ollama's unless it says no.
bool hg_endpoint_streams(const char *url, bool asked, bool declined);

// The model that a url names, percent-decoded: Gemini's /models/NAME:method, Bedrock's /model/NAME/converse, Azure's
// /deployments/NAME/. "": none.
void hg_endpoint_model(const char *url, char out[HG_LABEL_MAX + 1]);

// `body` is the JSON text of the line's "body" object; `model` (NULL: as the body says) replaces its model, unless the
// url names one, which is the one that servers obey.
// Nothing else of the body changes: order, numbers and spaces are sent as they were written.
// HG_OK; HG_ERR_INVALID: not a JSON object, a hostile value or a member that is there twice (`why` says
// which), or tokens that add up to more than HG_TOKENS_MAX;
// HG_ERR_RANGE with `why`: the input cannot be bounded ("unbounded_request") and llm.unbounded does not allow it.
hg_err hg_request_prepare(const char *url, const char *body, size_t body_len, const struct hg_llm_config *llm,
                          const char *model, struct hg_prepared *out, hg_error *why);
// For a ledger that counts money. `prices` must outlive the call. HG_ERR_CONFIG: none is known of its model
// ("unknown_price"); HG_ERR_INVALID: it may cost more than HG_TOKENS_MAX nano-dollars.
hg_err hg_prepared_price(struct hg_prepared *prepared, const struct hg_prices *prices, hg_error *why);
// What so many tokens of its input are in the amounts above.
int64_t hg_prepared_input_cost(const struct hg_prepared *prepared, int64_t tokens);
void hg_prepared_clear(struct hg_prepared *prepared);

#endif
