// A client that goes away without a word, or without room for one, leaks no slot and is charged nothing for a grant
// that it never got.
#include "actors/core.h"
#include "bus/endpoints.h"
#include "bus/frames.h"
#include "support/runtime_fixture.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define WAIT_MS 30000
#define SLOTS 4
#define MANY 16384
#define MANY_SLOTS 4096
#define CONFIG "\"tokenBudget\":{\"hardLimitTokens\":1000000},\"scheduler\":{\"maxConcurrency\":4}"

static uint64_t count_of(const struct fixture *f, const char *name) {
  hg_counter counter = HG_COUNTER_INIT;
  for (unsigned i = 0; hg_read_counter(f->runtime, i, &counter, WAIT_MS) == HG_OK; i++)
    if (strcmp(counter.name, name) == 0) return counter.value;
  CHECK(false); // there is no such counter
  return 0;
}

static void take_all_slots(struct fixture *f, hg_permit permits[SLOTS]) {
  for (int i = 0; i < SLOTS; i++)
    permits[i] = fixture_acquire(f, 10);
  CHECK_EQ(fixture_queue(f).running, SLOTS);
}

static void release_all(struct fixture *f, const hg_permit permits[SLOTS]) {
  for (int i = 0; i < SLOTS; i++)
    CHECK(hg_release(f->client, permits[i], HG_OUTCOME_DONE, NULL, WAIT_MS) == HG_OK);
}

static void wait_for_queue(struct fixture *f, uint32_t waiting) {
  for (int i = 0; i < 3000 && fixture_queue(f).waiting != waiting; i++)
    usleep(10000);
  CHECK_EQ(fixture_queue(f).waiting, waiting);
}

// A client without manners: it asks on a link of its own, which it closes without a LEAVE.
static struct hg_link ask_for(struct fixture *f, uint32_t count) {
  struct hg_core *core = hg_runtime_core(f->runtime);
  const struct hg_link_limits limits = HG_CLIENT_SIDE;
  struct hg_link link;
  CHECK(hg_link_open(core->context, HG_DEALER, limits, &link) == HG_OK);
  CHECK(hg_link_connect(&link, "inproc://scheduler") == HG_OK);
  for (uint32_t i = 0; i < count; i++) {
    struct hg_message acquire;
    hg_message_init(&acquire, HG_ACQUIRE);
    acquire.as.acquire.request = hg_core_take_ids(core, 1);
    acquire.as.acquire.min_tokens = acquire.as.acquire.max_tokens = 10;
    uint8_t frame[256];
    const struct hg_bytes bytes = {frame, (uint32_t)hg_frame_encode(&acquire, frame, sizeof frame)};
    CHECK(hg_link_send(&link, 0, (struct hg_bytes){0}, bytes) == HG_OK);
  }
  return link;
}

TEST(vanished_client, a_grant_that_finds_nobody_is_released_and_the_rest_is_cancelled) {
  struct fixture f = {0};
  hg_permit permits[SLOTS];
  fixture_open(&f, CONFIG);
  take_all_slots(&f, permits);
  struct hg_link rude = ask_for(&f, 100);
  wait_for_queue(&f, 100);
  hg_link_close(&rude);
  usleep(200000); // a closed socket ends in a thread of libzmq
  release_all(&f, permits);
  wait_for_queue(&f, 0);
  take_all_slots(&f, permits);
  release_all(&f, permits);
  const hg_usage usage = fixture_usage(&f);
  CHECK_EQ(usage.used, 0);
  CHECK_EQ(usage.reserved, 0);
  const uint64_t given_back = count_of(&f, "grants_given_back");
  CHECK(given_back >= 1 && given_back <= SLOTS);
  CHECK(count_of(&f, "answers_undelivered") >= 1); // the others may have been asked for when that one came back
  fixture_close(&f);
}

