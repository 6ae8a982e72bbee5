// The event bus as a pure core: what it publishes of the store's troubles, that a loss is seen, and which subscribers
// it cuts.
#include "actors/event_bus.h"
#include "bus/frames.h"
#include "support/core_driver.h"
#include "support/test.h"

#define STORED 100

struct scene {
  struct hg_test_setup setup;
  struct hg_test_actor bus;
};

static void begin(struct scene *scene) {
  static const uint8_t everything[] = {1};
  *scene = (struct scene){0};
  hg_test_setup_init(&scene->setup, 1000, 4);
  scene->setup.state.last_seq = STORED;
  hg_text_copy(scene->setup.state.ledger_id, sizeof scene->setup.state.ledger_id, hg_text_of("some-ledger"));
  scene->bus.now = (struct hg_now){5000000, 9000000};
  CHECK_EQ(hg_event_bus_new(&scene->setup.config, &scene->setup.state, &scene->bus.actor), HG_OK);
  const struct hg_envelope in = {.port = HG_PORT_EVENTS, .frame = everything, .frame_size = sizeof everything};
  scene->bus.actor.receive(scene->bus.actor.self, scene->bus.now, &in, &scene->bus.out);
}

static void end(struct scene *scene) {
  hg_test_actor_destroy(&scene->bus);
}

// Events of one topic, from one seq to another, in a FACTS frame.
static void send_facts(struct scene *scene, uint64_t from, uint64_t to) {
  uint8_t bytes[4096];
  uint32_t size = 0;
  struct hg_message message;
  for (uint64_t seq = from; seq <= to; seq++) {
    hg_message_init(&message, HG_TASK_WAITING);
    message.as.head.seq = seq;
    message.as.head.prev = seq - 1;
    size += (uint32_t)hg_frame_encode(&message, bytes + size, sizeof bytes - size);
  }
  hg_message_init(&message, HG_FACTS);
  message.as.facts.last = to;
  message.as.facts.count = (uint32_t)(to - from + 1);
  message.as.facts.events = (struct hg_bytes){bytes, size};
  hg_test_send(&scene->bus, HG_PORT_COMMITTED, 0, &message);
}

static void send_committed(struct scene *scene, uint64_t seq, const char *trouble) {
  struct hg_message message;
  hg_message_init(&message, HG_COMMITTED);
  message.as.committed.seq = seq;
  message.as.committed.degraded = trouble != NULL;
  message.as.committed.reason = hg_text_of(trouble);
  hg_test_send(&scene->bus, HG_PORT_COMMITTED, 0, &message);
}

// The next event for subscribers, as a line of JSON; "" when there is none.
static const char *next(struct scene *scene) {
  static char json[HG_OUTSIDE_FRAME_MAX * 2];
  struct hg_test_pipe *pipe = &scene->bus.sent[HG_PORT_EVENTS];
  json[0] = '\0';
  if (pipe->count == 0) return json;
  const struct hg_test_frame frame = pipe->frames[pipe->first];
  pipe->first = (pipe->first + 1) % pipe->capacity;
  pipe->count--;
  CHECK(hg_outside_to_json(frame.bytes, frame.size, json, sizeof json) > 0);
  free(frame.bytes);
  return json;
}

static void expect(struct scene *scene, const char *one, const char *other) {
  const char *json = next(scene);
  if (!strstr(json, one) || !strstr(json, other)) fprintf(stderr, "expected %s and %s in: %s\n", one, other, json);
  CHECK(strstr(json, one) && strstr(json, other));
}

static void expect_beat(struct scene *scene, const char *newest) {
  scene->bus.now.monotonic_us += 100000;
  hg_test_flush(&scene->bus);
  expect(scene, "\"HEARTBEAT\"", newest);
}

TEST(event_bus, facts_are_published_in_order) {
  struct scene scene;
  begin(&scene);
  send_facts(&scene, 101, 102);
  expect(&scene, "\"TASK_WAITING\"", "\"seq\":101,\"prev\":100");
  expect(&scene, "\"TASK_WAITING\"", "\"seq\":102,\"prev\":101");
  expect_beat(&scene, "\"newest\":102,\"storeDegraded\":false,\"topics\":{\"TASK_WAITING\":102}");
  CHECK(*next(&scene) == '\0');
  end(&scene);
}

