// The tracker's turns: takes messages, starts and stops, and what all decisions have in common. [8_RISKS-REQ-031]
#include "actors/tracker_private.h"

#include "base/money.h"

#include <stdlib.h>
#include <string.h>

// A stop lets what clients sent before it come in first: until a turn brings nothing, but not for ever.
#define STOP_TURNS_MAX (2 * HG_LINK_HWM / HG_BURST)

void hg_tracker_emit(struct hg_tracker *tracker, uint32_t budget, struct hg_message *event) {
  hg_fact_log_append(&tracker->log, tracker->now.utc_us, budget, event);
}

void hg_tracker_answer(struct hg_tracker *tracker, hg_peer peer, const struct hg_message *answer) {
  if (tracker->store.given_up) hg_tracker_answer_lost(tracker, peer, answer);
  else if (tracker->log.durable == tracker->log.seq) hg_outbox_put(tracker->out, HG_PORT_CLIENTS, peer, answer);
  else if (!hg_held_put(&tracker->held, tracker->log.seq, HG_PORT_CLIENTS, peer, answer)) tracker->out->failed = true;
}

bool hg_tracker_labels_fit(struct hg_text task_id, struct hg_text model, struct hg_text response_id) {
  return task_id.size <= HG_TASK_ID_MAX && model.size <= HG_LABEL_MAX && response_id.size <= HG_LABEL_MAX;
}

void hg_tracker_tell_overrun(struct hg_tracker *tracker, uint32_t index, int64_t over_by, const char *reason,
                             struct hg_text task_id) {
  const struct hg_budget *budget = &tracker->budgets.at[index];
  struct hg_message event;
  hg_message_init(&event, HG_BUDGET_OVERRUN);
  struct hg_budget_overrun_message *overrun = &event.as.budget_overrun;
  overrun->used = budget->used;
  overrun->reserved = budget->reserved;
  overrun->hard_limit = budget->hard_limit;
  overrun->over_by = over_by;
  overrun->reason = hg_text_of(reason);
  overrun->task_id = task_id;
  hg_tracker_emit(tracker, index, &event);
}

static void tell_over_limit(struct hg_tracker *tracker, uint32_t index, int64_t used, struct hg_text task_id) {
  const struct hg_budget *budget = &tracker->budgets.at[index];
  const int64_t over_by = budget->used - budget->hard_limit;
  if (over_by > 0 && over_by - used <= 0) hg_tracker_tell_overrun(tracker, index, over_by, "over_limit", task_id);
}

void hg_tracker_tell_crossings(struct hg_tracker *tracker, uint32_t leaf, int64_t used, struct hg_text task_id) {
  if (used <= 0) return;
  do
    tell_over_limit(tracker, leaf, used, task_id);
  while (hg_budget_up(&tracker->budgets, &leaf));
}

// ---------------------------------------------------------------------------------------------------- latches

static void tell_throttle(struct hg_tracker *tracker, uint32_t index) {
  struct hg_budget *budget = &tracker->budgets.at[index];
  const uint32_t most = tracker->max_concurrency, least = tracker->budgets.throttled_concurrency;
  // Where the maximum leaves nothing to throttle nothing is told. What was told is always taken back, so that the two
  // events alternate however the maximum changes between them.
  if (budget->closed == budget->throttle_told || (budget->closed && most <= least)) return;
  const uint32_t percent = hg_budget_compared_percent(&tracker->budgets, budget);
  struct hg_message event;
  if (budget->closed) {
    hg_message_init(&event, HG_CONCURRENCY_THROTTLED);
    event.as.concurrency_throttled.from_count = most;
    event.as.concurrency_throttled.to_count = least;
    event.as.concurrency_throttled.usage_percent = percent;
  } else {
    hg_message_init(&event, HG_CONCURRENCY_RESTORED);
    event.as.concurrency_restored.from_count = most < least ? most : least;
    event.as.concurrency_restored.to_count = most;
    event.as.concurrency_restored.usage_percent = percent;
  }
  hg_tracker_emit(tracker, index, &event);
  budget->throttle_told = budget->closed;
}

void hg_tracker_tell_latch(struct hg_tracker *tracker, uint32_t budget) {
  struct hg_message crossed;
  hg_message_init(&crossed, HG_CROSSED);
  crossed.as.crossed.budget = budget;
  crossed.as.crossed.closed = tracker->budgets.at[budget].closed;
  hg_outbox_put(tracker->out, HG_PORT_DECISIONS, 0, &crossed);
}

static void wake(struct hg_tracker *tracker, uint32_t budget) {
  if (!tracker->budgets.at[budget].is_short) return;
  tracker->budgets.at[budget].is_short = false;
  struct hg_message room;
  hg_message_init(&room, HG_ROOM);
  room.as.room.budget = budget;
  hg_outbox_put(tracker->out, HG_PORT_DECISIONS, 0, &room);
}

