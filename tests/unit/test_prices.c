// Prices and money against exact arithmetic: matching, costs, bounds, what an amount pays for, and decimal text.
#include "support/test.h"
#include "base/money.h"
#include "usage/prices.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

__extension__ typedef __int128 wide;

static bool parses(const char *text, int64_t wanted) {
  int64_t found = -7;
  return hg_money_parse(text, strlen(text), &found) && found == wanted;
}

static bool is_refused(const char *text) {
  int64_t found;
  return !hg_money_parse(text, strlen(text), &found);
}

TEST(money, is_read_exactly) {
  CHECK(parses("20", INT64_C(20000000000)));
  CHECK(parses("12.50", INT64_C(12500000000)));
  CHECK(parses("0.1", 100000000)); // which no binary fraction is
  CHECK(parses("0.000000001", 1));
  CHECK(parses("9007199.254740991", HG_TOKENS_MAX));
  CHECK(parses("000001.000000000", HG_NANODOLLARS));
  static const char *const bad[] = {"",        "0",
                                    "0.0",     ".5",
                                    "5.",      "1..2",
                                    "-1",      "+1",
                                    "1e3",     "1,5",
                                    "1_0",     " 1",
                                    "1 ",      "NaN",
                                    "0x10",    "0.0000000001",
                                    "1.2.3",   "9007199.254740992",
                                    "9007200", "99999999999999999999999999",
                                    "$1"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    CHECK(is_refused(bad[i]));
}

static const char *printed(int64_t nanodollars, bool rounded) {
  static char text[HG_MONEY_TEXT_MAX];
  if (rounded) hg_money_round(nanodollars, text);
  else hg_money_print(nanodollars, text);
  return text;
}

TEST(money, is_written_for_people) {
  CHECK_STR(printed(0, true), "$0.00");
  CHECK_STR(printed(INT64_C(12345600000), true), "$12.3456");
  CHECK_STR(printed(INT64_C(20000000000), true), "$20.00");
  CHECK_STR(printed(INT64_C(12345649999), true), "$12.3456");
  CHECK_STR(printed(INT64_C(12345650000), true), "$12.3457");
  CHECK_STR(printed(INT64_C(999999999), true), "$1.00");
  CHECK_STR(printed(123456, true), "$0.0001235");
  CHECK_STR(printed(1, true), "$0.000000001");
  CHECK_STR(printed(-1500000000, true), "-$1.50");
  CHECK_STR(printed(HG_TOKENS_MAX, true), "$9007199.2547");
  CHECK_STR(printed(HG_TOKENS_MAX, false), "$9007199.254740991");
  CHECK_STR(printed(-HG_TOKENS_MAX, false), "-$9007199.254740991");
  CHECK_STR(printed(INT64_C(12500000000), false), "$12.50");
}

TEST(money, is_read_as_it_was_written) {
  uint64_t seed = hg_test_seed("is_read_as_it_was_written");
  for (int i = 0; i < 100000; i++) {
    const int64_t amount = 1 + (int64_t)(hg_test_draw(&seed, (uint64_t)HG_TOKENS_MAX) >> hg_test_draw(&seed, 53));
    const char *text = printed(amount, false);
    CHECK(parses(text + 1, amount));
  }
}

static const struct hg_price *find(const char *const *patterns, size_t count, const char *model) {
  static struct hg_price list[8];
  for (size_t i = 0; i < count; i++)
    list[i] = (struct hg_price){.model = (char *)patterns[i]};
  const struct hg_prices prices = {list, count};
  return hg_prices_find(&prices, model);
}

static bool fits(const char *pattern, const char *model) {
  return find(&pattern, 1, model) != NULL;
}

TEST(prices, are_found_by_pattern) {
  CHECK(fits("gpt-4o", "gpt-4o"));
  CHECK(!fits("gpt-4o", "gpt-4o-mini"));
  CHECK(!fits("gpt-4o-mini", "gpt-4o"));
  CHECK(fits("gpt-4o*", "gpt-4o"));
  CHECK(fits("gpt-4o*", "gpt-4o-2024-08-06"));
  CHECK(fits("*/claude-*-4*", "anthropic/claude-sonnet-4-5"));
  CHECK(!fits("*/claude-*-4*", "claude-sonnet-4-5"));
  CHECK(fits("*aab", "aaaaab"));
  CHECK(fits("a*b*c", "a-b-b-c"));
  CHECK(!fits("a*b*c", "a-b-b"));
  CHECK(fits("*", ""));
  CHECK(fits("**", "any"));
  CHECK(!fits("gpt*", ""));
  CHECK(!fits("GPT*", "gpt-4o"));
}

TEST(prices, are_those_of_the_first_row_that_fits) {
  static const char *const rows[] = {"gpt-4o-mini*", "gpt-4o*", "*"};
  CHECK_STR(find(rows, 3, "gpt-4o-mini-2024")->model, "gpt-4o-mini*");
  CHECK_STR(find(rows, 3, "gpt-4o")->model, "gpt-4o*");
  CHECK_STR(find(rows, 3, "llama")->model, "*");
  CHECK(find(rows, 2, "llama") == NULL);
}

static hg_usage_report usage_of(int64_t input, int64_t cached, int64_t written, int64_t output, int64_t total) {
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = total;
  used.input_tokens = input;
  used.cached_tokens = cached;
  used.cache_write_tokens = written;
  used.output_tokens = output;
  return used;
}

TEST(prices, tell_what_usage_costs) {
  const struct hg_price price = {"m", 2500, 1250, 5000, 10000};
  int64_t cost;
  hg_usage_report used = usage_of(1000, 400, 100, 50, 1050);
  used.reasoning_tokens = 40; // inside the output
  CHECK_EQ(hg_price_usage_of(&price, &used, &cost), HG_OK);
  CHECK_EQ(cost, 500 * 2500 + 400 * 1250 + 100 * 5000 + 50 * 10000);
  used = usage_of(1000, HG_UNKNOWN, HG_UNKNOWN, 50, 1050);
  CHECK_EQ(hg_price_usage_of(&price, &used, &cost), HG_OK);
  CHECK_EQ(cost, 1000 * 2500 + 50 * 10000);
  used = usage_of(1000, 0, 0, 50, 1060); // ten that nobody explains
  CHECK_EQ(hg_price_usage_of(&price, &used, &cost), HG_OK);
  CHECK_EQ(cost, 1000 * 2500 + 60 * 10000);
  used = usage_of(100, 60, 41, 0, 100); // more parts than there is input
  CHECK_EQ(hg_price_usage_of(&price, &used, &cost), HG_OK);
  CHECK_EQ(cost, 100 * 5000);
  used = usage_of(100, HG_UNKNOWN, HG_UNKNOWN, 2, 103);
  used.cache_doubtful = true;
  CHECK_EQ(hg_price_usage_of(&price, &used, &cost), HG_OK);
  CHECK_EQ(cost, 100 * 5000 + 3 * 10000);
}

TEST(prices, need_input_and_output) {
  const struct hg_price price = {"m", 1, 1, 2, 1};
  int64_t cost = -1;
  hg_usage_report used = usage_of(HG_UNKNOWN, 0, 0, 5, 105);
  CHECK_EQ(hg_price_usage_of(&price, &used, &cost), HG_ERR_NO_USAGE);
  used = usage_of(100, 0, 0, HG_UNKNOWN, 105);
  CHECK_EQ(hg_price_usage_of(&price, &used, &cost), HG_ERR_NO_USAGE);
  CHECK_EQ(cost, -1);
  used = usage_of(100, 0, 0, HG_UNKNOWN, 100); // embeddings
  CHECK_EQ(hg_price_usage_of(&price, &used, &cost), HG_OK);
  CHECK_EQ(cost, 100);
}

TEST(prices, of_a_total_have_a_least_and_a_most) {
  const struct hg_price price = {"m", 2500, 1250, 5000, 10000};
  CHECK_EQ(hg_price_least(&price, 1000), 1250 * 1000);
  CHECK_EQ(hg_price_most(&price, 1000), 10000 * 1000);
  CHECK_EQ(hg_price_most(&price, HG_TOKENS_MAX), HG_TOKENS_MAX);
}

static int64_t draw(uint64_t *seed) {
  return (int64_t)(hg_test_draw(seed, (uint64_t)HG_TOKENS_MAX + 1) >> hg_test_draw(seed, 54));
}

static struct hg_price draw_price(uint64_t *seed) {
  const uint64_t most = UINT64_C(1) << hg_test_draw(seed, 31);
  return (struct hg_price){"m", (int64_t)hg_test_draw(seed, most), (int64_t)hg_test_draw(seed, most),
                           (int64_t)hg_test_draw(seed, most), (int64_t)hg_test_draw(seed, most)};
}

static int64_t most_of(int64_t a, int64_t b, int64_t c) {
  const int64_t ab = a > b ? a : b;
  return ab > c ? ab : c;
}

// The sum of every token on its own would be the same; overflow is told, never wrapped.
TEST(prices, agree_with_exact_arithmetic) {
  uint64_t seed = hg_test_seed("agree_with_exact_arithmetic");
  unsigned over = 0;
  for (int i = 0; i < 200000; i++) {
    const struct hg_price p = draw_price(&seed);
    const int64_t input = draw(&seed), output = draw(&seed);
    const int64_t cached = (int64_t)hg_test_draw(&seed, (uint64_t)input + 1);
    const int64_t written = (int64_t)hg_test_draw(&seed, (uint64_t)(input - cached) + 1);
    const wide exact = (wide)p.input * (input - cached - written) + (wide)p.cached * cached +
                       (wide)p.cache_write * written + (wide)p.output * output;
    const wide bound = (wide)input * most_of(p.input, p.cached, p.cache_write) + (wide)output * p.output;
    const hg_usage_report used = usage_of(input, cached, written, output, 0);
    int64_t cost = -1, most = -1;
    CHECK_EQ(hg_price_usage_of(&p, &used, &cost), exact <= HG_TOKENS_MAX ? HG_OK : HG_ERR_RANGE);
    CHECK_EQ(cost, exact <= HG_TOKENS_MAX ? (int64_t)exact : -1);
    CHECK(hg_price_bound(&p, input, output, &most) == (bound <= HG_TOKENS_MAX));
    CHECK_EQ(most, bound <= HG_TOKENS_MAX ? (int64_t)bound : -1);
    CHECK(exact <= bound);
    over += bound > HG_TOKENS_MAX;
  }
  CHECK(over > 1000 && over < 199000); // both happened
}

// So much output is paid for, and one more token is not.
TEST(prices, tell_how_much_output_an_amount_pays_for) {
  uint64_t seed = hg_test_seed("tell_how_much_output_an_amount_pays_for");
  for (int i = 0; i < 200000; i++) {
    const struct hg_price p = draw_price(&seed);
    const int64_t input = (int64_t)hg_test_draw(&seed, 1 << 20), wanted = (int64_t)hg_test_draw(&seed, 1 << 20);
    int64_t least, whole;
    CHECK(hg_price_bound(&p, input, 0, &least));
    CHECK(hg_price_bound(&p, input, wanted, &whole));
    const int64_t amount = least + (int64_t)hg_test_draw(&seed, (uint64_t)(whole - least) + 1);
    const int64_t output = hg_price_output_for(&p, input, amount, wanted);
    int64_t cost;
    CHECK(output >= 0 && output <= wanted);
    CHECK(hg_price_bound(&p, input, output, &cost) && cost <= amount);
    if (output < wanted) CHECK(!hg_price_bound(&p, input, output + 1, &cost) || cost > amount);
  }
  const struct hg_price p = {"m", 10, 10, 20, 5};
  CHECK_EQ(hg_price_output_for(&p, 100, 1999, 50), 0); // not even the input
}
