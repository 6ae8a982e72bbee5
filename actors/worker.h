// The threads of the worker pool. Each holds a socket to the pool, gets functions from it, and hands back what they
// used.
#ifndef HG_WORKER_H
#define HG_WORKER_H

#include "headgate.h"

#include <stdbool.h>

#define HG_WORKERS_MAX 256

struct hg_workers; // used by one thread at a time: the runtime's, then the pool's, then the runtime's again

hg_err hg_workers_new(void *context, hg_unit unit, struct hg_workers **out); // unit: of the ledger
// Starts one more thread, which will tell the pool that it is there. False: there are HG_WORKERS_MAX, or it can't be
// now.
bool hg_workers_start(void *workers);
bool hg_workers_any(const struct hg_workers *workers);
// Waits for the threads, which end with the context.
void hg_workers_join(struct hg_workers **workers);

#endif
