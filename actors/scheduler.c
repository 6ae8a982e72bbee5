// The scheduler's turns: slots, deadlines, drain and stop. [8_RISKS-REQ-031]
#include "actors/scheduler_private.h"

#include <stdlib.h>

// Commands under way to the tracker; past it clients are not heard until it has answered.
#define QUESTIONS_MAX 65536
static_assert(QUESTIONS_MAX + HG_CONCURRENCY_MAX + HG_BURST < HG_LINK_HWM, "the way to the tracker is never full");

void hg_scheduler_tell(struct hg_scheduler *scheduler, hg_peer peer, const struct hg_message *answer) {
  hg_outbox_put(scheduler->out, HG_PORT_CLIENTS, peer, answer);
}

void hg_scheduler_tell_durable(struct hg_scheduler *scheduler, hg_peer peer, const struct hg_message *answer) {
  if (scheduler->given_up) hg_scheduler_tell_lost(scheduler, peer, answer);
  else if (scheduler->seq <= scheduler->durable) hg_scheduler_tell(scheduler, peer, answer);
  else if (!hg_held_put(&scheduler->held, scheduler->seq, HG_PORT_CLIENTS, peer, answer)) scheduler->out->failed = true;
}

void hg_scheduler_tell_grant(struct hg_scheduler *scheduler, const struct hg_queued_task *task) {
  struct hg_message granted;
  hg_message_init(&granted, HG_GRANTED);
  granted.as.granted.request = task->request;
  granted.as.granted.tokens = task->granted;
  hg_scheduler_tell_durable(scheduler, task->peer, &granted);
}

void hg_scheduler_refuse(struct hg_scheduler *scheduler, hg_peer peer, uint64_t request, hg_err err) {
  if (err == HG_ERR_BUSY) hg_count(scheduler->out, busy_refusals);
  struct hg_message refused;
  hg_message_init(&refused, HG_REFUSED);
  refused.as.refused.request = request;
  refused.as.refused.error = (uint32_t)err;
  hg_scheduler_tell(scheduler, peer, &refused);
}

// -------------------------------------------------------------------------------------- questions to the tracker

bool hg_scheduler_push_question(struct hg_scheduler *scheduler, struct hg_question question) {
  struct hg_questions *all = &scheduler->questions;
  if (all->count == all->capacity) {
    const uint32_t capacity = all->capacity ? 2 * all->capacity : 64;
    struct hg_question *ring = malloc(capacity * sizeof *ring);
    if (!ring) return false;
    for (uint32_t i = 0; i < all->count; i++)
      ring[i] = all->ring[(all->first + i) & (all->capacity - 1)];
    free(all->ring);
    *all = (struct hg_questions){.ring = ring, .count = all->count, .capacity = capacity};
  }
  all->ring[(all->first + all->count++) & (all->capacity - 1)] = question;
  return true;
}

struct hg_question hg_scheduler_pop_question(struct hg_scheduler *scheduler) {
  struct hg_questions *all = &scheduler->questions;
  assert(all->count > 0);
  const struct hg_question first = all->ring[all->first];
  all->first = (all->first + 1) & (all->capacity - 1);
  all->count--;
  return first;
}

// -------------------------------------------------------------------------------------------------- life of a task

static struct hg_task_queue *line_of(struct hg_scheduler *scheduler, const struct hg_queued_task *task) {
  return task->parent ? &scheduler->nested : &scheduler->in_line;
}

bool hg_scheduler_put_in_line(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  if (!hg_task_queue_put(line_of(scheduler, task), task)) return false;
  task->state = HG_TASK_QUEUED;
  scheduler->waiting++;
  hg_scheduler_begin_wait(scheduler, task);
  return true;
}

static void take_out_of_line(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  assert(task->state == HG_TASK_QUEUED);
  hg_task_queue_remove(line_of(scheduler, task), task);
  scheduler->waiting--;
  hg_scheduler_end_wait(scheduler, task);
}

void hg_scheduler_drop(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  hg_heap_remove(&scheduler->deadlines, &task->in_deadlines);
  hg_scheduler_forget_lease(scheduler, task);
  hg_blocks_forget(&scheduler->blocks, task);
  hg_family_leave(&task->family);
  hg_id_map_remove(&scheduler->tasks, task->request);
  hg_scheduler_disown(scheduler, task);
  free(task);
}

