// The worker pool: a permit and a free thread are brought together; what the function used is settled before its client
// hears that it ran.
#include "actors/worker_pool.h"

#include "actors/id_map.h"
#include "bus/endpoints.h"
#include "bus/frames.h"

#include <stdlib.h>
#include <string.h>

struct job {
  uint64_t id;          // the acquire's request, then the permit
  hg_peer client;
  uint64_t function, argument;
  int64_t granted, used;
  uint32_t error;       // what the function returned
  struct job *next;     // in the queue of granted jobs
};

struct worker_pool {
  struct hg_id_map jobs;
  struct job *first_granted, *last_granted; // have a permit, wait for a thread
  hg_peer *idle;        // threads without work
  uint32_t idle_count, threads;
  bool stopping;
};

static void tell_client(struct worker_pool *pool, struct job *job, hg_err err, struct hg_outbox *out) {
  struct hg_message ran;
  hg_message_init(&ran, HG_FUNCTION_RAN);
  ran.as.function_ran.request = job->id;
  ran.as.function_ran.error = (uint32_t)err;
  ran.as.function_ran.tokens = job->used;
  hg_outbox_put(out, HG_PORT_RUNS, job->client, &ran);
  hg_id_map_remove(&pool->jobs, job->id);
  free(job);
}

static void queue(struct worker_pool *pool, const struct hg_envelope *in, struct hg_outbox *out) {
  const struct hg_run_function_message *run = &in->message.as.run_function;
  struct job *job = calloc(1, sizeof *job);
  if (!job || !hg_id_map_put(&pool->jobs, run->request, job)) {
    free(job);
    out->failed = true;
    return;
  }
  job->id = run->request;
  job->client = in->peer;
  job->function = run->function;
  job->argument = run->argument;
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
  hg_outbox_put(out, HG_PORT_SCHEDULER, 0, &message);
}

static void hand_out(struct worker_pool *pool, struct hg_outbox *out) {
  while (pool->first_granted && pool->idle_count) {
    struct job *job = pool->first_granted;
    pool->first_granted = job->next;
    if (!job->next) pool->last_granted = NULL;
    struct hg_message work;
    hg_message_init(&work, HG_RUN_FUNCTION);
    work.as.run_function.request = job->id;
    work.as.run_function.max_tokens = job->granted;
    work.as.run_function.function = job->function;
    work.as.run_function.argument = job->argument;
    hg_outbox_put(out, HG_PORT_WORKERS, pool->idle[--pool->idle_count], &work);
  }
}

static void granted(struct worker_pool *pool, const struct hg_granted_message *grant) {
  struct job *job = hg_id_map_get(&pool->jobs, grant->request);
  if (!job) return;
  job->granted = grant->tokens;
  job->next = NULL;
  if (pool->last_granted)
    pool->last_granted->next = job;
  else
    pool->first_granted = job;
  pool->last_granted = job;
}

// A thread is free: fresh (GET_QUEUE) or done with a function, whose settle it hands over.
static void from_worker(struct worker_pool *pool, const struct hg_envelope *in, struct hg_outbox *out) {
  if (in->message.kind == HG_FUNCTION_RAN) {
    struct job *ran = hg_id_map_get(&pool->jobs, in->message.as.function_ran.request);
    if (ran) ran->error = in->message.as.function_ran.error;
    return;
  }
  assert(pool->idle_count < pool->threads);
  pool->idle[pool->idle_count++] = in->peer;
  if (in->message.kind != HG_SETTLE) return; // a fresh thread
  const struct hg_settle_message *settle = &in->message.as.settle;
  struct job *job = hg_id_map_get(&pool->jobs, settle->permit);
  if (!job) return;
  job->used = settle->tokens;
  hg_outbox_put_frame(out, HG_PORT_SCHEDULER, 0, (struct hg_bytes){0},
                      (struct hg_bytes){in->frame, (uint32_t)in->frame_size});
}

static void stop(struct worker_pool *pool, struct hg_outbox *out) {
  struct hg_message last;
  hg_message_init(&last, HG_STOP);
  last.as.stop.now = true;
  while (pool->idle_count)
    hg_outbox_put(out, HG_PORT_WORKERS, pool->idle[--pool->idle_count], &last);
  hg_message_init(&last, HG_STOPPED);
  hg_outbox_put(out, HG_PORT_LIFE, 0, &last);
  out->finished = true;
}

static void receive(void *self, struct hg_now now, const struct hg_envelope *in, struct hg_outbox *out) {
  struct worker_pool *pool = self;
  struct job *job;
  (void)now;
  if (in->port == HG_PORT_RUNS && in->message.kind == HG_RUN_FUNCTION) {
    queue(pool, in, out);
  } else if (in->port == HG_PORT_WORKERS) {
    from_worker(pool, in, out);
  } else if (in->message.kind == HG_GRANTED) {
    granted(pool, &in->message.as.granted);
  } else if (in->message.kind == HG_REFUSED && (job = hg_id_map_get(&pool->jobs, in->message.as.refused.request))) {
    tell_client(pool, job, (hg_err)in->message.as.refused.error, out);
  } else if (in->message.kind == HG_SETTLED && (job = hg_id_map_get(&pool->jobs, in->message.as.settled.permit))) {
    const hg_err err = (hg_err)in->message.as.settled.error;
    tell_client(pool, job, err != HG_OK ? err : (hg_err)job->error, out);
  } else if (in->message.kind == HG_STOP) {
    pool->stopping = true;
  }
}

