// The shapes of usage that providers answer with, turned into one normal form. What a part belongs to is a matter of
// the shape: OpenAI's cached tokens are inside the prompt's, Anthropic's are beside the input's.
#include "usage/usage.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum usage_field {
  PROMPT,
  COMPLETION,
  INPUT,
  OUTPUT,
  TOTAL,
  CACHE_WRITE,
  CACHE_READ,
  CACHE_HIT,
  PROMPT_DETAILS,
  COMPLETION_DETAILS,
  INPUT_DETAILS,
  OUTPUT_DETAILS,
  USAGE_FIELDS
};

static const char *const usage_names[USAGE_FIELDS] = {
    [PROMPT] = "prompt_tokens",
    [COMPLETION] = "completion_tokens",
    [INPUT] = "input_tokens",
    [OUTPUT] = "output_tokens",
    [TOTAL] = "total_tokens",
    [CACHE_WRITE] = "cache_creation_input_tokens",
    [CACHE_READ] = "cache_read_input_tokens",
    [CACHE_HIT] = "prompt_cache_hit_tokens",
    [PROMPT_DETAILS] = "prompt_tokens_details",
    [COMPLETION_DETAILS] = "completion_tokens_details",
    [INPUT_DETAILS] = "input_tokens_details",
    [OUTPUT_DETAILS] = "output_tokens_details",
};

// Some gateways put counts into quotes: what is between them is read as the number that it stands for.
static struct hg_json without_quotes(const struct hg_json *value) {
  if (value->type != HG_JSON_STRING || value->len <= 2) return *value;
  for (size_t i = 1; i + 1 < value->len; i++)
    if (value->at[i] < '0' || value->at[i] > '9') return *value;
  return (struct hg_json){HG_JSON_NUMBER, value->at + 1, value->len - 2};
}

// A figure that the total rests on: absent or null is HG_UNKNOWN, anything else must be a count. False: hostile.
static bool read_figure(const struct hg_json *said, int64_t *out, const char **reason) {
  const struct hg_json number = without_quotes(said), *value = &number;
  *out = HG_UNKNOWN;
  if (hg_json_is_absent(value)) return true;
  if (value->type != HG_JSON_NUMBER) *reason = "a token count in the usage is not a number";
  else if (value->at[0] == '-') *reason = "a token count in the usage is negative";
  else if (hg_json_tokens(value, out)) *reason = "a token count in the usage is fractional or over 2^53 - 1";
  else return true;
  return false;
}

// A part that only informs: whatever is wrong with it, the total stays good.
static int64_t read_part(const struct hg_json *details, const char *first, const char *second) {
  struct hg_json_field fields[] = {{.name = first}, {.name = second}};
  hg_json_pick(details, fields, COUNT(fields));
  int64_t part;
  if (!hg_json_tokens(&fields[0].value, &part) || !hg_json_tokens(&fields[1].value, &part)) return part;
  return HG_UNKNOWN;
}

static int64_t known(int64_t figure) {
  return figure == HG_UNKNOWN ? 0 : figure;
}

// The explicit total wins unless it is less than its parts. NULL, or why there is none.
static const char *settle_total(hg_usage_report *report, int64_t stated) {
  const bool whole = report->input_tokens != HG_UNKNOWN && report->output_tokens != HG_UNKNOWN;
  const int64_t sum = known(report->input_tokens) + known(report->output_tokens);
  if (sum > HG_TOKENS_MAX) return "the usage adds up to more than 2^53 - 1";
  if (stated != HG_UNKNOWN && stated >= sum) {
    report->tokens = stated;
    // Some servers keep reasoning outside the output; their total shows it.
    if (whole && report->reasoning_tokens > 0 && stated - sum == report->reasoning_tokens)
      report->output_tokens += report->reasoning_tokens;
    return NULL;
  }
  report->tokens = sum;
  if (whole) return NULL;
  return stated == HG_UNKNOWN ? "the usage has neither a total nor both of its parts"
                              : "the total of the usage is less than its parts";
}

static void drop_impossible_parts(hg_usage_report *report) {
  const int64_t input = report->input_tokens, output = report->output_tokens;
  if (input != HG_UNKNOWN && report->cached_tokens > input) report->cached_tokens = HG_UNKNOWN;
  if (input != HG_UNKNOWN && report->cache_write_tokens > input) report->cache_write_tokens = HG_UNKNOWN;
  if (output != HG_UNKNOWN && report->reasoning_tokens > output) report->reasoning_tokens = HG_UNKNOWN;
}

// Anthropic: the input excludes what was written to and read from the cache.
static const char *read_anthropic(const struct hg_json_field *fields, hg_usage_report *report) {
  const char *reason = NULL;
  int64_t total;
  if (!read_figure(&fields[INPUT].value, &report->input_tokens, &reason) ||
      !read_figure(&fields[OUTPUT].value, &report->output_tokens, &reason) ||
      !read_figure(&fields[TOTAL].value, &total, &reason) ||
      !read_figure(&fields[CACHE_WRITE].value, &report->cache_write_tokens, &reason) ||
      !read_figure(&fields[CACHE_READ].value, &report->cached_tokens, &reason))
    return reason;
  if (report->input_tokens != HG_UNKNOWN)
    report->input_tokens += known(report->cache_write_tokens) + known(report->cached_tokens);
  report->reasoning_tokens = read_part(&fields[OUTPUT_DETAILS].value, "thinking_tokens", "reasoning_tokens");
  return settle_total(report, total);
}

