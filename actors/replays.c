// A portion ends with the last row, with HG_REPLAY_ROWS rows looked at, or with as many events as were asked for or fit
// into one frame.
#include "actors/replays.h"

#include "bus/frames.h"

#include <string.h>

static_assert(HG_EVENT_KINDS <= 32, "the kinds of events fit into a mask");

struct portion {
  const struct hg_replay *replay;
  uint64_t reached, oldest;
  uint32_t count;
  bool is_damaged; // an event that no frame can hold
  size_t size;
  uint8_t events[HG_FACTS_BYTES];
};

void hg_replays_init(struct hg_replays *replays, const struct hg_store *store) {
  *replays = (struct hg_replays){.store = store};
}

static void refuse(uint64_t request, hg_err err, const char *why, struct hg_outbox *out) {
  struct hg_message done;
  hg_message_done(&done, request, err, why);
  hg_outbox_put(out, HG_PORT_LEDGER, 0, &done);
}

// Topics as subscriptions are: prefixes, here with commas between them.
static uint32_t kinds_of(struct hg_text topics) {
  uint32_t kinds = topics.size ? 0 : UINT32_MAX;
  for (uint32_t at = 0; at < topics.size;) {
    const char *prefix = topics.data + at, *comma = memchr(prefix, ',', topics.size - at);
    const size_t size = comma ? (size_t)(comma - prefix) : topics.size - at;
    for (uint32_t i = 0; i < HG_EVENT_KINDS; i++) {
      const struct hg_kind_info *info = hg_kind_info(HG_EVENT_FIRST + i);
      if (info && size <= strlen(info->name) && memcmp(info->name, prefix, size) == 0) kinds |= UINT32_C(1) << i;
    }
    at += (uint32_t)size + 1;
  }
  return kinds;
}

void hg_replays_ask(struct hg_replays *replays, const struct hg_replay_message *question, const char *trouble,
                    struct hg_outbox *out) {
  if (trouble || !replays->store->replay) {
    refuse(question->request, HG_ERR_STORE, trouble ? trouble : "no replays here", out);
    return;
  }
  if (replays->count == HG_REPLAYS_MAX) {
    refuse(question->request, HG_ERR_BUSY, "too many replays are under way: ask again", out);
    return;
  }
  const bool is_bounded = question->credit > 0 && question->credit < HG_REPLAY_EVENTS;
  replays->waiting[replays->count++] = (struct hg_replay){.request = question->request,
                                                          .after = question->after,
                                                          .kinds = kinds_of(question->topics),
                                                          .credit = is_bounded ? question->credit : HG_REPLAY_EVENTS};
}

static bool take(void *self, const struct hg_message *event) {
  struct portion *portion = self;
  const uint64_t seq = event->as.head.seq;
  if (seq > portion->reached + 1) { // folded: rows go from anywhere, those of an open permit stay
    if (portion->reached > portion->replay->after) return false; // told at the beginning of the next portion
    portion->oldest = seq;
  }
  if (portion->replay->kinds >> (event->kind - HG_EVENT_FIRST) & 1) {
    const size_t size = hg_frame_encode(event, portion->events + portion->size, sizeof portion->events - portion->size);
    if (size == 0) { // the next portion begins with it
      portion->is_damaged = portion->size == 0;
      return false;
    }
    portion->size += size;
    portion->count++;
  }
  portion->reached = seq;
  return portion->count < portion->replay->credit;
}

static void answer(struct portion *portion, uint64_t newest, struct hg_outbox *out) {
  if (portion->reached == portion->replay->after && portion->reached < newest) { // all behind it was folded
    portion->reached = newest;
    portion->oldest = newest + 1;
  }
  struct hg_message message;
  hg_message_init(&message, HG_REPLAYED);
  struct hg_replayed_message *replayed = &message.as.replayed;
  replayed->request = portion->replay->request;
  replayed->reached = portion->reached;
  replayed->newest = newest;
  replayed->oldest = portion->oldest;
  replayed->count = portion->count;
  replayed->events = (struct hg_bytes){portion->events, (uint32_t)portion->size};
  hg_outbox_put(out, HG_PORT_LEDGER, 0, &message);
}

// A portion takes about a millisecond, so that most records wait for none: 256 events each make 50,000 a second.
#define PORTION_EVERY_US 5000
#define BUSY_US 20000 // so long after the newest facts

int64_t hg_replays_turn(struct hg_replays *replays, uint64_t newest, bool busy, struct hg_now now,
                        struct hg_outbox *out) {
  if (busy) replays->busy_until = now.monotonic_us + BUSY_US;
  if (replays->count == 0) return HG_NEVER;
  if (now.monotonic_us < replays->busy_until && now.monotonic_us < replays->next_at) return replays->next_at;
  replays->next_at = now.monotonic_us + PORTION_EVERY_US;
  const struct hg_replay replay = replays->waiting[0];
  struct portion portion;
  portion.replay = &replay;
  portion.reached = replay.after;
  portion.oldest = portion.size = portion.count = 0;
  portion.is_damaged = false;
  hg_error why = HG_ERROR_INIT;
  replays->count--;
  memmove(replays->waiting, replays->waiting + 1, replays->count * sizeof *replays->waiting);
  const hg_err err = replays->store->replay(replays->store->self, replay.after, HG_REPLAY_ROWS, take, &portion, &why);
  hg_text_clean(why.text);
  if (portion.is_damaged) refuse(replay.request, HG_ERR_STORE, "a row of the journal is damaged", out);
  else if (err == HG_OK) answer(&portion, newest, out);
  else refuse(replay.request, err, why.text, out);
  if (replays->count == 0) return HG_NEVER;
  return now.monotonic_us < replays->busy_until ? replays->next_at : now.monotonic_us;
}

void hg_replays_stop(struct hg_replays *replays, hg_err err, const char *why, struct hg_outbox *out) {
  for (uint32_t i = 0; i < replays->count; i++)
    refuse(replays->waiting[i].request, err, why, out);
  replays->count = 0;
}
