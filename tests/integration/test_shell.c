// The shell around an actor: what a peer sent before it went comes before the news that it is gone.
#include "actors/shell.h"
#include "bus/endpoints.h"
#include "bus/frames.h"
#include "support/test.h"

#include <unistd.h>

#define COMMANDS (3 * HG_BURST)
#define WAIT_MS 30000

// Answers every SETTLE at once, and ends when all was said.
struct answering {
  uint32_t settles, came_back, leaves, settles_at_leave;
};

static void receive(void *self, struct hg_now now, const struct hg_envelope *in, struct hg_outbox *out) {
  struct answering *actor = self;
  (void)now;
  if (in->port != HG_PORT_CLIENTS) return;
  if (in->message.kind == HG_SETTLE) {
    actor->settles++;
    struct hg_message settled;
    hg_message_init(&settled, HG_SETTLED);
    settled.as.settled.permit = in->message.as.settle.permit;
    hg_outbox_put(out, HG_PORT_CLIENTS, in->peer, &settled);
  } else if (in->message.kind == HG_SETTLED) {
    actor->came_back++;
  } else if (in->message.kind == HG_LEAVE && actor->leaves++ == 0) {
    actor->settles_at_leave = actor->settles;
  }
}

static int64_t flush(void *self, struct hg_now now, struct hg_outbox *out) {
  const struct answering *actor = self;
  (void)now;
  if (actor->settles == COMMANDS && actor->came_back == COMMANDS && actor->leaves > 0)
    hg_outbox_finish(out, HG_OK, NULL);
  return HG_NEVER;
}

static void settle_and_go(void *context) {
  const struct hg_link_limits limits = HG_CLIENT_SIDE;
  struct hg_link link;
  CHECK(hg_link_open(context, HG_DEALER, limits, &link) == HG_OK);
  CHECK(hg_link_connect(&link, "inproc://scheduler") == HG_OK);
  for (uint64_t permit = 1; permit <= COMMANDS; permit++) {
    struct hg_message settle;
    uint8_t frame[256];
    hg_message_init(&settle, HG_SETTLE);
    settle.as.settle.permit = permit;
    const struct hg_bytes bytes = {frame, (uint32_t)hg_frame_encode(&settle, frame, sizeof frame)};
    CHECK(hg_link_send(&link, 0, (struct hg_bytes){0}, bytes) == HG_OK);
  }
  hg_link_close(&link);
}

TEST(shell, a_peer_that_is_gone_is_heard_to_its_end) {
  const struct hg_link_limits actor_side = HG_ACTOR_SIDE, peer_side = HG_PEER_SIDE;
  struct answering actor = {0};
  struct hg_shell shell = {.actor = {"hg-test", &actor, receive, flush, NULL, NULL}};
  void *context;
  CHECK(hg_context_new(&context) == HG_OK);
  CHECK(hg_link_open(context, HG_ROUTER, actor_side, &shell.links[HG_PORT_CLIENTS]) == HG_OK);
  CHECK(hg_link_bind(&shell.links[HG_PORT_CLIENTS], "inproc://scheduler") == HG_OK);
  CHECK(hg_link_open(context, HG_PAIR, peer_side, &shell.life) == HG_OK);
  CHECK(hg_link_bind(&shell.life, "inproc://life") == HG_OK);
  CHECK(hg_link_open(context, HG_PAIR, peer_side, &shell.links[HG_PORT_LIFE]) == HG_OK);
  CHECK(hg_link_connect(&shell.links[HG_PORT_LIFE], "inproc://life") == HG_OK);
  settle_and_go(context);
  usleep(200000); // a closed socket ends in a thread of libzmq
  CHECK(hg_shell_start(&shell) == HG_OK);
  uint32_t readable = 0;
  CHECK(hg_links_wait(&shell.life, 1, 1, WAIT_MS * INT64_C(1000), &readable) == HG_OK);
  CHECK(readable);
  hg_shell_join(&shell);
  CHECK_EQ(actor.settles_at_leave, COMMANDS);
  CHECK_EQ(actor.leaves, 1);
  CHECK_EQ(shell.died_with, HG_OK);
  CHECK_EQ(shell.counters.answers_undelivered, COMMANDS);
  for (int port = 0; port < HG_PORT_COUNT; port++)
    hg_link_close(&shell.links[port]);
  hg_link_close(&shell.life);
  hg_context_destroy(context);
}
