// What the persister does when it has time, over a pretend store: when audits run, a portion a turn, and who hears
// what.
#include "actors/persister.h"
#include "bus/frames.h"
#include "support/core_driver.h"
#include "support/test.h"

#define START_US 1000000
#define PORTIONS 3

// Its audits have three portions; it notes in which order it was called.
struct pretend {
  struct hg_audit_report found;
  hg_err err;
  hg_err fold_err;
  unsigned portions, begun, folds;
  char calls[256]; // w: write, a: first portion, p: portion; f: fold
  size_t count;
};

static void note(struct pretend *store, char call) {
  CHECK(store->count + 1 < sizeof store->calls);
  store->calls[store->count++] = call;
}

static hg_err pretend_write(void *self, const struct hg_bytes *payloads, size_t count, hg_error *why) {
  (void)payloads, (void)count, (void)why;
  note(self, 'w');
  return HG_OK;
}
static hg_err pretend_recover(void *self, uint64_t *stored, hg_error *why) {
  (void)self, (void)stored, (void)why;
  return HG_ERR_STORE;
}
static hg_err pretend_checkpoint(void *self, bool idle, hg_error *why) {
  (void)idle;
  struct pretend *store = self;
  if (store->err != HG_ERR_BUSY) return HG_OK;
  snprintf(why->text, sizeof why->text, "full");
  return HG_ERR_BUSY;
}
static hg_err pretend_audit(void *self, bool anew, uint32_t rows, struct hg_audit_report *out, bool *done,
                            hg_error *why) {
  struct pretend *store = self;
  CHECK(rows > 0 && rows <= 4096);
  note(store, anew ? 'a' : 'p');
  store->portions = anew ? 1 : store->portions + 1;
  store->begun += anew;
  *done = store->portions == PORTIONS && store->err == HG_OK;
  if (*done) *out = store->found;
  if (store->portions == PORTIONS && store->err != HG_OK) snprintf(why->text, sizeof why->text, "cannot\xff read");
  return store->portions == PORTIONS ? store->err : HG_OK;
}

static hg_err pretend_fold(void *self, int64_t now_utc_us, uint32_t rows, uint64_t *folded, bool *more, hg_error *why) {
  struct pretend *store = self;
  CHECK(rows > 0 && rows <= 4096 && now_utc_us == 2000000);
  note(store, 'f');
  *folded = 7;
  *more = ++store->folds % 3 != 0;
  if (store->fold_err != HG_OK) snprintf(why->text, sizeof why->text, "cannot fold");
  return store->fold_err;
}

struct scene {
  struct pretend store;
  struct hg_test_actor persister;
  uint64_t seq;
};

static void turn(struct scene *scene, int64_t later_us) {
  scene->persister.now.monotonic_us += later_us;
  hg_test_flush(&scene->persister);
}

static void begin(struct scene *scene) {
  *scene = (struct scene){.store.found = {.seq = 70, .rows = 66, .permits = 11}};
  scene->persister.now = (struct hg_now){START_US, 2000000};
  const struct hg_store store = {.self = &scene->store,
                                 .write = pretend_write,
                                 .recover = pretend_recover,
                                 .checkpoint = pretend_checkpoint,
                                 .audit = pretend_audit,
                                 .fold = pretend_fold};
  CHECK_EQ(hg_persister_new(store, 0, &scene->persister.actor), HG_OK);
  turn(scene, 0);
}

static void send_fact(struct scene *scene) {
  uint8_t bytes[256];
  struct hg_message message;
  hg_message_init(&message, HG_TASK_WAITING);
  message.as.head.seq = ++scene->seq;
  const size_t size = hg_frame_encode(&message, bytes, sizeof bytes);
  hg_message_init(&message, HG_FACTS);
  message.as.facts.last = scene->seq;
  message.as.facts.count = 1;
  message.as.facts.events = (struct hg_bytes){bytes, (uint32_t)size};
  hg_test_send(&scene->persister, HG_PORT_FACTS, 0, &message);
}

