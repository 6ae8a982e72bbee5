// msgpack-c as the oracle of the inside codec, for its tests and its fuzzer. It believes what a header claims: nothing
// hostile may come here before somebody has looked at it.
#ifndef HG_FRAME_ORACLE_H
#define HG_FRAME_ORACLE_H

#include "schemas/message.h"

#include <msgpack.h>
#include <string.h>

static inline bool oracle_unpack(const uint8_t *frame, size_t size, msgpack_unpacked *out) {
  size_t taken = 0;
  msgpack_unpacked_init(out);
  return msgpack_unpack_next(out, (const char *)frame, size, &taken) == MSGPACK_UNPACK_SUCCESS && taken == size;
}

static inline bool oracle_accepts(const uint8_t *frame, size_t size) {
  msgpack_unpacked unpacked;
  const bool accepts = oracle_unpack(frame, size, &unpacked);
  msgpack_unpacked_destroy(&unpacked);
  return accepts;
}

static inline bool oracle_is_int(const msgpack_object *object, int64_t value) {
  if (object->type == MSGPACK_OBJECT_POSITIVE_INTEGER) return value >= 0 && object->via.u64 == (uint64_t)value;
  return object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER && object->via.i64 == value;
}

static inline bool oracle_is_number(const msgpack_object *object, uint64_t value) {
  return object->type == MSGPACK_OBJECT_POSITIVE_INTEGER && object->via.u64 == value;
}

static inline bool oracle_is_bytes(const msgpack_object *object, msgpack_object_type type, const void *data,
                                   uint32_t size) {
  return object->type == type && object->via.bin.size == size &&
         (size == 0 || memcmp(object->via.bin.ptr, data, size) == 0);
}

// Does msgpack-c see the value that the message has?
static inline bool oracle_sees(const msgpack_object *object, const struct hg_field *field,
                               const struct hg_message *message) {
  const void *value = (const char *)message + field->offset;
  switch (field->type) {
  case HG_FIELD_flag: return object->type == MSGPACK_OBJECT_BOOLEAN && object->via.boolean == *(const bool *)value;
  case HG_FIELD_u32:
  case HG_FIELD_percent:
  case HG_FIELD_budget:
  case HG_FIELD_source: return oracle_is_number(object, *(const uint32_t *)value);
  case HG_FIELD_u64:
  case HG_FIELD_id: return oracle_is_number(object, *(const uint64_t *)value);
  case HG_FIELD_num:
  case HG_FIELD_tokens:
  case HG_FIELD_opt:
  case HG_FIELD_amount:
  case HG_FIELD_time: return oracle_is_int(object, *(const int64_t *)value);
  case HG_FIELD_text: {
    const struct hg_text *text = value;
    return oracle_is_bytes(object, MSGPACK_OBJECT_STR, text->data, text->size);
  }
  case HG_FIELD_body:
  case HG_FIELD_bytes: {
    const struct hg_bytes *bytes = value;
    return oracle_is_bytes(object, MSGPACK_OBJECT_BIN, bytes->data, bytes->size);
  }
  }
  return false;
}

// Does it see the kind, and in each field that is there the value of the message? What a later version may have added
// behind the known fields is passed over.
static inline bool oracle_agrees(const msgpack_object *frame, const struct hg_message *message) {
  const struct hg_kind_info *info = hg_kind_info(message->kind);
  if (frame->type != MSGPACK_OBJECT_ARRAY || frame->via.array.size < 1) return false;
  const msgpack_object *values = frame->via.array.ptr;
  if (!oracle_is_number(&values[0], message->kind)) return false;
  for (uint32_t i = 0; i < info->frame_field_count && i + 1 < frame->via.array.size; i++)
    if (!oracle_sees(&values[i + 1], &info->frame_fields[i], message)) return false;
  return true;
}

#endif
