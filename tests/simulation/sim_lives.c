// How a life of the runtime begins, and how it ends: in order, killed, or with the power.
#include "ledger/internal.h"
#include "simulation/simulation.h"

static void make_actors(struct hg_sim *sim, const struct hg_ledger_state *state) {
  CHECK_EQ(hg_tracker_new(&sim->setup.config, state, &sim->tracker.actor), HG_OK);
  CHECK_EQ(hg_scheduler_new(&sim->setup.config, &sim->scheduler.actor), HG_OK);
  CHECK_EQ(hg_persister_new(hg_sim_store(sim), state->last_seq, &sim->persister.actor), HG_OK);
  CHECK_EQ(hg_event_bus_new(&sim->setup.config, state, &sim->bus.actor), HG_OK);
  uint8_t *all = malloc(1); // a subscription to every topic
  CHECK(all);
  *all = 1;
  hg_test_pass(&sim->bus, HG_PORT_EVENTS, (struct hg_test_frame){0, 1, all});
}

bool hg_sim_open(struct hg_sim *sim) {
  struct hg_ledger_state state;
  hg_error why = HG_ERROR_INIT;
  const hg_err err = hg_ledger_open(&sim->setup.config, &sim->places, &sim->ledger, &state, &why);
  const struct hg_power *power = hg_power();
  if (err != HG_OK) {
    if (power->failures == sim->failures_judged && !power->is_off) fprintf(stderr, "\nopening: %s\n", why.text);
    CHECK(power->failures != sim->failures_judged || power->is_off);
    if (power->is_off) hg_sim_reach(sim, HG_SIM_CRASH_IN_RECOVERY);
    hg_power()->is_off = true;
    hg_power_restore(sim->options.only_cuts || hg_sim_roll(sim, 2));
    return false;
  }
  sim->failures_judged = power->failures;
  if (sim->options.synchronous_normal)
    CHECK_EQ(sqlite3_exec(sim->ledger->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL), SQLITE_OK);
  hg_sim_check_opened(sim, &state);
  if (!sim->lost) make_actors(sim, &state);
  hg_ledger_state_clear(&state);
  for (size_t i = 0; !sim->lost && i < HG_SIM_CLIENTS; i++)
    hg_sim_connect(sim, &sim->clients[i]);
  return true;
}

static void forget_actors(struct hg_sim *sim) {
  struct hg_test_actor *const all[] = {&sim->tracker, &sim->scheduler, &sim->persister, &sim->bus};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (all[i]->actor.self) hg_test_actor_destroy(all[i]);
    *all[i] = (struct hg_test_actor){0};
  }
  sim->facts_seen = sim->decisions_seen = sim->commits_seen = sim->answers_seen = 0;
  sim->given_up = sim->closing = sim->busy = false;
  sim->dies_in = 0;
  memset(sim->waiters, 0, sizeof sim->waiters);
}

void hg_sim_die(struct hg_sim *sim, bool cut) {
  hg_power()->is_off = true; // what SQLite does at its close reaches no file
  hg_sim_disconnect_all(sim);
  forget_actors(sim);
  if (sim->ledger) (void)hg_ledger_close(&sim->ledger);
  if (cut) sim->totals->cuts++;
  else sim->totals->kills++;
  hg_power_restore(cut);
  // Recovery is a good moment to die again.
  if (hg_sim_roll(sim, 4) == 0) hg_power()->cut_before = hg_power()->changes + 1 + hg_sim_roll(sim, 12);
}

static void tell(struct hg_test_actor *actor, enum hg_kind kind) {
  struct hg_message message;
  hg_message_init(&message, kind);
  hg_test_send(actor, HG_PORT_LIFE, 0, &message);
}

// As runtime.c does it.
void hg_sim_stop(struct hg_sim *sim) {
  struct hg_test_actor *const order[] = {&sim->scheduler, &sim->tracker, &sim->persister, &sim->bus};
  sim->closing = true;
  tell(&sim->scheduler, HG_DRAIN);
  hg_sim_run_until_quiet(sim);
  for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
    tell(order[i], HG_STOP);
    for (int turns = 0; turns < 8 && !order[i]->finished; turns++)
      hg_sim_run_until_quiet(sim);
    CHECK(order[i]->finished);
  }
  CHECK_EQ(sim->events.at[sim->events.count - 1].kind, HG_RUNTIME_STOPPED);
  CHECK_EQ(sim->committed, sim->events.count);
  CHECK_EQ(sim->published, sim->committed);
  sim->totals->stops++;
  hg_sim_disconnect_all(sim);
  forget_actors(sim);
  CHECK_EQ(hg_ledger_close(&sim->ledger), HG_OK);
}
