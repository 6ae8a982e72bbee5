// links: program
// labels: budget
// What the end of an attempt costs, whether it is tried again, and after how long.
#include "runner/retry.h"
#include "support/test.h"
#include "usage/assemble.h"

#define USAGE "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}"

static struct hg_usage_found found; // of the last judgement

static struct hg_judgement judge(enum hg_http_kind kind, bool left, long status, const char *body) {
  const struct hg_http_end end = {
      .kind = kind, .left = left, .status = status, .body = body, .body_len = strlen(body), .retry_after_ms = -1};
  struct hg_judgement judgement;
  memset(&found, 0xAA, sizeof found);
  hg_judge(&end, HG_ENDPOINT_CHAT, &found, &judgement);
  return judgement;
}

static struct hg_judgement answer(long status, const char *body) {
  return judge(HG_HTTP_ANSWERED, true, status, body);
}

TEST(retry, whole_answers) {
  struct hg_judgement good = answer(200, "{\"id\":\"c1\",\"choices\":[{}]," USAGE "}");
  CHECK(good.success && !good.retry && !good.unknown && !good.access);
  CHECK_EQ(good.cost, HG_COST_USAGE);
  CHECK(good.code == NULL);
  CHECK_STR(good.message, "");
  CHECK_EQ(found.report.tokens, 7);
  CHECK_STR(found.report.response_id, "c1");
  good = answer(201, "{\"choices\":[{}]}");
  CHECK(good.success && !good.unknown);
  CHECK_EQ(good.cost, HG_COST_WHOLE);
}

// What a stream used is known of its end only: the answer that is made of it may have figures of the middle.
TEST(retry, streams) {
  static struct hg_streamed streamed;
  const char *body = "{\"id\":\"c1\",\"choices\":[{}]," USAGE "}";
  struct hg_http_end end = {.kind = HG_HTTP_ANSWERED,
                            .left = true,
                            .status = 200,
                            .body = body,
                            .body_len = strlen(body),
                            .streamed = &streamed,
                            .retry_after_ms = -1};
  struct hg_judgement judgement;
  struct hg_token_counts counts;
  hg_counts_init(&counts);
  hg_usage_settle(&counts, &streamed.found);
  hg_judge(&end, HG_ENDPOINT_CHAT, &found, &judgement);
  CHECK(judgement.success && judgement.cost == HG_COST_WHOLE && found.report.source == HG_SOURCE_MISSING);
  counts.of[HG_COUNT_TOTAL].count = 9;
  strcpy(counts.response_id, "c1");
  hg_usage_settle(&counts, &streamed.found);
  hg_judge(&end, HG_ENDPOINT_CHAT, &found, &judgement);
  CHECK(judgement.success && judgement.cost == HG_COST_USAGE);
  CHECK_EQ(found.report.tokens, 9);
  CHECK(found.report.response_id == found.response_id);
  CHECK_STR(found.report.response_id, "c1");
  end.body = "{\"id\":\"c1\",\"choices\":[{}]," USAGE ",\"error\":{\"type\":\"overloaded_error\"}}";
  end.body_len = strlen(end.body);
  hg_counts_forget(&counts);
  hg_usage_settle(&counts, &streamed.found);
  hg_judge(&end, HG_ENDPOINT_CHAT, &found, &judgement);
  CHECK(!judgement.success && judgement.retry && judgement.unknown && judgement.cost == HG_COST_WHOLE);
}

// As a call's end has it.
static struct hg_judgement judge_stream(enum hg_endpoint endpoint, const char *bytes) {
  struct hg_stream stream;
  struct hg_streamed streamed;
  struct hg_assembly assembly;
  struct hg_judgement judgement;
  struct hg_text_buffer body = {NULL, 0, 0};
  hg_assembly_init(&assembly);
  hg_stream_init(&stream, NULL, 1, hg_assembly_take, &assembly);
  CHECK_EQ(hg_stream_feed(&stream, bytes, strlen(bytes)), HG_OK);
  CHECK(hg_stream_end(&stream, true, &streamed) != HG_OK && streamed.failed);
  CHECK_EQ(hg_assembly_print(&assembly, &body), HG_OK);
  const struct hg_http_end end = {.kind = HG_HTTP_ANSWERED,
                                  .left = true,
                                  .status = 200,
                                  .body = body.data,
                                  .body_len = body.len,
                                  .streamed = &streamed,
                                  .retry_after_ms = -1};
  hg_judge(&end, endpoint, &found, &judgement);
  hg_text_buffer_clear(&body);
  hg_assembly_clear(&assembly);
  hg_stream_clear(&stream);
  return judgement;
}

