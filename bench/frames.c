// What the path of a record costs without a disk: client -> tracker -> persister, whose store does nothing -> tracker
// -> client, all in flight. The limit is the same exchange over bare libzmq between two threads: as many frames of the
// same size from a DEALER to a ROUTER, which takes them in bursts of the same bound and answers each burst with one
// frame.
//
// Neither the scheduler nor the event bus runs: they are no part of this path, and have benches of their own.
#include "bench/bench.h"
#include "bench/runtime.h"
#include "bench/workplace.h"

#include "actors/life.h"
#include "actors/persister.h"
#include "actors/tracker.h"
#include "actors/wiring.h"
#include "bus/frames.h"
#include "client/client.h"
#include "base/thread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define ANSWER_MS 60000
#define STOP_WITHIN_US 5000000

// ---------------------------------------------------------------------------------------------- a store of nothing

static hg_err write_nothing(void *self, const struct hg_bytes *payloads, size_t count, hg_error *why) {
  (void)self, (void)payloads, (void)count, (void)why;
  return HG_OK;
}

static hg_err recover_nothing(void *self, uint64_t *stored_seq, hg_error *why) {
  (void)self, (void)stored_seq, (void)why;
  return HG_ERR_STORE; // nothing fails, so nobody asks
}

static hg_err checkpoint_nothing(void *self, bool idle, hg_error *why) {
  (void)self, (void)idle, (void)why;
  return HG_OK;
}

static hg_err find_no_usage(void *self, struct hg_text usage_id, uint64_t *seq, uint64_t *content, hg_error *why) {
  (void)self, (void)usage_id, (void)content, (void)why;
  *seq = 0;
  return HG_OK;
}

static hg_err find_no_permit(void *self, uint64_t permit, struct hg_ended_permit *out, hg_error *why) {
  (void)self, (void)permit, (void)why;
  *out = (struct hg_ended_permit){0};
  return HG_OK;
}

static const struct hg_store nothing = {.write = write_nothing,
                                        .recover = recover_nothing,
                                        .checkpoint = checkpoint_nothing,
                                        .find_usage = find_no_usage,
                                        .find_permit = find_no_permit};

// ---------------------------------------------------------------------------------------------- Headgate

struct pair {
  struct hg_core *core;
  struct hg_shell tracker, persister;
};

static void open_core(struct pair *pair, const char *folder) {
  struct hg_config *config;
  struct hg_places places;
  char path[512];
  hg_error why = HG_ERROR_INIT;
  snprintf(path, sizeof path, "%s/none.db", folder);
  if (hg_config_minimal(HG_TOKENS_MAX, path, &config, &why) != HG_OK ||
      hg_places_of(path, NULL, &places, &why) != HG_OK)
    hg_bench_die("%s", why.text);
  hg_bench_must(hg_core_new(config, &places, "00000000-0000-4000-8000-000000000000", 1, &pair->core), "no core");
}

static void build_actors(struct pair *pair) {
  struct hg_ledger_budget root = {
      .name = "default", .hard_limit = HG_TOKENS_MAX, .configured_limit = HG_TOKENS_MAX, .is_new = true};
  const struct hg_ledger_state state = {.opening = 1, .budgets = &root, .budget_count = 1};
  hg_bench_must(hg_tracker_new(pair->core->config, &state, &pair->tracker.actor), "no tracker");
  hg_bench_must(hg_persister_new(nothing, 0, &pair->persister.actor), "no persister");
}

static void open_end(struct pair *pair, struct hg_link *link, enum hg_link_type type, struct hg_link_limits limits,
                     enum hg_side side, const char *address) {
  hg_bench_must(hg_link_open(pair->core->context, type, limits, link), address);
  hg_bench_must(side == HG_BIND ? hg_link_bind(link, address) : hg_link_connect(link, address), address);
}

// As bus/endpoints.h has them; a port that has no socket drops what is sent.
static void wire(struct pair *pair) {
  const struct hg_link_limits actor = HG_ACTOR_SIDE, peer = HG_PEER_SIDE;
  struct hg_link *tracker = pair->tracker.links, *persister = pair->persister.links;
  open_end(pair, &tracker[HG_PORT_CLIENTS], HG_ROUTER, actor, HG_BIND, "inproc://tracker");
  open_end(pair, &persister[HG_PORT_FACTS], HG_DEALER, peer, HG_BIND, "inproc://facts");
  open_end(pair, &tracker[HG_PORT_FACTS], HG_DEALER, peer, HG_CONNECT, "inproc://facts");
  open_end(pair, &pair->tracker.life, HG_PAIR, peer, HG_BIND, "inproc://life/tracker");
  open_end(pair, &tracker[HG_PORT_LIFE], HG_PAIR, peer, HG_CONNECT, "inproc://life/tracker");
  open_end(pair, &pair->persister.life, HG_PAIR, peer, HG_BIND, "inproc://life/persister");
  open_end(pair, &persister[HG_PORT_LIFE], HG_PAIR, peer, HG_CONNECT, "inproc://life/persister");
}

