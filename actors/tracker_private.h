// What the files of the tracker share: tracker.c (turns, start and stop), tracker_commands.c (numbered commands and
// questions of clients), tracker_snapshot.c (the figures of budgets), tracker_once.c (usage ids, lasting names),
// tracker_permits.c (reservations), tracker_endings.c (how they end), tracker_late.c (that they ended in an earlier
// life), tracker_store.c (what is durable). [8_RISKS-REQ-031]
#ifndef HG_TRACKER_PRIVATE_H
#define HG_TRACKER_PRIVATE_H

#include "actors/budgets.h"
#include "actors/fact_log.h"
#include "base/id_map.h"
#include "actors/permits.h"
#include "actors/tracker.h"
#include "actors/usage_ids.h"

struct hg_reporter; // a lasting name and its numbers
struct hg_deferred; // a message that waits for the ledger's answer

struct hg_tracker_peer {
  hg_peer id;
  struct hg_reporter *reporter;                       // NULL: it has no lasting name
  struct hg_deferred *first_deferred, *last_deferred; // messages that wait in line
  uint64_t last;                                      // the newest number that is decided
  bool dirty, gone;                                   // has something to be told; has left
  struct hg_tracker_peer *next;                       // dirty
};

struct hg_found_usage {
  uint64_t seq, content; // seq 0: nothing was found
};

struct hg_tracker {
  const struct hg_config *config;
  struct hg_budgets budgets;
  struct hg_permits permits;
  struct hg_fact_log log;
  struct hg_held held;
  struct hg_id_map peers;
  struct hg_tracker_peer *dirty;
  struct hg_usage_ids usage_ids;
  struct hg_id_map finds; // request -> message that waits
  uint64_t finds_asked;
  struct hg_id_map end_finds; // request -> end of a permit that is looked up
  size_t deferred_count;
  struct hg_found_usage found;      // what the ledger said of the command that is decided
  struct hg_tracker_peer *deciding; // whose numbered command is decided; NULL: none
  struct hg_reporter **reporters;
  size_t reporter_count, reporter_capacity;
  uint64_t refusals; // answers that made somebody wait
  uint32_t max_concurrency;
  uint32_t waiting;            // acquires, as the scheduler said last
  struct hg_told_lines *lines; // of runs that told how many they have left
  size_t line_count, line_capacity;
  int64_t lines_swept_at;
  int64_t saved;         // what clients say that they reserved less than their bounds
  uint64_t overran;      // and how many of these calls used more
  uint64_t told_durable; // to the scheduler
  bool told_given_up;
  struct {
    bool degraded, given_up;
    int64_t since_us, since_utc_us;
    char reason[HG_TEXT_MAX + 1];
  } store; // as the persister told it
  struct {
    uint64_t audited, differences;
    bool failed;
  } audit;                         // the newest one
  struct hg_ledger_budget *stored; // until the start: what the ledger said
  uint64_t *left_open;             // until the start: permits of the last runtime
  size_t left_open_count;
  enum { HG_TRACKER_NEW, HG_TRACKER_RUNNING, HG_TRACKER_STOPPING, HG_TRACKER_STOPPED } state;
  bool stop_now;
  bool heard; // a client or the scheduler was heard in this turn
  uint32_t stop_turns;
  struct hg_now now;     // of this turn
  struct hg_outbox *out; // of this turn
};

// The totals that an event of a budget carries, after the change.
#define HG_SET_TOTALS(event, budget_, used_, reserved_)                                                                \
  ((event).used_delta = (used_), (event).reserved_delta = (reserved_), (event).used = (budget_)->used,                 \
   (event).reserved = (budget_)->reserved, (event).hard_limit = (budget_)->hard_limit)
void hg_tracker_emit(struct hg_tracker *tracker, uint32_t budget, struct hg_message *event);
// To a client: leaves when everything decided so far is durable.
void hg_tracker_answer(struct hg_tracker *tracker, hg_peer peer, const struct hg_message *answer);
// BUDGET_OVERRUN.
void hg_tracker_tell_overrun(struct hg_tracker *tracker, uint32_t index, int64_t over_by, const char *reason,
                             struct hg_text task_id);
// The same for each budget of the path that `used` more tokens took over its limit.
void hg_tracker_tell_crossings(struct hg_tracker *tracker, uint32_t leaf, int64_t used, struct hg_text task_id);
// Brings the latches of the path up to date; `freed`: wakes who waits for one of its budgets.
void hg_tracker_settle_path(struct hg_tracker *tracker, uint32_t leaf, bool freed);
void hg_tracker_update_latch(struct hg_tracker *tracker, uint32_t budget);
void hg_tracker_tell_latch(struct hg_tracker *tracker, uint32_t budget);

// tracker_commands.c; what is no command of theirs is passed over
void hg_tracker_command(struct hg_tracker *tracker, const struct hg_envelope *in);
void hg_tracker_answer_peers(struct hg_tracker *tracker);        // RECORDED, at most one a peer
uint64_t hg_tracker_number_of(const struct hg_message *message); // 0: it is no numbered command
// Who sends; entered when it is new. NULL: there is no place, and it was told so.
struct hg_tracker_peer *hg_tracker_find_peer(struct hg_tracker *tracker, hg_peer id, uint64_t number);

