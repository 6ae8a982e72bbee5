// What hostile subscribers cost those who work: the processor time that tracker and persister take for a record while
// one subscriber is stuck and one floods the event bus with subscriptions, beside none of them; and durable records a
// second while the flooder is there, beside the same flooder aimed at a bare libzmq XPUB in the same process. And
// durable records a second while a client of the control socket asks for replays, snapshots and audits without end and
// reads none of it, beside none.
//
// The flooder speaks ZMTP on a socket of its own, so that no library of its side slows it down or holds it back. It has
// 300,000 topics and begins anew behind them; when it is cut it comes back at once.
#include "bench/bench.h"
#include "bench/runtime.h"
#include "bench/workplace.h"

#include "schemas/limits.h"
#include "base/thread.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#define ANSWER_MS 60000
#define FRAMES 512 // in one write of the flooder
#define TOPIC_BYTES 30
#define FLOOD_TOPICS 300000L
#define TIME_MOST 1.05 // of what --check lets pass, beside the limits
#define RATE_LEAST 0.95
#define PATH_ROOM (HG_BENCH_FOLDER_MAX + 32)

// ---------------------------------------------------------------------------------------------- the flooder

struct flooder {
  char path[PATH_ROOM];
  bool asks; // floods the control socket
  pthread_t thread;
  _Atomic bool stop;
  long connections, sent; // read when it has ended
};

static bool write_all(int fd, const uint8_t *data, size_t size) {
  while (size) {
    const ssize_t written = send(fd, data, size, MSG_NOSIGNAL);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    data += written;
    size -= (size_t)written;
  }
  return true;
}

static int connect_to(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const struct timeval patience = {0, 100000};
  const size_t size = strlen(path);
  if (size >= sizeof address.sun_path) return -1;
  memcpy(address.sun_path, path, size);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); // to see that it is to stop
  if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

