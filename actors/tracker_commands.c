// The tracker's clients: numbered commands, taken in sequence and answered cumulatively, and questions.
// [8_RISKS-REQ-031]
#include "actors/tracker_private.h"

#include <stdlib.h>

static void reject(struct hg_tracker *tracker, hg_peer peer, uint64_t number, hg_err err, uint64_t last) {
  struct hg_message rejected;
  hg_message_init(&rejected, HG_REJECTED);
  rejected.as.rejected.number = number;
  rejected.as.rejected.error = (uint32_t)err;
  rejected.as.rejected.last = last;
  hg_tracker_answer(tracker, peer, &rejected);
}

static struct hg_tracker_peer *add_peer(struct hg_tracker *tracker, hg_peer id) {
  struct hg_tracker_peer *peer = calloc(1, sizeof *peer);
  if (!peer) return NULL;
  peer->id = id;
  if (hg_id_map_put(&tracker->peers, id, peer)) return peer;
  free(peer);
  return NULL;
}

struct hg_tracker_peer *hg_tracker_find_peer(struct hg_tracker *tracker, hg_peer id, uint64_t number) {
  struct hg_tracker_peer *peer = hg_id_map_get(&tracker->peers, id);
  if (peer) return peer;
  if (tracker->peers.count >= HG_PEERS_MAX) {
    hg_count(tracker->out, busy_refusals);
    reject(tracker, id, number, HG_ERR_BUSY, 0);
    return NULL;
  }
  peer = id != 0 ? add_peer(tracker, id) : NULL;
  if (!peer) reject(tracker, id, number, id != 0 ? HG_ERR_NO_MEMORY : HG_ERR_INVALID, 0);
  return peer;
}

// Its sender, when the number is its next one, which is then decided whatever comes of it; NULL otherwise.
static struct hg_tracker_peer *take_number(struct hg_tracker *tracker, hg_peer id, uint64_t number) {
  struct hg_tracker_peer *peer = hg_tracker_find_peer(tracker, id, number);
  if (!peer) return NULL;
  if (number > peer->last && number - peer->last > 1) {
    reject(tracker, id, number, HG_ERR_SEQUENCE, peer->last);
    return NULL;
  }
  if (!peer->dirty) {
    peer->dirty = true;
    peer->next = tracker->dirty;
    tracker->dirty = peer;
  }
  if (number <= peer->last) return NULL;
  peer->last = number;
  hg_tracker_took_number(peer);
  return peer;
}

void hg_tracker_answer_peers(struct hg_tracker *tracker) {
  while (tracker->dirty) {
    struct hg_tracker_peer *peer = tracker->dirty;
    tracker->dirty = peer->next;
    peer->dirty = false;
    if (peer->gone) {
      free(peer);
      continue;
    }
    hg_tracker_tell_numbers(tracker, peer);
    struct hg_message recorded;
    hg_message_init(&recorded, HG_RECORDED);
    recorded.as.recorded.number = peer->last;
    hg_tracker_answer(tracker, peer->id, &recorded);
  }
}

static void leave(struct hg_tracker *tracker, hg_peer id) {
  hg_tracker_forget_lines(tracker, id);
  struct hg_tracker_peer *peer = hg_id_map_remove(&tracker->peers, id);
  if (!peer) return;
  hg_tracker_forget_deferred(tracker, peer);
  hg_tracker_left_name(peer);
  peer->gone = true;
  if (!peer->dirty) free(peer);
}

// ------------------------------------------------------------------------------------------------- commands

