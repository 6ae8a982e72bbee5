// headgate-bench: load-tests Headgate beside the limits of the same work and its peers.
#include "bench/bench.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *what;
} benches[] = {
    {"record", hg_bench_record, "durable usage records a second, beside raw SQLite, Node and Redis"},
    {"record-sync", hg_bench_record_sync, "callers that each wait for their own durable answer, and how long"},
    {"tasks", hg_bench_tasks, "acquire and settle, both durable, beside Node"},
    {"frames", hg_bench_frames, "client, tracker and answer with a store that does nothing, beside bare libzmq"},
    {"events", hg_bench_events, "a burst of events at 1, 4 and 16 subscribers, beside bare libzmq"},
    {"hostile", hg_bench_hostile, "what a stuck and a flooding subscriber cost those who work"},
    {"open", hg_bench_open, "opening and closing a ledger, by the length of its journal"},
    {"scale", hg_bench_scale, "what a task costs, by the number of budgets and of tasks that wait"},
    {"memory", hg_bench_memory, "resident bytes: idle, of a waiting task, of a subscriber"},
    {"run", hg_bench_run, "headgate run against llm-sim, beside bare libcurl and Node's fetch"},
    {"bare-loop", hg_bench_bare_loop, "bare libcurl alone: the limit of run"},
    {"plot", hg_bench_plot, "a chart of rows that --json has printed"},
};
enum { BENCH_COUNT = sizeof benches / sizeof *benches };

static int help(FILE *to, int code) {
  fputs("usage: headgate-bench BENCH [--rounds N] [--json] ...\n\n", to);
  for (size_t i = 0; i < BENCH_COUNT; i++)
    fprintf(to, "  %-11s %s\n", benches[i].name, benches[i].what);
  fputs("\nThe table shows medians. --json prints an object a line: bench, value, unit, limit, ratio (value by limit), "
        "peer,\n"
        "peerRatio, rounds, min, max. headgate-bench BENCH --help says more.\n",
        to);
  return code;
}

// What the figures depend on beside the code.
static void describe_machine(void) {
  double load[1];
  cpu_set_t ours;
  if (getloadavg(load, 1) == 1 && sched_getaffinity(0, sizeof ours, &ours) == 0)
    hg_bench_note("%ld processors, load average %.2f; threads run on any of %d of them, none is pinned",
                  sysconf(_SC_NPROCESSORS_ONLN), load[0], CPU_COUNT(&ours));
}

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "";
  if (strcmp(name, "--help") == 0) return help(stdout, 0);
  for (size_t i = 0; i < BENCH_COUNT; i++) {
    if (strcmp(name, benches[i].name) != 0) continue;
    if (benches[i].run != hg_bench_bare_loop && benches[i].run != hg_bench_plot &&
        !(argc > 2 && strcmp(argv[2], "--help") == 0))
      describe_machine();
    return benches[i].run(argc - 1, argv + 1);
  }
  return help(stderr, 2);
}
