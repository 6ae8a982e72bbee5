// One copy of the text, with the edits let in on the way.
#include "providers/edit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// Insertion sort: it is stable, and there are two or three edits.
static void sort(struct hg_edit *edits, size_t count) {
  for (size_t i = 1; i < count; i++)
    for (size_t j = i; j > 0 && edits[j].at < edits[j - 1].at; j--) {
      const struct hg_edit later = edits[j - 1];
      edits[j - 1] = edits[j];
      edits[j] = later;
    }
}

char *hg_edits_apply(const char *text, size_t len, struct hg_edit *edits, size_t count, size_t *out_len) {
  sort(edits, count);
  *out_len = len;
  for (size_t i = 0; i < count; i++)
    *out_len = *out_len + strlen(edits[i].text) - edits[i].cut;
  char *out = malloc(*out_len + 1);
  if (!out) return NULL;
  char *to = out;
  const char *from = text, *end = text + len;
  for (size_t i = 0; i < count; i++) {
    assert(edits[i].at >= from && edits[i].at + edits[i].cut <= end);
    const size_t before = (size_t)(edits[i].at - from), added = strlen(edits[i].text);
    memcpy(to, from, before);
    memcpy(to + before, edits[i].text, added);
    to += before + added;
    from = edits[i].at + edits[i].cut;
  }
  memcpy(to, from, (size_t)(end - from));
  to += end - from;
  assert(to == out + *out_len);
  *to = '\0';
  return out;
}

void hg_json_quote(char *out, const char *text) {
  *out++ = '"';
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') *out++ = '\\';
    *out++ = *text;
  }
  *out++ = '"';
  *out = '\0';
}
