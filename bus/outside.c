// The outside codec, outward: messages as msgpack maps with named fields, for people and programs in any language.
#include "bus/frame_writer.h"
#include "bus/frames.h"
#include "bus/topics.h"
#include "config/config.h"

#define PROTOCOL_VERSION 1

#define PACK_LITERAL(writer, text) hg_pack_name(writer, text, sizeof(text) - 1)

static void pack_name(struct hg_writer *writer, const char *name) {
  hg_pack_name(writer, name, strlen(name));
}

static void pack_id(struct hg_writer *writer, uint64_t id) {
  static const char digits[] = "0123456789abcdef";
  char text[16];
  for (int i = 15; i >= 0; i--, id >>= 4)
    text[i] = digits[id & 15];
  hg_pack_name(writer, text, sizeof text);
}

static void pack_budget(struct hg_writer *writer, uint32_t index, const struct hg_names *names) {
  assert(index < names->budget_count);
  pack_name(writer, names->budgets[index].name);
}

// What is not of the shape that topics have refuses the whole frame.
static void pack_topics(struct hg_writer *writer, struct hg_bytes from) {
  struct hg_topics topics;
  if (!hg_topics_open(&topics, from)) writer->refused = true;
  hg_pack_map(writer, topics.left);
  while (topics.left && !writer->refused) {
    const struct hg_kind_info *info;
    uint64_t seq;
    if (hg_topics_next(&topics, &info, &seq)) {
      pack_name(writer, info->name);
      hg_pack_uint64(writer, seq);
    } else {
      writer->refused = true;
    }
  }
}

static void pack_value(struct hg_writer *writer, enum hg_field_type type, const void *value) {
  switch (type) {
  case HG_FIELD_flag: hg_pack_flag(writer, *(const bool *)value); return;
  case HG_FIELD_u32: hg_pack_uint32(writer, *(const uint32_t *)value); return;
  case HG_FIELD_u64: hg_pack_uint64(writer, *(const uint64_t *)value); return;
  case HG_FIELD_num:
  case HG_FIELD_tokens:
  case HG_FIELD_time: hg_pack_int64(writer, *(const int64_t *)value); return;
  case HG_FIELD_opt:
  case HG_FIELD_amount:
    if (*(const int64_t *)value == HG_UNKNOWN) hg_pack_nil(writer);
    else hg_pack_int64(writer, *(const int64_t *)value);
    return;
  case HG_FIELD_percent: hg_pack_double(writer, (double)*(const uint32_t *)value / 100.0); return;
  case HG_FIELD_id: pack_id(writer, *(const uint64_t *)value); return;
  case HG_FIELD_budget: writer->refused = true; return; // no outside message has an index
  case HG_FIELD_source: pack_name(writer, hg_source_name(*(const uint32_t *)value)); return;
  case HG_FIELD_text: hg_pack_text(writer, *(const struct hg_text *)value, HG_TEXT_MAX); return;
  case HG_FIELD_body: {
    const struct hg_bytes *body = value;
    hg_pack_text(writer, (struct hg_text){(const char *)body->data, body->size}, HG_COMMAND_FRAME_MAX);
    return;
  }
  case HG_FIELD_bytes: pack_topics(writer, *(const struct hg_bytes *)value); return; // no others go outside
  }
}

static bool is_empty_text(const struct hg_message *message, const struct hg_field *field) {
  return field->type == HG_FIELD_text && ((const struct hg_text *)((const char *)message + field->offset))->size == 0;
}

static void pack_fields(struct hg_writer *writer, const struct hg_message *message, bool empty_texts) {
  const struct hg_kind_info *info = hg_kind_info(message->kind);
  for (uint32_t i = 0; i < info->field_count; i++) {
    if (!empty_texts && is_empty_text(message, &info->fields[i])) continue;
    hg_pack_name(writer, info->fields[i].outside_name, info->fields[i].outside_size);
    pack_value(writer, info->fields[i].type, (const char *)message + info->fields[i].offset);
  }
}

static void pack_beginning(struct hg_writer *writer, size_t pairs, const char *type) {
  hg_pack_map(writer, pairs);
  PACK_LITERAL(writer, "v");
  hg_pack_int(writer, PROTOCOL_VERSION);
  PACK_LITERAL(writer, "type");
  pack_name(writer, type);
}

// A row of the journal; nil for what is in no journal (a heartbeat, a notice while the store is down).
static void pack_row(struct hg_writer *writer, const char *name, bool journalled, uint64_t row) {
  pack_name(writer, name);
  if (journalled) hg_pack_uint64(writer, row);
  else hg_pack_nil(writer);
}

size_t hg_outside_encode_event(const struct hg_message *event, const struct hg_names *names, uint8_t *to, size_t room) {
  const struct hg_kind_info *info = hg_kind_info(event->kind);
  assert(info && info->is_event);
  const struct hg_event_head *head = &event->as.head;
  const bool journalled = head->seq != 0 && !HG_IS_NEVER_A_ROW(event->kind);
  struct hg_writer writer = hg_writer_begin(to, room);
  pack_beginning(&writer, 8, info->name);
  PACK_LITERAL(&writer, "ledgerId");
  hg_pack_text(&writer, hg_text_of(names->ledger_id), HG_TEXT_MAX);
  pack_row(&writer, "seq", journalled, head->seq);
  pack_row(&writer, "prev", journalled, head->prev);
  PACK_LITERAL(&writer, "at");
  hg_pack_int64(&writer, head->at);
  PACK_LITERAL(&writer, "budget");
  pack_budget(&writer, head->budget, names);
  PACK_LITERAL(&writer, "payload");
  hg_pack_map(&writer, info->field_count);
  pack_fields(&writer, event, true);
  return hg_writer_end(&writer);
}

size_t hg_outside_encode_command(const struct hg_message *command, uint8_t *to, size_t room) {
  const struct hg_kind_info *info = hg_kind_info(command->kind);
  assert(info && hg_is_control(info->kind));
  size_t said = 0;
  for (uint32_t i = 0; i < info->field_count; i++)
    said += !is_empty_text(command, &info->fields[i]);
  struct hg_writer writer = hg_writer_begin(to, room);
  pack_beginning(&writer, 2 + said, info->name);
  pack_fields(&writer, command, false);
  return hg_writer_end(&writer);
}

size_t hg_outside_encode(const struct hg_message *message, uint8_t *to, size_t room) {
  const struct hg_kind_info *info = hg_kind_info(message->kind);
  assert(info && hg_is_control(info->kind));
  struct hg_writer writer = hg_writer_begin(to, room);
  pack_beginning(&writer, 2 + (size_t)info->field_count, info->name);
  pack_fields(&writer, message, true);
  return hg_writer_end(&writer);
}
