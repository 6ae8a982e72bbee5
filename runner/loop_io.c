// The side effects of the task runner, on the real batch files, runtime and HTTP client.
#include "runner/loop_private.h"

#include "client/client.h"
#include "providers/secrets.h"

#include <stdlib.h>
#include <string.h>

#define COUNT_TIMEOUT_MS 10000 // a line waits for its count, and can do without

static hg_err next_line(void *context, const struct hg_batch_line **out, hg_error *why) {
  return hg_batch_next(((struct hg_loop *)context)->options.batch, out, why);
}

static hg_err finish(void *context, uint64_t id_hash, bool success, const struct hg_result *result, hg_error *why) {
  struct hg_batch *batch = ((struct hg_loop *)context)->options.batch;
  return success ? hg_batch_finish_ok(batch, id_hash, result, why)
                 : hg_batch_finish_failed(batch, id_hash, result, why);
}

static void leave(void *context, uint64_t id_hash) {
  (void)hg_batch_leave(((struct hg_loop *)context)->options.batch, id_hash);
}

static bool group_full(void *context) {
  return hg_batch_group_full(((struct hg_loop *)context)->options.batch);
}

static hg_err sync_batch(void *context, hg_error *why) {
  return hg_batch_sync(((struct hg_loop *)context)->options.batch, why);
}

static hg_err acquire(void *context, const hg_request *request, hg_ticket *out) {
  return hg_acquire_start(((struct hg_loop *)context)->options.client, request, out);
}

static hg_err settle(void *context, hg_permit permit, const hg_usage_report *used, hg_ticket *out) {
  return hg_settle_start(((struct hg_loop *)context)->options.client, permit, used, out);
}

static hg_err release(void *context, hg_permit permit, hg_outcome outcome, const char *reason, hg_ticket *out) {
  return hg_release_start(((struct hg_loop *)context)->options.client, permit, outcome, reason, out);
}

static hg_err record(void *context, const hg_usage_report *used, hg_ticket *out) {
  return hg_record_usage_start(((struct hg_loop *)context)->options.client, used, out);
}

static hg_err cancel(void *context, hg_ticket ticket) {
  return hg_cancel(((struct hg_loop *)context)->options.client, ticket);
}

static hg_err find_url(struct hg_loop *loop, const char *base, const char *path, hg_error *why) {
  if (loop->url && loop->url_base == base && strcmp(loop->url_path, path) == 0) return HG_OK;
  char *url = NULL, *copy = strdup(path);
  const hg_err err = copy ? hg_url_join(base, path, &url, why) : HG_ERR_NO_MEMORY;
  if (err) {
    free(copy);
    return err;
  }
  free(loop->url);
  free(loop->url_path);
  loop->url = url;
  loop->url_path = copy;
  loop->url_base = base;
  return HG_OK;
}

static hg_err call(void *context, const char *path, const struct hg_prepared *prepared, const char *body,
                   size_t body_len, void *tag, void **handle, hg_error *why) {
  struct hg_loop *loop = context;
  const struct hg_target *target = loop->options.target;
  const bool anthropic = prepared->endpoint == HG_ENDPOINT_MESSAGES;
  hg_err err = find_url(loop, anthropic ? target->anthropic_base : target->openai_base, path, why);
  if (err) return err;
  const struct hg_http_request request = {.url = loop->url,
                                          .headers = anthropic ? target->anthropic_headers : target->openai_headers,
                                          .body = body,
                                          .body_len = body_len,
                                          .streams = prepared->streams,
                                          .choices = prepared->shown,
                                          .tag = tag};
  struct hg_http_call *started = NULL;
  err = hg_http_start(loop->http, &request, &started, why);
  *handle = started;
  return err;
}

static hg_err count(void *context, const char *path, enum hg_endpoint endpoint, enum hg_input_counter counter,
                    const char *body, size_t body_len, void *tag, void **handle, hg_error *why) {
  struct hg_loop *loop = context;
  const struct hg_target *target = loop->options.target;
  const bool anthropic = endpoint == HG_ENDPOINT_MESSAGES;
  char *url = NULL;
  hg_err err = find_url(loop, anthropic ? target->anthropic_base : target->openai_base, path, why);
  if (!err) err = hg_count_url(loop->url, counter, &url);
  if (err) return err;
  const struct hg_http_request request = {.url = url,
                                          .headers = anthropic ? target->anthropic_headers : target->openai_headers,
                                          .body = body,
                                          .body_len = body_len,
                                          .tag = tag,
                                          .timeout_ms = COUNT_TIMEOUT_MS};
  struct hg_http_call *started = NULL;
  err = hg_http_start(loop->http, &request, &started, why);
  free(url);
  *handle = started;
  return err;
}

static bool cut(void *context, void *handle) {
  struct hg_http_call *running = handle;
  return hg_http_cut(((struct hg_loop *)context)->http, &running);
}

static hg_err hide_keys(void *context, const char *text, size_t len, char **out) {
  return hg_target_hide_keys(((const struct hg_loop *)context)->options.target, text, len, out);
}

// xorshift64*: jitter needs no more.
static uint64_t random_bits(void *context) {
  struct hg_loop *loop = context;
  loop->random ^= loop->random >> 12;
  loop->random ^= loop->random << 25;
  loop->random ^= loop->random >> 27;
  return loop->random * UINT64_C(2685821657736338717);
}

static void note(void *context, const char *text) {
  const struct hg_loop *loop = context;
  loop->options.on_note(loop->options.context, text);
}

static void push(void *context, uint32_t from, uint32_t to) {
  const struct hg_loop *loop = context;
  if (!loop->ledger_lost)
    (void)hg_client_tell_pushback(loop->options.client, loop->options.runner.run_name, from, to); // or it goes untold
}

struct hg_runner_io hg_loop_io(struct hg_loop *loop) {
  return (struct hg_runner_io){.context = loop,
                               .next_line = next_line,
                               .finish = finish,
                               .leave = leave,
                               .group_full = group_full,
                               .sync = sync_batch,
                               .acquire = acquire,
                               .settle = settle,
                               .release = release,
                               .record = record,
                               .cancel = cancel,
                               .call = call,
                               .count = count,
                               .cut = cut,
                               .hide_keys = hide_keys,
                               .random = random_bits,
                               .note = note,
                               .push = push};
}
