// links: program
// HTTP calls against a small server in the test itself, which answers, breaks, hangs and floods as the path says.
#include "runner/http.h"
#include "runner/http_private.h"
#include "support/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// ---------------------------------------------------------------------------------------------- the server

#define CONNECTIONS_MAX 128

struct connection {
  int fd;
  unsigned requests; // so far
};

struct server {
  int listener, stop[2];
  unsigned port;
  pthread_t thread;
  atomic_uint connections, requests;
  struct connection open[CONNECTIONS_MAX];
  unsigned open_count;
};

static bool send_all(int fd, const char *data, size_t len) {
  while (len > 0) {
    const ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data += sent;
    len -= (size_t)sent;
  }
  return true;
}

static bool send_text(int fd, const char *text) {
  return send_all(fd, text, strlen(text));
}

// Reads one whole request. False: the other end closed.
static bool read_request(int fd, char *out, size_t capacity) {
  size_t len = 0;
  for (;;) {
    const ssize_t got = recv(fd, out + len, capacity - 1 - len, 0);
    if (got <= 0) return false;
    len += (size_t)got;
    out[len] = '\0';
    const char *end = strstr(out, "\r\n\r\n"), *length = strstr(out, "Content-Length: ");
    if (end && length && len >= (size_t)(end + 4 - out) + strtoul(length + 16, NULL, 10)) return true;
  }
}

static void send_flood(int fd) {
  static char chunk[64 * 1024];
  memset(chunk, 'x', sizeof chunk);
  send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (size_t sent = 0; sent <= HG_BODY_MAX; sent += sizeof chunk)
    if (!send_text(fd, "10000\r\n") || !send_all(fd, chunk, sizeof chunk) || !send_text(fd, "\r\n")) return;
}

// Answers one request; false: close the connection.
static bool answer(const struct connection *connection, const char *path, const char *request) {
  const int fd = connection->fd;
  if (strncmp(path, "/ok", 3) == 0 || (strncmp(path, "/once", 5) == 0 && connection->requests == 1))
    return send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX-Request-Id: req-7\r\n\r\n{\"id\":\"a b\"}");
  if (strncmp(path, "/echo", 5) == 0) {
    char head[128];
    const char *body = strstr(request, "\r\n\r\n") + 4;
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(body));
    return send_text(fd, head) && send_text(fd, body);
  }
  if (strncmp(path, "/headers", 8) == 0) {
    char head[128];
    const size_t len = (size_t)(strstr(request, "\r\n\r\n") - request);
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
    return send_text(fd, head) && send_all(fd, request, len);
  }
  if (strncmp(path, "/busy", 5) == 0)
    return send_text(fd, "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nRequest-Id: other\r\nContent-Length: 2\r\n\r\n{}");
  if (strncmp(path, "/redirect", 9) == 0)
    return send_text(fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
  if (strncmp(path, "/cut", 4) == 0) send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half\":");
  if (strncmp(path, "/garbage", 8) == 0) send_text(fd, "\x01\x02 this is no HTTP\r\n\r\n");
  if (strncmp(path, "/declared", 9) == 0) send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{");
  if (strncmp(path, "/flood", 6) == 0) send_flood(fd);
  return strncmp(path, "/hang", 5) == 0;
}

static bool serve(struct server *server, struct connection *connection) {
  static char request[256 * 1024];
  if (!read_request(connection->fd, request, sizeof request)) return false;
  atomic_fetch_add(&server->requests, 1);
  connection->requests++;
  const char *path = strchr(request, ' ');
  return path && answer(connection, path + 1, request);
}

static void *run_server(void *context) {
  struct server *server = context;
  for (;;) {
    struct pollfd fds[CONNECTIONS_MAX + 2] = {{.fd = server->stop[0], .events = POLLIN},
                                              {.fd = server->listener, .events = POLLIN}};
    const unsigned count = server->open_count;
    for (unsigned i = 0; i < count; i++)
      fds[i + 2] = (struct pollfd){.fd = server->open[i].fd, .events = POLLIN};
    poll(fds, count + 2, -1);
    if (fds[0].revents) break;
    for (unsigned i = count; i-- > 0;) {
      if (!fds[i + 2].revents || serve(server, &server->open[i])) continue;
      close(server->open[i].fd);
      server->open[i] = server->open[--server->open_count];
    }
    if (!fds[1].revents || server->open_count == CONNECTIONS_MAX) continue;
    server->open[server->open_count++] = (struct connection){.fd = accept(server->listener, NULL, NULL)};
    atomic_fetch_add(&server->connections, 1);
  }
  for (unsigned i = 0; i < server->open_count; i++)
    close(server->open[i].fd);
  return NULL;
}

