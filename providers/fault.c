// Looks for what makes an answer with a good HTTP status none.
#include "providers/fault.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// Codes and types of errors, and the status with which they come when they do not hide inside a 200.
static const struct {
  const char *word;
  long status;
} words[] = {
    {"invalid_request_error", 400},
    {"validationException", 400},
    {"rate_limit_exceeded", 429},
    {"rate_limit_error", 429},
    {"rate_limited", 429},
    {"too_many_requests", 429},
    {"throttlingException", 429},
    {"overloaded_error", 529}, // Anthropic's
    {"overloaded", 503},
    {"engine_overloaded", 503},
    {"engine_overloaded_error", 503},
    {"service_unavailable", 503},
    {"serviceUnavailableException", 503},
    {"server_error", 500},
    {"internal_server_error", 500},
    {"internal_error", 500},
    {"api_error", 500},
    {"timeout_error", 500},
    {"invalid_api_key", 401},
    {"authentication_error", 401},
    {"billing_error", 402},
    {"permission_error", 403},
    {"accessDeniedException", 403},
    {"model_not_found", 404},
    {"not_found_error", 404},
};

static long status_of_word(const struct hg_json *value) {
  const long status = hg_json_status(value);
  if (status >= 400 && status <= 599) return status;
  for (size_t i = 0; i < COUNT(words); i++)
    if (hg_json_is(value, words[i].word)) return words[i].status;
  return 0;
}

static bool is_quota(const struct hg_json *code_or_type) {
  return hg_json_is(code_or_type, "insufficient_quota");
}

// `error` is an object with a code, a type and a message, or just a text. `status`: of one whose words are unknown.
static void read_error(const struct hg_json *error, long status, struct hg_answer_fault *out) {
  struct hg_json_field fields[] = {{.name = "code"}, {.name = "type"}, {.name = "message"}};
  char code[48], message[HG_FAULT_TEXT_MAX];
  hg_json_pick(error, fields, COUNT(fields));
  for (size_t i = 0; i < 2; i++) {
    out->quota |= is_quota(&fields[i].value);
    if (!out->status) out->status = status_of_word(&fields[i].value);
  }
  if (out->quota) out->status = 429;
  if (!out->status) out->status = status;
  hg_json_show(&fields[0].value, code, sizeof code);
  if (!code[0]) hg_json_show(&fields[1].value, code, sizeof code);
  hg_json_show(error->type == HG_JSON_STRING ? error : &fields[2].value, message, sizeof message);
  snprintf(out->text, sizeof out->text, "%s%s%.64s", code, code[0] && message[0] ? ": " : "", message);
}

// A response (of the responses API) that ended otherwise than whole, or has not ended.
static bool read_status(const struct hg_answer *answer, struct hg_answer_fault *out) {
  const struct hg_json *status = hg_answer_member(answer, HG_ANSWER_STATUS);
  const struct hg_json *output = hg_answer_member(answer, HG_ANSWER_OUTPUT);
  if (!hg_json_is(hg_answer_member(answer, HG_ANSWER_OBJECT), "response") && output->type == HG_JSON_NONE) return false;
  struct hg_json_field reason = {.name = "reason"};
  hg_json_pick(hg_answer_member(answer, HG_ANSWER_DETAILS), &reason, 1);
  const bool failed = hg_json_is(status, "failed"), incomplete = hg_json_is(status, "incomplete");
  const bool unended = hg_json_is(status, "queued") || hg_json_is(status, "in_progress");
  if (incomplete && (hg_json_is(&reason.value, "max_output_tokens") || hg_json_says_something(output))) return false;
  if (!failed && !incomplete && !unended && !hg_json_is(status, "cancelled")) return false;
  char word[16], why[48];
  hg_json_show(status, word, sizeof word);
  hg_json_show(&reason.value, why, sizeof why);
  snprintf(out->text, sizeof out->text, "the response is %s%s%s", word, why[0] ? ": " : "", why);
  out->status = failed ? 500 : 400;
  out->worked = !failed; // somebody began with it, or still works on it
  return true;
}

// What broke a stream did so when the request had been taken: it is no fault of the request unless it says so.
static bool read_fault(const struct hg_answer *answer, const struct hg_streamed *streamed,
                       struct hg_answer_fault *out) {
  const bool broken = streamed && streamed->broken;
  const long unknown = broken ? 500 : 400;
  const struct hg_json *error = hg_answer_member(answer, HG_ANSWER_ERROR);
  const bool is_error = hg_json_is(hg_answer_member(answer, HG_ANSWER_OBJECT), "error") ||
                        hg_json_is(hg_answer_member(answer, HG_ANSWER_TYPE), "error");
  if (hg_json_says_something(error)) read_error(error, unknown, out);
  else if (is_error) read_error(&answer->root, unknown, out);
  else if (!read_status(answer, out) && !broken) return false;
  if (!out->status) {
    out->status = unknown;
    snprintf(out->text, sizeof out->text, "%.119s", streamed->text);
  }
  out->worked |= broken && streamed->worked;
  for (enum hg_answer_member i = HG_ANSWER_OUTPUT; i <= HG_ANSWER_USAGE; i++)
    out->worked |= hg_json_says_something(hg_answer_member(answer, i));
  return true;
}

// ---------------------------------------------------------------------------------------------- the payload

// The answer came, so it may have been billed.
static enum hg_answer_kind fail_of(struct hg_answer_fault *out, long status, const char *text) {
  *out = (struct hg_answer_fault){.status = status, .worked = true};
  snprintf(out->text, sizeof out->text, "%s", text);
  return HG_ANSWER_FAULT;
}

