// The gateway as a pure core: who is gone or silent, and numbers that the tracker did not take.
#include "gateway_scene.h"

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
  check_done(&scene, OTHER, 1, HG_ERR_PROTOCOL);
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

TEST(gateway, what_cannot_be_read_is_refused_under_its_number) {
  static const struct {
    const char *frame;
    uint64_t request;
  } frames[] = {{"\x82\xa4type\xa2NO\xa7request\x07", 7},
                {"\x82\xa7request\x08\xa4type\x05", 8},
                {"\x81\xa4type\xa2NO", 0},
                {"\xc0", 0}};
  struct scene scene;
  begin(&scene);
  for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
    struct hg_envelope in = {.port = HG_PORT_CONTROL, .peer = OUTSIDER}; // as the shell gives it: HG_NONE
    in.frame = (const uint8_t *)frames[i].frame;
    in.frame_size = strlen(frames[i].frame);
    scene.gateway.actor.receive(scene.gateway.actor.self, scene.gateway.now, &in, &scene.gateway.out);
    hg_test_flush(&scene.gateway);
    check_done(&scene, OUTSIDER, frames[i].request, HG_ERR_PROTOCOL);
  }
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

// ------------------------------------------------------------------------------------------------ what is not said

// Through the codec, so that what is left out is.
static struct hg_message settle_frame(struct scene *scene, uint64_t permit, int64_t tokens, int64_t input,
                                      int64_t output) {
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  struct hg_message wish, read;
  hg_message_init(&wish, HG_SETTLE_PERMIT);
  wish.as.settle_permit = (struct hg_settle_permit_message){.permit = permit,
                                                            .tokens = tokens,
                                                            .input_tokens = input,
                                                            .output_tokens = output,
                                                            .cached_tokens = HG_UNKNOWN,
                                                            .cache_write_tokens = HG_UNKNOWN,
                                                            .reasoning_tokens = HG_UNKNOWN};
  const size_t size = hg_outside_encode(&wish, frame, sizeof frame);
  CHECK_EQ(hg_outside_decode(frame, size, &read), HG_OK);
  send(scene, OUTSIDER, &read, false);
  return hg_test_expect(&scene->gateway, HG_PORT_SCHEDULER, 0, HG_SETTLE);
}

TEST(gateway, a_settle_that_does_not_say_what_was_used_is_missing_and_0_is_said) {
  const struct {
    int64_t tokens, input, output, counted;
    uint32_t source;
  } cases[] = {{HG_UNKNOWN, HG_UNKNOWN, HG_UNKNOWN, 0, HG_SOURCE_MISSING},
               {HG_UNKNOWN, 70, HG_UNKNOWN, 0, HG_SOURCE_MISSING},
               {HG_UNKNOWN, HG_UNKNOWN, 70, 0, HG_SOURCE_MISSING},
               {HG_UNKNOWN, 70, 0, 70, HG_SOURCE_EXACT}, // embeddings
               {HG_UNKNOWN, 0, 0, 0, HG_SOURCE_EXACT},
               {0, HG_UNKNOWN, HG_UNKNOWN, 0, HG_SOURCE_EXACT},
               {0, 70, HG_UNKNOWN, 0, HG_SOURCE_EXACT},
               {9, 70, HG_UNKNOWN, 9, HG_SOURCE_EXACT}};
  struct scene scene;
  begin(&scene);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct hg_message told = settle_frame(&scene, i + 1, cases[i].tokens, cases[i].input, cases[i].output);
    CHECK_EQ(told.as.settle.tokens, cases[i].counted);
    CHECK_EQ(told.as.settle.source, cases[i].source);
    CHECK_EQ(told.as.settle.input_tokens, cases[i].input);
  }
  end(&scene);
}

