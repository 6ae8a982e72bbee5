// links: program
// labels: budget
// Calls that are cut down to what a budget has left: how far, and what is sent.
#include "providers/output_cap.h"
#include "support/test.h"

#define CHAT "/v1/chat/completions"

static struct hg_llm_config llm = {.default_max_tokens = 4096, .may_cap_output = true};

static struct hg_prepared prepare(const char *url, const char *body) {
  struct hg_prepared out;
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_request_prepare(url, body, strlen(body), &llm, NULL, &out, &why), HG_OK);
  return out;
}

static int64_t least_output(const char *url, const char *body) {
  struct hg_prepared prepared = prepare(url, body);
  const int64_t least = prepared.min_tokens - prepared.input_bound;
  hg_prepared_clear(&prepared);
  return least;
}

TEST(output_cap, how_far_a_call_may_be_cut) {
  CHECK_EQ(least_output(CHAT, "{\"max_tokens\":2000}"), HG_OUTPUT_FLOOR);
  CHECK_EQ(least_output(CHAT, "{}"), HG_OUTPUT_FLOOR);
  CHECK_EQ(least_output(CHAT, "{\"max_tokens\":40}"), 40); // its own cap is lower
  CHECK_EQ(least_output(CHAT, "{\"max_tokens\":2000,\"n\":3}"), 3 * HG_OUTPUT_FLOOR);
  CHECK_EQ(least_output("/v1/completions", "{\"max_tokens\":2000,\"prompt\":[\"a\",\"b\"],\"n\":2}"),
           4 * HG_OUTPUT_FLOOR);
  CHECK_EQ(least_output(CHAT, "{\"max_tokens\":2000,\"prediction\":{\"a\":1}}"), HG_OUTPUT_FLOOR + 7);
  CHECK_EQ(least_output("/v1/messages", "{\"max_tokens\":2000,\"messages\":[]}"), HG_OUTPUT_FLOOR);
  CHECK_EQ(least_output("/v1/messages", "{\"max_tokens\":2000,\"thinking\":{\"budget_tokens\":1500},\"messages\":[]}"),
           2000);
  CHECK_EQ(least_output(CHAT, "{\"max_tokens\":2000,\"min_tokens\":1000}"), 2000);
  CHECK_EQ(least_output("/v1/embeddings", "{\"input\":\"x\"}"), 0);
  llm.may_cap_output = false;
  CHECK_EQ(least_output(CHAT, "{\"max_tokens\":2000}"), 2000);
  llm.may_cap_output = true;
}

static void check_lowered(const char *url, const char *body, int64_t output, const char *sent, int64_t output_max) {
  struct hg_prepared prepared = prepare(url, body);
  struct hg_lowered lowered;
  CHECK_EQ(hg_output_lower(&prepared, &llm, prepared.input_bound + output, &lowered), HG_OK);
  CHECK_STR(lowered.body, sent);
  CHECK_EQ(lowered.body_len, strlen(sent));
  CHECK_EQ(lowered.output_max, output_max);
  // And what is sent is no more than what was granted, judged anew.
  struct hg_prepared again = prepare(url, lowered.body);
  CHECK(again.max_tokens <= prepared.input_bound + output);
  hg_prepared_clear(&again);
  hg_prepared_clear(&prepared);
  free(lowered.body);
}