// tracker_once.c
// A message of a client: decided now, or when the ledger has said whether it knows its usage id.
void hg_tracker_receive(struct hg_tracker *tracker, const struct hg_envelope *in);
void hg_tracker_found(struct hg_tracker *tracker, const struct hg_usage_found_message *answer);
void hg_tracker_forget_deferred(struct hg_tracker *tracker, struct hg_tracker_peer *peer);
// The ledger will never answer: what waits in line is heard now, to be told so.
void hg_tracker_give_up_finds(struct hg_tracker *tracker);
bool hg_tracker_asks_much(const struct hg_tracker *tracker); // no more may be asked of the ledger now
// HG_ERR_EMPTY: what the event says is to be counted, and the row goes into *out (NULL: it has no usage id). HG_OK: it
// was counted before. HG_ERR_CONFLICT: something else was, under its usage id.
hg_err hg_tracker_begin_once(struct hg_tracker *tracker, const struct hg_message *event, struct hg_text usage_id,
                             uint32_t budget, struct hg_usage_id **out);
bool hg_tracker_take_over_reporters(struct hg_tracker *tracker, const struct hg_ledger_state *state);
void hg_tracker_free_reporters(struct hg_tracker *tracker);
void hg_tracker_report_as(struct hg_tracker *tracker, hg_peer id, const struct hg_report_as_message *wish);
void hg_tracker_took_number(struct hg_tracker_peer *peer);
void hg_tracker_left_name(struct hg_tracker_peer *peer);
// The lasting name of who sent the command that is decided, and its number; empty: it has none.
struct hg_text hg_tracker_sign(struct hg_tracker *tracker, int64_t *number);
// NUMBERS_TAKEN, when the peer's newest numbers have no row.
void hg_tracker_tell_numbers(struct hg_tracker *tracker, const struct hg_tracker_peer *peer);

// tracker_snapshot.c
void hg_tracker_get_usage(struct hg_tracker *tracker, hg_peer peer, const struct hg_get_usage_message *question);
void hg_tracker_get_snapshot(struct hg_tracker *tracker, hg_peer peer, const struct hg_get_snapshot_message *question);

// tracker_forecast.c: where budgets are going
void hg_tracker_note_use(struct hg_tracker *tracker, uint32_t budget);                           // it may have changed
void hg_tracker_note_task(struct hg_tracker *tracker, uint32_t leaf, int64_t tokens, bool ends); // or is tried again
// Will what runs and waits and the lines of runs fit, into each budget of the path?
void hg_tracker_judge_queue(struct hg_tracker *tracker, uint32_t leaf);
void hg_tracker_tell_lines(struct hg_tracker *tracker, hg_peer peer, const struct hg_tell_lines_message *told);
void hg_tracker_forget_lines(struct hg_tracker *tracker, hg_peer peer); // its runs have left
void hg_tracker_fill_forecast(const struct hg_tracker *tracker, uint32_t budget, struct hg_usage_message *usage);

// tracker_store.c
void hg_tracker_note_store(struct hg_tracker *tracker, const struct hg_committed_message *committed);
void hg_tracker_tell_durable(struct hg_tracker *tracker); // to the scheduler
// Once the persister has given up: what is said instead of an answer that waits for a commit, and to the scheduler.
void hg_tracker_answer_lost(struct hg_tracker *tracker, hg_peer peer, const struct hg_message *answer);
void hg_tracker_decide_nothing(struct hg_tracker *tracker, const struct hg_message *question);

// tracker_permits.c
void hg_tracker_decision(struct hg_tracker *tracker, const struct hg_message *message);

// tracker_endings.c
void hg_tracker_settle(struct hg_tracker *tracker, const struct hg_settle_message *settle);
void hg_tracker_release(struct hg_tracker *tracker, const struct hg_release_message *release);
void hg_tracker_abandon(struct hg_tracker *tracker, const struct hg_abandon_message *abandon);
void hg_tracker_answer_closed(struct hg_tracker *tracker, uint64_t permit, uint64_t asker, hg_err err);
void hg_tracker_orphan(struct hg_tracker *tracker, struct hg_permit_record *permit, const char *reason);

// tracker_late.c
// Asks the ledger how the permit ended, and answers by that.
void hg_tracker_look_up_end(struct hg_tracker *tracker, uint64_t permit, uint64_t asker, enum hg_permit_end end,
                            int64_t said);
void hg_tracker_end_found(struct hg_tracker *tracker, const struct hg_permit_found_message *answer);
void hg_tracker_give_up_ends(struct hg_tracker *tracker); // the ledger will never answer
void hg_tracker_forget_ends(struct hg_tracker *tracker);

// Are the names of a report of usage within their bounds?
bool hg_tracker_labels_fit(struct hg_text task_id, struct hg_text model, struct hg_text response_id);

#endif
