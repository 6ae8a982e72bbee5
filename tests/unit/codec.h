// What the tests of the codecs share: seeds, exact copies, and msgpack-c as the oracle.
#ifndef HG_CODEC_TEST_H
#define HG_CODEC_TEST_H

#include "bus/frames.h"
#include "support/frame_oracle.h"
#include "support/test.h"

#include <unistd.h>

#define CODEC_SCRATCH 8192
#define CODEC_ROUNDS hg_test_rounds(2000, 20)

static inline uint64_t codec_random(uint64_t *state) {
  *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return *state >> 33 ^ *state << 31;
}

// On the heap and as long as the frame, so that AddressSanitizer sees a read past its end.
static inline uint8_t *codec_exact(const void *from, size_t size) {
  uint8_t *copy = malloc(size ? size : 1);
  CHECK(copy != NULL);
  if (size) memcpy(copy, from, size);
  return copy;
}

static inline hg_err codec_decode_exact(hg_err decode(const uint8_t *, size_t, struct hg_message *), const void *from,
                                        size_t size) {
  uint8_t *copy = codec_exact(from, size);
  struct hg_message message;
  const hg_err err = decode(copy, size, &message);
  free(copy);
  return err;
}

static inline bool codec_object_is(const msgpack_object *object, const char *text) {
  return object->type == MSGPACK_OBJECT_STR && object->via.str.size == strlen(text) &&
         memcmp(object->via.str.ptr, text, strlen(text)) == 0;
}

// Walks the kinds of the control socket: the first after 0, 0 after the last.
static inline unsigned codec_next_control(unsigned code) {
  for (code = code ? code + 1 : HG_CONTROL_FIRST; code <= HG_CONTROL_LAST; code++)
    if (hg_kind_info(code)) return code;
  return 0;
}

#endif
