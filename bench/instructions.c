// Drives the hot paths of the pure cores a fixed number of times with fixed input, without threads, sockets or files,
// so that callgrind can count their instructions: scripts/instructions.
//   headgate-instructions         the names of the paths
//   headgate-instructions PATH    prints how many operations were counted
#include "bench/instructions_world.h"

#include "actors/core.h"
#include "bus/frames.h"
#include "providers/fault.h"
#include "usage/usage.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <valgrind/callgrind.h>

#define TURNS 64     // that are counted
#define WARM_TURNS 8 // before them: buffers have grown, functions are bound
#define ALL_TURNS (WARM_TURNS + TURNS)

// ---------------------------------------------------------------------------------------------------------- record

static const struct hg_message *record_command(uint64_t number) {
  static struct hg_message message;
  static char task[17];
  snprintf(task, sizeof task, "task-%011llu", (unsigned long long)number % 100000000000);
  hg_message_init(&message, HG_RECORD_USAGE);
  message.as.record_usage.number = number;
  message.as.record_usage.budget = BUDGET;
  message.as.record_usage.tokens = 100 + (int64_t)(number % 900);
  message.as.record_usage.task_id = hg_text_of(task);
  return &message;
}

static void prepare_record(struct world *world) {
  for (uint64_t number = 1; number <= ALL_TURNS * HG_BURST; number++) {
    const struct hg_message *command = record_command(number);
    world->used += command->as.record_usage.tokens;
    hg_outbox_put(&world->input, HG_PORT_CLIENTS, CLIENT, command);
  }
}

// A burst of records, and the commit of the one before; its answer is one cumulative RECORDED.
static void record(struct world *world) {
  world_pass_time(world);
  world_hand_input(world, &world->tracker, HG_BURST);
  world_hand_committed(world);
  world_flush(world, &world->tracker);
}

static void check_record(struct world *world) {
  world_check(world, ALL_TURNS);
}

// -------------------------------------------------------------------------------------------------- acquire, settle

static const struct hg_message *acquire_command(uint64_t id) {
  static struct hg_message message;
  static char task[32];
  snprintf(task, sizeof task, "run-1/request-%06llu", (unsigned long long)id % 1000000);
  hg_message_init(&message, HG_ACQUIRE);
  message.as.acquire.request = id;
  message.as.acquire.budget = BUDGET;
  message.as.acquire.min_tokens = message.as.acquire.max_tokens = 4600;
  message.as.acquire.task_id = hg_text_of(task);
  message.as.acquire.attempt = 1;
  return &message;
}

static const struct hg_message *settle_command(uint64_t id) {
  static struct hg_message message;
  hg_message_init(&message, HG_SETTLE);
  struct hg_settle_message *settle = &message.as.settle;
  settle->permit = id;
  settle->tokens = 300 + (int64_t)(id % 900);
  settle->model = hg_text_of("gpt-4o-mini-2024-07-18");
  settle->input_tokens = 200;
  settle->cached_tokens = 0;
  settle->output_tokens = settle->tokens - 200;
  settle->reasoning_tokens = 0;
  settle->response_id = hg_text_of("chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT");
  settle->attempt = 1;
  return &message;
}

static void prepare_task(struct world *world) {
  uint64_t id = (UINT64_C(1) << HG_IDS_AN_OPENING_BITS) + 1;
  for (int turn = 0; turn < ALL_TURNS; turn++, id += AT_ONCE) {
    for (uint64_t i = 0; i < AT_ONCE; i++)
      hg_outbox_put(&world->input, HG_PORT_CLIENTS, CLIENT, acquire_command(id + i));
    for (uint64_t i = 0; i < AT_ONCE; i++) {
      const struct hg_message *command = settle_command(id + i);
      world->used += command->as.settle.tokens;
      hg_outbox_put(&world->input, HG_PORT_CLIENTS, CLIENT, command);
    }
  }
}

// Scheduler, tracker, commit, and the same way back until all are answered.
static void ask(struct world *world, int commands) {
  const uint64_t answers = world->answers + (uint64_t)commands;
  world_hand_input(world, &world->scheduler, commands);
  for (int steps = 0; world->answers < answers; steps++) {
    assert(steps < 4);
    world_pass_time(world);
    world_flush(world, &world->scheduler);
    world_hand_committed(world);
    world_flush(world, &world->tracker);
  }
}

static void task(struct world *world) {
  ask(world, AT_ONCE); // ACQUIRE … GRANTED
  ask(world, AT_ONCE); // SETTLE … SETTLED
}

static void check_task(struct world *world) {
  world_check(world, 2 * ALL_TURNS * AT_ONCE);
}

// ---------------------------------------------------------------------------------------------------------- events

// A world in which a path was gone already, and the FACTS frames of it: the counted turns hand them to the bus.
static void prepare_events(struct world *world, void (*prepare)(struct world *), void (*turn)(struct world *)) {
  static const uint8_t everything[] = {1};
  struct hg_outbox facts = {0};
  world->facts = &facts;
  prepare(world);
  for (int i = 0; i < ALL_TURNS; i++)
    turn(world);
  world->facts = NULL;
  world->answers = 0;
  hg_outbox_destroy(&world->input);
  world->input = facts;
  world->input_at = 0;
  const struct hg_envelope in = {.port = HG_PORT_EVENTS, .frame = everything, .frame_size = sizeof everything};
  world->bus.actor.receive(world->bus.actor.self, world->now, &in, &world->bus.out);
}

static void prepare_event(struct world *world) {
  prepare_events(world, prepare_record, record);
}

static void prepare_task_events(struct world *world) {
  prepare_events(world, prepare_task, task);
}

