// links: program
// HTTP calls against a small server in the test itself.
#include "base/clock.h"
#include "runner/http.h"
#include "runner/http_private.h"
#include "support/http_server.h"
#include "support/test.h"

#include <poll.h>
#include <unistd.h>

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

static struct hg_http_call *start_asked(struct client *client, unsigned port, const char *path, const char *body,
                                        bool streams, int64_t choices, struct ending *ending) {
  struct hg_http_call *call = NULL;
  char url[128];
  hg_error why = HG_ERROR_INIT;
  *ending = (struct ending){.ended = false};
  snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
  const struct hg_http_request request = {.url = url,
                                          .headers = no_headers,
                                          .body = body,
                                          .body_len = strlen(body),
                                          .streams = streams,
                                          .choices = choices,
                                          .tag = ending};
  CHECK_EQ(hg_http_start(client->http, &request, &call, &why), HG_OK);
  CHECK(call != NULL);
  return call;
}

static struct hg_http_call *start_call(struct client *client, unsigned port, const char *path, const char *body,
                                       struct ending *ending) {
  return start_asked(client, port, path, body, false, 0, ending);
}

static void run_once(struct client *client) {
  struct pollfd fd = {.fd = hg_http_fd(client->http), .events = POLLIN};
  poll(&fd, 1, hg_http_wait_ms(client->http));
  CHECK_EQ(hg_http_run(client->http), HG_OK);
}

static void wait_for(struct client *client, unsigned ended) {
  while (client->ended < ended)
    run_once(client);
}

// One call from start to end. The caller frees the body.
static struct ending one_call(struct http_server *server, const char *path, uint32_t timeout_ms) {
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
  struct http_server server;
  http_server_start(&server);
  struct ending ending = one_call(&server, "/ok", 20000);
  CHECK_EQ(ending.end.kind, HG_HTTP_ANSWERED);
  CHECK(ending.end.left);
  CHECK_EQ(ending.end.status, 200);
  CHECK_STR(ending.body, "{\"id\":\"a b\"}");
  CHECK_STR(ending.end.request_id, "req-7");
  CHECK_EQ(ending.end.retry_after_ms, -1);
  free(ending.body);
  http_server_stop(&server);
}

TEST(http, status_and_retry_after) {
  struct http_server server;
  http_server_start(&server);
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
  http_server_stop(&server);
}

TEST(http, encodings_that_nobody_can_undo) {
  struct http_server server;
  http_server_start(&server);
  static const char *const paths[] = {"/zebra/ok", "/gzip"};
  for (unsigned i = 0; i < 2; i++) {
    struct ending ending = one_call(&server, paths[i], 20000);
    CHECK_EQ(ending.end.kind, HG_HTTP_UNREADABLE);
    CHECK(ending.end.left && ending.end.body_len == 0);
    CHECK(ending.end.detail[0] != '\0');
    free(ending.body);
  }
  struct ending busy = one_call(&server, "/zebra/busy", 20000); // the status and its headers say enough
  CHECK_EQ(busy.end.kind, HG_HTTP_ANSWERED);
  CHECK_EQ(busy.end.status, 429);
  CHECK_EQ(busy.end.retry_after_ms, 7000);
  CHECK(busy.end.body == NULL && busy.end.body_len == 0);
  free(busy.body);
  http_server_stop(&server);
}

TEST(http, cut_answer_had_left) {
  struct http_server server;
  http_server_start(&server);
  static const char *const paths[] = {"/cut", "/none", "/garbage"};
  for (unsigned i = 0; i < 3; i++) {
    struct ending ending = one_call(&server, paths[i], 20000);
    CHECK_EQ(ending.end.kind, HG_HTTP_BROKEN);
    CHECK(ending.end.left);
    CHECK(ending.end.detail[0] != '\0');
    CHECK_EQ(atomic_load(&server.requests), i + 1);
    free(ending.body);
  }
  http_server_stop(&server);
}

TEST(http, refused_connection_never_left) {
  int fd;
  const unsigned port = http_listen_somewhere(&fd); // bound, but nobody listens
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
  struct http_server server;
  http_server_start(&server);
  struct ending ending = one_call(&server, "/hang", 2000);
  CHECK_EQ(ending.end.kind, HG_HTTP_TIMED_OUT);
  CHECK(ending.end.left);
  CHECK_EQ(atomic_load(&server.requests), 1);
  free(ending.body);
  http_server_stop(&server);
}

