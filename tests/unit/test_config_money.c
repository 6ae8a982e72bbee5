// Budgets in dollars and the prices of models: what is read, exactly, and what is refused where.
#include "unit/config_text.h"

#define USD(limit) "{\"tokenBudget\": {\"hardLimitUsd\": " limit "}}"
#define PRICES(rows) WITH("\"llm\": {\"prices\": " rows "}")
#define ROW "\"input\": 1, \"output\": 2"

static int64_t limit_of(const char *json) {
  struct hg_config *config = accept(json);
  const int64_t limit = config->budgets[0].hard_limit;
  CHECK_EQ(config->unit, HG_UNIT_NANODOLLARS);
  hg_config_destroy(&config);
  return limit;
}

TEST(config_money, dollars_are_read_exactly) {
  CHECK_EQ(limit_of(USD("20")), INT64_C(20000000000));
  CHECK_EQ(limit_of(USD("12.50")), INT64_C(12500000000));
  CHECK_EQ(limit_of(USD("\"12.50\"")), INT64_C(12500000000));
  CHECK_EQ(limit_of(USD("0.000000001")), 1);
  CHECK_EQ(limit_of(USD("9007199.254740991")), HG_TOKENS_MAX);
  CHECK_EQ(limit_of(USD("9007199.254740990")), HG_TOKENS_MAX - 1); // which a double could not tell
}

TEST(config_money, dollars_that_are_none_are_refused) {
  static const char *const bad[] = {
      "0",       "-1", "1e3", "true", "null", "\"$20\"", "\"\"", "[]", "\"20 \"", "0.0000000001", "9007199.254740992",
      "10000000"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    refuse_value(USD("%s"), bad[i], "1:34: tokenBudget.hardLimitUsd must be dollars", "found ");
}

TEST(config_money, units_do_not_mix) {
  refuse("{\"tokenBudget\": {\"hardLimitTokens\": 5, \"hardLimitUsd\": 20}}", "1:40: tokenBudget.hardLimitUsd ",
         "tokens or dollars, never both");
  refuse("{\"tokenBudget\": {\"hardLimitUsd\": 20, \"budgets\": {\"a\": {\"hardLimitTokens\": 5}}}}",
         "1:56: tokenBudget.budgets.a.hardLimitTokens mixes units", "tokenBudget has hardLimitUsd");
  refuse("{\"tokenBudget\": {\"hardLimitTokens\": 20, \"budgets\": {\"a\": {\"hardLimitUsd\": 5}}}}",
         "1:59: tokenBudget.budgets.a.hardLimitUsd mixes units", "tokenBudget has hardLimitTokens");
  refuse("{\"tokenBudget\": {\"hardLimitUsd\": 20, \"budgets\": {\"a\": {}}}}",
         "1:55: tokenBudget.budgets.a.hardLimitUsd is missing", "set it to dollars");
}

TEST(config_money, a_missing_limit_is_one_of_tokens_unless_the_text_shows_another_wish) {
  refuse("{\"tokenBudget\": {}}", "1:17: tokenBudget.hardLimitTokens is missing", "9007199254740991 tokens");
  refuse("{\"tokenBudget\": {\"hardLimitUSD\": 20}}", "1:17: tokenBudget.hardLimitUsd is missing",
         "is \"hardLimitUSD\" a misspelling");
}

TEST(config_money, every_budget_has_dollars) {
  struct hg_config *config = accept("{\"tokenBudget\": {\"hardLimitUsd\": 20, \"budgets\": {\"a\": {\"hardLimitUsd\": "
                                    "\"0.5\"}, \"b\": {\"hardLimitUsd\": 1, \"parent\": \"a\"}}}}");
  CHECK_EQ(config->budget_count, 3);
  CHECK_EQ(config->budgets[1].hard_limit, 500000000);
  CHECK_EQ(config->budgets[2].hard_limit, 1000000000);
  hg_config_destroy(&config);
}

TEST(config_money, prices_have_defaults) {
  struct hg_config *config =
      accept(PRICES("[{\"model\": \"gpt-4o*\", \"input\": 2500, \"cached\": 1250, \"cacheWrite\": "
                    "2600, \"output\": 10000}, {\"model\": \"*\", " ROW "}]"));
  const struct hg_prices *prices = &config->llm.prices;
  CHECK_EQ(prices->count, 2);
  CHECK_STR(prices->list[0].model, "gpt-4o*");
  CHECK_EQ(prices->list[0].input, 2500);
  CHECK_EQ(prices->list[0].cached, 1250);
  CHECK_EQ(prices->list[0].cache_write, 2600);
  CHECK_EQ(prices->list[0].output, 10000);
  CHECK_EQ(prices->list[1].cached, 1);
  CHECK_EQ(prices->list[1].cache_write, 2);
  hg_config_destroy(&config);
}

TEST(config_money, prices_are_refused_where_they_are_wrong) {
  refuse(PRICES("{}"), "1:62: llm.prices must be a list", "an object");
  refuse(PRICES("[7]"), "1:63: llm.prices[0] must be an object", "7");
  refuse(PRICES("[{" ROW "}]"), "1:63: llm.prices[0].model is missing", "model's name");
  refuse(PRICES("[{\"model\": \"m\", \"output\": 2}]"), "1:63: llm.prices[0].input is missing", "nano-dollars a token");
  refuse(PRICES("[{\"model\": \"m\", \"input\": 2}]"), "1:63: llm.prices[0].output is missing", "nano-dollars a token");
  refuse(PRICES("[{\"model\": \"m\", \"input\": 2.5, \"output\": 1}]"), "1:87: llm.prices[0].input ", "found 2.5");
  refuse(PRICES("[{\"model\": \"m\", \"input\": -1, \"output\": 1}]"), "1:87: llm.prices[0].input ", "found -1");
  refuse(PRICES("[{\"model\": \"m\", \"input\": 1000000001, \"output\": 1}]"), "1:87: llm.prices[0].input ",
         "from 0 to");
  refuse(PRICES("[{\"model\": \"m\", " ROW ", \"cache\": 1}]"), "1:103: llm.prices[0].cache is not a known field", "");
  refuse(PRICES("[{\"model\": \"gpt-4o*\", " ROW "}, {\"model\": \"gpt-4o-mini*\", " ROW "}]"),
         "1:120: llm.prices[1].model is never looked at", "llm.prices[0], \"gpt-4o*\"");
  refuse(PRICES("[{\"model\": \"m\", " ROW "}, {\"model\": \"m\", " ROW "}]"), "1:114: llm.prices[1].model ",
         "never looked at");
}
