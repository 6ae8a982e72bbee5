// Whether the cost of a task, acquired and settled, both durably, depends on how much there is beside it: on the number
// of budgets, which the tasks go round, and on the number of tasks that wait. Every size has a runtime of its own,
// which lives through all rounds; they are measured in turns. The limit is the smallest size.
//
// As many tasks run at once at every size. A task that is settled makes room for the oldest that waits, and is followed
// by a new one at the queue's end, so that the queue keeps its length.
#include "bench/bench.h"
#include "bench/process.h"
#include "bench/raw_sqlite.h"
#include "bench/runtime.h"
#include "bench/workplace.h"

#include "schemas/limits.h"

#include <stdio.h>
#include <stdlib.h>

#define ANSWER_MS 60000
#define RESERVED 1000
#define IN_FLIGHT 64
#define SIZES_MAX 4
#define WAITING_MAX 1000000
static_assert(WAITING_MAX + 2 * IN_FLIGHT < HG_QUEUE_MAX, "the scheduler has room for the longest queue");

struct size {
  long budgets; // beside the default one, whose children they are
  long waiting;
  struct hg_bench_row row;
  char place[HG_BENCH_FOLDER_MAX];
  hg_runtime *runtime;
  hg_client *client;
  long begun, settled;
  long settling; // settles that are not answered
  long long tokens;
  hg_permit held[IN_FLIGHT]; // between two rounds
  long held_count;
};

// ---------------------------------------------------------------------------------------------- a runtime

// Permits that are open at the end are given back, so that the total is what was settled.
static void open_runtime(struct size *size) {
  const size_t room = 1000 + 100 * (size_t)size->budgets;
  char *config = hg_bench_claim(room);
  size_t at = (size_t)snprintf(config, room,
                               "{\"ledger\":{\"path\":\"%s/headgate.db\"},\"scheduler\":{\"maxConcurrency\":%d},"
                               "\"tokenBudget\":{\"hardLimitTokens\":9007199254740991,"
                               "\"orphanedReservations\":\"release\",\"budgets\":{",
                               size->place, IN_FLIGHT);
  for (long i = 0; i < size->budgets; i++)
    at += (size_t)snprintf(config + at, room - at, "%s\"team-%ld\":{\"hardLimitTokens\":9007199254740991}",
                           i ? "," : "", i);
  snprintf(config + at, room - at, "}}}");
  size->runtime = hg_bench_open_config(config);
  size->client = hg_bench_new_client(size->runtime);
  free(config);
}

static void settle(struct size *size, hg_permit permit) {
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  hg_ticket ticket;
  used.tokens = hg_bench_tokens(size->settled + size->settling);
  size->tokens += used.tokens;
  hg_bench_must(hg_settle_start(size->client, permit, &used, &ticket), "a task can't be settled");
  size->settling++;
}

static hg_err begin(struct size *size) {
  char task[HG_BENCH_TASK_ID_SIZE + 1], budget[32];
  hg_request want = HG_REQUEST_INIT;
  hg_ticket ticket;
  hg_bench_name_task(task, size->begun);
  snprintf(budget, sizeof budget, "team-%ld", size->begun % size->budgets);
  want.task_id = task;
  want.budget = budget;
  want.min_tokens = want.max_tokens = RESERVED;
  const hg_err err = hg_acquire_start(size->client, &want, &ticket);
  size->begun += err == HG_OK;
  return err;
}

static hg_completion next(struct size *size) {
  hg_completion done = HG_COMPLETION_INIT;
  hg_bench_must(hg_client_next(size->client, &done, ANSWER_MS), "no answer");
  hg_bench_must(done.err, "a task failed");
  return done;
}

static void hold(struct size *size, hg_permit permit) {
  if (size->held_count == IN_FLIGHT) hg_bench_die("more tasks run than may");
  size->held[size->held_count++] = permit;
}

// The queue is as long as it is to be, and as many tasks run as may.
static void check_queue(struct size *size) {
  hg_queue queue = HG_QUEUE_INIT;
  hg_bench_must(hg_get_queue(size->client, &queue, ANSWER_MS), "no queue");
  if (queue.waiting != size->waiting || queue.running != IN_FLIGHT)
    hg_bench_die("%u tasks wait and %u run; there should be %ld and %d", queue.waiting, queue.running, size->waiting,
                 IN_FLIGHT);
}

static void fill(struct size *size) {
  hg_queue queue = HG_QUEUE_INIT;
  hg_err err;
  while (size->begun < IN_FLIGHT + size->waiting) {
    while ((err = begin(size)) == HG_ERR_BUSY)
      hg_bench_must(hg_get_queue(size->client, &queue, ANSWER_MS), "no queue"); // by then all before it has been read
    hg_bench_must(err, "a task can't be begun");
  }
  while (size->held_count < IN_FLIGHT)
    hold(size, next(size).permit);
  check_queue(size);
}

static void make(struct size *size) {
  hg_bench_make_place(size->place);
  open_runtime(size);
  fill(size);
}

// ---------------------------------------------------------------------------------------------- a round

