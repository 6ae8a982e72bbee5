// The names under which counts stand, and where: one table, walked for each object.
#include "usage/counts.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum place {
  NOWHERE,
  USAGE,
  INPUT_DETAILS,
  OUTPUT_DETAILS,
  CACHE_WRITTEN,
  GEMINI,
  META,
  BILLED,
  WORKED,
  ATTRIBUTES,
  INVOCATION,
  KIND
};

// A member is a count, or an object with counts inside (`inside` is not NOWHERE), or says what is counted (KIND).
struct row {
  enum place place;
  const char *name;
  enum hg_count_name count;
  enum place inside;
};

// clang-format off
static const struct row rows[] = {
    {USAGE, "prompt_tokens", HG_COUNT_PROMPT, NOWHERE},
    {USAGE, "completion_tokens", HG_COUNT_COMPLETION, NOWHERE},
    {USAGE, "input_tokens", HG_COUNT_INPUT, NOWHERE},
    {USAGE, "output_tokens", HG_COUNT_OUTPUT, NOWHERE},
    {USAGE, "total_tokens", HG_COUNT_TOTAL, NOWHERE},
    {USAGE, "cache_creation_input_tokens", HG_COUNT_CACHE_WRITE, NOWHERE},
    {USAGE, "cache_read_input_tokens", HG_COUNT_CACHE_READ, NOWHERE},
    {USAGE, "type", 0, KIND},
    {USAGE, "cache_creation", 0, CACHE_WRITTEN},
    {CACHE_WRITTEN, "ephemeral_5m_input_tokens", HG_COUNT_CACHE_WRITE_5M, NOWHERE},
    {CACHE_WRITTEN, "ephemeral_1h_input_tokens", HG_COUNT_CACHE_WRITE_1H, NOWHERE},
    {USAGE, "prompt_cache_hit_tokens", HG_COUNT_CACHE_HIT, NOWHERE},
    {USAGE, "prompt_cache_miss_tokens", HG_COUNT_CACHE_MISS, NOWHERE},
    {USAGE, "connector_tokens", HG_COUNT_CONNECTOR, NOWHERE},
    {USAGE, "cached_tokens", HG_COUNT_CACHED, NOWHERE},
    {USAGE, "prompt_tokens_details", 0, INPUT_DETAILS},
    {USAGE, "input_tokens_details", 0, INPUT_DETAILS},
    {INPUT_DETAILS, "cached_tokens", HG_COUNT_CACHED_DETAIL, NOWHERE},
    {INPUT_DETAILS, "cache_write_tokens", HG_COUNT_WRITTEN_DETAIL, NOWHERE},
    {INPUT_DETAILS, "cache_creation_tokens", HG_COUNT_WRITTEN_DETAIL, NOWHERE},
    {USAGE, "completion_tokens_details", 0, OUTPUT_DETAILS},
    {USAGE, "output_tokens_details", 0, OUTPUT_DETAILS},
    {OUTPUT_DETAILS, "reasoning_tokens", HG_COUNT_REASONING, NOWHERE},
    {OUTPUT_DETAILS, "thinking_tokens", HG_COUNT_REASONING, NOWHERE},

    {USAGE, "inputTokens", HG_COUNT_BEDROCK_INPUT, NOWHERE},
    {USAGE, "outputTokens", HG_COUNT_BEDROCK_OUTPUT, NOWHERE},
    {USAGE, "totalTokens", HG_COUNT_BEDROCK_TOTAL, NOWHERE},
    {USAGE, "cacheReadInputTokens", HG_COUNT_BEDROCK_CACHE_READ, NOWHERE},
    {USAGE, "cacheWriteInputTokens", HG_COUNT_BEDROCK_CACHE_WRITE, NOWHERE},

    {INVOCATION, "inputTokenCount", HG_COUNT_BEDROCK_INPUT, NOWHERE},
    {INVOCATION, "outputTokenCount", HG_COUNT_BEDROCK_OUTPUT, NOWHERE},
    {INVOCATION, "cacheReadInputTokenCount", HG_COUNT_BEDROCK_CACHE_READ, NOWHERE},
    {INVOCATION, "cacheWriteInputTokenCount", HG_COUNT_BEDROCK_CACHE_WRITE, NOWHERE},

    {GEMINI, "promptTokenCount", HG_COUNT_GEMINI_PROMPT, NOWHERE},
    {GEMINI, "prompt_token_count", HG_COUNT_GEMINI_PROMPT, NOWHERE},
    {GEMINI, "toolUsePromptTokenCount", HG_COUNT_GEMINI_TOOL_PROMPT, NOWHERE},
    {GEMINI, "tool_use_prompt_token_count", HG_COUNT_GEMINI_TOOL_PROMPT, NOWHERE},
    {GEMINI, "cachedContentTokenCount", HG_COUNT_GEMINI_CACHED, NOWHERE},
    {GEMINI, "cached_content_token_count", HG_COUNT_GEMINI_CACHED, NOWHERE},
    {GEMINI, "candidatesTokenCount", HG_COUNT_GEMINI_CANDIDATES, NOWHERE},
    {GEMINI, "candidates_token_count", HG_COUNT_GEMINI_CANDIDATES, NOWHERE},
    {GEMINI, "responseTokenCount", HG_COUNT_GEMINI_CANDIDATES, NOWHERE},
    {GEMINI, "response_token_count", HG_COUNT_GEMINI_CANDIDATES, NOWHERE},
    {GEMINI, "thoughtsTokenCount", HG_COUNT_GEMINI_THOUGHTS, NOWHERE},
    {GEMINI, "thoughts_token_count", HG_COUNT_GEMINI_THOUGHTS, NOWHERE},
    {GEMINI, "totalTokenCount", HG_COUNT_GEMINI_TOTAL, NOWHERE},
    {GEMINI, "total_token_count", HG_COUNT_GEMINI_TOTAL, NOWHERE},

    {USAGE, "billed_units", 0, BILLED},
    {USAGE, "tokens", 0, WORKED},
    {META, "billed_units", 0, BILLED},
    {META, "tokens", 0, WORKED},
    {META, "cached_tokens", HG_COUNT_CACHED, NOWHERE},
    {BILLED, "input_tokens", HG_COUNT_BILLED_INPUT, NOWHERE},
    {BILLED, "output_tokens", HG_COUNT_BILLED_OUTPUT, NOWHERE},
    {BILLED, "image_tokens", HG_COUNT_BILLED_IMAGE_TOKENS, NOWHERE},
    {BILLED, "images", HG_COUNT_BILLED_IMAGES, NOWHERE},
    {BILLED, "search_units", HG_COUNT_BILLED_SEARCHES, NOWHERE},
    {BILLED, "classifications", HG_COUNT_BILLED_SEARCHES, NOWHERE},
    {WORKED, "input_tokens", HG_COUNT_WORKED_INPUT, NOWHERE},
    {WORKED, "output_tokens", HG_COUNT_WORKED_OUTPUT, NOWHERE},

    {ATTRIBUTES, "gen_ai.usage.input_tokens", HG_COUNT_OTEL_INPUT, NOWHERE},
    {ATTRIBUTES, "gen_ai.usage.output_tokens", HG_COUNT_OTEL_OUTPUT, NOWHERE},
    {ATTRIBUTES, "gen_ai.usage.cache_read.input_tokens", HG_COUNT_OTEL_CACHE_READ, NOWHERE},
    {ATTRIBUTES, "gen_ai.usage.cache_creation.input_tokens", HG_COUNT_OTEL_CACHE_WRITE, NOWHERE},
};
// clang-format on

