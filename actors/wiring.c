// Every bind comes before any connect (bus/endpoints.h says why).
#include "actors/wiring.h"

#include "schemas/fail.h"

#include <stdio.h>

static hg_err open_link(struct hg_shell *shells, struct hg_core *core, const struct hg_endpoint *end, hg_error *why) {
  struct hg_link *link = &shells[end->owner].links[end->port];
  const char *address = end->address ? end->address : core->places.control_endpoint;
  hg_err err = hg_link_open(core->context, end->type, end->limits, link);
  if (err == HG_OK) err = end->side == HG_BIND ? hg_link_bind(link, address) : hg_link_connect(link, address);
  if (err == HG_OK) return HG_OK;
  return hg_fail(why, err, "cannot %s %s: %s", end->side == HG_BIND ? "bind" : "connect", address, hg_err_text(err));
}

static hg_err open_life(struct hg_shell *shell, struct hg_core *core) {
  const struct hg_link_limits limits = HG_PEER_SIDE;
  char address[64];
  snprintf(address, sizeof address, "inproc://life/%s", shell->actor.name);
  shell->core = core;
  hg_err err = hg_link_open(core->context, HG_PAIR, limits, &shell->life);
  if (err == HG_OK) err = hg_link_bind(&shell->life, address);
  if (err == HG_OK) err = hg_link_open(core->context, HG_PAIR, limits, &shell->links[HG_PORT_LIFE]);
  return err == HG_OK ? hg_link_connect(&shell->links[HG_PORT_LIFE], address) : err;
}

hg_err hg_wire(struct hg_shell *shells, struct hg_core *core, struct hg_outward_file *event_files, hg_error *why) {
  static const struct hg_endpoint ends[] = {HG_ENDPOINTS(HG_ENDPOINT_ROW)};
  hg_err err = HG_OK;
  for (int owner = 0; err == HG_OK && owner < HG_REMOTE_ACTOR; owner++)
    err = open_life(&shells[owner], core);
  if (err != HG_OK) return hg_fail(why, err, "cannot open a socket for an actor: %s", hg_err_text(err));
  for (size_t i = 0; err == HG_OK && i < sizeof ends / sizeof *ends; i++)
    err = open_link(shells, core, &ends[i], why);
  if (err == HG_OK) err = hg_link_bind(&shells[HG_GATEWAY_ACTOR].links[HG_PORT_CONTROL], HG_CONTROL_INSIDE);
  struct hg_link *events = &shells[HG_EVENT_BUS_ACTOR].links[HG_PORT_EVENTS];
  if (err == HG_OK) err = hg_outward_bind(events, core->places.events_endpoint, true, why);
  for (size_t i = 0; err == HG_OK && i < core->config->event_bind_count; i++) {
    err = hg_outward_bind(events, core->config->event_binds[i], false, why);
    if (err == HG_OK) hg_outward_note(core->config->event_binds[i], &event_files[i]);
  }
  return err;
}

hg_err hg_wire_guest(struct hg_shell *shells, struct hg_core *core, hg_error *why) {
  static const struct hg_endpoint ends[] = {HG_GUEST_ENDPOINTS(HG_ENDPOINT_ROW)};
  hg_err err = open_life(&shells[HG_REMOTE_ACTOR], core);
  if (err != HG_OK) return hg_fail(why, err, "cannot open a socket for an actor: %s", hg_err_text(err));
  for (size_t i = 0; err == HG_OK && i < sizeof ends / sizeof *ends; i++)
    err = open_link(shells, core, &ends[i], why);
  return err;
}

hg_err hg_wire_worker_pool(struct hg_shell *shells, struct hg_core *core) {
  static const struct hg_endpoint ends[] = {HG_WORKER_POOL_ENDPOINTS(HG_ENDPOINT_ROW)};
  hg_err err = open_life(&shells[HG_WORKER_POOL_ACTOR], core);
  for (size_t i = 0; err == HG_OK && i < sizeof ends / sizeof *ends; i++)
    err = open_link(shells, core, &ends[i], NULL);
  return err;
}

void hg_unwire(struct hg_shell *shell) {
  for (int port = 0; port < HG_PORT_COUNT; port++)
    hg_link_close(&shell->links[port]);
  hg_link_close(&shell->life);
}
