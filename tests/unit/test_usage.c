// Usage as providers answer it: one row a shape, with every figure that must come out.
// labels: budget
#include "support/test.h"

#include "usage/usage.h"

#define U HG_UNKNOWN

static hg_err find(const char *body, size_t len, struct hg_usage_found *found) {
  struct hg_answer answer;
  hg_answer_read(body, len, &answer);
  return hg_usage_find(&answer, found);
}

struct row {
  const char *body;
  int64_t total, input, output, cached, cache_write, reasoning;
};

static const struct row exact[] = {
    // OpenAI chat completions; what is inside the prompt or the completion is not added
    {"{\"id\":\"c\",\"object\":\"chat.completion\",\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":10,\"total_"
     "tokens\":29,"
     "\"prompt_tokens_details\":{\"cached_tokens\":4,\"audio_tokens\":0,\"cache_write_tokens\":2},"
     "\"completion_tokens_details\":{\"reasoning_tokens\":7,\"rejected_prediction_tokens\":1}}}",
     29, 19, 10, 4, 2, 7},
    // responses
    {"{\"object\":\"response\",\"error\":null,\"usage\":{\"input_tokens\":36,\"input_tokens_details\":{\"cached_"
     "tokens\":8},"
     "\"output_tokens\":87,\"output_tokens_details\":{\"reasoning_tokens\":64},\"total_tokens\":123}}",
     123, 36, 87, 8, U, 64},
    // completions without a total
    {"{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}", 12, 5, 7, U, U, U},
    // embeddings
    {"{\"object\":\"list\",\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}", 8, 8, U, U, U, U},
    {"{\"usage\":{\"total_tokens\":10}}", 10, U, U, U, U, U},
    // a byte-order mark and white space before it
    {"\xef\xbb\xbf \r\n{\"usage\":{\"total_tokens\":10}}", 10, U, U, U, U, U},
    // vLLM: nulls
    {"{\"usage\":{\"prompt_tokens\":5,\"total_tokens\":9,\"completion_tokens\":null,\"prompt_tokens_details\":null}}",
     9, 5, U, U, U, U},
    // DeepSeek
    {"{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":2,\"total_tokens\":12,\"prompt_cache_hit_tokens\":6,"
     "\"prompt_cache_miss_tokens\":4}}",
     12, 10, 2, 6, U, U},
    // Mistral: members that are not ours
    {"{\"usage\":{\"prompt_audio_seconds\":{},\"prompt_tokens\":10,\"completion_tokens\":2,\"total_tokens\":12}}", 12,
     10, 2, U, U, U},
    // reasoning outside the completion: only the total shows it
    {"{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":45,"
     "\"completion_tokens_details\":{\"reasoning_tokens\":30}}}",
     45, 10, 35, U, U, 30},
    // a total over its parts wins, one under its parts does not
    {"{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":20}}", 20, 10, 5, U, U, U},
    {"{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":1}}", 15, 10, 5, U, U, U},
    // a stated zero is a zero
    {"{\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}}", 0, 0, 0, U, U, U},
    // Anthropic: the cache is beside the input
    {"{\"id\":\"msg_1\",\"type\":\"message\",\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":100,"
     "\"cache_read_input_tokens\":1000,\"cache_creation\":{\"ephemeral_5m_input_tokens\":100},\"output_tokens\":7,"
     "\"output_tokens_details\":{\"thinking_tokens\":3},\"service_tier\":\"standard\"}}",
     1117, 1110, 7, 1000, 100, 3},
    {"{\"type\":\"message\",\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":null,\"output_tokens\":7}}",
     17, 10, 7, U, U, U},
    {"{\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":5,\"output_tokens\":7}}", 22, 15, 7, 5, U, U},
    // a proxy's chat usage with Anthropic's members beside: the prompt has them already
    {"{\"usage\":{\"prompt_tokens\":15,\"completion_tokens\":7,\"total_tokens\":22,\"cache_read_input_tokens\":5}}", 22,
     15, 7, 5, U, U},
    // a 200 with an error may carry usage
    {"{\"error\":{\"message\":\"x\"},\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":0,\"total_tokens\":3}}", 3, 3,
     0, U, U, U},
    // counts in quotes
    {"{\"usage\":{\"prompt_tokens\":\"3\",\"completion_tokens\":\"007\",\"total_tokens\":\"10\"}}", 10, 3, 7, U, U, U},
    // a hostile part does not spoil the total; an impossible one is dropped
    {"{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1,\"total_tokens\":4,\"prompt_tokens_details\":{\"cached_"
     "tokens\":-5},"
     "\"completion_tokens_details\":{\"reasoning_tokens\":9}}}",
     4, 3, 1, U, U, U},
    // an integer over 64 bits elsewhere, a lone surrogate, a repeated member
    {"{\"seed\":99999999999999999999999,\"x\":\"\\ud83d\",\"usage\":null,\"usage\":{\"prompt_tokens\":3,\"completion_"
     "tokens\":1}}",
     4, 3, 1, U, U, U},
    {"{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":9007199254740990}}", HG_TOKENS_MAX, 1, HG_TOKENS_MAX - 1, U,
     U, U},
};

