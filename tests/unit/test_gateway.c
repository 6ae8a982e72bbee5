// The gateway as a pure core: who is gone or silent, and numbers that the tracker did not take.
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
  struct hg_message answer; // the one taken last, by COMMAND_DONE or PERMIT_GRANTED
};

static void begin(struct scene *scene) {
  *scene = (struct scene){0};
  hg_test_setup_init(&scene->setup, 1000, 4);
  scene->setup.state.opening = 3;
  CHECK_EQ(hg_gateway_new(&scene->setup.config, "ipc:///events", &scene->setup.state, &scene->gateway.actor), HG_OK);
}

static void end(struct scene *scene) {
  hg_test_actor_destroy(&scene->gateway);
}

static void send(struct scene *scene, hg_peer peer, const struct hg_message *message, bool undelivered) {
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  const struct hg_names no_names = {"", NULL, 0};
  struct hg_envelope in = {.port = HG_PORT_CONTROL, .peer = peer, .message = *message, .undelivered = undelivered};
  in.frame_size = message->kind == HG_LEAVE ? 0 : hg_outside_encode(message, &no_names, frame, sizeof frame);
  in.frame = frame;
  scene->gateway.actor.receive(scene->gateway.actor.self, scene->gateway.now, &in, &scene->gateway.out);
  hg_test_flush(&scene->gateway);
}

// The next answer to an outsider.
static const struct hg_message *answer(struct scene *scene, hg_peer peer) {
  struct hg_test_frame frame = hg_test_pipe_pop(&scene->gateway.sent[HG_PORT_CONTROL]);
  CHECK_EQ(frame.peer, peer);
  CHECK_EQ(hg_outside_decode(frame.bytes, frame.size, &scene->answer), HG_OK);
  if (scene->answer.kind == HG_COMMAND_DONE) scene->answer.as.command_done.reason = (struct hg_text){0}; // of the frame
  free(frame.bytes);
  return &scene->answer;
}

static void check_done(struct scene *scene, hg_peer peer, uint64_t request, hg_err err) {
  const struct hg_message *done = answer(scene, peer);
  CHECK_EQ(done->kind, HG_COMMAND_DONE);
  CHECK_EQ(done->as.command_done.request, request);
  CHECK_EQ(done->as.command_done.error, err);
}

static uint64_t acquire(struct scene *scene, hg_peer peer, uint64_t request, uint32_t lease_ms) {
  struct hg_message wish;
  hg_message_init(&wish, HG_ACQUIRE_PERMIT);
  wish.as.acquire_permit.request = request;
  wish.as.acquire_permit.max_tokens = 10;
  wish.as.acquire_permit.lease_ms = lease_ms;
  send(scene, peer, &wish, false);
  return hg_test_expect(&scene->gateway, HG_PORT_SCHEDULER, 0, HG_ACQUIRE).as.acquire.request;
}

static void grant(struct scene *scene, uint64_t permit) {
  struct hg_message granted;
  hg_message_init(&granted, HG_GRANTED);
  granted.as.granted.request = permit;
  granted.as.granted.tokens = 10;
  hg_test_send(&scene->gateway, HG_PORT_SCHEDULER, 0, &granted);
  hg_test_flush(&scene->gateway);
}

static void ping(struct scene *scene, hg_peer peer) {
  struct hg_message message;
  hg_message_init(&message, HG_PING);
  message.as.ping.request = 5;
  send(scene, peer, &message, false);
  check_done(scene, peer, 5, HG_OK);
}

static void at_ms(struct scene *scene, int64_t ms) {
  scene->gateway.now.monotonic_us = ms * 1000;
  hg_test_flush(&scene->gateway);
}

static void check_given_up(struct scene *scene, uint64_t permit) {
  const struct hg_message cancel = hg_test_expect(&scene->gateway, HG_PORT_SCHEDULER, 0, HG_CANCEL);
  CHECK_EQ(cancel.as.cancel.request, permit);
  CHECK(cancel.as.cancel.give_back);
}

