// eventBus.bind: where events are published. Sockets are ipc files or tcp on loopback; anything that others on the
// network could reach is refused, because nothing would ask them who they are.
#include "config/sections.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// One element of the list while it is checked.
struct bind {
  struct hg_config_reader *reader;
  const struct hg_path *path;
  const char *endpoint; // as written; borrowed
};

static bool is_loopback(const char *host) {
  struct in_addr v4;
  struct in6_addr v6;
  if (inet_pton(AF_INET, host, &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  const size_t len = strlen(host);
  char inner[INET6_ADDRSTRLEN];
  if (len < 3 || len - 2 >= sizeof inner || host[0] != '[' || host[len - 1] != ']') return false;
  snprintf(inner, sizeof inner, "%.*s", (int)(len - 2), host + 1);
  return inet_pton(AF_INET6, inner, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool is_port(const char *text) {
  const size_t len = strlen(text);
  if (len == 0 || len > 5 || strspn(text, "0123456789") != len) return false;
  const long port = strtol(text, NULL, 10);
  return port >= 1 && port <= 65535;
}

// A copy of the endpoint as ZeroMQ binds it, or NULL with the error set.
static char *check_tcp(const struct bind *bind) {
  const char *address = bind->endpoint + strlen("tcp://"), *colon = strrchr(address, ':');
  char host[64] = "", out[96];
  if (colon && (size_t)(colon - address) < sizeof host) memcpy(host, address, (size_t)(colon - address));
  if (!host[0] || !is_port(colon + 1)) {
    hg_reader_fail(bind->reader, bind->path, HG_AT_VALUE,
                   "must be \"tcp://HOST:PORT\" with a port from 1 to 65535; found \"%.64s\"", bind->endpoint);
    return NULL;
  }
  // libzmq resolves no names where it binds.
  if (strcasecmp(host, "localhost") == 0) snprintf(host, sizeof host, "127.0.0.1");
  if (!is_loopback(host)) {
    hg_reader_fail(
        bind->reader, bind->path, HG_AT_VALUE,
        "would be open to the network, which needs CURVE, which this version does not have: bind to 127.0.0.1 "
        "(\"tcp://127.0.0.1:%s\") or to an ipc path; found \"%.64s\"",
        colon + 1, bind->endpoint);
    return NULL;
  }
  snprintf(out, sizeof out, "tcp://%s:%s", host, colon + 1);
  return hg_reader_copy(bind->reader, out);
}

static char *check_ipc(const struct bind *bind, const char *base_dir) {
  const char *written = bind->endpoint + strlen("ipc://");
  const size_t len = strlen(written);
  if (len == 0 || written[0] == '@' || written[0] == '*' || written[len - 1] == '/') {
    hg_reader_fail(bind->reader, bind->path, HG_AT_VALUE,
                   "must be \"ipc://PATH\" with the path of a file; found \"%.64s\"", bind->endpoint);
    return NULL;
  }
  char *path = hg_path_absolute(base_dir, written), *out = NULL;
  char endpoint[HG_IPC_PATH_MAX + 8];
  if (!path) {
    hg_reader_no_memory(bind->reader);
  } else if (strlen(path) > HG_IPC_PATH_MAX) {
    hg_reader_fail(
        bind->reader, bind->path, HG_AT_VALUE,
        "is too long for a socket: as an absolute path it has %zu bytes, %d are possible; choose a shorter one, "
        "for example below /tmp or /run",
        strlen(path), HG_IPC_PATH_MAX);
  } else {
    snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
    out = hg_reader_copy(bind->reader, endpoint);
  }
  free(path);
  return out;
}

static char *check_bind(const struct bind *bind, const char *base_dir) {
  if (strncmp(bind->endpoint, "tcp://", 6) == 0) return check_tcp(bind);
  if (strncmp(bind->endpoint, "ipc://", 6) == 0) return check_ipc(bind, base_dir);
  hg_reader_fail(bind->reader, bind->path, HG_AT_VALUE,
                 "must begin with \"ipc://\" (a path) or \"tcp://\" (HOST:PORT); found \"%.64s\"", bind->endpoint);
  return NULL;
}

static void add_bind(const struct bind *bind, struct hg_config *config) {
  char *endpoint = check_bind(bind, config->base_dir);
  if (!endpoint) return;
  for (size_t i = 0; i < config->event_bind_count; i++) {
    assert(config->event_binds[i]);
    if (strcmp(config->event_binds[i], endpoint) != 0) continue;
    hg_reader_fail(bind->reader, bind->path, HG_AT_VALUE, "is the same endpoint as element %zu: keep one", i);
    free(endpoint);
    return;
  }
  config->event_binds[config->event_bind_count++] = endpoint;
}

void hg_read_binds(struct hg_object *event_bus, struct hg_config *config) {
  const struct hg_path path = {.parent = event_bus->path, .key = "bind"};
  struct hg_config_reader *reader = event_bus->reader;
  const json_t *list = hg_object_get(event_bus, path.key);
  char found[64];
  if (!list) return;
  if (!json_is_array(list) || json_array_size(list) > HG_BINDS_MAX) {
    hg_reader_fail(reader, &path, HG_AT_VALUE,
                   "must be a list of at most %d endpoints, such as "
                   "[\"ipc://run/events.ipc\"]; found %s",
                   HG_BINDS_MAX, json_is_array(list) ? "more" : hg_reader_found(reader, &path, found, sizeof found));
    return;
  }
  config->event_binds = calloc(json_array_size(list) + 1, sizeof *config->event_binds);
  if (!config->event_binds) {
    hg_reader_no_memory(reader);
    return;
  }
  for (size_t i = 0; i < json_array_size(list) && reader->err == HG_OK; i++) {
    const struct hg_path element = {.parent = &path, .index = i};
    const struct bind bind = {reader, &element, hg_reader_text(reader, &element, json_array_get(list, i), HG_PATH_MAX)};
    if (bind.endpoint) add_bind(&bind, config);
  }
}
