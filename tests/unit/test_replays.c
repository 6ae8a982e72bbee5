// Replays by the persister, a pure core over a pretend journal: how far a portion reaches, who is refused, and that
// facts go on meanwhile. labels: bus
#include "actors/persister.h"
#include "bus/frames.h"
#include "schemas/limits.h"
#include "support/core_driver.h"
#include "support/test.h"

#define ROWS 5000
#define LONG_FROM 4000 // rows from here on have a text of HG_TEXT_MAX bytes

// Rows `first` to ROWS; every tenth is a TASK_FAILED, the others are USAGE_RECORDED.
struct pretend {
  uint64_t first, damaged;
  uint64_t gone_from, gone_to; // rows between that are folded; 0: none
  hg_err err;
};

static hg_err no_write(void *self, const struct hg_bytes *payloads, size_t count, hg_error *why) {
  (void)self, (void)payloads, (void)count, (void)why;
  return HG_OK;
}

static hg_err no_recovery(void *self, uint64_t *stored, hg_error *why) {
  (void)self, (void)why;
  *stored = ROWS;
  return HG_OK;
}

static hg_err no_checkpoint(void *self, bool idle, hg_error *why) {
  (void)self, (void)idle, (void)why;
  return HG_OK;
}

static hg_err pretend_replay(void *self, uint64_t after, uint32_t rows, hg_ledger_take *take, void *taker,
                             hg_error *why) {
  static char text[HG_TEXT_MAX];
  const struct pretend *store = self;
  memset(text, 'x', sizeof text);
  for (uint64_t seq = after < store->first ? store->first : after + 1; seq <= ROWS && rows > 0; seq++, rows--) {
    if (seq >= store->gone_from && seq <= store->gone_to && store->gone_to) continue;
    struct hg_message event;
    hg_message_init(&event, seq % 10 ? HG_USAGE_RECORDED : HG_TASK_FAILED);
    event.as.head.seq = seq;
    const struct hg_text said = {text, seq >= LONG_FROM ? HG_TEXT_MAX : 4};
    if (event.kind == HG_TASK_FAILED) event.as.task_failed.reason = said;
    else event.as.usage_recorded.model = said;
    if (seq == store->damaged && event.kind == HG_USAGE_RECORDED)
      event.as.usage_recorded.model = (struct hg_text){"\xff", 1};
    if (!take(taker, &event)) break;
  }
  snprintf(why->text, sizeof why->text, "row %d cannot be read", 17);
  return store->err;
}

struct scene {
  struct pretend store;
  struct hg_test_actor persister;
};

static void begin(struct scene *scene) {
  *scene = (struct scene){.store.first = 1};
  scene->persister.now = (struct hg_now){1000000, 2000000};
  const struct hg_store store = {.self = &scene->store,
                                 .write = no_write,
                                 .recover = no_recovery,
                                 .checkpoint = no_checkpoint,
                                 .replay = pretend_replay};
  CHECK_EQ(hg_persister_new(store, ROWS, &scene->persister.actor), HG_OK);
}

static void end(struct scene *scene) {
  hg_test_actor_destroy(&scene->persister);
}

static void ask(struct scene *scene, uint64_t request, uint64_t after, const char *topics, uint32_t credit) {
  struct hg_message question;
  hg_message_init(&question, HG_REPLAY);
  question.as.replay.request = request;
  question.as.replay.after = after;
  question.as.replay.topics = hg_text_of(topics);
  question.as.replay.credit = credit;
  hg_test_send(&scene->persister, HG_PORT_LEDGER, 0, &question);
}

static struct hg_replayed_message expect_portion(struct scene *scene, uint64_t request) {
  const struct hg_message message = hg_test_expect(&scene->persister, HG_PORT_LEDGER, 0, HG_REPLAYED);
  CHECK_EQ(message.as.replayed.request, request);
  CHECK_EQ(message.as.replayed.newest, ROWS);
  return message.as.replayed;
}

static void expect_refusal(struct scene *scene, uint64_t request, hg_err err) {
  const struct hg_message message = hg_test_expect(&scene->persister, HG_PORT_LEDGER, 0, HG_COMMAND_DONE);
  CHECK_EQ(message.as.command_done.request, request);
  CHECK_EQ(message.as.command_done.error, err);
  CHECK(message.as.command_done.reason.size > 0);
}