TEST(event_bus, store_trouble_is_told_at_once_with_its_reason) {
  struct scene scene;
  begin(&scene);
  send_committed(&scene, STORED, "no space left");
  send_committed(&scene, STORED, "no space left"); // repeated
  expect(&scene, "\"STORE_DEGRADED\"", "\"payload\":{\"reason\":\"no space left\"}");
  CHECK(*next(&scene) == '\0');
  expect_beat(&scene, "\"storeDegraded\":true");
  send_committed(&scene, STORED, "the disk is broken");
  expect(&scene, "\"seq\":null", "\"reason\":\"the disk is broken\"");
  send_committed(&scene, STORED, NULL); // the journal tells the rest
  CHECK(*next(&scene) == '\0');
  expect_beat(&scene, "\"storeDegraded\":false");
  send_committed(&scene, STORED, "the disk is broken"); // again
  expect(&scene, "\"STORE_DEGRADED\"", "\"reason\":\"the disk is broken\"");
  end(&scene);
}

TEST(event_bus, frames_that_got_lost_are_seen_in_the_heartbeat) {
  struct scene scene;
  begin(&scene);
  send_facts(&scene, 101, 103);
  for (int i = 0; i < 3; i++)
    (void)next(&scene);
  expect_beat(&scene, "\"unheard\":0}");
  send_committed(&scene, 120, NULL); // 104 to 120 never came
  expect_beat(&scene, "\"newest\":120,");
  expect_beat(&scene, "\"unheard\":120}");
  send_facts(&scene, 131, 131); // and 121 to 130 neither
  expect(&scene, "\"TASK_WAITING\"", "\"seq\":131,\"prev\":130");
  expect_beat(&scene, "\"newest\":131,");
  send_committed(&scene, 131, NULL);
  expect_beat(&scene, "\"unheard\":130}");
  end(&scene);
}

TEST(event_bus, last_word_comes_behind_the_last_event) {
  struct scene scene;
  struct hg_message stop;
  begin(&scene);
  hg_message_init(&stop, HG_STOP);
  hg_test_send(&scene.bus, HG_PORT_LIFE, 0, &stop);
  send_facts(&scene, 101, 101);
  hg_test_flush(&scene.bus);
  CHECK(!scene.bus.finished);
  hg_test_flush(&scene.bus);
  CHECK(scene.bus.finished);
  (void)hg_test_expect(&scene.bus, HG_PORT_LIFE, 0, HG_STOPPED);
  expect(&scene, "\"TASK_WAITING\"", "\"seq\":101");
  end(&scene);
}

// ------------------------------------------------------------------------------------------------ subscribers outside

// A subscription (1) or the end of one (0) over a connection.
static void subscribe(struct scene *scene, hg_peer peer, char what, const char *topic) {
  char frame[256];
  frame[0] = what;
  const size_t size = (size_t)snprintf(frame + 1, sizeof frame - 1, "%s", topic) + 1;
  uint8_t *bytes = malloc(size);
  CHECK(bytes != NULL);
  memcpy(bytes, frame, size);
  hg_test_pass(&scene->bus, HG_PORT_OUTSIDE_EVENTS, (struct hg_test_frame){peer, size, bytes});
}

static void subscribe_to_many(struct scene *scene, hg_peer peer, char what, unsigned from, unsigned to) {
  char topic[32];
  for (unsigned i = from; i < to; i++) {
    snprintf(topic, sizeof topic, "NO_SUCH_%u", i);
    subscribe(scene, peer, what, topic);
  }
}

// Whom it cuts next: a frame to one peer. 0: nobody.
static hg_peer next_cut(struct scene *scene) {
  hg_test_flush(&scene->bus);
  struct hg_test_pipe *pipe = &scene->bus.sent[HG_PORT_OUTSIDE_EVENTS];
  while (pipe->count) {
    const struct hg_test_frame frame = hg_test_pipe_pop(pipe);
    free(frame.bytes);
    if (frame.peer) return frame.peer;
  }
  return 0;
}

static void expect_notice(struct scene *scene, const char *reason) {
  const char *json = next(scene);
  while (*json && strstr(json, "\"HEARTBEAT\""))
    json = next(scene);
  CHECK(strstr(json, "\"SUBSCRIBER_DROPPED\"") && strstr(json, "\"seq\":null,\"prev\":null") && strstr(json, reason));
}

