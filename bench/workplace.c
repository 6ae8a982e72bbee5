// A folder for as long as the program runs.
#include "bench/workplace.h"

#include "bench/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char folder[HG_BENCH_FOLDER_MAX];

static void remove_folder(void) {
  hg_bench_remove_folder(folder);
}

void hg_bench_open_workplace(void) {
  hg_bench_make_folder(folder);
  // Handlers run in reverse: who still writes into the folder ends first.
  if (atexit(remove_folder) != 0) hg_bench_die("no memory");
  hg_bench_heed_signals();
}

const char *hg_bench_workplace(void) {
  return folder;
}

void hg_bench_make_place(char place[HG_BENCH_FOLDER_MAX]) {
  static unsigned count;
  hg_bench_heed_interrupt();
  const int len = snprintf(place, HG_BENCH_FOLDER_MAX, "%s/%u", folder, count++);
  if (len >= HG_BENCH_FOLDER_MAX || mkdir(place, 0700) != 0) hg_bench_die("cannot make a folder in %s", folder);
}
