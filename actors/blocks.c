// The blocks of blocks.h. [8_RISKS-REQ-031]
#include "actors/blocks.h"

#include <stdlib.h>

bool hg_blocks_init(struct hg_blocks *blocks, uint32_t budget_count) {
  *blocks = (struct hg_blocks){.at = calloc(budget_count, sizeof *blocks->at), .count = budget_count};
  return blocks->at && hg_heap_reserve(&blocks->waiters, budget_count) &&
         hg_heap_reserve(&blocks->reopening, budget_count);
}

void hg_blocks_destroy(struct hg_blocks *blocks) {
  hg_heap_destroy(&blocks->waiters);
  hg_heap_destroy(&blocks->reopening);
  free(blocks->at);
  *blocks = (struct hg_blocks){0};
}

static void drop_waiter(struct hg_blocks *blocks, struct hg_block *block) {
  if (block->waiter) block->waiter->blocks = 0;
  block->waiter = NULL;
  hg_heap_remove(&blocks->waiters, &block->in_waiters);
}

void hg_blocks_begin(struct hg_blocks *blocks, uint32_t budget, struct hg_queued_task *waiter, bool throttled,
                     uint64_t asked) {
  struct hg_block *block = &blocks->at[budget];
  assert(waiter->blocks == 0);
  hg_heap_remove(&blocks->reopening, &block->in_reopening);
  block->barrier = asked;
  block->blocked = true;
  block->throttled = throttled;
  if (block->waiter) return; // somebody waits for it already; a nested one came later
  block->waiter = waiter;
  waiter->blocks = budget + 1;
  hg_heap_put(&blocks->waiters, &block->in_waiters, waiter->arrival);
}

void hg_blocks_room(struct hg_blocks *blocks, uint32_t budget) {
  struct hg_block *block = &blocks->at[budget];
  if (block->blocked) hg_heap_put(&blocks->reopening, &block->in_reopening, (int64_t)block->barrier);
}

void hg_blocks_forget(struct hg_blocks *blocks, struct hg_queued_task *waiter) {
  if (waiter->blocks == 0) return;
  const uint32_t budget = waiter->blocks - 1;
  drop_waiter(blocks, &blocks->at[budget]);
  hg_blocks_room(blocks, budget);
}

bool hg_blocks_end(struct hg_blocks *blocks, uint64_t answered, uint32_t *budget) {
  int64_t barrier;
  struct hg_heap_node *first = hg_heap_first(&blocks->reopening, &barrier);
  if (!first || (uint64_t)barrier > answered) return false;
  struct hg_block *block = HG_HOLDER(first, struct hg_block, in_reopening);
  hg_heap_remove(&blocks->reopening, first);
  drop_waiter(blocks, block);
  block->blocked = false;
  *budget = (uint32_t)(block - blocks->at);
  return true;
}

const struct hg_block *hg_blocks_first(const struct hg_blocks *blocks, uint32_t *budget) {
  int64_t arrival;
  struct hg_heap_node *first = hg_heap_first(&blocks->waiters, &arrival);
  if (!first) return NULL;
  const struct hg_block *block = HG_HOLDER(first, struct hg_block, in_waiters);
  *budget = (uint32_t)(block - blocks->at);
  return block;
}
