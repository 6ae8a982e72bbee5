// What the subscribers of one socket want, and which of their connections want too much.
#ifndef HG_SUBSCRIPTIONS_H
#define HG_SUBSCRIPTIONS_H

#include "actors/actor.h"
#include "actors/id_map.h"

struct hg_subscriptions {
  uint32_t wanted[HG_EVENT_KINDS]; // live subscriptions that are the beginning of its name
  struct hg_id_map owners;         // of each live subscription, by a hash of its topic
  struct hg_id_map counts; // of live subscriptions, by owner; one that is gone stands while others want its topics
};

enum hg_subscription { HG_SUBSCRIPTION_TAKEN, HG_SUBSCRIPTION_NONE, HG_SUBSCRIPTION_TOO_MANY };

// A frame as XPUB hands it up: of each topic the first subscription (a byte 1, then the topic) and the last end of one
// (a byte 0). `peer`: the connection that it came over; 0: inside the process, or a connection that ended.
enum hg_subscription hg_subscriptions_take(struct hg_subscriptions *subscriptions, hg_peer peer, const uint8_t *frame,
                                           size_t size);
void hg_subscriptions_destroy(struct hg_subscriptions *subscriptions);

#endif
