// What the tracker said: grants, refusals, closed permits, room. Its answers come in the order of the questions, but
// for those about permits that have no task here. [8_RISKS-REQ-031]
#include "actors/scheduler_private.h"

static void heard_of(struct hg_scheduler *scheduler, uint64_t seq) {
  if (seq > scheduler->seq) scheduler->seq = seq;
}

// Nobody wants the grant any more: it is given back in the same step.
void hg_scheduler_give_back(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  struct hg_message release;
  hg_message_init(&release, HG_RELEASE);
  release.as.release.permit = task->request;
  release.as.release.outcome = HG_OUTCOME_FAILED;
  release.as.release.reason = hg_text_of("cancelled");
  hg_outbox_put(scheduler->out, HG_PORT_DECISIONS, 0, &release);
  if (!hg_scheduler_push_question(scheduler, (struct hg_question){.id = task->request, .own = true}))
    scheduler->out->failed = true;
  task->ending = true;
  hg_count(scheduler->out, grants_given_back);
}

static void granted(struct hg_scheduler *scheduler, struct hg_queued_task *task, int64_t tokens) {
  hg_heap_remove(&scheduler->deadlines, &task->in_deadlines);
  task->state = HG_TASK_RUNNING;
  task->granted = tokens;
  task->told_at = scheduler->seq;
  hg_scheduler_take_slot(scheduler, task);
  // I5, by the maximum and the throttle that were in force in the tracker's line when it granted.
  assert(task->family.parent || scheduler->running_slots <= hg_scheduler_effective(scheduler, scheduler->max_noted));
  // A deadline that passed while the tracker was asked is no reason to refuse what it has granted.
  if (task->given_up && (task->given_up != HG_ERR_TIMEOUT || task->left)) {
    hg_scheduler_give_back(scheduler, task);
    if (!task->left) hg_scheduler_refuse(scheduler, task->peer, task->request, (hg_err)task->given_up);
  } else {
    hg_scheduler_tell_grant(scheduler, task);
    hg_scheduler_begin_lease(scheduler, task);
  }
}

// `never`: the verdict that says which budget is short, and how much it has left; NULL: another error.
static void refused(struct hg_scheduler *scheduler, struct hg_queued_task *task, hg_err err,
                    const struct hg_reserved_message *never) {
  struct hg_message answer;
  hg_message_init(&answer, HG_REFUSED);
  answer.as.refused.request = task->request;
  answer.as.refused.error = task->given_up ? task->given_up : (uint32_t)err;
  if (never && !task->given_up) {
    answer.as.refused.left = never->tokens;
    answer.as.refused.budget = never->budget;
  }
  if (!task->left) hg_scheduler_tell_durable(scheduler, task->peer, &answer);
  hg_scheduler_drop(scheduler, task);
}

// It has to wait: back to its place, and nobody behind it may ask for that budget, unless it does not wait for tokens.
static void must_wait(struct hg_scheduler *scheduler, struct hg_queued_task *task, uint32_t budget, bool throttled) {
  scheduler->heard++;
  hg_blocks_begin(&scheduler->blocks, budget, task, throttled, scheduler->asked);
  hg_task_queue_block(&scheduler->in_line, budget, true);
  hg_task_queue_block(&scheduler->nested, budget, true);
  if (task->given_up || (task->no_wait && !throttled)) refused(scheduler, task, HG_ERR_TIMEOUT, NULL);
  else if (!hg_scheduler_put_in_line(scheduler, task)) scheduler->out->failed = true;
}

// It was asked for before its turn. A nested one has no turn, only old news: it is asked for again at once.
static void behind(struct hg_scheduler *scheduler, struct hg_queued_task *task) {
  if (task->given_up) refused(scheduler, task, HG_OK, NULL);
  else if (task->parent) hg_scheduler_ask(scheduler, task);
  else if (!hg_scheduler_put_in_line(scheduler, task)) scheduler->out->failed = true;
}

