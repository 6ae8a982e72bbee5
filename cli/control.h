// Where the runtime of a ledger is to be found, and how a subcommand asks it: over its control endpoint while it lives,
// else from the ledger itself, opened for a moment.
#ifndef HG_CONTROL_H
#define HG_CONTROL_H

#include "bus/keys.h"
#include "bus/links.h"
#include "ledger/ledger.h"
#include "base/fail.h"
#include "schemas/message.h"

#include <signal.h>

#define HG_CLI_CONFIG_FILE "devs.config.json" // what is read when neither --config nor --ledger is given
#define HG_CONTROL_PATIENCE_MS 2000           // a living runtime answers within this

// A ledger, named by a configuration file or by its own path.
struct hg_site {
  struct hg_config *config; // with --ledger a minimal one, whose limit says nothing, until hg_site_learn
  struct hg_places places;
  bool from_ledger;
};
// At most one of the two files may be given. Prints the warnings of the configuration to stderr.
hg_err hg_site_open(const char *config_file, const char *ledger_file, struct hg_site *out, hg_error *why);
void hg_site_close(struct hg_site *site);
// With --ledger: takes the configuration from the ledger itself, on which nobody lives now: its budgets, and the
// policies under which it was opened last. Else there is nothing to do. HG_ERR_EMPTY: there is no ledger.
hg_err hg_site_learn(struct hg_site *site, int patience_ms, hg_error *why);

// A connection to the runtime that lives on a ledger. One question at a time; texts of an answer are valid until the
// next one.
struct hg_control {
  const struct hg_site *site;               // must live as long as questions are asked; NULL: at an endpoint
  const volatile sig_atomic_t *interrupted; // NULL: nothing ends a wait before its deadline
  struct hg_holder holder;
  void *context;
  struct hg_link link;
  uint64_t request;
  uint8_t answer[HG_OUTSIDE_FRAME_MAX];
  size_t answer_size;
};
// HG_ERR_NO_RUNTIME: nobody lives there, or nobody who has said so yet.
hg_err hg_control_open(struct hg_control *control, const struct hg_site *site, hg_error *why);
// To whoever answers at an endpoint, now or later: nobody tells that he has ended. The keys are for tcp.
hg_err hg_control_connect(struct hg_control *control, const char *endpoint, const struct hg_client_keys *keys,
                          hg_error *why);
void hg_control_close(struct hg_control *control); // one that never opened is fine
// For a link that is to be connected to an endpoint: shows the keys, when there are any and it is tcp.
hg_err hg_cli_use_keys(struct hg_link *link, const char *endpoint, const struct hg_client_keys *keys);
// Sends a question, whose request is set, and receives the next answer to it. HG_ERR_TIMEOUT: none until `deadline_us`
// (monotonic). HG_ERR_NO_RUNTIME: whoever was asked has ended, and did or did not do what it was asked for.
// HG_ERR_CANCELLED: interrupted.
hg_err hg_control_send(struct hg_control *control, struct hg_message *question);
hg_err hg_control_receive(struct hg_control *control, int64_t deadline_us, struct hg_message *answer);
// Receives any frame, into `answer`.
hg_err hg_control_receive_frame(struct hg_control *control, int64_t deadline_us);
// Fills `report` with a STATUS_REPORT. HG_ERR_TIMEOUT: no answer until `deadline_us` (monotonic).
hg_err hg_control_status(struct hg_control *control, const char *budget, int64_t deadline_us, struct hg_message *report,
                         hg_error *why);
// Asks for something to be done; HG_OK: it is done and durable. `what` names it in `why`. The message's request is set.
hg_err hg_control_do(struct hg_control *control, struct hg_message *command, const char *what, int64_t deadline_us,
                     hg_error *why);
// Asks a question whose answer is of the kind `wanted`. The question's request is set.
hg_err hg_control_ask(struct hg_control *control, struct hg_message *question, enum hg_kind wanted, int64_t deadline_us,
                      struct hg_message *answer, hg_error *why);

// What the ledger of the runtime counts.
hg_err hg_control_unit(struct hg_control *control, int64_t deadline_us, hg_unit *out, hg_error *why);
// HG_ERR_INVALID: an amount in `given` was meant for a ledger that counts `ledger`.
hg_err hg_cli_check_unit(hg_unit given, hg_unit ledger, hg_error *why);
// The same, asking for the ledger's unit.
hg_err hg_control_check_unit(struct hg_control *control, hg_unit given, int64_t deadline_us, hg_error *why);
hg_err hg_client_check_unit(hg_client *client, hg_unit given, int timeout_ms, hg_error *why);

// Behind a question that timed out (any other `err` comes back as it is): whether the runtime waits for a ledger that
// it can't write. Then it says so in `why` and returns HG_ERR_STORE.
hg_err hg_site_explain(const struct hg_site *site, hg_err err, hg_error *why);

// The figures of a budget as a STATUS_REPORT: from the runtime, or from the ledger when none lives (live: false).
// `control` is not opened yet and the caller's to close; `budget` must live as long as the report.
hg_err hg_site_status(struct hg_site *site, const char *budget, struct hg_control *control, struct hg_message *report,
                      hg_error *why);

// Something that changes a ledger: by the living runtime, or, when none lives, by one that is opened for it. The
// runtime that is asked may be one that somebody else has opened for a moment.
struct hg_change {
  void *context;
  hg_err (*live)(void *context, struct hg_control *control, int64_t deadline_us, hg_error *why);
  hg_err (*stored)(void *context, hg_client *client, int timeout_ms, hg_error *why);
};
// It may be asked for again and again, when runtimes end before they answer: it must count once.
hg_err hg_site_change(struct hg_site *site, const struct hg_change *change, hg_error *why);

// Prints "headgate SUBCOMMAND: TEXT" to stderr and gives the exit code: 1 nothing found, 2 usage or configuration,
// 4 the ledger can't be used.
int hg_cli_exit(const char *subcommand, const hg_error *why);
// Prints how a subcommand is used: to stdout when asked for, else to stderr; gives the exit code.
int hg_cli_usage(const char *usage, bool asked);

#endif
