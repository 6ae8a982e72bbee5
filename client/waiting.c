// The waiting commands of a client: start, then take in answers until the one asked for is there or the time is over.
#include "client/client.h"

#include <string.h>
#include <time.h>

#define GRACE_US 200000 // the scheduler answers a deadline itself; this long later the runtime counts as silent
#define LOOK_AGAIN_US 1000
#define NAME_RETRY_MS 5
#define NAME_PATIENCE_MS 500

// Starts again and again while the pipe is full: a waiting call waits instead of hearing HG_ERR_BUSY.
#define START_OR_WAIT(err, client, deadline, call)                                                                     \
  do {                                                                                                                 \
    (err) = (call);                                                                                                    \
    if ((err) != HG_ERR_BUSY) break;                                                                                   \
    (err) = wait_for_room((client), (deadline));                                                                       \
  } while ((err) == HG_OK)

// Answers that are taken in make room in the window, and the actor makes room in the pipe.
static hg_err wait_for_room(hg_client *client, int64_t deadline) {
  const int64_t now = hg_clock_now().monotonic_us;
  if (now >= deadline) return HG_ERR_TIMEOUT;
  const hg_err err = hg_client_wait(client, now + LOOK_AGAIN_US);
  return err == HG_ERR_TIMEOUT ? HG_OK : err;
}

// ------------------------------------------------------------------------------------------------ numbered commands

// A number that a waiting call waits for makes no completion; its rejection, if any, is the call's result.
static hg_err wait_number(hg_client *client, uint64_t number, int64_t deadline) {
  if (!hg_ring_push(&client->silent, &number)) return HG_ERR_NO_MEMORY;
  client->waited_number = number;
  client->waited_result = HG_OK;
  hg_err err = HG_OK;
  while (err == HG_OK && client->durable < number)
    err = hg_client_wait(client, deadline);
  client->waited_number = 0;
  hg_client_skip_silent(client);
  if (err == HG_OK) err = client->waited_result;
  return err == HG_OK ? hg_client_outcome(client, number) : err;
}

hg_err hg_record_usage(hg_client *client, const hg_usage_report *report, int timeout_ms) {
  if (!client) return HG_ERR_INVALID;
  const int64_t deadline = hg_deadline(timeout_ms);
  hg_ticket ticket;
  hg_err err;
  START_OR_WAIT(err, client, deadline, hg_record_usage_start(client, report, &ticket));
  return err == HG_OK ? wait_number(client, ticket.id & ~HG_TICKET_RECORD, deadline) : err;
}

static hg_err correct(hg_client *client, const char *budget, int64_t tokens, const char *why, const char *usage_id,
                      int timeout_ms) {
  if (!client) return HG_ERR_INVALID;
  const int64_t deadline = hg_deadline(timeout_ms);
  uint64_t number = 0;
  hg_err err;
  START_OR_WAIT(err, client, deadline, hg_client_start_correction(client, budget, tokens, why, usage_id, &number));
  return err == HG_OK ? wait_number(client, number, deadline) : err;
}

hg_err hg_correct(hg_client *client, const char *budget, int64_t tokens, const char *why, int timeout_ms) {
  return correct(client, budget, tokens, why, NULL, timeout_ms);
}

hg_err hg_correct_once(hg_client *client, const char *budget, int64_t tokens, const char *why, const char *usage_id,
                       int timeout_ms) {
  return usage_id ? correct(client, budget, tokens, why, usage_id, timeout_ms) : HG_ERR_INVALID;
}

static hg_err set_limit(hg_client *client, const char *budget, int64_t tokens, bool configured, int timeout_ms) {
  if (!client) return HG_ERR_INVALID;
  const int64_t deadline = hg_deadline(timeout_ms);
  uint64_t number = 0;
  hg_err err;
  START_OR_WAIT(err, client, deadline, hg_client_start_limit(client, budget, tokens, configured, &number));
  return err == HG_OK ? wait_number(client, number, deadline) : err;
}

hg_err hg_set_hard_limit(hg_client *client, const char *budget, int64_t tokens, int timeout_ms) {
  return set_limit(client, budget, tokens, false, timeout_ms);
}

hg_err hg_client_configure_limit(hg_client *client, const char *budget, int64_t tokens, int timeout_ms) {
  return set_limit(client, budget, tokens, true, timeout_ms);
}

// ------------------------------------------------------------------------------------------------ permits

