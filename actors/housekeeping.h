// What the persister does when it has time: the audit of the ledger, a second after the start and when somebody asks;
// and retention, which folds old rows after that audit and then every hour. A ledger that an audit found wrong keeps
// its rows. A portion a turn, so that a commit waits for one portion at most.
//
// Whoever asks for audits without end gets a bounded share of the time: a portion now and then while facts come, and
// between two audits a rest as long as the first was.
#ifndef HG_HOUSEKEEPING_H
#define HG_HOUSEKEEPING_H

#include "actors/persister.h"

struct hg_housekeeping {
  const struct hg_store *store;
  bool auditing, anew; // an audit is under way; its first portion is still to come
  uint64_t asked;      // whose it is: the number of a question; 0: nobody asked
  int64_t portion_at;  // the next of an audit that was asked for, at the earliest
  int64_t busy_until;  // facts came lately
  int64_t audit_at;    // the next one of our own; 0: not known before the first turn
  int64_t fold_at;     // the next portion of retention
  bool wrote;          // in this turn
  int64_t began_at;
  struct hg_audit_report report;
};

void hg_housekeeping_init(struct hg_housekeeping *house, const struct hg_store *store);
// AUDIT: begins one, in place of one that nobody asked for. `trouble`: why the store cannot be read now; NULL: it can.
void hg_housekeeping_ask(struct hg_housekeeping *house, uint64_t request, const char *trouble, struct hg_outbox *out);
// At the end of a turn in which the store was well. `idle`: nothing was to be written. `wake`: when it wants to come
// again. An error is a failed write, to be recovered from as any other.
hg_err hg_housekeeping_turn(struct hg_housekeeping *house, bool idle, struct hg_now now, int64_t *wake, hg_error *why,
                            struct hg_outbox *out);
// No more of it. Whoever asked hears why.
void hg_housekeeping_stop(struct hg_housekeeping *house, hg_err err, const char *why, struct hg_outbox *out);

#endif
