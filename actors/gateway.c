// The gateway's turns.
#include "actors/gateway_private.h"

#include <stdio.h>
#include <stdlib.h>

static void begin_turn(struct hg_gateway *gateway, struct hg_now now, struct hg_outbox *out) {
  gateway->now = now;
  gateway->out = out;
}

static void receive(void *self, struct hg_now now, const struct hg_envelope *in, struct hg_outbox *out) {
  struct hg_gateway *gateway = self;
  begin_turn(gateway, now, out);
  if (in->port == HG_PORT_CONTROL) hg_gateway_command(gateway, in);
  else if (in->port == HG_PORT_TRACKER) hg_gateway_from_tracker(gateway, &in->message);
  else if (in->port == HG_PORT_SCHEDULER) hg_gateway_from_scheduler(gateway, &in->message);
  else if (in->port == HG_PORT_LEDGER) hg_gateway_from_persister(gateway, &in->message);
  else if (in->message.kind == HG_STOP) gateway->stopping = true;
}

static int64_t flush(void *self, struct hg_now now, struct hg_outbox *out) {
  struct hg_gateway *gateway = self;
  begin_turn(gateway, now, out);
  if (!gateway->stopping) {
    const int64_t silent_at = hg_gateway_give_up_silent(gateway), turn_at = hg_gateway_take_turns(gateway);
    return silent_at < turn_at ? silent_at : turn_at;
  }
  hg_gateway_close(gateway);
  hg_outbox_finish(out, HG_OK, NULL);
  return HG_NEVER;
}

static void destroy(void *self) {
  hg_gateway_forget_all(self);
  free(self);
}

hg_err hg_gateway_new(const struct hg_config *config, const char *events, const struct hg_ledger_state *state,
                      struct hg_gateway_readers readers, struct hg_actor *out) {
  struct hg_gateway *gateway = calloc(1, sizeof *gateway);
  if (!gateway) return HG_ERR_NO_MEMORY;
  gateway->config = config;
  gateway->readers = readers;
  for (int turn = 0; turn < HG_TURN_COUNT; turn++)
    gateway->turns[turn].look_at = HG_NEVER;
  gateway->life = state->opening;
  gateway->next_id = state->opening << HG_IDS_AN_OPENING_BITS | HG_IDS_OF_OUTSIDERS;
  snprintf(gateway->ledger_id, sizeof gateway->ledger_id, "%s", state->ledger_id);
  snprintf(gateway->events, sizeof gateway->events, "%s", events);
  *out = (struct hg_actor){"hg-gateway", gateway, receive, flush, NULL, destroy};
  return HG_OK;
}