static unsigned listen_somewhere(int *fd) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t len = sizeof address;
  *fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(bind(*fd, (struct sockaddr *)&address, sizeof address) == 0);
  CHECK(getsockname(*fd, (struct sockaddr *)&address, &len) == 0);
  return ntohs(address.sin_port);
}

static void start_server(struct server *server) {
  *server = (struct server){.listener = -1};
  server->port = listen_somewhere(&server->listener);
  CHECK(listen(server->listener, 128) == 0);
  CHECK(pipe(server->stop) == 0);
  CHECK(pthread_create(&server->thread, NULL, run_server, server) == 0);
}

static void stop_server(struct server *server) {
  CHECK(write(server->stop[1], "x", 1) == 1);
  pthread_join(server->thread, NULL);
  close(server->listener);
  close(server->stop[0]);
  close(server->stop[1]);
}

// ---------------------------------------------------------------------------------------------- the client

struct ending {
  bool ended;
  struct hg_http_end end;
  char *body;
};

struct client {
  struct hg_http *http;
  unsigned ended;
};

static void on_end(void *context, void *tag, const struct hg_http_end *end) {
  struct client *client = context;
  struct ending *ending = tag;
  client->ended++;
  ending->ended = true;
  ending->end = *end;
  ending->body = calloc(1, end->body_len + 1);
  if (end->body_len > 0) memcpy(ending->body, end->body, end->body_len);
}

static void start_client(struct client *client, uint32_t calls, uint32_t timeout_ms) {
  hg_error why = HG_ERROR_INIT;
  client->ended = 0;
  const struct hg_http_options options = {
      .calls_max = calls, .timeout_ms = timeout_ms, .connect_timeout_ms = 5000, .on_end = on_end, .context = client};
  CHECK_EQ(hg_http_new(&options, &client->http, &why), HG_OK);
}

static char *no_headers[] = {NULL};

static struct hg_http_call *start_call(struct client *client, unsigned port, const char *path, const char *body,
                                       struct ending *ending) {
  char url[128];
  struct hg_http_call *call = NULL;
  hg_error why = HG_ERROR_INIT;
  snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
  *ending = (struct ending){.ended = false};
  const struct hg_http_request request = {
      .url = url, .headers = no_headers, .body = body, .body_len = strlen(body), .tag = ending};
  CHECK_EQ(hg_http_start(client->http, &request, &call, &why), HG_OK);
  CHECK(call != NULL);
  return call;
}

static void wait_for(struct client *client, unsigned ended) {
  while (client->ended < ended) {
    struct pollfd fd = {.fd = hg_http_fd(client->http), .events = POLLIN};
    poll(&fd, 1, hg_http_wait_ms(client->http));
    CHECK_EQ(hg_http_run(client->http), HG_OK);
  }
}

// One call from start to end. The caller frees the body.
static struct ending one_call(struct server *server, const char *path, uint32_t timeout_ms) {
  struct client client;
  struct ending ending;
  start_client(&client, 4, timeout_ms);
  start_call(&client, server->port, path, "{}", &ending);
  wait_for(&client, 1);
  hg_http_destroy(&client.http);
  CHECK(client.http == NULL);
  return ending;
}

TEST(http, whole_answer) {
  struct server server;
  start_server(&server);
  struct ending ending = one_call(&server, "/ok", 20000);
  CHECK_EQ(ending.end.kind, HG_HTTP_ANSWERED);
  CHECK(ending.end.left);
  CHECK_EQ(ending.end.status, 200);
  CHECK_STR(ending.body, "{\"id\":\"a b\"}");
  CHECK_STR(ending.end.request_id, "req-7");
  CHECK_EQ(ending.end.retry_after_ms, -1);
  free(ending.body);
  stop_server(&server);
}

TEST(http, status_and_retry_after) {
  struct server server;
  start_server(&server);
  struct ending busy = one_call(&server, "/busy", 20000);
  CHECK_EQ(busy.end.kind, HG_HTTP_ANSWERED);
  CHECK_EQ(busy.end.status, 429);
  CHECK_EQ(busy.end.retry_after_ms, 7000);
  CHECK_STR(busy.end.request_id, "other");
  free(busy.body);
  struct ending redirect = one_call(&server, "/redirect", 20000);
  CHECK_EQ(redirect.end.status, 302);
  CHECK_EQ(atomic_load(&server.requests), 2); // not followed
  free(redirect.body);
  stop_server(&server);
}

