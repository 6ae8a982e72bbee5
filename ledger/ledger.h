// The ledger: one SQLite file that holds every fact (the journal) and the running totals, updated in the same
// transaction. One connection, used by one thread at a time (the persister's, and the runtime's before the actors
// start).
#ifndef HG_LEDGER_H
#define HG_LEDGER_H

#include "config/config.h"
#include "ledger/audit.h"
#include "schemas/message.h"

struct hg_ledger;

// What a runtime has to know to go on where the last one ended.
struct hg_ledger_budget {
  char name[HG_BUDGET_NAME_MAX + 1];
  uint32_t parent; // index
  int64_t used, reserved, hard_limit;
  int64_t
      configured_limit; // the limit that the configuration said last; differs from hard_limit after `headgate limit`
  bool throttled;
  bool is_new; // not in the ledger before this opening
};
struct hg_ledger_permit { // open when the last runtime died, or an orphan not yet settled
  uint64_t id;
  uint32_t budget;
  int64_t tokens; // the reservation
  bool orphaned;  // no longer reserved: `guess` of it counts as used until it is settled
  int64_t guess;
  bool kept; // an orphan, still counted as reserved
  uint32_t attempt;
  char task_id[HG_TASK_ID_MAX + 1];
};
struct hg_ledger_reporter { // who numbers its commands under a lasting name
  char name[HG_REPORTER_NAME_MAX + 1];
  uint64_t last; // the newest number that was taken
};
struct hg_ledger_state {
  char ledger_id[37]; // UUID text
  uint64_t opening;   // counts the openings of this ledger, from 1; already durable
  uint64_t last_seq;
  uint64_t topic_last[HG_EVENT_KINDS];
  struct hg_ledger_budget *budgets; // in the order of the configuration
  uint32_t budget_count;
  struct hg_ledger_permit *permits;
  size_t permit_count;
  struct hg_ledger_reporter *reporters;
  size_t reporter_count;
};
void hg_ledger_state_clear(struct hg_ledger_state *state);

// Whether the configuration says another limit than it said last. If not, the limit in force stays, which may have been
// set by hand.
static inline bool hg_ledger_limit_is_news(const struct hg_ledger_budget *stored, int64_t configured) {
  return stored->is_new || stored->configured_limit != configured;
}

// Opens or creates the ledger for a runtime: takes the lock file (waits up to 5 s for short holders), checks that the
// file is one of ours, applies the pragmas, passes the checkpoint law, counts the opening, reads the state. Budgets of
// the configuration that the ledger does not know are new; budgets of the ledger that the configuration does not name
// and a parent that differs from the stored one are HG_ERR_CONFIG (the first only when it has rows), as is another unit
// than the ledger's. `config` is kept.
hg_err hg_ledger_open(const struct hg_config *config, const struct hg_places *places, struct hg_ledger **out,
                      struct hg_ledger_state *state, hg_error *why);
// Checkpoints, closes, gives the lock back. HG_ERR_STORE when the last checkpoint failed (nothing is lost) or the file
// is not where it was.
hg_err hg_ledger_close(struct hg_ledger **ledger);

// Writes the events of these FACTS payloads (inside frames, one after another) in one transaction: journal rows, totals
// along the tree, latches, limits, reservations, topics. All or nothing. On failure the outcome is unknown until
// hg_ledger_recover has said. This, hg_ledger_recover and hg_ledger_checkpoint tell HG_ERR_BUSY or HG_ERR_NO_MEMORY
// where what is in the way may go by itself (a full disk, no memory, somebody who reads along), HG_ERR_STORE where it
// does not.
hg_err hg_ledger_write(struct hg_ledger *ledger, const struct hg_bytes *payloads, size_t count, hg_error *why);
// The committed row with this usage id: *seq 0 when there is none. *content is hg_usage_content of that row.
hg_err hg_ledger_find_usage(struct hg_ledger *ledger, struct hg_text usage_id, uint64_t *seq, uint64_t *content,
                            hg_error *why);
// How a committed permit ended; they go with their rows.
hg_err hg_ledger_find_permit(struct hg_ledger *ledger, uint64_t permit, struct hg_ended_permit *out, hg_error *why);
// A hash of what a USAGE_RECORDED or USAGE_CORRECTED says, without its moment, its reporter and the totals: two with
// the same usage id and hash are the same. `budget`: the name of its budget.
uint64_t hg_usage_content(const struct hg_message *event, struct hg_text budget);
// After a failed write: rolls back what is open, passes the checkpoint law, and says the newest seq that is stored.
hg_err hg_ledger_recover(struct hg_ledger *ledger, uint64_t *stored_seq, hg_error *why);
// Checkpoints when the WAL is past a size, or (idle) when there is anything in it. Cheap when there is nothing to do.
// It notices, as each write does, when the file or its WAL is no longer where it was: HG_ERR_STORE.
hg_err hg_ledger_checkpoint(struct hg_ledger *ledger, bool idle, hg_error *why);

