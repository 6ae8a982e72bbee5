// Who holds permits while it waits for more. A client in a waiting acquire does nothing else, so its permits do not
// end; when all that are open are of such clients, one of them has to hear that it would wait for ever.
// [8_RISKS-REQ-031]
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
  assert(owner->permits == 0 && owner->waiting == 0);
  hg_id_map_remove(&scheduler->owners, owner->peer);
  free(owner);
}

static void count_permit(struct hg_scheduler *scheduler, const struct hg_queued_task *task, int change) {
  task->owner->permits += (uint32_t)change;
  if (task->owner->waiting) scheduler->stuck_permits += (uint32_t)change;
}

void hg_scheduler_take_slot(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  assert(!task->parent || task->family.parent); // its parent's close would have come before this grant
  if (task->parent) scheduler->running_nested++;
  else scheduler->running_slots++;
  count_permit(scheduler, task, +1);
}

static void give_up_waiting_children(struct hg_scheduler *scheduler, const struct hg_queued_task *task) {
  struct hg_family *next;
  for (struct hg_family *member = task->family.first_child; member; member = next) {
    struct hg_queued_task *child = HG_HOLDER(member, struct hg_queued_task, family);
    next = member->after;
    if (child->state == HG_TASK_QUEUED) hg_scheduler_give_up(scheduler, child, HG_ERR_UNKNOWN_PERMIT);
    else if (child->state == HG_TASK_ASKED) hg_family_leave(member); // the tracker will say the same
  }
}

void hg_scheduler_free_slot(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  give_up_waiting_children(scheduler, task);
  const bool is_nested = task->family.parent != NULL;
  const bool has_heir = hg_family_leave(&task->family) != NULL;
  if (is_nested || has_heir) scheduler->running_nested--;
  else scheduler->running_slots--;
  count_permit(scheduler, task, -1);
}

void hg_scheduler_begin_wait(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  if (!task->waits) return;
  task->before_stuck = scheduler->last_stuck;
  task->after_stuck = NULL;
  if (scheduler->last_stuck) scheduler->last_stuck->after_stuck = task;
  scheduler->last_stuck = task;
  if (task->owner->waiting++ == 0) scheduler->stuck_permits += task->owner->permits;
}

void hg_scheduler_end_wait(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  if (!task->waits) return;
  if (task->before_stuck) task->before_stuck->after_stuck = task->after_stuck;
  if (task->after_stuck) task->after_stuck->before_stuck = task->before_stuck;
  else scheduler->last_stuck = task->before_stuck;
  if (--task->owner->waiting == 0) scheduler->stuck_permits -= task->owner->permits;
}

// What is under way to the tracker may still be granted, or end a permit. Whatever can be asked for has been.
struct hg_queued_task *hg_scheduler_deadlocked(const struct hg_scheduler *scheduler) {
  const uint32_t open = scheduler->running_slots + scheduler->running_nested;
  if (scheduler->asked_slots + scheduler->asked_nested > 0 || scheduler->questions.count > 0 ||
      scheduler->stuck_permits < open)
    return NULL;
  struct hg_queued_task *newest = NULL;
  for (struct hg_queued_task *task = scheduler->last_stuck; task; task = task->before_stuck)
    if (task->owner->permits > 0 && (!newest || task->number > newest->number)) newest = task;
  return newest;
}

void hg_scheduler_forget_owners(struct hg_scheduler *scheduler) {
  size_t at = 0;
  for (void *owner; (owner = hg_id_map_next(&scheduler->owners, &at));)
    free(owner);
  hg_id_map_destroy(&scheduler->owners);
}
