// What the values of checked JSON mean: strings decoded, counts of tokens.
#include "base/json_scan.h"

#include "headgate.h"

#include <assert.h>
#include <string.h>

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Of checked text: there is nothing but hex digits.
static uint32_t hex4(const char *at) {
  uint32_t code = 0;
  for (int i = 0; i < 4; i++)
    code = code << 4 | (uint32_t)(at[i] <= '9' ? at[i] - '0' : (at[i] | 0x20) - 'a' + 10);
  return code;
}

// The code point of the escape at `at`, a surrogate pair taken together.
static const char *decode_escape(const char *at, uint32_t *code) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  if (at[1] != 'u') {
    *code = (uint32_t)to[strchr(from, at[1]) - from];
    return at + 2;
  }
  *code = hex4(at + 2);
  if (*code < 0xd800 || *code > 0xdbff || at[6] != '\\' || at[7] != 'u') return at + 6;
  const uint32_t low = hex4(at + 8);
  if (low < 0xdc00 || low > 0xdfff) return at + 6;
  *code = 0x10000 + ((*code - 0xd800) << 10 | (low - 0xdc00));
  return at + 12;
}

bool hg_json_is(const struct hg_json *value, const char *text) {
  if (value->type != HG_JSON_STRING) return false;
  const char *at = value->at + 1, *end = value->at + value->len - 1;
  if (at < end && *at != *text && *at != '\\') return false; // as nearly always
  if (!memchr(at, '\\', (size_t)(end - at)))
    return strncmp(at, text, (size_t)(end - at)) == 0 && text[end - at] == '\0';
  for (; at < end && *text; text++) {
    uint32_t code = (unsigned char)*at;
    at = *at == '\\' ? decode_escape(at, &code) : at + 1;
    if (code != (unsigned char)*text) return false;
  }
  return at == end && *text == '\0';
}

bool hg_json_is_one_of(const struct hg_json *value, const char *const *texts) {
  for (; *texts; texts++)
    if (hg_json_is(value, *texts)) return true;
  return false;
}

static size_t encode_utf8(uint32_t code, char out[4]) {
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  const size_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
  out[0] = (char)(lead[more] | code >> (6 * more));
  for (size_t i = 1; i <= more; i++)
    out[i] = (char)(0x80 | (code >> (6 * (more - i)) & 0x3f));
  return more + 1;
}

// Steps over one character of a string; its UTF-8. 0: a lone surrogate.
static size_t take_character(const char **at, char out[4]) {
  const unsigned char first = (unsigned char)**at;
  if (first == '\\') {
    uint32_t code;
    *at = decode_escape(*at, &code);
    return code >= 0xd800 && code <= 0xdfff ? 0 : encode_utf8(code, out);
  }
  const size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  memcpy(out, *at, len);
  *at += len;
  return len;
}

static bool is_control(const char *character) {
  const unsigned char first = (unsigned char)character[0];
  return first < 0x20 || first == 0x7f;
}

bool hg_json_copy(const struct hg_json *value, char *out, size_t capacity) {
  assert(capacity > 0);
  out[0] = '\0';
  if (value->type != HG_JSON_STRING) return false;
  size_t used = 0;
  const char *at = value->at + 1, *end = value->at + value->len - 1;
  while (at < end) {
    char bytes[4];
    const size_t len = take_character(&at, bytes);
    if (len == 0 || is_control(bytes) || len >= capacity - used) {
      out[0] = '\0';
      return false;
    }
    memcpy(out + used, bytes, len);
    used += len;
  }
  out[used] = '\0';
  return true;
}

bool hg_json_decode(const struct hg_json *value, char *out, size_t *len) {
  *len = 0;
  if (value->type != HG_JSON_STRING) return false;
  const char *at = value->at + 1, *end = value->at + value->len - 1;
  while (at < end) {
    char bytes[4];
    const size_t more = take_character(&at, bytes);
    if (more == 0 || bytes[0] == '\0') return false;
    memcpy(out + *len, bytes, more);
    *len += more;
  }
  out[*len] = '\0';
  return true;
}

