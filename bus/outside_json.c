// A msgpack value as one line of JSON, for people and for languages without msgpack.
#include "bus/frame_reader.h"
#include "bus/frames.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct printer {
  char *at, *end; // the end has room for the NUL
};

static bool put(struct printer *printer, const char *text, size_t size) {
  if (size > (size_t)(printer->end - printer->at)) return false;
  memcpy(printer->at, text, size);
  printer->at += size;
  return true;
}

static bool put_string(struct printer *printer, const char *text) {
  return put(printer, text, strlen(text));
}

static bool is_plain(char character) {
  return (uint8_t)character >= 0x20 && character != '"' && character != '\\';
}

static bool put_escaped(struct printer *printer, char character) {
  static const char characters[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
  const char *found = strchr(characters, character);
  char escaped[8];
  if (found) snprintf(escaped, sizeof escaped, "\\%c", letters[found - characters]);
  else snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)(uint8_t)character);
  return put_string(printer, escaped);
}

static bool put_text(struct printer *printer, struct hg_text text) {
  if (!hg_text_valid(text) || !put_string(printer, "\"")) return false;
  for (uint32_t i = 0; i < text.size; i++) {
    const uint32_t run = i;
    while (i < text.size && is_plain(text.data[i]))
      i++;
    if (i > run && !put(printer, text.data + run, i - run)) return false;
    if (i < text.size && !put_escaped(printer, text.data[i])) return false;
  }
  return put_string(printer, "\"");
}

static bool put_hex(struct printer *printer, const uint8_t *data, uint32_t size) {
  static const char digits[] = "0123456789abcdef";
  if (!put_string(printer, "\"")) return false;
  for (uint32_t i = 0; i < size; i++) {
    const char pair[2] = {digits[data[i] >> 4], digits[data[i] & 15]};
    if (!put(printer, pair, sizeof pair)) return false;
  }
  return put_string(printer, "\"");
}

// With the fewest digits that read back as the same number. JSON has no infinities and no NaN.
static bool put_real(struct printer *printer, double real) {
  if (!isfinite(real)) return put_string(printer, "null");
  char text[40] = "";
  // As people write it where that is exact (90.5, 90.0), else the shortest form that reads back the same.
  for (int decimals = 1; fabs(real) < 1e15 && decimals <= 6; decimals++) {
    snprintf(text, sizeof text, "%.*f", decimals, real);
    if (strtod(text, NULL) == real) break;
  }
  for (int digits = 1; digits <= 17 && strtod(text, NULL) != real; digits++)
    snprintf(text, sizeof text, "%.*g", digits, real);
  char *comma = strchr(text, ','); // the decimal point of some locales
  if (comma) *comma = '.';
  return put_string(printer, text);
}

static bool put_integer(struct printer *printer, const struct hg_token *token, const char *quote) {
  char text[32];
  if (token->type == HG_TOKEN_negative)
    snprintf(text, sizeof text, "%s%" PRId64 "%s", quote, token->as.negative, quote);
  else snprintf(text, sizeof text, "%s%" PRIu64 "%s", quote, token->as.positive, quote);
  return put_string(printer, text);
}

static bool put_value(struct printer *printer, struct hg_reader *reader, unsigned nesting);

static bool put_array(struct printer *printer, struct hg_reader *reader, uint32_t count, unsigned nesting) {
  if (nesting == 0 || !put_string(printer, "[")) return false;
  for (uint32_t i = 0; i < count; i++)
    if ((i && !put_string(printer, ",")) || !put_value(printer, reader, nesting - 1)) return false;
  return put_string(printer, "]");
}

// JSON has no other keys than strings.
static bool put_key(struct printer *printer, struct hg_reader *reader) {
  struct hg_token token;
  if (!hg_read_token(reader, &token)) return false;
  if (token.type == HG_TOKEN_text)
    return put_text(printer, (struct hg_text){(const char *)token.as.body.data, token.as.body.size});
  return (token.type == HG_TOKEN_unsigned || token.type == HG_TOKEN_negative) && put_integer(printer, &token, "\"");
}

static bool put_map(struct printer *printer, struct hg_reader *reader, uint32_t pairs, unsigned nesting) {
  if (nesting == 0 || !put_string(printer, "{")) return false;
  for (uint32_t i = 0; i < pairs; i++) {
    if (i && !put_string(printer, ",")) return false;
    if (!put_key(printer, reader) || !put_string(printer, ":") || !put_value(printer, reader, nesting - 1))
      return false;
  }
  return put_string(printer, "}");
}

static bool put_value(struct printer *printer, struct hg_reader *reader, unsigned nesting) {
  struct hg_token token;
  if (!hg_read_token(reader, &token)) return false;
  switch (token.type) {
  case HG_TOKEN_nil: return put_string(printer, "null");
  case HG_TOKEN_flag: return put_string(printer, token.as.flag ? "true" : "false");
  case HG_TOKEN_unsigned:
  case HG_TOKEN_negative: return put_integer(printer, &token, "");
  case HG_TOKEN_real: return put_real(printer, token.as.real);
  case HG_TOKEN_text: return put_text(printer, (struct hg_text){(const char *)token.as.body.data, token.as.body.size});
  case HG_TOKEN_bytes:
  case HG_TOKEN_extension: return put_hex(printer, token.as.body.data, token.as.body.size);
  case HG_TOKEN_array: return put_array(printer, reader, token.as.count, nesting);
  case HG_TOKEN_map: return put_map(printer, reader, token.as.count, nesting);
  }
  return false;
}

size_t hg_outside_to_json(const uint8_t *from, size_t size, char *to, size_t room) {
  if (room == 0) return 0;
  struct hg_reader reader = hg_reader_of(from, size);
  struct printer printer = {to, to + room - 1};
  const bool whole = put_value(&printer, &reader, HG_NESTING_MAX) && reader.at == reader.end;
  if (!whole) printer.at = to;
  *printer.at = '\0';
  return (size_t)(printer.at - to);
}