void hg_scheduler_ask(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  struct hg_message message;
  hg_message_init(&message, HG_RESERVE);
  struct hg_reserve_message *reserve = &message.as.reserve;
  reserve->permit = task->request;
  reserve->budget = task->budget;
  reserve->min_tokens = task->min_tokens;
  reserve->max_tokens = task->max_tokens;
  reserve->heard = scheduler->heard;
  reserve->task_id = (struct hg_text){task->task_id, task->task_size};
  reserve->attempt = task->attempt;
  reserve->parent = task->parent;
  reserve->from_parent = task->from_parent;
  reserve->waiting = scheduler->waiting;
  hg_outbox_put(scheduler->out, HG_PORT_DECISIONS, 0, &message);
  task->state = HG_TASK_ASKED;
  scheduler->asked++;
  if (task->parent) scheduler->asked_nested++;
  else scheduler->asked_slots++;
}

void hg_scheduler_give_up(struct hg_scheduler *scheduler, struct hg_queued_task *task, hg_err err) {
  if (task->state == HG_TASK_QUEUED) {
    if (!task->left) hg_scheduler_refuse(scheduler, task->peer, task->request, err);
    take_out_of_line(scheduler, task);
    hg_scheduler_drop(scheduler, task);
  } else if (task->state == HG_TASK_ASKED) {
    if (!task->given_up || task->given_up == HG_ERR_TIMEOUT) task->given_up = (uint32_t)err;
    hg_heap_remove(&scheduler->deadlines, &task->in_deadlines);
  }
}

// ---------------------------------------------------------------------------------------------------------- slots

uint32_t hg_scheduler_effective(const struct hg_scheduler *scheduler, uint32_t max_concurrency) {
  const uint32_t throttled = scheduler->config->throttled_concurrency;
  return scheduler->throttled && throttled < max_concurrency ? throttled : max_concurrency;
}

static void end_blocks(struct hg_scheduler *scheduler) {
  uint32_t budget;
  while (hg_blocks_end(&scheduler->blocks, scheduler->answered, &budget)) {
    hg_task_queue_block(&scheduler->in_line, budget, false);
    hg_task_queue_block(&scheduler->nested, budget, false);
  }
}

// Asks for all that may be asked for now: nested tasks have a slot already, the others need one (I5).
static void ask_more(struct hg_scheduler *scheduler) {
  end_blocks(scheduler);
  struct hg_queued_task *task;
  while ((task = hg_task_queue_first(&scheduler->nested))) {
    take_out_of_line(scheduler, task);
    hg_scheduler_ask(scheduler, task);
  }
  const uint32_t effective = hg_scheduler_effective(scheduler, scheduler->max_concurrency);
  while (scheduler->asked_slots + scheduler->running_slots < effective &&
         (task = hg_task_queue_first(&scheduler->in_line))) {
    take_out_of_line(scheduler, task);
    hg_scheduler_ask(scheduler, task);
  }
}

static int64_t expire(struct hg_scheduler *scheduler) {
  int64_t deadline;
  struct hg_heap_node *first;
  while ((first = hg_heap_first(&scheduler->deadlines, &deadline)) && deadline <= scheduler->now.monotonic_us) {
    struct hg_queued_task *task = HG_HOLDER(first, struct hg_queued_task, in_deadlines);
    if (task->state == HG_TASK_RUNNING) hg_scheduler_end_lease(scheduler, task);
    else hg_scheduler_give_up(scheduler, task, HG_ERR_TIMEOUT);
  }
  return deadline;
}

static void refuse_deadlocked(struct hg_scheduler *scheduler) {
  struct hg_queued_task *task;
  while ((task = hg_scheduler_deadlocked(scheduler))) {
    hg_scheduler_give_up(scheduler, task, HG_ERR_WOULD_DEADLOCK);
    ask_more(scheduler); // those that waited behind it
  }
}

// ------------------------------------------------------------------------------------------------- drain and stop

void hg_scheduler_give_up_all(struct hg_scheduler *scheduler, hg_err err) {
  struct hg_queued_task *all = NULL, *task;
  for (size_t at = 0; (task = hg_id_map_next(&scheduler->tasks, &at));) {
    task->next = all;
    all = task;
  }
  while ((task = all)) {
    all = task->next;
    hg_scheduler_give_up(scheduler, task, err);
  }
}

static void drain(struct hg_scheduler *scheduler, uint64_t timeout_us) {
  const int64_t now = scheduler->now.monotonic_us;
  scheduler->draining = true;
  scheduler->drain_until = timeout_us < (uint64_t)(HG_NEVER - now) ? now + (int64_t)timeout_us : HG_NEVER;
  hg_scheduler_give_up_all(scheduler, HG_ERR_CLOSED);
}