TEST(gateway, ids_are_of_this_opening_and_of_no_client_inside) {
  struct scene scene;
  begin(&scene);
  const uint64_t permit = acquire(&scene, OUTSIDER, 1, 0);
  CHECK_EQ(permit >> HG_IDS_AN_OPENING_BITS, 3);
  CHECK(permit & HG_IDS_OF_OUTSIDERS);
  CHECK_EQ(acquire(&scene, OTHER, 1, 0), permit + 1);
  grant(&scene, permit + 1);
  CHECK_EQ(answer(&scene, OTHER)->as.permit_granted.permit, permit + 1);
  grant(&scene, permit);
  CHECK_EQ(answer(&scene, OUTSIDER)->as.permit_granted.lease_ms, HG_LEASE_MS_OUTSIDE);
  end(&scene);
}

TEST(gateway, an_acquire_waits_as_long_as_its_outsider_is_heard) {
  struct scene scene;
  begin(&scene);
  const uint64_t first = acquire(&scene, OUTSIDER, 1, 300), second = acquire(&scene, OUTSIDER, 2, 1000);
  const uint64_t other = acquire(&scene, OTHER, 1, 300);
  CHECK_EQ(scene.gateway.wake, 300000);
  at_ms(&scene, 200);
  ping(&scene, OUTSIDER);
  at_ms(&scene, 300);
  check_given_up(&scene, other);
  CHECK(hg_test_is_silent(&scene.gateway, HG_PORT_SCHEDULER));
  CHECK_EQ(scene.gateway.wake, 500000);
  at_ms(&scene, 500);
  check_given_up(&scene, first);
  at_ms(&scene, 600);
  ping(&scene, OUTSIDER); // too late for the first
  at_ms(&scene, 1500);
  CHECK(hg_test_is_silent(&scene.gateway, HG_PORT_SCHEDULER));
  at_ms(&scene, 1600);
  check_given_up(&scene, second);
  CHECK_EQ(scene.gateway.wake, HG_NEVER);
  // The scheduler answers once all the same: the grant was faster, and is released by it.
  grant(&scene, first);
  check_done(&scene, OUTSIDER, 1, HG_ERR_CANCELLED);
  end(&scene);
}

TEST(gateway, what_a_gone_outsider_waits_for_is_given_up) {
  struct scene scene;
  begin(&scene);
  const uint64_t permit = acquire(&scene, OUTSIDER, 1, 0);
  (void)acquire(&scene, OTHER, 1, 0);
  struct hg_message leave;
  hg_message_init(&leave, HG_LEAVE);
  send(&scene, OUTSIDER, &leave, false);
  check_given_up(&scene, permit);
  CHECK(hg_test_is_silent(&scene.gateway, HG_PORT_SCHEDULER));
  send(&scene, OUTSIDER, &leave, false); // nothing twice
  CHECK(hg_test_is_silent(&scene.gateway, HG_PORT_SCHEDULER));
  end(&scene);
}

TEST(gateway, a_grant_that_finds_nobody_is_released_and_nobody_can_say_so) {
  struct scene scene;
  begin(&scene);
  const uint64_t permit = acquire(&scene, OUTSIDER, 1, 0);
  grant(&scene, permit);
  const struct hg_message granted = *answer(&scene, OUTSIDER);
  send(&scene, OTHER, &granted, false);
  check_done(&scene, OTHER, 0, HG_ERR_PROTOCOL);
  CHECK(hg_test_is_silent(&scene.gateway, HG_PORT_SCHEDULER));
  send(&scene, OUTSIDER, &granted, true);
  const struct hg_message release = hg_test_expect(&scene.gateway, HG_PORT_SCHEDULER, 0, HG_RELEASE);
  CHECK_EQ(release.as.release.permit, permit);
  struct hg_message settled;
  hg_message_init(&settled, HG_SETTLED);
  settled.as.settled.permit = permit;
  hg_test_send(&scene.gateway, HG_PORT_SCHEDULER, 0, &settled);
  CHECK(hg_test_is_silent(&scene.gateway, HG_PORT_CONTROL));
  end(&scene);
}

