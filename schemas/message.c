// The message table as data: what each kind is called, which fields it has and where they lie; and what needs only that
// (defaults, equality, size bounds). Everything here comes from schemas/messages.def.
#include "schemas/message.h"

#include <string.h>

#define AS offsetof(struct hg_message, as)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define HEAD_FIELD(type, name, doc)                                                                                    \
  { HG_FIELD_##type, (uint16_t)offsetof(struct hg_message, as.head.name), sizeof(#name) - 1, #name, #name, doc }
#define HEAD_FIELDS                                                                                                    \
  HEAD_FIELD(u64, seq, "the journal row; null: not journalled"),                                                       \
      HEAD_FIELD(u64, prev, "the newest earlier row of the same type, 0: none; null: not journalled"),                 \
      HEAD_FIELD(time, at, "when, microseconds since 1970-01-01 UTC"), HEAD_FIELD(budget, budget, "which budget")
#define HEAD_COUNT 4

const struct hg_field *hg_event_head_fields(uint32_t *count) {
  static const struct hg_field fields[] = {HEAD_FIELDS};
  static_assert(COUNT(fields) == HEAD_COUNT, "HEAD_COUNT counts the fields of the head");
  *count = HEAD_COUNT;
  return fields;
}

// A code that stands twice in the table is a case that stands twice here, which does not compile.
const struct hg_kind_info *hg_kind_info(unsigned code) {
  switch (code) {
#define FIELD(type, name, outside, doc)                                                                                \
  {HG_FIELD_##type, (uint16_t)(AS + offsetof(body, name)), sizeof(outside) - 1, #name, outside, doc},
#define MESSAGE(NAME, name, code, since, doc, ...)                                                                     \
  case code: {                                                                                                         \
    typedef struct hg_##name##_message body;                                                                           \
    static const struct hg_field all[] = {__VA_ARGS__};                                                                \
    static const struct hg_kind_info info = {HG_##NAME, #NAME, since, doc, false, all, COUNT(all), all, COUNT(all)};   \
    return &info;                                                                                                      \
  }
#define EVENT(NAME, name, code, since, doc, ...)                                                                       \
  case code: {                                                                                                         \
    typedef struct hg_##name##_message body;                                                                           \
    static const struct hg_field all[] = {HEAD_FIELDS, __VA_ARGS__};                                                   \
    static const struct hg_kind_info info = {                                                                          \
        HG_##NAME, #NAME, since, doc, true, all + HEAD_COUNT, COUNT(all) - HEAD_COUNT, all, COUNT(all)};               \
    return &info;                                                                                                      \
  }
#include "schemas/messages.def"
#undef MESSAGE
#undef EVENT
#undef FIELD
  }
  return NULL;
}

const struct hg_kind_info *hg_kind_at(unsigned index) {
  static const uint16_t codes[] = {
#define FIELD(type, name, outside, doc)
#define MESSAGE(NAME, name, code, since, doc, fields) code,
#define EVENT(NAME, name, code, since, doc, fields) code,
#include "schemas/messages.def"
#undef MESSAGE
#undef EVENT
#undef FIELD
  };
  return index < COUNT(codes) ? hg_kind_info(codes[index]) : NULL;
}

const struct hg_kind_info *hg_kind_by_name(struct hg_text name) {
  const struct hg_kind_info *info;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++)
    if (hg_text_equal(name, hg_text_of(info->name))) return info;
  return NULL;
}

// ------------------------------------------------------------------------------------------------ defaults

#define DEFAULT_flag false
#define DEFAULT_u32 0
#define DEFAULT_u64 0
#define DEFAULT_num 0
#define DEFAULT_tokens 0
#define DEFAULT_opt HG_UNKNOWN
#define DEFAULT_amount 0
#define DEFAULT_percent 0
#define DEFAULT_id 0
#define DEFAULT_time 0
#define DEFAULT_budget 0
#define DEFAULT_source HG_SOURCE_EXACT
#define DEFAULT_text                                                                                                   \
  { NULL, 0 }
#define DEFAULT_body                                                                                                   \
  { NULL, 0 }
#define DEFAULT_bytes                                                                                                  \
  { NULL, 0 }

void hg_message_init(struct hg_message *message, enum hg_kind kind) {
  message->kind = kind;
  switch (kind) {
#define FIELD(type, name, outside, doc) .name = DEFAULT_##type,
#define MESSAGE(NAME, name_, code, since, doc, ...)                                                                    \
  case HG_##NAME:                                                                                                      \
    message->as.name_ = (struct hg_##name_##_message){__VA_ARGS__};                                                    \
    return;
#define EVENT(NAME, name_, code, since, doc, ...)                                                                      \
  case HG_##NAME:                                                                                                      \
    message->as.name_ = (struct hg_##name_##_message){.head = {.seq = 0}, __VA_ARGS__};                                \
    return;
#include "schemas/messages.def"
#undef MESSAGE
#undef EVENT
#undef FIELD
  case HG_NONE: break;
  }
  memset(&message->as, 0, sizeof message->as);
}

// ------------------------------------------------------------------------------------------------ equality

static bool field_equal(const struct hg_field *field, const struct hg_message *a, const struct hg_message *b) {
  const void *x = (const char *)a + field->offset, *y = (const char *)b + field->offset;
  switch (field->type) {
  case HG_FIELD_flag: return *(const bool *)x == *(const bool *)y;
  case HG_FIELD_u32:
  case HG_FIELD_percent:
  case HG_FIELD_budget:
  case HG_FIELD_source: return *(const uint32_t *)x == *(const uint32_t *)y;
  case HG_FIELD_u64:
  case HG_FIELD_id: return *(const uint64_t *)x == *(const uint64_t *)y;
  case HG_FIELD_num:
  case HG_FIELD_tokens:
  case HG_FIELD_opt:
  case HG_FIELD_amount:
  case HG_FIELD_time: return *(const int64_t *)x == *(const int64_t *)y;
  case HG_FIELD_text: return hg_text_equal(*(const struct hg_text *)x, *(const struct hg_text *)y);
  case HG_FIELD_body:
  case HG_FIELD_bytes: {
    const struct hg_bytes *s = x, *t = y;
    return s->size == t->size && (s->size == 0 || memcmp(s->data, t->data, s->size) == 0);
  }
  }
  return false;
}

void hg_message_done(struct hg_message *message, uint64_t request, hg_err err, const char *reason) {
  hg_message_init(message, HG_COMMAND_DONE);
  message->as.command_done.request = request;
  message->as.command_done.error = (uint32_t)err;
  message->as.command_done.reason = hg_text_of(reason);
}

bool hg_message_equal(const struct hg_message *a, const struct hg_message *b) {
  if (a->kind != b->kind) return false;
  const struct hg_kind_info *info = hg_kind_info(a->kind);
  for (uint32_t i = 0; info && i < info->frame_field_count; i++)
    if (!field_equal(&info->frame_fields[i], a, b)) return false;
  return true;
}

// ------------------------------------------------------------------------------------------------ bounds

#define FIELD(type, name, outside, doc)
#define MESSAGE(NAME, name, code, since, doc, fields)                                                                  \
  static_assert((code) > 0 && (code) < HG_EVENT_FIRST, #NAME " has a code of events");
#define EVENT(NAME, name, code, since, doc, fields)                                                                    \
  static_assert((code) >= HG_EVENT_FIRST && (code) <= HG_EVENT_LAST, "the codes of events leave none out: " #NAME);
#include "schemas/messages.def"
#undef MESSAGE
#undef EVENT
#undef FIELD
static_assert(HG_BUDGETS_MAX - 1 <= UINT16_MAX, "an index of a budget is at most a msgpack uint16");
static_assert(HG_TEXT_MAX <= UINT16_MAX, "a text is at most a msgpack str16");

// The most bytes of a value in msgpack.
static size_t value_bound(enum hg_field_type type) {
  switch (type) {
  case HG_FIELD_flag:
  case HG_FIELD_source: return 1;
  case HG_FIELD_budget: return 3;
  case HG_FIELD_u32:
  case HG_FIELD_percent: return 5;
  case HG_FIELD_u64:
  case HG_FIELD_id:
  case HG_FIELD_num:
  case HG_FIELD_tokens:
  case HG_FIELD_opt:
  case HG_FIELD_amount:
  case HG_FIELD_time: return 9;
  case HG_FIELD_text: return 3 + HG_TEXT_MAX;
  case HG_FIELD_body:
  case HG_FIELD_bytes: return 0;
  }
  return 0;
}

size_t hg_message_bound(enum hg_kind kind) {
  const struct hg_kind_info *info = hg_kind_info(kind);
  if (!info) return 0;
  const size_t array = info->frame_field_count < 15 ? 1 : 3;
  size_t bound = array + (kind < 0x80 ? 1 : kind < 0x100 ? 2 : 3);
  for (uint32_t i = 0; i < info->frame_field_count; i++)
    bound += value_bound(info->frame_fields[i].type);
  return bound;
}

const char *hg_source_name(uint32_t source) {
  static const char *const names[] = {
      [HG_SOURCE_EXACT] = "exact", [HG_SOURCE_ESTIMATED] = "estimated", [HG_SOURCE_MISSING] = "missing"};
  return source < COUNT(names) ? names[source] : "?";
}

bool hg_source_by_name(struct hg_text name, uint32_t *out) {
  for (*out = 0; *out <= HG_SOURCE_MISSING; ++*out)
    if (hg_text_equal(name, hg_text_of(hg_source_name(*out)))) return true;
  return false;
}

bool hg_number_was_taken(hg_err err) {
  return err != HG_ERR_BUSY && err != HG_ERR_NO_MEMORY && err != HG_ERR_SEQUENCE;
}