static bool is_idle(const struct hg_scheduler *scheduler) {
  return scheduler->asked_slots + scheduler->asked_nested == 0 && scheduler->questions.count == 0 &&
         scheduler->late == 0 && scheduler->held.count == 0;
}

static void tell_drained(struct hg_scheduler *scheduler) {
  const uint32_t open = scheduler->running_slots + scheduler->running_nested;
  const bool done = (open == 0 || scheduler->given_up) && is_idle(scheduler);
  if (scheduler->drained || (!done && scheduler->now.monotonic_us < scheduler->drain_until)) return;
  scheduler->drained = true;
  struct hg_message drained;
  hg_message_init(&drained, HG_DRAINED);
  drained.as.drained.open_permits = open;
  hg_outbox_put(scheduler->out, HG_PORT_LIFE, 0, &drained);
}

static void tell_stopped(struct hg_scheduler *scheduler) {
  if (!scheduler->stop_now && !is_idle(scheduler)) return;
  hg_outbox_finish(scheduler->out, HG_OK, NULL);
}

// ---------------------------------------------------------------------------------------------------------- turns

static void receive(void *self, struct hg_now now, const struct hg_envelope *in, struct hg_outbox *out) {
  struct hg_scheduler *scheduler = self;
  scheduler->now = now;
  scheduler->out = out;
  if (in->port == HG_PORT_CLIENTS) {
    hg_scheduler_from_client(scheduler, in);
  } else if (in->port == HG_PORT_DECISIONS) {
    hg_scheduler_from_tracker(scheduler, &in->message);
  } else if (in->port == HG_PORT_LIFE && in->message.kind == HG_DRAIN) {
    drain(scheduler, in->message.as.drain.timeout_us);
  } else if (in->port == HG_PORT_LIFE && in->message.kind == HG_STOP) {
    if (!scheduler->draining) drain(scheduler, 0);
    scheduler->drained = true; // nobody waits for that word any more
    scheduler->stopping = true;
    scheduler->stop_now |= in->message.as.stop.now;
  }
}

static int64_t flush(void *self, struct hg_now now, struct hg_outbox *out) {
  struct hg_scheduler *scheduler = self;
  scheduler->now = now;
  scheduler->out = out;
  ask_more(scheduler); // a request that waits for nothing is asked for once, whatever its deadline
  int64_t wake = expire(scheduler);
  ask_more(scheduler); // those that waited behind the expired
  refuse_deadlocked(scheduler);
  if (scheduler->draining) tell_drained(scheduler);
  if (scheduler->draining && !scheduler->drained && scheduler->drain_until < wake) wake = scheduler->drain_until;
  if (scheduler->stopping) tell_stopped(scheduler);
  return wake;
}

bool hg_scheduler_hears_clients(const struct hg_scheduler *scheduler) {
  return scheduler->questions.count + scheduler->late < QUESTIONS_MAX;
}

static uint32_t listens(const void *self) {
  const struct hg_scheduler *scheduler = self;
  const uint32_t always = 1U << HG_PORT_LIFE | 1U << HG_PORT_DECISIONS;
  return hg_scheduler_hears_clients(scheduler) ? always | 1U << HG_PORT_CLIENTS : always;
}

static void destroy(void *self) {
  struct hg_scheduler *scheduler = self;
  size_t at = 0;
  for (void *task; (task = hg_id_map_next(&scheduler->tasks, &at));)
    free(task);
  hg_id_map_destroy(&scheduler->tasks);
  hg_scheduler_forget_owners(scheduler);
  hg_task_queue_destroy(&scheduler->in_line);
  hg_task_queue_destroy(&scheduler->nested);
  hg_blocks_destroy(&scheduler->blocks);
  hg_heap_destroy(&scheduler->deadlines);
  hg_heap_destroy(&scheduler->untold);
  hg_held_destroy(&scheduler->held);
  free(scheduler->questions.ring);
  free(scheduler);
}

hg_err hg_scheduler_new(const struct hg_config *config, struct hg_actor *out) {
  struct hg_scheduler *scheduler = calloc(1, sizeof *scheduler);
  if (!scheduler) return HG_ERR_NO_MEMORY;
  scheduler->config = config;
  scheduler->max_concurrency = scheduler->max_noted = config->max_concurrency;
  if (!hg_task_queue_init(&scheduler->in_line, config) || !hg_task_queue_init(&scheduler->nested, config) ||
      !hg_blocks_init(&scheduler->blocks, config->budget_count)) {
    destroy(scheduler);
    return HG_ERR_NO_MEMORY;
  }
  *out = (struct hg_actor){"hg-scheduler", scheduler, receive, flush, listens, destroy};
  return HG_OK;
}