static void ask(struct scene *scene, uint64_t request) {
  struct hg_message message;
  hg_message_init(&message, HG_AUDIT);
  message.as.audit.request = request;
  hg_test_send(&scene->persister, HG_PORT_LEDGER, 0, &message);
}

static struct hg_message expect_audited(struct scene *scene) {
  hg_peer peer;
  struct hg_message message;
  do
    CHECK(hg_test_take(&scene->persister, HG_PORT_FACTS, &peer, &message));
  while (message.kind == HG_COMMITTED);
  CHECK_EQ(message.kind, HG_AUDITED);
  return message;
}

static void expect_refused(struct scene *scene, uint64_t request, hg_err err) {
  const struct hg_message done = hg_test_expect(&scene->persister, HG_PORT_LEDGER, 0, HG_COMMAND_DONE);
  CHECK_EQ(done.as.command_done.request, request);
  CHECK_EQ(done.as.command_done.error, err);
  CHECK(done.as.command_done.reason.size > 0);
}

#define CALLS(scene, expected)                                                                                         \
  do {                                                                                                                 \
    CHECK_STR((scene)->store.calls, expected);                                                                         \
    memset((scene)->store.calls, 0, sizeof(scene)->store.calls);                                                       \
    (scene)->store.count = 0;                                                                                          \
  } while (0)

static void end(struct scene *scene) {
  hg_test_actor_destroy(&scene->persister);
}

TEST(housekeeping, audits_once_after_the_start_between_commits) {
  struct scene scene;
  begin(&scene);
  CALLS(&scene, "");
  turn(&scene, 999999);
  CALLS(&scene, "");
  send_fact(&scene);
  turn(&scene, 1); // it is time, and there are facts
  CALLS(&scene, "w");
  CHECK_EQ(scene.persister.wake, scene.persister.now.monotonic_us);
  turn(&scene, 0);
  CALLS(&scene, "a");
  CHECK_EQ(scene.persister.wake, scene.persister.now.monotonic_us);
  for (int i = 0; i < 3; i++) {
    send_fact(&scene);
    turn(&scene, 10);
  }
  CALLS(&scene, "www");
  turn(&scene, 500);
  turn(&scene, 300);
  CALLS(&scene, "pp");
  const struct hg_message told = expect_audited(&scene);
  CHECK_EQ(told.as.audited.audited, 70);
  CHECK_EQ(told.as.audited.rows, 66);
  CHECK_EQ(told.as.audited.differences, 0);
  CHECK_EQ(told.as.audited.lasted_us, 830);
  CHECK_EQ(told.as.audited.reason.size, 0);
  CHECK(hg_test_is_silent(&scene.persister, HG_PORT_LEDGER));
  for (int i = 0; i < 100; i++)
    turn(&scene, 1000000);
  CALLS(&scene, "fff"); // and then a pass over old rows
  end(&scene);
}

static void audit_at_once(struct scene *scene) {
  turn(scene, 1000000);
  turn(scene, 0);
  turn(scene, 0);
  CALLS(scene, "app");
  (void)expect_audited(scene);
}

TEST(housekeeping, old_rows_are_folded_between_commits_every_hour) {
  struct scene scene;
  begin(&scene);
  audit_at_once(&scene);
  CHECK_EQ(scene.persister.wake, scene.persister.now.monotonic_us);
  turn(&scene, 0);
  send_fact(&scene);
  turn(&scene, 0);
  turn(&scene, 0);
  ask(&scene, 5); // goes first
  for (int i = 0; i < PORTIONS; i++)
    turn(&scene, 10000);
  turn(&scene, 0);
  CALLS(&scene, "fwfappf");
  const int64_t ended = scene.persister.now.monotonic_us;
  while (scene.persister.now.monotonic_us < ended + INT64_C(3599000000)) {
    CHECK(scene.persister.wake > scene.persister.now.monotonic_us);
    turn(&scene, 100000000);
  }
  turn(&scene, 1000000);
  for (int i = 0; i < 5; i++)
    turn(&scene, 0);
  CALLS(&scene, "fff");
  end(&scene);
}

