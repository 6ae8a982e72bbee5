// Prompts of about 120 bytes, each of its own; output caps from 100 to 500 tokens.
#include "bench/requests.h"

#include "bench/bench.h"

#include <stdio.h>

size_t hg_bench_body(char body[HG_BENCH_BODY_MAX], long number) {
  static const char text[] =
      "Summarize the delivery report of the northern depot in two sentences and name the main cause "
      "of its delays.";
  return (size_t)snprintf(body, HG_BENCH_BODY_MAX,
                          "{\"model\":\"gpt-4o-mini\",\"max_tokens\":%ld,\"messages\":[{\"role\":\"user\",\"content\":"
                          "\"Report %ld: %s\"}]}",
                          100 + number % 401, number, text);
}

void hg_bench_write_batch(const char *path, long lines) {
  FILE *file = fopen(path, "w");
  if (!file) hg_bench_die("cannot write %s", path);
  char body[HG_BENCH_BODY_MAX];
  for (long i = 0; i < lines; i++) {
    hg_bench_body(body, i);
    fprintf(file, "{\"custom_id\":\"task-%ld\",\"method\":\"POST\",\"url\":\"%s\",\"body\":%s}\n", i, HG_BENCH_CALL_URL,
            body);
  }
  const bool failed = ferror(file) != 0;
  if (fclose(file) != 0 || failed) hg_bench_die("cannot write %s", path);
}