TEST(gateway, lines_are_told_to_the_tracker_under_who_has_them) {
  struct scene scene;
  begin(&scene);
  struct hg_message told;
  hg_message_init(&told, HG_LINES);
  told.as.lines.lines = 2000;
  told.as.lines.budget = hg_text_of("nowhere");
  send(&scene, OUTSIDER, &told, false);
  CHECK(hg_test_is_silent(&scene.gateway, HG_PORT_TRACKER));
  told.as.lines.budget = hg_text_of("");
  send(&scene, OUTSIDER, &told, false);
  const struct hg_message passed = hg_test_expect(&scene.gateway, HG_PORT_TRACKER, 0, HG_TELL_LINES);
  CHECK_EQ(passed.as.tell_lines.from, OUTSIDER);
  CHECK_EQ(passed.as.tell_lines.budget, 0);
  CHECK_EQ(passed.as.tell_lines.lines, 2000);
  CHECK(hg_test_is_silent(&scene.gateway, HG_PORT_CONTROL)); // no answer
  end(&scene);
}

TEST(gateway, savings_are_told_to_the_tracker) {
  struct scene scene;
  begin(&scene);
  struct hg_message told;
  hg_message_init(&told, HG_SAVINGS);
  told.as.savings.saved = 700;
  told.as.savings.overran = 2;
  send(&scene, OUTSIDER, &told, false);
  const struct hg_message passed = hg_test_expect(&scene.gateway, HG_PORT_TRACKER, 0, HG_TELL_SAVINGS);
  CHECK_EQ(passed.as.tell_savings.saved, 700);
  CHECK_EQ(passed.as.tell_savings.overran, 2);
  CHECK(hg_test_is_silent(&scene.gateway, HG_PORT_CONTROL)); // no answer
  end(&scene);
}

// ------------------------------------------------------------------------------------------------ figures

static void tell_usage(struct scene *scene, uint64_t id, hg_err err) {
  struct hg_message told;
  hg_message_init(&told, HG_USAGE);
  told.as.usage.request = id;
  told.as.usage.error = (uint32_t)err;
  hg_test_send(&scene->gateway, HG_PORT_TRACKER, 0, &told);
  hg_test_flush(&scene->gateway);
}

static void tell_queue(struct scene *scene, uint64_t id, hg_err err) {
  struct hg_message told;
  hg_message_init(&told, HG_QUEUE);
  told.as.queue.request = id;
  told.as.queue.error = (uint32_t)err;
  hg_test_send(&scene->gateway, HG_PORT_SCHEDULER, 0, &told);
  hg_test_flush(&scene->gateway);
}

// Whichever of the two is missing: one answer.
TEST(gateway, a_status_of_which_a_part_is_not_known_is_refused) {
  const hg_err of_usage[] = {HG_ERR_STORE, HG_OK, HG_ERR_STORE}, of_queue[] = {HG_OK, HG_ERR_STORE, HG_ERR_STORE};
  struct scene scene;
  begin(&scene);
  for (uint64_t i = 0; i < 3; i++) {
    struct hg_message wish;
    hg_message_init(&wish, HG_STATUS);
    wish.as.status.request = i + 1;
    send(&scene, OUTSIDER, &wish, false);
    const uint64_t id = hg_test_expect(&scene.gateway, HG_PORT_TRACKER, 0, HG_GET_USAGE).as.get_usage.request;
    CHECK_EQ(hg_test_expect(&scene.gateway, HG_PORT_SCHEDULER, 0, HG_GET_QUEUE).as.get_queue.request, id);
    tell_usage(&scene, id, of_usage[i]);
    tell_queue(&scene, id, of_queue[i]);
    check_done(&scene, OUTSIDER, i + 1, HG_ERR_STORE);
    CHECK(hg_test_is_silent(&scene.gateway, HG_PORT_CONTROL));
  }
  end(&scene);
}

