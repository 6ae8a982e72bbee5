// The inside codec: a message as a positional msgpack array. The table of messages becomes straight code here: a case a
// kind, a call a field, three times over (how many fields are sent, writing them, reading them).
#include "bus/frames.h"
#include "bus/frame_reader.h"
#include "bus/frame_writer.h"

// What a walk does with a field is its macro ONE(type, member), of `body`; the rest is the same for all three.
#define HEAD ONE(u64, head.seq) ONE(u64, head.prev) ONE(time, head.at) ONE(budget, head.budget)
#define FIELD(type, name, outside, doc) ONE(type, name)
#define MESSAGE(NAME, name, code, since, doc, ...) CASE(NAME, name, __VA_ARGS__)
#define EVENT(NAME, name, code, since, doc, ...) CASE(NAME, name, HEAD __VA_ARGS__)
#define CASE(NAME, name_, ...)                                                                                         \
  case HG_##NAME: {                                                                                                    \
    __typeof__(&message->as.name_) const body = &message->as.name_;                                                    \
    __VA_ARGS__                                                                                                        \
    break;                                                                                                             \
  }

// ------------------------------------------------------------------------------------------------ how many are sent

#define IS_0(value) ((value) == 0)
#define IS_UNKNOWN(value) ((value) == HG_UNKNOWN)
#define IS_EMPTY(value) ((value).size == 0)
#define IS_DEFAULT_flag IS_0
#define IS_DEFAULT_u32 IS_0
#define IS_DEFAULT_u64 IS_0
#define IS_DEFAULT_num IS_0
#define IS_DEFAULT_tokens IS_0
#define IS_DEFAULT_opt IS_UNKNOWN
#define IS_DEFAULT_amount IS_0
#define IS_DEFAULT_percent IS_0
#define IS_DEFAULT_id IS_0
#define IS_DEFAULT_time IS_0
#define IS_DEFAULT_budget IS_0
#define IS_DEFAULT_source IS_0
#define IS_DEFAULT_text IS_EMPTY
#define IS_DEFAULT_body IS_EMPTY
#define IS_DEFAULT_bytes IS_EMPTY

