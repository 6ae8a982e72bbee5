// The newest seq of each topic as a frame carries it inside: a msgpack array [code, seq, code, seq, …] of those that
// have rows.
#ifndef HG_TOPICS_H
#define HG_TOPICS_H

#include "bus/frame_reader.h"

#define HG_TOPICS_BYTES (16 * HG_EVENT_KINDS + 8)

// Written into `to`.
struct hg_bytes hg_topics_write(const uint64_t newest[HG_EVENT_KINDS], uint8_t to[HG_TOPICS_BYTES]);

// A walk over them: `left` pairs are still to come. False: bytes that are no such array.
struct hg_topics {
  struct hg_reader reader;
  uint32_t left;
};
bool hg_topics_open(struct hg_topics *topics, struct hg_bytes from);
bool hg_topics_next(struct hg_topics *topics, const struct hg_kind_info **info, uint64_t *seq);

#endif
