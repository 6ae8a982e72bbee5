// Random clients of tracker and scheduler under a seed: they acquire, settle too much or too little, cancel, leave,
// record, correct, change limits and the maximum; messages move and commits come when the dice say so; now and then the
// process dies. What is written is held against a model (budget_model.h), what is answered against what was asked and
// committed.
//
// A failure prints its seed; HG_SEED=n runs that one alone.
#ifndef HG_RANDOM_CLIENTS_H
#define HG_RANDOM_CLIENTS_H

#include <stdint.h>

struct hg_random_totals {
  uint64_t grants, throttles, restores, waits, behinds, nevers, orphans, restarts, lent, returned, deadlocks;
};
void hg_random_clients(uint64_t first_seed, uint64_t seeds, uint64_t steps, struct hg_random_totals *totals);

#endif
