// links: program
// labels: budget
// What the end of an attempt costs, whether it is tried again, and after how long.
#include "runner/retry.h"
#include "support/test.h"

static struct hg_judgement judge(enum hg_http_kind kind, bool left, long status, const char *body, hg_err usage) {
  const struct hg_http_end end = {
      .kind = kind, .left = left, .status = status, .body = body, .body_len = strlen(body), .retry_after_ms = -1};
  struct hg_judgement judgement;
  hg_judge(&end, usage, &judgement);
  return judgement;
}

static struct hg_judgement answer(long status, const char *body, hg_err usage) {
  return judge(HG_HTTP_ANSWERED, true, status, body, usage);
}

TEST(retry, whole_answers) {
  struct hg_judgement good = answer(200, "{}", HG_OK);
  CHECK(good.success && !good.retry && !good.unknown && !good.access);
  CHECK_EQ(good.cost, HG_COST_USAGE);
  CHECK(good.code == NULL);
  CHECK_STR(good.message, "");
  good = answer(201, "{}", HG_ERR_NO_USAGE);
  CHECK(good.success && !good.unknown);
  CHECK_EQ(good.cost, HG_COST_WHOLE);
}

TEST(retry, malformed_answer_is_an_unknown_outcome) {
  const struct hg_judgement bad = answer(200, "{\"id\":", HG_ERR_PROTOCOL);
  CHECK(!bad.success && bad.unknown && bad.retry && bad.unserved && !bad.served);
  CHECK_EQ(bad.cost, HG_COST_WHOLE);
  CHECK_STR(bad.code, "invalid_response");
}

TEST(retry, an_error_inside_a_200_is_judged_by_its_own_words) {
  static const char busy[] = "{\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"slow down\"}}",
                    refused[] = "{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"no\"}}",
                    worked[] = "{\"choices\":[{}],\"error\":{\"code\":502,\"message\":\"gone\"}}";
  struct hg_judgement judgement = answer(200, busy, HG_ERR_NO_USAGE);
  CHECK(!judgement.success && judgement.retry && !judgement.unknown);
  CHECK_EQ(judgement.cost, HG_COST_NOTHING);
  CHECK_STR(judgement.code, "error_in_answer");
  CHECK_STR(judgement.message, "HTTP 200 with an error in it: rate_limit_exceeded: slow down");
  judgement = answer(200, busy, HG_OK); // it tells of usage
  CHECK(!judgement.success && judgement.retry);
  CHECK_EQ(judgement.cost, HG_COST_USAGE);
  judgement = answer(200, refused, HG_ERR_NO_USAGE);
  CHECK(!judgement.success && !judgement.retry && judgement.served && !judgement.access);
  CHECK_EQ(judgement.cost, HG_COST_NOTHING);
  judgement = answer(200, worked, HG_ERR_NO_USAGE); // probably billed
  CHECK(!judgement.success && judgement.retry && judgement.unknown);
  CHECK_EQ(judgement.cost, HG_COST_WHOLE);
  judgement = answer(200, worked, HG_OK);
  CHECK(!judgement.success && judgement.retry && !judgement.unknown);
  CHECK_EQ(judgement.cost, HG_COST_USAGE);
  judgement = answer(200, "{\"error\":{\"type\":\"insufficient_quota\"}}", HG_ERR_NO_USAGE);
  CHECK(!judgement.success && !judgement.retry && judgement.access);
  CHECK_STR(judgement.code, "insufficient_quota");
}

TEST(retry, every_status) {
  for (long status = 300; status < 600; status++) {
    const struct hg_judgement judgement = answer(status, "{}", HG_OK);
    const bool url = status < 400 || status == 404 || status == 405 || status == 410 || status == 501;
    const bool again = status == 408 || status == 409 || status == 429 || (status >= 500 && !url);
    const bool behind = status == 502 || status == 504 || status == 524; // a gateway that lost its upstream
    CHECK(!judgement.success && judgement.unknown == behind);
    CHECK_EQ(judgement.cost, behind ? HG_COST_WHOLE : HG_COST_NOTHING);
    CHECK_EQ(judgement.retry, again);
    CHECK_EQ(judgement.access, url || (status >= 401 && status <= 403) || status == 407);
    CHECK_EQ(judgement.unserved, judgement.access || behind);
    CHECK_EQ(judgement.served, !judgement.unserved && !again); // too busy, or an error: neither
    CHECK(judgement.message[0] != '\0');
  }
  CHECK(strstr(answer(302, "", HG_OK).message, "redirect") != NULL);
}

TEST(retry, out_of_quota_is_no_rate_limit) {
  static const char *const quota[] = {"{\"error\":{\"code\":\"insufficient_quota\"}}",
                                      "{\"error\":{\"type\":\"insufficient_quota\",\"code\":null}}"};
  static const char *const others[] = {"{\"error\":{\"code\":\"rate_limit_exceeded\"}}", "{\"error\":\"busy\"}", "[]",
                                       "insufficient_quota", ""};
  for (size_t i = 0; i < 2; i++) {
    const struct hg_judgement judgement = answer(429, quota[i], HG_OK);
    CHECK(judgement.access && !judgement.retry);
    CHECK_STR(judgement.code, "insufficient_quota");
    CHECK(!answer(400, quota[i], HG_OK).access); // only a 429 says it
  }
  for (size_t i = 0; i < 5; i++) {
    const struct hg_judgement judgement = answer(429, others[i], HG_OK);
    CHECK(!judgement.access && judgement.retry);
  }
}

