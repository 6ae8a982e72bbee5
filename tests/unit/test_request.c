// What a request can use at most, and the body that is sent with its cap written in.
// links: program
// labels: budget
#include "support/test.h"

#include "providers/bound.h"
#include "providers/request.h"
#include "base/json_scan.h"

#include <jansson.h>

#define CHAT "/v1/chat/completions"
#define RESPONSES "/v1/responses"
#define COMPLETIONS "/v1/completions"
#define EMBEDDINGS "/v1/embeddings"
#define MESSAGES "/v1/messages"

#define GEMINI "/v1beta/models/g:generateContent"
#define OLLAMA "/api/chat"
#define COHERE "/v2/chat"
#define CONVERSE "/model/m/converse"
#define GEMINI_CAPPED "{\"generationConfig\":{\"maxOutputTokens\":9}}"
#define OLLAMA_CAPPED "{\"options\":{\"num_predict\":9}"
#define CONVERSE_CAPPED "{\"inferenceConfig\":{\"maxTokens\":9}}"

static const struct hg_llm_config plain = {.default_max_tokens = 4096};

static struct hg_prepared prepare(const char *url, const char *body, const struct hg_llm_config *llm,
                                  const char *model) {
  struct hg_prepared out;
  hg_error why = HG_ERROR_INIT;
  const hg_err err = hg_request_prepare(url, body, strlen(body), llm, model, &out, &why);
  if (err) fprintf(stderr, "%s: %s\n", body, why.text);
  CHECK_EQ(err, HG_OK);
  CHECK_EQ(strlen(out.body), out.body_len);
  return out;
}

static void check_refused(const char *url, const char *body, const struct hg_llm_config *llm, hg_err code,
                          const char *text) {
  struct hg_prepared out;
  hg_error why = HG_ERROR_INIT;
  const hg_err err = hg_request_prepare(url, body, strlen(body), llm, NULL, &out, &why);
  if (err != code || !strstr(why.text, text)) fprintf(stderr, "%s: %d %s\n", body, (int)err, why.text);
  CHECK_EQ(err, code);
  CHECK(strstr(why.text, text) != NULL);
  CHECK(out.body == NULL && why.code == code);
}

TEST(request, endpoints) {
  CHECK_EQ(hg_endpoint_of(CHAT), HG_ENDPOINT_CHAT);
  CHECK_EQ(hg_endpoint_of("/openai/deployments/d/chat/completions?api-version=1"), HG_ENDPOINT_CHAT);
  CHECK_EQ(hg_endpoint_of("/v1/responses/"), HG_ENDPOINT_RESPONSES);
  CHECK_EQ(hg_endpoint_of(COMPLETIONS), HG_ENDPOINT_COMPLETIONS);
  CHECK_EQ(hg_endpoint_of(EMBEDDINGS), HG_ENDPOINT_EMBEDDINGS);
  CHECK_EQ(hg_endpoint_of(MESSAGES), HG_ENDPOINT_MESSAGES);
  CHECK_EQ(hg_endpoint_of("/v1/messages/count_tokens"), HG_ENDPOINT_OTHER);
  CHECK_EQ(hg_endpoint_of("/score"), HG_ENDPOINT_OTHER);
  CHECK_EQ(hg_endpoint_of("/api/embeddings"), HG_ENDPOINT_OTHER); // its answer has no array of data
  CHECK_EQ(hg_endpoint_of("/v2/chat"), HG_ENDPOINT_OTHER);
  CHECK_EQ(hg_endpoint_of(""), HG_ENDPOINT_OTHER);
}

TEST(request, models_of_urls) {
  static const struct {
    const char *url, *model;
  } urls[] = {
      {CHAT, ""},
      {"/v1beta/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash"},
      {"/v1/projects/p/locations/l/publishers/google/models/g:streamGenerateContent?alt=sse", "g"},
      {"/v1/models/m", ""}, // no call
      {"/v1/models/m:x/operations", ""},
      {"/model/anthropic.claude-v1:0/converse", "anthropic.claude-v1:0"},
      {"/model/anthropic.claude-v1%3A0/converse-stream", "anthropic.claude-v1:0"},
      {"/model/arn%3aaws%3Abedrock%2Fx/invoke", "arn:aws:bedrock/x"},
      {"/model/m", ""},
      {"/model//converse", ""},
      {"/model/a%00b/converse", ""},
      {"/model/a%2/converse", "a%2"},
      {"/openai/deployments/d-1/chat/completions?api-version=/model/x/converse", "d-1"},
      {"/deployments/d", "d"},
      {"/submodels/m:x", ""},
      {"", ""},
  };
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    char model[HG_LABEL_MAX + 1];
    hg_endpoint_model(urls[i].url, model);
    CHECK_STR(model, urls[i].model);
  }
  char url[HG_LABEL_MAX + 32], model[HG_LABEL_MAX + 1];
  snprintf(url, sizeof url, "/model/%0*d/converse", HG_LABEL_MAX, 7);
  hg_endpoint_model(url, model);
  CHECK_EQ(strlen(model), HG_LABEL_MAX);
  snprintf(url, sizeof url, "/model/%0*d/converse", HG_LABEL_MAX + 1, 7);
  hg_endpoint_model(url, model);
  CHECK_STR(model, "");
}

// What a server obeys: the model of the url, whatever body or command line say.
TEST(request, the_model_of_the_url_comes_first) {
  struct hg_prepared out =
      prepare("/openai/deployments/d/chat/completions", "{\"model\":\"m\",\"max_tokens\":9}", &plain, "x");
  CHECK_STR(out.model, "d");
  CHECK_STR(out.body, "{\"model\":\"m\",\"max_tokens\":9}");
  hg_prepared_clear(&out);
}

