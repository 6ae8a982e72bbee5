// Callers that each wait until their own record is durable: how many records a second that makes, and how long each
// waits. The limit is one raw SQLite commit after another, which no single caller can beat; the peers are Node and
// Redis with as many callers.
//
// A caller is a thread with a client of its own in hg_record_usage, at 512 callers too: that is what a program with 512
// threads that record would have, so what it costs to wake them is in the figures.
#include "bench/bench.h"
#include "bench/node.h"
#include "bench/raw_sqlite.h"
#include "bench/redis.h"
#include "bench/runtime.h"
#include "bench/workplace.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define STACK_SIZE (256 * 1024)
#define ANSWER_MS 60000
#define CALLERS_MAX 4000
#define DESCRIPTORS_A_CALLER 8 // and a few more; Redis and its asker take one each
#define FIRST_TASKS 10000000   // of a caller, so that no task id is given twice

struct caller {
  hg_client *client;
  pthread_t thread;
  pthread_barrier_t *start;
  long first, ms;
  long long tokens;
  double began, ended;
  struct hg_latencies took;
};

// ---------------------------------------------------------------------------------------------- Headgate

static void record(struct caller *caller, long i) {
  char task[HG_BENCH_TASK_ID_SIZE + 1];
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  hg_bench_name_task(task, i);
  used.task_id = task;
  used.tokens = hg_bench_tokens(i);
  const hg_err err = hg_record_usage(caller->client, &used, ANSWER_MS);
  if (err != HG_OK) hg_bench_die("a record is not durable: %s", hg_err_text(err));
  caller->tokens += used.tokens;
}

static void *call(void *argument) {
  struct caller *caller = argument;
  pthread_barrier_wait(caller->start);
  double now = caller->began = hg_bench_now_s();
  const double end = now + (double)caller->ms / 1000;
  for (long i = caller->first; now < end; i++) {
    const double before = now;
    record(caller, i);
    now = hg_bench_now_s();
    hg_latencies_add(&caller->took, now - before);
  }
  caller->ended = now;
  return NULL;
}

static void start_caller(struct caller *caller) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_SIZE);
  const int failure = pthread_create(&caller->thread, &attributes, call, caller);
  pthread_attr_destroy(&attributes);
  if (failure) hg_bench_die("no thread: %s", strerror(failure));
}

// From the first caller's first record to the last one's last answer.
static struct hg_speed join_callers(struct caller *callers, long count, long *records, long long *tokens) {
  struct hg_latencies took = {0};
  double began = 0, ended = 0;
  for (long i = 0; i < count; i++) {
    struct caller *caller = &callers[i];
    pthread_join(caller->thread, NULL);
    hg_client_destroy(&caller->client);
    if (i == 0 || caller->began < began) began = caller->began;
    if (i == 0 || caller->ended > ended) ended = caller->ended;
    *tokens += caller->tokens;
    hg_latencies_take(&took, &caller->took);
  }
  *records = (long)took.count;
  return hg_latencies_end(&took, ended - began);
}

static struct hg_speed headgate_callers(const char *folder, long count, long ms) {
  hg_runtime *runtime = hg_bench_open_runtime(folder, 4);
  struct caller *callers = hg_bench_claim((size_t)count * sizeof *callers);
  pthread_barrier_t start;
  pthread_barrier_init(&start, NULL, (unsigned)count);
  for (long i = 0; i < count; i++)
    callers[i] =
        (struct caller){.client = hg_bench_new_client(runtime), .start = &start, .first = i * FIRST_TASKS, .ms = ms};
  for (long i = 0; i < count; i++)
    start_caller(&callers[i]);
  long records;
  long long tokens = 0;
  const struct hg_speed speed = join_callers(callers, count, &records, &tokens);
  pthread_barrier_destroy(&start);
  free(callers);
  hg_bench_close_runtime(&runtime, folder, "USAGE_RECORDED", records, tokens);
  return speed;
}

static struct hg_speed one_raw_commit(const char *folder, long callers, long ms) {
  (void)callers;
  return hg_bench_raw_commits(folder, ms);
}

// ---------------------------------------------------------------------------------------------- rounds

// The four figures of so many callers, and Redis's beside them.
struct rows {
  struct hg_bench_row figures[HG_SPEED_FIGURES];
  struct hg_series redis[HG_SPEED_FIGURES];
};

