// headgate run as a process against llm-sim, beside bare libcurl and beside Node, each in every round with an llm-sim
// of its own. What the provider handed out and what the ledger says must agree, or there is no figure.
#include "bench/bench.h"
#include "bench/node.h"
#include "bench/process.h"
#include "bench/requests.h"
#include "bench/workplace.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FETCH_PEER "fetch_peer.mjs"
#define PEER_LINES_MIN 6000 // it is slow: fewer calls give its rate as well

struct scenario {
  long lines, at_once, latency_ms;
};

struct programs {
  char ourselves[PATH_MAX], headgate[PATH_MAX], sim[PATH_MAX], peer[PATH_MAX];
  bool limit, has_peer, memory_only;
};

// ---------------------------------------------------------------------------------------------- one measurement

// The arguments that all three have in common: where, how many, how many at once.
struct call_texts {
  char batch[PATH_MAX], out[PATH_MAX], url[64], lines[24], at_once[24];
};

static void write_texts(struct call_texts *texts, const struct hg_bench_sim *sim, long lines, long at_once) {
  snprintf(texts->batch, sizeof texts->batch, "%s/batch.jsonl", hg_bench_workplace());
  snprintf(texts->out, sizeof texts->out, "%s/out", hg_bench_workplace());
  snprintf(texts->url, sizeof texts->url, "%s", sim->url);
  snprintf(texts->lines, sizeof texts->lines, "%ld", lines);
  snprintf(texts->at_once, sizeof texts->at_once, "%ld", at_once);
}

// Calls a second, and the most memory in `peak_mib` (may be NULL). `tokens_in`: the object and the member of the
// program's output that say what was used; NULL: it does not count.
static double measure(const struct programs *programs, const struct scenario *scenario, long lines, char *const argv[],
                      struct call_texts *texts, const char *const tokens_in[2], double *peak_mib) {
  struct hg_bench_sim sim;
  struct hg_bench_end end;
  hg_bench_start_sim(&sim, programs->sim, scenario->latency_ms, hg_bench_workplace());
  write_texts(texts, &sim, lines, scenario->at_once);
  hg_bench_time(argv, texts->out, &end);
  if (end.code != 0) hg_bench_die("%s %s ended with exit %d", argv[0], argv[1], end.code);
  const long long tokens = hg_bench_stop_sim(&sim, lines);
  if (tokens_in) {
    const long long counted = hg_bench_read_json(texts->out, tokens_in[0], tokens_in[1]);
    if (counted != tokens) hg_bench_die("%s counted %lld tokens, llm-sim handed out %lld", argv[0], counted, tokens);
  }
  if (peak_mib) *peak_mib = end.peak_mib;
  return (double)lines / end.seconds;
}

static double measure_headgate(struct programs *programs, const struct scenario *scenario, double *peak_mib) {
  static const char *const tokens_in[2] = {"budget", "totalUsed"};
  struct call_texts texts;
  char place[PATH_MAX], results[PATH_MAX + 16];
  snprintf(place, sizeof place, "%s/run", hg_bench_workplace());
  snprintf(results, sizeof results, "%s/results.jsonl", place);
  if (mkdir(place, 0700) != 0) hg_bench_die("cannot make %s", place);
  char *const argv[] = {programs->headgate,
                        (char[]){"run"},
                        texts.batch,
                        (char[]){"-o"},
                        results,
                        (char[]){"--limit"},
                        (char[]){"1000000G"},
                        (char[]){"--max-concurrency"},
                        texts.at_once,
                        (char[]){"--base-url"},
                        texts.url,
                        (char[]){"--progress"},
                        (char[]){"never"},
                        (char[]){"--json"},
                        NULL};
  const double rate = measure(programs, scenario, scenario->lines, argv, &texts, tokens_in, peak_mib);
  hg_bench_remove_folder(place);
  return rate;
}

static double measure_limit(struct programs *programs, const struct scenario *scenario) {
  struct call_texts texts;
  char *const argv[] = {programs->ourselves, (char[]){"bare-loop"}, texts.url, texts.lines, texts.at_once, NULL};
  return measure(programs, scenario, scenario->lines, argv, &texts, NULL, NULL);
}

static double measure_peer(struct programs *programs, const struct scenario *scenario) {
  static const char *const tokens_in[2] = {NULL, "tokens"};
  struct call_texts texts;
  const long wanted = scenario->at_once * 10 > PEER_LINES_MIN ? scenario->at_once * 10 : PEER_LINES_MIN;
  char *const argv[] = {(char[]){"node"}, programs->peer, texts.batch, texts.url, texts.lines, texts.at_once, NULL};
  return measure(programs, scenario, wanted < scenario->lines ? wanted : scenario->lines, argv, &texts, tokens_in,
                 NULL);
}

// ---------------------------------------------------------------------------------------------- a scenario

struct rows {
  struct hg_bench_row rate, ideal, memory;
};

static void name_rows(struct rows *rows, const struct scenario *scenario) {
  char latency[40] = "";
  if (scenario->latency_ms > 0) snprintf(latency, sizeof latency, ", %ld ms", scenario->latency_ms);
  snprintf(rows->rate.bench, sizeof rows->rate.bench, "run %ld%s", scenario->at_once, latency);
  snprintf(rows->ideal.bench, sizeof rows->ideal.bench, "run %ld%s, ideal", scenario->at_once, latency);
  snprintf(rows->memory.bench, sizeof rows->memory.bench, "run %ld%s, %ld lines", scenario->at_once, latency,
           scenario->lines);
  rows->rate.unit = rows->ideal.unit = "calls/s";
  rows->memory.unit = "MiB";
}