// Tasks go through until the time is over; those that run then are held until the next round. Microseconds a task.
static double work_on(struct size *size, long ms) {
  const long settled_before = size->settled;
  const double began = hg_bench_now_s(), end = began + (double)ms / 1000;
  while (size->held_count > 0)
    settle(size, size->held[--size->held_count]);
  while (size->settling > 0 || size->held_count < IN_FLIGHT) {
    const hg_completion done = next(size);
    if (done.kind == HG_COMPLETED_SETTLE) {
      size->settling--;
      size->settled++;
      hg_bench_must(begin(size), "a task can't be begun");
    } else if (hg_bench_now_s() < end) {
      settle(size, done.permit);
    } else {
      hold(size, done.permit);
    }
  }
  const double seconds = hg_bench_now_s() - began;
  check_queue(size);
  return seconds * 1e6 / (double)(size->settled - settled_before);
}

// ---------------------------------------------------------------------------------------------- the end

// Who waits is sent away with the client.
static void end(struct size *size) {
  char path[HG_BENCH_FOLDER_MAX + 32];
  hg_client_destroy(&size->client);
  hg_bench_close_runtime(&size->runtime, size->place, "TASK_FINISHED", size->settled, size->tokens);
  snprintf(path, sizeof path, "%s/headgate.db", size->place);
  hg_bench_expect(path, "SELECT sum(total_used) FROM token_budget WHERE name <> 'default'", size->tokens);
  hg_bench_remove_folder(size->place);
}

static void run(const struct hg_bench_flags *flags, struct size *sizes, int count, long ms) {
  for (int i = 0; i < count; i++)
    make(&sizes[i]);
  for (int round = 0; round < flags->rounds; round++)
    for (int i = 0; i < count; i++) {
      hg_bench_heed_interrupt();
      hg_series_add(&sizes[i].row.value, work_on(&sizes[i], ms));
    }
  for (int i = 0; i < count; i++)
    end(&sizes[i]);
  for (int i = 0; i < count; i++) {
    sizes[i].row.unit = "us";
    sizes[i].row.limit = sizes[0].row.value;
    hg_bench_print(flags, &sizes[i].row);
  }
}

static void run_budgets(const struct hg_bench_flags *flags, long most, long ms) {
  struct size *sizes = hg_bench_claim(SIZES_MAX * sizeof *sizes);
  int count = 0;
  for (long budgets = 1; budgets <= most; budgets *= 100, count++) {
    sizes[count].budgets = budgets;
    snprintf(sizes[count].row.bench, sizeof sizes[count].row.bench, "scale, %ld budget%s", budgets,
             budgets > 1 ? "s" : "");
  }
  run(flags, sizes, count, ms);
  free(sizes);
}

static void run_queues(const struct hg_bench_flags *flags, long most, long ms) {
  static const long lengths[SIZES_MAX] = {10, 1000, 100000, WAITING_MAX};
  struct size *sizes = hg_bench_claim(SIZES_MAX * sizeof *sizes);
  int count = 0;
  for (; count < SIZES_MAX && lengths[count] <= most; count++) {
    sizes[count].budgets = 1;
    sizes[count].waiting = lengths[count];
    snprintf(sizes[count].row.bench, sizeof sizes[count].row.bench, "scale, %ld waiting", lengths[count]);
  }
  run(flags, sizes, count, ms);
  free(sizes);
}

static int help(FILE *to, int code) {
  fputs("usage: headgate-bench scale [--budgets N] [--waiting N] [--ms N] [--rounds N] [--json]\n"
        "What a task costs, acquired and settled, both durably, 64 at once: with 1, 100 and 10,000 budgets, and with "
        "10, 1,000,\n"
        "100,000 and 1,000,000 tasks that wait. The limit is the smallest of them: 1.00 is as flat as it can be.\n"
        "  --budgets N   at most so many (10,000, which is as many as a configuration can have)\n"
        "  --waiting N   at most so many (1,000,000)\n"
        "  --ms N        of each size in each round (300)\n",
        to);
  return code;
}

int hg_bench_scale(int argc, char **argv) {
  static const struct option options[] = {{"budgets", required_argument, NULL, 'b'},
                                          {"waiting", required_argument, NULL, 'w'},
                                          {"ms", required_argument, NULL, 'm'},
                                          HG_BENCH_OPTIONS};
  struct hg_bench_flags flags = {.rounds = 5};
  long budgets = HG_BUDGETS_MAX - 1, waiting = WAITING_MAX, ms = 300;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'b') budgets = hg_bench_whole("--budgets", optarg, 1, HG_BUDGETS_MAX - 1);
    else if (option == 'w') waiting = hg_bench_whole("--waiting", optarg, 10, WAITING_MAX);
    else if (option == 'm') ms = hg_bench_whole("--ms", optarg, 1, 600000);
    else if (!hg_bench_take(option, &flags)) return option == 'h' ? help(stdout, 0) : help(stderr, 2);
  }
  hg_bench_open_workplace();
  run_budgets(&flags, budgets, ms);
  run_queues(&flags, waiting, ms);
  return 0;
}