// A known usage id is answered as the first time, whatever has become of the budget since.
static hg_err record(struct hg_tracker *tracker, const struct hg_record_usage_message *command) {
  if (command->budget >= tracker->budgets.count) return HG_ERR_UNKNOWN_BUDGET;
  if (!hg_tracker_labels_fit(command->task_id, command->model, command->response_id)) return HG_ERR_INVALID;
  if (command->source == HG_SOURCE_MISSING) return HG_ERR_NO_USAGE;
  struct hg_message event;
  hg_message_init(&event, HG_USAGE_RECORDED);
  struct hg_usage_recorded_message *recorded = &event.as.usage_recorded;
  recorded->task_id = command->task_id;
  recorded->used_delta = command->tokens;
  HG_COPY_DETAILS(*recorded, *command);
  recorded->usage_id = command->usage_id;
  struct hg_usage_id *id;
  const hg_err known = hg_tracker_begin_once(tracker, &event, command->usage_id, command->budget, &id);
  if (known != HG_ERR_EMPTY) return known;
  if (command->tokens < 0 || !hg_budgets_fit(&tracker->budgets, command->budget, command->tokens, 0))
    return HG_ERR_RANGE;
  hg_budgets_add(&tracker->budgets, command->budget, command->tokens, 0);
  HG_SET_TOTALS(*recorded, &tracker->budgets.at[command->budget], command->tokens, 0);
  recorded->reporter = hg_tracker_sign(tracker, &recorded->number);
  hg_tracker_emit(tracker, command->budget, &event);
  if (id) id->seq = event.as.head.seq;
  hg_tracker_tell_crossings(tracker, command->budget, command->tokens, command->task_id);
  hg_tracker_settle_path(tracker, command->budget, false);
  return HG_OK;
}

static hg_err correct(struct hg_tracker *tracker, const struct hg_correct_usage_message *command) {
  if (command->budget >= tracker->budgets.count) return HG_ERR_UNKNOWN_BUDGET;
  struct hg_message event;
  hg_message_init(&event, HG_USAGE_CORRECTED);
  struct hg_usage_corrected_message *corrected = &event.as.usage_corrected;
  corrected->used_delta = command->tokens;
  corrected->reason = command->reason;
  corrected->usage_id = command->usage_id;
  struct hg_usage_id *id;
  const hg_err known = hg_tracker_begin_once(tracker, &event, command->usage_id, command->budget, &id);
  if (known != HG_ERR_EMPTY) return known;
  if (!hg_budgets_fit(&tracker->budgets, command->budget, command->tokens, 0)) return HG_ERR_RANGE;
  hg_budgets_add(&tracker->budgets, command->budget, command->tokens, 0);
  HG_SET_TOTALS(*corrected, &tracker->budgets.at[command->budget], command->tokens, 0);
  corrected->reporter = hg_tracker_sign(tracker, &corrected->number);
  hg_tracker_emit(tracker, command->budget, &event);
  if (id) id->seq = event.as.head.seq;
  uint32_t at = command->budget;
  do {
    tracker->budgets.at[at].told = HG_WAIT_NONE;
    tracker->budgets.at[at].exhausted_told = false;
  } while (hg_budget_up(&tracker->budgets, &at));
  hg_tracker_tell_crossings(tracker, command->budget, command->tokens, (struct hg_text){0});
  hg_tracker_settle_path(tracker, command->budget, command->tokens < 0);
  return HG_OK;
}

static hg_err set_hard_limit(struct hg_tracker *tracker, const struct hg_set_hard_limit_message *command) {
  if (command->budget >= tracker->budgets.count) return HG_ERR_UNKNOWN_BUDGET;
  if (command->tokens < 1 || command->tokens > HG_TOKENS_MAX) return HG_ERR_RANGE;
  struct hg_budget *budget = &tracker->budgets.at[command->budget];
  const int64_t previous = budget->hard_limit;
  if (previous == command->tokens) return HG_OK;
  budget->hard_limit = command->tokens;
  budget->told = HG_WAIT_NONE;
  budget->exhausted_told = false;
  struct hg_message event;
  hg_message_init(&event, HG_LIMIT_CHANGED);
  struct hg_limit_changed_message *changed = &event.as.limit_changed;
  changed->used = budget->used;
  changed->reserved = budget->reserved;
  changed->hard_limit = command->tokens;
  changed->previous_limit = previous;
  changed->reason = hg_text_of(command->configured ? "configuration" : "command");
  changed->reporter = hg_tracker_sign(tracker, &changed->number);
  hg_tracker_emit(tracker, command->budget, &event);
  hg_tracker_settle_path(tracker, command->budget, command->tokens > previous);
  return HG_OK;
}

// ------------------------------------------------------------------------------------------------ questions