// An upstream that fails while it writes is told inside the choice: an `error`, or a finish_reason of its own.
static enum hg_answer_kind kind_of_choice(const struct hg_json *choice, struct hg_answer_fault *out) {
  struct hg_json_field fields[] = {{.name = "error"}, {.name = "finish_reason"}};
  hg_json_pick(choice, fields, COUNT(fields));
  if (hg_json_says_something(&fields[0].value)) {
    *out = (struct hg_answer_fault){.worked = true};
    read_error(&fields[0].value, 400, out);
    return HG_ANSWER_FAULT;
  }
  if (hg_json_is(&fields[1].value, "error")) return fail_of(out, 500, "the finish_reason is error");
  if (hg_json_is(&fields[1].value, "insufficient_system_resource")) // DeepSeek's
    return fail_of(out, 503, "the finish_reason is insufficient_system_resource");
  return choice->type == HG_JSON_OBJECT ? HG_ANSWER_RESULT : fail_of(out, 500, "a choice is no object");
}

// One good choice makes a result: all of them are paid for, and to call again would pay for the good ones once more.
// The others say in the result what became of them. Where none is good, the first one says why.
static enum hg_answer_kind kind_of_choices(const struct hg_json *choices, struct hg_answer_fault *out) {
  const char *cursor = NULL;
  struct hg_json choice;
  struct hg_answer_fault other;
  if (!hg_json_next(choices, &cursor, NULL, &choice)) return fail_of(out, 500, "there is no choice in it");
  enum hg_answer_kind kind = kind_of_choice(&choice, out);
  while (kind == HG_ANSWER_FAULT && hg_json_next(choices, &cursor, NULL, &choice))
    kind = kind_of_choice(&choice, &other);
  return kind;
}

// Cohere's chat has one choice, and its finish_reason beside it.
static bool ended_badly(const struct hg_answer *answer, struct hg_answer_fault *out) {
  struct hg_json_field reason = {.name = "finish_reason"};
  hg_json_pick(&answer->root, &reason, 1);
  if (hg_json_is(&reason.value, "ERROR")) return fail_of(out, 500, "the finish_reason is ERROR");
  return hg_json_is(&reason.value, "TIMEOUT") && fail_of(out, 503, "the finish_reason is TIMEOUT");
}

static enum hg_answer_kind none(struct hg_answer_fault *out, const char *text, const char *name) {
  snprintf(out->text, sizeof out->text, "%s%s", text, name);
  return HG_ANSWER_NONE;
}

// No content is an answer of a model that had nothing to say, and so is no output of a response that calls itself
// completed; but no embedding answers an input.
static enum hg_answer_kind kind_of_payload(const struct hg_answer *answer, enum hg_endpoint endpoint,
                                           struct hg_answer_fault *out) {
  static const enum hg_answer_member payloads[HG_ENDPOINT_OTHER] = {[HG_ENDPOINT_CHAT] = HG_ANSWER_CHOICES,
                                                                    [HG_ENDPOINT_RESPONSES] = HG_ANSWER_OUTPUT,
                                                                    [HG_ENDPOINT_COMPLETIONS] = HG_ANSWER_CHOICES,
                                                                    [HG_ENDPOINT_EMBEDDINGS] = HG_ANSWER_DATA,
                                                                    [HG_ENDPOINT_MESSAGES] = HG_ANSWER_CONTENT};
  if (endpoint == HG_ENDPOINT_OTHER) {
    if (ended_badly(answer, out)) return HG_ANSWER_FAULT;
    const bool some = answer->root.type == HG_JSON_OBJECT || answer->root.type == HG_JSON_ARRAY;
    return some ? HG_ANSWER_RESULT : none(out, "it is neither an object nor an array", "");
  }
  const enum hg_answer_member member = payloads[endpoint];
  const struct hg_json *payload = hg_answer_member(answer, member);
  if (payload->type != HG_JSON_ARRAY) return none(out, "it has no array of ", hg_answer_name(member));
  if (member == HG_ANSWER_CHOICES) return kind_of_choices(payload, out);
  if (member == HG_ANSWER_DATA && !hg_json_says_something(payload))
    return fail_of(out, 500, "there is no embedding in it");
  return HG_ANSWER_RESULT;
}

enum hg_answer_kind hg_answer_kind_of(const struct hg_answer *answer, const struct hg_streamed *streamed,
                                      enum hg_endpoint endpoint, struct hg_answer_fault *out) {
  *out = (struct hg_answer_fault){.status = 0};
  if (answer->fault) return none(out, answer->fault, "");
  return read_fault(answer, streamed, out) ? HG_ANSWER_FAULT : kind_of_payload(answer, endpoint, out);
}

// ---------------------------------------------------------------------------------------------- bad statuses

bool hg_answer_is_quota(const struct hg_answer *answer) {
  struct hg_json_field fields[] = {{.name = "code"}, {.name = "type"}};
  hg_json_pick(hg_answer_member(answer, HG_ANSWER_ERROR), fields, COUNT(fields));
  return is_quota(&fields[0].value) || is_quota(&fields[1].value);
}

void hg_answer_words(const struct hg_answer *answer, char *out, size_t capacity) {
  const struct hg_json *error = hg_answer_member(answer, HG_ANSWER_ERROR);
  struct hg_json_field inner = {.name = "message"}, outer[] = {{.name = "message"}, {.name = "detail"}};
  hg_json_pick(error, &inner, 1);
  hg_json_pick(&answer->root, outer, COUNT(outer));
  const struct hg_json *said[] = {&inner.value, error, &outer[0].value, &outer[1].value};
  out[0] = '\0';
  for (size_t i = 0; i < COUNT(said) && !out[0]; i++)
    hg_json_show(said[i], out, capacity);
}