TEST(http, cut_answer_had_left) {
  struct server server;
  start_server(&server);
  static const char *const paths[] = {"/cut", "/none", "/garbage"};
  for (unsigned i = 0; i < 3; i++) {
    struct ending ending = one_call(&server, paths[i], 20000);
    CHECK_EQ(ending.end.kind, HG_HTTP_BROKEN);
    CHECK(ending.end.left);
    CHECK(ending.end.detail[0] != '\0');
    CHECK_EQ(atomic_load(&server.requests), i + 1);
    free(ending.body);
  }
  stop_server(&server);
}

TEST(http, refused_connection_never_left) {
  int fd;
  const unsigned port = listen_somewhere(&fd); // bound, but nobody listens
  struct client client;
  struct ending ending;
  start_client(&client, 1, 20000);
  start_call(&client, port, "/ok", "{}", &ending);
  wait_for(&client, 1);
  CHECK_EQ(ending.end.kind, HG_HTTP_NO_CONNECTION);
  CHECK(!ending.end.left);
  free(ending.body);
  hg_http_destroy(&client.http);
  close(fd);
}

TEST(http, timeout_had_left) {
  struct server server;
  start_server(&server);
  struct ending ending = one_call(&server, "/hang", 200);
  CHECK_EQ(ending.end.kind, HG_HTTP_TIMED_OUT);
  CHECK(ending.end.left);
  CHECK_EQ(atomic_load(&server.requests), 1);
  free(ending.body);
  stop_server(&server);
}

TEST(http, answers_are_bounded) {
  struct server server;
  start_server(&server);
  static const char *const paths[] = {"/flood", "/declared"};
  for (unsigned i = 0; i < 2; i++) {
    struct ending ending = one_call(&server, paths[i], 60000);
    CHECK_EQ(ending.end.kind, HG_HTTP_TOO_LARGE);
    CHECK(ending.end.left);
    free(ending.body);
  }
  stop_server(&server);
}

TEST(http, connections_and_handles_are_reused) {
  enum { AT_ONCE = 16, ROUNDS = 20 };
  struct server server;
  struct client client;
  struct ending endings[AT_ONCE];
  struct hg_http_counts counts;
  start_server(&server);
  start_client(&client, AT_ONCE, 20000);
  for (unsigned round = 0; round < ROUNDS; round++) {
    for (unsigned i = 0; i < AT_ONCE; i++)
      start_call(&client, server.port, i % 2 ? "/ok" : "/ok?other", "{}", &endings[i]);
    wait_for(&client, (round + 1) * AT_ONCE);
    for (unsigned i = 0; i < AT_ONCE; i++) {
      CHECK_EQ(endings[i].end.status, 200);
      free(endings[i].body);
    }
  }
  hg_http_count(client.http, &counts);
  CHECK_EQ(counts.started, AT_ONCE * ROUNDS);
  CHECK_EQ(counts.ended, AT_ONCE * ROUNDS);
  CHECK_EQ(counts.running, 0);
  CHECK(counts.connections <= AT_ONCE);
  CHECK_EQ(counts.connections, atomic_load(&server.connections));
  CHECK_EQ(atomic_load(&server.requests), AT_ONCE * ROUNDS);
  hg_http_destroy(&client.http);
  stop_server(&server);
}

// A kept connection that ends after the request arrived: libcurl alone would send it a second time.
TEST(http, request_is_never_sent_twice) {
  struct server server;
  struct client client;
  struct ending first, second, third;
  start_server(&server);
  start_client(&client, 1, 20000);
  start_call(&client, server.port, "/once", "{}", &first);
  wait_for(&client, 1);
  CHECK_EQ(first.end.status, 200);
  start_call(&client, server.port, "/once", "{}", &second);
  wait_for(&client, 2);
  CHECK_EQ(second.end.kind, HG_HTTP_BROKEN);
  CHECK(second.end.left);
  CHECK_EQ(atomic_load(&server.requests), 2);
  start_call(&client, server.port, "/ok", "{}", &third); // the handle is as good as new
  wait_for(&client, 3);
  CHECK_EQ(third.end.status, 200);
  free(first.body);
  free(second.body);
  free(third.body);
  hg_http_destroy(&client.http);
  stop_server(&server);
}

