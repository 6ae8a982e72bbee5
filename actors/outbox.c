// The outbox: frames on their way out, one after another in one piece of memory that is kept from turn to turn.
#include "actors/actor.h"

#include "bus/frames.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 4096
#define CAPACITY_MAX ((size_t)1 << 28) // a refusal to each of HG_QUEUE_MAX waiting acquires fits

// What stands before each topic and frame.
struct header {
  hg_peer peer;
  uint32_t port, topic_size, frame_size;
};

static_assert(CAPACITY_MAX / (sizeof(struct header) + 2 * HG_INLINE_FRAME) > HG_QUEUE_MAX, "a whole queue is refused");

void hg_outbox_clear(struct hg_outbox *outbox) {
  outbox->used = 0;
  outbox->count = 0;
  outbox->finished = outbox->failed = false;
}

void hg_outbox_destroy(struct hg_outbox *outbox) {
  free(outbox->data);
  *outbox = (struct hg_outbox){0};
}

static bool make_room(struct hg_outbox *outbox, size_t more) {
  if (outbox->capacity - outbox->used >= more) return true;
  size_t capacity = outbox->capacity ? outbox->capacity : FIRST_CAPACITY;
  while (capacity - outbox->used < more && capacity < CAPACITY_MAX)
    capacity *= 2;
  uint8_t *larger = capacity - outbox->used >= more ? realloc(outbox->data, capacity) : NULL;
  if (!larger) {
    outbox->failed = true;
    return false;
  }
  outbox->data = larger;
  outbox->capacity = capacity;
  return true;
}

static void close_entry(struct hg_outbox *outbox, struct header header) {
  memcpy(outbox->data + outbox->used, &header, sizeof header);
  outbox->used += sizeof header + header.topic_size + header.frame_size;
  outbox->count++;
}

void hg_outbox_put(struct hg_outbox *outbox, enum hg_port port, hg_peer peer, const struct hg_message *message) {
  struct header header = {.peer = peer, .port = port};
  if (outbox->failed || !make_room(outbox, sizeof header + HG_INLINE_FRAME)) return;
  for (size_t room = HG_INLINE_FRAME;; room = HG_FRAME_MAX) {
    if (!make_room(outbox, sizeof header + room)) return;
    uint8_t *frame = outbox->data + outbox->used + sizeof header;
    const size_t rest = outbox->capacity - outbox->used - sizeof header;
    header.frame_size = (uint32_t)hg_frame_encode(message, frame, rest);
    if (header.frame_size) break;
    assert(room < HG_FRAME_MAX && "every inside message of ours fits into a frame");
  }
  close_entry(outbox, header);
}

void hg_outbox_put_frame(struct hg_outbox *outbox, enum hg_port port, hg_peer peer, struct hg_bytes topic,
                         struct hg_bytes frame) {
  const struct header header = {peer, port, topic.size, frame.size};
  if (outbox->failed || !make_room(outbox, sizeof header + topic.size + frame.size)) return;
  uint8_t *to = outbox->data + outbox->used + sizeof header;
  if (topic.size) memcpy(to, topic.data, topic.size);
  if (frame.size) memcpy(to + topic.size, frame.data, frame.size);
  close_entry(outbox, header);
}

bool hg_outbox_next(const struct hg_outbox *outbox, size_t *at, struct hg_outgoing *out) {
  if (*at >= outbox->used) return false;
  struct header header;
  memcpy(&header, outbox->data + *at, sizeof header);
  const uint8_t *topic = outbox->data + *at + sizeof header;
  *out = (struct hg_outgoing){.port = (enum hg_port)header.port,
                              .peer = header.peer,
                              .topic = header.topic_size ? topic : NULL,
                              .topic_size = header.topic_size,
                              .frame = topic + header.topic_size,
                              .frame_size = header.frame_size};
  *at += sizeof header + header.topic_size + header.frame_size;
  return true;
}

void hg_outbox_finish(struct hg_outbox *outbox, hg_err err, const char *reason) {
  struct hg_message last;
  hg_message_init(&last, HG_STOPPED);
  last.as.stopped.error = (uint32_t)err;
  last.as.stopped.reason = hg_text_of(reason);
  hg_outbox_put(outbox, HG_PORT_LIFE, 0, &last);
  outbox->finished = true;
}
