// Figures over HTTP.
#include "cli/metrics_server.h"

#include "actors/core.h"
#include "actors/runtime.h"
#include "bus/endpoints.h"
#include "cli/metrics_ask.h"
#include "config/sections.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 8u                 // at a time, of each endpoint; one more cuts the oldest
#define ACCEPTED_MAX (2 * CONNECTIONS_MAX) // with those that are cut and not yet closed
#define IDLE_S 5u                          // a connection that says nothing is cut
#define REQUEST_BYTES 8192u
#define EVENTS_A_TURN 1000
#define SNAPSHOT_MS 2000 // both within what a scrape takes by default
#define COUNTERS_MS 1000
#define LOOK_MS 1000 // at what a subscriber has to ask for again
#define HWM (2 * HG_BUDGETS_MAX)

struct visitor {
  int fd;
  uint64_t since; // a count of arrivals and requests; 0: nobody is here
  bool is_cut;    // and closes soon
};

struct endpoint {
  struct hg_metrics_server *server;
  struct visitor visitors[ACCEPTED_MAX];
  uint64_t events;           // arrivals and requests so far
  struct MHD_Daemon *daemon; // NULL: not there
  bool asks_host;
};

enum { BY_FILE, BY_ADDRESS, ENDPOINTS };

struct hg_metrics_server {
  hg_runtime *runtime;
  struct hg_control control;
  hg_subscriber *subscriber; // NULL: events are not followed
  struct hg_fold fold;
  int64_t started_us;
  struct endpoint endpoints[ENDPOINTS];
  char socket_path[HG_PATH_MAX + 1]; // "": not bound
  int stop_fd;
  pthread_t thread;
  bool has_thread, is_lost; // lost: the runtime has ended
};

// ------------------------------------------------------------------------------------------------ figures

// False: there may be more.
static bool follow(struct hg_metrics_server *server) {
  hg_event event = HG_EVENT_INIT;
  for (int i = 0; i < EVENTS_A_TURN; i++) {
    if (!server->subscriber || server->is_lost) return true;
    const hg_err err = hg_next_event(server->subscriber, &event, 0);
    if (err == HG_OK) hg_fold_take(&server->fold, &event);
    else if (err == HG_ERR_CLOSED) server->is_lost = true;
    if (err != HG_OK && err != HG_ERR_PROTOCOL) return true;
  }
  return false;
}

static hg_err print(struct hg_metrics_server *server, struct hg_text_buffer *out) {
  struct hg_metrics_figures figures = {0};
  const int64_t deadline = hg_clock_now().monotonic_us + SNAPSHOT_MS * INT64_C(1000);
  (void)hg_metrics_ask(&server->control, deadline, &figures); // on failure `live` is false, and that is told
  if (figures.live)
    figures.has_counters = hg_runtime_read_counters(server->runtime, &figures.counters, COUNTERS_MS) == HG_OK;
  (void)follow(server);
  figures.started_us = server->started_us;
  figures.has_histograms = server->subscriber != NULL;
  if (figures.has_histograms) figures.fold = &server->fold;
  const hg_err err = hg_metrics_print(&figures, out);
  hg_metrics_clear(&figures);
  return err;
}

// ------------------------------------------------------------------------------------------------ connections

// Who sends a request byte by byte is never silent, and would keep a place for good: the newest takes the oldest one's.
static void make_place(struct endpoint *endpoint) {
  struct visitor *oldest = NULL;
  unsigned here = 0;
  for (size_t i = 0; i < ACCEPTED_MAX; i++) {
    struct visitor *visitor = &endpoint->visitors[i];
    if (visitor->since == 0 || visitor->is_cut) continue;
    here++;
    if (!oldest || visitor->since < oldest->since) oldest = visitor;
  }
  if (here <= CONNECTIONS_MAX) return;
  oldest->is_cut = true;
  (void)shutdown(oldest->fd, SHUT_RDWR); // libmicrohttpd sees its end, and closes it
}

static void arrive(struct endpoint *endpoint, int fd, void **place) {
  for (size_t i = 0; i < ACCEPTED_MAX && !*place; i++)
    if (endpoint->visitors[i].since == 0) *place = &endpoint->visitors[i];
  if (!*place) return; // there are no more than are accepted
  *(struct visitor *)*place = (struct visitor){.fd = fd, .since = ++endpoint->events};
  make_place(endpoint);
}

static void note_connection(void *context, struct MHD_Connection *connection, void **place,
                            enum MHD_ConnectionNotificationCode what) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  if (what == MHD_CONNECTION_NOTIFY_STARTED && info) arrive(context, info->connect_fd, place);
  if (what == MHD_CONNECTION_NOTIFY_CLOSED && *place) *(struct visitor *)*place = (struct visitor){0};
}

// Whose request is whole is as new as one that has just come.
static void note_request(struct endpoint *endpoint, struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  struct visitor *visitor = info ? info->socket_context : NULL;
  if (visitor) visitor->since = ++endpoint->events;
}

