// The door over ZeroMQ: socket monitors say who came and went, ZAP asks whose key it is.
#include "bus/door.h"

#include "base/fail.h"
#include "base/thread.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define ZAP_FRAMES 7
#define ZAP_FRAME_MAX 256
#define ENDPOINT_MAX 256 // longer than the path of a socket can be
#define NEWS (ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED)

// ZMTP 3: a greeting, with CURVE a WELCOME, then READY, of 28 bytes at least, or ERROR, of 12 with the codes of ZAP.
#define GREETING_BYTES 64
#define WELCOME_BYTES 170
#define READY_LEAST 20
#define KEPT_LEAST 16 // of the places at a gate

// How many may come over tcp: so many at once, and so many a second. What a peer calls itself can be the number that
// ZeroMQ has for a later one, which ends the process (4.3.4). Nobody knows its numbers (bus/links.c); with 256
// connections that call themselves something it takes 2^32 / 256 more to meet one of them, at this rate two days.
#define ENTRIES_AT_ONCE 8192
#define ENTRIES_A_SECOND 100

struct connection {
  int fd;
  bool is_own;     // came in at the runtime's own endpoint
  bool is_tcp;     // where there are keys, it has shown one
  bool is_through; // its handshake, as far as is known
};

struct gate {
  struct hg_gate is;
  struct hg_link *link;          // what is watched
  void *monitor;                 // PAIR; NULL: nothing is watched
  struct connection *admitted;   // those that are open, the oldest first
  uint32_t count, foreign_count; // of them; that are not at the own endpoint
  uint32_t foreign_max;
};

struct hg_door {
  void *context, *zap;
  struct gate gates[HG_GATE_COUNT];
  pthread_mutex_t lock; // of the lists of keys and of who is there
  _Atomic uint64_t turned_away, keys_refused;
  int64_t entries_at; // monotonic, in microseconds: when as many have come as may
  pthread_t thread;
  bool started;
};

// The ZAP domain of a gate, which its socket names to ZeroMQ.
static const char *domain_of(enum hg_gate_id id) {
  return id == HG_GATE_EVENTS ? "headgate-events" : "headgate-control";
}

// ------------------------------------------------------------------------------------------------ connections

static uint32_t foreign_max(uint32_t connections_max) {
  uint32_t kept = connections_max / 4;
  if (kept < KEPT_LEAST) kept = KEPT_LEAST;
  if (kept > connections_max / 2) kept = connections_max / 2;
  return connections_max - kept;
}

static void remove_at(struct gate *gate, uint32_t at) {
  if (!gate->admitted[at].is_own) gate->foreign_count--;
  memmove(gate->admitted + at, gate->admitted + at + 1, (--gate->count - at) * sizeof *gate->admitted);
}

// What the peer has taken of what only we can send: it can't claim to be further than it is.
static bool is_through(const struct gate *gate, struct connection *connection) {
  const uint64_t before = GREETING_BYTES + (gate->is.has_keys ? WELCOME_BYTES : 0) + READY_LEAST;
  if (!connection->is_through) connection->is_through = hg_outward_taken(connection->fd) > before;
  return connection->is_through;
}

static void turn_away(struct hg_door *door, const struct gate *gate, int fd) {
  atomic_fetch_add(&door->turned_away, 1);
  (void)hg_outward_cut(fd, &gate->is.endpoints, HG_CUT_AT_ONCE);
}

static bool make_room(struct hg_door *door, struct gate *gate) {
  for (uint32_t i = 0; i < gate->count; i++) {
    if (is_through(gate, &gate->admitted[i])) continue;
    turn_away(door, gate, gate->admitted[i].fd);
    remove_at(gate, i);
    return true;
  }
  return false;
}

static void came(struct hg_door *door, struct gate *gate, struct connection who) {
  const bool is_full =
      gate->count == gate->is.connections_max || (!who.is_own && gate->foreign_count == gate->foreign_max);
  if (is_full && !make_room(door, gate)) {
    turn_away(door, gate, who.fd);
    return;
  }
  gate->admitted[gate->count++] = who;
  if (!who.is_own) gate->foreign_count++;
}

