// The persister as a pure core over a pretend store: what it acknowledges, how long it tries, and when it gives up.
#include "actors/persister.h"
#include "bus/frames.h"
#include "support/core_driver.h"
#include "support/test.h"

#define ACKNOWLEDGED 10

// Keeps what it is told to keep, and fails as it is told to.
struct pretend {
  uint64_t stored;
  hg_err write_err, recover_err, checkpoint_err;
  hg_err find_err;
  const char *reason;
  bool stores_all_the_same; // the write that fails is stored
  unsigned writes, recoveries;
};

static hg_err refuse(const struct pretend *store, hg_err err, hg_error *why) {
  if (err != HG_OK) snprintf(why->text, sizeof why->text, "%s", store->reason);
  return err;
}

static hg_err pretend_write(void *self, const struct hg_bytes *payloads, size_t count, hg_error *why) {
  struct pretend *store = self;
  uint64_t newest = store->stored;
  store->writes++;
  for (size_t i = 0; i < count; i++) {
    struct hg_message event;
    for (size_t at = 0, taken = 0; at < payloads[i].size; at += taken) {
      CHECK_EQ(hg_frame_decode_next(payloads[i].data + at, payloads[i].size - at, &event, &taken), HG_OK);
      CHECK_EQ(event.as.head.seq, ++newest);
    }
  }
  if (store->write_err == HG_OK || store->stores_all_the_same) store->stored = newest;
  return refuse(store, store->write_err, why);
}

static hg_err pretend_recover(void *self, uint64_t *stored, hg_error *why) {
  struct pretend *store = self;
  store->recoveries++;
  *stored = store->stored;
  return refuse(store, store->recover_err, why);
}

static hg_err pretend_checkpoint(void *self, bool idle, hg_error *why) {
  const struct pretend *store = self;
  (void)idle;
  return refuse(store, store->checkpoint_err, why);
}

// Knows one id, whose row is 7 and whose content is 70.
static hg_err pretend_find_usage(void *self, struct hg_text usage_id, uint64_t *seq, uint64_t *content, hg_error *why) {
  const struct pretend *store = self;
  const bool known = hg_text_equal(usage_id, hg_text_of("known"));
  *seq = known ? 7 : 0;
  *content = known ? 70 : 0;
  return refuse(store, store->find_err, why);
}

// Knows one permit: 5, which was settled.
static hg_err pretend_find_permit(void *self, uint64_t permit, struct hg_ended_permit *out, hg_error *why) {
  const struct pretend *store = self;
  *out = permit == 5 ? (struct hg_ended_permit){HG_PERMIT_SETTLED, 80, 100} : (struct hg_ended_permit){0};
  return refuse(store, store->find_err, why);
}

struct scene {
  struct pretend store;
  struct hg_test_actor persister;
  uint64_t seq;
};

static void begin(struct scene *scene) {
  *scene = (struct scene){.store = {.stored = ACKNOWLEDGED, .reason = "trouble"}, .seq = ACKNOWLEDGED};
  scene->persister.now = (struct hg_now){1000000, 2000000};
  const struct hg_store store = {.self = &scene->store,
                                 .write = pretend_write,
                                 .recover = pretend_recover,
                                 .checkpoint = pretend_checkpoint,
                                 .find_usage = pretend_find_usage,
                                 .find_permit = pretend_find_permit};
  CHECK_EQ(hg_persister_new(store, ACKNOWLEDGED, &scene->persister.actor), HG_OK);
}

static void end(struct scene *scene) {
  hg_test_actor_destroy(&scene->persister);
}

// One FACTS frame of as many events.
static void send_facts(struct scene *scene, unsigned count) {
  uint8_t bytes[4096];
  uint32_t size = 0;
  struct hg_message message;
  for (unsigned i = 0; i < count; i++) {
    hg_message_init(&message, HG_TASK_WAITING);
    message.as.head.seq = ++scene->seq;
    const size_t taken = hg_frame_encode(&message, bytes + size, sizeof bytes - size);
    CHECK(taken > 0);
    size += (uint32_t)taken;
  }
  hg_message_init(&message, HG_FACTS);
  message.as.facts.last = scene->seq;
  message.as.facts.count = count;
  message.as.facts.events = (struct hg_bytes){bytes, size};
  hg_test_send(&scene->persister, HG_PORT_FACTS, 0, &message);
}

static void flush_after(struct scene *scene, int64_t us) {
  scene->persister.now.monotonic_us += us;
  hg_test_flush(&scene->persister);
}

