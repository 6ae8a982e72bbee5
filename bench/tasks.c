// The life of a task: acquire, then settle, both durable, so many of them in flight from one client, with as many
// slots. The peer is Node: a slot of p-limit and one durable record a task, which reserves nothing.
#include "bench/bench.h"
#include "bench/node.h"
#include "bench/runtime.h"
#include "bench/workplace.h"

#include <stdio.h>
#include <stdlib.h>

#define ANSWER_MS 60000
#define RESERVED 1000

struct work {
  hg_client *client;
  long begun, ended;
  long long tokens;
};

static void begin(struct work *work) {
  char task[HG_BENCH_TASK_ID_SIZE + 1];
  hg_request want = HG_REQUEST_INIT;
  hg_ticket ticket;
  hg_bench_name_task(task, work->begun);
  want.task_id = task;
  want.min_tokens = want.max_tokens = RESERVED;
  hg_bench_must(hg_acquire_start(work->client, &want, &ticket), "a task can't be begun");
  work->begun++;
}

static void settle(struct work *work, hg_permit permit) {
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  hg_ticket ticket;
  used.tokens = hg_bench_tokens(work->ended);
  hg_bench_must(hg_settle_start(work->client, permit, &used, &ticket), "a task can't be settled");
  work->tokens += used.tokens;
  work->ended++;
}

// One task after another in each of `in_flight` places, until the time is over; then those that have begun.
static void work_on(struct work *work, long in_flight, double end) {
  hg_completion done = HG_COMPLETION_INIT;
  while (work->begun < in_flight)
    begin(work);
  for (long open = in_flight; open > 0;) {
    hg_bench_must(hg_client_next(work->client, &done, ANSWER_MS), "no answer");
    hg_bench_must(done.err, "a task failed");
    if (done.kind == HG_COMPLETED_ACQUIRE) settle(work, done.permit);
    else if (hg_bench_now_s() < end) begin(work);
    else open--;
  }
}

static double headgate_rate(const char *folder, long in_flight, long ms) {
  hg_runtime *runtime = hg_bench_open_runtime(folder, (unsigned)in_flight);
  struct work work = {.client = hg_bench_new_client(runtime)};
  const double start = hg_bench_now_s();
  work_on(&work, in_flight, start + (double)ms / 1000);
  const double seconds = hg_bench_now_s() - start;
  hg_client_destroy(&work.client);
  hg_bench_close_runtime(&runtime, folder, "TASK_FINISHED", work.ended, work.tokens);
  return (double)work.ended / seconds;
}

static double node_rate(const char *folder, long in_flight, long ms) {
  return hg_bench_node_callers(folder, in_flight, ms).figures[HG_SPEED_RATE];
}

static void add(struct hg_series *series, double (*rate)(const char *folder, long in_flight, long ms), long in_flight,
                long ms) {
  char place[HG_BENCH_FOLDER_MAX];
  hg_bench_make_place(place);
  hg_series_add(series, rate(place, in_flight, ms));
  hg_bench_remove_folder(place);
}

static void run(const struct hg_bench_flags *flags, long in_flight, long ms, bool has_node) {
  struct hg_bench_row *row = hg_bench_claim(sizeof *row);
  snprintf(row->bench, sizeof row->bench, "tasks %ld", in_flight);
  row->unit = "tasks/s";
  for (int round = 0; round < flags->rounds; round++) {
    add(&row->value, headgate_rate, in_flight, ms);
    if (has_node) add(&row->peer, node_rate, in_flight, ms);
  }
  hg_bench_print(flags, row);
  free(row);
}

static int help(FILE *to, int code) {
  fputs("usage: headgate-bench tasks [--in-flight N] [--ms N] [--rounds N] [--json]\n"
        "Tasks a second of one client, each acquired and settled, both durably. The peer is Node: a slot of p-limit "
        "and one\n"
        "durable record (async-mutex, better-sqlite3) a task.\n"
        "  --in-flight N   tasks at once, in place of 64 and 1,024\n"
        "  --ms N          of each contestant in each round (600)\n",
        to);
  return code;
}

int hg_bench_tasks(int argc, char **argv) {
  static const struct option options[] = {
      {"in-flight", required_argument, NULL, 'f'}, {"ms", required_argument, NULL, 'm'}, HG_BENCH_OPTIONS};
  struct hg_bench_flags flags = {.rounds = 5};
  long counts[] = {64, 1024}, ms = 600;
  size_t count = sizeof counts / sizeof *counts;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'f') counts[0] = hg_bench_whole("--in-flight", optarg, 1, 65536), count = 1;
    else if (option == 'm') ms = hg_bench_whole("--ms", optarg, 1, 600000);
    else if (!hg_bench_take(option, &flags)) return option == 'h' ? help(stdout, 0) : help(stderr, 2);
  }
  const bool has_node = hg_bench_find_node(HG_BENCH_RECORD_PEER);
  hg_bench_open_workplace();
  for (size_t i = 0; i < count; i++)
    run(&flags, counts[i], ms, has_node);
  return 0;
}
