// Figures for people.
#include "cli/render.h"

#include "schemas/message.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

const char *hg_render_count(int64_t count, char out[HG_COUNT_TEXT]) {
  char digits[24];
  const uint64_t size = count < 0 ? 0 - (uint64_t)count : (uint64_t)count;
  const int length = snprintf(digits, sizeof digits, "%" PRIu64, size);
  char *to = out;
  if (count < 0) *to++ = '-';
  for (int i = 0; i < length; i++) {
    if (i && (length - i) % 3 == 0) *to++ = ',';
    *to++ = digits[i];
  }
  *to = '\0';
  return out;
}

const char *hg_render_percent(uint32_t hundredths, char out[HG_PERCENT_TEXT]) {
  snprintf(out, HG_PERCENT_TEXT, "%" PRIu32 ".%02" PRIu32 " %%", hundredths / 100, hundredths % 100);
  return out;
}

// How many of the cells so many tokens fill: anything shows, and only a full budget fills the bar.
static unsigned cells_of(int64_t tokens, int64_t limit, unsigned cells) {
  if (tokens <= 0) return 0;
  if (limit <= 0 || tokens >= limit) return cells;
  const unsigned filled = (unsigned)((double)tokens / (double)limit * cells);
  return filled ? filled : 1;
}

const char *hg_render_bar(int64_t used, int64_t reserved, int64_t limit, unsigned mark_percent, unsigned cells,
                          char out[HG_BAR_MAX + 2]) {
  assert(cells <= HG_BAR_MAX);
  const unsigned full = cells_of(used, limit, cells);
  const unsigned promised = cells_of(used + reserved, limit, cells);
  const unsigned mark = mark_percent < 100 ? (mark_percent * cells + 50) / 100 : cells;
  char *to = out;
  for (unsigned i = 0; i < cells; i++) {
    if (i == mark) *to++ = '|';
    *to++ = i < full ? '#' : i < promised ? '+' : '.';
  }
  *to = '\0';
  return out;
}

const char *hg_render_text(const char *text, char *out, size_t room) {
  hg_text_copy(out, room, hg_text_of(text));
  char *to = out;
  for (const unsigned char *at = (const unsigned char *)out; *at; at++) {
    const bool c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0; // U+0080 to U+009F, two bytes each
    *to++ = *at < 0x20 || *at == 0x7f || c1 ? '?' : (char)*at;
    if (c1) at++;
  }
  *to = '\0';
  return out;
}
