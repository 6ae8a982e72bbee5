// From a record to those who follow the events: a client records a burst, and each subscriber hears every event of it,
// from where eventBus.bind publishes. The limit is bare libzmq, an XPUB that publishes the same frames to as many
// subscribers over the same transport, with the same high-water marks.
//
// A burst is at most the high-water mark of one subscriber, so that however slow it is it can lose nothing. Subscribers
// are threads here, but each has a ZeroMQ context of its own, and so a thread for its input and a connection, as in a
// process of its own: nothing but the processors is shared with the publisher.
#include "bench/bench.h"
#include "bench/runtime.h"
#include "bench/workplace.h"

#include "bus/endpoints.h"
#include "bus/frames.h"
#include "base/thread.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#define ANSWER_MS 60000
#define SUBSCRIBERS_MAX 256
#define ENDPOINT_MAX (HG_BENCH_FOLDER_MAX + 32)

struct frame {
  size_t at, size, topic_at, topic_size; // the topic is inside the frame
};

// What a subscriber heard: a beat and a burst, for the bare publisher to say again.
struct recording {
  struct frame *frames;
  uint8_t *bytes;
  size_t count, room, used, bytes_room;
};

static void *grow(void *memory, size_t size) {
  void *grown = realloc(memory, size);
  if (!grown) hg_bench_die("not enough memory");
  return grown;
}

static void keep(struct recording *recording, const uint8_t *data, size_t size, struct hg_text topic) {
  if (recording->count == recording->room) {
    recording->room = recording->room ? 2 * recording->room : 1024;
    recording->frames = grow(recording->frames, recording->room * sizeof *recording->frames);
  }
  if (recording->used + size > recording->bytes_room) {
    recording->bytes_room = 2 * recording->bytes_room + HG_OUTSIDE_FRAME_MAX;
    recording->bytes = grow(recording->bytes, recording->bytes_room);
  }
  const size_t topic_at = recording->used + (size_t)((const uint8_t *)topic.data - data);
  recording->frames[recording->count++] = (struct frame){recording->used, size, topic_at, topic.size};
  memcpy(recording->bytes + recording->used, data, size);
  recording->used += size;
}

// ---------------------------------------------------------------------------------------------- subscribers

struct subscriber {
  const char *endpoint;
  long events;              // of the burst
  pthread_barrier_t *start; // with everybody who has heard a beat, and the publisher
  struct recording *recording;
  pthread_t thread;
  struct hg_link link;
  bool live;
  long heard;
  uint64_t seq; // of the newest event that was heard
  double ended;
};

static void take(struct subscriber *subscriber, const uint8_t *data, size_t size) {
  struct hg_event_envelope event;
  hg_bench_must(hg_outside_read_envelope(data, size, &event), "no event");
  const bool journalled = event.seq != 0, first = !subscriber->live;
  if (!journalled) subscriber->live |= hg_text_equal(event.type, hg_text_of("HEARTBEAT"));
  else if (subscriber->seq && event.seq != subscriber->seq + 1)
    hg_bench_die("a subscriber missed events: %llu came behind %llu", (unsigned long long)event.seq,
                 (unsigned long long)subscriber->seq);
  if (journalled) subscriber->seq = event.seq;
  subscriber->heard += hg_text_equal(event.type, hg_text_of("USAGE_RECORDED"));
  if (subscriber->recording && (journalled ? subscriber->live : first && subscriber->live))
    keep(subscriber->recording, data, size, event.type);
}

static void take_burst(struct subscriber *subscriber) {
  struct hg_received frame;
  hg_peer peer;
  uint32_t readable;
  hg_bench_must(hg_links_wait(&subscriber->link, 1, 1, ANSWER_MS * INT64_C(1000), &readable), "cannot wait");
  if (!readable) hg_bench_die("a subscriber heard %ld of %ld events", subscriber->heard, subscriber->events);
  while (hg_link_receive(&subscriber->link, &peer, &frame) == HG_OK) {
    size_t size;
    const uint8_t *data = hg_received_data(&frame, &size);
    take(subscriber, data, size);
    hg_received_close(&frame);
    if (subscriber->heard == subscriber->events) return; // beats go on
  }
}

