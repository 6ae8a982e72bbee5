// What clients here want, put to the gateway of the other runtime as commands from outside.
#include "actors/remote_private.h"

#include <stdlib.h>

static struct hg_text budget_name(const struct hg_remote *remote, uint32_t budget) {
  assert(budget < remote->config->budget_count);
  return hg_text_of(remote->config->budgets[budget].name);
}

// NULL: no memory, which ends the actor.
static struct hg_remote_call *begin(struct hg_remote *remote, enum hg_kind kind, hg_peer peer, uint64_t id) {
  struct hg_remote_call *call = calloc(1, sizeof *call);
  const uint64_t request = ++remote->last_request;
  if (!call || !hg_id_map_put(&remote->calls, request, call)) {
    free(call);
    remote->out->failed = true;
    return NULL;
  }
  *call = (struct hg_remote_call){.kind = kind, .peer = peer, .request = request, .id = id};
  return call;
}

// As the gateway would say it.
static void end_with(struct hg_remote *remote, struct hg_remote_call *call, hg_err err) {
  struct hg_message done;
  hg_message_done(&done, call->request, err, hg_err_text(err));
  hg_remote_end_call(remote, call, &done);
}

// A call, or NULL: it was answered already, as there is nobody to ask.
static struct hg_remote_call *begin_unless_lost(struct hg_remote *remote, enum hg_kind kind, hg_peer peer,
                                                uint64_t id) {
  struct hg_remote_call *call = begin(remote, kind, peer, id);
  if (!call || !remote->lost) return call;
  end_with(remote, call, HG_ERR_STORE);
  return NULL;
}

// ------------------------------------------------------------------------------------------------ numbered commands

static struct hg_remote_reporter *find_reporter(struct hg_remote *remote, hg_peer peer) {
  struct hg_remote_reporter *reporter = hg_id_map_get(&remote->reporters, peer);
  if (reporter) return reporter;
  reporter = calloc(1, sizeof *reporter);
  if (reporter && hg_id_map_put(&remote->reporters, peer, reporter)) {
    reporter->peer = peer;
    return reporter;
  }
  free(reporter);
  remote->out->failed = true;
  return NULL;
}

static struct hg_remote_call *begin_number(struct hg_remote *remote, enum hg_kind kind, hg_peer peer, uint64_t number) {
  struct hg_remote_reporter *reporter = find_reporter(remote, peer);
  struct hg_remote_call *call = reporter ? begin(remote, kind, peer, number) : NULL;
  if (!call) return NULL;
  call->reporter = reporter;
  if (reporter->first) reporter->last->next = call;
  else reporter->first = call;
  reporter->last = call;
  if (!remote->lost) return call;
  end_with(remote, call, HG_ERR_STORE);
  return NULL;
}

static void record(struct hg_remote *remote, hg_peer peer, const struct hg_record_usage_message *wish) {
  const struct hg_remote_call *call = begin_number(remote, HG_RECORD_USAGE, peer, wish->number);
  if (!call) return;
  struct hg_message message;
  hg_message_init(&message, HG_RECORD);
  message.as.record.request = call->request;
  message.as.record.budget = budget_name(remote, wish->budget);
  message.as.record.tokens = wish->tokens;
  message.as.record.task_id = wish->task_id;
  message.as.record.usage_id = wish->usage_id;
  HG_COPY_DETAILS(message.as.record, *wish);
  hg_remote_send(remote, &message);
}

static void correct(struct hg_remote *remote, hg_peer peer, const struct hg_correct_usage_message *wish) {
  const struct hg_remote_call *call = begin_number(remote, HG_CORRECT_USAGE, peer, wish->number);
  if (!call) return;
  struct hg_message message;
  hg_message_init(&message, HG_CORRECT);
  message.as.correct.request = call->request;
  message.as.correct.budget = budget_name(remote, wish->budget);
  message.as.correct.tokens = wish->tokens;
  message.as.correct.reason = wish->reason;
  message.as.correct.usage_id = wish->usage_id;
  hg_remote_send(remote, &message);
}