TEST(retry, what_had_left_is_charged) {
  static const struct {
    enum hg_http_kind kind;
    const char *code;
    bool retry;
  } kinds[] = {{HG_HTTP_TIMED_OUT, "request_timeout", true},
               {HG_HTTP_BROKEN, "connection_failed", true},
               {HG_HTTP_TOO_LARGE, "invalid_response", false},
               {HG_HTTP_NO_CONNECTION, "connection_failed", true},
               {HG_HTTP_CUT, "cancelled", false}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    for (int left = 0; left < 2; left++) {
      const struct hg_judgement judgement = judge(kinds[i].kind, left, 0, "", HG_OK);
      CHECK_EQ(judgement.cost, left ? HG_COST_WHOLE : HG_COST_NOTHING);
      CHECK_EQ(judgement.unknown, left);
      CHECK_EQ(judgement.retry, kinds[i].retry);
      CHECK_STR(judgement.code, kinds[i].code);
      CHECK(!judgement.success && !judgement.access && !judgement.served);
      CHECK_EQ(judgement.unserved, kinds[i].retry); // one that is too long, or cut from this side, says nothing
    }
}

TEST(retry, attempts_are_bounded) {
  const struct hg_retry_limits limits = {.max_attempts = 3, .retry_unknown_outcome = 1};
  const struct hg_judgement busy = answer(429, "{}", HG_OK), refused = answer(400, "{}", HG_OK),
                            broken = judge(HG_HTTP_BROKEN, true, 0, "", HG_OK);
  CHECK(hg_may_retry(&limits, &busy, 1, 0));
  CHECK(hg_may_retry(&limits, &busy, 2, 0));
  CHECK(!hg_may_retry(&limits, &busy, 3, 0));
  CHECK(hg_may_retry(&limits, &busy, 2, 2)); // unknown ones before do not matter to a known end
  CHECK(!hg_may_retry(&limits, &refused, 1, 0));
  CHECK(hg_may_retry(&limits, &broken, 1, 1));
  CHECK(!hg_may_retry(&limits, &broken, 2, 2));
  const struct hg_retry_limits none = {.max_attempts = 5, .retry_unknown_outcome = 0};
  CHECK(!hg_may_retry(&none, &broken, 1, 1));
}

TEST(retry, backoff_doubles_up_to_its_maximum) {
  int64_t ceiling = HG_BACKOFF_BASE_MS;
  for (uint32_t attempts = 1; attempts < 100; attempts++) {
    CHECK_EQ(hg_backoff_ms(attempts, -1, 0), 0); // full jitter begins at nothing
    CHECK_EQ(hg_backoff_ms(attempts, -1, (uint64_t)ceiling), ceiling);
    CHECK_EQ(hg_backoff_ms(attempts, -1, (uint64_t)ceiling + 1), 0);
    ceiling = 2 * ceiling < HG_BACKOFF_MAX_MS ? 2 * ceiling : HG_BACKOFF_MAX_MS;
  }
}

TEST(retry, a_longer_pause_than_a_run_makes_is_none) {
  static const int64_t asked[] = {HG_RETRY_AFTER_MAX_MS, HG_RETRY_AFTER_MAX_MS + 1, 3600 * 1000, INT64_MAX};
  static const long statuses[] = {400, 401, 429, 500, 502, 503};
  for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
    for (size_t j = 0; j < sizeof statuses / sizeof *statuses; j++) {
      struct hg_http_end end = {
          .kind = HG_HTTP_ANSWERED, .left = true, .status = statuses[j], .retry_after_ms = asked[i]};
      struct hg_judgement judgement;
      hg_judge(&end, HG_OK, &judgement);
      const bool retried = statuses[j] >= 429, later = retried && i > 0;
      CHECK_EQ(judgement.later, later);
      CHECK_EQ(judgement.retry, retried && !later);
      if (!later) continue;
      CHECK(judgement.unserved && !judgement.served && !judgement.access);
      CHECK_EQ(judgement.cost, statuses[j] == 502 ? HG_COST_WHOLE : HG_COST_NOTHING);
      CHECK_STR(judgement.code, "retry_after_too_long");
      CHECK(strstr(judgement.message, "a run waits 600 s at most") != NULL);
    }
}

TEST(retry, retry_after_is_obeyed_up_to_its_maximum) {
  for (uint64_t random = 0; random < 2000; random += 7) {
    CHECK(hg_backoff_ms(1, 7000, random) >= 7000);
    CHECK(hg_backoff_ms(1, 7000, random) <= 7000 + HG_BACKOFF_BASE_MS);
    CHECK(hg_backoff_ms(1, HG_RETRY_AFTER_MAX_MS, random) >= HG_RETRY_AFTER_MAX_MS); // never before its time
    CHECK(hg_backoff_ms(1, 0, random) <= HG_BACKOFF_BASE_MS);
  }
}
