// headgate-resident: a process with nothing in it but a runtime, for the bench of memory. Says as JSON how much of it
// is resident: idle, by so many more waiting tasks, by so many more subscribers.
#include "headgate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 60000

static void must(hg_err err, const char *what) {
  if (err == HG_OK) return;
  fprintf(stderr, "headgate-resident: %s: %s\n", what, hg_err_text(err));
  exit(1);
}

static long long resident_bytes(void) {
  char line[128];
  long long kib = -1;
  FILE *file = fopen("/proc/self/smaps_rollup", "r");
  while (file && kib < 0 && fgets(line, sizeof line, file))
    if (sscanf(line, "Rss: %lld kB", &kib) != 1) kib = -1;
  if (file) fclose(file);
  if (kib < 0) must(HG_ERR_SYSTEM, "/proc/self/smaps_rollup");
  return 1024 * kib;
}

static hg_runtime *open_runtime(const char *folder) {
  char config[1024];
  hg_runtime *runtime;
  hg_error why = HG_ERROR_INIT;
  snprintf(config, sizeof config,
           "{\"tokenBudget\":{\"hardLimitTokens\":9007199254740991},\"scheduler\":{\"maxConcurrency\":1},"
           "\"ledger\":{\"path\":\"%s/headgate.db\"}}",
           folder);
  must(hg_open_json(config, strlen(config), NULL, &runtime, &why), why.text);
  hg_counter counter = HG_COUNTER_INIT;
  must(hg_read_counter(runtime, 0, &counter, ANSWER_MS), "not all actors answer"); // all have begun
  return runtime;
}

static long waiting(hg_client *client) {
  hg_queue queue = HG_QUEUE_INIT;
  must(hg_get_queue(client, &queue, ANSWER_MS), "no queue");
  return (long)queue.waiting;
}

// One runs, `count` wait behind it.
static void let_wait(hg_client *client, long count) {
  hg_completion done = HG_COMPLETION_INIT;
  for (long i = 0; i <= count; i++) {
    hg_request want = HG_REQUEST_INIT;
    hg_ticket ticket;
    hg_err err;
    char task[32];
    snprintf(task, sizeof task, "task-%011ld", i);
    want.task_id = task;
    want.min_tokens = want.max_tokens = 1000;
    while ((err = hg_acquire_start(client, &want, &ticket)) == HG_ERR_BUSY)
      (void)waiting(client); // an answer behind what was asked before it
    must(err, "a task");
    if (i == 0) must(hg_client_next(client, &done, ANSWER_MS), "no permit");
  }
  if (waiting(client) != count) must(HG_ERR_SYSTEM, "not all tasks wait");
}

static void subscribe(hg_runtime *runtime, hg_subscriber **subscribers, long count) {
  static const char *const topics[] = {"HEARTBEAT"};
  const hg_filter filter = {.size = (uint32_t)sizeof filter, .topics = topics, .topic_count = 1};
  hg_event event = HG_EVENT_INIT;
  for (long i = 0; i < count; i++)
    must(hg_subscribe(runtime, &filter, &subscribers[i]), "no subscriber");
  for (long i = 0; i < count; i++)
    must(hg_next_event(subscribers[i], &event, ANSWER_MS), "a subscriber hears nothing");
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  const long tasks = atol(argv[2]), subscriber_count = atol(argv[3]);
  hg_subscriber **subscribers = calloc((size_t)subscriber_count, sizeof(hg_subscriber *));
  hg_client *client;
  if (!subscribers) return 1;
  hg_runtime *runtime = open_runtime(argv[1]);
  const long long idle = resident_bytes();
  subscribe(runtime, subscribers, subscriber_count);
  const long long subscribed = resident_bytes();
  must(hg_client_new(runtime, &client), "no client");
  const long long before = resident_bytes();
  let_wait(client, tasks);
  const long long full = resident_bytes();
  printf("{\"idle\":%lld,\"tasks\":%lld,\"subscribers\":%lld}\n", idle, full - before, subscribed - idle);
  hg_client_destroy(&client);
  for (long i = 0; i < subscriber_count; i++)
    hg_subscriber_destroy(&subscribers[i]);
  free(subscribers);
  must(hg_close(&runtime, ANSWER_MS), "not closed");
  return 0;
}
