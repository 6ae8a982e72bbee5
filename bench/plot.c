// A bar chart of rows that --json has printed, drawn by gnuplot: how many times as fast as the limit and as the peer
// each row is. Ratios of times are turned round for it, so that further right is better everywhere. The scale is
// logarithmic, and bars begin at 1.
#include "bench/bench.h"
#include "bench/process.h"
#include "bench/workplace.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define WIDTH 1000
#define ROW_HEIGHT 26
#define FRAME_HEIGHT 130

static const char usage[] =
    "usage: headgate-bench plot ROWS... OUT\n"
    "Draws what benches printed with --json (files of lines, - is standard input) as a bar chart, OUT.svg or OUT.png: "
    "how many\n"
    "times as fast as the limit and as the peer each row is. Needs gnuplot.\n";

struct row {
  char name[96];
  double limit, peer; // times as fast; 0: none
};

struct chart {
  struct row *rows;
  size_t count, room;
};

// ---------------------------------------------------------------------------------------------- reading

// Less is better.
static bool is_time_or_size(const char *unit) {
  static const char *const units[] = {"ns/record", "us", "ms", "B", "KiB", "MiB"};
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    if (strcmp(unit, units[i]) == 0) return true;
  return false;
}

static double times_as_fast(const json_t *object, const char *other, const char *unit) {
  const double ours = json_number_value(json_object_get(object, "value"));
  const double theirs = json_number_value(json_object_get(object, other));
  if (ours <= 0 || theirs <= 0) return 0;
  return is_time_or_size(unit) ? theirs / ours : ours / theirs;
}

// What gnuplot could take for more than text is left out.
static void name_row(struct row *row, const char *bench, const char *unit) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,.()/-";
  snprintf(row->name, sizeof row->name, "%s (%s)", bench, unit);
  for (size_t at; row->name[at = strspn(row->name, allowed)];)
    row->name[at] = '-';
}

static void add(struct chart *chart, const char *path, long number, const char *line) {
  json_error_t error;
  json_t *object = json_loads(line, 0, &error);
  const char *bench = json_string_value(json_object_get(object, "bench"));
  const char *unit = json_string_value(json_object_get(object, "unit"));
  if (!bench || !unit) hg_bench_die("%s:%ld: not a row of a bench", path, number);
  struct row row = {.limit = times_as_fast(object, "limit", unit), .peer = times_as_fast(object, "peer", unit)};
  name_row(&row, bench, unit);
  json_decref(object);
  if (row.limit <= 0 && row.peer <= 0) return; // nothing to compare
  if (chart->count == chart->room) {
    chart->room = chart->room ? 2 * chart->room : 64;
    chart->rows = realloc(chart->rows, chart->room * sizeof *chart->rows);
    if (!chart->rows) hg_bench_die("not enough memory");
  }
  chart->rows[chart->count++] = row;
}

static void read_rows(struct chart *chart, const char *path) {
  char line[LINE_MAX_BYTES];
  FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
  if (!file) hg_bench_die("cannot read %s: %s", path, strerror(errno));
  for (long number = 1; fgets(line, sizeof line, file); number++)
    if (line[strspn(line, " \n")]) add(chart, path, number, line);
  if (file != stdin) fclose(file);
}

// ---------------------------------------------------------------------------------------------- drawing

// x y xlow xhigh ylow yhigh label
static void write_bar(FILE *script, double times, double from, double to) {
  fprintf(script, "%g %g %g %g %g %g %.*f\n", times, (from + to) / 2, times < 1 ? times : 1, times < 1 ? 1 : times,
          from, to,
          times < 10    ? 2
          : times < 100 ? 1
                        : 0,
          times);
}

// Where a row has both, its place is shared by them.
static void write_bars(FILE *script, const struct chart *chart, bool peers) {
  fprintf(script, "$%s << EOD\n", peers ? "peer" : "limit");
  for (size_t i = 0; i < chart->count; i++) {
    const struct row *row = &chart->rows[i];
    const double y = (double)i, times = peers ? row->peer : row->limit;
    const bool shared = row->limit > 0 && row->peer > 0;
    if (times > 0) write_bar(script, times, shared && peers ? y : y - 0.4, shared && !peers ? y : y + 0.4);
  }
  fputs("EOD\n", script);
}

static bool has(const struct chart *chart, bool peers) {
  for (size_t i = 0; i < chart->count; i++)
    if ((peers ? chart->rows[i].peer : chart->rows[i].limit) > 0) return true;
  return false;
}

