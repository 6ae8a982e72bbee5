// What outsiders want, put to the actors whose it is.
#include "actors/gateway_private.h"

#include "bus/frames.h"
#include "base/money.h"
#include "usage/report.h"
#include "usage/usage.h"

#include <string.h>

bool hg_gateway_find_budget(const struct hg_gateway *gateway, struct hg_text name, uint32_t *out) {
  *out = 0;
  return name.size == 0 || hg_config_find_budget(gateway->config, name.data, name.size, out);
}

// A command about a budget takes its place. NULL: it was answered.
static struct hg_asked *enter_for(struct hg_gateway *gateway, enum hg_kind kind, hg_peer peer, uint64_t request,
                                  struct hg_text budget, uint32_t *index) {
  if (hg_gateway_find_budget(gateway, budget, index)) return hg_gateway_enter(gateway, kind, peer, request);
  hg_gateway_answer(gateway, peer, request, HG_ERR_UNKNOWN_BUDGET);
  return NULL;
}

// What a provider's answer says it used, or, where the ledger counts money, what that costs. One without usage is
// missing, never 0. Failed: it could not be priced.
static hg_err read_answer(const struct hg_gateway *gateway, struct hg_bytes answer, struct hg_text model,
                          uint64_t permit, struct hg_usage_found *found, const char **reason) {
  struct hg_answer read;
  hg_answer_read((const char *)answer.data, answer.size, &read);
  (void)hg_usage_find(&read, found);
  return hg_gateway_price_answer(gateway, model, permit, &found->report, reason);
}

// The same of counts that a command tells instead of an amount.
static hg_err price_counts(const struct hg_gateway *gateway, hg_usage_report *counts, struct hg_text model,
                           uint64_t permit, const char **reason) {
  counts->tokens = counts->input_tokens + counts->output_tokens;
  if (counts->tokens <= HG_TOKENS_MAX) return hg_gateway_price_answer(gateway, model, permit, counts, reason);
  counts->tokens = 0;
  counts->source = HG_SOURCE_MISSING;
  *reason = hg_err_text(HG_ERR_RANGE);
  return HG_ERR_RANGE;
}

static const char no_usage[] = "nothing tells what was used: neither tokens, nor an answer, nor both inputTokens and "
                               "outputTokens";

// Without an amount; 0 is one.
#define TELLS_NONE(command) ((command)->tokens == HG_UNKNOWN && (command)->source != HG_SOURCE_MISSING)
#define TELLS_COUNTS(command) ((command)->input_tokens > HG_UNKNOWN && (command)->output_tokens > HG_UNKNOWN)
#define TAKE_COUNTS(command, gateway, permit, err, reason)                                                             \
  do {                                                                                                                 \
    hg_usage_report counts_ = HG_USAGE_REPORT_INIT;                                                                    \
    HG_REPORT_DETAILS(&counts_, command);                                                                              \
    *(err) = price_counts((gateway), &counts_, (command)->model, (permit), (reason));                                  \
    (command)->tokens = counts_.tokens;                                                                                \
    (command)->source = (uint32_t)counts_.source;                                                                      \
  } while (0)

// It takes the place of what the command says.
#define TAKE_USAGE(command, found)                                                                                     \
  do {                                                                                                                 \
    (found)->report.attempt = (command)->attempt;                                                                      \
    HG_REPORT_DETAILS(command, &(found)->report);                                                                      \
    (command)->tokens = (found)->report.tokens;                                                                        \
    (command)->model = hg_text_of((found)->report.model);                                                              \
    (command)->response_id = hg_text_of((found)->report.response_id);                                                  \
  } while (0)

// ------------------------------------------------------------------------------------------------ permits