// Takes the completion of a ticket out of the queue, wherever it stands in it.
static bool take_completion(hg_client *client, uint64_t ticket, hg_completion *out) {
  bool found = false;
  for (size_t left = client->completions.count; left > 0; left--) {
    const hg_completion next = *(const hg_completion *)hg_ring_first(&client->completions);
    hg_ring_pop(&client->completions);
    if (!found && next.ticket.id == ticket) {
      *out = next;
      found = true;
    } else {
      (void)hg_ring_push(&client->completions, &next); // a place was just freed
    }
  }
  return found;
}

static hg_err wait_ticket(hg_client *client, uint64_t ticket, int64_t deadline, hg_completion *out) {
  size_t seen = SIZE_MAX;
  for (;;) {
    if (client->completions.count != seen && take_completion(client, ticket, out)) return HG_OK;
    seen = client->completions.count;
    const hg_err err = hg_client_wait(client, deadline);
    if (err != HG_OK) return err;
  }
}

// Any answer that comes later finds nobody. A grant is given back at once by the scheduler, which is told so, or else
// when it is taken in.
static hg_err abandon(hg_client *client, uint64_t ticket, hg_err err) {
  static char mark; // any pointer will do: only the id counts
  const bool acquire = !(ticket & (HG_TICKET_SETTLE | HG_TICKET_RENEW));
  if (!hg_id_map_put(&client->abandoned, ticket, &mark)) return HG_ERR_NO_MEMORY;
  return acquire && hg_client_cancel(client, ticket, true) == HG_ERR_CLOSED ? HG_ERR_CLOSED : err;
}

hg_err hg_acquire(hg_client *client, const hg_request *request, hg_grant *out, int timeout_ms) {
  if (!client || !out || out->size < sizeof *out) return HG_ERR_INVALID;
  const int64_t deadline = hg_deadline(timeout_ms);
  // 0 would mean no deadline to the scheduler. One try is no wait.
  const struct hg_patience patience = {timeout_ms < 0    ? 0
                                       : timeout_ms == 0 ? 1
                                                         : (uint64_t)timeout_ms * 1000,
                                       timeout_ms != 0};
  hg_ticket ticket;
  hg_completion done;
  hg_err err;
  START_OR_WAIT(err, client, deadline, hg_client_start_acquire(client, request, patience, &ticket));
  if (err != HG_OK) return err;
  err = wait_ticket(client, ticket.id, deadline == HG_NEVER ? HG_NEVER : deadline + GRACE_US, &done);
  if (err != HG_OK) return abandon(client, ticket.id, err);
  if (done.err == HG_OK) {
    out->permit = done.permit;
    out->tokens = done.tokens;
  }
  return done.err;
}

static hg_err wait_done(hg_client *client, hg_ticket ticket, int64_t deadline) {
  hg_completion done;
  const hg_err err = wait_ticket(client, ticket.id, deadline, &done);
  return err == HG_OK ? done.err : abandon(client, ticket.id, err);
}

hg_err hg_settle(hg_client *client, hg_permit permit, const hg_usage_report *report, int timeout_ms) {
  if (!client) return HG_ERR_INVALID;
  const int64_t deadline = hg_deadline(timeout_ms);
  hg_ticket ticket;
  hg_err err;
  START_OR_WAIT(err, client, deadline, hg_settle_start(client, permit, report, &ticket));
  return err == HG_OK ? wait_done(client, ticket, deadline) : err;
}

hg_err hg_release(hg_client *client, hg_permit permit, hg_outcome outcome, const char *reason, int timeout_ms) {
  if (!client) return HG_ERR_INVALID;
  const int64_t deadline = hg_deadline(timeout_ms);
  hg_ticket ticket;
  hg_err err;
  START_OR_WAIT(err, client, deadline, hg_release_start(client, permit, outcome, reason, &ticket));
  return err == HG_OK ? wait_done(client, ticket, deadline) : err;
}

hg_err hg_renew(hg_client *client, hg_permit permit, int timeout_ms) {
  if (!client) return HG_ERR_INVALID;
  const int64_t deadline = hg_deadline(timeout_ms);
  hg_ticket ticket;
  hg_err err;
  START_OR_WAIT(err, client, deadline, hg_renew_start(client, permit, &ticket));
  return err == HG_OK ? wait_done(client, ticket, deadline) : err;
}

