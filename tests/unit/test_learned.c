// What calls use of their bounds, learnt: against a sorted list of all that was seen.
// links: program
#include "runner/learned.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALLS 20000

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

TEST(learned, knows_nothing_at_first) {
  struct hg_learned *learned = hg_learned_new(0);
  for (int i = 1; i < HG_LEARNED_SAMPLES_LEAST; i++)
    hg_learned_add(learned, "m", 1000, 10);
  CHECK_EQ(hg_learned_reserve(learned, "m", 1000), 1000);
  hg_learned_add(learned, "m", 1000, 10);
  CHECK(hg_learned_reserve(learned, "m", 1000) < 20);
  CHECK_EQ(hg_learned_reserve(learned, "n", 1000), 1000);
  hg_learned_destroy(&learned);
}

TEST(learned, never_reserves_nothing_nor_more_than_the_bound) {
  struct hg_learned *learned = hg_learned_new(0);
  for (int i = 0; i < HG_LEARNED_SAMPLES_LEAST; i++) {
    hg_learned_add(learned, "none", 1000, 0);
    hg_learned_add(learned, "all", 1000, 1000 + i);
    hg_learned_add(learned, "hostile", i % 2 ? 0 : -5, INT64_MAX);
  }
  CHECK_EQ(hg_learned_reserve(learned, "none", 1), 1);
  CHECK_EQ(hg_learned_reserve(learned, "none", 5000), 6);
  CHECK_EQ(hg_learned_reserve(learned, "all", 5000), 5000);
  CHECK_EQ(hg_learned_reserve(learned, "hostile", 5000), 5000);
  CHECK_EQ(hg_learned_reserve(learned, "all", HG_TOKENS_MAX), HG_TOKENS_MAX);
  hg_learned_destroy(&learned);
}

// At every moment: of all calls so far at most one in a thousand was over the quantile, and a step less would have let
// more through.
TEST(learned, is_the_quantile_of_all_that_was_seen) {
  uint64_t seed = hg_test_seed("is_the_quantile_of_all_that_was_seen");
  for (int round = 0; round < 5; round++) {
    struct hg_learned *learned = hg_learned_new(0);
    static double ratios[CALLS], sorted[CALLS];
    const uint64_t center = 1 + hg_test_draw(&seed, 900);
    for (int i = 0; i < CALLS; i++) {
      const uint64_t spread = hg_test_draw(&seed, 100) == 0 ? 1000 : center;
      const int64_t bound = 1024 * (1 + (int64_t)hg_test_draw(&seed, 100));
      const int64_t used = bound / 1024 * (int64_t)hg_test_draw(&seed, spread + 1);
      hg_learned_add(learned, "m", bound, used);
      ratios[i] = (double)used / (double)bound;
      if (i + 1 < HG_LEARNED_SAMPLES_LEAST || i % 997 != 0) continue;
      for (int k = 0; k <= i; k++)
        sorted[k] = ratios[k];
      qsort(sorted, (size_t)i + 1, sizeof *sorted, compare);
      const double quantile = sorted[i - (i + 1) / 1000];
      const double wanted = (quantile + 1.0 / 1024) * 1.1 * 1e9;
      const int64_t reserved = hg_learned_reserve(learned, "m", 1000000000);
      CHECK(reserved == 1000000000 || ((double)reserved > wanted - 10 && (double)reserved < wanted + 10));
      CHECK(reserved < 1000000000 || wanted > 999999990);
    }
    hg_learned_destroy(&learned);
  }
}

TEST(learned, models_are_apart_and_bounded) {
  struct hg_learned *learned = hg_learned_new(0);
  char name[16];
  for (int model = 0; model < 2 * HG_LEARNED_MODELS_MAX; model++)
    for (int i = 0; i < HG_LEARNED_SAMPLES_LEAST; i++) {
      snprintf(name, sizeof name, "m%d", model);
      hg_learned_add(learned, name, 1000, model);
    }
  for (int model = 0; model < 2 * HG_LEARNED_MODELS_MAX; model++) {
    snprintf(name, sizeof name, "m%d", model);
    const int64_t reserved = hg_learned_reserve(learned, name, 1000);
    CHECK(model < HG_LEARNED_MODELS_MAX ? reserved >= model && reserved <= model * 11 / 10 + 4 : reserved == 1000);
  }
  hg_learned_destroy(&learned);
  hg_learned_destroy(&learned);
}

// ---------------------------------------------------------------------------------------------- between runs

static void write_text(const char *path, const char *text) {
  FILE *to = fopen(path, "w");
  CHECK(to != NULL && fputs(text, to) >= 0);
  CHECK_EQ(fclose(to), 0);
}

static void place(char path[32]) {
  snprintf(path, 32, "/tmp/hg-learned-XXXXXX");
  const int fd = mkstemp(path);
  CHECK(fd >= 0 && close(fd) == 0);
}

