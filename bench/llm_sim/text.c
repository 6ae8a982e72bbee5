/* text.c: growing pieces of text. */
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 1024 };

static bool make_room(struct text *text, size_t more) {
  if (text->capacity - text->length >= more) return true;
  if (text->failed || more > SIZE_MAX / 4) {
    text->failed = true;
    return false;
  }
  size_t capacity = text->capacity ? text->capacity : FIRST_CAPACITY;
  while (capacity - text->length < more)
    capacity *= 2;
  char *data = realloc(text->data, capacity);
  if (!data) {
    text->failed = true;
    return false;
  }
  text->data = data;
  text->capacity = capacity;
  return true;
}

void text_append(struct text *text, const char *bytes, size_t length) {
  if (length == 0 || !make_room(text, length)) return;
  memcpy(text->data + text->length, bytes, length);
  text->length += length;
}

void text_string(struct text *text, const char *string) {
  text_append(text, string, strlen(string));
}

void text_number(struct text *text, uint64_t number) {
  char digits[20];
  size_t first = sizeof digits;
  do {
    digits[--first] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  text_append(text, digits + first, sizeof digits - first);
}

void text_hex(struct text *text, uint64_t number) {
  char digits[16];
  for (size_t i = sizeof digits; i-- > 0; number >>= 4)
    digits[i] = "0123456789abcdef"[number & 15];
  text_append(text, digits, sizeof digits);
}

void text_escaped(struct text *text, const char *string) {
  for (; *string; string++) {
    const unsigned char c = (unsigned char)*string;
    if (c == '"' || c == '\\') text_append(text, "\\", 1);
    if (c < 0x20 || c >= 0x7f) text_append(text, "?", 1);
    else text_append(text, string, 1);
  }
}

void text_reset(struct text *text, size_t keep_bytes) {
  if (text->capacity > keep_bytes) text_free(text);
  text->length = 0;
  text->failed = false;
}

void text_free(struct text *text) {
  free(text->data);
  *text = (struct text){0};
}
