// Drives libcurl's multi handle with one epoll descriptor, so that a thousand calls cost no more a turn than what
// happened in it.
#include "runner/http_private.h"
#include "base/fail.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 256 // sockets handled between two looks at libcurl's timer
#define ROUNDS_MAX 4

struct header_list {
  char *const *source;
  struct curl_slist *list;
};
#define HEADER_LISTS_MAX 4 // a run has one a family of providers; more are refused as HG_ERR_NO_MEMORY

struct hg_http {
  struct hg_http_options options;
  CURLM *multi;
  int epoll_fd;
  int64_t deadline_ms; // when libcurl wants to be called; -1: not
  struct hg_http_call *idle, *running;
  struct header_list headers[HEADER_LISTS_MAX];
  struct hg_http_counts counts;
  bool global; // curl_global_init was done
};

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// ---------------------------------------------------------------------------------------------- libcurl's wishes

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known) {
  (void)easy;
  struct hg_http *http = context;
  if (what == CURL_POLL_REMOVE) {
    (void)epoll_ctl(http->epoll_fd, EPOLL_CTL_DEL, fd, NULL); // a closed descriptor has left the set by itself
    return 0;
  }
  struct epoll_event event = {.data.fd = fd};
  if (what & CURL_POLL_IN) event.events |= EPOLLIN;
  if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
  const int operation = known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  int result = epoll_ctl(http->epoll_fd, operation, fd, &event);
  // A descriptor's number that came back as another socket.
  if (result != 0 && (errno == EEXIST || errno == ENOENT))
    result = epoll_ctl(http->epoll_fd, errno == EEXIST ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
  if (!known) curl_multi_assign(http->multi, fd, http);
  return result;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context) {
  (void)multi;
  struct hg_http *http = context;
  http->deadline_ms = timeout_ms < 0 ? -1 : timeout_ms == 0 ? 0 : now_ms() + timeout_ms;
  return 0;
}

// ---------------------------------------------------------------------------------------------- life

static bool set_multi(struct hg_http *http) {
  CURLM *multi = http->multi;
  const long calls = (long)http->options.calls_max;
  return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
         curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, http) == CURLM_OK &&
         curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
         curl_multi_setopt(multi, CURLMOPT_TIMERDATA, http) == CURLM_OK &&
         curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX) == CURLM_OK &&
         curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, calls + 16) == CURLM_OK &&
         curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)http->options.sockets_max) == CURLM_OK;
}

hg_err hg_http_new(const struct hg_http_options *options, struct hg_http **out, hg_error *why) {
  assert(options->calls_max > 0 && options->timeout_ms > 0 && options->on_end);
  struct hg_http *http = calloc(1, sizeof *http);
  if (!http) return hg_fail(why, HG_ERR_NO_MEMORY, "no memory for HTTP calls");
  *http = (struct hg_http){.options = *options, .deadline_ms = -1};
  http->global = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  http->multi = http->global ? curl_multi_init() : NULL;
  http->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (http->multi && http->epoll_fd >= 0 && set_multi(http)) {
    *out = http;
    return HG_OK;
  }
  hg_http_destroy(&http);
  return hg_fail(why, HG_ERR_SYSTEM, "libcurl can't be started: no memory, or too few descriptors");
}

static void destroy_list(struct hg_http *http, struct hg_http_call *first, bool in_multi) {
  while (first) {
    struct hg_http_call *next = first->next;
    if (in_multi) curl_multi_remove_handle(http->multi, first->easy);
    hg_http_call_destroy(first);
    first = next;
  }
}

void hg_http_destroy(struct hg_http **http) {
  struct hg_http *old = *http;
  if (!old) return;
  destroy_list(old, old->running, true);
  destroy_list(old, old->idle, false);
  if (old->multi) curl_multi_cleanup(old->multi); // closes the kept connections
  for (size_t i = 0; i < HEADER_LISTS_MAX; i++)
    curl_slist_free_all(old->headers[i].list);
  if (old->epoll_fd >= 0) close(old->epoll_fd);
  if (old->global) curl_global_cleanup();
  free(old);
  *http = NULL;
}

// ---------------------------------------------------------------------------------------------- calls

static bool append(struct curl_slist **list, const char *line) {
  struct curl_slist *longer = curl_slist_append(*list, line);
  if (longer) *list = longer;
  return longer != NULL;
}

static bool is_named(const char *line, const char *name) {
  const size_t len = strlen(name);
  return strncasecmp(line, name, len) == 0 && (line[len] == ':' || line[len] == ';');
}

// "Name:" with nothing behind it means to libcurl that the header is not to be sent; "Name;" sends it empty.
static bool append_header(struct curl_slist **list, const char *line) {
  size_t len = strlen(line);
  while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
    len--;
  if (len == 0 || line[len - 1] != ':') return append(list, line);
  char *empty = strndup(line, len);
  if (empty) empty[len - 1] = ';';
  const bool appended = empty && append(list, empty);
  free(empty);
  return appended;
}

static struct curl_slist *build_headers(char *const *source) {
  struct curl_slist *list = NULL;
  // No "Expect: 100-continue": it would cost a round trip for each longer body.
  bool good = append(&list, "Expect:"), has_type = false;
  for (char *const *line = source; good && line && *line; line++) {
    has_type = has_type || is_named(*line, "Content-Type");
    good = append_header(&list, *line);
  }
  if (good && !has_type) good = append(&list, "Content-Type: application/json");
  if (good) return list;
  curl_slist_free_all(list);
  return NULL;
}