static void end_actor(struct hg_shell *shell) {
  hg_bench_must(hg_life_stop(shell, false, STOP_WITHIN_US), "an actor does not end");
  hg_shell_join(shell);
  hg_bench_must(shell->died_with, "an actor died");
  hg_unwire(shell);
  shell->actor.destroy(shell->actor.self);
}

static double exchange(hg_client *client, long records) {
  hg_usage usage = HG_USAGE_INIT;
  const double start = hg_bench_now_s();
  const long long tokens = hg_bench_record_all(client, records);
  const double seconds = hg_bench_now_s() - start;
  hg_bench_must(hg_get_usage(client, NULL, &usage, ANSWER_MS), "no figures");
  if (usage.used != tokens) hg_bench_die("the tracker counted %lld tokens, not %lld", (long long)usage.used, tokens);
  return (double)records / seconds;
}

static double headgate_rate(const char *folder, long records) {
  struct pair *pair = hg_bench_claim(sizeof *pair);
  hg_client *client;
  open_core(pair, folder);
  build_actors(pair);
  wire(pair);
  pair->tracker.core = pair->persister.core = pair->core;
  hg_bench_must(hg_shell_start(&pair->tracker), "no thread");
  hg_bench_must(hg_shell_start(&pair->persister), "no thread");
  hg_bench_must(hg_client_open(pair->core, &client), "no client");
  const double rate = exchange(client, records);
  hg_client_destroy(&client);
  end_actor(&pair->tracker);
  end_actor(&pair->persister);
  hg_core_close(pair->core);
  hg_core_end_farewells(pair->core);
  hg_core_release(pair->core);
  free(pair);
  return rate;
}

// ---------------------------------------------------------------------------------------------- bare libzmq

struct bare {
  void *context;
  struct hg_link server, client; // opened with the marks of the real ones, then used as libzmq has them
  long records;
};

static size_t encode_record(long i, uint8_t frame[HG_EVENT_FRAME_MAX]) {
  struct hg_message message;
  char task[HG_BENCH_TASK_ID_SIZE + 1];
  hg_bench_name_task(task, i);
  hg_message_init(&message, HG_RECORD_USAGE);
  message.as.record_usage.number = (uint64_t)i + 1;
  message.as.record_usage.tokens = hg_bench_tokens(i);
  message.as.record_usage.task_id = hg_text_of(task);
  return hg_frame_encode(&message, frame, HG_EVENT_FRAME_MAX);
}

static size_t encode_answer(long number, uint8_t frame[HG_EVENT_FRAME_MAX]) {
  struct hg_message message;
  hg_message_init(&message, HG_RECORDED);
  message.as.recorded.number = (uint64_t)number;
  return hg_frame_encode(&message, frame, HG_EVENT_FRAME_MAX);
}

static void wait_for(void *socket, short what) {
  zmq_pollitem_t item = {socket, 0, what, 0};
  const int ready = zmq_poll(&item, 1, ANSWER_MS);
  if (ready == 0) hg_bench_die("no answer");
  if (ready < 0 && errno != EINTR) hg_bench_die("cannot wait: %s", zmq_strerror(errno));
}

struct asker {
  uint8_t id[8];
  size_t size;
};

// One message of a burst. False: none is there.
static bool take(void *socket, struct asker *asker, zmq_msg_t *frame) {
  const int size = zmq_recv(socket, asker->id, sizeof asker->id, ZMQ_DONTWAIT);
  if (size < 0) return false;
  asker->size = (size_t)size;
  if (zmq_msg_recv(frame, socket, ZMQ_DONTWAIT) < 0) hg_bench_die("half a message: %s", zmq_strerror(errno));
  return true;
}