// The committed rows behind `after`, in their order, at most `rows` of them, each as the event that it was written
// from; its texts are valid until `take` returns. It ends early when `take` says false. Rows that were folded are not
// there: then the first seq is not after + 1. Not within a write.
typedef bool hg_ledger_take(void *self, const struct hg_message *event);
hg_err hg_ledger_replay(struct hg_ledger *ledger, uint64_t after, uint32_t rows, hg_ledger_take *take, void *self,
                        hg_error *why);

// One portion of a pass over the journal, at most `rows` rows, in one transaction: rows older than ledger.keepDays are
// folded, but for those of permits that have not ended. `more`: the pass is not over. On failure as after a write:
// nothing is written before hg_ledger_recover. Not while an audit is under way.
hg_err hg_ledger_fold(struct hg_ledger *ledger, int64_t now_us, uint32_t rows, uint64_t *folded, bool *more,
                      hg_error *why);

// One portion of an audit, at most `rows` rows; `anew`: the first one of a new audit. It covers what is stored when it
// begins, whatever is written meanwhile. `done`: that was the last portion, and `out` says what was found. After an
// error the audit is over.
hg_err hg_ledger_audit(struct hg_ledger *ledger, bool anew, uint32_t rows, struct hg_audit_report *out, bool *done,
                       hg_error *why);

// Reading without a runtime (status, watch --from, audit): opens the file for a moment. HG_ERR_LEDGER_IN_USE when a
// runtime lives; HG_ERR_EMPTY when there is no file.
struct hg_ledger_figures { // of one budget
  char name[HG_BUDGET_NAME_MAX + 1];
  int64_t used, reserved, hard_limit;
  bool throttled;
  uint32_t open_permits;
  uint64_t seq;
  uint64_t audited, differences; // by the newest audit; 0: none is known
  bool audit_failed;             // it could not be finished
  hg_unit unit;
};
hg_err hg_ledger_read_figures(const struct hg_config *config, const struct hg_places *places, const char *budget,
                              struct hg_ledger_figures *out, hg_error *why);

// The same for every budget of the configuration, in its order: `out` has a place for each. `patience_ms`: how long to
// wait for a runtime, or for somebody else who looks in. HG_ERR_CONFIG: the ledger counts another unit.
hg_err hg_ledger_read_budgets(const struct hg_config *config, const struct hg_places *places, int patience_ms,
                              struct hg_ledger_budget *out, hg_error *why);

// The configuration under which the ledger was opened last, as far as it is kept in it: budgets, limits, policies.
// malloc'd text for hg_config_parse. HG_ERR_EMPTY: there is no file.
hg_err hg_ledger_read_config(const struct hg_config *config, const struct hg_places *places, int patience_ms,
                             char **out, hg_error *why);

// The reservations that are not settled, by id: open ones, which the next runtime makes orphans, and orphans.
struct hg_ledger_orphan {
  uint64_t id;
  char budget[HG_BUDGET_NAME_MAX + 1];
  int64_t tokens; // reserved
  char state[16]; // "open", "kept", "charged" or "released"
  char task_id[HG_TASK_ID_MAX + 1];
  hg_unit unit; // of the ledger
};
// The first with an id over `after`; id 0: there is none.
hg_err hg_ledger_read_orphan(const struct hg_config *config, const struct hg_places *places, uint64_t after,
                             struct hg_ledger_orphan *out, hg_error *why);

// A whole audit, on the same terms.
hg_err hg_ledger_audit_file(const struct hg_config *config, const struct hg_places *places, struct hg_audit_report *out,
                            hg_error *why);

// Who lives on it, as its lock file says.
#define HG_HOLDER_STARTED 32 // bytes of a moment in text
struct hg_holder {
  int64_t pid;
  char started[HG_HOLDER_STARTED];                        // with the pid it tells one life from every other
  char control[HG_PATH_MAX + 8], events[HG_PATH_MAX + 8]; // endpoints
  bool momentary;                                         // it does one thing and ends
};
// HG_ERR_NO_RUNTIME: nobody. HG_ERR_BUSY: somebody holds the ledger without a runtime, or is just starting.
hg_err hg_ledger_holder(const struct hg_places *places, struct hg_holder *out);

#endif
