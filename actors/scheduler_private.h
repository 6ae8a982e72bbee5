// What the files of the scheduler share: scheduler.c (turns, slots, drain and stop), scheduler_clients.c (what clients
// want), scheduler_answers.c (what the tracker said), scheduler_leases.c (permits that must be renewed),
// scheduler_owners.c (who holds slots while waiting for more). [8_RISKS-REQ-031]
#ifndef HG_SCHEDULER_PRIVATE_H
#define HG_SCHEDULER_PRIVATE_H

#include "actors/blocks.h"
#include "base/id_map.h"
#include "actors/scheduler.h"
#include "actors/task_queue.h"

// A command that was passed on to the tracker, which answers in order.
struct hg_question {
  uint64_t id; // permit, or request of SET_MAX_CONCURRENCY
  hg_peer peer;
  uint32_t count; // SET_MAX_CONCURRENCY
  bool own;       // the scheduler's own: nobody to answer
};
struct hg_questions {
  struct hg_question *ring;
  uint32_t first, count, capacity;
};

// A client that has tasks here.
struct hg_task_owner {
  hg_peer peer;
  uint32_t tasks;
  uint32_t permits; // open, of its tasks
  uint32_t waiting; // of its tasks in line, those for which it does nothing else
};

struct hg_scheduler {
  const struct hg_config *config;
  struct hg_id_map tasks;       // by request
  struct hg_id_map owners;      // by peer
  struct hg_task_queue in_line; // tasks that need a slot
  struct hg_task_queue nested;  // tasks that run in their parent's
  struct hg_blocks blocks;
  struct hg_heap
      deadlines;         // tasks that wait or are asked for, by their deadlines; that run, by the end of their leases
  struct hg_heap untold; // tasks whose lease begins when the row of their grant is durable, by that row
  uint32_t leases;       // tasks that have one
  struct hg_questions questions;
  uint32_t late; // settles and releases of what has no task here: answered in any order
  struct hg_held held;
  uint64_t asked, answered; // RESERVEs
  uint64_t heard;           // answers that made somebody wait
  uint64_t seq, durable;    // the newest journal row heard of, and known to be durable
  int64_t last_arrival, first_arrival;
  uint32_t max_concurrency; // what was last asked for: bounds what is asked of the tracker
  uint32_t max_noted;       // what the tracker knows of: bounds what it grants
  bool throttled;           // the root budget's latch
  uint32_t waiting;
  uint32_t asked_slots, asked_nested;
  uint32_t running_slots, running_nested;
  struct hg_queued_task *last_stuck; // tasks in line that their clients wait for
  uint32_t stuck_permits;            // open ones, of owners that wait
  uint64_t arrivals;
  bool draining, drained, stopping, stop_now;
  bool given_up; // the persister has: nothing more will be durable
  int64_t drain_until;
  struct hg_now now;     // of this turn
  struct hg_outbox *out; // of this turn
};

// To a client: at once, or when all that was heard of is durable.
void hg_scheduler_tell(struct hg_scheduler *scheduler, hg_peer peer, const struct hg_message *answer);
void hg_scheduler_tell_durable(struct hg_scheduler *scheduler, hg_peer peer, const struct hg_message *answer);
void hg_scheduler_tell_grant(struct hg_scheduler *scheduler, const struct hg_queued_task *task);
// Answers an acquire that has no task (any more).
void hg_scheduler_refuse(struct hg_scheduler *scheduler, hg_peer peer, uint64_t request, hg_err err);
bool hg_scheduler_push_question(struct hg_scheduler *scheduler, struct hg_question question); // false: no memory
struct hg_question hg_scheduler_pop_question(struct hg_scheduler *scheduler);

bool hg_scheduler_put_in_line(struct hg_scheduler *scheduler, struct hg_queued_task *task); // false: no memory
void hg_scheduler_ask(struct hg_scheduler *scheduler, struct hg_queued_task *task);         // it must not be in line
void hg_scheduler_drop(struct hg_scheduler *scheduler, struct hg_queued_task *task);        // forgets and frees it
// A task is no longer wanted: answered at once when it waits, when the tracker has answered if that was asked.
void hg_scheduler_give_up(struct hg_scheduler *scheduler, struct hg_queued_task *task, hg_err err);
// Releases a grant that nobody wants any more; says nothing to its client.
void hg_scheduler_give_back(struct hg_scheduler *scheduler, struct hg_queued_task *task);
uint32_t hg_scheduler_effective(const struct hg_scheduler *scheduler, uint32_t max_concurrency);

// To the tracker: it makes an orphan of the permit. `expired`: it was not renewed in time.
void hg_scheduler_abandon(struct hg_scheduler *scheduler, struct hg_queued_task *task, bool expired);
bool hg_scheduler_hears_clients(const struct hg_scheduler *scheduler);

// Gives up all tasks that wait or are asked for.
void hg_scheduler_give_up_all(struct hg_scheduler *scheduler, hg_err err);

// scheduler_store.c
void hg_scheduler_lose_store(struct hg_scheduler *scheduler);
// What is said instead of an answer that would wait for a commit.
void hg_scheduler_tell_lost(struct hg_scheduler *scheduler, hg_peer peer, const struct hg_message *answer);
// Nothing goes to the tracker any more; and what those hear who would ask it.
bool hg_scheduler_is_cut_off(const struct hg_scheduler *scheduler);
hg_err hg_scheduler_cut_off_error(const struct hg_scheduler *scheduler);

// scheduler_leases.c
// Makes room for the timers of a new task; false: no memory.
bool hg_scheduler_reserve_timers(struct hg_scheduler *scheduler, struct hg_queued_task *task, int64_t lease_us);
void hg_scheduler_begin_lease(struct hg_scheduler *scheduler, struct hg_queued_task *task); // it is granted
void hg_scheduler_begin_told_leases(struct hg_scheduler *scheduler);                        // more is durable
void hg_scheduler_renew(struct hg_scheduler *scheduler, hg_peer peer, const struct hg_renew_message *command);
void hg_scheduler_end_lease(struct hg_scheduler *scheduler, struct hg_queued_task *task); // it was not renewed in time
void hg_scheduler_forget_lease(struct hg_scheduler *scheduler, struct hg_queued_task *task);

// scheduler_owners.c
bool hg_scheduler_own(struct hg_scheduler *scheduler, struct hg_queued_task *task); // false: no memory
void hg_scheduler_disown(struct hg_scheduler *scheduler, struct hg_queued_task *task);
// A task begins to run in a slot of its own or its parent's, and ends. Those of its children that run go on in the same
// slot; those that wait hear HG_ERR_UNKNOWN_PERMIT.
void hg_scheduler_take_slot(struct hg_scheduler *scheduler, struct hg_queued_task *task);
void hg_scheduler_free_slot(struct hg_scheduler *scheduler, struct hg_queued_task *task);
void hg_scheduler_begin_wait(struct hg_scheduler *scheduler, struct hg_queued_task *task); // it is in line
void hg_scheduler_end_wait(struct hg_scheduler *scheduler, struct hg_queued_task *task);
// The newest task of those whose clients wait for them and hold permits, when nothing can be granted and every open
// permit is held by such clients; NULL: one of them may still end.
struct hg_queued_task *hg_scheduler_deadlocked(const struct hg_scheduler *scheduler);
void hg_scheduler_forget_owners(struct hg_scheduler *scheduler);

void hg_scheduler_from_client(struct hg_scheduler *scheduler, const struct hg_envelope *in);
void hg_scheduler_from_tracker(struct hg_scheduler *scheduler, const struct hg_message *message);

#endif