static const struct curl_slist *headers_for(struct hg_http *http, char *const *source) {
  for (size_t i = 0; i < HEADER_LISTS_MAX; i++) {
    struct header_list *known = &http->headers[i];
    if (known->list && known->source == source) return known->list;
    if (known->list) continue;
    *known = (struct header_list){source, build_headers(source)};
    return known->list;
  }
  return NULL;
}

static void link_call(struct hg_http_call **list, struct hg_http_call *call) {
  call->previous = NULL;
  call->next = *list;
  if (*list) (*list)->previous = call;
  *list = call;
}

static void unlink_call(struct hg_http_call **list, struct hg_http_call *call) {
  if (call->next) call->next->previous = call->previous;
  if (call->previous) call->previous->next = call->next;
  else *list = call->next;
}

static void put_to_rest(struct hg_http *http, struct hg_http_call *call) {
  hg_http_call_rest(call);
  link_call(&http->idle, call);
}

hg_err hg_http_start(struct hg_http *http, const struct hg_http_request *request, struct hg_http_call **out,
                     hg_error *why) {
  const struct curl_slist *headers = headers_for(http, request->headers);
  struct hg_http_call *call = http->idle;
  if (call) unlink_call(&http->idle, call);
  else call = hg_http_call_new(&http->options);
  if (!headers || !call) {
    if (call) put_to_rest(http, call);
    return hg_fail(why, HG_ERR_NO_MEMORY, "no memory for a call");
  }
  hg_err err = hg_http_call_prepare(call, request, headers, why);
  if (!err && curl_multi_add_handle(http->multi, call->easy) != CURLM_OK)
    err = hg_fail(why, HG_ERR_NO_MEMORY, "libcurl takes no more calls");
  if (err) {
    put_to_rest(http, call);
    return err;
  }
  link_call(&http->running, call);
  http->counts.started++;
  http->counts.running++;
  *out = call;
  return HG_OK;
}

static void stop_running(struct hg_http *http, struct hg_http_call *call) {
  long connections = 0;
  curl_easy_getinfo(call->easy, CURLINFO_NUM_CONNECTS, &connections);
  http->counts.connections += (uint64_t)connections;
  http->counts.ended++;
  http->counts.running--;
  unlink_call(&http->running, call);
}

bool hg_http_cut(struct hg_http *http, struct hg_http_call **call) {
  struct hg_http_call *cut = *call;
  const bool left = hg_http_call_left(cut);
  curl_multi_remove_handle(http->multi, cut->easy);
  stop_running(http, cut);
  put_to_rest(http, cut);
  *call = NULL;
  return left;
}

// ---------------------------------------------------------------------------------------------- a turn

static void end_call(struct hg_http *http, const CURLMsg *message) {
  struct hg_http_call *call = NULL;
  curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
  const CURLcode code = message->data.result;
  struct hg_http_end end;
  hg_http_call_end(call, code, &end);
  curl_multi_remove_handle(http->multi, call->easy); // and with it the message
  stop_running(http, call);
  http->options.on_end(http->options.context, call->tag, &end);
  put_to_rest(http, call);
}

static hg_err take_sockets(struct hg_http *http, bool *more) {
  struct epoll_event events[EVENTS_MAX];
  const int count = epoll_wait(http->epoll_fd, events, EVENTS_MAX, 0);
  *more = count == EVENTS_MAX;
  int running;
  for (int i = 0; i < count; i++) {
    int what = 0;
    if (events[i].events & EPOLLIN) what |= CURL_CSELECT_IN;
    if (events[i].events & EPOLLOUT) what |= CURL_CSELECT_OUT;
    if (events[i].events & (EPOLLERR | EPOLLHUP)) what |= CURL_CSELECT_ERR;
    if (curl_multi_socket_action(http->multi, events[i].data.fd, what, &running) != CURLM_OK) return HG_ERR_SYSTEM;
  }
  return HG_OK;
}

static hg_err take_timer(struct hg_http *http) {
  int running;
  if (http->deadline_ms < 0 || (http->deadline_ms > 0 && http->deadline_ms > now_ms())) return HG_OK;
  http->deadline_ms = -1;
  return curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running) == CURLM_OK ? HG_OK : HG_ERR_SYSTEM;
}

hg_err hg_http_run(struct hg_http *http) {
  bool more = true;
  for (int round = 0; round < ROUNDS_MAX && more; round++) {
    hg_err err = take_sockets(http, &more);
    if (!err) err = take_timer(http);
    if (err) return err;
    int left;
    for (const CURLMsg *message; (message = curl_multi_info_read(http->multi, &left)) != NULL;)
      if (message->msg == CURLMSG_DONE) end_call(http, message);
  }
  return HG_OK;
}

int hg_http_fd(const struct hg_http *http) {
  return http->epoll_fd;
}

int hg_http_wait_ms(const struct hg_http *http) {
  if (http->deadline_ms <= 0) return (int)http->deadline_ms;
  const int64_t left = http->deadline_ms - now_ms();
  return left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

void hg_http_count(const struct hg_http *http, struct hg_http_counts *out) {
  *out = http->counts;
}
