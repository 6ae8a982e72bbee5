// What connections leave unread, counted by marks: how much each may leave, and that all is given back, whoever lets go
// of it and when. labels: bus
#include "bus/links.h"
#include "bus/unread.h"
#include "support/test.h"

#include <stdlib.h>

#define LEAST (1 << 20)
#define FRAME 1000
#define FRAMES_MAX (1 << 20)

static struct {
  hg_peer peer;
  void *mark;
} marks[FRAMES_MAX]; // that nobody has let go of
static size_t mark_count;

static void send(struct hg_unread *unread, hg_peer peer, size_t size) {
  void *mark;
  if (!hg_unread_mark(unread, peer, size, &mark)) return;
  CHECK(mark_count < FRAMES_MAX);
  marks[mark_count].peer = peer;
  marks[mark_count++].mark = mark;
}

// How many bytes it may be sent.
static uint64_t send_all(struct hg_unread *unread, hg_peer peer) {
  uint64_t sent = 0;
  for (; hg_unread_may_send(unread, peer); sent += FRAME)
    send(unread, peer, FRAME);
  return sent;
}

static void read_all(hg_peer peer) {
  size_t left = 0;
  for (size_t i = 0; i < mark_count; i++)
    if (peer && marks[i].peer != peer) marks[left++] = marks[i];
    else hg_unread_let_go(NULL, marks[i].mark);
  mark_count = left;
}

TEST(unread, a_connection_may_leave_so_much_and_again_when_it_has_read) {
  struct hg_unread *unread = hg_unread_new(LEAST);
  for (int round = 0; round < 2; round++) {
    const uint64_t sent = send_all(unread, 1);
    CHECK(sent > HG_UNREAD_ONE_MAX * 4 / 5 && sent <= HG_UNREAD_ONE_MAX);
    CHECK(hg_unread_bytes(unread) >= sent);
    CHECK(hg_unread_may_send(unread, 2));
    CHECK(!hg_unread_keeps_up(unread, 1) && hg_unread_keeps_up(unread, 2));
    read_all(1);
    CHECK_EQ(hg_unread_bytes(unread), 0);
  }
  hg_unread_destroy(&unread);
}

TEST(unread, short_answers_count_too) {
  struct hg_unread *unread = hg_unread_new(LEAST);
  uint32_t sent = 0;
  for (; hg_unread_may_send(unread, 1); sent++)
    send(unread, 1, 20);
  CHECK(sent < HG_UNREAD_ONE_MAX / 100);
  CHECK(mark_count < sent / 20); // few are marked
  read_all(1);
  hg_unread_destroy(&unread);
}

TEST(unread, many_leave_no_more_than_the_bound_and_the_least_of_each) {
  enum { HOGS = 200 };
  struct hg_unread *unread = hg_unread_new(LEAST);
  for (hg_peer peer = 1; peer <= HOGS; peer++)
    CHECK(send_all(unread, peer) >= LEAST * 4 / 5);
  CHECK(hg_unread_bytes(unread) > HG_UNREAD_MAX);
  CHECK(hg_unread_bytes(unread) < HG_UNREAD_MAX + HOGS * (uint64_t)(LEAST + 8192));
  CHECK(hg_unread_may_send(unread, HOGS + 1) && hg_unread_keeps_up(unread, HOGS + 1));
  read_all(0);
  CHECK_EQ(hg_unread_bytes(unread), 0);
  hg_unread_destroy(&unread);
}

TEST(unread, those_who_keep_up_are_told_apart_by_what_all_leave) {
  enum { HOGS = 100 };
  struct hg_unread *unread = hg_unread_new(LEAST);
  for (hg_peer peer = 1; peer <= HOGS; peer++)
    for (; hg_unread_keeps_up(unread, peer);)
      send(unread, peer, FRAME);
  CHECK(hg_unread_bytes(unread) < HG_UNREAD_LONG_MAX + HOGS * (uint64_t)(HG_UNREAD_LONG_LEAST + 8192));
  for (hg_peer peer = 1; peer <= HOGS; peer++)
    CHECK(hg_unread_may_send(unread, peer));
  read_all(0);
  hg_unread_destroy(&unread);
}

