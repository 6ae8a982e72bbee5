// Moves messages: each link keeps its order, and a link moves when the dice say so, a burst at a time; then, or later,
// its actor is flushed.
#include "bus/frames.h"
#include "simulation/simulation.h"

#define UTC_START INT64_C(1763894400000000)

static void set_time(struct hg_sim *sim) {
  const struct hg_now now = {sim->time, UTC_START + sim->time};
  sim->tracker.now = sim->scheduler.now = sim->persister.now = sim->bus.now = now;
}

static bool hears(const struct hg_test_actor *actor, enum hg_port port) {
  return !actor->finished && (!actor->actor.listens || actor->actor.listens(actor->actor.self) & 1U << port);
}

// ------------------------------------------------------------------------------------------------ turns

static void flush(struct hg_sim *sim, struct hg_test_actor *actor) {
  if (actor->finished) return;
  hg_test_flush(actor);
  if (actor == &sim->tracker) {
    hg_sim_check_facts(sim);
    hg_sim_check_decisions(sim);
  } else if (actor == &sim->bus) {
    hg_sim_check_published(sim);
  }
}

// A process that dies in a turn sends nothing of it.
void hg_sim_flush_persister(struct hg_sim *sim) {
  if (sim->persister.finished) return;
  hg_test_flush(&sim->persister);
  if (!hg_power()->is_off) hg_sim_check_commits(sim);
}

void hg_sim_flush_others(struct hg_sim *sim) {
  flush(sim, &sim->scheduler);
  flush(sim, &sim->tracker);
  flush(sim, &sim->bus);
}

// ------------------------------------------------------------------------------------------------ links

static bool pass(struct hg_sim *sim, struct hg_test_pipe *pipe, struct hg_test_actor *to, enum hg_port port) {
  if (pipe->count == 0 || !hears(to, port)) return false;
  hg_test_pass(to, port, hg_test_pipe_pop(pipe));
  if (to == &sim->tracker) hg_sim_check_decisions(sim);
  return true;
}

// Its place in line, and its deadline, count from when the scheduler hears of it.
static bool from_client_to_scheduler(struct hg_sim *sim, struct hg_sim_client *client) {
  struct hg_test_pipe *pipe = &client->to_scheduler;
  struct hg_message message;
  if (pipe->count == 0 || !hears(&sim->scheduler, HG_PORT_CLIENTS)) return false;
  const struct hg_test_frame *first = &pipe->frames[pipe->first];
  CHECK_EQ(hg_frame_decode(first->bytes, first->size, &message), HG_OK);
  if (message.kind == HG_ACQUIRE) hg_sim_note_arrival(sim, &message.as.acquire);
  return pass(sim, pipe, &sim->scheduler, HG_PORT_CLIENTS);
}

static bool from_tracker_to_persister(struct hg_sim *sim) {
  struct hg_test_pipe *pipe = &sim->tracker.sent[HG_PORT_FACTS];
  if (pipe->count == 0) return false;
  const struct hg_message first = hg_test_peek(&sim->tracker, HG_PORT_FACTS, 0);
  if (first.kind == HG_FACTS) sim->delivered = first.as.facts.last;
  hg_sim_check_facts(sim);
  sim->facts_seen--;
  return pass(sim, pipe, &sim->persister, HG_PORT_FACTS);
}

static bool from_persister_to_tracker(struct hg_sim *sim) {
  if (sim->persister.sent[HG_PORT_FACTS].count == 0 || sim->tracker.finished) return false;
  sim->commits_seen--;
  return pass(sim, &sim->persister.sent[HG_PORT_FACTS], &sim->tracker, HG_PORT_FACTS);
}

static bool from_tracker_to_scheduler(struct hg_sim *sim) {
  hg_sim_check_decisions(sim);
  if (!pass(sim, &sim->tracker.sent[HG_PORT_DECISIONS], &sim->scheduler, HG_PORT_DECISIONS)) return false;
  sim->decisions_seen--;
  return true;
}

