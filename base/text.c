// Texts: views of UTF-8 bytes that belong to somebody else.
#include "base/text.h"

#include <assert.h>
#include <string.h>

struct hg_text hg_text_of(const char *string) {
  if (!string) return (struct hg_text){NULL, 0};
  const size_t size = strlen(string);
  return (struct hg_text){string, size < UINT32_MAX ? (uint32_t)size : UINT32_MAX};
}

bool hg_text_equal(struct hg_text a, struct hg_text b) {
  return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

void hg_text_copy(char *to, size_t room, struct hg_text from) {
  assert(room > 0);
  size_t size = from.size;
  if (size >= room) {
    size = room - 1;
    while (size > 0 && ((uint8_t)from.data[size] & 0xc0) == 0x80) // never half a character
      size--;
  }
  if (size) memcpy(to, from.data, size);
  to[size] = '\0';
}

// The bytes of the character that begins at `at`, of `left` bytes; 0: there is none (RFC 3629).
static size_t character_size(const uint8_t *at, size_t left) {
  const uint8_t lead = at[0];
  if (lead < 0x80) return lead != 0;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (left < size) return 0;
  for (size_t i = 1; i < size; i++)
    if ((at[i] & 0xc0) != 0x80) return 0;
  if (lead == 0xe0 && at[1] < 0xa0) return 0;  // overlong
  if (lead == 0xed && at[1] >= 0xa0) return 0; // half of a surrogate pair
  if (lead == 0xf0 && at[1] < 0x90) return 0;  // overlong
  if (lead == 0xf4 && at[1] >= 0x90) return 0; // past U+10FFFF
  return size;
}

// Whether eight bytes are all from 0x01 to 0x7f.
static bool plain(const uint8_t *at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  const uint64_t high = UINT64_C(0x8080808080808080), low = UINT64_C(0x0101010101010101);
  return ((word | (word - low)) & high) == 0;
}

bool hg_text_valid(struct hg_text text) {
  const uint8_t *data = (const uint8_t *)text.data;
  for (size_t at = 0; at < text.size;) {
    const size_t left = text.size - at;
    if (left >= 8 && plain(data + at)) {
      at += 8;
      continue;
    }
    if (text.size >= 8 && left < 8 && plain(data + text.size - 8)) return true; // the last ones, with some before them
    const size_t size = character_size(data + at, text.size - at);
    if (size == 0) return false;
    at += size;
  }
  return true;
}

void hg_text_clean(char *string) {
  const bool valid = hg_text_valid(hg_text_of(string));
  for (char *at = string; *at; at++) {
    const uint8_t byte = (uint8_t)*at;
    if (byte < 0x20 || byte == 0x7f || (byte > 0x7f && !valid)) *at = '?';
    else if (byte == 0xc2 && (uint8_t)at[1] < 0xa0) at[0] = at[1] = '?'; // U+0080 to U+009F
  }
}

const char *hg_text_show(char *to, size_t room, struct hg_text from) {
  hg_text_copy(to, room, from);
  hg_text_clean(to);
  return to;
}
