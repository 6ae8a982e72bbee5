// What the other actors answer, told to who asked.
#include "actors/gateway_private.h"

#include "bus/frames.h"
#include "base/money.h"

static hg_peer peer_of(const struct hg_asked *asked) {
  return asked->outsider->peer;
}

// The whole answer.
static void tell(struct hg_gateway *gateway, struct hg_asked *asked, const struct hg_message *message) {
  hg_gateway_reply(gateway, peer_of(asked), message);
  hg_gateway_forget(gateway, asked);
}

static struct hg_text name_of(const struct hg_gateway *gateway, uint32_t budget) {
  return hg_text_of(gateway->config->budgets[budget].name);
}

// ------------------------------------------------------------------------------------------------ permits

// The scheduler has released it, if it was granted.
static void end_given_up(struct hg_gateway *gateway, struct hg_asked *asked) {
  hg_gateway_finish(gateway, asked, asked->as.acquire.pushed_out ? HG_ERR_BUSY : HG_ERR_CANCELLED);
}

static void granted(struct hg_gateway *gateway, struct hg_asked *asked, int64_t tokens) {
  if (asked->as.acquire.given_up) {
    end_given_up(gateway, asked);
    return;
  }
  struct hg_message message;
  hg_message_init(&message, HG_PERMIT_GRANTED);
  message.as.permit_granted.request = asked->request;
  message.as.permit_granted.permit = asked->id;
  message.as.permit_granted.tokens = tokens;
  message.as.permit_granted.lease_ms = asked->as.acquire.lease_ms;
  hg_gateway_remember_price(gateway, asked->id, asked->as.acquire.price);
  tell(gateway, asked, &message);
}

static void refused(struct hg_gateway *gateway, struct hg_asked *asked, const struct hg_refused_message *refusal) {
  const hg_err err = (hg_err)refusal->error;
  struct hg_message message;
  if (err == HG_ERR_CANCELLED && asked->as.acquire.given_up) {
    end_given_up(gateway, asked);
    return;
  }
  hg_message_done(&message, asked->request, err, hg_err_text(err));
  if (err == HG_ERR_BUDGET_EXHAUSTED) {
    message.as.command_done.tokens = refusal->left;
    message.as.command_done.budget = name_of(gateway, refusal->budget);
  }
  tell(gateway, asked, &message);
}

// What was counted, when it was.
static void counted(struct hg_gateway *gateway, struct hg_asked *asked, hg_err err) {
  const bool counts = asked->kind == HG_SETTLE_PERMIT || asked->kind == HG_RECORD;
  if (err != HG_OK || !counts) {
    hg_gateway_finish(gateway, asked, err);
    return;
  }
  struct hg_message message;
  hg_message_done(&message, asked->request, HG_OK, asked->as.count.remark ? asked->as.count.remark : "");
  message.as.command_done.tokens = asked->as.count.tokens;
  message.as.command_done.source = asked->as.count.source;
  tell(gateway, asked, &message);
}

// ------------------------------------------------------------------------------------------------ numbers

// RECORDED is cumulative: it answers every numbered command up to its number. So is the REJECTED of a store that is
// lost.
static void numbers_done(struct hg_gateway *gateway, uint64_t number, hg_err err) {
  struct hg_asked *asked;
  if (number > gateway->decided) gateway->decided = number;
  while ((asked = gateway->numbers.first) && asked->id <= number)
    counted(gateway, asked, asked->as.count.error ? (hg_err)asked->as.count.error : err);
}

static void rejected(struct hg_gateway *gateway, const struct hg_rejected_message *message) {
  const hg_err err = (hg_err)message->error;
  if (err == HG_ERR_STORE) {
    numbers_done(gateway, message->number, err);
    return;
  }
  struct hg_asked *asked = gateway->numbers.first;
  while (asked && asked->id != message->number)
    asked = asked->next;
  if (!asked) return;
  asked->as.count.error = message->error;
  // A number that was not taken is covered by no RECORDED; neither is any behind it.
  if (!hg_number_was_taken(err) && asked == gateway->numbers.first) hg_gateway_finish(gateway, asked, err);
}

// ------------------------------------------------------------------------------------------------ figures

void hg_gateway_name_wait(const struct hg_gateway *gateway, const struct hg_queue_message *queue,
                          struct hg_text *budget, bool *throttle) {
  const bool fewer_slots = queue->effective_concurrency < queue->max_concurrency; // as a throttle is closed
  if (queue->blocked) *budget = name_of(gateway, queue->budget);
  *throttle = queue->blocked ? queue->throttled : queue->waiting && fewer_slots;
}

