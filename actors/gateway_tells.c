// What outsiders tell without an answer, passed on to the tracker.
#include "actors/gateway_private.h"

static void tell_pushback(struct hg_gateway *gateway, const struct hg_pushback_message *told) {
  struct hg_message message;
  hg_message_init(&message, HG_TELL_PUSHBACK);
  message.as.tell_pushback.task_id = told->task_id;
  message.as.tell_pushback.from = told->from;
  message.as.tell_pushback.to = told->to;
  hg_outbox_put(gateway->out, HG_PORT_TRACKER, 0, &message);
}

static void tell_savings(struct hg_gateway *gateway, const struct hg_savings_message *told) {
  struct hg_message message;
  hg_message_init(&message, HG_TELL_SAVINGS);
  message.as.tell_savings.saved = told->saved;
  message.as.tell_savings.overran = told->overran;
  hg_outbox_put(gateway->out, HG_PORT_TRACKER, 0, &message);
}

static void tell_lines(struct hg_gateway *gateway, hg_peer peer, const struct hg_lines_message *told) {
  struct hg_message message;
  hg_message_init(&message, HG_TELL_LINES);
  message.as.tell_lines.from = peer;
  message.as.tell_lines.lines = told->lines;
  message.as.tell_lines.allowed = told->allowed;
  if (hg_gateway_find_budget(gateway, told->budget, &message.as.tell_lines.budget))
    hg_outbox_put(gateway->out, HG_PORT_TRACKER, 0, &message);
}

bool hg_gateway_tell(struct hg_gateway *gateway, hg_peer peer, const struct hg_message *message) {
  if (message->kind == HG_PUSHBACK) tell_pushback(gateway, &message->as.pushback);
  else if (message->kind == HG_SAVINGS) tell_savings(gateway, &message->as.savings);
  else if (message->kind == HG_LINES) tell_lines(gateway, peer, &message->as.lines);
  else return false;
  return true;
}