static const struct {
  const char *url, *own_field, *model, *body, *sent;
  int64_t cap;
} caps[] = {
    // written where it is missing, at the front, all other bytes kept
    {CHAT, "auto", NULL, " {\"model\": \"m\", \"temperature\":1.0e0 } ",
     " {\"max_tokens\":4096,\"model\": \"m\", \"temperature\":1.0e0 } ", 4096},
    {CHAT, NULL, NULL, "{}", "{\"max_tokens\":4096}", 4096},
    {CHAT, "auto", NULL, "{\"model\":\"gpt-5-mini\"}", "{\"max_completion_tokens\":4096,\"model\":\"gpt-5-mini\"}",
     4096},
    {CHAT, "auto", NULL, "{\"model\":\"openai/o3\"}", "{\"max_completion_tokens\":4096,\"model\":\"openai/o3\"}", 4096},
    {CHAT, "auto", NULL, "{\"model\":\"gpt-4o\"}", "{\"max_tokens\":4096,\"model\":\"gpt-4o\"}", 4096},
    // there: nothing changes, the larger counts
    {CHAT, "auto", NULL, "{\"max_tokens\":7}", "{\"max_tokens\":7}", 7},
    {CHAT, "auto", NULL, "{\"max\\u005ftokens\":7,\"max_completion_tokens\":9}",
     "{\"max\\u005ftokens\":7,\"max_completion_tokens\":9}", 9},
    {CHAT, "auto", NULL, "{\"max_tokens\":null,\"max_completion_tokens\":9}",
     "{\"max_tokens\":null,\"max_completion_tokens\":9}", 9},
    // a null is replaced in its place
    {CHAT, "auto", NULL, "{\"a\":1,\"max_tokens\" : null }", "{\"a\":1,\"max_tokens\" : 4096 }", 4096},
    {RESPONSES, "auto", NULL, "{\"input\":\"x\"}", "{\"max_output_tokens\":4096,\"input\":\"x\"}", 4096},
    {RESPONSES, "max_tokens", NULL, "{\"max_output_tokens\":5}", "{\"max_output_tokens\":5}", 5},
    {COMPLETIONS, "auto", NULL, "{\"prompt\":\"x\"}", "{\"max_tokens\":4096,\"prompt\":\"x\"}", 4096},
    {MESSAGES, "auto", NULL, "{\"messages\":[]}", "{\"max_tokens\":4096,\"messages\":[]}", 4096},
    {EMBEDDINGS, "auto", NULL, "{\"input\":\"x\"}", "{\"input\":\"x\"}", 0},
    {"/score", "auto", NULL, "{\"text_1\":\"x\"}", "{\"text_1\":\"x\"}", 0},
    {"/v1/other", "auto", NULL, "{\"max_tokens\":11}", "{\"max_tokens\":11}", 11},
    {COHERE, "auto", NULL, "{\"model\":\"c\"}", "{\"max_tokens\":4096,\"model\":\"c\"}", 4096},
    {COHERE, "auto", "m", "{}", "{\"max_tokens\":4096,\"model\":\"m\"}", 4096},
    {COHERE, "auto", NULL, "{\"max_tokens\":7}", "{\"max_tokens\":7}", 7},
    {COHERE, "auto", NULL, "{\"max_output_tokens\":7}", "{\"max_tokens\":4096,\"max_output_tokens\":7}", 4096},
    {"/v2/embed", "auto", NULL, "{\"texts\":[\"x\"]}", "{\"texts\":[\"x\"]}", 0},
    {"/api/embed?x", "auto", NULL, "{\"input\":\"x\"}", "{\"input\":\"x\"}", 0},
    {"/api/embeddings", "auto", NULL, "{\"prompt\":\"x\"}", "{\"prompt\":\"x\"}", 0},
    {"/v1beta/models/g:embedContent", "auto", "m", "{\"content\":{}}", "{\"content\":{}}", 0},
    {"/v1beta/models/g:batchEmbedContents", "auto", NULL, "{\"requests\":[]}", "{\"requests\":[]}", 0},
    // a configured field is written beside any other
    {CHAT, "max_completion_tokens", NULL, "{}", "{\"max_completion_tokens\":4096}", 4096},
    {CHAT, "max_tokens", NULL, "{\"max_completion_tokens\":9}", "{\"max_tokens\":9,\"max_completion_tokens\":9}", 9},
    {COMPLETIONS, "n_predict", NULL, "{\"prompt\":\"\"}", "{\"n_predict\":4096,\"prompt\":\"\"}", 4096},
    {COMPLETIONS, "n_predict", NULL, "{\"n_predict\":3}", "{\"n_predict\":3}", 3},
    // the model
    {CHAT, "auto", "o1", "{\"model\":\"m\",\"x\":1}", "{\"max_completion_tokens\":4096,\"model\":\"o1\",\"x\":1}",
     4096},
    {CHAT, "auto", "a\"b\\c", "{}", "{\"max_tokens\":4096,\"model\":\"a\\\"b\\\\c\"}", 4096},
    {CHAT, "auto", "m", "{\"max_tokens\":2}", "{\"model\":\"m\",\"max_tokens\":2}", 2},
    {CHAT, "auto", "m", "{\"max_tokens\":null,\"model\":null}", "{\"max_tokens\":4096,\"model\":\"m\"}", 4096},
    {CHAT, "auto", "m", "{\"model\":\"long name\",\"max_tokens\":null}", "{\"model\":\"m\",\"max_tokens\":4096}", 4096},
};

