// [8_RISKS-REQ-031] The scheduler: owns the queue, the slots and the effective concurrency. It decides who asks the
// tracker next; a slot is freed only by the tracker's answer to a settle, so the next request has always seen that
// usage.
//
// Hears: HG_PORT_CLIENTS (ACQUIRE, SETTLE, RELEASE, CANCEL, SET_MAX_CONCURRENCY, GET_QUEUE, GET_WAITING, LEAVE; a
// GRANTED that came back), HG_PORT_DECISIONS (RESERVED, PERMIT_CLOSED, ROOM, CROSSED, MAX_CONCURRENCY_NOTED,
// COMMITTED), HG_PORT_LIFE (DRAIN, STOP).
#ifndef HG_SCHEDULER_H
#define HG_SCHEDULER_H

#include "actors/actor.h"
#include "config/config.h"

hg_err hg_scheduler_new(const struct hg_config *config, struct hg_actor *out); // `config` must outlive the actor

#endif
