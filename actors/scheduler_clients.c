// What clients want of the scheduler. [8_RISKS-REQ-031]
#include "actors/scheduler_private.h"

#include <stdlib.h>
#include <string.h>

// ------------------------------------------------------------------------------------------------------- acquire

// An acquire that is here already: a repetition is no second request.
static void repeat(struct hg_scheduler *scheduler, hg_peer peer, const struct hg_queued_task *task) {
  if (task->peer != peer || task->ending) hg_scheduler_refuse(scheduler, peer, task->request, HG_ERR_CONFLICT);
  else if (task->state == HG_TASK_RUNNING) hg_scheduler_tell_grant(scheduler, task);
}

static hg_err check_acquire(const struct hg_scheduler *scheduler, const struct hg_acquire_message *acquire) {
  if (acquire->request == 0 || acquire->task_id.size > HG_TASK_ID_MAX || acquire->min_tokens < 1 ||
      acquire->max_tokens < acquire->min_tokens || acquire->max_tokens > HG_TOKENS_MAX)
    return HG_ERR_INVALID;
  if (acquire->budget >= scheduler->config->budget_count) return HG_ERR_UNKNOWN_BUDGET;
  if (scheduler->draining) return HG_ERR_CLOSED;
  if (scheduler->given_up) return HG_ERR_STORE;
  if (acquire->parent != 0) {
    const struct hg_queued_task *parent = hg_id_map_get(&scheduler->tasks, acquire->parent);
    if (!parent || parent->state != HG_TASK_RUNNING || parent->ending) return HG_ERR_UNKNOWN_PERMIT;
    if (acquire->from_parent && parent->budget != acquire->budget) return HG_ERR_INVALID;
  } else if (acquire->from_parent) {
    return HG_ERR_INVALID;
  }
  const uint64_t lease_ms = acquire->lease_us / 1000;
  if (acquire->lease_us && (lease_ms < HG_LEASE_MS_MIN || lease_ms > HG_LEASE_MS_MAX)) return HG_ERR_INVALID;
  const uint32_t under_way = scheduler->waiting + scheduler->asked_nested;
  return under_way >= HG_QUEUE_MAX ? HG_ERR_BUSY : HG_OK;
}

static struct hg_queued_task *make_task(struct hg_scheduler *scheduler, hg_peer peer,
                                        const struct hg_acquire_message *acquire) {
  const struct hg_text task_id = acquire->task_id;
  struct hg_queued_task *task = malloc(sizeof *task + task_id.size);
  if (!task) return NULL;
  *task = (struct hg_queued_task){
      .request = acquire->request,
      .parent = acquire->parent,
      .from_parent = acquire->from_parent,
      .waits = acquire->waits,
      .no_wait = acquire->no_wait,
      .number = ++scheduler->arrivals,
      .peer = peer,
      .min_tokens = acquire->min_tokens,
      .max_tokens = acquire->max_tokens,
      .arrival = acquire->first_in_line ? --scheduler->first_arrival : ++scheduler->last_arrival,
      .budget = acquire->budget,
      .attempt = acquire->attempt ? acquire->attempt : 1,
      .task_size = task_id.size,
  };
  if (task_id.size) memcpy(task->task_id, task_id.data, task_id.size);
  const bool owned = hg_scheduler_own(scheduler, task);
  if (!owned || !hg_id_map_put(&scheduler->tasks, task->request, task)) {
    if (owned) hg_scheduler_disown(scheduler, task);
    free(task);
    return NULL;
  }
  struct hg_queued_task *parent = hg_id_map_get(&scheduler->tasks, task->parent);
  if (parent) hg_family_join(&task->family, &parent->family);
  return task;
}

static bool set_timers(struct hg_scheduler *scheduler, struct hg_queued_task *task,
                       const struct hg_acquire_message *acquire) {
  const int64_t now = scheduler->now.monotonic_us;
  if (!hg_scheduler_reserve_timers(scheduler, task, (int64_t)acquire->lease_us)) return false;
  if (acquire->timeout_us != 0 && acquire->timeout_us < (uint64_t)(HG_NEVER - now))
    hg_heap_put(&scheduler->deadlines, &task->in_deadlines, now + (int64_t)acquire->timeout_us);
  return true;
}

static void acquire_permit(struct hg_scheduler *scheduler, hg_peer peer, const struct hg_acquire_message *acquire) {
  const struct hg_queued_task *known = hg_id_map_get(&scheduler->tasks, acquire->request);
  if (known) {
    repeat(scheduler, peer, known);
    return;
  }
  const hg_err err = check_acquire(scheduler, acquire);
  if (err != HG_OK) {
    hg_scheduler_refuse(scheduler, peer, acquire->request, err);
    return;
  }
  struct hg_queued_task *task = make_task(scheduler, peer, acquire);
  const bool ready = task && set_timers(scheduler, task, acquire);
  if (ready && task->parent) {
    hg_scheduler_ask(scheduler, task);
  } else if (!ready || !hg_scheduler_put_in_line(scheduler, task)) {
    hg_scheduler_refuse(scheduler, peer, acquire->request, HG_ERR_NO_MEMORY);
    if (task) hg_scheduler_drop(scheduler, task);
  }
}