TEST(request, the_cap_is_sent) {
  for (size_t i = 0; i < sizeof caps / sizeof *caps; i++) {
    struct hg_llm_config llm = plain;
    char own[64];
    if (caps[i].own_field) llm.output_cap_field = strcpy(own, caps[i].own_field);
    struct hg_prepared out = prepare(caps[i].url, caps[i].body, &llm, caps[i].model);
    CHECK_STR(out.body, caps[i].sent);
    CHECK_EQ(out.output_cap, caps[i].cap);
    CHECK_EQ(out.max_tokens, out.input_bound + out.choices * out.output_cap);
    CHECK(out.input_bound >= (int64_t)out.body_len);
    hg_prepared_clear(&out);
  }
}

TEST(request, hostile_values_are_refused) {
  static const char *const values[] = {
      "-1", "0", "1.5", "1e3", "\"9\"", "9007199254740992", "99999999999999999999999", "true", "[]"};
  static const struct {
    const char *url, *name;
  } fields[] = {{CHAT, "max_tokens"},
                {CHAT, "max_completion_tokens"},
                {CHAT, "n"},
                {RESPONSES, "max_output_tokens"},
                {COMPLETIONS, "max_tokens"},
                {COMPLETIONS, "best_of"},
                {MESSAGES, "max_tokens"}};
  for (size_t f = 0; f < sizeof fields / sizeof *fields; f++)
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
      char body[128];
      snprintf(body, sizeof body, "{\"%s\":%s}", fields[f].name, values[v]);
      check_refused(fields[f].url, body, &plain, HG_ERR_INVALID, fields[f].name);
    }
  check_refused(CHAT, "{\"max_tokens\":1,\"max_tokens\":2}", &plain, HG_ERR_INVALID, "more than once");
  check_refused(CHAT, "{\"max_tokens\":9007199254740991}", &plain, HG_ERR_INVALID, "more than 2^53 - 1");
  check_refused(CHAT, "{\"max_tokens\":9007199254740991,\"n\":9007199254740991}", &plain, HG_ERR_INVALID,
                "more than 2^53 - 1");
  check_refused(CHAT, "{\"stream\":1}", &plain, HG_ERR_INVALID, "\"stream\" is neither true nor false");
  check_refused(CHAT, "{\"stream\":\"true\"}", &plain, HG_ERR_INVALID, "\"stream\" is neither true nor false");
  check_refused(CHAT, "{\"stream\":true,\"stream_options\":{},\"stream_options\":{}}", &plain, HG_ERR_INVALID,
                "more than once");
  check_refused(CHAT, "[]", &plain, HG_ERR_INVALID, "not a JSON object");
  check_refused(CHAT, "{\"a\":}", &plain, HG_ERR_INVALID, "at byte 6");
  check_refused(CHAT, "", &plain, HG_ERR_INVALID, "not JSON");
  struct hg_prepared out = prepare(CHAT, "{\"stream\":false,\"max_tokens\":1}", &plain, NULL);
  hg_prepared_clear(&out);
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_request_prepare(CHAT, "{}", 2, &plain, "\xff", &out, &why), HG_ERR_INVALID);
  CHECK_EQ(hg_request_prepare(CHAT, "{}", 2, &plain, "a\nb", &out, NULL), HG_ERR_INVALID);
}

// Where a stream says what it used only when it is asked to, it is asked to; a body that says no is obeyed.
TEST(request, streams_are_asked_for_their_usage) {
#define STREAM "\"stream\":true,\"max_tokens\":9"
  static const struct {
    const char *url, *body, *sent;
  } streams[] = {
      {CHAT, "{" STREAM "}", "{\"stream_options\":{\"include_usage\":true}," STREAM "}"},
      {COMPLETIONS, "{" STREAM "}", "{\"stream_options\":{\"include_usage\":true}," STREAM "}"},
      {CHAT, "{" STREAM ",\"stream_options\":null}", "{" STREAM ",\"stream_options\":{\"include_usage\":true}}"},
      {CHAT, "{" STREAM ",\"stream_options\":{ }}", "{" STREAM ",\"stream_options\":{\"include_usage\":true }}"},
      {CHAT, "{" STREAM ",\"stream_options\":{\"include_obfuscation\":false}}",
       "{" STREAM ",\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false}}"},
      {CHAT, "{" STREAM ",\"stream_options\":{\"include_usage\":null}}",
       "{" STREAM ",\"stream_options\":{\"include_usage\":true}}"},
      {CHAT, "{" STREAM ",\"stream_options\":{\"include_usage\":true}}",
       "{" STREAM ",\"stream_options\":{\"include_usage\":true}}"},
      {CHAT, "{" STREAM ",\"stream_options\":{\"include_usage\":false}}",
       "{" STREAM ",\"stream_options\":{\"include_usage\":false}}"},
      {CHAT, "{" STREAM ",\"stream_options\":7}", "{" STREAM ",\"stream_options\":7}"},
      {MESSAGES, "{" STREAM "}", "{" STREAM "}"},
      {"/v1/other", "{" STREAM "}", "{" STREAM "}"},
      {"/v1beta/models/g:streamGenerateContent", GEMINI_CAPPED, GEMINI_CAPPED},
      {"/v1beta/models/g:streamGenerateContent?alt=sse", GEMINI_CAPPED, GEMINI_CAPPED},
      {"/model/m/converse-stream", CONVERSE_CAPPED, CONVERSE_CAPPED},
      {"/model/m/invoke-with-response-stream", "{\"max_tokens\":9}", "{\"max_tokens\":9}"},
      {COHERE, "{" STREAM "}", "{" STREAM "}"},
      // Ollama's stream unless they are told not to
      {OLLAMA, OLLAMA_CAPPED "}", OLLAMA_CAPPED "}"},
      {"/api/generate", OLLAMA_CAPPED "}", OLLAMA_CAPPED "}"},
      {OLLAMA, OLLAMA_CAPPED ",\"stream\":null}", OLLAMA_CAPPED ",\"stream\":null}"},
      {OLLAMA, OLLAMA_CAPPED ",\"stream\":true}", OLLAMA_CAPPED ",\"stream\":true}"},
  };
  for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
    struct hg_prepared out = prepare(streams[i].url, streams[i].body, &plain, NULL);
    CHECK_STR(out.body, streams[i].sent);
    CHECK(out.streams && out.input_bound >= (int64_t)out.body_len);
    hg_prepared_clear(&out);
  }
  struct hg_prepared out = prepare(CHAT, "{\"stream\":true}", &plain, "m"); // all three edits at once
  CHECK_STR(out.body,
            "{\"max_tokens\":4096,\"model\":\"m\",\"stream_options\":{\"include_usage\":true},\"stream\":true}");
  hg_prepared_clear(&out);
  out = prepare(CHAT, "{\"stream\":false,\"max_tokens\":9}", &plain, NULL);
  CHECK_STR(out.body, "{\"stream\":false,\"max_tokens\":9}");
  CHECK(!out.streams);
  hg_prepared_clear(&out);
  static const struct {
    const char *url, *body;
  } others[] = {{GEMINI, GEMINI_CAPPED},
                {OLLAMA, OLLAMA_CAPPED ",\"stream\":false}"},
                {"/api/generate", OLLAMA_CAPPED ",\"stream\":false}"},
                {"/api/embed", "{\"input\":\"x\"}"},
                {"/model/m/invoke", "{\"max_tokens\":9}"},
                {"/api/chat/completions", "{\"max_tokens\":9}"}};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    out = prepare(others[i].url, others[i].body, &plain, NULL);
    CHECK(!out.streams);
    hg_prepared_clear(&out);
  }
}

