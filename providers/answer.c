// Looks for what makes an answer with a good HTTP status none.
#include "providers/answer.h"

#include "usage/json_scan.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum member { ERROR, OBJECT, TYPE, STATUS, DETAILS, OUTPUT, CHOICES, CONTENT, DATA, USAGE, MEMBERS };
static const char *const names[MEMBERS] = {
    [ERROR] = "error",
    [OBJECT] = "object",
    [TYPE] = "type",
    [STATUS] = "status",
    [DETAILS] = "incomplete_details",
    [OUTPUT] = "output",
    [CHOICES] = "choices",
    [CONTENT] = "content",
    [DATA] = "data",
    [USAGE] = "usage",
};

// Codes and types of errors, and the status with which they come when they do not hide inside a 200.
static const struct {
  const char *word;
  long status;
} words[] = {
    {"rate_limit_exceeded", 429},
    {"rate_limit_error", 429},
    {"rate_limited", 429},
    {"too_many_requests", 429},
    {"overloaded_error", 503},
    {"overloaded", 503},
    {"engine_overloaded", 503},
    {"engine_overloaded_error", 503},
    {"service_unavailable", 503},
    {"server_error", 500},
    {"internal_server_error", 500},
    {"internal_error", 500},
    {"api_error", 500},
    {"timeout_error", 500},
    {"invalid_api_key", 401},
    {"authentication_error", 401},
    {"billing_error", 402},
    {"permission_error", 403},
    {"model_not_found", 404},
    {"not_found_error", 404},
};

// null, false, 0, "", {} and [] are how an answer says that there was no error.
static bool says_something(const struct hg_json *value) {
  switch (value->type) {
  case HG_JSON_NONE:
  case HG_JSON_NULL:
  case HG_JSON_FALSE: return false;
  case HG_JSON_TRUE: return true;
  case HG_JSON_NUMBER: return value->at[0] != '0';
  case HG_JSON_STRING: return value->len > 2;
  case HG_JSON_ARRAY:
  case HG_JSON_OBJECT: break;
  }
  const char *cursor = NULL;
  struct hg_json inner;
  return hg_json_next(value, &cursor, NULL, &inner);
}

static long status_of_word(const struct hg_json *value) {
  const long status = hg_json_status(value);
  if (status >= 400 && status <= 599) return status;
  for (size_t i = 0; i < COUNT(words); i++)
    if (hg_json_is(value, words[i].word)) return words[i].status;
  return 0;
}

// `error` is an object with a code, a type and a message, or just a text.
static void read_error(const struct hg_json *error, struct hg_answer_fault *out) {
  struct hg_json_field fields[] = {{.name = "code"}, {.name = "type"}, {.name = "message"}};
  char code[48], message[HG_FAULT_TEXT_MAX];
  hg_json_pick(error, fields, COUNT(fields));
  for (size_t i = 0; i < 2; i++) {
    out->quota |= hg_json_is(&fields[i].value, "insufficient_quota");
    if (!out->status) out->status = status_of_word(&fields[i].value);
  }
  if (out->quota) out->status = 429;
  if (!out->status) out->status = 400;
  hg_json_show(&fields[0].value, code, sizeof code);
  if (!code[0]) hg_json_show(&fields[1].value, code, sizeof code);
  hg_json_show(error->type == HG_JSON_STRING ? error : &fields[2].value, message, sizeof message);
  snprintf(out->text, sizeof out->text, "%s%s%.64s", code, code[0] && message[0] ? ": " : "", message);
}

// A response (of the responses API) that ended otherwise than whole, or has not ended.
static bool read_status(const struct hg_json_field *found, struct hg_answer_fault *out) {
  const struct hg_json *status = &found[STATUS].value;
  if (!hg_json_is(&found[OBJECT].value, "response") && found[OUTPUT].value.type == HG_JSON_NONE) return false;
  struct hg_json_field reason = {.name = "reason"};
  hg_json_pick(&found[DETAILS].value, &reason, 1);
  const bool failed = hg_json_is(status, "failed"), incomplete = hg_json_is(status, "incomplete");
  const bool unended = hg_json_is(status, "queued") || hg_json_is(status, "in_progress");
  if (incomplete && (hg_json_is(&reason.value, "max_output_tokens") || says_something(&found[OUTPUT].value)))
    return false;
  if (!failed && !incomplete && !unended && !hg_json_is(status, "cancelled")) return false;
  char word[16], why[48];
  hg_json_show(status, word, sizeof word);
  hg_json_show(&reason.value, why, sizeof why);
  snprintf(out->text, sizeof out->text, "the response is %s%s%s", word, why[0] ? ": " : "", why);
  out->status = failed ? 500 : 400;
  out->worked = !failed; // somebody began with it, or still works on it
  return true;
}

bool hg_answer_is_fault(const char *body, size_t len, struct hg_answer_fault *out) {
  struct hg_json root;
  *out = (struct hg_answer_fault){.status = 0};
  if (!body || hg_json_check(body, len, &root, NULL) || root.type != HG_JSON_OBJECT) return false;
  struct hg_json_field found[MEMBERS];
  for (size_t i = 0; i < MEMBERS; i++)
    found[i].name = names[i];
  hg_json_pick(&root, found, MEMBERS);
  const bool is_error = hg_json_is(&found[OBJECT].value, "error") || hg_json_is(&found[TYPE].value, "error");
  if (says_something(&found[ERROR].value)) read_error(&found[ERROR].value, out);
  else if (is_error) read_error(&root, out);
  else if (!read_status(found, out)) return false;
  for (enum member i = OUTPUT; i <= USAGE; i++)
    out->worked |= says_something(&found[i].value);
  return true;
}
