// Counts of subscriptions, by kind of event, and of frames, by connection.
#include "actors/subscriptions.h"

#include <stdlib.h>
#include <string.h>

static_assert(HG_SUBSCRIBERS_KNOWN >= 4 * HG_CONNECTIONS_MAX, "who is forgotten has long gone, most likely");

static bool is_prefix(const uint8_t *topic, size_t size, const char *name) {
  return size <= strlen(name) && memcmp(name, topic, size) == 0;
}

static void change_wanted(struct hg_subscriptions *subscriptions, const uint8_t *topic, size_t size, int by) {
  for (uint32_t i = 0; i < HG_EVENT_KINDS; i++) {
    const struct hg_kind_info *info = hg_kind_info(HG_EVENT_FIRST + i);
    uint32_t *wanted = &subscriptions->wanted[i];
    if (info && is_prefix(topic, size, info->name) && *wanted != (by > 0 ? UINT32_MAX : 0)) *wanted += (uint32_t)by;
  }
}

// One more; 0: no memory.
static uintptr_t count_frame(struct hg_subscriptions *subscriptions, hg_peer peer, hg_peer *forgotten) {
  if (!subscriptions->heard) subscriptions->heard = calloc(HG_SUBSCRIBERS_KNOWN, sizeof *subscriptions->heard);
  if (!subscriptions->heard) return 0;
  const uintptr_t count = (uintptr_t)hg_id_map_get(&subscriptions->frames, peer) + 1;
  if (!hg_id_map_put(&subscriptions->frames, peer, (void *)count)) return 0;
  if (count > 1) return count;
  hg_peer *place = &subscriptions->heard[subscriptions->next++ % HG_SUBSCRIBERS_KNOWN];
  *forgotten = *place;
  if (*forgotten) (void)hg_id_map_remove(&subscriptions->frames, *forgotten);
  *place = peer;
  return count;
}

static bool is_subscription(const uint8_t *frame, size_t size) {
  return size > 0 && frame[0] <= 1;
}

enum hg_subscription hg_subscriptions_take(struct hg_subscriptions *subscriptions, hg_peer peer, const uint8_t *frame,
                                           size_t size, hg_peer *forgotten) {
  *forgotten = 0;
  if (!is_subscription(frame, size)) return HG_SUBSCRIPTION_NONE;
  if (frame[0] == 1) change_wanted(subscriptions, frame + 1, size - 1, 1);
  if (!peer) return HG_SUBSCRIPTION_TAKEN;
  const uintptr_t count = count_frame(subscriptions, peer, forgotten);
  const bool too_many = count == 0 || count > HG_SUBSCRIBER_FRAMES_MAX || size - 1 > HG_TOPIC_MAX;
  return too_many ? HG_SUBSCRIPTION_TOO_MANY : HG_SUBSCRIPTION_TAKEN;
}

enum hg_subscription hg_subscriptions_take_inside(struct hg_subscriptions *subscriptions, const uint8_t *frame,
                                                  size_t size) {
  if (!is_subscription(frame, size)) return HG_SUBSCRIPTION_NONE;
  change_wanted(subscriptions, frame + 1, size - 1, frame[0] == 1 ? 1 : -1);
  return HG_SUBSCRIPTION_TAKEN;
}

void hg_subscriptions_destroy(struct hg_subscriptions *subscriptions) {
  hg_id_map_destroy(&subscriptions->frames);
  free(subscriptions->heard);
  subscriptions->heard = NULL;
}
