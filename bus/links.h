// Links: the ends of ZeroMQ sockets that actors and clients hold, and how frames go in and out of them.
// bus/ is the only place that knows ZeroMQ.
#ifndef HG_LINKS_H
#define HG_LINKS_H

#include "actors/actor.h"

enum hg_link_type { HG_DEALER, HG_ROUTER, HG_PUSH, HG_PULL, HG_XPUB, HG_SUB, HG_PAIR };

struct hg_link {
  void *socket; // NULL: not there
  enum hg_link_type type;
  int fd;                                       // readable: ZeroMQ has something to do for the socket, perhaps input
  bool unsure;                                  // there may be input of which `fd` shows nothing
  const struct hg_outward_endpoints *endpoints; // XPUB: where it is bound outside; NULL: nowhere
  struct hg_unread *unread;                     // ROUTER: what its peers leave unread; NULL: nobody counts
};

// How many frames may wait in each direction.
struct hg_link_limits {
  int send_hwm, receive_hwm;
  int64_t frame_max; // bytes of a frame from outside; 0: no bound (inproc)
};

// A received frame. Between receive and close its bytes are valid.
struct hg_received {
  _Alignas(8) unsigned char storage[64];
};
const uint8_t *hg_received_data(struct hg_received *frame, size_t *size);
void hg_received_close(struct hg_received *frame);

// The ZeroMQ context. io_threads serve ipc and tcp only.
hg_err hg_context_new(void **out);
void hg_context_shutdown(void *context); // wakes every blocking call with HG_ERR_CLOSED
void hg_context_destroy(void *context);  // waits for all sockets to be closed and for what lingers

hg_err hg_link_open(void *context, enum hg_link_type type, struct hg_link_limits limits, struct hg_link *out);
hg_err hg_link_bind(struct hg_link *link, const char *endpoint);
hg_err hg_link_connect(struct hg_link *link, const char *endpoint);
hg_err hg_link_subscribe(struct hg_link *link, const char *topic);
// Whoever connects to what is bound from now on is asked for at the door (bus/door.h), under the name `domain`.
hg_err hg_link_ask_door(struct hg_link *link, const char *domain);
// CURVE, for what is bound or connected from now on. Keys are texts (bus/keys.h).
hg_err hg_link_serve_curve(struct hg_link *link, const char *secret_key);
hg_err hg_link_use_curve(struct hg_link *link, const char *server_key, const char *public_key, const char *secret_key);
hg_err hg_link_use_ipv6(struct hg_link *link, bool on);
// The endpoint last bound, with a wildcard port resolved.
void hg_link_last_endpoint(struct hg_link *link, char *out, size_t room);
void hg_link_close(struct hg_link *link);

// Never block. HG_ERR_BUSY: the pipe is full; HG_ERR_EMPTY: the peer is gone, or nothing waits; HG_ERR_CLOSED: the
// context ends; HG_ERR_PROTOCOL: a message of the wrong number of frames, or a routing id over 7 bytes; it was dropped.
// HG_ERR_BUSY on a link with `unread`, too: the peer left too much. `peer` is for ROUTER links. A topic goes out as a
// frame of its own. On an XPUB link the peer of what comes in says over which connection it came (0: inproc, or an end
// of it); to send to such a peer is to cut its connection. There HG_ERR_BUSY says that a subscriber had no room and
// loses what is sent until it has read some; all others got it.
hg_err hg_link_send(struct hg_link *link, hg_peer peer, struct hg_bytes topic, struct hg_bytes frame);
hg_err hg_link_receive(struct hg_link *link, hg_peer *peer, struct hg_received *frame);

// Waits until one of the links has something to receive (in `readable`, a bit a link), at most `timeout_us` (negative:
// without end); may come back early without. Links without a socket and links not in `mask` are passed over.
hg_err hg_links_wait(struct hg_link *links, size_t count, uint32_t mask, int64_t timeout_us, uint32_t *readable);
hg_err hg_link_wait_writable(struct hg_link *link, int64_t timeout_us);

// For a descriptor that outsiders poll: readable when the link may have something. After it was seen readable, receive
// until HG_ERR_EMPTY.
int hg_link_fd(const struct hg_link *link);
bool hg_link_has_input(struct hg_link *link);

#endif
