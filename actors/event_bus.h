// The event bus: tells committed facts to whoever subscribed, as a topic and a msgpack map, in the order of the
// journal. It keeps a picture of its own, folded from those facts, and asks no other actor.
//
// Subscribers in the process and outside have a socket each, so that what is done to the one leaves the other alone. A
// connection from outside that floods is cut.
//
// Hears: HG_PORT_COMMITTED (FACTS, COMMITTED), HG_PORT_EVENTS and HG_PORT_OUTSIDE_EVENTS (subscriptions), HG_PORT_LIFE
// (STOP).
#ifndef HG_EVENT_BUS_H
#define HG_EVENT_BUS_H

#include "actors/actor.h"
#include "ledger/ledger.h"

// `config` must outlive the actor; `state` is copied.
hg_err hg_event_bus_new(const struct hg_config *config, const struct hg_ledger_state *state, struct hg_actor *out);

#endif
