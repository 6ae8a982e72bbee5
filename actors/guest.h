// Becoming the guest of a runtime that lives in another process on the same ledger: what has to be known of it before
// the remote can stand in for it.
#ifndef HG_GUEST_H
#define HG_GUEST_H

#include "bus/links.h"
#include "config/config.h"

struct hg_host {
  uint64_t life; // as in WELCOME
  char ledger_id[37];
};
// Asks the gateway at `endpoint` who it is, and for its budgets, which take the place of those in `config`.
// HG_ERR_NO_RUNTIME: it did not answer in time, or not as a runtime that takes guests does. HG_ERR_CONFIG: it counts
// another unit, or by other prices.
hg_err hg_guest_greet(void *context, const char *endpoint, struct hg_config *config, struct hg_host *out,
                      hg_error *why);

#endif