// OpenAI and compatible: prompt and completion (chat, completions, embeddings) or input and output (responses).
static const char *read_openai(const struct hg_json_field *fields, hg_usage_report *report) {
  const bool chat = !hg_json_is_absent(&fields[PROMPT].value) || hg_json_is_absent(&fields[INPUT].value);
  const struct hg_json *in = &fields[chat ? PROMPT_DETAILS : INPUT_DETAILS].value;
  const struct hg_json *out = &fields[chat ? COMPLETION_DETAILS : OUTPUT_DETAILS].value;
  const char *reason = NULL;
  int64_t total;
  if (!read_figure(&fields[chat ? PROMPT : INPUT].value, &report->input_tokens, &reason) ||
      !read_figure(&fields[chat ? COMPLETION : OUTPUT].value, &report->output_tokens, &reason) ||
      !read_figure(&fields[TOTAL].value, &total, &reason))
    return reason;
  report->cached_tokens = read_part(in, "cached_tokens", NULL);
  if (report->cached_tokens == HG_UNKNOWN) hg_json_tokens(&fields[CACHE_HIT].value, &report->cached_tokens);
  report->cache_write_tokens = read_part(in, "cache_write_tokens", NULL);
  report->reasoning_tokens = read_part(out, "reasoning_tokens", NULL);
  return settle_total(report, total);
}

// NULL, or why the usage is missing.
static const char *read_usage(const struct hg_answer *answer, hg_usage_report *report) {
  const struct hg_json *usage = hg_answer_member(answer, HG_ANSWER_USAGE);
  const bool is_error = !hg_json_is_absent(hg_answer_member(answer, HG_ANSWER_ERROR));
  if (answer->root.type != HG_JSON_OBJECT) return "the answer is not a JSON object";
  if (usage->type == HG_JSON_NONE && is_error) return "the answer is an error and has no usage";
  if (usage->type == HG_JSON_NONE) return "the answer has no usage";
  if (usage->type == HG_JSON_NULL) return "the usage is null";
  if (usage->type != HG_JSON_OBJECT) return "the usage is not an object";
  struct hg_json_field fields[USAGE_FIELDS];
  for (size_t i = 0; i < USAGE_FIELDS; i++)
    fields[i].name = usage_names[i];
  hg_json_pick(usage, fields, USAGE_FIELDS);
  // Proxies add Anthropic's cache members to a chat usage whose prompt already has them: so the prompt decides first.
  const bool anthropic =
      hg_json_is_absent(&fields[PROMPT].value) &&
      (hg_json_is(hg_answer_member(answer, HG_ANSWER_TYPE), "message") ||
       fields[CACHE_WRITE].value.type != HG_JSON_NONE || fields[CACHE_READ].value.type != HG_JSON_NONE);
  const char *reason = anthropic ? read_anthropic(fields, report) : read_openai(fields, report);
  if (!reason) drop_impossible_parts(report);
  return reason;
}

static void copy_label(const struct hg_json *value, char text[HG_LABEL_MAX + 1], const char **out) {
  if (hg_json_copy(value, text, HG_LABEL_MAX + 1) && text[0]) *out = text;
}

hg_err hg_usage_find(const struct hg_answer *answer, struct hg_usage_found *out) {
  const hg_usage_report unknown = HG_USAGE_REPORT_INIT;
  *out = (struct hg_usage_found){.report = unknown, .reason = answer->fault};
  out->report.source = HG_SOURCE_MISSING;
  if (answer->fault) return HG_ERR_PROTOCOL;
  hg_usage_report report = unknown;
  out->reason = read_usage(answer, &report);
  if (!out->reason) out->report = report;
  copy_label(hg_answer_member(answer, HG_ANSWER_ID), out->response_id, &out->report.response_id);
  copy_label(hg_answer_member(answer, HG_ANSWER_MODEL), out->model, &out->report.model);
  return out->reason ? HG_ERR_NO_USAGE : HG_OK;
}

hg_err hg_usage_from_response(const char *body, size_t len, hg_usage_report *out) {
  if (!out || out->size < sizeof *out || (!body && len > 0)) return HG_ERR_INVALID;
  struct hg_answer answer;
  struct hg_usage_found found;
  hg_answer_read(body, len, &answer);
  const hg_err err = hg_usage_find(&answer, &found);
  found.report.size = out->size;
  found.report.task_id = out->task_id;
  found.report.budget = out->budget;
  found.report.attempt = out->attempt;
  found.report.model = found.report.response_id = NULL;
  *out = found.report;
  return err;
}