TEST(usage, shapes) {
  for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) {
    struct hg_usage_found found;
    fprintf(stderr, "row %zu\n", i);
    CHECK_EQ(find(exact[i].body, strlen(exact[i].body), &found), HG_OK);
    CHECK(found.reason == NULL);
    CHECK_EQ(found.report.source, HG_SOURCE_EXACT);
    CHECK_EQ(found.report.tokens, exact[i].total);
    CHECK_EQ(found.report.input_tokens, exact[i].input);
    CHECK_EQ(found.report.output_tokens, exact[i].output);
    CHECK_EQ(found.report.cached_tokens, exact[i].cached);
    CHECK_EQ(found.report.cache_write_tokens, exact[i].cache_write);
    CHECK_EQ(found.report.reasoning_tokens, exact[i].reasoning);
  }
}

static const struct {
  const char *body, *reason;
} missing[] = {
    {"{}", "no usage"},
    {"{\"error\":{\"message\":\"x\"}}", "is an error"},
    {"{\"usage\":null}", "null"},
    {"{\"usage\":7}", "not an object"},
    {"{\"usage\":{}}", "neither a total"},
    {"{\"usage\":{\"type\":\"duration\",\"seconds\":3}}", "neither a total"},
    {"{\"usage\":{\"prompt_tokens\":3}}", "neither a total"},
    {"{\"usage\":{\"prompt_tokens\":null,\"completion_tokens\":null}}", "neither a total"},
    {"{\"usage\":{\"prompt_tokens\":-3,\"completion_tokens\":1,\"total_tokens\":4}}", "negative"},
    {"{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1,\"total_tokens\":-4}}", "negative"},
    {"{\"usage\":{\"prompt_tokens\":\"3.0\",\"completion_tokens\":1}}", "not a number"},
    {"{\"usage\":{\"prompt_tokens\":\"-3\",\"completion_tokens\":1}}", "not a number"},
    {"{\"usage\":{\"prompt_tokens\":\"\",\"completion_tokens\":1}}", "not a number"},
    {"{\"usage\":{\"prompt_tokens\":\"3 \",\"completion_tokens\":1}}", "not a number"},
    {"{\"usage\":{\"prompt_tokens\":\"9007199254740992\",\"completion_tokens\":1}}", "over 2^53"},
    {"{\"usage\":{\"prompt_tokens\":3.5,\"completion_tokens\":1}}", "fractional"},
    {"{\"usage\":{\"prompt_tokens\":9007199254740992,\"completion_tokens\":1}}", "over 2^53"},
    {"{\"usage\":{\"prompt_tokens\":18446744073709551617,\"completion_tokens\":1}}", "over 2^53"},
    {"{\"usage\":{\"prompt_tokens\":9007199254740991,\"completion_tokens\":1}}", "adds up"},
    {"{\"usage\":{\"prompt_tokens\":8,\"total_tokens\":3}}", "less than its parts"},
    {"{\"type\":\"message\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1,\"cache_read_input_tokens\":-1}}",
     "negative"},
    {"[1]", "not a JSON object"},
};

