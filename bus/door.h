// The door: lets connections from outside in, or not. A thread of its own, because what it hears of must never wait for
// an actor: ZeroMQ's I/O thread waits while nobody takes its news.
//
// A gate is one outward socket. No more connections than its bound stay open: what comes above it is turned away at
// once, whether it speaks ZMTP or not. Each asks at the door in its handshake (ZAP), so that none of these hears
// anything. Where a gate has keys, only a client with a key of its list gets through.
//
// Some places are kept for the runtime's own endpoint, which only its user can reach: a quarter of the bound, and 16 at
// least where that is no more than half of it. Among those who come over tcp the oldest that has not got through its
// handshake makes room.
#ifndef HG_DOOR_H
#define HG_DOOR_H

#include "bus/keys.h"
#include "bus/outward.h"

enum hg_gate_id { HG_GATE_EVENTS, HG_GATE_CONTROL, HG_GATE_COUNT };

struct hg_gate {
  struct hg_outward_endpoints endpoints; // borrowed
  uint32_t connections_max;
  bool has_keys;                  // over tcp
  struct hg_allowed_keys allowed; // taken over
};

struct hg_door;
hg_err hg_door_new(void *context, struct hg_door **out, hg_error *why);
// Before the socket is bound for the first time, and before the start.
hg_err hg_door_watch(struct hg_door *door, enum hg_gate_id id, struct hg_link *link, const struct hg_gate *gate);
// From now on only keys of the file get through this gate, from any thread. When one of before is no longer among them
// all connections over tcp are cut, as nobody knows whose is whose: who still may comes again by itself. When the file
// can't be read nothing changes.
struct hg_door_change {
  bool is_changed; // another list than before
  uint32_t cut;    // connections
};
hg_err hg_door_read_keys(struct hg_door *door, enum hg_gate_id id, const char *file, struct hg_door_change *out,
                         hg_error *why);
hg_err hg_door_start(struct hg_door *door);
// Watches no more. Before the context is shut down: ZeroMQ does not free news that it can't send any more (4.3.4). From
// any thread: a lock of its own guards what it watches. NULL: no door.
void hg_door_leave(struct hg_door *door);
// After the context was shut down, and before the sockets that are watched are closed.
void hg_door_destroy(struct hg_door **door);

// Since the start, from any thread: connections above the bound, and clients without a key of the list. NULL: no door.
uint64_t hg_door_turned_away(const struct hg_door *door);
uint64_t hg_door_keys_refused(const struct hg_door *door);

#endif
