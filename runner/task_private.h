// What the parts of the task runner share: task_runner.c the turn, task_intake.c how lines come in, task_steps.c what a
// task does next, task_count.c how its input is counted, task_pacing.c when and how many at once, task_end.c what the
// end of a call means, task_stops.c how a run stops.
#ifndef HG_TASK_PRIVATE_H
#define HG_TASK_PRIVATE_H

#include "runner/pace.h"
#include "runner/pushback.h"
#include "runner/task.h"

// Whom a counter does not count for.
#define HG_UNCOUNTED_MODELS_MAX 32 // of more the first are asked for again
struct hg_uncounted_model {
  enum hg_input_counter counter;
  char model[HG_LABEL_MAX + 1];
};

// What the headers of answers say of the rate of one model, as limits are a model's.
#define HG_PACED_MODELS_MAX 32 // of more nothing is learnt
struct hg_model_pace {
  char model[HG_LABEL_MAX + 1];
  struct hg_pace requests, tokens; // no rate where the configuration has one, or nothing was said
  bool told;                       // that nothing of it starts for long
  struct hg_task_list crowded;     // WANTS_PERMIT: they would wait long for their turns, as others of it do
};

struct hg_runner {
  struct hg_runner_options options;
  struct hg_retry_limits limits;
  struct hg_runner_io io;
  int64_t now_ms;

  struct hg_run_task *newest; // of all tasks
  uint32_t in_state[HG_TASK_STATE_COUNT];
  uint32_t open, open_max;     // tasks
  uint32_t aside;              // of them, those of models that take no calls now
  uint32_t shut_out;           // of those, the ones in BACKING_OFF
  size_t bodies;               // bytes of their requests
  struct hg_id_map commands;   // ticket -> task
  struct hg_task_list stalled; // in a WANTS state, the other side was full
  struct hg_task_list written, parked, held;
  struct hg_task_list turns;          // PAUSING: wait for the requests and tokens of a minute, in this order
  struct hg_task_list crowded;        // WANTS_PERMIT: no more calls may run now, or all would wait long for turns
  struct hg_task_list set_aside;      // WANTS_PERMIT: may be called again, when there is room for an open line
  struct hg_task_list counts_waiting; // WANTS_COUNT: as many counts run, or were started in a minute, as may
  struct hg_task_heap timers;

  struct hg_pace requests, tokens; // a minute, as configured
  struct hg_model_pace paces[HG_PACED_MODELS_MAX];
  size_t paced_models;
  int64_t pace_ms; // the next turn of any that waits for a minute
  struct hg_pushback pushback;

  struct hg_uncounted_model uncounted[HG_UNCOUNTED_MODELS_MAX];
  uint32_t uncounted_models; // that were refused so far

  enum hg_stop stop;
  char stop_text[HG_ERROR_TEXT_MAX + 1];
  bool cancelling; // acquires are still to be asked back
  bool ledger_lost, results_lost;

  uint32_t unserved_row; // lines that ended unserved since one was served
  uint64_t unserved;     // all that did
  uint64_t cleared;      // of these, up to this one: a call that was sent later was served, so the lines are to blame
  bool admitted;         // somebody was let in: key, model and route are right
  uint32_t turned_away;  // until then: how often somebody was not
  char turned_away_text[576];
  int64_t probe_until_ms; // INT64_MAX until the first one asks for a permit

  bool unsynced;                                              // something may be in the group
  int64_t sync_failing_since_ms, next_sync_ms, sync_pause_ms; // since: -1 when it works
  bool behind;                                                // it fails only because a reader is slow
  bool input_quiet, input_ended;

  // The newest refusal: what asks for more of the same budget within the next second need not ask.
  char exhausted_budget[HG_BUDGET_NAME_MAX + 1], short_budget[HG_BUDGET_NAME_MAX + 1]; // asked for; of its path, short
  int64_t exhausted_left, exhausted_until_ms;

  struct hg_runner_counts counts;
  struct hg_line_budget line_budgets[HG_LINE_BUDGETS_MAX];
  uint32_t line_budget_count;
};

// task_runner.c
void hg_runner_move(struct hg_runner *runner, struct hg_run_task *task, enum hg_task_state to);
void hg_runner_adopt(struct hg_runner *runner, struct hg_run_task *task); // a new task, in WANTS_PERMIT
// The task ends here; `left`: its line is for the next run.
void hg_runner_drop(struct hg_runner *runner, struct hg_run_task *task, bool left);
// Makes the group durable and then closes the permits of its tasks. False: it can't be made durable now.
bool hg_runner_sync(struct hg_runner *runner);

// task_stops.c
// Nothing more starts. The first reason is kept, unless the ledger or the results are lost behind it.
__attribute__((format(printf, 3, 4))) void hg_runner_stop(struct hg_runner *runner, enum hg_stop why,
                                                          const char *format, ...);
void hg_runner_lose_ledger(struct hg_runner *runner, const char *text);
void hg_runner_lose_results(struct hg_runner *runner, const char *text);
// What waits is given up, once nothing more starts.
void hg_runner_wind_down(struct hg_runner *runner);