static bool can_be_given_back(const struct hg_scheduler *scheduler, const struct hg_queued_task *task) {
  return task->state == HG_TASK_RUNNING && !task->left && !task->ending && !hg_scheduler_is_cut_off(scheduler);
}

static void cancel(struct hg_scheduler *scheduler, hg_peer peer, const struct hg_cancel_message *command) {
  struct hg_queued_task *task = hg_id_map_get(&scheduler->tasks, command->request);
  if (!task || task->peer != peer) return;
  if (command->give_back && can_be_given_back(scheduler, task)) hg_scheduler_give_back(scheduler, task);
  else hg_scheduler_give_up(scheduler, task, HG_ERR_CANCELLED);
}

// -------------------------------------------------------------------------------------- passed on to the tracker

void hg_scheduler_abandon(struct hg_scheduler *scheduler, struct hg_queued_task *task, bool expired) {
  struct hg_message message;
  hg_message_init(&message, HG_ABANDON);
  message.as.abandon.permit = task->request;
  message.as.abandon.expired = expired;
  task->ending = true;
  hg_outbox_put(scheduler->out, HG_PORT_DECISIONS, 0, &message);
  if (!hg_scheduler_push_question(scheduler, (struct hg_question){.id = task->request, .own = true}))
    scheduler->out->failed = true;
}

static void leave(struct hg_scheduler *scheduler, hg_peer peer) {
  struct hg_queued_task *its = NULL, *task;
  for (size_t at = 0; (task = hg_id_map_next(&scheduler->tasks, &at));) {
    if (task->peer != peer || task->left) continue;
    task->left = true;
    task->next = its;
    its = task;
  }
  while ((task = its)) {
    its = task->next;
    if (task->state != HG_TASK_RUNNING) hg_scheduler_give_up(scheduler, task, HG_ERR_CANCELLED);
    else if (task->ending || hg_scheduler_is_cut_off(scheduler)) continue;
    else if (task->told_at > scheduler->durable) hg_scheduler_give_back(scheduler, task);
    else hg_scheduler_abandon(scheduler, task, false);
  }
}

// A grant that came back: its owner is gone and never knew of it.
static void take_back(struct hg_scheduler *scheduler, hg_peer peer, uint64_t request) {
  struct hg_queued_task *task = hg_id_map_get(&scheduler->tasks, request);
  if (!task || task->peer != peer || !can_be_given_back(scheduler, task)) return;
  task->left = true;
  hg_scheduler_give_back(scheduler, task);
}

// Does the answer keep its place in the line of questions? Not when nothing here depends on it: how a permit of an
// earlier life ended has to be looked up in the ledger, and nobody shall wait behind that.
static hg_err enter(struct hg_scheduler *scheduler, hg_peer peer, uint64_t permit, uint64_t *asker) {
  *asker = 0;
  if (hg_scheduler_is_cut_off(scheduler)) return hg_scheduler_cut_off_error(scheduler);
  if (hg_id_map_get(&scheduler->tasks, permit)) {
    const struct hg_question question = {.id = permit, .peer = peer};
    return hg_scheduler_push_question(scheduler, question) ? HG_OK : HG_ERR_NO_MEMORY;
  }
  scheduler->late++;
  *asker = peer;
  return HG_OK;
}

// A settle or release goes to the tracker.
static void pass_on(struct hg_scheduler *scheduler, const struct hg_envelope *in) {
  struct hg_message ending = in->message;
  const bool settles = ending.kind == HG_SETTLE;
  const uint64_t permit = settles ? ending.as.settle.permit : ending.as.release.permit;
  uint64_t *asker = settles ? &ending.as.settle.asker : &ending.as.release.asker;
  const hg_err err = enter(scheduler, in->peer, permit, asker);
  if (err == HG_OK) {
    hg_outbox_put(scheduler->out, HG_PORT_DECISIONS, 0, &ending);
    return;
  }
  struct hg_message settled;
  hg_message_init(&settled, HG_SETTLED);
  settled.as.settled.permit = permit;
  settled.as.settled.error = (uint32_t)err;
  hg_scheduler_tell(scheduler, in->peer, &settled);
}

