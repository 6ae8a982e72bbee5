// The minute, the flow, and the provider's account.
#include "runner/pace.h"

#include <string.h>

#define MINUTE_MS INT64_C(60000)
#define MINUTE_US INT64_C(60000000)
#define LONGEST_US (24 * 60 * MINUTE_US) // no take counts for more than a day
#define KEPT (7.0 / 8)                   // of the weight of what ended, at each end

static int64_t least(int64_t left, int64_t right) {
  return left < right ? left : right;
}

static int64_t most(int64_t left, int64_t right) {
  return left > right ? left : right;
}

static int64_t us_of(const struct hg_pace *pace, double units) {
  const double us = units * (double)MINUTE_US / (double)pace->per_minute;
  const int64_t longest = pace->learnt ? MINUTE_US : LONGEST_US;
  return us < (double)longest ? (int64_t)us : longest;
}

// Rounded up.
static int64_t ms_of(const struct hg_pace *pace, double units) {
  const double ms = units * (double)MINUTE_MS / (double)pace->per_minute;
  const int64_t longest = LONGEST_US / 1000;
  return ms < (double)longest ? (int64_t)ms + 1 : longest;
}

static double share_used(const struct hg_pace *pace) {
  return pace->reserved > 0 ? pace->used / pace->reserved : 1;
}

// ---------------------------------------------------------------------------------------------- the minute

static int64_t *part_of(struct hg_pace *pace, int64_t number) {
  return &pace->parts[number % HG_PACE_PARTS];
}

static void forget_old_parts(struct hg_pace *pace, int64_t now_ms) {
  const int64_t oldest = now_ms / HG_PACE_PART_MS - (HG_PACE_PARTS - 1);
  if (oldest - pace->oldest_part >= HG_PACE_PARTS) {
    memset(pace->parts, 0, sizeof pace->parts);
    pace->in_minute = 0;
    pace->oldest_part = oldest;
  }
  for (; pace->oldest_part < oldest; pace->oldest_part++) {
    pace->in_minute -= *part_of(pace, pace->oldest_part);
    *part_of(pace, pace->oldest_part) = 0;
  }
}

static int64_t minute_has_room(struct hg_pace *pace, int64_t units, int64_t now_ms) {
  int64_t over = pace->in_minute + units - pace->per_minute, part = pace->oldest_part;
  if (over <= 0) return now_ms;
  for (; over > 0; part++)
    over -= *part_of(pace, part); // all of them leave room for what is not more than the rate
  return (part - 1 + HG_PACE_PARTS) * HG_PACE_PART_MS;
}

// What is reserved is seldom used: by its reservation alone, what takes most of a minute would start once a minute.
static int64_t minute_lets_start(struct hg_pace *pace, int64_t units, int64_t now_ms) {
  const int64_t reserved = least(units, pace->per_minute);
  const int64_t by_reserved = minute_has_room(pace, reserved, now_ms);
  if (pace->running > 0 || reserved <= pace->per_minute / 2) return by_reserved;
  const double expected = (double)units * share_used(pace);
  if (expected >= (double)reserved) return by_reserved;
  return least(by_reserved, minute_has_room(pace, (int64_t)expected, now_ms));
}

// ---------------------------------------------------------------------------------------------- the account

// Without a word for a minute the provider keeps none that could be followed.
static bool is_told(const struct hg_pace *pace, int64_t now_ms) {
  return pace->told && now_ms - pace->told_at_ms < MINUTE_MS;
}

// What was there some time ago, as it is filled again.
static double filled(const struct hg_pace *pace, double units, int64_t since_ms) {
  const double now = units + (double)since_ms * (double)pace->per_minute / (double)MINUTE_MS;
  return now < (double)pace->per_minute ? now : (double)pace->per_minute;
}

static double remains(const struct hg_pace *pace, int64_t now_ms) {
  return filled(pace, pace->remains, now_ms - pace->remains_at_ms);
}

static int64_t account_has_room(const struct hg_pace *pace, int64_t units, int64_t now_ms) {
  const double short_of = (double)(units + pace->running) - remains(pace, now_ms);
  if (short_of <= 0) return now_ms;
  return units + pace->running > pace->per_minute ? pace->told_at_ms + MINUTE_MS : now_ms + ms_of(pace, short_of);
}

