/* json_reader.c: a bounded JSON reader that walks the text in place. */
#include "json_reader.h"

#include <string.h>

static bool fail(struct json_reader *r) {
  r->bad = true;
  return false;
}

struct json_reader json_start(const char *text, size_t length) {
  if (length == 0) text = ""; /* no text may come as NULL */
  return (struct json_reader){.at = text, .end = text + length};
}

char json_peek(struct json_reader *r) {
  if (r->bad) return 0;
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
    r->at++;
  return r->at < r->end ? *r->at : (char)0;
}

bool json_enter(struct json_reader *r, char opening) {
  if (json_peek(r) != opening || r->depth == JSON_DEPTH_MAX) return fail(r);
  r->at++;
  r->depth++;
  r->fresh = true;
  return true;
}

/* Steps over the comma before the next item, or over the closing character. */
static bool next_item(struct json_reader *r, char closing) {
  const char next = json_peek(r);
  if (next == closing) {
    r->at++;
    r->depth--;
    r->fresh = false;
    return false;
  }
  if (!r->fresh) {
    if (next != ',') return fail(r);
    r->at++;
  }
  r->fresh = false;
  return true;
}

bool json_member(struct json_reader *r, struct json_string *key) {
  if (r->bad || !next_item(r, '}') || !json_read_string(r, key)) return false;
  if (json_peek(r) != ':') return fail(r);
  r->at++;
  return true;
}

bool json_element(struct json_reader *r) {
  return !r->bad && next_item(r, ']');
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* Reads what follows a backslash and answers the bytes of UTF-8 that it stands for, 0 when it is no escape. */
static size_t escape(struct json_reader *r) {
  const char kind = r->at < r->end ? *r->at++ : (char)0;
  if (kind != 'u') return kind && strchr("\"\\/bfnrt", kind) ? 1 : 0;
  if (r->end - r->at < 4) return 0;
  int code = 0;
  for (int i = 0; i < 4; i++) {
    const int digit = hex_digit(*r->at++);
    if (digit < 0) return 0;
    code = code * 16 + digit;
  }
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code >= 0xd800 && code < 0xe000 ? 2 : 3; /* half of a surrogate pair, which is 4 bytes */
}

bool json_read_string(struct json_reader *r, struct json_string *out) {
  if (json_peek(r) != '"') return fail(r);
  const char *const raw = ++r->at;
  size_t escapes_raw = 0, escapes_decoded = 0;
  while (r->at < r->end && *r->at != '"') {
    const char *const from = r->at;
    if ((unsigned char)*from < 0x20) return fail(r);
    r->at++;
    if (*from != '\\') continue;
    const size_t decoded = escape(r);
    if (decoded == 0) return fail(r);
    escapes_raw += (size_t)(r->at - from);
    escapes_decoded += decoded;
  }
  if (r->at == r->end) return fail(r);
  out->raw = raw;
  out->raw_length = (size_t)(r->at - raw);
  out->length = out->raw_length - escapes_raw + escapes_decoded;
  r->at++;
  return true;
}

static size_t digits(struct json_reader *r) {
  const char *const from = r->at;
  while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
    r->at++;
  return (size_t)(r->at - from);
}

static bool accept(struct json_reader *r, const char *any_of) {
  if (r->at == r->end || !*r->at || !strchr(any_of, *r->at)) return false;
  r->at++;
  return true;
}

static bool number(struct json_reader *r) {
  accept(r, "-");
  if (!accept(r, "0") && digits(r) == 0) return fail(r);
  if (accept(r, ".") && digits(r) == 0) return fail(r);
  if (accept(r, "eE")) {
    accept(r, "+-");
    if (digits(r) == 0) return fail(r);
  }
  return true;
}

static bool literal(struct json_reader *r, const char *word) {
  const size_t length = strlen(word);
  if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0) return fail(r);
  r->at += length;
  return true;
}

bool json_whole(struct json_reader *r, uint64_t *out) {
  const char first = json_peek(r);
  const char *const from = r->at;
  if (!json_skip(r) || first < '0' || first > '9' || r->at - from > 16) return false;
  uint64_t value = 0;
  for (const char *at = from; at < r->at; at++) {
    if (*at < '0' || *at > '9') return false;
    value = value * 10 + (uint64_t)(*at - '0');
  }
  if (value >= UINT64_C(1) << 53) return false;
  *out = value;
  return true;
}

bool json_skip(struct json_reader *r) {
  struct json_string ignored;
  switch (json_peek(r)) {
  case '{':
    if (!json_enter(r, '{')) return false;
    while (json_member(r, &ignored) && json_skip(r))
      continue;
    return !r->bad;
  case '[':
    if (!json_enter(r, '[')) return false;
    while (json_element(r) && json_skip(r))
      continue;
    return !r->bad;
  case '"': return json_read_string(r, &ignored);
  case 't': return literal(r, "true");
  case 'f': return literal(r, "false");
  case 'n': return literal(r, "null");
  case 0: return fail(r);
  default: return number(r);
  }
}

bool json_end(struct json_reader *r) {
  return json_peek(r) == 0 && !r->bad && r->at == r->end;
}

bool json_equals(const struct json_string *string, const char *word) {
  return string->raw_length == strlen(word) && memcmp(string->raw, word, string->raw_length) == 0;
}
