// msgpack-c's packer over a bounded buffer, inlined: hg_pack_uint32(&writer, 5) and so on. What does not fit is dropped
// and remembered.
#ifndef HG_FRAME_WRITER_H
#define HG_FRAME_WRITER_H

#include "schemas/message.h"

#include <msgpack/pack.h>
#include <string.h>

struct hg_writer {
  uint8_t *start, *at, *end;
  bool refused; // no room, or something that no reader would take
};

static inline struct hg_writer hg_writer_begin(uint8_t *to, size_t room) {
  return (struct hg_writer){to, to, to + room, false};
}

static inline size_t hg_writer_end(const struct hg_writer *writer) {
  return writer->refused ? 0 : (size_t)(writer->at - writer->start);
}

static inline int hg_writer_append(struct hg_writer *writer, const void *data, size_t size) {
  if (size > (size_t)(writer->end - writer->at)) {
    writer->refused = true;
    return -1;
  }
  if (size) memcpy(writer->at, data, size);
  writer->at += size;
  return 0;
}

// The template that msgpack-c's own packer is made of.
#define msgpack_pack_inline_func(name) static inline int hg_pack##name
#define msgpack_pack_inline_func_cint(name) static inline int hg_pack##name
#define msgpack_pack_inline_func_fixint(name) static inline int hg_pack_fix##name
#define msgpack_pack_user struct hg_writer *
#define msgpack_pack_append_buffer(user, buf, len) return hg_writer_append(user, buf, len)
#include <msgpack/pack_template.h>

static inline void hg_pack_flag(struct hg_writer *writer, bool flag) {
  flag ? hg_pack_true(writer) : hg_pack_false(writer);
}

static inline void hg_pack_name(struct hg_writer *writer, const char *name, size_t size) {
  hg_pack_str(writer, size);
  hg_pack_str_body(writer, name, size);
}

// Texts that no reader would take (too long, not UTF-8, with a NUL) refuse the whole frame.
static inline void hg_pack_text(struct hg_writer *writer, struct hg_text text, uint32_t most) {
  if (text.size > most || !hg_text_valid(text)) writer->refused = true;
  else hg_pack_name(writer, text.data, text.size);
}

#endif
