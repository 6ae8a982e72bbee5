// The snapshot: how everything stands at one committed moment. The scheduler is asked for its queue first, then the
// tracker for all budgets. One snapshot at a time (gateway_turns.c): it costs the tracker a turn as long as there are
// budgets.
#include "actors/gateway_private.h"

#include "bus/frames.h"
#include "bus/topics.h"
#include "base/money.h"

void hg_gateway_begin_snapshot(struct hg_gateway *gateway, struct hg_asked *asked) {
  struct hg_message ask;
  hg_message_init(&ask, HG_GET_QUEUE);
  ask.as.get_queue.request = asked->id;
  hg_outbox_put(gateway->out, HG_PORT_SCHEDULER, 0, &ask);
}

void hg_gateway_snapshot_queue(struct hg_gateway *gateway, struct hg_asked *asked,
                               const struct hg_queue_message *queue) {
  if (queue->error) {
    hg_gateway_finish(gateway, asked, (hg_err)queue->error);
    return;
  }
  asked->as.figures.queue = *queue;
  struct hg_message ask;
  hg_message_init(&ask, HG_GET_SNAPSHOT);
  ask.as.get_snapshot.request = asked->id;
  hg_outbox_put(gateway->out, HG_PORT_TRACKER, 0, &ask);
}

static void tell_budget(struct hg_gateway *gateway, const struct hg_asked *asked,
                        const struct hg_usage_message *usage) {
  const struct hg_budget_config *budget = &gateway->config->budgets[usage->budget];
  struct hg_message message;
  hg_message_init(&message, HG_SNAPSHOT_BUDGET);
  struct hg_snapshot_budget_message *told = &message.as.snapshot_budget;
  told->request = asked->request;
  told->budget = hg_text_of(budget->name);
  if (usage->budget != 0) told->parent = hg_text_of(gateway->config->budgets[budget->parent].name);
  told->hard_limit = usage->hard_limit;
  told->used = usage->used;
  told->reserved = usage->reserved;
  told->usage_percent = usage->usage_percent;
  told->should_throttle = usage->should_throttle;
  told->throttled = usage->throttled;
  told->open_permits = usage->open_permits;
  told->per_minute = usage->per_minute;
  told->threshold_in_ms = usage->threshold_in_ms;
  told->limit_in_ms = usage->limit_in_ms;
  told->task_tokens = usage->task_tokens;
  told->unit = hg_text_of(hg_unit_name(gateway->config->unit));
  hg_gateway_reply(gateway, asked->outsider->peer, &message);
}

static uint32_t tell_topics(struct hg_gateway *gateway, const struct hg_asked *asked, struct hg_bytes from) {
  struct hg_topics topics;
  const struct hg_kind_info *info;
  uint32_t count = 0;
  struct hg_message message;
  hg_message_init(&message, HG_SNAPSHOT_TOPIC);
  message.as.snapshot_topic.request = asked->request;
  if (!hg_topics_open(&topics, from)) return 0;
  while (topics.left && hg_topics_next(&topics, &info, &message.as.snapshot_topic.newest)) {
    message.as.snapshot_topic.topic = hg_text_of(info->name);
    hg_gateway_reply(gateway, asked->outsider->peer, &message);
    count++;
  }
  return count;
}

static void tell_report(struct hg_gateway *gateway, const struct hg_asked *asked,
                        const struct hg_figures_message *figures) {
  const struct hg_queue_message *queue = &asked->as.figures.queue;
  struct hg_message message;
  hg_message_init(&message, HG_SNAPSHOT_REPORT);
  struct hg_snapshot_report_message *report = &message.as.snapshot_report;
  report->request = asked->request;
  report->seq = figures->seq;
  report->ledger = hg_text_of(gateway->ledger_id);
  report->budgets = asked->as.figures.budgets;
  report->topics = tell_topics(gateway, asked, figures->topics);
  report->max_concurrency = figures->max_concurrency;
  report->effective_concurrency = figures->effective_concurrency;
  report->running = queue->running;
  report->waiting = queue->waiting;
  hg_gateway_name_wait(gateway, queue, &report->waits_for, &report->waits_for_throttle);
  report->needed = queue->needed;
  report->audited = asked->as.figures.usage.audited;
  report->differences = asked->as.figures.usage.differences;
  report->audit_failed = asked->as.figures.usage.audit_failed;
  hg_gateway_reply(gateway, asked->outsider->peer, &message);
}

void hg_gateway_snapshot_figures(struct hg_gateway *gateway, struct hg_asked *asked,
                                 const struct hg_figures_message *figures) {
  struct hg_bytes budgets = figures->budgets;
  struct hg_message budget;
  size_t taken = 0;
  if (figures->error) {
    hg_gateway_finish(gateway, asked, (hg_err)figures->error);
    return;
  }
  for (; budgets.size && hg_frame_decode_next(budgets.data, budgets.size, &budget, &taken) == HG_OK;
       budgets = (struct hg_bytes){budgets.data + taken, budgets.size - (uint32_t)taken}) {
    asked->as.figures.usage = budget.as.usage; // what it says of the audit is the same in each
    tell_budget(gateway, asked, &budget.as.usage);
    asked->as.figures.budgets++;
  }
  if (!figures->last) return;
  tell_report(gateway, asked, figures);
  hg_gateway_forget(gateway, asked);
}
