// Fills in an hg_error for a person, and passes the code on so that a caller can return it in one line.
#ifndef HG_FAIL_H
#define HG_FAIL_H

#include "headgate.h"

// `why` may be NULL. Returns `code`.
__attribute__((format(printf, 3, 4))) hg_err hg_fail(hg_error *why, hg_err code, const char *format, ...);

// A text of the user's as it can stand in a message: at most 80 bytes, control characters as '?'.
#define HG_SHOWN_MAX 80
struct hg_shown {
  char text[HG_SHOWN_MAX + 4];
};
struct hg_shown hg_show(const char *text);

#endif
