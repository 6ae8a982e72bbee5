// Which budgets are blocked: somebody in line waits for them, so nobody behind may ask. A block ends when there is room
// and every request that was under way when it began is answered; those come back in line before anyone asks again.
// [8_RISKS-REQ-031]
#ifndef HG_BLOCKS_H
#define HG_BLOCKS_H

#include "actors/task_queue.h"

struct hg_blocks {
  struct hg_block {
    struct hg_heap_node in_waiters, in_reopening;
    struct hg_queued_task *waiter; // the one in line that waits for it; NULL: gone, or not blocked
    uint64_t barrier;              // requests asked when it began
    bool blocked, throttled;       // throttled: it waits for a slot under the throttle, not for tokens
  } * at;                          // by budget
  uint32_t count;
  struct hg_heap waiters;   // blocks by the arrival of their waiters
  struct hg_heap reopening; // blocks that have room, by their barriers
};

bool hg_blocks_init(struct hg_blocks *blocks, uint32_t budget_count); // false: no memory
void hg_blocks_destroy(struct hg_blocks *blocks);
// The budget is blocked from now on, because of `waiter`; `asked` requests were made so far.
void hg_blocks_begin(struct hg_blocks *blocks, uint32_t budget, struct hg_queued_task *waiter, bool throttled,
                     uint64_t asked);
// There is room in the budget: its block ends as soon as it can.
void hg_blocks_room(struct hg_blocks *blocks, uint32_t budget);
// The task no longer waits: what it blocked has room for others.
void hg_blocks_forget(struct hg_blocks *blocks, struct hg_queued_task *waiter);
// Ends a block that can end now that `answered` requests are answered, and says whose; false: none.
bool hg_blocks_end(struct hg_blocks *blocks, uint64_t answered, uint32_t *budget);
// The block whose waiter is first in line; NULL: none.
const struct hg_block *hg_blocks_first(const struct hg_blocks *blocks, uint32_t *budget);

#endif