static void reserved(struct hg_scheduler *scheduler, const struct hg_reserved_message *answer) {
  struct hg_queued_task *task = hg_id_map_get(&scheduler->tasks, answer->permit);
  assert(task && task->state == HG_TASK_ASKED && answer->verdict <= HG_VERDICT_REFUSED);
  heard_of(scheduler, answer->seq);
  scheduler->answered++;
  if (task->parent) scheduler->asked_nested--;
  else scheduler->asked_slots--;
  switch ((enum hg_verdict)answer->verdict) {
  case HG_VERDICT_GRANTED: granted(scheduler, task, answer->tokens); break;
  case HG_VERDICT_THROTTLED: must_wait(scheduler, task, answer->budget, true); break;
  case HG_VERDICT_WAIT: must_wait(scheduler, task, answer->budget, false); break;
  case HG_VERDICT_BEHIND: behind(scheduler, task); break;
  case HG_VERDICT_NEVER: refused(scheduler, task, HG_ERR_BUDGET_EXHAUSTED, answer); break;
  case HG_VERDICT_REFUSED: refused(scheduler, task, (hg_err)answer->error, NULL); break;
  }
}

static void tell_settled(struct hg_scheduler *scheduler, hg_peer peer, const struct hg_permit_closed_message *answer) {
  struct hg_message settled;
  hg_message_init(&settled, HG_SETTLED);
  settled.as.settled.permit = answer->permit;
  settled.as.settled.error = answer->error;
  hg_scheduler_tell_durable(scheduler, peer, &settled);
}

static void permit_closed(struct hg_scheduler *scheduler, const struct hg_permit_closed_message *answer) {
  heard_of(scheduler, answer->seq);
  if (answer->asker) {
    assert(scheduler->late > 0);
    scheduler->late--;
    tell_settled(scheduler, answer->asker, answer);
    return;
  }
  const struct hg_question question = hg_scheduler_pop_question(scheduler);
  assert(question.id == answer->permit);
  struct hg_queued_task *task = hg_id_map_get(&scheduler->tasks, answer->permit);
  if (answer->error == HG_OK && task && task->state == HG_TASK_RUNNING) {
    hg_scheduler_free_slot(scheduler, task);
    hg_scheduler_drop(scheduler, task);
  }
  if (!question.own) tell_settled(scheduler, question.peer, answer);
}

static void max_concurrency_noted(struct hg_scheduler *scheduler, uint64_t seq) {
  const struct hg_question question = hg_scheduler_pop_question(scheduler);
  assert(question.count != 0);
  heard_of(scheduler, seq);
  scheduler->max_noted = question.count;
  struct hg_message done;
  hg_message_init(&done, HG_DONE);
  done.as.done.request = question.id;
  hg_scheduler_tell_durable(scheduler, question.peer, &done);
}

void hg_scheduler_from_tracker(struct hg_scheduler *scheduler, const struct hg_message *message) {
  if (message->kind == HG_RESERVED) {
    reserved(scheduler, &message->as.reserved);
  } else if (message->kind == HG_PERMIT_CLOSED) {
    permit_closed(scheduler, &message->as.permit_closed);
  } else if (message->kind == HG_ROOM) {
    hg_blocks_room(&scheduler->blocks, message->as.room.budget);
  } else if (message->kind == HG_CROSSED) {
    if (message->as.crossed.budget == 0) scheduler->throttled = message->as.crossed.closed;
  } else if (message->kind == HG_MAX_CONCURRENCY_NOTED) {
    max_concurrency_noted(scheduler, message->as.max_concurrency_noted.seq);
  } else if (message->kind == HG_COMMITTED) {
    scheduler->durable = message->as.committed.seq;
    hg_held_release(&scheduler->held, scheduler->durable, scheduler->out);
    hg_scheduler_begin_told_leases(scheduler);
    if (message->as.committed.given_up) hg_scheduler_lose_store(scheduler);
  }
}
