// wraps: hg_clock_now
// Who asks at the door, as ZeroMQ does for each connection: over tcp so many may come at once and so many a second,
// because the number that one of them calls itself by could end the process. labels: bus
#include "base/clock.h"
#include "bus/door.h"
#include "support/test.h"

#include <stdatomic.h>
#include <zmq.h>

#define AT_ONCE 8192 // docs/operations.md, Who connects from outside
#define EACH_US 10000

static _Atomic int64_t now_us = INT64_C(1000000000000);

struct hg_now __wrap_hg_clock_now(void);
struct hg_now __wrap_hg_clock_now(void) {
  return (struct hg_now){.monotonic_us = atomic_load(&now_us)};
}

struct visit {
  void *context, *socket;
  struct hg_door *door;
};

static struct visit open_door(void) {
  struct visit visit = {0};
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_context_new(&visit.context), HG_OK);
  CHECK_EQ(hg_door_new(visit.context, &visit.door, &why), HG_OK);
  CHECK_EQ(hg_door_start(visit.door), HG_OK);
  visit.socket = zmq_socket(visit.context, ZMQ_REQ);
  CHECK(visit.socket && zmq_connect(visit.socket, "inproc://zeromq.zap.01") == 0);
  return visit;
}

static void close_door(struct visit *visit) {
  CHECK_EQ(zmq_close(visit->socket), 0);
  hg_door_leave(visit->door);
  CHECK_EQ(zmq_ctx_shutdown(visit->context), 0);
  hg_door_destroy(&visit->door);
  hg_context_destroy(visit->context);
}

// The status that a connection from this address is answered with; "" is a socket's file.
static int ask(const struct visit *visit, const char *address) {
  const char *const parts[] = {"1.0", "7", "headgate-control", address, "", "NULL"};
  const size_t count = sizeof parts / sizeof *parts;
  char answer[16];
  int status = 0, more = 1;
  size_t room = sizeof more;
  for (size_t i = 0; i < count; i++)
    CHECK(zmq_send(visit->socket, parts[i], strlen(parts[i]), i + 1 < count ? ZMQ_SNDMORE : 0) >= 0);
  for (int i = 0; more; i++) {
    const int size = zmq_recv(visit->socket, answer, sizeof answer - 1, 0);
    CHECK(size >= 0 && zmq_getsockopt(visit->socket, ZMQ_RCVMORE, &more, &room) == 0);
    answer[size < (int)sizeof answer ? size : (int)sizeof answer - 1] = '\0';
    if (i == 2) status = atoi(answer);
  }
  return status;
}

// How many get in before one has to come again; no more than `most` try.
static int let_in(const struct visit *visit, int most) {
  int count = 0;
  while (count < most && ask(visit, count % 2 ? "192.0.2.7" : "2001:db8::7") == 200)
    count++;
  return count;
}

TEST(door, over_tcp_so_many_come_at_once_and_so_many_a_second) {
  struct visit visit = open_door();
  CHECK_EQ(let_in(&visit, 2 * AT_ONCE), AT_ONCE);
  CHECK_EQ(ask(&visit, "127.0.0.1"), 300);
  CHECK_EQ(ask(&visit, ""), 200); // who came by a file is none of them
  atomic_fetch_add(&now_us, EACH_US);
  CHECK_EQ(let_in(&visit, 10), 1);
  atomic_fetch_add(&now_us, 100 * EACH_US);
  CHECK_EQ(let_in(&visit, 1000), 100);
  atomic_fetch_add(&now_us, INT64_C(3600) * 100 * EACH_US);
  CHECK_EQ(let_in(&visit, 2 * AT_ONCE), AT_ONCE);
  CHECK_EQ(hg_door_turned_away(visit.door), 5);
  CHECK_EQ(hg_door_keys_refused(visit.door), 0);
  close_door(&visit);
}
