// Counts of live subscriptions, by kind of event and by connection.
#include "actors/subscriptions.h"

#include "schemas/siphash.h"

#include <string.h>

// A topic is known by its hash. Who makes two topics collide miscounts their own subscriptions, and nobody else's.
static uint64_t id_of(const uint8_t *topic, size_t size) {
  static const struct hg_hash_key key = {UINT64_C(0x746f70696373), 0};
  return hg_siphash(key, topic, size) | 1; // never 0
}

// Adds 1 or takes 1 away. False: no memory.
static bool change_count(struct hg_subscriptions *subscriptions, uintptr_t owner, int by, uintptr_t *out) {
  *out = (uintptr_t)hg_id_map_get(&subscriptions->counts, owner) + (uintptr_t)by;
  if (*out) return hg_id_map_put(&subscriptions->counts, owner, (void *)*out);
  (void)hg_id_map_remove(&subscriptions->counts, owner);
  return true;
}

static void change_wanted(struct hg_subscriptions *subscriptions, const uint8_t *topic, size_t size, int by) {
  for (uint32_t i = 0; i < HG_EVENT_KINDS; i++) {
    const struct hg_kind_info *info = hg_kind_info(HG_EVENT_FIRST + i);
    if (info && size <= strlen(info->name) && memcmp(info->name, topic, size) == 0)
      subscriptions->wanted[i] += (uint32_t)by;
  }
}

// Of a topic that nobody wants any more.
static void forget(struct hg_subscriptions *subscriptions, uint64_t id) {
  const uintptr_t owner = (uintptr_t)hg_id_map_remove(&subscriptions->owners, id);
  uintptr_t left;
  if (owner) (void)change_count(subscriptions, owner, -1, &left);
}

static enum hg_subscription remember(struct hg_subscriptions *subscriptions, hg_peer peer, uint64_t id, size_t size) {
  uintptr_t count = 0;
  if (!hg_id_map_get(&subscriptions->owners, id) &&
      !(hg_id_map_put(&subscriptions->owners, id, (void *)(uintptr_t)peer) &&
        change_count(subscriptions, (uintptr_t)peer, 1, &count)))
    return HG_SUBSCRIPTION_TOO_MANY; // there is no memory to keep count of it
  return count > HG_SUBSCRIBER_TOPICS_MAX || size > HG_TOPIC_MAX ? HG_SUBSCRIPTION_TOO_MANY : HG_SUBSCRIPTION_TAKEN;
}

enum hg_subscription hg_subscriptions_take(struct hg_subscriptions *subscriptions, hg_peer peer, const uint8_t *frame,
                                           size_t size) {
  if (size == 0 || frame[0] > 1) return HG_SUBSCRIPTION_NONE;
  const uint64_t id = id_of(frame + 1, size - 1);
  change_wanted(subscriptions, frame + 1, size - 1, frame[0] == 1 ? 1 : -1);
  if (frame[0] == 1) return peer ? remember(subscriptions, peer, id, size - 1) : HG_SUBSCRIPTION_TAKEN;
  forget(subscriptions, id);
  return HG_SUBSCRIPTION_TAKEN;
}

void hg_subscriptions_destroy(struct hg_subscriptions *subscriptions) {
  hg_id_map_destroy(&subscriptions->owners);
  hg_id_map_destroy(&subscriptions->counts);
}