// Its answers find nobody, and that is known before all that it had sent is read.
TEST(vanished_client, what_one_sent_before_it_went_is_carried_out_first) {
  struct fixture f = {0};
  hg_client *hasty;
  hg_request want = HG_REQUEST_INIT;
  hg_completion done = HG_COMPLETION_INIT;
  hg_permit permits[MANY_SLOTS];
  hg_ticket ticket;
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000000},\"scheduler\":{\"maxConcurrency\":4096}");
  CHECK(hg_client_new(f.runtime, &hasty) == HG_OK);
  want.min_tokens = want.max_tokens = 10;
  for (int i = 0; i < MANY_SLOTS; i++)
    CHECK(hg_acquire_start(hasty, &want, &ticket) == HG_OK);
  for (int i = 0; i < MANY_SLOTS; i++) {
    CHECK(hg_client_next(hasty, &done, WAIT_MS) == HG_OK);
    CHECK(done.err == HG_OK);
    permits[i] = done.permit;
  }
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = 1;
  for (int i = 0; i < MANY_SLOTS; i++)
    CHECK(hg_settle_start(hasty, permits[i], &used, &ticket) == HG_OK);
  hg_client_destroy(&hasty);
  for (int i = 0; i < 3000 && fixture_usage(&f).open_permits > 0; i++)
    usleep(10000);
  CHECK_EQ(fixture_usage(&f).used, MANY_SLOTS);
  hg_client_destroy(&f.client);
  CHECK(hg_close(&f.runtime, 0) == HG_OK);
  CHECK_EQ(fixture_sql(&f, "SELECT count(*) FROM journal WHERE event = 'RESERVATION_ORPHANED'"), 0);
  fixture_close(&f);
}

TEST(vanished_client, one_that_asked_until_its_pipe_was_full_leaks_nothing) {
  struct fixture f = {0};
  hg_permit permits[SLOTS];
  fixture_open(&f, CONFIG);
  hg_client *greedy;
  CHECK(hg_client_new(f.runtime, &greedy) == HG_OK);
  hg_request want = HG_REQUEST_INIT;
  want.min_tokens = want.max_tokens = 10;
  hg_grant grant = HG_GRANT_INIT;
  CHECK(hg_acquire(greedy, &want, &grant, WAIT_MS) == HG_OK);
  hg_ticket ticket;
  hg_err err = HG_OK;
  for (int i = 0; err == HG_OK && i < 4 * MANY; i++)
    err = hg_acquire_start(greedy, &want, &ticket);
  CHECK(err == HG_OK || err == HG_ERR_BUSY);
  hg_client_destroy(&greedy);
  for (int i = 0; i < 3000 && fixture_usage(&f).used == 0; i++)
    usleep(10000);
  CHECK(fixture_usage(&f).used >= 10); // an orphan: all that it had sent is read
  wait_for_queue(&f, 0);
  take_all_slots(&f, permits);
  release_all(&f, permits);
  CHECK_EQ(fixture_usage(&f).reserved, 0);
  CHECK(fixture_usage(&f).used <= SLOTS * 10); // at most what it held when it left
  fixture_close(&f);
}