#define SAID(json) "data: " json "\n\n"
#define HALF_A_CHAT SAID("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"half\"}}]}")
#define HALF_OF_BEDROCK "{\"messageStart\":{}}\n{\"contentBlockDelta\":{\"delta\":{\"text\":\"hi\"}}}\n"
#define BEGUN_RESPONSE SAID("{\"type\":\"response.created\",\"response\":{\"object\":\"response\",\"output\":[]}}")

// Half an answer was probably billed, whatever the events are called; and an error is one by whatever it is told.
TEST(retry, streams_that_die_in_mid_answer) {
  static const struct {
    enum hg_endpoint endpoint;
    bool pushed, worked;
    const char *words, *bytes;
  } streams[] = {
      {HG_ENDPOINT_CHAT, false, true, "boom",
       HALF_A_CHAT "event: error\ndata: {\"message\":\"boom\",\"code\":500}\n\n"},
      {HG_ENDPOINT_CHAT, false, true, "an error came", HALF_A_CHAT "event: error\ndata: {}\n\n"},
      {HG_ENDPOINT_CHAT, true, false, "slow", "event: error\ndata: {\"message\":\"slow\",\"code\":429}\n\n"},
      {HG_ENDPOINT_OTHER, false, true, "boom",
       SAID("{\"candidates\":[{\"content\":{},\"index\":0}]}") SAID("{\"error\":{\"code\":503,\"message\":\"boom\"}}")},
      {HG_ENDPOINT_OTHER, false, true, "boom",
       "{\"message\":{\"content\":\"hi\"},\"done\":false}\n{\"error\":\"boom\"}\n"},
      {HG_ENDPOINT_OTHER, false, true, "boom",
       SAID("{\"type\":\"content-delta\",\"delta\":{}}") "event: error\ndata: {\"message\":\"boom\"}\n\n"},
      {HG_ENDPOINT_OTHER, false, true, "boom",
       SAID("{\"type\":\"message-start\"}")
           SAID("{\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"ERROR\",\"error\":\"boom\"}}")},
      {HG_ENDPOINT_OTHER, false, true, "the finish_reason is TIMEOUT",
       SAID("{\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"TIMEOUT\"}}")},
      {HG_ENDPOINT_OTHER, false, true, "the finish_reason is ERROR",
       SAID("{\"event_type\":\"stream-end\",\"finish_reason\":\"ERROR\",\"response\":{}}")},
      {HG_ENDPOINT_MESSAGES, true, false, "overloaded_error: Overloaded",
       "event: error\n" SAID(
           "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}")},
      {HG_ENDPOINT_OTHER, false, true, "modelStreamErrorException: boom",
       HALF_OF_BEDROCK "{\"modelStreamErrorException\":{\"message\":\"boom\"}}\n"},
      {HG_ENDPOINT_OTHER, true, true, "throttlingException: boom",
       HALF_OF_BEDROCK "{\"throttlingException\":{\"message\":\"boom\"}}\n"},
      {HG_ENDPOINT_OTHER, true, false, "throttlingException: boom",
       "{\"throttlingException\":{\"message\":\"boom\"}}\n"},
      {HG_ENDPOINT_RESPONSES, false, false, "boom", BEGUN_RESPONSE SAID("{\"type\":\"error\",\"message\":\"boom\"}")},
      {HG_ENDPOINT_RESPONSES, false, true, "boom",
       BEGUN_RESPONSE SAID("{\"type\":\"response.output_text.delta\",\"delta\":\"x\"}")
           SAID("{\"type\":\"error\",\"message\":\"boom\"}")},
      {HG_ENDPOINT_RESPONSES, false, true, "boom",
       BEGUN_RESPONSE SAID("{\"type\":\"response.output_text.delta\",\"delta\":\"x\"}")
           SAID("{\"type\":\"response.failed\",\"response\":{\"object\":\"response\",\"status\":\"failed\","
                "\"error\":{\"code\":\"server_error\",\"message\":\"boom\"},\"output\":[],\"usage\":null}}")},
  };
  for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
    const struct hg_judgement judgement = judge_stream(streams[i].endpoint, streams[i].bytes);
    const bool same = !judgement.success && judgement.retry && judgement.unknown == streams[i].worked &&
                      judgement.cost == (streams[i].worked ? HG_COST_WHOLE : HG_COST_NOTHING) &&
                      judgement.pushed == streams[i].pushed && strstr(judgement.message, streams[i].words);
    if (!same) fprintf(stderr, "%s%s\n", streams[i].bytes, judgement.message);
    CHECK(same);
    CHECK_STR(judgement.code, "error_in_answer");
  }
  CHECK(!judge_stream(HG_ENDPOINT_CHAT, SAID("{\"error\":{\"type\":\"invalid_request_error\"}}")).retry); // as it says
}