static void acquire(struct hg_gateway *gateway, hg_peer peer, struct hg_acquire_permit_message *wish) {
  struct hg_message message;
  hg_message_init(&message, HG_ACQUIRE);
  struct hg_acquire_message *acquire = &message.as.acquire;
  struct hg_asked *asked = enter_for(gateway, HG_ACQUIRE_PERMIT, peer, wish->request, wish->budget, &acquire->budget);
  if (!asked) return;
  const struct hg_price *price;
  const char *reason;
  const hg_err priced = hg_gateway_price_acquire(gateway, wish, &price, &reason);
  if (priced != HG_OK) {
    hg_gateway_refuse(gateway, asked, priced, reason);
    return;
  }
  const uint32_t lease_ms = wish->lease_ms ? wish->lease_ms : HG_LEASE_MS_OUTSIDE;
  const bool fits = lease_ms >= HG_LEASE_MS_MIN && lease_ms <= HG_LEASE_MS_MAX;
  if (!fits || !hg_gateway_enter_acquire(gateway, asked, lease_ms)) {
    hg_gateway_finish(gateway, asked, fits ? HG_ERR_NO_MEMORY : HG_ERR_INVALID);
    return;
  }
  asked->as.acquire.price = price;
  acquire->request = asked->id;
  acquire->min_tokens = wish->min_tokens ? wish->min_tokens : wish->max_tokens;
  acquire->max_tokens = wish->max_tokens;
  acquire->task_id = wish->task_id;
  acquire->attempt = wish->attempt;
  acquire->first_in_line = wish->first_in_line;
  acquire->timeout_us = wish->timeout_ms > UINT64_MAX / 1000 ? UINT64_MAX : wish->timeout_ms * 1000;
  acquire->parent = wish->parent;
  acquire->from_parent = wish->from_parent;
  acquire->lease_us = (uint64_t)lease_ms * 1000;
  acquire->no_wait = wish->no_wait;
  hg_outbox_put(gateway->out, HG_PORT_SCHEDULER, 0, &message);
}

static void cancel(struct hg_gateway *gateway, hg_peer peer, uint64_t request) {
  const struct hg_outsider *outsider = hg_id_map_get(&gateway->outsiders, peer);
  struct hg_asked *asked = outsider ? outsider->acquires : NULL;
  while (asked && asked->request != request)
    asked = asked->as.acquire.after;
  if (!asked) return;
  struct hg_message message;
  hg_message_init(&message, HG_CANCEL);
  message.as.cancel.request = asked->id;
  hg_outbox_put(gateway->out, HG_PORT_SCHEDULER, 0, &message);
}

// Takes its place behind others that end the same permit. NULL: it was answered.
static struct hg_asked *enter_end(struct hg_gateway *gateway, enum hg_kind kind, hg_peer peer, uint64_t request,
                                  uint64_t permit, uint32_t outcome) {
  struct hg_asked *asked = hg_gateway_enter(gateway, kind, peer, request);
  if (!asked) return NULL;
  const bool good = permit != 0 && outcome <= HG_OUTCOME_RETRY;
  if (good && hg_gateway_enter_end(gateway, asked, permit)) return asked;
  hg_gateway_finish(gateway, asked, good ? HG_ERR_NO_MEMORY : HG_ERR_INVALID);
  return NULL;
}

static void settle(struct hg_gateway *gateway, hg_peer peer, struct hg_settle_permit_message *wish) {
  struct hg_usage_found found;
  struct hg_asked *asked = enter_end(gateway, HG_SETTLE_PERMIT, peer, wish->request, wish->permit, wish->outcome);
  if (!asked) return;
  if (wish->answer.size) {
    // What has no price is missing, so that the whole reservation is charged.
    (void)read_answer(gateway, wish->answer, wish->model, wish->permit, &found, &asked->as.count.remark);
    TAKE_USAGE(wish, &found);
  } else if (TELLS_NONE(wish) && TELLS_COUNTS(wish)) {
    hg_err err;
    TAKE_COUNTS(wish, gateway, wish->permit, &err, &asked->as.count.remark);
  } else if (TELLS_NONE(wish)) { // as an answer that does not say
    wish->source = HG_SOURCE_MISSING;
    asked->as.count.remark = no_usage;
  }
  if (wish->tokens == HG_UNKNOWN) wish->tokens = 0;
  asked->as.count.tokens = wish->tokens;
  asked->as.count.source = wish->source;
  struct hg_message message;
  hg_message_init(&message, HG_SETTLE);
  struct hg_settle_message *settle = &message.as.settle;
  settle->permit = wish->permit;
  settle->outcome = wish->outcome;
  settle->reason = wish->reason;
  settle->tokens = wish->tokens;
  HG_COPY_DETAILS(*settle, *wish);
  settle->orphans_only = wish->orphans_only;
  hg_outbox_put(gateway->out, HG_PORT_SCHEDULER, 0, &message);
}

