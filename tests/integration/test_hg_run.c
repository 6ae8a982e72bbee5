// labels: budget
// Functions on the runtime's own threads: what they report, clients that leave, threads that are missing, the end.
#include "support/runtime_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define WAIT_MS 30000
#define NO_SUCH_STACK ((size_t)1 << 50)

static hg_ticket run(struct fixture *f, hg_function function, void *argument) {
  hg_task task = HG_TASK_INIT;
  task.request.min_tokens = task.request.max_tokens = 100;
  task.request.attempt = 2;
  task.request.task_id = "a function";
  task.function = function;
  task.argument = argument;
  hg_ticket ticket = {0};
  CHECK(hg_run(f->client, &task, &ticket) == HG_OK);
  return ticket;
}

static hg_completion next(struct fixture *f) {
  hg_completion done = HG_COMPLETION_INIT;
  CHECK(hg_client_next(f->client, &done, WAIT_MS) == HG_OK);
  CHECK(done.kind == HG_COMPLETED_RUN);
  return done;
}

static void wait_for(const atomic_int *value, int least) {
  for (int ms = 0; atomic_load(value) < least; ms++) {
    CHECK(ms < WAIT_MS);
    usleep(1000);
  }
}

// ---------------------------------------------------------------------------------------------- what is reported

static hg_err report(const hg_grant *grant, void *argument, hg_usage_report *used) {
  (void)grant;
  *used = *(const hg_usage_report *)argument;
  return HG_OK;
}

TEST(hg_run, figures_out_of_range_charge_the_reservation) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":100000}");
  hg_usage_report bad[5];
  for (int i = 0; i < 5; i++)
    bad[i] = (hg_usage_report)HG_USAGE_REPORT_INIT;
  bad[0].tokens = -1;
  bad[1].input_tokens = -5;
  bad[2].reasoning_tokens = HG_TOKENS_MAX + 1;
  bad[3].source = (hg_source)9;
  bad[4].size = 0;
  for (int i = 0; i < 5; i++) {
    run(&f, report, &bad[i]);
    const hg_completion done = next(&f);
    CHECK_EQ(done.err, i < 3 ? HG_ERR_RANGE : HG_ERR_INVALID);
    CHECK_EQ(done.tokens, 100);
  }
  CHECK_EQ(fixture_usage(&f).used, 500);
  CHECK_EQ(fixture_usage(&f).open_permits, 0);
  hg_client_destroy(&f.client);
  CHECK(hg_close(&f.runtime, 0) == HG_OK);
  CHECK_EQ(fixture_sql(&f, "SELECT count(*) FROM journal WHERE event = 'TASK_FAILED' AND attempt = 2"), 5);
  fixture_close(&f);
}

TEST(hg_run, texts_that_no_message_could_carry_are_left_out) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":100000}");
  char long_text[4096];
  memset(long_text, 'x', sizeof long_text - 1);
  long_text[sizeof long_text - 1] = '\0';
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = 7;
  used.model = long_text;
  used.reason = long_text;
  used.response_id = "\xff\xfe";
  run(&f, report, &used);
  const hg_completion done = next(&f);
  CHECK_EQ(done.err, HG_OK);
  CHECK_EQ(done.tokens, 7);
  used.source = HG_SOURCE_MISSING;
  run(&f, report, &used);
  CHECK_EQ(next(&f).tokens, 100);
  CHECK_EQ(fixture_usage(&f).used, 107);
  hg_client_destroy(&f.client);
  CHECK(hg_close(&f.runtime, 0) == HG_OK);
  CHECK_EQ(fixture_sql(&f, "SELECT count(*) FROM journal WHERE event = 'TOKENS_SETTLED' AND attempt = 2"), 2);
  fixture_close(&f);
}

// ---------------------------------------------------------------------------------------------- threads

struct gate {
  atomic_int inside, open;
};

static hg_err wait_inside(const hg_grant *grant, void *argument, hg_usage_report *used) {
  struct gate *gate = argument;
  (void)grant;
  atomic_fetch_add(&gate->inside, 1);
  wait_for(&gate->open, 1);
  used->tokens = 1;
  used->source = HG_SOURCE_EXACT;
  return HG_OK;
}

