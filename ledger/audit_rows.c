// The audit of the journal, row by row: numbers, topics, latches, and what the rows add up to.
#include "ledger/audit_private.h"

#include <string.h>

static enum hg_kind kind_of(sqlite3_stmt *row, int column) {
  const struct hg_text name = {(const char *)sqlite3_column_text(row, column),
                               (uint32_t)sqlite3_column_bytes(row, column)};
  for (unsigned code = HG_EVENT_FIRST; code <= HG_EVENT_LAST; code++) {
    const struct hg_kind_info *info = hg_kind_info(code);
    if (info && hg_text_equal(name, hg_text_of(info->name))) return info->kind;
  }
  return HG_NONE;
}

// The row that has to come now. Of those that may be folded any may be there: an open permit's are kept.
static void check_number(struct hg_audit *audit, int64_t seq) {
  const int64_t last = audit->at > audit->folded ? audit->at : audit->folded;
  if (seq <= audit->folded && seq > 0) return;
  if (seq == last + 1) return;
  if (seq <= 0)
    hg_audit_differ(audit, HG_AUDIT_SEQUENCE, "", 0, seq, seq, last + 1, "the journal has a row %lld", (long long)seq);
  else
    hg_audit_differ(audit, HG_AUDIT_SEQUENCE, "", 0, seq, seq, last + 1, "rows %lld to %lld are not in the journal",
                    (long long)last + 1, (long long)seq - 1);
}

static void check_chain(struct hg_audit *audit, const struct hg_audit_row *row, int64_t prev) {
  int64_t *seen = &audit->topic_seen[row->kind - HG_EVENT_FIRST];
  const bool may_be_folded = *seen <= audit->folded && prev > *seen && prev <= audit->folded && prev < row->seq;
  if (prev != *seen && !may_be_folded) {
    const char *name = hg_kind_info(row->kind)->name;
    hg_audit_differ(audit, HG_AUDIT_CHAIN, name, 0, row->seq, prev, *seen,
                    "row %lld (%s) names row %lld as the one before it, and that is %lld", (long long)row->seq, name,
                    (long long)prev, (long long)*seen);
  }
  *seen = row->seq;
}

static void check_latch(struct hg_audit *audit, const struct hg_audit_row *row) {
  struct hg_audit_budget *budget = row->budget;
  const bool closed = row->kind == HG_CONCURRENCY_THROTTLED;
  if (!budget || (!closed && row->kind != HG_CONCURRENCY_RESTORED)) return;
  const bool is_certain = audit->folded == 0 || budget->latch_seq > audit->folded;
  if (is_certain && budget->closed == closed)
    hg_audit_differ(audit, HG_AUDIT_LATCH, budget->name, 0, row->seq, closed, budget->closed,
                    "budget \"%s\": row %lld is a second %s in a row", budget->name, (long long)row->seq,
                    hg_kind_info(row->kind)->name);
  budget->closed = closed;
  budget->latch_seq = row->seq;
}

static void add_up(struct hg_audit *audit, const struct hg_audit_row *row, const char *name) {
  struct hg_audit_stray *stray = &audit->stray;
  if (!row->budget && (row->used != 0 || row->reserved != 0)) {
    hg_text_copy(stray->name, sizeof stray->name, hg_text_of(name));
    stray->seq = row->seq;
  }
  int64_t *used = row->budget ? &row->budget->own_used : &stray->used;
  int64_t *reserved = row->budget ? &row->budget->own_reserved : &stray->reserved;
  (void)__builtin_add_overflow(*used, row->used, used);
  (void)__builtin_add_overflow(*reserved, row->reserved, reserved);
}

static hg_err take_row(struct hg_audit *audit, sqlite3_stmt *statement, hg_error *why) {
  char name[HG_BUDGET_NAME_MAX + 1];
  hg_sql_column(statement, 3, name, sizeof name);
  const struct hg_audit_row row = {.seq = sqlite3_column_int64(statement, 0),
                                   .kind = kind_of(statement, 1),
                                   .budget = hg_audit_find_budget(audit, name),
                                   .permit = sqlite3_column_int64(statement, 4),
                                   .used = sqlite3_column_int64(statement, 5),
                                   .reserved = sqlite3_column_int64(statement, 6),
                                   .parent = sqlite3_column_int64(statement, 7),
                                   .lent = sqlite3_column_int64(statement, 8),
                                   .keeps = sqlite3_column_int(statement, 9)};
  check_number(audit, row.seq);
  if (row.kind != HG_NONE) check_chain(audit, &row, sqlite3_column_int64(statement, 2));
  check_latch(audit, &row);
  add_up(audit, &row, name);
  audit->at = row.seq;
  audit->report.rows++;
  return hg_audit_permit_row(audit, &row, why);
}

// Of the rows that were read since `after`; `done`: and of all that come behind.
static hg_err check_details(struct hg_audit *audit, int64_t after, bool done, hg_error *why) {
  sqlite3_bind_int64(audit->details, 1, after);
  sqlite3_bind_int64(audit->details, 2, done ? audit->newest_detail : audit->at);
  int code;
  while ((code = sqlite3_step(audit->details)) == SQLITE_ROW) {
    const int64_t seq = sqlite3_column_int64(audit->details, 0);
    hg_audit_differ(audit, HG_AUDIT_DETAIL, "", 0, seq, seq, 0, "row %lld has details and is not in the journal",
                    (long long)seq);
  }
  const hg_err err = code == SQLITE_DONE ? HG_OK : hg_sql_fail(audit->db, why, "read the details of the journal");
  sqlite3_reset(audit->details);
  return err;
}

hg_err hg_audit_read_rows(struct hg_audit *audit, uint32_t count, bool *done, hg_error *why) {
  const int64_t after = audit->at;
  sqlite3_bind_int64(audit->rows, 1, audit->at);
  sqlite3_bind_int64(audit->rows, 2, audit->newest);
  sqlite3_bind_int64(audit->rows, 3, count);
  hg_err err = HG_OK;
  uint32_t read = 0;
  int code = SQLITE_DONE;
  while (err == HG_OK && (code = sqlite3_step(audit->rows)) == SQLITE_ROW) {
    err = take_row(audit, audit->rows, why);
    read++;
  }
  if (err == HG_OK && code != SQLITE_DONE) err = hg_sql_fail(audit->db, why, "read the journal");
  sqlite3_reset(audit->rows);
  *done = read < count;
  return err == HG_OK ? check_details(audit, after, *done, why) : err;
}
