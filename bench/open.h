// How long a ledger takes to open and close, by the length of its journal.
#ifndef HG_BENCH_OPEN_H
#define HG_BENCH_OPEN_H

int hg_bench_open(int argc, char **argv);

#endif