// ------------------------------------------------------------------------------------------------ HTTP

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned code, struct MHD_Response *response,
                             const char *type) {
  if (!response) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
  MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  if (code == MHD_HTTP_METHOD_NOT_ALLOWED) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  const enum MHD_Result result = MHD_queue_response(connection, code, response);
  MHD_destroy_response(response);
  return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned code, const char *text) {
  struct MHD_Response *response =
      MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
  return reply(connection, code, response, "text/plain; charset=utf-8");
}

// A page in a browser of this machine can have a name of its own lead to 127.0.0.1, and read what it finds there. It
// asks under that name then.
static bool is_own_host(const char *host) {
  char name[HG_HOST_MAX];
  struct in6_addr address;
  if (!host) return true;
  const bool v6 = host[0] == '[';
  const char *end = host + strcspn(host, v6 ? "]" : ":");
  if (v6) host++;
  if (end < host || (size_t)(end - host) >= sizeof name || (v6 && (*end != ']' || (end[1] && end[1] != ':'))))
    return false;
  memcpy(name, host, (size_t)(end - host));
  name[end - host] = '\0';
  return (!v6 && strcasecmp(name, "localhost") == 0) || inet_pton(v6 ? AF_INET6 : AF_INET, name, &address) == 1;
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **seen) {
  static char first;
  struct endpoint *endpoint = context;
  struct hg_text_buffer text = {0};
  (void)version, (void)upload, (void)upload_size;
  if (strcmp(url, HG_METRICS_PATH) != 0) return refuse(connection, MHD_HTTP_NOT_FOUND, "see " HG_METRICS_PATH "\n");
  if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
    return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
  if (endpoint->asks_host &&
      !is_own_host(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST)))
    return refuse(connection, MHD_HTTP_FORBIDDEN, "ask by address, or as localhost\n");
  if (!*seen) { // the head is there; what may follow it is passed over
    *seen = &first;
    return MHD_YES;
  }
  *upload_size = 0;
  note_request(endpoint, connection);
  if (print(endpoint->server, &text) != HG_OK) return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory\n");
  return reply(connection, MHD_HTTP_OK, MHD_create_response_from_buffer(text.len, text.data, MHD_RESPMEM_MUST_FREE),
               HG_EXPOSITION_TYPE);
}

// ------------------------------------------------------------------------------------------------ the thread

static int epoll_of(const struct endpoint *endpoint) {
  const union MHD_DaemonInfo *info =
      endpoint->daemon ? MHD_get_daemon_info(endpoint->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
  return info ? info->epoll_fd : -1; // poll passes over it
}

// Milliseconds that nothing has to be done in, as long as nothing comes.
static int patience(const struct hg_metrics_server *server, bool more) {
  unsigned long long least = LOOK_MS, timeout;
  for (int i = 0; i < ENDPOINTS; i++)
    if (server->endpoints[i].daemon && MHD_get_timeout(server->endpoints[i].daemon, &timeout) == MHD_YES &&
        timeout < least)
      least = timeout;
  return more ? 0 : (int)least;
}

static void *serve(void *context) {
  struct hg_metrics_server *server = context;
  (void)pthread_setname_np(pthread_self(), "hg-metrics");
  struct pollfd fds[2 + ENDPOINTS] = {{.fd = server->stop_fd, .events = POLLIN}};
  for (int i = 0; i < ENDPOINTS; i++)
    fds[2 + i] = (struct pollfd){.fd = epoll_of(&server->endpoints[i]), .events = POLLIN};
  do {
    const bool more = !follow(server);
    for (int i = 0; i < ENDPOINTS; i++)
      if (server->endpoints[i].daemon) MHD_run(server->endpoints[i].daemon);
    const bool follows = server->subscriber && !server->is_lost;
    fds[1] = (struct pollfd){.fd = follows ? hg_subscriber_fd(server->subscriber) : -1, .events = POLLIN};
    (void)poll(fds, sizeof fds / sizeof *fds, patience(server, more));
  } while (!(fds[0].revents & POLLIN));
  return NULL;
}

// Signals are for the thread that waits for them.
static hg_err start_thread(struct hg_metrics_server *server, hg_error *why) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int failed = pthread_create(&server->thread, NULL, serve, server);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  server->has_thread = failed == 0;
  return failed ? hg_fail(why, HG_ERR_SYSTEM, "metrics: %s", strerror(failed)) : HG_OK;
}

// ------------------------------------------------------------------------------------------------ listening

// -1: errno says why.
static int listen_at(const struct sockaddr *address, socklen_t size) {
  const int on = 1, fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (address->sa_family != AF_UNIX) (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address->sa_family == AF_INET6) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (bind(fd, address, size) == 0 && listen(fd, CONNECTIONS_MAX) == 0) return fd;
  const int failed = errno;
  close(fd);
  errno = failed;
  return -1;
}

// The daemon closes the socket.
static hg_err answer_at(struct endpoint *endpoint, int fd) {
  endpoint->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, answer, endpoint, MHD_OPTION_LISTEN_SOCKET, fd,
                                      MHD_OPTION_CONNECTION_LIMIT, ACCEPTED_MAX, MHD_OPTION_NOTIFY_CONNECTION,
                                      note_connection, endpoint, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
                                      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_BYTES, MHD_OPTION_END);
  if (!endpoint->daemon) close(fd);
  return endpoint->daemon ? HG_OK : HG_ERR_SYSTEM;
}

