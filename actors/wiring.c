// Every bind comes before any connect (bus/endpoints.h says why).
#include "actors/wiring.h"

#include "base/fail.h"

#include <stdio.h>
#include <string.h>

// What is bound where others can reach it is bound below.
static hg_err open_link(struct hg_shell *shells, struct hg_core *core, const struct hg_endpoint *end, hg_error *why) {
  struct hg_link *link = &shells[end->owner].links[end->port];
  const char *address = end->address ? end->address : core->places.control_endpoint;
  hg_err err = hg_link_open(core->context, end->type, end->limits, link);
  if (err == HG_OK && end->side == HG_CONNECT) err = hg_link_connect(link, address);
  else if (err == HG_OK && end->address) err = hg_link_bind(link, address);
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

// ------------------------------------------------------------------------------------------------ outward

// One of the two sockets that others can reach.
struct outward {
  enum hg_gate_id gate;
  struct hg_link *link;
  struct hg_outward_endpoints endpoints;
  const struct hg_curve_config *curve;
  uint32_t connections_max;
};

static bool is_ipc(const char *endpoint) {
  return strncmp(endpoint, "ipc://", 6) == 0;
}

static hg_err bind_more(const struct outward *outward, bool ipc, struct hg_outward_file *files, hg_error *why) {
  hg_err err = HG_OK;
  for (size_t i = 0; err == HG_OK && i < outward->endpoints.more_count; i++) {
    const char *endpoint = outward->endpoints.more[i];
    if (is_ipc(endpoint) != ipc) continue;
    err = hg_outward_bind(outward->link, endpoint, false, why);
    if (err == HG_OK) hg_outward_note(endpoint, &files[i]);
  }
  return err;
}

static hg_err serve_curve(const struct outward *outward, hg_error *why) {
  char secret[HG_KEY_TEXT];
  hg_err err = hg_keys_read_secret(outward->curve->secret_key_file, secret, why);
  if (err == HG_OK && (err = hg_link_serve_curve(outward->link, secret)) != HG_OK)
    hg_fail(why, err, "ZeroMQ does not take the key of %s", outward->curve->secret_key_file);
  explicit_bzero(secret, sizeof secret);
  return err;
}

// A socket hands what it is set to at the time to each endpoint that it binds: so files come first, which the system
// guards, and keys are asked for where tcp is bound.
static hg_err open_outward(struct hg_core *core, const struct outward *outward, struct hg_outward_file *files,
                           hg_error *why) {
  const bool has_curve = outward->curve->secret_key_file != NULL;
  struct hg_gate gate = {
      .endpoints = outward->endpoints, .connections_max = outward->connections_max, .has_keys = has_curve};
  hg_err err = HG_OK;
  if (has_curve) err = hg_keys_read_allowed(outward->curve->allowed_keys_file, &gate.allowed, why);
  if (err == HG_OK && (err = hg_door_watch(core->door, outward->gate, outward->link, &gate)) != HG_OK)
    hg_fail(why, err, "cannot watch a socket: %s", hg_err_text(err));
  if (err == HG_OK) err = hg_outward_bind(outward->link, outward->endpoints.first, true, why);
  if (err == HG_OK) err = bind_more(outward, true, files, why);
  if (err == HG_OK && has_curve) err = serve_curve(outward, why);
  return err == HG_OK ? bind_more(outward, false, files, why) : err;
}

static hg_err open_all_outward(struct hg_shell *shells, struct hg_core *core, struct hg_outward_file *files,
                               hg_error *why) {
  const struct hg_config *config = core->config;
  const struct outward all[] = {{HG_GATE_EVENTS,
                                 &shells[HG_EVENT_BUS_ACTOR].links[HG_PORT_OUTSIDE_EVENTS],
                                 {core->places.events_endpoint, config->event_binds, config->event_bind_count},
                                 &config->event_curve,
                                 config->max_subscribers},
                                {HG_GATE_CONTROL,
                                 &shells[HG_GATEWAY_ACTOR].links[HG_PORT_CONTROL],
                                 {core->places.control_endpoint, config->serve_binds, config->serve_bind_count},
                                 &config->serve_curve,
                                 config->max_clients}};
  core->events_outside = all[0].endpoints;
  all[0].link->endpoints = &core->events_outside;
  hg_err err = hg_door_new(core->context, &core->door, why);
  if (err == HG_OK) err = open_outward(core, &all[0], files, why);
  if (err == HG_OK) err = open_outward(core, &all[1], files + config->event_bind_count, why);
  if (err == HG_OK && (err = hg_door_start(core->door)) != HG_OK) hg_fail(why, err, "cannot start a thread");
  return err;
}

void hg_unwire_outward(struct hg_core *core, const struct hg_outward_file *files) {
  const struct hg_config *config = core->config;
  for (size_t i = 0; i < config->event_bind_count; i++)
    hg_outward_remove(config->event_binds[i], &files[i]);
  for (size_t i = 0; i < config->serve_bind_count; i++)
    hg_outward_remove(config->serve_binds[i], &files[config->event_bind_count + i]);
}

hg_err hg_wire(struct hg_shell *shells, struct hg_core *core, struct hg_outward_file *files, hg_error *why) {
  static const struct hg_endpoint ends[] = {HG_ENDPOINTS(HG_ENDPOINT_ROW)};
  hg_err err = HG_OK;
  for (int owner = 0; err == HG_OK && owner < HG_REMOTE_ACTOR; owner++)
    err = open_life(&shells[owner], core);
  if (err != HG_OK) return hg_fail(why, err, "cannot open a socket for an actor: %s", hg_err_text(err));
  for (size_t i = 0; err == HG_OK && i < sizeof ends / sizeof *ends; i++)
    err = open_link(shells, core, &ends[i], why);
  if (err == HG_OK) err = hg_link_bind(&shells[HG_GATEWAY_ACTOR].links[HG_PORT_CONTROL], HG_CONTROL_INSIDE);
  shells[HG_GATEWAY_ACTOR].links[HG_PORT_CONTROL].unread = core->unread;
  return err == HG_OK ? open_all_outward(shells, core, files, why) : err;
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
