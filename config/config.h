// The configuration (devs.config.json): read, checked and turned into one immutable struct.
// Every refusal names file, line, column and field, and says what would be right.
#ifndef HG_CONFIG_H
#define HG_CONFIG_H

#include "headgate.h"
#include "schemas/limits.h"
#include "usage/prices.h"

// At or over this usage percent a budget throttles: work runs one at a time until usage falls. The requirement
// [8_RISKS-REQ-031] sets 90: the last tenth is room for what already runs to finish in, and late enough that most of a
// run goes at full speed. The default of tokenBudget.throttlePercent.
#define TOKEN_THROTTLE_THRESHOLD_PERCENT 90

enum hg_throttle_basis { HG_THROTTLE_USED, HG_THROTTLE_COMMITTED };
enum hg_orphan_policy { HG_ORPHAN_CHARGE, HG_ORPHAN_KEEP, HG_ORPHAN_RELEASE };
// As the configuration, the journal and the ledger say them.
const char *hg_throttle_basis_name(enum hg_throttle_basis basis);
const char *hg_orphan_policy_name(enum hg_orphan_policy policy);

struct hg_budget_config {
  char name[HG_BUDGET_NAME_MAX + 1];
  uint32_t parent;    // index into budgets; the root ("default", index 0) is its own parent
  int64_t hard_limit; // in the unit of the configuration
};

// Key files of an endpoint that is open to the network, absolute paths; both NULL: none.
struct hg_curve_config {
  char *secret_key_file;
  char *allowed_keys_file;
};

// What a call reserves: the provable bound, that with the input that its provider counts where the bound does not fit,
// or what calls of its model have used of their bounds.
enum hg_reservation { HG_RESERVE_BOUND, HG_RESERVE_COUNTED, HG_RESERVE_LEARNED };
// Who counts: the provider of the endpoint where that is known to, or vLLM for chat and completions too.
enum hg_count_by { HG_COUNT_BY_ENDPOINT, HG_COUNT_BY_VLLM };
// serve.metrics: whether figures are exported, and where over HTTP beside the socket in the directory of the ledger.
struct hg_metrics_config {
  bool wanted;
  char *host;    // an address without brackets; NULL: nowhere
  uint16_t port; // 1 to 65535
  bool is_loopback;
};

struct hg_llm_config {
  char *base_url;         // NULL: not set in the file
  char *api_key_env;      // NULL: not set
  char *auth;             // "auto", "bearer", "x-api-key", "api-key", "none"
  char *output_cap_field; // "auto" or a field name
  char **headers;         // "Name: value" lines
  size_t header_count;
  uint32_t timeout_seconds;       // default 600
  uint32_t max_attempts;          // default 5
  uint32_t retry_unknown_outcome; // default 1
  int64_t tokens_per_minute;      // default 0: as the provider's headers say
  int64_t requests_per_minute;    // the same
  int64_t default_max_tokens;     // default 4096
  int64_t max_tokens_per_media;   // default 0: a media part has no bound
  bool may_cap_output;            // default false
  enum hg_reservation reservation;
  enum hg_count_by counter; // default "auto"
  bool allow_unbounded;     // llm.unbounded: "allow"
  struct hg_prices prices;
};

struct hg_config {
  char *source;   // the file's name for messages; "<json>" for text
  char *base_dir; // what relative paths are relative to

  hg_unit unit;                     // of every limit, and of the ledger
  struct hg_budget_config *budgets; // [0] is "default"; parents come before children
  uint32_t budget_count;
  uint32_t *budgets_by_name;      // their indices in the order of their names; NULL: looked for one by one
  uint32_t throttle_percent;      // 1 to 100; 100: never
  uint32_t restore_below_percent; // 1 to throttle_percent; default: throttle_percent, 80 (at most throttle_percent)
                                  // under committed
  enum hg_throttle_basis throttle_basis;
  enum hg_orphan_policy orphan_policy;

  char *ledger_path;  // absolute or relative to the working directory; default headgate.db beside the file
  uint32_t keep_days; // 0: for ever
  bool shared_readers;

  uint32_t max_concurrency;       // default 4
  uint32_t throttled_concurrency; // default 1

  bool for_a_moment; // who opens with it closes again at once: nobody should become its guest

  char **event_binds; // endpoints, ipc paths made absolute
  size_t event_bind_count;
  struct hg_curve_config event_curve;
  uint32_t max_subscribers; // default 64

  char **serve_binds; // of commands, beside the endpoint that is always there
  size_t serve_bind_count;
  struct hg_curve_config serve_curve;
  uint32_t max_clients; // default 256
  struct hg_metrics_config metrics;

  struct hg_llm_config llm;
  char *warnings; // "" or lines for a person: top-level names one slip away from ours
};

// Reads and checks a file. On HG_ERR_CONFIG `why` has "ConfigurationError: FILE:LINE:COLUMN: FIELD …". The result is
// the caller's: hg_config_destroy. `why` must not be NULL.
hg_err hg_config_read(const char *path, struct hg_config **out, hg_error *why);
// The same from text. `source` names it in messages; relative paths are relative to base_dir (NULL: working directory).
hg_err hg_config_parse(const char *json, size_t len, const char *source, const char *base_dir, struct hg_config **out,
                       hg_error *why);
// A configuration with nothing but a limit in tokens and a ledger, for `--limit` without a file.
hg_err hg_config_minimal(int64_t hard_limit, const char *ledger_path, struct hg_config **out, hg_error *why);
void hg_config_destroy(struct hg_config **config);
// Takes over another table of budgets in place of its own. False: no memory.
bool hg_config_take_budgets(struct hg_config *config, struct hg_budget_config *budgets, uint32_t count);
// A hash of llm.prices where amounts are money, by which two programs see that theirs are the same; 0: none.
uint64_t hg_config_prices_mark(const struct hg_config *config);
// The index of a budget, by the `len` bytes of its name.
bool hg_config_find_budget(const struct hg_config *config, const char *name, size_t len, uint32_t *out);

// Where a runtime can be found beside its ledger. All are strings of at most HG_PATH_MAX bytes.
struct hg_places {
  char lock_file[HG_PATH_MAX + 1]; // <ledger>.lock
  char directory[HG_PATH_MAX +
                 1]; // <ledger>.d, or $XDG_RUNTIME_DIR/headgate-<hash> where a socket path would pass 107 bytes
  char events_endpoint[HG_PATH_MAX + 8];  // ipc://<directory>/events.ipc
  char control_endpoint[HG_PATH_MAX + 8]; // ipc://<directory>/control.ipc
};
// Pure string work on an absolute ledger path; creates nothing. runtime_dir: $XDG_RUNTIME_DIR or NULL (then
// /tmp/headgate-<uid>).
hg_err hg_places_of(const char *ledger_path, const char *runtime_dir, struct hg_places *out, hg_error *why);

#endif