// The newest COMMITTED on a port; FACTS on their way to the bus are counted.
static struct hg_committed_message newest(struct scene *scene, enum hg_port port, char reason[HG_TEXT_MAX + 1],
                                          unsigned *facts) {
  struct hg_committed_message committed = {.seq = 0};
  struct hg_message message;
  hg_peer peer;
  while (hg_test_take(&scene->persister, port, &peer, &message)) {
    if (message.kind == HG_FACTS) ++*facts;
    if (message.kind != HG_COMMITTED) continue;
    committed = message.as.committed;
    hg_text_copy(reason, HG_TEXT_MAX + 1, committed.reason);
    committed.reason = hg_text_of(reason);
  }
  return committed;
}

#define EXPECT(scene, seq_, degraded_, reason_, facts_)                                                                \
  do {                                                                                                                 \
    char said[HG_TEXT_MAX + 1] = "";                                                                                   \
    unsigned facts = 0;                                                                                                \
    const struct hg_committed_message told = newest((scene), HG_PORT_FACTS, said, &facts);                             \
    CHECK_EQ(told.seq, (seq_));                                                                                        \
    CHECK_EQ(told.degraded, (degraded_));                                                                              \
    CHECK(strstr(said, (reason_)) && (*(reason_) != '\0' || !*said));                                                  \
    (void)newest((scene), HG_PORT_COMMITTED, said, &facts);                                                            \
    CHECK_EQ(facts, (facts_));                                                                                         \
  } while (0)

TEST(persister, what_waits_is_one_transaction) {
  struct scene scene;
  begin(&scene);
  for (int i = 0; i < 5; i++)
    send_facts(&scene, 3);
  CHECK(hg_test_is_silent(&scene.persister, HG_PORT_FACTS));
  flush_after(&scene, 0);
  CHECK_EQ(scene.store.writes, 1);
  EXPECT(&scene, ACKNOWLEDGED + 15, false, "", 5);
  end(&scene);
}

TEST(persister, full_disk_is_waited_for_without_end) {
  struct scene scene;
  begin(&scene);
  scene.store.write_err = HG_ERR_BUSY;
  scene.store.reason = "the disk \xff is full"; // a path in it may be no UTF-8
  send_facts(&scene, 2);
  flush_after(&scene, 0);
  EXPECT(&scene, ACKNOWLEDGED, true, "the disk ? is full", 0);
  for (int i = 0; i < 100; i++) { // not at each turn: every few seconds in the end
    flush_after(&scene, 1000000);
    CHECK(hg_test_is_silent(&scene.persister, HG_PORT_FACTS));
  }
  CHECK(scene.store.recoveries > 30 && scene.store.recoveries < 60);
  for (int i = 0; i < HG_FACTS_WINDOW - 1; i++)
    send_facts(&scene, 1);
  scene.store.write_err = HG_OK;
  flush_after(&scene, 3000000);
  EXPECT(&scene, scene.seq, false, "", HG_FACTS_WINDOW);
  CHECK_EQ(scene.store.stored, scene.seq);
  end(&scene);
}

TEST(persister, failed_commit_that_was_stored_is_not_written_twice) {
  struct scene scene;
  begin(&scene);
  scene.store.write_err = HG_ERR_STORE;
  scene.store.stores_all_the_same = true;
  send_facts(&scene, 2);
  flush_after(&scene, 0);
  EXPECT(&scene, ACKNOWLEDGED, true, "trouble", 0);
  scene.store.write_err = HG_OK;
  flush_after(&scene, 1000000);
  EXPECT(&scene, ACKNOWLEDGED + 2, false, "", 1);
  CHECK_EQ(scene.store.writes, 1);
  end(&scene);
}

// It lives on, takes what comes, writes nothing, and ends with an error when it is asked to, without a hurry.
static void expect_given_up(struct scene *scene, const char *reason) {
  EXPECT(scene, ACKNOWLEDGED, true, reason, 0);
  const unsigned writes = scene->store.writes, recoveries = scene->store.recoveries;
  scene->store.write_err = scene->store.recover_err = HG_OK;
  for (int i = 0; i < 2 * HG_FACTS_WINDOW; i++)
    send_facts(scene, 1);
  flush_after(scene, 60000000);
  CHECK_EQ(scene->store.writes, writes);
  CHECK_EQ(scene->store.recoveries, recoveries);
  CHECK(!scene->persister.finished && scene->persister.wake > scene->persister.now.monotonic_us);
  const struct hg_message told = hg_test_expect(&scene->persister, HG_PORT_COMMITTED, 0, HG_COMMITTED);
  CHECK(told.as.committed.degraded && told.as.committed.reason.size > 0);

  struct hg_message message;
  hg_message_init(&message, HG_STOP);
  hg_test_send(&scene->persister, HG_PORT_LIFE, 0, &message);
  flush_after(scene, 0);
  CHECK(scene->persister.finished);
  message = hg_test_expect(&scene->persister, HG_PORT_LIFE, 0, HG_STOPPED);
  CHECK_EQ(message.as.stopped.error, HG_ERR_STORE);
  CHECK(message.as.stopped.reason.size > 0);
  CHECK(hg_test_is_silent(&scene->persister, HG_PORT_FACTS));
  end(scene);
}