TEST(http, cut_from_this_side) {
  struct server server;
  struct client client;
  struct ending hanging, after;
  start_server(&server);
  start_client(&client, 2, 20000);
  struct hg_http_call *call = start_call(&client, server.port, "/hang", "{}", &hanging);
  while (atomic_load(&server.requests) == 0) {
    struct pollfd fd = {.fd = hg_http_fd(client.http), .events = POLLIN};
    poll(&fd, 1, 10);
    CHECK_EQ(hg_http_run(client.http), HG_OK);
  }
  CHECK(hg_http_cut(client.http, &call));
  CHECK(call == NULL && !hanging.ended);
  call = start_call(&client, server.port, "/hang", "{}", &hanging); // cut before anything happened
  CHECK(!hg_http_cut(client.http, &call));
  start_call(&client, server.port, "/ok", "{}", &after);
  wait_for(&client, 1);
  CHECK_EQ(after.end.status, 200);
  free(after.body);
  start_call(&client, server.port, "/hang", "{}", &hanging); // still running at the end
  hg_http_destroy(&client.http);
  stop_server(&server);
}

TEST(http, bodies_and_headers_arrive_as_given) {
  struct server server;
  struct client client;
  struct ending small, large, headers;
  start_server(&server);
  start_client(&client, 3, 20000);
  char *body = malloc(200 * 1024 + 1);
  memset(body, 'q', 200 * 1024);
  body[200 * 1024] = '\0';
  start_call(&client, server.port, "/echo", "{\"a\": 1e5}", &small);
  start_call(&client, server.port, "/echo", body, &large);
  wait_for(&client, 2);
  CHECK_STR(small.body, "{\"a\": 1e5}");
  CHECK_STR(large.body, body);
  static char *lines[] = {"Authorization: Bearer k", "X-Empty:", NULL};
  char url[64];
  hg_error why = HG_ERROR_INIT;
  struct hg_http_call *call;
  snprintf(url, sizeof url, "http://127.0.0.1:%u/headers", server.port);
  const struct hg_http_request request = {.url = url, .headers = lines, .body = "{}", .body_len = 2, .tag = &headers};
  CHECK_EQ(hg_http_start(client.http, &request, &call, &why), HG_OK);
  wait_for(&client, 3);
  CHECK(strstr(headers.body, "\r\nAuthorization: Bearer k\r\n") != NULL);
  CHECK(strstr(headers.body, "\r\nX-Empty:") != NULL);
  CHECK(strstr(headers.body, "\r\nContent-Type: application/json") != NULL);
  CHECK(strstr(headers.body, "Expect") == NULL);
  free(small.body);
  free(large.body);
  free(headers.body);
  free(body);
  hg_http_destroy(&client.http);
  stop_server(&server);
}

TEST(http, bad_url_is_refused) {
  struct client client;
  start_client(&client, 1, 1000);
  struct ending ending = {.ended = false};
  hg_error why = HG_ERROR_INIT;
  struct hg_http_call *call = NULL;
  const struct hg_http_request request = {
      .url = "gopher://127.0.0.1/", .headers = no_headers, .body = "", .tag = &ending};
  const hg_err err = hg_http_start(client.http, &request, &call, &why);
  if (!err) { // some versions of libcurl look at the scheme only when the call begins
    wait_for(&client, 1);
    CHECK_EQ(ending.end.kind, HG_HTTP_NO_CONNECTION);
    free(ending.body);
  }
  hg_http_destroy(&client.http);
}

TEST(http, retry_after_forms) {
  CHECK_EQ(hg_retry_after_ms("7", 0), 7000);
  CHECK_EQ(hg_retry_after_ms("1.5 ", 0), 1500);
  CHECK_EQ(hg_retry_after_ms("0", 0), 0);
  CHECK_EQ(hg_retry_after_ms("soon", 0), -1);
  CHECK_EQ(hg_retry_after_ms("-3", 0), -1);
  CHECK_EQ(hg_retry_after_ms("3x", 0), -1);
  CHECK_EQ(hg_retry_after_ms("", 0), -1);
  CHECK_EQ(hg_retry_after_ms("Thu, 01 Jan 1970 00:01:40 GMT", 90), 10000);
  CHECK_EQ(hg_retry_after_ms("Thu, 01 Jan 1970 00:01:40 GMT", 900), 0);
  CHECK(hg_retry_after_ms("99999999999999999999", 0) > 0);
}
