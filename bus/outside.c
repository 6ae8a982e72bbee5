// The outside codec, outward: messages as msgpack maps with named fields, for people and programs in any language.
#include "bus/frame_reader.h"
#include "bus/frame_writer.h"
#include "bus/frames.h"
#include "config/config.h"

#define PROTOCOL_VERSION 1

static void pack_name(msgpack_packer *packer, const char *name) {
  msgpack_pack_str_with_body(packer, name, strlen(name));
}

static void pack_id(msgpack_packer *packer, uint64_t id) {
  static const char digits[] = "0123456789abcdef";
  char text[16];
  for (int i = 15; i >= 0; i--, id >>= 4)
    text[i] = digits[id & 15];
  msgpack_pack_str_with_body(packer, text, sizeof text);
}

static void pack_budget(msgpack_packer *packer, uint32_t index, const struct hg_names *names) {
  assert(index < names->budget_count);
  pack_name(packer, names->budgets[index].name);
}

// [code, seq, code, seq, …] becomes {topic: seq, …}. What is not of this shape refuses the whole frame.
static void pack_topics(msgpack_packer *packer, struct hg_bytes topics) {
  struct hg_writer *writer = packer->data;
  struct hg_reader reader = hg_reader_of(topics.data, topics.size);
  uint32_t count = 0;
  if (topics.size && (!hg_read_array(&reader, &count) || count % 2)) writer->refused = true;
  msgpack_pack_map(packer, count / 2);
  for (uint32_t i = 0; i < count / 2 && !writer->refused; i++) {
    uint64_t code = 0, seq = 0;
    const bool whole = hg_read_unsigned(&reader, HG_EVENT_LAST, &code) && hg_read_unsigned(&reader, UINT64_MAX, &seq);
    const struct hg_kind_info *info = hg_kind_info((unsigned)code);
    if (whole && info && info->is_event) {
      pack_name(packer, info->name);
      msgpack_pack_uint64(packer, seq);
    } else {
      writer->refused = true;
    }
  }
  if (reader.at != reader.end) writer->refused = true;
}

static void pack_value(msgpack_packer *packer, enum hg_field_type type, const void *value,
                       const struct hg_names *names) {
  switch (type) {
  case HG_FIELD_flag: *(const bool *)value ? msgpack_pack_true(packer) : msgpack_pack_false(packer); return;
  case HG_FIELD_u32: msgpack_pack_uint32(packer, *(const uint32_t *)value); return;
  case HG_FIELD_u64: msgpack_pack_uint64(packer, *(const uint64_t *)value); return;
  case HG_FIELD_num:
  case HG_FIELD_tokens:
  case HG_FIELD_time: msgpack_pack_int64(packer, *(const int64_t *)value); return;
  case HG_FIELD_opt:
    if (*(const int64_t *)value == HG_UNKNOWN) msgpack_pack_nil(packer);
    else msgpack_pack_int64(packer, *(const int64_t *)value);
    return;
  case HG_FIELD_percent: msgpack_pack_double(packer, (double)*(const uint32_t *)value / 100.0); return;
  case HG_FIELD_id: pack_id(packer, *(const uint64_t *)value); return;
  case HG_FIELD_budget: pack_budget(packer, *(const uint32_t *)value, names); return;
  case HG_FIELD_source: pack_name(packer, hg_source_name(*(const uint32_t *)value)); return;
  case HG_FIELD_text: hg_pack_text(packer, *(const struct hg_text *)value, HG_TEXT_MAX); return;
  case HG_FIELD_bytes:
    pack_topics(packer, *(const struct hg_bytes *)value);
    return; // the heartbeat's are the only ones
  }
}

static void pack_fields(msgpack_packer *packer, const struct hg_message *message, const struct hg_names *names) {
  const struct hg_kind_info *info = hg_kind_info(message->kind);
  for (uint32_t i = 0; i < info->field_count; i++) {
    pack_name(packer, info->fields[i].outside_name);
    pack_value(packer, info->fields[i].type, (const char *)message + info->fields[i].offset, names);
  }
}

static void pack_beginning(msgpack_packer *packer, size_t pairs, const char *type) {
  msgpack_pack_map(packer, pairs);
  pack_name(packer, "v");
  msgpack_pack_int(packer, PROTOCOL_VERSION);
  pack_name(packer, "type");
  pack_name(packer, type);
}

// A row of the journal; nil for what is in no journal (a heartbeat, a notice while the store is down).
static void pack_row(msgpack_packer *packer, const char *name, bool journalled, uint64_t row) {
  pack_name(packer, name);
  if (journalled) msgpack_pack_uint64(packer, row);
  else msgpack_pack_nil(packer);
}

size_t hg_outside_encode_event(const struct hg_message *event, const struct hg_names *names, uint8_t *to, size_t room) {
  const struct hg_kind_info *info = hg_kind_info(event->kind);
  assert(info && info->is_event);
  const struct hg_event_head *head = &event->as.head;
  const bool journalled = head->seq != 0 && event->kind != HG_HEARTBEAT;
  struct hg_writer writer;
  msgpack_packer packer = hg_writer_begin(&writer, to, room);
  pack_beginning(&packer, 8, info->name);
  pack_name(&packer, "ledgerId");
  hg_pack_text(&packer, hg_text_of(names->ledger_id), HG_TEXT_MAX);
  pack_row(&packer, "seq", journalled, head->seq);
  pack_row(&packer, "prev", journalled, head->prev);
  pack_name(&packer, "at");
  msgpack_pack_int64(&packer, head->at);
  pack_name(&packer, "budget");
  pack_budget(&packer, head->budget, names);
  pack_name(&packer, "payload");
  msgpack_pack_map(&packer, info->field_count);
  pack_fields(&packer, event, names);
  return hg_writer_end(&writer);
}

size_t hg_outside_encode(const struct hg_message *message, const struct hg_names *names, uint8_t *to, size_t room) {
  const struct hg_kind_info *info = hg_kind_info(message->kind);
  assert(info && hg_is_control(info->kind));
  struct hg_writer writer;
  msgpack_packer packer = hg_writer_begin(&writer, to, room);
  pack_beginning(&packer, 2 + (size_t)info->field_count, info->name);
  pack_fields(&packer, message, names);
  return hg_writer_end(&writer);
}
