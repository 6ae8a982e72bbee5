// Rounds, medians, the table and the JSON lines.
#include "bench/bench.h"

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// ---------------------------------------------------------------------------------------------- series

void hg_series_add(struct hg_series *series, double value) {
  if (series->count == HG_BENCH_ROUNDS_MAX) hg_bench_die("more than %d rounds", HG_BENCH_ROUNDS_MAX);
  series->values[series->count++] = value;
}

int hg_bench_compare_doubles(const void *left, const void *right) {
  const double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

static void sort(struct hg_series *series) {
  if (series->count == 0) hg_bench_die("a median of nothing");
  qsort(series->values, (size_t)series->count, sizeof *series->values, hg_bench_compare_doubles);
}

double hg_series_median(struct hg_series *series) {
  sort(series);
  const int half = series->count / 2;
  return series->count % 2 ? series->values[half] : (series->values[half - 1] + series->values[half]) / 2;
}

double hg_series_min(struct hg_series *series) {
  sort(series);
  return series->values[0];
}

double hg_series_max(struct hg_series *series) {
  sort(series);
  return series->values[series->count - 1];
}

// ---------------------------------------------------------------------------------------------- printing

static void json_figure(const char *name, const char *ratio, struct hg_series *series, double value) {
  if (series->count == 0) {
    printf(",\"%s\":null,\"%s\":null", name, ratio);
    return;
  }
  const double figure = hg_series_median(series);
  printf(",\"%s\":%.3f,\"%s\":%.3f", name, figure, ratio, value / figure);
}

static void print_json(struct hg_bench_row *row) {
  const double value = hg_series_median(&row->value);
  printf("{\"bench\":\"%s\",\"value\":%.3f,\"unit\":\"%s\"", row->bench, value, row->unit);
  json_figure("limit", "ratio", &row->limit, value);
  json_figure("peer", "peerRatio", &row->peer, value);
  printf(",\"rounds\":%d,\"min\":%.3f,\"max\":%.3f}\n", row->value.count, hg_series_min(&row->value),
         hg_series_max(&row->value));
}

// About three figures: a bench has no more.
static const char *shown(double value, char out[32]) {
  snprintf(out, 32, value >= 100 ? "%.0f" : value >= 10 ? "%.1f" : "%.2f", value);
  return out;
}

static void table_figure(struct hg_series *series, double value) {
  char figure[32], ratio[32];
  if (series->count == 0) {
    printf(" %10s %7s", "-", "-");
    return;
  }
  const double other = hg_series_median(series);
  printf(" %10s %7s", shown(other, figure), shown(value / other, ratio));
}

static void print_table(struct hg_bench_row *row) {
  static bool headed;
  if (!headed)
    printf("%-34s %-9s %10s %10s %10s %10s %7s %10s %7s %6s\n", "bench", "unit", "headgate", "min", "max", "limit",
           "ratio", "peer", "ratio", "rounds");
  headed = true;
  char median[32], min[32], max[32];
  const double value = hg_series_median(&row->value);
  printf("%-34s %-9s %10s %10s %10s", row->bench, row->unit, shown(value, median),
         shown(hg_series_min(&row->value), min), shown(hg_series_max(&row->value), max));
  table_figure(&row->limit, value);
  table_figure(&row->peer, value);
  printf(" %6d\n", row->value.count);
}

void hg_bench_print(const struct hg_bench_flags *flags, struct hg_bench_row *row) {
  if (flags->json) print_json(row);
  else print_table(row);
  fflush(stdout);
}

void hg_bench_print_beside(const struct hg_bench_flags *flags, const struct hg_bench_row *row, const char *peer,
                           const struct hg_series *theirs) {
  struct hg_bench_row *beside = hg_bench_claim(sizeof *beside);
  if (snprintf(beside->bench, sizeof beside->bench, "%s, beside %s", row->bench, peer) >= (int)sizeof beside->bench)
    hg_bench_die("the name of a row is too long");
  beside->unit = row->unit;
  beside->value = row->value;
  beside->peer = *theirs;
  hg_bench_print(flags, beside);
  free(beside);
}

void hg_bench_note(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
}

void hg_bench_die(const char *format, ...) {
  va_list arguments;
  fputs("headgate-bench: ", stderr);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

// ---------------------------------------------------------------------------------------------- places and such

long hg_bench_whole(const char *flag, const char *text, long min, long max) {
  char *end = NULL;
  errno = 0;
  const long number = strtol(text, &end, 10);
  if (end == text || *end || errno || number < min || number > max)
    hg_bench_die("%s is a whole number from %ld to %ld, not \"%s\"", flag, min, max, text);
  return number;
}

bool hg_bench_take(int option, struct hg_bench_flags *flags) {
  if (option == 'r') flags->rounds = (int)hg_bench_whole("--rounds", optarg, 1, HG_BENCH_ROUNDS_MAX);
  else if (option == 'j') flags->json = true;
  else return false;
  return true;
}

double hg_bench_now_s(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

void *hg_bench_claim(size_t size) {
  void *memory = calloc(1, size);
  if (!memory) hg_bench_die("not enough memory");
  return memory;
}

void hg_bench_make_folder(char folder[HG_BENCH_FOLDER_MAX]) {
  const char *under = getenv("TMPDIR");
  if (!under || !*under) under = "/var/tmp";
  const int len = snprintf(folder, HG_BENCH_FOLDER_MAX, "%s/headgate-bench.XXXXXX", under);
  if (len >= HG_BENCH_FOLDER_MAX || !mkdtemp(folder)) hg_bench_die("cannot make a folder in %s", under);
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *walk) {
  (void)about, (void)type, (void)walk;
  return remove(path);
}

void hg_bench_remove_folder(const char *folder) {
  if (nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) hg_bench_note("%s could not be removed", folder);
}
