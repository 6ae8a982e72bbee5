// Additive increase, multiplicative decrease.
#include "runner/pushback.h"

void hg_pushback_init(struct hg_pushback *pushback, uint32_t most) {
  *pushback = (struct hg_pushback){.most = most, .allowed = most, .lowered_at_ms = INT64_MIN};
}

uint32_t hg_pushback_allowed(const struct hg_pushback *pushback) {
  return (uint32_t)pushback->allowed;
}

bool hg_pushback_lasts(const struct hg_pushback *pushback) {
  return hg_pushback_allowed(pushback) < pushback->most;
}

// Half of what ran, where that was less than what was allowed: the provider has not seen more.
bool hg_pushback_push(struct hg_pushback *pushback, int64_t sent_ms, uint32_t running, int64_t now_ms) {
  if (sent_ms < pushback->lowered_at_ms) return false;
  const uint32_t before = hg_pushback_allowed(pushback), at_once = running < before ? running : before;
  pushback->lowered_at_ms = now_ms;
  pushback->allowed = at_once > 1 ? at_once / 2 : 1;
  return hg_pushback_allowed(pushback) < before;
}

bool hg_pushback_serve(struct hg_pushback *pushback) {
  if (!hg_pushback_lasts(pushback)) return false;
  pushback->allowed += 1 / pushback->allowed;
  if (pushback->allowed > pushback->most) pushback->allowed = pushback->most;
  return !hg_pushback_lasts(pushback);
}