static void release(struct hg_gateway *gateway, hg_peer peer, const struct hg_release_permit_message *wish) {
  if (!enter_end(gateway, HG_RELEASE_PERMIT, peer, wish->request, wish->permit, wish->outcome)) return;
  struct hg_message message;
  hg_message_init(&message, HG_RELEASE);
  message.as.release.permit = wish->permit;
  message.as.release.outcome = wish->outcome;
  message.as.release.reason = wish->reason;
  hg_outbox_put(gateway->out, HG_PORT_SCHEDULER, 0, &message);
}

static void renew(struct hg_gateway *gateway, hg_peer peer, const struct hg_renew_permit_message *wish) {
  const struct hg_asked *asked = hg_gateway_enter(gateway, HG_RENEW_PERMIT, peer, wish->request);
  if (!asked) return;
  struct hg_message message;
  hg_message_init(&message, HG_RENEW);
  message.as.renew.request = asked->id;
  message.as.renew.permit = wish->permit;
  hg_outbox_put(gateway->out, HG_PORT_SCHEDULER, 0, &message);
}

static void set_concurrency(struct hg_gateway *gateway, hg_peer peer, const struct hg_concurrency_message *wish) {
  const struct hg_asked *asked = hg_gateway_enter(gateway, HG_CONCURRENCY, peer, wish->request);
  if (!asked) return;
  struct hg_message message;
  hg_message_init(&message, HG_SET_MAX_CONCURRENCY);
  message.as.set_max_concurrency.request = asked->id;
  message.as.set_max_concurrency.count = wish->count;
  hg_outbox_put(gateway->out, HG_PORT_SCHEDULER, 0, &message);
}

// ------------------------------------------------------------------------------------------------ numbered commands

// What is left out has no bytes; an empty one comes from a sender who has forgotten it, and would count every time.
static bool has_empty_id(struct hg_gateway *gateway, struct hg_asked *asked, struct hg_text usage_id) {
  if (!usage_id.data || usage_id.size > 0) return false;
  hg_gateway_refuse(gateway, asked, HG_ERR_INVALID,
                    "usageId is empty; leave it out, or give each usage a key of its own");
  return true;
}

static void record(struct hg_gateway *gateway, hg_peer peer, struct hg_record_message *wish) {
  struct hg_usage_found found;
  struct hg_message message;
  hg_message_init(&message, HG_RECORD_USAGE);
  struct hg_record_usage_message *record = &message.as.record_usage;
  struct hg_asked *asked = enter_for(gateway, HG_RECORD, peer, wish->request, wish->budget, &record->budget);
  if (!asked || has_empty_id(gateway, asked, wish->usage_id)) return;
  const char *reason = "";
  hg_err err = HG_OK;
  if (wish->answer.size) {
    err = read_answer(gateway, wish->answer, wish->model, 0, &found, &reason);
    TAKE_USAGE(wish, &found);
  } else if (TELLS_NONE(wish) && TELLS_COUNTS(wish)) {
    TAKE_COUNTS(wish, gateway, 0, &err, &reason);
  } else if (TELLS_NONE(wish)) {
    err = HG_ERR_NO_USAGE;
    reason = no_usage;
  }
  if (err != HG_OK) {
    hg_gateway_refuse(gateway, asked, err, reason);
    return;
  }
  if (wish->tokens == HG_UNKNOWN) wish->tokens = 0;
  hg_gateway_enter_number(gateway, asked);
  asked->as.count.tokens = wish->tokens;
  asked->as.count.source = wish->source;
  record->number = asked->id;
  record->task_id = wish->task_id;
  record->usage_id = wish->usage_id;
  record->tokens = wish->tokens;
  HG_COPY_DETAILS(*record, *wish);
  hg_outbox_put(gateway->out, HG_PORT_TRACKER, 0, &message);
}