// The rows in a portion are those behind `after` of one kind or of both.
static uint32_t check_events(struct hg_bytes events, uint64_t after, bool failed_only) {
  uint32_t count = 0;
  struct hg_message event;
  for (size_t at = 0, taken = 0; at < events.size; at += taken, count++) {
    CHECK_EQ(hg_frame_decode_next(events.data + at, events.size - at, &event, &taken), HG_OK);
    after = failed_only ? after / 10 * 10 + 10 : after + 1;
    CHECK_EQ(event.as.head.seq, after);
  }
  return count;
}

TEST(replays, all_rows_come_once_and_in_order) {
  static const uint32_t credits[] = {1, 7, 256, 0, UINT32_MAX};
  for (size_t i = 0; i < sizeof credits / sizeof *credits; i++) {
    struct scene scene;
    begin(&scene);
    uint64_t after = i ? 0 : ROWS - 300, all = ROWS - after, count = 0;
    while (after < ROWS) {
      ask(&scene, 3, after, "", credits[i]);
      hg_test_flush(&scene.persister);
      const struct hg_replayed_message portion = expect_portion(&scene, 3);
      CHECK_EQ(check_events(portion.events, after, false), portion.count);
      CHECK_EQ(portion.reached, after + portion.count);
      CHECK_EQ(portion.oldest, 0);
      CHECK(portion.count > 0 && portion.count <= HG_REPLAY_EVENTS && (credits[i] == 0 || portion.count <= credits[i]));
      if (after < LONG_FROM - HG_REPLAY_EVENTS)
        CHECK_EQ(portion.count, credits[i] && credits[i] < 256 ? credits[i] : 256);
      after = portion.reached;
      count += portion.count;
    }
    CHECK_EQ(count, all);
    ask(&scene, 4, after, "", 0);
    hg_test_flush(&scene.persister);
    CHECK_EQ(expect_portion(&scene, 4).count, 0);
    end(&scene);
  }
}

TEST(replays, topics_choose_and_the_others_are_passed_over) {
  struct scene scene;
  begin(&scene);
  ask(&scene, 1, 0, "NOTHING,TASK_F", 0);
  hg_test_flush(&scene.persister);
  struct hg_replayed_message portion = expect_portion(&scene, 1);
  CHECK_EQ(portion.reached, HG_REPLAY_ROWS);
  CHECK_EQ(portion.count, HG_REPLAY_ROWS / 10);
  CHECK_EQ(check_events(portion.events, 0, true), portion.count);
  ask(&scene, 2, 0, "TASK_FAILED_AND_MORE", 0);
  hg_test_flush(&scene.persister);
  portion = expect_portion(&scene, 2);
  CHECK_EQ(portion.reached, HG_REPLAY_ROWS);
  CHECK_EQ(portion.count, 0);
  end(&scene);
}

TEST(replays, rows_that_are_gone_are_told) {
  struct scene scene;
  begin(&scene);
  scene.store.first = 101;
  ask(&scene, 1, 40, "", 5);
  ask(&scene, 2, 100, "", 5);
  hg_test_flush(&scene.persister);
  hg_test_flush(&scene.persister);
  const struct hg_replayed_message portion = expect_portion(&scene, 1);
  CHECK_EQ(portion.oldest, 101);
  CHECK_EQ(portion.reached, 105);
  CHECK_EQ(expect_portion(&scene, 2).oldest, 0);
  end(&scene);
}

static struct hg_replayed_message portion_behind(struct scene *scene, uint64_t after) {
  ask(scene, 3, after, "", 0);
  hg_test_flush(&scene->persister);
  return expect_portion(scene, 3);
}

TEST(replays, rows_that_are_gone_among_others_are_told) {
  struct scene scene;
  begin(&scene);
  scene.store.gone_from = 10;
  scene.store.gone_to = 59;
  struct hg_replayed_message portion = portion_behind(&scene, 7);
  CHECK(portion.oldest == 0 && portion.count == 2 && portion.reached == 9);
  portion = portion_behind(&scene, portion.reached);
  CHECK(portion.oldest == 60 && portion.count == 256 && portion.reached == 59 + 256);
  portion = portion_behind(&scene, 20); // a question from inside the hole
  CHECK(portion.oldest == 60 && portion.count == 256);
  CHECK_EQ(portion_behind(&scene, 59).oldest, 0);
  scene.store.gone_to = ROWS; // and nothing behind
  portion = portion_behind(&scene, 9);
  CHECK(portion.oldest == ROWS + 1 && portion.count == 0 && portion.reached == ROWS);
  CHECK_EQ(portion_behind(&scene, ROWS).oldest, 0);
  end(&scene);
}

