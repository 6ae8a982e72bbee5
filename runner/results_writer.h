// Writes the results of a batch on a thread of its own, so that nothing else waits for the disk.
#ifndef HG_RESULTS_WRITER_H
#define HG_RESULTS_WRITER_H

#include "batch/batch.h"

struct hg_results_writer;

// HG_ERR_NO_MEMORY; HG_ERR_SYSTEM: there is no thread or descriptor left.
hg_err hg_results_writer_new(struct hg_batch *batch, struct hg_results_writer **out);
// Ends the thread, when it has done what it was told.
void hg_results_writer_destroy(struct hg_results_writer **writer);

// Seals what is finished and has it written. One at a time: after hg_results_writer_ended has told of the one before.
// HG_ERR_STORE with `why`: it could not be sealed.
hg_err hg_results_writer_begin(struct hg_results_writer *writer, hg_error *why);
// Readable when it has ended.
int hg_results_writer_fd(const struct hg_results_writer *writer);
// True: it has ended, and how; once each. `wait`: until it has, if one is under way.
bool hg_results_writer_ended(struct hg_results_writer *writer, bool wait, hg_err *err, hg_error *why);

#endif
