/* Threads of your own make calls of their own, each under a permit; the main thread follows what happens.
 *   cc embed.c $(pkg-config --cflags --libs headgate) -pthread -o embed && ./embed */
#include <headgate.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 4, CALLS = 12, ANSWER_MAX = 4096 };

struct batch {
  hg_runtime *runtime;
  atomic_int next; /* the call that nobody has taken yet */
};

static void check(hg_err err, const char *what) {
  if (err == HG_OK) return;
  fprintf(stderr, "%s: %s\n", what, hg_err_text(err));
  exit(EXIT_FAILURE);
}

/* Your own client goes here. What was granted is the most that the call may use. Negative: it was never sent. */
static int call_the_model(int64_t max_tokens, char answer[ANSWER_MAX]) {
  return snprintf(answer, ANSWER_MAX, "{\"usage\": {\"prompt_tokens\": 700, \"completion_tokens\": %d}}",
                  max_tokens < 900 ? 0 : 200);
}

static void work(hg_client *client, int number) {
  char task[HG_TASK_ID_MAX + 1], answer[ANSWER_MAX];
  snprintf(task, sizeof task, "summary-%d", number);
  hg_request want = HG_REQUEST_INIT;
  want.task_id = task;
  want.min_tokens = 900;  /* with less it is not worth a start */
  want.max_tokens = 1200; /* the prompt and the longest answer */
  hg_grant grant = HG_GRANT_INIT;
  const hg_err err = hg_acquire(client, &want, &grant, -1); /* waits for a slot and for tokens */
  if (err == HG_ERR_BUDGET_EXHAUSTED) {
    fprintf(stderr, "%s was not started: %s\n", task, hg_err_text(err));
    return;
  }
  check(err, "acquire");

  const int length = call_the_model(grant.tokens, answer);
  if (length < 0) {
    check(hg_release(client, grant.permit, HG_OUTCOME_FAILED, "no connection", -1), "release");
    return;
  }
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  if (hg_usage_from_response(answer, (size_t)length, &used) != HG_OK) /* then the whole reservation is charged */
    fprintf(stderr, "%s: the answer does not say what it used\n", task);
  check(hg_settle(client, grant.permit, &used, -1), "settle"); /* on disk when it returns */
}

static void *work_on_batch(void *argument) {
  struct batch *batch = argument;
  hg_client *client; /* one a thread */
  check(hg_client_new(batch->runtime, &client), "client");
  for (int number; (number = 1 + atomic_fetch_add(&batch->next, 1)) <= CALLS;)
    work(client, number);

  hg_usage_report outside = HG_USAGE_REPORT_INIT; /* tokens that were spent without a permit */
  outside.task_id = "embeddings";
  outside.tokens = 10;
  check(hg_record_usage(client, &outside, -1), "record");
  hg_client_destroy(&client);
  return NULL;
}

int main(void) {
  const char config[] = "{\"tokenBudget\": {\"hardLimitTokens\": 10000}, \"ledger\": {\"path\": \"embed.db\"}}";
  struct batch batch = {NULL, 0};
  hg_error why = HG_ERROR_INIT;
  if (hg_open_json(config, strlen(config), NULL, &batch.runtime, &why) != HG_OK) {
    fprintf(stderr, "%s\n", why.text);
    return EXIT_FAILURE;
  }
  hg_filter filter = HG_FILTER_INIT; /* from now on, these events */
  filter.topics = (const char *[]){"TOKENS_SETTLED", "CONCURRENCY_THROTTLED", "USAGE_RECORDED"};
  filter.topic_count = 3;
  hg_subscriber *events;
  check(hg_subscribe(batch.runtime, &filter, &events), "subscribe");

  pthread_t threads[WORKERS];
  for (int i = 0; i < WORKERS; i++)
    check(pthread_create(&threads[i], NULL, work_on_batch, &batch) == 0 ? HG_OK : HG_ERR_SYSTEM, "thread");
  hg_event event = HG_EVENT_INIT;
  for (int ended = 0; ended < WORKERS; ended += strcmp(event.type, "USAGE_RECORDED") == 0) {
    check(hg_next_event(events, &event, -1), "event");
    puts(event.json);
  }
  for (int i = 0; i < WORKERS; i++)
    pthread_join(threads[i], NULL);

  hg_subscriber_destroy(&events);
  check(hg_close(&batch.runtime, 5000), "close"); /* HG_OK: all that was accepted is on disk */
  return EXIT_SUCCESS;
}