// All up to the last one that is not its default.
static uint32_t count_fields(const struct hg_message *message) {
  uint32_t at = 0, count = 0;
#define ONE(type, member)                                                                                              \
  at++;                                                                                                                \
  if (!IS_DEFAULT_##type(body->member)) count = at;
  switch (message->kind) {
#include "schemas/messages.def"
  case HG_NONE: break;
  }
#undef ONE
  return count;
}

// ------------------------------------------------------------------------------------------------ writing

static void write_flag(struct hg_writer *writer, bool value) {
  hg_pack_flag(writer, value);
}

static void write_u32(struct hg_writer *writer, uint32_t value) {
  hg_pack_uint32(writer, value);
}
#define write_percent write_u32

static void write_u64(struct hg_writer *writer, uint64_t value) {
  hg_pack_uint64(writer, value);
}
#define write_id write_u64

static void write_num(struct hg_writer *writer, int64_t value) {
  hg_pack_int64(writer, value);
}
#define write_time write_num

static void write_tokens(struct hg_writer *writer, int64_t value) {
  assert(value >= 0 && value <= HG_TOKENS_MAX);
  write_num(writer, value);
}

static void write_opt(struct hg_writer *writer, int64_t value) {
  assert(value >= HG_UNKNOWN && value <= HG_TOKENS_MAX);
  write_num(writer, value);
}
#define write_amount write_opt

static void write_budget(struct hg_writer *writer, uint32_t value) {
  assert(value < HG_BUDGETS_MAX);
  write_u32(writer, value);
}

static void write_source(struct hg_writer *writer, uint32_t value) {
  assert(value <= HG_SOURCE_MISSING);
  write_u32(writer, value);
}

static void write_text(struct hg_writer *writer, struct hg_text value) {
  hg_pack_text(writer, value, HG_TEXT_MAX);
}

static void write_body(struct hg_writer *writer, struct hg_bytes value) {
  hg_pack_bin(writer, value.size);
  hg_pack_bin_body(writer, value.data, value.size);
}

static void write_bytes(struct hg_writer *writer, struct hg_bytes value) {
  write_body(writer, value);
}

// The first `left` fields.
static void write_fields(struct hg_writer *writer, const struct hg_message *message, uint32_t left) {
#define ONE(type, member)                                                                                              \
  if (left-- == 0) break;                                                                                              \
  write_##type(writer, body->member);
  switch (message->kind) {
#include "schemas/messages.def"
  case HG_NONE: break;
  }
#undef ONE
}

size_t hg_frame_encode(const struct hg_message *message, uint8_t *to, size_t room) {
  assert(hg_kind_info(message->kind));
  const uint32_t count = count_fields(message);
  struct hg_writer writer = hg_writer_begin(to, room);
  hg_pack_array(&writer, (size_t)count + 1);
  hg_pack_uint32(&writer, message->kind);
  write_fields(&writer, message, count);
  return hg_writer_end(&writer);
}

// ------------------------------------------------------------------------------------------------ reading

static bool read_up_to(struct hg_reader *reader, uint32_t most, uint32_t *out) {
  uint64_t number;
  if (!hg_read_unsigned(reader, most, &number)) return false;
  *out = (uint32_t)number;
  return true;
}

static bool read_flag(struct hg_reader *reader, bool *out) {
  return hg_read_flag(reader, out);
}

static bool read_u32(struct hg_reader *reader, uint32_t *out) {
  return read_up_to(reader, UINT32_MAX, out);
}
#define read_percent read_u32

static bool read_budget(struct hg_reader *reader, uint32_t *out) {
  return read_up_to(reader, HG_BUDGETS_MAX - 1, out);
}

static bool read_source(struct hg_reader *reader, uint32_t *out) {
  return read_up_to(reader, HG_SOURCE_MISSING, out);
}

static bool read_u64(struct hg_reader *reader, uint64_t *out) {
  return hg_read_unsigned(reader, UINT64_MAX, out);
}
#define read_id read_u64

static bool read_num(struct hg_reader *reader, int64_t *out) {
  return hg_read_signed(reader, out);
}
#define read_time read_num

static bool read_tokens(struct hg_reader *reader, int64_t *out) {
  return hg_read_signed(reader, out) && *out >= 0 && *out <= HG_TOKENS_MAX;
}

static bool read_opt(struct hg_reader *reader, int64_t *out) {
  return hg_read_signed(reader, out) && *out >= HG_UNKNOWN && *out <= HG_TOKENS_MAX;
}
#define read_amount read_opt

static bool read_text(struct hg_reader *reader, struct hg_text *out) {
  return hg_read_text(reader, HG_TEXT_MAX, out);
}

static bool read_body(struct hg_reader *reader, struct hg_bytes *out) {
  return hg_read_bytes(reader, out);
}

static bool read_bytes(struct hg_reader *reader, struct hg_bytes *out) {
  return read_body(reader, out);
}

// As many fields as the frame has; those behind the known ones, which a newer sender may have added, are left.
static bool read_fields(struct hg_reader *reader, struct hg_message *message, uint32_t *left) {
#define ONE(type, member)                                                                                              \
  if (*left == 0) break;                                                                                               \
  --*left;                                                                                                             \
  if (!read_##type(reader, &body->member)) return false;
  switch (message->kind) {
#include "schemas/messages.def"
  case HG_NONE: break;
  }
#undef ONE
  return true;
}

hg_err hg_frame_decode_next(const uint8_t *from, size_t size, struct hg_message *out, size_t *taken) {
  struct hg_reader reader = hg_reader_of(from, size < HG_FRAME_MAX ? size : HG_FRAME_MAX);
  uint32_t left = 0;
  uint64_t code;
  if (!hg_read_array(&reader, &left) || left-- == 0 || !hg_read_unsigned(&reader, UINT32_MAX, &code))
    return HG_ERR_PROTOCOL;
  const struct hg_kind_info *info = hg_kind_info((unsigned)code);
  if (!info) return HG_ERR_PROTOCOL;
  hg_message_init(out, info->kind);
  if (!read_fields(&reader, out, &left)) return HG_ERR_PROTOCOL;
  for (; left > 0; left--)
    if (!hg_read_skip(&reader, 0)) return HG_ERR_PROTOCOL;
  *taken = (size_t)(reader.at - from);
  return HG_OK;
}

hg_err hg_frame_decode(const uint8_t *from, size_t size, struct hg_message *out) {
  size_t taken = 0;
  const hg_err err = hg_frame_decode_next(from, size, out, &taken);
  return err == HG_OK && taken != size ? HG_ERR_PROTOCOL : err;
}
