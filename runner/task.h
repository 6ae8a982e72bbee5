// One line of the batch on its way through the task runner, and the few containers that tasks stand in. Private to the
// task runner.
#ifndef HG_TASK_H
#define HG_TASK_H

#include "base/id_map.h"
#include "providers/count.h"
#include "providers/output_cap.h"
#include "runner/pace.h"
#include "runner/retry.h"
#include "runner/task_runner.h"
#include "usage/usage.h"

// A task in a WANTS state has something to do at once; it stays there only while the other side is full.
#define HG_TASK_STATES(X)                                                                                              \
  X(WANTS_PERMIT, "asks for a permit next, or when the provider lets more calls run")                                  \
  X(ACQUIRING, "waits for a permit")                                                                                   \
  X(WANTS_COUNT, "can't have its bound now: asks the provider to count its input next")                                \
  X(COUNTING, "the provider counts its input")                                                                         \
  X(WANTS_CALL, "holds a permit, calls next")                                                                          \
  X(CALLING, "the provider has it")                                                                                    \
  X(WANTS_WRITE, "has a result, adds it to the group next")                                                            \
  X(WRITTEN, "its result is in the group, not durable yet")                                                            \
  X(WANTS_CLOSE, "settles or releases its permit next")                                                                \
  X(CLOSING, "waits until that is durable")                                                                            \
  X(PAUSING, "calls soon, with the same permit: again, or in its turn")                                                \
  X(BACKING_OFF, "tries again later, with a new permit")                                                               \
  X(PARKED, "was not let in; tries again when somebody was")                                                           \
  X(HELD, "failed, unserved; its failure is written when a later call is served, left when none is")                   \
  X(GONE, "ended")

enum hg_task_state {
#define X(name, meaning) HG_TASK_##name,
  HG_TASK_STATES(X)
#undef X
      HG_TASK_STATE_COUNT
};

// Requests and tokens of a minute: the run's, and those of a model.
#define HG_PACES_MAX 4

// What becomes of a task when its permit is closed.
enum hg_task_next { HG_NEXT_GONE, HG_NEXT_RETRY, HG_NEXT_PARK, HG_NEXT_HOLD, HG_NEXT_LEAVE, HG_NEXT_WAIT };

struct hg_run_task {
  struct hg_run_task *older, *newer; // all tasks
  struct hg_run_task *next;          // in a list; a task is in one at most
  enum hg_task_state state;
  uint32_t attempts, unknown; // so far; of these, those that were unknown
  bool cancelled;             // the acquire was asked to come back
  int64_t due_ms;             // PAUSING, BACKING_OFF
  int64_t sent_ms;            // its last call
  int64_t paced_since_ms;     // it waits for a minute; 0: it does not
  int64_t asked_ms;           // its last request for a permit
  bool aside;                 // its model takes no calls now, or only far behind others: it counts as no open line
  bool in_turn;               // so it does with a permit
  uint64_t unserved_before;   // lines that had ended unserved when its last call was sent
  uint64_t unserved;          // which of those it is itself, counted from 1; HELD and on the way there

  const char *custom_id, *path, *budget; // behind the struct; budget may be NULL
  uint64_t id_hash, line_number;
  struct hg_prepared prepared;
  struct hg_lowered lowered; // of this permit, where less was granted than the call can use; body NULL: all was

  bool count_over; // counted, or not to be: it waits for what it needs
  uint32_t count_tries;
  int64_t less;   // so much less than its bound it needs, as its input was counted
  char *question; // the body that asks for the count
  size_t question_len;

  hg_ticket ticket;      // of the command that is under way; 0: none
  hg_permit permit;      // 0: none
  int64_t need, granted; // asked for, got
  int64_t paced_tokens;  // what its call counts as in the tokens of a minute
  struct hg_model_pace *pace;
  struct hg_pace_take takes[HG_PACES_MAX]; // of its last call
  void *call;

  // The end of the last attempt.
  bool settles; // or else the permit is released
  bool records; // others have ended the permit: what was used is recorded instead
  hg_outcome outcome;
  enum hg_task_next after;
  char reason[48];             // for the journal
  struct hg_usage_found found; // found.report is what is settled
  int64_t used_tokens;         // by the last call, whatever the ledger counts
  int64_t pause_ms;

  // The result while it waits to be written.
  struct hg_result result; // its strings are those below, and `answer`
  char *answer;            // owned copy of the body; NULL: the body is the caller's
  const char *error_code;
  bool success;
  char request_id[HG_LABEL_MAX + 1];
  char message[384];
};

// From a parsed line; its strings are copied, `prepared` is taken over (not on failure). NULL: no memory.
struct hg_run_task *hg_task_new(const struct hg_batch_line *line, struct hg_prepared *prepared);
void hg_task_destroy(struct hg_run_task *task);
// Whether the table of lives allows this move.
bool hg_task_may_move(enum hg_task_state from, enum hg_task_state to);

// Copies what fits, whole characters only.
void hg_copy_text(char *out, size_t capacity, const char *text);

struct hg_task_list {
  struct hg_run_task *first, *last;
};
void hg_task_list_push(struct hg_task_list *list, struct hg_run_task *task);
struct hg_run_task *hg_task_list_pop(struct hg_task_list *list);                // NULL: empty
void hg_task_list_append(struct hg_task_list *list, struct hg_task_list *rest); // which is empty then

// By due_ms, the earliest first.
struct hg_task_heap {
  struct hg_run_task **items;
  size_t count, capacity;
};
// Makes room for `count` tasks. False: no memory.
bool hg_task_heap_reserve(struct hg_task_heap *heap, size_t count);
void hg_task_heap_push(struct hg_task_heap *heap, struct hg_run_task *task); // room was made
struct hg_run_task *hg_task_heap_pop(struct hg_task_heap *heap);             // NULL: empty

#endif
