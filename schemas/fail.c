// What an error says to a person.
#include "schemas/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

hg_err hg_fail(hg_error *why, hg_err code, const char *format, ...) {
  if (!why) return code;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(why->text, sizeof why->text, format, arguments);
  va_end(arguments);
  why->code = code;
  return code;
}

struct hg_shown hg_show(const char *text) {
  struct hg_shown shown;
  size_t len = strlen(text);
  const bool cut = len > HG_SHOWN_MAX;
  if (cut) {
    len = HG_SHOWN_MAX;
    while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
      len--; // not inside a character
  }
  for (size_t i = 0; i < len; i++) {
    const unsigned char byte = (unsigned char)text[i];
    shown.text[i] = byte < 0x20 || byte == 0x7F ? '?' : text[i];
  }
  memcpy(shown.text + len, cut ? "..." : "\0\0\0", 4);
  return shown;
}