static const struct {
  const char *url, *body, *what;
} unbounded[] = {
    {"/v1/images/generations", "{\"prompt\":\"a cat\"}", "the output of this endpoint"},
    {RESPONSES, "{\"previous_response_id\":\"r\"}", "previous_response_id"},
    {RESPONSES, "{\"conversation\":{\"id\":\"c\"}}", "conversation"},
    {RESPONSES, "{\"prompt\":{\"id\":\"p\"}}", "prompt"},
    {RESPONSES, "{\"background\":true}", "background"},
    {RESPONSES, "{\"tools\":[{\"type\":\"function\"},{\"type\":\"web_search\"}]}", "tool that the server runs"},
    {RESPONSES, "{\"input\":[{\"type\":\"item_reference\",\"id\":\"i\"}]}", "item_reference"},
    {RESPONSES, "{\"input\":[{\"id\":\"i\"}]}", "only an id"},
    {RESPONSES, "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":\"data:x\"}]}]}",
     "media"},
    {MESSAGES, "{\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"w\"}]}", "tool that the server runs"},
    {MESSAGES, "{\"mcp_servers\":[{\"url\":\"u\"}]}", "mcp_servers"},
    {MESSAGES, "{\"container\":\"c\"}", "container"},
    {MESSAGES,
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"content\":[{\"type\":\"image\","
     "\"source\":"
     "{\"type\":\"base64\",\"data\":\"AAAA\"}}]}]}]}",
     "media"},
    {CHAT, "{\"web_search_options\":{}}", "web_search_options"},
    {CHAT, "{\"chat_template\":\"{% for %}\"}", "chat_template"},
    {CHAT,
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\\u005furl\",\"image_url\":{\"url\":\"u\"}}]}]}",
     "media"},
    {CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"image_url\":{\"url\":\"u\"}}]}]}", "media"},
    {CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"f\"}}]}]}",
     "media"},
};

TEST(request, what_cannot_be_bounded) {
  struct hg_llm_config allow = plain;
  allow.allow_unbounded = true;
  for (size_t i = 0; i < sizeof unbounded / sizeof *unbounded; i++) {
    check_refused(unbounded[i].url, unbounded[i].body, &plain, HG_ERR_RANGE, unbounded[i].what);
    check_refused(unbounded[i].url, unbounded[i].body, &plain, HG_ERR_RANGE, "unbounded_request: ");
    struct hg_prepared out = prepare(unbounded[i].url, unbounded[i].body, &allow, NULL);
    CHECK(out.unbounded);
    hg_prepared_clear(&out);
  }
  static const char *const harmless = "{\"previous_response_id\":null,\"background\":false,\"mcp_servers\":[],"
                                      "\"store\":true,\"tools\":[{\"type\":\"custom\"},{\"name\":\"x\"}]}";
  struct hg_prepared out = prepare(RESPONSES, harmless, &plain, NULL);
  CHECK(!out.unbounded);
  hg_prepared_clear(&out);
}

static int64_t bound_of(const char *url, const char *body, const struct hg_llm_config *llm) {
  struct hg_prepared out = prepare(url, body, llm, NULL);
  const int64_t bound = out.input_bound - (int64_t)out.body_len;
  hg_prepared_clear(&out);
  return bound;
}

