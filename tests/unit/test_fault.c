// links: program
// Which answers with a good status are results, which are errors, and which are nothing at all.
#include "providers/fault.h"
#include "support/test.h"

static enum hg_answer_kind kind_of(const char *body, enum hg_endpoint endpoint, struct hg_answer_fault *fault) {
  struct hg_answer answer;
  hg_answer_read(body, strlen(body), &answer);
  return hg_answer_kind_of(&answer, NULL, endpoint, fault);
}

static void check_kind(const char *body, enum hg_endpoint endpoint, enum hg_answer_kind kind) {
  struct hg_answer_fault fault;
  if (kind_of(body, endpoint, &fault) != kind) fprintf(stderr, "endpoint %d: %s\n", (int)endpoint, body);
  CHECK_EQ(kind_of(body, endpoint, &fault), kind);
}

static struct hg_answer_fault fault_at(enum hg_endpoint endpoint, const char *body) {
  struct hg_answer_fault fault;
  check_kind(body, endpoint, HG_ANSWER_FAULT);
  kind_of(body, endpoint, &fault);
  return fault;
}

static struct hg_answer_fault fault_of(const char *body) {
  return fault_at(HG_ENDPOINT_OTHER, body);
}

static const enum hg_endpoint all_endpoints[] = {HG_ENDPOINT_CHAT,       HG_ENDPOINT_RESPONSES, HG_ENDPOINT_COMPLETIONS,
                                                 HG_ENDPOINT_EMBEDDINGS, HG_ENDPOINT_MESSAGES,  HG_ENDPOINT_OTHER};

TEST(fault, results) {
  static const struct {
    enum hg_endpoint endpoint;
    const char *body;
  } results[] = {
      {HG_ENDPOINT_CHAT, "{\"choices\":[{}]}"},
      {HG_ENDPOINT_CHAT, "\xef\xbb\xbf {\"choices\":[{}]}"},
      {HG_ENDPOINT_CHAT, "{\"error\":null,\"choices\":[{\"error\":null,\"finish_reason\":\"stop\"}]}"},
      {HG_ENDPOINT_CHAT, "{\"error\":false,\"choices\":[{\"error\":{},\"finish_reason\":\"length\"}]}"},
      {HG_ENDPOINT_CHAT, "{\"error\":\"\",\"choices\":[{\"finish_reason\":\"content_filter\"}]}"},
      {HG_ENDPOINT_CHAT, "{\"error\":{ },\"choices\":[{\"finish_reason\":null}]}"},
      {HG_ENDPOINT_CHAT, "{\"error\":[],\"choices\":[{\"message\":{\"error\":\"a word of the model's\"}}]}"},
      {HG_ENDPOINT_CHAT, "{\"status\":\"failed\",\"error\":0,\"choices\":[{}]}"}, // no response
      {HG_ENDPOINT_COMPLETIONS, "{\"choices\":[{\"text\":\"error\"}]}"},
      {HG_ENDPOINT_EMBEDDINGS, "{\"data\":[{\"embedding\":[0.5]}]}"},
      {HG_ENDPOINT_MESSAGES, "{\"type\":\"message\",\"content\":[],\"stop_reason\":\"end_turn\"}"},
      {HG_ENDPOINT_MESSAGES, "{\"type\":\"message\",\"content\":[{\"type\":\"error\"}]}"},
      {HG_ENDPOINT_RESPONSES, "{\"object\":\"response\",\"status\":\"completed\",\"error\":null,\"output\":[]}"},
      {HG_ENDPOINT_RESPONSES, "{\"object\":\"response\",\"output\":[]}"},
      {HG_ENDPOINT_RESPONSES, "{\"object\":\"response\",\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":"
                              "\"max_output_tokens\"},\"output\":[]}"},
      {HG_ENDPOINT_RESPONSES, "{\"object\":\"response\",\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":"
                              "\"content_filter\"},\"output\":[{}]}"},
      {HG_ENDPOINT_OTHER, "{}"},
      {HG_ENDPOINT_OTHER, "{\"choices\":[],\"data\":[]}"},
      {HG_ENDPOINT_OTHER, "[]"}, // text-embeddings-inference reranks into an array
      {HG_ENDPOINT_OTHER, "[{\"index\":0,\"score\":0.5}]"}};
  for (size_t i = 0; i < sizeof results / sizeof *results; i++)
    check_kind(results[i].body, results[i].endpoint, HG_ANSWER_RESULT);
}