TEST(gateway, a_snapshot_of_which_a_part_is_not_known_is_refused) {
  struct scene scene;
  begin(&scene);
  for (uint64_t request = 1; request <= 2; request++) {
    struct hg_message wish, figures;
    hg_message_init(&wish, HG_SNAPSHOT);
    wish.as.snapshot.request = request;
    send(&scene, OUTSIDER, &wish, false);
    const uint64_t id = hg_test_expect(&scene.gateway, HG_PORT_SCHEDULER, 0, HG_GET_QUEUE).as.get_queue.request;
    tell_queue(&scene, id, request == 1 ? HG_ERR_STORE : HG_OK);
    if (request == 2) {
      CHECK_EQ(hg_test_expect(&scene.gateway, HG_PORT_TRACKER, 0, HG_GET_SNAPSHOT).as.get_snapshot.request, id);
      hg_message_init(&figures, HG_FIGURES);
      figures.as.figures.request = id;
      figures.as.figures.error = HG_ERR_STORE;
      hg_test_send(&scene.gateway, HG_PORT_TRACKER, 0, &figures);
      hg_test_flush(&scene.gateway);
    }
    check_done(&scene, OUTSIDER, request, HG_ERR_STORE);
    CHECK(hg_test_is_silent(&scene.gateway, HG_PORT_TRACKER));
  }
  end(&scene);
}

// ------------------------------------------------------------------------------------------------ shares of places

#define FIRST_HOG 1000

static void ask(struct scene *scene, hg_peer peer, enum hg_kind kind, uint64_t request) {
  struct hg_message wish;
  hg_message_init(&wish, kind);
  if (kind == HG_ACQUIRE_PERMIT) wish.as.acquire_permit = (struct hg_acquire_permit_message){.request = request};
  else if (kind == HG_RENEW_PERMIT) wish.as.renew_permit.request = request;
  else if (kind == HG_STATUS) wish.as.status.request = request;
  else wish.as.replay.request = request;
  if (kind == HG_ACQUIRE_PERMIT) wish.as.acquire_permit.max_tokens = 10;
  if (kind == HG_RENEW_PERMIT) wish.as.renew_permit.permit = 9;
  send(scene, peer, &wish, false);
}

// Asks until it is refused; how often it was not.
static uint32_t hog(struct scene *scene, hg_peer peer, enum hg_kind kind) {
  uint32_t taken = 0;
  for (; hg_test_is_silent(&scene->gateway, HG_PORT_CONTROL); taken++)
    ask(scene, peer, kind, 1 + taken);
  check_done(scene, peer, taken, HG_ERR_BUSY);
  return taken - 1;
}

static void forget_sent(struct scene *scene, enum hg_port port) {
  while (scene->gateway.sent[port].count)
    free(hg_test_pipe_pop(&scene->gateway.sent[port]).bytes);
}

TEST(gateway, acquires_of_many_leave_the_short_commands_and_the_ends_their_places) {
  struct scene scene;
  begin(&scene);
  uint32_t all = 0;
  for (hg_peer peer = FIRST_HOG; peer < FIRST_HOG + 9; peer++)
    all += hog(&scene, peer, HG_ACQUIRE_PERMIT);
  CHECK(all <= HG_OUTSIDE_ACQUIRES_MAX);
  CHECK_EQ(hog(&scene, FIRST_HOG, HG_STATUS), HG_OUTSIDER_SHORT_MAX);
  CHECK_EQ(hog(&scene, FIRST_HOG, HG_RENEW_PERMIT), HG_OUTSIDER_ENDS_MAX);
  CHECK_EQ(hog(&scene, OTHER, HG_STATUS), HG_OUTSIDER_SHORT_MAX);
  CHECK(hog(&scene, OTHER, HG_ACQUIRE_PERMIT) >= HG_OUTSIDER_LEAST);
  end(&scene);
}