TEST(output_cap, every_cap_is_lowered_and_nothing_else) {
  check_lowered(CHAT, "{ \"max_tokens\" : 2000, \"x\": 1.0e0}", 999, "{ \"max_tokens\" : 999, \"x\": 1.0e0}", 999);
  check_lowered(CHAT, "{\"a\":1}", 256, "{\"max_tokens\":256,\"a\":1}", 256); // written by us
  check_lowered(CHAT, "{\"max_tokens\":2000,\"max_completion_tokens\":300}", 500,
                "{\"max_tokens\":500,\"max_completion_tokens\":300}", 500);
  check_lowered(CHAT, "{\"max_tokens\":2000,\"max_completion_tokens\":3000}", 500,
                "{\"max_tokens\":500,\"max_completion_tokens\":500}", 500);
  check_lowered(CHAT, "{\"n\":3,\"max_tokens\":2000}", 1000, "{\"n\":3,\"max_tokens\":333}", 999);
  check_lowered(CHAT, "{\"max_tokens\":2000,\"prediction\":{\"a\":1}}", 1007,
                "{\"max_tokens\":1000,\"prediction\":{\"a\":1}}", 1007);
  check_lowered("/v1/responses", "{\"max_output_tokens\":2000,\"input\":\"max_output_tokens\"}", 300,
                "{\"max_output_tokens\":300,\"input\":\"max_output_tokens\"}", 300);
  static char own[] = "limit_out", usual[] = "max_tokens";
  llm.output_cap_field = own;
  check_lowered(CHAT, "{\"max_tokens\":700,\"limit_out\":2000}", 600, "{\"max_tokens\":600,\"limit_out\":600}", 600);
  llm.output_cap_field = usual;
  check_lowered(CHAT, "{\"max_tokens\":2000}", 600, "{\"max_tokens\":600}", 600);
  llm.output_cap_field = NULL;
}

TEST(output_cap, no_grant_of_money_is_overdrawn) {
  static const char body[] = "{\"model\":\"m\",\"n\":4,\"max_tokens\":1000,\"prediction\":{\"a\":\"bc\"}}";
  uint64_t seed = hg_test_seed("no_grant_of_money_is_overdrawn");
  struct hg_price price = {"m", 0, 0, 0, 0};
  const struct hg_prices prices = {&price, 1};
  for (int i = 0; i < 3000; i++) {
    price.input = (int64_t)hg_test_draw(&seed, 5000);
    price.cached = (int64_t)hg_test_draw(&seed, 5000);
    price.cache_write = (int64_t)hg_test_draw(&seed, 5000);
    price.output = 1 + (int64_t)hg_test_draw(&seed, 20000);
    struct hg_prepared prepared = prepare(CHAT, body);
    CHECK_EQ(hg_prepared_price(&prepared, &prices, NULL), HG_OK);
    CHECK(prepared.least < prepared.most);
    const int64_t granted = prepared.least + (int64_t)hg_test_draw(&seed, (uint64_t)(prepared.most - prepared.least));
    struct hg_lowered lowered;
    CHECK_EQ(hg_output_lower(&prepared, &llm, granted, &lowered), HG_OK);
    struct hg_prepared again = prepare(CHAT, lowered.body);
    CHECK_EQ(hg_prepared_price(&again, &prices, NULL), HG_OK);
    CHECK(again.most <= granted && again.output_cap >= HG_OUTPUT_FLOOR);
    int64_t cost; // and a token more for each choice would not have been paid for
    CHECK(hg_price_bound(&price, prepared.input_bound, lowered.output_max + 4, &cost) && cost > granted);
    hg_prepared_clear(&again);
    hg_prepared_clear(&prepared);
    free(lowered.body);
  }
}

TEST(output_cap, no_grant_is_overdrawn) {
  static const char body[] = "{\"n\":4,\"max_tokens\":1000,\"prediction\":{\"a\":\"bc\"}}";
  struct hg_prepared prepared = prepare(CHAT, body);
  for (int64_t granted = prepared.min_tokens; granted < prepared.max_tokens; granted++) {
    struct hg_lowered lowered;
    CHECK_EQ(hg_output_lower(&prepared, &llm, granted, &lowered), HG_OK);
    struct hg_prepared again = prepare(CHAT, lowered.body);
    CHECK(again.max_tokens <= granted && again.output_cap >= HG_OUTPUT_FLOOR);
    CHECK(granted - (prepared.input_bound + lowered.output_max) < prepared.choices); // and none is given away
    hg_prepared_clear(&again);
    free(lowered.body);
  }
  hg_prepared_clear(&prepared);
}