static void set_max_concurrency(struct hg_scheduler *scheduler, hg_peer peer,
                                const struct hg_set_max_concurrency_message *command) {
  const struct hg_question question = {.id = command->request, .peer = peer, .count = command->count};
  const bool in_range = command->count >= 1 && command->count <= HG_CONCURRENCY_MAX;
  const bool cut_off = hg_scheduler_is_cut_off(scheduler);
  struct hg_message message;
  if (in_range && !cut_off && hg_scheduler_push_question(scheduler, question)) {
    scheduler->max_concurrency = command->count;
    hg_message_init(&message, HG_MAX_CONCURRENCY);
    message.as.max_concurrency.count = command->count;
    hg_outbox_put(scheduler->out, HG_PORT_DECISIONS, 0, &message);
  } else {
    hg_message_init(&message, HG_DONE);
    message.as.done.request = command->request;
    message.as.done.error = !in_range ? HG_ERR_RANGE
                            : cut_off ? (uint32_t)hg_scheduler_cut_off_error(scheduler)
                                      : HG_ERR_NO_MEMORY;
    hg_scheduler_tell(scheduler, peer, &message);
  }
}

// ----------------------------------------------------------------------------------------------------- questions

static void get_queue(struct hg_scheduler *scheduler, hg_peer peer, uint64_t request) {
  struct hg_message answer;
  hg_message_init(&answer, HG_QUEUE);
  struct hg_queue_message *queue = &answer.as.queue;
  queue->request = request;
  queue->max_concurrency = scheduler->max_concurrency;
  queue->effective_concurrency = hg_scheduler_effective(scheduler, scheduler->max_concurrency);
  queue->running = scheduler->running_slots;
  queue->waiting = scheduler->waiting + scheduler->asked_slots + scheduler->asked_nested;
  uint32_t budget = 0;
  const struct hg_queued_task *first = hg_task_queue_first(&scheduler->in_line);
  const struct hg_block *block = hg_blocks_first(&scheduler->blocks, &budget);
  if (block && (!first || block->waiter->arrival < first->arrival)) {
    first = block->waiter;
    queue->blocked = true;
    queue->budget = budget;
    queue->throttled = block->throttled;
  }
  if (first) queue->needed = first->min_tokens;
  hg_scheduler_tell_durable(scheduler, peer, &answer);
}

static void get_waiting(struct hg_scheduler *scheduler, hg_peer peer, const struct hg_get_waiting_message *question) {
  struct hg_message answer;
  hg_message_init(&answer, HG_WAITING);
  struct hg_waiting_message *waiting = &answer.as.waiting;
  waiting->request = question->request;
  uint32_t budget = question->from, nested_budget = question->from, nested = 0;
  const struct hg_queued_task *first = hg_task_queue_next_waiting(&scheduler->in_line, &budget, &waiting->count);
  const struct hg_queued_task *other = hg_task_queue_next_waiting(&scheduler->nested, &nested_budget, &nested);
  if (other && (!first || nested_budget < budget)) {
    first = other;
    budget = nested_budget;
    waiting->count = nested;
  } else if (other && nested_budget == budget) {
    waiting->count += nested;
  }
  if (first) {
    waiting->budget = budget;
    waiting->needed = first->min_tokens;
    waiting->task_id = (struct hg_text){first->task_id, first->task_size};
    uint32_t at = budget;
    while (at != 0 && !scheduler->blocks.at[at].blocked)
      at = scheduler->config->budgets[at].parent;
    waiting->blocked = scheduler->blocks.at[at].blocked;
    waiting->throttled = waiting->blocked && scheduler->blocks.at[at].throttled;
    waiting->waits_for = waiting->blocked ? at : 0;
  }
  hg_scheduler_tell_durable(scheduler, peer, &answer);
}

void hg_scheduler_from_client(struct hg_scheduler *scheduler, const struct hg_envelope *in) {
  const struct hg_message *message = &in->message;
  if (message->kind == HG_ACQUIRE) acquire_permit(scheduler, in->peer, &message->as.acquire);
  else if (message->kind == HG_SETTLE || message->kind == HG_RELEASE) pass_on(scheduler, in);
  else if (message->kind == HG_RENEW) hg_scheduler_renew(scheduler, in->peer, &message->as.renew);
  else if (message->kind == HG_CANCEL) cancel(scheduler, in->peer, &message->as.cancel);
  else if (message->kind == HG_SET_MAX_CONCURRENCY)
    set_max_concurrency(scheduler, in->peer, &message->as.set_max_concurrency);
  else if (message->kind == HG_GET_QUEUE) get_queue(scheduler, in->peer, message->as.get_queue.request);
  else if (message->kind == HG_GET_WAITING) get_waiting(scheduler, in->peer, &message->as.get_waiting);
  else if (message->kind == HG_LEAVE) leave(scheduler, in->peer);
  else if (message->kind == HG_GRANTED) take_back(scheduler, in->peer, message->as.granted.request);
}
