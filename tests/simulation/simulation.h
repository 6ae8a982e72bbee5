// A whole Headgate in one thread under a seed: the cores of tracker, scheduler, persister and event bus, the real
// ledger over SQLite on a disk that fails (power_vfs.h), clients that retry, die and come again. Messages keep their
// order on a link and nowhere else. After every step what was told and written is held against what may be
// (invariants.c, support/budget_model.h). The same seed is the same run, to the byte.
#ifndef HG_SIMULATION_H
#define HG_SIMULATION_H

#include "actors/event_bus.h"
#include "actors/persister.h"
#include "simulation/power_vfs.h"
#include "support/budget_model.h"
#include "support/test.h"

// What a run has to reach; a simulator that does not get there proves nothing.
#define HG_SIM_SITUATIONS(X)                                                                                           \
  X(LATE_SETTLE, "late settle")                                                                                        \
  X(UNKNOWN_STORED, "unknown commit, stored")                                                                          \
  X(UNKNOWN_LOST, "unknown commit, not stored")                                                                        \
  X(CRASH_IN_RECOVERY, "crash in recovery")                                                                            \
  X(CROSSING_WITH_FOUR, "crossing with four or more running")                                                          \
  X(CAPPED_GRANT, "capped grant")                                                                                      \
  X(LIMIT_UNDER_COMMITMENTS, "limit under commitments")                                                                \
  X(LATE_GRANT_CANCELLED, "late grant after a cancel")                                                                 \
  X(BUSY_RETRIED, "BUSY then retry")                                                                                   \
  X(NESTED_UNDER_THROTTLE, "nested under throttle")                                                                    \
  X(LEASE_EXPIRED, "lease that expired")                                                                               \
  X(ENDED_EARLIER, "end of an earlier life said again")                                                                \
  X(USAGE_ID_KNOWN, "usage id sent again")                                                                             \
  X(USAGE_ID_CONFLICT, "usage id with other content")                                                                  \
  X(REPORTER_WENT_ON, "reporter that went on after a crash")                                                           \
  X(GIVEN_UP, "store given up")                                                                                        \
  X(HAD_TO_WAIT, "had to wait")
enum hg_sim_situation {
#define X(NAME, text) HG_SIM_##NAME,
  HG_SIM_SITUATIONS(X)
#undef X
      HG_SIM_SITUATION_COUNT
};
const char *hg_sim_situation_name(enum hg_sim_situation situation);

struct hg_sim_options {
  uint64_t steps;
  uint32_t death_every;    // steps, on average
  bool only_cuts;          // every death is a power cut
  bool synchronous_normal; // the ledger does not sync its commits
};
struct hg_sim_totals {
  uint64_t situations[HG_SIM_SITUATION_COUNT];
  uint64_t grants, facts, commits, cuts, kills, stops, failures, failed_syncs;
  uint64_t lost; // runs that lost an acknowledged fact: an error, but for synchronous_normal
};

// One seed; a broken invariant ends the process.
void hg_sim_run(uint64_t seed, const struct hg_sim_options *options, struct hg_sim_totals *totals);
uint64_t hg_sim_step(void); // where it is now, for who reports a failure

// ------------------------------------------------------------------------------------------------ inside

#define HG_SIM_CLIENTS 4
#define HG_SIM_NAMED 2 // of the clients: they report under lasting names
#define HG_SIM_LINES 256
#define HG_SIM_NUMBERS 256
#define HG_SIM_COMMANDS 2048
#define HG_SIM_USAGE_IDS 64
#define HG_SIM_FRAMES 8192
#define HG_SIM_PEERS 1024

// Something that was told to the tracker under a number, and perhaps told again.
struct hg_sim_command {
  enum hg_kind kind;
  uint32_t budget, usage_id; // 0: none
  int64_t tokens;
  uint64_t row; // 0: none in the journal
  uint32_t refused;
  bool acknowledged, forgotten; // forgotten: nobody will send it again
};
// The numbers of one peer, or of all that report under one name.
struct hg_sim_line {
  uint64_t last, recorded; // sent, acknowledged
  uint32_t commands[HG_SIM_NUMBERS + 1];
};
struct hg_sim_client {
  hg_peer peer;
  struct hg_sim_line *line;
  bool naming;   // its name is asked for
  bool was_here; // under this name, in an earlier life of the runtime
  struct hg_test_pipe to_tracker, to_scheduler;
  uint64_t questions, answers;
};

enum hg_sim_wish_state { HG_SIM_NONE, HG_SIM_OPEN, HG_SIM_GRANTED, HG_SIM_REFUSED };
struct hg_sim_wish {
  enum hg_sim_wish_state state;
  hg_peer peer, settler;
  uint32_t budget;
  int64_t min, max, arrival, deadline;
  uint64_t parent, timeout;
  bool first, from_parent, blocking, leased, unwanted, given_up;
  bool left; // its client is gone
  bool old;  // its runtime is gone
  bool waits, refused;
  uint32_t waits_for, sent, answered, settles, settled, invalid;
  bool settler_left, disputed, is_release;
  int64_t tokens; // what the first settle says
  bool again;     // it ended in an earlier life, and that is said once more
  hg_err again_hears;
};

