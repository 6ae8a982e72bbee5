// Forecasts against runs whose end is known, on a simulated clock.
#include "actors/forecast.h"
#include "support/test.h"

#include <stdlib.h>

#define SECOND INT64_C(1000000)
#define START (1000 * SECOND)

static int64_t draw_between(uint64_t *seed, int64_t least, int64_t most) {
  return least + (int64_t)hg_test_draw(seed, (uint64_t)(most - least + 1));
}

static bool is_near(int64_t found, int64_t truth, int64_t percent) {
  return llabs(found - truth) * 100 <= truth * percent;
}

// A steady run: calls of 64 at once, of different sizes and lengths. From a tenth of the way on the forecast of its end
// is within a tenth of the truth.
TEST(forecast, a_steady_run_ends_when_it_says) {
  uint64_t seed = hg_test_seed("a_steady_run_ends_when_it_says");
  enum { TASKS = 20000, AT_ONCE = 64 };
  static int64_t ended[TASKS], used[TASKS];
  for (int round = 0; round < 20; round++) {
    const int64_t length = draw_between(&seed, 10, 4000) * 1000, size = draw_between(&seed, 10, 5000);
    int64_t free_at[AT_ONCE], total = 0;
    for (int i = 0; i < AT_ONCE; i++)
      free_at[i] = START;
    for (int i = 0; i < TASKS; i++) {
      int first = 0;
      for (int k = 1; k < AT_ONCE; k++)
        if (free_at[k] < free_at[first]) first = k;
      free_at[first] += draw_between(&seed, length / 2, length * 3 / 2);
      ended[i] = free_at[first];
      used[i] = draw_between(&seed, size / 2, size * 3 / 2);
      total += used[i];
    }
    struct hg_forecast forecast = {0};
    hg_forecast_use(&forecast, 0, START);
    int64_t so_far = 0;
    const int64_t end = ended[TASKS - 1];
    for (int i = 0; i < TASKS; i++) {
      hg_forecast_use(&forecast, used[i], ended[i]);
      hg_forecast_end_task(&forecast, used[i]);
      so_far += used[i];
      if (i < TASKS / 10 || end - START < 10 * SECOND || i % 97 != 0 || i > TASKS * 95 / 100) continue;
      const int64_t until = hg_forecast_until_us(&forecast, total - so_far, ended[i]);
      CHECK(is_near(ended[i] + until - START, end - START, 10));
      CHECK(is_near(hg_forecast_task(&forecast), size, 10));
    }
  }
}

TEST(forecast, says_nothing_before_it_knows) {
  struct hg_forecast forecast = {0};
  CHECK_EQ(hg_forecast_per_minute(&forecast, START), 0);
  CHECK_EQ(hg_forecast_until_us(&forecast, 5, START), -1);
  CHECK_EQ(hg_forecast_until_us(&forecast, 0, START), 0);
  CHECK_EQ(hg_forecast_task(&forecast), 0);
  hg_forecast_use(&forecast, 1000000, START);
  CHECK_EQ(hg_forecast_per_minute(&forecast, START), 0);
  CHECK_EQ(hg_forecast_per_minute(&forecast, START + SECOND / 2), 0);
  CHECK(is_near(hg_forecast_per_minute(&forecast, START + 2 * SECOND), 30000000, 2));
}

TEST(forecast, forgets_what_was_long_ago) {
  struct hg_forecast forecast = {0};
  for (int64_t s = 0; s < 600; s++)
    hg_forecast_use(&forecast, 1000, START + s * SECOND);
  CHECK(is_near(hg_forecast_per_minute(&forecast, START + 600 * SECOND), 60000, 2));
  for (int64_t s = 600; s < 2400; s++)
    hg_forecast_use(&forecast, 10, START + s * SECOND);
  CHECK(is_near(hg_forecast_per_minute(&forecast, START + 2400 * SECOND), 600, 30));
  const int64_t later = START + 100000 * SECOND; // nothing was used since
  CHECK_EQ(hg_forecast_per_minute(&forecast, later), 0);
}

TEST(forecast, corrections_and_clocks_that_stand_still_do_no_harm) {
  struct hg_forecast forecast = {0};
  hg_forecast_use(&forecast, 1000, START);
  hg_forecast_use(&forecast, -5000, START);
  CHECK_EQ(hg_forecast_per_minute(&forecast, START + 5 * SECOND), 0);
  CHECK_EQ(hg_forecast_until_us(&forecast, 5, START + 5 * SECOND), -1);
  hg_forecast_use(&forecast, INT64_C(9007199254740991), START - SECOND);
  CHECK(hg_forecast_per_minute(&forecast, START + 5 * SECOND) > 0);
  hg_forecast_end_task(&forecast, 0);
  CHECK_EQ(hg_forecast_task(&forecast), 1);
}
