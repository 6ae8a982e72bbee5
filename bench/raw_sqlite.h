// Raw SQLite writing a record's rows into the ledger's own table, synced as the ledger is: what anything durable could
// cost at least on this disk.
#ifndef HG_BENCH_RAW_SQLITE_H
#define HG_BENCH_RAW_SQLITE_H

#include "bench/latencies.h"

#define HG_RAW_ROWS_A_STATEMENT 64

// Rows a second, 8,192 a transaction, 64 a statement, which `rows` must be a multiple of.
double hg_bench_raw_rate(const char *folder, long rows);
// For `ms`, one row a transaction, one after another.
struct hg_speed hg_bench_raw_commits(const char *folder, long ms);

// The end of the program unless `query` finds exactly `expected` in the file.
void hg_bench_expect(const char *path, const char *query, long long expected);

#endif
