// What answers say of their usage, count by count and under the names that each provider has for them: first gathered
// out of one object (a whole answer) or many (the events of a stream), then settled into one normal form. Pure.
#ifndef HG_COUNTS_H
#define HG_COUNTS_H

#include "schemas/limits.h"
#include "usage/answer.h"

// A count has one name in the table for each way to write it. Those of one family never mean the same as another's.
enum hg_count_name {
  // OpenAI, what is compatible with it, and Anthropic
  HG_COUNT_PROMPT,
  HG_COUNT_COMPLETION,
  HG_COUNT_INPUT,
  HG_COUNT_OUTPUT,
  HG_COUNT_TOTAL,
  HG_COUNT_CACHE_WRITE, // beside the input, inside a prompt
  HG_COUNT_CACHE_READ,
  HG_COUNT_CACHE_WRITE_5M, // parts of CACHE_WRITE
  HG_COUNT_CACHE_WRITE_1H,
  HG_COUNT_CACHE_HIT, // DeepSeek: hit and miss are the prompt
  HG_COUNT_CACHE_MISS,
  HG_COUNT_CONNECTOR,      // Mistral: input of its own
  HG_COUNT_CACHED,         // inside the input
  HG_COUNT_CACHED_DETAIL,  // the same, as the details have it
  HG_COUNT_WRITTEN_DETAIL, // inside the input
  HG_COUNT_REASONING,      // inside the output
  // Bedrock Converse: the cache is beside the input
  HG_COUNT_BEDROCK_INPUT,
  HG_COUNT_BEDROCK_OUTPUT,
  HG_COUNT_BEDROCK_TOTAL,
  HG_COUNT_BEDROCK_CACHE_READ,
  HG_COUNT_BEDROCK_CACHE_WRITE,
  // Gemini: thoughts are beside the candidates, the tools' prompt beside the prompt
  HG_COUNT_GEMINI_PROMPT,
  HG_COUNT_GEMINI_TOOL_PROMPT,
  HG_COUNT_GEMINI_CACHED,
  HG_COUNT_GEMINI_CANDIDATES,
  HG_COUNT_GEMINI_THOUGHTS,
  HG_COUNT_GEMINI_TOTAL,
  // Cohere: what is billed, and what was worked on
  HG_COUNT_BILLED_INPUT,
  HG_COUNT_BILLED_OUTPUT,
  HG_COUNT_BILLED_IMAGE_TOKENS, // beside the input
  HG_COUNT_BILLED_IMAGES,       // in pieces
  HG_COUNT_BILLED_SEARCHES,
  HG_COUNT_WORKED_INPUT,
  HG_COUNT_WORKED_OUTPUT,
  // Ollama: each is left out when it is 0
  HG_COUNT_OLLAMA_PROMPT,
  HG_COUNT_OLLAMA_OUTPUT,
  // OpenTelemetry's names
  HG_COUNT_OTEL_INPUT,
  HG_COUNT_OTEL_OUTPUT,
  HG_COUNT_OTEL_CACHE_READ,
  HG_COUNT_OTEL_CACHE_WRITE,
  HG_COUNTS
};

struct hg_token_count {
  int64_t count;     // HG_UNKNOWN: not said, null, or hostile
  const char *fault; // what is wrong with it, a static text
  bool null;         // null, and nothing else was said
};

struct hg_token_counts {
  struct hg_token_count of[HG_COUNTS];
  enum hg_json_type usage; // of what stood where the usage stands: an object if there was one
  bool error;              // there was an error
  bool anthropic;          // the shape has named itself
  bool duration;           // counted in seconds
  bool embeds;             // embeddings have no output
  bool unended;            // Ollama's "done" is false, or was not there
  bool of_choice;          // they stood inside a choice: of several each may have its own
  char response_id[HG_LABEL_MAX + 1], model[HG_LABEL_MAX + 1];
};

void hg_counts_init(struct hg_token_counts *counts);
// What one object says, and objects inside it where providers wrap their answers. Of each count and label the last
// value that is not null stays, because the usages of a stream are cumulative.
void hg_counts_take(struct hg_token_counts *counts, const struct hg_answer *answer);
// The attributes of a span, as OpenTelemetry names them.
void hg_counts_take_attributes(struct hg_token_counts *counts, const struct hg_json *object);
// Whether a member of an answer that has this name is read for counts, or what is inside it.
bool hg_counts_stand_in(const struct hg_json *name);
// Forgets the counts, not the labels.
void hg_counts_forget(struct hg_token_counts *counts);

bool hg_counts_say(const struct hg_token_counts *counts, enum hg_count_name first, enum hg_count_name last);
static inline bool hg_counts_say_any(const struct hg_token_counts *counts) {
  return hg_counts_say(counts, 0, HG_COUNTS - 1);
}

// NULL: `report` has the normal form, but for the labels; *remark is NULL or says what is odd about it. Else why the
// usage is missing; `report` then has anything. Both are static texts.
const char *hg_counts_settle(const struct hg_token_counts *counts, hg_usage_report *report, const char **remark);

#endif