TEST(usage, missing_is_neither_zero_nor_one) {
  for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
    struct hg_usage_found found;
    fprintf(stderr, "row %zu\n", i);
    CHECK_EQ(find(missing[i].body, strlen(missing[i].body), &found), HG_ERR_NO_USAGE);
    CHECK_EQ(found.report.source, HG_SOURCE_MISSING);
    CHECK_EQ(found.report.input_tokens, HG_UNKNOWN);
    CHECK(found.reason && strstr(found.reason, missing[i].reason));
  }
}

TEST(usage, what_is_not_json) {
  static const char *const bodies[] = {"", "<html>502</html>", "{\"usage\":{\"prompt_tokens\":1",
                                       "{\"usage\":{\"total_tokens\":NaN}}"};
  for (size_t i = 0; i < 4; i++) {
    struct hg_usage_found found;
    CHECK_EQ(find(bodies[i], strlen(bodies[i]), &found), HG_ERR_PROTOCOL);
    CHECK(found.reason && found.report.source == HG_SOURCE_MISSING);
  }
  struct hg_usage_found found;
  CHECK_EQ(find("{}", (size_t)HG_BODY_MAX + 1, &found), HG_ERR_PROTOCOL);
}

TEST(usage, model_and_id) {
  struct hg_usage_found found;
  const char *body = "{\"id\":\"chatcmpl-\\u00e9\",\"model\":\"gpt-4o\",\"usage\":null}";
  CHECK_EQ(find(body, strlen(body), &found), HG_ERR_NO_USAGE);
  CHECK_STR(found.report.response_id, "chatcmpl-\xc3\xa9");
  CHECK_STR(found.report.model, "gpt-4o");
  char text[400], id[HG_LABEL_MAX + 2];
  memset(id, 'x', sizeof id);
  id[HG_LABEL_MAX + 1] = '\0'; // one too long: a cut id would name nothing
  snprintf(text, sizeof text, "{\"id\":\"%s\",\"model\":7,\"usage\":{\"total_tokens\":1}}", id);
  CHECK_EQ(find(text, strlen(text), &found), HG_OK);
  CHECK(!found.report.response_id && !found.report.model);
}

TEST(usage, from_response_keeps_what_the_caller_set) {
  hg_usage_report report = HG_USAGE_REPORT_INIT;
  report.task_id = "t";
  report.budget = "b";
  report.attempt = 3;
  report.model = "old";
  const char *body = "{\"id\":\"x\",\"model\":\"m\",\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3}}";
  CHECK_EQ(hg_usage_from_response(body, strlen(body), &report), HG_OK);
  CHECK_EQ(report.tokens, 5);
  CHECK_STR(report.task_id, "t");
  CHECK_STR(report.budget, "b");
  CHECK(report.attempt == 3 && !report.model && !report.response_id && report.size == sizeof report);
  CHECK_EQ(hg_usage_from_response("{}", 2, &report), HG_ERR_NO_USAGE);
  CHECK(report.source == HG_SOURCE_MISSING && report.tokens == 0);
  CHECK_EQ(hg_usage_from_response("x", 1, &report), HG_ERR_PROTOCOL);
  CHECK_EQ(hg_usage_from_response(NULL, 1, &report), HG_ERR_INVALID);
  CHECK_EQ(hg_usage_from_response("{}", 2, NULL), HG_ERR_INVALID);
  report.size = 4;
  CHECK_EQ(hg_usage_from_response("{}", 2, &report), HG_ERR_INVALID);
}
