// A runtime that a test drives: opens a configuration, carries out one command a line of stdin, answers each with one
// line on stdout, and closes in order at the end of its input.
//
//     record TOKENS [TASK]      correct TOKENS      concurrency N      acquire TOKENS [TASK] [BUDGET]
//     start TOKENS [TASK] [BUDGET] (an acquire that is not waited for)      next (its outcome)
//     settle PERMIT TOKENS      release PERMIT      burst COUNT (so many records of a token, pipelined)
//     counter NAME
#include "headgate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 20000
#define WORDS_MAX 4

static hg_request request_of(char **words) {
  hg_request want = HG_REQUEST_INIT;
  want.min_tokens = want.max_tokens = strtoll(words[1], NULL, 10);
  want.task_id = words[2][0] ? words[2] : NULL;
  want.budget = words[3][0] ? words[3] : NULL;
  return want;
}

static void say(hg_err err) {
  puts(hg_err_name(err));
}

static void say_permit(hg_err err, hg_permit permit) {
  if (err == HG_OK) printf("%016" PRIx64 "\n", permit.id);
  else say(err);
}

static void record(hg_client *client, char **words) {
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = strtoll(words[1], NULL, 10);
  used.task_id = words[2][0] ? words[2] : NULL;
  say(hg_record_usage(client, &used, WAIT_MS));
}

static void burst(hg_client *client, unsigned long count) {
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  hg_completion done = HG_COMPLETION_INIT;
  hg_err err = HG_OK;
  used.tokens = 1;
  for (unsigned long started = 0, ended = 0; err == HG_OK && ended < count;) {
    hg_ticket ticket;
    const hg_err full = started < count ? hg_record_usage_start(client, &used, &ticket) : HG_ERR_BUSY;
    if (full == HG_OK) started++;
    else err = hg_client_next(client, &done, WAIT_MS);
    if (full != HG_OK && err == HG_OK) ended++;
  }
  say(err);
}

static void acquire(hg_client *client, char **words) {
  const hg_request want = request_of(words);
  hg_grant grant = HG_GRANT_INIT;
  const hg_err err = hg_acquire(client, &want, &grant, WAIT_MS);
  say_permit(err, grant.permit);
}

static void start(hg_client *client, char **words) {
  const hg_request want = request_of(words);
  hg_ticket ticket;
  say(hg_acquire_start(client, &want, &ticket));
}

static void next(hg_client *client) {
  hg_completion completion = HG_COMPLETION_INIT;
  const hg_err err = hg_client_next(client, &completion, WAIT_MS);
  say_permit(err == HG_OK ? completion.err : err, completion.permit);
}

static void settle(hg_client *client, char **words) {
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = strtoll(words[2], NULL, 10);
  say(hg_settle(client, (hg_permit){strtoull(words[1], NULL, 16)}, &used, WAIT_MS));
}

static void say_counter(hg_runtime *runtime, const char *name) {
  hg_counter counter = HG_COUNTER_INIT;
  hg_err err;
  for (unsigned i = 0; (err = hg_read_counter(runtime, i, &counter, WAIT_MS)) == HG_OK; i++) {
    if (strcmp(counter.name, name) != 0) continue;
    printf("%" PRIu64 "\n", counter.value);
    return;
  }
  say(err);
}

static void carry_out(hg_runtime *runtime, hg_client *client, char **words) {
  const char *command = words[0];
  if (strcmp(command, "record") == 0) record(client, words);
  else if (strcmp(command, "burst") == 0) burst(client, strtoul(words[1], NULL, 10));
  else if (strcmp(command, "acquire") == 0) acquire(client, words);
  else if (strcmp(command, "start") == 0) start(client, words);
  else if (strcmp(command, "next") == 0) next(client);
  else if (strcmp(command, "settle") == 0) settle(client, words);
  else if (strcmp(command, "release") == 0)
    say(hg_release(client, (hg_permit){strtoull(words[1], NULL, 16)}, HG_OUTCOME_DONE, NULL, WAIT_MS));
  else if (strcmp(command, "correct") == 0)
    say(hg_correct(client, NULL, strtoll(words[1], NULL, 10), "a test", WAIT_MS));
  else if (strcmp(command, "concurrency") == 0)
    say(hg_set_max_concurrency(client, (unsigned)strtoul(words[1], NULL, 10), WAIT_MS));
  else if (strcmp(command, "counter") == 0) say_counter(runtime, words[1]);
  else puts("unknown command");
}

int main(int argc, char **argv) {
  hg_runtime *runtime = NULL;
  hg_client *client = NULL;
  hg_error why = HG_ERROR_INIT;
  char line[512];
  if (argc != 2) return fputs("usage: serve_for_tests CONFIG < COMMANDS\n", stderr), 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (hg_open(argv[1], &runtime, &why) != HG_OK) return fprintf(stderr, "%s\n", why.text), 1;
  hg_err err = hg_client_new(runtime, &client);
  if (err == HG_OK) puts("ready");
  while (err == HG_OK && fgets(line, sizeof line, stdin)) {
    char *words[WORDS_MAX] = {"", "", "", ""}, *rest = NULL;
    char *word = strtok_r(line, " \n", &rest);
    for (int i = 0; word && i < WORDS_MAX; i++, word = strtok_r(NULL, " \n", &rest))
      words[i] = word;
    carry_out(runtime, client, words);
  }
  hg_client_destroy(&client);
  const hg_err closed = hg_close(&runtime, 0);
  printf("closed %s\n", hg_err_name(closed));
  return err != HG_OK || closed != HG_OK;
}
