// The gateway as a pure core: what answers, counts and models cost where the ledger counts money.
#include "gateway_scene.h"

#define ANSWER                                                                                                         \
  "{\"object\":\"chat.completion\",\"model\":\"answered\",\"choices\":[],\"usage\":{\"prompt_tokens\":100,"            \
  "\"completion_tokens\":10,\"total_tokens\":110}}"

static struct hg_price price_rows[] = {{"asked", 1000, 500, 2000, 4000}, {"answered", 1, 1, 1, 1}};

static void begin_money(struct scene *scene, size_t prices) {
  begin(scene);
  scene->setup.config.unit = HG_UNIT_NANODOLLARS;
  scene->setup.config.llm.prices = (struct hg_prices){price_rows, prices};
}

static uint64_t acquire_for(struct scene *scene, const char *model, int64_t amount) {
  struct hg_message wish;
  hg_message_init(&wish, HG_ACQUIRE_PERMIT);
  wish.as.acquire_permit.request = 1;
  wish.as.acquire_permit.model = hg_text_of(model);
  wish.as.acquire_permit.input_tokens = 100;
  wish.as.acquire_permit.output_tokens = 20;
  send(scene, OUTSIDER, &wish, false);
  const struct hg_message asked = hg_test_expect(&scene->gateway, HG_PORT_SCHEDULER, 0, HG_ACQUIRE);
  CHECK_EQ(asked.as.acquire.max_tokens, amount);
  CHECK_EQ(asked.as.acquire.min_tokens, amount);
  grant(scene, asked.as.acquire.request);
  CHECK_EQ(answer(scene, OUTSIDER)->kind, HG_PERMIT_GRANTED);
  return asked.as.acquire.request;
}

static struct hg_message settle_answer(struct scene *scene, uint64_t permit, const char *model) {
  struct hg_message wish;
  hg_message_init(&wish, HG_SETTLE_PERMIT);
  wish.as.settle_permit.request = 2;
  wish.as.settle_permit.permit = permit;
  wish.as.settle_permit.model = hg_text_of(model);
  wish.as.settle_permit.answer = (struct hg_bytes){(const uint8_t *)ANSWER, sizeof ANSWER - 1};
  send(scene, OUTSIDER, &wish, false);
  return hg_test_expect(&scene->gateway, HG_PORT_SCHEDULER, 0, HG_SETTLE);
}

TEST(gateway_money, an_answer_is_priced_by_the_model_that_was_asked_for) {
  struct scene scene;
  begin_money(&scene, 2);
  const uint64_t permit = acquire_for(&scene, "asked", 100 * 2000 + 20 * 4000);
  CHECK_EQ(settle_answer(&scene, permit, "").as.settle.tokens, 100 * 1000 + 10 * 4000); // by the acquire's
  CHECK_EQ(settle_answer(&scene, permit, "").as.settle.tokens, 100 * 1000 + 10 * 4000); // and when it is sent again
  CHECK_EQ(settle_answer(&scene, permit, "answered").as.settle.tokens, 110);            // by the command's
  CHECK_EQ(settle_answer(&scene, permit + 1, "").as.settle.tokens, 110);                // by its own
  end(&scene);
}

TEST(gateway_money, an_answer_without_a_price_charges_the_reservation) {
  struct scene scene;
  begin_money(&scene, 1);
  const struct hg_message unknown = settle_answer(&scene, 5, "");
  CHECK_EQ(unknown.as.settle.source, HG_SOURCE_MISSING);
  CHECK_EQ(unknown.as.settle.tokens, 0);
  CHECK_EQ(unknown.as.settle.input_tokens, 100); // what is known is kept
  const struct hg_message named = settle_answer(&scene, 5, "nobody");
  CHECK_EQ(named.as.settle.source, HG_SOURCE_MISSING);
  end(&scene);
}

TEST(gateway_money, a_record_without_a_price_is_refused) {
  struct scene scene;
  struct hg_message wish;
  begin_money(&scene, 1);
  hg_message_init(&wish, HG_RECORD);
  wish.as.record.request = 3;
  wish.as.record.answer = (struct hg_bytes){(const uint8_t *)ANSWER, sizeof ANSWER - 1};
  send(&scene, OUTSIDER, &wish, false);
  check_done(&scene, OUTSIDER, 3, HG_ERR_CONFIG);
  wish.as.record.model = hg_text_of("asked");
  send(&scene, OUTSIDER, &wish, false);
  CHECK_EQ(hg_test_expect(&scene.gateway, HG_PORT_TRACKER, 0, HG_RECORD_USAGE).as.record_usage.tokens,
           100 * 1000 + 10 * 4000);
  // Counts in place of an answer.
  hg_message_init(&wish, HG_RECORD);
  wish.as.record.model = hg_text_of("asked");
  wish.as.record.tokens = HG_UNKNOWN;
  wish.as.record.input_tokens = 7;
  wish.as.record.output_tokens = 3;
  send(&scene, OUTSIDER, &wish, false);
  CHECK_EQ(hg_test_expect(&scene.gateway, HG_PORT_TRACKER, 0, HG_RECORD_USAGE).as.record_usage.tokens,
           7 * 1000 + 3 * 4000);
  end(&scene);
}

