// wraps: realloc
// An actor that finds no memory: the runtime ends by itself, everybody who waits hears so, and a close says why.
#include "support/runtime_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define SLOTS 400
#define WAIT_MS 30000
#define FOR_EVER (-1)
#define CONFIG "\"tokenBudget\":{\"hardLimitTokens\":1000000},\"scheduler\":{\"maxConcurrency\":400}"

static atomic_bool starving;

void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size) {
  char name[16] = "";
  if (atomic_load(&starving)) (void)pthread_getname_np(pthread_self(), name, sizeof name);
  return strcmp(name, "hg-scheduler") == 0 ? NULL : __real_realloc(memory, size);
}

struct waiter {
  struct fixture *f;
  hg_err heard;
};

static void *wait_for_a_slot(void *argument) {
  struct waiter *waiter = argument;
  hg_client *client = NULL;
  hg_request want = HG_REQUEST_INIT;
  hg_grant grant = HG_GRANT_INIT;
  want.min_tokens = want.max_tokens = 1;
  waiter->heard = hg_client_new(waiter->f->runtime, &client);
  if (waiter->heard == HG_OK) waiter->heard = hg_acquire(client, &want, &grant, FOR_EVER);
  hg_client_destroy(&client);
  return NULL;
}

static void *wait_for_an_event(void *argument) {
  struct waiter *waiter = argument;
  hg_subscriber *subscriber = NULL;
  hg_filter filter = HG_FILTER_INIT;
  static const char *const topics[] = {"BUDGET_EXHAUSTED"};
  filter.topics = topics;
  filter.topic_count = 1;
  hg_event event = HG_EVENT_INIT;
  waiter->heard = hg_subscribe(waiter->f->runtime, &filter, &subscriber);
  if (waiter->heard == HG_OK) waiter->heard = hg_next_event(subscriber, &event, FOR_EVER);
  hg_subscriber_destroy(&subscriber);
  return NULL;
}

TEST(no_memory, ends_every_wait_and_the_close_says_so) {
  struct fixture f = {0};
  hg_client *holder;
  fixture_open(&f, CONFIG);
  CHECK(hg_client_new(f.runtime, &holder) == HG_OK);
  for (int i = 0; i < SLOTS; i++) { // one at a time, so that the scheduler never needs much memory in a turn
    hg_request want = HG_REQUEST_INIT;
    hg_grant grant = HG_GRANT_INIT;
    want.min_tokens = want.max_tokens = 10;
    CHECK(hg_acquire(holder, &want, &grant, WAIT_MS) == HG_OK);
  }
  struct waiter waiters[2] = {{&f, HG_OK}, {&f, HG_OK}};
  pthread_t threads[2];
  CHECK(pthread_create(&threads[0], NULL, wait_for_a_slot, &waiters[0]) == 0);
  CHECK(pthread_create(&threads[1], NULL, wait_for_an_event, &waiters[1]) == 0);
  for (int i = 0; i < 3000 && fixture_queue(&f).waiting == 0; i++)
    usleep(10000);
  atomic_store(&starving, true);
  hg_client_destroy(&holder); // the scheduler has 400 permits to give up at once
  for (int i = 0; i < 2; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_EQ(waiters[i].heard, HG_ERR_CLOSED);
  }
  hg_usage usage = HG_USAGE_INIT;
  CHECK(hg_get_usage(f.client, NULL, &usage, WAIT_MS) == HG_ERR_CLOSED);
  hg_client *late = NULL;
  CHECK(hg_client_new(f.runtime, &late) == HG_ERR_CLOSED);
  hg_client_destroy(&f.client);
  CHECK(hg_close(&f.runtime, WAIT_MS) == HG_ERR_NO_MEMORY);
  atomic_store(&starving, false);
  CHECK_EQ(fixture_sql(&f, "SELECT count(*) FROM reservation WHERE state = 'open'"), SLOTS); // what was acknowledged
  fixture_close(&f);
}
