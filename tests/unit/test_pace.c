// How fast calls may start, and how many at once while a provider pushes back: on a simulated clock.
// links: program
#include "runner/pace.h"
#include "runner/pushback.h"
#include "support/test.h"

#define MINUTE_MS 60000
#define STARTS 20000

// Starts when it may, as one of those that use all that they reserve and end much later. Returns when that is.
static int64_t start(struct hg_pace *pace, int64_t units, int64_t now_ms) {
  struct hg_pace_take take;
  const int64_t due = hg_pace_due(pace, units, now_ms);
  hg_pace_start(pace, units, due, &take);
  return due;
}

TEST(pace, without_a_bound_all_start_at_once) {
  struct hg_pace pace = {0};
  for (int i = 0; i < 1000; i++)
    CHECK_EQ(start(&pace, 1000000, 5), 5);
}

TEST(pace, one_a_second_comes_one_a_second) {
  struct hg_pace pace = {.per_minute = 60};
  // What the last second left over, then one a second.
  CHECK_EQ(start(&pace, 1, 100000), 100000);
  CHECK_EQ(start(&pace, 1, 100000), 100000);
  for (int64_t i = 1; i < 59; i++)
    CHECK_EQ(start(&pace, 1, 100000), 100000 + i * 1000);
  CHECK_EQ(start(&pace, 1, 100000), 160250); // the minute has had its 60
}

// Who waits for the minute starts as soon as one that ends makes room for it.
TEST(pace, what_was_not_needed_lets_the_next_go_at_once) {
  struct hg_pace pace = {.per_minute = 60000}; // a unit a millisecond
  struct hg_pace_take take;
  CHECK_EQ(hg_pace_due(&pace, 5000, 100000), 100000);
  hg_pace_start(&pace, 5000, 100000, &take);
  CHECK_EQ(hg_pace_due(&pace, 5000, 100010), 104000);
  hg_pace_end(&pace, &take, 50, true, 100020);
  CHECK_EQ(hg_pace_due(&pace, 5000, 100020), 100020);
}

// What calls use of their reservations is the flow; what they may use is the minute.
TEST(pace, as_many_run_as_the_minute_has_room_for) {
  struct hg_pace pace = {.per_minute = 60000};
  struct hg_pace_take first, takes[14];
  hg_pace_start(&pace, 4000, 100000, &first);
  hg_pace_end(&pace, &first, 40, true, 100020);
  for (int i = 0; i < 14; i++) {
    CHECK_EQ(hg_pace_due(&pace, 4000, 100020), 100020);
    hg_pace_start(&pace, 4000, 100020, &takes[i]);
  }
  CHECK_EQ(hg_pace_due(&pace, 4000, 100020), 160250); // 56,040 may have been used
  hg_pace_end(&pace, &takes[3], 40, true, 100500);
  CHECK_EQ(hg_pace_due(&pace, 4000, 100500), 100500);
  hg_pace_end(&pace, &takes[4], 4000, true, 101000); // this one used it all, so the others may: the flow waits
  CHECK(hg_pace_due(&pace, 4000, 101000) > 103000);
}

// What was taken without a rate took nothing of its flow, and gives nothing back.
TEST(pace, only_what_was_taken_is_given_back) {
  struct hg_pace pace = {.per_minute = 0};
  struct hg_pace_take free, paid;
  hg_pace_start(&pace, 1000000, 100000, &free);
  pace.per_minute = 60000;
  hg_pace_end(&pace, &free, 0, false, 100000);
  hg_pace_start(&pace, 5000, 100000, &paid);
  CHECK_EQ(hg_pace_due(&pace, 1, 100000), 104000);
  hg_pace_end(&pace, &paid, 5000, false, 100000);
  CHECK_EQ(hg_pace_due(&pace, 1, 100000), 104000);
}

TEST(pace, nothing_starts_while_it_is_shut) {
  struct hg_pace pace = {.per_minute = 60000, .shut_ms = 150000};
  CHECK_EQ(start(&pace, 5000, 100000), 150000);
  pace.per_minute = 0;
  CHECK_EQ(hg_pace_due(&pace, 1, 100000), 150000);
  CHECK_EQ(hg_pace_due(&pace, 1, 200000), 200000);
}

TEST(pace, a_giant_starts_in_its_turn) {
  struct hg_pace pace = {.per_minute = 600};
  CHECK_EQ(start(&pace, 1200, 100000), 100000); // two minutes' worth
  CHECK_EQ(start(&pace, 1, 100000), 100000 + 2 * MINUTE_MS - HG_PACE_BURST_MS);
  struct hg_pace slow = {.per_minute = 1};
  CHECK_EQ(start(&slow, INT64_MAX, 100000), 100000);
  CHECK(start(&slow, 1, 100000) > 100000 && start(&slow, INT64_MAX, 100000) < INT64_MAX / 2);
}

