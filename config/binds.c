// Where others can reach a runtime: eventBus.bind and serve.bind, and the keys of who may (curve). What others on the
// network could reach is refused without keys, because nothing would ask them who they are.
#include "config/sections.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <strings.h>

// One element of the list while it is checked.
struct bind {
  struct hg_config_reader *reader;
  const struct hg_path *path;
  const char *endpoint; // as written; borrowed
  bool has_curve;
};

// libzmq resolves no names where it binds.
static enum hg_reach reach_of(const char *host) {
  struct in_addr v4;
  struct in6_addr v6;
  if (strcmp(host, "*") == 0) return HG_REACH_NETWORK;
  if (inet_pton(AF_INET, host, &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127 ? HG_REACH_LOOPBACK : HG_REACH_NETWORK;
  const size_t len = strlen(host);
  char inner[INET6_ADDRSTRLEN];
  if (len < 3 || len - 2 >= sizeof inner || host[0] != '[' || host[len - 1] != ']') return HG_REACH_NOWHERE;
  snprintf(inner, sizeof inner, "%.*s", (int)(len - 2), host + 1);
  if (inet_pton(AF_INET6, inner, &v6) != 1) return HG_REACH_NOWHERE;
  return IN6_IS_ADDR_LOOPBACK(&v6) ? HG_REACH_LOOPBACK : HG_REACH_NETWORK;
}

static bool read_port(const char *text, uint16_t *out) {
  const size_t len = strlen(text);
  if (len == 0 || len > 5 || strspn(text, "0123456789") != len) return false;
  const long port = strtol(text, NULL, 10);
  *out = (uint16_t)port;
  return port >= 1 && port <= 65535;
}

bool hg_read_address(const char *text, struct hg_address *out) {
  const char *colon = strrchr(text, ':');
  *out = (struct hg_address){.port = 0};
  if (!colon || colon == text || (size_t)(colon - text) >= sizeof out->host) return false;
  memcpy(out->host, text, (size_t)(colon - text));
  if (strcasecmp(out->host, "localhost") == 0) snprintf(out->host, sizeof out->host, "127.0.0.1");
  out->reach = reach_of(out->host);
  return read_port(colon + 1, &out->port);
}

// A copy of the endpoint as ZeroMQ binds it, or NULL with the error set.
static char *check_tcp(const struct bind *bind) {
  struct hg_address address;
  char out[96];
  if (!hg_read_address(bind->endpoint + strlen("tcp://"), &address)) {
    hg_reader_fail(bind->reader, bind->path, HG_AT_VALUE,
                   "must be \"tcp://HOST:PORT\" with a port from 1 to 65535; found \"%.64s\"", bind->endpoint);
    return NULL;
  }
  if (address.reach != HG_REACH_LOOPBACK && !bind->has_curve) {
    const struct hg_path *list = bind->path->parent;
    hg_reader_fail(bind->reader, bind->path, HG_AT_VALUE,
                   "would be open to the network, which needs CURVE: make a key with \"headgate keygen FILE\" and set "
                   "%s.curve (docs/configuration.md), or bind to 127.0.0.1 (\"tcp://127.0.0.1:%u\") or to an ipc path; "
                   "found \"%.64s\"",
                   list->parent->key, address.port, bind->endpoint);
    return NULL;
  }
  if (address.reach == HG_REACH_NOWHERE) {
    hg_reader_fail(bind->reader, bind->path, HG_AT_VALUE,
                   "must name an address and no host (\"tcp://192.0.2.7:%u\", or \"tcp://*:%u\" for all); "
                   "found \"%.64s\"",
                   address.port, address.port, bind->endpoint);
    return NULL;
  }
  snprintf(out, sizeof out, "tcp://%s:%u", address.host, address.port);
  return hg_reader_copy(bind->reader, out);
}

// The system guards a socket by its folder. One that is missing is made for its owner alone.
static void check_folder(const struct bind *bind, const char *path) {
  char folder[HG_IPC_PATH_MAX + 1];
  struct stat found;
  snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
  if (stat(folder[0] ? folder : "/", &found) != 0 || !(found.st_mode & 011)) return;
  hg_reader_warn(bind->reader, bind->path,
                 "is in a folder that others may enter (mode %03o): whoever can open the socket gets in; chmod 700 %s",
                 (unsigned)(found.st_mode & 0777), folder[0] ? folder : "/");
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
    check_folder(bind, path);
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

static bool is_among(char *const *endpoints, size_t count, const char *endpoint, size_t *place) {
  for (*place = 0; *place < count; ++*place)
    if (strcmp(endpoints[*place], endpoint) == 0) return true;
  return false;
}

static void add_bind(const struct bind *bind, const struct hg_config *config, struct hg_binds *binds) {
  char *endpoint = check_bind(bind, config->base_dir);
  size_t place;
  if (!endpoint) return;
  if (is_among(binds->endpoints, binds->count, endpoint, &place)) {
    hg_reader_fail(bind->reader, bind->path, HG_AT_VALUE, "is the same endpoint as element %zu: keep one", place);
  } else if (is_among(config->event_binds, config->event_bind_count, endpoint, &place)) {
    hg_reader_fail(bind->reader, bind->path, HG_AT_VALUE, "is the same endpoint as eventBus.bind[%zu]: name another",
                   place);
  } else {
    binds->endpoints[binds->count++] = endpoint;
    return;
  }
  free(endpoint);
}

struct hg_binds hg_read_binds(struct hg_object *section, const struct hg_config *config, bool has_curve) {
  const struct hg_path path = {.parent = section->path, .key = "bind"};
  struct hg_config_reader *reader = section->reader;
  const json_t *list = hg_object_get(section, path.key);
  struct hg_binds binds = {NULL, 0};
  char found[64];
  if (!list) return binds;
  if (!json_is_array(list) || json_array_size(list) > HG_BINDS_MAX) {
    hg_reader_fail(reader, &path, HG_AT_VALUE,
                   "must be a list of at most %d endpoints, such as "
                   "[\"ipc://run/events.ipc\"]; found %s",
                   HG_BINDS_MAX, json_is_array(list) ? "more" : hg_reader_found(reader, &path, found, sizeof found));
    return binds;
  }
  binds.endpoints = calloc(json_array_size(list) + 1, sizeof *binds.endpoints);
  if (!binds.endpoints) {
    hg_reader_no_memory(reader);
    return binds;
  }
  for (size_t i = 0; i < json_array_size(list) && reader->err == HG_OK; i++) {
    const struct hg_path element = {.parent = &path, .index = i};
    const char *endpoint = hg_reader_text(reader, &element, json_array_get(list, i), HG_PATH_MAX);
    const struct bind bind = {reader, &element, endpoint, has_curve};
    if (endpoint) add_bind(&bind, config, &binds);
  }
  return binds;
}

// ------------------------------------------------------------------------------------------------ curve

static char *read_file_name(struct hg_object *curve, const char *key, const char *what, const char *base_dir) {
  const struct hg_path path = {.parent = curve->path, .key = key};
  const char *name = NULL;
  hg_object_text(curve, key, HG_PATH_MAX, &name);
  if (!name) {
    hg_reader_fail(curve->reader, &path, HG_AT_PARENT, "is missing: it names the file with %s", what);
    return NULL;
  }
  char *absolute = hg_path_absolute(base_dir, name);
  if (!absolute) hg_reader_no_memory(curve->reader);
  return absolute;
}

void hg_read_curve(struct hg_object *section, const struct hg_config *config, struct hg_curve_config *out) {
  const struct hg_path path = {.parent = section->path, .key = "curve"};
  json_t *json = hg_object_get(section, path.key);
  struct hg_object curve;
  if (!json) return;
  hg_object_open(&curve, section->reader, json, &path);
  if (section->reader->err == HG_OK)
    out->secret_key_file = read_file_name(&curve, "serverSecretKeyFile",
                                          "the secret key of the runtime, which "
                                          "\"headgate keygen FILE\" writes",
                                          config->base_dir);
  if (section->reader->err == HG_OK)
    out->allowed_keys_file =
        read_file_name(&curve, "allowedClientKeys", "the public keys of those who may connect", config->base_dir);
  hg_object_close(&curve);
}