static void went(struct gate *gate, int fd) {
  for (uint32_t i = 0; i < gate->count; i++) {
    if (gate->admitted[i].fd != fd) continue;
    remove_at(gate, i);
    return;
  }
}

// False: the context ends, or there is nothing more.
static bool hear_news(struct hg_door *door, struct gate *gate) {
  uint8_t news[6]; // a uint16 and an int32, as the machine has them
  char endpoint[ENDPOINT_MAX];
  uint16_t event;
  int32_t fd;
  const int size = zmq_recv(gate->monitor, news, sizeof news, ZMQ_DONTWAIT);
  if (size < 0) return errno == EINTR;
  const int length = zmq_recv(gate->monitor, endpoint, sizeof endpoint, 0);
  if (length < 0 || size != sizeof news) return false;
  memcpy(&event, news, sizeof event);
  memcpy(&fd, news + sizeof event, sizeof fd);
  const char *own = gate->is.endpoints.first;
  const bool is_own = (size_t)length == strlen(own) && memcmp(endpoint, own, (size_t)length) == 0;
  const bool is_tcp = length > 6 && memcmp(endpoint, "tcp://", 6) == 0;
  const struct connection who = {.fd = fd, .is_own = is_own, .is_tcp = is_tcp, .is_through = is_own};
  if (event == ZMQ_EVENT_ACCEPTED) came(door, gate, who);
  else if (event == ZMQ_EVENT_DISCONNECTED) went(gate, fd);
  return true;
}

// ------------------------------------------------------------------------------------------------ keys

struct zap_request {
  uint8_t frames[ZAP_FRAMES][ZAP_FRAME_MAX];
  size_t sizes[ZAP_FRAMES];
  size_t count;
};
enum zap_part { ZAP_VERSION, ZAP_REQUEST, ZAP_DOMAIN, ZAP_ADDRESS, ZAP_IDENTITY, ZAP_MECHANISM, ZAP_CREDENTIALS };

static bool receive_request(void *zap, struct zap_request *request) {
  int more = 1;
  request->count = 0;
  while (more) {
    const size_t at = request->count < ZAP_FRAMES ? request->count : ZAP_FRAMES - 1;
    size_t room = sizeof more;
    const int size = zmq_recv(zap, request->frames[at], ZAP_FRAME_MAX, request->count ? 0 : ZMQ_DONTWAIT);
    if (size < 0 || zmq_getsockopt(zap, ZMQ_RCVMORE, &more, &room) != 0) return false;
    request->sizes[at] = (size_t)size < ZAP_FRAME_MAX ? (size_t)size : ZAP_FRAME_MAX;
    request->count++;
  }
  return true;
}

static bool part_is(const struct zap_request *request, enum zap_part part, const char *text) {
  return request->sizes[part] == strlen(text) && memcmp(request->frames[part], text, strlen(text)) == 0;
}

// A bucket that fills at an even rate, as the moment up to which it is used (GCRA). Files are guarded by the system.
static bool is_too_often(struct hg_door *door, const struct zap_request *request) {
  const int64_t each_us = 1000000 / ENTRIES_A_SECOND, now = hg_clock_now().monotonic_us;
  uint8_t address[ZAP_FRAME_MAX + 1] = {0}, number[16];
  memcpy(address, request->frames[ZAP_ADDRESS], request->sizes[ZAP_ADDRESS]);
  const char *text = (const char *)address;
  if (inet_pton(AF_INET, text, number) != 1 && inet_pton(AF_INET6, text, number) != 1) return false;
  if (door->entries_at < now) door->entries_at = now;
  if (door->entries_at >= now + ENTRIES_AT_ONCE * each_us) return true;
  door->entries_at += each_us;
  return false;
}

