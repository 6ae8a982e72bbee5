// Figures for people.
#include "runner/figures.h"

#include "base/money.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint64_t hg_lines_done(const struct hg_run_figures *figures) {
  return figures->batch.done_before + figures->run.done;
}

uint64_t hg_lines_failed(const struct hg_run_figures *figures) {
  return figures->run.failed + figures->batch.bad + figures->batch.duplicates;
}

uint64_t hg_lines_left(const struct hg_run_figures *figures) {
  const uint64_t ended = hg_lines_done(figures) + hg_lines_failed(figures);
  const bool counted = !figures->run.input_ended && figures->lines > figures->batch.lines;
  const uint64_t lines = counted ? figures->lines : figures->batch.lines;
  return lines > ended ? lines - ended : 0;
}

struct hg_figure hg_figure_count(int64_t number) {
  struct hg_figure figure;
  char digits[24];
  const uint64_t size = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
  const int len = snprintf(digits, sizeof digits, "%" PRIu64, size);
  char *to = figure.text;
  if (number < 0) *to++ = '-';
  for (int i = 0; i < len; i++) {
    if (i > 0 && (len - i) % 3 == 0) *to++ = ',';
    *to++ = digits[i];
  }
  *to = '\0';
  return figure;
}

struct hg_figure hg_figure_amount(hg_unit unit, int64_t amount) {
  struct hg_figure figure;
  static_assert(HG_MONEY_TEXT_MAX <= HG_FIGURE_MAX, "an amount of money is a figure");
  if (unit == HG_UNIT_TOKENS) return hg_figure_count(amount);
  hg_money_round(amount, figure.text);
  return figure;
}

struct hg_figure hg_figure_tokens(hg_unit unit, int64_t amount) {
  struct hg_figure figure = hg_figure_amount(unit, amount);
  const size_t len = strlen(figure.text);
  if (unit == HG_UNIT_TOKENS) snprintf(figure.text + len, sizeof figure.text - len, " tokens");
  return figure;
}

struct hg_figure hg_figure_percent(uint32_t hundredths) {
  struct hg_figure figure;
  snprintf(figure.text, sizeof figure.text, "%" PRIu32 ".%02" PRIu32 " %%", hundredths / 100, hundredths % 100);
  return figure;
}

struct hg_figure hg_figure_time(int64_t ms) {
  struct hg_figure figure;
  const int64_t seconds = (ms + 500) / 1000, minutes = seconds / 60, hours = minutes / 60;
  if (ms < 59950) snprintf(figure.text, sizeof figure.text, "%.1f s", (double)ms / 1000);
  else if (hours == 0) snprintf(figure.text, sizeof figure.text, "%" PRId64 ":%02d", minutes, (int)(seconds % 60));
  else
    snprintf(figure.text, sizeof figure.text, "%" PRId64 ":%02d:%02d", hours, (int)(minutes % 60), (int)(seconds % 60));
  return figure;
}

struct hg_figure hg_figure_about(int64_t ms) {
  static const struct {
    const char *unit;
    int64_t ms, from; // the unit, and from how many of the one before it on
  } units[] = {{"s", 1000, 0}, {"min", 60000, 90}, {"h", 3600000, 90}, {"days", 86400000, 48}};
  struct hg_figure figure;
  size_t i = 0;
  while (i + 1 < sizeof units / sizeof *units && ms / units[i].ms >= units[i + 1].from)
    i++;
  int64_t count = ms / units[i].ms + (ms % units[i].ms * 2 >= units[i].ms);
  if (i == 0) count = count < 10 ? 10 : (count + 5) / 10 * 10; // a live line should not flicker
  snprintf(figure.text, sizeof figure.text, "%" PRId64 " %s", count, units[i].unit);
  return figure;
}

void hg_text_line_add(struct hg_text_line *line, const char *format, ...) {
  if (line->len + 1 >= line->capacity) return;
  va_list arguments;
  va_start(arguments, format);
  const int added = vsnprintf(line->out + line->len, line->capacity - line->len, format, arguments);
  va_end(arguments);
  if (added > 0) line->len += (size_t)added;
  if (line->len >= line->capacity) line->len = line->capacity - 1;
}
