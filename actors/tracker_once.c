// What counts once however often it is sent. A usage id that is not known here is looked up in the ledger: until the
// answer comes, everything that its client sends waits in line behind it. And clients with lasting names, whose numbers
// go on across restarts. [8_RISKS-REQ-031]
#include "actors/tracker_private.h"

#include "bus/frames.h"

#include <stdlib.h>
#include <string.h>

// A message of a client that waits, as it came.
struct hg_deferred {
  struct hg_deferred *next;
  hg_peer peer;
  uint64_t request;             // of the question to the ledger; 0: none, or it is answered
  struct hg_found_usage answer; // seq 0: there is no such row
  size_t size;
  uint8_t frame[];
};

// ---------------------------------------------------------------------------------------------------- usage ids

static struct hg_text usage_id_of(const struct hg_message *message) {
  if (message->kind == HG_RECORD_USAGE) return message->as.record_usage.usage_id;
  if (message->kind == HG_CORRECT_USAGE) return message->as.correct_usage.usage_id;
  return (struct hg_text){NULL, 0};
}

// Has to be asked for before it can be decided.
static bool is_unknown(const struct hg_tracker *tracker, struct hg_text usage_id) {
  return !tracker->store.given_up && usage_id.size > 0 && usage_id.size <= HG_LABEL_MAX &&
         !hg_usage_ids_find(&tracker->usage_ids, usage_id);
}

static bool ask_ledger(struct hg_tracker *tracker, struct hg_deferred *deferred, struct hg_text usage_id) {
  deferred->request = ++tracker->finds_asked;
  if (!hg_id_map_put(&tracker->finds, deferred->request, deferred)) return false;
  struct hg_message find;
  hg_message_init(&find, HG_FIND_USAGE);
  find.as.find_usage.request = deferred->request;
  find.as.find_usage.usage_id = usage_id;
  hg_outbox_put(tracker->out, HG_PORT_FACTS, 0, &find);
  return true;
}

// False: no memory, the message can be decided by nobody.
static bool defer(struct hg_tracker *tracker, struct hg_tracker_peer *peer, const struct hg_envelope *in) {
  struct hg_deferred *deferred = malloc(sizeof *deferred + in->frame_size);
  if (!deferred) return false;
  *deferred = (struct hg_deferred){.peer = in->peer, .size = in->frame_size};
  memcpy(deferred->frame, in->frame, in->frame_size);
  const struct hg_text usage_id = usage_id_of(&in->message);
  if (is_unknown(tracker, usage_id) && !ask_ledger(tracker, deferred, usage_id)) {
    free(deferred);
    return false;
  }
  if (peer->last_deferred) peer->last_deferred->next = deferred;
  else peer->first_deferred = deferred;
  peer->last_deferred = deferred;
  tracker->deferred_count++;
  return true;
}

static struct hg_deferred *take_first(struct hg_tracker *tracker, struct hg_tracker_peer *peer) {
  struct hg_deferred *first = peer->first_deferred;
  peer->first_deferred = first->next;
  if (!first->next) peer->last_deferred = NULL;
  tracker->deferred_count--;
  return first;
}

void hg_tracker_receive(struct hg_tracker *tracker, const struct hg_envelope *in) {
  struct hg_tracker_peer *peer = tracker->finds.count ? hg_id_map_get(&tracker->peers, in->peer) : NULL;
  const bool in_line = peer && peer->first_deferred;
  if (!in_line && !is_unknown(tracker, usage_id_of(&in->message))) {
    hg_tracker_command(tracker, in);
    return;
  }
  if (!peer) peer = hg_tracker_find_peer(tracker, in->peer, hg_tracker_number_of(&in->message));
  if (peer && !defer(tracker, peer, in)) tracker->out->failed = true;
}

