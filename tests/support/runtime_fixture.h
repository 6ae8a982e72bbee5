// A real runtime on a real ledger in a folder of its own, for integration tests.
#ifndef HG_RUNTIME_FIXTURE_H
#define HG_RUNTIME_FIXTURE_H

#include "headgate.h"
#include "support/test.h"

struct fixture {
  char folder[64];
  char config[1024]; // JSON
  hg_runtime *runtime;
  hg_client *client;
};

// `sections` is what the configuration says beside the ledger, such as "\"tokenBudget\":{\"hardLimitTokens\":1000}".
void fixture_open(struct fixture *fixture, const char *sections);
// Closes and opens again on the same ledger.
void fixture_reopen(struct fixture *fixture);
void fixture_close(struct fixture *fixture);       // audits the ledger and removes the folder
void fixture_audit(const struct fixture *fixture); // of the closed ledger: there must be no difference

void fixture_record(struct fixture *fixture, int64_t tokens);
hg_usage fixture_usage(struct fixture *fixture);
hg_queue fixture_queue(struct fixture *fixture);
hg_permit fixture_acquire(struct fixture *fixture, int64_t tokens);
void fixture_settle(struct fixture *fixture, hg_permit permit, int64_t tokens);
// The value of one number that plain SQL finds in the closed ledger.
int64_t fixture_sql(const struct fixture *fixture, const char *sql);

#endif
