// Figures for people: thousands separators, percents, a bar with a mark, texts that cannot play tricks on a terminal.
#ifndef HG_RENDER_H
#define HG_RENDER_H

#include "headgate.h"

#define HG_COUNT_TEXT 32   // room for any count
#define HG_PERCENT_TEXT 24 // room for any percent
#define HG_BAR_MAX 100     // cells of a bar

// "1,234,567", "-5". All return `out`.
const char *hg_render_count(int64_t count, char out[HG_COUNT_TEXT]);
// 9050: "90.50 %".
const char *hg_render_percent(uint32_t hundredths, char out[HG_PERCENT_TEXT]);
// "####++....|..": used, reserved, free, and the mark in front of the cell where `mark_percent` begins (100: no mark).
const char *hg_render_bar(int64_t used, int64_t reserved, int64_t limit, unsigned mark_percent, unsigned cells,
                          char out[HG_BAR_MAX + 2]);
// A copy in which control characters, which a terminal might obey, are "?"; cut when longer than the room.
const char *hg_render_text(const char *text, char *out, size_t room);

#endif