TEST(http, answers_are_bounded) {
  struct http_server server;
  http_server_start(&server);
  static const char *const paths[] = {"/flood", "/declared"};
  for (unsigned i = 0; i < 2; i++) {
    struct ending ending = one_call(&server, paths[i], 60000);
    CHECK_EQ(ending.end.kind, HG_HTTP_TOO_LARGE);
    CHECK(ending.end.left);
    free(ending.body);
  }
  http_server_stop(&server);
}

TEST(http, connections_and_handles_are_reused) {
  enum { AT_ONCE = 16, ROUNDS = 20 };
  struct http_server server;
  struct client client;
  struct ending endings[AT_ONCE];
  struct hg_http_counts counts;
  http_server_start(&server);
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
  http_server_stop(&server);
}

// A kept connection that ends after the request arrived: libcurl alone would send it a second time.
TEST(http, request_is_never_sent_twice) {
  struct http_server server;
  struct client client;
  struct ending first, second, third;
  http_server_start(&server);
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
  http_server_stop(&server);
}

TEST(http, cut_from_this_side) {
  struct http_server server;
  struct client client;
  struct ending hanging, after;
  http_server_start(&server);
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
  http_server_stop(&server);
}

// The server sends back what it got.
static struct ending stream_call(struct http_server *server, const char *path, const char *body, bool streams,
                                 int64_t choices) {
  struct client client;
  struct ending ending;
  start_client(&client, 1, 60000);
  start_asked(&client, server->port, path, body, streams, choices, &ending);
  wait_for(&client, 1);
  hg_http_destroy(&client.http);
  return ending;
}

