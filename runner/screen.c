// Rows from top to bottom: title, bar, tokens, queue, plot, a rule or the trouble, events.
#include "runner/screen.h"

#include "runner/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ROW_BYTES 4096
#define HEAD_ROWS 4
#define LABEL 8 // columns before the plot
#define CELLS_MAX 60
#define DAY_MS 86400000

enum look { PLAIN, BOLD, ALARM };

struct canvas {
  const struct hg_screen *screen;
  unsigned columns, rows, row;
  struct hg_text_line *out;
};

// ------------------------------------------------------------------------------------------------ rows

static uint32_t decode(const char *text, unsigned *size) {
  const unsigned char *at = (const unsigned char *)text;
  *size = at[0] < 0x80 ? 1 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;
  uint32_t code = *size == 1 ? at[0] : at[0] & (0xFFu >> (*size + 1));
  for (unsigned i = 1; i < *size; i++) {
    if ((at[i] & 0xC0) != 0x80) {
      *size = i; // cut off
      return 0xFFFD;
    }
    code = code << 6 | (at[i] & 0x3Fu);
  }
  return code;
}

// East Asian wide characters and emoji take two, accents that join the one before none.
static unsigned width_of(uint32_t code) {
  if (code >= 0x300 && code <= 0x36F) return 0;
  const bool wide = (code >= 0x1100 && code <= 0x115F) || (code >= 0x2E80 && code <= 0xA4CF) ||
                    (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0xF900 && code <= 0xFAFF) ||
                    (code >= 0xFE30 && code <= 0xFE6F) || (code >= 0xFF00 && code <= 0xFF60) ||
                    (code >= 0x1F300 && code <= 0x1FAFF) || (code >= 0x20000 && code <= 0x3FFFD);
  return wide ? 2 : 1;
}

static void put_row(struct canvas *canvas, enum look look, const char *text) {
  const bool colour = canvas->screen->colour && look != PLAIN;
  if (canvas->row >= canvas->rows) return;
  if (canvas->row++) hg_text_line_add(canvas->out, "\n");
  if (colour) hg_text_line_add(canvas->out, "%s", look == BOLD ? "\x1b[1m" : "\x1b[1;31m");
  for (unsigned used = 0, size; *text; text += size) {
    const uint32_t code = decode(text, &size);
    used += width_of(code);
    if (used > canvas->columns) break;
    if (canvas->screen->utf8 || code < 0x80) hg_text_line_add(canvas->out, "%.*s", (int)size, text);
    else hg_text_line_add(canvas->out, "?");
  }
  if (colour) hg_text_line_add(canvas->out, "\x1b[0m");
}

static unsigned plot_rows(unsigned rows) {
  return rows < 16 ? 1 : rows < 24 ? 3 : 4;
}

unsigned hg_screen_event_rows(unsigned rows) {
  const unsigned others = HEAD_ROWS + plot_rows(rows) + 1;
  return rows > others ? rows - others : 0;
}

// ------------------------------------------------------------------------------------------------ figures

static const char *dot(const struct canvas *canvas) {
  return canvas->screen->utf8 ? " · " : " - ";
}

static void put_title(struct canvas *canvas) {
  char row[ROW_BYTES];
  struct hg_text_line line = {row, 0, sizeof row};
  const struct hg_screen *screen = canvas->screen;
  if (screen->seq) hg_text_line_add(&line, "row %s%s", hg_figure_count((int64_t)screen->seq).text, dot(canvas));
  hg_text_line_add(&line, "headgate watch %s", screen->title);
  put_row(canvas, BOLD, row);
}

static void put_bar(struct canvas *canvas) {
  char row[ROW_BYTES];
  struct hg_text_line line = {row, 0, sizeof row};
  const hg_usage *usage = &canvas->screen->usage;
  if (!canvas->screen->has_usage) {
    put_row(canvas, PLAIN, "usage is not known yet");
    return;
  }
  const struct hg_figure percent = hg_figure_percent(usage->usage_percent_hundredths);
  const unsigned beside = (unsigned)strlen(percent.text) + 2; // a space, and the mark of the threshold
  const unsigned room = canvas->columns > beside ? canvas->columns - beside : 1;
  hg_progress_bar(usage, room < CELLS_MAX ? room : CELLS_MAX, canvas->screen->utf8, &line);
  hg_text_line_add(&line, " %s", percent.text);
  put_row(canvas, PLAIN, row);
}