// The threshold of half of what is free, for connections that ask by turns.
TEST(gateway, acquires_are_shared_and_something_is_left) {
  struct scene scene;
  begin(&scene);
  enum { HOGS = 9 };
  uint32_t taken[HOGS] = {0}, full = 0, all = 0;
  while (full < HOGS)
    for (uint32_t i = full = 0; i < HOGS; i++) {
      ask(&scene, FIRST_HOG + i, HG_ACQUIRE_PERMIT, 1);
      if (hg_test_is_silent(&scene.gateway, HG_PORT_CONTROL)) taken[i]++;
      else check_done(&scene, FIRST_HOG + i, 1, HG_ERR_BUSY), full++;
    }
  for (uint32_t i = 0; i < HOGS; all += taken[i++])
    CHECK(taken[i] >= taken[0] - 1 && taken[i] <= taken[0]);
  CHECK(taken[0] == HG_OUTSIDE_ACQUIRES_MAX / (HOGS + 2) || taken[0] == HG_OUTSIDE_ACQUIRES_MAX / (HOGS + 2) + 1);
  CHECK(HG_OUTSIDE_ACQUIRES_MAX - all >= 2 * HG_OUTSIDE_ACQUIRES_MAX / (HOGS + 2) - HOGS);
  end(&scene);
}

// One after another they fill all places. Who comes then pushes out who has the most, and is not pushed out itself.
TEST(gateway, a_newcomer_pushes_out_the_newest_acquire_of_who_has_the_most) {
  struct scene scene;
  begin(&scene);
  uint32_t all = 0, most = 0;
  for (hg_peer peer = FIRST_HOG; all < HG_OUTSIDE_ACQUIRES_MAX; peer++) {
    const uint32_t taken = hog(&scene, peer, HG_ACQUIRE_PERMIT);
    all += taken;
    if (peer == FIRST_HOG) most = taken;
  }
  CHECK_EQ(most, HG_OUTSIDER_ACQUIRES_MAX);
  forget_sent(&scene, HG_PORT_SCHEDULER);
  ask(&scene, OTHER, HG_ACQUIRE_PERMIT, 1);
  const uint64_t pushed = hg_test_expect(&scene.gateway, HG_PORT_SCHEDULER, 0, HG_CANCEL).as.cancel.request;
  (void)hg_test_expect(&scene.gateway, HG_PORT_SCHEDULER, 0, HG_ACQUIRE);
  struct hg_message refused;
  hg_message_init(&refused, HG_REFUSED);
  refused.as.refused.request = pushed;
  refused.as.refused.error = HG_ERR_CANCELLED;
  hg_test_send(&scene.gateway, HG_PORT_SCHEDULER, 0, &refused);
  const struct hg_message *done = answer(&scene, FIRST_HOG);
  CHECK_EQ(done->as.command_done.error, HG_ERR_BUSY);
  CHECK(done->as.command_done.request > most - 2 * HG_OUTSIDER_LEAST && done->as.command_done.request <= most);
  CHECK_EQ(hog(&scene, OTHER, HG_ACQUIRE_PERMIT), HG_OUTSIDER_LEAST - 1);
  end(&scene);
}

// They are answered soon, so they have places beyond the share.
TEST(gateway, short_commands_of_a_newcomer_always_find_a_place) {
  struct scene scene;
  begin(&scene);
  for (uint32_t i = 0; i < 40; i++)
    CHECK(hog(&scene, FIRST_HOG + i, HG_STATUS) >= HG_OUTSIDER_LEAST);
  forget_sent(&scene, HG_PORT_TRACKER);
  forget_sent(&scene, HG_PORT_SCHEDULER);
  CHECK_EQ(hog(&scene, OTHER, HG_STATUS), HG_OUTSIDER_LEAST);
  end(&scene);
}

// ------------------------------------------------------------------------------------------------ turns

// What the persister is asked for; 0: nothing.
static uint64_t asked_for(struct scene *scene, enum hg_kind kind) {
  if (hg_test_is_silent(&scene->gateway, HG_PORT_LEDGER)) return 0;
  const struct hg_message message = hg_test_expect(&scene->gateway, HG_PORT_LEDGER, 0, kind);
  return kind == HG_REPLAY ? message.as.replay.request : message.as.audit.request;
}

