// The worker pool: runs functions of the embedder (hg_run) under permits, on threads of its own. An ordinary client of
// the scheduler; it starts with the first hg_run.
//
// Hears: HG_PORT_RUNS (RUN_FUNCTION, LEAVE), HG_PORT_SCHEDULER (GRANTED, REFUSED, SETTLED), HG_PORT_WORKERS
// (FUNCTION_RAN: what a function returned; SETTLE: what it used, and its thread is free; GET_QUEUE: a fresh thread is),
// HG_PORT_LIFE (STOP).
#ifndef HG_WORKER_POOL_H
#define HG_WORKER_POOL_H

#include "actors/actor.h"

// Where threads come from (actors/worker.h). One is there or on its way when the pool starts; more are asked for when a
// permit has no thread, so the threads follow the concurrency that the scheduler allows.
struct hg_worker_source {
  void *self;
  bool (*start)(void *self); // one more, which will say that it is free; false: not now
};

hg_err hg_worker_pool_new(struct hg_worker_source source, struct hg_actor *out);

#endif
