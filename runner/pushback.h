// How many calls may run at once while a provider pushes back (429): half as many after each push, one more for each
// round of calls that were served, never fewer than one. Additive increase, multiplicative decrease, as in TCP (RFC
// 5681, congestion avoidance). Pure; times in milliseconds.
#ifndef HG_PUSHBACK_H
#define HG_PUSHBACK_H

#include <stdbool.h>
#include <stdint.h>

struct hg_pushback {
  uint32_t most;         // calls at once when nobody pushes
  double allowed;        // now
  int64_t lowered_at_ms; // pushes against calls that were sent before this are the same push
};

void hg_pushback_init(struct hg_pushback *pushback, uint32_t most);
uint32_t hg_pushback_allowed(const struct hg_pushback *pushback);
bool hg_pushback_lasts(const struct hg_pushback *pushback); // fewer are allowed than when nobody pushes
// A call that was sent at `sent_ms` was pushed back while `running` ran, it among them. True: fewer are allowed now.
bool hg_pushback_push(struct hg_pushback *pushback, int64_t sent_ms, uint32_t running, int64_t now_ms);
// A call was served. True: as many are allowed again as when nobody pushes.
bool hg_pushback_serve(struct hg_pushback *pushback);

#endif