// Who is gone for long is not remembered; a mark that is still out there is.
TEST(unread, gone_connections_are_forgotten_and_marks_outlive_all) {
  struct hg_unread *unread = hg_unread_new(LEAST);
  for (hg_peer peer = 1; peer <= 100000; peer++) {
    send(unread, peer, 5000);
    if (peer % 1000) read_all(peer);
  }
  CHECK_EQ(mark_count, 100);
  CHECK(hg_unread_bytes(unread) >= 100 * 5000);
  hg_unread_destroy(&unread);
  read_all(0);
}

// ---------------------------------------------------------------------------------------------------- over ZeroMQ

#define PATIENCE_US 10000000

static void receive(struct hg_link *link, hg_peer *peer) {
  struct hg_received frame;
  uint32_t readable = 0;
  hg_err err;
  while ((err = hg_link_receive(link, peer, &frame)) == HG_ERR_EMPTY)
    CHECK_EQ(hg_links_wait(link, 1, 1, PATIENCE_US, &readable), HG_OK);
  CHECK_EQ(err, HG_OK);
  hg_received_close(&frame);
}

// A peer that does not read is refused more, and hears nothing of those who are; what waits for it is freed with it.
TEST(unread, a_link_refuses_who_does_not_read) {
  enum { SIZE = 4000 };
  static uint8_t bytes[SIZE];
  const struct hg_link_limits limits = {1000000, 1000000, 65536}, few = {1000, 1, 65536};
  const struct hg_bytes frame = {bytes, SIZE}, none = {0};
  void *context;
  char endpoint[256];
  hg_peer slow = 0, quick = 0;
  struct hg_link router, readers[2];
  struct hg_unread *unread = hg_unread_new(LEAST);
  CHECK_EQ(hg_context_new(&context), HG_OK);
  CHECK_EQ(hg_link_open(context, HG_ROUTER, limits, &router), HG_OK);
  router.unread = unread;
  CHECK_EQ(hg_link_bind(&router, "tcp://127.0.0.1:*"), HG_OK);
  hg_link_last_endpoint(&router, endpoint, sizeof endpoint);
  for (int i = 0; i < 2; i++) {
    CHECK_EQ(hg_link_open(context, HG_DEALER, few, &readers[i]), HG_OK);
    CHECK_EQ(hg_link_connect(&readers[i], endpoint), HG_OK);
    CHECK_EQ(hg_link_send(&readers[i], 0, none, frame), HG_OK);
    receive(&router, i ? &quick : &slow);
  }
  uint32_t sent = 0;
  hg_err err = HG_OK;
  for (; (err = hg_link_send(&router, slow, none, frame)) == HG_OK; sent++) {}
  CHECK_EQ(err, HG_ERR_BUSY);
  CHECK(sent >= HG_UNREAD_ONE_MAX / (SIZE + 200) && sent < 1000000);
  for (int i = 0; i < 1000; i++) {
    hg_peer nobody;
    CHECK_EQ(hg_link_send(&router, quick, none, frame), HG_OK);
    receive(&readers[1], &nobody);
  }
  for (uint32_t i = 0; i < sent; i++) {
    hg_peer nobody;
    receive(&readers[0], &nobody);
  }
  CHECK_EQ(hg_link_send(&router, slow, none, frame), HG_OK);
  while (hg_link_send(&router, slow, none, frame) == HG_OK) {}
  hg_link_close(&router);
  hg_link_close(&readers[0]);
  hg_link_close(&readers[1]);
  hg_unread_destroy(&unread); // the frames are still there
  hg_context_destroy(context);
}
