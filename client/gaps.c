// Gaps, held against rows, `prev` and heartbeats.
#include "client/gaps.h"

#include "base/fail.h"

#include <stdlib.h>
#include <string.h>

#define HELD_MAX (16u * 1024 * 1024) // bytes held back; past them the journal is asked
#define HEARINGS_APART_US 100000
// A full pipe opens again when half of it was read, so a subscriber that loses events has at least so many before it.
#define CROWD (HG_SUBSCRIBER_HWM / 2)
static_assert(HG_SUBSCRIBER_HWM <= HG_EVENTS_HWM, "the shortest queue of events");

static_assert(HG_EVENT_KINDS <= 32, "the kinds of events fit into a mask");

void hg_gaps_init(struct hg_gaps *gaps, uint32_t kinds, uint64_t from) {
  *gaps = (struct hg_gaps){.kinds = kinds, .from = from};
  const uint32_t with_rows = kinds & ~(UINT32_C(1) << (HG_HEARTBEAT - HG_EVENT_FIRST));
  gaps->several = kinds != HG_GAPS_ALL && (with_rows & (with_rows - 1)) != 0;
}

void hg_gaps_destroy(struct hg_gaps *gaps) {
  free(gaps->frames);
  gaps->frames = NULL;
}

// ------------------------------------------------------------------------------------------------ what is known

#define UNKNOWN_TOPIC HG_EVENT_KINDS // of a later version

static unsigned topic_of(const struct hg_event_envelope *event) {
  const struct hg_kind_info *info = hg_kind_by_name(event->type);
  return info && info->is_event ? (unsigned)info->kind - HG_EVENT_FIRST : UNKNOWN_TOPIC;
}

static bool wants(const struct hg_gaps *gaps, unsigned topic) {
  if (gaps->kinds == HG_GAPS_ALL) return topic != HG_HEARTBEAT - HG_EVENT_FIRST;
  return topic < HG_EVENT_KINDS && gaps->kinds >> topic & 1;
}