TEST(http, streams) {
#define CHUNK                                                                                                          \
  "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n"
#define ENDED                                                                                                          \
  "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}],\"usage\":"             \
  "{\"total_tokens\":1}}\n\n"
#define APART                                                                                                          \
  "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\n"                   \
  "data: {\"choices\":[],\"usage\":{\"total_tokens\":1}}\n\n"
#define ENDED_ANSWER                                                                                                   \
  "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}],\"usage\":{\"total_"        \
  "tokens\":1}}"
  static const struct {
    const char *path, *sent;
    enum hg_http_kind kind;
    const char *body, *detail;
    bool streamed;
  } rows[] = {
      {"/echo", CHUNK CHUNK "data: [DONE]\n\n", HG_HTTP_ANSWERED,
       "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"xx\"},\"finish_reason\":null}],"
       "\"usage\":null}",
       NULL, true},
      {"/echo", // the usage may be older than the end
       "data: {\"choices\":[{\"finish_reason\":null}],\"usage\":{\"total_tokens\":1}}\n\n"
       "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n",
       HG_HTTP_ANSWERED, "{\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}],\"usage\":null}", NULL, true},
      {"/echo", CHUNK, HG_HTTP_BROKEN, "", "the stream broke off", false},
      {"/echo", ENDED, HG_HTTP_ANSWERED, ENDED_ANSWER, NULL, true},
      {"/echo?pieces", ENDED, HG_HTTP_ANSWERED, ENDED_ANSWER, NULL, true},
      {"/echo?close", ENDED, HG_HTTP_BROKEN, "", "the stream broke off", false}, // perhaps it was cut off
      {"/echo?close", ENDED "data: [DONE]\n\n", HG_HTTP_ANSWERED, ENDED_ANSWER, NULL, true},
      {"/echo?close", APART, HG_HTTP_ANSWERED, ENDED_ANSWER, NULL, true},
      {"/echo?close&two", APART, HG_HTTP_BROKEN, "", "the stream broke off", false}, // one of two choices
      {"/echo?two", APART, HG_HTTP_ANSWERED, ENDED_ANSWER, NULL, true},              // all that the server makes
      {"/echo?two", ENDED, HG_HTTP_ANSWERED, ENDED_ANSWER, NULL, true},
      {"/echo?pieces&two", ENDED, HG_HTTP_ANSWERED, ENDED_ANSWER, NULL, true},
      {"/echo?pieces&two", CHUNK, HG_HTTP_BROKEN, "", "the stream broke off", false},
      {"/echo?close", "data: {\"tick\":1}\n\n", HG_HTTP_BROKEN, "", "the stream broke off", false},
      {"/echo", CHUNK "data: {\"id\"", HG_HTTP_BROKEN, "", "the stream broke off inside an event", false},
      {"/echo", "data: {\"error\":{\"message\":\"no\"}}\n\n", HG_HTTP_ANSWERED,
       "{\"object\":\"stream\",\"events\":[{\"error\":{\"message\":\"no\"}}],\"error\":{\"message\":\"no\"}}", NULL,
       true},
      {"/echo", "data: {\"tick\":1}\n\n", HG_HTTP_ANSWERED, "{\"object\":\"stream\",\"events\":[{\"tick\":1}]}", NULL,
       true},
      {"/echo", "[{\"candidates\":[{\"finishReason\":\"STOP\"}]}\n]", HG_HTTP_ANSWERED,
       "{\"object\":\"stream\",\"events\":[{\"candidates\":[{\"finishReason\":\"STOP\"}]}]}", NULL, true},
      {"/echo", "[{\"candidates\":[{\"finishReason\":\"STOP\"}]}\n]]", HG_HTTP_ANSWERED,
       "{\"object\":\"stream\",\"events\":[{\"candidates\":[{\"finishReason\":\"STOP\"}]}]}", NULL, true},
      {"/echo", "[{\"candidates\":[]} {\"candidates\":[]}]", HG_HTTP_BROKEN, "", "the array of the stream is not JSON",
       false},
      {"/echo", "[{\"error\":{\"message\":\"no\"}} {}]", HG_HTTP_ANSWERED,
       "{\"object\":\"stream\",\"events\":[{\"error\":{\"message\":\"no\"}}],\"error\":{\"message\":\"no\"}}", NULL,
       true},
      {"/echo?type=application/vnd.amazon.eventstream", "\001 is no frame", HG_HTTP_BROKEN, "", "a wrong checksum",
       false},
      {"/echo?type=application/vnd.amazon.eventstream", ENDED, HG_HTTP_ANSWERED, ENDED_ANSWER, NULL, true},
      {"/echo", "[{\"candidates\":[{\"finishReason\":\"STOP\"}]},\n", HG_HTTP_BROKEN, "", "the stream broke off",
       false},
      {"/echo", "{\"choices\":[]}", HG_HTTP_ANSWERED, "{\"choices\":[]}", NULL, false}, // plain JSON all the same
      {"/echo?pieces", "\r\n \t{\"choices\":[]}", HG_HTTP_ANSWERED, "\r\n \t{\"choices\":[]}", NULL, false},
      {"/echo?pieces", "\xef\xbb\xbf{\"choices\":[]}", HG_HTTP_ANSWERED, "{\"choices\":[]}", NULL, false},
      {"/echo?pieces", "\xef\xbb\xbf\r\n" ENDED, HG_HTTP_ANSWERED, ENDED_ANSWER, NULL, true},
      {"/echo?type=application/json", ENDED, HG_HTTP_ANSWERED, ENDED_ANSWER, NULL, true},
      {"/echo?pieces&type=application/x-ndjson", ENDED, HG_HTTP_ANSWERED, ENDED_ANSWER, NULL, true},
      {"/echo?pieces", " \n", HG_HTTP_ANSWERED, " \n", NULL, false}, // nothing at all
      {"/echo", "<html>", HG_HTTP_ANSWERED, "<html>", NULL, false},
      {"/busy", "data: {}", HG_HTTP_ANSWERED, "{}", NULL, false},
      {"/cut", "", HG_HTTP_BROKEN, "", "transfer closed", false},
      {"/flood", "", HG_HTTP_TOO_LARGE, "", "", false},
  };
  struct http_server server;
  http_server_start(&server);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct ending ending = stream_call(&server, rows[i].path, rows[i].sent, true, strstr(rows[i].path, "two") ? 2 : 1);
    fprintf(stderr, "row %zu: %s %s\n", i, ending.end.detail, ending.body);
    CHECK_EQ(ending.end.kind, rows[i].kind);
    CHECK_STR(ending.body, rows[i].body);
    CHECK_EQ(ending.end.streamed != NULL, rows[i].streamed);
    CHECK(!rows[i].detail || strstr(ending.end.detail, rows[i].detail));
    free(ending.body);
  }
  http_server_stop(&server);
}

static void pass_ms(int64_t ms) {
  for (const int64_t from_us = hg_clock_now().monotonic_us; hg_clock_now().monotonic_us < from_us + ms * 1000;)
    usleep(1000);
}