hg_err hg_flush(hg_client *client, int timeout_ms) {
  if (!client) return HG_ERR_INVALID;
  const int64_t deadline = hg_deadline(timeout_ms);
  hg_err err = hg_client_pump(client);
  while (err == HG_OK && (client->durable < client->sent || client->settles))
    err = hg_client_wait(client, deadline);
  if (err == HG_OK && client->lost_settles) return HG_ERR_STORE;
  return err == HG_OK ? hg_client_outcome(client, client->sent) : err;
}

// ------------------------------------------------------------------------------------------------ questions

static hg_err ask(hg_client *client, enum hg_client_link link, const struct hg_message *question, uint64_t request,
                  int timeout_ms) {
  const int64_t deadline = hg_deadline(timeout_ms);
  hg_err err;
  client->awaited = request;
  client->answered = false;
  START_OR_WAIT(err, client, deadline, hg_client_send(client, link, question));
  while (err == HG_OK && !client->answered)
    err = hg_client_wait(client, deadline);
  client->awaited = 0;
  return err;
}

hg_err hg_get_usage(hg_client *client, const char *budget, hg_usage *out, int timeout_ms) {
  if (!client || !out || out->size < offsetof(hg_usage, tokens_per_minute)) return HG_ERR_INVALID;
  struct hg_message question;
  hg_message_init(&question, HG_GET_USAGE);
  hg_err err = hg_client_find_budget(client, budget, &question.as.get_usage.budget);
  if (err != HG_OK) return err;
  question.as.get_usage.request = hg_client_fresh_id(client);
  err = ask(client, HG_TO_TRACKER, &question, question.as.get_usage.request, timeout_ms);
  if (err != HG_OK) return err;
  const struct hg_usage_message *usage = &client->answer.as.usage;
  if (usage->error) return (hg_err)usage->error;
  const struct hg_config *config = client->core->config;
  const uint32_t size = out->size < sizeof *out ? out->size : (uint32_t)sizeof *out;
  hg_usage all = {
      .size = size,
      .used = usage->used,
      .reserved = usage->reserved,
      .hard_limit = usage->hard_limit,
      .remaining = usage->hard_limit - usage->used,
      .available = usage->hard_limit - usage->used - usage->reserved,
      .usage_percent_hundredths = usage->usage_percent,
      .throttle_percent = config->throttle_percent,
      .should_throttle = usage->should_throttle,
      .throttled = usage->throttled,
      .open_permits = usage->open_permits,
      .seq = usage->seq,
      .tokens_per_minute = usage->per_minute,
      .threshold_in_ms = usage->threshold_in_ms,
      .limit_in_ms = usage->limit_in_ms,
      .task_tokens = usage->task_tokens,
      .unit = config->unit,
  };
  memcpy(all.budget, config->budgets[usage->budget].name, sizeof all.budget);
  memcpy(out, &all, size);
  return HG_OK;
}

hg_err hg_get_queue(hg_client *client, hg_queue *out, int timeout_ms) {
  if (!client || !out || out->size < sizeof *out) return HG_ERR_INVALID;
  struct hg_message question;
  hg_message_init(&question, HG_GET_QUEUE);
  question.as.get_queue.request = hg_client_fresh_id(client);
  const hg_err err = ask(client, HG_TO_SCHEDULER, &question, question.as.get_queue.request, timeout_ms);
  if (err != HG_OK) return err;
  const struct hg_queue_message *queue = &client->answer.as.queue;
  if (queue->error) return (hg_err)queue->error;
  *out = (hg_queue){
      .size = (uint32_t)sizeof *out,
      .max_concurrency = queue->max_concurrency,
      .effective_concurrency = queue->effective_concurrency,
      .running = queue->running,
      .waiting = queue->waiting,
      .needed = queue->needed,
      .throttled = queue->blocked && queue->throttled,
  };
  if (queue->blocked) memcpy(out->waits_for, client->core->config->budgets[queue->budget].name, sizeof out->waits_for);
  return HG_OK;
}

hg_err hg_next_waiting(hg_client *client, uint32_t *next, hg_waiting *out, int timeout_ms) {
  if (!client || !next || !out || out->size < sizeof *out) return HG_ERR_INVALID;
  struct hg_message question;
  hg_message_init(&question, HG_GET_WAITING);
  question.as.get_waiting.request = hg_client_fresh_id(client);
  question.as.get_waiting.from = *next;
  const hg_err err = ask(client, HG_TO_SCHEDULER, &question, question.as.get_waiting.request, timeout_ms);
  if (err != HG_OK) return err;
  const struct hg_waiting_message *waiting = &client->answer.as.waiting;
  if (waiting->error) return (hg_err)waiting->error;
  if (waiting->count == 0) return HG_ERR_EMPTY;
  const struct hg_budget_config *budgets = client->core->config->budgets;
  *out = (hg_waiting){.size = (uint32_t)sizeof *out,
                      .count = waiting->count,
                      .throttled = waiting->throttled,
                      .needed = waiting->needed};
  memcpy(out->budget, budgets[waiting->budget].name, sizeof out->budget);
  if (waiting->blocked) memcpy(out->waits_for, budgets[waiting->waits_for].name, sizeof out->waits_for);
  hg_text_copy(out->task_id, sizeof out->task_id, waiting->task_id);
  *next = waiting->budget + 1;
  return HG_OK;
}

