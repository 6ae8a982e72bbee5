// A runtime of Headgate under load, in this process.
#ifndef HG_BENCH_RUNTIME_H
#define HG_BENCH_RUNTIME_H

#include "headgate.h"

#include <string.h>

// On a fresh ledger in `folder`, with a limit that is never reached.
hg_runtime *hg_bench_open_runtime(const char *folder, unsigned max_concurrency);
// Of a configuration that says more; its ledger is to be `headgate.db` in a fresh folder too.
hg_runtime *hg_bench_open_config(const char *config);
hg_client *hg_bench_new_client(hg_runtime *runtime);
// The end of the program, unless it went well.
void hg_bench_must(hg_err err, const char *what);
// Pipelined, until all are answered. Their tokens.
long long hg_bench_record_all(hg_client *client, long records);
// The ledger must then hold `count` rows of `event`, all that was acknowledged and nothing else, with `tokens` in all.
void hg_bench_close_runtime(hg_runtime **runtime, const char *folder, const char *event, long count, long long tokens);
// The i-th record of any contestant: 16 bytes of task id, 100 to 999 tokens. To make them costs next to nothing, where
// printf would be a tenth of what is measured.
#define HG_BENCH_TASK_ID_SIZE 16
static inline void hg_bench_name_task(char task[HG_BENCH_TASK_ID_SIZE + 1], long i) {
  memcpy(task, "task-00000000000", HG_BENCH_TASK_ID_SIZE + 1);
  for (char *digit = task + HG_BENCH_TASK_ID_SIZE - 1; i > 0; i /= 10)
    *digit-- = (char)('0' + i % 10);
}
static inline long hg_bench_tokens(long i) {
  return 100 + i % 900;
}

#endif
