// A subscriber's gaps: whatever is lost of a subscription, each row that is wanted is delivered once, in order.
#include "bus/topics.h"
#include "client/gaps.h"
#include "config/config.h"
#include "support/test.h"

#define ROWS 1000
#define ROUNDS 100
#define TOPICS 5
#define CROWD (HG_EVENTS_HWM / 2)
#define LEDGER "6f1c9b1e-0000-4000-8000-000000000001"
#define LATER INT64_C(1763894400000000)

static const enum hg_kind kinds[TOPICS] = {HG_USAGE_RECORDED, HG_TOKENS_RESERVED, HG_TASK_STARTED, HG_LIMIT_CHANGED,
                                           HG_STORE_RECOVERED};

// A journal and who follows it.
struct scene {
  uint64_t seed;
  struct hg_gaps gaps;
  enum hg_kind kind[ROWS + 1];
  uint64_t prev[ROWS + 1], newest[HG_EVENT_KINDS], rows;
  uint64_t first_kept;
  uint64_t expected[ROWS], count, delivered;
  uint64_t last_of[HG_EVENT_KINDS];
  bool strict; // in the order of the rows, not only of those of each topic
  unsigned asked, refused;
};

static uint32_t bit(enum hg_kind kind) {
  return UINT32_C(1) << (kind - HG_EVENT_FIRST);
}

static size_t encode(const struct hg_message *event, uint8_t to[HG_OUTSIDE_FRAME_MAX]) {
  static const struct hg_budget_config budget = {.name = "default"};
  const struct hg_names names = {LEDGER, &budget, 1};
  const size_t size = hg_outside_encode_event(event, &names, to, HG_OUTSIDE_FRAME_MAX);
  CHECK(size > 0);
  return size;
}

static size_t encode_row(const struct scene *scene, uint64_t row, uint8_t to[HG_OUTSIDE_FRAME_MAX]) {
  struct hg_message event;
  hg_message_init(&event, scene->kind[row]);
  event.as.head.seq = row;
  event.as.head.prev = scene->prev[row];
  event.as.head.at = 1;
  return encode(&event, to);
}

static size_t encode_beat(const struct scene *scene, int64_t at, uint8_t to[HG_OUTSIDE_FRAME_MAX]) {
  uint8_t topics[HG_TOPICS_BYTES];
  struct hg_message beat;
  hg_message_init(&beat, HG_HEARTBEAT);
  beat.as.head.at = at;
  beat.as.heartbeat.newest = scene->rows;
  beat.as.heartbeat.topics = hg_topics_write(scene->newest, topics);
  return encode(&beat, to);
}

static void commit(struct scene *scene) {
  const uint64_t row = ++scene->rows;
  uint64_t *newest = &scene->newest[scene->kind[row] - HG_EVENT_FIRST];
  scene->prev[row] = *newest;
  *newest = row;
}

static void deliver(struct scene *scene, const struct hg_event_envelope *event) {
  const unsigned topic = (unsigned)hg_kind_by_name(event->type)->kind - HG_EVENT_FIRST;
  if (scene->strict) {
    CHECK(scene->delivered < scene->count);
    CHECK_EQ(event->seq, scene->expected[scene->delivered]);
  }
  CHECK(event->seq > scene->last_of[topic]);
  scene->last_of[topic] = event->seq;
  scene->delivered++;
}

// Answers from the journal, in portions, now and then not at all.
static void answer(struct scene *scene) {
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  struct hg_message question;
  struct hg_event_envelope event;
  CHECK_EQ(hg_outside_decode(frame, hg_gaps_question(&scene->gaps, frame, sizeof frame), &question), HG_OK);
  scene->asked++;
  struct hg_message report;
  hg_message_init(&report, HG_REPLAY_REPORT);
  report.as.replay_report.request = question.as.replay.request;
  report.as.replay_report.newest = scene->rows;
  if (hg_test_draw(&scene->seed, 8) == 0) {
    scene->refused++;
    hg_message_init(&report, HG_COMMAND_DONE);
    report.as.command_done.request = question.as.replay.request;
    report.as.command_done.error = HG_ERR_BUSY;
    report.as.command_done.reason = hg_text_of("busy");
    CHECK_EQ(hg_gaps_answer(&scene->gaps, frame, hg_outside_encode(&report, frame, sizeof frame), &event),
             HG_ERR_TIMEOUT);
    CHECK_EQ(scene->gaps.state, HG_GAPS_BEHIND);
    return;
  }
  uint64_t row = question.as.replay.after, looked = 1 + hg_test_draw(&scene->seed, 40);
  const struct hg_text topics = question.as.replay.topics;
  for (; looked && row < scene->rows; looked--) {
    row++;
    if (row < scene->first_kept) {
      report.as.replay_report.oldest = scene->first_kept;
      row = scene->first_kept;
    }
    if (topics.size && !(scene->gaps.kinds & bit(scene->kind[row]))) continue;
    report.as.replay_report.count++;
    if (hg_gaps_answer(&scene->gaps, frame, encode_row(scene, row, frame), &event) == HG_OK) deliver(scene, &event);
  }
  report.as.replay_report.reached = row;
  CHECK_EQ(hg_gaps_answer(&scene->gaps, frame, hg_outside_encode(&report, frame, sizeof frame), &event),
           HG_ERR_TIMEOUT);
}