// A grant that finds nobody comes back; the word that its client is gone is on its way behind what it sent before.
static void bounce(struct hg_sim *sim, struct hg_test_actor *actor, hg_peer peer, const struct hg_message *message) {
  if (message->kind == HG_GRANTED && !sim->closing) hg_test_send(actor, HG_PORT_CLIENTS, peer, message);
}

static bool to_client(struct hg_sim *sim, struct hg_test_actor *from) {
  struct hg_message message;
  hg_peer peer = 0;
  hg_sim_note_refusals(sim);
  if (!hg_test_take(from, HG_PORT_CLIENTS, &peer, &message)) return false;
  if (from == &sim->scheduler) sim->answers_seen--;
  if (hg_sim_client_of(sim, peer)) hg_sim_check_answer(sim, peer, &message);
  else bounce(sim, from, peer, &message);
  return true;
}

static struct hg_sim_client *any_client(struct hg_sim *sim) {
  return &sim->clients[hg_sim_roll(sim, HG_SIM_CLIENTS)];
}

static bool move_one(struct hg_sim *sim, uint64_t link) {
  switch (link) {
  case 0: return from_client_to_scheduler(sim, any_client(sim));
  case 1: return pass(sim, &any_client(sim)->to_tracker, &sim->tracker, HG_PORT_CLIENTS);
  case 2:
  case 3: return pass(sim, &sim->scheduler.sent[HG_PORT_DECISIONS], &sim->tracker, HG_PORT_DECISIONS);
  case 4: return from_tracker_to_scheduler(sim);
  case 5: return from_tracker_to_persister(sim);
  case 6: return from_persister_to_tracker(sim);
  case 7: return pass(sim, &sim->persister.sent[HG_PORT_COMMITTED], &sim->bus, HG_PORT_COMMITTED);
  case 8: return to_client(sim, &sim->tracker);
  default: return to_client(sim, &sim->scheduler);
  }
}
#define LINKS 10

static void move_burst(struct hg_sim *sim, uint64_t link) {
  uint64_t count = 1 + hg_sim_roll(sim, 6);
  while (count-- && move_one(sim, link)) {}
  struct hg_test_actor *const at_the_end[LINKS] = {&sim->scheduler, &sim->tracker, &sim->tracker, &sim->tracker,
                                                   &sim->scheduler, NULL,          &sim->tracker, &sim->bus};
  if (at_the_end[link] && hg_sim_roll(sim, 3)) flush(sim, at_the_end[link]);
}

static void pass_time(struct hg_sim *sim) {
  sim->time += (int64_t)hg_sim_roll(sim, 1500) + hg_power()->delayed_us;
  hg_power()->delayed_us = 0;
  if (hg_sim_roll(sim, 1000) == 0) sim->time += (int64_t)hg_sim_roll(sim, 2000000);
  set_time(sim);
}

void hg_sim_move(struct hg_sim *sim) {
  pass_time(sim);
  const uint64_t what = hg_sim_roll(sim, 2 * LINKS + 5);
  if (what < 2 * LINKS) move_burst(sim, what % LINKS);
  else if (what < 2 * LINKS + 2) hg_sim_flush_persister(sim);
  else flush(sim, what == 2 * LINKS + 2 ? &sim->scheduler : what == 2 * LINKS + 3 ? &sim->tracker : &sim->bus);
}

void hg_sim_run_until_quiet(struct hg_sim *sim) {
  for (bool any = true; any;) {
    any = false;
    set_time(sim);
    for (struct hg_sim_client *client = sim->clients; client < sim->clients + HG_SIM_CLIENTS; client++) {
      while (from_client_to_scheduler(sim, client))
        any = true;
      while (pass(sim, &client->to_tracker, &sim->tracker, HG_PORT_CLIENTS))
        any = true;
    }
    hg_sim_flush_others(sim);
    for (uint64_t link = 2; link < LINKS; link++)
      while (move_one(sim, link))
        any = true;
    hg_sim_flush_others(sim);
    hg_sim_flush_persister(sim);
    any |= sim->commits_seen > 0;
  }
}