static void *hear(void *argument) {
  struct subscriber *subscriber = argument;
  const struct hg_link_limits limits = {HG_EVENTS_HWM, HG_EVENTS_HWM, HG_OUTSIDE_FRAME_MAX};
  void *context;
  hg_bench_must(hg_context_new(&context), "no context");
  hg_bench_must(hg_link_open(context, HG_SUB, limits, &subscriber->link), "no socket");
  hg_bench_must(hg_link_subscribe(&subscriber->link, ""), "not subscribed");
  hg_bench_must(hg_link_connect(&subscriber->link, subscriber->endpoint), subscriber->endpoint);
  while (!subscriber->live)
    take_burst(subscriber);
  pthread_barrier_wait(subscriber->start);
  while (subscriber->heard < subscriber->events)
    take_burst(subscriber);
  subscriber->ended = hg_bench_now_s();
  hg_link_close(&subscriber->link);
  hg_context_destroy(context);
  return NULL;
}

struct audience {
  struct subscriber *subscribers;
  long count, events;
  pthread_barrier_t start;
};

// The first of them records what it hears, where that is asked for.
static void gather(struct audience *audience, const char *endpoint, long count, long events,
                   struct recording *recording) {
  *audience = (struct audience){hg_bench_claim((size_t)count * sizeof(struct subscriber)), count, events, {{0}}};
  pthread_barrier_init(&audience->start, NULL, (unsigned)count + 1);
  for (long i = 0; i < count; i++) {
    audience->subscribers[i] = (struct subscriber){
        .endpoint = endpoint, .events = events, .start = &audience->start, .recording = i == 0 ? recording : NULL};
    hg_bench_must(hg_thread_start(&audience->subscribers[i].thread, hear, &audience->subscribers[i]), "no thread");
  }
}

// All are live; the moment at which the burst begins.
static double begin(struct audience *audience) {
  pthread_barrier_wait(&audience->start);
  return hg_bench_now_s();
}

// Events a second that each heard, until the last one had heard the last.
static double dismiss(struct audience *audience, double began) {
  double ended = began;
  for (long i = 0; i < audience->count; i++) {
    pthread_join(audience->subscribers[i].thread, NULL);
    if (audience->subscribers[i].ended > ended) ended = audience->subscribers[i].ended;
  }
  pthread_barrier_destroy(&audience->start);
  free(audience->subscribers);
  return (double)audience->events / (ended - began);
}

// ---------------------------------------------------------------------------------------------- Headgate

static double headgate_rate(const char *folder, const char *endpoint, long subscribers, long events,
                            struct recording *recording) {
  char config[1024];
  struct audience audience;
  snprintf(
      config, sizeof config,
      "{\"tokenBudget\":{\"hardLimitTokens\":9007199254740991},\"eventBus\":{\"bind\":[\"%s\"],\"maxSubscribers\":%ld},"
      "\"ledger\":{\"path\":\"%s/headgate.db\"}}",
      endpoint, 2 * subscribers + 64, folder);
  hg_runtime *runtime = hg_bench_open_config(config);
  hg_client *client = hg_bench_new_client(runtime);
  gather(&audience, endpoint, subscribers, events, recording);
  const double began = begin(&audience);
  const long long tokens = hg_bench_record_all(client, events);
  const double rate = dismiss(&audience, began);
  hg_client_destroy(&client);
  hg_bench_close_runtime(&runtime, folder, "USAGE_RECORDED", events, tokens);
  return rate;
}

// ---------------------------------------------------------------------------------------------- bare libzmq

static void publish(void *socket, const struct recording *recording, size_t i) {
  const struct frame *frame = &recording->frames[i];
  const uint8_t *bytes = recording->bytes;
  if (zmq_send(socket, bytes + frame->topic_at, frame->topic_size, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
      zmq_send(socket, bytes + frame->at, frame->size, ZMQ_DONTWAIT) < 0)
    hg_bench_die("cannot publish: %s", zmq_strerror(zmq_errno()));
}

static double bare_rate(const struct recording *recording, const char *endpoint, long subscribers, long events) {
  const struct hg_link_limits limits = HG_OUTSIDE_EVENTS;
  struct hg_link publisher;
  struct audience audience;
  uint8_t subscription[8];
  const int verbose = 1;
  void *context;
  hg_bench_must(hg_context_new(&context), "no context");
  hg_bench_must(hg_link_open(context, HG_XPUB, limits, &publisher), "no socket");
  zmq_setsockopt(publisher.socket, ZMQ_XPUB_VERBOSE, &verbose, sizeof verbose);
  hg_bench_must(hg_link_bind(&publisher, endpoint), endpoint);
  gather(&audience, endpoint, subscribers, events, NULL);
  for (long i = 0; i < subscribers; i++)
    if (zmq_recv(publisher.socket, subscription, sizeof subscription, 0) < 0) hg_bench_die("nobody subscribes");
  publish(publisher.socket, recording, 0); // the beat
  const double began = begin(&audience);
  for (size_t i = 1; i < recording->count; i++)
    publish(publisher.socket, recording, i);
  const double rate = dismiss(&audience, began);
  hg_link_close(&publisher);
  hg_context_destroy(context);
  return rate;
}

// ---------------------------------------------------------------------------------------------- rounds

static unsigned free_port(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (const struct sockaddr *)&address, size) != 0 ||
      getsockname(fd, (struct sockaddr *)&address, &size) != 0)
    hg_bench_die("no free port");
  close(fd);
  return ntohs(address.sin_port);
}

