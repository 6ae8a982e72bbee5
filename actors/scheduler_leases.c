// Permits that must be renewed: a lease begins when the grant leaves for its client, each renewal begins it anew, and
// one that ends makes an orphan of the permit. [8_RISKS-REQ-031]
#include "actors/scheduler_private.h"

// Every task with a lease has a place in both heaps, whatever deadlines come and go meanwhile.
bool hg_scheduler_reserve_timers(struct hg_scheduler *scheduler, struct hg_queued_task *task, int64_t lease_us) {
  task->lease_us = lease_us;
  if (lease_us) scheduler->leases++;
  return hg_heap_reserve(&scheduler->deadlines, scheduler->deadlines.count + scheduler->leases + 1) &&
         hg_heap_reserve(&scheduler->untold, scheduler->leases);
}

static void arm(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  hg_heap_put(&scheduler->deadlines, &task->in_deadlines, scheduler->now.monotonic_us + task->lease_us);
}

void hg_scheduler_begin_lease(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  if (!task->lease_us) return;
  if (task->told_at <= scheduler->durable) arm(scheduler, task);
  else hg_heap_put(&scheduler->untold, &task->in_untold, (int64_t)task->told_at);
}

void hg_scheduler_begin_told_leases(struct hg_scheduler *scheduler) {
  int64_t told_at;
  struct hg_heap_node *first;
  while ((first = hg_heap_first(&scheduler->untold, &told_at)) && (uint64_t)told_at <= scheduler->durable) {
    hg_heap_remove(&scheduler->untold, first);
    arm(scheduler, HG_HOLDER(first, struct hg_queued_task, in_untold));
  }
}

static hg_err renew(struct hg_scheduler *scheduler, uint64_t permit) {
  struct hg_queued_task *task = hg_id_map_get(&scheduler->tasks, permit);
  if (hg_scheduler_is_cut_off(scheduler)) return hg_scheduler_cut_off_error(scheduler);
  if (!task || task->state != HG_TASK_RUNNING || task->ending) return HG_ERR_UNKNOWN_PERMIT;
  if (task->lease_us && task->told_at <= scheduler->durable) arm(scheduler, task);
  return HG_OK;
}

void hg_scheduler_renew(struct hg_scheduler *scheduler, hg_peer peer, const struct hg_renew_message *command) {
  struct hg_message done;
  hg_message_init(&done, HG_DONE);
  done.as.done.request = command->request;
  done.as.done.error = (uint32_t)renew(scheduler, command->permit);
  hg_scheduler_tell(scheduler, peer, &done);
}

// While clients are not heard their renewals wait in the pipes.
void hg_scheduler_end_lease(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  hg_heap_remove(&scheduler->deadlines, &task->in_deadlines);
  if (task->ending || hg_scheduler_is_cut_off(scheduler)) return;
  if (hg_scheduler_hears_clients(scheduler)) hg_scheduler_abandon(scheduler, task, true);
  else arm(scheduler, task);
}

void hg_scheduler_forget_lease(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  if (!task->lease_us) return;
  hg_heap_remove(&scheduler->untold, &task->in_untold);
  scheduler->leases--;
}
