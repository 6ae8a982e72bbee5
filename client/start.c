// The asynchronous commands of a client: check the arguments, send, give a ticket.
#include "client/client.h"
#include "usage/report.h"

#include <string.h>

// Numbers a command and sends it. A command that could not be sent has no number.
static hg_err send_numbered(hg_client *client, struct hg_message *message, uint64_t *number) {
  if (client->sent - client->durable >= HG_CLIENT_WINDOW) return HG_ERR_BUSY;
  *number = client->sent + 1;
  const hg_err err = hg_client_send(client, HG_TO_TRACKER, message);
  if (err == HG_OK) client->sent++;
  return err;
}

// An empty one comes from a caller who has forgotten it, and would count every time.
static hg_err take_usage_id(const char *usage_id, struct hg_text *out) {
  return usage_id && !usage_id[0] ? HG_ERR_INVALID : hg_client_text(usage_id, HG_LABEL_MAX, out);
}

hg_err hg_record_usage_start(hg_client *client, const hg_usage_report *report, hg_ticket *out) {
  if (!client || !out) return HG_ERR_INVALID;
  hg_usage_report used;
  struct hg_message message;
  hg_message_init(&message, HG_RECORD_USAGE);
  struct hg_record_usage_message *record = &message.as.record_usage;
  hg_err err = hg_report_read(report, client->core->config->unit, &used);
  if (err == HG_OK && used.source == HG_SOURCE_MISSING) err = HG_ERR_NO_USAGE;
  if (err == HG_OK) err = hg_client_find_budget(client, used.budget, &record->budget);
  if (err == HG_OK) err = hg_client_text(used.task_id, HG_TASK_ID_MAX, &record->task_id);
  if (err == HG_OK) err = hg_client_text(used.model, HG_LABEL_MAX, &record->model);
  if (err == HG_OK) err = hg_client_text(used.response_id, HG_LABEL_MAX, &record->response_id);
  if (err == HG_OK) err = take_usage_id(used.usage_id, &record->usage_id);
  if (err != HG_OK) return err;
  record->tokens = used.tokens;
  HG_REPORT_DETAILS(record, &used);
  record->number = client->sent + 1;
  uint64_t number;
  err = send_numbered(client, &message, &number);
  if (err == HG_OK) *out = (hg_ticket){number | HG_TICKET_RECORD};
  return err;
}

hg_err hg_client_start_correction(hg_client *client, const char *budget, int64_t tokens, const char *why,
                                  const char *usage_id, uint64_t *number) {
  if (tokens < -HG_TOKENS_MAX || tokens > HG_TOKENS_MAX) return HG_ERR_RANGE;
  struct hg_message message;
  hg_message_init(&message, HG_CORRECT_USAGE);
  hg_err err = hg_client_find_budget(client, budget, &message.as.correct_usage.budget);
  if (err == HG_OK) err = hg_client_text(why, HG_TEXT_MAX, &message.as.correct_usage.reason);
  if (err == HG_OK) err = take_usage_id(usage_id, &message.as.correct_usage.usage_id);
  if (err != HG_OK) return err;
  message.as.correct_usage.number = client->sent + 1;
  message.as.correct_usage.tokens = tokens;
  return send_numbered(client, &message, number);
}

hg_err hg_client_start_limit(hg_client *client, const char *budget, int64_t tokens, bool configured, uint64_t *number) {
  if (tokens < 1 || tokens > HG_TOKENS_MAX) return HG_ERR_RANGE;
  struct hg_message message;
  hg_message_init(&message, HG_SET_HARD_LIMIT);
  const hg_err err = hg_client_find_budget(client, budget, &message.as.set_hard_limit.budget);
  if (err != HG_OK) return err;
  message.as.set_hard_limit.number = client->sent + 1;
  message.as.set_hard_limit.tokens = tokens;
  message.as.set_hard_limit.configured = configured;
  return send_numbered(client, &message, number);
}

hg_err hg_client_tell_pushback(hg_client *client, const char *task_id, uint32_t from, uint32_t to) {
  struct hg_message message;
  hg_message_init(&message, HG_TELL_PUSHBACK);
  const hg_err err = hg_client_text(task_id, HG_TASK_ID_MAX, &message.as.tell_pushback.task_id);
  if (err != HG_OK) return err;
  message.as.tell_pushback.from = from;
  message.as.tell_pushback.to = to;
  return hg_client_send(client, HG_TO_TRACKER, &message);
}