TEST(fault, what_no_endpoint_answers) {
  static const char *const bodies[] = {"", "null", "5", "\"ok\"", "true", "<html>", "{\"choices\":[{}]", "{} {}"};
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
    for (size_t j = 0; j < sizeof all_endpoints / sizeof *all_endpoints; j++)
      check_kind(bodies[i], all_endpoints[j], HG_ANSWER_NONE);
  struct hg_answer answer;
  struct hg_answer_fault fault;
  hg_answer_read(NULL, 0, &answer);
  CHECK_EQ(hg_answer_kind_of(&answer, NULL, HG_ENDPOINT_CHAT, &fault), HG_ANSWER_NONE);
  CHECK_EQ(kind_of("5", HG_ENDPOINT_OTHER, &fault), HG_ANSWER_NONE);
  CHECK_STR(fault.text, "it is neither an object nor an array");
}

// Each of the five holds its own payload, and no other stands for it.
TEST(fault, answers_without_their_payload) {
  static const char *const payloads[] = {[HG_ENDPOINT_CHAT] = "choices",
                                         [HG_ENDPOINT_RESPONSES] = "output",
                                         [HG_ENDPOINT_COMPLETIONS] = "choices",
                                         [HG_ENDPOINT_EMBEDDINGS] = "data",
                                         [HG_ENDPOINT_MESSAGES] = "content"};
  static const char *const bodies[] = {"{}",
                                       "[]",
                                       "[{}]",
                                       "{\"detail\":\"Not Found\"}",
                                       "{\"errors\":[{\"message\":\"x\"}]}",
                                       "{\"id\":\"x\",\"usage\":{\"total_tokens\":3}}"};
  static const char *const values[] = {"null", "{}", "\"yes\"", "0", "{\"0\":{}}"};
  for (enum hg_endpoint i = HG_ENDPOINT_CHAT; i < HG_ENDPOINT_OTHER; i++) {
    char text[120], body[120];
    struct hg_answer_fault fault;
    snprintf(text, sizeof text, "it has no array of %s", payloads[i]);
    for (size_t j = 0; j < sizeof bodies / sizeof *bodies; j++) {
      check_kind(bodies[j], i, HG_ANSWER_NONE);
      kind_of(bodies[j], i, &fault);
      CHECK_STR(fault.text, text);
    }
    for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
      snprintf(body, sizeof body, "{\"%s\":%s}", payloads[i], values[j]);
      check_kind(body, i, HG_ANSWER_NONE);
    }
    for (enum hg_endpoint j = HG_ENDPOINT_CHAT; j < HG_ENDPOINT_OTHER; j++) {
      snprintf(body, sizeof body, "{\"%s\":[{}]}", payloads[j]);
      check_kind(body, i, strcmp(payloads[i], payloads[j]) == 0 ? HG_ANSWER_RESULT : HG_ANSWER_NONE);
    }
  }
}

TEST(fault, empty_payloads) {
  struct hg_answer_fault fault = fault_at(HG_ENDPOINT_CHAT, "{\"choices\":[]}");
  CHECK(fault.status == 500 && fault.worked && !fault.quota);
  CHECK_STR(fault.text, "there is no choice in it");
  fault = fault_at(HG_ENDPOINT_COMPLETIONS, "{\"choices\":[ ],\"usage\":null}");
  CHECK(fault.status == 500 && fault.worked);
  fault = fault_at(HG_ENDPOINT_EMBEDDINGS, "{\"object\":\"list\",\"data\":[]}");
  CHECK(fault.status == 500 && fault.worked);
  CHECK_STR(fault.text, "there is no embedding in it");
}

TEST(fault, errors_inside_choices) {
  static const struct {
    const char *choices;
    long status;
    const char *text;
  } errors[] = {
      {"{\"error\":{\"code\":502,\"message\":\"Upstream died\"},\"finish_reason\":\"error\",\"message\":{}}", 502,
       "Upstream died"},
      {"{\"error\":{\"code\":429,\"message\":\"slow\",\"metadata\":{\"raw\":\"x\"}}}", 429, "slow"},
      {"{\"error\":{\"code\":\"server_error\"}}", 500, "server_error"},
      {"{\"error\":\"it broke\",\"finish_reason\":\"stop\"}", 400, "it broke"},
      {"{\"finish_reason\":\"error\",\"message\":{\"content\":\"half a sen\"}}", 500, "the finish_reason is error"},
      {"{\"finish_reason\":\"insufficient_system_resource\"}", 503,
       "the finish_reason is insufficient_system_resource"},
      {"null", 500, "a choice is no object"},
      {"{\"error\":{\"code\":429}},{\"finish_reason\":\"error\"},7", 429, ""}, // the first one says why
  };
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
    char body[200];
    snprintf(body, sizeof body, "{\"choices\":[%s]}", errors[i].choices);
    const struct hg_answer_fault fault = fault_at(i % 2 ? HG_ENDPOINT_CHAT : HG_ENDPOINT_COMPLETIONS, body);
    CHECK_EQ(fault.status, errors[i].status);
    CHECK_STR(fault.text, errors[i].text);
    CHECK(fault.worked && !fault.quota);
  }
  CHECK(fault_at(HG_ENDPOINT_CHAT, "{\"choices\":[{\"error\":{\"code\":\"insufficient_quota\"}}]}").quota);
}

