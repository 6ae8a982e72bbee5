// What the end of an attempt means: what it costs, whether the line is finished, and when it is tried again. Pure: no
// clock, no random number of its own.
#ifndef HG_RETRY_H
#define HG_RETRY_H

#include "headgate.h"
#include "providers/request.h"
#include "runner/http.h"
#include "usage/usage.h"

#define HG_BACKOFF_BASE_MS 500
#define HG_BACKOFF_MAX_MS (60 * 1000)
// A provider that asks for a longer pause (Retry-After) is not called again in this run.
#define HG_RETRY_AFTER_MAX_MS (10 * 60 * 1000)
// A longer pause gives the slot to somebody else.
#define HG_SHORT_PAUSE_MS 1000

// What an attempt is charged.
enum hg_cost {
  HG_COST_NOTHING, // it never left, or the provider refused it before any work
  HG_COST_USAGE,   // what the answer says
  HG_COST_WHOLE    // the whole reservation, as an estimate: it was probably billed and nobody knows how much
};

struct hg_judgement {
  enum hg_cost cost;
  bool success;      // the answer is a result
  bool retry;        // another try may end otherwise
  bool unknown;      // it was billed, or may have been, and nothing came of it: another try pays once more
  bool access;       // the key, the model or the URL is wrong, or the account is empty
  bool served;       // the provider worked on it: a result, or a refusal of this very request
  bool unserved;     // nobody let it in, or no answer came; what is neither (too busy, an error) says nothing
  bool pushed;       // the provider is too busy for as many calls
  bool later;        // it may be called again when this run is over: the pause that it asks for is too long
  const char *code;  // for the errors file; NULL: success
  char message[240]; // for a person; "" on success
  char said[300];    // an answer with a bad status: the provider's own words; "" for none
};

// Reads a whole answer once: what it used goes into `found`, which says nothing of other ends. Usage is charged
// whatever the status; a failure that tells of none costs nothing, as the provider answered that it did no work, but
// for those that say nothing about it. An error inside a 2xx is a failure of the kind that its own code or type names.
void hg_judge(const struct hg_http_end *end, enum hg_endpoint endpoint, struct hg_usage_found *found,
              struct hg_judgement *out);

struct hg_retry_limits {
  uint32_t max_attempts;          // of one line, all kinds together
  uint32_t retry_unknown_outcome; // of one line: tries after an attempt that was unknown
};
// Whether the line is tried again after `attempts` attempts, of which `unknown` were unknown, this one included.
bool hg_may_retry(const struct hg_retry_limits *limits, const struct hg_judgement *judgement, uint32_t attempts,
                  uint32_t unknown);

// How long to wait before the next try: exponential with full jitter (0 to base * 2^(attempts-1), at most the maximum),
// behind what Retry-After asks for (-1: nothing; at most HG_RETRY_AFTER_MAX_MS), never before it. `random` is any 64
// random bits.
int64_t hg_backoff_ms(uint32_t attempts, int64_t retry_after_ms, uint64_t random);

#endif