static void run_scenario(const struct hg_bench_flags *flags, struct programs *programs,
                         const struct scenario *scenario) {
  struct rows *rows = hg_bench_claim(sizeof *rows);
  char batch[PATH_MAX];
  name_rows(rows, scenario);
  snprintf(batch, sizeof batch, "%s/batch.jsonl", hg_bench_workplace());
  hg_bench_write_batch(batch, scenario->lines);
  for (int round = 0; round < flags->rounds; round++) {
    double peak_mib;
    if (programs->limit) hg_series_add(&rows->rate.limit, measure_limit(programs, scenario));
    hg_series_add(&rows->rate.value, measure_headgate(programs, scenario, &peak_mib));
    if (programs->has_peer) hg_series_add(&rows->rate.peer, measure_peer(programs, scenario));
    hg_series_add(&rows->memory.value, peak_mib);
  }
  if (!programs->memory_only) hg_bench_print(flags, &rows->rate);
  if (!programs->memory_only && scenario->latency_ms > 0) { // what it would be if calls took nothing but their latency
    rows->ideal.value = rows->rate.value;
    hg_series_add(&rows->ideal.limit, (double)scenario->at_once * 1000 / (double)scenario->latency_ms);
    hg_bench_print(flags, &rows->ideal);
  }
  hg_bench_print(flags, &rows->memory);
  free(rows);
}

// ---------------------------------------------------------------------------------------------- the subcommand

// llm-sim and the peer lie beside us, headgate in the folder above.
static void find_programs(struct programs *programs, const char *headgate) {
  hg_bench_beside("headgate-bench", programs->ourselves);
  hg_bench_beside("llm-sim", programs->sim);
  hg_bench_beside(FETCH_PEER, programs->peer);
  hg_bench_beside("../headgate", programs->headgate);
  if (headgate && snprintf(programs->headgate, PATH_MAX, "%s", headgate) >= PATH_MAX)
    hg_bench_die("a path is too long");
  if (access(programs->headgate, X_OK) != 0) hg_bench_die("there is no program %s", programs->headgate);
  if (access(programs->sim, X_OK) != 0) hg_bench_die("there is no program %s", programs->sim);
}

static int help(FILE *to, int code) {
  fputs(
      "usage: headgate-bench run [--at-once N] [--latency MS] [--lines N] [--alone] [--memory-only] [--headgate PATH] "
      "[--rounds N] [--json]\n"
      "Calls a second of headgate run, each durably reserved and settled, and its peak of resident memory. The limit "
      "is\n"
      "libcurl's multi interface in a bare loop, and with a latency also what latency alone allows (ideal); the peer "
      "is\n"
      "Node's fetch under p-limit. Without --at-once: 256 without latency, then 1,000 with 200 ms.\n"
      "  --at-once N       calls at once\n"
      "  --latency MS      of each answer (0)\n"
      "  --lines N         of the batch (50,000; with a latency 25 for each call at once)\n"
      "  --alone           without limit and peer\n"
      "  --memory-only     nor calls a second\n"
      "  --headgate PATH   the program to measure\n",
      to);
  return code;
}

static long usual_lines(const struct scenario *scenario) {
  const long lines = scenario->latency_ms > 0 ? scenario->at_once * 25 : 50000;
  return lines < 1000 ? 1000 : lines;
}

int hg_bench_run(int argc, char **argv) {
  static const struct option options[] = {{"at-once", required_argument, NULL, 'c'},
                                          {"latency", required_argument, NULL, 'l'},
                                          {"lines", required_argument, NULL, 'n'},
                                          {"alone", no_argument, NULL, 'a'},
                                          {"memory-only", no_argument, NULL, 'm'},
                                          {"headgate", required_argument, NULL, 'p'},
                                          HG_BENCH_OPTIONS};
  struct hg_bench_flags flags = {.rounds = 5};
  struct scenario scenarios[2] = {{0, 256, 0}, {0, 1000, 200}};
  int count = 2;
  long lines = 0;
  const char *headgate = NULL;
  bool alone = false, memory_only = false;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'c') scenarios[0].at_once = hg_bench_whole("--at-once", optarg, 1, 100000), count = 1;
    else if (option == 'l') scenarios[0].latency_ms = hg_bench_whole("--latency", optarg, 0, 600000), count = 1;
    else if (option == 'n') lines = hg_bench_whole("--lines", optarg, 1, 100000000);
    else if (option == 'a') alone = true;
    else if (option == 'm') alone = memory_only = true;
    else if (option == 'p') headgate = optarg;
    else if (!hg_bench_take(option, &flags)) return option == 'h' ? help(stdout, 0) : help(stderr, 2);
  }
  struct programs *programs = hg_bench_claim(sizeof *programs);
  find_programs(programs, headgate);
  programs->limit = !alone;
  programs->memory_only = memory_only;
  if (!alone) programs->has_peer = hg_bench_find_node(FETCH_PEER);
  hg_bench_open_workplace();
  for (int i = 0; i < count; i++) {
    scenarios[i].lines = lines ? lines : usual_lines(&scenarios[i]);
    run_scenario(&flags, programs, &scenarios[i]);
  }
  free(programs);
  return 0;
}