// A call after the other, each with one end: how many start before the first that has to wait?
static int calls_in_a_row(struct hg_pace *pace, int64_t units, int64_t used, int calls) {
  int64_t now = 100000;
  for (int i = 0; i < calls; i++, now += 100) {
    struct hg_pace_take take;
    if (hg_pace_due(pace, units, now) > now) return i;
    hg_pace_start(pace, units, now, &take);
    hg_pace_end(pace, &take, used, true, now + 50);
  }
  return calls;
}

TEST(pace, what_reserves_a_minute_goes_alone_as_long_as_little_is_used) {
  struct hg_pace over = {.per_minute = 30000}, under = {.per_minute = 60000}, half = {.per_minute = 60000};
  CHECK_EQ(calls_in_a_row(&over, 32015, 15, 500), 500);
  CHECK_EQ(calls_in_a_row(&under, 59000, 15, 500), 500);
  CHECK_EQ(calls_in_a_row(&half, 30001, 90, 500), 500);
  struct hg_pace_take take;
  hg_pace_start(&under, 59000, 150000, &take);
  CHECK(hg_pace_due(&under, 59000, 150000) > 150000 + 30000); // not beside another
  hg_pace_end(&under, &take, 15, true, 150010);
  CHECK_EQ(hg_pace_due(&under, 59000, 150010), 150010);
}

// The flow and the minute hold what is used.
TEST(pace, what_reserves_a_minute_and_uses_it_comes_once_a_minute) {
  struct hg_pace all = {.per_minute = 60000}, much = {.per_minute = 60000}, sudden = {.per_minute = 60000};
  CHECK_EQ(calls_in_a_row(&all, 40000, 40000, 2), 1);
  CHECK_EQ(hg_pace_due(&all, 40000, 100100), 160250);
  const int few = calls_in_a_row(&much, 59000, 1000, 500); // ten a second would be 600,000 a minute
  CHECK(few >= 2 && few <= 4);
  CHECK_EQ(calls_in_a_row(&sudden, 59000, 15, 10), 10);
  struct hg_pace_take take;
  hg_pace_start(&sudden, 59000, 101000, &take);
  hg_pace_end(&sudden, &take, 59000, true, 101050); // its own reservation alone is over
  CHECK(hg_pace_due(&sudden, 59000, 101050) >= 101000 + MINUTE_MS);
}

// Nothing starts out of order, no minute has more than the rate, and the rate is used.
TEST(pace, no_minute_has_more_than_its_rate) {
  uint64_t seed = hg_test_seed("no_minute_has_more_than_its_rate");
  for (int round = 0; round < 20; round++) {
    struct hg_pace pace = {.per_minute = 10 + (int64_t)hg_test_draw(&seed, 100000)};
    static int64_t at[STARTS], units[STARTS];
    const int64_t giant = pace.per_minute / 10;
    int64_t now = 1000000, total = 0;
    for (int i = 0; i < STARTS; i++) {
      units[i] = 1 + (int64_t)hg_test_draw(&seed, (uint64_t)giant);
      at[i] = now = start(&pace, units[i], now);
      total += units[i];
      CHECK(i == 0 || at[i] >= at[i - 1]);
      if (hg_test_draw(&seed, 4) == 0) now += (int64_t)hg_test_draw(&seed, 2);
    }
    int64_t inside = 0;
    for (int first = 0, last = 0; last < STARTS; last++) {
      inside += units[last];
      while (at[last] - at[first] >= MINUTE_MS)
        inside -= units[first++];
      CHECK(inside <= pace.per_minute);
    }
    const int64_t lasted = at[STARTS - 1] - at[0];
    CHECK((double)lasted <= (double)total / (double)pace.per_minute * MINUTE_MS * 1.15 + MINUTE_MS);
  }
}