void hg_tracker_update_latch(struct hg_tracker *tracker, uint32_t index) {
  struct hg_budget *budget = &tracker->budgets.at[index];
  const bool closed = hg_budget_should_close(&tracker->budgets, budget);
  if (closed == budget->closed) return;
  budget->closed = closed;
  if (!closed) budget->told = HG_WAIT_NONE;
  tell_throttle(tracker, index);
  hg_tracker_tell_latch(tracker, index);
  if (!closed) wake(tracker, index);
}

void hg_tracker_settle_path(struct hg_tracker *tracker, uint32_t leaf, bool freed) {
  do {
    hg_tracker_update_latch(tracker, leaf);
    hg_tracker_note_use(tracker, leaf);
    if (freed) wake(tracker, leaf);
  } while (hg_budget_up(&tracker->budgets, &leaf));
}

static void set_max_concurrency(struct hg_tracker *tracker, uint32_t count) {
  const uint32_t before = tracker->max_concurrency, least = tracker->budgets.throttled_concurrency;
  if (count != before) {
    struct hg_message event;
    hg_message_init(&event, HG_MAX_CONCURRENCY_CHANGED);
    event.as.max_concurrency_changed.from_count = before;
    event.as.max_concurrency_changed.to_count = count;
    tracker->max_concurrency = count;
    hg_tracker_emit(tracker, 0, &event);
  }
  // Throttles that closed while there was nothing to throttle become news.
  for (uint32_t i = 0; before <= least && count > least && i < tracker->budgets.count; i++)
    tell_throttle(tracker, i);
  struct hg_message noted;
  hg_message_init(&noted, HG_MAX_CONCURRENCY_NOTED);
  noted.as.max_concurrency_noted.seq = tracker->log.seq;
  hg_outbox_put(tracker->out, HG_PORT_DECISIONS, 0, &noted);
}

// ---------------------------------------------------------------------------------------------- start and stop

static void tell_started(struct hg_tracker *tracker) {
  const struct hg_budget *root = &tracker->budgets.at[0];
  struct hg_message event;
  hg_message_init(&event, HG_RUNTIME_STARTED);
  struct hg_runtime_started_message *started = &event.as.runtime_started;
  started->version = hg_text_of(hg_version());
  started->used = root->used;
  started->reserved = root->reserved;
  started->hard_limit = root->hard_limit;
  started->max_concurrency = tracker->max_concurrency;
  started->throttled = root->throttle_told;
  started->orphans = (uint32_t)tracker->left_open_count;
  started->unit = hg_text_of(hg_unit_name(tracker->config->unit));
  hg_tracker_emit(tracker, 0, &event);
}

// Limits that the configuration changed since it was read last. One that was raised by hand stays while the file says
// what it said.
static void tell_configured_limit(struct hg_tracker *tracker, uint32_t index) {
  const struct hg_ledger_budget *stored = &tracker->stored[index];
  struct hg_budget *budget = &tracker->budgets.at[index];
  const int64_t configured = tracker->config->budgets[index].hard_limit;
  if (!hg_ledger_limit_is_news(stored, configured)) return;
  budget->hard_limit = configured;
  struct hg_message event;
  hg_message_init(&event, HG_LIMIT_CHANGED);
  struct hg_limit_changed_message *changed = &event.as.limit_changed;
  changed->used = budget->used;
  changed->reserved = budget->reserved;
  changed->hard_limit = configured;
  changed->previous_limit = stored->is_new ? 0 : stored->hard_limit;
  changed->reason = hg_text_of("configuration");
  hg_tracker_emit(tracker, index, &event);
}

static void start(struct hg_tracker *tracker) {
  tracker->state = HG_TRACKER_RUNNING;
  tell_started(tracker);
  for (uint32_t i = 0; i < tracker->budgets.count; i++)
    tell_configured_limit(tracker, i);
  for (size_t i = 0; i < tracker->left_open_count; i++) {
    struct hg_permit_record *permit = hg_permits_get(&tracker->permits, tracker->left_open[i]);
    permit->at_opening = true;
    hg_tracker_orphan(tracker, permit, "interrupted");
  }
  for (uint32_t i = 0; i < tracker->budgets.count; i++) {
    const bool was_closed = tracker->budgets.at[i].closed;
    hg_tracker_update_latch(tracker, i);
    if (was_closed && tracker->budgets.at[i].closed) hg_tracker_tell_latch(tracker, i);
  }
  free(tracker->stored);
  free(tracker->left_open);
  tracker->stored = NULL;
  tracker->left_open = NULL;
}

