// Subscribers in the process: slow ones, and such that begin with an earlier row, are told each event once and in
// order.
#include "support/runtime_fixture.h"
#include "support/test.h"

#include <poll.h>
#include <stddef.h>

#define WAIT_MS 20000
#define MANY 260000 // more than waits for a subscriber: HG_EVENTS_HWM on each side
#define SECTIONS "\"tokenBudget\":{\"hardLimitTokens\":100000000}"

static hg_subscriber *subscribe(struct fixture *f, const char *const *topics, size_t count, uint64_t from) {
  hg_filter filter = HG_FILTER_INIT;
  hg_subscriber *subscriber = NULL;
  filter.topics = topics;
  filter.topic_count = count;
  filter.from_seq = from;
  CHECK(hg_subscribe(f->runtime, &filter, &subscriber) == HG_OK);
  return subscriber;
}

static void record(struct fixture *f, unsigned count) {
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  hg_ticket ticket;
  used.tokens = 1;
  for (unsigned i = 0; i < count; i++) {
    hg_err err;
    while ((err = hg_record_usage_start(f->client, &used, &ticket)) == HG_ERR_BUSY)
      CHECK(hg_flush(f->client, WAIT_MS) == HG_OK);
    CHECK(err == HG_OK);
  }
  CHECK(hg_flush(f->client, WAIT_MS) == HG_OK);
  hg_completion done = HG_COMPLETION_INIT;
  while (hg_client_next(f->client, &done, 0) == HG_OK)
    CHECK(done.err == HG_OK);
}

static hg_event next(hg_subscriber *subscriber) {
  hg_event event = HG_EVENT_INIT;
  CHECK(hg_next_event(subscriber, &event, WAIT_MS) == HG_OK);
  return event;
}

static bool is(const hg_event *event, const char *type) {
  return strcmp(event->type, type) == 0;
}

// A row of each kind that is wanted, over and over: who is told one twice, or never, does not end with the last one.
TEST(subscriber, a_slow_one_is_told_what_it_lost_once_and_in_order) {
  struct fixture f = {0};
  static const char *const topics[] = {"USAGE_RECORDED", "USAGE_CORRECTED", "LIMIT_CHANGED"};
  fixture_open(&f, SECTIONS);
  hg_subscriber *all = subscribe(&f, NULL, 0, 0);
  hg_subscriber *one = subscribe(&f, topics, 1, 0);
  hg_subscriber *several = subscribe(&f, topics, 3, 0);
  record(&f, MANY / 2);
  CHECK(hg_correct(f.client, NULL, -1, "in the middle", WAIT_MS) == HG_OK);
  record(&f, MANY / 2);
  CHECK(hg_correct(f.client, NULL, -1, "the tail", WAIT_MS) == HG_OK);
  // Nothing follows.
  unsigned records = 0, corrections = 0;
  uint64_t seq = 0, last = 0;
  while (corrections < 2) {
    const hg_event event = next(all);
    CHECK(!seq || event.seq == seq + 1);
    seq = event.seq;
    records += is(&event, "USAGE_RECORDED");
    corrections += is(&event, "USAGE_CORRECTED");
    CHECK_EQ(event.oldest, 0);
  }
  CHECK_EQ(records, MANY);
  for (unsigned i = 0; i < MANY; i++) {
    const hg_event event = next(one);
    CHECK(event.seq > last && (!last || event.prev == last));
    last = event.seq;
  }
  last = 0;
  for (unsigned i = 0; i < MANY + 2; i++) {
    const hg_event event = next(several);
    CHECK(event.seq > last);
    last = event.seq;
    CHECK_EQ(is(&event, "USAGE_CORRECTED"), i == MANY / 2 || i == MANY + 1);
  }
  CHECK_EQ(last, seq);
  // And on.
  record(&f, 3);
  for (unsigned i = 1; i <= 3; i++) {
    CHECK_EQ(next(one).seq, next(several).seq);
  }
  hg_event event = HG_EVENT_INIT;
  CHECK(hg_next_event(one, &event, 0) == HG_ERR_TIMEOUT);
  hg_subscriber_destroy(&all);
  hg_subscriber_destroy(&one);
  hg_subscriber_destroy(&several);
  fixture_close(&f);
}

