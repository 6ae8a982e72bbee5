/* json_reader.h: reads JSON in one pass, in place, without an allocation: a request needs six of its fields, not a
 * tree. It accepts exactly the grammar of RFC 8259 up to a depth, but does not check that strings are UTF-8.
 *
 *     struct json_reader r = json_start(body, length);
 *     struct json_string key;
 *     if (json_enter(&r, '{'))
 *       while (json_member(&r, &key)) json_skip(&r);      // read or skip each value, exactly once
 *     bool valid = json_end(&r); */
#ifndef LLM_SIM_JSON_READER_H
#define LLM_SIM_JSON_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_DEPTH_MAX = 64 };

struct json_reader {
  const char *at, *end;
  unsigned depth;
  bool fresh; /* inside a container of which nothing was read yet */
  bool bad;   /* once set, every call answers false */
};

struct json_string {
  const char *raw; /* between the quotes, escapes as they were sent */
  size_t raw_length;
  size_t length; /* bytes of UTF-8 that it stands for */
};

struct json_reader json_start(const char *text, size_t length);
/* The first character of the next value, or 0. */
char json_peek(struct json_reader *r);
/* Goes into the object ('{') or array ('[') that comes next. */
bool json_enter(struct json_reader *r, char opening);
/* The next member of the object, or element of the array, that was entered last; false once it is closed. */
bool json_member(struct json_reader *r, struct json_string *key);
bool json_element(struct json_reader *r);
bool json_read_string(struct json_reader *r, struct json_string *out);
/* A whole number from 0 to 2^53 - 1; any other value is skipped and answered with false. */
bool json_whole(struct json_reader *r, uint64_t *out);
bool json_skip(struct json_reader *r);
/* True when all of the text was one valid value. */
bool json_end(struct json_reader *r);
bool json_equals(const struct json_string *string, const char *word);

#endif
