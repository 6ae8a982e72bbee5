// Who asks next. Each budget has a line of tasks in the order of their arrival and a heap of its children by their
// first task, so the first task of a whole tree is found, and a budget with all that is below it is taken out of the
// line, in O(depth · log n). [8_RISKS-REQ-031]
#ifndef HG_TASK_QUEUE_H
#define HG_TASK_QUEUE_H

#include "actors/actor.h"
#include "actors/family.h"
#include "actors/heap.h"
#include "config/config.h"

enum hg_task_state {
  HG_TASK_QUEUED, // in line
  HG_TASK_ASKED,  // the tracker was asked and has not answered
  HG_TASK_RUNNING // its permit is open
};

// An acquire, from its arrival to the close of its permit.
struct hg_queued_task {
  struct hg_heap_node in_line, in_deadlines, in_untold;
  struct hg_queued_task *next;                       // while a set of tasks is gathered
  struct hg_queued_task *before_stuck, *after_stuck; // as long as its client waits for it (scheduler_owners.c)
  struct hg_task_owner *owner;
  uint64_t request;
  uint64_t parent;         // the task in whose slot it asks to run; 0: it needs one of its own
  struct hg_family family; // its parent as long as that runs
  uint64_t number;         // acquires are counted as they come
  hg_peer peer;
  int64_t min_tokens, max_tokens;
  int64_t granted;
  int64_t lease_us; // 0: none
  uint64_t told_at; // its GRANTED leaves when this row of the journal is durable
  int64_t arrival;  // its place in line
  uint32_t budget, attempt;
  uint32_t blocks;   // 1 + the budget that is blocked because of it; 0: none
  uint32_t given_up; // asked, but no longer wanted: the hg_err to answer
  enum hg_task_state state;
  bool left;        // its client is gone: nobody to answer
  bool ending;      // the scheduler gives its permit back, or makes an orphan of it
  bool from_parent; // its reservation comes out of its parent's
  bool waits;       // its client does nothing else until it is answered
  bool no_wait;     // it is refused where it would have to wait for tokens
  uint32_t task_size;
  char task_id[];
};
static_assert(sizeof(struct hg_queued_task) + HG_TASK_ID_MAX <= 512, "a task takes at most 512 bytes");

struct hg_task_queue {
  struct hg_line {
    struct hg_heap tasks, children;
    struct hg_heap_node in_parent;
    uint32_t parent;
    bool blocked;
  } * lines; // by budget
  uint32_t count;
};

bool hg_task_queue_init(struct hg_task_queue *queue, const struct hg_config *config); // false: no memory
void hg_task_queue_destroy(struct hg_task_queue *queue);                              // not the tasks
bool hg_task_queue_put(struct hg_task_queue *queue, struct hg_queued_task *task);     // false: no memory
void hg_task_queue_remove(struct hg_task_queue *queue, struct hg_queued_task *task);
// The first task on whose path no budget is blocked; NULL: none.
struct hg_queued_task *hg_task_queue_first(const struct hg_task_queue *queue);
// The first budget from *budget on that tasks of its own wait in: it, their number, and the first of them. NULL: none.
struct hg_queued_task *hg_task_queue_next_waiting(const struct hg_task_queue *queue, uint32_t *budget, uint32_t *count);
void hg_task_queue_block(struct hg_task_queue *queue, uint32_t budget, bool blocked);

#endif
