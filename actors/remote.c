// The remote's turns: is the other runtime there, leases, drain and stop.
#include "actors/remote_private.h"

#include <stdlib.h>

#define GREET_EVERY_US 1000000
#define GREETINGS_MAX                                                                                                  \
  10 // unanswered: then the other runtime counts as gone. Not time: this process may have been stopped
#define RENEW_EVERY_US (HG_LEASE_MS_OUTSIDE * INT64_C(1000) / 3)

void hg_remote_send(struct hg_remote *remote, const struct hg_message *message) {
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  const size_t size = hg_outside_encode_command(message, frame, sizeof frame);
  assert(size);
  hg_outbox_put_frame(remote->out, HG_PORT_CONTROL, 0, (struct hg_bytes){0}, (struct hg_bytes){frame, (uint32_t)size});
}

// A call of our own, so that nothing ends before it is answered.
void hg_remote_release(struct hg_remote *remote, uint64_t permit, const char *reason) {
  struct hg_message message;
  struct hg_remote_call *call = calloc(1, sizeof *call);
  const uint64_t request = ++remote->last_request;
  if (!call || !hg_id_map_put(&remote->calls, request, call)) {
    free(call);
    remote->out->failed = true;
    return;
  }
  *call = (struct hg_remote_call){.kind = HG_RELEASE, .request = request, .id = permit, .unwanted = true};
  hg_message_init(&message, HG_RELEASE_PERMIT);
  message.as.release_permit.request = request;
  message.as.release_permit.permit = permit;
  message.as.release_permit.outcome = HG_OUTCOME_FAILED;
  message.as.release_permit.reason = hg_text_of(reason);
  hg_remote_send(remote, &message);
}

// ------------------------------------------------------------------------------------------------ calls and permits

void hg_remote_drop_call(struct hg_remote *remote, struct hg_remote_call *call) {
  if (call->kind == HG_ACQUIRE && !call->unwanted) hg_id_map_remove(&remote->acquires, call->id);
  hg_id_map_remove(&remote->calls, call->request);
  free(call);
}

uint32_t hg_remote_unanswered(const struct hg_remote *remote) {
  return (uint32_t)(remote->calls.count - remote->acquires.count);
}

bool hg_remote_hold(struct hg_remote *remote, uint64_t id, hg_peer peer, bool ours) {
  struct hg_remote_permit *permit = calloc(1, sizeof *permit);
  if (!permit || !hg_heap_reserve(&remote->renewals, (uint32_t)remote->permits.count + 1) ||
      !hg_id_map_put(&remote->permits, id, permit)) {
    free(permit);
    return false;
  }
  *permit = (struct hg_remote_permit){.id = id, .peer = peer, .ours = ours};
  if (ours) hg_heap_put(&remote->renewals, &permit->in_renewals, remote->now.monotonic_us + RENEW_EVERY_US);
  return true;
}

void hg_remote_drop_permit(struct hg_remote *remote, uint64_t id) {
  struct hg_remote_permit *permit = hg_id_map_remove(&remote->permits, id);
  if (permit) hg_heap_remove(&remote->renewals, &permit->in_renewals);
  free(permit);
}

static int64_t renew(struct hg_remote *remote) {
  int64_t at;
  struct hg_heap_node *first;
  while ((first = hg_heap_first(&remote->renewals, &at)) && at <= remote->now.monotonic_us) {
    const struct hg_remote_permit *permit = HG_HOLDER(first, struct hg_remote_permit, in_renewals);
    struct hg_message message;
    hg_message_init(&message, HG_RENEW_PERMIT);
    message.as.renew_permit.permit = permit->id;
    hg_remote_send(remote, &message);
    hg_heap_put(&remote->renewals, first, remote->now.monotonic_us + RENEW_EVERY_US);
  }
  return at;
}

// ------------------------------------------------------------------------------------------------ the other runtime

// Whoever waits hears that nothing is known any more.
static void lose(struct hg_remote *remote) {
  struct hg_remote_call *call;
  struct hg_message done;
  if (remote->lost) return;
  remote->lost = true;
  for (;;) {
    size_t at = 0;
    if (!(call = hg_id_map_next(&remote->calls, &at))) return;
    // Of one reporter the oldest first: the answers are cumulative.
    if (call->reporter) call = call->reporter->first;
    hg_message_done(&done, call->request, HG_ERR_STORE, hg_err_text(HG_ERR_STORE));
    hg_remote_end_call(remote, call, &done);
  }
}

static int64_t greet(struct hg_remote *remote) {
  const int64_t now = remote->now.monotonic_us;
  if (remote->lost) return HG_NEVER;
  if (now < remote->greet_at) return remote->greet_at;
  if (remote->unanswered_greetings == GREETINGS_MAX) {
    lose(remote);
    return HG_NEVER;
  }
  struct hg_message hello;
  hg_message_init(&hello, HG_HELLO);
  hg_remote_send(remote, &hello);
  remote->unanswered_greetings++;
  remote->greet_at = now + GREET_EVERY_US;
  return remote->greet_at;
}