TEST(retry, answer_that_is_none_is_an_unknown_outcome) {
  static const struct {
    const char *body, *message;
  } bodies[] = {
      {"{\"id\":", "HTTP 200 with a body of 6 bytes that can't be read as JSON: the text ends too early"},
      {"", "HTTP 200 with a body of 0 bytes that can't be read as JSON: the text ends too early"},
      {"{}", "HTTP 200 with a body of 2 bytes that is not an answer: it has no array of choices"},
      {"null", "HTTP 200 with a body of 4 bytes that is not an answer: it has no array of choices"},
      {"{\"detail\":\"x\"}", "HTTP 200 with a body of 14 bytes that is not an answer: it has no array of choices"}};
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    const struct hg_judgement bad = answer(200, bodies[i].body);
    CHECK(!bad.success && bad.unknown && bad.retry && bad.unserved && !bad.served && !bad.access);
    CHECK_EQ(bad.cost, HG_COST_WHOLE);
    CHECK_STR(bad.code, "invalid_response");
    CHECK_STR(bad.message, bodies[i].message);
  }
  const struct hg_judgement told = answer(200, "{" USAGE "}");
  CHECK(!told.success && told.unknown && told.retry && told.unserved);
  CHECK_EQ(told.cost, HG_COST_USAGE);
  CHECK_EQ(found.report.tokens, 7);
}

TEST(retry, json_that_is_nested_too_deep_is_called_so) {
  char body[600];
  memset(body, '[', 300);
  memset(body + 300, ']', 299);
  body[599] = '\0';
  CHECK_STR(answer(200, body).message,
            "HTTP 200 with a body of 599 bytes that can't be read as JSON: values are nested deeper than 256 levels");
}

TEST(retry, an_error_inside_a_200_is_judged_by_its_own_words) {
  struct hg_judgement judgement =
      answer(200, "{\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"slow down\"}}");
  CHECK(!judgement.success && judgement.retry && !judgement.unknown);
  CHECK_EQ(judgement.cost, HG_COST_NOTHING);
  CHECK_STR(judgement.code, "error_in_answer");
  CHECK_STR(judgement.message, "HTTP 200 with an error in it: rate_limit_exceeded: slow down");
  judgement = answer(200, "{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"no\"}}");
  CHECK(!judgement.success && !judgement.retry && judgement.served && !judgement.access);
  CHECK_EQ(judgement.cost, HG_COST_NOTHING);
  judgement = answer(200, "{\"choices\":[{}],\"error\":{\"code\":500,\"message\":\"gone\"}}"); // probably billed
  CHECK(!judgement.success && judgement.retry && judgement.unknown);
  CHECK_EQ(judgement.cost, HG_COST_WHOLE);
  judgement = answer(200, "{\"error\":{\"type\":\"insufficient_quota\"}}");
  CHECK(!judgement.success && !judgement.retry && judgement.access);
  CHECK_STR(judgement.code, "insufficient_quota");
}

TEST(retry, an_error_inside_a_choice_is_one_in_the_answer) {
  static const char *const bodies[] = {"{\"choices\":[]}", "{\"choices\":[{\"finish_reason\":\"error\"}]}",
                                       "{\"choices\":[{\"error\":{\"code\":502,\"message\":\"x\"}}]}"};
  for (size_t i = 0; i < 3; i++) {
    struct hg_judgement judgement = answer(200, bodies[i]);
    CHECK(!judgement.success && judgement.retry && judgement.unknown);
    CHECK_EQ(judgement.cost, HG_COST_WHOLE);
    CHECK_STR(judgement.code, "error_in_answer");
    char body[200];
    snprintf(body, sizeof body, "%.*s," USAGE "}", (int)strlen(bodies[i]) - 1, bodies[i]);
    judgement = answer(200, body);
    CHECK(!judgement.success && judgement.retry && judgement.unknown);
    CHECK_EQ(judgement.cost, HG_COST_USAGE);
    CHECK_EQ(found.report.tokens, 7);
  }
}

