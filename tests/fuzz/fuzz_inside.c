// The decoder of inside frames under libFuzzer (scripts/fuzz), held against msgpack-c and the table of messages: it
// takes what is msgpack and obeys the table, nothing else, and sees the same values. What it takes comes out of the
// encoder no longer than it came, and in again as the same.
#include "fuzz/fuzz.h"

#include "bus/frames.h"
#include "support/frame_oracle.h"

#include <jansson.h>
#include <string.h>

static bool is_between(const msgpack_object *object, int64_t least, uint64_t most) {
  if (object->type == MSGPACK_OBJECT_POSITIVE_INTEGER) return object->via.u64 <= most;
  return object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER && object->via.i64 >= least;
}

// UTF-8 as another library has it.
static bool is_text(const msgpack_object *object) {
  if (object->type != MSGPACK_OBJECT_STR || object->via.str.size > HG_TEXT_MAX) return false;
  const char *text = object->via.str.ptr ? object->via.str.ptr : "";
  json_t *utf8 = json_stringn(text, object->via.str.size);
  json_decref(utf8);
  return utf8 && !memchr(text, '\0', object->via.str.size);
}

static bool obeys(const msgpack_object *object, enum hg_field_type type) {
  switch (type) {
  case HG_FIELD_flag: return object->type == MSGPACK_OBJECT_BOOLEAN;
  case HG_FIELD_text: return is_text(object);
  case HG_FIELD_body:
  case HG_FIELD_bytes: return object->type == MSGPACK_OBJECT_BIN;
  case HG_FIELD_u32:
  case HG_FIELD_percent: return is_between(object, 0, UINT32_MAX);
  case HG_FIELD_budget: return is_between(object, 0, HG_BUDGETS_MAX - 1);
  case HG_FIELD_source: return is_between(object, 0, HG_SOURCE_MISSING);
  case HG_FIELD_u64:
  case HG_FIELD_id: return is_between(object, 0, UINT64_MAX);
  case HG_FIELD_tokens: return is_between(object, 0, HG_TOKENS_MAX);
  case HG_FIELD_opt:
  case HG_FIELD_amount: return is_between(object, HG_UNKNOWN, HG_TOKENS_MAX);
  case HG_FIELD_num:
  case HG_FIELD_time: return is_between(object, INT64_MIN, INT64_MAX);
  }
  return false;
}

static bool is_message(const msgpack_object *frame) {
  if (frame->type != MSGPACK_OBJECT_ARRAY || frame->via.array.size < 1) return false;
  const msgpack_object *values = frame->via.array.ptr;
  if (values[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER || values[0].via.u64 > UINT32_MAX) return false;
  const struct hg_kind_info *info = hg_kind_info((unsigned)values[0].via.u64);
  if (!info) return false;
  for (uint32_t i = 1; i < frame->via.array.size; i++) {
    const bool known = i <= info->frame_field_count;
    if (known && !obeys(&values[i], info->frame_fields[i - 1].type)) return false;
    if (!known && (values[i].type == MSGPACK_OBJECT_ARRAY || values[i].type == MSGPACK_OBJECT_MAP)) return false;
  }
  return true;
}

// msgpack-c allocates what these two headers claim, up to 96 GiB.
static bool is_safe_to_unpack(const uint8_t *data, size_t size) {
  return size > 0 && !memchr(data, 0xdd, size) && !memchr(data, 0xdf, size);
}

static void check_encoder(const struct hg_message *message, size_t came_in) {
  static uint8_t frame[HG_FRAME_MAX];
  struct hg_message again;
  const size_t used = hg_frame_encode(message, frame, sizeof frame);
  need(used > 0 && used <= came_in);
  need(hg_frame_decode(frame, used, &again) == HG_OK && hg_message_equal(message, &again));
}

static void check(const uint8_t *data, size_t size) {
  struct hg_message message;
  msgpack_unpacked unpacked;
  const bool taken = hg_frame_decode(data, size, &message) == HG_OK;
  if (!taken && !is_safe_to_unpack(data, size)) return;
  const bool is_msgpack = oracle_unpack(data, size, &unpacked);
  need(taken == (is_msgpack && is_message(&unpacked.data)));
  need(!taken || oracle_agrees(&unpacked.data, &message));
  msgpack_unpacked_destroy(&unpacked);
  if (taken) check_encoder(&message, size);
}

// As FACTS are read: one behind another, until one is refused.
static void walk(const uint8_t *data, size_t size) {
  struct hg_message message;
  size_t taken = 0;
  for (size_t at = 0; at < size && hg_frame_decode_next(data + at, size - at, &message, &taken) == HG_OK; at += taken) {
    need(taken > 0 && taken <= size - at);
    check(data + at, taken);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  check(data, size);
  walk(data, size);
  return 0;
}