static void report_status(struct hg_gateway *gateway, struct hg_asked *asked) {
  if (!asked->as.figures.has_usage || !asked->as.figures.has_queue) return;
  const struct hg_usage_message *usage = &asked->as.figures.usage;
  const struct hg_queue_message *queue = &asked->as.figures.queue;
  struct hg_message message;
  hg_message_init(&message, HG_STATUS_REPORT);
  struct hg_status_report_message *report = &message.as.status_report;
  report->request = asked->request;
  report->budget = name_of(gateway, usage->budget);
  report->hard_limit = usage->hard_limit;
  report->used = usage->used;
  report->reserved = usage->reserved;
  report->remaining = usage->hard_limit - usage->used;
  report->available = usage->hard_limit - usage->used - usage->reserved;
  report->usage_percent = usage->usage_percent;
  report->should_throttle = usage->should_throttle;
  report->throttled = usage->throttled;
  report->open_permits = usage->open_permits;
  report->max_concurrency = queue->max_concurrency;
  report->effective_concurrency = queue->effective_concurrency;
  report->running = queue->running;
  report->waiting = queue->waiting;
  hg_gateway_name_wait(gateway, queue, &report->waits_for, &report->waits_for_throttle);
  report->needed = queue->needed;
  report->seq = usage->seq;
  report->live = true;
  report->audited = usage->audited;
  report->differences = usage->differences;
  report->audit_failed = usage->audit_failed;
  report->per_minute = usage->per_minute;
  report->threshold_in_ms = usage->threshold_in_ms;
  report->limit_in_ms = usage->limit_in_ms;
  report->task_tokens = usage->task_tokens;
  report->saved = usage->saved;
  report->overran = usage->overran;
  report->allowed = usage->allowed;
  report->unit = hg_text_of(hg_unit_name(gateway->config->unit));
  tell(gateway, asked, &message);
}

static void report_orphan(struct hg_gateway *gateway, struct hg_asked *asked, const struct hg_orphan_message *orphan) {
  struct hg_message message;
  hg_message_init(&message, HG_ORPHAN_REPORT);
  struct hg_orphan_report_message *report = &message.as.orphan_report;
  report->request = asked->request;
  report->permit = orphan->permit;
  if (orphan->permit != 0) {
    report->budget = name_of(gateway, orphan->budget);
    report->tokens = orphan->tokens;
    report->state = hg_text_of(orphan->kept ? "kept" : orphan->charged == orphan->tokens ? "charged" : "released");
    report->task_id = orphan->task_id;
  }
  tell(gateway, asked, &message);
}

static void report_waiting(struct hg_gateway *gateway, struct hg_asked *asked,
                           const struct hg_waiting_message *waiting) {
  struct hg_message message;
  hg_message_init(&message, HG_WAITING_REPORT);
  struct hg_waiting_report_message *report = &message.as.waiting_report;
  report->request = asked->request;
  report->count = waiting->count;
  if (waiting->count != 0) {
    report->budget = name_of(gateway, waiting->budget);
    if (waiting->blocked) report->waits_for = name_of(gateway, waiting->waits_for);
    report->throttled = waiting->throttled;
    report->needed = waiting->needed;
    report->task_id = waiting->task_id;
    report->next = waiting->budget + 1;
  }
  tell(gateway, asked, &message);
}

// ------------------------------------------------------------------------------------------------ by actor

static void usage_came(struct hg_gateway *gateway, const struct hg_usage_message *usage) {
  struct hg_asked *asked = hg_gateway_find(gateway, HG_STATUS, usage->request);
  if (!asked) return;
  if (usage->error) {
    hg_gateway_finish(gateway, asked, (hg_err)usage->error);
    return;
  }
  asked->as.figures.usage = *usage;
  asked->as.figures.has_usage = true;
  report_status(gateway, asked);
}

static void orphan_came(struct hg_gateway *gateway, const struct hg_orphan_message *orphan) {
  struct hg_asked *asked = hg_gateway_find(gateway, HG_LIST_ORPHANS, orphan->request);
  if (asked && orphan->error) hg_gateway_finish(gateway, asked, (hg_err)orphan->error);
  else if (asked) report_orphan(gateway, asked, orphan);
}

void hg_gateway_from_tracker(struct hg_gateway *gateway, const struct hg_message *message) {
  struct hg_asked *asked;
  if (message->kind == HG_USAGE) usage_came(gateway, &message->as.usage);
  else if (message->kind == HG_ORPHAN) orphan_came(gateway, &message->as.orphan);
  else if (message->kind == HG_REJECTED) rejected(gateway, &message->as.rejected);
  else if (message->kind == HG_RECORDED) numbers_done(gateway, message->as.recorded.number, HG_OK);
  else if (message->kind == HG_FIGURES && (asked = hg_gateway_find(gateway, HG_SNAPSHOT, message->as.figures.request)))
    hg_gateway_snapshot_figures(gateway, asked, &message->as.figures);
}

static void queue_came(struct hg_gateway *gateway, const struct hg_queue_message *queue) {
  struct hg_asked *asked = hg_gateway_find(gateway, HG_SNAPSHOT, queue->request);
  if (asked) {
    hg_gateway_snapshot_queue(gateway, asked, queue);
    return;
  }
  asked = hg_gateway_find(gateway, HG_STATUS, queue->request);
  if (!asked) return;
  if (queue->error) {
    hg_gateway_finish(gateway, asked, (hg_err)queue->error);
    return;
  }
  asked->as.figures.queue = *queue;
  asked->as.figures.has_queue = true;
  report_status(gateway, asked);
}

