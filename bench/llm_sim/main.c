/* main.c: starts llm-sim, runs its one loop until a signal ends it, and says what it counted. */
#include "options.h"
#include "server.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

/* Signals come as reads of a descriptor, in their turn in the loop. */
static int open_signals(void) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGUSR1);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Thousands of connections need as many descriptors. */
static void raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/* Answers false when it is time to end. */
static bool handle_signals(int signals, struct server *server) {
  struct signalfd_siginfo info;
  while (read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
    if (info.ssi_signo != SIGUSR1) return false;
    server_flush_log(server);
  }
  return true;
}

static void run(struct server *server, int signals) {
  struct pollfd watched[] = {{.fd = server_fd(server), .events = POLLIN}, {.fd = signals, .events = POLLIN}};
  do {
    poll(watched, 2, server_wait_ms(server));
    server_run(server);
  } while (!watched[1].revents || handle_signals(signals, server));
}

static void print_stats(const struct stats *stats) {
  struct text line = {0};
  stats_write(stats, &line);
  fprintf(stderr, "%.*s\n", (int)line.length, line.data ? line.data : "");
  text_free(&line);
}

int main(int argc, char **argv) {
  struct options options;
  switch (options_parse(&options, argc, argv)) {
  case OPTIONS_HELP: return EXIT_SUCCESS;
  case OPTIONS_BAD: return EXIT_USAGE;
  case OPTIONS_RUN: break;
  }
  raise_descriptor_limit();
  const int signals = open_signals();
  if (signals < 0) {
    perror("llm-sim: signalfd");
    return EXIT_FAILURE;
  }
  struct server *server = server_start(&options);
  if (!server) return EXIT_FAILURE;
  printf("listening on http://127.0.0.1:%u\n", (unsigned)server_port(server));
  fflush(stdout);
  run(server, signals);
  server_stop(server);
  print_stats(server_stats(server));
  close(signals);
  if (server_destroy(&server)) return EXIT_SUCCESS;
  fprintf(stderr, "llm-sim: the log is not complete\n");
  return EXIT_FAILURE;
}