// What is bound without keys lets everybody in, as far as there is room.
static bool may_enter(struct hg_door *door, const struct zap_request *request) {
  bool allowed = false;
  if (request->count > ZAP_MECHANISM && part_is(request, ZAP_MECHANISM, "NULL")) return true;
  if (request->count != ZAP_FRAMES || !part_is(request, ZAP_MECHANISM, "CURVE")) return false;
  pthread_mutex_lock(&door->lock);
  for (int id = 0; id < HG_GATE_COUNT; id++)
    if (part_is(request, ZAP_DOMAIN, domain_of((enum hg_gate_id)id)))
      allowed =
          hg_keys_allow(&door->gates[id].is.allowed, request->frames[ZAP_CREDENTIALS], request->sizes[ZAP_CREDENTIALS]);
  pthread_mutex_unlock(&door->lock);
  return allowed;
}

static bool lost_one(const struct hg_allowed_keys *before, const struct hg_allowed_keys *now) {
  for (size_t i = 0; i < before->count; i++)
    if (!hg_keys_allow(now, before->keys[i], HG_KEY_BYTES)) return true;
  return false;
}

// A list is swapped before: who asks at the door from now on is held against the new one.
static uint32_t cut_all_keyed(const struct gate *gate) {
  uint32_t cut = 0;
  for (uint32_t i = 0; i < gate->count; i++)
    if (gate->admitted[i].is_tcp) cut += hg_outward_cut(gate->admitted[i].fd, &gate->is.endpoints, HG_CUT_AT_ONCE);
  return cut;
}

hg_err hg_door_read_keys(struct hg_door *door, enum hg_gate_id id, const char *file, struct hg_door_change *out,
                         hg_error *why) {
  struct hg_allowed_keys *allowed = &door->gates[id].is.allowed, now;
  const hg_err err = hg_keys_read_allowed(file, &now, why);
  if (err != HG_OK) return err;
  pthread_mutex_lock(&door->lock);
  const struct hg_allowed_keys before = *allowed;
  *allowed = now;
  const bool has_lost = lost_one(&before, &now);
  *out = (struct hg_door_change){.is_changed = has_lost || lost_one(&now, &before)};
  if (has_lost) out->cut = cut_all_keyed(&door->gates[id]);
  pthread_mutex_unlock(&door->lock);
  hg_keys_clear(&(struct hg_allowed_keys){before.keys, before.count});
  return HG_OK;
}

static void hear_all_news(struct hg_door *door) {
  pthread_mutex_lock(&door->lock);
  for (int id = 0; id < HG_GATE_COUNT; id++)
    while (door->gates[id].monitor && hear_news(door, &door->gates[id])) {}
  pthread_mutex_unlock(&door->lock);
}

// Nobody gets through the handshake without an answer. That a connection came is said before it asks: one too many has
// been cut when it would be answered.
static bool answer_request(struct hg_door *door) {
  struct zap_request request;
  if (!receive_request(door->zap, &request)) return errno == EINTR;
  hear_all_news(door);
  const bool allowed = may_enter(door, &request), later = allowed && is_too_often(door, &request);
  if (!allowed) atomic_fetch_add(&door->keys_refused, 1);
  if (later) atomic_fetch_add(&door->turned_away, 1);
  const char *parts[] = {
      "1.0", NULL, later ? "300" : allowed ? "200" : "400", later ? "come again" : allowed ? "OK" : "this key may not",
      "",    ""};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    const void *part = parts[i] ? (const void *)parts[i] : request.frames[ZAP_REQUEST];
    const size_t size = parts[i] ? strlen(parts[i]) : request.count > ZAP_REQUEST ? request.sizes[ZAP_REQUEST] : 0;
    if (zmq_send(door->zap, part, size, i + 1 < sizeof parts / sizeof *parts ? ZMQ_SNDMORE : 0) < 0) return false;
  }
  return true;
}

// ------------------------------------------------------------------------------------------------ the thread

