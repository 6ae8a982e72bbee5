// What batch files need of JSON strings beyond usage/json_scan.h: any custom_id, control characters and all.
#ifndef HG_JSON_TEXT_H
#define HG_JSON_TEXT_H

#include "usage/json_scan.h"

// Decodes a checked string into `out`, which has room for string->len bytes, and ends it with a NUL. Returns the length
// without it. False: half of a surrogate pair, or a NUL inside.
bool hg_json_decode(const struct hg_json *string, char *out, size_t *out_len);

// The bytes (1 to 4) of the UTF-8 character at `at`, of which `left` bytes are there; 0: none.
size_t hg_utf8_length(const char *at, size_t left);

#endif