static void write_range(FILE *script, const struct chart *chart) {
  double least = 0.5, most = 2;
  for (size_t i = 0; i < chart->count; i++) {
    const double both[] = {chart->rows[i].limit, chart->rows[i].peer};
    for (int k = 0; k < 2; k++) {
      if (both[k] > 0 && both[k] < least) least = both[k];
      if (both[k] > most) most = both[k];
    }
  }
  fprintf(script, "set xrange [%g:%g]\n", least / 2, most * 2); // with room for the labels
}

// The figure stands right of its bar.
static void write_plot(FILE *script, const char *name, const char *title, const char *color) {
  fprintf(script,
          "$%s using 1:2:3:4:5:6 with boxxyerror fillstyle solid 1 noborder linecolor rgb '%s' title '%s', "
          "$%s using 4:2:7 with labels left offset 0.4,0 font ',9' notitle",
          name, color, title, name);
}

static void write_script(FILE *script, const struct chart *chart, bool png) {
  fprintf(script, "set terminal %s size %d,%zu font 'sans,11' background rgb 'white' noenhanced\n",
          png ? "pngcairo" : "svg", WIDTH, FRAME_HEIGHT + ROW_HEIGHT * chart->count);
  write_bars(script, chart, false);
  write_bars(script, chart, true);
  fputs("set title 'Headgate beside the limit and the peer of each bench'\n"
        "set xlabel 'times as fast (1: as fast; times and sizes are turned round, so that right is better)'\n"
        "set logscale x\nset format x '%g'\nset grid xtics linecolor rgb '#dddddd' linetype 1\nset tics nomirror scale "
        "0\n"
        "set key outside top center horizontal reverse Left samplen 2\nset border 1\n"
        "set arrow from 1,graph 0 to 1,graph 1 nohead linecolor rgb '#444444' front\n",
        script);
  write_range(script, chart);
  fprintf(script, "set yrange [%g:-0.7]\nset ytics (", (double)chart->count - 0.3);
  for (size_t i = 0; i < chart->count; i++)
    fprintf(script, "%s'%s' %zu", i ? ", " : "", chart->rows[i].name, i);
  fputs(")\nplot ", script);
  if (has(chart, false)) write_plot(script, "limit", "beside the limit, or the smallest size", "#3b6ea5");
  if (has(chart, false) && has(chart, true)) fputs(", ", script);
  if (has(chart, true)) write_plot(script, "peer", "beside the peer", "#d98c2b");
  fputs("\n", script);
}

static bool ends_with(const char *text, const char *end) {
  const size_t size = strlen(text), end_size = strlen(end);
  return size > end_size && strcmp(text + size - end_size, end) == 0;
}

static void draw(const struct chart *chart, const char *out) {
  char path[HG_BENCH_FOLDER_MAX + 32];
  struct hg_bench_end end;
  hg_bench_open_workplace();
  snprintf(path, sizeof path, "%s/plot.gnuplot", hg_bench_workplace());
  FILE *script = fopen(path, "w");
  if (!script) hg_bench_die("cannot write %s: %s", path, strerror(errno));
  write_script(script, chart, ends_with(out, ".png"));
  if (fclose(script) != 0) hg_bench_die("cannot write %s: %s", path, strerror(errno));
  char *const argv[] = {(char[]){"gnuplot"}, path, NULL};
  hg_bench_time(argv, out, &end);
  if (end.code == 0) return;
  (void)unlink(out);
  hg_bench_die("gnuplot ended with exit %d", end.code);
}

// Makes it, with the rights that the caller's files have.
static void need_writable(const char *out) {
  FILE *file = fopen(out, "a");
  if (!file) hg_bench_die("cannot write %s: %s", out, strerror(errno));
  fclose(file);
}

static void need_gnuplot(void) {
  if (system("command -v gnuplot >/dev/null 2>&1") != 0)
    hg_bench_die("there is no gnuplot to draw with: apt-get install gnuplot-nox");
}

int hg_bench_plot(int argc, char **argv) {
  const bool help = argc > 1 && strcmp(argv[1], "--help") == 0;
  const char *out = argv[argc - 1];
  if (help || argc < 3) return fputs(usage, help ? stdout : stderr), help ? 0 : 2;
  if (!ends_with(out, ".svg") && !ends_with(out, ".png"))
    hg_bench_die("\"%s\" ends neither with .svg nor with .png", out);
  need_gnuplot();
  struct chart chart = {0};
  for (int i = 1; i < argc - 1; i++)
    read_rows(&chart, argv[i]);
  if (chart.count == 0) hg_bench_die("no row has a limit or a peer");
  need_writable(out);
  draw(&chart, out);
  free(chart.rows);
  return 0;
}
