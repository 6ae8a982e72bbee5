/* server.c: exchanges over libmicrohttpd. An answer that takes time suspends its connection and waits in a heap. */
#include "server.h"
#include "answer.h"
#include "exchange.h"
#include "timers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { CONNECTION_MEMORY_BYTES = 16 * 1024, LOG_BUFFER_BYTES = 1024 * 1024, BLOCK_BYTES_MAX = 8 * 1024 };

struct server {
  struct simulation sim;
  struct timers timers;
  struct exchange *free_exchanges;
  struct MHD_Daemon *daemon;
  bool log_failed;
};

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ------------------------------------------------------------------------------------------- answering */

static ssize_t read_half(void *context, uint64_t position, char *out, size_t room) {
  const struct text *const answer = &((const struct exchange *)context)->answer;
  const uint64_t half = answer->length / 2;
  if (position >= half) return MHD_CONTENT_READER_END_WITH_ERROR;
  const size_t step = half - position < room ? (size_t)(half - position) : room;
  memcpy(out, answer->data + position, step);
  return (ssize_t)step;
}

/* The exchange outlives the response, so the response may point into it. */
static struct MHD_Response *make_response(struct exchange *exchange) {
  struct text *const answer = &exchange->answer;
  if (exchange->plan.outcome == OUTCOME_CUT)
    return MHD_create_response_from_callback(answer->length, BLOCK_BYTES_MAX, read_half, exchange, NULL);
  return MHD_create_response_from_buffer(answer->length, answer->data, MHD_RESPMEM_PERSISTENT);
}

static void add_headers(struct MHD_Response *response, const struct exchange *exchange, const struct options *options) {
  char value[32];
  const bool stream = exchange->call.stream && exchange->plan.refusal.status == 200;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, stream ? "text/event-stream" : "application/json");
  if (exchange->is_admin) return;
  snprintf(value, sizeof value, "req_%016llx", (unsigned long long)exchange->plan.hash);
  MHD_add_response_header(response, exchange->endpoint == ENDPOINT_MESSAGES ? "request-id" : "x-request-id", value);
  if (exchange->plan.outcome != OUTCOME_429 || options->quota) return;
  snprintf(value, sizeof value, "%llu", (unsigned long long)options->retry_after_s);
  MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, value);
}

static enum MHD_Result send_answer(struct server *server, struct exchange *exchange) {
  if (exchange->answer.failed) return MHD_NO;
  struct MHD_Response *const response = make_response(exchange);
  if (!response) return MHD_NO;
  add_headers(response, exchange, server->sim.options);
  const enum MHD_Result result = MHD_queue_response(exchange->connection, exchange->plan.refusal.status, response);
  MHD_destroy_response(response);
  return result;
}

/* A client that died while its answer was in the making never had that answer, so asking again is no duplicate. */
static bool reader_is_gone(const struct exchange *exchange) {
  const union MHD_ConnectionInfo *const info =
      MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  char byte;
  if (!info) return true;
  const ssize_t got = recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

static void resume_due(struct server *server, uint64_t until_us) {
  struct exchange *exchange;
  while ((exchange = timers_take(&server->timers, until_us))) {
    exchange->reader_gone = reader_is_gone(exchange);
    exchange_begin_answer(exchange, &server->sim);
    MHD_resume_connection(exchange->connection);
  }
}

/* ---------------------------------------------------------------------------------------------- admin */

static enum MHD_Result answer_admin(struct server *server, struct exchange *exchange, const char *method) {
  struct simulation *const sim = &server->sim;
  const bool is_get = strcmp(method, "GET") == 0;
  const bool is_reset = strcmp(exchange->url, "/reset") == 0;
  exchange->state = EXCHANGE_ANSWERING;
  exchange->plan = (struct plan){.refusal = {.status = is_get != is_reset ? 200 : 405}};
  if (exchange->plan.refusal.status != 200) {
    answer_error(&exchange->answer, ENDPOINT_NONE, &exchange->plan, false);
  } else if (strcmp(exchange->url, "/stats") == 0) {
    server_flush_log(server);
    stats_write(&sim->stats, &exchange->answer);
  } else {
    const char *const only = MHD_lookup_connection_value(exchange->connection, MHD_GET_ARGUMENT_KIND, "only");
    if (is_reset) stats_reset(&sim->stats);
    if (is_reset && !(only && strcmp(only, "stats") == 0)) attempts_free(&sim->attempts);
    text_string(&exchange->answer, "{\"status\":\"ok\"}");
  }
  return send_answer(server, exchange);
}

static bool is_admin(const char *url) {
  return strcmp(url, "/healthz") == 0 || strcmp(url, "/stats") == 0 || strcmp(url, "/reset") == 0;
}

/* ------------------------------------------------------------------------------------------- receiving */

static struct exchange *open_exchange(struct server *server, struct MHD_Connection *connection, const char *url) {
  struct exchange *exchange = server->free_exchanges;
  if (exchange) server->free_exchanges = exchange->next_free;
  else if (!(exchange = calloc(1, sizeof *exchange))) return NULL;
  exchange->connection = connection;
  exchange->is_admin = is_admin(url);
  exchange->endpoint = endpoint_of(url, server->sim.options->base_path, &exchange->question);
  snprintf(exchange->url, sizeof exchange->url, "%s", url);
  return exchange;
}

/* What is too large is read to its end, so that the client gets to see the 413. */
static void take_body(struct exchange *exchange, const char *bytes, size_t length) {
  if (length > SERVER_BODY_BYTES_MAX - exchange->body.length) exchange->too_large = true;
  if (exchange->too_large) text_reset(&exchange->body, 0);
  else text_append(&exchange->body, bytes, length);
}

static struct credentials read_credentials(const struct server *server, const struct exchange *exchange) {
  struct credentials headers = {0};
  if (server->sim.options->require_key) {
    headers.authorization = MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, "Authorization");
    headers.api_key = MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, "x-api-key");
  }
  if (exchange->endpoint == ENDPOINT_MESSAGES)
    headers.anthropic_version = MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, "anthropic-version");
  return headers;
}

