// Finds where a field stands in a JSON text, because jansson keeps no positions. A small scanner over tokens: it never
// judges the text, it only counts, so it is safe on any bytes.
#ifndef HG_LOCATE_H
#define HG_LOCATE_H

#include <stdbool.h>
#include <stddef.h>

// A field as seen from the root, built on the stack while reading descends. NULL is the whole text.
struct hg_path {
  const struct hg_path *parent;
  const char *key; // NULL: the element `index` of an array
  size_t index;
};

// Byte offsets into the text. Where there is no key (elements, the root), key == value.
struct hg_location {
  size_t key;
  size_t value;
  size_t end; // one past the value
};

// Both count from 1. A column is a character, not a byte, as editors show it.
struct hg_position {
  size_t line;
  size_t column;
};

// Keys are compared as JSON means them ("\u0061" is "a"). False: the text has no such field.
bool hg_locate(const char *text, size_t len, const struct hg_path *path, struct hg_location *out);

struct hg_position hg_position_of(const char *text, size_t len, size_t offset);

// The name of a field: "tokenBudget.budgets.research.parent", "eventBus.bind[0]"; "" for the root. Always ended by a
// NUL; what does not fit is left out.
void hg_path_print(const struct hg_path *path, char *out, size_t size);

// For a text that jansson refused after reading `offset` bytes: the field it was in (as hg_path_print names it, with
// keys as they are written) and the offset of the last token that starts before `offset`, which is returned.
size_t hg_trace(const char *text, size_t len, size_t offset, char *name, size_t size);

#endif
