// What batch files need of text beyond base/json_scan.h.
#ifndef HG_JSON_TEXT_H
#define HG_JSON_TEXT_H

#include "base/json_scan.h"

// The bytes (1 to 4) of the UTF-8 character at `at`, of which `left` bytes are there; 0: none.
size_t hg_utf8_length(const char *at, size_t left);

#endif