static enum MHD_Result answer_call(struct server *server, struct exchange *exchange, const char *method) {
  exchange_judge(exchange, &server->sim, method, read_credentials(server, exchange));
  const uint64_t latency_us = exchange->plan.latency_us;
  if (latency_us > 0 && timers_add(&server->timers, now_us() + latency_us, exchange)) {
    exchange->state = EXCHANGE_WAITING;
    MHD_suspend_connection(exchange->connection);
    return MHD_YES;
  }
  exchange_begin_answer(exchange, &server->sim);
  return send_answer(server, exchange);
}

/* Called for the headers, then for each piece of the body, then for its end, and once more after a wait. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **slot) {
  struct server *const server = context;
  struct exchange *exchange = *slot;
  (void)version;
  if (!exchange) {
    *slot = exchange = open_exchange(server, connection, url);
    return exchange ? MHD_YES : MHD_NO;
  }
  if (*upload_size > 0) {
    take_body(exchange, upload, *upload_size);
    *upload_size = 0;
    return exchange->body.failed ? MHD_NO : MHD_YES;
  }
  if (exchange->state == EXCHANGE_ANSWERING) return send_answer(server, exchange);
  if (exchange->state == EXCHANGE_WAITING) return MHD_NO; /* woken by the end of the server */
  return exchange->is_admin ? answer_admin(server, exchange, method) : answer_call(server, exchange, method);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode how) {
  struct server *const server = context;
  struct exchange *const exchange = *slot;
  (void)connection;
  if (!exchange) return;
  *slot = NULL;
  if (exchange->state != EXCHANGE_RECEIVING && !exchange->is_admin)
    exchange_end(exchange, &server->sim, how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
  exchange_reset(exchange);
  exchange->next_free = server->free_exchanges;
  server->free_exchanges = exchange;
}

/* -------------------------------------------------------------------------------------------- the server */

static struct MHD_Daemon *listen_on(struct server *server, uint16_t port) {
  const struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_SUPPRESS_DATE_NO_CLOCK,
                          port, NULL, NULL, on_request, server, MHD_OPTION_SOCK_ADDR, &address,
                          MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_CONNECTION_LIMIT,
                          (unsigned)SERVER_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                          (size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_LISTEN_BACKLOG_SIZE, 4096u,
                          MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
}

static bool open_log(struct server *server, const char *path) {
  if (!path) return true;
  server->sim.log = fopen(path, "we");
  if (server->sim.log) return setvbuf(server->sim.log, NULL, _IOFBF, LOG_BUFFER_BYTES) == 0;
  fprintf(stderr, "llm-sim: can't write %s: %s\n", path, strerror(errno));
  return false;
}

struct server *server_start(const struct options *options) {
  struct server *server = calloc(1, sizeof *server);
  if (!server) return NULL;
  server->sim.options = options;
  if (open_log(server, options->log_path)) {
    server->daemon = listen_on(server, (uint16_t)options->port);
    if (server->daemon) return server;
    fprintf(stderr, "llm-sim: can't listen on 127.0.0.1:%llu: %s\n", (unsigned long long)options->port,
            strerror(errno));
  }
  server_destroy(&server);
  return NULL;
}

uint16_t server_port(const struct server *server) {
  return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

int server_fd(const struct server *server) {
  return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

int server_wait_ms(const struct server *server) {
  MHD_UNSIGNED_LONG_LONG http_ms = 0;
  if (MHD_get_timeout(server->daemon, &http_ms) != MHD_YES) http_ms = INT_MAX;
  const uint64_t due_us = timers_next_us(&server->timers);
  if (due_us == UINT64_MAX) return http_ms < INT_MAX ? (int)http_ms : -1;
  const uint64_t now = now_us();
  const uint64_t due_ms = due_us > now ? (due_us - now + 999) / 1000 : 0;
  return (int)(due_ms < http_ms ? due_ms : http_ms);
}

void server_run(struct server *server) {
  if (server->timers.count > 0) resume_due(server, now_us());
  MHD_run(server->daemon);
}

void server_flush_log(struct server *server) {
  if (server->sim.log && fflush(server->sim.log) != 0) server->log_failed = true;
}

const struct stats *server_stats(const struct server *server) {
  return &server->sim.stats;
}

void server_stop(struct server *server) {
  struct exchange *exchange;
  while ((exchange = timers_take(&server->timers, UINT64_MAX)))
    MHD_resume_connection(exchange->connection);
  if (server->daemon) MHD_stop_daemon(server->daemon);
  server->daemon = NULL;
  server_flush_log(server);
}

bool server_destroy(struct server **server_p) {
  struct server *const server = *server_p;
  if (!server) return true;
  server_stop(server);
  if (server->sim.log && fclose(server->sim.log) != 0) server->log_failed = true;
  for (struct exchange *exchange = server->free_exchanges, *next; exchange; exchange = next) {
    next = exchange->next_free;
    text_free(&exchange->body);
    text_free(&exchange->answer);
    free(exchange);
  }
  attempts_free(&server->sim.attempts);
  timers_free(&server->timers);
  const bool log_failed = server->log_failed;
  free(server);
  *server_p = NULL;
  return !log_failed;
}
