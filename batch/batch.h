// A batch run's files tied together: which line runs next, which results are durable, what a resume skips. No threads,
// no sockets, no clock: the task runner drives it from its own thread.
//
//     open; then again and again: next -> (a call is made) -> finish_ok or finish_failed -> sync -> (the call is
//     settled)
//
// A result must be durable (hg_batch_sync returned HG_OK) before its call is settled.
#ifndef HG_BATCH_H
#define HG_BATCH_H

#include "batch/line.h"

// What to do with a line whose request is not the one that succeeded in an earlier run.
enum hg_changed_policy { HG_CHANGED_STOP, HG_CHANGED_REDO, HG_CHANGED_KEEP };

struct hg_batch_options {
  const char *input;  // the batch file; "-": standard input
  const char *output; // the results file; "-": standard output, which remembers nothing
  const char *errors; // the file of failures; NULL: hg_errors_path of the output, which must be a file then
  bool look_only;     // nothing is made, locked or changed; lines are handed out, but none can be finished; bad lines
                      // and duplicates go to on_note; `output` may be NULL: there are no results
  bool fresh;         // move existing results aside and start anew
  enum hg_changed_policy changed;
  const char *model; // replaces the model of each body (--model), NULL: none; part of what "changed" compares
  uint64_t ledger;   // the mark of the ledger that gives this run its permits (hg_ledger_mark), kept in each line
  // The permits that this ledger calls orphans: on_orphan is called, while the batch opens, for each line of results or
  // errors that has one, so that it can be settled late: what the old lines say of errors is lost afterwards. An error
  // ends the opening with it.
  const uint64_t *orphans;
  size_t orphan_count;
  hg_err (*on_orphan)(void *context, const struct hg_result_line *line);
  // Called likewise for each line whose permit another ledger gave; or NULL.
  void (*on_other_ledger)(void *context, const struct hg_result_line *line);
  void (*on_note)(void *context, const char *text); // a sentence for a person, such as what was repaired; or NULL
  bool (*is_stopped)(
      void *context); // asked at each line that the opening reads: true ends it (HG_ERR_CANCELLED); or NULL
  void *context;
};

struct hg_batch_counts {
  uint64_t lines;       // read so far, blank ones apart
  uint64_t done_before; // of these, those that had succeeded in an earlier run
  uint64_t done_now, failed, left, running;
  uint64_t duplicates, bad; // told in the errors file, not run
  uint64_t changed;         // requests that are not what succeeded before (run again or kept, as the policy says)
  uint64_t results;         // succeeded custom_ids that the results file held at the opening
};

struct hg_batch;

// Opens all files, takes the locks, repairs and reads the results. Errors, each with `why`: HG_ERR_INVALID (the input
// can't be read, input and output are the same file, the output is no results file, the errors file holds something
// else), HG_ERR_BUSY (another run writes to the output), HG_ERR_CANCELLED (is_stopped), HG_ERR_STORE, HG_ERR_SYSTEM,
// HG_ERR_NO_MEMORY.
hg_err hg_batch_open(const struct hg_batch_options *options, struct hg_batch **out, hg_error *why);
// Gives up the locks; what was not synced is lost. An errors file without a line is removed. NULLs *batch.
void hg_batch_close(struct hg_batch **batch);

// The next line that has to run; valid until the next call of this function. Bad lines and duplicates are written to
// the errors file on the way. HG_ERR_EMPTY: the end. HG_ERR_CONFLICT: a changed line, and the policy is to stop; `why`
// names it. HG_ERR_BUSY: the input is a pipe or a terminal that has nothing to read now; ask again when
// hg_batch_input_fd is readable. HG_ERR_STORE: the errors file can't be written (asking again is fine). HG_ERR_SYSTEM:
// the input can't be read.
hg_err hg_batch_next(struct hg_batch *batch, const struct hg_batch_line **out, hg_error *why);

// A descriptor to poll; the batch's.
int hg_batch_input_fd(const struct hg_batch *batch);

// The result of a line that was handed out joins the group that the next sync makes durable. The request hash is filled
// in. HG_ERR_BUSY: the group is full, sync first. HG_ERR_INVALID: no such line is running, or the answer is too long.
hg_err hg_batch_finish_ok(struct hg_batch *batch, uint64_t id_hash, const struct hg_result *result, hg_error *why);
hg_err hg_batch_finish_failed(struct hg_batch *batch, uint64_t id_hash, const struct hg_result *result, hg_error *why);
// The line was not run after all: the next run takes it. False: it is not running.
bool hg_batch_leave(struct hg_batch *batch, uint64_t id_hash);

// Whether so much waits that it should be synced now.
bool hg_batch_group_full(const struct hg_batch *batch);
// Makes all finished lines durable. HG_ERR_STORE, HG_ERR_BUSY (standard output takes no
// more now) with `why`: nothing is lost, another sync tries the same again. HG_ERR_CLOSED: nobody reads standard
// output.
hg_err hg_batch_sync(struct hg_batch *batch, hg_error *why);

void hg_batch_count(const struct hg_batch *batch, struct hg_batch_counts *out);
const char *hg_batch_errors_path(const struct hg_batch *batch);

#endif