void hg_counts_forget(struct hg_token_counts *counts) {
  for (size_t i = 0; i < HG_COUNTS; i++)
    counts->of[i] = (struct hg_token_count){.count = HG_UNKNOWN};
  counts->usage = HG_JSON_NONE;
  counts->of_choice = false;
}

void hg_counts_init(struct hg_token_counts *counts) {
  *counts = (struct hg_token_counts){.error = false};
  hg_counts_forget(counts);
}

bool hg_counts_say(const struct hg_token_counts *counts, enum hg_count_name first, enum hg_count_name last) {
  for (size_t i = first; i <= last; i++)
    if (counts->of[i].count != HG_UNKNOWN || counts->of[i].fault) return true;
  return false;
}

// Some gateways put counts into quotes: what is between them is read as the number that it stands for.
static struct hg_json without_quotes(const struct hg_json *value) {
  if (value->type != HG_JSON_STRING || value->len <= 2) return *value;
  for (size_t i = 1; i + 1 < value->len; i++)
    if (value->at[i] < '0' || value->at[i] > '9') return *value;
  return (struct hg_json){HG_JSON_NUMBER, value->at + 1, value->len - 2};
}

static void take_count(const struct hg_json *said, bool fractions, struct hg_token_count *out) {
  const struct hg_json number = without_quotes(said), *value = &number;
  if (value->type == HG_JSON_NONE) return;
  if (value->type == HG_JSON_NULL) {
    out->null = out->count == HG_UNKNOWN && !out->fault;
    return;
  }
  *out = (struct hg_token_count){.count = HG_UNKNOWN};
  int64_t count;
  if (value->type != HG_JSON_NUMBER) out->fault = "a token count in the usage is not a number";
  else if (value->at[0] == '-') out->fault = "a token count in the usage is negative";
  else if (!(fractions ? hg_json_tokens_up(value, &count) : hg_json_tokens(value, &count))) out->count = count;
  else
    out->fault = fractions ? "a token count in the usage is over 2^53 - 1"
                           : "a token count in the usage is fractional or over 2^53 - 1";
}