static void set_limit(struct hg_remote *remote, hg_peer peer, const struct hg_set_hard_limit_message *wish) {
  const struct hg_remote_call *call = begin_number(remote, HG_SET_HARD_LIMIT, peer, wish->number);
  if (!call) return;
  struct hg_message message;
  hg_message_init(&message, HG_LIMIT);
  message.as.limit.request = call->request;
  message.as.limit.budget = budget_name(remote, wish->budget);
  message.as.limit.tokens = wish->tokens;
  hg_remote_send(remote, &message);
}

// ------------------------------------------------------------------------------------------------ questions

static void get_usage(struct hg_remote *remote, hg_peer peer, const struct hg_get_usage_message *question) {
  struct hg_remote_call *call = begin_unless_lost(remote, HG_GET_USAGE, peer, question->request);
  if (!call) return;
  struct hg_message message;
  hg_message_init(&message, HG_STATUS);
  call->budget = question->budget;
  message.as.status.request = call->request;
  message.as.status.budget = budget_name(remote, question->budget);
  hg_remote_send(remote, &message);
}

static void get_orphan(struct hg_remote *remote, hg_peer peer, const struct hg_get_orphan_message *question) {
  const struct hg_remote_call *call = begin_unless_lost(remote, HG_GET_ORPHAN, peer, question->request);
  if (!call) return;
  struct hg_message message;
  hg_message_init(&message, HG_LIST_ORPHANS);
  message.as.list_orphans.request = call->request;
  message.as.list_orphans.after = question->after;
  hg_remote_send(remote, &message);
}

static void get_queue(struct hg_remote *remote, hg_peer peer, uint64_t request) {
  const struct hg_remote_call *call = begin_unless_lost(remote, HG_GET_QUEUE, peer, request);
  if (!call) return;
  struct hg_message message;
  hg_message_init(&message, HG_STATUS);
  message.as.status.request = call->request;
  hg_remote_send(remote, &message);
}

static void get_waiting(struct hg_remote *remote, hg_peer peer, const struct hg_get_waiting_message *question) {
  const struct hg_remote_call *call = begin_unless_lost(remote, HG_GET_WAITING, peer, question->request);
  if (!call) return;
  struct hg_message message;
  hg_message_init(&message, HG_LIST_WAITING);
  message.as.list_waiting.request = call->request;
  message.as.list_waiting.from = question->from;
  hg_remote_send(remote, &message);
}

static void tell_pushback(struct hg_remote *remote, const struct hg_tell_pushback_message *told) {
  struct hg_message message;
  if (remote->lost) return;
  hg_message_init(&message, HG_PUSHBACK);
  message.as.pushback.task_id = told->task_id;
  message.as.pushback.from = told->from;
  message.as.pushback.to = told->to;
  hg_remote_send(remote, &message);
}

static void tell_savings(struct hg_remote *remote, const struct hg_tell_savings_message *told) {
  struct hg_message message;
  if (remote->lost) return;
  hg_message_init(&message, HG_SAVINGS);
  message.as.savings.saved = told->saved;
  message.as.savings.overran = told->overran;
  hg_remote_send(remote, &message);
}

static void tell_lines(struct hg_remote *remote, const struct hg_tell_lines_message *told) {
  struct hg_message message;
  if (remote->lost) return;
  hg_message_init(&message, HG_LINES);
  message.as.lines.budget = budget_name(remote, told->budget);
  message.as.lines.lines = told->lines;
  message.as.lines.allowed = told->allowed;
  hg_remote_send(remote, &message);
}

// A lasting name belongs to who holds the ledger.
static void refuse_name(struct hg_remote *remote, hg_peer peer, uint64_t request) {
  struct hg_message message;
  hg_message_init(&message, HG_REPORTER);
  message.as.reporter.request = request;
  message.as.reporter.error = HG_ERR_LEDGER_IN_USE;
  hg_outbox_put(remote->out, HG_PORT_TRACKER, peer, &message);
}

// ------------------------------------------------------------------------------------------------ permits

static uint64_t in_ms(uint64_t us) {
  return us / 1000 + (us % 1000 != 0);
}

