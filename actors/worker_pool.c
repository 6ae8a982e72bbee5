// The worker pool: a permit and a free thread are brought together; what the function used is settled before its client
// hears that it ran.
#include "actors/worker_pool.h"

#include "base/id_map.h"
#include "actors/worker.h"

#include <stdlib.h>

// How long, once stopped and with no function running, it waits for the scheduler, whose store may be failing.
#define ANSWERS_WITHIN_US 5000000

enum job_state {
  JOB_ASKED,   // the scheduler has not answered
  JOB_GRANTED, // has a permit, waits for a thread
  JOB_RUNNING,
  JOB_CLOSING // settled or given back; the answer is not here
};

struct job {
  uint64_t request; // of its client
  uint64_t id;      // the acquire's request, then the permit's
  hg_peer client;
  uint64_t function, argument;
  int64_t granted, used;
  uint32_t attempt;
  uint32_t error; // what the function returned
  enum job_state state;
  bool left;        // its client is gone: nobody to answer
  struct job *next; // in the queue of granted jobs
};

struct worker_pool {
  struct hg_worker_source source;
  struct hg_id_map jobs;
  struct job *first_granted, *last_granted;
  uint32_t granted_count, running;
  hg_peer idle[HG_WORKERS_MAX]; // threads without work
  uint32_t idle_count;
  uint32_t starting; // asked for and not heard of
  bool stopping, stop_now;
  int64_t stop_at; // HG_NEVER while a function runs or will
};

// ---------------------------------------------------------------------------------------------------- to the client

static void tell_client(hg_peer client, uint64_t request, uint64_t permit, hg_err err, int64_t used,
                        struct hg_outbox *out) {
  struct hg_message ran;
  hg_message_init(&ran, HG_FUNCTION_RAN);
  ran.as.function_ran.request = request;
  if (permit != request) ran.as.function_ran.permit = permit;
  ran.as.function_ran.error = (uint32_t)err;
  ran.as.function_ran.tokens = used;
  hg_outbox_put(out, HG_PORT_RUNS, client, &ran);
}

static void end(struct worker_pool *pool, struct job *job, hg_err err, struct hg_outbox *out) {
  if (!job->left) tell_client(job->client, job->request, job->id, err, job->used, out);
  hg_id_map_remove(&pool->jobs, job->id);
  free(job);
}

// ---------------------------------------------------------------------------------------------------- to the scheduler

static void ask(const struct hg_run_function_message *run, struct hg_outbox *out) {
  struct hg_message message;
  hg_message_init(&message, HG_ACQUIRE);
  struct hg_acquire_message *acquire = &message.as.acquire;
  acquire->request = run->request;
  acquire->budget = run->budget;
  acquire->min_tokens = run->min_tokens;
  acquire->max_tokens = run->max_tokens;
  acquire->task_id = run->task_id;
  acquire->attempt = run->attempt;
  acquire->first_in_line = run->first_in_line;
  acquire->parent = run->parent;
  acquire->from_parent = run->from_parent;
  acquire->lease_us = run->lease_us;
  acquire->no_wait = run->no_wait;
  hg_outbox_put(out, HG_PORT_SCHEDULER, 0, &message);
}

static void cancel(const struct job *job, struct hg_outbox *out) {
  struct hg_message message;
  hg_message_init(&message, HG_CANCEL);
  message.as.cancel.request = job->id;
  hg_outbox_put(out, HG_PORT_SCHEDULER, 0, &message);
}

static void give_back(struct job *job, struct hg_outbox *out) {
  struct hg_message message;
  hg_message_init(&message, HG_RELEASE);
  message.as.release.permit = job->id;
  message.as.release.outcome = HG_OUTCOME_FAILED;
  message.as.release.reason = hg_text_of("cancelled");
  hg_outbox_put(out, HG_PORT_SCHEDULER, 0, &message);
  job->state = JOB_CLOSING;
}

// ---------------------------------------------------------------------------------------------------- from clients

