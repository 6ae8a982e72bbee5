// The inside codec: what is written is read back, nothing else is, and msgpack-c sees the same values.
#include "unit/codec.h"

static uint8_t frame[HG_FRAME_MAX + 64];

static size_t encode(const struct hg_message *message) {
  const size_t size = hg_frame_encode(message, frame, sizeof frame);
  CHECK(size > 0);
  return size;
}

static hg_err decode_exact(const void *from, size_t size) {
  return codec_decode_exact(hg_frame_decode, from, size);
}

// ------------------------------------------------------------------------------------------------ round trips

// Does msgpack-c see the value that the message has?
static bool oracle_agrees(const msgpack_object *object, const struct hg_field *field, const struct hg_message *message) {
  const void *value = (const char *)message + field->offset;
  switch (field->type) {
  case HG_FIELD_flag: return object->type == MSGPACK_OBJECT_BOOLEAN && object->via.boolean == *(const bool *)value;
  case HG_FIELD_u32:
  case HG_FIELD_percent:
  case HG_FIELD_budget:
  case HG_FIELD_source: return codec_object_is_number(object, *(const uint32_t *)value);
  case HG_FIELD_u64:
  case HG_FIELD_id: return codec_object_is_number(object, *(const uint64_t *)value);
  case HG_FIELD_num:
  case HG_FIELD_tokens:
  case HG_FIELD_opt:
  case HG_FIELD_time: return codec_object_is_int(object, *(const int64_t *)value);
  case HG_FIELD_text: {
    const struct hg_text *text = value;
    return codec_object_is_bytes(object, MSGPACK_OBJECT_STR, text->data, text->size);
  }
  case HG_FIELD_bytes: {
    const struct hg_bytes *bytes = value;
    return codec_object_is_bytes(object, MSGPACK_OBJECT_BIN, bytes->data, bytes->size);
  }
  }
  return false;
}

static void check_oracle(const struct hg_message *message, size_t size) {
  const struct hg_kind_info *info = hg_kind_info(message->kind);
  msgpack_unpacked unpacked;
  msgpack_unpacked_init(&unpacked);
  size_t taken = 0;
  CHECK_EQ(msgpack_unpack_next(&unpacked, (const char *)frame, size, &taken), MSGPACK_UNPACK_SUCCESS);
  CHECK_EQ(taken, size);
  CHECK_EQ(unpacked.data.type, MSGPACK_OBJECT_ARRAY);
  const msgpack_object_array *array = &unpacked.data.via.array;
  CHECK(array->size >= 1 && array->size <= info->frame_field_count + 1);
  CHECK(codec_object_is_number(&array->ptr[0], message->kind));
  struct hg_message rest; // what the frame leaves out
  hg_message_init(&rest, message->kind);
  for (uint32_t i = 0; i < info->frame_field_count; i++) {
    const struct hg_field *field = &info->frame_fields[i];
    if (i + 1 < array->size) CHECK(oracle_agrees(&array->ptr[i + 1], field, message));
    if (i + 1 < array->size) memcpy((char *)&rest + field->offset, (const char *)message + field->offset,
             field->type == HG_FIELD_flag ? 1 : i + 1 < info->frame_field_count ? 0 : 0);
  }
  msgpack_unpacked_destroy(&unpacked);
}
