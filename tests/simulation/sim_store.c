// Between the persister and the real ledger: notes what the store said, and when the disk begins to fail.
#include "ledger/internal.h"
#include "simulation/simulation.h"

void hg_sim_learn(struct hg_sim *sim, uint64_t stored) {
  if (sim->unknown) hg_sim_reach(sim, stored >= sim->unknown ? HG_SIM_UNKNOWN_STORED : HG_SIM_UNKNOWN_LOST);
  if (sim->busy && stored >= sim->unknown) sim->busy = false;
  sim->unknown = 0;
  sim->stored = stored;
}

// Only a disk that failed since the last time may be blamed.
static void judge(struct hg_sim *sim, hg_err err, const hg_error *why) {
  const uint64_t failures = hg_power()->failures + hg_power()->is_off;
  if (err != HG_OK && failures == sim->failures_judged) fprintf(stderr, "\nthe store: %s\n", why->text);
  CHECK(err == HG_OK || failures != sim->failures_judged);
  sim->failures_judged = failures;
}

static hg_err store_write(void *self, const struct hg_bytes *payloads, size_t count, hg_error *why) {
  struct hg_sim *sim = self;
  const hg_err err = hg_ledger_write(sim->ledger, payloads, count, why);
  judge(sim, err, why);
  if (err == HG_OK) {
    if (sim->busy) hg_sim_reach(sim, HG_SIM_BUSY_RETRIED);
    sim->busy = false;
    sim->stored = sim->ledger->last_seq;
    sim->totals->commits++;
  } else {
    sim->busy |= err == HG_ERR_BUSY;
    sim->unknown = sim->delivered;
  }
  return err;
}

static hg_err store_recover(void *self, uint64_t *stored, hg_error *why) {
  struct hg_sim *sim = self;
  const hg_err err = hg_ledger_recover(sim->ledger, stored, why);
  judge(sim, err, why);
  if (err == HG_OK) hg_sim_learn(sim, *stored);
  else if (hg_power()->is_off) hg_sim_reach(sim, HG_SIM_CRASH_IN_RECOVERY);
  return err;
}

static hg_err store_checkpoint(void *self, bool idle, hg_error *why) {
  struct hg_sim *sim = self;
  const hg_err err = hg_ledger_checkpoint(sim->ledger, idle, why);
  judge(sim, err, why);
  return err;
}

static hg_err store_find_usage(void *self, struct hg_text usage_id, uint64_t *seq, uint64_t *content, hg_error *why) {
  struct hg_sim *sim = self;
  const hg_err err = hg_ledger_find_usage(sim->ledger, usage_id, seq, content, why);
  judge(sim, err, why);
  return err;
}

static hg_err store_find_permit(void *self, uint64_t permit, struct hg_ended_permit *out, hg_error *why) {
  struct hg_sim *sim = self;
  const hg_err err = hg_ledger_find_permit(sim->ledger, permit, out, why);
  judge(sim, err, why);
  return err;
}

static hg_err store_audit(void *self, bool anew, uint32_t rows, struct hg_audit_report *out, bool *done,
                          hg_error *why) {
  struct hg_sim *sim = self;
  const hg_err err = hg_ledger_audit(sim->ledger, anew, rows, out, done, why);
  judge(sim, err, why);
  if (err == HG_OK && *done && out->differences) fprintf(stderr, "\naudit: %s\n", out->list[0].text);
  CHECK(err != HG_OK || !*done || out->differences == 0); // I2
  return err;
}

struct hg_store hg_sim_store(struct hg_sim *sim) {
  return (struct hg_store){.self = sim,
                           .write = store_write,
                           .recover = store_recover,
                           .checkpoint = store_checkpoint,
                           .find_usage = store_find_usage,
                           .find_permit = store_find_permit,
                           .audit = store_audit};
}

// With synchronous=NORMAL only the power fails: a commit that is not synced may wait in the WAL's buffer, and go with a
// later write that fails.
void hg_sim_fail_somehow(struct hg_sim *sim) {
  struct hg_power *power = hg_power();
  power->forgets = hg_sim_roll(sim, 2);
  switch (sim->options.synchronous_normal ? 7 : hg_sim_roll(sim, 8)) {
  case 0: power->writes = (struct hg_power_fault){(uint32_t)hg_sim_roll(sim, 8), 1}; break;
  case 1:
  case 2: power->syncs = (struct hg_power_fault){(uint32_t)hg_sim_roll(sim, 2), 1}; break;
  case 3: power->reads = (struct hg_power_fault){0, 1}; break;
  case 4:
  case 5: power->is_full = true; break; // until somebody makes room
  case 6: power->syncs = (struct hg_power_fault){0, 1 + (uint32_t)hg_sim_roll(sim, 3)}; break;
  default: power->cut_before = power->changes + 1 + hg_sim_roll(sim, 24); break;
  }
}
