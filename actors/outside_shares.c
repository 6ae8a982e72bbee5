// How much each connection may have under way, so that no number of them keeps others out.
//
// A share of places is divided as the memory of a switch among its queues, by a dynamic threshold (Choudhury and Hahne,
// "Dynamic queue length thresholds for shared-memory packet switches", IEEE/ACM Transactions on Networking 6(2), 1998):
// a connection may have one more while it has fewer than half of what is free. Of B places n that want all they can get
// then have B / (n + 2) each, and 2B / (n + 2) are left. Of 32,768: one is stopped by its own bound of 8,192; nine have
// 2,979 and leave 5,957; 256 have 127 and leave 254.
//
// That holds for those who come together. One after another each takes a third of what is left, and what waits may wait
// for days, so that at last nothing would be. So the first HG_OUTSIDER_LEAST of each connection come in all the same.
// Acquires then push out the newest of the connection that has the most, as a full switch may the tail of its longest
// queue; all others are answered soon, and have places beyond the share.
#include "actors/gateway_private.h"

static const struct {
  uint32_t all, one, beyond;
} shares[HG_SHARE_COUNT] = {
    [HG_SHARE_ACQUIRES] = {HG_OUTSIDE_ACQUIRES_MAX, HG_OUTSIDER_ACQUIRES_MAX, 0},
    [HG_SHARE_ENDS] = {HG_OUTSIDE_ENDS_MAX, HG_OUTSIDER_ENDS_MAX, HG_CONNECTIONS_MAX *HG_OUTSIDER_LEAST},
    [HG_SHARE_SHORT] = {HG_OUTSIDE_SHORT_MAX, HG_OUTSIDER_SHORT_MAX, HG_CONNECTIONS_MAX *HG_OUTSIDER_LEAST},
};

// Whoever waits for as much as it may must still be able to end and renew what it holds, and to ask.
enum hg_share hg_gateway_share_of(enum hg_kind kind) {
  if (kind == HG_ACQUIRE_PERMIT) return HG_SHARE_ACQUIRES;
  const bool ends = kind == HG_SETTLE_PERMIT || kind == HG_RELEASE_PERMIT || kind == HG_RENEW_PERMIT;
  return ends ? HG_SHARE_ENDS : HG_SHARE_SHORT;
}

static void join_crowd(struct hg_gateway *gateway, struct hg_outsider *outsider) {
  const uint32_t count = outsider->taken[HG_SHARE_ACQUIRES];
  if (count) hg_heap_put(&gateway->crowd, &outsider->in_crowd, -(int64_t)count);
  else hg_heap_remove(&gateway->crowd, &outsider->in_crowd);
}

// The scheduler must still say how it ends.
static bool push_out(struct hg_gateway *gateway, uint32_t more_than) {
  struct hg_heap_node *first = hg_heap_first(&gateway->crowd, &(int64_t){0});
  struct hg_outsider *most = first ? HG_HOLDER(first, struct hg_outsider, in_crowd) : NULL;
  if (!most || !most->acquires || most->taken[HG_SHARE_ACQUIRES] <= more_than) return false;
  most->acquires->as.acquire.pushed_out = true;
  hg_gateway_give_up_acquire(gateway, most->acquires);
  return true;
}

bool hg_gateway_take_place(struct hg_gateway *gateway, struct hg_outsider *outsider, enum hg_share share) {
  const uint32_t all = shares[share].all, taken = gateway->taken[share], own = outsider->taken[share];
  const uint32_t free = taken < all ? all - taken : 0;
  const bool is_acquire = share == HG_SHARE_ACQUIRES;
  bool fits = own < shares[share].one && own < free / 2;
  if (is_acquire && !hg_heap_reserve(&gateway->crowd, gateway->crowd.count + 1)) return false;
  if (!fits && own < HG_OUTSIDER_LEAST)
    fits = taken < all + shares[share].beyond || (is_acquire && push_out(gateway, own + 1));
  if (!fits) return false;
  outsider->taken[share]++;
  gateway->taken[share]++;
  if (is_acquire) join_crowd(gateway, outsider);
  return true;
}

void hg_gateway_give_back_place(struct hg_gateway *gateway, struct hg_outsider *outsider, enum hg_share share) {
  outsider->taken[share]--;
  gateway->taken[share]--;
  if (share == HG_SHARE_ACQUIRES) join_crowd(gateway, outsider);
}
