// Drives the pure cores of actors without a thread or a socket: encodes a message, hands it in, and keeps what comes
// out by port. With it a configuration and ledger state to start from, and a pretend persister.
#ifndef HG_CORE_DRIVER_H
#define HG_CORE_DRIVER_H

#include "actors/actor.h"
#include "actors/scheduler.h"
#include "actors/tracker.h"

#define HG_TEST_BUDGETS 16

// What the cores are made from. Change the fields before the actors are made.
struct hg_test_setup {
  struct hg_config config;
  struct hg_budget_config budgets[HG_TEST_BUDGETS];
  struct hg_ledger_state state;
  struct hg_ledger_budget stored[HG_TEST_BUDGETS];
};
void hg_test_setup_init(struct hg_test_setup *setup, int64_t hard_limit, uint32_t max_concurrency);
uint32_t hg_test_setup_budget(struct hg_test_setup *setup, const char *name, uint32_t parent, int64_t hard_limit);

struct hg_test_frame {
  hg_peer peer;
  size_t size;
  uint8_t *bytes;
};
struct hg_test_actor {
  struct hg_actor actor;
  struct hg_now now;
  struct hg_outbox out;
  struct hg_test_pipe {
    struct hg_test_frame *frames;
    size_t first, count, capacity;
  } sent[HG_PORT_COUNT];
  struct hg_test_frame taken[HG_PORT_COUNT]; // what messages last taken point into
  int64_t wake;                              // of the last flush
  bool finished;
};
void hg_test_actor_destroy(struct hg_test_actor *actor);
// Hands a message in, through the codec.
void hg_test_send(struct hg_test_actor *actor, enum hg_port port, hg_peer peer, const struct hg_message *message);
// The same in two steps: a frame that waits somewhere on its way.
struct hg_test_frame hg_test_frame_of(hg_peer peer, const struct hg_message *message);
void hg_test_pass(struct hg_test_actor *actor, enum hg_port port, struct hg_test_frame frame); // takes the frame
void hg_test_pipe_push(struct hg_test_pipe *pipe, struct hg_test_frame frame);
struct hg_test_frame hg_test_pipe_pop(struct hg_test_pipe *pipe); // it must have one
void hg_test_flush(struct hg_test_actor *actor);
// The next message that the actor sent on a port, valid until the next take there; false: none.
bool hg_test_take(struct hg_test_actor *actor, enum hg_port port, hg_peer *peer, struct hg_message *out);
// Takes one message and checks that there is one, of this kind.
struct hg_message hg_test_expect(struct hg_test_actor *actor, enum hg_port port, hg_peer peer, enum hg_kind kind);
// Reads the message at `index` of those that wait on a port, and leaves it there.
struct hg_message hg_test_peek(const struct hg_test_actor *actor, enum hg_port port, size_t index);
bool hg_test_is_silent(struct hg_test_actor *actor, enum hg_port port);

// Events out of FACTS frames, in order; texts stay valid until the end.
struct hg_test_events {
  struct hg_message *at;
  size_t count, capacity;
  uint8_t **memory;
  size_t memory_count;
};
void hg_test_events_add(struct hg_test_events *events, const struct hg_message *facts);
void hg_test_events_destroy(struct hg_test_events *events);

// Tracker, scheduler and a pretend persister, joined by hand.
struct hg_test_world {
  struct hg_test_actor tracker, scheduler;
  struct hg_test_events events; // all that was sent to the persister
  uint64_t sent[1 << 16];       // last seq of each FACTS frame, in order
  size_t sent_count, committed_count;
  uint64_t committed;
};
void hg_test_world_init(struct hg_test_world *world, const struct hg_test_setup *setup);
void hg_test_world_destroy(struct hg_test_world *world);
void hg_test_world_at(struct hg_test_world *world, int64_t monotonic_us);
// One message between the cores; false: none waits there.
bool hg_test_world_ask(struct hg_test_world *world, struct hg_message *moved);    // scheduler -> tracker
bool hg_test_world_answer(struct hg_test_world *world, struct hg_message *moved); // tracker -> scheduler
void hg_test_world_collect(struct hg_test_world *world);                          // FACTS -> events
bool hg_test_world_commit(struct hg_test_world *world, size_t frames);            // the next frames become durable
// Everything until nothing moves any more; all is committed.
void hg_test_world_run(struct hg_test_world *world);

#endif