static void tell_stopped(struct hg_tracker *tracker) {
  const struct hg_budget *root = &tracker->budgets.at[0];
  struct hg_message event;
  hg_message_init(&event, HG_RUNTIME_STOPPED);
  event.as.runtime_stopped.used = root->used;
  event.as.runtime_stopped.reserved = root->reserved;
  event.as.runtime_stopped.hard_limit = root->hard_limit;
  event.as.runtime_stopped.open_permits = root->open_permits;
  hg_tracker_emit(tracker, 0, &event);
  tracker->state = HG_TRACKER_STOPPED;
}

static void end(struct hg_tracker *tracker) {
  const bool all_durable = tracker->log.durable == tracker->log.seq;
  if (!all_durable && !tracker->stop_now && !tracker->store.given_up) return;
  if (all_durable) hg_outbox_finish(tracker->out, HG_OK, NULL);
  else hg_outbox_finish(tracker->out, HG_ERR_STORE, "the newest facts are not known to be durable");
}

// ------------------------------------------------------------------------------------------------------- turns

static void tell_audit(struct hg_tracker *tracker, const struct hg_audited_message *audited) {
  struct hg_message event;
  hg_message_init(&event, HG_AUDIT_DONE);
  event.as.audit_done.audited = audited->audited;
  event.as.audit_done.audited_rows = audited->rows;
  event.as.audit_done.differences = audited->differences;
  event.as.audit_done.lasted_us = audited->lasted_us;
  event.as.audit_done.reason = audited->reason;
  hg_tracker_emit(tracker, 0, &event);
  tracker->audit.audited = audited->audited;
  tracker->audit.differences = audited->differences;
  tracker->audit.failed = audited->differences == 0 && audited->reason.size > 0;
}

static void begin_turn(struct hg_tracker *tracker, struct hg_now now, struct hg_outbox *out) {
  tracker->now = now;
  tracker->out = out;
  if (tracker->state == HG_TRACKER_NEW) start(tracker);
}

static void receive_decision(struct hg_tracker *tracker, const struct hg_message *message) {
  if (tracker->store.given_up) hg_tracker_decide_nothing(tracker, message);
  else if (message->kind == HG_MAX_CONCURRENCY) set_max_concurrency(tracker, message->as.max_concurrency.count);
  else hg_tracker_decision(tracker, message);
}

static void receive(void *self, struct hg_now now, const struct hg_envelope *in, struct hg_outbox *out) {
  struct hg_tracker *tracker = self;
  begin_turn(tracker, now, out);
  if (in->port == HG_PORT_FACTS && in->message.kind == HG_COMMITTED) {
    hg_fact_log_committed(&tracker->log, in->message.as.committed.seq);
    hg_held_release(&tracker->held, tracker->log.durable, out);
    hg_tracker_note_store(tracker, &in->message.as.committed);
  } else if (in->port == HG_PORT_FACTS && in->message.kind == HG_USAGE_FOUND) {
    if (tracker->state != HG_TRACKER_STOPPED) hg_tracker_found(tracker, &in->message.as.usage_found);
  } else if (in->port == HG_PORT_FACTS && in->message.kind == HG_PERMIT_FOUND) {
    hg_tracker_end_found(tracker, &in->message.as.permit_found);
  } else if (in->port == HG_PORT_FACTS && in->message.kind == HG_AUDITED) {
    if (tracker->state != HG_TRACKER_STOPPED) tell_audit(tracker, &in->message.as.audited);
  } else if (in->port == HG_PORT_LIFE && in->message.kind == HG_STOP) {
    if (tracker->state == HG_TRACKER_RUNNING) tracker->state = HG_TRACKER_STOPPING;
    tracker->stop_now |= in->message.as.stop.now;
    tracker->heard = true;
  } else if (tracker->state != HG_TRACKER_STOPPED && in->port == HG_PORT_CLIENTS) {
    tracker->heard = true;
    hg_tracker_receive(tracker, in);
  } else if (tracker->state != HG_TRACKER_STOPPED && in->port == HG_PORT_DECISIONS) {
    tracker->heard = true;
    receive_decision(tracker, &in->message);
  }
}

// Facts that nobody will store do not have to wait for room.
static bool is_full(const struct hg_tracker *tracker) {
  return hg_fact_log_is_full(&tracker->log) && !tracker->store.given_up;
}

static bool waits_for_finds(const struct hg_tracker *tracker) {
  return tracker->finds.count > 0 || tracker->end_finds.count > 0;
}