// In a directory that is ours alone, and while we hold the ledger: a socket that stands there is an earlier life's.
static hg_err listen_by_file(struct hg_metrics_server *server, hg_error *why) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const char *control = hg_runtime_core(server->runtime)->places.control_endpoint;
  if (!hg_metrics_socket(control, address.sun_path, sizeof address.sun_path))
    return hg_fail(why, HG_ERR_SYSTEM, "metrics: there is no place for a socket beside %s", control);
  struct stat found;
  if (lstat(address.sun_path, &found) == 0 && S_ISSOCK(found.st_mode)) (void)unlink(address.sun_path);
  const int fd = listen_at((const struct sockaddr *)&address, sizeof address);
  if (fd < 0)
    return hg_fail(why, HG_ERR_SYSTEM, "metrics: cannot listen on \"%.200s\": %s", address.sun_path, strerror(errno));
  snprintf(server->socket_path, sizeof server->socket_path, "%s", address.sun_path);
  const hg_err err = answer_at(&server->endpoints[BY_FILE], fd);
  return err == HG_OK ? err : hg_fail(why, err, "metrics: cannot serve on \"%.200s\"", address.sun_path);
}

static hg_err listen_by_address(struct hg_metrics_server *server, const struct hg_metrics_config *config,
                                hg_error *why) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(config->port)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(config->port)};
  const bool is_v4 = inet_pton(AF_INET, config->host, &v4.sin_addr) == 1;
  if (!is_v4 && inet_pton(AF_INET6, config->host, &v6.sin6_addr) != 1)
    return hg_fail(why, HG_ERR_CONFIG, "serve.metrics.listen: \"%s\" is no address", config->host);
  const int fd =
      is_v4 ? listen_at((const struct sockaddr *)&v4, sizeof v4) : listen_at((const struct sockaddr *)&v6, sizeof v6);
  if (fd < 0)
    return hg_fail(why, HG_ERR_SYSTEM, "serve.metrics.listen: cannot listen on %s port %u: %s", config->host,
                   config->port, strerror(errno));
  server->endpoints[BY_ADDRESS].asks_host = config->is_loopback;
  const hg_err err = answer_at(&server->endpoints[BY_ADDRESS], fd);
  return err == HG_OK ? err : hg_fail(why, err, "serve.metrics.listen: cannot serve on %s", config->host);
}

// ------------------------------------------------------------------------------------------------ starting, stopping

static hg_err connect_to_runtime(struct hg_metrics_server *server, const struct hg_metrics_config *config) {
  const struct hg_link_limits limits = {64, HWM, 0};
  struct hg_core *core = hg_runtime_core(server->runtime);
  hg_err err = hg_link_open(core->context, HG_DEALER, limits, &server->control.link);
  if (err == HG_OK) err = hg_link_connect(&server->control.link, HG_CONTROL_INSIDE);
  if (err != HG_OK || !config->wanted) return err;
  hg_filter filter = HG_FILTER_INIT;
  filter.topics = hg_fold_topics;
  filter.topic_count = hg_fold_topic_count;
  return hg_subscribe(server->runtime, &filter, &server->subscriber);
}

hg_err hg_metrics_server_start(hg_runtime *runtime, struct hg_metrics_server **out, hg_error *why) {
  const struct hg_metrics_config *config = &hg_runtime_config(runtime)->metrics;
  struct hg_metrics_server *server = calloc(1, sizeof *server);
  if (!server) return hg_fail(why, HG_ERR_NO_MEMORY, "%s", hg_err_text(HG_ERR_NO_MEMORY));
  server->runtime = runtime;
  server->started_us = hg_clock_now().utc_us;
  server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  for (int i = 0; i < ENDPOINTS; i++)
    server->endpoints[i].server = server;
  hg_err err = server->stop_fd < 0 ? HG_ERR_SYSTEM : connect_to_runtime(server, config);
  if (err != HG_OK) hg_fail(why, err, "metrics: %s", hg_err_text(err));
  if (err == HG_OK) err = listen_by_file(server, why);
  if (err == HG_OK && config->host) err = listen_by_address(server, config, why);
  if (err == HG_OK) err = start_thread(server, why);
  if (err != HG_OK) hg_metrics_server_stop(&server);
  *out = server;
  return err;
}

void hg_metrics_server_stop(struct hg_metrics_server **out) {
  struct hg_metrics_server *server = *out;
  *out = NULL;
  if (!server) return;
  if (server->has_thread) {
    (void)eventfd_write(server->stop_fd, 1);
    pthread_join(server->thread, NULL);
  }
  for (int i = 0; i < ENDPOINTS; i++)
    if (server->endpoints[i].daemon) MHD_stop_daemon(server->endpoints[i].daemon);
  if (server->socket_path[0]) (void)unlink(server->socket_path);
  hg_subscriber_destroy(&server->subscriber);
  hg_link_close(&server->control.link);
  hg_fold_clear(&server->fold);
  if (server->stop_fd >= 0) close(server->stop_fd);
  free(server);
}
