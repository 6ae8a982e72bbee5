// The gateway: matches the answers of tracker and scheduler with who asked.
#include "actors/gateway.h"

#include "bus/frames.h"

#include <stdio.h>
#include <stdlib.h>

#define ASKED_MAX 1024 // commands from outside under way at once

// A command under way. STATUS waits for two answers, AUDIT for several, the report last, the others for one.
struct asked {
  enum hg_kind kind; // HG_NONE: a free place
  hg_peer peer;
  uint64_t request; // the outsider's
  uint64_t order;   // of its arrival
  uint64_t id;      // ours: a request id, a number (LIMIT, CORRECT) or a permit (SETTLE_PERMIT)
  bool has_usage, has_queue;
  uint32_t error; // LIMIT, CORRECT: HG_OK unless REJECTED
  struct hg_usage_message usage;
  struct hg_queue_message queue;
};

struct gateway {
  const struct hg_config *config;
  char ledger_id[37];
  uint64_t next_id, next_number;
  struct asked asked[ASKED_MAX];
};

static struct asked *free_place(struct gateway *gateway) {
  for (size_t i = 0; i < ASKED_MAX; i++)
    if (gateway->asked[i].kind == HG_NONE) return &gateway->asked[i];
  return NULL;
}

// The oldest of its kind with this id: several may settle the same permit, and are answered in their order.
static struct asked *find(struct gateway *gateway, enum hg_kind kind, uint64_t id) {
  struct asked *found = NULL;
  for (size_t i = 0; i < ASKED_MAX; i++) {
    struct asked *asked = &gateway->asked[i];
    if (asked->kind == kind && asked->id == id && (!found || asked->order < found->order)) found = asked;
  }
  return found;
}

static bool find_budget(const struct gateway *gateway, struct hg_text name, uint32_t *out) {
  if (name.size == 0) name = hg_text_of("default");
  return hg_config_find_budget(gateway->config, name.data, name.size, out);
}

// Frames of the control socket are maps with named fields.
static void reply(hg_peer peer, const struct hg_message *message, struct hg_outbox *out) {
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  const struct hg_names no_names = {"", NULL, 0};
  const size_t size = hg_outside_encode(message, &no_names, frame, sizeof frame);
  assert(size);
  hg_outbox_put_frame(out, HG_PORT_CONTROL, peer, (struct hg_bytes){0}, (struct hg_bytes){frame, (uint32_t)size});
}

static void answer(hg_peer peer, uint64_t request, hg_err err, struct hg_outbox *out) {
  struct hg_message done;
  hg_message_done(&done, request, err, hg_err_text(err));
  reply(peer, &done, out);
}

// A place for a command, filled in; NULL: it was answered, with HG_ERR_BUSY.
static struct asked *enter(struct gateway *gateway, enum hg_kind kind, hg_peer peer, uint64_t request,
                           struct hg_outbox *out) {
  struct asked *place = free_place(gateway);
  const uint64_t id = ++gateway->next_id;
  if (place) *place = (struct asked){.kind = kind, .peer = peer, .request = request, .order = id, .id = id};
  else answer(peer, request, HG_ERR_BUSY, out);
  return place;
}

static void ask_status(struct gateway *gateway, hg_peer peer, const struct hg_status_message *status,
                       struct hg_outbox *out) {
  uint32_t budget;
  if (!find_budget(gateway, status->budget, &budget)) {
    answer(peer, status->request, HG_ERR_UNKNOWN_BUDGET, out);
    return;
  }
  const struct asked *place = enter(gateway, HG_STATUS, peer, status->request, out);
  if (!place) return;
  struct hg_message ask;
  hg_message_init(&ask, HG_GET_USAGE);
  ask.as.get_usage.request = place->id;
  ask.as.get_usage.budget = budget;
  hg_outbox_put(out, HG_PORT_TRACKER, 0, &ask);
  hg_message_init(&ask, HG_GET_QUEUE);
  ask.as.get_queue.request = place->id;
  hg_outbox_put(out, HG_PORT_SCHEDULER, 0, &ask);
}