static void tell_done(struct scene *scene, uint64_t id) {
  struct hg_message done;
  hg_message_done(&done, id, HG_ERR_STORE, "");
  hg_test_send(&scene->gateway, HG_PORT_LEDGER, 0, &done);
  hg_test_flush(&scene->gateway);
}

TEST(gateway, replays_of_connections_take_turns) {
  struct scene scene;
  begin(&scene);
  for (uint64_t request = 1; request <= 3; request++)
    ask(&scene, OUTSIDER, HG_REPLAY, request);
  ask(&scene, OTHER, HG_REPLAY, 1);
  uint64_t first = asked_for(&scene, HG_REPLAY), second = asked_for(&scene, HG_REPLAY);
  CHECK(first && second);
  CHECK_EQ(asked_for(&scene, HG_REPLAY), 0); // one of each
  ask(&scene, OTHER, HG_REPLAY, 2);
  for (uint64_t request = 1; request <= 2; request++) {
    tell_done(&scene, first);
    check_done(&scene, OUTSIDER, request, HG_ERR_STORE);
    first = asked_for(&scene, HG_REPLAY);
    tell_done(&scene, second);
    check_done(&scene, OTHER, request, HG_ERR_STORE);
    second = asked_for(&scene, HG_REPLAY);
    CHECK(first && (second || request == 2));
  }
  end(&scene);
}

TEST(gateway, a_replay_waits_for_one_of_every_other_connection) {
  struct scene scene;
  begin(&scene);
  uint64_t ids[HG_REPLAYS_MAX];
  for (uint32_t i = 0; i < HG_REPLAYS_MAX; i++) {
    for (uint64_t request = 1; request <= 10; request++)
      ask(&scene, FIRST_HOG + i, HG_REPLAY, request);
    ids[i] = asked_for(&scene, HG_REPLAY);
  }
  ask(&scene, OTHER, HG_REPLAY, 77);
  CHECK_EQ(asked_for(&scene, HG_REPLAY), 0); // the persister has enough
  tell_done(&scene, ids[0]);
  check_done(&scene, FIRST_HOG, 1, HG_ERR_STORE);
  tell_done(&scene, asked_for(&scene, HG_REPLAY)); // before the second one of the first hog
  check_done(&scene, OTHER, 77, HG_ERR_STORE);
  end(&scene);
}

TEST(gateway, what_a_gone_outsider_waits_to_be_told_is_dropped) {
  struct scene scene;
  struct hg_message leave;
  begin(&scene);
  for (uint64_t request = 1; request <= 3; request++)
    ask(&scene, OUTSIDER, HG_REPLAY, request);
  const uint64_t id = asked_for(&scene, HG_REPLAY);
  hg_message_init(&leave, HG_LEAVE);
  send(&scene, OUTSIDER, &leave, false);
  tell_done(&scene, id);
  check_done(&scene, OUTSIDER, 1, HG_ERR_STORE);
  CHECK_EQ(asked_for(&scene, HG_REPLAY), 0);
  end(&scene);
}

static struct hg_message audit_of(uint64_t request) {
  struct hg_message message;
  hg_message_init(&message, HG_AUDIT);
  message.as.audit.request = request;
  return message;
}

static void check_report(struct scene *scene, hg_peer peer, uint64_t request) {
  const struct hg_message *report = answer(scene, peer);
  CHECK_EQ(report->kind, HG_AUDIT_REPORT);
  CHECK_EQ(report->as.audit_report.request, request);
}

