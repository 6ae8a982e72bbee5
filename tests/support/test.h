// The thin layer over Criterion that every test uses: TEST, CHECK and CHECK_EQ. With HG_PLAIN_TESTS the same bodies run
// in a plain runner instead (support/plain_runner.c), because Criterion cannot run under ThreadSanitizer.
#ifndef HG_TEST_H
#define HG_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HG_PLAIN_TESTS

struct hg_plain_test {
  const char *suite, *name;
  void (*body)(void);
  struct hg_plain_test *next;
};
void hg_plain_register(struct hg_plain_test *test);
_Noreturn void hg_plain_fail(const char *file, int line, const char *text);

#define TEST(suite_, name_)                                                                                            \
  static void suite_##_##name_##_body(void);                                                                           \
  __attribute__((constructor)) static void suite_##_##name_##_register(void) {                                         \
    static struct hg_plain_test test = {#suite_, #name_, suite_##_##name_##_body, NULL};                               \
    hg_plain_register(&test);                                                                                          \
  }                                                                                                                    \
  static void suite_##_##name_##_body(void)
#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) hg_plain_fail(__FILE__, __LINE__, #condition);                                                   \
  } while (0)

#else

#include <criterion/criterion.h>
// No .timeout: in Criterion 2.4.1 it can deadlock under load. CTest has one.
#define TEST(suite_, name_) Test(suite_, name_)
// Criterion sends a message to its parent for each assertion, also for one that holds; millions of them would take
// minutes.
#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) cr_assert_fail("%s", #condition);                                                                \
  } while (0)

#endif

// Like CHECK, for two integers, and prints both.
#define CHECK_EQ(left, right)                                                                                          \
  do {                                                                                                                 \
    const long long left_ = (long long)(left), right_ = (long long)(right);                                            \
    if (left_ != right_)                                                                                               \
      fprintf(stderr, "%s:%d: %s = %lld, %s = %lld\n", __FILE__, __LINE__, #left, left_, #right, right_);              \
    CHECK(left_ == right_ && #left " == " #right);                                                                     \
  } while (0)

// Like CHECK, for two C strings, and prints both.
#define CHECK_STR(left, right)                                                                                         \
  do {                                                                                                                 \
    const char *left_ = (left), *right_ = (right);                                                                     \
    const bool same_ = left_ && right_ && strcmp(left_, right_) == 0;                                                  \
    if (!same_)                                                                                                        \
      fprintf(stderr, "%s:%d: %s = \"%s\", %s = \"%s\"\n", __FILE__, __LINE__, #left, left_ ? left_ : "(null)",        \
              #right, right_ ? right_ : "(null)");                                                                     \
    CHECK(same_);                                                                                                      \
  } while (0)

// A new seed each time, or that of HG_SEED; told, so that a failure can be run again.
static inline uint64_t hg_test_seed(const char *test) {
  const char *given = getenv("HG_SEED");
  uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)getpid() * UINT64_C(0x9e3779b97f4a7c15);
  if (!given) seed ^= (uint64_t)(uintptr_t)&seed; // address-space randomisation
  fprintf(stderr, "%s: seed %llu (run again: HG_SEED=%llu)\n", test, (unsigned long long)seed,
          (unsigned long long)seed);
  return seed;
}

// As many rounds as a test wants; under valgrind a part of them, but at least `least` (HG_TEST_SHARE=25: a 25th).
static inline unsigned hg_test_rounds(unsigned rounds, unsigned least) {
  const char *share = getenv("HG_TEST_SHARE");
  const unsigned part = share && atoi(share) > 0 ? rounds / (unsigned)atoi(share) : rounds;
  return part > least ? part : least;
}

// A number below `below`, and the next state of the seed, which must not be 0 (xorshift64, Marsaglia 2003).
static inline uint64_t hg_test_draw(uint64_t *seed, uint64_t below) {
  *seed ^= *seed << 13;
  *seed ^= *seed >> 7;
  *seed ^= *seed << 17;
  return *seed % below;
}

#endif
