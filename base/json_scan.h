// Reads JSON where it lies: one strict check of a whole text, then spans of it, without a tree and without an
// allocation. A provider's answer is read once for three or four members, and a request must be sent byte for byte as
// it was written; a tree costs more than ten times as much for the one and cannot do the other.
#ifndef HG_JSON_SCAN_H
#define HG_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HG_JSON_DEPTH_MAX 256 // containers inside each other

enum hg_json_type {
  HG_JSON_NONE, // no such member
  HG_JSON_NULL,
  HG_JSON_FALSE,
  HG_JSON_TRUE,
  HG_JSON_NUMBER,
  HG_JSON_STRING,
  HG_JSON_ARRAY,
  HG_JSON_OBJECT
};

// A value: its exact bytes in the text that was checked, quotes and brackets included.
struct hg_json {
  enum hg_json_type type;
  const char *at;
  size_t len;
};

// Checks that the whole text is one JSON value (RFC 8259, UTF-8, at most HG_JSON_DEPTH_MAX deep) and gives its span.
// NULL: it is; else what is wrong, a static text, with the offset in *where (may be NULL). Lone surrogates in escapes
// pass, as the grammar has them and servers that cut texts send them. All that follows is for checked text only.
const char *hg_json_check(const char *text, size_t len, struct hg_json *root, size_t *where);

// The bytes of a byte-order mark that a text begins with, 0 or 3: some servers put one before their JSON, and RFC 8259
// lets a reader pass over it.
size_t hg_json_mark(const char *text, size_t len);

// Steps through an array or an object; *cursor is NULL before the first step. False: no more (at once for any other
// type). `name` may be NULL; inside an array it becomes HG_JSON_NONE.
bool hg_json_next(const struct hg_json *container, const char **cursor, struct hg_json *name, struct hg_json *value);

// Picks members by name in one pass; of a repeated member the last one, as most readers do. A NULL name picks nothing.
struct hg_json_field {
  const char *name;
  struct hg_json value;
  bool repeated;
};
void hg_json_pick(const struct hg_json *object, struct hg_json_field *fields, size_t count);

// null, or not there at all.
static inline bool hg_json_is_absent(const struct hg_json *value) {
  return value->type == HG_JSON_NONE || value->type == HG_JSON_NULL;
}

// Neither absent nor false, 0, "", {} or []: what an answer says when there is, for example, no error.
bool hg_json_says_something(const struct hg_json *value);

// An HTTP status, a number of three digits; 0: it is none.
long hg_json_status(const struct hg_json *value);

// Whether the value is a string that means `text` (ASCII), escapes decoded.
bool hg_json_is(const struct hg_json *value, const char *text);
// Whether it means one of them; NULL behind the last.
bool hg_json_is_one_of(const struct hg_json *value, const char *const *texts);

// The decoded string with a NUL at its end. False, and an empty `out`: no string, longer than capacity - 1 bytes, or it
// has a control character or a lone surrogate.
bool hg_json_copy(const struct hg_json *value, char *out, size_t capacity);

// The decoded string as it is, other control characters too, and a NUL at its end, which is not among the *len bytes;
// `out` has room for value->len. False: no string, or a lone surrogate or a NUL inside.
bool hg_json_decode(const struct hg_json *value, char *out, size_t *len);

// The same for a person to read, whatever it holds: control characters become spaces or '?', and what is too long is
// cut behind a whole character. "" for what is no string.
void hg_json_show(const struct hg_json *value, char *out, size_t capacity);

// A count of tokens: a whole number from 0 to HG_TOKENS_MAX, without fraction or exponent. NULL: it is; else what is
// wrong with it, a static text that begins "is ".
const char *hg_json_tokens(const struct hg_json *value, int64_t *out);
// The same of any number that is not negative, rounded up.
const char *hg_json_tokens_up(const struct hg_json *value, int64_t *out);

#endif