static void turn(struct scene *scene) {
  const uint8_t *frame;
  size_t size;
  struct hg_event_envelope event;
  while (hg_gaps_next(&scene->gaps, &frame, &size, &event))
    deliver(scene, &event);
  while (scene->gaps.state == HG_GAPS_ASKING) {
    answer(scene);
    if (scene->rows < ROWS && hg_test_draw(&scene->seed, 3) == 0) commit(scene); // whose event is lost
  }
}

static void hear(struct scene *scene, size_t size, const uint8_t *frame) {
  struct hg_event_envelope event;
  if (hg_gaps_hear(&scene->gaps, LATER, frame, size, &event) == HG_OK) deliver(scene, &event);
  turn(scene);
}

static void hear_row(struct scene *scene, uint64_t row) {
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  hear(scene, encode_row(scene, row, frame), frame);
}

static void hear_beat(struct scene *scene, int64_t at) {
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  hear(scene, encode_beat(scene, at, frame), frame);
}

static void write_journal(struct scene *scene, uint64_t from) {
  for (uint64_t row = 1; row <= ROWS; row++)
    scene->kind[row] = kinds[hg_test_draw(&scene->seed, TOPICS)];
  for (uint64_t row = from; row <= ROWS; row++)
    if (scene->gaps.kinds == HG_GAPS_ALL || scene->gaps.kinds & bit(scene->kind[row]))
      scene->expected[scene->count++] = row;
}

enum choice { ALL, ONE, SEVERAL_IN_A_CROWD, SEVERAL_IN_CALM, CHOICES };

static void follow(uint64_t seed, enum choice choice) {
  static struct scene scene;
  memset(&scene, 0, sizeof scene);
  scene.seed = seed | 1;
  uint32_t wanted = HG_GAPS_ALL;
  if (choice == ONE) wanted = bit(kinds[hg_test_draw(&scene.seed, TOPICS)]);
  else if (choice != ALL) wanted = bit(kinds[0]) | bit(kinds[2]) | bit(kinds[3]);
  const uint64_t before = hg_test_draw(&scene.seed, 500), from = hg_test_draw(&scene.seed, 2) * (1 + before / 2);
  hg_gaps_init(&scene.gaps, wanted, from);
  CHECK_EQ(scene.gaps.several, choice > ONE);
  if (choice == SEVERAL_IN_A_CROWD) scene.gaps.count = CROWD; // and no heartbeat was ever heard before
  scene.strict = choice != SEVERAL_IN_CALM;
  write_journal(&scene, from ? from : before + 1);
  while (scene.rows < before)
    commit(&scene);
  const uint64_t loss = hg_test_draw(&scene.seed, 100);
  hear_row(&scene, before ? before : 1); // before the first heartbeat nothing counts
  hear_beat(&scene, 1);
  unsigned burst = 0;
  while (scene.rows < ROWS) {
    commit(&scene);
    const uint64_t row = scene.rows;
    if (burst == 0 && hg_test_draw(&scene.seed, 400) < loss) burst = 1 + (unsigned)hg_test_draw(&scene.seed, 30);
    if (burst > 0) burst--;
    else hear_row(&scene, row);
    if (burst == 0 && hg_test_draw(&scene.seed, 20) == 0) hear_beat(&scene, choice == SEVERAL_IN_CALM ? LATER : 1);
  }
  for (int i = 0; i < 100 && (scene.gaps.state != HG_GAPS_LIVE || scene.delivered < scene.count); i++)
    hear_beat(&scene, 1);
  CHECK_EQ(scene.delivered, scene.count);
  hg_gaps_destroy(&scene.gaps);
}

static void follow_often(const char *test, enum choice choice) {
  uint64_t seed = hg_test_seed(test) | 1;
  for (int i = 0; i < ROUNDS; i++) {
    hg_test_draw(&seed, 2);
    follow(seed, choice);
  }
}

TEST(gaps, who_hears_all_is_told_every_row_once_in_order) {
  follow_often("gaps of all", ALL);
}

TEST(gaps, who_hears_one_topic_is_told_each_of_its_rows_once_in_order) {
  follow_often("gaps of one topic", ONE);
}

TEST(gaps, who_hears_several_topics_is_told_their_rows_once_in_order_after_a_crowd) {
  follow_often("gaps of several topics in a crowd", SEVERAL_IN_A_CROWD);
}

TEST(gaps, who_hears_several_topics_is_told_their_rows_once_also_where_no_loss_was_thought_possible) {
  follow_often("gaps of several topics in calm", SEVERAL_IN_CALM);
}

static void set_scene(struct scene *scene, uint32_t wanted, uint64_t from) {
  memset(scene, 0, sizeof *scene);
  scene->seed = 3;
  hg_gaps_init(&scene->gaps, wanted, from);
  write_journal(scene, 1);
}

