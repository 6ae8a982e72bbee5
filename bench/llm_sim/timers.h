/* timers.h: what is due when: a binary heap, so that thousands of waiting answers cost no thread. */
#ifndef LLM_SIM_TIMERS_H
#define LLM_SIM_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer {
  uint64_t due_us;
  void *item;
};

struct timers {
  struct timer *heap;
  size_t count, capacity;
};

bool timers_add(struct timers *timers, uint64_t due_us, void *item); /* false without memory */
/* The item that is due first, if that is no later than now_us; otherwise NULL. */
void *timers_take(struct timers *timers, uint64_t now_us);
uint64_t timers_next_us(const struct timers *timers); /* UINT64_MAX when nothing waits */
void timers_free(struct timers *timers);

#endif
