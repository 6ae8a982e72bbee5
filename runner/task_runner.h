// The task runner's decisions: which line is read, when it asks for a permit, what the end of its call means, when its
// result is durable and when it is settled. Pure: clock, random numbers, files, runtime and HTTP come from outside
// through one table of functions, so that a test can drive it under a seed. [8_RISKS-REQ-031]
//
// A turn of the loop around it: feed what happened (hg_runner_completed, hg_runner_called), then hg_runner_turn, which
// makes the results of the turn durable as one group and only then settles their calls.
#ifndef HG_TASK_RUNNER_H
#define HG_TASK_RUNNER_H

#include "batch/line.h"
#include "config/config.h"
#include "providers/count.h"
#include "providers/request.h"
#include "runner/http.h"
#include "runner/learned.h"

// How many calls may run, and how long, before the first answer shows that key, model and route are right. Lines that
// wait as long for their permits, as their budget has nothing left, let others pass.
#define HG_PROBE_CALLS 5
#define HG_PROBE_MS 2000
// So many lines in a row that used up their tries unserved (no answer, or not let in), and at least as many as are
// still being tried, mean that the provider is gone: the run stops and leaves them all. Fewer are bad lines. When even
// a third of all lines is bad for reasons of its own, twenty come in a row once in 3^20 lines; as many as are being
// tried must have failed too, because the bad ones of hundreds that start together may all end before the first good
// one.
#define HG_UNSERVED_ROW 20
// For so long a results file that can't be written is tried again.
#define HG_SYNC_PATIENCE_MS (30 * 1000)
#define HG_BODIES_MAX ((size_t)256 * 1024 * 1024) // bytes of prepared requests in memory (one is always allowed)
#define HG_LINES_AHEAD_MAX 4096
// Lines of models that take no calls now that are kept beside these, so that others behind them are reached.
#define HG_LINES_ASIDE_MAX 16384

// The side effects. Errors are as the functions that stand behind them say; `why` is never NULL.
struct hg_runner_io {
  void *context;
  // batch.h
  hg_err (*next_line)(void *context, const struct hg_batch_line **out, hg_error *why);
  hg_err (*finish)(void *context, uint64_t id_hash, bool success, const struct hg_result *result, hg_error *why);
  void (*leave)(void *context, uint64_t id_hash);
  bool (*group_full)(void *context);
  hg_err (*sync)(void *context, hg_error *why);
  // headgate.h
  hg_err (*acquire)(void *context, const hg_request *request, hg_ticket *out);
  hg_err (*settle)(void *context, hg_permit permit, const hg_usage_report *used, hg_ticket *out);
  hg_err (*release)(void *context, hg_permit permit, hg_outcome outcome, const char *reason, hg_ticket *out);
  hg_err (*record)(void *context, const hg_usage_report *used, hg_ticket *out);
  hg_err (*cancel)(void *context, hg_ticket ticket);
  // http.h. `tag` comes back through hg_runner_called; *handle is for `cut`, which tells whether the request had left.
  // The body is that of the prepared call, or one with a lower cap.
  hg_err (*call)(void *context, const char *path, const struct hg_prepared *prepared, const char *body, size_t body_len,
                 void *tag, void **handle, hg_error *why);
  // The same for the question how many input tokens the call has (providers/count.h).
  hg_err (*count)(void *context, const char *path, enum hg_endpoint endpoint, enum hg_input_counter counter,
                  const char *body, size_t body_len, void *tag, void **handle, hg_error *why);
  bool (*cut)(void *context, void *handle);
  hg_err (*hide_keys)(void *context, const char *text, size_t len, char **out); // hg_target_hide_keys
  uint64_t (*random)(void *context);
  void (*note)(void *context, const char *text);           // a sentence for a person
  void (*push)(void *context, uint32_t from, uint32_t to); // so many calls at once are let run now
};

struct hg_runner_options {
  const char *run_name;            // the first part of each task id
  const char *budget;              // of lines that name none; NULL: "default"
  const char *model;               // NULL: as the lines say
  const struct hg_llm_config *llm; // borrowed
  struct hg_learned *learned;      // borrowed, what calls use, to be added to; NULL: calls reserve their bounds
  hg_unit unit;                    // of the ledger
  uint32_t max_concurrency;
  size_t bodies_max;  // bytes; 0: HG_BODIES_MAX
  uint32_t aside_max; // lines; 0: HG_LINES_ASIDE_MAX
};

// Why the run stopped starting.
enum hg_stop {
  HG_STOP_NONE,
  HG_STOP_INTERRUPT,
  HG_STOP_ACCESS,  // nobody is let in, or served any more: key, model, URL, quota, or no answer at all
  HG_STOP_CAP,     // an answer was longer than its cap: the limit can't be promised any more
  HG_STOP_CHANGED, // a line's request changed since it succeeded
  HG_STOP_INPUT,   // the batch file can't be read any further
  HG_STOP_LEDGER,
  HG_STOP_RESULTS
};