static void *serve(void *argument) {
  struct bare *bare = argument;
  void *socket = bare->server.socket;
  uint8_t answer[HG_EVENT_FRAME_MAX];
  struct asker asker = {0};
  zmq_msg_t frame;
  zmq_msg_init(&frame);
  for (long taken = 0; taken < bare->records;) {
    long burst = 0;
    wait_for(socket, ZMQ_POLLIN);
    while (burst < HG_BURST && take(socket, &asker, &frame))
      burst++;
    if (burst == 0) continue;
    taken += burst;
    const size_t size = encode_answer(taken, answer);
    if (zmq_send(socket, asker.id, asker.size, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_send(socket, answer, size, ZMQ_DONTWAIT) < 0)
      hg_bench_die("no answer can be sent: %s", zmq_strerror(errno));
  }
  zmq_msg_close(&frame);
  return NULL;
}

// The newest number that is answered, with what has come until now.
static long take_answers(void *socket, long answered) {
  uint8_t frame[HG_EVENT_FRAME_MAX];
  struct hg_message message;
  for (int size; (size = zmq_recv(socket, frame, sizeof frame, ZMQ_DONTWAIT)) >= 0;) {
    if (hg_frame_decode(frame, (size_t)size, &message) != HG_OK || message.kind != HG_RECORDED)
      hg_bench_die("another answer");
    answered = (long)message.as.recorded.number;
  }
  return answered;
}

static void exchange_bare(struct bare *bare) {
  void *socket = bare->client.socket;
  uint8_t frame[HG_EVENT_FRAME_MAX];
  const size_t size = encode_record(bare->records - 1, frame); // nearly all have its size
  long answered = 0;
  for (long i = 0; i < bare->records; i++) {
    while (zmq_send(socket, frame, size, ZMQ_DONTWAIT) < 0) {
      if (errno != EAGAIN) hg_bench_die("cannot send: %s", zmq_strerror(errno));
      wait_for(socket, ZMQ_POLLIN | ZMQ_POLLOUT);
      answered = take_answers(socket, answered);
    }
  }
  while (answered < bare->records) {
    wait_for(socket, ZMQ_POLLIN);
    answered = take_answers(socket, answered);
  }
}

static double bare_rate(const char *folder, long records) {
  const struct hg_link_limits actor_side = HG_ACTOR_SIDE, client_side = HG_CLIENT_SIDE;
  struct bare bare = {.records = records};
  pthread_t thread;
  (void)folder;
  hg_bench_must(hg_context_new(&bare.context), "no context");
  hg_bench_must(hg_link_open(bare.context, HG_ROUTER, actor_side, &bare.server), "no socket");
  hg_bench_must(hg_link_bind(&bare.server, "inproc://bare"), "not bound");
  hg_bench_must(hg_link_open(bare.context, HG_DEALER, client_side, &bare.client), "no socket");
  hg_bench_must(hg_link_connect(&bare.client, "inproc://bare"), "not connected");
  hg_bench_must(hg_thread_start(&thread, serve, &bare), "no thread");
  const double start = hg_bench_now_s();
  exchange_bare(&bare);
  const double seconds = hg_bench_now_s() - start;
  pthread_join(thread, NULL);
  hg_link_close(&bare.client);
  hg_link_close(&bare.server);
  hg_context_destroy(bare.context);
  return (double)records / seconds;
}

// ---------------------------------------------------------------------------------------------- rounds

static void measure(const struct hg_bench_flags *flags, long records) {
  struct hg_bench_row *row = hg_bench_claim(sizeof *row);
  snprintf(row->bench, sizeof row->bench, "frames");
  row->unit = "records/s";
  for (int round = 0; round < flags->rounds; round++) {
    char place[HG_BENCH_FOLDER_MAX];
    hg_bench_make_place(place);
    hg_series_add(&row->limit, bare_rate(place, records));
    hg_series_add(&row->value, headgate_rate(place, records));
    hg_bench_remove_folder(place);
  }
  hg_bench_print(flags, row);
  free(row);
}

static int help(FILE *to, int code) {
  fputs("usage: headgate-bench frames [--records N] [--rounds N] [--json]\n"
        "One client records N usages (default 1,000,000), all in flight, with a tracker and a persister whose store "
        "does\n"
        "nothing. The limit is the same exchange of the same frames over bare libzmq, DEALER to ROUTER, an answer a "
        "burst.\n",
        to);
  return code;
}

int hg_bench_frames(int argc, char **argv) {
  static const struct option options[] = {{"records", required_argument, NULL, 'n'}, HG_BENCH_OPTIONS};
  struct hg_bench_flags flags = {.rounds = 5};
  long records = 1000000;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'n') records = hg_bench_whole("--records", optarg, 1, 1000000000);
    else if (!hg_bench_take(option, &flags)) return option == 'h' ? help(stdout, 0) : help(stderr, 2);
  }
  hg_bench_open_workplace();
  measure(&flags, records);
  return 0;
}
