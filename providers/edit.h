// Changes a few places of a text and leaves every other byte as it was.
#ifndef HG_EDIT_H
#define HG_EDIT_H

#include "schemas/limits.h"

#include <stddef.h>

struct hg_edit {
  const char *at; // in the text
  size_t cut;     // bytes taken out there
  char text[6 * HG_LABEL_MAX + 32];
};

// The text with the edits done (they are sorted by place; at the same place they stay in order; they must not overlap),
// with a NUL behind its *out_len bytes. The caller's to free. NULL: no memory.
char *hg_edits_apply(const char *text, size_t len, struct hg_edit *edits, size_t count, size_t *out_len);

// `text` in quotes, quotes and backslashes escaped; `out` has at least 2 * strlen(text) + 3 bytes. Control characters
// stay as they are: check the result with hg_json_check.
void hg_json_quote(char *out, const char *text);

#endif