static void acquire(struct hg_remote *remote, hg_peer peer, const struct hg_acquire_message *wish) {
  hg_err err = HG_OK;
  if (remote->lost) err = HG_ERR_STORE;
  else if (remote->draining) err = HG_ERR_CLOSED;
  else if (remote->acquires.count >= HG_REMOTE_ACQUIRES) err = HG_ERR_BUSY;
  if (err != HG_OK) {
    hg_remote_refuse(remote, peer, wish->request, err);
    return;
  }
  struct hg_remote_call *call = begin(remote, HG_ACQUIRE, peer, wish->request);
  if (!call) return;
  if (!hg_id_map_put(&remote->acquires, wish->request, call)) {
    remote->out->failed = true;
    return;
  }
  struct hg_message message;
  hg_message_init(&message, HG_ACQUIRE_PERMIT);
  struct hg_acquire_permit_message *acquire = &message.as.acquire_permit;
  call->lease_ms = (uint32_t)in_ms(wish->lease_us);
  acquire->request = call->request;
  acquire->budget = budget_name(remote, wish->budget);
  acquire->min_tokens = wish->min_tokens;
  acquire->max_tokens = wish->max_tokens;
  acquire->task_id = wish->task_id;
  acquire->attempt = wish->attempt;
  acquire->first_in_line = wish->first_in_line;
  acquire->timeout_ms = in_ms(wish->timeout_us);
  acquire->parent = wish->parent;
  acquire->from_parent = wish->from_parent;
  acquire->lease_ms = call->lease_ms;
  acquire->no_wait = wish->no_wait;
  hg_remote_send(remote, &message);
}

static void send_cancel(struct hg_remote *remote, const struct hg_remote_call *call) {
  struct hg_message message;
  hg_message_init(&message, HG_CANCEL_ACQUIRE);
  message.as.cancel_acquire.request = call->request;
  hg_remote_send(remote, &message);
}

// Answered now; a grant that comes all the same goes back.
void hg_remote_give_up_acquire(struct hg_remote *remote, struct hg_remote_call *call, hg_err err) {
  if (call->unwanted) return;
  call->unwanted = true;
  hg_remote_refuse(remote, call->peer, call->id, err);
  hg_id_map_remove(&remote->acquires, call->id);
  send_cancel(remote, call);
}

static void cancel(struct hg_remote *remote, hg_peer peer, const struct hg_cancel_message *wish) {
  struct hg_remote_call *call = hg_id_map_get(&remote->acquires, wish->request);
  if (!call || call->peer != peer) return;
  if (wish->give_back) hg_remote_give_up_acquire(remote, call, HG_ERR_CANCELLED);
  else send_cancel(remote, call);
}

static void settle(struct hg_remote *remote, hg_peer peer, const struct hg_settle_message *wish) {
  const struct hg_remote_call *call = begin_unless_lost(remote, HG_SETTLE, peer, wish->permit);
  if (!call) return;
  struct hg_message message;
  hg_message_init(&message, HG_SETTLE_PERMIT);
  struct hg_settle_permit_message *settle = &message.as.settle_permit;
  settle->request = call->request;
  settle->permit = wish->permit;
  settle->tokens = wish->tokens;
  settle->orphans_only = wish->orphans_only;
  settle->outcome = wish->outcome;
  settle->reason = wish->reason;
  HG_COPY_DETAILS(*settle, *wish);
  hg_remote_send(remote, &message);
}

static void release(struct hg_remote *remote, hg_peer peer, const struct hg_release_message *wish) {
  const struct hg_remote_call *call = begin_unless_lost(remote, HG_RELEASE, peer, wish->permit);
  if (!call) return;
  struct hg_message message;
  hg_message_init(&message, HG_RELEASE_PERMIT);
  message.as.release_permit.request = call->request;
  message.as.release_permit.permit = wish->permit;
  message.as.release_permit.outcome = wish->outcome;
  message.as.release_permit.reason = wish->reason;
  hg_remote_send(remote, &message);
}

static void renew(struct hg_remote *remote, hg_peer peer, const struct hg_renew_message *wish) {
  const struct hg_remote_call *call = begin_unless_lost(remote, HG_RENEW, peer, wish->request);
  if (!call) return;
  struct hg_message message;
  hg_message_init(&message, HG_RENEW_PERMIT);
  message.as.renew_permit.request = call->request;
  message.as.renew_permit.permit = wish->permit;
  hg_remote_send(remote, &message);
}

