// Messages as bytes. Inside: a positional msgpack array [code, field…]. Outside: a topic and a msgpack map with named
// fields. msgpack-c packs; a small bounded reader of our own unpacks, because msgpack-c allocates what a header claims.
#ifndef HG_FRAMES_H
#define HG_FRAMES_H

#include "schemas/message.h"

// Writes the inside frame into `to`; returns its size, 0 when it does not fit into `room` or a text is one that the
// reader would refuse (over its bound, not UTF-8, with a NUL). A number out of its type's range is our own bug:
// asserted. Fields at the tail that have their default value are left out.
size_t hg_frame_encode(const struct hg_message *message, uint8_t *to, size_t room);
// Reads an inside frame. Texts and bytes point into `from`. Refuses (HG_ERR_PROTOCOL) unknown kinds, truncated frames,
// wrong types, values out of range, texts over their bound, not UTF-8 or with a NUL, nesting, bytes after the end,
// frames over HG_FRAME_MAX. Missing fields at the tail get their defaults, extra ones that are no containers are
// skipped.
hg_err hg_frame_decode(const uint8_t *from, size_t size, struct hg_message *out);
// As hg_frame_decode for the first of several frames one after another; says how many bytes it took.
hg_err hg_frame_decode_next(const uint8_t *from, size_t size, struct hg_message *out, size_t *taken);

#define HG_CONTROL_FIRST 0x80u
#define HG_CONTROL_LAST 0x9fu
// Whether a message belongs to the control socket: a command from outside or an answer to one.
static inline bool hg_is_control(enum hg_kind kind) {
  return kind >= HG_CONTROL_FIRST && kind <= HG_CONTROL_LAST;
}

// What the frames of events say beside the message.
struct hg_names {
  const char *ledger_id;                  // UUID text
  const struct hg_budget_config *budgets; // index -> name
  uint32_t budget_count;
};
// An event for subscribers: the payload frame (the topic is the kind's name).
size_t hg_outside_encode_event(const struct hg_message *event, const struct hg_names *names, uint8_t *to, size_t room);
// A command or answer of the control socket: {"v":1,"type":"STATUS","request":…,…} flat.
// These return the size; 0 when it does not fit into `room` or a text is one that no reader would take.
size_t hg_outside_encode(const struct hg_message *message, uint8_t *to, size_t room);
// A command to a gateway: without its empty texts, some of which are refused when they are said (usageId).
size_t hg_outside_encode_command(const struct hg_message *command, uint8_t *to, size_t room);
// Reads a map made by any msgpack library: fields in any order, integers of any width (floats with integral values
// too), unknown fields skipped, missing and nil ones at their defaults. HG_ERR_PROTOCOL as above, and for a frame over
// HG_COMMAND_FRAME_MAX, another version than 1, a message that is not of the control socket, a field given twice,
// nesting over 8.
hg_err hg_outside_decode(const uint8_t *from, size_t size, struct hg_message *out);
// The request number of a frame that may be refused otherwise: whoever sent it waits for an answer. 0: it has none, or
// none that can be read.
uint64_t hg_outside_read_request(const uint8_t *from, size_t size);

// Prints any bounded msgpack value (an outside frame) as one line of JSON into `to`, NUL-ended; returns its length, 0
// when it is not whole, too deep (8), has a key that is neither text nor integer or a text that is not UTF-8, or does
// not fit. Bytes and extensions become hex, infinities and NaN null; reals are short and read back the same (90.5,
// 90.0).
size_t hg_outside_to_json(const uint8_t *from, size_t size, char *to, size_t room);
// Reads the envelope of an event frame for a subscriber. The texts point into `from`.
struct hg_event_envelope {
  struct hg_text type, budget, ledger_id;
  uint64_t seq, prev;
  int64_t at;
};
hg_err hg_outside_read_envelope(const uint8_t *from, size_t size, struct hg_event_envelope *out);
// Reads what a HEARTBEAT says. Topics of later versions are passed over, those that it does not name have no rows.
struct hg_beat {
  uint64_t newest;
  uint64_t unheard; // rows up to it may be missing in the others
  bool degraded;
  uint64_t topic_newest[HG_EVENT_KINDS];
};
hg_err hg_outside_read_beat(const uint8_t *from, size_t size, struct hg_beat *out);

#endif
