// A second opinion about budgets: folds the events that the tracker writes, knows nothing of how it decides, and checks
// at each event that the invariants hold and that the events agree with one another.
#ifndef HG_BUDGET_MODEL_H
#define HG_BUDGET_MODEL_H

#include "support/core_driver.h"

#define HG_MODEL_PERMITS 4096
#define HG_MODEL_EVENTS 16384

enum hg_model_state { HG_MODEL_NONE, HG_MODEL_OPEN, HG_MODEL_GUESSED, HG_MODEL_KEPT, HG_MODEL_ENDED };

struct hg_model_figures {
  int64_t used, reserved, limit;
};
struct hg_model {
  const struct hg_config *config;
  struct hg_model_figures history[HG_MODEL_EVENTS][HG_TEST_BUDGETS]; // by seq
  struct hg_model_budget {
    struct hg_model_figures now;
    uint32_t slots, open;
    bool closed;   // the latch, by the rule
    bool told;     // by the journal
    bool over_due; // crossed its limit: BUDGET_OVERRUN must follow
  } budgets[HG_TEST_BUDGETS];
  struct hg_model_permit {
    enum hg_model_state state;
    uint32_t budget;
    int64_t guess;                 // of an orphan: what counts as used
    int64_t granted, tokens, used; // tokens: of the grant, what nested permits have left in it
    uint64_t lender;               // the parent that it came out of
    bool slot;
    uint64_t reserved_at, ended_at; // rows
  } permits[HG_MODEL_PERMITS];      // by id
  uint64_t last_permit;             // the greatest id so far
  uint64_t seq, topic_last[HG_EVENT_KINDS];
  uint32_t max_concurrency;
  bool starting;      // orphans are being announced: the latches are judged when that is over
  uint64_t start_due; // TASK_STARTED of this permit must follow
  uint64_t grants, throttles, restores, orphans, lent, returned;
};

void hg_model_init(struct hg_model *model, const struct hg_test_setup *setup);
void hg_model_event(struct hg_model *model, const struct hg_message *event);
// After a whole step of the tracker: what had to follow has followed, and the sums agree.
void hg_model_step(struct hg_model *model);
// Writes what a ledger would have stored into a state to open again from. `permits` has HG_MODEL_PERMITS places.
void hg_model_store(const struct hg_model *model, struct hg_test_setup *setup, struct hg_ledger_permit *permits);

#endif
