// Who holds slots while it waits for more. A client in a waiting acquire does nothing else, so its permits do not come
// free; when all slots are held by such clients, one of them has to hear that it would wait for ever. [8_RISKS-REQ-031]
#include "actors/scheduler_private.h"

#include <stdlib.h>

bool hg_scheduler_own(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  struct hg_task_owner *owner = hg_id_map_get(&scheduler->owners, task->peer);
  if (!owner) {
    owner = calloc(1, sizeof *owner);
    if (!owner || !hg_id_map_put(&scheduler->owners, task->peer, owner)) {
      free(owner);
      return false;
    }
    owner->peer = task->peer;
  }
  owner->tasks++;
  task->owner = owner;
  return true;
}

void hg_scheduler_disown(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  struct hg_task_owner *owner = task->owner;
  if (--owner->tasks > 0) return;
  assert(owner->slots == 0 && owner->waiting == 0);
  hg_id_map_remove(&scheduler->owners, owner->peer);
  free(owner);
}

static void count_slot(struct hg_scheduler *scheduler, const struct hg_queued_task *task, int change) {
  scheduler->running_slots += (uint32_t)change;
  task->owner->slots += (uint32_t)change;
  if (task->owner->waiting) scheduler->stuck_slots += (uint32_t)change;
}

void hg_scheduler_take_slot(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  if (task->parent) {
    struct hg_queued_task *parent = hg_id_map_get(&scheduler->tasks, task->parent);
    assert(parent && parent->state == HG_TASK_RUNNING); // its close would have come before this grant
    parent->children++;
    scheduler->running_nested++;
  } else {
    count_slot(scheduler, task, +1);
  }
}

// The first that runs in a slot after the task that held it has it now, the others are its children.
static void hand_on(struct hg_scheduler *scheduler, struct hg_queued_task *task, struct hg_queued_task *heir) {
  struct hg_queued_task *child;
  for (size_t at = 0; task->children > 0 && (child = hg_id_map_next(&scheduler->tasks, &at));) {
    if (child->parent != task->request || child->state != HG_TASK_RUNNING) continue;
    task->children--;
    child->parent = heir ? heir->request : 0;
    if (heir) {
      heir->children++;
    } else {
      heir = child;
      scheduler->running_nested--;
      count_slot(scheduler, heir, +1);
    }
  }
}

void hg_scheduler_free_slot(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  struct hg_queued_task *parent = task->parent ? hg_id_map_get(&scheduler->tasks, task->parent) : NULL;
  if (parent) {
    parent->children--;
    scheduler->running_nested--;
  } else {
    count_slot(scheduler, task, -1);
  }
  hand_on(scheduler, task, parent);
}

// Nested work needs no slot.
static bool needs_watching(const struct hg_queued_task *task) {
  return task->waits && !task->parent;
}

void hg_scheduler_begin_wait(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  if (!needs_watching(task)) return;
  task->before_stuck = scheduler->last_stuck;
  task->after_stuck = NULL;
  if (scheduler->last_stuck) scheduler->last_stuck->after_stuck = task;
  scheduler->last_stuck = task;
  if (task->owner->waiting++ == 0) scheduler->stuck_slots += task->owner->slots;
}

void hg_scheduler_end_wait(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  if (!needs_watching(task)) return;
  if (task->before_stuck) task->before_stuck->after_stuck = task->after_stuck;
  if (task->after_stuck) task->after_stuck->before_stuck = task->before_stuck;
  else scheduler->last_stuck = task->before_stuck;
  if (--task->owner->waiting == 0) scheduler->stuck_slots -= task->owner->slots;
}

// What is under way to the tracker may still free a slot, or take one.
struct hg_queued_task *hg_scheduler_deadlocked(const struct hg_scheduler *scheduler) {
  const uint32_t effective = hg_scheduler_effective(scheduler, scheduler->max_concurrency);
  if (scheduler->asked_slots > 0 || scheduler->questions.count > 0 || scheduler->running_slots < effective ||
      scheduler->stuck_slots < scheduler->running_slots)
    return NULL;
  struct hg_queued_task *newest = NULL;
  for (struct hg_queued_task *task = scheduler->last_stuck; task; task = task->before_stuck)
    if (task->owner->slots > 0 && (!newest || task->number > newest->number)) newest = task;
  return newest;
}

void hg_scheduler_forget_owners(struct hg_scheduler *scheduler) {
  size_t at = 0;
  for (void *owner; (owner = hg_id_map_next(&scheduler->owners, &at));)
    free(owner);
  hg_id_map_destroy(&scheduler->owners);
}
