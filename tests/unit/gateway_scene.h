// What the tests of the gateway share: a gateway alone, what outsiders say to it, and what they hear.
#ifndef HG_GATEWAY_SCENE_H
#define HG_GATEWAY_SCENE_H

#include "actors/gateway.h"
#include "bus/frames.h"
#include "support/core_driver.h"
#include "support/test.h"

#include <string.h>

#define OUTSIDER 77
#define OTHER 78

struct scene {
  struct hg_test_setup setup;
  struct hg_test_actor gateway;
  struct hg_gateway_readers readers;
  struct hg_message answer; // the one taken last, by COMMAND_DONE or PERMIT_GRANTED
};

static inline void begin(struct scene *scene) {
  *scene = (struct scene){0};
  hg_test_setup_init(&scene->setup, 1000, 4);
  scene->setup.state.opening = 3;
  CHECK_EQ(
      hg_gateway_new(&scene->setup.config, "ipc:///events", &scene->setup.state, scene->readers, &scene->gateway.actor),
      HG_OK);
}

static inline void end(struct scene *scene) {
  hg_test_actor_destroy(&scene->gateway);
}

static inline void send(struct scene *scene, hg_peer peer, const struct hg_message *message, bool undelivered) {
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  struct hg_envelope in = {.port = HG_PORT_CONTROL, .peer = peer, .message = *message, .undelivered = undelivered};
  in.frame_size = message->kind == HG_LEAVE ? 0 : hg_outside_encode(message, frame, sizeof frame);
  in.frame = frame;
  scene->gateway.actor.receive(scene->gateway.actor.self, scene->gateway.now, &in, &scene->gateway.out);
  hg_test_flush(&scene->gateway);
}

// The next answer to an outsider.
static inline const struct hg_message *answer(struct scene *scene, hg_peer peer) {
  struct hg_test_frame frame = hg_test_pipe_pop(&scene->gateway.sent[HG_PORT_CONTROL]);
  CHECK_EQ(frame.peer, peer);
  CHECK_EQ(hg_outside_decode(frame.bytes, frame.size, &scene->answer), HG_OK);
  if (scene->answer.kind == HG_COMMAND_DONE) scene->answer.as.command_done.reason = (struct hg_text){0}; // of the frame
  free(frame.bytes);
  return &scene->answer;
}

static inline void check_done(struct scene *scene, hg_peer peer, uint64_t request, hg_err err) {
  const struct hg_message *done = answer(scene, peer);
  CHECK_EQ(done->kind, HG_COMMAND_DONE);
  CHECK_EQ(done->as.command_done.request, request);
  CHECK_EQ(done->as.command_done.error, err);
}

static inline uint64_t acquire(struct scene *scene, hg_peer peer, uint64_t request, uint32_t lease_ms) {
  struct hg_message wish;
  hg_message_init(&wish, HG_ACQUIRE_PERMIT);
  wish.as.acquire_permit.request = request;
  wish.as.acquire_permit.max_tokens = 10;
  wish.as.acquire_permit.lease_ms = lease_ms;
  send(scene, peer, &wish, false);
  return hg_test_expect(&scene->gateway, HG_PORT_SCHEDULER, 0, HG_ACQUIRE).as.acquire.request;
}

static inline void grant(struct scene *scene, uint64_t permit) {
  struct hg_message granted;
  hg_message_init(&granted, HG_GRANTED);
  granted.as.granted.request = permit;
  granted.as.granted.tokens = 10;
  hg_test_send(&scene->gateway, HG_PORT_SCHEDULER, 0, &granted);
  hg_test_flush(&scene->gateway);
}

static inline void ping(struct scene *scene, hg_peer peer) {
  struct hg_message message;
  hg_message_init(&message, HG_PING);
  message.as.ping.request = 5;
  send(scene, peer, &message, false);
  check_done(scene, peer, 5, HG_OK);
}

static inline void at_ms(struct scene *scene, int64_t ms) {
  scene->gateway.now.monotonic_us = ms * 1000;
  hg_test_flush(&scene->gateway);
}

static inline void check_given_up(struct scene *scene, uint64_t permit) {
  const struct hg_message cancel = hg_test_expect(&scene->gateway, HG_PORT_SCHEDULER, 0, HG_CANCEL);
  CHECK_EQ(cancel.as.cancel.request, permit);
  CHECK(cancel.as.cancel.give_back);
}

#endif
