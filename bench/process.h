// Other programs under a stopwatch, and the simulated provider that they call.
#ifndef HG_BENCH_PROCESS_H
#define HG_BENCH_PROCESS_H

#include "bench/bench.h"

#include <limits.h>
#include <sys/types.h>

struct hg_bench_end {
  int code; // exit code; -1: a signal
  double seconds;
  double peak_mib; // most resident memory
};

// Runs a program (looked up in PATH) to its end, its standard output into a file.
void hg_bench_time(char *const argv[], const char *out_path, struct hg_bench_end *end);
// Starts one that serves, one at a time, its standard output into a file.
pid_t hg_bench_start_server(char *const argv[], const char *out_path);
int hg_bench_stop_server(pid_t pid); // its exit code; -1: a signal

struct hg_bench_sim {
  pid_t pid;
  char url[64];
  char stats_path[PATH_MAX];
};

// A fresh llm-sim on a free port.
void hg_bench_start_sim(struct hg_bench_sim *sim, const char *program, long latency_ms, const char *folder);
// Ends it and checks that it answered `calls` and nothing else; the tokens that it handed out.
long long hg_bench_stop_sim(struct hg_bench_sim *sim, long calls);

// From here on an interrupt ends the program in good order, at the next wait for another one: exit handlers run.
void hg_bench_heed_signals(void);
void hg_bench_heed_interrupt(void); // or here
// An integer member of an object in a file of JSON.
long long hg_bench_read_json(const char *path, const char *object, const char *member);

#endif