// Decides what is first in line for as long as nothing has to be asked for it. The peer may leave by that.
static void go_on(struct hg_tracker *tracker, hg_peer id) {
  struct hg_tracker_peer *peer;
  while ((peer = hg_id_map_get(&tracker->peers, id)) && peer->first_deferred && !peer->first_deferred->request) {
    struct hg_deferred *first = take_first(tracker, peer);
    struct hg_envelope in = {.port = HG_PORT_CLIENTS, .peer = id, .frame = first->frame, .frame_size = first->size};
    tracker->found = first->answer;
    if (hg_frame_decode(first->frame, first->size, &in.message) == HG_OK) hg_tracker_command(tracker, &in);
    tracker->found = (struct hg_found_usage){0};
    free(first);
  }
}

void hg_tracker_found(struct hg_tracker *tracker, const struct hg_usage_found_message *answer) {
  struct hg_deferred *deferred = hg_id_map_remove(&tracker->finds, answer->request);
  if (!deferred) return; // of a client that is gone
  deferred->request = 0;
  deferred->answer = (struct hg_found_usage){answer->seq, answer->content};
  go_on(tracker, deferred->peer);
}

static struct hg_tracker_peer *any_in_line(const struct hg_tracker *tracker) {
  size_t at = 0;
  struct hg_tracker_peer *peer;
  while ((peer = hg_id_map_next(&tracker->peers, &at)) && !peer->first_deferred)
    ;
  return peer;
}

void hg_tracker_give_up_finds(struct hg_tracker *tracker) {
  size_t at = 0;
  for (struct hg_deferred *deferred; (deferred = hg_id_map_next(&tracker->finds, &at));)
    deferred->request = 0;
  hg_id_map_destroy(&tracker->finds);
  tracker->finds = (struct hg_id_map){0};
  for (struct hg_tracker_peer *peer; (peer = any_in_line(tracker));)
    go_on(tracker, peer->id);
}

void hg_tracker_forget_deferred(struct hg_tracker *tracker, struct hg_tracker_peer *peer) {
  while (peer->first_deferred) {
    struct hg_deferred *first = take_first(tracker, peer);
    hg_id_map_remove(&tracker->finds, first->request);
    free(first);
  }
}

bool hg_tracker_asks_much(const struct hg_tracker *tracker) {
  return tracker->finds.count >= HG_FINDS_WINDOW || tracker->deferred_count >= HG_DEFERRED_MAX;
}

hg_err hg_tracker_begin_once(struct hg_tracker *tracker, const struct hg_message *event, struct hg_text usage_id,
                             uint32_t budget, struct hg_usage_id **out) {
  *out = NULL;
  if (usage_id.size == 0) return HG_ERR_EMPTY;
  if (usage_id.size > HG_LABEL_MAX) return HG_ERR_INVALID;
  const uint64_t content = hg_usage_content(event, hg_text_of(tracker->config->budgets[budget].name));
  struct hg_usage_id *id = hg_usage_ids_find(&tracker->usage_ids, usage_id);
  const uint64_t seq = id && id->seq ? id->seq : tracker->found.seq;
  if (seq != 0) return (id && id->seq ? id->content : tracker->found.content) == content ? HG_OK : HG_ERR_CONFLICT;
  if (!id) id = hg_usage_ids_add(&tracker->usage_ids, usage_id);
  if (!id) return HG_ERR_NO_MEMORY;
  id->content = content;
  *out = id;
  return HG_ERR_EMPTY;
}

// ---------------------------------------------------------------------------------------------------- reporters

struct hg_reporter {
  char name[HG_REPORTER_NAME_MAX + 1];
  uint64_t last; // the newest number that was decided
  uint64_t told; // the newest number that a row has
  hg_peer peer;  // who reports under the name now; 0: nobody
};

static struct hg_reporter *add_reporter(struct hg_tracker *tracker, struct hg_text name, uint64_t last) {
  if (tracker->reporter_count == tracker->reporter_capacity) {
    const size_t capacity = tracker->reporter_capacity ? 2 * tracker->reporter_capacity : 16;
    struct hg_reporter **larger = realloc(tracker->reporters, capacity * sizeof(struct hg_reporter *));
    if (!larger) return NULL;
    tracker->reporters = larger;
    tracker->reporter_capacity = capacity;
  }
  struct hg_reporter *reporter = calloc(1, sizeof *reporter);
  if (!reporter) return NULL;
  hg_text_copy(reporter->name, sizeof reporter->name, name);
  reporter->last = reporter->told = last;
  return tracker->reporters[tracker->reporter_count++] = reporter;
}

