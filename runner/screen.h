// What `headgate watch` draws at a terminal, from what is known and the size of the screen. No terminal here.
#ifndef HG_SCREEN_H
#define HG_SCREEN_H

#include "runner/figures.h"

#define HG_SCREEN_SECONDS 300        // that the plot looks back
#define HG_SCREEN_UNKNOWN UINT32_MAX // a sample
#define HG_SCREEN_COLUMNS_MAX 500
#define HG_SCREEN_ROWS_MAX 200

struct hg_screen {
  const char *title;   // what is watched
  const char *trouble; // what must be seen; NULL: all is well
  bool utf8, colour;   // else ASCII; else no colour or other attribute
  bool has_usage;      // usage and seq are known
  bool has_queue;      // who runs and who waits is known; the slots are where there are any
  hg_usage usage;      // throttle_percent 100: not known, or never
  hg_queue queue;
  uint64_t seq;                        // newest row in the figures; 0: not known
  uint32_t samples[HG_SCREEN_SECONDS]; // effective concurrency, a second each: number n at n modulo their size
  uint64_t sample_count;               // so far
  const char *const *lines;            // the last events, newest last
  size_t line_count;
};

// Draws `rows` lines of at most `columns` columns with a '\n' between them. A screen under 40 x 10 loses what does not
// fit. `out` should have HG_SCREEN_BYTES.
#define HG_SCREEN_BYTES (HG_SCREEN_ROWS_MAX * (4 * HG_SCREEN_COLUMNS_MAX + 16))
void hg_screen_draw(const struct hg_screen *screen, unsigned columns, unsigned rows, struct hg_text_line *out);
// The rows that show events on a screen of so many.
unsigned hg_screen_event_rows(unsigned rows);

#endif
