// What the subscribers of one socket want, and which of their connections send too much.
//
// ZeroMQ tells of the end of a subscription also when who sends it never had it, while others still have it. So what
// somebody outside has once wanted counts as wanted from then on; only the sockets of this process are taken at their
// word.
#ifndef HG_SUBSCRIPTIONS_H
#define HG_SUBSCRIPTIONS_H

#include "actors/actor.h"
#include "base/id_map.h"
#include "schemas/limits.h"

struct hg_subscriptions {
  uint32_t wanted[HG_EVENT_KINDS]; // subscriptions that are the beginning of its name
  // Of the connections heard last: how many frames each has sent in its life, and in which order they came.
  struct hg_id_map frames;
  hg_peer *heard; // a ring of HG_SUBSCRIBERS_KNOWN; NULL: nobody outside yet
  uint32_t next;
};

enum hg_subscription { HG_SUBSCRIPTION_TAKEN, HG_SUBSCRIPTION_NONE, HG_SUBSCRIPTION_TOO_MANY };

// A frame as XPUB hands it up: of each topic the first subscription (a byte 1, then the topic) and ends (a byte 0).
// `peer`: the connection that it came over; 0: inside the process, or a connection that ended. `*forgotten`: not 0, a
// connection that nothing is known of any more, and that is to be cut if it is still there.
enum hg_subscription hg_subscriptions_take(struct hg_subscriptions *subscriptions, hg_peer peer, const uint8_t *frame,
                                           size_t size, hg_peer *forgotten);
// As above, for a socket that only this process reaches.
enum hg_subscription hg_subscriptions_take_inside(struct hg_subscriptions *subscriptions, const uint8_t *frame,
                                                  size_t size);
void hg_subscriptions_destroy(struct hg_subscriptions *subscriptions);

#endif
