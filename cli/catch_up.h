// Events that were missed, told again by the runtime from its journal (REPLAY).
#ifndef HG_CATCH_UP_H
#define HG_CATCH_UP_H

#include "cli/control.h"
#include "client/gaps.h"

typedef void hg_catch_up_take(void *self, const uint8_t *frame, size_t size, const struct hg_event_envelope *event);
// Asks the runtime at the other end of `control` for the next portion of what is missing (the state is HG_GAPS_ASKING),
// and hands each event that is to be delivered to `take`. Without an answer that is refused: the connection must be
// closed then. False: that is so.
bool hg_catch_up(struct hg_control *control, struct hg_gaps *gaps, hg_catch_up_take *take, void *self);

#endif