static void event(struct world *world) {
  world_hand_input(world, &world->bus, 1);
  world_flush(world, &world->bus);
}

static void task_events(struct world *world) {
  world_hand_input(world, &world->bus, 2); // of the grants, of the settles
  world_flush(world, &world->bus);
}

#define BEFORE 2 // RUNTIME_STARTED, and a heartbeat at the first flush

static void check_event(struct world *world) {
  assert(world->answers == BEFORE + ALL_TURNS * HG_BURST);
}

static void check_task_events(struct world *world) {
  assert(world->answers == BEFORE + ALL_TURNS * AT_ONCE * 4);
}

// ---------------------------------------------------------------------------------------------------------- frames

#define FRAMES_A_TURN 8

// The frames that go round most, each encoded and read once.
static void prepare_frames(struct world *world) {
  const uint64_t id = (UINT64_C(1) << HG_IDS_AN_OPENING_BITS) + 1000;
  struct hg_message messages[FRAMES_A_TURN];
  messages[0] = *record_command(1000);
  messages[1] = *acquire_command(id);
  messages[2] = *settle_command(id);
  hg_message_init(&messages[3], HG_RESERVED);
  messages[3].as.reserved.permit = id;
  messages[3].as.reserved.tokens = 4600;
  messages[3].as.reserved.seq = 20000;
  hg_message_init(&messages[4], HG_GRANTED);
  messages[4].as.granted.request = id;
  messages[4].as.granted.tokens = 4600;
  hg_message_init(&messages[5], HG_PERMIT_CLOSED);
  messages[5].as.permit_closed.permit = id;
  messages[5].as.permit_closed.seq = 20001;
  hg_message_init(&messages[6], HG_SETTLED);
  messages[6].as.settled.permit = id;
  hg_message_init(&messages[7], HG_RECORDED);
  messages[7].as.recorded.number = 1000;
  for (int i = 0; i < FRAMES_A_TURN; i++)
    hg_outbox_put(&world->input, HG_PORT_CLIENTS, CLIENT, &messages[i]);
}

static void frames(struct world *world) {
  struct hg_outgoing next;
  struct hg_message message;
  for (size_t at = 0; hg_outbox_next(&world->input, &at, &next); world->answers++) {
    const hg_err err = hg_frame_decode(next.frame, next.frame_size, &message);
    assert(err == HG_OK);
    hg_outbox_put(&world->committed, next.port, next.peer, &message);
  }
}

static void check_frames(struct world *world) {
  assert(world->answers == ALL_TURNS * FRAMES_A_TURN);
  assert(world->committed.used == ALL_TURNS * world->input.used);
}

// ---------------------------------------------------------------------------------------------------------- answer

static const char completion[] =
    "{\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion\",\"created\":1741569952,"
    "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
    "\"The harbour wakes before the town does. Nets are shaken out, coffee goes round in tin cups,\\nand somebody "
    "counts the boats aloud: \\\"nine, ten, eleven\\\". The twelfth comes in late, as it does each morning, "
    "with gulls above it and a lamp that nobody has put out.\",\"refusal\":null,\"annotations\":[]},"
    "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":219,\"completion_tokens\":61,"
    "\"total_tokens\":280,\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
    "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"
    "\"rejected_prediction_tokens\":0}},\"service_tier\":\"default\",\"system_fingerprint\":\"fp_06737a9306\"}";

static void prepare_answer(struct world *world) {
  (void)world;
}

static void answer(struct world *world) {
  struct hg_answer read;
  struct hg_answer_fault fault;
  struct hg_usage_found found;
  hg_answer_read(completion, sizeof completion - 1, &read);
  const enum hg_answer_kind kind = hg_answer_kind_of(&read, NULL, HG_ENDPOINT_CHAT, &fault);
  const hg_err err = hg_usage_find(&read, &found);
  assert(kind == HG_ANSWER_RESULT && err == HG_OK);
  world->used += found.report.tokens;
}

static void check_answer(struct world *world) {
  assert(world->used == ALL_TURNS * 280);
}

// ------------------------------------------------------------------------------------------------------------ paths

static const struct path {
  const char *name;
  int operations; // a turn
  void (*prepare)(struct world *);
  void (*turn)(struct world *);
  void (*check)(struct world *);
} paths[] = {
    {"record", HG_BURST, prepare_record, record, check_record},
    {"acquire-settle", AT_ONCE, prepare_task, task, check_task},
    {"event", HG_BURST, prepare_event, event, check_event},
    {"task-events", AT_ONCE, prepare_task_events, task_events, check_task_events},
    {"frame", FRAMES_A_TURN, prepare_frames, frames, check_frames},
    {"answer", 1, prepare_answer, answer, check_answer},
};
#define PATHS (sizeof paths / sizeof *paths)

static void go(const struct path *path) {
  static struct world world;
  world_open(&world);
  path->prepare(&world);
  for (int turn = 0; turn < WARM_TURNS; turn++)
    path->turn(&world);
  CALLGRIND_TOGGLE_COLLECT;
  for (int turn = 0; turn < TURNS; turn++)
    path->turn(&world);
  CALLGRIND_TOGGLE_COLLECT;
  path->check(&world);
  world_close(&world);
  printf("%d\n", TURNS * path->operations);
}

int main(int argc, char **argv) {
  for (size_t i = 0; i < PATHS; i++) {
    if (argc == 1) puts(paths[i].name);
    if (argc != 2 || strcmp(argv[1], paths[i].name) != 0) continue;
    go(&paths[i]);
    return 0;
  }
  if (argc != 1) fprintf(stderr, "usage: headgate-instructions [PATH]\n");
  return argc == 1 ? 0 : 2;
}