static void put_tokens(struct canvas *canvas) {
  char row[ROW_BYTES];
  struct hg_text_line line = {row, 0, sizeof row};
  const hg_usage *usage = &canvas->screen->usage;
  row[0] = '\0';
  if (canvas->screen->has_usage) {
    const struct hg_figure used = hg_figure_amount(usage->unit, usage->used);
    const struct hg_figure reserved = hg_figure_amount(usage->unit, usage->reserved);
    const struct hg_figure limit = hg_figure_amount(usage->unit, usage->hard_limit);
    const struct hg_figure free = hg_figure_amount(usage->unit, usage->available);
    const char *and = dot(canvas);
    hg_text_line_add(&line, "used %s%sreserved %s%slimit %s%sfree %s", used.text, and, reserved.text, and, limit.text,
                     and, free.text);
    if (hg_text_columns(row) > canvas->columns) {
      line.len = 0;
      hg_text_line_add(&line, "%s + %s of %s", used.text, reserved.text, limit.text);
    }
  }
  put_row(canvas, PLAIN, row);
}

// Only what a person may want to act upon: the throttle or, with that closed, the limit within a day, and that what
// runs and waits will not all fit.
static void write_forecast(const struct hg_screen *screen, struct hg_text_line *out) {
  const hg_usage *usage = &screen->usage;
  const int64_t asking = (int64_t)screen->queue.running + screen->queue.waiting;
  const int64_t fit = usage->task_tokens <= 0 ? asking
                      : usage->remaining <= 0 ? 0
                                              : usage->remaining / usage->task_tokens;
  const bool closes = !usage->throttled && usage->threshold_in_ms > 0;
  const int64_t ms = closes ? usage->threshold_in_ms : usage->limit_in_ms;
  if (!screen->has_queue || screen->trouble) return;
  if (ms > 0 && ms <= DAY_MS)
    hg_text_line_add(out, "%s in ~%s", closes ? "throttle" : "limit", hg_figure_about(ms).text);
  if (asking > fit) hg_text_line_add(out, "%s~%s more fit", out->len > 0 ? ", " : "", hg_figure_count(fit).text);
}

static void put_queue(struct canvas *canvas) {
  char row[ROW_BYTES];
  struct hg_text_line line = {row, 0, sizeof row};
  const hg_queue *queue = &canvas->screen->queue;
  const bool narrow = canvas->columns < 60;
  const bool throttled = queue->effective_concurrency < queue->max_concurrency;
  if (!queue->max_concurrency) {
    put_row(canvas, PLAIN, "concurrency is not known yet");
    return;
  }
  hg_text_line_add(&line, "%s%" PRIu32 " of %" PRIu32 "%s", narrow ? "" : "concurrency ", queue->effective_concurrency,
                   queue->max_concurrency, throttled && !narrow ? " (throttled)" : "");
  if (canvas->screen->has_queue)
    hg_text_line_add(&line, "%s%" PRIu32 " running%s%" PRIu32 " waiting", dot(canvas), queue->running, dot(canvas),
                     queue->waiting);
  if (queue->waiting && queue->waits_for[0])
    hg_text_line_add(&line, " for %s%s", queue->throttled ? "the throttle of " : "", queue->waits_for);
  char forecast[128] = "";
  struct hg_text_line more = {forecast, 0, sizeof forecast};
  write_forecast(canvas->screen, &more);
  const unsigned beside = hg_text_columns(row) + hg_text_columns(dot(canvas)) + hg_text_columns(forecast);
  if (forecast[0] && beside <= canvas->columns) hg_text_line_add(&line, "%s%s", dot(canvas), forecast);
  put_row(canvas, PLAIN, row);
}

// ------------------------------------------------------------------------------------------------ the plot

// The least of the seconds [from, to) that are known: a throttle shows however short it was.
static uint32_t sample_of(const struct hg_screen *screen, uint64_t from, uint64_t to) {
  const uint64_t count = screen->sample_count;
  uint32_t least = HG_SCREEN_UNKNOWN;
  for (uint64_t i = from; i < to && i < count; i++)
    if (i + HG_SCREEN_SECONDS >= count && screen->samples[i % HG_SCREEN_SECONDS] < least)
      least = screen->samples[i % HG_SCREEN_SECONDS];
  return least;
}

