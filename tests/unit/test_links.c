// What a wait says of links: input that came while something was sent through them, or before anybody waited, is seen,
// and what is not there is not. labels: bus
#include "bus/links.h"
#include "support/test.h"

#include <signal.h>
#include <zmq.h>
#include <sys/time.h>
#include <time.h>

#define PATIENCE_US 5000000
#define LIMITS ((struct hg_link_limits){.send_hwm = 100, .receive_hwm = 100})

struct ends {
  void *context;
  struct hg_link links[2]; // both ends, to be waited for together
};

static struct ends connect_ends(void) {
  struct ends ends = {0};
  CHECK_EQ(hg_context_new(&ends.context), HG_OK);
  CHECK_EQ(hg_link_open(ends.context, HG_DEALER, LIMITS, &ends.links[0]), HG_OK);
  CHECK_EQ(hg_link_open(ends.context, HG_DEALER, LIMITS, &ends.links[1]), HG_OK);
  CHECK_EQ(hg_link_bind(&ends.links[0], "inproc://ends"), HG_OK);
  CHECK_EQ(hg_link_connect(&ends.links[1], "inproc://ends"), HG_OK);
  return ends;
}

static void disconnect(struct ends *ends) {
  hg_link_close(&ends->links[0]);
  hg_link_close(&ends->links[1]);
  hg_context_destroy(ends->context);
}

static void send(struct hg_link *link) {
  CHECK_EQ(hg_link_send(link, 0, (struct hg_bytes){0}, (struct hg_bytes){(const uint8_t *)"x", 1}), HG_OK);
}

static unsigned receive_all(struct hg_link *link) {
  struct hg_received frame;
  hg_peer peer;
  unsigned count = 0;
  for (; hg_link_receive(link, &peer, &frame) == HG_OK; count++)
    hg_received_close(&frame);
  return count;
}

static uint32_t wait_for(struct ends *ends, int64_t timeout_us) {
  uint32_t readable = 0;
  unsigned early = 0;
  do
    CHECK_EQ(hg_links_wait(ends->links, 2, UINT32_MAX, timeout_us, &readable), HG_OK);
  while (readable == 0 && timeout_us == PATIENCE_US && ++early < 10);
  return readable;
}

// They would abort the process (bus/links.c).
TEST(links, nobody_outside_gets_heartbeats) {
  static const enum hg_link_type types[] = {HG_ROUTER, HG_XPUB, HG_SUB, HG_DEALER};
  struct hg_link link;
  void *context;
  CHECK_EQ(hg_context_new(&context), HG_OK);
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    int every_ms = -1;
    size_t size = sizeof every_ms;
    CHECK_EQ(hg_link_open(context, types[i], (struct hg_link_limits){10, 10, 1000}, &link), HG_OK);
    CHECK_EQ(zmq_getsockopt(link.socket, ZMQ_HEARTBEAT_IVL, &every_ms, &size), 0);
    CHECK_EQ(every_ms, 0);
    hg_link_close(&link);
  }
  hg_context_destroy(context);
}

// What a ROUTER that is open to others calls the first who comes.
static hg_peer first_number(void *context) {
  struct hg_link router, dealer;
  struct hg_received frame;
  hg_peer peer = 0;
  uint32_t readable;
  CHECK_EQ(hg_link_open(context, HG_ROUTER, (struct hg_link_limits){10, 10, 1000}, &router), HG_OK);
  CHECK_EQ(hg_link_open(context, HG_DEALER, LIMITS, &dealer), HG_OK);
  CHECK_EQ(hg_link_bind(&router, "inproc://first"), HG_OK);
  CHECK_EQ(hg_link_connect(&dealer, "inproc://first"), HG_OK);
  send(&dealer);
  CHECK_EQ(hg_links_wait(&router, 1, 1, PATIENCE_US, &readable), HG_OK);
  CHECK_EQ(hg_link_receive(&router, &peer, &frame), HG_OK);
  hg_received_close(&frame);
  CHECK_EQ(zmq_unbind(router.socket, "inproc://first"), 0);
  hg_link_close(&dealer);
  hg_link_close(&router);
  return peer;
}

// Who calls himself by the number of one who comes later would end the process (bus/links.c).
TEST(links, nobody_knows_the_numbers_of_those_who_will_come) {
  void *context;
  CHECK_EQ(hg_context_new(&context), HG_OK);
  srand(1); // as ZeroMQ does with a moment that others know too
  const hg_peer first = first_number(context);
  srand(1);
  CHECK(first_number(context) != first);
  hg_context_destroy(context);
}

