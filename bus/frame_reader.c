// The bounded msgpack reader. One function knows the format's headers (hg_read_token); all others ask it.
#include "bus/frame_reader.h"

#include <endian.h>
#include <string.h>

// A big-endian number of 1, 2, 4 or 8 bytes.
static inline bool take_number(struct hg_reader *reader, unsigned width, uint64_t *out) {
  if ((size_t)(reader->end - reader->at) < width) return false;
  uint64_t number = 0;
  memcpy((uint8_t *)&number + (sizeof number - width), reader->at, width);
  reader->at += width;
  *out = be64toh(number);
  return true;
}

static bool take_positive(struct hg_reader *reader, unsigned width, struct hg_token *out) {
  out->type = HG_TOKEN_unsigned;
  return take_number(reader, width, &out->as.positive);
}

static bool take_integer(struct hg_reader *reader, unsigned width, struct hg_token *out) {
  uint64_t raw;
  if (!take_number(reader, width, &raw)) return false;
  const uint64_t sign = UINT64_C(1) << (8 * width - 1);
  out->type = raw & sign ? HG_TOKEN_negative : HG_TOKEN_unsigned;
  if (raw & sign) out->as.negative = (int64_t)(raw - sign) - (int64_t)(sign - 1) - 1;
  else out->as.positive = raw;
  return true;
}

static bool take_real(struct hg_reader *reader, unsigned width, struct hg_token *out) {
  uint64_t raw;
  if (!take_number(reader, width, &raw)) return false;
  out->type = HG_TOKEN_real;
  if (width == 8) {
    memcpy(&out->as.real, &raw, sizeof raw);
  } else {
    const uint32_t narrow = (uint32_t)raw;
    float real;
    memcpy(&real, &narrow, sizeof real);
    out->as.real = (double)real;
  }
  return true;
}

static bool take_body(struct hg_reader *reader, enum hg_token_type type, uint64_t size, struct hg_token *out) {
  if (size > (size_t)(reader->end - reader->at)) return false;
  out->type = type;
  out->as.body.data = reader->at;
  out->as.body.size = (uint32_t)size;
  reader->at += size;
  return true;
}

// A body after its size.
static bool take_sized(struct hg_reader *reader, enum hg_token_type type, unsigned width, struct hg_token *out) {
  uint64_t size;
  return take_number(reader, width, &size) && take_body(reader, type, size, out);
}

// An extension has a byte that says of which type, after its size.
static bool take_extension(struct hg_reader *reader, uint64_t size, struct hg_token *out) {
  uint64_t type;
  return take_number(reader, 1, &type) && take_body(reader, HG_TOKEN_extension, size, out);
}

static bool take_sized_extension(struct hg_reader *reader, unsigned width, struct hg_token *out) {
  uint64_t size;
  return take_number(reader, width, &size) && take_extension(reader, size, out);
}

// Each element is a byte at least, each pair two.
static bool take_container(struct hg_reader *reader, enum hg_token_type type, uint64_t count, struct hg_token *out) {
  const size_t left = (size_t)(reader->end - reader->at);
  if (count > (type == HG_TOKEN_map ? left / 2 : left)) return false;
  out->type = type;
  out->as.count = (uint32_t)count;
  return true;
}

static bool take_counted(struct hg_reader *reader, enum hg_token_type type, unsigned width, struct hg_token *out) {
  uint64_t count;
  return take_number(reader, width, &count) && take_container(reader, type, count, out);
}

static bool take_flag(bool flag, struct hg_token *out) {
  out->type = HG_TOKEN_flag;
  out->as.flag = flag;
  return true;
}

// The headers 0xc0 to 0xdf.
static bool take_wide(struct hg_reader *reader, uint8_t header, struct hg_token *out) {
  switch (header) {
  case 0xc0: out->type = HG_TOKEN_nil; return true;
  case 0xc2: return take_flag(false, out);
  case 0xc3: return take_flag(true, out);
  case 0xc4: return take_sized(reader, HG_TOKEN_bytes, 1, out);
  case 0xc5: return take_sized(reader, HG_TOKEN_bytes, 2, out);
  case 0xc6: return take_sized(reader, HG_TOKEN_bytes, 4, out);
  case 0xc7: return take_sized_extension(reader, 1, out);
  case 0xc8: return take_sized_extension(reader, 2, out);
  case 0xc9: return take_sized_extension(reader, 4, out);
  case 0xca: return take_real(reader, 4, out);
  case 0xcb: return take_real(reader, 8, out);
  case 0xcc: return take_positive(reader, 1, out);
  case 0xcd: return take_positive(reader, 2, out);
  case 0xce: return take_positive(reader, 4, out);
  case 0xcf: return take_positive(reader, 8, out);
  case 0xd0: return take_integer(reader, 1, out);
  case 0xd1: return take_integer(reader, 2, out);
  case 0xd2: return take_integer(reader, 4, out);
  case 0xd3: return take_integer(reader, 8, out);
  case 0xd4: return take_extension(reader, 1, out);
  case 0xd5: return take_extension(reader, 2, out);
  case 0xd6: return take_extension(reader, 4, out);
  case 0xd7: return take_extension(reader, 8, out);
  case 0xd8: return take_extension(reader, 16, out);
  case 0xd9: return take_sized(reader, HG_TOKEN_text, 1, out);
  case 0xda: return take_sized(reader, HG_TOKEN_text, 2, out);
  case 0xdb: return take_sized(reader, HG_TOKEN_text, 4, out);
  case 0xdc: return take_counted(reader, HG_TOKEN_array, 2, out);
  case 0xdd: return take_counted(reader, HG_TOKEN_array, 4, out);
  case 0xde: return take_counted(reader, HG_TOKEN_map, 2, out);
  case 0xdf: return take_counted(reader, HG_TOKEN_map, 4, out);
  default: return false; // 0xc1 is in no use
  }
}

