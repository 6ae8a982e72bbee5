// The limit of a run: the same requests over libcurl's multi interface and epoll, with nothing around them. No budget,
// no ledger, no results; of an answer it looks at the status only.
#include "bench/bench.h"
#include "bench/requests.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#define EVENTS_MAX 256

struct call {
  CURL *easy;
  char body[HG_BENCH_BODY_MAX];
};

struct loop {
  CURLM *multi;
  int epoll_fd;
  double deadline_s; // when libcurl wants to be called; negative: not
  long lines, next, done;
};

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known) {
  (void)easy;
  struct loop *loop = context;
  if (what == CURL_POLL_REMOVE) {
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    return 0;
  }
  struct epoll_event event = {.data.fd = fd};
  if (what & CURL_POLL_IN) event.events |= EPOLLIN;
  if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
  if (!known) curl_multi_assign(loop->multi, fd, loop);
  return epoll_ctl(loop->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
}

static int on_timer(CURLM *multi, long timeout_ms, void *context) {
  (void)multi;
  struct loop *loop = context;
  loop->deadline_s = timeout_ms < 0 ? -1 : hg_bench_now_s() + (double)timeout_ms / 1000;
  return 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *context) {
  (void)data, (void)context;
  return size * count;
}

static void start_next(struct loop *loop, struct call *call) {
  if (loop->next == loop->lines) return;
  const size_t len = hg_bench_body(call->body, loop->next++);
  curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE, (long)len);
  if (curl_multi_add_handle(loop->multi, call->easy) != CURLM_OK) hg_bench_die("libcurl takes no more calls");
}

static void take_ends(struct loop *loop) {
  int left;
  for (const CURLMsg *message; (message = curl_multi_info_read(loop->multi, &left)) != NULL;) {
    struct call *call;
    long status = 0;
    CURL *easy = message->easy_handle;
    const CURLcode code = message->data.result;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&call);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK || status != 200)
      hg_bench_die("a call failed: %s, HTTP %ld", curl_easy_strerror(code), status);
    curl_multi_remove_handle(loop->multi, easy);
    loop->done++;
    start_next(loop, call);
  }
}

static int wait_ms(const struct loop *loop) {
  if (loop->deadline_s < 0) return -1;
  const double left = loop->deadline_s - hg_bench_now_s();
  return left <= 0 ? 0 : (int)(left * 1000) + 1;
}

static void turn(struct loop *loop) {
  struct epoll_event events[EVENTS_MAX];
  int running;
  const int count = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, wait_ms(loop));
  if (count < 0 && errno != EINTR) hg_bench_die("epoll_wait: %s", strerror(errno));
  for (int i = 0; i < count; i++) {
    const int what = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                     (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                     (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    curl_multi_socket_action(loop->multi, events[i].data.fd, what, &running);
  }
  if (loop->deadline_s >= 0 && loop->deadline_s <= hg_bench_now_s()) {
    loop->deadline_s = -1;
    curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  }
  take_ends(loop);
}

static void prepare(struct call *call, const char *url, struct curl_slist *headers) {
  call->easy = curl_easy_init();
  if (!call->easy) hg_bench_die("not enough memory");
  curl_easy_setopt(call->easy, CURLOPT_URL, url);
  curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
  curl_easy_setopt(call->easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, call->body);
}

// Thousands of connections need as many descriptors.
static void raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

static void make_calls(const char *base, long lines, long at_once) {
  struct loop loop = {.multi = curl_multi_init(), .epoll_fd = epoll_create1(EPOLL_CLOEXEC), .deadline_s = -1};
  struct call *calls = hg_bench_claim((size_t)at_once * sizeof *calls);
  char url[200];
  snprintf(url, sizeof url, "%s" HG_BENCH_CALL_URL, base);
  struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
  if (!loop.multi || loop.epoll_fd < 0 || !headers) hg_bench_die("libcurl can't be started");
  loop.lines = lines;
  curl_multi_setopt(loop.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(loop.multi, CURLMOPT_SOCKETDATA, &loop);
  curl_multi_setopt(loop.multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(loop.multi, CURLMOPT_TIMERDATA, &loop);
  curl_multi_setopt(loop.multi, CURLMOPT_MAXCONNECTS, at_once + 16);
  for (long i = 0; i < at_once; i++) {
    prepare(&calls[i], url, headers);
    start_next(&loop, &calls[i]);
  }
  while (loop.done < lines)
    turn(&loop);
  for (long i = 0; i < at_once; i++)
    curl_easy_cleanup(calls[i].easy);
  curl_multi_cleanup(loop.multi);
  curl_slist_free_all(headers);
  free(calls);
}

int hg_bench_bare_loop(int argc, char **argv) {
  if (argc != 4) {
    fputs(
        "usage: headgate-bench bare-loop URL CALLS AT_ONCE\nMakes the calls of the bench \"run\" with libcurl alone.\n",
        stderr);
    return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
  }
  raise_descriptor_limit();
  curl_global_init(CURL_GLOBAL_DEFAULT);
  make_calls(argv[1], hg_bench_whole("CALLS", argv[2], 1, 1000000000), hg_bench_whole("AT_ONCE", argv[3], 1, 100000));
  curl_global_cleanup();
  return 0;
}