TEST(housekeeping, a_ledger_that_is_wrong_keeps_its_rows) {
  struct scene scene;
  begin(&scene);
  scene.store.found.differences = scene.store.found.listed = 1;
  audit_at_once(&scene);
  turn(&scene, INT64_C(7200000000));
  CALLS(&scene, "");
  scene.store.found.differences = scene.store.found.listed = 0; // somebody has mended it
  ask(&scene, 5);
  for (int i = 0; i < PORTIONS + 1; i++)
    turn(&scene, 0);
  CALLS(&scene, "appf");
  end(&scene);
}

TEST(housekeeping, a_fold_that_fails_is_a_write_that_fails) {
  struct scene scene;
  begin(&scene);
  audit_at_once(&scene);
  scene.store.fold_err = HG_ERR_BUSY;
  turn(&scene, 0);
  CALLS(&scene, "f");
  const struct hg_message told = hg_test_expect(&scene.persister, HG_PORT_FACTS, 0, HG_COMMITTED);
  CHECK(told.as.committed.degraded && hg_text_equal(told.as.committed.reason, hg_text_of("cannot fold")));
  send_fact(&scene);
  turn(&scene, 0);
  CALLS(&scene, ""); // nothing is written before it has recovered
  end(&scene);
}

TEST(housekeeping, whoever_asks_is_answered_under_load) {
  struct scene scene;
  begin(&scene);
  scene.store.found.differences = 5;
  scene.store.found.listed = 2;
  scene.store.found.list[0] = (struct hg_audit_difference){"used", "papers", 0, 0, 12, 7, "budget \"papers\" is wrong"};
  scene.store.found.list[1] = (struct hg_audit_difference){"permit", "", 255, 9, 0, -1, "a permit"};
  ask(&scene, 42);
  for (int i = 0; i < PORTIONS; i++) {
    ask(&scene, 43);
    expect_refused(&scene, 43, HG_ERR_BUSY);
    for (int fact = 0; fact < 2; fact++) {
      send_fact(&scene);
      turn(&scene, 5000);
    }
  }
  CALLS(&scene, "wawwpwwpw"); // the commit first, and one portion each hundredth of a second
  struct hg_message told = hg_test_expect(&scene.persister, HG_PORT_LEDGER, 0, HG_AUDIT_DIFFERENCE);
  const struct hg_audit_difference_message *difference = &told.as.audit_difference;
  CHECK_EQ(difference->request, 42);
  CHECK(hg_text_equal(difference->check, hg_text_of("used")) &&
        hg_text_equal(difference->subject, hg_text_of("papers")));
  CHECK_EQ(difference->stored, 12);
  CHECK_EQ(difference->summed, 7);
  told = hg_test_expect(&scene.persister, HG_PORT_LEDGER, 0, HG_AUDIT_DIFFERENCE);
  CHECK_EQ(told.as.audit_difference.permit, 255);
  CHECK_EQ(told.as.audit_difference.seq, 9);
  CHECK_EQ(told.as.audit_difference.summed, -1);
  told = hg_test_expect(&scene.persister, HG_PORT_LEDGER, 0, HG_AUDIT_REPORT);
  CHECK_EQ(told.as.audit_report.request, 42);
  CHECK_EQ(told.as.audit_report.seq, 70);
  CHECK_EQ(told.as.audit_report.permits, 11);
  CHECK_EQ(told.as.audit_report.differences, 5);
  CHECK(told.as.audit_report.live);
  told = expect_audited(&scene);
  CHECK_EQ(told.as.audited.differences, 5);
  CHECK(hg_text_equal(told.as.audited.reason, hg_text_of("budget \"papers\" is wrong")));
  turn(&scene, 2000000); // it was as good as the one after the start
  CALLS(&scene, "");
  end(&scene);
}