static uint64_t limit(struct scene *scene, uint64_t request) {
  struct hg_message wish;
  hg_message_init(&wish, HG_LIMIT);
  wish.as.limit.request = request;
  wish.as.limit.tokens = 5;
  send(scene, OUTSIDER, &wish, false);
  return hg_test_expect(&scene->gateway, HG_PORT_TRACKER, 0, HG_SET_HARD_LIMIT).as.set_hard_limit.number;
}

static void reject(struct scene *scene, uint64_t number, hg_err err) {
  struct hg_message rejected;
  hg_message_init(&rejected, HG_REJECTED);
  rejected.as.rejected.number = number;
  rejected.as.rejected.error = (uint32_t)err;
  hg_test_send(&scene->gateway, HG_PORT_TRACKER, 0, &rejected);
  hg_test_flush(&scene->gateway);
}

static void record(struct scene *scene, uint64_t number) {
  struct hg_message recorded;
  hg_message_init(&recorded, HG_RECORDED);
  recorded.as.recorded.number = number;
  hg_test_send(&scene->gateway, HG_PORT_TRACKER, 0, &recorded);
  hg_test_flush(&scene->gateway);
}

TEST(gateway, numbers_are_answered_cumulatively_and_each_with_its_own_refusal) {
  struct scene scene;
  begin(&scene);
  for (uint64_t i = 1; i <= 4; i++)
    CHECK_EQ(limit(&scene, 100 + i), i);
  reject(&scene, 2, HG_ERR_RANGE);
  CHECK(hg_test_is_silent(&scene.gateway, HG_PORT_CONTROL));
  record(&scene, 3);
  check_done(&scene, OUTSIDER, 101, HG_OK);
  check_done(&scene, OUTSIDER, 102, HG_ERR_RANGE);
  check_done(&scene, OUTSIDER, 103, HG_OK);
  CHECK(hg_test_is_silent(&scene.gateway, HG_PORT_CONTROL));
  reject(&scene, 4, HG_ERR_STORE);
  check_done(&scene, OUTSIDER, 104, HG_ERR_STORE);
  end(&scene);
}

// Refused without being taken, a number is free, and so are those behind it: the next command has it.
TEST(gateway, a_number_that_was_not_taken_is_given_again) {
  struct scene scene;
  begin(&scene);
  CHECK_EQ(limit(&scene, 1), 1);
  record(&scene, 1);
  check_done(&scene, OUTSIDER, 1, HG_OK);
  CHECK_EQ(limit(&scene, 2), 2);
  CHECK_EQ(limit(&scene, 3), 3);
  reject(&scene, 2, HG_ERR_BUSY);
  check_done(&scene, OUTSIDER, 2, HG_ERR_BUSY);
  reject(&scene, 3, HG_ERR_SEQUENCE);
  check_done(&scene, OUTSIDER, 3, HG_ERR_SEQUENCE);
  CHECK_EQ(limit(&scene, 4), 2);
  record(&scene, 2);
  check_done(&scene, OUTSIDER, 4, HG_OK);
  end(&scene);
}

TEST(gateway, whoever_is_unanswered_at_the_end_hears_so) {
  struct scene scene;
  begin(&scene);
  (void)acquire(&scene, OUTSIDER, 1, 0);
  (void)limit(&scene, 2);
  struct hg_message settle, stop;
  hg_message_init(&settle, HG_SETTLE_PERMIT);
  settle.as.settle_permit.permit = 9;
  for (uint64_t request = 3; request <= 4; request++) { // two that end the same permit
    settle.as.settle_permit.request = request;
    send(&scene, OTHER, &settle, false);
  }
  hg_message_init(&stop, HG_STOP);
  hg_test_send(&scene.gateway, HG_PORT_LIFE, 0, &stop);
  hg_test_flush(&scene.gateway);
  check_done(&scene, OUTSIDER, 1, HG_ERR_CLOSED);
  check_done(&scene, OTHER, 3, HG_ERR_CLOSED);
  check_done(&scene, OTHER, 4, HG_ERR_CLOSED);
  check_done(&scene, OUTSIDER, 2, HG_ERR_CLOSED);
  CHECK(scene.gateway.finished);
  end(&scene);
}