// task_intake.c
bool hg_runner_may_read(const struct hg_runner *runner);
uint32_t hg_runner_open_lines(const struct hg_runner *runner); // those that need something now
void hg_runner_read(struct hg_runner *runner);
const char *hg_runner_budget_of(const struct hg_runner *runner, const struct hg_run_task *task);
int64_t hg_runner_bound_of(const struct hg_run_task *task); // what it can use at most
// What the call reserves: that, less what its input was counted below its bound, or what calls of its model do use.
int64_t hg_runner_need_of(const struct hg_runner *runner, const struct hg_run_task *task);
int64_t hg_runner_least_of(const struct hg_runner *runner,
                           const struct hg_run_task *task); // what it can be cut down to
// Of the task's budget only `left` tokens can ever be had, because `short_budget`, it or one above it, has no more.
void hg_runner_note_exhausted(struct hg_runner *runner, const struct hg_run_task *task, int64_t left,
                              const char *short_budget);
bool hg_runner_is_exhausted(const struct hg_runner *runner, const struct hg_run_task *task);
void hg_runner_leave_exhausted(struct hg_runner *runner, struct hg_run_task *task);

// task_steps.c
void hg_runner_step(struct hg_runner *runner, struct hg_run_task *task); // of a task in a WANTS state
void hg_runner_acquired(struct hg_runner *runner, struct hg_run_task *task, const hg_completion *completion);
void hg_runner_closed(struct hg_runner *runner, struct hg_run_task *task, hg_err err);
// The result is described in the task; its body may be the caller's.
void hg_runner_write(struct hg_runner *runner, struct hg_run_task *task);
// The line fails without an answer.
void hg_runner_fail_line(struct hg_runner *runner, struct hg_run_task *task, const char *code, const char *message);
void hg_runner_release_unused(struct hg_runner *runner, struct hg_run_task *task, enum hg_task_next after);
void hg_runner_close_permit(struct hg_runner *runner, struct hg_run_task *task, enum hg_task_next after);
void hg_runner_back_off(struct hg_runner *runner, struct hg_run_task *task, int64_t due_ms); // without a permit

// task_count.c
// Whether its input may still be counted; without waiting for what it asks for it is then found out whether it has to
// be.
bool hg_runner_may_count(const struct hg_runner *runner, const struct hg_run_task *task);
bool hg_runner_may_fit(const struct hg_runner *runner, const struct hg_run_task *task, int64_t left); // once counted
void hg_runner_ask_for_count(struct hg_runner *runner, struct hg_run_task *task);
void hg_runner_let_counts_start(struct hg_runner *runner);
void hg_runner_counted(struct hg_runner *runner, struct hg_run_task *task, const struct hg_http_end *end);

// task_pacing.c: how fast calls start, and how many run while the provider pushes back
void hg_runner_init_pacing(struct hg_runner *runner);
// Whether a task may ask for a permit now; it waits among the crowded otherwise.
bool hg_runner_has_room_for(struct hg_runner *runner, struct hg_run_task *task);
void hg_runner_let_crowded_in(struct hg_runner *runner);
// It asks for a permit, and is before all that ask later; it has its answer.
void hg_runner_asks(struct hg_runner *runner, struct hg_run_task *task);
void hg_runner_has_asked(struct hg_runner *runner, struct hg_run_task *task);
// Whether its provider has said that it takes no calls of the task's model for now. Then the task has been sent to wait
// for that, or is left to the next run where that is too long. It holds no permit.
bool hg_runner_is_shut_out(struct hg_runner *runner, struct hg_run_task *task);
// Whether one more request to the task's model that is no call may start now; and it does.
bool hg_runner_may_request(struct hg_runner *runner, struct hg_run_task *task);
void hg_runner_take_request(struct hg_runner *runner, struct hg_run_task *task);
// Whether a task that has a permit may call now. Otherwise it has been sent to wait, with its permit or without.
bool hg_runner_has_turn(struct hg_runner *runner, struct hg_run_task *task);
void hg_runner_take_turn(struct hg_runner *runner, struct hg_run_task *task); // it calls
void hg_runner_put_aside(struct hg_runner *runner, struct hg_run_task *task, bool aside);
// Whether the task is an open line, or is one again. It waits until there is room for it otherwise.
bool hg_runner_comes_back(struct hg_runner *runner, struct hg_run_task *task);
void hg_runner_let_back_in(struct hg_runner *runner);
void hg_runner_take_turns(struct hg_runner *runner); // whoever may call now does
void hg_runner_learn_pace(struct hg_runner *runner, struct hg_run_task *task, const struct hg_http_end *end,
                          const struct hg_judgement *judgement);

// task_end.c
void hg_runner_let_in(struct hg_runner *runner); // the parked ones try again
// HELD: the line is written if it is to blame, or waits for that to be known.
void hg_runner_hold(struct hg_runner *runner, struct hg_run_task *task);
void hg_runner_write_held(struct hg_runner *runner, uint64_t last); // those up to the last one
void hg_runner_end(struct hg_runner *runner, struct hg_run_task *task, const struct hg_http_end *end);

#endif
