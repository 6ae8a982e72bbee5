// The messages of schemas/messages.def as C: kinds, structs, the tagged union, and descriptors of the fields from which
// everything generic (codec, journal, JSON, equality) works.
#ifndef HG_MESSAGE_H
#define HG_MESSAGE_H

#include "base/text.h"
#include "headgate.h"
#include "schemas/limits.h"

#define HG_C_flag bool
#define HG_C_u32 uint32_t
#define HG_C_u64 uint64_t
#define HG_C_num int64_t
#define HG_C_tokens int64_t
#define HG_C_opt int64_t
#define HG_C_amount int64_t
#define HG_C_percent uint32_t
#define HG_C_id uint64_t
#define HG_C_time int64_t
#define HG_C_budget uint32_t
#define HG_C_source uint32_t
#define HG_C_text struct hg_text
#define HG_C_body struct hg_bytes
#define HG_C_bytes struct hg_bytes

enum hg_field_type {
  HG_FIELD_flag,
  HG_FIELD_u32,
  HG_FIELD_u64,
  HG_FIELD_num,
  HG_FIELD_tokens,
  HG_FIELD_opt,
  HG_FIELD_amount,
  HG_FIELD_percent,
  HG_FIELD_id,
  HG_FIELD_time,
  HG_FIELD_budget,
  HG_FIELD_source,
  HG_FIELD_text,
  HG_FIELD_body,
  HG_FIELD_bytes
};

enum hg_kind {
  HG_NONE = 0, // no message; a raw frame
#define FIELD(type, name, outside, doc)
#define MESSAGE(NAME, name, code, since, doc, fields) HG_##NAME = code,
#define EVENT(NAME, name, code, since, doc, fields) HG_##NAME = code,
#include "schemas/messages.def"
#undef MESSAGE
#undef EVENT
#undef FIELD
};
#define HG_EVENT_FIRST 0x100 // codes from here on are events, one after the other
enum {
  HG_EVENT_KINDS = 0
#define FIELD(type, name, outside, doc)
#define MESSAGE(NAME, name, code, since, doc, fields)
#define EVENT(NAME, name, code, since, doc, fields) +1
#include "schemas/messages.def"
#undef MESSAGE
#undef EVENT
#undef FIELD
};
#define HG_EVENT_LAST (HG_EVENT_FIRST + HG_EVENT_KINDS - 1)
// Events that have no row of the journal, ever.
#define HG_IS_NEVER_A_ROW(kind) ((kind) == HG_HEARTBEAT || (kind) == HG_SUBSCRIBER_DROPPED)

// What all events begin with.
struct hg_event_head {
  uint64_t seq;    // the journal row, from 1
  uint64_t prev;   // the newest earlier row of the same kind; 0: none
  int64_t at;      // microseconds UTC
  uint32_t budget; // index
};

#define FIELD(type, name, outside, doc) HG_C_##type name;
#define MESSAGE(NAME, name, code, since, doc, fields)                                                                  \
  struct hg_##name##_message {                                                                                         \
    fields                                                                                                             \
  };
#define EVENT(NAME, name, code, since, doc, fields)                                                                    \
  struct hg_##name##_message {                                                                                         \
    struct hg_event_head head;                                                                                         \
    fields                                                                                                             \
  };
#include "schemas/messages.def"
#undef MESSAGE
#undef EVENT
#undef FIELD

struct hg_message {
  enum hg_kind kind;
  union {
    struct hg_event_head head; // of any event
#define FIELD(type, name, outside, doc)
#define MESSAGE(NAME, name, code, since, doc, fields) struct hg_##name##_message name;
#define EVENT(NAME, name, code, since, doc, fields) struct hg_##name##_message name;
#include "schemas/messages.def"
#undef MESSAGE
#undef EVENT
#undef FIELD
  } as;
};

struct hg_field {
  enum hg_field_type type;
  uint16_t offset;          // in struct hg_message
  uint16_t outside_size;    // of the name
  const char *name;         // in C, and the column of the journal
  const char *outside_name; // camelCase
  const char *doc;
};
struct hg_kind_info {
  enum hg_kind kind;
  const char *name; // "TOKENS_RESERVED": the topic
  uint32_t since;   // protocol version
  const char *doc;
  bool is_event;
  const struct hg_field *fields; // without the head of events
  uint32_t field_count;
  const struct hg_field *frame_fields; // as an inside frame has them: of events the head's come first
  uint32_t frame_field_count;
};

// NULL when no message has this code.
const struct hg_kind_info *hg_kind_info(unsigned code);
const struct hg_kind_info *hg_kind_by_name(struct hg_text name);
// Walks all kinds in the order of the table: index from 0; NULL at the end.
const struct hg_kind_info *hg_kind_at(unsigned index);
const struct hg_field *hg_event_head_fields(uint32_t *count); // seq, prev, at, budget

// What a report says beside the tokens.
#define HG_COPY_DETAILS(to, from)                                                                                      \
  ((to).model = (from).model, (to).input_tokens = (from).input_tokens, (to).cached_tokens = (from).cached_tokens,      \
   (to).cache_write_tokens = (from).cache_write_tokens, (to).output_tokens = (from).output_tokens,                     \
   (to).reasoning_tokens = (from).reasoning_tokens, (to).source = (from).source,                                       \
   (to).response_id = (from).response_id, (to).attempt = (from).attempt)

// An empty message of a kind: all fields at their defaults.
void hg_message_init(struct hg_message *message, enum hg_kind kind);
// A COMMAND_DONE: how a command of the control socket ended. `reason` must live as long as the message.
void hg_message_done(struct hg_message *message, uint64_t request, hg_err err, const char *reason);
bool hg_message_equal(const struct hg_message *a, const struct hg_message *b);
// The most bytes that an inside frame of this kind can have, with texts at their maximum (bytes fields count as 0).
size_t hg_message_bound(enum hg_kind kind);
// Fills a message of the kind with random, valid values, for property tests. Texts point into `scratch`.
void hg_message_random(struct hg_message *message, enum hg_kind kind, uint64_t *seed, char *scratch, size_t room);

// The tracker's answers to RESERVE.
enum hg_verdict {
  HG_VERDICT_GRANTED = 0,
  HG_VERDICT_THROTTLED = 1, // a throttled budget on the path has its permits open
  HG_VERDICT_WAIT = 2,      // a budget on the path is short of tokens now
  HG_VERDICT_BEHIND = 3,    // asked before its asker knew that another one, earlier in line, must wait
  HG_VERDICT_NEVER = 4,     // more than can ever be left
  HG_VERDICT_REFUSED = 5    // see error
};

// How a permit ended.
enum hg_permit_end { HG_PERMIT_SETTLED = 1, HG_PERMIT_RELEASED };
struct hg_ended_permit {
  enum hg_permit_end end; // 0: it has not ended, or nobody knows of it
  int64_t used, reserved; // tokens that were charged for it, and that it had reserved
};

// Does a REJECTED with this error answer a number that counts? One that does not is to be sent again.
bool hg_number_was_taken(hg_err err);

const char *hg_source_name(uint32_t source); // "exact", "estimated", "missing"
bool hg_source_by_name(struct hg_text name, uint32_t *out);
#endif