TEST(persister, gives_up_when_a_write_fails_twice_in_a_row) {
  struct scene scene;
  begin(&scene);
  scene.store.write_err = HG_ERR_STORE;
  send_facts(&scene, 2);
  flush_after(&scene, 0);
  flush_after(&scene, 1000000);
  CHECK_EQ(scene.store.recoveries, 1);
  CHECK_EQ(scene.store.writes, 2);
  expect_given_up(&scene, "trouble");
}

TEST(persister, gives_up_when_the_recovery_fails_too) {
  struct scene scene;
  begin(&scene);
  scene.store.checkpoint_err = scene.store.recover_err = HG_ERR_STORE;
  flush_after(&scene, 0);
  EXPECT(&scene, ACKNOWLEDGED, true, "trouble", 0);
  scene.store.reason = "worse trouble";
  flush_after(&scene, 1000000);
  expect_given_up(&scene, "worse trouble");
}

TEST(persister, failures_that_are_not_in_a_row_are_borne) {
  struct scene scene;
  begin(&scene);
  for (int i = 0; i < 10; i++) {
    scene.store.write_err = HG_ERR_STORE;
    send_facts(&scene, 1);
    flush_after(&scene, 0);
    scene.store.write_err = HG_ERR_BUSY; // and then the disk is full
    flush_after(&scene, 3000000);
    scene.store.write_err = i % 2 ? HG_ERR_NO_MEMORY : HG_OK;
    flush_after(&scene, 3000000);
  }
  scene.store.write_err = HG_OK;
  flush_after(&scene, 3000000);
  EXPECT(&scene, scene.seq, false, "", 10);
  end(&scene);
}

TEST(persister, gives_up_when_acknowledged_rows_are_gone) {
  struct scene scene;
  begin(&scene);
  scene.store.write_err = HG_ERR_BUSY;
  send_facts(&scene, 1);
  flush_after(&scene, 0);
  scene.store.stored = ACKNOWLEDGED - 3;
  flush_after(&scene, 1000000);
  expect_given_up(&scene, "they reach to 7, and 10 was acknowledged");
}

TEST(persister, stop_waits_for_a_full_disk_until_it_must_not) {
  struct scene scene;
  struct hg_message message;
  begin(&scene);
  scene.store.write_err = HG_ERR_BUSY;
  send_facts(&scene, 1);
  flush_after(&scene, 0);
  hg_message_init(&message, HG_STOP);
  hg_test_send(&scene.persister, HG_PORT_LIFE, 0, &message);
  flush_after(&scene, 0);
  CHECK(!scene.persister.finished);
  message.as.stop.now = true;
  hg_test_send(&scene.persister, HG_PORT_LIFE, 0, &message);
  flush_after(&scene, 0);
  CHECK(scene.persister.finished);
  message = hg_test_expect(&scene.persister, HG_PORT_LIFE, 0, HG_STOPPED);
  CHECK_EQ(message.as.stopped.error, HG_ERR_STORE);
  end(&scene);
}

TEST(persister, tells_the_bus_again_and_again) {
  struct scene scene;
  begin(&scene);
  for (int i = 0; i < 3; i++) {
    flush_after(&scene, 100000);
    const struct hg_message told = hg_test_expect(&scene.persister, HG_PORT_COMMITTED, 0, HG_COMMITTED);
    CHECK_EQ(told.as.committed.seq, ACKNOWLEDGED);
    CHECK(!told.as.committed.degraded && told.as.committed.reason.size == 0);
    CHECK_EQ(scene.persister.wake, scene.persister.now.monotonic_us + 100000);
  }
  end(&scene);
}

// ------------------------------------------------------------------------------------------------ what is looked up

static void ask_for(struct scene *scene, uint64_t request, const char *usage_id) {
  struct hg_message message;
  hg_message_init(&message, HG_FIND_USAGE);
  message.as.find_usage.request = request;
  message.as.find_usage.usage_id = hg_text_of(usage_id);
  hg_test_send(&scene->persister, HG_PORT_FACTS, 0, &message);
}

