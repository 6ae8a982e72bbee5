// Text in and out of JSON strings.
#include "batch/json_text.h"

#include <string.h>

size_t hg_utf8_length(const char *at, size_t left) {
  const unsigned char *b = (const unsigned char *)at;
  if (left == 0) return 0;
  if (b[0] < 0x80) return 1;
  const size_t len = b[0] >= 0xC2 && b[0] <= 0xDF   ? 2
                     : (b[0] & 0xF0) == 0xE0        ? 3
                     : b[0] >= 0xF0 && b[0] <= 0xF4 ? 4
                                                    : 0;
  if (len == 0 || left < len) return 0;
  for (size_t i = 1; i < len; i++) {
    if ((b[i] & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (b[0] == 0xE0 && b[1] < 0xA0) || (b[0] == 0xF0 && b[1] < 0x90);
  const bool surrogate = b[0] == 0xED && b[1] >= 0xA0;
  const bool beyond = b[0] == 0xF4 && b[1] >= 0x90;
  return overlong || surrogate || beyond ? 0 : len;
}

static int hex_digit(char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
  return -1;
}

static unsigned hex4(const char *at) {
  unsigned value = 0;
  for (int i = 0; i < 4; i++)
    value = value << 4 | (unsigned)hex_digit(at[i]);
  return value;
}

static size_t encode_utf8(unsigned code, char *out) {
  if (code < 0x80) return out[0] = (char)code, 1;
  if (code < 0x800) {
    out[0] = (char)(0xC0 | code >> 6), out[1] = (char)(0x80 | (code & 0x3F));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = (char)(0xE0 | code >> 12), out[1] = (char)(0x80 | (code >> 6 & 0x3F)),
    out[2] = (char)(0x80 | (code & 0x3F));
    return 3;
  }
  out[0] = (char)(0xF0 | code >> 18), out[1] = (char)(0x80 | (code >> 12 & 0x3F));
  out[2] = (char)(0x80 | (code >> 6 & 0x3F)), out[3] = (char)(0x80 | (code & 0x3F));
  return 4;
}

// One escape at `at` (the byte after the backslash). Returns the bytes that it took, 0: not a character.
static size_t decode_escape(const char *at, const char *end, unsigned *code) {
  static const char kinds[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
  if (*at != 'u') return *code = (unsigned char)meanings[strchr(kinds, *at) - kinds], 1;
  *code = hex4(at + 1);
  if (*code == 0 || (*code >= 0xDC00 && *code <= 0xDFFF)) return 0;
  if (*code < 0xD800 || *code > 0xDBFF) return 5;
  if (end - at < 11 || at[5] != '\\' || at[6] != 'u') return 0;
  const unsigned low = hex4(at + 7);
  if (low < 0xDC00 || low > 0xDFFF) return 0;
  *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
  return 11;
}

bool hg_json_decode(const struct hg_json *string, char *out, size_t *out_len) {
  const char *at = string->at + 1, *const end = string->at + string->len - 1; // inside the quotes
  size_t len = 0;
  while (at < end) {
    if (*at != '\\') {
      out[len++] = *at++;
      continue;
    }
    unsigned code;
    const size_t took = decode_escape(at + 1, end, &code);
    if (took == 0) return false;
    at += 1 + took;
    len += encode_utf8(code, out + len);
  }
  out[len] = '\0';
  *out_len = len;
  return true;
}
