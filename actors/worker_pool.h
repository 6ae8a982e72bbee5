// The worker pool: runs functions of the embedder (hg_run) under permits, on threads of its own. An ordinary client of the
// scheduler; it starts with the first hg_run.
//
// Hears: HG_PORT_RUNS (RUN_FUNCTION), HG_PORT_SCHEDULER (GRANTED, REFUSED, SETTLED), HG_PORT_WORKERS (FUNCTION_RAN:
// what a function returned; SETTLE: what it used, and its thread is free; GET_QUEUE: a fresh thread is), HG_PORT_LIFE (STOP).
#ifndef HG_WORKER_POOL_H
#define HG_WORKER_POOL_H

#include "actors/actor.h"

hg_err hg_worker_pool_new(uint32_t threads, struct hg_actor *out);

// The body of a worker thread: asks the pool for work until it is told to stop. `context`: the ZeroMQ context.
void *hg_worker_run(void *context);

#endif
