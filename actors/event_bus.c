// The event bus: fold, encode what somebody wants, publish, beat.
#include "actors/event_bus.h"

#include "bus/frames.h"
#include "bus/topics.h"

#include <stdlib.h>
#include <string.h>

#define HEARTBEAT_EVERY_US 100000
#define PREFIXES_MAX 1024 // live subscriptions looked at one by one; past it every topic counts as wanted
#define PREFIX_BYTES 64   // longer than any topic

struct event_bus {
  struct hg_names names;
  char ledger_id[37];
  uint64_t newest;                       // journal row that is durable
  uint64_t topic_newest[HG_EVENT_KINDS]; // journal row of each topic
  uint64_t missed;                       // rows that were never heard: the pipe from the persister was full
  bool degraded;
  char reason[HG_TEXT_MAX + 1]; // told last; empty while the store is well
  bool stopping, heard_facts;   // in this turn
  int64_t beat_at;
  char prefixes[PREFIXES_MAX][PREFIX_BYTES];
  size_t prefix_count;
  uint64_t uncounted; // subscriptions past PREFIXES_MAX
  bool wanted[HG_EVENT_KINDS];
};

static void publish(struct event_bus *bus, const struct hg_message *event, struct hg_outbox *out) {
  const struct hg_kind_info *info = hg_kind_info(event->kind);
  if (!bus->wanted[event->kind - HG_EVENT_FIRST]) return;
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  const size_t size = hg_outside_encode_event(event, &bus->names, frame, sizeof frame);
  assert(size);
  const struct hg_bytes topic = {(const uint8_t *)info->name, (uint32_t)strlen(info->name)};
  hg_outbox_put_frame(out, HG_PORT_EVENTS, 0, topic, (struct hg_bytes){frame, (uint32_t)size});
}

// Rows up to `seq` are durable. What was not heard of them is lost to subscribers, who see the gap and find it in the
// journal.
static void advance(struct event_bus *bus, uint64_t seq, uint64_t heard) {
  if (seq <= bus->newest) return;
  bus->missed += seq - bus->newest - heard;
  bus->newest = seq;
}

static void fold(struct event_bus *bus, struct hg_bytes events, struct hg_outbox *out) {
  while (events.size) {
    struct hg_message event;
    size_t taken = 0;
    if (hg_frame_decode_next(events.data, events.size, &event, &taken) != HG_OK) return;
    events.data += taken;
    events.size -= (uint32_t)taken;
    advance(bus, event.as.head.seq, 1);
    bus->topic_newest[event.kind - HG_EVENT_FIRST] = event.as.head.seq;
    publish(bus, &event, out);
  }
}

// STORE_DEGRADED can't wait for a store that is down: it goes out at once, with no seq, and again when there is worse
// to tell. That it has recovered is a row of the journal.
static void note_store(struct event_bus *bus, struct hg_now now, const struct hg_committed_message *committed,
                       struct hg_outbox *out) {
  const bool told = committed->degraded == bus->degraded && hg_text_equal(committed->reason, hg_text_of(bus->reason));
  bus->degraded = committed->degraded;
  hg_text_copy(bus->reason, sizeof bus->reason, committed->reason);
  if (told || !committed->degraded) return;
  struct hg_message notice;
  hg_message_init(&notice, HG_STORE_DEGRADED);
  notice.as.head.at = now.utc_us;
  notice.as.store_degraded.reason = committed->reason;
  publish(bus, &notice, out);
}

static void judge_wanted(struct event_bus *bus) {
  for (uint32_t i = 0; i < HG_EVENT_KINDS; i++) {
    const struct hg_kind_info *info = hg_kind_info(HG_EVENT_FIRST + i);
    bus->wanted[i] = bus->uncounted > 0;
    for (size_t p = 0; info && p < bus->prefix_count && !bus->wanted[i]; p++)
      bus->wanted[i] = strncmp(info->name, bus->prefixes[p], strlen(bus->prefixes[p])) == 0;
  }
}

// XPUB tells the first subscription and the last unsubscription of each prefix: a byte 1 or 0, then the prefix.
static void subscription(struct event_bus *bus, const uint8_t *frame, size_t size) {
  if (size == 0 || frame[0] > 1 || size - 1 >= PREFIX_BYTES || memchr(frame + 1, '\0', size - 1)) return;
  char prefix[PREFIX_BYTES] = {0};
  memcpy(prefix, frame + 1, size - 1);
  size_t at = 0;
  while (at < bus->prefix_count && strcmp(bus->prefixes[at], prefix) != 0)
    at++;
  if (frame[0] == 1 && at == bus->prefix_count) {
    if (bus->prefix_count < PREFIXES_MAX) memcpy(bus->prefixes[bus->prefix_count++], prefix, PREFIX_BYTES);
    else bus->uncounted++;
  } else if (frame[0] == 0 && at < bus->prefix_count) {
    memcpy(bus->prefixes[at], bus->prefixes[--bus->prefix_count], PREFIX_BYTES);
  } else if (frame[0] == 0 && bus->uncounted) {
    bus->uncounted--;
  }
  judge_wanted(bus);
}

static void receive(void *self, struct hg_now now, const struct hg_envelope *in, struct hg_outbox *out) {
  struct event_bus *bus = self;
  if (in->port == HG_PORT_EVENTS) {
    subscription(bus, in->frame, in->frame_size);
  } else if (in->message.kind == HG_FACTS) {
    fold(bus, in->message.as.facts.events, out);
    bus->heard_facts = true;
  } else if (in->message.kind == HG_COMMITTED) {
    advance(bus, in->message.as.committed.seq, 0);
    note_store(bus, now, &in->message.as.committed, out);
  } else if (in->message.kind == HG_STOP) {
    bus->stopping = true;
  }
}

// The last word goes out behind the last event: whoever hears it closes the context, and with it the way to
// subscribers.
static int64_t end(struct event_bus *bus, struct hg_now now, struct hg_outbox *out) {
  const bool more = bus->heard_facts;
  bus->heard_facts = false;
  if (more) return now.monotonic_us;
  hg_outbox_finish(out, HG_OK, NULL);
  return HG_NEVER;
}

static int64_t flush(void *self, struct hg_now now, struct hg_outbox *out) {
  struct event_bus *bus = self;
  if (bus->stopping) return end(bus, now, out);
  bus->heard_facts = false;
  if (now.monotonic_us >= bus->beat_at) {
    uint8_t topics[HG_TOPICS_BYTES];
    struct hg_message beat;
    hg_message_init(&beat, HG_HEARTBEAT);
    beat.as.head.at = now.utc_us;
    beat.as.heartbeat.newest = bus->newest;
    beat.as.heartbeat.degraded = bus->degraded;
    beat.as.heartbeat.topics = hg_topics_write(bus->topic_newest, topics);
    publish(bus, &beat, out);
    bus->beat_at = now.monotonic_us + HEARTBEAT_EVERY_US;
  }
  return bus->beat_at;
}

hg_err hg_event_bus_new(const struct hg_config *config, const struct hg_ledger_state *state, struct hg_actor *out) {
  struct event_bus *bus = calloc(1, sizeof *bus);
  if (!bus) return HG_ERR_NO_MEMORY;
  memcpy(bus->ledger_id, state->ledger_id, sizeof bus->ledger_id);
  bus->names = (struct hg_names){bus->ledger_id, config->budgets, config->budget_count};
  bus->newest = state->last_seq;
  memcpy(bus->topic_newest, state->topic_last, sizeof bus->topic_newest);
  *out = (struct hg_actor){"hg-event-bus", bus, receive, flush, NULL, free};
  return HG_OK;
}
