// What the files of the audit share: audit.c (portions, budgets), audit_rows.c (the journal, row by row),
// audit_permits.c (reservations).
#ifndef HG_AUDIT_PRIVATE_H
#define HG_AUDIT_PRIVATE_H

#include "base/id_map.h"
#include "ledger/audit.h"
#include "ledger/internal.h"
#include "base/money.h"

struct hg_audit_budget {
  char name[HG_BUDGET_NAME_MAX + 1];
  uint32_t parent;                          // index; the root is its own
  int64_t used, reserved;                   // stored
  bool throttled;                           // stored
  bool closed;                              // as the newest row says
  int64_t latch_seq;                        // that row; 0: none
  int64_t own_used, own_reserved, own_held; // of rows and reservations that name it
  int64_t sum_used, sum_reserved, sum_held; // the same with all below it
};

// Of rows whose budget is no longer in the ledger: in sum they must be nothing.
struct hg_audit_stray {
  char name[HG_BUDGET_NAME_MAX + 1];
  int64_t seq, used, reserved;
};

enum hg_audit_phase { HG_AUDITING_ROWS, HG_AUDITING_OPEN, HG_AUDITING_RESERVATIONS, HG_AUDITING_DONE };

struct hg_audit {
  sqlite3 *db;
  hg_unit unit; // of the ledger
  enum hg_audit_phase phase;
  struct hg_audit_report report;
  uint32_t listed_of[HG_AUDIT_CHECKS];

  // As they were when it began.
  struct hg_audit_budget *budgets; // by name
  uint32_t budget_count, newest_budget;
  struct hg_audit_stray stray;
  int64_t topic_stored[HG_EVENT_KINDS];
  int64_t newest; // the last row that is audited
  int64_t newest_detail;
  int64_t folded; // rows up to it may be folded, and only those

  sqlite3_stmt *rows, *details, *reservation, *reservations;
  int64_t at; // the newest row that was read
  int64_t topic_seen[HG_EVENT_KINDS];
  struct hg_id_map permits; // those that the rows so far have left open, struct hg_audit_permit
  size_t open_at;           // how far they were walked
  int64_t reservation_at;   // the last id that was read
};

// An amount as a text tells it, exactly.
struct hg_audit_amount {
  char text[HG_MONEY_TEXT_MAX];
};
struct hg_audit_amount hg_audit_amount(const struct hg_audit *audit, int64_t amount);

// A row of the journal, as far as it counts here.
struct hg_audit_row {
  int64_t seq, permit, used, reserved;
  int64_t parent, lent;           // what a parent lent its child with this row; negative: what came back
  bool keeps;                     // an orphan, as its policy wants it
  struct hg_audit_budget *budget; // NULL: the ledger does not have it
  enum hg_kind kind;              // HG_NONE: this version does not know it
};

__attribute__((format(printf, 8, 9))) void hg_audit_differ(struct hg_audit *audit, enum hg_audit_check check,
                                                           const char *subject, uint64_t permit, int64_t seq,
                                                           int64_t stored, int64_t summed, const char *format, ...);
struct hg_audit_budget *hg_audit_find_budget(struct hg_audit *audit, const char *name); // NULL: not there

// audit_rows.c. Reads at most `count` rows; `done`: that were the last.
hg_err hg_audit_read_rows(struct hg_audit *audit, uint32_t count, bool *done, hg_error *why);

// audit_permits.c
hg_err hg_audit_permit_row(struct hg_audit *audit, const struct hg_audit_row *row, hg_error *why);
hg_err hg_audit_compare_open(struct hg_audit *audit, uint32_t count, bool *done, hg_error *why);
hg_err hg_audit_read_reservations(struct hg_audit *audit, uint32_t count, bool *done, hg_error *why);
void hg_audit_forget_permits(struct hg_audit *audit);

#endif
