// A binary heap of things that know their place in it, so that any of them can be moved or taken out: the smallest key
// first. It owns the array only.
#ifndef HG_HEAP_H
#define HG_HEAP_H

#include "actors/holder.h"

#include <stdbool.h>
#include <stdint.h>

// Embedded in what is queued; zero: in no heap.
struct hg_heap_node {
  uint32_t place; // from 1
};
struct hg_heap {
  struct hg_heap_entry {
    int64_t key;
    struct hg_heap_node *node;
  } * entries;
  uint32_t count, capacity;
};

bool hg_heap_reserve(struct hg_heap *heap, uint32_t capacity);                  // false: no memory
void hg_heap_put(struct hg_heap *heap, struct hg_heap_node *node, int64_t key); // room must be reserved; or moves it
void hg_heap_remove(struct hg_heap *heap, struct hg_heap_node *node);           // nothing when it is not there
struct hg_heap_node *hg_heap_first(const struct hg_heap *heap, int64_t *key);   // NULL: empty, key INT64_MAX
void hg_heap_destroy(struct hg_heap *heap);

#endif
