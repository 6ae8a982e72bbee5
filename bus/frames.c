// The inside codec: a message as a positional msgpack array, walked field by field along the table.
#include "bus/frames.h"
#include "bus/frame_reader.h"
#include "bus/frame_writer.h"

static bool is_default(const struct hg_field *field, const void *value) {
  switch (field->type) {
  case HG_FIELD_flag: return !*(const bool *)value;
  case HG_FIELD_u32:
  case HG_FIELD_percent:
  case HG_FIELD_budget:
  case HG_FIELD_source: return *(const uint32_t *)value == 0;
  case HG_FIELD_u64:
  case HG_FIELD_id: return *(const uint64_t *)value == 0;
  case HG_FIELD_num:
  case HG_FIELD_tokens:
  case HG_FIELD_time: return *(const int64_t *)value == 0;
  case HG_FIELD_opt: return *(const int64_t *)value == HG_UNKNOWN;
  case HG_FIELD_text: return ((const struct hg_text *)value)->size == 0;
  case HG_FIELD_bytes: return ((const struct hg_bytes *)value)->size == 0;
  }
  return false;
}

static void pack_field(struct hg_writer *writer, const struct hg_field *field, const void *value) {
  switch (field->type) {
  case HG_FIELD_flag: hg_pack_flag(writer, *(const bool *)value); return;
  case HG_FIELD_budget: assert(*(const uint32_t *)value < HG_BUDGETS_MAX); goto number;
  case HG_FIELD_source: assert(*(const uint32_t *)value <= HG_SOURCE_MISSING); goto number;
  case HG_FIELD_u32:
  case HG_FIELD_percent:
  number:
    hg_pack_uint32(writer, *(const uint32_t *)value);
    return;
  case HG_FIELD_u64:
  case HG_FIELD_id: hg_pack_uint64(writer, *(const uint64_t *)value); return;
  case HG_FIELD_tokens: assert(*(const int64_t *)value >= 0); goto counted;
  case HG_FIELD_opt:
    assert(*(const int64_t *)value >= HG_UNKNOWN);
    goto counted;
  counted:
    assert(*(const int64_t *)value <= HG_TOKENS_MAX);
    hg_pack_int64(writer, *(const int64_t *)value);
    return;
  case HG_FIELD_num:
  case HG_FIELD_time: hg_pack_int64(writer, *(const int64_t *)value); return;
  case HG_FIELD_text: hg_pack_text(writer, *(const struct hg_text *)value, HG_TEXT_MAX); return;
  case HG_FIELD_bytes: {
    const struct hg_bytes *bytes = value;
    hg_pack_bin(writer, bytes->size);
    hg_pack_bin_body(writer, bytes->data, bytes->size);
    return;
  }
  }
}

size_t hg_frame_encode(const struct hg_message *message, uint8_t *to, size_t room) {
  const struct hg_kind_info *info = hg_kind_info(message->kind);
  assert(info);
  const struct hg_field *fields = info->frame_fields;
  const char *base = (const char *)message;
  uint32_t count = info->frame_field_count;
  while (count > 0 && is_default(&fields[count - 1], base + fields[count - 1].offset))
    count--;
  struct hg_writer writer = hg_writer_begin(to, room);
  hg_pack_array(&writer, (size_t)count + 1);
  hg_pack_uint32(&writer, message->kind);
  for (uint32_t i = 0; i < count; i++)
    pack_field(&writer, &fields[i], base + fields[i].offset);
  return hg_writer_end(&writer);
}

static bool read_u32(struct hg_reader *reader, uint32_t most, uint32_t *out) {
  uint64_t number;
  if (!hg_read_unsigned(reader, most, &number)) return false;
  *out = (uint32_t)number;
  return true;
}

static bool read_counted(struct hg_reader *reader, int64_t least, int64_t *out) {
  return hg_read_signed(reader, out) && *out >= least && *out <= HG_TOKENS_MAX;
}

static bool read_field(struct hg_reader *reader, const struct hg_field *field, void *to) {
  switch (field->type) {
  case HG_FIELD_flag: return hg_read_flag(reader, to);
  case HG_FIELD_u32:
  case HG_FIELD_percent: return read_u32(reader, UINT32_MAX, to);
  case HG_FIELD_budget: return read_u32(reader, HG_BUDGETS_MAX - 1, to);
  case HG_FIELD_source: return read_u32(reader, HG_SOURCE_MISSING, to);
  case HG_FIELD_u64:
  case HG_FIELD_id: return hg_read_unsigned(reader, UINT64_MAX, to);
  case HG_FIELD_num:
  case HG_FIELD_time: return hg_read_signed(reader, to);
  case HG_FIELD_tokens: return read_counted(reader, 0, to);
  case HG_FIELD_opt: return read_counted(reader, HG_UNKNOWN, to);
  case HG_FIELD_text: return hg_read_text(reader, HG_TEXT_MAX, to);
  case HG_FIELD_bytes: return hg_read_bytes(reader, to);
  }
  return false;
}

hg_err hg_frame_decode_next(const uint8_t *from, size_t size, struct hg_message *out, size_t *taken) {
  struct hg_reader reader = hg_reader_of(from, size < HG_FRAME_MAX ? size : HG_FRAME_MAX);
  uint32_t count = 0;
  uint64_t code;
  if (!hg_read_array(&reader, &count) || count == 0 || !hg_read_unsigned(&reader, UINT32_MAX, &code))
    return HG_ERR_PROTOCOL;
  const struct hg_kind_info *info = hg_kind_info((unsigned)code);
  if (!info) return HG_ERR_PROTOCOL;
  hg_message_init(out, info->kind);
  for (uint32_t i = 0; i < count - 1; i++) {
    const struct hg_field *field = &info->frame_fields[i];
    const bool known = i < info->frame_field_count;
    if (!(known ? read_field(&reader, field, (char *)out + field->offset) : hg_read_skip(&reader, 0)))
      return HG_ERR_PROTOCOL;
  }
  *taken = (size_t)(reader.at - from);
  return HG_OK;
}

hg_err hg_frame_decode(const uint8_t *from, size_t size, struct hg_message *out) {
  size_t taken = 0;
  const hg_err err = hg_frame_decode_next(from, size, out, &taken);
  return err == HG_OK && taken != size ? HG_ERR_PROTOCOL : err;
}