static void take_place(struct hg_token_counts *counts, const struct hg_json *object, enum place place) {
  struct hg_json_field fields[COUNT(rows)];
  const struct row *here[COUNT(rows)];
  size_t count = 0;
  if (place == KIND && !hg_json_is_absent(object)) counts->duration = hg_json_is(object, "duration");
  if (object->type != HG_JSON_OBJECT) return;
  for (size_t i = 0; i < COUNT(rows); i++) {
    if (rows[i].place != place) continue;
    here[count] = &rows[i];
    fields[count++].name = rows[i].name;
  }
  hg_json_pick(object, fields, count);
  const bool fractions = place == BILLED || place == WORKED;
  for (size_t i = 0; i < count; i++) {
    if (here[i]->inside == NOWHERE) take_count(&fields[i].value, fractions, &counts->of[here[i]->count]);
    else take_place(counts, &fields[i].value, here[i]->inside);
  }
}

static void take_label(const struct hg_json *value, char label[HG_LABEL_MAX + 1]) {
  char text[HG_LABEL_MAX + 1];
  if (value->type == HG_JSON_STRING && hg_json_copy(value, text, sizeof text) && text[0])
    memcpy(label, text, sizeof text);
}

static const struct hg_json *first_of(const struct hg_answer *answer, enum hg_answer_member a,
                                      enum hg_answer_member b) {
  const struct hg_json *first = hg_answer_member(answer, a);
  return hg_json_is_absent(first) ? hg_answer_member(answer, b) : first;
}

static void take_labels(struct hg_token_counts *counts, const struct hg_answer *answer) {
  take_label(first_of(answer, HG_ANSWER_RESPONSE_ID, HG_ANSWER_RESPONSE_ID_SNAKE), counts->response_id);
  take_label(hg_answer_member(answer, HG_ANSWER_ID), counts->response_id);
  take_label(first_of(answer, HG_ANSWER_MODEL_VERSION, HG_ANSWER_MODEL_VERSION_SNAKE), counts->model);
  take_label(hg_answer_member(answer, HG_ANSWER_MODEL), counts->model);
}