struct hg_sim {
  struct hg_sim_options options;
  struct hg_sim_totals *totals;
  uint64_t seed, step, dice;
  int64_t time;

  struct hg_test_setup setup;
  struct hg_places places;
  struct hg_ledger *ledger;
  struct hg_test_actor tracker, scheduler, persister, bus;
  struct hg_model model;

  // Of the journal: what the tracker said, of which a crash takes back what was not stored.
  struct hg_test_events events;
  uint64_t frame_ends[HG_SIM_FRAMES]; // last seq of each FACTS frame
  size_t frame_count;
  size_t facts_seen, decisions_seen, commits_seen, answers_seen; // of the frames that wait in a pipe
  uint64_t delivered;                                            // to the persister
  uint64_t stored;                                               // the store said so
  uint64_t committed;                                            // the persister said so
  uint64_t unknown; // last seq of a commit with an unknown outcome; 0: none
  uint64_t published;
  uint64_t life_began; // the newest row then
  uint64_t failures_judged;
  bool busy, given_up, closing, lost;
  uint32_t dies_in; // steps; 0: it goes on

  struct hg_sim_client clients[HG_SIM_CLIENTS];
  hg_peer last_peer;
  struct hg_sim_line lines[HG_SIM_LINES];
  uint32_t line_count;
  struct hg_sim_command commands[HG_SIM_COMMANDS]; // from 1
  uint32_t command_count;
  struct {
    uint64_t row;
    uint32_t command;
  } usage_ids[HG_SIM_USAGE_IDS + 1];
  struct hg_sim_wish wishes[HG_MODEL_PERMITS]; // by request
  uint64_t last_wish;
  int64_t arrivals, first_arrivals;
  uint64_t waiters[HG_TEST_BUDGETS]; // who waits for a budget, first of all; 0: nobody
};

uint64_t hg_sim_roll(struct hg_sim *sim, uint64_t sides);
int64_t hg_sim_between(struct hg_sim *sim, int64_t low, int64_t high);
void hg_sim_reach(struct hg_sim *sim, enum hg_sim_situation situation);

// sim_lives.c: begins a life; false: the disk failed meanwhile. Death, or an end in order.
bool hg_sim_open(struct hg_sim *sim);
void hg_sim_die(struct hg_sim *sim, bool cut);
void hg_sim_stop(struct hg_sim *sim);

// sim_links.c: moves messages and time.
void hg_sim_move(struct hg_sim *sim);
void hg_sim_run_until_quiet(struct hg_sim *sim);
void hg_sim_flush_persister(struct hg_sim *sim);
void hg_sim_flush_others(struct hg_sim *sim);

// sim_store.c: the real ledger, with what it says noted.
struct hg_store hg_sim_store(struct hg_sim *sim);
void hg_sim_learn(struct hg_sim *sim, uint64_t stored); // the outcome of a commit whose outcome was unknown
void hg_sim_fail_somehow(struct hg_sim *sim);           // a fault of the disk begins

// sim_clients.c
void hg_sim_client_acts(struct hg_sim *sim);
void hg_sim_connect(struct hg_sim *sim, struct hg_sim_client *client);
void hg_sim_note_arrival(struct hg_sim *sim, const struct hg_acquire_message *acquire); // the scheduler hears it
void hg_sim_settle(struct hg_sim *sim, uint64_t id);
void hg_sim_disconnect_all(struct hg_sim *sim);
struct hg_sim_client *hg_sim_client_of(struct hg_sim *sim, hg_peer peer); // NULL: it is gone
void hg_sim_ask_for_name(struct hg_sim *sim, struct hg_sim_client *client);
// sim_numbers.c
void hg_sim_number(struct hg_sim *sim);
void hg_sim_name_answered(struct hg_sim *sim, struct hg_sim_client *client, const struct hg_reporter_message *answer);
void hg_sim_resend(struct hg_sim *sim, struct hg_sim_client *client, uint64_t from);
void hg_sim_take_over_commands(struct hg_sim *sim, struct hg_sim_client *client, const struct hg_sim_line *old);

// invariants.c
void hg_sim_check_facts(struct hg_sim *sim);
void hg_sim_check_commits(struct hg_sim *sim);
void hg_sim_check_published(struct hg_sim *sim);
void hg_sim_check_opened(struct hg_sim *sim, const struct hg_ledger_state *state); // what a new life finds
void hg_sim_check_audit(struct hg_sim *sim);
void hg_sim_check_finished(struct hg_sim *sim);
// sim_answers.c
void hg_sim_check_answer(struct hg_sim *sim, hg_peer to, const struct hg_message *message);
void hg_sim_check_decisions(struct hg_sim *sim);
void hg_sim_note_refusals(struct hg_sim *sim);

#endif
