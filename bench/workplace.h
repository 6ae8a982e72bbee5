// Where a bench works, and how it ends in good order: whatever ends it, its folder goes and so does the program that it
// has started.
#ifndef HG_BENCH_WORKPLACE_H
#define HG_BENCH_WORKPLACE_H

#include "bench/bench.h"

// From here on an interrupt ends the program at the next place or the next wait for another program.
void hg_bench_open_workplace(void);
const char *hg_bench_workplace(void);
// A fresh folder in it, for one contestant of one round; hg_bench_remove_folder when it is done.
void hg_bench_make_place(char place[HG_BENCH_FOLDER_MAX]);

#endif
