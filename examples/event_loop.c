/* One thread, one event loop, many calls at once: nothing here blocks but epoll_wait. Ctrl-C starts no more calls.
 *   cc event_loop.c $(pkg-config --cflags --libs headgate) -o event_loop && ./event_loop */
#include <headgate.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { CALLS = 8 };

struct call {
  int number;
  int fd;           /* of your connection to the provider; here a timer */
  hg_ticket ticket; /* of its acquire, until that is answered */
  hg_permit permit;
};

struct loop {
  hg_client *client;
  int epoll;
  int left; /* calls that have not ended */
  struct call calls[CALLS];
};

static void check(hg_err err, const char *what) {
  if (err == HG_OK) return;
  fprintf(stderr, "%s: %s\n", what, hg_err_text(err));
  exit(EXIT_FAILURE);
}

static void watch(const struct loop *loop, int fd, void *who) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = who};
  if (fd < 0 || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) != 0) check(HG_ERR_SYSTEM, "epoll");
}

static void ask(struct loop *loop, struct call *call) {
  hg_request want = HG_REQUEST_INIT;
  want.min_tokens = want.max_tokens = 100;
  check(hg_acquire_start(loop->client, &want, &call->ticket), "acquire");
}

/* Your work goes here: send the request, and watch its socket. */
static void begin(struct loop *loop, struct call *call) {
  const struct itimerspec soon = {.it_value.tv_nsec = 20000000};
  call->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  if (call->fd < 0 || timerfd_settime(call->fd, 0, &soon, NULL) != 0) check(HG_ERR_SYSTEM, "timer");
  watch(loop, call->fd, call);
  printf("call %d began\n", call->number);
}

/* The answer is there. */
static void end(struct loop *loop, struct call *call) {
  hg_ticket ticket;
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = 80;
  close(call->fd);
  check(hg_settle_start(loop->client, call->permit, &used, &ticket), "settle");
}

static void on_acquired(struct loop *loop, const hg_completion *done) {
  struct call *call = loop->calls;
  while (call->ticket.id != done->ticket.id)
    call++;
  call->ticket.id = 0;
  if (done->err == HG_OK) {
    call->permit = done->permit;
    begin(loop, call);
  } else {
    printf("call %d was not made: %s\n", call->number, hg_err_text(done->err));
    loop->left--;
  }
}

static void on_completions(struct loop *loop) {
  hg_completion done = HG_COMPLETION_INIT;
  hg_err err;
  while ((err = hg_client_next(loop->client, &done, 0)) == HG_OK) {
    if (done.kind == HG_COMPLETED_ACQUIRE) {
      on_acquired(loop, &done);
    } else {
      check(done.err, "settle"); /* HG_OK: on disk */
      loop->left--;
    }
  }
  if (err != HG_ERR_TIMEOUT) check(err, "completion");
}

/* What waits is taken back; what runs is paid for, so let it end. */
static void on_interrupt(struct loop *loop) {
  for (struct call *call = loop->calls; call < loop->calls + CALLS; call++)
    if (call->ticket.id) check(hg_cancel(loop->client, call->ticket), "cancel");
}

static void run(struct loop *loop, int interrupts) {
  watch(loop, hg_client_fd(loop->client), loop->client);
  watch(loop, interrupts, NULL);
  for (int i = 0; i < CALLS; i++) {
    loop->calls[i].number = i + 1;
    ask(loop, &loop->calls[i]);
  }
  while (loop->left > 0) {
    struct epoll_event event;
    if (epoll_wait(loop->epoll, &event, 1, -1) != 1) continue;
    struct signalfd_siginfo signal;
    if (event.data.ptr == loop->client) on_completions(loop);
    else if (event.data.ptr) end(loop, event.data.ptr);
    else if (read(interrupts, &signal, sizeof signal) > 0) on_interrupt(loop);
  }
}

int main(void) {
  const char config[] = "{\"tokenBudget\": {\"hardLimitTokens\": 10000}, \"scheduler\": {\"maxConcurrency\": 2},"
                        " \"ledger\": {\"path\": \"event_loop.db\"}}";
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  sigprocmask(SIG_BLOCK, &interrupt, NULL);

  hg_runtime *runtime;
  hg_error why = HG_ERROR_INIT;
  if (hg_open_json(config, strlen(config), NULL, &runtime, &why) != HG_OK) {
    fprintf(stderr, "%s\n", why.text);
    return EXIT_FAILURE;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  struct loop loop = {.epoll = epoll_create1(EPOLL_CLOEXEC), .left = CALLS};
  const int interrupts = signalfd(-1, &interrupt, SFD_CLOEXEC | SFD_NONBLOCK);
  check(hg_client_new(runtime, &loop.client), "client");
  run(&loop, interrupts);

  hg_client_destroy(&loop.client);
  check(hg_close(&runtime, 5000), "close");
  return EXIT_SUCCESS;
}