// The bound beyond the bytes as sent.
TEST(request, overheads) {
  CHECK_EQ(bound_of(CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", &plain),
           HG_BOUND_CHAT_DEFAULT_SYSTEM + 2 * HG_BOUND_ITEM);
  CHECK_EQ(bound_of(CHAT, "{\"messages\":[{\"role\":\"system\",\"content\":\"x\"},{\"role\":\"user\"}]}", &plain),
           HG_BOUND_CHAT + 3 * HG_BOUND_ITEM);
  CHECK_EQ(bound_of(RESPONSES, "{\"input\":\"x\",\"instructions\":\"y\"}", &plain), HG_BOUND_CHAT + HG_BOUND_ITEM);
  CHECK_EQ(bound_of(CHAT, "{\"tools\":[{},{}]}", &plain),
           HG_BOUND_CHAT_DEFAULT_SYSTEM + HG_BOUND_ITEM + HG_BOUND_TOOLS + 2 * HG_BOUND_TOOL + 7);
  CHECK_EQ(bound_of(COMPLETIONS, "{\"prompt\":[\"a\",\"b\"]}", &plain), 3 * HG_BOUND_ITEM);
  // [1,22,333] is 10 bytes and 3 tokens
  CHECK_EQ(bound_of(COMPLETIONS, "{\"prompt\":[1,22,333]}", &plain), 2 * HG_BOUND_ITEM - 10 + 3);
  CHECK_EQ(bound_of(EMBEDDINGS, "{\"input\":[[1,22],[333]]}", &plain),
           2 * HG_BOUND_ITEM + HG_BOUND_ITEM - 11 + 3 + HG_BOUND_ITEM);
  // the query is read with each of three documents: what is beside the array counts twice more
  const char *rerank = "{\"query\":\"q\",\"documents\":[\"a\",\"b\",\"c\"]}";
  const int64_t beside = (int64_t)(strlen(rerank) - strlen("[\"a\",\"b\",\"c\"]"));
  CHECK_EQ(bound_of("/rerank", rerank, &plain), 2 * beside + 4 * HG_BOUND_ITEM);
}

// Texts to be embedded are read once each; every member may be an item.
TEST(request, overheads_of_embeddings) {
  struct hg_llm_config media = plain;
  media.max_tokens_per_media = 1000;
  CHECK_EQ(bound_of("/v2/embed", "{\"texts\":[\"a\",\"b\"],\"input_type\":\"image\"}", &plain), 5 * HG_BOUND_ITEM);
  CHECK_EQ(bound_of("/api/embed", "{\"model\":\"m\",\"input\":\"a\"}", &plain), 3 * HG_BOUND_ITEM);
  CHECK_EQ(bound_of("/v1beta/models/g:batchEmbedContents", "{\"requests\":[{\"content\":{}},{}]}", &plain),
           4 * HG_BOUND_ITEM);
  // "AAAA" is six bytes that are no text
  CHECK_EQ(bound_of("/v2/embed", "{\"images\":[\"AAAA\",\"AAAA\"]}", &media), 4 * HG_BOUND_ITEM + 2 * (1000 - 6));
  CHECK_EQ(bound_of("/v1beta/models/g:embedContent",
                    "{\"content\":{\"parts\":[{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AAAA\"}}]}}",
                    &media),
           2 * HG_BOUND_ITEM + 1000 - 6);
  check_refused("/v2/embed", "{\"images\":[\"AAAA\"]}", &plain, HG_ERR_RANGE, "media");
  check_refused("/v1beta/models/g:embedContent", "{\"content\":{\"parts\":[{\"fileData\":{\"fileUri\":\"u\"}}]}}",
                &plain, HG_ERR_RANGE, "media");
}

TEST(request, overheads_of_coheres_chat) {
#define TURN "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
  CHECK_EQ(bound_of(COHERE, TURN "}", &plain), HG_BOUND_CHAT_DEFAULT_SYSTEM + 2 * HG_BOUND_ITEM);
  CHECK_EQ(bound_of(COHERE, "{\"messages\":[{\"role\":\"system\"}]}", &plain), HG_BOUND_CHAT + 2 * HG_BOUND_ITEM);
  CHECK_EQ(bound_of(COHERE, TURN ",\"documents\":[\"a\",{\"data\":\"b\"}]}", &plain),
           HG_BOUND_CHAT_DEFAULT_SYSTEM + 2 * HG_BOUND_ITEM + HG_BOUND_TOOLS + 2 * HG_BOUND_TOOL);
  // a document is text in its own words; an image is not
  static const char given[] =
      "{\"messages\":[{\"role\":\"tool\",\"content\":[{\"type\":\"document\",\"document\":{\"data\":"
      "\"text\"}}]}]}";
  CHECK_EQ(bound_of(COHERE, given, &plain), HG_BOUND_CHAT_DEFAULT_SYSTEM + 2 * HG_BOUND_ITEM);
  check_refused(COHERE, "{\"messages\":[{\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"u\"}}]}]}",
                &plain, HG_ERR_RANGE, "media");
}

TEST(request, media_cost_their_bound_and_not_their_bytes) {
  struct hg_llm_config llm = plain;
  llm.max_tokens_per_media = 1500;
  const int64_t text = HG_BOUND_CHAT_DEFAULT_SYSTEM + 2 * HG_BOUND_ITEM;
  CHECK_EQ(bound_of(CHAT,
                    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
                    "\"data:AAAA\"}},"
                    "{\"type\":\"text\",\"text\":\"data\"}]}]}",
                    &llm),
           text + 1500 - 11);
  CHECK_EQ(bound_of(CHAT,
                    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{"
                    "\"data\":\"AAAA\"}},"
                    "{\"type\":\"file\",\"file\":{\"file_data\":\"AAAA\"}}]}]}",
                    &llm),
           text + 3000 - 12);
  // a document that is text stays text; one of base64 does not
  CHECK_EQ(bound_of(MESSAGES,
                    "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":{\"type\":"
                    "\"text\",\"data\":\"abc\"}},"
                    "{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"data\":\"AAAA\"}}]}]}",
                    &llm),
           text + HG_BOUND_ITEM + 1500 - 6);
  llm.max_tokens_per_media = HG_TOKENS_MAX;
  check_refused(CHAT, "{\"messages\":[{\"image_url\":\"a\"},{\"image_url\":\"b\"}]}", &llm, HG_ERR_INVALID, "2^53");
}

TEST(request, choices) {
  static const struct {
    const char *url, *body;
    int64_t choices, shown;
  } rows[] = {{CHAT, "{\"n\":3}", 3, 3},
              {CHAT, "{\"n\":null}", 1, 1},
              {COMPLETIONS, "{\"prompt\":\"x\",\"n\":2,\"best_of\":5}", 5, 2},
              {COMPLETIONS, "{\"prompt\":[\"x\",\"y\"],\"best_of\":5}", 10, 2},
              {COMPLETIONS, "{\"prompt\":[\"x\",\"y\"],\"n\":2}", 4, 4},
              {COMPLETIONS, "{\"prompt\":[[1],[2],[3]]}", 3, 3},
              {COMPLETIONS, "{\"prompt\":[1,2,3]}", 1, 1},
              {RESPONSES, "{\"n\":3}", 1, 1},
              {GEMINI, "{\"generationConfig\":{\"candidateCount\":3}}", 3, 3},
              {EMBEDDINGS, "{\"input\":[\"x\",\"y\"]}", 1, 1}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct hg_prepared out = prepare(rows[i].url, rows[i].body, &plain, NULL);
    CHECK_EQ(out.choices, rows[i].choices);
    CHECK_EQ(out.shown, rows[i].shown);
    CHECK_EQ(out.max_tokens, out.input_bound + out.choices * out.output_cap);
    hg_prepared_clear(&out);
  }
  struct hg_prepared out = prepare(CHAT, "{\"max_tokens\":10,\"prediction\":\"abc\"}", &plain, NULL);
  CHECK_EQ(out.max_tokens, out.input_bound + 10 + 5);
  hg_prepared_clear(&out);
}

static uint64_t state;

static size_t below(size_t n) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (size_t)(state % n);
}

// Whatever is done to a body, it is refused, or what is sent is the same JSON with a cap and the model in it.
TEST(request, mutated_bodies) {
  static const char seedling[] =
      "{\"model\":\"m\",\"max_tokens\":null,\"n\":2,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
      "\"image_url\",\"image_url\":{\"url\":\"data:A\"}}]}],\"tools\":[{\"type\":\"function\"}],\"stream\":false}";
  static const char alphabet[] = "{}[]\",:0129.-ntx\\ ";
  static const char *const urls[] = {CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS, MESSAGES, "/score"};
  const char *given = getenv("HG_TEST_SEED");
  const uint64_t seed = given ? strtoull(given, NULL, 10) : UINT64_C(424242);
  fprintf(stderr, "seed %llu (run again with HG_TEST_SEED=%llu)\n", (unsigned long long)seed, (unsigned long long)seed);
  state = seed | 1;
  struct hg_llm_config llm = plain;
  llm.max_tokens_per_media = 100;
  unsigned prepared = 0, refused = 0;
  for (int round = 0; round < 30000; round++) {
    char *text = malloc(sizeof seedling); // exactly as long as needed, for AddressSanitizer
    CHECK(text);
    size_t len = sizeof seedling - 1;
    memcpy(text, seedling, len);
    for (size_t changes = below(3); changes > 0; changes--)
      text[below(len)] = alphabet[below(sizeof alphabet - 1)];
    struct hg_prepared out;
    hg_error why = HG_ERROR_INIT;
    const hg_err err = hg_request_prepare(urls[below(6)], text, len, &llm, "new", &out, &why);
    if (!err) {
      json_t *sent = json_loadb(out.body, out.body_len, JSON_REJECT_DUPLICATES, NULL);
      json_t *before = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
      if (before) {
        CHECK(sent != NULL);
        CHECK_STR(json_string_value(json_object_get(sent, "model")), "new");
        static const char *const ours[] = {"model", "max_tokens", "max_output_tokens"};
        for (size_t i = 0; i < 3; i++) {
          json_object_del(sent, ours[i]);
          json_object_del(before, ours[i]);
        }
        CHECK(json_equal(sent, before));
      }
      CHECK(out.input_bound > 0 && out.max_tokens >= out.input_bound && out.max_tokens <= HG_TOKENS_MAX);
      hg_prepared_clear(&out);
      json_decref(sent);
      json_decref(before);
      prepared++;
    } else {
      CHECK(why.text[0] && out.body == NULL);
      refused++;
    }
    free(text);
  }
  CHECK(prepared > 3000 && refused > 3000);
}

// ---------------------------------------------------------------------------------------------- what it costs

TEST(request, a_price_makes_money_of_the_bound) {
  static struct hg_price rows[] = {{"gpt-4o*", 2500, 1250, 3000, 10000}, {"*", HG_PRICE_MAX, 0, 0, HG_PRICE_MAX}};
  const struct hg_llm_config llm = {.default_max_tokens = 100};
  const struct hg_prices known = {rows, 1}, all = {rows, 2};
  static const char url[] = "/v1/chat/completions", body[] = "{\"model\":\"gpt-4o-mini\",\"n\":2,\"messages\":[]}";
  struct hg_prepared prepared;
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_request_prepare(url, body, strlen(body), &llm, NULL, &prepared, &why), HG_OK);
  CHECK_EQ(prepared.most, prepared.max_tokens);
  CHECK_EQ(hg_prepared_price(&prepared, &known, &why), HG_OK);
  CHECK_EQ(prepared.most, prepared.input_bound * 3000 + 200 * 10000); // the dearest input
  CHECK_EQ(prepared.least, prepared.most);
  hg_prepared_clear(&prepared);
  // The model that replaces the body's is the one that is called.
  CHECK_EQ(hg_request_prepare(url, body, strlen(body), &llm, "llama", &prepared, &why), HG_OK);
  CHECK_EQ(hg_prepared_price(&prepared, &known, &why), HG_ERR_CONFIG);
  CHECK_STR(why.text, "unknown_price: llm.prices has no price of model \"llama\"");
  CHECK_EQ(hg_prepared_price(&prepared, &all, &why), HG_OK);
  hg_prepared_clear(&prepared);
  static const char endless[] = "{\"max_tokens\":9007199254000000}";
  CHECK_EQ(hg_request_prepare(url, endless, strlen(endless), &llm, NULL, &prepared, &why), HG_OK);
  CHECK_EQ(hg_prepared_price(&prepared, &all, &why), HG_ERR_INVALID);
  hg_prepared_clear(&prepared);
}

// ---------------------------------------------------------------------------------------------- native requests

TEST(request, caps_inside_of_a_member) {
  static const struct {
    const char *url, *body, *sent;
    int64_t cap, choices;
  } native[] = {
      // there: not a byte changes
      {GEMINI, " { \"generationConfig\" : {\"temperature\":1.0e0,\"maxOutputTokens\" : 7} }", NULL, 7, 1},
      {GEMINI, "{\"generation_config\":{\"max_output_tokens\":7,\"candidate_count\":3}}", NULL, 7, 3},
      {OLLAMA, "{\"options\":{\"num_predict\":7},\"stream\":false}", NULL, 7, 1},
      {"/api/generate/", "{\"options\":{\"num_predict\":7},\"prompt\":\"x\"}", NULL, 7, 1},
      {CONVERSE, "{\"inferenceConfig\":{\"maxTokens\":7}}", NULL, 7, 1},
      // written where it is missing, all other bytes kept
      {GEMINI, "{}", "{\"generationConfig\":{\"maxOutputTokens\":4096}}", 4096, 1},
      {GEMINI, " { \"contents\":[ ] }", " {\"generationConfig\":{\"maxOutputTokens\":4096}, \"contents\":[ ] }", 4096,
       1},
      {GEMINI, "{\"generationConfig\":{ }}", "{\"generationConfig\":{\"maxOutputTokens\":4096 }}", 4096, 1},
      {GEMINI, "{\"generation_config\":{\"topK\":1}}", "{\"generation_config\":{\"maxOutputTokens\":4096,\"topK\":1}}",
       4096, 1},
      {GEMINI, "{\"generationConfig\":null}", "{\"generationConfig\":{\"maxOutputTokens\":4096}}", 4096, 1},
      {OLLAMA, "{\"options\":{\"num_predict\":null,\"seed\":1}}", "{\"options\":{\"num_predict\":4096,\"seed\":1}}",
       4096, 1},
      {CONVERSE, "{\"system\":[]}", "{\"inferenceConfig\":{\"maxTokens\":4096},\"system\":[]}", 4096, 1},
      // a cap that this server does not obey is none
      {CONVERSE, "{\"max_tokens\":9}", "{\"inferenceConfig\":{\"maxTokens\":4096},\"max_tokens\":9}", 4096, 1},
  };
  struct hg_llm_config lowering = plain;
  lowering.may_cap_output = true;
  for (size_t i = 0; i < sizeof native / sizeof *native; i++) {
    struct hg_prepared out = prepare(native[i].url, native[i].body, &lowering, NULL);
    CHECK_STR(out.body, native[i].sent ? native[i].sent : native[i].body);
    CHECK(!out.unbounded);
    CHECK_EQ(out.output_cap, native[i].cap);
    CHECK_EQ(out.choices, native[i].choices);
    CHECK_EQ(out.max_tokens, out.input_bound + out.output_cap * out.choices);
    CHECK_EQ(out.least, out.most); // never sent with a lower cap
    CHECK(out.input_bound >= (int64_t)out.body_len + HG_BOUND_CHAT);
    hg_prepared_clear(&out);
  }
  struct hg_prepared out = prepare(OLLAMA, "{}", &plain, "m");
  CHECK_STR(out.body, "{\"options\":{\"num_predict\":4096},\"model\":\"m\"}");
  hg_prepared_clear(&out);
  out = prepare(GEMINI, GEMINI_CAPPED, &plain, "m"); // its model is in the url
  CHECK_STR(out.body, GEMINI_CAPPED);
  CHECK_STR(out.model, "g");
  hg_prepared_clear(&out);
}

TEST(request, caps_inside_of_a_member_that_are_none) {
  static const struct {
    const char *url, *body, *what;
  } refused[] = {
      {GEMINI, "{\"generationConfig\":{\"maxOutputTokens\":7,\"max_output_tokens\":8}}", "more than once"},
      {GEMINI, "{\"generationConfig\":{},\"generation_config\":{}}", "more than once"},
      {GEMINI, "{\"generationConfig\":{\"maxOutputTokens\":7,\"maxOutputTokens\":8}}", "more than once"},
      {GEMINI, "{\"cachedContent\":\"c\",\"cachedContent\":null}", "more than once"},
      {GEMINI, "{\"generationConfig\":[]}", "is no object"},
      {GEMINI, "{\"generationConfig\":{\"maxOutputTokens\":\"7\"}}", "generationConfig.maxOutputTokens"},
      {GEMINI, "{\"generationConfig\":{\"candidateCount\":0}}", "generationConfig.candidateCount"},
      {OLLAMA, "{\"options\":{\"num_predict\":-1}}", "options.num_predict"},
      {CONVERSE, "{\"inferenceConfig\":{\"maxTokens\":0}}", "inferenceConfig.maxTokens"},
      {CONVERSE, "{\"toolConfig\":{\"tools\":[],\"tools\":[]}}", "more than once"},
  };
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    check_refused(refused[i].url, refused[i].body, &plain, HG_ERR_INVALID, refused[i].what);
}

TEST(request, native_requests_that_cannot_be_bounded) {
  static const struct {
    const char *url, *body, *what;
  } refused[] = {
      {GEMINI, "{\"cachedContent\":\"c\"}", "cachedContent"},
      {GEMINI, "{\"tools\":[{\"functionDeclarations\":[]},{\"googleSearch\":{}}]}", "tool that the server runs"},
      {GEMINI, "{\"contents\":[{\"parts\":[{\"inlineData\":{\"data\":\"AAAA\"}}]}]}", "media"},
      {GEMINI, "{\"contents\":[{\"parts\":[{\"file_data\":{\"fileUri\":\"u\"}}]}]}", "media"},
      {GEMINI, "{\"system_instruction\":{\"parts\":[{\"fileData\":{\"fileUri\":\"u\"}}]}}", "media"},
      {OLLAMA, "{\"messages\":[{\"role\":\"user\",\"images\":[\"AAAA\"]}]}", "media"},
      {"/api/generate", "{\"images\":[\"AAAA\"]}", "media"},
      {"/api/generate", "{\"template\":\"{{.Prompt}}{{.Prompt}}\"}", "template"},
      {CONVERSE, "{\"messages\":[{\"content\":[{\"image\":{\"source\":{\"bytes\":\"AAAA\"}}}]}]}", "media"},
      {CONVERSE, "{\"messages\":[{\"content\":[{\"toolResult\":{\"content\":[{\"document\":{\"source\":{}}}]}}]}]}",
       "media"},
      {CONVERSE, "{\"toolConfig\":{\"tools\":[{\"systemTool\":{\"name\":\"nova_grounding\"}}]}}",
       "tool that the server runs"},
      {CONVERSE, "{\"promptVariables\":{}}", "promptVariables"},
      {CONVERSE, "{\"additionalModelRequestFields\":{\"max_tokens\":99999}}", "additionalModelRequestFields"},
  };
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    check_refused(refused[i].url, refused[i].body, &plain, HG_ERR_RANGE, refused[i].what);
}

// The bound beyond the bytes as sent.
TEST(request, overheads_of_native_requests) {
  struct hg_llm_config media = plain;
  media.max_tokens_per_media = 1000;
  CHECK_EQ(bound_of(GEMINI, "{\"contents\":[{\"parts\":[{\"text\":\"x\"}]},{}]}", &plain),
           HG_BOUND_CHAT_DEFAULT_SYSTEM + 3 * HG_BOUND_ITEM);
  CHECK_EQ(bound_of(GEMINI, "{\"systemInstruction\":{\"parts\":[]}}", &plain), HG_BOUND_CHAT + HG_BOUND_ITEM);
  CHECK_EQ(bound_of(GEMINI, "{\"tools\":[{\"functionDeclarations\":[{},{}]}]}", &plain),
           HG_BOUND_CHAT_DEFAULT_SYSTEM + HG_BOUND_ITEM + HG_BOUND_TOOLS + 3 * HG_BOUND_TOOL +
               (int64_t)strlen("[{\"functionDeclarations\":[{},{}]}]"));
  CHECK_EQ(bound_of(CONVERSE, "{\"toolConfig\":{\"tools\":[{\"toolSpec\":{}}]}}", &plain),
           HG_BOUND_CHAT_DEFAULT_SYSTEM + HG_BOUND_ITEM + HG_BOUND_TOOLS + HG_BOUND_TOOL +
               (int64_t)strlen("[{\"toolSpec\":{}}]"));
  CHECK_EQ(bound_of(OLLAMA, "{\"messages\":[{\"role\":\"system\",\"content\":\"x\"}]}", &plain),
           HG_BOUND_CHAT + 2 * HG_BOUND_ITEM);
  // "AAAA" is six bytes that are no text
  CHECK_EQ(bound_of(GEMINI, "{\"contents\":[{\"parts\":[{\"inline_data\":{\"data\":\"AAAA\"}}]}]}", &media),
           HG_BOUND_CHAT_DEFAULT_SYSTEM + 2 * HG_BOUND_ITEM + 1000 - 6);
  CHECK_EQ(bound_of(OLLAMA, "{\"messages\":[{\"images\":[\"AAAA\",\"AAAA\"]}]}", &media),
           HG_BOUND_CHAT_DEFAULT_SYSTEM + 2 * HG_BOUND_ITEM + 2 * (1000 - 6));
  CHECK_EQ(bound_of(CONVERSE, "{\"messages\":[{\"content\":[{\"image\":{\"source\":{\"bytes\":\"AAAA\"}}}]}]}", &media),
           HG_BOUND_CHAT_DEFAULT_SYSTEM + 2 * HG_BOUND_ITEM + 1000 - 6);
  // what a tool gave back is text
  CHECK_EQ(bound_of(GEMINI,
                    "{\"contents\":[{\"parts\":[{\"functionResponse\":{\"response\":{\"inlineData\":{\"data\":"
                    "\"AAAA\"}}}}]}]}",
                    &plain),
           HG_BOUND_CHAT_DEFAULT_SYSTEM + 2 * HG_BOUND_ITEM);
}
