/* timers.c: a binary heap by due time. */
#include "timers.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 256 };

bool timers_add(struct timers *timers, uint64_t due_us, void *item) {
  if (timers->count == timers->capacity) {
    const size_t capacity = timers->capacity ? timers->capacity * 2 : FIRST_CAPACITY;
    struct timer *const heap = realloc(timers->heap, capacity * sizeof *heap);
    if (!heap) return false;
    timers->heap = heap;
    timers->capacity = capacity;
  }
  size_t at = timers->count++;
  for (; at > 0 && timers->heap[(at - 1) / 2].due_us > due_us; at = (at - 1) / 2)
    timers->heap[at] = timers->heap[(at - 1) / 2];
  timers->heap[at] = (struct timer){due_us, item};
  return true;
}

/* Puts the last timer in the place of the first and lets it sink. */
static void remove_first(struct timers *timers) {
  const struct timer last = timers->heap[--timers->count];
  size_t at = 0;
  for (size_t child = 1; child < timers->count; child = 2 * at + 1) {
    if (child + 1 < timers->count && timers->heap[child + 1].due_us < timers->heap[child].due_us) child++;
    if (timers->heap[child].due_us >= last.due_us) break;
    timers->heap[at] = timers->heap[child];
    at = child;
  }
  if (timers->count > 0) timers->heap[at] = last;
}

void *timers_take(struct timers *timers, uint64_t now_us) {
  if (timers_next_us(timers) > now_us || timers->count == 0) return NULL;
  void *const item = timers->heap[0].item;
  remove_first(timers);
  return item;
}

uint64_t timers_next_us(const struct timers *timers) {
  return timers->count ? timers->heap[0].due_us : UINT64_MAX;
}

void timers_free(struct timers *timers) {
  free(timers->heap);
  *timers = (struct timers){0};
}
