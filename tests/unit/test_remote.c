// The remote as a pure core: when the other runtime is gone, leases, and grants that nobody wants any more.
#include "actors/remote.h"

#include "bus/frames.h"
#include "support/core_driver.h"
#include "support/test.h"

#define CLIENT 7
#define OTHER 8
#define LIFE 5

struct scene {
  struct hg_test_setup setup;
  struct hg_test_actor remote;
};

static void at_ms(struct scene *scene, int64_t ms) {
  scene->remote.now.monotonic_us = ms * 1000;
  hg_test_flush(&scene->remote);
}

// The next command to the gateway but for greetings; HG_NONE: there is none.
static struct hg_message asked(struct scene *scene) {
  struct hg_message message = {.kind = HG_NONE};
  struct hg_test_pipe *pipe = &scene->remote.sent[HG_PORT_CONTROL];
  while (pipe->count > 0) {
    const struct hg_test_frame frame = hg_test_pipe_pop(pipe);
    CHECK_EQ(hg_outside_decode(frame.bytes, frame.size, &message), HG_OK);
    free(frame.bytes); // no text of it is looked at
    if (message.kind != HG_HELLO) return message;
  }
  return (struct hg_message){.kind = HG_NONE};
}

static void answer(struct scene *scene, const struct hg_message *message) {
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  struct hg_envelope in = {.port = HG_PORT_CONTROL, .message = *message, .frame = frame};
  in.frame_size = hg_outside_encode(message, frame, sizeof frame);
  CHECK(in.frame_size > 0);
  scene->remote.actor.receive(scene->remote.actor.self, scene->remote.now, &in, &scene->remote.out);
  hg_test_flush(&scene->remote);
}

static void welcome(struct scene *scene, uint64_t life) {
  struct hg_message message;
  hg_message_init(&message, HG_WELCOME);
  message.as.welcome.life = life;
  answer(scene, &message);
}

static void done(struct scene *scene, uint64_t request, hg_err err) {
  struct hg_message message;
  hg_message_done(&message, request, err, "");
  answer(scene, &message);
}

static void begin(struct scene *scene) {
  *scene = (struct scene){0};
  hg_test_setup_init(&scene->setup, 1000, 4);
  CHECK_EQ(hg_remote_new(&scene->setup.config, LIFE, &scene->remote.actor), HG_OK);
  at_ms(scene, 1);
  welcome(scene, LIFE);
}

static void end(struct scene *scene) {
  hg_test_actor_destroy(&scene->remote);
}

static void send(struct scene *scene, enum hg_port port, hg_peer peer, const struct hg_message *message) {
  hg_test_send(&scene->remote, port, peer, message);
  hg_test_flush(&scene->remote);
}

static void acquire(struct scene *scene, hg_peer peer, uint64_t request, uint64_t lease_us) {
  struct hg_message message;
  hg_message_init(&message, HG_ACQUIRE);
  message.as.acquire.request = request;
  message.as.acquire.min_tokens = message.as.acquire.max_tokens = 10;
  message.as.acquire.lease_us = lease_us;
  send(scene, HG_PORT_SCHEDULER, peer, &message);
}

// Of an acquire that was put to the gateway.
static uint64_t acquired_as(struct scene *scene) {
  const struct hg_message message = asked(scene);
  CHECK_EQ(message.kind, HG_ACQUIRE_PERMIT);
  return message.as.acquire_permit.request;
}

static void grant(struct scene *scene, uint64_t request, uint64_t permit) {
  struct hg_message message;
  hg_message_init(&message, HG_PERMIT_GRANTED);
  message.as.permit_granted.request = request;
  message.as.permit_granted.permit = permit;
  message.as.permit_granted.tokens = 10;
  answer(scene, &message);
}

static uint64_t hold(struct scene *scene, hg_peer peer, uint64_t request, uint64_t permit, uint64_t lease_us) {
  acquire(scene, peer, request, lease_us);
  grant(scene, acquired_as(scene), permit);
  const struct hg_message granted = hg_test_expect(&scene->remote, HG_PORT_SCHEDULER, peer, HG_GRANTED);
  CHECK_EQ(granted.as.granted.request, request);
  CHECK_EQ(granted.as.granted.permit, permit);
  return permit;
}

