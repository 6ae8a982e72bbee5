// The audit of permits: each reservation beside the rows of its permit. Only the permits that the rows so far have left
// open are held in memory: what has ended was compared when its last row was read.
#include "ledger/audit_private.h"

#include <stdlib.h>
#include <string.h>

struct hg_audit_permit {
  int64_t id;
  int64_t first, seq; // its oldest row that is there, and the newest that changed it
  int64_t tokens, used, reserved;
  const struct hg_audit_budget *budget;
  enum hg_kind kind; // of its newest row
  bool keeps;        // an orphan that stays reserved
  bool is_whole;     // no row of it was folded
};

// The state of a reservation after a row of this kind.
static const char *state_of(const struct hg_audit_permit *permit) {
  if (permit->kind == HG_TOKENS_RESERVED) return "open";
  if (permit->kind == HG_TOKENS_SETTLED) return "settled";
  if (permit->kind == HG_TOKENS_RELEASED) return "released";
  return permit->keeps ? "kept" : "orphaned";
}

static void differ(struct hg_audit *audit, const struct hg_audit_permit *permit, int64_t stored, int64_t summed,
                   const char *what) {
  hg_audit_differ(audit, HG_AUDIT_PERMIT, permit->budget ? permit->budget->name : "", (uint64_t)permit->id, permit->seq,
                  stored, summed, "permit %016llx: %s %s, and its rows say %s", (unsigned long long)permit->id, what,
                  hg_audit_amount(audit, stored).text, hg_audit_amount(audit, summed).text);
}

// What an older one has lent may be folded, with the permits that it went to: what they used is missing here.
static bool is_plausible(const struct hg_audit *audit, const struct hg_audit_permit *permit, int64_t tokens) {
  const bool may_miss_some = permit->first <= audit->folded;
  return tokens == permit->tokens || (may_miss_some && tokens >= 0 && tokens < permit->tokens);
}

static void compare_fields(struct hg_audit *audit, sqlite3_stmt *row, const struct hg_audit_permit *permit) {
  char state[16], budget[HG_BUDGET_NAME_MAX + 1];
  hg_sql_column(row, 1, state, sizeof state);
  const int64_t tokens = sqlite3_column_int64(row, 2), used = sqlite3_column_int64(row, 3);
  hg_sql_column(row, 4, budget, sizeof budget);
  audit->report.permits++;
  if (hg_audit_find_budget(audit, budget) != permit->budget)
    hg_audit_differ(audit, HG_AUDIT_PERMIT, budget, (uint64_t)permit->id, permit->seq, 0, 0,
                    "permit %016llx: its reservation is of budget \"%s\", and its rows are of \"%s\"",
                    (unsigned long long)permit->id, budget, permit->budget ? permit->budget->name : "?");
  if (!permit->is_whole) return;
  if (!is_plausible(audit, permit, tokens)) differ(audit, permit, tokens, permit->tokens, "its reservation is");
  if (used != permit->used) differ(audit, permit, used, permit->used, "it is stored to have used");
  if (strcmp(state, state_of(permit)) != 0)
    hg_audit_differ(audit, HG_AUDIT_PERMIT, budget, (uint64_t)permit->id, permit->seq, 0, 0,
                    "permit %016llx is stored as %s, and its rows leave it %s", (unsigned long long)permit->id, state,
                    state_of(permit));
}

// Is what the reservation says last what this row says? Then all of it can be compared: `is_last`. When a later row
// changed it, that one will be read, or belongs to the next audit.
static hg_err compare(struct hg_audit *audit, const struct hg_audit_permit *permit, bool *is_last, hg_error *why) {
  hg_err err = HG_OK;
  *is_last = true;
  sqlite3_bind_int64(audit->reservation, 1, permit->id);
  const int code = sqlite3_step(audit->reservation);
  if (code == SQLITE_DONE) {
    hg_audit_differ(audit, HG_AUDIT_PERMIT, permit->budget ? permit->budget->name : "", (uint64_t)permit->id,
                    permit->seq, 0, permit->reserved, "permit %016llx has rows up to %lld and no reservation",
                    (unsigned long long)permit->id, (long long)permit->seq);
  } else if (code != SQLITE_ROW) {
    err = hg_sql_fail(audit->db, why, "read a reservation");
  } else {
    const int64_t seq = sqlite3_column_int64(audit->reservation, 0);
    if (seq > permit->seq) *is_last = false;
    else if (seq < permit->seq)
      hg_audit_differ(audit, HG_AUDIT_PERMIT, permit->budget ? permit->budget->name : "", (uint64_t)permit->id,
                      permit->seq, seq, permit->seq,
                      "permit %016llx: its newest row is stored as %lld, and its rows say %lld",
                      (unsigned long long)permit->id, (long long)seq, (long long)permit->seq);
    else compare_fields(audit, audit->reservation, permit);
  }
  sqlite3_reset(audit->reservation);
  return err;
}

static struct hg_audit_permit *add_permit(struct hg_audit *audit, const struct hg_audit_row *row) {
  struct hg_audit_permit *permit = calloc(1, sizeof *permit);
  if (permit && !hg_id_map_put(&audit->permits, (uint64_t)row->permit, permit)) {
    free(permit);
    permit = NULL;
  }
  if (!permit) return NULL;
  permit->id = row->permit;
  permit->first = row->seq;
  return permit;
}

