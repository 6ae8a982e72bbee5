// Fills in an hg_error: code and a formatted text. `why` may be NULL; the code is returned, so that a refusal is one
// line.
#ifndef HG_PROVIDERS_FAIL_H
#define HG_PROVIDERS_FAIL_H

#include "headgate.h"

#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 3, 4))) static inline hg_err fail(hg_error *why, hg_err code, const char *format, ...) {
  if (!why) return code;
  why->code = code;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(why->text, sizeof why->text, format, arguments);
  va_end(arguments);
  return code;
}

#endif