static void tell_pushback(struct hg_tracker *tracker, const struct hg_tell_pushback_message *told) {
  struct hg_message event;
  if (told->task_id.size > HG_TASK_ID_MAX || tracker->store.given_up) return;
  hg_message_init(&event, HG_PROVIDER_PUSHBACK);
  event.as.provider_pushback.task_id = told->task_id;
  event.as.provider_pushback.from_count = told->from;
  event.as.provider_pushback.to_count = told->to;
  hg_tracker_emit(tracker, 0, &event);
}

static void tell_savings(struct hg_tracker *tracker, const struct hg_tell_savings_message *told) {
  const int64_t room = HG_TOKENS_MAX - tracker->saved;
  tracker->saved += told->saved < room ? told->saved : room;
  tracker->overran += told->overran;
}

static void get_orphan(struct hg_tracker *tracker, hg_peer peer, const struct hg_get_orphan_message *question) {
  const struct hg_permit_record *permit = hg_permits_orphan_after(&tracker->permits, question->after);
  struct hg_message answer;
  hg_message_init(&answer, HG_ORPHAN);
  struct hg_orphan_message *orphan = &answer.as.orphan;
  orphan->request = question->request;
  if (permit) {
    orphan->permit = permit->id;
    orphan->budget = permit->budget;
    orphan->tokens = permit->tokens;
    orphan->kept = permit->state == HG_PERMIT_KEPT;
    orphan->charged = permit->guess;
    orphan->task_id = hg_permit_task(permit);
    orphan->at_opening = permit->at_opening;
  }
  hg_tracker_answer(tracker, peer, &answer);
}

uint64_t hg_tracker_number_of(const struct hg_message *message) {
  if (message->kind == HG_RECORD_USAGE) return message->as.record_usage.number;
  if (message->kind == HG_CORRECT_USAGE) return message->as.correct_usage.number;
  return message->kind == HG_SET_HARD_LIMIT ? message->as.set_hard_limit.number : 0;
}

static void decide(struct hg_tracker *tracker, const struct hg_envelope *in) {
  const struct hg_message *message = &in->message;
  const uint64_t number = hg_tracker_number_of(message);
  tracker->deciding = take_number(tracker, in->peer, number);
  if (tracker->store.given_up) tracker->deciding = NULL; // the number gets its HG_ERR_STORE with all others
  if (!tracker->deciding) return;
  hg_err err = HG_OK;
  if (message->kind == HG_RECORD_USAGE) err = record(tracker, &message->as.record_usage);
  else if (message->kind == HG_CORRECT_USAGE) err = correct(tracker, &message->as.correct_usage);
  else err = set_hard_limit(tracker, &message->as.set_hard_limit);
  tracker->deciding = NULL;
  if (err != HG_OK) reject(tracker, in->peer, number, err, 0);
}

void hg_tracker_command(struct hg_tracker *tracker, const struct hg_envelope *in) {
  const struct hg_message *message = &in->message;
  if (message->kind == HG_RECORD_USAGE || message->kind == HG_CORRECT_USAGE || message->kind == HG_SET_HARD_LIMIT)
    decide(tracker, in);
  else if (message->kind == HG_GET_USAGE) hg_tracker_get_usage(tracker, in->peer, &message->as.get_usage);
  else if (message->kind == HG_GET_SNAPSHOT) hg_tracker_get_snapshot(tracker, in->peer, &message->as.get_snapshot);
  else if (message->kind == HG_GET_ORPHAN) get_orphan(tracker, in->peer, &message->as.get_orphan);
  else if (message->kind == HG_TELL_PUSHBACK) tell_pushback(tracker, &message->as.tell_pushback);
  else if (message->kind == HG_TELL_SAVINGS) tell_savings(tracker, &message->as.tell_savings);
  else if (message->kind == HG_TELL_LINES) hg_tracker_tell_lines(tracker, in->peer, &message->as.tell_lines);
  else if (message->kind == HG_REPORT_AS) hg_tracker_report_as(tracker, in->peer, &message->as.report_as);
  else if (message->kind == HG_LEAVE) leave(tracker, in->peer);
}