// Calls that end at any time and use anything of what they reserved: whatever starts, what ended with what it used and
// what runs with its reservation is within the rate in each minute, but for what alone reserves more than half of it.
TEST(pace, no_minute_has_more_than_its_rate_whatever_ends) {
  enum { CALLS = 3000 };
  uint64_t seed = hg_test_seed("whatever_ends");
  for (int round = 0; round < 20; round++) {
    struct hg_pace pace = {.per_minute = 10000};
    static struct hg_pace_take takes[CALLS];
    static int64_t at[CALLS], counts[CALLS];
    static bool runs[CALLS];
    const uint64_t used_percent = 1 + hg_test_draw(&seed, 100);
    int64_t now = 1000000;
    for (int i = 0; i < CALLS; i++) {
      const int64_t units = 1 + (int64_t)hg_test_draw(&seed, round % 2 == 0 ? 4000 : 15000);
      for (int64_t due; (due = hg_pace_due(&pace, units, now)) > now;) {
        int ended = i - 1 - (int)hg_test_draw(&seed, 20);
        if (ended < 0 || !runs[ended]) ended = -1;
        now = ended < 0 ? due : now + (int64_t)hg_test_draw(&seed, (uint64_t)(due - now));
        if (ended < 0) continue;
        counts[ended] = counts[ended] * (int64_t)hg_test_draw(&seed, used_percent + 1) / 100;
        hg_pace_end(&pace, &takes[ended], counts[ended], true, now);
        runs[ended] = false;
      }
      hg_pace_start(&pace, units, now, &takes[i]);
      at[i] = now, counts[i] = units, runs[i] = true;
      int64_t inside = 0;
      for (int earlier = i; earlier >= 0 && at[i] - at[earlier] < MINUTE_MS; earlier--)
        inside += counts[earlier];
      CHECK(inside - (units > pace.per_minute / 2 ? units : 0) <= pace.per_minute);
    }
  }
}

// ------------------------------------------------------------------------------------------------ the account

// While what remains covers them, calls start at once, and no more of them than it covers.
TEST(pace, what_remains_is_all_that_holds) {
  struct hg_pace pace = {0};
  struct hg_pace_take takes[14];
  hg_pace_tell(&pace, 60000, 59000, 100000, 100050, 100050);
  for (int i = 0; i < 14; i++) {
    CHECK_EQ(hg_pace_due(&pace, 4110, 100050), 100050);
    hg_pace_start(&pace, 4110, 100050, &takes[i]);
  }
  CHECK_EQ(hg_pace_due(&pace, 4110, 100050), 160050); // more than a minute has: one has to end, or the account
  hg_pace_end(&pace, &takes[0], 15, true, 100100);
  hg_pace_tell(&pace, 60000, 59000, 100050, 100100, 100100);
  CHECK_EQ(hg_pace_due(&pace, 4110, 100100), 100100);
}

TEST(pace, what_does_not_remain_comes_with_time) {
  struct hg_pace pace = {0};
  hg_pace_tell(&pace, 60000, 1000, 100000, 100000, 100000);
  CHECK_EQ(hg_pace_due(&pace, 1000, 100000), 100000);
  CHECK(hg_pace_due(&pace, 4000, 100000) >= 103000 && hg_pace_due(&pace, 4000, 100000) <= 103002);
  CHECK_EQ(hg_pace_due(&pace, 4000, 103002), 103002);
  CHECK_EQ(hg_pace_due(&pace, INT64_MAX, 170000), 170000); // a learnt rate lets a giant go when all is there
}

// An answer that was sent for before another does not know of it; one that says nothing may have cost its reservation.
TEST(pace, an_older_account_adds_nothing) {
  struct hg_pace pace = {0};
  struct hg_pace_take take;
  hg_pace_tell(&pace, 60000, 10000, 100005, 100100, 100100);
  hg_pace_tell(&pace, 60000, 50000, 100000, 100100, 100100);
  CHECK(hg_pace_due(&pace, 10001, 100100) > 100100);
  hg_pace_tell(&pace, 60000, 4000, 100000, 100100, 100100);
  CHECK(hg_pace_due(&pace, 4001, 100100) > 100100);
  hg_pace_start(&pace, 4000, 100100, &take);
  hg_pace_end(&pace, &take, 0, false, 100100);
  CHECK_EQ(hg_pace_due(&pace, 4000, 100100), 100100);
  hg_pace_miss(&pace, &take, 100100);
  CHECK(hg_pace_due(&pace, 1, 100100) > 100100);
}

// What the headers of a stream say is as old as they are when it ends: it lowers nobody's newer account by what has
// come since, and begins nothing anew.
TEST(pace, an_account_is_of_the_moment_when_it_was_heard) {
  struct hg_pace pace = {0};
  hg_pace_tell(&pace, 60000, 1000, 100000, 100000, 130000);
  CHECK_EQ(hg_pace_due(&pace, 31000, 130000), 130000);
  CHECK(hg_pace_due(&pace, 31002, 130000) > 130000);
  hg_pace_tell(&pace, 60000, 30000, 129000, 130000, 130000);
  hg_pace_tell(&pace, 60000, 0, 100000, 100000, 130000);
  CHECK_EQ(hg_pace_due(&pace, 30000, 130000), 130000);
  hg_pace_tell(&pace, 60000, 0, 100000, 105000, 130000); // but others knew of more that was used
  CHECK(hg_pace_due(&pace, 25002, 130000) > 130000);
  hg_pace_tell(&pace, 60000, 60000, 150000, 160000, 230000); // so old that nobody follows it
  CHECK_EQ(start(&pace, 60000, 230000), 230000);
  CHECK(hg_pace_due(&pace, 60000, 231000) > 231000);
}

