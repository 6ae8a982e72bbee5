// Functions of the ledger, with the first argument that a store has.
#include "actors/ledger_store.h"

static hg_err write_events(void *self, const struct hg_bytes *payloads, size_t count, hg_error *why) {
  return hg_ledger_write(self, payloads, count, why);
}

static hg_err recover(void *self, uint64_t *stored_seq, hg_error *why) {
  return hg_ledger_recover(self, stored_seq, why);
}

static hg_err checkpoint(void *self, bool idle, hg_error *why) {
  return hg_ledger_checkpoint(self, idle, why);
}

static hg_err find_usage(void *self, struct hg_text usage_id, uint64_t *seq, uint64_t *content, hg_error *why) {
  return hg_ledger_find_usage(self, usage_id, seq, content, why);
}

static hg_err find_permit(void *self, uint64_t permit, struct hg_ended_permit *out, hg_error *why) {
  return hg_ledger_find_permit(self, permit, out, why);
}

static hg_err audit(void *self, bool anew, uint32_t rows, struct hg_audit_report *out, bool *done, hg_error *why) {
  return hg_ledger_audit(self, anew, rows, out, done, why);
}

static hg_err fold(void *self, int64_t now_utc_us, uint32_t rows, uint64_t *folded, bool *more, hg_error *why) {
  return hg_ledger_fold(self, now_utc_us, rows, folded, more, why);
}

static hg_err replay(void *self, uint64_t after, uint32_t rows, hg_ledger_take *take, void *taker, hg_error *why) {
  return hg_ledger_replay(self, after, rows, take, taker, why);
}

struct hg_store hg_ledger_store(struct hg_ledger *ledger, bool folds) {
  return (struct hg_store){.self = ledger,
                           .write = write_events,
                           .recover = recover,
                           .checkpoint = checkpoint,
                           .find_usage = find_usage,
                           .find_permit = find_permit,
                           .audit = audit,
                           .fold = folds ? fold : NULL,
                           .replay = replay};
}