static void record(struct scene *scene, hg_peer peer, uint64_t number) {
  struct hg_message message;
  hg_message_init(&message, HG_RECORD_USAGE);
  message.as.record_usage.number = number;
  message.as.record_usage.tokens = 1;
  send(scene, HG_PORT_TRACKER, peer, &message);
}

static void settle(struct scene *scene, hg_peer peer, uint64_t permit) {
  struct hg_message message;
  hg_message_init(&message, HG_SETTLE);
  message.as.settle.permit = permit;
  send(scene, HG_PORT_SCHEDULER, peer, &message);
}

static void check_released(struct scene *scene, uint64_t permit) {
  const struct hg_message message = asked(scene);
  CHECK_EQ(message.kind, HG_RELEASE_PERMIT);
  CHECK_EQ(message.as.release_permit.permit, permit);
}

// ------------------------------------------------------------------------------------------------ numbers

TEST(remote, numbers_are_answered_in_their_order_whatever_comes_first) {
  struct scene scene;
  begin(&scene);
  uint64_t requests[4];
  for (uint64_t i = 0; i < 3; i++) {
    record(&scene, CLIENT, i + 1);
    requests[i] = asked(&scene).as.record.request;
  }
  record(&scene, OTHER, 1);
  requests[3] = asked(&scene).as.record.request;
  done(&scene, requests[1], HG_ERR_RANGE);
  CHECK(hg_test_is_silent(&scene.remote, HG_PORT_TRACKER));
  done(&scene, requests[3], HG_OK);
  CHECK_EQ(hg_test_expect(&scene.remote, HG_PORT_TRACKER, OTHER, HG_RECORDED).as.recorded.number, 1);
  done(&scene, requests[0], HG_OK);
  const struct hg_message rejected = hg_test_expect(&scene.remote, HG_PORT_TRACKER, CLIENT, HG_REJECTED);
  CHECK_EQ(rejected.as.rejected.number, 2);
  CHECK_EQ(rejected.as.rejected.error, HG_ERR_RANGE);
  CHECK_EQ(hg_test_expect(&scene.remote, HG_PORT_TRACKER, CLIENT, HG_RECORDED).as.recorded.number, 2);
  done(&scene, requests[2], HG_OK);
  CHECK_EQ(hg_test_expect(&scene.remote, HG_PORT_TRACKER, CLIENT, HG_RECORDED).as.recorded.number, 3);
  record(&scene, CLIENT, 4);
  end(&scene); // unanswered, which a leak would show
}

// ------------------------------------------------------------------------------------------------ leases

TEST(remote, renews_what_is_held_here_and_leaves_leases_of_clients_to_them) {
  struct scene scene;
  begin(&scene);
  (void)hold(&scene, CLIENT, 1, 100, 0);
  (void)hold(&scene, CLIENT, 2, 200, 5000000);
  for (int64_t ms = 1000; ms < 10000; ms += 1000) {
    at_ms(&scene, ms);
    welcome(&scene, LIFE);
  }
  CHECK_EQ(asked(&scene).kind, HG_NONE);
  at_ms(&scene, 10001);
  const struct hg_message renewal = asked(&scene);
  CHECK_EQ(renewal.kind, HG_RENEW_PERMIT);
  CHECK_EQ(renewal.as.renew_permit.permit, 100);
  CHECK_EQ(asked(&scene).kind, HG_NONE);
  settle(&scene, CLIENT, 100);
  const struct hg_message ended = asked(&scene);
  CHECK_EQ(ended.kind, HG_SETTLE_PERMIT);
  done(&scene, ended.as.settle_permit.request, HG_OK);
  CHECK_EQ(hg_test_expect(&scene.remote, HG_PORT_SCHEDULER, CLIENT, HG_SETTLED).as.settled.error, HG_OK);
  welcome(&scene, LIFE);
  at_ms(&scene, 20002);
  CHECK_EQ(asked(&scene).kind, HG_NONE);
  end(&scene);
}

