// How fast something may start: at most so many units a minute. What a start takes is reserved, and what its end says
// that it used counts from then on. Pure; times in milliseconds.
//
// Of a rate that nobody keeps an account of, two things bound what starts:
// - the minute: what started within it counts with what it used, or with its whole reservation until that is known, and
//   is never more than the rate. What alone reserves more than half of it may start, too, when nothing else runs and
//   there is room for what it is expected to use; and what reserves more than all of it when the minute is empty.
// - the flow, so that not all of it starts at once: the generic cell rate algorithm (ITU-T I.371), a single moment up
// to
//   which the past has used up the rate. A start moves it by what it is expected to use, as calls before it did of what
//   they had reserved; its end puts that right.
// Where the provider tells what remains of its own account, that holds instead, less what has started and not ended,
// until it has told nothing for a minute: then the minute and the flow hold at the rate that it told last.
#ifndef HG_PACE_H
#define HG_PACE_H

#include <stdbool.h>
#include <stdint.h>

// Of the flow, what has not been used in the last second may be used at once.
#define HG_PACE_BURST_MS 1000
#define HG_PACE_UNITS_MAX (INT64_C(1) << 40) // no take counts for more, so that no sum of them overflows
#define HG_PACE_PART_MS 250
#define HG_PACE_PARTS (60 * 1000 / HG_PACE_PART_MS + 1) // those of a whole minute, and the one that is going on

struct hg_pace {
  int64_t per_minute; // 0: without bound
  bool learnt;        // from the provider: then nothing takes more than a minute, as it would have to refuse it
  int64_t shut_ms;    // nothing starts before this moment, whatever is given back

  int64_t taken_us;             // up to this moment the rate is used up
  double used, reserved;        // by what has ended, the latest weighs most
  int64_t parts[HG_PACE_PARTS]; // what started in each part of the minute, by its number modulo their count
  int64_t oldest_part, in_minute;
  int64_t running; // reserved by what has started and not ended

  bool told;      // the provider's own account
  double remains; // and parts of a unit, or else they would be lost whenever something ends
  int64_t remains_at_ms, told_sent_ms, told_at_ms;

  // By the second in which they asked, the newest and the one before: reservations that ask for a permit.
  int64_t asked[2], asked_second;

  // The caller's: reservations that wait for their turn, and whether one has to, so that others stay behind it.
  int64_t queued;
  bool holds;
};

struct hg_pace_take {
  int64_t units, us, part;
};

// The moment from which on `units` may start, if nothing changes; `now_ms`: at once; INT64_MAX: when something ends. Of
// what the account has no room for as long as others run it is the moment when that is forgotten.
int64_t hg_pace_due(struct hg_pace *pace, int64_t units, int64_t now_ms);
// They start now. Each start has one end.
void hg_pace_start(struct hg_pace *pace, int64_t units, int64_t now_ms, struct hg_pace_take *out);
// `served`: what was used is known; it says what others will use, and the take counts with it from then on.
void hg_pace_end(struct hg_pace *pace, struct hg_pace_take *take, int64_t used, bool served, int64_t now_ms);

// An answer to what was sent at `sent_ms` says that the rate is `limit` a minute, of which `remaining` (-1: not said)
// remained at `heard_ms`, when its headers came: of a stream, long before its end.
void hg_pace_tell(struct hg_pace *pace, int64_t limit, int64_t remaining, int64_t sent_ms, int64_t heard_ms,
                  int64_t now_ms);
// One that has ended did not say it: the account has been charged with what it used, or, where that is not known,
// perhaps with all that it reserved.
void hg_pace_miss(struct hg_pace *pace, const struct hg_pace_take *take, int64_t now_ms);

// They ask for a permit; what asked at `asked_ms` has its answer.
void hg_pace_ask(struct hg_pace *pace, int64_t units, int64_t now_ms);
void hg_pace_answer(struct hg_pace *pace, int64_t units, int64_t asked_ms, int64_t now_ms);
// Those that asked within a second or two: who waits for longer waits for something else than a turn.
int64_t hg_pace_asked(struct hg_pace *pace, int64_t now_ms);

// So long the past alone keeps the next one waiting; and that with what is before it, if it uses all that it reserves.
int64_t hg_pace_debt_ms(const struct hg_pace *pace, int64_t now_ms);
int64_t hg_pace_backlog_ms(const struct hg_pace *pace, int64_t before, int64_t now_ms);

#endif