static void set_limit(struct gateway *gateway, hg_peer peer, const struct hg_limit_message *limit,
                      struct hg_outbox *out) {
  uint32_t budget;
  if (!find_budget(gateway, limit->budget, &budget)) {
    answer(peer, limit->request, HG_ERR_UNKNOWN_BUDGET, out);
    return;
  }
  struct asked *place = enter(gateway, HG_LIMIT, peer, limit->request, out);
  if (!place) return;
  struct hg_message set;
  hg_message_init(&set, HG_SET_HARD_LIMIT);
  set.as.set_hard_limit.number = place->id = ++gateway->next_number;
  set.as.set_hard_limit.budget = budget;
  set.as.set_hard_limit.tokens = limit->tokens;
  hg_outbox_put(out, HG_PORT_TRACKER, 0, &set);
}

static void correct(struct gateway *gateway, hg_peer peer, const struct hg_correct_message *wish,
                    struct hg_outbox *out) {
  uint32_t budget;
  if (!find_budget(gateway, wish->budget, &budget)) {
    answer(peer, wish->request, HG_ERR_UNKNOWN_BUDGET, out);
    return;
  }
  struct asked *place = enter(gateway, HG_CORRECT, peer, wish->request, out);
  if (!place) return;
  struct hg_message message;
  hg_message_init(&message, HG_CORRECT_USAGE);
  message.as.correct_usage.number = place->id = ++gateway->next_number;
  message.as.correct_usage.budget = budget;
  message.as.correct_usage.tokens = wish->tokens;
  message.as.correct_usage.reason = wish->reason;
  message.as.correct_usage.usage_id = wish->usage_id;
  hg_outbox_put(out, HG_PORT_TRACKER, 0, &message);
}

static void settle(struct gateway *gateway, hg_peer peer, const struct hg_settle_permit_message *wish,
                   struct hg_outbox *out) {
  struct asked *place = enter(gateway, HG_SETTLE_PERMIT, peer, wish->request, out);
  if (!place) return;
  struct hg_message message;
  hg_message_init(&message, HG_SETTLE);
  message.as.settle.permit = place->id = wish->permit;
  message.as.settle.tokens = wish->tokens;
  message.as.settle.orphans_only = true; // what a call used is told by who made it
  hg_outbox_put(out, HG_PORT_SCHEDULER, 0, &message);
}

static void list_orphans(struct gateway *gateway, hg_peer peer, const struct hg_list_orphans_message *question,
                         struct hg_outbox *out) {
  const struct asked *place = enter(gateway, HG_LIST_ORPHANS, peer, question->request, out);
  if (!place) return;
  struct hg_message message;
  hg_message_init(&message, HG_GET_ORPHAN);
  message.as.get_orphan.request = place->id;
  message.as.get_orphan.after = question->after;
  hg_outbox_put(out, HG_PORT_TRACKER, 0, &message);
}

static void list_waiting(struct gateway *gateway, hg_peer peer, const struct hg_list_waiting_message *question,
                         struct hg_outbox *out) {
  const struct asked *place = enter(gateway, HG_LIST_WAITING, peer, question->request, out);
  if (!place) return;
  struct hg_message message;
  hg_message_init(&message, HG_GET_WAITING);
  message.as.get_waiting.request = place->id;
  message.as.get_waiting.from = question->from;
  hg_outbox_put(out, HG_PORT_SCHEDULER, 0, &message);
}

static void ask_audit(struct gateway *gateway, hg_peer peer, uint64_t request, struct hg_outbox *out) {
  const struct asked *place = enter(gateway, HG_AUDIT, peer, request, out);
  if (!place) return;
  struct hg_message ask;
  hg_message_init(&ask, HG_AUDIT);
  ask.as.audit.request = place->id;
  hg_outbox_put(out, HG_PORT_LEDGER, 0, &ask);
}

