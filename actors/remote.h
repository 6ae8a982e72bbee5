// The remote: stands in for the tracker and the scheduler of a runtime that lives in another process on the same
// ledger. Clients here talk to it as they talk to those; it speaks for all of them to the gateway of that runtime, as
// any program outside does (docs/protocol.md), and renews the leases of what they hold.
//
// When that runtime ends, or another one takes its place, nothing here goes on: what was under way is answered with
// HG_ERR_STORE, outcome unknown.
//
// Hears: HG_PORT_TRACKER and HG_PORT_SCHEDULER (clients, as those two hear them), HG_PORT_CONTROL (outside frames from
// the gateway), HG_PORT_LIFE (DRAIN, STOP).
#ifndef HG_REMOTE_H
#define HG_REMOTE_H

#include "actors/actor.h"
#include "config/config.h"

// `config` must outlive the actor; its budgets are those of the other runtime. `life`: of that runtime, as its WELCOME
// said.
hg_err hg_remote_new(const struct hg_config *config, uint64_t life, struct hg_actor *out);

#endif