TEST(housekeeping, audits_that_are_asked_for_leave_as_much_time_as_they_take) {
  struct scene scene;
  begin(&scene);
  for (int64_t portion_us = 10000; portion_us <= 2000000; portion_us += 1990000) {
    const int64_t lasts = portion_us * (PORTIONS - 1), rests = lasts > 1000000 ? lasts : 1000000;
    ask(&scene, 1);
    turn(&scene, 0);
    for (int i = 1; i < PORTIONS; i++)
      turn(&scene, portion_us);
    CALLS(&scene, "app");
    ask(&scene, 2);
    turn(&scene, rests - 1);
    CALLS(&scene, "");
    CHECK_EQ(scene.persister.wake, scene.persister.now.monotonic_us + 1);
    for (int i = 0; i < PORTIONS; i++)
      turn(&scene, 1);
    CALLS(&scene, "app");
    turn(&scene, 5000000);
    memset(scene.store.calls, 0, sizeof scene.store.calls);
    scene.store.count = 0;
  }
  end(&scene);
}

TEST(housekeeping, a_question_takes_the_place_of_our_own_audit) {
  struct scene scene;
  begin(&scene);
  turn(&scene, 1000000);
  turn(&scene, 0);
  ask(&scene, 7);
  for (int i = 0; i < PORTIONS; i++)
    turn(&scene, 0);
  CALLS(&scene, "apapp");
  CHECK_EQ(hg_test_expect(&scene.persister, HG_PORT_LEDGER, 0, HG_AUDIT_REPORT).as.audit_report.request, 7);
  CHECK_EQ(scene.store.begun, 2);
  (void)expect_audited(&scene);
  CHECK(hg_test_is_silent(&scene.persister, HG_PORT_FACTS));
  end(&scene);
}

// Who has the answer may end the runtime: AUDIT_DONE is to come before that.
TEST(housekeeping, the_tracker_hears_of_it_before_who_asked) {
  struct scene scene;
  begin(&scene);
  ask(&scene, 7);
  struct hg_outbox out = {0};
  for (int i = 0; i < PORTIONS && out.count == 0; i++)
    (void)scene.persister.actor.flush(scene.persister.actor.self, scene.persister.now, &out);
  size_t at = 0;
  struct hg_outgoing first, second;
  CHECK(hg_outbox_next(&out, &at, &first) && hg_outbox_next(&out, &at, &second));
  CHECK_EQ(first.port, HG_PORT_FACTS);
  CHECK_EQ(second.port, HG_PORT_LEDGER);
  hg_outbox_destroy(&out);
  end(&scene);
}

TEST(housekeeping, what_cannot_be_read_is_told) {
  struct scene scene;
  begin(&scene);
  scene.store.err = HG_ERR_STORE;
  ask(&scene, 7);
  for (int i = 0; i < PORTIONS; i++)
    turn(&scene, 0);
  expect_refused(&scene, 7, HG_ERR_STORE);
  const struct hg_message told = expect_audited(&scene);
  CHECK_EQ(told.as.audited.differences, 0);
  CHECK(hg_text_equal(told.as.audited.reason, hg_text_of("cannot? read")));
  ask(&scene, 8); // the store itself is taken to be well
  turn(&scene, 1000000);
  CHECK_EQ(scene.store.begun, 2);
  end(&scene);
}

TEST(housekeeping, rests_while_the_store_fails_and_ends_with_the_runtime) {
  struct scene scene;
  struct hg_message stop;
  begin(&scene);
  turn(&scene, 1000000);
  CALLS(&scene, "a");
  scene.store.err = HG_ERR_BUSY;
  turn(&scene, 0);
  CALLS(&scene, "");
  ask(&scene, 7);
  expect_refused(&scene, 7, HG_ERR_STORE);
  end(&scene);

  begin(&scene);
  ask(&scene, 8);
  turn(&scene, 0);
  CALLS(&scene, "a");
  hg_message_init(&stop, HG_STOP);
  hg_test_send(&scene.persister, HG_PORT_LIFE, 0, &stop);
  turn(&scene, 0);
  CALLS(&scene, "");
  expect_refused(&scene, 8, HG_ERR_CLOSED);
  CHECK(scene.persister.finished);
  end(&scene);
}