static void waiting_came(struct hg_gateway *gateway, const struct hg_waiting_message *waiting) {
  struct hg_asked *asked = hg_gateway_find(gateway, HG_LIST_WAITING, waiting->request);
  if (asked && waiting->error) hg_gateway_finish(gateway, asked, (hg_err)waiting->error);
  else if (asked) report_waiting(gateway, asked, waiting);
}

static void done(struct hg_gateway *gateway, const struct hg_done_message *done) {
  struct hg_asked *asked = hg_gateway_find(gateway, HG_RENEW_PERMIT, done->request);
  if (!asked) asked = hg_gateway_find(gateway, HG_CONCURRENCY, done->request);
  if (asked) hg_gateway_finish(gateway, asked, (hg_err)done->error);
}

void hg_gateway_from_scheduler(struct hg_gateway *gateway, const struct hg_message *message) {
  struct hg_asked *asked;
  if (message->kind == HG_GRANTED) {
    asked = hg_gateway_find(gateway, HG_ACQUIRE_PERMIT, message->as.granted.request);
    if (asked) granted(gateway, asked, message->as.granted.tokens);
  } else if (message->kind == HG_REFUSED) {
    asked = hg_gateway_find(gateway, HG_ACQUIRE_PERMIT, message->as.refused.request);
    if (asked) refused(gateway, asked, &message->as.refused);
  } else if (message->kind == HG_SETTLED) {
    asked = hg_id_map_get(&gateway->ends, message->as.settled.permit);
    if (asked) counted(gateway, asked, (hg_err)message->as.settled.error);
  } else if (message->kind == HG_DONE) {
    done(gateway, &message->as.done);
  } else if (message->kind == HG_QUEUE) {
    queue_came(gateway, &message->as.queue);
  } else if (message->kind == HG_WAITING) {
    waiting_came(gateway, &message->as.waiting);
  }
}

// Each event as it was published, then how far the portion reached.
static void report_replay(struct hg_gateway *gateway, struct hg_asked *asked,
                          const struct hg_replayed_message *replayed) {
  const struct hg_names names = {gateway->ledger_id, gateway->config->budgets, gateway->config->budget_count};
  struct hg_bytes events = replayed->events;
  struct hg_message message;
  size_t taken = 0;
  for (; events.size && hg_frame_decode_next(events.data, events.size, &message, &taken) == HG_OK;
       events = (struct hg_bytes){events.data + taken, events.size - (uint32_t)taken}) {
    uint8_t frame[HG_OUTSIDE_FRAME_MAX];
    const size_t size = hg_outside_encode_event(&message, &names, frame, sizeof frame);
    assert(size);
    hg_outbox_put_frame(gateway->out, HG_PORT_CONTROL, peer_of(asked), (struct hg_bytes){0},
                        (struct hg_bytes){frame, (uint32_t)size});
  }
  hg_message_init(&message, HG_REPLAY_REPORT);
  message.as.replay_report.request = asked->request;
  message.as.replay_report.reached = replayed->reached;
  message.as.replay_report.newest = replayed->newest;
  message.as.replay_report.oldest = replayed->oldest;
  message.as.replay_report.count = replayed->count;
  tell(gateway, asked, &message);
}

// To all that began together.
static void tell_difference(struct hg_gateway *gateway, struct hg_message message) {
  for (const struct hg_asked *asked = gateway->audits.first; asked; asked = asked->next) {
    message.as.audit_difference.request = asked->request;
    hg_gateway_reply(gateway, peer_of(asked), &message);
  }
}

static void end_audits(struct hg_gateway *gateway, struct hg_message message) {
  struct hg_asked *next = gateway->audits.first, *asked;
  gateway->audits.first = NULL;
  while ((asked = next)) {
    next = asked->next;
    if (message.kind == HG_AUDIT_REPORT) message.as.audit_report.request = asked->request;
    else message.as.command_done.request = asked->request;
    tell(gateway, asked, &message);
  }
}

static void end_replay(struct hg_gateway *gateway, struct hg_message message) {
  struct hg_asked *asked = hg_gateway_find(gateway, HG_REPLAY, message.as.command_done.request);
  if (!asked) return;
  message.as.command_done.request = asked->request;
  tell(gateway, asked, &message);
}

void hg_gateway_from_persister(struct hg_gateway *gateway, const struct hg_message *message) {
  struct hg_asked *asked;
  if (message->kind == HG_AUDIT_DIFFERENCE) tell_difference(gateway, *message);
  else if (message->kind == HG_AUDIT_REPORT) end_audits(gateway, *message);
  else if (message->kind == HG_COMMAND_DONE && hg_gateway_find(gateway, HG_AUDIT, message->as.command_done.request))
    end_audits(gateway, *message);
  else if (message->kind == HG_COMMAND_DONE) end_replay(gateway, *message);
  else if (message->kind == HG_REPLAYED && (asked = hg_gateway_find(gateway, HG_REPLAY, message->as.replayed.request)))
    report_replay(gateway, asked, &message->as.replayed);
}