static int64_t flush(void *self, struct hg_now now, struct hg_outbox *out) {
  struct hg_tracker *tracker = self;
  begin_turn(tracker, now, out);
  hg_tracker_answer_peers(tracker);
  if (tracker->state == HG_TRACKER_STOPPING) {
    const bool drained = !tracker->heard && !is_full(tracker) && !waits_for_finds(tracker);
    if (drained || tracker->stop_now || ++tracker->stop_turns > STOP_TURNS_MAX) tell_stopped(tracker);
  }
  tracker->heard = false;
  hg_usage_ids_forget(&tracker->usage_ids, tracker->log.durable);
  hg_fact_log_send(&tracker->log, out);
  hg_tracker_tell_durable(tracker);
  if (tracker->state == HG_TRACKER_STOPPED) end(tracker);
  const bool waits = is_full(tracker) || waits_for_finds(tracker); // for the persister
  return tracker->state == HG_TRACKER_STOPPING && !waits ? now.monotonic_us : HG_NEVER;
}

// Over the backlog only commits and the runtime are heard: commands wait in their pipes, and their senders hear BUSY.
static uint32_t listens(const void *self) {
  const struct hg_tracker *tracker = self;
  const uint32_t always = 1U << HG_PORT_FACTS | 1U << HG_PORT_LIFE;
  if (is_full(tracker)) return always;
  if (hg_tracker_asks_much(tracker)) return always | 1U << HG_PORT_DECISIONS;
  return always | 1U << HG_PORT_CLIENTS | 1U << HG_PORT_DECISIONS;
}

static void destroy(void *self) {
  struct hg_tracker *tracker = self;
  while (tracker->dirty) {
    struct hg_tracker_peer *peer = tracker->dirty;
    tracker->dirty = peer->next;
    if (peer->gone) free(peer);
  }
  size_t at = 0;
  for (struct hg_tracker_peer *peer; (peer = hg_id_map_next(&tracker->peers, &at));) {
    hg_tracker_forget_deferred(tracker, peer);
    free(peer);
  }
  hg_id_map_destroy(&tracker->peers);
  hg_id_map_destroy(&tracker->finds);
  hg_tracker_forget_ends(tracker);
  hg_usage_ids_destroy(&tracker->usage_ids);
  hg_tracker_free_reporters(tracker);
  hg_held_destroy(&tracker->held);
  hg_fact_log_destroy(&tracker->log);
  hg_permits_destroy(&tracker->permits);
  hg_budgets_destroy(&tracker->budgets);
  free(tracker->stored);
  free(tracker->left_open);
  free(tracker->lines);
  free(tracker);
}

// Permits of the last runtime have no slot here; the start makes orphans of those that are not orphans yet.
static bool take_over(struct hg_tracker *tracker, const struct hg_ledger_state *state) {
  tracker->stored = malloc(state->budget_count * sizeof *tracker->stored);
  tracker->left_open = malloc((state->permit_count + 1) * sizeof *tracker->left_open);
  if (!tracker->stored || !tracker->left_open) return false;
  memcpy(tracker->stored, state->budgets, state->budget_count * sizeof *tracker->stored);
  for (size_t i = 0; i < state->permit_count; i++) {
    const struct hg_ledger_permit *stored = &state->permits[i];
    struct hg_permit_record *permit = hg_permits_open(&tracker->permits, stored->id, hg_text_of(stored->task_id));
    if (!permit) return false;
    permit->budget = stored->budget;
    permit->tokens = stored->tokens;
    permit->attempt = stored->attempt;
    permit->guess = stored->guess;
    if (!stored->orphaned)
      hg_budgets_count(&tracker->budgets, permit->budget, +1, 0, stored->kept ? permit->tokens : 0);
    if (!stored->orphaned && !stored->kept) tracker->left_open[tracker->left_open_count++] = permit->id;
    else if (!hg_permits_orphan(&tracker->permits, permit, stored->kept ? HG_PERMIT_KEPT : HG_PERMIT_GUESSED))
      return false;
  }
  return true;
}

hg_err hg_tracker_new(const struct hg_config *config, const struct hg_ledger_state *state, struct hg_actor *out) {
  struct hg_tracker *tracker = calloc(1, sizeof *tracker);
  if (!tracker) return HG_ERR_NO_MEMORY;
  tracker->config = config;
  tracker->max_concurrency = config->max_concurrency;
  tracker->told_durable = state->last_seq;
  hg_fact_log_init(&tracker->log, state->last_seq, state->topic_last);
  if (!hg_budgets_init(&tracker->budgets, config, state) || !hg_permits_init(&tracker->permits) ||
      !take_over(tracker, state) || !hg_tracker_take_over_reporters(tracker, state)) {
    destroy(tracker);
    return HG_ERR_NO_MEMORY;
  }
  *out = (struct hg_actor){"hg-tracker", tracker, receive, flush, listens, destroy};
  return HG_OK;
}