TEST(remote, what_a_client_holds_when_it_goes_is_not_renewed) {
  struct scene scene;
  begin(&scene);
  (void)hold(&scene, CLIENT, 1, 100, 0);
  (void)hold(&scene, OTHER, 2, 200, 0);
  acquire(&scene, CLIENT, 3, 0);
  const uint64_t waiting = acquired_as(&scene);
  struct hg_message leave;
  hg_message_init(&leave, HG_LEAVE);
  leave.as.leave.gone = true;
  send(&scene, HG_PORT_SCHEDULER, CLIENT, &leave);
  const struct hg_message cancelled = asked(&scene);
  CHECK_EQ(cancelled.kind, HG_CANCEL_ACQUIRE);
  CHECK_EQ(cancelled.as.cancel_acquire.request, waiting);
  grant(&scene, waiting, 300); // it was faster
  check_released(&scene, 300);
  CHECK(hg_test_is_silent(&scene.remote, HG_PORT_SCHEDULER));
  at_ms(&scene, 9000);
  welcome(&scene, LIFE);
  at_ms(&scene, 10002);
  CHECK_EQ(asked(&scene).as.renew_permit.permit, 200);
  CHECK_EQ(asked(&scene).kind, HG_NONE);
  struct hg_message drain; // nor does a drain wait for it
  hg_message_init(&drain, HG_DRAIN);
  drain.as.drain.timeout_us = 5000000;
  send(&scene, HG_PORT_SCHEDULER, OTHER, &leave);
  send(&scene, HG_PORT_LIFE, 0, &drain);
  CHECK_EQ(hg_test_expect(&scene.remote, HG_PORT_LIFE, 0, HG_DRAINED).as.drained.open_permits, 0);
  end(&scene);
}

// It came back from the link to the client.
TEST(remote, a_grant_that_finds_nobody_is_released) {
  struct scene scene;
  begin(&scene);
  (void)hold(&scene, CLIENT, 1, 100, 0);
  struct hg_envelope in = {.port = HG_PORT_SCHEDULER, .peer = CLIENT, .undelivered = true};
  hg_message_init(&in.message, HG_SETTLED); // whoever is gone need not hear of that
  scene.remote.actor.receive(scene.remote.actor.self, scene.remote.now, &in, &scene.remote.out);
  hg_test_flush(&scene.remote);
  CHECK_EQ(asked(&scene).kind, HG_NONE);
  hg_message_init(&in.message, HG_GRANTED);
  in.message.as.granted.request = 1;
  in.message.as.granted.permit = 100;
  scene.remote.actor.receive(scene.remote.actor.self, scene.remote.now, &in, &scene.remote.out);
  hg_test_flush(&scene.remote);
  check_released(&scene, 100);
  at_ms(&scene, 9000);
  welcome(&scene, LIFE);
  at_ms(&scene, 20000);
  CHECK_EQ(asked(&scene).kind, HG_NONE); // nor is it renewed
  end(&scene);
}

// ------------------------------------------------------------------------------------------------ passed on

TEST(remote, savings_are_passed_on_while_somebody_is_there) {
  struct scene scene;
  begin(&scene);
  struct hg_message told;
  hg_message_init(&told, HG_TELL_SAVINGS);
  told.as.tell_savings.saved = 700;
  told.as.tell_savings.overran = 2;
  send(&scene, HG_PORT_TRACKER, CLIENT, &told);
  const struct hg_message passed = asked(&scene);
  CHECK_EQ(passed.kind, HG_SAVINGS);
  CHECK_EQ(passed.as.savings.saved, 700);
  CHECK_EQ(passed.as.savings.overran, 2);
  welcome(&scene, LIFE + 1); // it is another runtime
  send(&scene, HG_PORT_TRACKER, CLIENT, &told);
  CHECK_EQ(asked(&scene).kind, HG_NONE);
  end(&scene);
}

