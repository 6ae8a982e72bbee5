// The embedder's side of the LIFE links.
#include "actors/life.h"

#include "bus/frames.h"

#include <string.h>

#define STOP_NOW_WITHIN_US 2000000
#define DRAINED_WITHIN_US 5000000 // the answer, once the time is over

static hg_err tell(struct hg_shell *shell, const struct hg_message *message) {
  uint8_t frame[HG_INLINE_FRAME];
  const size_t size = hg_frame_encode(message, frame, sizeof frame);
  return hg_link_send(&shell->life, 0, (struct hg_bytes){0}, (struct hg_bytes){frame, (uint32_t)size});
}

// The next message, whose texts and bytes are in the frame, to be closed by the caller.
static hg_err hear(struct hg_shell *shell, int64_t deadline, struct hg_received *frame, struct hg_message *message) {
  hg_err err;
  hg_peer peer;
  while ((err = hg_link_receive(&shell->life, &peer, frame)) != HG_OK) {
    const int64_t left = deadline - hg_clock_now().monotonic_us;
    uint32_t readable;
    if (err != HG_ERR_EMPTY) return err;
    if (left <= 0) return HG_ERR_TIMEOUT;
    err = hg_links_wait(&shell->life, 1, 1, left, &readable);
    if (err != HG_OK) return err;
  }
  size_t size;
  const uint8_t *data = hg_received_data(frame, &size);
  if (hg_frame_decode(data, size, message) != HG_OK) message->kind = HG_NONE;
  if (message->kind == HG_STOPPED) {
    shell->ended = true;
    shell->ended_with = (hg_err)message->as.stopped.error;
  }
  return HG_OK;
}

// Waits for a message of this kind. HG_ERR_CLOSED: the actor's last word came instead.
static hg_err wait_for(struct hg_shell *shell, enum hg_kind kind, int64_t deadline) {
  while (!shell->ended) {
    struct hg_received frame;
    struct hg_message message;
    const hg_err err = hear(shell, deadline, &frame, &message);
    if (err != HG_OK) return err;
    hg_received_close(&frame);
    if (message.kind == kind) return HG_OK;
  }
  return HG_ERR_CLOSED;
}

// ---------------------------------------------------------------------------------------------------- count

static bool add(const struct hg_message *message, uint64_t request, struct hg_counters *sum) {
  struct hg_counters counters;
  if (message->kind != HG_COUNTED || message->as.counted.request != request) return false;
  assert(message->as.counted.counters.size == sizeof counters);
  memcpy(&counters, message->as.counted.counters.data, sizeof counters);
  hg_counters_add(sum, &counters);
  return true;
}

static hg_err add_next(struct hg_shell *shell, uint64_t request, int64_t deadline, struct hg_counters *sum) {
  while (!shell->ended) {
    struct hg_received frame;
    struct hg_message message;
    const hg_err err = hear(shell, deadline, &frame, &message);
    if (err != HG_OK) return err;
    const bool added = add(&message, request, sum);
    hg_received_close(&frame);
    if (added) return HG_OK;
  }
  return HG_ERR_CLOSED;
}

hg_err hg_life_count(struct hg_shell *shells, size_t count, uint64_t request, int64_t deadline,
                     struct hg_counters *sum) {
  struct hg_message question;
  hg_err err = HG_OK;
  *sum = (struct hg_counters){0};
  hg_message_init(&question, HG_COUNT);
  question.as.count.request = request;
  for (size_t i = 0; err == HG_OK && i < count; i++)
    if (shells[i].started) err = tell(&shells[i], &question);
  for (size_t i = 0; err == HG_OK && i < count; i++)
    if (shells[i].started) err = add_next(&shells[i], request, deadline, sum);
  return err;
}

// ---------------------------------------------------------------------------------------------------- drain, stop

void hg_life_drain(struct hg_shell *scheduler, int64_t timeout_us) {
  struct hg_message message;
  hg_message_init(&message, HG_DRAIN);
  message.as.drain.timeout_us = (uint64_t)timeout_us;
  if (tell(scheduler, &message) == HG_OK)
    (void)wait_for(scheduler, HG_DRAINED, hg_clock_now().monotonic_us + timeout_us + DRAINED_WITHIN_US);
}

hg_err hg_life_stop(struct hg_shell *shell, bool now, int64_t within_us) {
  if (!shell->started) return HG_OK;
  if (shell->ended) return shell->ended_with;
  struct hg_message message;
  hg_message_init(&message, HG_STOP);
  message.as.stop.now = now;
  hg_err err = tell(shell, &message);
  if (err == HG_OK) err = wait_for(shell, HG_STOPPED, hg_clock_now().monotonic_us + within_us);
  if (err == HG_ERR_TIMEOUT && !now) {
    err = hg_life_stop(shell, true, STOP_NOW_WITHIN_US);
    return err == HG_OK ? HG_ERR_STORE : err;
  }
  return shell->ended ? shell->ended_with : err;
}