// A list of embeddings, which OpenAI calls its data.
static bool lists_embeddings(const struct hg_json *data) {
  struct hg_json_field fields[] = {{.name = "embedding"}, {.name = "embeddings"}};
  struct hg_json first;
  const char *cursor = NULL;
  if (data->type != HG_JSON_ARRAY || !hg_json_next(data, &cursor, NULL, &first)) return false;
  hg_json_pick(&first, fields, COUNT(fields));
  return !hg_json_is_absent(&fields[0].value) || !hg_json_is_absent(&fields[1].value);
}

// What the object says itself. False: nothing, and where it wraps another one that may say more.
static bool take_own(struct hg_token_counts *counts, const struct hg_answer *answer) {
  const struct hg_json *usage = hg_answer_member(answer, HG_ANSWER_USAGE);
  const struct hg_json *gemini = first_of(answer, HG_ANSWER_USAGE_METADATA, HG_ANSWER_USAGE_METADATA_SNAKE);
  const struct hg_json *meta = hg_answer_member(answer, HG_ANSWER_META);
  const struct hg_json *prompt = hg_answer_member(answer, HG_ANSWER_PROMPT_EVAL_COUNT);
  const struct hg_json *output = hg_answer_member(answer, HG_ANSWER_EVAL_COUNT);
  const struct hg_json *type = hg_answer_member(answer, HG_ANSWER_TYPE);
  const struct hg_json *done = hg_answer_member(answer, HG_ANSWER_DONE);
  counts->error |= !hg_json_is_absent(hg_answer_member(answer, HG_ANSWER_ERROR));
  counts->embeds |= !hg_json_is_absent(first_of(answer, HG_ANSWER_EMBEDDINGS, HG_ANSWER_EMBEDDING)) ||
                    lists_embeddings(hg_answer_member(answer, HG_ANSWER_DATA));
  counts->anthropic |= hg_json_is(type, "message") || hg_json_is(type, "message_start");
  counts->unended = done->type != HG_JSON_TRUE;
  if (usage->type > counts->usage) counts->usage = usage->type; // an object says more than null, null than nothing
  if (usage->type == HG_JSON_OBJECT) counts->of_choice = false;
  take_labels(counts, answer);
  take_place(counts, usage, USAGE);
  take_place(counts, gemini, GEMINI);
  take_place(counts, meta, META);
  take_place(counts, hg_answer_member(answer, HG_ANSWER_INVOCATION_METRICS), INVOCATION);
  take_count(prompt, false, &counts->of[HG_COUNT_OLLAMA_PROMPT]);
  take_count(output, false, &counts->of[HG_COUNT_OLLAMA_OUTPUT]);
  return usage->type == HG_JSON_OBJECT || gemini->type == HG_JSON_OBJECT || !hg_json_is_absent(prompt) ||
         !hg_json_is_absent(output);
}

// Moonshot's older streams have the usage in the choice that ends, and none beside the choices.
static void take_choice(struct hg_token_counts *counts, const struct hg_json *choices) {
  struct hg_json_field usage = {.name = "usage"};
  const char *cursor = NULL;
  struct hg_json choice, other;
  if (choices->type != HG_JSON_ARRAY || !hg_json_next(choices, &cursor, NULL, &choice)) return;
  hg_json_pick(&choice, &usage, 1);
  if (usage.value.type != HG_JSON_OBJECT || hg_json_next(choices, &cursor, NULL, &other)) return;
  counts->usage = HG_JSON_OBJECT;
  counts->of_choice = true;
  take_place(counts, &usage.value, USAGE);
}

static void take_inner(struct hg_token_counts *counts, const struct hg_json *object) {
  struct hg_answer inner;
  if (object->type != HG_JSON_OBJECT) return;
  hg_answer_read_inner(object, &inner);
  take_own(counts, &inner);
}

