// What the gateway of the other runtime answers, told to clients here as its tracker and scheduler would.
#include "actors/remote_private.h"

#include <stdlib.h>

void hg_remote_refuse(struct hg_remote *remote, hg_peer peer, uint64_t request, hg_err err) {
  struct hg_message message;
  hg_message_init(&message, HG_REFUSED);
  message.as.refused.request = request;
  message.as.refused.error = (uint32_t)err;
  hg_outbox_put(remote->out, HG_PORT_SCHEDULER, peer, &message);
}

void hg_remote_tell_done(struct hg_remote *remote, hg_peer peer, uint64_t request, hg_err err) {
  struct hg_message message;
  hg_message_init(&message, HG_DONE);
  message.as.done.request = request;
  message.as.done.error = (uint32_t)err;
  hg_outbox_put(remote->out, HG_PORT_SCHEDULER, peer, &message);
}

void hg_remote_tell_settled(struct hg_remote *remote, hg_peer peer, uint64_t permit, hg_err err) {
  struct hg_message message;
  hg_message_init(&message, HG_SETTLED);
  message.as.settled.permit = permit;
  message.as.settled.error = (uint32_t)err;
  hg_outbox_put(remote->out, HG_PORT_SCHEDULER, peer, &message);
}

// Of a name that the gateway said; the root where it is none of ours.
static uint32_t budget_of(const struct hg_remote *remote, struct hg_text name) {
  uint32_t budget = 0;
  (void)hg_config_find_budget(remote->config, name.data, name.size, &budget);
  return budget;
}

// ------------------------------------------------------------------------------------------------ numbered commands

// All that is decided at the front of the line, as one cumulative answer behind the refusals.
static void tell_numbers(struct hg_remote *remote, struct hg_remote_reporter *reporter) {
  struct hg_remote_call *call;
  uint64_t decided = 0;
  struct hg_message message;
  while ((call = reporter->first) && call->done) {
    if (call->error) {
      hg_message_init(&message, HG_REJECTED);
      message.as.rejected.number = call->id;
      message.as.rejected.error = call->error;
      hg_outbox_put(remote->out, HG_PORT_TRACKER, reporter->peer, &message);
    }
    decided = call->id;
    reporter->first = call->next;
    hg_remote_drop_call(remote, call);
  }
  if (decided) {
    hg_message_init(&message, HG_RECORDED);
    message.as.recorded.number = decided;
    hg_outbox_put(remote->out, HG_PORT_TRACKER, reporter->peer, &message);
  }
  if (reporter->first) return;
  hg_id_map_remove(&remote->reporters, reporter->peer);
  free(reporter);
}

// ------------------------------------------------------------------------------------------------ answers

static void tell_usage(struct hg_remote *remote, const struct hg_remote_call *call,
                       const struct hg_status_report_message *report, uint32_t error) {
  struct hg_message message;
  hg_message_init(&message, HG_USAGE);
  struct hg_usage_message *usage = &message.as.usage;
  usage->request = call->id;
  usage->budget = call->budget;
  usage->error = error;
  if (report) {
    usage->used = report->used;
    usage->reserved = report->reserved;
    usage->hard_limit = report->hard_limit;
    usage->usage_percent = report->usage_percent;
    usage->should_throttle = report->should_throttle;
    usage->throttled = report->throttled;
    usage->open_permits = report->open_permits;
    usage->seq = report->seq;
    usage->audited = report->audited;
    usage->differences = report->differences;
    usage->audit_failed = report->audit_failed;
    usage->per_minute = report->per_minute;
    usage->threshold_in_ms = report->threshold_in_ms;
    usage->limit_in_ms = report->limit_in_ms;
    usage->task_tokens = report->task_tokens;
    usage->saved = report->saved;
    usage->overran = report->overran;
    usage->allowed = report->allowed;
  }
  hg_outbox_put(remote->out, HG_PORT_TRACKER, call->peer, &message);
}

static void tell_queue(struct hg_remote *remote, const struct hg_remote_call *call,
                       const struct hg_status_report_message *report, uint32_t error) {
  struct hg_message message;
  hg_message_init(&message, HG_QUEUE);
  struct hg_queue_message *queue = &message.as.queue;
  queue->request = call->id;
  queue->error = error;
  if (report) {
    queue->max_concurrency = report->max_concurrency;
    queue->effective_concurrency = report->effective_concurrency;
    queue->running = report->running;
    queue->waiting = report->waiting;
    queue->blocked = report->waits_for.size > 0;
    queue->budget = budget_of(remote, report->waits_for);
    queue->throttled = queue->blocked && report->waits_for_throttle;
    queue->needed = report->needed;
  }
  hg_outbox_put(remote->out, HG_PORT_SCHEDULER, call->peer, &message);
}

static void tell_orphan(struct hg_remote *remote, const struct hg_remote_call *call,
                        const struct hg_orphan_report_message *report, uint32_t error) {
  struct hg_message message;
  hg_message_init(&message, HG_ORPHAN);
  struct hg_orphan_message *orphan = &message.as.orphan;
  orphan->request = call->id;
  orphan->error = error;
  if (report && report->permit) {
    orphan->permit = report->permit;
    orphan->budget = budget_of(remote, report->budget);
    orphan->tokens = report->tokens;
    orphan->kept = hg_text_equal(report->state, hg_text_of("kept"));
    orphan->charged = hg_text_equal(report->state, hg_text_of("charged")) ? report->tokens : 0;
    orphan->task_id = report->task_id;
  }
  hg_outbox_put(remote->out, HG_PORT_TRACKER, call->peer, &message);
}

