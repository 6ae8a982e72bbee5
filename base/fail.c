// What an error says to a person.
#include "base/fail.h"

#include "base/text.h"

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
  hg_text_show(shown.text, HG_SHOWN_MAX + 1, hg_text_of(text));
  if (strlen(text) > HG_SHOWN_MAX) memcpy(shown.text + strlen(shown.text), "...", sizeof "...");
  return shown;
}