void hg_json_show(const struct hg_json *value, char *out, size_t capacity) {
  assert(capacity > 0);
  size_t used = 0;
  const bool text = value->type == HG_JSON_STRING;
  const char *at = text ? value->at + 1 : NULL, *end = text ? value->at + value->len - 1 : NULL;
  while (at < end) {
    char bytes[4];
    size_t len = take_character(&at, bytes);
    const bool c1 = len == 2 && (unsigned char)bytes[0] == 0xc2 && (unsigned char)bytes[1] < 0xa0; // U+0080 to U+009F
    if (len == 0 || c1 || is_control(bytes)) {
      bytes[0] = len == 0 || c1 ? '?' : ' ';
      len = 1;
    }
    if (len >= capacity - used) break;
    memcpy(out + used, bytes, len);
    used += len;
  }
  out[used] = '\0';
}

const char *hg_json_tokens(const struct hg_json *value, int64_t *out) {
  if (value->type == HG_JSON_NONE) return "is missing";
  if (value->type == HG_JSON_NULL) return "is null";
  if (value->type != HG_JSON_NUMBER) return "is not a number";
  if (value->at[0] == '-') return "is negative";
  int64_t number = 0;
  for (size_t i = 0; i < value->len; i++) {
    if (!is_digit(value->at[i])) return "is not a plain whole number";
    if (number <= HG_TOKENS_MAX) number = number * 10 + (value->at[i] - '0'); // beyond that only the grammar matters
  }
  if (number > HG_TOKENS_MAX) return "is over 2^53 - 1";
  *out = number;
  return NULL;
}

// Digit by digit, because what the C library reads depends on the locale. Past `point` digits the fraction begins.
static int64_t round_up(const char *at, const char *end, int64_t point) {
  int64_t number = 0;
  for (; at < end && *at != 'e' && *at != 'E'; at++) {
    if (!is_digit(*at)) continue;
    if (point-- <= 0) {
      if (*at != '0') return number + 1;
    } else if (number <= HG_TOKENS_MAX) {
      number = number * 10 + (*at - '0');
    }
  }
  for (; point > 0 && number > 0 && number <= HG_TOKENS_MAX; point--)
    number *= 10;
  return number;
}

const char *hg_json_tokens_up(const struct hg_json *value, int64_t *out) {
  int64_t number;
  const char *fault = hg_json_tokens(value, &number);
  if (!fault) *out = number;
  if (!fault || value->type != HG_JSON_NUMBER || value->at[0] == '-') return fault;
  const char *at = value->at, *end = value->at + value->len;
  int64_t point = 0, exponent = 0;
  while (at < end && is_digit(*at))
    at++, point++;
  while (at < end && *at != 'e' && *at != 'E')
    at++;
  const bool down = at + 1 < end && at[1] == '-';
  for (; at < end; at++)
    if (is_digit(*at) && exponent < INT32_MAX) exponent = exponent * 10 + (*at - '0');
  number = round_up(value->at, end, down ? point - exponent : point + exponent);
  if (number > HG_TOKENS_MAX) return "is over 2^53 - 1";
  *out = number;
  return NULL;
}

long hg_json_status(const struct hg_json *value) {
  int64_t status;
  if (value->len != 3 || hg_json_tokens(value, &status)) return 0;
  return (long)status;
}

bool hg_json_says_something(const struct hg_json *value) {
  switch (value->type) {
  case HG_JSON_NONE:
  case HG_JSON_NULL:
  case HG_JSON_FALSE: return false;
  case HG_JSON_TRUE: return true;
  case HG_JSON_NUMBER: return value->at[0] != '0';
  case HG_JSON_STRING: return value->len > 2;
  case HG_JSON_ARRAY:
  case HG_JSON_OBJECT: break;
  }
  const char *cursor = NULL;
  struct hg_json inner;
  return hg_json_next(value, &cursor, NULL, &inner);
}
