// Links over libzmq.
#include "bus/links.h"

#include "bus/outward.h"
#include "bus/unread.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <zmq.h>

static_assert(sizeof(zmq_msg_t) <= sizeof(struct hg_received), "a received frame has room for a zmq_msg_t");
static_assert(HG_PORT_COUNT <= 32, "ports fit into a mask");

// How long a closed outward socket goes on sending what it still has: not a question, whose answer nobody waits for.
#define LINGER_MS 1000
#define HANDSHAKE_MS 5000
#define UNACKNOWLEDGED_MS 30000 // tcp: who takes nothing of what was sent is gone
#define KEEPALIVE_S 5           // tcp: who is silent that long is asked, three times
#define IO_THREADS 1
#define SOCKETS_MAX (3 * HG_CLIENTS_MAX + 64)
#define WAIT_MAX 32 // links

static zmq_msg_t *message_of(struct hg_received *frame) {
  return (zmq_msg_t *)(void *)frame->storage;
}

const uint8_t *hg_received_data(struct hg_received *frame, size_t *size) {
  *size = zmq_msg_size(message_of(frame));
  return zmq_msg_data(message_of(frame));
}

void hg_received_close(struct hg_received *frame) {
  zmq_msg_close(message_of(frame));
}

hg_err hg_context_new(void **out) {
  void *context = zmq_ctx_new();
  if (!context) return HG_ERR_SYSTEM;
  zmq_ctx_set(context, ZMQ_MAX_SOCKETS, SOCKETS_MAX);
  zmq_ctx_set(context, ZMQ_IO_THREADS, IO_THREADS);
  *out = context;
  return HG_OK;
}

void hg_context_shutdown(void *context) {
  zmq_ctx_shutdown(context);
}

void hg_context_destroy(void *context) {
  while (zmq_ctx_term(context) != 0 && errno == EINTR) {}
}

static int zmq_type(enum hg_link_type type) {
  switch (type) {
  case HG_DEALER: return ZMQ_DEALER;
  case HG_ROUTER: return ZMQ_ROUTER;
  case HG_PUSH: return ZMQ_PUSH;
  case HG_PULL: return ZMQ_PULL;
  case HG_XPUB: return ZMQ_XPUB;
  case HG_SUB: return ZMQ_SUB;
  case HG_PAIR: return ZMQ_PAIR;
  }
  return ZMQ_PAIR;
}

static int set(void *socket, int option, int value) {
  return zmq_setsockopt(socket, option, &value, sizeof value);
}

// Whoever is at the other end sends nothing large, and is missed when the network between is gone. No heartbeats of
// ZeroMQ: libzmq (4.3.4) aborts the process when one falls due for a connection that has ended and whose input still
// waits for a place in the pipe.
static int bound_outside(void *socket, int64_t frame_max) {
  return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof frame_max) |
         set(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) | set(socket, ZMQ_TCP_MAXRT, UNACKNOWLEDGED_MS) |
         set(socket, ZMQ_TCP_KEEPALIVE, 1) | set(socket, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_S) |
         set(socket, ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_S) | set(socket, ZMQ_TCP_KEEPALIVE_CNT, 3);
}

// ZeroMQ numbers those who come to a ROUTER from what rand() says on, and ends the process when somebody has taken the
// next number for a name of his own (4.3.4): nobody is to know where it begins. It seeds rand() with the time.
static void draw_first_number(void) {
  unsigned seed;
  if (getrandom(&seed, sizeof seed, 0) == sizeof seed) srand(seed);
}

