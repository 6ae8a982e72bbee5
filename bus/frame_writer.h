// A bounded buffer for msgpack-c's packer. What does not fit is dropped and remembered.
#ifndef HG_FRAME_WRITER_H
#define HG_FRAME_WRITER_H

#include "schemas/message.h"

#include <msgpack/pack.h>
#include <string.h>

struct hg_writer {
  uint8_t *start, *at, *end;
  bool refused; // no room, or something that no reader would take
};

static inline int hg_writer_append(void *self, const char *data, size_t size) {
  struct hg_writer *writer = self;
  if (size > (size_t)(writer->end - writer->at)) {
    writer->refused = true;
    return -1;
  }
  if (size) memcpy(writer->at, data, size);
  writer->at += size;
  return 0;
}

static inline msgpack_packer hg_writer_begin(struct hg_writer *writer, uint8_t *to, size_t room) {
  *writer = (struct hg_writer){to, to, to + room, false};
  return (msgpack_packer){writer, hg_writer_append};
}

static inline size_t hg_writer_end(const struct hg_writer *writer) {
  return writer->refused ? 0 : (size_t)(writer->at - writer->start);
}

// Texts that no reader would take (too long, not UTF-8, with a NUL) refuse the whole frame.
static inline void hg_pack_text(msgpack_packer *packer, struct hg_text text, uint32_t most) {
  struct hg_writer *writer = packer->data;
  if (text.size > most || !hg_text_valid(text)) writer->refused = true;
  else msgpack_pack_str_with_body(packer, text.data, text.size);
}

#endif
