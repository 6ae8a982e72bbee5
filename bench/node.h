// Node as the peer: what a user would write there (record_peer.mjs).
#ifndef HG_BENCH_NODE_H
#define HG_BENCH_NODE_H

#include "bench/latencies.h"

#include <limits.h>
#include <stdbool.h>

#define HG_BENCH_RECORD_PEER "record_peer.mjs"

// The path of a file beside this program.
void hg_bench_beside(const char *name, char path[PATH_MAX]);
// Says on stderr what the peer `script` is made of, or that it is not there and why.
bool hg_bench_find_node(const char *script);
// For `ms`, each of `callers` gets a slot of p-limit and waits until its record is durable.
struct hg_speed hg_bench_node_callers(const char *folder, long callers, long ms);

#endif