hg_err hg_client_tell_savings(hg_client *client, int64_t saved, uint64_t overran) {
  struct hg_message message;
  hg_message_init(&message, HG_TELL_SAVINGS);
  message.as.tell_savings.saved = saved;
  message.as.tell_savings.overran = overran;
  return hg_client_send(client, HG_TO_TRACKER, &message);
}

hg_err hg_client_tell_lines(hg_client *client, const char *budget, uint64_t lines, uint32_t allowed) {
  struct hg_message message;
  hg_message_init(&message, HG_TELL_LINES);
  const hg_err err = hg_client_find_budget(client, budget, &message.as.tell_lines.budget);
  if (err != HG_OK) return err;
  message.as.tell_lines.lines = lines;
  message.as.tell_lines.allowed = allowed;
  return hg_client_send(client, HG_TO_TRACKER, &message);
}

static hg_err read_request(hg_client *client, const hg_request *from, hg_request *want, uint32_t *budget,
                           struct hg_text *task_id) {
  const hg_request defaults = HG_REQUEST_INIT;
  *want = defaults;
  if (!from || from->size < offsetof(hg_request, attempt)) return HG_ERR_INVALID;
  memcpy(want, from, from->size < sizeof *want ? from->size : sizeof *want);
  if (want->min_tokens < 1 || want->max_tokens < want->min_tokens) return HG_ERR_INVALID;
  if (want->max_tokens > HG_TOKENS_MAX) return HG_ERR_RANGE;
  if (want->from_parent && want->parent.id == 0) return HG_ERR_INVALID;
  if (want->lease_ms && (want->lease_ms < HG_LEASE_MS_MIN || want->lease_ms > HG_LEASE_MS_MAX)) return HG_ERR_INVALID;
  if (want->attempt == 0) want->attempt = 1;
  const hg_err err = hg_client_find_budget(client, want->budget, budget);
  return err == HG_OK ? hg_client_text(want->task_id, HG_TASK_ID_MAX, task_id) : err;
}

hg_err hg_client_start_acquire(hg_client *client, const hg_request *request, struct hg_patience patience,
                               hg_ticket *out) {
  hg_request want;
  struct hg_message message;
  hg_message_init(&message, HG_ACQUIRE);
  struct hg_acquire_message *acquire = &message.as.acquire;
  hg_err err = read_request(client, request, &want, &acquire->budget, &acquire->task_id);
  if (err != HG_OK) return err;
  if (client->acquires >= HG_CLIENT_WINDOW) return HG_ERR_BUSY;
  acquire->request = hg_client_fresh_id(client);
  acquire->min_tokens = want.min_tokens;
  acquire->max_tokens = want.max_tokens;
  acquire->attempt = want.attempt;
  acquire->first_in_line = want.first_in_line;
  acquire->timeout_us = patience.us;
  acquire->waits = patience.waits;
  acquire->parent = want.parent.id;
  acquire->from_parent = want.from_parent;
  acquire->lease_us = (uint64_t)want.lease_ms * 1000;
  acquire->no_wait = want.no_wait;
  err = hg_client_send(client, HG_TO_SCHEDULER, &message);
  if (err != HG_OK) return err;
  client->acquires++;
  *out = (hg_ticket){acquire->request};
  return HG_OK;
}

hg_err hg_acquire_start(hg_client *client, const hg_request *request, hg_ticket *out) {
  return client && out ? hg_client_start_acquire(client, request, (struct hg_patience){0}, out) : HG_ERR_INVALID;
}

static hg_err send_settle(hg_client *client, uint64_t permit, const struct hg_message *message, hg_ticket *out) {
  if (client->settles + client->renewals >= HG_CLIENT_WINDOW) return HG_ERR_BUSY;
  const hg_err err = hg_client_send(client, HG_TO_SCHEDULER, message);
  if (err != HG_OK) return err;
  client->settles++;
  *out = (hg_ticket){permit | HG_TICKET_SETTLE};
  return HG_OK;
}