static void set_concurrency(struct hg_remote *remote, hg_peer peer, const struct hg_set_max_concurrency_message *wish) {
  const struct hg_remote_call *call = begin_unless_lost(remote, HG_SET_MAX_CONCURRENCY, peer, wish->request);
  if (!call) return;
  struct hg_message message;
  hg_message_init(&message, HG_CONCURRENCY);
  message.as.concurrency.request = call->request;
  message.as.concurrency.count = wish->count;
  hg_remote_send(remote, &message);
}

// What it waits for goes back. What it holds is not renewed any more, and is an orphan when its lease ends.
static void leave(struct hg_remote *remote, hg_peer peer) {
  struct hg_remote_call *call;
  struct hg_remote_permit *its = NULL, *permit;
  for (size_t at = 0; (call = hg_id_map_next(&remote->calls, &at));)
    if (call->kind == HG_ACQUIRE && call->peer == peer && !call->unwanted) {
      call->unwanted = true;
      hg_id_map_remove(&remote->acquires, call->id);
      send_cancel(remote, call);
    }
  for (size_t at = 0; (permit = hg_id_map_next(&remote->permits, &at));) {
    if (permit->peer != peer) continue;
    permit->next = its;
    its = permit;
  }
  while ((permit = its)) {
    its = permit->next;
    hg_remote_drop_permit(remote, permit->id);
  }
}

// ------------------------------------------------------------------------------------------------ by port

void hg_remote_from_tracker_client(struct hg_remote *remote, const struct hg_envelope *in) {
  const struct hg_message *message = &in->message;
  if (in->undelivered) return; // an answer that nobody waits for any more
  if (message->kind == HG_RECORD_USAGE) record(remote, in->peer, &message->as.record_usage);
  else if (message->kind == HG_CORRECT_USAGE) correct(remote, in->peer, &message->as.correct_usage);
  else if (message->kind == HG_SET_HARD_LIMIT) set_limit(remote, in->peer, &message->as.set_hard_limit);
  else if (message->kind == HG_GET_USAGE) get_usage(remote, in->peer, &message->as.get_usage);
  else if (message->kind == HG_GET_ORPHAN) get_orphan(remote, in->peer, &message->as.get_orphan);
  else if (message->kind == HG_TELL_PUSHBACK) tell_pushback(remote, &message->as.tell_pushback);
  else if (message->kind == HG_TELL_SAVINGS) tell_savings(remote, &message->as.tell_savings);
  else if (message->kind == HG_TELL_LINES) tell_lines(remote, &message->as.tell_lines);
  else if (message->kind == HG_REPORT_AS) refuse_name(remote, in->peer, message->as.report_as.request);
}

void hg_remote_from_scheduler_client(struct hg_remote *remote, const struct hg_envelope *in) {
  const struct hg_message *message = &in->message;
  if (in->undelivered) { // a grant whose owner is gone and never knew of it
    if (message->kind != HG_GRANTED) return;
    hg_remote_release(remote, message->as.granted.permit, "its client is gone");
    hg_remote_drop_permit(remote, message->as.granted.permit);
  } else if (message->kind == HG_ACQUIRE) acquire(remote, in->peer, &message->as.acquire);
  else if (message->kind == HG_SETTLE) settle(remote, in->peer, &message->as.settle);
  else if (message->kind == HG_RELEASE) release(remote, in->peer, &message->as.release);
  else if (message->kind == HG_CANCEL) cancel(remote, in->peer, &message->as.cancel);
  else if (message->kind == HG_RENEW) renew(remote, in->peer, &message->as.renew);
  else if (message->kind == HG_SET_MAX_CONCURRENCY) set_concurrency(remote, in->peer, &message->as.set_max_concurrency);
  else if (message->kind == HG_GET_QUEUE) get_queue(remote, in->peer, message->as.get_queue.request);
  else if (message->kind == HG_GET_WAITING) get_waiting(remote, in->peer, &message->as.get_waiting);
  else if (message->kind == HG_LEAVE) leave(remote, in->peer);
}
