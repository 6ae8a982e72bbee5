// Resident memory of a runtime that idles, and what a waiting task and a subscriber add to it. Each round asks a fresh
// process, headgate-resident, which is linked with the library alone and opens nothing but a runtime.
#include "bench/bench.h"
#include "bench/node.h"
#include "bench/process.h"
#include "bench/workplace.h"

#include <stdio.h>
#include <stdlib.h>

#define MIB (1024.0 * 1024)

struct rows {
  struct hg_bench_row idle, task, subscriber;
};

static void ask(struct rows *rows, long tasks, long subscribers) {
  char place[HG_BENCH_FOLDER_MAX], program[PATH_MAX], out[PATH_MAX], tasks_text[24], subscribers_text[24];
  struct hg_bench_end end;
  hg_bench_make_place(place);
  hg_bench_beside("headgate-resident", program);
  snprintf(out, sizeof out, "%s/resident.json", place);
  snprintf(tasks_text, sizeof tasks_text, "%ld", tasks);
  snprintf(subscribers_text, sizeof subscribers_text, "%ld", subscribers);
  char *const argv[] = {program, place, tasks_text, subscribers_text, NULL};
  hg_bench_time(argv, out, &end);
  if (end.code != 0) hg_bench_die("headgate-resident ended with exit %d", end.code);
  hg_series_add(&rows->idle.value, (double)hg_bench_read_json(out, NULL, "idle") / MIB);
  hg_series_add(&rows->task.value, (double)hg_bench_read_json(out, NULL, "tasks") / (double)tasks);
  hg_series_add(&rows->subscriber.value,
                (double)hg_bench_read_json(out, NULL, "subscribers") / (double)subscribers / 1024);
  hg_bench_remove_folder(place);
}

static void run(const struct hg_bench_flags *flags, long tasks, long subscribers) {
  struct rows *rows = hg_bench_claim(sizeof *rows);
  snprintf(rows->idle.bench, sizeof rows->idle.bench, "memory, idle");
  snprintf(rows->task.bench, sizeof rows->task.bench, "memory, a waiting task of %ld", tasks);
  snprintf(rows->subscriber.bench, sizeof rows->subscriber.bench, "memory, a subscriber of %ld", subscribers);
  rows->idle.unit = "MiB";
  rows->task.unit = "B";
  rows->subscriber.unit = "KiB";
  for (int round = 0; round < flags->rounds; round++)
    ask(rows, tasks, subscribers);
  hg_bench_print(flags, &rows->idle);
  hg_bench_print(flags, &rows->task);
  hg_bench_print(flags, &rows->subscriber);
  free(rows);
}

static int help(FILE *to, int code) {
  fputs("usage: headgate-bench memory [--tasks N] [--subscribers N] [--rounds N] [--json]\n"
        "Resident memory of a process that has opened a runtime and nothing else, and what so many waiting tasks and "
        "so many\n"
        "subscribers add to it, each.\n"
        "  --tasks N         that wait (100,000)\n"
        "  --subscribers N   (16; to subscribe takes a tenth of a second)\n",
        to);
  return code;
}

int hg_bench_memory(int argc, char **argv) {
  static const struct option options[] = {
      {"tasks", required_argument, NULL, 't'}, {"subscribers", required_argument, NULL, 's'}, HG_BENCH_OPTIONS};
  struct hg_bench_flags flags = {.rounds = 5};
  long tasks = 100000, subscribers = 16;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 't') tasks = hg_bench_whole("--tasks", optarg, 1, 1000000);
    else if (option == 's') subscribers = hg_bench_whole("--subscribers", optarg, 1, 1000);
    else if (!hg_bench_take(option, &flags)) return option == 'h' ? help(stdout, 0) : help(stderr, 2);
  }
  hg_bench_open_workplace();
  run(&flags, tasks, subscribers);
  return 0;
}