hg_err hg_settle_start(hg_client *client, hg_permit permit, const hg_usage_report *report, hg_ticket *out) {
  if (!client || !out || permit.id == 0) return HG_ERR_INVALID;
  hg_usage_report used;
  struct hg_message message;
  hg_message_init(&message, HG_SETTLE);
  struct hg_settle_message *settle = &message.as.settle;
  hg_err err = hg_report_read(report, client->core->config->unit, &used);
  if (err == HG_OK) err = hg_client_text(used.reason, HG_TEXT_MAX, &settle->reason);
  if (err == HG_OK) err = hg_client_text(used.model, HG_LABEL_MAX, &settle->model);
  if (err == HG_OK) err = hg_client_text(used.response_id, HG_LABEL_MAX, &settle->response_id);
  if (err != HG_OK) return err;
  settle->permit = permit.id;
  settle->tokens = used.tokens;
  settle->outcome = (uint32_t)used.outcome;
  HG_REPORT_DETAILS(settle, &used);
  return send_settle(client, permit.id, &message, out);
}

hg_err hg_release_start(hg_client *client, hg_permit permit, hg_outcome outcome, const char *reason, hg_ticket *out) {
  if (!client || !out || permit.id == 0 || (unsigned)outcome > HG_OUTCOME_RETRY) return HG_ERR_INVALID;
  struct hg_message message;
  hg_message_init(&message, HG_RELEASE);
  message.as.release.permit = permit.id;
  message.as.release.outcome = (uint32_t)outcome;
  const hg_err err = hg_client_text(reason, HG_TEXT_MAX, &message.as.release.reason);
  return err == HG_OK ? send_settle(client, permit.id, &message, out) : err;
}

hg_err hg_renew_start(hg_client *client, hg_permit permit, hg_ticket *out) {
  if (!client || !out || permit.id == 0) return HG_ERR_INVALID;
  if (client->settles + client->renewals >= HG_CLIENT_WINDOW) return HG_ERR_BUSY;
  struct hg_message message;
  hg_message_init(&message, HG_RENEW);
  message.as.renew.request = permit.id | HG_TICKET_RENEW;
  message.as.renew.permit = permit.id;
  const hg_err err = hg_client_send(client, HG_TO_SCHEDULER, &message);
  if (err != HG_OK) return err;
  client->renewals++;
  *out = (hg_ticket){permit.id | HG_TICKET_RENEW};
  return HG_OK;
}

hg_err hg_cancel(hg_client *client, hg_ticket ticket) {
  if (!client || ticket.id == 0 || ticket.id & (HG_TICKET_RECORD | HG_TICKET_SETTLE | HG_TICKET_RENEW))
    return HG_ERR_INVALID;
  return hg_client_cancel(client, ticket.id, false);
}

hg_err hg_client_cancel(hg_client *client, uint64_t request, bool give_back) {
  struct hg_message cancel;
  hg_message_init(&cancel, HG_CANCEL);
  cancel.as.cancel.request = request;
  cancel.as.cancel.give_back = give_back;
  return hg_client_send(client, HG_TO_SCHEDULER, &cancel);
}

static hg_err start_workers(struct hg_core *core) {
  pthread_mutex_lock(&core->workers_lock);
  const hg_err err = core->runtime ? core->start_workers(core->runtime) : HG_ERR_CLOSED;
  pthread_mutex_unlock(&core->workers_lock);
  return err;
}

hg_err hg_run(hg_client *client, const hg_task *task, hg_ticket *out) {
  if (!client || !task || !out || task->size < sizeof *task || !task->function) return HG_ERR_INVALID;
  hg_request want;
  struct hg_message message;
  hg_message_init(&message, HG_RUN_FUNCTION);
  struct hg_run_function_message *run = &message.as.run_function;
  hg_err err = hg_core_check(client->core);
  if (err == HG_OK) err = read_request(client, &task->request, &want, &run->budget, &run->task_id);
  if (err == HG_OK && client->runs >= HG_CLIENT_WINDOW) err = HG_ERR_BUSY;
  if (err == HG_OK) err = start_workers(client->core);
  if (err != HG_OK) return err;
  run->request = hg_client_fresh_id(client);
  run->min_tokens = want.min_tokens;
  run->max_tokens = want.max_tokens;
  run->attempt = want.attempt;
  run->first_in_line = want.first_in_line;
  run->parent = want.parent.id;
  run->from_parent = want.from_parent;
  run->lease_us = (uint64_t)want.lease_ms * 1000;
  run->no_wait = want.no_wait;
  run->function = (uint64_t)(uintptr_t)task->function;
  run->argument = (uint64_t)(uintptr_t)task->argument;
  err = hg_client_send(client, HG_TO_WORKERS, &message);
  if (err != HG_OK) return err;
  client->runs++;
  *out = (hg_ticket){run->request};
  return HG_OK;
}