static void tell_waiting(struct hg_remote *remote, const struct hg_remote_call *call,
                         const struct hg_waiting_report_message *report, uint32_t error) {
  struct hg_message message;
  hg_message_init(&message, HG_WAITING);
  struct hg_waiting_message *waiting = &message.as.waiting;
  waiting->request = call->id;
  waiting->error = error;
  if (report && report->count) {
    waiting->budget = budget_of(remote, report->budget);
    waiting->count = report->count;
    waiting->blocked = report->waits_for.size > 0;
    waiting->waits_for = budget_of(remote, report->waits_for);
    waiting->throttled = report->throttled;
    waiting->needed = report->needed;
    waiting->task_id = report->task_id;
  }
  hg_outbox_put(remote->out, HG_PORT_SCHEDULER, call->peer, &message);
}

static void tell_granted(struct hg_remote *remote, const struct hg_remote_call *call,
                         const struct hg_permit_granted_message *granted) {
  if (call->unwanted || remote->lost) {
    hg_remote_release(remote, granted->permit, "cancelled");
    return;
  }
  if (!hg_remote_hold(remote, granted->permit, call->peer, call->lease_ms == 0)) remote->out->failed = true;
  struct hg_message message;
  hg_message_init(&message, HG_GRANTED);
  message.as.granted.request = call->id;
  message.as.granted.tokens = granted->tokens;
  message.as.granted.permit = granted->permit;
  hg_outbox_put(remote->out, HG_PORT_SCHEDULER, call->peer, &message);
}

static void tell_refused(struct hg_remote *remote, const struct hg_remote_call *call,
                         const struct hg_command_done_message *done) {
  if (call->unwanted) return;
  struct hg_message message;
  hg_message_init(&message, HG_REFUSED);
  message.as.refused.request = call->id;
  message.as.refused.error = done->error;
  message.as.refused.left = done->tokens;
  message.as.refused.budget = budget_of(remote, done->budget);
  hg_outbox_put(remote->out, HG_PORT_SCHEDULER, call->peer, &message);
}

static void end_permit(struct hg_remote *remote, const struct hg_remote_call *call, hg_err err) {
  if (err == HG_OK || err == HG_ERR_CONFLICT || err == HG_ERR_UNKNOWN_PERMIT) hg_remote_drop_permit(remote, call->id);
  if (!call->unwanted) hg_remote_tell_settled(remote, call->peer, call->id, err);
}

void hg_remote_end_call(struct hg_remote *remote, struct hg_remote_call *call, const struct hg_message *message) {
  const struct hg_command_done_message *done = message->kind == HG_COMMAND_DONE ? &message->as.command_done : NULL;
  const uint32_t error = done ? done->error : HG_OK;
  const struct hg_status_report_message *status = message->kind == HG_STATUS_REPORT ? &message->as.status_report : NULL;
  if (call->reporter) {
    call->done = true;
    call->error = error;
    tell_numbers(remote, call->reporter);
    return;
  }
  if (call->kind == HG_ACQUIRE && message->kind == HG_PERMIT_GRANTED)
    tell_granted(remote, call, &message->as.permit_granted);
  else if (call->kind == HG_ACQUIRE && done) tell_refused(remote, call, done);
  else if (call->kind == HG_SETTLE || call->kind == HG_RELEASE) end_permit(remote, call, (hg_err)error);
  else if (call->kind == HG_RENEW || call->kind == HG_SET_MAX_CONCURRENCY)
    hg_remote_tell_done(remote, call->peer, call->id, (hg_err)error);
  else if (call->kind == HG_GET_USAGE) tell_usage(remote, call, status, error);
  else if (call->kind == HG_GET_QUEUE) tell_queue(remote, call, status, error);
  else if (call->kind == HG_GET_ORPHAN)
    tell_orphan(remote, call, message->kind == HG_ORPHAN_REPORT ? &message->as.orphan_report : NULL, error);
  else if (call->kind == HG_GET_WAITING)
    tell_waiting(remote, call, message->kind == HG_WAITING_REPORT ? &message->as.waiting_report : NULL, error);
  hg_remote_drop_call(remote, call);
}

static uint64_t request_of(const struct hg_message *message) {
  if (message->kind == HG_COMMAND_DONE) return message->as.command_done.request;
  if (message->kind == HG_PERMIT_GRANTED) return message->as.permit_granted.request;
  if (message->kind == HG_STATUS_REPORT) return message->as.status_report.request;
  if (message->kind == HG_ORPHAN_REPORT) return message->as.orphan_report.request;
  return message->kind == HG_WAITING_REPORT ? message->as.waiting_report.request : 0;
}

// Renewals and what is released here have no call: nobody waits for their answers.
void hg_remote_from_gateway(struct hg_remote *remote, const struct hg_message *message) {
  const uint64_t request = request_of(message);
  struct hg_remote_call *call = request ? hg_id_map_get(&remote->calls, request) : NULL;
  if (call) hg_remote_end_call(remote, call, message);
  else if (message->kind == HG_PERMIT_GRANTED) // asked for before the other runtime was lost
    hg_remote_release(remote, message->as.permit_granted.permit, "whoever asked for it has given up");
}
