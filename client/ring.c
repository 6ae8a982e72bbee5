// A growing first-in first-out queue.
#include "client/client.h"

#include <stdlib.h>
#include <string.h>

static char *at(const struct hg_ring *ring, size_t index) {
  return (char *)ring->data + (ring->first + index) % ring->capacity * ring->item;
}

bool hg_ring_push(struct hg_ring *ring, const void *item) {
  if (ring->count == ring->capacity) {
    const size_t capacity = ring->capacity ? 2 * ring->capacity : 16;
    char *data = calloc(capacity, ring->item);
    if (!data) return false;
    for (size_t i = 0; i < ring->count; i++)
      memcpy(data + i * ring->item, at(ring, i), ring->item);
    free(ring->data);
    ring->data = data;
    ring->capacity = capacity;
    ring->first = 0;
  }
  memcpy(at(ring, ring->count++), item, ring->item);
  return true;
}

void *hg_ring_first(struct hg_ring *ring) {
  return ring->count ? at(ring, 0) : NULL;
}

void hg_ring_pop(struct hg_ring *ring) {
  ring->first = (ring->first + 1) % ring->capacity;
  ring->count--;
}

void hg_ring_destroy(struct hg_ring *ring) {
  free(ring->data);
  *ring = (struct hg_ring){.item = ring->item};
}