TEST(replays, one_portion_a_turn) {
  struct scene scene;
  begin(&scene);
  for (uint64_t request = 1; request <= 64; request++)
    ask(&scene, request, 0, "", 1);
  ask(&scene, 65, 0, "", 1);
  expect_refusal(&scene, 65, HG_ERR_BUSY);
  for (uint64_t request = 1; request <= 64; request++) {
    hg_test_flush(&scene.persister);
    CHECK_EQ(scene.persister.wake <= scene.persister.now.monotonic_us, request < 64);
    (void)expect_portion(&scene, request);
    CHECK(hg_test_is_silent(&scene.persister, HG_PORT_LEDGER));
  }
  end(&scene);
}

TEST(replays, damaged_rows_refuse_one_question_and_no_more) {
  struct scene scene;
  begin(&scene);
  scene.store.damaged = 12;
  ask(&scene, 1, 0, "", 0); // what comes before it is told
  hg_test_flush(&scene.persister);
  CHECK_EQ(expect_portion(&scene, 1).reached, 11);
  ask(&scene, 2, 11, "", 0);
  hg_test_flush(&scene.persister);
  expect_refusal(&scene, 2, HG_ERR_STORE);
  scene.store.err = HG_ERR_STORE;
  ask(&scene, 3, 0, "", 0);
  hg_test_flush(&scene.persister);
  expect_refusal(&scene, 3, HG_ERR_STORE);
  scene.store.err = HG_OK;
  ask(&scene, 4, 12, "", 0);
  hg_test_flush(&scene.persister);
  CHECK_EQ(expect_portion(&scene, 4).reached, 12 + HG_REPLAY_EVENTS);
  end(&scene);
}

TEST(replays, a_store_that_cannot_read_refuses_them) {
  struct scene scene;
  begin(&scene);
  hg_test_actor_destroy(&scene.persister);
  const struct hg_store store = {
      .self = &scene.store, .write = no_write, .recover = no_recovery, .checkpoint = no_checkpoint};
  scene.persister = (struct hg_test_actor){.now = {1000000, 2000000}};
  CHECK_EQ(hg_persister_new(store, ROWS, &scene.persister.actor), HG_OK);
  ask(&scene, 1, 0, "", 0);
  hg_test_flush(&scene.persister);
  expect_refusal(&scene, 1, HG_ERR_STORE);
  end(&scene);
}

TEST(replays, who_waits_at_a_stop_is_told) {
  struct scene scene;
  struct hg_message stop;
  begin(&scene);
  ask(&scene, 1, 0, "", 0);
  hg_message_init(&stop, HG_STOP);
  hg_test_send(&scene.persister, HG_PORT_LIFE, 0, &stop);
  hg_test_flush(&scene.persister);
  expect_refusal(&scene, 1, HG_ERR_CLOSED);
  CHECK(hg_test_is_silent(&scene.persister, HG_PORT_LEDGER));
  end(&scene);
}

static void send_facts(struct scene *scene, uint64_t seq) {
  uint8_t bytes[256];
  struct hg_message event, facts;
  hg_message_init(&event, HG_USAGE_RECORDED);
  event.as.head.seq = seq;
  hg_message_init(&facts, HG_FACTS);
  facts.as.facts.last = seq;
  facts.as.facts.count = 1;
  facts.as.facts.events = (struct hg_bytes){bytes, (uint32_t)hg_frame_encode(&event, bytes, sizeof bytes)};
  hg_test_send(&scene->persister, HG_PORT_FACTS, 0, &facts);
}

// While facts come a portion is told every 5 ms, however many wait; else one a turn.
TEST(replays, those_who_read_do_not_hold_up_those_who_record) {
  struct scene scene;
  begin(&scene);
  unsigned portions = 0;
  for (uint64_t request = 1; request <= 60; request++)
    ask(&scene, request, 0, "", 1);
  for (uint64_t turn = 1; turn <= 1000; turn++) { // a tenth of a second
    scene.persister.now.monotonic_us += 100;
    send_facts(&scene, ROWS + turn);
    hg_test_flush(&scene.persister);
    struct hg_message message;
    hg_peer peer;
    while (hg_test_take(&scene.persister, HG_PORT_LEDGER, &peer, &message))
      portions++;
  }
  CHECK(portions >= 19 && portions <= 21);
  scene.persister.now.monotonic_us += 100000; // nothing comes any more
  for (unsigned turn = 0; turn < 10; turn++) {
    hg_test_flush(&scene.persister);
    (void)hg_test_expect(&scene.persister, HG_PORT_LEDGER, 0, HG_REPLAYED);
    CHECK_EQ(scene.persister.wake, scene.persister.now.monotonic_us);
  }
  end(&scene);
}
