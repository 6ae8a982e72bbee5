// One run: a configuration by the dice, steps, and an end at which everything must have been answered.
#include "simulation/simulation.h"

#include <stddef.h>

const char *hg_sim_situation_name(enum hg_sim_situation situation) {
#define X(NAME, text) [HG_SIM_##NAME] = text,
  static const char *const names[HG_SIM_SITUATION_COUNT] = {HG_SIM_SITUATIONS(X)};
#undef X
  return names[situation];
}

uint64_t hg_sim_roll(struct hg_sim *sim, uint64_t sides) {
  uint64_t z = (sim->dice += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return (z ^ (z >> 31)) % sides;
}

int64_t hg_sim_between(struct hg_sim *sim, int64_t low, int64_t high) {
  return low + (int64_t)hg_sim_roll(sim, (uint64_t)(high - low + 1));
}

void hg_sim_reach(struct hg_sim *sim, enum hg_sim_situation situation) {
  sim->totals->situations[situation]++;
}

// ------------------------------------------------------------------------------------------------ a run

static void configure(struct hg_sim *sim) {
  static char source[] = "<simulation>", path[] = "/simulation/ledger.db";
  hg_test_setup_init(&sim->setup, 1000, (uint32_t)hg_sim_between(sim, 1, 7));
  for (uint32_t more = hg_sim_roll(sim, 4) ? 1 + (uint32_t)hg_sim_roll(sim, 5) : 0; more; more--) {
    char name[24];
    const uint32_t parent = (uint32_t)hg_sim_roll(sim, sim->setup.config.budget_count);
    snprintf(name, sizeof name, "budget%u", more);
    hg_test_setup_budget(&sim->setup, name, parent, hg_sim_between(sim, 300, 1000));
  }
  struct hg_config *config = &sim->setup.config;
  config->source = source;
  config->ledger_path = path;
  config->throttled_concurrency = (uint32_t)hg_sim_between(sim, 1, 2);
  config->throttle_basis = hg_sim_roll(sim, 2) ? HG_THROTTLE_USED : HG_THROTTLE_COMMITTED;
  config->restore_below_percent = (uint32_t)hg_sim_between(sim, 70, 90);
  config->orphan_policy = (enum hg_orphan_policy)hg_sim_roll(sim, 3);
}

static void begin(struct hg_sim *sim, uint64_t seed, const struct hg_sim_options *options,
                  struct hg_sim_totals *totals) {
  const struct hg_test_pipe none = {0};
  memset(sim, 0, sizeof *sim);
  sim->options = *options;
  sim->totals = totals;
  sim->seed = sim->dice = seed;
  for (size_t i = 0; i < HG_SIM_CLIENTS; i++)
    sim->clients[i].to_tracker = sim->clients[i].to_scheduler = none;
  hg_power_begin(seed);
  configure(sim);
  hg_model_init(&sim->model, &sim->setup);
}

static void live_again(struct hg_sim *sim) {
  while (!hg_sim_open(sim)) {}
}

static void die(struct hg_sim *sim, bool cut) {
  hg_sim_die(sim, sim->options.only_cuts || cut);
  live_again(sim);
}

static bool has_room(const struct hg_sim *sim) {
  return sim->events.count + 2048 < HG_MODEL_EVENTS && sim->frame_count + 1024 < HG_SIM_FRAMES &&
         sim->last_wish + 64 < HG_MODEL_PERMITS && sim->command_count + 64 < HG_SIM_COMMANDS &&
         sim->line_count + 8 < HG_SIM_LINES && sim->last_peer + 8 < HG_SIM_PEERS;
}

static void step(struct hg_sim *sim) {
  const uint64_t what = hg_sim_roll(sim, 100);
  if (what < 26) hg_sim_client_acts(sim);
  else
    for (uint64_t moves = 1 + hg_sim_roll(sim, 8); moves && !hg_power()->is_off; moves--)
      hg_sim_move(sim);
  if (hg_sim_roll(sim, sim->options.only_cuts ? 30 : 150) == 0) hg_sim_fail_somehow(sim);
  if (hg_power()->is_full && hg_sim_roll(sim, 30) == 0) hg_power()->is_full = false;
  if (sim->given_up && sim->dies_in == 0) sim->dies_in = 2 + (uint32_t)hg_sim_roll(sim, 60);
  const bool is_over = sim->dies_in && --sim->dies_in == 0;
  if (hg_power()->is_off || is_over || hg_sim_roll(sim, sim->options.death_every) == 0)
    die(sim, hg_power()->is_off ? hg_sim_roll(sim, 3) != 0 : hg_sim_roll(sim, 2) != 0);
}

// Nothing fails any more and everybody settles what runs: then every command has been answered (I8).
static void finish(struct hg_sim *sim) {
  hg_power_heal();
  if (sim->given_up) die(sim, false);
  hg_power_heal();
  for (int turn = 0, settled = 1; turn < 3 || settled; turn++) {
    sim->time += 2500000; // the longest pause of a persister that tries again
    hg_sim_run_until_quiet(sim);
    if (hg_power()->is_off || sim->given_up) die(sim, false);
    hg_power_heal();
    settled = 0;
    for (uint64_t id = 1; id <= sim->last_wish; id++) {
      const struct hg_sim_wish *wish = &sim->wishes[id];
      if (wish->old || wish->left || wish->given_up || wish->state != HG_SIM_GRANTED || wish->settles) continue;
      hg_sim_settle(sim, id);
      settled = 1;
    }
    for (size_t i = 0; i < HG_SIM_CLIENTS; i++) {
      struct hg_sim_client *client = &sim->clients[i];
      if (client->naming) continue;
      if (client->line->recorded < client->line->last) {
        hg_sim_resend(sim, client, client->line->recorded + 1);
        settled |= turn < 50;
      }
    }
  }
  hg_sim_check_finished(sim);
  hg_sim_check_audit(sim);
  hg_sim_stop(sim);
}

static void end(struct hg_sim *sim) {
  if (sim->ledger) hg_sim_die(sim, false); // it has lost something
  sim->totals->grants += sim->model.grants;
  sim->totals->facts += sim->events.count;
  sim->totals->failures += hg_power()->failures;
  sim->totals->failed_syncs += hg_power()->failed_syncs;
  hg_test_events_destroy(&sim->events);
  for (size_t i = 0; i < HG_SIM_CLIENTS; i++) {
    free(sim->clients[i].to_tracker.frames);
    free(sim->clients[i].to_scheduler.frames);
  }
}

static struct hg_sim *running;

uint64_t hg_sim_step(void) {
  return running ? running->step : 0;
}

void hg_sim_run(uint64_t seed, const struct hg_sim_options *options, struct hg_sim_totals *totals) {
  if (!running) running = malloc(sizeof *running);
  CHECK(running);
  struct hg_sim *sim = running;
  begin(sim, seed, options, totals);
  live_again(sim);
  for (; sim->step < options->steps && has_room(sim) && !sim->lost; sim->step++)
    step(sim);
  if (!sim->lost) finish(sim);
  end(sim);
}