hg_err hg_link_open(void *context, enum hg_link_type type, struct hg_link_limits limits, struct hg_link *out) {
  if (type == HG_ROUTER && limits.frame_max) draw_first_number();
  void *socket = zmq_socket(context, zmq_type(type));
  if (!socket) return errno == ETERM ? HG_ERR_CLOSED : HG_ERR_SYSTEM;
  const int one = 1, linger = limits.frame_max && type != HG_DEALER ? LINGER_MS : 0;
  int failed = zmq_setsockopt(socket, ZMQ_SNDHWM, &limits.send_hwm, sizeof limits.send_hwm) |
               zmq_setsockopt(socket, ZMQ_RCVHWM, &limits.receive_hwm, sizeof limits.receive_hwm) |
               zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
  if (type == HG_ROUTER) failed |= zmq_setsockopt(socket, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
  if (type == HG_XPUB) failed |= zmq_setsockopt(socket, ZMQ_XPUB_NODROP, &one, sizeof one);
  if (limits.frame_max) failed |= bound_outside(socket, limits.frame_max);
  if (failed) {
    zmq_close(socket);
    return HG_ERR_SYSTEM;
  }
  *out = (struct hg_link){socket, type, -1, true, NULL, NULL};
  out->fd = hg_link_fd(out);
  return HG_OK;
}

hg_err hg_link_bind(struct hg_link *link, const char *endpoint) {
  link->unsure = true;
  return zmq_bind(link->socket, endpoint) == 0 ? HG_OK : HG_ERR_SYSTEM;
}

hg_err hg_link_connect(struct hg_link *link, const char *endpoint) {
  link->unsure = true;
  return zmq_connect(link->socket, endpoint) == 0 ? HG_OK : HG_ERR_SYSTEM;
}

hg_err hg_link_ask_door(struct hg_link *link, const char *domain) {
  int failed = zmq_setsockopt(link->socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain));
#ifdef ZMQ_ZAP_ENFORCE_DOMAIN // else ZeroMQ lets in whoever comes while the door is not bound, which it always is
  failed |= set(link->socket, ZMQ_ZAP_ENFORCE_DOMAIN, 1);
#endif
  return failed ? HG_ERR_SYSTEM : HG_OK;
}

hg_err hg_link_serve_curve(struct hg_link *link, const char *secret_key) {
  const int failed = set(link->socket, ZMQ_CURVE_SERVER, 1) |
                     zmq_setsockopt(link->socket, ZMQ_CURVE_SECRETKEY, secret_key, strlen(secret_key) + 1);
  return failed ? HG_ERR_SYSTEM : HG_OK;
}

hg_err hg_link_use_curve(struct hg_link *link, const char *server_key, const char *public_key, const char *secret_key) {
  const int failed = zmq_setsockopt(link->socket, ZMQ_CURVE_SERVERKEY, server_key, strlen(server_key) + 1) |
                     zmq_setsockopt(link->socket, ZMQ_CURVE_PUBLICKEY, public_key, strlen(public_key) + 1) |
                     zmq_setsockopt(link->socket, ZMQ_CURVE_SECRETKEY, secret_key, strlen(secret_key) + 1);
  return failed ? HG_ERR_SYSTEM : HG_OK;
}

hg_err hg_link_use_ipv6(struct hg_link *link, bool on) {
  return set(link->socket, ZMQ_IPV6, on) ? HG_ERR_SYSTEM : HG_OK;
}

hg_err hg_link_subscribe(struct hg_link *link, const char *topic) {
  link->unsure = true;
  return zmq_setsockopt(link->socket, ZMQ_SUBSCRIBE, topic, strlen(topic)) == 0 ? HG_OK : HG_ERR_SYSTEM;
}

void hg_link_last_endpoint(struct hg_link *link, char *out, size_t room) {
  if (zmq_getsockopt(link->socket, ZMQ_LAST_ENDPOINT, out, &room) != 0) out[0] = '\0';
}

void hg_link_close(struct hg_link *link) {
  if (link->socket) zmq_close(link->socket);
  link->socket = NULL;
}

// A routing id of at most 7 bytes and its length in the top byte.
static bool pack_peer(const uint8_t *id, size_t size, hg_peer *out) {
  if (size > 7) return false;
  hg_peer peer = (hg_peer)size << 56;
  for (size_t i = 0; i < size; i++)
    peer |= (hg_peer)id[i] << (8 * i);
  *out = peer;
  return true;
}

static size_t unpack_peer(hg_peer peer, uint8_t id[7]) {
  for (size_t i = 0; i < 7; i++)
    id[i] = (uint8_t)(peer >> (8 * i));
  return (size_t)(peer >> 56);
}

