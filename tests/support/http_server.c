// The server of the HTTP tests: one thread, one request after the other.
#include "support/http_server.h"

#include "schemas/limits.h"
#include "support/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

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

// Events of a chat, more bytes than an answer may have.
static void send_events(int fd) {
  static const char event[] = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
  static char chunk[0x10000];
  size_t len = 0;
  for (; len + sizeof event <= sizeof chunk; len += sizeof event - 1)
    memcpy(chunk + len, event, sizeof event - 1);
  send_text(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
  for (size_t sent = 0; sent <= HG_BODY_MAX; sent += len)
    if (!send_all(fd, chunk, len)) return;
  send_text(fd, "data: [DONE]\n\n");
}

// Sends back what came: "?pieces" as chunks of a byte, "?close" with nothing that tells the end but the connection's,
// "?held" all but its first byte when the server may go on, "?held&thinks" nothing before it may once more; behind that
// "&type=" a Content-Type.
static bool send_echo(struct http_server *server, int fd, const char *path, const char *body) {
  char how[64] = "", head[160], chunk[] = "1\r\nx\r\n";
  sscanf(path, "/echo%63[^ ]", how);
  const bool pieces = strstr(how, "?pieces") != NULL, close = strstr(how, "?close") != NULL;
  const char *type = strstr(how, "type=");
  snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%s%s%s%s", type ? "Content-Type: " : "", type ? type + 5 : "",
           type ? "\r\n" : "",
           pieces  ? "Transfer-Encoding: chunked\r\n\r\n"
           : close ? "Connection: close\r\n\r\n"
                   : "");
  if (strstr(how, "&thinks")) sem_wait(&server->go_on);
  if (!send_text(fd, head)) return false;
  if (close) return send_text(fd, body) && false;
  if (!pieces) {
    snprintf(head, sizeof head, "Content-Length: %zu\r\n\r\n", strlen(body));
    if (!send_text(fd, head)) return false;
    if (strstr(how, "?held")) {
      if (!send_all(fd, body++, 1)) return false;
      sem_wait(&server->go_on);
    }
    return send_text(fd, body);
  }
  for (; *body; body++) {
    chunk[3] = *body;
    if (!send_text(fd, chunk)) return false;
  }
  return send_text(fd, "0\r\n\r\n");
}

// Answers one request; false: close the connection.
static bool answer(struct http_server *server, const struct http_connection *connection, const char *path,
                   const char *request) {
  const int fd = connection->fd;
  if (strncmp(path, "/ok", 3) == 0 || (strncmp(path, "/once", 5) == 0 && connection->requests == 1))
    return send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX-Request-Id: req-7\r\n\r\n{\"id\":\"a b\"}");
  if (strncmp(path, "/echo", 5) == 0) return send_echo(server, fd, path, strstr(request, "\r\n\r\n") + 4);
  if (strncmp(path, "/headers", 8) == 0) {
    char head[128];
    const size_t len = (size_t)(strstr(request, "\r\n\r\n") - request);
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
    return send_text(fd, head) && send_all(fd, request, len);
  }
  if (strncmp(path, "/zebra/ok", 9) == 0)
    return send_text(fd, "HTTP/1.1 200 OK\r\nContent-Encoding: zebra\r\nContent-Length: 2\r\n\r\n{}");
  if (strncmp(path, "/zebra", 6) == 0)
    return send_text(fd,
                     "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Encoding: zebra\r\nContent-Length: 2\r\n\r\n{}");
  if (strncmp(path, "/gzip", 5) == 0)
    return send_text(fd, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 12\r\n\r\nis no gzip, no");
  if (strncmp(path, "/busy", 5) == 0)
    return send_text(fd, "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nRequest-Id: other\r\nContent-Length: 2\r\n\r\n{}");
  if (strncmp(path, "/chat", 5) == 0)
    return send_text(
        fd, "HTTP/1.1 200 OK\r\nContent-Length: 153\r\n\r\n"
            "{\"id\":\"r\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hello\"}}],"
            "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":20,\"total_tokens\":30}}");
  if (strncmp(path, "/redirect", 9) == 0)
    return send_text(fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
  if (strncmp(path, "/cut", 4) == 0) send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half\":");
  if (strncmp(path, "/garbage", 8) == 0) send_text(fd, "\x01\x02 this is no HTTP\r\n\r\n");
  if (strncmp(path, "/declared", 9) == 0) send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{");
  if (strncmp(path, "/flood", 6) == 0) send_flood(fd);
  if (strncmp(path, "/events", 7) == 0) send_events(fd);
  return strncmp(path, "/hang", 5) == 0;
}

static bool serve(struct http_server *server, struct http_connection *connection) {
  static char request[256 * 1024];
  if (!read_request(connection->fd, request, sizeof request)) return false;
  atomic_fetch_add(&server->requests, 1);
  connection->requests++;
  if (server->on_request) server->on_request(server->context);
  const char *path = strchr(request, ' ');
  return path && answer(server, connection, path + 1, request);
}

static void *run_server(void *context) {
  struct http_server *server = context;
  for (;;) {
    struct pollfd fds[HTTP_CONNECTIONS_MAX + 2] = {{.fd = server->stop[0], .events = POLLIN},
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
    if (!fds[1].revents || server->open_count == HTTP_CONNECTIONS_MAX) continue;
    server->open[server->open_count++] = (struct http_connection){.fd = accept(server->listener, NULL, NULL)};
    atomic_fetch_add(&server->connections, 1);
  }
  for (unsigned i = 0; i < server->open_count; i++)
    close(server->open[i].fd);
  return NULL;
}

unsigned http_listen_somewhere(int *fd) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t len = sizeof address;
  *fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(bind(*fd, (struct sockaddr *)&address, sizeof address) == 0);
  CHECK(getsockname(*fd, (struct sockaddr *)&address, &len) == 0);
  return ntohs(address.sin_port);
}

void http_server_start(struct http_server *server) {
  *server = (struct http_server){.listener = -1};
  server->port = http_listen_somewhere(&server->listener);
  CHECK(listen(server->listener, 128) == 0);
  CHECK(pipe(server->stop) == 0);
  CHECK(sem_init(&server->go_on, 0, 0) == 0);
  CHECK(pthread_create(&server->thread, NULL, run_server, server) == 0);
}

void http_server_stop(struct http_server *server) {
  CHECK(write(server->stop[1], "x", 1) == 1);
  pthread_join(server->thread, NULL);
  close(server->listener);
  close(server->stop[0]);
  close(server->stop[1]);
  sem_destroy(&server->go_on);
}
