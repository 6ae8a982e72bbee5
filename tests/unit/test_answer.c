// links: program
// Which answers with a good status are no results.
#include "providers/answer.h"
#include "support/test.h"

static struct hg_answer_fault fault_of(const char *body) {
  struct hg_answer_fault fault;
  if (!hg_answer_is_fault(body, strlen(body), &fault)) fprintf(stderr, "no fault: %s\n", body);
  CHECK(hg_answer_is_fault(body, strlen(body), &fault));
  return fault;
}

TEST(answer, results) {
  static const char *const results[] = {
      "{}",
      "[]",
      "7",
      "{\"error\":",
      "{\"choices\":[]}",
      "{\"error\":null,\"choices\":[{}]}",
      "{\"error\":false}",
      "{\"error\":\"\"}",
      "{\"error\":{ }}",
      "{\"error\":[]}",
      "{\"error\":0}",
      "{\"type\":\"message\",\"content\":[]}",
      "{\"object\":\"response\",\"status\":\"completed\",\"error\":null,\"output\":[]}",
      "{\"object\":\"response\",\"output\":[]}",
      "{\"status\":\"failed\",\"choices\":[{}]}", // no response
      "{\"object\":\"response\",\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"max_output_tokens\"},"
      "\"output\":[]}",
      "{\"object\":\"response\",\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"content_filter\"},"
      "\"output\":[{}]}"};
  for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
    struct hg_answer_fault fault;
    if (hg_answer_is_fault(results[i], strlen(results[i]), &fault)) fprintf(stderr, "a fault: %s\n", results[i]);
    CHECK(!hg_answer_is_fault(results[i], strlen(results[i]), &fault));
  }
  struct hg_answer_fault fault;
  CHECK(!hg_answer_is_fault(NULL, 0, &fault));
}

TEST(answer, errors_by_code_and_type) {
  static const struct {
    const char *body;
    long status;
    const char *text;
  } errors[] = {
      {"{\"error\":{\"code\":\"rate_limit_exceeded\",\"type\":\"tokens\"}}", 429, "rate_limit_exceeded"},
      {"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}", 503,
       "overloaded_error: busy"},
      {"{\"error\":{\"code\":\"server_error\",\"message\":\"oops\"}}", 500, "server_error: oops"},
      {"{\"error\":{\"code\":429,\"message\":\"slow\"}}", 429, "slow"},
      {"{\"error\":{\"code\":null,\"type\":\"invalid_request_error\"}}", 400, "invalid_request_error"},
      {"{\"error\":{\"code\":\"invalid_api_key\",\"type\":\"invalid_request_error\"}}", 401, "invalid_api_key"},
      {"{\"error\":{\"code\":200}}", 400, ""}, // no status of an error
      {"{\"error\":\"something broke\"}", 400, "something broke"},
      {"{\"error\":true}", 400, ""},
      {"{\"error\":7}", 400, ""},
      {"{\"object\":\"error\",\"message\":\"no such model\",\"type\":\"NotFoundError\",\"code\":404}", 404,
       "NotFoundError: no such model"}};
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
    const struct hg_answer_fault fault = fault_of(errors[i].body);
    CHECK_EQ(fault.status, errors[i].status);
    CHECK_STR(fault.text, errors[i].text);
    CHECK(!fault.quota && !fault.worked);
  }
  CHECK(fault_of("{\"error\":{\"code\":\"insufficient_quota\"}}").quota);
  CHECK(fault_of("{\"error\":{\"type\":\"insufficient_quota\",\"code\":null}}").quota);
}

TEST(answer, responses_that_did_not_end_well) {
  static const struct {
    const char *body;
    long status;
    bool worked;
    const char *text;
  } responses[] = {
      {"{\"object\":\"response\",\"status\":\"failed\",\"output\":[]}", 500, false, "the response is failed"},
      {"{\"status\":\"failed\",\"output\":[{}]}", 500, true, "the response is failed"},
      {"{\"object\":\"response\",\"status\":\"failed\",\"error\":{\"code\":\"rate_limit_exceeded\"}}", 429, false,
       "rate_limit_exceeded"},
      {"{\"object\":\"response\",\"status\":\"cancelled\",\"output\":[]}", 400, true, "the response is cancelled"},
      {"{\"object\":\"response\",\"status\":\"queued\",\"output\":[]}", 400, true, "the response is queued"},
      {"{\"object\":\"response\",\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"content_filter\"},"
       "\"output\":[]}",
       400, true, "the response is incomplete: content_filter"}};
  for (size_t i = 0; i < sizeof responses / sizeof *responses; i++) {
    const struct hg_answer_fault fault = fault_of(responses[i].body);
    CHECK_EQ(fault.status, responses[i].status);
    CHECK_EQ(fault.worked, responses[i].worked);
    CHECK_STR(fault.text, responses[i].text);
  }
}

TEST(answer, signs_of_work) {
  CHECK(fault_of("{\"error\":\"x\",\"choices\":[{}]}").worked);
  CHECK(fault_of("{\"error\":\"x\",\"content\":[{}]}").worked);
  CHECK(fault_of("{\"error\":\"x\",\"usage\":{\"total_tokens\":-1}}").worked); // unreadable figures
  CHECK(!fault_of("{\"error\":\"x\",\"usage\":null,\"choices\":[]}").worked);
}