static void replay(struct gateway *gateway, hg_peer peer, const struct hg_replay_message *question,
                   struct hg_outbox *out) {
  const struct asked *place = enter(gateway, HG_REPLAY, peer, question->request, out);
  if (!place) return;
  struct hg_message ask;
  hg_message_init(&ask, HG_REPLAY);
  ask.as.replay = *question;
  ask.as.replay.request = place->id;
  hg_outbox_put(out, HG_PORT_LEDGER, 0, &ask);
}

// ------------------------------------------------------------------------------------------------ answers

// Each event as it was published, then how far the portion reached.
static void report_replay(struct gateway *gateway, struct asked *asked, const struct hg_replayed_message *replayed,
                          struct hg_outbox *out) {
  const struct hg_names names = {gateway->ledger_id, gateway->config->budgets, gateway->config->budget_count};
  struct hg_bytes events = replayed->events;
  struct hg_message message;
  size_t taken = 0;
  for (; events.size && hg_frame_decode_next(events.data, events.size, &message, &taken) == HG_OK;
       events = (struct hg_bytes){events.data + taken, events.size - (uint32_t)taken}) {
    uint8_t frame[HG_OUTSIDE_FRAME_MAX];
    const size_t size = hg_outside_encode_event(&message, &names, frame, sizeof frame);
    assert(size);
    hg_outbox_put_frame(out, HG_PORT_CONTROL, asked->peer, (struct hg_bytes){0},
                        (struct hg_bytes){frame, (uint32_t)size});
  }
  hg_message_init(&message, HG_REPLAY_REPORT);
  message.as.replay_report.request = asked->request;
  message.as.replay_report.reached = replayed->reached;
  message.as.replay_report.newest = replayed->newest;
  message.as.replay_report.oldest = replayed->oldest;
  message.as.replay_report.count = replayed->count;
  reply(asked->peer, &message, out);
  asked->kind = HG_NONE;
}

// The persister's answers go out as they are, under the number of the question.
static void from_persister(struct gateway *gateway, struct hg_message message, struct hg_outbox *out) {
  uint64_t *request = NULL;
  if (message.kind == HG_AUDIT_DIFFERENCE) request = &message.as.audit_difference.request;
  else if (message.kind == HG_AUDIT_REPORT) request = &message.as.audit_report.request;
  else if (message.kind == HG_COMMAND_DONE) request = &message.as.command_done.request;
  else if (message.kind == HG_REPLAYED) request = &message.as.replayed.request;
  else return;
  struct asked *asked = find(gateway, HG_AUDIT, *request);
  if (!asked) asked = find(gateway, HG_REPLAY, *request);
  if (!asked) return;
  if (message.kind == HG_REPLAYED) {
    report_replay(gateway, asked, &message.as.replayed, out);
    return;
  }
  *request = asked->request;
  reply(asked->peer, &message, out);
  if (message.kind != HG_AUDIT_DIFFERENCE) asked->kind = HG_NONE;
}

static void report(struct gateway *gateway, struct asked *asked, struct hg_outbox *out) {
  if (!asked->has_usage || !asked->has_queue) return;
  const struct hg_usage_message *usage = &asked->usage;
  const struct hg_queue_message *queue = &asked->queue;
  struct hg_message message;
  hg_message_init(&message, HG_STATUS_REPORT);
  struct hg_status_report_message *report = &message.as.status_report;
  report->request = asked->request;
  report->budget = hg_text_of(gateway->config->budgets[usage->budget].name);
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
  if (queue->blocked) report->waits_for = hg_text_of(gateway->config->budgets[queue->budget].name);
  const bool fewer_slots = queue->effective_concurrency < queue->max_concurrency; // as a throttle is closed
  report->waits_for_throttle = queue->blocked ? queue->throttled : queue->waiting && fewer_slots;
  report->needed = queue->needed;
  report->seq = usage->seq;
  report->live = true;
  report->audited = usage->audited;
  report->differences = usage->differences;
  report->audit_failed = usage->audit_failed;
  reply(asked->peer, &message, out);
  asked->kind = HG_NONE;
}