static hg_err send_failure(void) {
  switch (errno) {
  case EAGAIN: return HG_ERR_BUSY;
  case ETERM:
  case ENOTSOCK: return HG_ERR_CLOSED;
  case EHOSTUNREACH: return HG_ERR_EMPTY;
  default: return HG_ERR_SYSTEM;
  }
}

static int send_part(void *socket, const void *data, size_t size, int flags) {
  int sent;
  do
    sent = zmq_send(socket, data, size, flags | ZMQ_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  return sent;
}

// With NODROP ZeroMQ sends to nobody while one has no room, and says so: then, without it, all others get it. Who lost
// one is passed over by ZeroMQ until it has read half of what waits, so this is rare.
static hg_err publish(void *socket, struct hg_bytes topic, struct hg_bytes frame) {
  bool lost = false;
  int sent = send_part(socket, topic.data, topic.size, ZMQ_SNDMORE);
  if (sent < 0 && errno == EAGAIN) {
    lost = set(socket, ZMQ_XPUB_NODROP, 0) == 0;
    sent = send_part(socket, topic.data, topic.size, ZMQ_SNDMORE);
  }
  if (sent >= 0) sent = send_part(socket, frame.data, frame.size, 0);
  const hg_err err = sent < 0 ? send_failure() : lost ? HG_ERR_BUSY : HG_OK;
  if (lost) (void)set(socket, ZMQ_XPUB_NODROP, 1);
  return err;
}

static int send_marked(void *socket, uint8_t *bytes, struct hg_bytes frame, void *mark) {
  zmq_msg_t message;
  int sent = -1;
  memcpy(bytes, frame.data, frame.size);
  if (zmq_msg_init_data(&message, bytes, frame.size, hg_unread_let_go, mark) != 0) {
    hg_unread_let_go(bytes, mark);
    return -1;
  }
  do
    sent = zmq_msg_send(&message, socket, ZMQ_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) zmq_msg_close(&message);
  return sent;
}

// Behind the routing id of a peer whose unread answers are counted.
static int send_counted(struct hg_link *link, hg_peer peer, struct hg_bytes frame) {
  void *mark;
  uint8_t *bytes = hg_unread_mark(link->unread, peer, frame.size, &mark);
  if (bytes) return send_marked(link->socket, bytes, frame, mark);
  return send_part(link->socket, frame.data, frame.size, 0);
}

hg_err hg_link_send(struct hg_link *link, hg_peer peer, struct hg_bytes topic, struct hg_bytes frame) {
  link->unsure = true;
  if (link->type == HG_XPUB && peer)
    return link->endpoints && hg_outward_cut(hg_outward_fd(peer), link->endpoints, HG_CUT_INPUT) ? HG_OK : HG_ERR_EMPTY;
  if (link->type == HG_XPUB) return publish(link->socket, topic, frame);
  if (link->type == HG_ROUTER) {
    uint8_t id[7];
    if (link->unread && !hg_unread_may_send(link->unread, peer)) return HG_ERR_BUSY;
    if (send_part(link->socket, id, unpack_peer(peer, id), ZMQ_SNDMORE) < 0) return send_failure();
  }
  if (topic.data && send_part(link->socket, topic.data, topic.size, ZMQ_SNDMORE) < 0) return send_failure();
  const int sent = link->unread ? send_counted(link, peer, frame) : send_part(link->socket, frame.data, frame.size, 0);
  return sent < 0 ? send_failure() : HG_OK;
}

static hg_err receive_part(void *socket, zmq_msg_t *part) {
  int got;
  do
    got = zmq_msg_recv(part, socket, ZMQ_DONTWAIT);
  while (got < 0 && errno == EINTR);
  if (got >= 0) return HG_OK;
  return errno == EAGAIN ? HG_ERR_EMPTY : errno == ETERM ? HG_ERR_CLOSED : HG_ERR_SYSTEM;
}

// Reads the rest of a message that nobody wants; true when there was any.
static bool drop_rest(void *socket, zmq_msg_t *last) {
  bool dropped = false;
  while (zmq_msg_more(last)) {
    dropped = true;
    if (receive_part(socket, last) != HG_OK) break;
  }
  return dropped;
}

hg_err hg_link_receive(struct hg_link *link, hg_peer *peer, struct hg_received *frame) {
  zmq_msg_t *part = message_of(frame);
  zmq_msg_init(part);
  hg_err err = receive_part(link->socket, part);
  link->unsure = err != HG_ERR_EMPTY;
  bool known = true;
  *peer = 0;
  if (err == HG_OK && link->type == HG_XPUB) *peer = hg_outward_peer(zmq_msg_get(part, ZMQ_SRCFD));
  if (err == HG_OK && (link->type == HG_ROUTER || link->type == HG_SUB)) {
    if (link->type == HG_ROUTER) known = pack_peer(zmq_msg_data(part), zmq_msg_size(part), peer);
    if (zmq_msg_more(part)) err = receive_part(link->socket, part);
    else err = HG_ERR_PROTOCOL;
  }
  if (err == HG_OK && (drop_rest(link->socket, part) || !known)) err = HG_ERR_PROTOCOL;
  if (err != HG_OK) zmq_msg_close(part);
  return err;
}

static int timeout_ms(int64_t timeout_us) {
  if (timeout_us < 0) return -1;
  const int64_t ms = (timeout_us + 999) / 1000;
  return ms > INT_MAX ? INT_MAX : (int)ms;
}

// What ZeroMQ does for a socket in a send may bring input to it and take back what its descriptor shows; asked for its
// events, or received from until it is empty, it shows all that comes after.
static hg_err look(struct hg_link *link, bool *has_input) {
  int events = 0;
  size_t size = sizeof events;
  link->unsure = true;
  int failed;
  do
    failed = zmq_getsockopt(link->socket, ZMQ_EVENTS, &events, &size);
  while (failed && errno == EINTR);
  if (failed) return errno == ETERM ? HG_ERR_CLOSED : HG_ERR_SYSTEM;
  link->unsure = *has_input = events & ZMQ_POLLIN;
  return HG_OK;
}

// As zmq_poll, which asks every socket twice a call, with two system calls each time: here only those are asked that
// were sent through or whose descriptor is readable.
hg_err hg_links_wait(struct hg_link *links, size_t count, uint32_t mask, int64_t timeout_us, uint32_t *readable) {
  struct pollfd quiet[WAIT_MAX];
  uint32_t port[WAIT_MAX];
  nfds_t used = 0;
  hg_err err = HG_OK;
  *readable = 0;
  for (uint32_t i = 0; err == HG_OK && i < count; i++) {
    struct hg_link *link = &links[i];
    if (!link->socket || !(mask >> i & 1) || link->type == HG_PUSH) continue;
    bool has_input = false;
    if (link->unsure) err = look(link, &has_input);
    *readable |= (uint32_t)has_input << i;
    if (has_input) continue;
    port[used] = i;
    quiet[used++] = (struct pollfd){link->fd, POLLIN, 0};
  }
  if (err != HG_OK) return err;
  const int ready = poll(quiet, used, *readable ? 0 : timeout_ms(timeout_us));
  if (ready < 0 && errno != EINTR) return HG_ERR_SYSTEM;
  for (nfds_t i = 0; err == HG_OK && ready > 0 && i < used; i++) {
    bool has_input = false;
    if (quiet[i].revents) err = look(&links[port[i]], &has_input);
    *readable |= (uint32_t)has_input << port[i];
  }
  return err;
}

hg_err hg_link_wait_writable(struct hg_link *link, int64_t timeout_us) {
  link->unsure = true;
  zmq_pollitem_t item = {link->socket, 0, ZMQ_POLLOUT, 0};
  const int ready = zmq_poll(&item, 1, timeout_ms(timeout_us));
  if (ready < 0) return errno == EINTR ? HG_ERR_TIMEOUT : errno == ETERM ? HG_ERR_CLOSED : HG_ERR_SYSTEM;
  return ready ? HG_OK : HG_ERR_TIMEOUT;
}

int hg_link_fd(const struct hg_link *link) {
  int fd = -1;
  size_t size = sizeof fd;
  if (!link->socket || zmq_getsockopt(link->socket, ZMQ_FD, &fd, &size) != 0) return -1;
  return fd;
}

bool hg_link_has_input(struct hg_link *link) {
  bool has_input = false;
  return link->socket && look(link, &has_input) == HG_OK && has_input;
}