hg_err hg_set_max_concurrency(hg_client *client, unsigned n, int timeout_ms) {
  if (!client) return HG_ERR_INVALID;
  if (n < 1 || n > HG_CONCURRENCY_MAX) return HG_ERR_RANGE;
  struct hg_message question;
  hg_message_init(&question, HG_SET_MAX_CONCURRENCY);
  question.as.set_max_concurrency.request = hg_client_fresh_id(client);
  question.as.set_max_concurrency.count = n;
  const hg_err err = ask(client, HG_TO_SCHEDULER, &question, question.as.set_max_concurrency.request, timeout_ms);
  return err == HG_OK ? (hg_err)client->answer.as.done.error : err;
}

hg_err hg_next_orphan(hg_client *client, hg_permit after, hg_orphan *out, int timeout_ms) {
  if (!client || !out || out->size < sizeof *out) return HG_ERR_INVALID;
  struct hg_message question;
  hg_message_init(&question, HG_GET_ORPHAN);
  question.as.get_orphan.request = hg_client_fresh_id(client);
  question.as.get_orphan.after = after.id;
  const hg_err err = ask(client, HG_TO_TRACKER, &question, question.as.get_orphan.request, timeout_ms);
  if (err != HG_OK) return err;
  const struct hg_orphan_message *orphan = &client->answer.as.orphan;
  if (orphan->error) return (hg_err)orphan->error;
  if (orphan->permit == 0) return HG_ERR_EMPTY;
  *out = (hg_orphan){.size = (uint32_t)sizeof *out,
                     .permit = {orphan->permit},
                     .tokens = orphan->tokens,
                     .kept = orphan->kept,
                     .charged = orphan->charged,
                     .at_opening = orphan->at_opening};
  memcpy(out->budget, client->core->config->budgets[orphan->budget].name, sizeof out->budget);
  hg_text_copy(out->task_id, sizeof out->task_id, orphan->task_id);
  return HG_OK;
}

// ------------------------------------------------------------------------------------------------ lasting names

static hg_err take_name(hg_client *client, const char *name, uint64_t *last, int timeout_ms) {
  struct hg_message wish;
  hg_message_init(&wish, HG_REPORT_AS);
  hg_err err = hg_client_text(name, HG_REPORTER_NAME_MAX, &wish.as.report_as.name);
  if (err != HG_OK) return err;
  wish.as.report_as.request = hg_client_fresh_id(client);
  err = ask(client, HG_TO_TRACKER, &wish, wish.as.report_as.request, timeout_ms);
  if (err == HG_OK) err = (hg_err)client->answer.as.reporter.error;
  if (err != HG_OK) return err;
  client->sent = client->durable = client->reported = *last = client->answer.as.reporter.last;
  return HG_OK;
}

// The last word of a client that was destroyed a moment ago comes another way, and may come after this.
static hg_err take_name_from_leaver(hg_client *client, const char *name, uint64_t *last, int timeout_ms) {
  const struct timespec pause = {0, NAME_RETRY_MS * 1000000L};
  hg_err err = take_name(client, name, last, timeout_ms);
  for (int waited_ms = 0; err == HG_ERR_CONFLICT && waited_ms < NAME_PATIENCE_MS; waited_ms += NAME_RETRY_MS) {
    nanosleep(&pause, NULL);
    err = take_name(client, name, last, timeout_ms);
  }
  return err;
}

hg_err hg_client_new_named(hg_runtime *rt, const char *name, hg_client **out, uint64_t *last, int timeout_ms) {
  if (!name || !out || !last) return HG_ERR_INVALID;
  hg_client *client = NULL;
  hg_err err = hg_client_new(rt, &client);
  if (err == HG_OK) err = take_name_from_leaver(client, name, last, timeout_ms);
  if (err == HG_OK) *out = client;
  else hg_client_destroy(&client);
  return err;
}
