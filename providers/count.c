// Copies the members that a counter knows; others it would refuse, or they are of no account.
#include "providers/count.h"

#include "base/json_scan.h"
#include "base/text_buffer.h"

#include <stdlib.h>
#include <string.h>

// What each reads, by the documentation of its provider.
static const char *const openai_members[] = {
    "model", "input",     "instructions", "tools",        "tool_choice",          "parallel_tool_calls",
    "text",  "reasoning", "truncation",   "conversation", "previous_response_id", NULL};
static const char *const anthropic_members[] = {"model",    "messages",      "system",        "tools", "tool_choice",
                                                "thinking", "cache_control", "output_config", NULL};
static const char *const vllm_members[] = {"model",
                                           "messages",
                                           "prompt",
                                           "tools",
                                           "add_generation_prompt",
                                           "continue_final_message",
                                           "add_special_tokens",
                                           "chat_template",
                                           "chat_template_kwargs",
                                           "media_io_kwargs",
                                           "mm_processor_kwargs",
                                           NULL};

enum hg_input_counter hg_input_counter_of(enum hg_endpoint endpoint, const struct hg_llm_config *llm) {
  switch (endpoint) {
  case HG_ENDPOINT_RESPONSES: return HG_INPUT_COUNTER_OPENAI;
  case HG_ENDPOINT_MESSAGES: return HG_INPUT_COUNTER_ANTHROPIC;
  case HG_ENDPOINT_CHAT:
  case HG_ENDPOINT_COMPLETIONS: return llm->counter == HG_COUNT_BY_VLLM ? HG_INPUT_COUNTER_VLLM : HG_INPUT_COUNTER_NONE;
  case HG_ENDPOINT_EMBEDDINGS:
  case HG_ENDPOINT_OTHER: break;
  }
  return HG_INPUT_COUNTER_NONE;
}

// ---------------------------------------------------------------------------------------------- the question

static const char *const *members_of(enum hg_input_counter counter) {
  switch (counter) {
  case HG_INPUT_COUNTER_OPENAI: return openai_members;
  case HG_INPUT_COUNTER_ANTHROPIC: return anthropic_members;
  case HG_INPUT_COUNTER_VLLM: return vllm_members;
  case HG_INPUT_COUNTER_NONE: break;
  }
  static const char *const none[] = {NULL};
  return none;
}

// /tokenize reads one text, or messages; chat templates read documents too, which it does not know.
static bool vllm_can_count(const struct hg_json *root, enum hg_endpoint endpoint) {
  struct hg_json_field fields[] = {{.name = "messages"}, {.name = "prompt"}, {.name = "documents"}};
  hg_json_pick(root, fields, 3);
  if (endpoint == HG_ENDPOINT_CHAT)
    return fields[0].value.type == HG_JSON_ARRAY && hg_json_is_absent(&fields[1].value) &&
           hg_json_is_absent(&fields[2].value);
  return fields[1].value.type == HG_JSON_STRING && hg_json_is_absent(&fields[0].value);
}

static hg_err copy_members(const struct hg_json *root, const char *const *members, struct hg_text_buffer *out) {
  const char *cursor = NULL;
  struct hg_json name, value;
  hg_err err = hg_text_buffer_add_text(out, "{");
  while (!err && hg_json_next(root, &cursor, &name, &value)) {
    if (!hg_json_is_one_of(&name, members)) continue;
    if (out->len > 1) err = hg_text_buffer_add_text(out, ",");
    if (!err) err = hg_text_buffer_add(out, name.at, name.len);
    if (!err) err = hg_text_buffer_add_text(out, ":");
    if (!err) err = hg_text_buffer_add(out, value.at, value.len);
  }
  return err ? err : hg_text_buffer_add_text(out, "}");
}

hg_err hg_count_request(const struct hg_prepared *prepared, enum hg_input_counter counter, char **out,
                        size_t *out_len) {
  struct hg_json root;
  if (counter == HG_INPUT_COUNTER_NONE || hg_json_check(prepared->body, prepared->body_len, &root, NULL))
    return HG_ERR_EMPTY;
  if (counter == HG_INPUT_COUNTER_VLLM && !vllm_can_count(&root, prepared->endpoint)) return HG_ERR_EMPTY;
  struct hg_text_buffer text = {.data = NULL};
  const hg_err err = copy_members(&root, members_of(counter), &text);
  if (err) {
    hg_text_buffer_clear(&text);
    return err;
  }
  *out = text.data;
  *out_len = text.len;
  return HG_OK;
}

// ---------------------------------------------------------------------------------------------- where it goes

// Without its last segment, and without the slashes before it.
static size_t drop_segment(const char *path, size_t len) {
  while (len > 0 && path[len - 1] != '/')
    len--;
  while (len > 0 && path[len - 1] == '/')
    len--;
  return len;
}

static bool is_version(const char *segment, size_t len) {
  return len > 1 && segment[0] == 'v' && segment[1] >= '0' && segment[1] <= '9';
}

// vLLM has it beside /v1, not under it.
static size_t root_len(const char *path, size_t len) {
  const size_t completions = drop_segment(path, len);
  static const char chat[] = "/chat";
  const size_t chat_len = sizeof chat - 1;
  const bool is_chat = completions >= chat_len && memcmp(path + completions - chat_len, chat, chat_len) == 0;
  const size_t base = is_chat ? completions - chat_len : completions, above = drop_segment(path, base);
  size_t segment = above;
  while (segment < base && path[segment] == '/')
    segment++;
  return is_version(path + segment, base - segment) ? above : base;
}

hg_err hg_count_url(const char *url, enum hg_input_counter counter, char **out) {
  const char *scheme = strstr(url, "://"), *authority = scheme ? scheme + 3 : url;
  const char *path = authority + strcspn(authority, "/?"), *query = path + strcspn(path, "?");
  size_t len = (size_t)(query - path);
  while (len > 0 && path[len - 1] == '/')
    len--;
  const char *end = counter == HG_INPUT_COUNTER_OPENAI      ? "/input_tokens"
                    : counter == HG_INPUT_COUNTER_ANTHROPIC ? "/count_tokens"
                                                            : "/tokenize";
  if (counter == HG_INPUT_COUNTER_VLLM) len = root_len(path, len);
  struct hg_text_buffer text = {.data = NULL};
  hg_err err = hg_text_buffer_add(&text, url, (size_t)(path - url) + len);
  if (!err) err = hg_text_buffer_add_text(&text, end);
  if (!err) err = hg_text_buffer_add(&text, query, strlen(query) + 1);
  if (err) hg_text_buffer_clear(&text);
  else *out = text.data;
  return err;
}

// ---------------------------------------------------------------------------------------------- the answer

bool hg_count_read(enum hg_input_counter counter, const char *body, size_t len, int64_t *tokens) {
  struct hg_json root;
  struct hg_json_field field = {.name = counter == HG_INPUT_COUNTER_VLLM ? "count" : "input_tokens"};
  if (!body || hg_json_check(body, len, &root, NULL) || root.type != HG_JSON_OBJECT) return false;
  hg_json_pick(&root, &field, 1);
  return !field.repeated && !hg_json_tokens(&field.value, tokens) && *tokens > 0;
}

int64_t hg_count_less(const struct hg_prepared *prepared, int64_t counted) {
  const int64_t margin = counted / 100 * HG_COUNT_MARGIN_PERCENT + HG_COUNT_MARGIN_PERCENT + HG_COUNT_MARGIN_TOKENS;
  return counted < prepared->input_bound - margin ? prepared->input_bound - margin - counted : 0;
}
