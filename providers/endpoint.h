// Where a call goes: base URL and line URL joined as every OpenAI client means it, and the headers that the provider
// wants. Pure, but for the environment variables read by hg_target_resolve.
#ifndef HG_ENDPOINT_H
#define HG_ENDPOINT_H

#include "config/config.h"
#include "providers/request.h"

// Joins the base URL and the url of a line ("/v1/chat/completions"). A base with a path (…/v1, …/openai/v1,
// …/v1beta/openai, …/deployments/d) stands for the line's leading version segment, which is dropped, as an OpenAI
// client appends "/chat/completions" to its base; a base without a path (:8000) keeps the line's url whole. An
// Anthropic client appends "/v1/messages", so for …/messages the segment is dropped only when the base's path ends in a
// version segment. A query of the base is kept at the end, after the line's own. The result is the caller's to free.
// HG_ERR_CONFIG with `why`: base is no http(s) URL without user and fragment; HG_ERR_INVALID: the line's url is no
// path.
hg_err hg_url_join(const char *base, const char *path, char **out, hg_error *why);

// What is resolved once a run, for the OpenAI family and for Anthropic.
struct hg_target {
  char *openai_base, *anthropic_base; // never NULL
  char **openai_headers;              // NULL-terminated "Name: value" lists, keys included: never log them
  char **anthropic_headers;           // (Content-Type is the sender's and not among them unless llm.headers has it)
  char *openai_key_env, *anthropic_key_env; // the variable looked at, for messages; NULL: none
  bool openai_has_key, anthropic_has_key;   // a key from the variable, or a credential among llm.headers
};

// Flag, then file, then OPENAI_BASE_URL / OPENAI_API_KEY (ANTHROPIC_*), then default. A base from flag or file holds
// for both families, as does the variable named by llm.apiKeyEnv. `base_url_flag` may be NULL. A header of llm.headers
// takes the place of a default one of the same name. HG_ERR_CONFIG with `why` saying what to do: a base that is no URL,
// a key (or a credential in llm.headers) that would go over plain http beyond loopback, a key or header that no HTTP
// header can carry. Nothing of `out` is then to be cleared.
hg_err hg_target_resolve(const char *base_url_flag, const struct hg_llm_config *llm, struct hg_target *out,
                         hg_error *why);
void hg_target_clear(struct hg_target *target);

#endif
