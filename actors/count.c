// The sum of what all actors count.
#include "actors/count.h"

#include "bus/frames.h"

#include <string.h>

static hg_err ask(struct hg_shell *shell, uint64_t request) {
  struct hg_message count;
  hg_message_init(&count, HG_COUNT);
  count.as.count.request = request;
  uint8_t frame[HG_INLINE_FRAME];
  const size_t size = hg_frame_encode(&count, frame, sizeof frame);
  return hg_link_send(&shell->life, 0, (struct hg_bytes){0}, (struct hg_bytes){frame, (uint32_t)size});
}

// True: it is the answer, and it is added to the sum.
static bool take(struct hg_shell *shell, struct hg_received *frame, uint64_t request, struct hg_counters *sum) {
  size_t size;
  struct hg_message message;
  const uint8_t *data = hg_received_data(frame, &size);
  if (hg_frame_decode(data, size, &message) != HG_OK) return false;
  if (message.kind == HG_STOPPED) {
    shell->ended = true;
    shell->ended_with = (hg_err)message.as.stopped.error;
  }
  if (message.kind != HG_COUNTED || message.as.counted.request != request) return false;
  struct hg_counters counters;
  assert(message.as.counted.counters.size == sizeof counters);
  memcpy(&counters, message.as.counted.counters.data, sizeof counters);
  hg_counters_add(sum, &counters);
  return true;
}

static hg_err hear(struct hg_shell *shell, uint64_t request, int64_t deadline, struct hg_counters *sum) {
  while (!shell->ended) {
    struct hg_received frame;
    hg_peer peer;
    hg_err err = hg_link_receive(&shell->life, &peer, &frame);
    if (err == HG_OK) {
      const bool counted = take(shell, &frame, request, sum);
      hg_received_close(&frame);
      if (counted) return HG_OK;
      continue;
    }
    if (err != HG_ERR_EMPTY) return err;
    const int64_t left = deadline - hg_clock_now().monotonic_us;
    uint32_t readable;
    if (left <= 0) return HG_ERR_TIMEOUT;
    err = hg_links_wait(&shell->life, 1, 1, left, &readable);
    if (err != HG_OK) return err;
  }
  return HG_ERR_CLOSED;
}

hg_err hg_count_all(struct hg_shell *shells, size_t count, uint64_t request, int64_t deadline,
                    struct hg_counters *sum) {
  hg_err err = HG_OK;
  *sum = (struct hg_counters){0};
  for (size_t i = 0; err == HG_OK && i < count; i++)
    err = ask(&shells[i], request);
  for (size_t i = 0; err == HG_OK && i < count; i++)
    err = hear(&shells[i], request, deadline, sum);
  return err;
}
