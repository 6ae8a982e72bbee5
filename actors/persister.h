// The persister: decides what is durable. Whatever waits when it comes round is one transaction of the ledger; then it
// acknowledges cumulatively, up to a sequence number, and passes the committed facts on to the event bus.
//
// A store that may come back (HG_ERR_BUSY, HG_ERR_NO_MEMORY) is tried again without end. Any other failure twice in a
// row, or rows that are gone, and the persister gives up: it lives on, tells why, and writes nothing more
// (docs/decisions/0006-when-the-store-fails.md).
//
// When it has time it keeps house (housekeeping.h), and between commits it tells what others missed (replays.h).
//
// Hears: HG_PORT_FACTS (FACTS, FIND_USAGE, FIND_PERMIT), HG_PORT_LEDGER (AUDIT, REPLAY), HG_PORT_LIFE (STOP).
#ifndef HG_PERSISTER_H
#define HG_PERSISTER_H

#include "actors/actor.h"
#include "ledger/audit.h"
#include "ledger/ledger.h"

// The side effects of the persister, with the errors of ledger.h. hg_ledger_* fit; a simulator brings its own.
struct hg_store {
  void *self;
  hg_err (*write)(void *self, const struct hg_bytes *payloads, size_t count, hg_error *why);
  hg_err (*recover)(void *self, uint64_t *stored_seq, hg_error *why);
  hg_err (*checkpoint)(void *self, bool idle, hg_error *why);
  hg_err (*find_usage)(void *self, struct hg_text usage_id, uint64_t *seq, uint64_t *content, hg_error *why);
  hg_err (*find_permit)(void *self, uint64_t permit, struct hg_ended_permit *out, hg_error *why);
  // One portion each; NULL: it has none.
  hg_err (*audit)(void *self, bool anew, uint32_t rows, struct hg_audit_report *out, bool *done, hg_error *why);
  hg_err (*fold)(void *self, int64_t now_utc_us, uint32_t rows, uint64_t *folded, bool *more, hg_error *why);
  hg_err (*replay)(void *self, uint64_t after, uint32_t rows, hg_ledger_take *take, void *taker, hg_error *why);
};

// `last_seq`: the newest event that is stored already.
hg_err hg_persister_new(struct hg_store store, uint64_t last_seq, struct hg_actor *out);

#endif
