// Texts: views of UTF-8 bytes that belong to somebody else.
#ifndef HG_TEXT_H
#define HG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A view: the bytes belong to the frame or object that the text was read from.
struct hg_text {
  const char *data;
  uint32_t size;
};
struct hg_bytes {
  const uint8_t *data;
  uint32_t size;
};
struct hg_text hg_text_of(const char *string); // NULL: empty
bool hg_text_equal(struct hg_text a, struct hg_text b);
// Copies into a NUL-ended buffer of `room` bytes; cut when longer, never in the middle of a character.
void hg_text_copy(char *to, size_t room, struct hg_text from);
// Whether it is UTF-8 without a NUL, as every text in a message must be.
bool hg_text_valid(struct hg_text text);
// Makes a text that a person may see of any string: the bytes of control characters, which a terminal might obey,
// become
// "?", and when it is no UTF-8 all bytes over 0x7f do.
void hg_text_clean(char *string);
// A copy as by hg_text_copy, cleaned. Returns `to`.
const char *hg_text_show(char *to, size_t room, struct hg_text from);

#endif