static void queue(struct worker_pool *pool, const struct hg_envelope *in, struct hg_outbox *out) {
  const struct hg_run_function_message *run = &in->message.as.run_function;
  struct job *job = pool->stopping ? NULL : calloc(1, sizeof *job);
  if (!job || !hg_id_map_put(&pool->jobs, run->request, job)) {
    free(job);
    tell_client(in->peer, run->request, run->request, pool->stopping ? HG_ERR_CLOSED : HG_ERR_NO_MEMORY, 0, out);
    return;
  }
  job->request = job->id = run->request;
  job->client = in->peer;
  job->function = run->function;
  job->argument = run->argument;
  job->attempt = run->attempt;
  ask(run, out);
}

static void forget_granted_that_left(struct worker_pool *pool) {
  pool->last_granted = NULL;
  pool->granted_count = 0;
  for (struct job **at = &pool->first_granted; *at;) {
    if ((*at)->left) {
      *at = (*at)->next;
      continue;
    }
    pool->last_granted = *at;
    pool->granted_count++;
    at = &(*at)->next;
  }
}

// What has not begun is taken back. A function that runs can't be stopped, and is settled as always.
static void leave(struct worker_pool *pool, hg_peer client, struct hg_outbox *out) {
  struct job *job;
  for (size_t at = 0; (job = hg_id_map_next(&pool->jobs, &at));) {
    if (job->client != client) continue;
    job->left = true;
    if (job->state == JOB_ASKED) cancel(job, out);
    else if (job->state == JOB_GRANTED) give_back(job, out);
  }
  forget_granted_that_left(pool);
}

// ---------------------------------------------------------------------------------------------------- permits and
// threads

// From here on it is found by its permit.
static bool rename_job(struct worker_pool *pool, struct job *job, uint64_t permit) {
  if (permit == 0 || permit == job->id) return true;
  hg_id_map_remove(&pool->jobs, job->id);
  job->id = permit;
  return hg_id_map_put(&pool->jobs, permit, job);
}

static void granted(struct worker_pool *pool, struct job *job, const struct hg_granted_message *grant,
                    struct hg_outbox *out) {
  out->failed |= !rename_job(pool, job, grant->permit);
  if (job->left) { // the cancel came too late
    give_back(job, out);
    return;
  }
  job->state = JOB_GRANTED;
  job->granted = grant->tokens;
  if (pool->last_granted) pool->last_granted->next = job;
  else pool->first_granted = job;
  pool->last_granted = job;
  pool->granted_count++;
}

static void hand_out(struct worker_pool *pool, struct hg_outbox *out) {
  while (pool->first_granted && pool->idle_count) {
    struct job *job = pool->first_granted;
    pool->first_granted = job->next;
    if (!job->next) pool->last_granted = NULL;
    job->next = NULL;
    job->state = JOB_RUNNING;
    pool->granted_count--;
    pool->running++;
    struct hg_message work;
    hg_message_init(&work, HG_RUN_FUNCTION);
    work.as.run_function.request = job->id;
    work.as.run_function.max_tokens = job->granted;
    work.as.run_function.attempt = job->attempt;
    work.as.run_function.function = job->function;
    work.as.run_function.argument = job->argument;
    hg_outbox_put(out, HG_PORT_WORKERS, pool->idle[--pool->idle_count], &work);
  }
}

static void start_threads(struct worker_pool *pool) {
  while (pool->granted_count > pool->starting && pool->source.start(pool->source.self))
    pool->starting++;
}

static void settle(struct worker_pool *pool, const struct hg_envelope *in, struct hg_outbox *out) {
  struct job *job = hg_id_map_get(&pool->jobs, in->message.as.settle.permit);
  assert(job && job->state == JOB_RUNNING);
  pool->running--;
  job->state = JOB_CLOSING;
  job->used = in->message.as.settle.tokens;
  hg_outbox_put_frame(out, HG_PORT_SCHEDULER, 0, (struct hg_bytes){0},
                      (struct hg_bytes){in->frame, (uint32_t)in->frame_size});
}

