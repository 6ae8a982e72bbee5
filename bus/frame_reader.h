// A reader of msgpack that allocates nothing and believes no header: a size or count that exceeds the bytes left is
// refused before anything is done with it. Every function returns false when it refuses; the reader is then spent.
#ifndef HG_FRAME_READER_H
#define HG_FRAME_READER_H

#include "schemas/message.h"

struct hg_reader {
  const uint8_t *at, *end;
};

static inline struct hg_reader hg_reader_of(const uint8_t *data, size_t size) {
  return (struct hg_reader){data, size ? data + size : data}; // NULL has no bytes, but not even + 0
}

#define HG_NESTING_MAX 8 // containers within containers, the outermost included

enum hg_token_type {
  HG_TOKEN_nil,
  HG_TOKEN_flag,
  HG_TOKEN_unsigned, // an integer >= 0, whatever its format
  HG_TOKEN_negative, // an integer < 0
  HG_TOKEN_real,
  HG_TOKEN_text, // any bytes under a str header; not checked to be UTF-8
  HG_TOKEN_bytes,
  HG_TOKEN_array, // its elements follow
  HG_TOKEN_map,   // its keys and values follow, in turn
  HG_TOKEN_extension
};

// A scalar, or the header of a container.
struct hg_token {
  enum hg_token_type type;
  union {
    bool flag;
    uint64_t positive;
    int64_t negative;
    double real;
    struct {
      const uint8_t *data; // text, bytes, extension
      uint32_t size;
    } body;
    uint32_t count; // elements of an array, pairs of a map: at most the bytes left, or half of them
  } as;
};

bool hg_read_token(struct hg_reader *reader, struct hg_token *out);
// Passes over a value with at most `nesting` levels of containers (0: scalars only).
bool hg_read_skip(struct hg_reader *reader, unsigned nesting);

bool hg_read_unsigned(struct hg_reader *reader, uint64_t most, uint64_t *out);
bool hg_read_signed(struct hg_reader *reader, int64_t *out);
bool hg_read_flag(struct hg_reader *reader, bool *out);
// UTF-8 without a NUL, at most `most` bytes.
bool hg_read_text(struct hg_reader *reader, uint32_t most, struct hg_text *out);
bool hg_read_bytes(struct hg_reader *reader, struct hg_bytes *out);
bool hg_read_array(struct hg_reader *reader, uint32_t *count);
bool hg_read_map(struct hg_reader *reader, uint32_t *pairs);

#endif