static struct hg_orphan_message orphan_of(struct scene *scene, const char *state) {
  struct hg_message message;
  hg_message_init(&message, HG_GET_ORPHAN);
  message.as.get_orphan.request = 4;
  message.as.get_orphan.after = 99;
  send(scene, HG_PORT_TRACKER, CLIENT, &message);
  const struct hg_message question = asked(scene);
  CHECK_EQ(question.kind, HG_LIST_ORPHANS);
  CHECK_EQ(question.as.list_orphans.after, 99);
  hg_message_init(&message, HG_ORPHAN_REPORT);
  message.as.orphan_report.request = question.as.list_orphans.request;
  if (state) {
    message.as.orphan_report.permit = 100;
    message.as.orphan_report.budget = hg_text_of("team");
    message.as.orphan_report.tokens = 30;
    message.as.orphan_report.state = hg_text_of(state);
    message.as.orphan_report.task_id = hg_text_of("a task");
  }
  answer(scene, &message);
  const struct hg_message orphan = hg_test_expect(&scene->remote, HG_PORT_TRACKER, CLIENT, HG_ORPHAN);
  CHECK_EQ(orphan.as.orphan.request, 4);
  CHECK_EQ(orphan.as.orphan.error, HG_OK);
  return orphan.as.orphan;
}

TEST(remote, orphans_are_told_as_inside) {
  struct scene scene;
  begin(&scene);
  const uint32_t team = hg_test_setup_budget(&scene.setup, "team", 0, 500);
  struct hg_orphan_message orphan = orphan_of(&scene, "charged");
  CHECK_EQ(orphan.permit, 100);
  CHECK_EQ(orphan.budget, team);
  CHECK(orphan.tokens == 30 && orphan.charged == 30 && !orphan.kept);
  CHECK(hg_text_equal(orphan.task_id, hg_text_of("a task")));
  orphan = orphan_of(&scene, "kept");
  CHECK(orphan.tokens == 30 && orphan.charged == 0 && orphan.kept);
  CHECK_EQ(orphan_of(&scene, NULL).permit, 0); // there are no more
  end(&scene);
}

// ------------------------------------------------------------------------------------------------ it is gone

static void ask_everything(struct scene *scene) {
  record(scene, CLIENT, 1);
  record(scene, CLIENT, 2);
  acquire(scene, CLIENT, 3, 0);
  settle(scene, OTHER, 9);
  struct hg_message message;
  hg_message_init(&message, HG_GET_USAGE);
  message.as.get_usage.request = 4;
  send(scene, HG_PORT_TRACKER, OTHER, &message);
  hg_message_init(&message, HG_RENEW);
  message.as.renew.request = 5;
  message.as.renew.permit = 9;
  send(scene, HG_PORT_SCHEDULER, CLIENT, &message);
}

// One answer to each, all of them HG_ERR_STORE.
static void check_all_lost(struct scene *scene) {
  struct hg_message message;
  hg_peer peer;
  unsigned told = 0;
  uint64_t last = 0;
  while (hg_test_take(&scene->remote, HG_PORT_TRACKER, &peer, &message)) {
    if (message.kind == HG_REJECTED) CHECK_EQ(message.as.rejected.error, HG_ERR_STORE);
    if (message.kind == HG_REJECTED) CHECK(message.as.rejected.number == last + 1);
    if (message.kind == HG_REJECTED) last = message.as.rejected.number;
    if (message.kind == HG_USAGE) CHECK_EQ(message.as.usage.error, HG_ERR_STORE);
    told += message.kind != HG_RECORDED;
  }
  while (hg_test_take(&scene->remote, HG_PORT_SCHEDULER, &peer, &message)) {
    if (message.kind == HG_REFUSED) CHECK_EQ(message.as.refused.error, HG_ERR_STORE);
    else if (message.kind == HG_SETTLED) CHECK_EQ(message.as.settled.error, HG_ERR_STORE);
    else CHECK_EQ(message.as.done.error, HG_ERR_STORE);
    told++;
  }
  CHECK_EQ(told, 6);
}