TEST(gaps, several_topics_are_told_at_once_in_calm) {
  static struct scene scene;
  set_scene(&scene, bit(kinds[0]) | bit(kinds[1]), 0);
  hear_beat(&scene, LATER);
  scene.kind[1] = kinds[0];
  scene.kind[2] = kinds[1];
  for (uint64_t row = 1; row <= 2; row++) {
    commit(&scene);
    hear_row(&scene, row);
    CHECK_EQ(scene.delivered, row);
  }
  hg_gaps_destroy(&scene.gaps);
}

// The event bus did not hear of the row either, so its `topics` lack it.
TEST(gaps, a_row_that_the_bus_did_not_hear_is_asked_for) {
  uint8_t frame[HG_OUTSIDE_FRAME_MAX], topics[HG_TOPICS_BYTES];
  struct hg_event_envelope event;
  struct hg_message beat;
  struct hg_gaps gaps;
  const struct hg_budget_config root = {.name = "default"};
  const struct hg_names names = {"some-ledger", &root, 1};
  hg_gaps_init(&gaps, UINT32_C(1) << (HG_USAGE_RECORDED - HG_EVENT_FIRST), 0);
  for (uint64_t unheard = 0; unheard <= 12; unheard += 12) {
    hg_message_init(&beat, HG_HEARTBEAT);
    uint64_t newest[HG_EVENT_KINDS] = {[HG_USAGE_RECORDED - HG_EVENT_FIRST] = 10};
    beat.as.heartbeat.newest = 10 + unheard;
    beat.as.heartbeat.unheard = unheard;
    beat.as.heartbeat.topics = hg_topics_write(newest, topics);
    const size_t size = hg_outside_encode_event(&beat, &names, frame, sizeof frame);
    CHECK(size > 0 && hg_gaps_hear(&gaps, 1, frame, size, &event) == HG_ERR_EMPTY);
    CHECK_EQ(gaps.state, unheard ? HG_GAPS_ASKING : HG_GAPS_LIVE);
  }
  CHECK_EQ(gaps.after, 10);
  hg_gaps_destroy(&gaps);
}

TEST(gaps, a_loss_at_the_tail_shows_in_the_heartbeat) {
  static struct scene scene;
  set_scene(&scene, HG_GAPS_ALL, 0);
  hear_beat(&scene, 1);
  for (int i = 0; i < 5; i++)
    commit(&scene);
  while (scene.delivered < 5)
    hear_beat(&scene, 1); // once more after a refusal
  const unsigned asked = scene.asked;
  hear_beat(&scene, 1);
  CHECK_EQ(scene.asked, asked); // nothing is missing
  for (uint64_t row = 1; row <= 5; row++)
    hear_row(&scene, row);
  CHECK_EQ(scene.delivered, 5);
  hg_gaps_destroy(&scene.gaps);
}

TEST(gaps, rows_that_are_no_longer_kept_are_told) {
  static struct scene scene;
  set_scene(&scene, HG_GAPS_ALL, 1);
  scene.first_kept = 4;
  for (int i = 0; i < 6; i++)
    commit(&scene);
  while (scene.gaps.state != HG_GAPS_LIVE)
    hear_beat(&scene, 1);
  CHECK_EQ(scene.gaps.oldest, 4);
  CHECK_EQ(scene.delivered, scene.rows - 3);
  hg_gaps_destroy(&scene.gaps);
}

TEST(gaps, another_ledger_begins_anew) {
  static struct scene scene;
  set_scene(&scene, HG_GAPS_ALL, 0);
  for (int i = 0; i < 6; i++)
    commit(&scene);
  hear_beat(&scene, 1);
  CHECK_EQ(scene.delivered, 0);
  strcpy(scene.gaps.ledger_id, "of the one before");
  hear_row(&scene, 6);
  CHECK_EQ(scene.delivered, 0);
  while (scene.delivered < scene.rows)
    hear_beat(&scene, 1);
  CHECK_STR(scene.gaps.ledger_id, LEDGER);
  hg_gaps_destroy(&scene.gaps);
}

TEST(gaps, a_portion_that_did_not_come_whole_is_asked_for_again) {
  static struct scene scene;
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  struct hg_event_envelope event;
  struct hg_message report;
  set_scene(&scene, HG_GAPS_ALL, 1);
  commit(&scene);
  CHECK_EQ(hg_gaps_hear(&scene.gaps, 1, frame, encode_beat(&scene, 1, frame), &event), HG_ERR_EMPTY);
  CHECK(hg_gaps_question(&scene.gaps, frame, sizeof frame) > 0);
  hg_message_init(&report, HG_REPLAY_REPORT);
  report.as.replay_report.request = scene.gaps.request;
  report.as.replay_report.reached = report.as.replay_report.newest = report.as.replay_report.count = 1;
  CHECK_EQ(hg_gaps_answer(&scene.gaps, frame, hg_outside_encode(&report, frame, sizeof frame), &event), HG_ERR_TIMEOUT);
  CHECK_EQ(scene.gaps.state, HG_GAPS_BEHIND);
  while (scene.delivered < scene.rows)
    hear_beat(&scene, 1);
  hg_gaps_destroy(&scene.gaps);
}