TEST(gateway_money, an_acquire_of_a_model_without_a_price_is_refused) {
  struct scene scene;
  struct hg_message wish;
  begin_money(&scene, 1);
  hg_message_init(&wish, HG_ACQUIRE_PERMIT);
  wish.as.acquire_permit.request = 4;
  wish.as.acquire_permit.max_tokens = 10;
  wish.as.acquire_permit.model = hg_text_of("nobody");
  send(&scene, OUTSIDER, &wish, false);
  check_done(&scene, OUTSIDER, 4, HG_ERR_CONFIG);
  wish.as.acquire_permit.model = hg_text_of("");
  wish.as.acquire_permit.max_tokens = 0;
  wish.as.acquire_permit.input_tokens = 10; // of which model?
  send(&scene, OUTSIDER, &wish, false);
  check_done(&scene, OUTSIDER, 4, HG_ERR_CONFIG);
  wish.as.acquire_permit.model = hg_text_of("asked");
  wish.as.acquire_permit.input_tokens = HG_TOKENS_MAX;
  send(&scene, OUTSIDER, &wish, false);
  check_done(&scene, OUTSIDER, 4, HG_ERR_RANGE);
  end(&scene);
}

TEST(gateway_money, counts_are_tokens_where_the_ledger_counts_tokens) {
  struct scene scene;
  begin(&scene);
  const uint64_t permit = acquire_for(&scene, "nobody", 120);
  CHECK_EQ(settle_answer(&scene, permit, "nobody").as.settle.tokens, 110);
  end(&scene);
}

static void check_out_of_range(struct scene *scene, int64_t input, int64_t output) {
  struct hg_message wish;
  hg_message_init(&wish, HG_RECORD);
  wish.as.record.request = 3;
  wish.as.record.model = hg_text_of("asked");
  wish.as.record.tokens = HG_UNKNOWN;
  wish.as.record.input_tokens = input;
  wish.as.record.output_tokens = output;
  send(scene, OUTSIDER, &wish, false);
  check_done(scene, OUTSIDER, 3, HG_ERR_RANGE);
  CHECK(hg_test_is_silent(&scene->gateway, HG_PORT_TRACKER));
}

TEST(gateway_money, what_is_more_than_can_be_counted_is_refused) {
  struct scene scene;
  begin_money(&scene, 1);
  check_out_of_range(&scene, HG_TOKENS_MAX, 0); // in nanodollars
  check_out_of_range(&scene, HG_TOKENS_MAX, 1);
  end(&scene);
  begin(&scene);
  check_out_of_range(&scene, HG_TOKENS_MAX, 1); // in tokens
  end(&scene);
}

// As long as so many others have not come since that it can't run any more.
TEST(gateway_money, the_price_of_a_permit_is_remembered_as_long_as_it_may_run) {
  struct scene scene;
  begin_money(&scene, 2);
  const uint64_t permit = acquire_for(&scene, "asked", 100 * 2000 + 20 * 4000);
  for (int i = 1; i < HG_CONCURRENCY_MAX; i++)
    (void)acquire_for(&scene, "asked", 100 * 2000 + 20 * 4000);
  CHECK_EQ(settle_answer(&scene, permit, "").as.settle.tokens, 100 * 1000 + 10 * 4000);
  const uint64_t next = acquire_for(&scene, "asked", 100 * 2000 + 20 * 4000);
  CHECK_EQ(settle_answer(&scene, permit, "").as.settle.tokens, 100 * 1000 + 10 * 4000);
  for (int i = 0; i < HG_CONCURRENCY_MAX; i++)
    (void)acquire_for(&scene, "asked", 100 * 2000 + 20 * 4000);
  CHECK_EQ(settle_answer(&scene, next, "").as.settle.tokens, 100 * 1000 + 10 * 4000);
  CHECK_EQ(settle_answer(&scene, permit, "").as.settle.tokens, 110); // forgotten: the answer's own model
  end(&scene);
}