// A file that cannot grow is to the ledger what a full disk is.
static void leave_room(bool room) {
  struct rlimit limit;
  signal(SIGXFSZ, SIG_IGN);
  CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
  limit.rlim_cur = room ? limit.rlim_max : 4096;
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

// Fills all that can wait for the disk, until the scheduler hears no client any more.
static void stop_the_scheduler(hg_client *client) {
  char task[HG_TASK_ID_MAX + 1];
  memset(task, 't', sizeof task - 1);
  task[sizeof task - 1] = '\0';
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = 1;
  used.task_id = task;
  hg_ticket ticket;
  while (hg_record_usage_start(client, &used, &ticket) == HG_OK) {}
  used.task_id = NULL;
  while (hg_settle_start(client, (hg_permit){1}, &used, &ticket) == HG_OK) {}
}

// It can say nothing when it goes, and nothing will ever be sent to it.
TEST(vanished_client, the_permits_of_one_whose_pipe_is_full_become_orphans_all_the_same) {
  struct fixture f = {0};
  hg_client *flooder, *leaver;
  hg_request want = HG_REQUEST_INIT;
  hg_grant grant = HG_GRANT_INIT;
  want.min_tokens = want.max_tokens = 10;
  fixture_open(&f, CONFIG);
  CHECK(hg_client_new(f.runtime, &flooder) == HG_OK);
  CHECK(hg_client_new(f.runtime, &leaver) == HG_OK);
  for (int i = 0; i < SLOTS; i++)
    CHECK(hg_acquire(leaver, &want, &grant, WAIT_MS) == HG_OK);
  leave_room(false);
  stop_the_scheduler(flooder);
  while (hg_cancel(leaver, (hg_ticket){1}) == HG_OK) {} // has no answer
  hg_client_destroy(&leaver);
  leave_room(true);
  for (int i = 0; i < 3000 && fixture_usage(&f).open_permits > 0; i++)
    usleep(10000);
  CHECK_EQ(fixture_usage(&f).open_permits, 0);
  hg_client_destroy(&flooder);
  hg_client_destroy(&f.client);
  CHECK(hg_close(&f.runtime, 0) == HG_OK);
  CHECK_EQ(fixture_sql(&f, "SELECT count(*) FROM journal WHERE event = 'RESERVATION_ORPHANED'"), SLOTS);
  fixture_close(&f);
}

TEST(vanished_client, the_last_word_of_one_may_still_wait_at_the_close) {
  struct fixture f = {0};
  hg_client *flooder;
  fixture_open(&f, CONFIG);
  CHECK(hg_client_new(f.runtime, &flooder) == HG_OK);
  leave_room(false);
  stop_the_scheduler(flooder);
  hg_client_destroy(&flooder);
  hg_client_destroy(&f.client);
  CHECK(hg_close(&f.runtime, 0) == HG_ERR_STORE);
  leave_room(true);
  fixture_close(&f);
}

TEST(vanished_client, a_grant_that_it_never_took_is_no_orphan) {
  struct fixture f = {0};
  hg_client *client;
  hg_request want = HG_REQUEST_INIT;
  hg_ticket ticket;
  want.min_tokens = want.max_tokens = 10;
  fixture_open(&f, CONFIG);
  CHECK(hg_client_new(f.runtime, &client) == HG_OK);
  for (int i = 0; i < SLOTS; i++)
    CHECK(hg_acquire_start(client, &want, &ticket) == HG_OK);
  for (int i = 0; i < 3000 && fixture_queue(&f).running < SLOTS; i++)
    usleep(10000);
  hg_client_destroy(&client);
  for (int i = 0; i < 3000 && fixture_usage(&f).open_permits > 0; i++)
    usleep(10000);
  CHECK_EQ(fixture_usage(&f).open_permits, 0);
  CHECK_EQ(fixture_usage(&f).used, 0);
  fixture_close(&f);
}

// The client does nothing more, so only the scheduler can give the late grant back.
TEST(vanished_client, the_late_grant_of_one_that_gave_up_goes_back_without_it) {
  struct fixture f = {0};
  hg_client *idle;
  hg_request want = HG_REQUEST_INIT;
  hg_grant grant = HG_GRANT_INIT;
  want.min_tokens = want.max_tokens = 10;
  fixture_open(&f, CONFIG);
  CHECK(hg_client_new(f.runtime, &idle) == HG_OK);
  leave_room(false);
  CHECK(hg_acquire(idle, &want, &grant, 1) == HG_ERR_TIMEOUT);
  leave_room(true);
  for (int i = 0; i < 3000 && fixture_usage(&f).open_permits > 0; i++)
    usleep(10000);
  CHECK_EQ(fixture_usage(&f).open_permits, 0);
  CHECK_EQ(fixture_usage(&f).used, 0);
  CHECK_EQ(count_of(&f, "grants_given_back"), 1);
  hg_client_destroy(&idle);
  fixture_close(&f);
}