// The clock moves on before the headers come, and behind the first byte before the rest is sent. The long body is one
// that libcurl sends apart from its head.
TEST(http, how_long_ago_the_headers_came) {
  enum { MOVES_MS = 20 };
  static char long_body[120000];
  memset(long_body, '\n', sizeof long_body - 1);
  memcpy(long_body + sizeof long_body - sizeof ENDED, ENDED, sizeof ENDED);
  static const struct {
    const char *sent;
    bool streamed;
  } rows[] = {{ENDED "data: [DONE]\n\n", true}, {"\n" ENDED, true}, {"{\"choices\":[]}", false}, {long_body, true}};
  struct http_server server;
  http_server_start(&server);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct client client;
    struct ending ending;
    start_client(&client, 1, 60000);
    const char *path = "/echo?held&thinks";
    struct hg_http_call *call = start_asked(&client, server.port, path, rows[i].sent, true, 1, &ending);
    for (int turns = 0; turns < MOVES_MS; turns++) { // in which the request is sent
      CHECK_EQ(hg_http_run(client.http), HG_OK);
      pass_ms(1);
    }
    const int64_t before_us = hg_clock_now().monotonic_us;
    sem_post(&server.go_on);
    while (call->body_len == 0 && !call->stream)
      run_once(&client);
    pass_ms(MOVES_MS);
    sem_post(&server.go_on);
    wait_for(&client, 1);
    const int64_t since_ms = (hg_clock_now().monotonic_us - before_us) / 1000, ago_ms = ending.end.headers_ms_ago;
    CHECK_EQ(ending.end.streamed != NULL, rows[i].streamed);
    CHECK(ago_ms >= MOVES_MS && ago_ms <= since_ms);
    free(ending.body);
    hg_http_destroy(&client.http);
  }
  struct ending cut = stream_call(&server, "/echo?close", CHUNK, true, 1); // says nothing of its headers
  CHECK_EQ(cut.end.kind, HG_HTTP_BROKEN);
  CHECK_EQ(cut.end.headers_ms_ago, 0);
  free(cut.body);
  http_server_stop(&server);
}

// What nobody asked for is a stream where its type says so.
TEST(http, streams_that_nobody_asked_for) {
  static const struct {
    const char *type, *sent, *body;
    bool streamed;
  } rows[] = {
      {"text/event-stream", ENDED, ENDED_ANSWER, true},
      {"text/event-stream", "\n" ENDED, ENDED_ANSWER, true},
      {"text/event-stream", "{\"choices\":\n[]}", "{\"choices\":\n[]}", false},
      {"text/event-stream", "[\n1]", "[\n1]", false},
      {"application/x-ndjson", "{\"done\":false}\n{\"done\":true}\n",
       "{\"object\":\"stream\",\"events\":[{\"done\":false},{\"done\":true}]}", true},
      {"application/x-ndjson", "<html>", "<html>", false},
      {"application/json", "{\"done\":false}\n{\"done\":true}\n", "{\"done\":false}\n{\"done\":true}\n", false},
      {"text/plain", ENDED, ENDED, false},
  };
  struct http_server server;
  http_server_start(&server);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char path[64];
    snprintf(path, sizeof path, "/echo?%s&type=%s", i % 2 ? "pieces" : "length", rows[i].type);
    struct ending ending = stream_call(&server, path, rows[i].sent, false, 1);
    fprintf(stderr, "row %zu: %s %s\n", i, ending.end.detail, ending.body);
    CHECK_EQ(ending.end.kind, HG_HTTP_ANSWERED);
    CHECK_STR(ending.body, rows[i].body);
    CHECK_EQ(ending.end.streamed != NULL, rows[i].streamed);
    free(ending.body);
  }
  http_server_stop(&server);
}

// The events are longer together than any answer may be; what is made of them is not.
TEST(http, a_stream_may_be_longer_than_its_answer) {
  struct http_server server;
  http_server_start(&server);
  for (int asked = 0; asked < 2; asked++) {
    struct ending ending = stream_call(&server, "/events", "{}", asked, 1);
    CHECK_EQ(ending.end.kind, HG_HTTP_ANSWERED);
    CHECK(ending.end.body_len > 0 && ending.end.body_len < HG_BODY_MAX / 16);
    free(ending.body);
  }
  http_server_stop(&server);
}

TEST(http, bodies_and_headers_arrive_as_given) {
  struct http_server server;
  struct client client;
  struct ending small, large, headers;
  http_server_start(&server);
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
  char url[128];
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
  http_server_stop(&server);
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

TEST(http, hosts_without_a_proxy_are_joined) {
  static const struct {
    const char *environment, *list;
  } lists[] = {{NULL, "localhost,127.0.0.1,::1"},
               {"", "localhost,127.0.0.1,::1"},
               {" ", "localhost,127.0.0.1,::1"},
               {"a.example, .b.example", "localhost,127.0.0.1,::1,a.example, .b.example"},
               {"*", "*"},
               {" * ", "*"},
               {"*,a", "localhost,127.0.0.1,::1,*,a"}};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    char *list = hg_http_no_proxy(lists[i].environment);
    CHECK_STR(list, lists[i].list);
    free(list);
  }
}
