// The heap of heap.h.
#include "actors/heap.h"

#include <assert.h>
#include <stdlib.h>

#define FIRST_CAPACITY 8

bool hg_heap_reserve(struct hg_heap *heap, uint32_t capacity) {
  if (capacity <= heap->capacity) return true;
  uint32_t larger = heap->capacity ? heap->capacity : FIRST_CAPACITY;
  while (larger < capacity) {
    if (larger > UINT32_MAX / 2) return false;
    larger *= 2;
  }
  struct hg_heap_entry *entries = realloc(heap->entries, larger * sizeof *entries);
  if (!entries) return false;
  heap->entries = entries;
  heap->capacity = larger;
  return true;
}

static void place(struct hg_heap *heap, uint32_t at, struct hg_heap_entry entry) {
  heap->entries[at] = entry;
  entry.node->place = at + 1;
}

// Finds the place of an entry from `at` on, upwards or downwards, and puts it there.
static void settle(struct hg_heap *heap, uint32_t at, struct hg_heap_entry entry) {
  while (at > 0 && entry.key < heap->entries[(at - 1) / 2].key) {
    place(heap, at, heap->entries[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  for (;;) {
    uint32_t child = 2 * at + 1;
    if (child >= heap->count) break;
    if (child + 1 < heap->count && heap->entries[child + 1].key < heap->entries[child].key) child++;
    if (entry.key <= heap->entries[child].key) break;
    place(heap, at, heap->entries[child]);
    at = child;
  }
  place(heap, at, entry);
}

void hg_heap_put(struct hg_heap *heap, struct hg_heap_node *node, int64_t key) {
  if (node->place == 0) {
    assert(heap->count < heap->capacity);
    heap->count++;
    settle(heap, heap->count - 1, (struct hg_heap_entry){key, node});
  } else if (heap->entries[node->place - 1].key != key) {
    settle(heap, node->place - 1, (struct hg_heap_entry){key, node});
  }
}

void hg_heap_remove(struct hg_heap *heap, struct hg_heap_node *node) {
  if (node->place == 0) return;
  const uint32_t at = node->place - 1;
  assert(at < heap->count && heap->entries[at].node == node);
  node->place = 0;
  const struct hg_heap_entry last = heap->entries[--heap->count];
  if (at < heap->count) settle(heap, at, last);
}

struct hg_heap_node *hg_heap_first(const struct hg_heap *heap, int64_t *key) {
  *key = heap->count ? heap->entries[0].key : INT64_MAX;
  return heap->count ? heap->entries[0].node : NULL;
}

void hg_heap_destroy(struct hg_heap *heap) {
  free(heap->entries);
  *heap = (struct hg_heap){0};
}
