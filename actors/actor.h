// What an actor is: a state machine that gets messages and puts messages into an outbox. Nothing in it knows a socket,
// a clock, a thread or a file; the shell (shell.h) or a simulator brings messages and time from outside.
//
//     receive(self, now, message, outbox)   one message came
//     flush(self, now, outbox)              all that waited was received: finish the turn; says when to come again
//
// What could not be delivered to a client that is gone comes back: its port and peer, the message as it was sent.
// Behind all that came back there is a LEAVE of each of those peers.
#ifndef HG_ACTOR_H
#define HG_ACTOR_H

#include "base/clock.h"
#include "schemas/counters.h"
#include "schemas/message.h"

// Who is at the other end of a ROUTER port: its routing id of at most 7 bytes, packed. 0 on other ports.
typedef uint64_t hg_peer;

// Every port of every actor, in the order in which they are drained. An actor listens to and sends on its own ones
// only.
enum hg_port {
  HG_PORT_LIFE,           // each actor: the runtime
  HG_PORT_DECISIONS,      // scheduler <-> tracker; before the clients, so that no answer to them is behind the news
  HG_PORT_CLIENTS,        // tracker, scheduler: their clients (ROUTER)
  HG_PORT_FACTS,          // tracker <-> persister
  HG_PORT_COMMITTED,      // persister -> event bus
  HG_PORT_EVENTS,         // event bus -> subscribers in the process (XPUB; what comes in is subscriptions, raw)
  HG_PORT_CONTROL,        // gateway <-> outside (ROUTER, outside frames)
  HG_PORT_TRACKER,        // a client's way to the tracker
  HG_PORT_SCHEDULER,      // a client's way to the scheduler
  HG_PORT_RUNS,           // worker pool <-> clients (ROUTER)
  HG_PORT_WORKERS,        // worker pool <-> its threads
  HG_PORT_LEDGER,         // gateway <-> persister: audits and replays
  HG_PORT_OUTSIDE_EVENTS, // event bus -> subscribers outside (as HG_PORT_EVENTS; to send to a peer is to cut it)
  HG_PORT_COUNT
};

struct hg_envelope {
  enum hg_port port;
  hg_peer peer;
  struct hg_message message; // kind HG_NONE on a raw port, or when the frame was refused
  const uint8_t *frame;      // the frame as it came; valid during receive
  size_t frame_size;
  bool undelivered; // it was the actor's own, and its peer is gone
};

// Frames on their way out, in order. Grows as needed up to its bound; a put that finds no memory marks it as failed,
// which the shell treats as the end of the actor. What an actor counts goes out the same way, as sums.
struct hg_outbox {
  uint8_t *data;
  size_t used, capacity;
  uint32_t count;
  bool finished;                // the actor ends after this turn
  bool failed;                  // no memory
  struct hg_counters *counters; // NULL: nobody counts
};
#define hg_count_by(outbox, counter, more)                                                                             \
  ((outbox)->counters ? (void)((outbox)->counters->counter += (more)) : (void)0)
#define hg_count(outbox, counter) hg_count_by(outbox, counter, 1)
struct hg_outgoing {
  enum hg_port port;
  hg_peer peer;
  const uint8_t *topic; // NULL: one frame
  uint32_t topic_size;
  const uint8_t *frame;
  uint32_t frame_size;
};

void hg_outbox_clear(struct hg_outbox *outbox); // empties it, keeps the memory and the counters
void hg_outbox_destroy(struct hg_outbox *outbox);
// Encodes a message as an inside frame.
void hg_outbox_put(struct hg_outbox *outbox, enum hg_port port, hg_peer peer, const struct hg_message *message);
// A frame that is encoded already; topic may be empty.
void hg_outbox_put_frame(struct hg_outbox *outbox, enum hg_port port, hg_peer peer, struct hg_bytes topic,
                         struct hg_bytes frame);
// The last word of an actor, and its end after this turn. `reason` is for an error; NULL: none.
void hg_outbox_finish(struct hg_outbox *outbox, hg_err err, const char *reason);
// Walks what is in it: *at from 0; false at the end.
bool hg_outbox_next(const struct hg_outbox *outbox, size_t *at, struct hg_outgoing *out);

struct hg_actor {
  const char *name;
  void *self;
  void (*receive)(void *self, struct hg_now now, const struct hg_envelope *in, struct hg_outbox *out);
  // Returns the monotonic moment at which it wants to be flushed again at the latest; HG_NEVER: only after messages.
  int64_t (*flush)(void *self, struct hg_now now, struct hg_outbox *out);
  // Which ports (bits) it wants to hear now; NULL: all. A port that is not heard fills up, and its senders wait.
  uint32_t (*listens)(const void *self);
  void (*destroy)(void *self);
};

// Answers that may leave only when a row of the journal is durable, in the order of those rows.
struct hg_held {
  struct hg_held_answer *ring;
  uint32_t first, count, capacity;
};
// The encoded message is kept until hg_held_release(seq) with at least this seq. Seqs must not fall from put to put.
// False: no memory.
bool hg_held_put(struct hg_held *held, uint64_t seq, enum hg_port port, hg_peer peer, const struct hg_message *message);
void hg_held_release(struct hg_held *held, uint64_t durable_seq, struct hg_outbox *out);
// The rows will never be durable: hands each answer, as it was put, to a function that says something else instead.
void hg_held_give_up(struct hg_held *held, void *self,
                     void (*each)(void *self, hg_peer peer, const struct hg_message *));
void hg_held_destroy(struct hg_held *held);

#endif