static struct hg_reporter *find_reporter(const struct hg_tracker *tracker, struct hg_text name) {
  for (size_t i = 0; i < tracker->reporter_count; i++)
    if (hg_text_equal(hg_text_of(tracker->reporters[i]->name), name)) return tracker->reporters[i];
  return NULL;
}

bool hg_tracker_take_over_reporters(struct hg_tracker *tracker, const struct hg_ledger_state *state) {
  for (size_t i = 0; i < state->reporter_count; i++)
    if (!add_reporter(tracker, hg_text_of(state->reporters[i].name), state->reporters[i].last)) return false;
  return true;
}

void hg_tracker_free_reporters(struct hg_tracker *tracker) {
  for (size_t i = 0; i < tracker->reporter_count; i++)
    free(tracker->reporters[i]);
  free(tracker->reporters);
}

static hg_err take_name(struct hg_tracker *tracker, hg_peer id, struct hg_text name, uint64_t *last) {
  if (name.size == 0 || name.size > HG_REPORTER_NAME_MAX) return HG_ERR_INVALID;
  struct hg_tracker_peer *peer = hg_tracker_find_peer(tracker, id, 0);
  if (!peer) return HG_ERR_BUSY;
  if (peer->reporter || peer->last != 0) return HG_ERR_INVALID;
  struct hg_reporter *reporter = find_reporter(tracker, name);
  if (reporter && reporter->peer != 0) return HG_ERR_CONFLICT;
  if (!reporter && tracker->reporter_count >= HG_REPORTERS_MAX) return HG_ERR_BUSY;
  if (!reporter) reporter = add_reporter(tracker, name, 0);
  if (!reporter) return HG_ERR_NO_MEMORY;
  reporter->peer = id;
  peer->reporter = reporter;
  *last = peer->last = reporter->last;
  hg_tracker_tell_numbers(tracker, peer); // decided in the turn in which the last one to use the name left
  return HG_OK;
}

void hg_tracker_report_as(struct hg_tracker *tracker, hg_peer id, const struct hg_report_as_message *wish) {
  struct hg_message answer;
  hg_message_init(&answer, HG_REPORTER);
  answer.as.reporter.request = wish->request;
  answer.as.reporter.error = (uint32_t)take_name(tracker, id, wish->name, &answer.as.reporter.last);
  hg_tracker_answer(tracker, id, &answer);
}

void hg_tracker_took_number(struct hg_tracker_peer *peer) {
  if (peer->reporter) peer->reporter->last = peer->last;
}

void hg_tracker_left_name(struct hg_tracker_peer *peer) {
  if (peer->reporter) peer->reporter->peer = 0;
}

struct hg_text hg_tracker_sign(struct hg_tracker *tracker, int64_t *number) {
  struct hg_reporter *reporter = tracker->deciding ? tracker->deciding->reporter : NULL;
  if (!reporter) return (struct hg_text){NULL, 0};
  reporter->told = reporter->last;
  *number = (int64_t)reporter->last;
  return hg_text_of(reporter->name);
}

void hg_tracker_tell_numbers(struct hg_tracker *tracker, const struct hg_tracker_peer *peer) {
  struct hg_reporter *reporter = peer->reporter;
  if (!reporter || reporter->told == reporter->last) return;
  struct hg_message event;
  hg_message_init(&event, HG_NUMBERS_TAKEN);
  event.as.numbers_taken.reporter = hg_text_of(reporter->name);
  event.as.numbers_taken.number = (int64_t)reporter->last;
  hg_tracker_emit(tracker, 0, &event);
  reporter->told = reporter->last;
}