static hg_err publish(struct hg_link *link) {
  return hg_link_send(link, 0, (struct hg_bytes){(const uint8_t *)"topic", 5},
                      (struct hg_bytes){(const uint8_t *)"x", 1});
}

// Eight wait on either side of the pipe.
TEST(links, a_subscriber_that_does_not_read_is_told_of_once_and_holds_up_nobody) {
  const struct hg_link_limits few = {8, 8, 0}, many = {1000, 1000, 0};
  struct hg_link bus, stuck, quick;
  void *context;
  CHECK_EQ(hg_context_new(&context), HG_OK);
  CHECK_EQ(hg_link_open(context, HG_XPUB, few, &bus), HG_OK);
  CHECK_EQ(hg_link_bind(&bus, "inproc://bus"), HG_OK);
  CHECK_EQ(hg_link_open(context, HG_SUB, few, &stuck), HG_OK);
  CHECK_EQ(hg_link_open(context, HG_SUB, many, &quick), HG_OK);
  struct hg_link *subscribers[] = {&stuck, &quick};
  for (int i = 0; i < 2; i++) {
    CHECK_EQ(hg_link_subscribe(subscribers[i], ""), HG_OK);
    CHECK_EQ(hg_link_connect(subscribers[i], "inproc://bus"), HG_OK);
  }
  CHECK(receive_all(&bus) > 0); // subscriptions
  for (int round = 0; round < 3; round++) {
    unsigned behind = 0;
    for (int i = 0; i < 100; i++)
      behind += publish(&bus) == HG_ERR_BUSY;
    CHECK_EQ(behind, 1);
    CHECK_EQ(receive_all(&quick), 100);
    CHECK_EQ(receive_all(&stuck), 16);
    CHECK_EQ(receive_all(&bus), 0); // ZeroMQ hears there that there is room again
  }
  hg_link_close(&stuck);
  hg_link_close(&quick);
  hg_link_close(&bus);
  hg_context_destroy(context);
}

TEST(links, nothing_is_readable_when_nothing_was_sent) {
  struct ends ends = connect_ends();
  for (int i = 0; i < 3; i++)
    CHECK_EQ(wait_for(&ends, 1000), 0);
  disconnect(&ends);
}

// ZeroMQ looks after its own affairs in a send when it has not for a millisecond, and takes the answer in: the link's
// descriptor is then silent about it.
TEST(links, input_that_a_send_takes_in_is_seen) {
  struct ends ends = connect_ends();
  (void)wait_for(&ends, 0);
  for (unsigned i = 0; i < 100; i++) {
    send(&ends.links[1]);
    nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
    send(&ends.links[0]);
    CHECK_EQ(wait_for(&ends, PATIENCE_US), 3);
    CHECK_EQ(receive_all(&ends.links[0]), 1);
    CHECK_EQ(receive_all(&ends.links[1]), 1);
    CHECK_EQ(wait_for(&ends, 0), 0);
  }
  disconnect(&ends);
}

TEST(links, what_was_left_is_readable_again) {
  struct ends ends = connect_ends();
  struct hg_received frame;
  hg_peer peer;
  send(&ends.links[0]);
  send(&ends.links[0]);
  for (unsigned i = 0; i < 3; i++)
    CHECK_EQ(wait_for(&ends, PATIENCE_US), 2);
  CHECK_EQ(hg_link_receive(&ends.links[1], &peer, &frame), HG_OK);
  hg_received_close(&frame);
  CHECK_EQ(wait_for(&ends, PATIENCE_US), 2);
  CHECK_EQ(receive_all(&ends.links[1]), 1);
  CHECK_EQ(wait_for(&ends, 0), 0);
  disconnect(&ends);
}

TEST(links, wait_ends_with_the_context) {
  struct ends ends = connect_ends();
  uint32_t readable;
  (void)wait_for(&ends, 0);
  hg_context_shutdown(ends.context);
  CHECK_EQ(hg_links_wait(ends.links, 2, UINT32_MAX, PATIENCE_US, &readable), HG_ERR_CLOSED);
  CHECK_EQ(hg_links_wait(ends.links, 2, UINT32_MAX, PATIENCE_US, &readable), HG_ERR_CLOSED);
  disconnect(&ends);
}

static volatile sig_atomic_t signals;

static void note_signal(int number) {
  (void)number;
  signals = signals + 1;
}

TEST(links, signals_are_no_failures) {
  struct ends ends = connect_ends();
  const struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
  const struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
  CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
  while (signals < 2000) {
    send(&ends.links[0]);
    CHECK_EQ(wait_for(&ends, PATIENCE_US), 2);
    CHECK_EQ(receive_all(&ends.links[1]), 1);
  }
  CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
  disconnect(&ends);
}
