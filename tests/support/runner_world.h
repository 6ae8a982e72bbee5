// A small world around the task runner, in one thread and under a seed: a batch, a budget with slots, providers that
// fail in every way, and files that may refuse to be written. It checks what must hold after every step:
//
// - nothing that succeeded is called again, and one line has one call at a time
// - a permit is settled only when its result is durable, and at what its last attempt costs
// - used + reserved stays within the limit, and no more permits are open than there are slots
// - a retry asks first in line, with the number of its attempt
// - what was used under a permit that others ended is recorded beside that, once
#ifndef HG_RUNNER_WORLD_H
#define HG_RUNNER_WORLD_H

#include "runner/task_runner.h"

#define WORLD_LINES_MAX 400
#define WORLD_PERMITS_MAX (8 * WORLD_LINES_MAX)
#define WORLD_QUEUE_MAX 4096

enum fate {
  FATE_OK,
  FATE_NO_USAGE,
  FATE_OVER_CAP,
  FATE_BAD_REQUEST, // 400
  FATE_KEY,         // 401
  FATE_ROUTE,       // 404
  FATE_QUOTA,       // 429 insufficient_quota
  FATE_BUSY,        // 429 with Retry-After
  FATE_ERROR,       // 500
  FATE_PAID_ERROR,  // 500 that tells of usage
  FATE_SAID_BUSY,   // 200 with an error in it
  FATE_BAD_CHOICE,  // 200 with an error in its choice, and usage
  FATE_REFUSED,     // no connection
  FATE_BROKEN,
  FATE_TIMEOUT,
  FATE_MALFORMED,
  FATE_HOLLOW, // 200 without choices
  FATE_UNREADABLE,
  FATE_COUNT
};

// How a question for a count ends.
enum count_fate {
  COUNT_OK,
  COUNT_UNKNOWN, // 404
  COUNT_BUSY,    // 429
  COUNT_BROKEN,
  COUNT_TIMEOUT,
  COUNT_HOLLOW, // 200 without a count
  COUNT_FATES
};

struct world_line {
  char custom_id[24], body[192], budget[24];
  unsigned calls, acquires, counts;
  bool counting, counted;
  int64_t less;    // so much less than its bound it has to reserve, as counted
  uint64_t answer; // a checksum of the body that came last
  bool handed_out, calling, succeeded, in_group, durable, failed, left;
  bool unserved;   // its last call got no answer or was not let in
  unsigned permit; // index + 1; 0: none open
};

struct world_permit {
  unsigned line;
  int64_t tokens;
  bool open, closing, charged, answered; // answered: an attempt under it ended, and costs `cost` when charged
  int64_t cost;
  hg_outcome outcome; // how it was closed
  bool settled;
  bool ended_by_others, recorded; // before it was closed; and its usage beside that
};

struct world_event { // an acquire that waits, or a completion on its way
  hg_ticket ticket;
  unsigned line;
  int64_t min_tokens, max_tokens;
  bool no_wait;
  hg_completion completion;
};

struct world_call {
  void *tag;
  unsigned line;
  bool counts; // its input
};

struct world {
  uint64_t random;
  int64_t now_ms, next_turn_ms;
  struct hg_runner *runner;
  struct hg_llm_config llm;
  struct hg_learned *learned; // of the runner's options; what calls reserve is not looked at then
  struct hg_price price;      // of every model, where the budget counts money; model NULL: it counts tokens

  struct world_line lines[WORLD_LINES_MAX];
  unsigned line_count, next_line;
  hg_err input_error;            // what comes after the last line: HG_ERR_EMPTY unless a test says otherwise
  unsigned quiet_percent, quiet; // of looks at the lines that find none yet; how many did

  int64_t limit, used, reserved;
  const char *blocked_budget; // its requests are not answered, and keep nobody else waiting; NULL: none
  const char *short_budget;   // what refusals say is exhausted; NULL: "default"
  unsigned slots, open_permits;
  struct world_permit permits[WORLD_PERMITS_MAX];
  unsigned permit_count;
  struct world_event waiting[WORLD_QUEUE_MAX], completions[WORLD_QUEUE_MAX];
  unsigned waiting_count, completion_count;
  uint64_t last_ticket;
  unsigned busy_percent;   // of commands that are answered HG_ERR_BUSY
  hg_err ledger_error;     // every further command fails so
  unsigned others_percent; // of permits that others have ended when they are closed
  int64_t used_by_others;  // of `used`: what these said
  hg_err refusal;          // of every settle and release (the permit stays open), HG_OK: none
  hg_err record_refusal;   // of every record

  struct world_call calls[2 * WORLD_LINES_MAX];
  unsigned call_count, calls_most;
  uint64_t calls_total, calls_capped;
  int64_t retry_after_ms;
  // What becomes of the call of a line; `attempt` counts from 1.
  enum fate (*fate)(struct world *world, unsigned line, unsigned attempt);

  void (*rates)(struct world *world, unsigned line, struct hg_rate_limits *out); // what answers say of them; NULL: none

  size_t bodies_max;     // of the runner's options
  uint32_t aside_max;    // as above
  int64_t input_tokens;  // of every call
  int64_t total_only;    // and all that good answers tell; 0: they tell the parts
  int64_t input_counted; // what counts say that it is
  unsigned counting, counting_most, counts_total;
  enum count_fate (*count_fate)(struct world *world, unsigned line, unsigned attempt);

  unsigned group[WORLD_LINES_MAX], group_count, group_max;
  bool disk_full;
  unsigned syncs, syncs_failed, notes;
  unsigned pushes;    // how often fewer calls were let run
  uint32_t pushed_to; // the last
};

// Lines that reserve different amounts. world_open makes the runner.
struct world *world_new(uint64_t seed, unsigned lines, int64_t limit, unsigned slots);
void world_end(struct world *world); // and frees it
uint64_t world_random(struct world *world);
unsigned world_below(struct world *world, unsigned bound);

// What a line's call may use at most, as the runner must reserve it.
int64_t world_need(const struct world *world, unsigned line);
// What it may be cut down to: the same unless llm.may_cap_output.
int64_t world_least(const struct world *world, unsigned line);

void world_open(struct world *world, uint32_t max_concurrency);
// One thing that can happen now, chosen by the seed. False: nothing can, but for time to pass.
bool world_step(struct world *world);
void world_turn(struct world *world);
// Steps, and lets time pass where nothing else happens, until the runner has finished.
void world_run(struct world *world);
// Steps until nothing can happen without time passing.
void world_settle_down(struct world *world);
void world_pass(struct world *world, int64_t ms);

struct hg_runner_counts world_counts(const struct world *world);
enum hg_stop world_stop(const struct world *world);
// Everything must have come to an end: each line has one fate, no permit is open.
void world_check_end(struct world *world);
// Opens, runs, and checks the end.
void world_play(struct world *world, uint32_t max_concurrency);

#endif
