// Edit distance with swaps (optimal string alignment), for short names. See suggest.h.
#include "config/suggest.h"

#include <string.h>

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

size_t hg_edit_distance(const char *a, const char *b) {
  const size_t a_len = strlen(a), b_len = strlen(b);
  if (a_len > HG_SUGGEST_BYTES_MAX || b_len > HG_SUGGEST_BYTES_MAX) return 2 * HG_SUGGEST_BYTES_MAX;
  // Three rows of the table are enough, because a swap looks two rows back.
  size_t rows[3][HG_SUGGEST_BYTES_MAX + 1];
  for (size_t j = 0; j <= b_len; j++)
    rows[0][j] = j;
  for (size_t i = 1; i <= a_len; i++) {
    size_t *row = rows[i % 3];
    const size_t *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
    row[0] = i;
    for (size_t j = 1; j <= b_len; j++) {
      const char x = lower(a[i - 1]), y = lower(b[j - 1]);
      row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (x == y ? 0 : 1));
      if (i > 1 && j > 1 && x == lower(b[j - 2]) && lower(a[i - 2]) == y) row[j] = least(row[j], two_above[j - 2] + 1);
    }
  }
  const size_t distance = rows[a_len % 3][b_len];
  return distance == 0 && strcmp(a, b) != 0 ? 1 : distance;
}

const char *hg_suggest(const char *name, const char *const *known, size_t count) {
  const char *nearest = NULL;
  size_t best = strlen(name) < 5 ? 2 : 3; // one past what counts as near
  for (size_t i = 0; i < count; i++) {
    const size_t distance = hg_edit_distance(name, known[i]);
    if (distance == 0 || distance >= best) continue;
    nearest = known[i];
    best = distance;
  }
  return nearest;
}