TEST(subscriber, one_begins_with_an_earlier_row) {
  struct fixture f = {0};
  static const char *const topics[] = {"USAGE_RECORDED"};
  fixture_open(&f, SECTIONS);
  record(&f, 3000);
  fixture_reopen(&f);
  record(&f, 10);
  hg_subscriber *all = subscribe(&f, NULL, 0, 1);
  hg_subscriber *late = subscribe(&f, NULL, 0, 2000);
  hg_subscriber *records = subscribe(&f, topics, 1, 1);
  record(&f, 10);
  uint64_t seq = 0;
  for (unsigned count = 0; count < 3020;) {
    const hg_event event = next(all);
    CHECK_EQ(event.seq, ++seq);
    count += is(&event, "USAGE_RECORDED");
  }
  for (uint64_t row = 2000; row <= seq; row++)
    CHECK_EQ(next(late).seq, row);
  uint64_t last = 0;
  for (unsigned count = 0; count < 3020; count++) {
    const hg_event event = next(records);
    CHECK_EQ(event.prev, last);
    last = event.seq;
  }
  CHECK_EQ(last, seq);
  hg_subscriber_destroy(&all);
  hg_subscriber_destroy(&late);
  hg_subscriber_destroy(&records);
  fixture_close(&f);
}

// It hears over ipc, and asks the other runtime.
TEST(subscriber, a_guests_is_told_what_it_lost_once_and_in_order) {
  struct fixture f = {0};
  fixture_open(&f, SECTIONS);
  record(&f, 2000);
  struct fixture guest = f;
  CHECK(hg_open_json(f.config, strlen(f.config), f.folder, &guest.runtime, NULL) == HG_OK);
  hg_subscriber *slow = subscribe(&guest, NULL, 0, 0);
  hg_subscriber *late = subscribe(&guest, NULL, 0, 1);
  record(&f, MANY);
  uint64_t seq = 0, row = 0;
  for (unsigned records = 0; records < MANY;) {
    const hg_event event = next(slow);
    CHECK(!seq || event.seq == seq + 1);
    seq = event.seq;
    records += is(&event, "USAGE_RECORDED");
  }
  while (row < seq)
    CHECK_EQ(next(late).seq, ++row);
  hg_subscriber_destroy(&slow);
  hg_subscriber_destroy(&late);
  CHECK(hg_close(&guest.runtime, WAIT_MS) == HG_OK);
  fixture_close(&f);
}

TEST(subscriber, the_descriptor_announces_what_is_told_again) {
  struct fixture f = {0};
  fixture_open(&f, SECTIONS);
  record(&f, 2000);
  hg_subscriber *subscriber = subscribe(&f, NULL, 0, 1);
  struct pollfd fd = {.fd = hg_subscriber_fd(subscriber), .events = POLLIN};
  unsigned looks = 0;
  for (unsigned records = 0; records < 2000;) {
    hg_event event = HG_EVENT_INIT;
    CHECK_EQ(poll(&fd, 1, WAIT_MS), 1);
    looks++;
    while (hg_next_event(subscriber, &event, 0) == HG_OK)
      records += is(&event, "USAGE_RECORDED");
  }
  CHECK(looks < 2000);
  hg_subscriber_destroy(&subscriber);
  fixture_close(&f);
}

TEST(subscriber, callers_of_before_are_served) {
  struct fixture f = {0};
  fixture_open(&f, SECTIONS);
  record(&f, 5);
  hg_filter filter = HG_FILTER_INIT;
  hg_subscriber *subscriber = NULL;
  filter.size = offsetof(hg_filter, from_seq);
  filter.from_seq = 1; // what lies behind their struct
  CHECK(hg_subscribe(f.runtime, &filter, &subscriber) == HG_OK);
  record(&f, 1);
  hg_event event = HG_EVENT_INIT;
  event.size = offsetof(hg_event, oldest);
  event.oldest = 77;
  do
    CHECK(hg_next_event(subscriber, &event, WAIT_MS) == HG_OK);
  while (!is(&event, "USAGE_RECORDED"));
  CHECK(event.seq > 6 && event.oldest == 77);
  CHECK_EQ(event.size, offsetof(hg_event, oldest));
  hg_subscriber_destroy(&subscriber);
  filter.size--;
  CHECK(hg_subscribe(f.runtime, &filter, &subscriber) == HG_ERR_INVALID);
  fixture_close(&f);
}

TEST(subscriber, topics_must_be_events) {
  struct fixture f = {0};
  static const char *const topics[] = {"STATUS", "NO_SUCH", "USAGE_", "", NULL};
  fixture_open(&f, SECTIONS);
  hg_filter filter = HG_FILTER_INIT;
  hg_subscriber *subscriber = NULL;
  filter.topic_count = 1;
  for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
    filter.topics = &topics[i];
    CHECK(hg_subscribe(f.runtime, &filter, &subscriber) == HG_ERR_INVALID);
  }
  CHECK_EQ(hg_subscriber_fd(subscriber), -1); // there is none
  CHECK_EQ(hg_client_fd(NULL), -1);
  fixture_close(&f);
}