TEST(event_bus, who_sends_too_many_subscriptions_is_cut) {
  struct scene scene;
  begin(&scene);
  subscribe_to_many(&scene, 7, 1, 0, HG_SUBSCRIBER_FRAMES_MAX);
  subscribe_to_many(&scene, 8, 1, 1000, 1000 + HG_SUBSCRIBER_FRAMES_MAX);
  CHECK_EQ(next_cut(&scene), 0);
  subscribe(&scene, 7, 1, "");
  CHECK_EQ(next_cut(&scene), 7);
  expect_notice(&scene, "too_many_topics");
  subscribe_to_many(&scene, 7, 1, 5000, 5010); // was on its way
  CHECK_EQ(next_cut(&scene), 0);
  scene.bus.now.monotonic_us += 10000;
  subscribe_to_many(&scene, 7, 1, 5010, 5011); // and comes still
  CHECK_EQ(next_cut(&scene), 7);
  hg_test_flush(&scene.bus);
  for (const char *json = next(&scene); *json; json = next(&scene))
    CHECK(!strstr(json, "DROPPED")); // told once a second
  scene.bus.now.monotonic_us += 1000000;
  hg_test_flush(&scene.bus);
  expect_notice(&scene, "too_many_topics");
  end(&scene);
}

// Another connection can't take a topic out of the count, nor have it counted for ever by its own.
TEST(event_bus, an_end_takes_nothing_away_from_the_count_of_who_subscribed) {
  struct scene scene;
  begin(&scene);
  for (unsigned i = 0; i < HG_SUBSCRIBER_FRAMES_MAX / 2; i++) {
    subscribe_to_many(&scene, 7, 1, i, i + 1);
    subscribe_to_many(&scene, i % 2 ? 0 : 8, 0, i, i + 1);
  }
  CHECK_EQ(next_cut(&scene), 0);
  subscribe_to_many(&scene, 7, 1, 1000, 1000 + HG_SUBSCRIBER_FRAMES_MAX / 2 + 1);
  CHECK_EQ(next_cut(&scene), 7);
  subscribe_to_many(&scene, 8, 0, 0, HG_SUBSCRIBER_FRAMES_MAX);
  CHECK_EQ(next_cut(&scene), 8);
  end(&scene);
}

TEST(event_bus, of_those_who_came_long_ago_none_stays_uncounted) {
  struct scene scene;
  begin(&scene);
  for (hg_peer peer = 1; peer <= HG_SUBSCRIBERS_KNOWN; peer++)
    subscribe(&scene, peer, 1, "NO_SUCH");
  CHECK_EQ(next_cut(&scene), 0);
  subscribe(&scene, HG_SUBSCRIBERS_KNOWN + 1, 1, "NO_SUCH");
  CHECK_EQ(next_cut(&scene), 1);
  subscribe(&scene, 1, 1, "NO_SUCH"); // as a new one
  CHECK_EQ(next_cut(&scene), 2);
  end(&scene);
}

TEST(event_bus, who_sends_something_else_is_cut) {
  static const char long_topic[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  struct scene scene;
  struct hg_counters counters = {0};
  begin(&scene);
  scene.bus.out.counters = &counters;
  subscribe(&scene, 7, 2, "x");
  CHECK_EQ(next_cut(&scene), 7);
  expect_notice(&scene, "no_subscription");
  hg_test_pass(&scene.bus, HG_PORT_OUTSIDE_EVENTS, (struct hg_test_frame){8, 0, NULL});
  CHECK_EQ(next_cut(&scene), 8);
  subscribe(&scene, 9, 1, long_topic + 1);
  CHECK_EQ(next_cut(&scene), 0);
  subscribe(&scene, 9, 1, long_topic);
  CHECK_EQ(next_cut(&scene), 9);
  CHECK(counters.frames_refused == 2 && counters.subscribers_dropped == 3);
  end(&scene);
}

TEST(event_bus, what_nobody_outside_has_wanted_stays_inside) {
  struct scene scene;
  begin(&scene);
  send_facts(&scene, 101, 101);
  subscribe(&scene, 7, 1, "TASK_ST");
  subscribe(&scene, 8, 0, "TASK_WAITING");
  send_facts(&scene, 102, 102);
  CHECK_EQ(scene.bus.sent[HG_PORT_OUTSIDE_EVENTS].count, 0);
  subscribe(&scene, 7, 1, "TASK_WA");
  send_facts(&scene, 103, 103);
  CHECK_EQ(scene.bus.sent[HG_PORT_OUTSIDE_EVENTS].count, 1);
  end(&scene);
}

// ZeroMQ tells of ends that were none.
TEST(event_bus, nobody_outside_ends_the_subscription_of_another) {
  struct scene scene;
  begin(&scene);
  subscribe(&scene, 8, 0, "");
  subscribe(&scene, 7, 1, "");
  subscribe(&scene, 8, 0, "");
  subscribe(&scene, 0, 0, "");
  subscribe(&scene, 8, 0, "TASK_WAITING");
  send_facts(&scene, 101, 105);
  CHECK_EQ(scene.bus.sent[HG_PORT_OUTSIDE_EVENTS].count, 5);
  end(&scene);
}
