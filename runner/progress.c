// Composes the live line of a run.
#include "runner/progress.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CELLS_MAX 60

// In the order in which they stand.
enum part { DONE, FAILED, RUNNING, WAITING, BAR, SHORT_BAR, PERCENT, SHORT_PERCENT, FORECAST, RATE, TIME_LEFT, PARTS };
#define PART_MAX 320

// What goes first when the line is too wide, and what comes in its place. DONE stays.
static const struct {
  enum part part, instead;
} less_important[] = {{RATE, PARTS},     {BAR, SHORT_BAR},         {TIME_LEFT, PARTS}, {SHORT_BAR, PARTS},
                      {FORECAST, PARTS}, {PERCENT, SHORT_PERCENT}, {FAILED, PARTS},    {SHORT_PERCENT, PARTS},
                      {WAITING, PARTS},  {RUNNING, PARTS}};

unsigned hg_text_columns(const char *text) {
  unsigned columns = 0;
  for (const unsigned char *at = (const unsigned char *)text; *at; at++)
    columns += (*at & 0xC0) != 0x80;
  return columns;
}

// How many cells so many tokens fill: anything shows, and only a full budget fills the bar.
static unsigned cells_of(int64_t tokens, int64_t limit, unsigned cells) {
  if (tokens <= 0) return 0;
  if (limit <= 0 || tokens >= limit) return cells;
  const unsigned filled = (unsigned)((double)tokens / (double)limit * cells);
  return filled > 0 ? filled : 1;
}

void hg_progress_bar(const hg_usage *usage, unsigned cells, bool utf8, struct hg_text_line *out) {
  assert(cells >= 1 && cells <= CELLS_MAX);
  static const char *const ascii[] = {"#", "+", ".", "|"};
  static const char *const blocks[] = {"█", "▒", "░", "│"};
  const char *const *look = utf8 ? blocks : ascii;
  const unsigned used = cells_of(usage->used, usage->hard_limit, cells);
  const unsigned promised = cells_of(usage->used + usage->reserved, usage->hard_limit, cells);
  const unsigned mark = usage->throttle_percent < 100 ? (usage->throttle_percent * cells + 50) / 100 : cells;
  for (unsigned i = 0; i < cells; i++) {
    if (i == mark) hg_text_line_add(out, "%s", look[3]);
    hg_text_line_add(out, "%s", look[i < used ? 0 : i < promised ? 1 : 2]);
  }
}

static void write_waiting(const struct hg_run_figures *figures, struct hg_text_line *out) {
  const hg_queue *queue = &figures->queue;
  const uint32_t waiting = queue->waiting;
  if (waiting > 0 && queue->waits_for[0] && queue->throttled) {
    hg_text_line_add(out, "%" PRIu32 " wait for the throttle (%s used)", waiting,
                     hg_figure_percent(figures->usage.usage_percent_hundredths).text);
  } else if (waiting > 0 && queue->waits_for[0]) {
    const char *name = strcmp(queue->waits_for, "default") == 0 ? "budget" : queue->waits_for;
    hg_text_line_add(out, "%" PRIu32 " wait for %s (%s each", waiting, name,
                     hg_figure_amount(figures->usage.unit, queue->needed).text);
    if (strcmp(queue->waits_for, figures->usage.budget) == 0)
      hg_text_line_add(out, ", %s free", hg_figure_amount(figures->usage.unit, figures->usage.available).text);
    hg_text_line_add(out, ")");
  } else if (figures->run.pausing > 0) {
    hg_text_line_add(out, "%" PRIu32 " pause before another try", figures->run.pausing);
  } else if (figures->run.input_quiet && waiting == 0) {
    hg_text_line_add(out, "waits for lines");
  }
}

// At the rate so far. False: nothing to judge by yet.
static bool time_left(const struct hg_run_figures *figures, int64_t *ms) {
  const uint64_t ended = figures->run.done + figures->run.failed;
  const uint64_t left = hg_lines_left(figures);
  if (ended < 3 || figures->elapsed_ms < 1000 || left == 0 || figures->lines == 0) return false;
  *ms = (int64_t)((double)figures->elapsed_ms / (double)ended * (double)left);
  return true;
}