// However often something ends, the account is filled in between.
TEST(pace, an_account_is_filled_between_ends) {
  struct hg_pace pace = {0};
  hg_pace_tell(&pace, 600, 0, 100000, 100000, 100000);
  for (int64_t now = 100010; now <= 150000; now += 10) { // a tenth of a unit each time
    struct hg_pace_take take;
    hg_pace_start(&pace, 1, now, &take);
    hg_pace_end(&pace, &take, 0, true, now);
    hg_pace_miss(&pace, &take, now);
  }
  CHECK_EQ(hg_pace_due(&pace, 499, 150000), 150000);
  CHECK(hg_pace_due(&pace, 502, 150000) > 150000);
}

// Headers on the first answer alone: the others cost what they say that they used.
TEST(pace, an_answer_without_figures_costs_what_it_used) {
  struct hg_pace pace = {0};
  hg_pace_tell(&pace, 60000, 59000, 100000, 100000, 100000);
  for (int i = 0; i < 200; i++) {
    struct hg_pace_take take;
    CHECK_EQ(hg_pace_due(&pace, 4110, 100000), 100000);
    hg_pace_start(&pace, 4110, 100000, &take);
    hg_pace_end(&pace, &take, 15, true, 100000);
    hg_pace_miss(&pace, &take, 100000);
  }
  CHECK_EQ(hg_pace_due(&pace, 56000, 100000), 100000);
  CHECK(hg_pace_due(&pace, 56001, 100000) > 100000);
}

TEST(pace, an_account_of_a_minute_ago_is_forgotten) {
  struct hg_pace pace = {0};
  struct hg_pace_take take;
  hg_pace_tell(&pace, 60000, 59000, 100000, 100000, 100000);
  hg_pace_start(&pace, 60000, 159000, &take);
  hg_pace_end(&pace, &take, 0, false, 159999);
  hg_pace_miss(&pace, &take, 159999);
  CHECK(hg_pace_due(&pace, 4110, 159999) > 160000);
  CHECK_EQ(hg_pace_due(&pace, 4110, 160000), 160000);
  CHECK_EQ(start(&pace, 30000, 160000), 160000); // the rate that it told still holds
  CHECK_EQ(hg_pace_due(&pace, 4110, 160000), 160000 + 30000 - HG_PACE_BURST_MS);
  hg_pace_tell(&pace, 60000, 50000, 100000, 160000, 160000); // and anyone may tell it anew
  CHECK_EQ(hg_pace_due(&pace, 20000, 160000), 160000);
}

// A provider that let more pass than its rate is not owed the difference when it falls silent.
TEST(pace, what_the_account_let_pass_is_not_owed) {
  struct hg_pace pace = {0};
  int64_t now = 100000;
  for (int i = 0; i < 600; i++, now += 1000) {
    struct hg_pace_take take;
    hg_pace_tell(&pace, 60000, 59000, now, now, now);
    hg_pace_start(&pace, 3000, now, &take);
    hg_pace_end(&pace, &take, 3000, true, now);
  }
  CHECK(hg_pace_due(&pace, 3000, now + MINUTE_MS) <= now + MINUTE_MS + 1000);
}

// ------------------------------------------------------------------------------------------------ who asks

TEST(pace, what_has_asked_for_long_does_not_count) {
  struct hg_pace pace = {0};
  hg_pace_ask(&pace, 10, 100900);
  hg_pace_ask(&pace, 20, 101100);
  CHECK_EQ(hg_pace_asked(&pace, 101999), 30);
  hg_pace_answer(&pace, 10, 100900, 101999);
  CHECK_EQ(hg_pace_asked(&pace, 101999), 20);
  hg_pace_ask(&pace, 5, 102000);
  CHECK_EQ(hg_pace_asked(&pace, 102999), 25);
  CHECK_EQ(hg_pace_asked(&pace, 103000), 5);
  hg_pace_answer(&pace, 20, 101100, 103000); // which is forgotten
  CHECK_EQ(hg_pace_asked(&pace, 103000), 5);
  CHECK_EQ(hg_pace_asked(&pace, 200000), 0);
  hg_pace_answer(&pace, 5, 102000, 200000);
  CHECK_EQ(hg_pace_asked(&pace, 200000), 0);
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
