// The requests of the bench of runs: the same for headgate run, for bare libcurl and for Node.
#ifndef HG_BENCH_REQUESTS_H
#define HG_BENCH_REQUESTS_H

#include <stddef.h>

#define HG_BENCH_CALL_URL "/v1/chat/completions"
#define HG_BENCH_BODY_MAX 400

// The body of request `number`; its length.
size_t hg_bench_body(char body[HG_BENCH_BODY_MAX], long number);
// A batch file with `lines` of them, from 0 on.
void hg_bench_write_batch(const char *path, long lines);

#endif
