// A redis-server of our own on a socket in `folder`, pipelined over one connection or asked over many.
#include "bench/redis.h"

#include "bench/bench.h"
#include "bench/process.h"
#include "bench/runtime.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define START_TRIES 500
#define START_PAUSE_NS 10000000
#define ANSWER_MAX 4096
#define ADD "*3\r\n$6\r\nINCRBY\r\n$4\r\nused\r\n$3\r\n%ld\r\n"
#define ADD_SIZE (sizeof ADD - 1) // three digits: as long as what stands for them
#define ADDS_A_WRITE 1024

struct redis {
  pid_t pid;
  struct sockaddr_un address;
};

bool hg_bench_find_redis(void) {
  char said[200] = "";
  FILE *probe = popen("redis-server --version 2>/dev/null", "r");
  const bool told = probe && fgets(said, sizeof said, probe);
  const bool found = probe && pclose(probe) == 0 && told;
  said[strcspn(said, "\n")] = '\0';
  hg_bench_note("peer: %s", found ? said : "no Redis, there is no redis-server here");
  return found;
}

// ---------------------------------------------------------------------------------------------- server

// A connected socket; -1: nobody listens yet.
static int try_to_connect(const struct redis *redis) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) hg_bench_die("no socket: %s", strerror(errno));
  if (connect(fd, (const struct sockaddr *)&redis->address, sizeof redis->address) == 0) return fd;
  close(fd);
  return -1;
}

static int connect_to(const struct redis *redis) {
  const int fd = try_to_connect(redis);
  if (fd < 0) hg_bench_die("no connection to redis-server: %s", strerror(errno));
  return fd;
}

static void write_all(int fd, const char *text, size_t size) {
  while (size > 0) {
    const ssize_t written = write(fd, text, size);
    if (written < 0 && errno != EINTR) hg_bench_die("redis-server hears nothing: %s", strerror(errno));
    if (written > 0) text += written, size -= (size_t)written;
  }
}

// Asks, and returns the answer up to `lines` lines of it.
static void ask(int fd, const char *request, int lines, char answer[ANSWER_MAX]) {
  size_t used = 0;
  write_all(fd, request, strlen(request));
  for (int seen = 0; seen < lines;) {
    const ssize_t got = read(fd, answer + used, ANSWER_MAX - 1 - used);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) hg_bench_die("redis-server does not answer %s", request);
    for (ssize_t i = 0; i < got; i++)
      seen += answer[used + (size_t)i] == '\n';
    used += (size_t)got;
  }
  answer[used] = '\0';
}

// A counter that is not on disk when it answers is another promise, and no peer.
static void check_promise(int fd) {
  char answer[ANSWER_MAX];
  ask(fd, "CONFIG GET appendonly\r\n", 5, answer);
  if (!strstr(answer, "\r\nyes\r\n")) hg_bench_die("redis-server has no append-only file");
  ask(fd, "CONFIG GET appendfsync\r\n", 5, answer);
  if (!strstr(answer, "\r\nalways\r\n")) hg_bench_die("redis-server does not sync always");
}

static void start(struct redis *redis, const char *folder) {
  char dir[HG_BENCH_FOLDER_MAX], socket_path[PATH_MAX], out[PATH_MAX];
  snprintf(dir, sizeof dir, "%s", folder);
  snprintf(socket_path, sizeof socket_path, "%s/redis.sock", folder);
  snprintf(out, sizeof out, "%s/redis.out", folder);
  *redis = (struct redis){.address = {.sun_family = AF_UNIX}};
  if (strlen(socket_path) >= sizeof redis->address.sun_path) hg_bench_die("TMPDIR is too long for a socket");
  memcpy(redis->address.sun_path, socket_path, strlen(socket_path));
  // No rewriting of the file meanwhile, nor snapshots: it would only be slower.
  char *const argv[] = {(char[]){"redis-server"},
                        (char[]){"--port"},
                        (char[]){"0"},
                        (char[]){"--unixsocket"},
                        socket_path,
                        (char[]){"--dir"},
                        dir,
                        (char[]){"--appendonly"},
                        (char[]){"yes"},
                        (char[]){"--appendfsync"},
                        (char[]){"always"},
                        (char[]){"--save"},
                        (char[]){""},
                        (char[]){"--auto-aof-rewrite-percentage"},
                        (char[]){"0"},
                        NULL};
  redis->pid = hg_bench_start_server(argv, out);
  int fd = -1;
  for (int i = 0; fd < 0 && i < START_TRIES; i++) {
    const struct timespec pause = {0, START_PAUSE_NS};
    nanosleep(&pause, NULL);
    fd = try_to_connect(redis);
  }
  if (fd < 0) hg_bench_die("redis-server did not start");
  check_promise(fd);
  close(fd);
}

// It must have counted what was sent, and be able to say so.
static void stop(struct redis *redis, long long tokens) {
  char answer[ANSWER_MAX];
  const int fd = connect_to(redis);
  ask(fd, "GET used\r\n", 2, answer);
  const char *figure = strchr(answer, '\n');
  const long long counted = answer[0] == '$' && figure ? strtoll(figure + 1, NULL, 10) : -1;
  if (counted != tokens) hg_bench_die("Redis counted %lld tokens, not %lld", counted, tokens);
  ask(fd, "INFO persistence\r\n", 20, answer);
  if (!strstr(answer, "aof_enabled:1\r\n") || !strstr(answer, "aof_last_write_status:ok\r\n"))
    hg_bench_die("Redis did not write its append-only file");
  close(fd);
  const int code = hg_bench_stop_server(redis->pid);
  if (code != 0) hg_bench_die("redis-server ended with exit %d", code);
}