// A row of a child changes the reservation of its parent too.
static void move(struct hg_audit *audit, const struct hg_audit_row *row) {
  if (row->lent == 0) return;
  struct hg_audit_permit *parent = row->parent > 0 ? hg_id_map_get(&audit->permits, (uint64_t)row->parent) : NULL;
  if (parent) {
    parent->tokens -= row->lent;
    parent->seq = row->seq;
  } else if (audit->folded == 0) {
    hg_audit_differ(audit, HG_AUDIT_PERMIT, row->budget ? row->budget->name : "", (uint64_t)row->parent, row->seq, 0,
                    row->lent, "row %lld moves %s%s from permit %016llx, which is not open", (long long)row->seq,
                    hg_audit_amount(audit, row->lent).text, audit->unit == HG_UNIT_TOKENS ? " tokens" : "",
                    (unsigned long long)row->parent);
  }
}

hg_err hg_audit_permit_row(struct hg_audit *audit, const struct hg_audit_row *row, hg_error *why) {
  const bool opens = row->kind == HG_TOKENS_RESERVED;
  const bool ends = row->kind == HG_TOKENS_SETTLED || row->kind == HG_TOKENS_RELEASED;
  if (!opens && !ends && row->kind != HG_RESERVATION_ORPHANED) return HG_OK;
  struct hg_audit_permit *permit = row->permit > 0 ? hg_id_map_get(&audit->permits, (uint64_t)row->permit) : NULL;
  if (row->permit <= 0 || (permit && opens) || (!permit && !opens && audit->folded == 0)) {
    hg_audit_differ(audit, HG_AUDIT_PERMIT, row->budget ? row->budget->name : "", (uint64_t)row->permit, row->seq, 0, 0,
                    "row %lld (%s) is of permit %016llx, which %s", (long long)row->seq, hg_kind_info(row->kind)->name,
                    (unsigned long long)row->permit, opens && permit ? "is open already" : "was not reserved before");
    return HG_OK;
  }
  if (!permit && !(permit = add_permit(audit, row)))
    return hg_fail(why, HG_ERR_NO_MEMORY, "not enough memory for the open permits of an audit");
  if (opens) {
    permit->tokens = row->reserved + row->lent;
    permit->is_whole = true;
  }
  move(audit, row);
  permit->seq = row->seq;
  permit->kind = row->kind;
  permit->keeps = row->keeps;
  permit->budget = row->budget;
  (void)__builtin_add_overflow(permit->used, row->used, &permit->used);
  (void)__builtin_add_overflow(permit->reserved, row->reserved, &permit->reserved);
  if (opens) return HG_OK;
  bool is_last;
  const hg_err err = compare(audit, permit, &is_last, why);
  if (err == HG_OK && is_last) free(hg_id_map_remove(&audit->permits, (uint64_t)row->permit));
  return err;
}

hg_err hg_audit_compare_open(struct hg_audit *audit, uint32_t count, bool *done, hg_error *why) {
  hg_err err = HG_OK;
  *done = false;
  for (uint32_t i = 0; err == HG_OK && i < count && !*done; i++) {
    const struct hg_audit_permit *permit = hg_id_map_next(&audit->permits, &audit->open_at);
    bool is_last;
    if (permit) err = compare(audit, permit, &is_last, why);
    else *done = true;
  }
  return err;
}

// The other way round: is there a row for every reservation?
static void check_reservation(struct hg_audit *audit, sqlite3_stmt *row) {
  const int64_t id = sqlite3_column_int64(row, 0), seq = sqlite3_column_int64(row, 1);
  if (sqlite3_column_int64(row, 3) == id) return;
  char state[16];
  hg_sql_column(row, 2, state, sizeof state);
  // The newest of an open one may be a child's, and that may be folded.
  const bool is_open = strcmp(state, "open") == 0;
  if (is_open && (sqlite3_column_int64(row, 4) == id || (seq > 0 && seq <= audit->folded))) return;
  hg_audit_differ(audit, HG_AUDIT_PERMIT, "", (uint64_t)id, seq, seq, 0,
                  "permit %016llx (%s): row %lld should be its newest, and is not of it", (unsigned long long)id, state,
                  (long long)seq);
}

hg_err hg_audit_read_reservations(struct hg_audit *audit, uint32_t count, bool *done, hg_error *why) {
  sqlite3_stmt *all = audit->reservations;
  sqlite3_bind_int64(all, 1, audit->reservation_at);
  sqlite3_bind_int64(all, 2, count);
  uint32_t read = 0;
  int code;
  while ((code = sqlite3_step(all)) == SQLITE_ROW) {
    check_reservation(audit, all);
    audit->reservation_at = sqlite3_column_int64(all, 0);
    read++;
  }
  const hg_err err = code == SQLITE_DONE ? HG_OK : hg_sql_fail(audit->db, why, "read the reservations");
  sqlite3_reset(all);
  *done = read < count;
  return err;
}

void hg_audit_forget_permits(struct hg_audit *audit) {
  size_t at = 0;
  for (struct hg_audit_permit *permit; (permit = hg_id_map_next(&audit->permits, &at));)
    free(permit);
  hg_id_map_destroy(&audit->permits);
}