TEST(learned, is_kept_between_runs) {
  uint64_t seed = hg_test_seed("is_kept_between_runs");
  struct hg_learned *first = hg_learned_new(0), *second = hg_learned_new(0);
  hg_error why = HG_ERROR_INIT;
  char path[32];
  place(path);
  for (int i = 0; i < CALLS; i++)
    hg_learned_add(first, i % 2 ? "m" : "a model \"n\"", 100000, (int64_t)hg_test_draw(&seed, i % 2 ? 1000 : 100001));
  CHECK_EQ(hg_learned_save(first, path, &why), HG_OK);
  CHECK_EQ(hg_learned_load(second, path, &why), HG_OK);
  for (int i = 0; i < 2; i++) {
    const char *model = i ? "m" : "a model \"n\"";
    CHECK_EQ(hg_learned_reserve(second, model, 1000000), hg_learned_reserve(first, model, 1000000));
  }
  CHECK(hg_learned_reserve(second, "m", 1000000) < 20000);
  hg_learned_destroy(&first);
  hg_learned_destroy(&second);
  unlink(path);
}

// A part of a bound in tokens is none of one in dollars, nor one at other prices.
TEST(learned, is_of_its_unit_and_prices) {
  hg_error why = HG_ERROR_INIT;
  char path[32];
  place(path);
  for (uint64_t prices = 0; prices < 3; prices++) {
    struct hg_learned *learned = hg_learned_new(prices);
    CHECK_EQ(hg_learned_load(learned, path, &why), HG_ERR_PROTOCOL);
    CHECK((strstr(why.text, "other prices") != NULL) == (prices > 0));
    for (int i = 0; i < CALLS; i++)
      hg_learned_add(learned, "m", 1000, 10);
    CHECK_EQ(hg_learned_save(learned, path, &why), HG_OK);
    struct hg_learned *again = hg_learned_new(prices);
    CHECK_EQ(hg_learned_load(again, path, &why), HG_OK);
    CHECK(hg_learned_reserve(again, "m", 1000) < 20);
    hg_learned_destroy(&again);
    hg_learned_destroy(&learned);
  }
  unlink(path);
}

// The quantile stays where it was, and new calls move it sooner.
TEST(learned, long_runs_weigh_no_more_than_others) {
  struct hg_learned *learned = hg_learned_new(0);
  hg_error why = HG_ERROR_INIT;
  char path[32];
  place(path);
  write_text(path, "{\"format\":2,\"prices\":\"0000000000000000\",\"models\":{\"m\":[[10,9000000000],[512,8000000]]}}");
  CHECK_EQ(hg_learned_load(learned, path, &why), HG_OK);
  CHECK(hg_learned_reserve(learned, "m", 102400) < 1300);
  for (int i = 0; i < 200; i++)
    hg_learned_add(learned, "m", 1000, 900);
  CHECK(hg_learned_reserve(learned, "m", 102400) > 90000);
  hg_learned_destroy(&learned);
  unlink(path);
}

TEST(learned, a_file_that_is_none_adds_nothing) {
  static const char *const texts[] = {
      "",
      "[]",
      "{\"format\":9,\"models\":{}}",
      "{\"format\":2,\"prices\":\"0000000000000000\"}",
      "{\"format\":2,\"prices\":\"0000000000000000\",\"models\":{\"m\":[[10,2000]],\"n\":[[1024,2000]]}}",
      "{\"format\":2,\"prices\":\"0000000000000000\",\"models\":{\"m\":[[10,2000]],\"n\":[[-1,2000]]}}",
      "{\"format\":2,\"prices\":\"0000000000000000\",\"models\":{\"m\":[[10,2000]],\"n\":[[1,0]]}}",
      "{\"format\":2,\"prices\":\"0000000000000000\",\"models\":{\"m\":[[10,2000]],\"n\":[[1,9007199254740992]]}}",
      "{\"format\":2,\"prices\":\"0000000000000000\",\"models\":{\"m\":[[10,2000]],\"n\":[[1,2,3]]}}",
      "{\"format\":2,\"prices\":\"0000000000000000\",\"models\":{\"m\":[[10,2000]],\"n\":7}}",
      "{\"format\":2,\"prices\":\"0000000000000000\",\"models\":{\"m\":[[10,2000]],\"n\":[]}}",
  };
  struct hg_learned *learned = hg_learned_new(0);
  char path[32];
  place(path);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    hg_error why = HG_ERROR_INIT;
    write_text(path, texts[i]);
    CHECK_EQ(hg_learned_load(learned, path, &why), HG_ERR_PROTOCOL);
    CHECK(strstr(why.text, path) != NULL);
    CHECK_EQ(hg_learned_reserve(learned, "m", 1000), 1000);
  }
  unlink(path);
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_learned_load(learned, path, &why), HG_ERR_EMPTY);
  CHECK_EQ(hg_learned_save(learned, "/nowhere/at/all", &why), HG_ERR_SYSTEM);
  hg_learned_destroy(&learned);
}
