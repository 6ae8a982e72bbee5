// What the benches share: rounds and their medians, the table for people and the lines for programs, places to work in.
#ifndef HG_BENCH_H
#define HG_BENCH_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

#define HG_BENCH_ROUNDS_MAX 1000

// One figure, measured once a round.
struct hg_series {
  int count;
  double values[HG_BENCH_ROUNDS_MAX];
};

void hg_series_add(struct hg_series *series, double value);
double hg_series_median(struct hg_series *series); // of at least one; sorts
double hg_series_min(struct hg_series *series);
double hg_series_max(struct hg_series *series);

// A line of the table. `limit` and `peer` are empty where the bench has none; a ratio is ours by theirs.
struct hg_bench_row {
  char bench[64];
  const char *unit;
  struct hg_series value; // Headgate
  struct hg_series limit; // the physical limit of the same work, in the same run
  struct hg_series peer;  // what a user would write instead, in the same run
};

struct hg_bench_flags {
  int rounds;
  bool json; // one object a line, in place of the table
};

// A row is printed when it is measured; the first one brings the table's head.
void hg_bench_print(const struct hg_bench_flags *flags, struct hg_bench_row *row);
// Headgate's figure again, beside another peer (empty: it is not there), in a row of its own and without a limit.
void hg_bench_print_beside(const struct hg_bench_flags *flags, const struct hg_bench_row *row, const char *peer,
                           const struct hg_series *theirs);
// A remark for people, on stderr.
void hg_bench_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void hg_bench_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

// The options that every bench has, behind its own ones.
#define HG_BENCH_OPTIONS                                                                                               \
  {"rounds", required_argument, NULL, 'r'}, {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {      \
    NULL, 0, NULL, 0                                                                                                   \
  }
// Takes --rounds and --json of them, what getopt_long has just found. False: it is another one.
bool hg_bench_take(int option, struct hg_bench_flags *flags);
// A whole number from `min` to `max`, or the end of the program.
long hg_bench_whole(const char *flag, const char *text, long min, long max);
int hg_bench_compare_doubles(const void *left, const void *right); // for qsort
double hg_bench_now_s(void);
void *hg_bench_claim(size_t size); // zeroed; the end of the program when there is none

// A fresh folder under $TMPDIR, else /var/tmp: benches write to disks, which /tmp may not be.
#define HG_BENCH_FOLDER_MAX 200
void hg_bench_make_folder(char folder[HG_BENCH_FOLDER_MAX]);
void hg_bench_remove_folder(const char *folder);

// The subcommands.
int hg_bench_record(int argc, char **argv);
int hg_bench_record_sync(int argc, char **argv);
int hg_bench_tasks(int argc, char **argv);
int hg_bench_frames(int argc, char **argv);
int hg_bench_events(int argc, char **argv);
int hg_bench_hostile(int argc, char **argv);
int hg_bench_open(int argc, char **argv);
int hg_bench_scale(int argc, char **argv);
int hg_bench_memory(int argc, char **argv);
int hg_bench_run(int argc, char **argv);
int hg_bench_bare_loop(int argc, char **argv);
int hg_bench_plot(int argc, char **argv);

#endif