static void set_limit(struct hg_gateway *gateway, hg_peer peer, const struct hg_limit_message *wish) {
  struct hg_message message;
  hg_message_init(&message, HG_SET_HARD_LIMIT);
  struct hg_set_hard_limit_message *set = &message.as.set_hard_limit;
  struct hg_asked *asked = enter_for(gateway, HG_LIMIT, peer, wish->request, wish->budget, &set->budget);
  if (!asked) return;
  hg_gateway_enter_number(gateway, asked);
  set->number = asked->id;
  set->tokens = wish->tokens;
  hg_outbox_put(gateway->out, HG_PORT_TRACKER, 0, &message);
}

static void correct(struct hg_gateway *gateway, hg_peer peer, const struct hg_correct_message *wish) {
  struct hg_message message;
  hg_message_init(&message, HG_CORRECT_USAGE);
  struct hg_correct_usage_message *correct = &message.as.correct_usage;
  struct hg_asked *asked = enter_for(gateway, HG_CORRECT, peer, wish->request, wish->budget, &correct->budget);
  if (!asked || has_empty_id(gateway, asked, wish->usage_id)) return;
  hg_gateway_enter_number(gateway, asked);
  correct->number = asked->id;
  correct->tokens = wish->tokens;
  correct->reason = wish->reason;
  correct->usage_id = wish->usage_id;
  hg_outbox_put(gateway->out, HG_PORT_TRACKER, 0, &message);
}

// ------------------------------------------------------------------------------------------------ questions

static void welcome(struct hg_gateway *gateway, hg_peer peer, uint64_t request) {
  struct hg_message message;
  hg_message_init(&message, HG_WELCOME);
  message.as.welcome.request = request;
  message.as.welcome.version = hg_text_of(hg_version());
  message.as.welcome.ledger = hg_text_of(gateway->ledger_id);
  message.as.welcome.events = hg_text_of(gateway->events);
  message.as.welcome.lease_ms = HG_LEASE_MS_OUTSIDE;
  message.as.welcome.life = gateway->life;
  message.as.welcome.unit = hg_text_of(hg_unit_name(gateway->config->unit));
  message.as.welcome.prices = hg_config_prices_mark(gateway->config);
  hg_gateway_reply(gateway, peer, &message);
}

static void ask_status(struct hg_gateway *gateway, hg_peer peer, const struct hg_status_message *status) {
  uint32_t budget;
  const struct hg_asked *asked = enter_for(gateway, HG_STATUS, peer, status->request, status->budget, &budget);
  if (!asked) return;
  struct hg_message ask;
  hg_message_init(&ask, HG_GET_USAGE);
  ask.as.get_usage.request = asked->id;
  ask.as.get_usage.budget = budget;
  hg_outbox_put(gateway->out, HG_PORT_TRACKER, 0, &ask);
  hg_message_init(&ask, HG_GET_QUEUE);
  ask.as.get_queue.request = asked->id;
  hg_outbox_put(gateway->out, HG_PORT_SCHEDULER, 0, &ask);
}

static void list_orphans(struct hg_gateway *gateway, hg_peer peer, const struct hg_list_orphans_message *question) {
  const struct hg_asked *asked = hg_gateway_enter(gateway, HG_LIST_ORPHANS, peer, question->request);
  if (!asked) return;
  struct hg_message message;
  hg_message_init(&message, HG_GET_ORPHAN);
  message.as.get_orphan.request = asked->id;
  message.as.get_orphan.after = question->after;
  hg_outbox_put(gateway->out, HG_PORT_TRACKER, 0, &message);
}

static void list_waiting(struct hg_gateway *gateway, hg_peer peer, const struct hg_list_waiting_message *question) {
  const struct hg_asked *asked = hg_gateway_enter(gateway, HG_LIST_WAITING, peer, question->request);
  if (!asked) return;
  struct hg_message message;
  hg_message_init(&message, HG_GET_WAITING);
  message.as.get_waiting.request = asked->id;
  message.as.get_waiting.from = question->from;
  hg_outbox_put(gateway->out, HG_PORT_SCHEDULER, 0, &message);
}