// Only what a person may want to act upon: that the lines which are left will not all fit, and when what they use meets
// the throttle or, with that closed, the limit.
static void write_forecast(const struct hg_run_figures *figures, struct hg_text_line *out) {
  const hg_usage *usage = &figures->usage;
  const int64_t left = (int64_t)hg_lines_left(figures), each = usage->task_tokens;
  if (figures->lines == 0 || left == 0 || each <= 0) return;
  const int64_t fit = usage->remaining > 0 ? usage->remaining / each : 0;
  const double needed = (double)left * (double)each;
  const double mark = (double)usage->hard_limit / 100 * usage->throttle_percent;
  const bool meets = usage->throttle_percent < 100 && !usage->throttled && (double)usage->used + needed >= mark;
  if (meets && usage->threshold_in_ms > 0)
    hg_text_line_add(out, "throttle in ~%s", hg_figure_about(usage->threshold_in_ms).text);
  else if (left > fit && usage->limit_in_ms > 0)
    hg_text_line_add(out, "limit in ~%s", hg_figure_about(usage->limit_in_ms).text);
  if (left > fit) hg_text_line_add(out, "%s~%s more fit", out->len > 0 ? ", " : "", hg_figure_count(fit).text);
}

static void write_part(const struct hg_run_figures *figures, enum part part, bool utf8, struct hg_text_line *out) {
  const hg_usage *usage = &figures->usage;
  int64_t ms;
  switch (part) {
  case DONE:
    hg_text_line_add(out, "%s", hg_figure_count((int64_t)hg_lines_done(figures)).text);
    if (figures->lines > 0) hg_text_line_add(out, "/%s", hg_figure_count((int64_t)figures->lines).text);
    hg_text_line_add(out, " done");
    break;
  case FAILED:
    if (hg_lines_failed(figures) > 0)
      hg_text_line_add(out, "%s failed", hg_figure_count((int64_t)hg_lines_failed(figures)).text);
    break;
  case RUNNING:
    hg_text_line_add(out, "running %" PRIu32 "/%" PRIu32, figures->queue.running, figures->queue.effective_concurrency);
    if (figures->run.allowed > 0 && figures->run.allowed < figures->queue.effective_concurrency)
      hg_text_line_add(out, " (the provider lets %" PRIu32 ")", figures->run.allowed);
    break;
  case WAITING: write_waiting(figures, out); break;
  case BAR: hg_progress_bar(usage, 20, utf8, out); break;
  case SHORT_BAR: hg_progress_bar(usage, 10, utf8, out); break;
  case PERCENT:
    hg_text_line_add(out, "%s of %s", hg_figure_percent(usage->usage_percent_hundredths).text,
                     hg_figure_amount(usage->unit, usage->hard_limit).text);
    break;
  case SHORT_PERCENT: hg_text_line_add(out, "%s", hg_figure_percent(usage->usage_percent_hundredths).text); break;
  case FORECAST: write_forecast(figures, out); break;
  case RATE:
    if (figures->tokens_per_second > 0)
      hg_text_line_add(out, usage->unit == HG_UNIT_TOKENS ? "%s tokens/s" : "%s/s",
                       hg_figure_amount(usage->unit, figures->tokens_per_second).text);
    break;
  case TIME_LEFT:
    if (time_left(figures, &ms)) hg_text_line_add(out, "%s left", hg_figure_time(ms).text);
    break;
  case PARTS: assert(0 && "no part"); break;
  }
}

static void join(char parts[PARTS][PART_MAX], const bool shown[PARTS], bool utf8, struct hg_text_line *line) {
  const char *separator = utf8 ? " · " : " - ";
  line->len = 0;
  line->out[0] = '\0';
  for (int i = 0; i < PARTS; i++) {
    if (!shown[i] || !parts[i][0]) continue;
    const bool after_bar = i == PERCENT && (shown[BAR] || shown[SHORT_BAR]);
    hg_text_line_add(line, "%s%s", line->len == 0 ? "" : after_bar ? " " : separator, parts[i]);
  }
}

static void cut_to(char *text, unsigned columns) {
  unsigned so_far = 0;
  for (char *at = text; *at; at++) {
    if (((unsigned char)*at & 0xC0) == 0x80) continue;
    if (so_far++ < columns) continue;
    *at = '\0';
    return;
  }
}

void hg_progress_line(const struct hg_run_figures *figures, unsigned columns, bool utf8, char out[HG_PROGRESS_MAX]) {
  char parts[PARTS][PART_MAX];
  bool shown[PARTS];
  for (int i = 0; i < PARTS; i++) {
    struct hg_text_line part = {parts[i], 0, PART_MAX};
    parts[i][0] = '\0';
    write_part(figures, (enum part)i, utf8, &part);
    shown[i] = i != SHORT_BAR && i != SHORT_PERCENT;
  }
  if (columns > HG_PROGRESS_COLUMNS) columns = HG_PROGRESS_COLUMNS;
  struct hg_text_line line = {out, 0, HG_PROGRESS_MAX};
  join(parts, shown, utf8, &line);
  for (size_t i = 0; i < sizeof less_important / sizeof *less_important && hg_text_columns(out) > columns; i++) {
    shown[less_important[i].part] = false;
    if (less_important[i].instead != PARTS) shown[less_important[i].instead] = true;
    join(parts, shown, utf8, &line);
  }
  cut_to(out, columns);
}