static void report_orphan(struct gateway *gateway, struct asked *asked, const struct hg_orphan_message *orphan,
                          struct hg_outbox *out) {
  struct hg_message message;
  hg_message_init(&message, HG_ORPHAN_REPORT);
  struct hg_orphan_report_message *report = &message.as.orphan_report;
  report->request = asked->request;
  report->permit = orphan->permit;
  if (orphan->permit != 0) {
    report->budget = hg_text_of(gateway->config->budgets[orphan->budget].name);
    report->tokens = orphan->tokens;
    report->state = hg_text_of(orphan->kept ? "kept" : orphan->charged == orphan->tokens ? "charged" : "released");
    report->task_id = orphan->task_id;
  }
  reply(asked->peer, &message, out);
  asked->kind = HG_NONE;
}

static void report_waiting(struct gateway *gateway, struct asked *asked, const struct hg_waiting_message *waiting,
                           struct hg_outbox *out) {
  const struct hg_budget_config *budgets = gateway->config->budgets;
  struct hg_message message;
  hg_message_init(&message, HG_WAITING_REPORT);
  struct hg_waiting_report_message *report = &message.as.waiting_report;
  report->request = asked->request;
  report->count = waiting->count;
  if (waiting->count != 0) {
    report->budget = hg_text_of(budgets[waiting->budget].name);
    if (waiting->blocked) report->waits_for = hg_text_of(budgets[waiting->waits_for].name);
    report->throttled = waiting->throttled;
    report->needed = waiting->needed;
    report->task_id = waiting->task_id;
    report->next = waiting->budget + 1;
  }
  reply(asked->peer, &message, out);
  asked->kind = HG_NONE;
}

static bool is_numbered(enum hg_kind kind) {
  return kind == HG_LIMIT || kind == HG_CORRECT;
}

// RECORDED is cumulative: it answers every numbered command up to its number. So is the REJECTED of a store that is
// lost.
static void numbers_done(struct gateway *gateway, uint64_t number, hg_err err, struct hg_outbox *out) {
  for (size_t i = 0; i < ASKED_MAX; i++) {
    struct asked *asked = &gateway->asked[i];
    if (!is_numbered(asked->kind) || asked->id > number) continue;
    answer(asked->peer, asked->request, asked->error ? (hg_err)asked->error : err, out);
    asked->kind = HG_NONE;
  }
}

static void rejected(struct gateway *gateway, const struct hg_rejected_message *message, struct hg_outbox *out) {
  if (message->error == HG_ERR_STORE) {
    numbers_done(gateway, message->number, HG_ERR_STORE, out);
    return;
  }
  for (size_t i = 0; i < ASKED_MAX; i++)
    if (is_numbered(gateway->asked[i].kind) && gateway->asked[i].id == message->number)
      gateway->asked[i].error = message->error;
}

// A question that has no answer.
static void refuse(struct asked *asked, uint32_t err, struct hg_outbox *out) {
  answer(asked->peer, asked->request, (hg_err)err, out);
  asked->kind = HG_NONE;
}

// ------------------------------------------------------------------------------------------------ turns