static void hear(struct hg_remote *remote, const struct hg_message *message) {
  remote->unanswered_greetings = 0;
  if (message->kind == HG_WELCOME && message->as.welcome.life != remote->life) lose(remote);
  hg_remote_from_gateway(remote, message);
}

// ------------------------------------------------------------------------------------------------ drain and stop

static void drain(struct hg_remote *remote, uint64_t timeout_us) {
  const int64_t now = remote->now.monotonic_us;
  struct hg_remote_call *call;
  remote->draining = true;
  remote->drain_until = timeout_us < (uint64_t)(HG_NEVER - now) ? now + (int64_t)timeout_us : HG_NEVER;
  for (size_t at = 0; (call = hg_id_map_next(&remote->calls, &at));)
    if (call->kind == HG_ACQUIRE) hg_remote_give_up_acquire(remote, call, HG_ERR_CLOSED);
}

static int64_t go_on_draining(struct hg_remote *remote) {
  const uint32_t open = (uint32_t)remote->permits.count;
  if (!remote->draining || remote->drained) return HG_NEVER;
  if (open > 0 && !remote->lost && remote->now.monotonic_us < remote->drain_until) return remote->drain_until;
  remote->drained = true;
  struct hg_message drained;
  hg_message_init(&drained, HG_DRAINED);
  drained.as.drained.open_permits = open;
  hg_outbox_put(remote->out, HG_PORT_LIFE, 0, &drained);
  return HG_NEVER;
}

static void go_on_stopping(struct hg_remote *remote) {
  const bool answered = hg_remote_unanswered(remote) == 0 && !remote->lost;
  if (!remote->stopping || (!answered && !remote->stop_now && !remote->lost)) return;
  if (answered) hg_outbox_finish(remote->out, HG_OK, NULL);
  else hg_outbox_finish(remote->out, HG_ERR_STORE, "the runtime that was asked did not answer to the end");
}

// ------------------------------------------------------------------------------------------------ turns

static void receive(void *self, struct hg_now now, const struct hg_envelope *in, struct hg_outbox *out) {
  struct hg_remote *remote = self;
  remote->now = now;
  remote->out = out;
  if (in->port == HG_PORT_TRACKER) hg_remote_from_tracker_client(remote, in);
  else if (in->port == HG_PORT_SCHEDULER) hg_remote_from_scheduler_client(remote, in);
  else if (in->port == HG_PORT_CONTROL) hear(remote, &in->message);
  else if (in->message.kind == HG_DRAIN) drain(remote, in->message.as.drain.timeout_us);
  else if (in->message.kind == HG_STOP) {
    remote->stopping = true;
    remote->stop_now |= in->message.as.stop.now;
  }
}

static int64_t earlier(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static int64_t flush(void *self, struct hg_now now, struct hg_outbox *out) {
  struct hg_remote *remote = self;
  remote->now = now;
  remote->out = out;
  int64_t wake = greet(remote);
  if (!remote->lost) wake = earlier(wake, renew(remote));
  wake = earlier(wake, go_on_draining(remote));
  go_on_stopping(remote);
  return wake;
}

static uint32_t listens(const void *self) {
  const uint32_t always = 1U << HG_PORT_LIFE | 1U << HG_PORT_CONTROL;
  if (hg_remote_unanswered(self) >= HG_REMOTE_WINDOW) return always;
  return always | 1U << HG_PORT_TRACKER | 1U << HG_PORT_SCHEDULER;
}

static void destroy(void *self) {
  struct hg_remote *remote = self;
  void *each;
  for (size_t at = 0; (each = hg_id_map_next(&remote->calls, &at));)
    free(each);
  for (size_t at = 0; (each = hg_id_map_next(&remote->reporters, &at));)
    free(each);
  for (size_t at = 0; (each = hg_id_map_next(&remote->permits, &at));)
    free(each);
  hg_id_map_destroy(&remote->calls);
  hg_id_map_destroy(&remote->acquires);
  hg_id_map_destroy(&remote->reporters);
  hg_id_map_destroy(&remote->permits);
  hg_heap_destroy(&remote->renewals);
  free(remote);
}

hg_err hg_remote_new(const struct hg_config *config, uint64_t life, struct hg_actor *out) {
  struct hg_remote *remote = calloc(1, sizeof *remote);
  if (!remote) return HG_ERR_NO_MEMORY;
  remote->config = config;
  remote->life = life;
  *out = (struct hg_actor){"hg-remote", remote, receive, flush, listens, destroy};
  return HG_OK;
}