TEST(retry, every_status) {
  for (long status = 300; status < 600; status++) {
    const struct hg_judgement judgement = answer(status, "{}");
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
  CHECK(strstr(answer(302, "").message, "redirect") != NULL);
}

// Whatever the status: what the provider says that it used is charged, and what was used in vain is not used again and
// again.
TEST(retry, usage_of_every_status) {
  for (long status = 200; status < 600; status++) {
    const struct hg_judgement plain = answer(status, "{\"error\":\"no\"}");
    const struct hg_judgement judgement = answer(status, "{\"error\":\"no\"," USAGE "}");
    CHECK_EQ(judgement.cost, HG_COST_USAGE);
    CHECK_EQ(found.report.tokens, 7);
    CHECK_EQ(found.report.source, HG_SOURCE_EXACT);
    CHECK(judgement.retry == plain.retry && judgement.access == plain.access && judgement.served == plain.served &&
          judgement.unserved == plain.unserved);
    CHECK_EQ(judgement.unknown, judgement.retry);
    const struct hg_judgement free = answer(status, "{\"error\":\"no\",\"usage\":{\"total_tokens\":0}}");
    CHECK(free.cost == HG_COST_USAGE && found.report.tokens == 0 && !free.unknown);
  }
}

TEST(retry, words_of_a_bad_status) {
  CHECK_STR(answer(403, "{\"error\":{\"message\":\"not for you\"}}").said, "not for you");
  CHECK_STR(answer(403, "<html>").said, "");
  CHECK_STR(answer(200, "{\"error\":{\"message\":\"not for you\"}}").said, ""); // the message has them
}

TEST(retry, out_of_quota_is_no_rate_limit) {
  static const char *const quota[] = {"{\"error\":{\"code\":\"insufficient_quota\"}}",
                                      "{\"error\":{\"type\":\"insufficient_quota\",\"code\":null}}"};
  static const char *const others[] = {"{\"error\":{\"code\":\"rate_limit_exceeded\"}}", "{\"error\":\"busy\"}", "[]",
                                       "insufficient_quota", ""};
  for (size_t i = 0; i < 2; i++) {
    const struct hg_judgement judgement = answer(429, quota[i]);
    CHECK(judgement.access && !judgement.retry);
    CHECK_STR(judgement.code, "insufficient_quota");
    CHECK(!answer(400, quota[i]).access); // only a 429 says it
  }
  for (size_t i = 0; i < 5; i++) {
    const struct hg_judgement judgement = answer(429, others[i]);
    CHECK(!judgement.access && judgement.retry);
  }
}

TEST(retry, what_had_left_is_charged) {
  static const struct {
    enum hg_http_kind kind;
    const char *code;
    bool retry, unserved; // one that is too long, or cut from this side, says nothing
  } kinds[] = {
      {HG_HTTP_TIMED_OUT, "request_timeout", true, true},       {HG_HTTP_BROKEN, "connection_failed", true, true},
      {HG_HTTP_TOO_LARGE, "invalid_response", false, false},    {HG_HTTP_UNREADABLE, "invalid_response", false, true},
      {HG_HTTP_NO_CONNECTION, "connection_failed", true, true}, {HG_HTTP_CUT, "cancelled", false, false}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    for (int left = 0; left < 2; left++) {
      const struct hg_judgement judgement = judge(kinds[i].kind, left, 0, "");
      CHECK_EQ(judgement.cost, left ? HG_COST_WHOLE : HG_COST_NOTHING);
      CHECK_EQ(judgement.unknown, left);
      CHECK_EQ(judgement.retry, kinds[i].retry);
      CHECK_STR(judgement.code, kinds[i].code);
      CHECK(!judgement.success && !judgement.access && !judgement.served);
      CHECK_EQ(judgement.unserved, kinds[i].unserved);
      CHECK_EQ(found.report.tokens, 0);
    }
}

TEST(retry, attempts_are_bounded) {
  const struct hg_retry_limits limits = {.max_attempts = 3, .retry_unknown_outcome = 1};
  const struct hg_judgement busy = answer(429, "{}"), refused = answer(400, "{}"),
                            broken = judge(HG_HTTP_BROKEN, true, 0, "");
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
      hg_judge(&end, HG_ENDPOINT_CHAT, &found, &judgement);
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
