// "Did you mean": the nearest of some known names.
#ifndef HG_SUGGEST_H
#define HG_SUGGEST_H

#include <stddef.h>

#define HG_SUGGEST_BYTES_MAX 64 // longer names are not compared

// How many bytes must be inserted, deleted, replaced or swapped with their neighbour to make `b` of `a`; a difference
// in nothing but ASCII case counts as 1. Names over HG_SUGGEST_BYTES_MAX: a figure over any threshold.
size_t hg_edit_distance(const char *a, const char *b);

// The name nearest to `name` at a distance of 1 or 2 (names of under 5 bytes: 1), the first of equals; NULL: none.
const char *hg_suggest(const char *name, const char *const *known, size_t count);

#endif
