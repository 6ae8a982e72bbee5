// A worker thread: waits for a function, runs it, settles what it used.
#include "actors/worker.h"

#include "actors/permits.h"
#include "actors/shell.h"
#include "bus/endpoints.h"
#include "bus/frames.h"
#include "usage/report.h"
#include "base/thread.h"

#include <stdlib.h>

struct worker {
  pthread_t thread;
  struct hg_link link;
  hg_unit unit; // of the ledger
};
struct hg_workers {
  void *context;
  hg_unit unit;
  uint32_t count;
  struct worker all[HG_WORKERS_MAX];
};

// ---------------------------------------------------------------------------------------------------- a function

// A text that no message could carry is left out: it says less than the usage beside it.
static struct hg_text text_of(const char *string, size_t most) {
  const struct hg_text text = hg_text_of(string);
  return text.size <= most && hg_text_valid(text) ? text : (struct hg_text){NULL, 0};
}

// What the function reported. Figures that can't be true charge the reservation.
static hg_err settle_reported(const hg_usage_report *reported, hg_unit unit, hg_err returned,
                              struct hg_settle_message *settle) {
  hg_usage_report used;
  const hg_err err = hg_report_read(reported, unit, &used);
  if (err != HG_OK) {
    settle->outcome = HG_OUTCOME_FAILED;
    settle->reason = hg_text_of("the function reported usage out of range, or in another unit");
    return returned != HG_OK ? returned : err;
  }
  const bool missing = used.source == HG_SOURCE_MISSING;
  settle->tokens = hg_usage_charged(settle->tokens, missing ? HG_USAGE_MISSING(used.tokens) : used.tokens);
  if (missing) used.source = HG_SOURCE_ESTIMATED;
  settle->outcome = returned == HG_OK ? (uint32_t)used.outcome : HG_OUTCOME_FAILED;
  settle->reason = text_of(used.reason, HG_TEXT_MAX);
  if (returned != HG_OK && settle->reason.size == 0) settle->reason = hg_text_of(hg_err_name(returned));
  settle->model = text_of(used.model, HG_LABEL_MAX);
  settle->response_id = text_of(used.response_id, HG_LABEL_MAX);
  HG_REPORT_DETAILS(settle, &used);
  return returned;
}

static hg_err call(const struct hg_run_function_message *run, hg_unit unit, struct hg_message *message) {
  const hg_function function = (hg_function)(uintptr_t)run->function;
  const hg_grant grant = {(uint32_t)sizeof grant, {run->request}, run->max_tokens};
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  used.tokens = run->max_tokens;
  used.source = HG_SOURCE_ESTIMATED;
  used.attempt = run->attempt;
  used.unit = unit;
  const hg_err returned = function(&grant, (void *)(uintptr_t)run->argument, &used);
  hg_message_init(message, HG_SETTLE);
  struct hg_settle_message *settle = &message->as.settle;
  settle->permit = run->request;
  settle->tokens = run->max_tokens;
  settle->source = HG_SOURCE_ESTIMATED;
  const hg_err err = settle_reported(&used, unit, returned, settle);
  settle->attempt = run->attempt;
  return err;
}

// ---------------------------------------------------------------------------------------------------- the thread

static hg_err send(struct hg_link *link, const struct hg_message *message) {
  uint8_t frame[HG_EVENT_FRAME_MAX];
  const size_t size = hg_frame_encode(message, frame, sizeof frame);
  assert(size > 0 && "its texts are checked");
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

// GET_QUEUE, and later each SETTLE, say that the thread is free.
static void *run(void *argument) {
  struct worker *worker = argument;
  struct hg_link *link = &worker->link;
  struct hg_message free_again, work, ran;
  hg_message_init(&free_again, HG_GET_QUEUE);
  while (send(link, &free_again) == HG_OK && receive_work(link, &work) == HG_OK) {
    assert(work.kind == HG_RUN_FUNCTION);
    hg_message_init(&ran, HG_FUNCTION_RAN);
    ran.as.function_ran.request = work.as.run_function.request;
    ran.as.function_ran.error = (uint32_t)call(&work.as.run_function, worker->unit, &free_again);
    if (send(link, &ran) != HG_OK) break;
  }
  hg_link_close(link);
  return NULL;
}

// ---------------------------------------------------------------------------------------------------- all of them

hg_err hg_workers_new(void *context, hg_unit unit, struct hg_workers **out) {
  struct hg_workers *workers = calloc(1, sizeof *workers);
  if (!workers) return HG_ERR_NO_MEMORY;
  workers->context = context;
  workers->unit = unit;
  *out = workers;
  return HG_OK;
}

bool hg_workers_start(void *self) {
  struct hg_workers *workers = self;
  if (workers->count == HG_WORKERS_MAX) return false;
  const struct hg_link_limits limits = HG_PEER_SIDE;
  struct worker *worker = &workers->all[workers->count];
  worker->unit = workers->unit;
  hg_err err = hg_link_open(workers->context, HG_DEALER, limits, &worker->link);
  if (err == HG_OK) err = hg_link_connect(&worker->link, HG_WORKERS_INSIDE);
  if (err == HG_OK) err = hg_thread_start(&worker->thread, run, worker);
  if (err != HG_OK) {
    hg_link_close(&worker->link);
    return false;
  }
  (void)pthread_setname_np(worker->thread, "hg-worker");
  workers->count++;
  return true;
}

bool hg_workers_any(const struct hg_workers *workers) {
  return workers->count > 0;
}

void hg_workers_join(struct hg_workers **workers) {
  for (uint32_t i = 0; i < (*workers)->count; i++)
    pthread_join((*workers)->all[i].thread, NULL);
  free(*workers);
  *workers = NULL;
}
