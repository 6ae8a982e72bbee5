// serve.metrics: where figures are exported over HTTP, which has no keys. Beyond loopback only who says so is obeyed.
#include "config/sections.h"

#include <stdio.h>
#include <string.h>

static const char *host_of(const struct hg_address *address, char *room, size_t size) {
  if (strcmp(address->host, "*") == 0) return "0.0.0.0";
  if (address->host[0] != '[') return address->host;
  snprintf(room, size, "%.*s", (int)strlen(address->host) - 2, address->host + 1);
  return room;
}

void hg_read_metrics(struct hg_object *serve, struct hg_metrics_config *out) {
  const struct hg_path path = {.parent = serve->path, .key = "metrics"},
                       listen_path = {.parent = &path, .key = "listen"};
  struct hg_object metrics;
  struct hg_address address;
  char room[HG_HOST_MAX];
  const char *listen = NULL;
  bool beyond = false;
  json_t *json = hg_object_get(serve, path.key);
  if (!json) return;
  hg_object_open(&metrics, serve->reader, json, &path);
  hg_object_text(&metrics, listen_path.key, HG_HOST_MAX + 8, &listen);
  hg_object_bool(&metrics, "beyondLoopback", &beyond);
  hg_object_close(&metrics);
  out->wanted = serve->reader->err == HG_OK;
  if (!out->wanted || !listen) return;
  if (!hg_read_address(listen, &address) || address.reach == HG_REACH_NOWHERE)
    hg_reader_fail(serve->reader, &listen_path, HG_AT_VALUE,
                   "must be \"ADDRESS:PORT\" with a port from 1 to 65535, such as \"127.0.0.1:9469\"; found \"%.64s\"",
                   listen);
  else if (address.reach == HG_REACH_NETWORK && !beyond)
    hg_reader_fail(serve->reader, &listen_path, HG_AT_VALUE,
                   "would show the names of budgets and models, and what they use, to everybody on the network: listen "
                   "on 127.0.0.1 (\"127.0.0.1:%u\"), or say serve.metrics.beyondLoopback: true where a firewall or the "
                   "network itself keeps others out; found \"%.64s\"",
                   address.port, listen);
  if (serve->reader->err != HG_OK) return;
  out->host = hg_reader_copy(serve->reader, host_of(&address, room, sizeof room));
  out->port = address.port;
  out->is_loopback = address.reach == HG_REACH_LOOPBACK;
}
