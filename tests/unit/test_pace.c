// How fast calls may start, and how many at once while a provider pushes back: on a simulated clock.
// links: program
#include "runner/pace.h"
#include "runner/pushback.h"
#include "support/test.h"

#define MINUTE_MS 60000
#define STARTS 20000

static int64_t take(struct hg_pace *pace, int64_t units, int64_t now_ms) {
  int64_t us;
  return hg_pace_take(pace, units, now_ms, &us);
}

TEST(pace, without_a_bound_all_start_at_once) {
  struct hg_pace pace = {0};
  for (int i = 0; i < 1000; i++)
    CHECK_EQ(take(&pace, 1000000, 5), 5);
}

TEST(pace, one_a_second_comes_one_a_second) {
  struct hg_pace pace = {.per_minute = 60};
  // What the last second left over, then one a second.
  CHECK_EQ(take(&pace, 1, 100000), 100000);
  CHECK_EQ(take(&pace, 1, 100000), 100000);
  for (int64_t i = 1; i < 100; i++)
    CHECK_EQ(take(&pace, 1, 100000), 100000 + i * 1000);
}

TEST(pace, what_was_not_needed_is_given_back) {
  struct hg_pace pace = {.per_minute = 60000}; // a unit a millisecond
  int64_t us;
  CHECK_EQ(hg_pace_take(&pace, 5000, 100000, &us), 100000);
  CHECK_EQ(us, 5000000);
  CHECK_EQ(take(&pace, 1, 100000), 104000);
  hg_pace_give_back(&pace, us / 5 * 4);
  CHECK_EQ(take(&pace, 1, 100000), 100001);
  hg_pace_give_back(&pace, 0);
  hg_pace_give_back(&pace, -5);
  CHECK_EQ(take(&pace, 1, 100000), 100002);
}

// What was taken without a rate took nothing, and what was taken at another rate took what it took.
TEST(pace, only_what_was_taken_is_given_back) {
  struct hg_pace pace = {.per_minute = 0};
  int64_t us;
  CHECK_EQ(hg_pace_take(&pace, 1000000, 100000, &us), 100000);
  CHECK_EQ(us, 0);
  pace.per_minute = 60000;
  CHECK_EQ(hg_pace_take(&pace, 5000, 100000, &us), 100000);
  pace.per_minute = 600;
  hg_pace_give_back(&pace, us);
  CHECK_EQ(take(&pace, 1, 100000), 100000);
  CHECK_EQ(take(&pace, 100, 100000), 100000);
  CHECK_EQ(take(&pace, 1, 100000), 109100);
}

TEST(pace, nothing_starts_while_it_is_shut) {
  struct hg_pace pace = {.per_minute = 60000, .shut_ms = 150000};
  int64_t us;
  CHECK_EQ(hg_pace_take(&pace, 5000, 100000, &us), 150000);
  hg_pace_give_back(&pace, us);
  CHECK_EQ(take(&pace, 1, 100000), 150000);
  pace.per_minute = 0;
  CHECK_EQ(take(&pace, 1, 100000), 150000);
  CHECK_EQ(take(&pace, 1, 200000), 200000);
}

TEST(pace, a_giant_starts_in_its_turn) {
  struct hg_pace pace = {.per_minute = 600};
  CHECK_EQ(take(&pace, 1200, 100000), 100000); // two minutes' worth
  CHECK_EQ(take(&pace, 1, 100000), 100000 + 2 * MINUTE_MS - HG_PACE_BURST_MS);
  struct hg_pace slow = {.per_minute = 1};
  CHECK_EQ(take(&slow, INT64_MAX, 100000), 100000);
  CHECK(take(&slow, 1, 100000) > 100000 && take(&slow, INT64_MAX, 100000) < INT64_MAX / 2);
}

// Nothing starts out of order, no minute has more than the rate, a second of it more, and one giant, and the rate is
// used.
TEST(pace, no_minute_has_more_than_its_rate) {
  uint64_t seed = hg_test_seed("no_minute_has_more_than_its_rate");
  for (int round = 0; round < 20; round++) {
    struct hg_pace pace = {.per_minute = 1 + (int64_t)hg_test_draw(&seed, 100000)};
    static int64_t at[STARTS], units[STARTS];
    const int64_t giant = 1 + pace.per_minute / 10;
    int64_t now = 1000000, total = 0;
    for (int i = 0; i < STARTS; i++) {
      units[i] = 1 + (int64_t)hg_test_draw(&seed, (uint64_t)giant);
      at[i] = take(&pace, units[i], now);
      total += units[i];
      CHECK(at[i] >= now && (i == 0 || at[i] >= at[i - 1]));
      if (hg_test_draw(&seed, 4) == 0) now = at[i]; // whoever starts, asks for the next
    }
    int64_t inside = 0;
    for (int first = 0, last = 0; last < STARTS; last++) {
      inside += units[last];
      while (at[last] - at[first] >= MINUTE_MS)
        inside -= units[first++];
      CHECK(inside <= pace.per_minute + pace.per_minute / 60 + giant + STARTS / 1000);
    }
    const int64_t lasted = at[STARTS - 1] - at[0];
    CHECK((double)lasted <= (double)total / (double)pace.per_minute * MINUTE_MS * 1.01 + MINUTE_MS);
  }
}

// ------------------------------------------------------------------------------------------------ pushback

TEST(pushback, halves_at_a_push_and_comes_back_by_one_a_round) {
  struct hg_pushback pushback;
  hg_pushback_init(&pushback, 64);
  CHECK(!hg_pushback_lasts(&pushback) && !hg_pushback_serve(&pushback));
  CHECK(hg_pushback_push(&pushback, 100, 64, 200));
  CHECK_EQ(hg_pushback_allowed(&pushback), 32);
  for (int i = 0; i < 31; i++) // the others of the same round
    CHECK(!hg_pushback_push(&pushback, 150, 33, 210));
  CHECK_EQ(hg_pushback_allowed(&pushback), 32);
  CHECK(hg_pushback_push(&pushback, 200, 32, 300));
  CHECK_EQ(hg_pushback_allowed(&pushback), 16);
  int served = 1;
  while (!hg_pushback_serve(&pushback))
    served++;
  CHECK_EQ(hg_pushback_allowed(&pushback), 64);
  CHECK(served > 1500 && served < 2500); // about the sum of 16 to 63
}

TEST(pushback, never_falls_under_one) {
  struct hg_pushback pushback;
  hg_pushback_init(&pushback, 3);
  CHECK(hg_pushback_push(&pushback, 1, 3, 2));
  CHECK_EQ(hg_pushback_allowed(&pushback), 1);
  for (int64_t i = 2; i < 10; i++)
    CHECK(!hg_pushback_push(&pushback, i, 1, i + 1));
  CHECK_EQ(hg_pushback_allowed(&pushback), 1);
  CHECK(!hg_pushback_serve(&pushback));
  CHECK_EQ(hg_pushback_allowed(&pushback), 2);
  struct hg_pushback serial;
  hg_pushback_init(&serial, 1);
  CHECK(!hg_pushback_push(&serial, 1, 1, 2) && !hg_pushback_lasts(&serial));
}

// What ran counts, not what might have.
TEST(pushback, begins_with_what_ran) {
  struct hg_pushback pushback;
  hg_pushback_init(&pushback, 1000);
  CHECK(hg_pushback_push(&pushback, 1, 8, 2));
  CHECK_EQ(hg_pushback_allowed(&pushback), 4);
}