// A line of a batch's results has the answer one level deeper than an event: in response.body or in result.message.
static void take_deeper(struct hg_token_counts *counts, const struct hg_json *object, enum hg_answer_member wrap) {
  struct hg_answer inner;
  if (object->type != HG_JSON_OBJECT) return;
  hg_answer_read_inner(object, &inner);
  const struct hg_json deeper = *hg_answer_member(&inner, wrap);
  if (deeper.type == HG_JSON_OBJECT) take_inner(counts, &deeper);
  else take_own(counts, &inner);
}

// Users put words of their own into "metadata"; of Bedrock's event it is the only member.
static bool is_only_member(const struct hg_json *member, const struct hg_json *object) {
  const char *cursor = NULL;
  struct hg_json name, value;
  return hg_json_next(object, &cursor, &name, &value) && value.at == member->at &&
         !hg_json_next(object, &cursor, &name, &value);
}

void hg_counts_take(struct hg_token_counts *counts, const struct hg_answer *answer) {
  if (take_own(counts, answer)) return;
  take_deeper(counts, hg_answer_member(answer, HG_ANSWER_RESPONSE), HG_ANSWER_BODY);
  take_deeper(counts, hg_answer_member(answer, HG_ANSWER_BATCHED), HG_ANSWER_MESSAGE);
  take_inner(counts, hg_answer_member(answer, HG_ANSWER_DELTA));
  take_inner(counts, hg_answer_member(answer, HG_ANSWER_X_GROQ));
  if (hg_json_is(hg_answer_member(answer, HG_ANSWER_TYPE), "message_start"))
    take_inner(counts, hg_answer_member(answer, HG_ANSWER_MESSAGE));
  const struct hg_json *metadata = hg_answer_member(answer, HG_ANSWER_METADATA);
  if (is_only_member(metadata, &answer->root)) take_inner(counts, metadata);
  if (hg_answer_member(answer, HG_ANSWER_USAGE)->type == HG_JSON_NONE)
    take_choice(counts, hg_answer_member(answer, HG_ANSWER_CHOICES));
}

// "metadata" is not among them: it is read only where it stands alone.
bool hg_counts_stand_in(const struct hg_json *name) {
  static const enum hg_answer_member places[] = {HG_ANSWER_USAGE,
                                                 HG_ANSWER_USAGE_METADATA,
                                                 HG_ANSWER_USAGE_METADATA_SNAKE,
                                                 HG_ANSWER_META,
                                                 HG_ANSWER_PROMPT_EVAL_COUNT,
                                                 HG_ANSWER_EVAL_COUNT,
                                                 HG_ANSWER_INVOCATION_METRICS,
                                                 HG_ANSWER_RESPONSE,
                                                 HG_ANSWER_BATCHED,
                                                 HG_ANSWER_MESSAGE,
                                                 HG_ANSWER_DELTA,
                                                 HG_ANSWER_X_GROQ};
  for (size_t i = 0; i < COUNT(places); i++)
    if (hg_json_is(name, hg_answer_name(places[i]))) return true;
  for (size_t i = 0; i < COUNT(rows); i++)
    if (rows[i].place == ATTRIBUTES && hg_json_is(name, rows[i].name)) return true;
  return hg_json_is(name, "attributes");
}

void hg_counts_take_attributes(struct hg_token_counts *counts, const struct hg_json *object) {
  struct hg_json_field fields[] = {
      {.name = "attributes"}, {.name = "gen_ai.response.id"}, {.name = "gen_ai.response.model"}};
  hg_json_pick(object, fields, COUNT(fields));
  const struct hg_json inner = fields[0].value;
  take_place(counts, object, ATTRIBUTES);
  take_place(counts, &inner, ATTRIBUTES);
  for (int i = 0; i < 2; i++) {
    take_label(&fields[1].value, counts->response_id);
    take_label(&fields[2].value, counts->model);
    hg_json_pick(&inner, fields, COUNT(fields));
  }
}
