// Answers that wait for the commit of a journal row: a ring, in the order of those rows.
#include "actors/actor.h"

#include "bus/frames.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64
#define INLINE_BYTES 40 // most answers; longer ones get memory of their own
#define ANSWER_MAX 4096 // no answer is longer

struct hg_held_answer {
  uint64_t seq;
  hg_peer peer;
  uint32_t port, size;
  union {
    uint8_t near[INLINE_BYTES];
    uint8_t *far;
  } frame;
};

static struct hg_held_answer *at(const struct hg_held *held, uint32_t index) {
  return &held->ring[(held->first + index) & (held->capacity - 1)];
}

static bool grow(struct hg_held *held) {
  const uint32_t capacity = held->capacity ? held->capacity * 2 : FIRST_CAPACITY;
  struct hg_held_answer *ring = capacity ? malloc(capacity * sizeof *ring) : NULL;
  if (!ring) return false;
  for (uint32_t i = 0; i < held->count; i++)
    ring[i] = *at(held, i);
  free(held->ring);
  *held = (struct hg_held){.ring = ring, .count = held->count, .capacity = capacity};
  return true;
}

bool hg_held_put(struct hg_held *held, uint64_t seq, enum hg_port port, hg_peer peer,
                 const struct hg_message *message) {
  assert(held->count == 0 || at(held, held->count - 1)->seq <= seq);
  if (held->count == held->capacity && !grow(held)) return false;
  uint8_t frame[ANSWER_MAX];
  const size_t size = hg_frame_encode(message, frame, sizeof frame);
  assert(size);
  struct hg_held_answer *answer = at(held, held->count);
  *answer = (struct hg_held_answer){.seq = seq, .peer = peer, .port = port, .size = (uint32_t)size};
  uint8_t *to = answer->frame.near;
  if (size > INLINE_BYTES && !(to = answer->frame.far = malloc(size))) return false;
  memcpy(to, frame, size);
  held->count++;
  return true;
}

// Takes the first answer off the ring; `out` NULL: nobody gets it.
static void take_first(struct hg_held *held, struct hg_outbox *out) {
  struct hg_held_answer *answer = at(held, 0);
  uint8_t *frame = answer->size > INLINE_BYTES ? answer->frame.far : answer->frame.near;
  if (out)
    hg_outbox_put_frame(out, (enum hg_port)answer->port, answer->peer, (struct hg_bytes){0},
                        (struct hg_bytes){frame, answer->size});
  if (answer->size > INLINE_BYTES) free(answer->frame.far);
  held->first = (held->first + 1) & (held->capacity - 1);
  held->count--;
}

void hg_held_release(struct hg_held *held, uint64_t durable_seq, struct hg_outbox *out) {
  while (held->count && at(held, 0)->seq <= durable_seq)
    take_first(held, out);
}

void hg_held_give_up(struct hg_held *held, void *self,
                     void (*each)(void *self, hg_peer peer, const struct hg_message *)) {
  while (held->count) {
    const struct hg_held_answer *answer = at(held, 0);
    struct hg_message message;
    const uint8_t *frame = answer->size > INLINE_BYTES ? answer->frame.far : answer->frame.near;
    const hg_err err = hg_frame_decode(frame, answer->size, &message);
    assert(err == HG_OK);
    (void)err;
    each(self, answer->peer, &message);
    take_first(held, NULL);
  }
}

void hg_held_destroy(struct hg_held *held) {
  while (held->count)
    take_first(held, NULL);
  free(held->ring);
  *held = (struct hg_held){0};
}