bool hg_read_token(struct hg_reader *reader, struct hg_token *out) {
  if (reader->at == reader->end) return false;
  const uint8_t header = *reader->at++;
  if (header < 0x80) {
    out->type = HG_TOKEN_unsigned;
    out->as.positive = header;
    return true;
  }
  if (header < 0x90) return take_container(reader, HG_TOKEN_map, header & 0x0f, out);
  if (header < 0xa0) return take_container(reader, HG_TOKEN_array, header & 0x0f, out);
  if (header < 0xc0) return take_body(reader, HG_TOKEN_text, header & 0x1f, out);
  if (header < 0xe0) return take_wide(reader, header, out);
  out->type = HG_TOKEN_negative;
  out->as.negative = (int64_t)header - 0x100;
  return true;
}

bool hg_read_skip(struct hg_reader *reader, unsigned nesting) {
  struct hg_token token;
  if (!hg_read_token(reader, &token)) return false;
  if (token.type != HG_TOKEN_array && token.type != HG_TOKEN_map) return true;
  if (nesting == 0) return false;
  const uint64_t values = token.type == HG_TOKEN_map ? 2 * (uint64_t)token.as.count : token.as.count;
  for (uint64_t i = 0; i < values; i++)
    if (!hg_read_skip(reader, nesting - 1)) return false;
  return true;
}

// ------------------------------------------------------------------------------------------------ of one type

// The integers of hot frames, without a token: as msgpack-c packs them. False: something else, nothing is taken.
static inline bool take_common(struct hg_reader *reader, uint64_t *out) {
  if (reader->at == reader->end) return false;
  const uint8_t header = *reader->at;
  if (header < 0x80) {
    *out = header;
    reader->at++;
    return true;
  }
  if (header < 0xcc || header > 0xcf) return false;
  struct hg_reader body = {reader->at + 1, reader->end};
  bool whole = false;
  switch (header) {
  case 0xcc: whole = take_number(&body, 1, out); break;
  case 0xcd: whole = take_number(&body, 2, out); break;
  case 0xce: whole = take_number(&body, 4, out); break;
  default: whole = take_number(&body, 8, out); break;
  }
  if (whole) reader->at = body.at;
  return whole;
}

bool hg_read_unsigned(struct hg_reader *reader, uint64_t most, uint64_t *out) {
  if (take_common(reader, out)) return *out <= most;
  struct hg_token token;
  if (!hg_read_token(reader, &token) || token.type != HG_TOKEN_unsigned || token.as.positive > most) return false;
  *out = token.as.positive;
  return true;
}

bool hg_read_signed(struct hg_reader *reader, int64_t *out) {
  uint64_t common;
  if (take_common(reader, &common)) {
    *out = (int64_t)common;
    return common <= INT64_MAX;
  }
  struct hg_token token;
  if (!hg_read_token(reader, &token)) return false;
  if (token.type == HG_TOKEN_negative) {
    *out = token.as.negative;
    return true;
  }
  if (token.type != HG_TOKEN_unsigned || token.as.positive > INT64_MAX) return false;
  *out = (int64_t)token.as.positive;
  return true;
}

bool hg_read_flag(struct hg_reader *reader, bool *out) {
  struct hg_token token;
  if (!hg_read_token(reader, &token) || token.type != HG_TOKEN_flag) return false;
  *out = token.as.flag;
  return true;
}

bool hg_read_text(struct hg_reader *reader, uint32_t most, struct hg_text *out) {
  struct hg_token token;
  if (!hg_read_token(reader, &token) || token.type != HG_TOKEN_text || token.as.body.size > most) return false;
  *out = (struct hg_text){(const char *)token.as.body.data, token.as.body.size};
  return hg_text_valid(*out);
}

bool hg_read_bytes(struct hg_reader *reader, struct hg_bytes *out) {
  struct hg_token token;
  if (!hg_read_token(reader, &token) || token.type != HG_TOKEN_bytes) return false;
  *out = (struct hg_bytes){token.as.body.data, token.as.body.size};
  return true;
}

static bool read_container(struct hg_reader *reader, enum hg_token_type type, uint32_t *count) {
  struct hg_token token;
  if (!hg_read_token(reader, &token) || token.type != type) return false;
  *count = token.as.count;
  return true;
}

bool hg_read_array(struct hg_reader *reader, uint32_t *count) {
  return read_container(reader, HG_TOKEN_array, count);
}

bool hg_read_map(struct hg_reader *reader, uint32_t *pairs) {
  return read_container(reader, HG_TOKEN_map, pairs);
}
