/* attempts.h: how often each request body came, and whether it was answered whole. It lets a fault strike one attempt
 * and spare the next, and proves that nothing which succeeded was called again. */
#ifndef LLM_SIM_ATTEMPTS_H
#define LLM_SIM_ATTEMPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ATTEMPTS_ENTRIES_MAX = 4 * 1024 * 1024 };

struct attempt {
  uint64_t hash; /* 0 = a free place */
  uint32_t count;
  uint32_t answered;
};

struct attempts {
  struct attempt *entries;
  size_t places; /* a power of two, at most half of it used */
  size_t used;
};

/* The number of this attempt, from 1; 0 when the table is full and the body is not in it. */
uint32_t attempts_next(struct attempts *attempts, uint64_t hash);
/* Notes a whole answer; true when there was one before. */
bool attempts_answered(struct attempts *attempts, uint64_t hash);
void attempts_free(struct attempts *attempts);

#endif
