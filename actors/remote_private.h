// What the files of the remote share: remote.c (turns, leases, the end), remote_clients.c (what clients here want, put
// to the gateway), remote_answers.c (what it answers, told to them as tracker and scheduler would).
#ifndef HG_REMOTE_PRIVATE_H
#define HG_REMOTE_PRIVATE_H

#include "actors/heap.h"
#include "base/id_map.h"
#include "actors/remote.h"

#include "bus/frames.h"

#define HG_REMOTE_WINDOW 4096 // commands under way that are no acquires; behind it clients are not heard
#define HG_REMOTE_ACQUIRES 4096
static_assert(HG_REMOTE_WINDOW + HG_BURST * 2 < HG_OUTSIDER_SHORT_MAX, "the gateway takes them");
static_assert(HG_REMOTE_WINDOW + HG_BURST * 2 < HG_OUTSIDER_ENDS_MAX, "and those that end permits");
static_assert(HG_REMOTE_ACQUIRES < HG_OUTSIDER_ACQUIRES_MAX, "and acquires");

struct hg_remote_reporter;

// A command under way to the gateway.
struct hg_remote_call {
  enum hg_kind kind; // of the message that a client here sent
  hg_peer peer;      // who: HG_PORT_TRACKER's or HG_PORT_SCHEDULER's, by the kind
  uint64_t request;  // ours
  uint64_t id;       // the client's: a request, a number or a permit
  uint32_t budget, lease_ms;
  bool unwanted; // nobody here waits for the answer (any more)
  // Numbered commands are answered in their order.
  bool done;
  uint32_t error;
  struct hg_remote_reporter *reporter;
  struct hg_remote_call *next;
};

// A client here that has numbered commands under way.
struct hg_remote_reporter {
  hg_peer peer;
  struct hg_remote_call *first, *last;
};

// An open permit of a client here.
struct hg_remote_permit {
  uint64_t id;
  hg_peer peer;
  bool ours; // its lease is renewed here; false: by its client
  struct hg_heap_node in_renewals;
  struct hg_remote_permit *next; // of a client that goes
};

struct hg_remote {
  const struct hg_config *config;
  uint64_t life;
  uint64_t last_request;
  struct hg_id_map calls;     // by request
  struct hg_id_map acquires;  // by the client's request
  struct hg_id_map reporters; // by peer
  struct hg_id_map permits;   // by id
  struct hg_heap renewals;    // permits, by the moment of the next renewal
  int64_t greet_at;           // monotonic
  uint32_t unanswered_greetings;
  bool lost; // the other runtime is gone
  bool draining, drained, stopping, stop_now;
  int64_t drain_until;
  struct hg_now now;     // of this turn
  struct hg_outbox *out; // of this turn
};

// To the gateway.
void hg_remote_send(struct hg_remote *remote, const struct hg_message *message);
void hg_remote_release(struct hg_remote *remote, uint64_t permit, const char *reason);
// Answers for clients here.
void hg_remote_refuse(struct hg_remote *remote, hg_peer peer, uint64_t request, hg_err err);
void hg_remote_tell_done(struct hg_remote *remote, hg_peer peer, uint64_t request, hg_err err);
void hg_remote_tell_settled(struct hg_remote *remote, hg_peer peer, uint64_t permit, hg_err err);
// A call as it ends: `message` is the gateway's answer to it, whose `error` counts when it is a COMMAND_DONE.
void hg_remote_end_call(struct hg_remote *remote, struct hg_remote_call *call, const struct hg_message *message);
void hg_remote_drop_call(struct hg_remote *remote, struct hg_remote_call *call);
// The permit is no longer renewed.
void hg_remote_drop_permit(struct hg_remote *remote, uint64_t id);
bool hg_remote_hold(struct hg_remote *remote, uint64_t id, hg_peer peer, bool ours); // false: no memory
uint32_t hg_remote_unanswered(const struct hg_remote *remote);                       // but for acquires

// remote_clients.c
void hg_remote_from_tracker_client(struct hg_remote *remote, const struct hg_envelope *in);
void hg_remote_from_scheduler_client(struct hg_remote *remote, const struct hg_envelope *in);
void hg_remote_give_up_acquire(struct hg_remote *remote, struct hg_remote_call *call, hg_err err);

// remote_answers.c
void hg_remote_from_gateway(struct hg_remote *remote, const struct hg_message *message);

#endif