TEST(persister, usage_ids_are_looked_up_behind_the_commit) {
  struct scene scene;
  begin(&scene);
  ask_for(&scene, 1, "known");
  send_facts(&scene, 2);
  ask_for(&scene, 2, "new");
  flush_after(&scene, 0);
  struct hg_message answer = hg_test_expect(&scene.persister, HG_PORT_FACTS, 0, HG_COMMITTED);
  CHECK_EQ(answer.as.committed.seq, ACKNOWLEDGED + 2);
  answer = hg_test_expect(&scene.persister, HG_PORT_FACTS, 0, HG_USAGE_FOUND);
  CHECK(answer.as.usage_found.request == 1 && answer.as.usage_found.seq == 7 && answer.as.usage_found.content == 70);
  answer = hg_test_expect(&scene.persister, HG_PORT_FACTS, 0, HG_USAGE_FOUND);
  CHECK(answer.as.usage_found.request == 2 && answer.as.usage_found.seq == 0);
  CHECK(hg_test_is_silent(&scene.persister, HG_PORT_FACTS));
  end(&scene);
}

TEST(persister, usage_ids_that_cannot_be_looked_up_now_are_when_the_store_is_back) {
  struct scene scene;
  begin(&scene);
  scene.store.find_err = HG_ERR_BUSY;
  ask_for(&scene, 1, "known");
  ask_for(&scene, 2, "new");
  flush_after(&scene, 0);
  CHECK(hg_test_expect(&scene.persister, HG_PORT_FACTS, 0, HG_COMMITTED).as.committed.degraded);
  CHECK(hg_test_is_silent(&scene.persister, HG_PORT_FACTS));
  scene.store.find_err = HG_OK;
  flush_after(&scene, 60000000);
  CHECK(!hg_test_expect(&scene.persister, HG_PORT_FACTS, 0, HG_COMMITTED).as.committed.degraded);
  CHECK_EQ(hg_test_expect(&scene.persister, HG_PORT_FACTS, 0, HG_USAGE_FOUND).as.usage_found.request, 1);
  CHECK_EQ(hg_test_expect(&scene.persister, HG_PORT_FACTS, 0, HG_USAGE_FOUND).as.usage_found.request, 2);
  end(&scene);
}

static void ask_for_permit(struct scene *scene, uint64_t request, uint64_t permit) {
  struct hg_message message;
  hg_message_init(&message, HG_FIND_PERMIT);
  message.as.find_permit.request = request;
  message.as.find_permit.permit = permit;
  hg_test_send(&scene->persister, HG_PORT_FACTS, 0, &message);
}

TEST(persister, permits_are_looked_up_in_line_with_usage_ids) {
  struct scene scene;
  begin(&scene);
  ask_for_permit(&scene, 1, 5);
  ask_for(&scene, 2, "known");
  ask_for_permit(&scene, 3, 0);
  scene.store.find_err = HG_ERR_BUSY;
  flush_after(&scene, 0);
  CHECK(hg_test_expect(&scene.persister, HG_PORT_FACTS, 0, HG_COMMITTED).as.committed.degraded);
  CHECK(hg_test_is_silent(&scene.persister, HG_PORT_FACTS));
  scene.store.find_err = HG_OK;
  flush_after(&scene, 60000000);
  hg_test_expect(&scene.persister, HG_PORT_FACTS, 0, HG_COMMITTED);
  const struct hg_message known = hg_test_expect(&scene.persister, HG_PORT_FACTS, 0, HG_PERMIT_FOUND);
  CHECK(known.as.permit_found.request == 1 && known.as.permit_found.end == HG_PERMIT_SETTLED);
  CHECK(known.as.permit_found.used == 80 && known.as.permit_found.reserved == 100);
  CHECK_EQ(hg_test_expect(&scene.persister, HG_PORT_FACTS, 0, HG_USAGE_FOUND).as.usage_found.request, 2);
  const struct hg_message unknown = hg_test_expect(&scene.persister, HG_PORT_FACTS, 0, HG_PERMIT_FOUND);
  CHECK(unknown.as.permit_found.request == 3 && unknown.as.permit_found.end == 0);
  end(&scene);
}

// A lookup that fails for good is no reason to fall ill and recover for ever.
TEST(persister, gives_up_when_a_lookup_fails_again) {
  struct scene scene;
  begin(&scene);
  scene.store.find_err = HG_ERR_STORE;
  ask_for_permit(&scene, 1, 5);
  flush_after(&scene, 0);
  struct hg_message told = hg_test_expect(&scene.persister, HG_PORT_FACTS, 0, HG_COMMITTED);
  CHECK(told.as.committed.degraded && !told.as.committed.given_up);
  flush_after(&scene, 60000000);
  told = hg_test_expect(&scene.persister, HG_PORT_FACTS, 0, HG_COMMITTED);
  CHECK(!told.as.committed.degraded); // the commit went well
  told = hg_test_expect(&scene.persister, HG_PORT_FACTS, 0, HG_COMMITTED);
  CHECK(told.as.committed.given_up);
  end(&scene);
}
