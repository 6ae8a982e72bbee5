// links: program
// The questions how many input tokens a request has: what is sent, where to, what the answer says.
#include "providers/count.h"
#include "support/test.h"

static struct hg_llm_config llm(enum hg_count_by counter) {
  static char automatic[] = "auto";
  return (struct hg_llm_config){.default_max_tokens = 64, .output_cap_field = automatic, .counter = counter};
}

static hg_err ask(const char *url, const char *body, char **out, size_t *len) {
  const struct hg_llm_config config = llm(HG_COUNT_BY_VLLM);
  struct hg_prepared prepared;
  CHECK_EQ(hg_request_prepare(url, body, strlen(body), &config, NULL, &prepared, NULL), HG_OK);
  const hg_err err = hg_count_request(&prepared, hg_input_counter_of(prepared.endpoint, &config), out, len);
  hg_prepared_clear(&prepared);
  return err;
}

TEST(count, endpoints_have_their_counters) {
  const struct hg_llm_config automatic = llm(HG_COUNT_BY_ENDPOINT), vllm = llm(HG_COUNT_BY_VLLM);
  CHECK_EQ(hg_input_counter_of(HG_ENDPOINT_RESPONSES, &automatic), HG_INPUT_COUNTER_OPENAI);
  CHECK_EQ(hg_input_counter_of(HG_ENDPOINT_MESSAGES, &automatic), HG_INPUT_COUNTER_ANTHROPIC);
  CHECK_EQ(hg_input_counter_of(HG_ENDPOINT_CHAT, &automatic), HG_INPUT_COUNTER_NONE);
  CHECK_EQ(hg_input_counter_of(HG_ENDPOINT_COMPLETIONS, &automatic), HG_INPUT_COUNTER_NONE);
  CHECK_EQ(hg_input_counter_of(HG_ENDPOINT_CHAT, &vllm), HG_INPUT_COUNTER_VLLM);
  CHECK_EQ(hg_input_counter_of(HG_ENDPOINT_COMPLETIONS, &vllm), HG_INPUT_COUNTER_VLLM);
  CHECK_EQ(hg_input_counter_of(HG_ENDPOINT_MESSAGES, &vllm), HG_INPUT_COUNTER_ANTHROPIC);
  CHECK_EQ(hg_input_counter_of(HG_ENDPOINT_EMBEDDINGS, &vllm), HG_INPUT_COUNTER_NONE);
  CHECK_EQ(hg_input_counter_of(HG_ENDPOINT_OTHER, &vllm), HG_INPUT_COUNTER_NONE);
}