static int64_t flush(void *self, struct hg_now now, struct hg_outbox *out) {
  struct worker_pool *pool = self;
  (void)now;
  hand_out(pool, out);
  // A function can't be stopped from outside: its thread is waited for.
  if (pool->stopping && pool->idle_count == pool->threads) stop(pool, out);
  return HG_NEVER;
}

static void destroy(void *self) {
  struct worker_pool *pool = self;
  size_t at = 0;
  for (struct job *job; (job = hg_id_map_next(&pool->jobs, &at));)
    free(job);
  hg_id_map_destroy(&pool->jobs);
  free(pool->idle);
  free(pool);
}

hg_err hg_worker_pool_new(uint32_t threads, struct hg_actor *out) {
  struct worker_pool *pool = calloc(1, sizeof *pool);
  hg_peer *idle = calloc(threads, sizeof *idle);
  if (!pool || !idle) {
    free(pool);
    free(idle);
    return HG_ERR_NO_MEMORY;
  }
  pool->idle = idle;
  pool->threads = threads;
  *out = (struct hg_actor){"hg-worker-pool", pool, receive, flush, NULL, destroy};
  return HG_OK;
}

// ---------------------------------------------------------------------------------------------------- the threads

static hg_err call(const struct hg_run_function_message *run, struct hg_message *settle) {
  const hg_function function = (hg_function)(uintptr_t)run->function;
  const hg_grant grant = {(uint32_t)sizeof grant, {run->request}, run->max_tokens};
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = run->max_tokens;
  used.source = HG_SOURCE_ESTIMATED;
  const hg_err err = function(&grant, (void *)(uintptr_t)run->argument, &used);
  hg_message_init(settle, HG_SETTLE);
  settle->as.settle.permit = run->request;
  settle->as.settle.tokens = used.tokens < 0 || used.tokens > HG_TOKENS_MAX ? run->max_tokens : used.tokens;
  settle->as.settle.outcome = err == HG_OK ? (uint32_t)used.outcome : HG_OUTCOME_FAILED;
  settle->as.settle.source = (uint32_t)used.source;
  settle->as.settle.input_tokens = used.input_tokens;
  settle->as.settle.output_tokens = used.output_tokens;
  settle->as.settle.cached_tokens = used.cached_tokens;
  settle->as.settle.cache_write_tokens = used.cache_write_tokens;
  settle->as.settle.reasoning_tokens = used.reasoning_tokens;
  settle->as.settle.attempt = used.attempt;
  settle->as.settle.model = hg_text_of(used.model);
  settle->as.settle.response_id = hg_text_of(used.response_id);
  settle->as.settle.reason = hg_text_of(err == HG_OK || used.reason ? used.reason : hg_err_name(err));
  return err;
}

static hg_err send(struct hg_link *link, const struct hg_message *message) {
  uint8_t frame[HG_EVENT_FRAME_MAX];
  const size_t size = hg_frame_encode(message, frame, sizeof frame);
  return hg_link_send(link, 0, (struct hg_bytes){0}, (struct hg_bytes){frame, (uint32_t)size});
}

static hg_err receive_work(struct hg_link *link, struct hg_message *work) {
  for (;;) {
    struct hg_received frame;
    hg_peer peer;
    uint32_t readable;
    hg_err err = hg_link_receive(link, &peer, &frame);
    if (err == HG_OK) {
      size_t size;
      const uint8_t *data = hg_received_data(&frame, &size);
      err = hg_frame_decode(data, size, work); // no texts in it that would outlive the frame
      hg_received_close(&frame);
      return err;
    }
    if (err == HG_ERR_EMPTY) err = hg_links_wait(link, 1, 1, -1, &readable);
    if (err != HG_OK) return err;
  }
}

void *hg_worker_run(void *context) {
  const struct hg_link_limits limits = HG_PEER_SIDE;
  struct hg_link link = {0};
  struct hg_message message;
  hg_err err = hg_link_open(context, HG_DEALER, limits, &link);
  if (err == HG_OK) err = hg_link_connect(&link, "inproc://workers");
  hg_message_init(&message, HG_GET_QUEUE);
  message.as.get_queue.request = 1;
  while (err == HG_OK) {
    err = send(&link, &message);
    struct hg_message work;
    if (err == HG_OK) err = receive_work(&link, &work);
    if (err != HG_OK || work.kind != HG_RUN_FUNCTION) break;
    struct hg_message ran;
    hg_message_init(&ran, HG_FUNCTION_RAN);
    ran.as.function_ran.request = work.as.run_function.request;
    ran.as.function_ran.error = (uint32_t)call(&work.as.run_function, &message);
    err = send(&link, &ran);
  }
  hg_link_close(&link);
  return NULL;
}
