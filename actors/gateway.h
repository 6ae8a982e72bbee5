// The gateway: takes commands from outside the process (figures, limits, orphans, corrections, audits) and is an
// ordinary client of tracker and scheduler for them, so that a stalled event bus never stalls a command. Audits and
// replays are the persister's.
//
// Hears: HG_PORT_CONTROL (outside frames), HG_PORT_TRACKER, HG_PORT_SCHEDULER and HG_PORT_LEDGER (answers),
// HG_PORT_LIFE (STOP).
#ifndef HG_GATEWAY_H
#define HG_GATEWAY_H

#include "actors/actor.h"
#include "config/config.h"

hg_err hg_gateway_new(const struct hg_config *config, const char *ledger_id,
                      struct hg_actor *out); // `config` must outlive the actor

#endif