void hg_pace_tell(struct hg_pace *pace, int64_t limit, int64_t remaining, int64_t sent_ms, int64_t heard_ms,
                  int64_t now_ms) {
  const bool newer = !is_told(pace, now_ms) || sent_ms >= pace->told_sent_ms;
  pace->per_minute = limit;
  pace->learnt = true;
  if (remaining < 0) return;
  const double told = filled(pace, (double)least(remaining, limit), now_ms - heard_ms), before = remains(pace, now_ms);
  pace->remains = newer || told < before ? told : before; // an older account has not seen the later ones
  pace->remains_at_ms = now_ms;
  pace->told_at_ms = newer ? heard_ms : most(pace->told_at_ms, heard_ms);
  const int64_t gone = limit - (int64_t)pace->remains + pace->running;
  // What it let pass beyond that is not owed.
  pace->taken_us = least(pace->taken_us, now_ms * 1000 + us_of(pace, (double)gone));
  if (newer) pace->told_sent_ms = sent_ms;
  pace->told = true;
}

void hg_pace_miss(struct hg_pace *pace, const struct hg_pace_take *take, int64_t now_ms) {
  if (!is_told(pace, now_ms)) return;
  const double left = remains(pace, now_ms) - (double)take->units;
  pace->remains = left > 0 ? left : 0;
  pace->remains_at_ms = now_ms;
}

// ---------------------------------------------------------------------------------------------- starts and ends

int64_t hg_pace_due(struct hg_pace *pace, int64_t units, int64_t now_ms) {
  const int64_t open_ms = most(pace->shut_ms, now_ms);
  if (pace->per_minute == 0) return open_ms;
  if (is_told(pace, now_ms)) return most(open_ms, account_has_room(pace, least(units, pace->per_minute), now_ms));
  forget_old_parts(pace, now_ms);
  return most(open_ms, most(now_ms + hg_pace_debt_ms(pace, now_ms), minute_lets_start(pace, units, now_ms)));
}

void hg_pace_start(struct hg_pace *pace, int64_t units, int64_t now_ms, struct hg_pace_take *out) {
  *out = (struct hg_pace_take){.units = least(units, HG_PACE_UNITS_MAX), .part = now_ms / HG_PACE_PART_MS};
  forget_old_parts(pace, now_ms);
  *part_of(pace, out->part) += out->units;
  pace->in_minute += out->units;
  pace->running += out->units;
  if (pace->per_minute == 0) return;
  out->us = most(us_of(pace, (double)out->units * share_used(pace)), 1); // 0: without a rate
  pace->taken_us = most(pace->taken_us, now_ms * 1000) + out->us;
}

void hg_pace_end(struct hg_pace *pace, struct hg_pace_take *take, int64_t used, bool served, int64_t now_ms) {
  const int64_t units = least(used, HG_PACE_UNITS_MAX);
  pace->running -= take->units;
  forget_old_parts(pace, now_ms);
  if (take->part >= pace->oldest_part) {
    *part_of(pace, take->part) += units - take->units;
    pace->in_minute += units - take->units;
  }
  if (take->us > 0) pace->taken_us += us_of(pace, (double)units) - take->us;
  if (!served) return;
  pace->used = pace->used * KEPT + (double)units;
  pace->reserved = pace->reserved * KEPT + (double)take->units;
  take->units = units;
}

// ---------------------------------------------------------------------------------------------- who waits

static void forget_asked(struct hg_pace *pace, int64_t now_ms) {
  const int64_t second = now_ms / 1000;
  for (int64_t since = second - pace->asked_second, i = 0; i < 2 && i < since; i++)
    pace->asked[(second - i) % 2] = 0;
  pace->asked_second = second;
}

void hg_pace_ask(struct hg_pace *pace, int64_t units, int64_t now_ms) {
  forget_asked(pace, now_ms);
  pace->asked[now_ms / 1000 % 2] += units;
}

void hg_pace_answer(struct hg_pace *pace, int64_t units, int64_t asked_ms, int64_t now_ms) {
  forget_asked(pace, now_ms);
  if (asked_ms / 1000 >= pace->asked_second - 1) pace->asked[asked_ms / 1000 % 2] -= units;
}

int64_t hg_pace_asked(struct hg_pace *pace, int64_t now_ms) {
  forget_asked(pace, now_ms);
  return pace->asked[0] + pace->asked[1];
}

int64_t hg_pace_debt_ms(const struct hg_pace *pace, int64_t now_ms) {
  if (pace->per_minute == 0 || is_told(pace, now_ms)) return 0;
  return most((pace->taken_us + 999) / 1000 - HG_PACE_BURST_MS - now_ms, 0);
}

int64_t hg_pace_backlog_ms(const struct hg_pace *pace, int64_t before, int64_t now_ms) {
  if (pace->per_minute == 0) return 0;
  if (!is_told(pace, now_ms)) return hg_pace_debt_ms(pace, now_ms) + (before > 0 ? ms_of(pace, (double)before) : 0);
  const double short_of = (double)(before + pace->running) - remains(pace, now_ms);
  return short_of > 0 ? ms_of(pace, short_of) : 0;
}