TEST(remote, a_silent_runtime_counts_as_gone) {
  struct scene scene;
  begin(&scene);
  at_ms(&scene, 9000);
  welcome(&scene, LIFE);
  ask_everything(&scene);
  for (int64_t second = 10; second < 20; second++) {
    at_ms(&scene, second * 1000); // asks, and nobody answers
    CHECK(hg_test_is_silent(&scene.remote, HG_PORT_TRACKER) && hg_test_is_silent(&scene.remote, HG_PORT_SCHEDULER));
  }
  at_ms(&scene, 19999);
  CHECK(hg_test_is_silent(&scene.remote, HG_PORT_TRACKER) && hg_test_is_silent(&scene.remote, HG_PORT_SCHEDULER));
  at_ms(&scene, 20000);
  check_all_lost(&scene);
  CHECK_EQ(scene.remote.wake, HG_NEVER);
  ask_everything(&scene); // and so is all that comes later
  check_all_lost(&scene);
  end(&scene);
}

// It was this process that stood still.
TEST(remote, a_pause_of_our_own_says_nothing) {
  struct scene scene;
  begin(&scene);
  (void)hold(&scene, CLIENT, 1, 100, 0);
  record(&scene, CLIENT, 1);
  const uint64_t request = asked(&scene).as.record.request;
  at_ms(&scene, 60000);
  welcome(&scene, LIFE);
  at_ms(&scene, 120000);
  done(&scene, request, HG_OK);
  CHECK_EQ(hg_test_expect(&scene.remote, HG_PORT_TRACKER, CLIENT, HG_RECORDED).as.recorded.number, 1);
  end(&scene);
}

TEST(remote, another_life_is_another_runtime) {
  struct scene scene;
  begin(&scene);
  ask_everything(&scene);
  while (asked(&scene).kind != HG_NONE)
    ;
  welcome(&scene, LIFE + 1);
  check_all_lost(&scene);
  grant(&scene, 3, 300); // of an acquire that the new one has heard of
  check_released(&scene, 300);
  end(&scene);
}

// ------------------------------------------------------------------------------------------------ the end

TEST(remote, drains_until_all_is_settled_or_the_time_is_over) {
  for (int settles = 0; settles <= 1; settles++) {
    struct scene scene;
    begin(&scene);
    (void)hold(&scene, CLIENT, 1, 100, 0);
    acquire(&scene, CLIENT, 2, 0);
    const uint64_t waiting = acquired_as(&scene);
    struct hg_message message;
    hg_message_init(&message, HG_DRAIN);
    message.as.drain.timeout_us = 5000000;
    send(&scene, HG_PORT_LIFE, 0, &message);
    CHECK_EQ(hg_test_expect(&scene.remote, HG_PORT_SCHEDULER, CLIENT, HG_REFUSED).as.refused.error, HG_ERR_CLOSED);
    CHECK_EQ(asked(&scene).kind, HG_CANCEL_ACQUIRE);
    grant(&scene, waiting, 300);
    check_released(&scene, 300);
    acquire(&scene, CLIENT, 3, 0);
    CHECK_EQ(hg_test_expect(&scene.remote, HG_PORT_SCHEDULER, CLIENT, HG_REFUSED).as.refused.error, HG_ERR_CLOSED);
    CHECK(hg_test_is_silent(&scene.remote, HG_PORT_LIFE));
    if (settles) {
      settle(&scene, CLIENT, 100);
      done(&scene, asked(&scene).as.settle_permit.request, HG_OK);
    } else {
      at_ms(&scene, 5001);
    }
    CHECK_EQ(hg_test_expect(&scene.remote, HG_PORT_LIFE, 0, HG_DRAINED).as.drained.open_permits, !settles);
    end(&scene);
  }
}

TEST(remote, ends_when_all_is_answered) {
  struct scene scene;
  begin(&scene);
  record(&scene, CLIENT, 1);
  const uint64_t request = asked(&scene).as.record.request;
  struct hg_message stop;
  hg_message_init(&stop, HG_STOP);
  send(&scene, HG_PORT_LIFE, 0, &stop);
  CHECK(!scene.remote.finished);
  done(&scene, request, HG_OK);
  CHECK(scene.remote.finished);
  CHECK_EQ(hg_test_expect(&scene.remote, HG_PORT_LIFE, 0, HG_STOPPED).as.stopped.error, HG_OK);
  end(&scene);
}