TEST(fault, errors_beside_the_one_choice) {
  struct hg_answer_fault fault = fault_of("{\"message\":{\"content\":[]},\"finish_reason\":\"ERROR\"}");
  CHECK(fault.status == 500 && fault.worked && !fault.quota);
  CHECK_STR(fault.text, "the finish_reason is ERROR");
  fault = fault_of("{\"message\":{\"content\":[{}]},\"finish_reason\":\"TIMEOUT\"}");
  CHECK(fault.status == 503 && fault.worked);
  static const char *const good[] = {"COMPLETE", "MAX_TOKENS", "ERROR_TOXIC", "ERROR_LIMIT"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    char body[64];
    snprintf(body, sizeof body, "{\"message\":{},\"finish_reason\":\"%s\"}", good[i]);
    check_kind(body, HG_ENDPOINT_OTHER, HG_ANSWER_RESULT);
  }
}

TEST(fault, one_good_choice_makes_a_result) {
  static const char bad[] = "{\"error\":{\"code\":502}}", good[] = "{\"finish_reason\":\"stop\"}";
  for (unsigned mask = 1; mask < 8; mask++) {
    char body[200];
    snprintf(body, sizeof body, "{\"choices\":[%s,%s,%s]}", mask & 1 ? good : bad, mask & 2 ? good : bad,
             mask & 4 ? good : bad);
    check_kind(body, HG_ENDPOINT_CHAT, HG_ANSWER_RESULT);
  }
}

TEST(fault, errors_by_code_and_type) {
  static const struct {
    const char *body;
    long status;
    const char *text;
  } errors[] = {
      {"{\"error\":{\"code\":\"rate_limit_exceeded\",\"type\":\"tokens\"}}", 429, "rate_limit_exceeded"},
      {"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}", 529,
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

TEST(fault, responses_that_did_not_end_well) {
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

TEST(fault, signs_of_work) {
  CHECK(fault_of("{\"error\":\"x\",\"choices\":[{}]}").worked);
  CHECK(fault_of("{\"error\":\"x\",\"content\":[{}]}").worked);
  CHECK(fault_of("{\"error\":\"x\",\"usage\":{\"total_tokens\":-1}}").worked); // unreadable figures
  CHECK(!fault_of("{\"error\":\"x\",\"usage\":null,\"choices\":[]}").worked);
}

// Wherever it stands, an error is one, whatever else the endpoint would have answered.
TEST(fault, errors_of_all_endpoints) {
  for (size_t i = 0; i < sizeof all_endpoints / sizeof *all_endpoints; i++) {
    CHECK_EQ(fault_at(all_endpoints[i], "{\"error\":{\"code\":503}}").status, 503);
    CHECK_EQ(fault_at(all_endpoints[i], "{\"error\":\"x\",\"choices\":[{}],\"data\":[{}]}").status, 400);
  }
}

TEST(fault, words_of_bad_statuses) {
  static const struct {
    const char *body, *words;
    bool quota;
  } answers[] = {{"{\"error\":{\"message\":\"m\",\"code\":\"insufficient_quota\"},\"detail\":\"d\"}", "m", true},
                 {"{\"error\":{\"type\":\"insufficient_quota\",\"code\":null}}", "", true},
                 {"{\"error\":\"insufficient_quota\"}", "insufficient_quota", false},
                 {"{\"message\":\"m\",\"detail\":\"d\"}", "m", false},
                 {"{\"detail\":\"d\"}", "d", false},
                 {"{\"detail\":[{\"msg\":\"d\"}]}", "", false},
                 {"[]", "", false},
                 {"insufficient_quota", "", false},
                 {"", "", false}};
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
    struct hg_answer answer;
    char words[40];
    hg_answer_read(answers[i].body, strlen(answers[i].body), &answer);
    hg_answer_words(&answer, words, sizeof words);
    CHECK_STR(words, answers[i].words);
    CHECK_EQ(hg_answer_is_quota(&answer), answers[i].quota);
  }
}
