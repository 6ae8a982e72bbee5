// The calls of earlier runs that nobody settled. When the batch opens, its old result and error lines say what became
// of some of them.
#ifndef HG_RUN_ORPHANS_H
#define HG_RUN_ORPHANS_H

#include "cli/run_flags.h"

struct hg_run_orphans {
  hg_client *client; // borrowed
  hg_unit unit;      // of the ledger
  hg_orphan *list;   // those that are not settled
  size_t count;
  uint64_t settled;
};

// Asks the runtime for all of them.
hg_err hg_run_orphans_list(struct hg_run_orphans *orphans, hg_error *why);
void hg_run_orphans_clear(struct hg_run_orphans *orphans);

// Settles or releases the orphan of this line by what the line says; one that the runtime refuses is told and stays as
// it is, and so does one of which the line knows nothing. An error: the runtime can't be relied upon.
hg_err hg_run_orphans_settle(struct hg_run_orphans *orphans, const struct hg_result_line *line, hg_error *why);

// Tells on stderr of those that this opening made orphans, and that no line has settled.
void hg_run_orphans_tell(const struct hg_run_orphans *orphans, const struct hg_run_flags *flags,
                         const struct hg_config *config);

// What the summary tells: those of this run only.
void hg_run_orphans_count(const struct hg_run_orphans *orphans, const char *run_name,
                          struct hg_run_orphans_figures *out);

#endif
