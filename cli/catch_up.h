// Events that were missed, told again by the runtime from its journal (REPLAY).
#ifndef HG_CATCH_UP_H
#define HG_CATCH_UP_H

#include "cli/control.h"

// Which rows: behind `after` and before `before` (0: all that there are), of `topics` (prefixes with commas between
// them; "": all).
struct hg_catch_up {
  uint64_t after, before;
  const char *topics;
};
typedef void hg_catch_up_take(void *self, const uint8_t *frame, size_t size);
// Asks the runtime that lives on the ledger, and hands each event, an outside frame, to `take`, in the order of their
// rows. `oldest`: not 0: rows before this one are no longer kept.
hg_err hg_catch_up(const struct hg_site *site, struct hg_catch_up wanted, hg_catch_up_take *take, void *self,
                   uint64_t *oldest, hg_error *why);

#endif