// What one cell shows of a column that is `eighths` high, in row `above` over the lowest.
static const char *cell(bool utf8, uint64_t eighths, unsigned above) {
  static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  static const char *const ascii[] = {" ", ".", ".", ":", ":", "+", "+", "#", "#"};
  const uint64_t below = UINT64_C(8) * above;
  const uint64_t filled = eighths <= below ? 0 : eighths - below < 8 ? eighths - below : 8;
  return (utf8 ? blocks : ascii)[filled];
}

static void put_plot_row(struct canvas *canvas, unsigned row_count, unsigned above) {
  char row[ROW_BYTES], label[16] = ""; // LABEL columns of it
  struct hg_text_line line = {row, 0, sizeof row};
  const struct hg_screen *screen = canvas->screen;
  const uint64_t cells = canvas->columns > LABEL ? canvas->columns - LABEL : 1;
  const uint64_t each = (HG_SCREEN_SECONDS + cells - 1) / cells; // seconds
  const uint64_t shown = (HG_SCREEN_SECONDS + each - 1) / each;
  const uint64_t last =
      screen->sample_count ? (screen->sample_count - 1) / each : 0; // the newest cell, which moves only when it is full
  uint32_t highest = screen->queue.max_concurrency ? screen->queue.max_concurrency : 1;
  if (above + 1 == row_count && row_count > 1) snprintf(label, sizeof label, "%" PRIu32, highest);
  if (above == 0) snprintf(label, sizeof label, "%d min", HG_SCREEN_SECONDS / 60);
  hg_text_line_add(&line, "%*.*s%s%*s", LABEL - 1, LABEL - 1, label, screen->utf8 ? "▏" : "|", (int)(cells - shown),
                   "");
  for (uint64_t i = 0; i < shown; i++) {
    const uint64_t back = shown - 1 - i;
    const uint32_t sample =
        back > last ? HG_SCREEN_UNKNOWN : sample_of(screen, (last - back) * each, (last - back + 1) * each);
    uint64_t eighths = 0;
    if (sample != HG_SCREEN_UNKNOWN) eighths = (uint64_t)sample * 8 * row_count / highest;
    if (sample != HG_SCREEN_UNKNOWN && sample && !eighths) eighths = 1;
    hg_text_line_add(&line, "%s", cell(screen->utf8, eighths, above));
  }
  put_row(canvas, PLAIN, row);
}

// ------------------------------------------------------------------------------------------------ the whole

static void put_rule(struct canvas *canvas) {
  char row[ROW_BYTES];
  struct hg_text_line line = {row, 0, sizeof row};
  if (canvas->screen->trouble) {
    hg_text_line_add(&line, "%s %s", canvas->screen->utf8 ? "▲" : "!", canvas->screen->trouble);
    put_row(canvas, ALARM, row);
    return;
  }
  row[0] = '\0';
  for (unsigned i = 0; i < canvas->columns; i++)
    hg_text_line_add(&line, "%s", canvas->screen->utf8 ? "─" : "-");
  put_row(canvas, PLAIN, row);
}

void hg_screen_draw(const struct hg_screen *screen, unsigned columns, unsigned rows, struct hg_text_line *out) {
  if (columns > HG_SCREEN_COLUMNS_MAX) columns = HG_SCREEN_COLUMNS_MAX;
  if (rows > HG_SCREEN_ROWS_MAX) rows = HG_SCREEN_ROWS_MAX;
  struct canvas canvas = {screen, columns, rows, 0, out};
  const unsigned plot = plot_rows(rows), room = hg_screen_event_rows(rows);
  const size_t shown = screen->line_count < room ? screen->line_count : room;
  put_title(&canvas);
  put_bar(&canvas);
  put_tokens(&canvas);
  put_queue(&canvas);
  for (unsigned above = plot; above > 0; above--)
    put_plot_row(&canvas, plot, above - 1);
  put_rule(&canvas);
  for (size_t i = shown; i < room; i++)
    put_row(&canvas, PLAIN, "");
  for (size_t i = screen->line_count - shown; i < screen->line_count; i++)
    put_row(&canvas, PLAIN, screen->lines[i]);
}
