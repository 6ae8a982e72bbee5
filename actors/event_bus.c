// The event bus: fold, encode what somebody wants, publish, beat.
#include "actors/event_bus.h"

#include "actors/subscriptions.h"
#include "bus/frames.h"
#include "bus/topics.h"

#include <stdlib.h>
#include <string.h>

#define HEARTBEAT_EVERY_US 100000
#define DROPS_TOLD_EVERY_US 1000000
#define DROP_AGAIN_US 10000 // what was sent before a cut may come after it

struct event_bus {
  struct hg_names names;
  char ledger_id[37];
  uint64_t newest;                       // journal row that is durable
  uint64_t topic_newest[HG_EVENT_KINDS]; // journal row of each topic
  uint64_t unheard;                      // the newest row that was never heard, as the pipe from the persister was full
  bool degraded;
  char reason[HG_TEXT_MAX + 1]; // told last; empty while the store is well
  bool stopping, heard_facts;   // in this turn
  int64_t beat_at;
  struct hg_subscriptions inside, outside;
  const char *drop; // why a subscriber was cut, not told yet; NULL: none
  hg_peer dropped;  // the last one
  int64_t drop_again_at;
  int64_t drop_told_at; // before which the next is not told
};

static void publish(struct event_bus *bus, const struct hg_message *event, struct hg_outbox *out) {
  const struct hg_kind_info *info = hg_kind_info(event->kind);
  const unsigned index = event->kind - HG_EVENT_FIRST;
  const bool inside = bus->inside.wanted[index] != 0, outside = bus->outside.wanted[index] != 0;
  if (!inside && !outside) return;
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  const size_t size = hg_outside_encode_event(event, &bus->names, frame, sizeof frame);
  assert(size);
  const struct hg_bytes topic = {(const uint8_t *)info->name, (uint32_t)strlen(info->name)};
  if (inside) hg_outbox_put_frame(out, HG_PORT_EVENTS, 0, topic, (struct hg_bytes){frame, (uint32_t)size});
  if (outside) hg_outbox_put_frame(out, HG_PORT_OUTSIDE_EVENTS, 0, topic, (struct hg_bytes){frame, (uint32_t)size});
}

// Rows up to `seq` are durable. What was not heard of them is lost to subscribers, who see the gap and find it in the
// journal.
static void advance(struct event_bus *bus, uint64_t seq, uint64_t heard) {
  if (seq <= bus->newest) return;
  if (seq - bus->newest > heard) bus->unheard = seq - heard;
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

static void cut(hg_peer peer, struct hg_outbox *out) {
  hg_outbox_put_frame(out, HG_PORT_OUTSIDE_EVENTS, peer, (struct hg_bytes){0}, (struct hg_bytes){0});
}

// What a subscriber outside may not do costs it its connection.
static void drop(struct event_bus *bus, struct hg_now now, hg_peer peer, const char *why, struct hg_outbox *out) {
  if (!peer || (peer == bus->dropped && now.monotonic_us < bus->drop_again_at)) return; // it is on its way out
  cut(peer, out);
  hg_count(out, subscribers_dropped);
  bus->dropped = peer;
  bus->drop_again_at = now.monotonic_us + DROP_AGAIN_US;
  bus->drop = why;
}

static void subscription(struct event_bus *bus, struct hg_now now, const struct hg_envelope *in,
                         struct hg_outbox *out) {
  hg_peer forgotten = 0;
  const enum hg_subscription taken =
      in->port == HG_PORT_EVENTS
          ? hg_subscriptions_take_inside(&bus->inside, in->frame, in->frame_size)
          : hg_subscriptions_take(&bus->outside, in->peer, in->frame, in->frame_size, &forgotten);
  if (forgotten) cut(forgotten, out);
  switch (taken) {
  case HG_SUBSCRIPTION_TAKEN: break;
  case HG_SUBSCRIPTION_TOO_MANY: drop(bus, now, in->peer, "too_many_topics", out); break;
  case HG_SUBSCRIPTION_NONE:
    hg_count(out, frames_refused);
    drop(bus, now, in->peer, "no_subscription", out);
    break;
  }
}

static void receive(void *self, struct hg_now now, const struct hg_envelope *in, struct hg_outbox *out) {
  struct event_bus *bus = self;
  if (in->port == HG_PORT_EVENTS || in->port == HG_PORT_OUTSIDE_EVENTS) {
    subscription(bus, now, in, out);
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

static void tell_drop(struct event_bus *bus, struct hg_now now, struct hg_outbox *out) {
  if (!bus->drop || now.monotonic_us < bus->drop_told_at) return;
  struct hg_message notice;
  hg_message_init(&notice, HG_SUBSCRIBER_DROPPED);
  notice.as.head.at = now.utc_us;
  notice.as.subscriber_dropped.reason = hg_text_of(bus->drop);
  publish(bus, &notice, out);
  bus->drop = NULL;
  bus->drop_told_at = now.monotonic_us + DROPS_TOLD_EVERY_US;
}

static int64_t flush(void *self, struct hg_now now, struct hg_outbox *out) {
  struct event_bus *bus = self;
  if (bus->stopping) return end(bus, now, out);
  bus->heard_facts = false;
  tell_drop(bus, now, out);
  if (now.monotonic_us >= bus->beat_at) {
    uint8_t topics[HG_TOPICS_BYTES];
    struct hg_message beat;
    hg_message_init(&beat, HG_HEARTBEAT);
    beat.as.head.at = now.utc_us;
    beat.as.heartbeat.newest = bus->newest;
    beat.as.heartbeat.degraded = bus->degraded;
    beat.as.heartbeat.unheard = bus->unheard;
    beat.as.heartbeat.topics = hg_topics_write(bus->topic_newest, topics);
    publish(bus, &beat, out);
    bus->beat_at = now.monotonic_us + HEARTBEAT_EVERY_US;
  }
  return bus->beat_at;
}

static void destroy(void *self) {
  struct event_bus *bus = self;
  hg_subscriptions_destroy(&bus->inside);
  hg_subscriptions_destroy(&bus->outside);
  free(bus);
}

hg_err hg_event_bus_new(const struct hg_config *config, const struct hg_ledger_state *state, struct hg_actor *out) {
  struct event_bus *bus = calloc(1, sizeof *bus);
  if (!bus) return HG_ERR_NO_MEMORY;
  memcpy(bus->ledger_id, state->ledger_id, sizeof bus->ledger_id);
  bus->names = (struct hg_names){bus->ledger_id, config->budgets, config->budget_count};
  bus->newest = state->last_seq;
  memcpy(bus->topic_newest, state->topic_last, sizeof bus->topic_newest);
  *out = (struct hg_actor){"hg-event-bus", bus, receive, flush, NULL, destroy};
  return HG_OK;
}
