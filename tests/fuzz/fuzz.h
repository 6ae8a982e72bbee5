// What the fuzz targets share.
#ifndef HG_FUZZ_H
#define HG_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define need(condition) ((condition) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #condition))

static inline void fuzz_fail(const char *file, int line, const char *condition) {
  fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
  __builtin_trap();
}

static inline bool is_in(const void *at, size_t bytes, const uint8_t *data, size_t size) {
  const uint8_t *first = at;
  return bytes == 0 || (first >= data && bytes <= size && first - data <= (ptrdiff_t)(size - bytes));
}

#endif
