// The live line of a run: how far it is, what runs, what waits and for what, and how full the budget is. Pure text.
#ifndef HG_PROGRESS_H
#define HG_PROGRESS_H

#include "runner/figures.h"

#define HG_PROGRESS_MAX 1024 // bytes; a line of at most HG_PROGRESS_COLUMNS fits
#define HG_PROGRESS_COLUMNS 250

// At most `columns` wide (a narrow terminal loses the least important parts first), without an end of line.
void hg_progress_line(const struct hg_run_figures *figures, unsigned columns, bool utf8, char out[HG_PROGRESS_MAX]);

// A bar of `cells` (1 to 60): used, reserved, free, and the mark in front of the cell where the throttle begins
// (100: none).
void hg_progress_bar(const hg_usage *usage, unsigned cells, bool utf8, struct hg_text_line *out);

// How many columns a text of ASCII and of narrow characters takes.
unsigned hg_text_columns(const char *text);

#endif