TEST(count, asks_with_what_the_counter_knows) {
  static const struct {
    const char *url, *body, *sent; // NULL: it can't be counted
  } cases[] = {
      {"/v1/responses",
       "{\"model\":\"m\",\"stream\":true,\"input\" : [ {\"role\":\"user\",\"content\":\"a \\\"b\\\"\"} ],"
       "\"max_output_tokens\":9,\"store\":false,\"tools\":[]}",
       "{\"model\":\"m\",\"input\":[ {\"role\":\"user\",\"content\":\"a \\\"b\\\"\"} ],\"tools\":[]}"},
      {"/v1/messages",
       "{\"system\":\"s\",\"model\":\"m\",\"max_tokens\":9,\"temperature\":1.0,\"messages\":[],"
       "\"thinking\":{\"type\":\"enabled\"},\"metadata\":{\"user_id\":\"u\"},\"stop_sequences\":[\"x\"]}",
       "{\"system\":\"s\",\"model\":\"m\",\"messages\":[],\"thinking\":{\"type\":\"enabled\"}}"},
      {"/v1/chat/completions",
       "{\"model\":\"m\",\"messages\":[],\"n\":2,\"chat_template_kwargs\":{\"a\":1},\"stream\":true,\"user\":\"u\"}",
       "{\"model\":\"m\",\"messages\":[],\"chat_template_kwargs\":{\"a\":1}}"},
      {"/v1/chat/completions", "{\"model\":\"m\",\"messages\":[],\"documents\":[{\"text\":\"long\"}]}", NULL},
      {"/v1/chat/completions", "{\"model\":\"m\"}", NULL},
      {"/v1/completions", "{\"prompt\":\"p\",\"model\":\"m\",\"echo\":true}", "{\"prompt\":\"p\",\"model\":\"m\"}"},
      {"/v1/completions", "{\"prompt\":[1,2,3],\"model\":\"m\"}", NULL},
      {"/v1/completions", "{\"prompt\":[\"a\",\"b\"],\"model\":\"m\"}", NULL},
      {"/v1/embeddings", "{\"input\":\"a\",\"model\":\"m\"}", NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *sent = NULL;
    size_t len = 0;
    CHECK_EQ(ask(cases[i].url, cases[i].body, &sent, &len), cases[i].sent ? HG_OK : HG_ERR_EMPTY);
    if (!cases[i].sent) continue;
    CHECK_EQ(len, strlen(cases[i].sent));
    CHECK(memcmp(sent, cases[i].sent, len) == 0);
    free(sent);
  }
}

TEST(count, goes_beside_the_call) {
  static const struct {
    const char *url;
    enum hg_input_counter counter;
    const char *count_url;
  } cases[] = {
      {"https://h/v1/responses", HG_INPUT_COUNTER_OPENAI, "https://h/v1/responses/input_tokens"},
      {"https://h/openai/v1/responses?api-version=1", HG_INPUT_COUNTER_OPENAI,
       "https://h/openai/v1/responses/input_tokens?api-version=1"},
      {"https://h/v1/messages/", HG_INPUT_COUNTER_ANTHROPIC, "https://h/v1/messages/count_tokens"},
      {"http://h:8000/v1/chat/completions", HG_INPUT_COUNTER_VLLM, "http://h:8000/tokenize"},
      {"http://h:8000/v1/completions", HG_INPUT_COUNTER_VLLM, "http://h:8000/tokenize"},
      {"http://h:8000/chat/completions", HG_INPUT_COUNTER_VLLM, "http://h:8000/tokenize"},
      {"http://h/proxy/v1/chat/completions?a=/b", HG_INPUT_COUNTER_VLLM, "http://h/proxy/tokenize?a=/b"},
      {"http://h/vllm/completions", HG_INPUT_COUNTER_VLLM, "http://h/vllm/tokenize"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *url = NULL;
    CHECK_EQ(hg_count_url(cases[i].url, cases[i].counter, &url), HG_OK);
    CHECK_STR(url, cases[i].count_url);
    free(url);
  }
}

TEST(count, reads_counts_and_nothing_else) {
  static const struct {
    enum hg_input_counter counter;
    const char *body;
    int64_t tokens; // 0: none
  } cases[] = {
      {HG_INPUT_COUNTER_OPENAI, "{\"object\":\"response.input_tokens\",\"input_tokens\":11}", 11},
      {HG_INPUT_COUNTER_ANTHROPIC, "{\"input_tokens\":2095}", 2095},
      {HG_INPUT_COUNTER_VLLM, "{\"count\":3,\"max_model_len\":4096,\"tokens\":[1,2,3]}", 3},
      {HG_INPUT_COUNTER_VLLM, "{\"tokens\":[1,2,3]}", 0},
      {HG_INPUT_COUNTER_VLLM, "{\"input_tokens\":3}", 0},
      {HG_INPUT_COUNTER_OPENAI, "{\"input_tokens\":0}", 0},
      {HG_INPUT_COUNTER_OPENAI, "{\"input_tokens\":-1}", 0},
      {HG_INPUT_COUNTER_OPENAI, "{\"input_tokens\":1.5}", 0},
      {HG_INPUT_COUNTER_OPENAI, "{\"input_tokens\":\"12\"}", 0},
      {HG_INPUT_COUNTER_OPENAI, "{\"input_tokens\":9007199254740992}", 0},
      {HG_INPUT_COUNTER_OPENAI, "{\"input_tokens\":1,\"input_tokens\":2}", 0},
      {HG_INPUT_COUNTER_OPENAI, "[11]", 0},
      {HG_INPUT_COUNTER_OPENAI, "{\"input_tokens\":11", 0},
      {HG_INPUT_COUNTER_OPENAI, "", 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t tokens = -1;
    const bool read = hg_count_read(cases[i].counter, cases[i].body, strlen(cases[i].body), &tokens);
    CHECK_EQ(read, cases[i].tokens > 0);
    if (read) CHECK_EQ(tokens, cases[i].tokens);
  }
  int64_t tokens;
  CHECK(!hg_count_read(HG_INPUT_COUNTER_OPENAI, NULL, 0, &tokens));
}

TEST(count, leaves_a_margin_and_never_passes_the_bound) {
  const struct hg_prepared prepared = {.input_bound = 10000};
  CHECK_EQ(hg_count_less(&prepared, 1000),
           10000 - 1000 - 10 * HG_COUNT_MARGIN_PERCENT - HG_COUNT_MARGIN_PERCENT - HG_COUNT_MARGIN_TOKENS);
  CHECK_EQ(hg_count_less(&prepared, 9999), 0);
  CHECK_EQ(hg_count_less(&prepared, HG_TOKENS_MAX), 0);
}
