// The figures of budgets: of one, and of all at one moment. [8_RISKS-REQ-031]
#include "actors/tracker_private.h"

#include "bus/frames.h"
#include "bus/topics.h"

#define PART_BYTES 3072 // of figures in one frame, which is held until it is durable

static void fill(const struct hg_tracker *tracker, uint32_t index, struct hg_usage_message *usage) {
  const struct hg_budget *budget = &tracker->budgets.at[index];
  usage->budget = index;
  usage->used = budget->used;
  usage->reserved = budget->reserved;
  usage->hard_limit = budget->hard_limit;
  usage->usage_percent = hg_usage_percent(budget->used, budget->hard_limit);
  usage->should_throttle =
      hg_should_throttle(hg_budget_compared_percent(&tracker->budgets, budget), tracker->budgets.throttle_percent);
  usage->throttled = budget->closed;
  usage->open_permits = budget->open_permits;
  usage->audited = tracker->audit.audited;
  usage->differences = tracker->audit.differences;
  usage->audit_failed = tracker->audit.failed;
  hg_tracker_fill_forecast(tracker, index, usage);
}

void hg_tracker_get_usage(struct hg_tracker *tracker, hg_peer peer, const struct hg_get_usage_message *question) {
  struct hg_message answer;
  hg_message_init(&answer, HG_USAGE);
  struct hg_usage_message *usage = &answer.as.usage;
  usage->request = question->request;
  usage->budget = question->budget;
  usage->seq = tracker->log.seq;
  // A budget that does not exist has no limit, which no other budget has.
  if (question->budget < tracker->budgets.count) fill(tracker, question->budget, usage);
  hg_tracker_answer(tracker, peer, &answer);
}

static uint32_t effective_concurrency(const struct hg_tracker *tracker) {
  const uint32_t most = tracker->max_concurrency, least = tracker->budgets.throttled_concurrency;
  return tracker->budgets.at[0].closed && least < most ? least : most;
}

// In parts, all of this turn: nothing changes between them.
void hg_tracker_get_snapshot(struct hg_tracker *tracker, hg_peer peer, const struct hg_get_snapshot_message *question) {
  uint8_t topics[HG_TOPICS_BYTES], bytes[PART_BYTES];
  struct hg_message answer;
  hg_message_init(&answer, HG_FIGURES);
  struct hg_figures_message *figures = &answer.as.figures;
  figures->request = question->request;
  figures->seq = tracker->log.seq;
  figures->max_concurrency = tracker->max_concurrency;
  figures->effective_concurrency = effective_concurrency(tracker);
  uint32_t size = 0;
  for (uint32_t i = 0; i < tracker->budgets.count;) {
    struct hg_message budget;
    hg_message_init(&budget, HG_USAGE);
    fill(tracker, i, &budget.as.usage);
    const size_t more = hg_frame_encode(&budget, bytes + size, sizeof bytes - size);
    size += (uint32_t)more;
    i += more > 0;
    figures->last = i == tracker->budgets.count;
    if (more > 0 && !figures->last) continue;
    figures->budgets = (struct hg_bytes){bytes, size};
    if (figures->last) figures->topics = hg_topics_write(tracker->log.topic_last, topics);
    hg_tracker_answer(tracker, peer, &answer);
    size = 0;
  }
}