static bool shake_hands(int fd, bool asks) {
  uint8_t greeting[64] = {0xff, [9] = 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
  static const uint8_t sub[] = "\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB";
  static const uint8_t dealer[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06"
                                  "DEALER";
  return write_all(fd, greeting, sizeof greeting) &&
         write_all(fd, asks ? dealer : sub, (asks ? sizeof dealer : sizeof sub) - 1);
}

// Commands that take others' time: maps of v, type and request.
static bool ask(int fd) {
  static const uint8_t commands[] = "\0\x19\x83\xa1v\x01\xa4type\xa6REPLAY\xa7request\x01"
                                    "\0\x1b\x83\xa1v\x01\xa4type\xa8SNAPSHOT\xa7request\x01"
                                    "\0\x18\x83\xa1v\x01\xa4type\xa5"
                                    "AUDIT\xa7request\x01";
  return write_all(fd, commands, sizeof commands - 1);
}

// A frame of one subscription: flags, length, 1, topic.
static void fill(uint8_t frames[FRAMES][TOPIC_BYTES + 3], long from) {
  for (long i = 0; i < FRAMES; i++) {
    char topic[TOPIC_BYTES + 1];
    snprintf(topic, sizeof topic, "topic-%024ld", (from + i) % FLOOD_TOPICS);
    frames[i][0] = 0;
    frames[i][1] = TOPIC_BYTES + 1;
    frames[i][2] = 1;
    memcpy(frames[i] + 3, topic, TOPIC_BYTES);
  }
}

static void *flood(void *argument) {
  struct flooder *flooder = argument;
  uint8_t frames[FRAMES][TOPIC_BYTES + 3];
  while (!flooder->stop) {
    const int fd = connect_to(flooder->path);
    if (fd < 0) continue;
    flooder->connections++;
    bool open = shake_hands(fd, flooder->asks);
    while (open && !flooder->stop) {
      if (flooder->asks) {
        open = ask(fd);
        flooder->sent += FRAMES;
        continue;
      }
      fill(frames, flooder->sent);
      open = write_all(fd, frames[0], sizeof frames);
      if (open) flooder->sent += FRAMES;
    }
    close(fd);
  }
  return NULL;
}

static void start_flooder(struct flooder *flooder, const char *path, bool asks) {
  *flooder = (struct flooder){.asks = asks};
  snprintf(flooder->path, sizeof flooder->path, "%s", path);
  hg_bench_must(hg_thread_start(&flooder->thread, flood, flooder), "no thread");
}

static void end_flooder(struct flooder *flooder) {
  flooder->stop = true;
  pthread_join(flooder->thread, NULL);
}

// ---------------------------------------------------------------------------------------------- a bare publisher

struct bare {
  void *context, *socket;
  pthread_t thread;
};

static void *drain(void *argument) {
  struct bare *bare = argument;
  uint8_t subscription[64];
  while (zmq_recv(bare->socket, subscription, sizeof subscription, 0) >= 0 || errno == EINTR) {}
  zmq_close(bare->socket);
  return NULL;
}

static void start_bare(struct bare *bare, const char *path) {
  char endpoint[PATH_ROOM + 8];
  const int none = 0;
  snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
  bare->context = zmq_ctx_new();
  bare->socket = bare->context ? zmq_socket(bare->context, ZMQ_XPUB) : NULL;
  if (bare->socket) zmq_setsockopt(bare->socket, ZMQ_LINGER, &none, sizeof none);
  if (!bare->socket || zmq_bind(bare->socket, endpoint) != 0) hg_bench_die("no bare publisher: %s", strerror(errno));
  hg_bench_must(hg_thread_start(&bare->thread, drain, bare), "no thread");
}

static void end_bare(struct bare *bare) {
  zmq_ctx_shutdown(bare->context);
  pthread_join(bare->thread, NULL);
  zmq_ctx_term(bare->context);
}

// ---------------------------------------------------------------------------------------------- the stuck one

struct stuck {
  void *context, *socket;
};

static void start_stuck(struct stuck *stuck, const char *path) {
  char endpoint[PATH_ROOM + 8], heard[256];
  const int one = 1, patience = ANSWER_MS;
  snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
  stuck->context = zmq_ctx_new();
  stuck->socket = stuck->context ? zmq_socket(stuck->context, ZMQ_SUB) : NULL;
  if (!stuck->socket || zmq_setsockopt(stuck->socket, ZMQ_RCVHWM, &one, sizeof one) != 0 ||
      zmq_setsockopt(stuck->socket, ZMQ_RCVTIMEO, &patience, sizeof patience) != 0 ||
      zmq_setsockopt(stuck->socket, ZMQ_SUBSCRIBE, "", 0) != 0 || zmq_connect(stuck->socket, endpoint) != 0 ||
      zmq_recv(stuck->socket, heard, sizeof heard, 0) < 0) // one, so that it is known to be live
    hg_bench_die("no subscriber: %s", zmq_strerror(errno));
}

static void end_stuck(struct stuck *stuck) {
  const int none = 0;
  zmq_setsockopt(stuck->socket, ZMQ_LINGER, &none, sizeof none);
  zmq_close(stuck->socket);
  zmq_ctx_term(stuck->context);
}

// ---------------------------------------------------------------------------------------------- a run

// Processor time that the threads of this name have had, nanoseconds.
static double thread_ns(const char *wanted) {
  double sum = 0;
  DIR *tasks = opendir("/proc/self/task");
  struct dirent *task;
  while (tasks && (task = readdir(tasks))) {
    char path[320], name[32] = "";
    double ns = 0;
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
    FILE *file = fopen(path, "re");
    if (!file || fscanf(file, "%31s", name) != 1) name[0] = '\0';
    if (file) fclose(file);
    if (strcmp(name, wanted) != 0) continue;
    snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", task->d_name);
    file = fopen(path, "re");
    if (file && fscanf(file, "%lf", &ns) == 1) sum += ns;
    if (file) fclose(file);
  }
  if (tasks) closedir(tasks);
  return sum;
}

static double working_ns(void) {
  return thread_ns("hg-tracker") + thread_ns("hg-persister");
}

struct figures {
  double rate, ns; // records a second; of tracker and persister for one
};
enum company { NOBODY, STUCK_AND_FLOOD, FLOOD, FLOOD_ON_BARE, FLOOD_OF_COMMANDS };

static long floods, connections, topics; // of all flooders that met the event bus, for the note

static struct figures run_in(enum company company, long records) {
  char folder[HG_BENCH_FOLDER_MAX], config[1024], path[PATH_ROOM], other[PATH_ROOM], control[PATH_ROOM];
  struct flooder flooder;
  struct bare bare;
  struct stuck stuck;
  hg_bench_make_place(folder);
  snprintf(path, sizeof path, "%s/events.ipc", folder);
  snprintf(other, sizeof other, "%s/bare.ipc", folder);
  snprintf(control, sizeof control, "%s/headgate.db.d/control.ipc", folder);
  snprintf(config, sizeof config,
           "{\"tokenBudget\":{\"hardLimitTokens\":9007199254740991},\"eventBus\":{\"bind\":[\"ipc://%s\"]},"
           "\"ledger\":{\"path\":\"%s/headgate.db\"}}",
           path, folder);
  hg_runtime *runtime = hg_bench_open_config(config);
  hg_client *client = hg_bench_new_client(runtime);
  if (company == STUCK_AND_FLOOD) start_stuck(&stuck, path);
  if (company == FLOOD_ON_BARE) start_bare(&bare, other);
  const bool asks = company == FLOOD_OF_COMMANDS;
  if (company != NOBODY) start_flooder(&flooder, company == FLOOD_ON_BARE ? other : asks ? control : path, asks);
  const double began = hg_bench_now_s(), began_ns = working_ns();
  const long long tokens = hg_bench_record_all(client, records);
  const struct figures figures = {(double)records / (hg_bench_now_s() - began),
                                  (working_ns() - began_ns) / (double)records};
  if (company != NOBODY) end_flooder(&flooder);
  if (company != NOBODY && flooder.sent < FRAMES) hg_bench_die("the flooder did not flood");
  if (company == FLOOD_ON_BARE) end_bare(&bare);
  else if (company != NOBODY && !asks) floods++, connections += flooder.connections, topics += flooder.sent;
  if (company == STUCK_AND_FLOOD) end_stuck(&stuck);
  hg_client_destroy(&client);
  hg_bench_close_runtime(&runtime, folder, "USAGE_RECORDED", records, tokens);
  hg_bench_remove_folder(folder);
  return figures;
}

static int help(FILE *to, int code) {
  fputs(
      "usage: headgate-bench hostile [--records N] [--check] [--rounds N] [--json]\n"
      "Processor time of tracker and persister for a record, with a stuck subscriber and one that floods "
      "subscriptions;\n"
      "the limit is without them. Then durable records a second with the flooder; the limit is the same flooder aimed "
      "at a\n"
      "bare libzmq XPUB beside Headgate. Then the rate with a client that floods commands; the limit is without.\n"
      "  --records N       of a run (200,000)\n"
      "  --check           exit 1 when subscribers cost more than 5 % of the time or of the rate\n",
      to);
  return code;
}

int hg_bench_hostile(int argc, char **argv) {
  static const struct option options[] = {
      {"records", required_argument, NULL, 'n'}, {"check", no_argument, NULL, 'c'}, HG_BENCH_OPTIONS};
  struct hg_bench_flags flags = {.rounds = 5};
  bool check = false;
  long records = 200000;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'n') records = hg_bench_whole("--records", optarg, 1, 100000000);
    else if (option == 'c') check = true;
    else if (!hg_bench_take(option, &flags)) return option == 'h' ? help(stdout, 0) : help(stderr, 2);
  }
  hg_bench_open_workplace();
  struct hg_bench_row *time = hg_bench_claim(sizeof *time), *rate = hg_bench_claim(sizeof *rate);
  struct hg_bench_row *commands = hg_bench_claim(sizeof *commands);
  snprintf(time->bench, sizeof time->bench, "hostile time");
  snprintf(rate->bench, sizeof rate->bench, "hostile rate");
  time->unit = "ns/record";
  snprintf(commands->bench, sizeof commands->bench, "hostile commands");
  rate->unit = commands->unit = "records/s";
  (void)run_in(NOBODY, records); // the disk and the heap are warm from here on
  for (int round = 0; round < flags.rounds; round++) {
    const struct figures quiet = run_in(NOBODY, records);
    hg_series_add(&time->limit, quiet.ns);
    hg_series_add(&commands->limit, quiet.rate);
    hg_series_add(&time->value, run_in(STUCK_AND_FLOOD, records).ns);
    hg_series_add(&rate->limit, run_in(FLOOD_ON_BARE, records).rate);
    hg_series_add(&rate->value, run_in(FLOOD, records).rate);
    hg_series_add(&commands->value, run_in(FLOOD_OF_COMMANDS, records).rate);
  }
  hg_bench_note("hostile: in each run a flooder connected %ld times and sent %ld topics", connections / floods,
                topics / floods);
  hg_bench_print(&flags, time);
  hg_bench_print(&flags, rate);
  hg_bench_print(&flags, commands);
  const bool good = hg_series_median(&time->value) <= TIME_MOST * hg_series_median(&time->limit) &&
                    hg_series_median(&rate->value) >= RATE_LEAST * hg_series_median(&rate->limit);
  free(time);
  free(rate);
  free(commands);
  return check && !good;
}
