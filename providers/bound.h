// How many input tokens a request body can mean at most, counted from the body alone.
//
// A token of every tokenizer in use (BPE over bytes, or over characters with byte fallback) stands for at least one
// byte of text, and JSON never writes a byte of text in less than one byte: so the bytes of the body bound the tokens
// of its text. What a body brings in beside its bytes is counted here: media, special tokens, default prompts, repeated
// texts. The bytes of a body that are no text (base64 of media, token ids) are taken out again.
#ifndef HG_BOUND_H
#define HG_BOUND_H

#include "base/json_scan.h"

// What chat templates add to a request whose own system message replaces their default: dates, reasoning settings,
// channel lists (about 100 tokens at most among the models looked at).
#define HG_BOUND_CHAT 128
// The same with the default system message of the template (Ministral 3: 2,400 bytes, some 550 tokens).
#define HG_BOUND_CHAT_DEFAULT_SYSTEM 768
// The instructions that come with tools (Claude 3 Opus documents 530 tokens, templates of open models 100 to 200).
#define HG_BOUND_TOOLS 768
// For each tool, and for each message, prompt or item: role, begin and end tokens, members that servers fill in.
#define HG_BOUND_TOOL 64
#define HG_BOUND_ITEM 16

struct hg_bound {
  int64_t text_bytes; // bytes of the body that may be text
  int64_t token_ids;  // prompts given as numbers: a token each
  int64_t media;      // image, audio, video and document parts
  int64_t items;      // messages, prompts, pairs
  int64_t tools;
  int64_t tool_bytes;
  bool system;           // the body has a system message of its own
  const char *unbounded; // what brings in text that is not in the body, a static text; NULL: nothing
  enum { HG_BOUND_USUAL, HG_BOUND_GEMINI, HG_BOUND_COHERE } dialect; // whose names parts have beside the usual ones
};

// Each takes the value of one member (HG_JSON_NONE: nothing to do) and adds what it finds.
void hg_bound_messages(struct hg_bound *bound, const struct hg_json *messages); // chat, messages; items of responses
void hg_bound_tools(struct hg_bound *bound, const struct hg_json *tools);
// The prompt of completions or the input of embeddings: a text, token ids, or an array of these. Returns how many.
int64_t hg_bound_prompts(struct hg_bound *bound, const struct hg_json *prompts);
// Any other endpoint: rerank and score read one text again with each of many, so the bytes beside the longest array
// count once for each of its elements.
void hg_bound_other(struct hg_bound *bound, const struct hg_json *body);
// Embeddings in other forms than OpenAI's: each text is read once.
void hg_bound_inputs(struct hg_bound *bound, const struct hg_json *body);
// Cohere's chat. Documents stand in its template as what a tool gave back, with instructions as tools have them.
void hg_bound_cohere_chat(struct hg_bound *bound, const struct hg_json *body);

// The bound in tokens, without the media. At most 2^50 for a body of HG_BODY_MAX.
int64_t hg_bound_tokens(const struct hg_bound *bound, int64_t overhead);

#endif
