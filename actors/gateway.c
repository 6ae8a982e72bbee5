// The gateway: matches the answers of tracker and scheduler with who asked.
#include "actors/gateway.h"

#include "bus/frames.h"

#include <stdlib.h>

#define ASKED_MAX 1024 // commands from outside under way at once

// A command under way. STATUS waits for two answers, LIMIT for one.
struct asked {
  enum hg_kind kind;      // HG_NONE: a free place
  hg_peer peer;
  uint64_t request;       // the outsider's
  uint64_t id;            // ours: a request id (STATUS) or a number (LIMIT)
  bool has_usage, has_queue;
  uint32_t error;         // LIMIT: HG_OK unless REJECTED
  struct hg_usage_message usage;
  struct hg_queue_message queue;
};

struct gateway {
  const struct hg_config *config;
  uint64_t next_id, next_number;
  struct asked asked[ASKED_MAX];
};

static struct asked *free_place(struct gateway *gateway) {
  for (size_t i = 0; i < ASKED_MAX; i++)
    if (gateway->asked[i].kind == HG_NONE) return &gateway->asked[i];
  return NULL;
}

static struct asked *find(struct gateway *gateway, enum hg_kind kind, uint64_t id) {
  for (size_t i = 0; i < ASKED_MAX; i++)
    if (gateway->asked[i].kind == kind && gateway->asked[i].id == id) return &gateway->asked[i];
  return NULL;
}

static bool find_budget(const struct gateway *gateway, struct hg_text name, uint32_t *out) {
  if (name.size == 0) name = hg_text_of("default");
  for (uint32_t i = 0; i < gateway->config->budget_count; i++) {
    if (!hg_text_equal(name, hg_text_of(gateway->config->budgets[i].name))) continue;
    *out = i;
    return true;
  }
  return false;
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
  hg_message_init(&done, HG_COMMAND_DONE);
  done.as.command_done.request = request;
  done.as.command_done.error = (uint32_t)err;
  done.as.command_done.reason = hg_text_of(hg_err_text(err));
  reply(peer, &done, out);
}

static void ask_status(struct gateway *gateway, hg_peer peer, const struct hg_status_message *status,
                       struct hg_outbox *out) {
  struct asked *place = free_place(gateway);
  uint32_t budget;
  if (!find_budget(gateway, status->budget, &budget)) {
    answer(peer, status->request, HG_ERR_UNKNOWN_BUDGET, out);
  } else if (!place) {
    answer(peer, status->request, HG_ERR_BUSY, out);
  } else {
    *place = (struct asked){.kind = HG_STATUS, .peer = peer, .request = status->request, .id = ++gateway->next_id};
    struct hg_message ask;
    hg_message_init(&ask, HG_GET_USAGE);
    ask.as.get_usage.request = place->id;
    ask.as.get_usage.budget = budget;
    hg_outbox_put(out, HG_PORT_TRACKER, 0, &ask);
    hg_message_init(&ask, HG_GET_QUEUE);
    ask.as.get_queue.request = place->id;
    hg_outbox_put(out, HG_PORT_SCHEDULER, 0, &ask);
  }
}

static void set_limit(struct gateway *gateway, hg_peer peer, const struct hg_limit_message *limit, struct hg_outbox *out) {
  struct asked *place = free_place(gateway);
  uint32_t budget;
  if (!find_budget(gateway, limit->budget, &budget)) {
    answer(peer, limit->request, HG_ERR_UNKNOWN_BUDGET, out);
  } else if (!place) {
    answer(peer, limit->request, HG_ERR_BUSY, out);
  } else {
    *place = (struct asked){.kind = HG_LIMIT, .peer = peer, .request = limit->request, .id = ++gateway->next_number};
    struct hg_message set;
    hg_message_init(&set, HG_SET_HARD_LIMIT);
    set.as.set_hard_limit.number = place->id;
    set.as.set_hard_limit.budget = budget;
    set.as.set_hard_limit.tokens = limit->tokens;
    hg_outbox_put(out, HG_PORT_TRACKER, 0, &set);
  }
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
  report->waits_for_throttle = queue->blocked && queue->throttled;
  report->needed = queue->needed;
  report->seq = usage->seq;
  report->live = true;
  reply(asked->peer, &message, out);
  asked->kind = HG_NONE;
}

// RECORDED is cumulative: it answers every limit up to its number. So is the REJECTED of a store that is lost.
static void limits_done(struct gateway *gateway, uint64_t number, hg_err err, struct hg_outbox *out) {
  for (size_t i = 0; i < ASKED_MAX; i++) {
    struct asked *asked = &gateway->asked[i];
    if (asked->kind != HG_LIMIT || asked->id > number) continue;
    answer(asked->peer, asked->request, asked->error ? (hg_err)asked->error : err, out);
    asked->kind = HG_NONE;
  }
}

static void status_lost(struct asked *asked, uint32_t err, struct hg_outbox *out) {
  answer(asked->peer, asked->request, (hg_err)err, out);
  asked->kind = HG_NONE;
}

static void from_outside(struct gateway *gateway, const struct hg_envelope *in, struct hg_outbox *out) {
  if (in->message.kind == HG_STATUS)
    ask_status(gateway, in->peer, &in->message.as.status, out);
  else if (in->message.kind == HG_LIMIT)
    set_limit(gateway, in->peer, &in->message.as.limit, out);
  else
    answer(in->peer, 0, HG_ERR_PROTOCOL, out);
}

static void receive(void *self, struct hg_now now, const struct hg_envelope *in, struct hg_outbox *out) {
  struct gateway *gateway = self;
  const struct hg_message *message = &in->message;
  struct asked *asked;
  (void)now;
  if (in->port == HG_PORT_CONTROL) {
    from_outside(gateway, in, out);
  } else if (message->kind == HG_USAGE && (asked = find(gateway, HG_STATUS, message->as.usage.request))) {
    asked->usage = message->as.usage;
    asked->has_usage = true;
    if (asked->usage.error) status_lost(asked, asked->usage.error, out);
    else report(gateway, asked, out);
  } else if (message->kind == HG_QUEUE && (asked = find(gateway, HG_STATUS, message->as.queue.request))) {
    asked->queue = message->as.queue;
    asked->has_queue = true;
    if (asked->queue.error) status_lost(asked, asked->queue.error, out);
    else report(gateway, asked, out);
  } else if (message->kind == HG_REJECTED && message->as.rejected.error == HG_ERR_STORE) {
    limits_done(gateway, message->as.rejected.number, HG_ERR_STORE, out);
  } else if (message->kind == HG_REJECTED && (asked = find(gateway, HG_LIMIT, message->as.rejected.number))) {
    asked->error = message->as.rejected.error;
  } else if (message->kind == HG_RECORDED) {
    limits_done(gateway, message->as.recorded.number, HG_OK, out);
  } else if (message->kind == HG_STOP) {
    hg_outbox_finish(out, HG_OK, NULL);
  }
}

static int64_t flush(void *self, struct hg_now now, struct hg_outbox *out) {
  (void)self;
  (void)now;
  (void)out;
  return HG_NEVER;
}

hg_err hg_gateway_new(const struct hg_config *config, struct hg_actor *out) {
  struct gateway *gateway = calloc(1, sizeof *gateway);
  if (!gateway) return HG_ERR_NO_MEMORY;
  gateway->config = config;
  *out = (struct hg_actor){"hg-gateway", gateway, receive, flush, NULL, free};
  return HG_OK;
}