static struct rows *new_rows(long callers) {
  static const char *const names[HG_SPEED_FIGURES] = {"", " p50", " p99", " p99.9"};
  struct rows *rows = hg_bench_claim(sizeof *rows);
  for (int i = 0; i < HG_SPEED_FIGURES; i++) {
    snprintf(rows->figures[i].bench, sizeof rows->figures[i].bench, "record-sync %ld%s", callers, names[i]);
    rows->figures[i].unit = i == HG_SPEED_RATE ? "records/s" : "us";
  }
  return rows;
}

static struct hg_speed measure(struct hg_speed (*contestant)(const char *folder, long callers, long ms), long callers,
                               long ms) {
  char place[HG_BENCH_FOLDER_MAX];
  hg_bench_make_place(place);
  const struct hg_speed speed = contestant(place, callers, ms);
  hg_bench_remove_folder(place);
  return speed;
}

static void run(const struct hg_bench_flags *flags, long callers, long ms, bool has_node, bool has_redis) {
  struct rows *rows = new_rows(callers);
  for (int round = 0; round < flags->rounds; round++) {
    struct hg_speed node = {0}, redis = {0};
    const struct hg_speed raw = measure(one_raw_commit, callers, ms);
    const struct hg_speed ours = measure(headgate_callers, callers, ms);
    if (has_node) node = measure(hg_bench_node_callers, callers, ms);
    if (has_redis) redis = measure(hg_bench_redis_callers, callers, ms);
    for (int i = 0; i < HG_SPEED_FIGURES; i++) {
      hg_series_add(&rows->figures[i].limit, raw.figures[i]);
      hg_series_add(&rows->figures[i].value, ours.figures[i]);
      if (has_node) hg_series_add(&rows->figures[i].peer, node.figures[i]);
      if (has_redis) hg_series_add(&rows->redis[i], redis.figures[i]);
    }
  }
  for (int i = 0; i < HG_SPEED_FIGURES; i++) {
    hg_bench_print(flags, &rows->figures[i]);
    hg_bench_print_beside(flags, &rows->figures[i], "Redis", &rows->redis[i]);
  }
  free(rows);
}

// Headgate has a few descriptors a client; the soft limit of 1,024 is too low for 512 of them.
static void allow_descriptors(long callers) {
  struct rlimit limit;
  const rlim_t needed = (rlim_t)(callers * DESCRIPTORS_A_CALLER + 256);
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) hg_bench_die("the limit of descriptors can't be read");
  if (limit.rlim_cur >= needed) return;
  if (limit.rlim_max < needed)
    hg_bench_die("%ld callers need %ld descriptors (ulimit -Hn), and %ld are allowed", callers, (long)needed,
                 (long)limit.rlim_max);
  limit.rlim_cur = needed;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) hg_bench_die("the limit of descriptors can't be raised");
}

static int help(FILE *to, int code) {
  fputs("usage: headgate-bench record-sync [--callers N] [--ms N] [--rounds N] [--json]\n"
        "Callers, each of which waits until its own record is durable: records a second, and the microseconds that an "
        "answer\n"
        "took. A caller is a thread with a client of its own. The limit is one raw SQLite commit of one row after "
        "another;\n"
        "peers: Node (p-limit, async-mutex, better-sqlite3, a transaction a record) and Redis (INCRBY, appendfsync "
        "always)\n"
        "with as many callers. What takes less time has the smaller ratio.\n"
        "  --callers N   in place of 1, 8, 64 and 512\n"
        "  --ms N        of each contestant in each round (300)\n",
        to);
  return code;
}

int hg_bench_record_sync(int argc, char **argv) {
  static const struct option options[] = {
      {"callers", required_argument, NULL, 'c'}, {"ms", required_argument, NULL, 'm'}, HG_BENCH_OPTIONS};
  struct hg_bench_flags flags = {.rounds = 5};
  long counts[] = {1, 8, 64, 512}, ms = 300;
  size_t count = sizeof counts / sizeof *counts;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'c') counts[0] = hg_bench_whole("--callers", optarg, 1, CALLERS_MAX), count = 1;
    else if (option == 'm') ms = hg_bench_whole("--ms", optarg, 1, 600000);
    else if (!hg_bench_take(option, &flags)) return option == 'h' ? help(stdout, 0) : help(stderr, 2);
  }
  const bool has_node = hg_bench_find_node(HG_BENCH_RECORD_PEER), has_redis = hg_bench_find_redis();
  hg_bench_open_workplace();
  for (size_t i = 0; i < count; i++) {
    allow_descriptors(counts[i]);
    run(&flags, counts[i], ms, has_node, has_redis);
  }
  return 0;
}