static void name_endpoint(char endpoint[ENDPOINT_MAX], bool tcp, const char *folder) {
  if (tcp) snprintf(endpoint, ENDPOINT_MAX, "tcp://127.0.0.1:%u", free_port());
  else snprintf(endpoint, ENDPOINT_MAX, "ipc://%s/bus.ipc", folder);
}

static void make_place(char place[HG_BENCH_FOLDER_MAX], char endpoint[ENDPOINT_MAX], bool tcp) {
  hg_bench_make_place(place);
  name_endpoint(endpoint, tcp, place);
}

// Not timed: what the bare publisher is to say.
static void listen_once(struct recording *recording, long events) {
  char place[HG_BENCH_FOLDER_MAX], endpoint[ENDPOINT_MAX];
  make_place(place, endpoint, false);
  headgate_rate(place, endpoint, 1, events, recording);
  hg_bench_remove_folder(place);
}

static void measure(const struct hg_bench_flags *flags, const struct recording *recording, bool tcp, long subscribers,
                    long events) {
  struct hg_bench_row *row = hg_bench_claim(sizeof *row);
  char place[HG_BENCH_FOLDER_MAX], endpoint[ENDPOINT_MAX];
  snprintf(row->bench, sizeof row->bench, "events %ld %s", subscribers, tcp ? "tcp" : "ipc");
  row->unit = "events/s";
  for (int round = 0; round < flags->rounds; round++) {
    make_place(place, endpoint, tcp);
    hg_series_add(&row->limit, bare_rate(recording, endpoint, subscribers, events));
    hg_bench_remove_folder(place);
    make_place(place, endpoint, tcp);
    hg_series_add(&row->value, headgate_rate(place, endpoint, subscribers, events, NULL));
    hg_bench_remove_folder(place);
  }
  hg_bench_print(flags, row);
  free(row);
}

static void run(const struct hg_bench_flags *flags, const long *counts, size_t count, long events) {
  struct recording recording = {0};
  listen_once(&recording, events);
  for (int tcp = 0; tcp < 2; tcp++)
    for (size_t i = 0; i < count; i++)
      measure(flags, &recording, tcp, counts[i], events);
  free(recording.frames);
  free(recording.bytes);
}

static int help(FILE *to, int code) {
  fputs("usage: headgate-bench events [--subscribers N] [--events N] [--rounds N] [--json]\n"
        "A client records a burst; events a second that each of 1, 4 and 16 subscribers hears, from the first record "
        "to the\n"
        "last event that the last one hears, over ipc and over tcp. The limit is bare libzmq, an XPUB that publishes "
        "the same\n"
        "frames.\n"
        "  --subscribers N   in place of 1, 4 and 16\n"
        "  --events N        of a burst (20,000)\n",
        to);
  return code;
}

int hg_bench_events(int argc, char **argv) {
  static const struct option options[] = {
      {"subscribers", required_argument, NULL, 's'}, {"events", required_argument, NULL, 'n'}, HG_BENCH_OPTIONS};
  struct hg_bench_flags flags = {.rounds = 5};
  long counts[] = {1, 4, 16}, events = 20000;
  size_t count = sizeof counts / sizeof *counts;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 's') counts[0] = hg_bench_whole("--subscribers", optarg, 1, SUBSCRIBERS_MAX), count = 1;
    else if (option == 'n') events = hg_bench_whole("--events", optarg, 1, HG_SUBSCRIBER_HWM);
    else if (!hg_bench_take(option, &flags)) return option == 'h' ? help(stdout, 0) : help(stderr, 2);
  }
  hg_bench_open_workplace();
  run(&flags, counts, count, events);
  return 0;
}
