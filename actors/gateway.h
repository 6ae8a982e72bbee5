// The gateway: takes commands from outside the process, in any language, and is an ordinary client of tracker and
// scheduler for them, so that a stalled event bus never stalls a command. Audits and replays are the persister's.
//
// Nobody outside can hold up anybody else: what one connection may have unanswered is bounded, a permit from outside
// has a lease, and an acquire that waits is given up when its connection is gone or silent.
//
// Hears: HG_PORT_CONTROL (outside frames), HG_PORT_TRACKER, HG_PORT_SCHEDULER and HG_PORT_LEDGER (answers),
// HG_PORT_LIFE (STOP).
#ifndef HG_GATEWAY_H
#define HG_GATEWAY_H

#include "actors/actor.h"
#include "config/config.h"
#include "ledger/ledger.h"

// Whether a connection has read enough of its answers to be given a long one. NULL: all have.
struct hg_gateway_readers {
  void *self;
  bool (*keep_up)(void *self, hg_peer peer);
};

// `config` must outlive the actor; the others are copied. `events`: the endpoint that outsiders are told of.
hg_err hg_gateway_new(const struct hg_config *config, const char *events, const struct hg_ledger_state *state,
                      struct hg_gateway_readers readers, struct hg_actor *out);

#endif