static void *run(void *argument) {
  struct hg_door *door = argument;
  zmq_pollitem_t items[1 + HG_GATE_COUNT] = {{door->zap, 0, ZMQ_POLLIN, 0}};
  int count = 0;
  for (int id = 0; id < HG_GATE_COUNT; id++) {
    if (!door->gates[id].monitor) continue;
    items[++count] = (zmq_pollitem_t){door->gates[id].monitor, 0, ZMQ_POLLIN, 0};
  }
  for (;;) {
    if (zmq_poll(items, 1 + count, -1) < 0) {
      if (errno == EINTR) continue;
      break;
    }
    hear_all_news(door);
    while (items[0].revents && answer_request(door)) {}
  }
  return NULL;
}

static void *open_socket(void *context, int type) {
  const int linger = 0;
  void *socket = zmq_socket(context, type);
  if (socket) zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
  return socket;
}

hg_err hg_door_new(void *context, struct hg_door **out, hg_error *why) {
  struct hg_door *door = calloc(1, sizeof *door);
  if (!door) return hg_fail(why, HG_ERR_NO_MEMORY, "%s", hg_err_text(HG_ERR_NO_MEMORY));
  *out = door;
  pthread_mutex_init(&door->lock, NULL);
  door->context = context;
  door->zap = open_socket(context, ZMQ_REP);
  if (door->zap && zmq_bind(door->zap, ZAP_ENDPOINT) == 0) return HG_OK;
  return hg_fail(why, HG_ERR_SYSTEM, "cannot open the door: %s", zmq_strerror(errno));
}

hg_err hg_door_watch(struct hg_door *door, enum hg_gate_id id, struct hg_link *link, const struct hg_gate *gate) {
  struct gate *watched = &door->gates[id];
  char endpoint[64];
  watched->is = *gate;
  watched->link = link;
  watched->foreign_max = foreign_max(gate->connections_max);
  watched->admitted = calloc(gate->connections_max, sizeof *watched->admitted);
  watched->monitor = open_socket(door->context, ZMQ_PAIR);
  if (!watched->admitted || !watched->monitor) return HG_ERR_NO_MEMORY;
  const int one = 1; // beside the 1,000 of the other end: ZeroMQ accepts no more that we have not heard of
  zmq_setsockopt(watched->monitor, ZMQ_RCVHWM, &one, sizeof one);
  snprintf(endpoint, sizeof endpoint, "inproc://door/%s", domain_of(id));
  if (zmq_socket_monitor(link->socket, endpoint, NEWS) != 0) return HG_ERR_SYSTEM;
  if (hg_link_ask_door(link, domain_of(id)) != HG_OK) return HG_ERR_SYSTEM;
  return zmq_connect(watched->monitor, endpoint) == 0 ? HG_OK : HG_ERR_SYSTEM;
}

hg_err hg_door_start(struct hg_door *door) {
  const hg_err err = hg_thread_start(&door->thread, run, door);
  if (err != HG_OK) return err;
  (void)pthread_setname_np(door->thread, "hg-door");
  door->started = true;
  return HG_OK;
}

void hg_door_leave(struct hg_door *door) {
  if (!door || !door->started) return; // ZeroMQ may wait for the thread to take news, and has us wait for it
  for (int id = 0; id < HG_GATE_COUNT; id++)
    if (door->gates[id].link) (void)zmq_socket_monitor(door->gates[id].link->socket, NULL, 0);
}

void hg_door_destroy(struct hg_door **door_p) {
  struct hg_door *door = *door_p;
  if (!door) return;
  *door_p = NULL;
  if (door->started) pthread_join(door->thread, NULL);
  if (door->zap) zmq_close(door->zap);
  for (int id = 0; id < HG_GATE_COUNT; id++) {
    if (door->gates[id].monitor) zmq_close(door->gates[id].monitor);
    hg_keys_clear(&door->gates[id].is.allowed);
    free(door->gates[id].admitted);
  }
  pthread_mutex_destroy(&door->lock);
  free(door);
}

uint64_t hg_door_turned_away(const struct hg_door *door) {
  return door ? atomic_load(&door->turned_away) : 0;
}

uint64_t hg_door_keys_refused(const struct hg_door *door) {
  return door ? atomic_load(&door->keys_refused) : 0;
}