#define HG_FAILURE_KINDS_MAX 16
#define HG_LEFT_BUDGETS_MAX 16
struct hg_runner_counts {
  uint64_t done, failed, left;
  uint64_t left_for_budget; // of `left`: what can never fit any more
  uint64_t left_for_rate;   // of `left`: of models that take no calls for longer than a run waits, as headers say
  int64_t smallest_need;    // the least reservation among these; 0: none
  int64_t left_need;        // what these would reserve in all
  char short_budget[HG_BUDGET_NAME_MAX + 1]; // the budget that has too little left for that one
  bool several_short;                        // others were short of another budget
  struct hg_left_budget {
    char budget[HG_BUDGET_NAME_MAX + 1]; // which pays for lines that are left for budget
    int64_t need;                        // what these would reserve in all; 0: no further place is used
  } left_budgets[HG_LEFT_BUDGETS_MAX];   // those of further budgets are in left_need only
  uint64_t calls, retries, estimated, cap_ignored, unbounded;
  uint64_t pushbacks;               // how often the provider's 429 made fewer calls run at once …
  uint32_t pushed_back_to;          // … and how few at the fewest
  uint32_t allowed;                 // calls at once that it lets run now; 0: as many as there may be
  uint64_t paced_ms;                // what calls waited for requests or tokens of the minute, in all
  uint64_t overran;                 // calls that used more than they had reserved, as counted or learnt
  int64_t saved;                    // what calls reserved less than their bounds
  uint64_t count_calls;             // how often a provider was asked to count input tokens
  uint64_t counted, count_failures; // lines that it did so for, and that it did not
  uint64_t capped;                  // of the calls: sent with a lower cap than the line asked for
  int64_t tokens;                   // settled or recorded by this run; as every amount here, in the unit of the ledger
  int64_t input_tokens, output_tokens; // of these, as the answers counted
  uint64_t unsettled;       // permits that could not be closed: others had ended them, or the runtime refused
  int64_t recorded_tokens;  // of `tokens`: recorded beside what others settled, so perhaps counted twice
  int64_t uncounted_tokens; // what calls used and the runtime refused to count
  struct hg_failure_kind {
    char code[32]; // "http_400", "request_timeout"
    uint64_t count;
  } failures[HG_FAILURE_KINDS_MAX]; // of failed lines; the last place counts all further kinds as "other"
  long refused_status;              // HG_STOP_ACCESS: what the provider answered; 0: nothing
#define HG_REFUSED_UNREADABLE (-1L) // of refused_status: something that can't be read
  bool served_before;               // HG_STOP_ACCESS: others were served in this run
  enum hg_endpoint refused_endpoint;
  bool out_of_quota;
  // Now.
  uint32_t waiting; // for a permit
  uint32_t running; // calls
  uint32_t pausing; // until another try
  uint32_t open;    // lines in memory
  bool input_quiet; // the last look found no line, and the input has not ended
  bool input_ended;
};

// The lines that name a budget, or the run's where they name none.
struct hg_line_budget {
  char budget[HG_BUDGET_NAME_MAX + 1];
  uint64_t taken; // so far
  uint32_t open;  // of them, in memory
};

struct hg_runner;
hg_err hg_runner_new(const struct hg_runner_options *options, const struct hg_runner_io *io, struct hg_runner **out);
// Forgets what is still open, without a side effect.
void hg_runner_destroy(struct hg_runner **runner);

void hg_runner_completed(struct hg_runner *runner, const hg_completion *completion, int64_t now_ms);
void hg_runner_called(struct hg_runner *runner, void *tag, const struct hg_http_end *end, int64_t now_ms);
// Starts what is due, reads lines, makes results durable and settles them. Returns the moment of the next turn at the
// latest; INT64_MAX: only when something happens.
int64_t hg_runner_turn(struct hg_runner *runner, int64_t now_ms);

// Whether it would read a line, but the last look found none (next_line: HG_ERR_BUSY): whoever waits, waits for the
// input too, and says when there is some.
bool hg_runner_wants_input(const struct hg_runner *runner);
void hg_runner_has_input(struct hg_runner *runner);

// Nothing more starts; running calls go on to their end.
void hg_runner_interrupt(struct hg_runner *runner, int64_t now_ms);
// Ends the running calls too. Each that had left is charged its whole reservation, and its line is left.
void hg_runner_cut(struct hg_runner *runner, int64_t now_ms);

// The runtime is gone, `text` says why: nothing more is settled, running calls go on to their end and their results are
// kept.
void hg_runner_lost(struct hg_runner *runner, const char *text, int64_t now_ms);

bool hg_runner_finished(const struct hg_runner *runner);
// Why it stopped, with a sentence for a person in *text ("" for none), valid as long as the runner.
enum hg_stop hg_runner_stopped(const struct hg_runner *runner, const char **text);
// Those of budgets that find no place are counted with the first, "default". Valid until the next call of this part.
const struct hg_line_budget *hg_runner_line_budgets(const struct hg_runner *runner, uint32_t *count);
void hg_runner_count(const struct hg_runner *runner, struct hg_runner_counts *out);

// "<run>/<custom_id>" within HG_TASK_ID_MAX bytes; a longer one is cut and ends with a hash of the whole.
void hg_run_task_id(const char *run_name, const char *custom_id, char out[HG_TASK_ID_MAX + 1]);

#endif