// ---------------------------------------------------------------------------------------------- one connection

// Answers are ":123\r\n": reads what is there, returns how many ended.
static long take_answers(int fd, bool *inside) {
  static char answers[64 * 1024];
  const ssize_t got = recv(fd, answers, sizeof answers, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (got <= 0) hg_bench_die("redis-server does not answer: %s", got < 0 ? strerror(errno) : "it is gone");
  long ended = 0;
  for (ssize_t i = 0; i < got; i++) {
    if (!*inside && answers[i] != ':') hg_bench_die("Redis refused: %.*s", (int)(got - i), answers + i);
    *inside = answers[i] != '\n';
    ended += !*inside;
  }
  return ended;
}

struct requests {
  char text[ADD_SIZE * ADDS_A_WRITE + 1];
  size_t at, end;
  long made; // of all
  long long tokens;
};

static void make_more(struct requests *requests, long records) {
  requests->at = requests->end = 0;
  for (int i = 0; i < ADDS_A_WRITE && requests->made < records; i++) {
    const long tokens = hg_bench_tokens(requests->made++);
    requests->end += (size_t)snprintf(requests->text + requests->end, ADD_SIZE + 1, ADD, tokens);
    requests->tokens += tokens;
  }
}

static void send_some(int fd, struct requests *requests, long records) {
  if (requests->at == requests->end) make_more(requests, records);
  const ssize_t sent = send(fd, requests->text + requests->at, requests->end - requests->at, MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) hg_bench_die("redis-server hears nothing: %s", strerror(errno));
  if (sent > 0) requests->at += (size_t)sent;
}

double hg_bench_redis_rate(const char *folder, long records) {
  struct redis redis;
  struct requests *requests = hg_bench_claim(sizeof *requests);
  bool inside = false;
  start(&redis, folder);
  const int fd = connect_to(&redis);
  const double began = hg_bench_now_s();
  for (long answered = 0; answered < records;) {
    const bool more = requests->at < requests->end || requests->made < records;
    struct pollfd wait = {fd, (short)(more ? POLLIN | POLLOUT : POLLIN), 0};
    if (poll(&wait, 1, -1) < 0 && errno != EINTR) hg_bench_die("cannot wait: %s", strerror(errno));
    if (wait.revents & POLLOUT) send_some(fd, requests, records);
    if (wait.revents & ~POLLOUT) answered += take_answers(fd, &inside);
  }
  const double seconds = hg_bench_now_s() - began;
  close(fd);
  stop(&redis, requests->tokens);
  free(requests);
  return (double)records / seconds;
}

// ---------------------------------------------------------------------------------------------- many connections

struct asker {
  int fd;
  bool inside;
  double asked_at;
};

struct asking {
  struct redis redis;
  struct asker *askers;
  int epoll;
  long records, unanswered;
  long long tokens;
  struct hg_latencies took;
};

static void ask_once(struct asking *asking, struct asker *asker) {
  char request[ADD_SIZE + 24]; // a number of any length, as the compiler sees it
  const long tokens = hg_bench_tokens(asking->records++);
  asking->tokens += tokens;
  snprintf(request, sizeof request, ADD, tokens);
  asker->asked_at = hg_bench_now_s();
  write_all(asker->fd, request, ADD_SIZE);
  asking->unanswered++;
}

static void connect_askers(struct asking *asking, long callers) {
  asking->askers = hg_bench_claim((size_t)callers * sizeof *asking->askers);
  asking->epoll = epoll_create1(EPOLL_CLOEXEC);
  for (long i = 0; i < callers; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &asking->askers[i]};
    asking->askers[i].fd = connect_to(&asking->redis);
    if (epoll_ctl(asking->epoll, EPOLL_CTL_ADD, asking->askers[i].fd, &event) != 0)
      hg_bench_die("cannot wait: %s", strerror(errno));
  }
}

// Takes the answers that have come; each asker asks again until `end`.
static void turn(struct asking *asking, double end) {
  struct epoll_event events[512];
  const int ready = epoll_wait(asking->epoll, events, 512, -1);
  if (ready < 0 && errno != EINTR) hg_bench_die("cannot wait: %s", strerror(errno));
  for (int i = 0; i < ready; i++) {
    struct asker *asker = events[i].data.ptr;
    if (take_answers(asker->fd, &asker->inside) == 0) continue;
    const double now = hg_bench_now_s();
    hg_latencies_add(&asking->took, now - asker->asked_at);
    asking->unanswered--;
    if (now < end) ask_once(asking, asker);
  }
}

struct hg_speed hg_bench_redis_callers(const char *folder, long callers, long ms) {
  struct asking asking = {0};
  start(&asking.redis, folder);
  connect_askers(&asking, callers);
  const double began = hg_bench_now_s();
  for (long i = 0; i < callers; i++)
    ask_once(&asking, &asking.askers[i]);
  while (asking.unanswered > 0)
    turn(&asking, began + (double)ms / 1000);
  const double seconds = hg_bench_now_s() - began;
  for (long i = 0; i < callers; i++)
    close(asking.askers[i].fd);
  close(asking.epoll);
  free(asking.askers);
  stop(&asking.redis, asking.tokens);
  return hg_latencies_end(&asking.took, seconds);
}
