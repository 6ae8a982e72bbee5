// The flags of `headgate run`, and what its parts share.
#ifndef HG_RUN_FLAGS_H
#define HG_RUN_FLAGS_H

#include "batch/batch.h"
#include "config/config.h"
#include "providers/endpoint.h"
#include "ledger/ledger.h"
#include "runner/summary.h"

enum hg_progress_flag { HG_PROGRESS_AUTO, HG_PROGRESS_ALWAYS, HG_PROGRESS_NEVER };
#define HG_RUN_BINDS_MAX 16

struct hg_run_flags {
  int argc; // of the subcommand, as given
  char **argv;
  const char *input, *output, *errors; // errors: NULL when it was not given
  int64_t limit;                       // 0: not given
  hg_unit limit_unit;
  const char *config_file, *base_url, *model, *budget;
  uint32_t max_concurrency; // 0: not given
  const char *binds[HG_RUN_BINDS_MAX];
  size_t bind_count;
  enum hg_progress_flag progress;
  bool json, dry_run, fresh;
  bool input_order; // of the results, at the end
  enum hg_changed_policy changed;
};

// False: *exit_code says how the program ends (help was asked for, or a flag is wrong and was told).
bool hg_run_flags_parse(struct hg_run_flags *flags, int argc, char **argv, int *exit_code);

// The configuration of --config, of devs.config.json, or of --limit alone, with the other flags worked in.
hg_err hg_run_flags_config(const struct hg_run_flags *flags, struct hg_config **out, hg_error *why);

// Whether the results go to standard output, from which no run can go on.
bool hg_run_has_stream(const struct hg_run_flags *flags);
// The file after which ledger, errors and tasks are named: the results, else the batch file, else "headgate".
const char *hg_run_base(const struct hg_run_flags *flags);
// The file of failures. malloc'd; NULL: no memory.
char *hg_run_errors_path(const struct hg_run_flags *flags);

// HG_ERR_INVALID: the results or the errors can't be written where they are to go, or would overwrite what they must
// not: the batch file, the configuration, a ledger or any other database.
hg_err hg_run_check_output(const struct hg_run_flags *flags, const char *ledger_path, hg_error *why);

// Prepares every line that is to run, calls nothing, changes nothing. Returns the exit code.
int hg_dry_run(const struct hg_run_flags *flags, const struct hg_config *config);

// The command that goes on where this run ended. Every budget that was too short for the lines that are left gets a
// limit under which they all fit, whatever the answers are. malloc'd; NULL: no memory.
char *hg_go_on_command(const struct hg_run_flags *flags, const struct hg_config *config, hg_client *client,
                       const struct hg_runner_counts *counts);

// What to do about the end of a run; "" when there is nothing to say. summary->go_on must be set.
void hg_run_hint(const struct hg_target *target, const struct hg_summary *summary, char *out, size_t room);

// "headgate limit … BUDGET LIMIT" for the ledger of this run. malloc'd; NULL: no memory.
char *hg_limit_command(const struct hg_run_flags *flags, const struct hg_config *config, const char *budget,
                       int64_t tokens);

// "headgate orphans …" for the ledger of this run. malloc'd; NULL: no memory.
char *hg_orphans_command(const struct hg_run_flags *flags, const struct hg_config *config);

// Says where flag or file and a limit that was set by hand differ, and which of the two holds. `found`: what the ledger
// held before it was opened.
void hg_run_tell_limits(const struct hg_run_flags *flags, const struct hg_config *config,
                        const struct hg_ledger_state *found);
// The same where another runtime lives on the ledger, whose limits are in `config` by now: `said` is what flag or file
// say of the default budget.
void hg_run_tell_host(const struct hg_run_flags *flags, const struct hg_config *config, int64_t said);

// Prints "headgate run: TEXT" to stderr.
void hg_run_say(const char *text);

#endif