static uint64_t most(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

// The newest row of a topic that was delivered, or that counts as if.
static uint64_t delivered(const struct hg_gaps *gaps, unsigned topic) {
  return gaps->kinds == HG_GAPS_ALL ? gaps->floor : most(gaps->delivered[topic], gaps->floor);
}

static uint64_t known(const struct hg_gaps *gaps, unsigned topic) {
  return gaps->kinds == HG_GAPS_ALL ? gaps->floor : most(delivered(gaps, topic), gaps->held[topic]);
}

static void deliver(struct hg_gaps *gaps, unsigned topic, uint64_t seq) {
  if (gaps->kinds == HG_GAPS_ALL) gaps->floor = seq;
  else gaps->delivered[topic] = most(gaps->delivered[topic], seq);
}

// ------------------------------------------------------------------------------------------------ held back

static void drop_held(struct hg_gaps *gaps) {
  gaps->first = gaps->released = gaps->used = 0;
  memset(gaps->held, 0, sizeof gaps->held);
}

static bool hold(struct hg_gaps *gaps, const uint8_t *frame, size_t size) {
  const uint32_t length = (uint32_t)size;
  const size_t wanted = gaps->used + sizeof length + size;
  if (wanted > HELD_MAX) return false;
  if (wanted > gaps->room) {
    const size_t room = wanted * 2;
    uint8_t *frames = realloc(gaps->frames, room);
    if (!frames) return false;
    gaps->frames = frames;
    gaps->room = room;
  }
  memcpy(gaps->frames + gaps->used, &length, sizeof length);
  memcpy(gaps->frames + gaps->used + sizeof length, frame, size);
  gaps->used = wanted;
  return true;
}

bool hg_gaps_next(struct hg_gaps *gaps, const uint8_t **frame, size_t *size, struct hg_event_envelope *event) {
  uint32_t length;
  if (gaps->first == gaps->released) return false;
  memcpy(&length, gaps->frames + gaps->first, sizeof length);
  *frame = gaps->frames + gaps->first + sizeof length;
  *size = length;
  gaps->first += sizeof length + length;
  const hg_err err = hg_outside_read_envelope(*frame, length, event);
  assert(err == HG_OK); // it was read once
  deliver(gaps, topic_of(event), event->seq);
  if (gaps->first == gaps->used) drop_held(gaps); // the bytes stay
  return true;
}

// A loss after the last heartbeat was sent takes a crowd: so many were heard since.
static bool is_crowded(const struct hg_gaps *gaps) {
  return gaps->count - gaps->count_then >= CROWD;
}

static void note_hearing(struct hg_gaps *gaps, int64_t utc_us, int64_t sent_at) {
  size_t i = 0;
  while (i < HG_GAPS_HEARINGS && gaps->hearings[i].at > sent_at - HEARINGS_APART_US)
    i++;
  gaps->count_then = i < HG_GAPS_HEARINGS ? gaps->hearings[i].count : 0;
  if (utc_us - gaps->hearings[0].at < HEARINGS_APART_US && utc_us >= gaps->hearings[0].at) return;
  memmove(gaps->hearings + 1, gaps->hearings, sizeof gaps->hearings - sizeof *gaps->hearings);
  gaps->hearings[0].at = utc_us;
  gaps->hearings[0].count = gaps->count;
}

// ------------------------------------------------------------------------------------------------ hearing

// What was held back comes again too. Of several topics all that the last heartbeat did not prove is looked at again.
static void ask(struct hg_gaps *gaps, uint64_t after, uint64_t target) {
  drop_held(gaps);
  gaps->after = gaps->several ? least(after, gaps->proven) : after;
  gaps->target = target;
  gaps->state = HG_GAPS_ASKING;
}

static hg_err hear_event(struct hg_gaps *gaps, unsigned topic, const struct hg_event_envelope *event,
                         const uint8_t *frame, size_t size) {
  if (!wants(gaps, topic)) return HG_ERR_EMPTY;
  if (!event->seq) return HG_OK; // a notice
  if (gaps->state == HG_GAPS_SILENT || !hg_text_equal(event->ledger_id, hg_text_of(gaps->ledger_id)))
    return HG_ERR_EMPTY;
  if (event->seq <= known(gaps, topic)) return HG_ERR_EMPTY; // was told again
  gaps->newest = most(gaps->newest, event->seq);
  if (gaps->state != HG_GAPS_LIVE) {
    gaps->target = most(gaps->target, event->seq);
    return HG_ERR_EMPTY;
  }
  const uint64_t before = gaps->kinds == HG_GAPS_ALL ? event->seq - 1 : event->prev;
  if (before > known(gaps, topic)) {
    ask(gaps, delivered(gaps, topic), event->seq);
    return HG_ERR_EMPTY;
  }
  if (gaps->several && (gaps->used || is_crowded(gaps))) {
    if (hold(gaps, frame, size)) gaps->held[topic] = event->seq;
    else ask(gaps, delivered(gaps, topic), event->seq);
    return HG_ERR_EMPTY;
  }
  deliver(gaps, topic, event->seq);
  return HG_OK;
}

static void begin(struct hg_gaps *gaps, struct hg_text ledger_id, uint64_t floor) {
  hg_text_copy(gaps->ledger_id, sizeof gaps->ledger_id, ledger_id);
  memset(gaps->delivered, 0, sizeof gaps->delivered);
  drop_held(gaps);
  gaps->floor = gaps->proven = gaps->newest = floor;
  gaps->state = HG_GAPS_LIVE;
}

// Every event that a heartbeat counts came before it, or is lost.
static void compare(struct hg_gaps *gaps, const struct hg_beat *beat) {
  uint64_t after = UINT64_MAX;
  if (gaps->kinds == HG_GAPS_ALL && beat->newest > gaps->floor) after = gaps->floor;
  if (beat->unheard > gaps->floor) after = gaps->floor; // the heartbeat itself does not know of which topics
  for (unsigned i = 0; i < HG_EVENT_KINDS && gaps->kinds != HG_GAPS_ALL; i++)
    if (wants(gaps, i) && beat->topic_newest[i] > known(gaps, i)) after = least(after, delivered(gaps, i));
  if (after != UINT64_MAX) {
    ask(gaps, after, beat->newest);
    return;
  }
  gaps->proven = most(gaps->proven, gaps->newest);
  gaps->released = gaps->used;
}

static void hear_beat(struct hg_gaps *gaps, struct hg_text ledger_id, const struct hg_beat *beat) {
  const bool same = hg_text_equal(ledger_id, hg_text_of(gaps->ledger_id));
  if (gaps->state == HG_GAPS_SILENT) begin(gaps, ledger_id, gaps->from ? gaps->from - 1 : beat->newest);
  else if (!same) begin(gaps, ledger_id, 0); // its rows begin anew
  if (gaps->state == HG_GAPS_LIVE) {
    compare(gaps, beat);
  } else {
    gaps->target = most(gaps->target, beat->newest);
    gaps->state = HG_GAPS_ASKING;
  }
}

hg_err hg_gaps_hear(struct hg_gaps *gaps, int64_t utc_us, const uint8_t *frame, size_t size,
                    struct hg_event_envelope *event) {
  assert(gaps->first == gaps->released);
  if (hg_outside_read_envelope(frame, size, event) != HG_OK) return HG_ERR_PROTOCOL;
  const unsigned topic = topic_of(event);
  gaps->count++;
  if (topic == HG_HEARTBEAT - HG_EVENT_FIRST) {
    struct hg_beat beat;
    if (hg_outside_read_beat(frame, size, &beat) != HG_OK) return HG_ERR_PROTOCOL;
    note_hearing(gaps, utc_us, event->at);
    hear_beat(gaps, event->ledger_id, &beat);
    return wants(gaps, topic) ? HG_OK : HG_ERR_EMPTY;
  }
  const hg_err err = hear_event(gaps, topic, event, frame, size);
  if (topic == HG_RUNTIME_STOPPED - HG_EVENT_FIRST) gaps->released = gaps->used; // no heartbeat follows
  return err;
}

// ------------------------------------------------------------------------------------------------ asking

// The names of the topics that have rows, as REPLAY takes them.
static struct hg_text write_topics(const struct hg_gaps *gaps, char to[HG_TEXT_MAX + 1]) {
  uint32_t size = 0;
  for (unsigned i = 0; i < HG_EVENT_KINDS && gaps->kinds != HG_GAPS_ALL; i++) {
    const struct hg_kind_info *info = hg_kind_info((enum hg_kind)(HG_EVENT_FIRST + i));
    if (!info || info->kind == HG_HEARTBEAT || !wants(gaps, i)) continue;
    const uint32_t length = (uint32_t)strlen(info->name);
    assert(size + 1 + length <= HG_TEXT_MAX);
    if (size) to[size++] = ',';
    memcpy(to + size, info->name, length);
    size += length;
  }
  return (struct hg_text){to, size};
}

size_t hg_gaps_question(struct hg_gaps *gaps, uint8_t *to, size_t room) {
  char topics[HG_TEXT_MAX + 1];
  struct hg_message question;
  assert(gaps->state == HG_GAPS_ASKING);
  hg_message_init(&question, HG_REPLAY);
  question.as.replay.request = ++gaps->request;
  question.as.replay.after = gaps->after;
  question.as.replay.topics = write_topics(gaps, topics);
  gaps->told = 0;
  return hg_outside_encode(&question, to, room);
}

void hg_gaps_refuse(struct hg_gaps *gaps, hg_err err, const char *why) {
  hg_fail(&gaps->why, err, "%s", why);
  gaps->state = HG_GAPS_BEHIND;
}

static void take_report(struct hg_gaps *gaps, const struct hg_replay_report_message *report) {
  if (report->count != gaps->told || (report->reached <= gaps->after && report->reached < report->newest)) {
    hg_gaps_refuse(gaps, HG_ERR_PROTOCOL, "a portion of what was missed did not come whole");
    return;
  }
  if (report->oldest) gaps->oldest = report->oldest;
  gaps->after = gaps->floor = gaps->proven = most(gaps->after, report->reached);
  gaps->newest = most(gaps->newest, gaps->after);
  if (gaps->after >= gaps->target || report->reached >= report->newest) gaps->state = HG_GAPS_LIVE;
}

static hg_err take_again(struct hg_gaps *gaps, const struct hg_event_envelope *event) {
  const unsigned topic = topic_of(event);
  gaps->told++;
  if (!wants(gaps, topic) || event->seq <= delivered(gaps, topic)) return HG_ERR_EMPTY;
  deliver(gaps, topic, event->seq);
  return HG_OK;
}

hg_err hg_gaps_answer(struct hg_gaps *gaps, const uint8_t *frame, size_t size, struct hg_event_envelope *event) {
  struct hg_message message;
  if (gaps->state != HG_GAPS_ASKING) return HG_ERR_EMPTY;
  if (hg_outside_decode(frame, size, &message) != HG_OK)
    return hg_outside_read_envelope(frame, size, event) == HG_OK ? take_again(gaps, event) : HG_ERR_EMPTY;
  if (message.kind == HG_REPLAY_REPORT && message.as.replay_report.request == gaps->request) {
    take_report(gaps, &message.as.replay_report);
    return HG_ERR_TIMEOUT;
  }
  if (message.kind == HG_COMMAND_DONE && message.as.command_done.request == gaps->request) {
    char why[HG_TEXT_MAX + 1];
    hg_text_copy(why, sizeof why, message.as.command_done.reason);
    hg_gaps_refuse(gaps, (hg_err)message.as.command_done.error, why);
    return HG_ERR_TIMEOUT;
  }
  return HG_ERR_EMPTY;
}