// A thread is free, fresh (GET_QUEUE) or done with a function, whose settle it hands over.
static void from_worker(struct worker_pool *pool, const struct hg_envelope *in, struct hg_outbox *out) {
  if (in->message.kind == HG_FUNCTION_RAN) {
    struct job *ran = hg_id_map_get(&pool->jobs, in->message.as.function_ran.request);
    assert(ran && ran->state == JOB_RUNNING);
    ran->error = in->message.as.function_ran.error;
    return;
  }
  if (in->message.kind == HG_SETTLE) settle(pool, in, out);
  else if (pool->starting) pool->starting--; // the pool has not asked for the first one
  assert(pool->idle_count < HG_WORKERS_MAX);
  pool->idle[pool->idle_count++] = in->peer;
}

static void from_scheduler(struct worker_pool *pool, const struct hg_message *message, struct hg_outbox *out) {
  struct job *job;
  if (message->kind == HG_GRANTED && (job = hg_id_map_get(&pool->jobs, message->as.granted.request))) {
    granted(pool, job, &message->as.granted, out);
  } else if (message->kind == HG_REFUSED && (job = hg_id_map_get(&pool->jobs, message->as.refused.request))) {
    end(pool, job, (hg_err)message->as.refused.error, out);
  } else if (message->kind == HG_SETTLED && (job = hg_id_map_get(&pool->jobs, message->as.settled.permit))) {
    const hg_err err = (hg_err)message->as.settled.error;
    end(pool, job, err != HG_OK ? err : (hg_err)job->error, out);
  }
}

// ---------------------------------------------------------------------------------------------------- turns

// A function can't be stopped from outside: it is waited for, and then for what the scheduler says to its settle.
static int64_t stop(struct worker_pool *pool, struct hg_now now, struct hg_outbox *out) {
  if (pool->running + pool->granted_count > 0) {
    pool->stop_at = HG_NEVER;
    return HG_NEVER;
  }
  if (pool->stop_at == HG_NEVER) pool->stop_at = now.monotonic_us + ANSWERS_WITHIN_US;
  if (pool->jobs.count > 0 && !pool->stop_now && now.monotonic_us < pool->stop_at) return pool->stop_at;
  hg_outbox_finish(out, HG_OK, NULL);
  return HG_NEVER;
}

static void receive(void *self, struct hg_now now, const struct hg_envelope *in, struct hg_outbox *out) {
  struct worker_pool *pool = self;
  (void)now;
  if (in->port == HG_PORT_RUNS && in->message.kind == HG_RUN_FUNCTION) {
    queue(pool, in, out);
  } else if (in->port == HG_PORT_RUNS && in->message.kind == HG_LEAVE) {
    leave(pool, in->peer, out);
  } else if (in->port == HG_PORT_WORKERS) {
    from_worker(pool, in, out);
  } else if (in->port == HG_PORT_SCHEDULER) {
    from_scheduler(pool, &in->message, out);
  } else if (in->port == HG_PORT_LIFE && in->message.kind == HG_STOP) {
    pool->stopping = true;
    pool->stop_now |= in->message.as.stop.now;
  }
}

static int64_t flush(void *self, struct hg_now now, struct hg_outbox *out) {
  struct worker_pool *pool = self;
  hand_out(pool, out);
  start_threads(pool);
  return pool->stopping ? stop(pool, now, out) : HG_NEVER;
}

static void destroy(void *self) {
  struct worker_pool *pool = self;
  size_t at = 0;
  for (struct job *job; (job = hg_id_map_next(&pool->jobs, &at));)
    free(job);
  hg_id_map_destroy(&pool->jobs);
  free(pool);
}

hg_err hg_worker_pool_new(struct hg_worker_source source, struct hg_actor *out) {
  struct worker_pool *pool = calloc(1, sizeof *pool);
  if (!pool) return HG_ERR_NO_MEMORY;
  pool->source = source;
  pool->stop_at = HG_NEVER;
  *out = (struct hg_actor){"hg-worker-pool", pool, receive, flush, NULL, destroy};
  return HG_OK;
}
