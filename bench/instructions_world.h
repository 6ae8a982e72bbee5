// The pure cores of a runtime joined by hand, as lean as can be: what is counted is theirs.
#ifndef HG_INSTRUCTIONS_WORLD_H
#define HG_INSTRUCTIONS_WORLD_H

#include "actors/actor.h"
#include "ledger/ledger.h"

#define AT_ONCE 64 // permits
#define CLIENT 7   // its peer
#define BUDGET 1   // a child of "default"

struct core {
  struct hg_actor actor;
  struct hg_outbox out;
  struct hg_counters counters;
};

struct world {
  struct hg_config config;
  struct hg_budget_config budgets[2];
  struct hg_ledger_state state;
  struct hg_ledger_budget stored[2];
  struct hg_now now;
  struct core tracker, scheduler, bus;
  struct hg_outbox input;     // what clients, or the persister, will have sent
  size_t input_at;            // what comes next
  struct hg_outbox committed; // on its way back to the tracker
  struct hg_outbox *facts;    // where FACTS frames are kept; NULL: nowhere
  uint64_t answers;           // frames for clients or subscribers
  int64_t used;               // what the input adds up to
};

void world_open(struct world *world);
void world_close(struct world *world);
void world_pass_time(struct world *world);
// The next frames of the input go to a core.
void world_hand_input(struct world *world, struct core *to, int count);
// What was committed is told to the tracker.
void world_hand_committed(struct world *world);
// A core ends its turn, and what it sent goes where it belongs.
void world_flush(struct world *world, struct core *core);
// Asserts that the work was done, all of it: so many answers, and the input's tokens used.
void world_check(struct world *world, uint64_t answers);

#endif
