// Judges how attempts end.
#include "runner/retry.h"

#include "providers/fault.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

// What a server says to everything that comes to a wrong URL: not there, another place, not this way.
static bool says_wrong_url(long status) {
  return (status >= 300 && status <= 399) || status == 404 || status == 405 || status == 410 || status == 501;
}

static void judge_as(long status, bool quota, struct hg_judgement *out) {
  // A gateway that lost its upstream, or gave up waiting for it, says nothing about what was worked on behind it.
  const bool lost = status == 502 || status == 504 || status == 524;
  out->access = quota || status == 401 || status == 402 || status == 403 || status == 407 || says_wrong_url(status);
  out->retry = !out->access && (status == 408 || status == 409 || status == 429 || status >= 500);
  out->unknown = lost;
  out->pushed = !quota && (status == 429 || status == 529); // 529: Anthropic's overload
  out->unserved = out->access || lost;
  out->served = !out->unserved && !out->retry;
}

static void judge_status(const struct hg_http_end *end, const struct hg_answer *answer, struct hg_judgement *out) {
  const long status = end->status;
  const bool quota = status == 429 && hg_answer_is_quota(answer);
  judge_as(status, quota, out);
  out->code = quota ? "insufficient_quota" : "http_error";
  snprintf(out->message, sizeof out->message, "the provider answered HTTP %ld%s", status,
           status >= 300 && status <= 399 ? ", a redirect, which is not followed; correct the base URL" : "");
  hg_answer_words(answer, out->said, sizeof out->said);
}

// An error inside a good status is judged as the status that it should have come with; what shows work may have been
// billed.
static void judge_fault(const struct hg_http_end *end, const struct hg_answer_fault *fault, struct hg_judgement *out) {
  judge_as(fault->status, fault->quota, out);
  out->unknown |= fault->worked;
  out->code = fault->quota ? "insufficient_quota" : "error_in_answer";
  snprintf(out->message, sizeof out->message, "HTTP %ld with an error in it%s%.*s", end->status,
           fault->text[0] ? ": " : "", HG_FAULT_TEXT_MAX, fault->text);
}

// Somebody answered, but not what was asked.
static void judge_none(const struct hg_http_end *end, const char *what, const char *why, struct hg_judgement *out) {
  out->unknown = out->retry = out->unserved = true;
  out->code = "invalid_response";
  snprintf(out->message, sizeof out->message, "HTTP %ld with a body of %zu bytes that %s: %.*s", end->status,
           end->body_len, what, HG_FAULT_TEXT_MAX, why);
}

static void judge_success(const struct hg_http_end *end, const struct hg_answer *answer, enum hg_endpoint endpoint,
                          struct hg_judgement *out) {
  struct hg_answer_fault fault;
  switch (hg_answer_kind_of(answer, end->streamed, endpoint, &fault)) {
  case HG_ANSWER_RESULT: out->success = out->served = true; break;
  case HG_ANSWER_FAULT: judge_fault(end, &fault, out); break;
  case HG_ANSWER_NONE:
    judge_none(end, answer->fault ? "can't be read as JSON" : "is not an answer", fault.text, out);
    break;
  }
}

static void judge_answer(const struct hg_http_end *end, enum hg_endpoint endpoint, struct hg_usage_found *found,
                         struct hg_judgement *out) {
  struct hg_answer answer;
  hg_answer_read(end->body, end->body_len, &answer);
  if (end->status >= 200 && end->status <= 299) judge_success(end, &answer, endpoint, out);
  else judge_status(end, &answer, out);
  out->cost = out->success || out->unknown ? HG_COST_WHOLE : HG_COST_NOTHING;
  // Of a stream that did not end the answer has figures too, but they are not the last ones.
  if (end->streamed) hg_usage_copy(&end->streamed->found, found);
  else hg_usage_find(&answer, found);
  if (found->report.source != HG_SOURCE_EXACT) return;
  out->cost = HG_COST_USAGE;
  out->unknown = out->retry && found->report.tokens > 0; // billed, for nothing
}

// To call again before the time would be refused again, and to wait for hours would keep whoever watches from deciding.
static void judge_pause(const struct hg_http_end *end, struct hg_judgement *out) {
  if (!out->retry || end->retry_after_ms <= HG_RETRY_AFTER_MAX_MS) return;
  out->retry = out->served = false;
  out->unserved = out->later = true;
  out->code = "retry_after_too_long";
  snprintf(out->message, sizeof out->message,
           "the provider answered HTTP %ld and asks not to be called again for %lld s; a run waits %d s at most",
           end->status, (long long)(end->retry_after_ms / 1000), HG_RETRY_AFTER_MAX_MS / 1000);
}

// The request may have been worked on, and billed, although no whole answer came.
static void judge_broken(const struct hg_http_end *end, const char *code, const char *message,
                         struct hg_judgement *out) {
  out->cost = end->left ? HG_COST_WHOLE : HG_COST_NOTHING;
  out->unknown = end->left;
  out->retry = out->unserved = true;
  out->code = code;
  snprintf(out->message, sizeof out->message, "%.40s%s%.110s", message, end->detail[0] ? ": " : "", end->detail);
}

void hg_judge(const struct hg_http_end *end, enum hg_endpoint endpoint, struct hg_usage_found *found,
              struct hg_judgement *out) {
  static const hg_usage_report nothing = HG_USAGE_REPORT_INIT;
  found->report = nothing;
  *out = (struct hg_judgement){.cost = HG_COST_NOTHING};
  switch (end->kind) {
  case HG_HTTP_ANSWERED:
    judge_answer(end, endpoint, found, out);
    judge_pause(end, out);
    break;
  case HG_HTTP_NO_CONNECTION: judge_broken(end, "connection_failed", "no connection", out); break;
  case HG_HTTP_TIMED_OUT: judge_broken(end, "request_timeout", "no whole answer in time", out); break;
  case HG_HTTP_BROKEN: judge_broken(end, "connection_failed", "the connection broke", out); break;
  case HG_HTTP_TOO_LARGE: // and would be so again
    judge_broken(end, "invalid_response", "the answer is too long", out);
    out->retry = out->unserved = false;
    break;
  case HG_HTTP_UNREADABLE: // and the next one would be packed in the same way
    judge_broken(end, "invalid_response", "the answer can't be decoded", out);
    out->retry = false;
    break;
  case HG_HTTP_CUT:
    judge_broken(end, "cancelled", "cut off by an interrupt", out);
    out->retry = out->unserved = false;
    break;
  }
}

bool hg_may_retry(const struct hg_retry_limits *limits, const struct hg_judgement *judgement, uint32_t attempts,
                  uint32_t unknown) {
  if (!judgement->retry || attempts >= limits->max_attempts) return false;
  return !judgement->unknown || unknown <= limits->retry_unknown_outcome;
}

int64_t hg_backoff_ms(uint32_t attempts, int64_t retry_after_ms, uint64_t random) {
  assert(attempts >= 1);
  int64_t ceiling = HG_BACKOFF_BASE_MS;
  for (uint32_t i = 1; i < attempts && ceiling < HG_BACKOFF_MAX_MS; i++)
    ceiling *= 2;
  if (ceiling > HG_BACKOFF_MAX_MS) ceiling = HG_BACKOFF_MAX_MS;
  const int64_t asked = retry_after_ms > 0 ? retry_after_ms : 0;
  assert(asked <= HG_RETRY_AFTER_MAX_MS);
  return asked + (int64_t)(random % (uint64_t)(ceiling + 1));
}