TEST(hg_run, threads_follow_the_maximum) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":100000},\"scheduler\":{\"maxConcurrency\":1}");
  struct gate gate = {0};
  for (int i = 0; i < 12; i++)
    run(&f, wait_inside, &gate);
  wait_for(&gate.inside, 1);
  CHECK_EQ(fixture_queue(&f).running, 1);
  CHECK(hg_set_max_concurrency(f.client, 10, WAIT_MS) == HG_OK);
  wait_for(&gate.inside, 10);
  gate.open = 1;
  for (int i = 0; i < 12; i++)
    CHECK_EQ(next(&f).err, HG_OK);
  CHECK_EQ(fixture_usage(&f).used, 12);
  fixture_close(&f);
}

TEST(hg_run, without_a_thread_it_says_so_and_can_be_tried_again) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":100000}");
  pthread_attr_t usual, impossible;
  CHECK(pthread_getattr_default_np(&usual) == 0);
  CHECK(pthread_attr_init(&impossible) == 0);
  CHECK(pthread_attr_setstacksize(&impossible, NO_SUCH_STACK) == 0);
  CHECK(pthread_setattr_default_np(&impossible) == 0);
  struct gate gate = {.open = 1};
  hg_task task = HG_TASK_INIT;
  task.request.min_tokens = task.request.max_tokens = 1;
  task.function = wait_inside;
  task.argument = &gate;
  hg_ticket ticket;
  for (int i = 0; i < 3; i++)
    CHECK(hg_run(f.client, &task, &ticket) == HG_ERR_SYSTEM);
  CHECK(pthread_setattr_default_np(&usual) == 0);
  CHECK(hg_run(f.client, &task, &ticket) == HG_OK);
  CHECK_EQ(next(&f).ticket.id, ticket.id);
  pthread_attr_destroy(&impossible);
  pthread_attr_destroy(&usual);
  fixture_close(&f);
}

TEST(hg_run, closing_after_no_thread_could_start_does_not_hang) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":100000}");
  pthread_attr_t usual, impossible;
  CHECK(pthread_getattr_default_np(&usual) == 0);
  CHECK(pthread_attr_init(&impossible) == 0);
  CHECK(pthread_attr_setstacksize(&impossible, NO_SUCH_STACK) == 0);
  CHECK(pthread_setattr_default_np(&impossible) == 0);
  hg_task task = HG_TASK_INIT;
  task.request.min_tokens = task.request.max_tokens = 1;
  task.function = wait_inside;
  hg_ticket ticket;
  CHECK(hg_run(f.client, &task, &ticket) == HG_ERR_SYSTEM);
  CHECK(pthread_setattr_default_np(&usual) == 0);
  fixture_close(&f);
}

// ---------------------------------------------------------------------------------------------- leaving and closing

TEST(hg_run, a_client_that_is_destroyed_takes_its_queue_along) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":100000},\"scheduler\":{\"maxConcurrency\":1}");
  struct gate gate = {0};
  for (int i = 0; i < 20; i++)
    run(&f, wait_inside, &gate);
  wait_for(&gate.inside, 1);
  hg_client_destroy(&f.client);
  CHECK(hg_client_new(f.runtime, &f.client) == HG_OK);
  for (int ms = 0; fixture_queue(&f).waiting > 0; ms++) {
    CHECK(ms < WAIT_MS);
    usleep(1000);
  }
  gate.open = 1;
  fixture_settle(&f, fixture_acquire(&f, 5), 5); // the slot comes free
  CHECK_EQ(gate.inside, 1);
  CHECK_EQ(fixture_usage(&f).used, 6);
  fixture_close(&f);
}

static void *close_runtime(void *argument) {
  struct fixture *f = argument;
  CHECK(hg_close(&f->runtime, 0) == HG_OK);
  return NULL;
}

TEST(hg_run, the_last_function_is_told_of_while_the_runtime_closes) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":100000},\"scheduler\":{\"maxConcurrency\":1}");
  struct gate gate = {0};
  const hg_ticket running = run(&f, wait_inside, &gate);
  const hg_ticket queued = run(&f, wait_inside, &gate);
  wait_for(&gate.inside, 1);
  pthread_t closer;
  CHECK(pthread_create(&closer, NULL, close_runtime, &f) == 0);
  hg_completion done = next(&f);
  CHECK(done.ticket.id == queued.id && done.err == HG_ERR_CLOSED);
  gate.open = 1;
  done = next(&f);
  CHECK(done.ticket.id == running.id && done.err == HG_OK && done.tokens == 1);
  pthread_join(closer, NULL);
  hg_client_destroy(&f.client);
  fixture_close(&f);
}