// One audit answers all that were asked for before it began, one of each connection.
TEST(gateway, audits_that_wait_are_one) {
  struct scene scene;
  begin(&scene);
  struct hg_message first = audit_of(1), again = audit_of(2), report;
  send(&scene, OUTSIDER, &first, false);
  send(&scene, OUTSIDER, &again, false);
  for (hg_peer peer = FIRST_HOG; peer < FIRST_HOG + 5; peer++)
    send(&scene, peer, &first, false);
  hg_message_init(&report, HG_AUDIT_REPORT);
  report.as.audit_report.request = asked_for(&scene, HG_AUDIT);
  CHECK_EQ(asked_for(&scene, HG_AUDIT), 0);
  hg_test_send(&scene.gateway, HG_PORT_LEDGER, 0, &report);
  hg_test_flush(&scene.gateway);
  check_report(&scene, OUTSIDER, 1); // the others came when it had begun
  CHECK(hg_test_is_silent(&scene.gateway, HG_PORT_CONTROL));
  report.as.audit_report.request = asked_for(&scene, HG_AUDIT);
  CHECK_EQ(asked_for(&scene, HG_AUDIT), 0);
  hg_test_send(&scene.gateway, HG_PORT_LEDGER, 0, &report);
  hg_test_flush(&scene.gateway);
  for (hg_peer peer = FIRST_HOG; peer < FIRST_HOG + 5; peer++)
    check_report(&scene, peer, 1);
  check_report(&scene, OUTSIDER, 2);
  CHECK_EQ(asked_for(&scene, HG_AUDIT), 0);
  end(&scene);
}

TEST(gateway, whoever_leaves_the_line_is_not_waited_for) {
  struct scene scene;
  begin(&scene);
  struct hg_message audit = audit_of(1), leave, report;
  for (hg_peer peer = FIRST_HOG; peer < FIRST_HOG + 5; peer++)
    send(&scene, peer, &audit, false); // the first begins, the others are in line
  hg_message_init(&leave, HG_LEAVE);
  send(&scene, FIRST_HOG + 1, &leave, false);
  send(&scene, FIRST_HOG + 3, &leave, false);
  hg_message_init(&report, HG_AUDIT_REPORT);
  report.as.audit_report.request = asked_for(&scene, HG_AUDIT);
  hg_test_send(&scene.gateway, HG_PORT_LEDGER, 0, &report);
  hg_test_flush(&scene.gateway);
  check_report(&scene, FIRST_HOG, 1);
  report.as.audit_report.request = asked_for(&scene, HG_AUDIT);
  hg_test_send(&scene.gateway, HG_PORT_LEDGER, 0, &report);
  hg_test_flush(&scene.gateway);
  check_report(&scene, FIRST_HOG + 2, 1);
  check_report(&scene, FIRST_HOG + 4, 1);
  CHECK(hg_test_is_silent(&scene.gateway, HG_PORT_CONTROL));
  end(&scene);
}

static bool slow_reader(void *self, hg_peer peer) {
  return peer != *(const hg_peer *)self;
}

TEST(gateway, who_does_not_read_is_passed_over_until_it_does) {
  struct scene scene;
  begin(&scene);
  hg_peer slow = OUTSIDER;
  hg_test_actor_destroy(&scene.gateway);
  scene.gateway = (struct hg_test_actor){0};
  scene.readers = (struct hg_gateway_readers){&slow, slow_reader};
  CHECK_EQ(hg_gateway_new(&scene.setup.config, "", &scene.setup.state, scene.readers, &scene.gateway.actor), HG_OK);
  ask(&scene, OUTSIDER, HG_REPLAY, 1);
  CHECK_EQ(asked_for(&scene, HG_REPLAY), 0);
  CHECK(scene.gateway.wake != HG_NEVER);
  ask(&scene, OTHER, HG_REPLAY, 1);
  tell_done(&scene, asked_for(&scene, HG_REPLAY));
  check_done(&scene, OTHER, 1, HG_ERR_STORE);
  slow = 0;
  at_ms(&scene, scene.gateway.wake / 1000);
  tell_done(&scene, asked_for(&scene, HG_REPLAY));
  check_done(&scene, OUTSIDER, 1, HG_ERR_STORE);
  CHECK_EQ(scene.gateway.wake, HG_NEVER);
  end(&scene);
}
