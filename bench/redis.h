// Redis as the peer: a budget that is one counter, changed by INCRBY, synced to its append-only file before each
// answer.
//
// It is spoken to by hand rather than through hiredis: the requests are constant texts and the answers one line each,
// so that next to no time goes into the client, and the peer is as fast as it can be.
#ifndef HG_BENCH_REDIS_H
#define HG_BENCH_REDIS_H

#include "bench/latencies.h"

#include <stdbool.h>

// Says on stderr which one it is, or that there is none.
bool hg_bench_find_redis(void);
// INCRBYs a second over one connection, all of them in flight.
double hg_bench_redis_rate(const char *folder, long records);
// For `ms`, each of `callers` connections waits for its answer before it asks again.
struct hg_speed hg_bench_redis_callers(const char *folder, long callers, long ms);

#endif
