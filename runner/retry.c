// Judges how attempts end.
#include "runner/retry.h"

#include "providers/answer.h"
#include "usage/json_scan.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

// The providers' code of an error answer: error.code, or error.type where there is no code.
static bool is_quota(const struct hg_http_end *end) {
  struct hg_json root;
  if (end->status != 429 || !end->body || hg_json_check(end->body, end->body_len, &root, NULL)) return false;
  struct hg_json_field outer[] = {{.name = "error"}};
  hg_json_pick(&root, outer, 1);
  struct hg_json_field inner[] = {{.name = "code"}, {.name = "type"}};
  hg_json_pick(&outer[0].value, inner, 2);
  return hg_json_is(&inner[0].value, "insufficient_quota") || hg_json_is(&inner[1].value, "insufficient_quota");
}

// What a server says to everything that comes to a wrong URL: not there, another place, not this way.
static bool says_wrong_url(long status) {
  return (status >= 300 && status <= 399) || status == 404 || status == 405 || status == 410 || status == 501;
}

static void judge_as(long status, bool quota, struct hg_judgement *out) {
  out->cost = HG_COST_NOTHING;
  out->access = quota || status == 401 || status == 402 || status == 403 || status == 407 || says_wrong_url(status);
  out->retry = !out->access && (status == 408 || status == 409 || status == 429 || status >= 500);
  // A gateway that lost its upstream, or gave up waiting for it, says nothing about what was worked on behind it.
  out->unknown = status == 502 || status == 504 || status == 524;
  if (out->unknown) out->cost = HG_COST_WHOLE;
  out->unserved = out->access || out->unknown;
  out->served = !out->unserved && !out->retry;
}

static void judge_status(const struct hg_http_end *end, struct hg_judgement *out) {
  const long status = end->status;
  const bool quota = is_quota(end);
  judge_as(status, quota, out);
  out->code = quota ? "insufficient_quota" : "http_error";
  snprintf(out->message, sizeof out->message, "the provider answered HTTP %ld%s", status,
           status >= 300 && status <= 399 ? ", a redirect, which is not followed; correct the base URL" : "");
}

// An error inside a good status is judged as the status that it should have come with, but for what it cost: usage that
// it tells of is counted, and what shows work without figures may have been billed.
static void judge_fault(const struct hg_http_end *end, hg_err usage, const struct hg_answer_fault *fault,
                        struct hg_judgement *out) {
  judge_as(fault->status, fault->quota, out);
  if (usage == HG_OK) {
    out->cost = HG_COST_USAGE;
    out->unknown = false;
  } else if (fault->worked) {
    out->cost = HG_COST_WHOLE;
    out->unknown = true;
  }
  out->code = fault->quota ? "insufficient_quota" : "error_in_answer";
  snprintf(out->message, sizeof out->message, "HTTP %ld with an error in it%s%.*s", end->status,
           fault->text[0] ? ": " : "", HG_FAULT_TEXT_MAX, fault->text);
}

static void judge_success(const struct hg_http_end *end, hg_err usage, struct hg_judgement *out) {
  struct hg_answer_fault fault;
  if (usage == HG_ERR_PROTOCOL) {
    out->cost = HG_COST_WHOLE;
    out->unknown = out->retry = out->unserved = true;
    out->code = "invalid_response";
    snprintf(out->message, sizeof out->message, "HTTP %ld with a body of %zu bytes that is not JSON", end->status,
             end->body_len);
  } else if (hg_answer_is_fault(end->body, end->body_len, &fault)) {
    judge_fault(end, usage, &fault, out);
  } else {
    out->success = out->served = true;
    out->cost = usage == HG_OK ? HG_COST_USAGE : HG_COST_WHOLE;
  }
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

void hg_judge(const struct hg_http_end *end, hg_err usage, struct hg_judgement *out) {
  *out = (struct hg_judgement){.cost = HG_COST_NOTHING};
  switch (end->kind) {
  case HG_HTTP_ANSWERED:
    if (end->status >= 200 && end->status <= 299) judge_success(end, usage, out);
    else judge_status(end, out);
    judge_pause(end, out);
    break;
  case HG_HTTP_NO_CONNECTION: judge_broken(end, "connection_failed", "no connection", out); break;
  case HG_HTTP_TIMED_OUT: judge_broken(end, "request_timeout", "no whole answer in time", out); break;
  case HG_HTTP_BROKEN: judge_broken(end, "connection_failed", "the connection broke", out); break;
  case HG_HTTP_TOO_LARGE: // and would be so again
    judge_broken(end, "invalid_response", "the answer is too long", out);
    out->retry = out->unserved = false;
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
