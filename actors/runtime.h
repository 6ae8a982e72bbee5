// The runtime: builds, wires, starts and stops the actors, and is what clients hold on to.
#ifndef HG_RUNTIME_H
#define HG_RUNTIME_H

#include "ledger/ledger.h"
#include "schemas/counters.h"

// hg_open for a configuration that is read already. Once the ledger is open it is taken over (freed on failure too) and
// *config set to NULL; a ledger that can't be opened leaves it as it was.
// `found`: what the ledger held before (hg_ledger_state_clear; empty on failure). NULL: nobody wants to know.
hg_err hg_open_config(struct hg_config **config, hg_runtime **out, struct hg_ledger_state *found, hg_error *why);

// The same, but where a runtime lives on the ledger already it becomes its guest: clients take their permits from that
// one, whose budgets take the place of those that were read. `found` has no more than the ledger's id then.
hg_err hg_open_shared(struct hg_config **config, hg_runtime **out, struct hg_ledger_state *found, hg_error *why);
bool hg_runtime_is_guest(const hg_runtime *runtime);

// All counters, as hg_read_counter tells them one by one.
hg_err hg_runtime_read_counters(hg_runtime *runtime, struct hg_counters *out, int timeout_ms);

// The configuration in force; lives as long as the runtime or any of its clients.
const struct hg_config *hg_runtime_config(const hg_runtime *runtime);

#endif