static void ask_in_turn(struct hg_gateway *gateway, enum hg_kind kind, hg_peer peer, uint64_t request) {
  struct hg_asked *asked = hg_gateway_enter(gateway, kind, peer, request);
  if (asked) hg_gateway_wait_turn(gateway, asked);
}

static void replay(struct hg_gateway *gateway, hg_peer peer, const struct hg_replay_message *question) {
  struct hg_asked *asked = hg_gateway_enter(gateway, HG_REPLAY, peer, question->request);
  if (!asked) return;
  asked->as.replay.after = question->after;
  asked->as.replay.credit = question->credit;
  if (question->topics.size) asked->as.replay.topics = strndup(question->topics.data, question->topics.size);
  if (question->topics.size && !asked->as.replay.topics) hg_gateway_finish(gateway, asked, HG_ERR_NO_MEMORY);
  else hg_gateway_wait_turn(gateway, asked);
}

// ------------------------------------------------------------------------------------------------ all of them

// A grant that its asker never heard of.
static void take_back(struct hg_gateway *gateway, uint64_t permit) {
  struct hg_message message;
  hg_message_init(&message, HG_RELEASE);
  message.as.release.permit = permit;
  message.as.release.outcome = HG_OUTCOME_FAILED;
  message.as.release.reason = hg_text_of("whoever asked for it is gone");
  hg_outbox_put(gateway->out, HG_PORT_SCHEDULER, 0, &message);
}

void hg_gateway_command(struct hg_gateway *gateway, const struct hg_envelope *in) {
  struct hg_message message = in->message;
  const hg_peer peer = in->peer;
  if (message.kind == HG_LEAVE) {
    hg_gateway_give_up_acquires_of(gateway, peer);
    hg_gateway_drop_turns_of(gateway, peer);
    return;
  }
  if (in->undelivered) {
    if (message.kind == HG_PERMIT_GRANTED) take_back(gateway, message.as.permit_granted.permit);
    return;
  }
  hg_gateway_hear(gateway, peer);
  if (message.kind == HG_ACQUIRE_PERMIT) acquire(gateway, peer, &message.as.acquire_permit);
  else if (message.kind == HG_CANCEL_ACQUIRE) cancel(gateway, peer, message.as.cancel_acquire.request);
  else if (message.kind == HG_SETTLE_PERMIT) settle(gateway, peer, &message.as.settle_permit);
  else if (message.kind == HG_RELEASE_PERMIT) release(gateway, peer, &message.as.release_permit);
  else if (message.kind == HG_RENEW_PERMIT) renew(gateway, peer, &message.as.renew_permit);
  else if (message.kind == HG_CONCURRENCY) set_concurrency(gateway, peer, &message.as.concurrency);
  else if (message.kind == HG_RECORD) record(gateway, peer, &message.as.record);
  else if (message.kind == HG_LIMIT) set_limit(gateway, peer, &message.as.limit);
  else if (message.kind == HG_CORRECT) correct(gateway, peer, &message.as.correct);
  else if (message.kind == HG_HELLO) welcome(gateway, peer, message.as.hello.request);
  else if (hg_gateway_tell(gateway, peer, &message)) return;
  else if (message.kind == HG_PING) hg_gateway_answer(gateway, peer, message.as.ping.request, HG_OK);
  else if (message.kind == HG_STATUS) ask_status(gateway, peer, &message.as.status);
  else if (message.kind == HG_SNAPSHOT) ask_in_turn(gateway, message.kind, peer, message.as.snapshot.request);
  else if (message.kind == HG_LIST_ORPHANS) list_orphans(gateway, peer, &message.as.list_orphans);
  else if (message.kind == HG_LIST_WAITING) list_waiting(gateway, peer, &message.as.list_waiting);
  else if (message.kind == HG_AUDIT) ask_in_turn(gateway, message.kind, peer, message.as.audit.request);
  else if (message.kind == HG_REPLAY) replay(gateway, peer, &message.as.replay);
  else hg_gateway_answer(gateway, peer, hg_outside_read_request(in->frame, in->frame_size), HG_ERR_PROTOCOL);
}