static void from_outside(struct gateway *gateway, const struct hg_envelope *in, struct hg_outbox *out) {
  const struct hg_message *message = &in->message;
  if (message->kind == HG_STATUS) ask_status(gateway, in->peer, &message->as.status, out);
  else if (message->kind == HG_LIMIT) set_limit(gateway, in->peer, &message->as.limit, out);
  else if (message->kind == HG_LIST_ORPHANS) list_orphans(gateway, in->peer, &message->as.list_orphans, out);
  else if (message->kind == HG_SETTLE_PERMIT) settle(gateway, in->peer, &message->as.settle_permit, out);
  else if (message->kind == HG_CORRECT) correct(gateway, in->peer, &message->as.correct, out);
  else if (message->kind == HG_LIST_WAITING) list_waiting(gateway, in->peer, &message->as.list_waiting, out);
  else if (message->kind == HG_AUDIT) ask_audit(gateway, in->peer, message->as.audit.request, out);
  else if (message->kind == HG_REPLAY) replay(gateway, in->peer, &message->as.replay, out);
  else answer(in->peer, 0, HG_ERR_PROTOCOL, out);
}

static void from_tracker(struct gateway *gateway, const struct hg_message *message, struct hg_outbox *out) {
  struct asked *asked;
  if (message->kind == HG_USAGE && (asked = find(gateway, HG_STATUS, message->as.usage.request))) {
    asked->usage = message->as.usage;
    asked->has_usage = true;
    if (asked->usage.error) refuse(asked, asked->usage.error, out);
    else report(gateway, asked, out);
  } else if (message->kind == HG_ORPHAN && (asked = find(gateway, HG_LIST_ORPHANS, message->as.orphan.request))) {
    if (message->as.orphan.error) refuse(asked, message->as.orphan.error, out);
    else report_orphan(gateway, asked, &message->as.orphan, out);
  } else if (message->kind == HG_REJECTED) {
    rejected(gateway, &message->as.rejected, out);
  } else if (message->kind == HG_RECORDED) {
    numbers_done(gateway, message->as.recorded.number, HG_OK, out);
  }
}

static void from_scheduler(struct gateway *gateway, const struct hg_message *message, struct hg_outbox *out) {
  struct asked *asked;
  if (message->kind == HG_QUEUE && (asked = find(gateway, HG_STATUS, message->as.queue.request))) {
    asked->queue = message->as.queue;
    asked->has_queue = true;
    if (asked->queue.error) refuse(asked, asked->queue.error, out);
    else report(gateway, asked, out);
  } else if (message->kind == HG_WAITING && (asked = find(gateway, HG_LIST_WAITING, message->as.waiting.request))) {
    if (message->as.waiting.error) refuse(asked, message->as.waiting.error, out);
    else report_waiting(gateway, asked, &message->as.waiting, out);
  } else if (message->kind == HG_SETTLED && (asked = find(gateway, HG_SETTLE_PERMIT, message->as.settled.permit))) {
    answer(asked->peer, asked->request, (hg_err)message->as.settled.error, out);
    asked->kind = HG_NONE;
  }
}

static void receive(void *self, struct hg_now now, const struct hg_envelope *in, struct hg_outbox *out) {
  struct gateway *gateway = self;
  (void)now;
  if (in->port == HG_PORT_CONTROL) from_outside(gateway, in, out);
  else if (in->port == HG_PORT_TRACKER) from_tracker(gateway, &in->message, out);
  else if (in->port == HG_PORT_SCHEDULER) from_scheduler(gateway, &in->message, out);
  else if (in->port == HG_PORT_LEDGER) from_persister(gateway, in->message, out);
  else if (in->message.kind == HG_STOP) hg_outbox_finish(out, HG_OK, NULL);
}

static int64_t flush(void *self, struct hg_now now, struct hg_outbox *out) {
  (void)self;
  (void)now;
  (void)out;
  return HG_NEVER;
}

hg_err hg_gateway_new(const struct hg_config *config, const char *ledger_id, struct hg_actor *out) {
  struct gateway *gateway = calloc(1, sizeof *gateway);
  if (!gateway) return HG_ERR_NO_MEMORY;
  gateway->config = config;
  snprintf(gateway->ledger_id, sizeof gateway->ledger_id, "%s", ledger_id);
  *out = (struct hg_actor){"hg-gateway", gateway, receive, flush, NULL, free};
  return HG_OK;
}
