// Retention: rows of the journal that are older than ledger.keepDays are removed, and what they added up to is kept in
// fold, a sum for each budget. Permits go whole, with their reservation, and only when they have ended and their last
// row is old too. A portion is one transaction; a pass goes from the oldest row to the newest that is old enough.
#include "ledger/internal.h"

#include <assert.h>

#define DAY_US (INT64_C(24) * 60 * 60 * 1000000)

// Rows after ?1 up to ?2 that may go: ?3 is the moment before which they are old, ?4 the newest row of the pass.
#define REMOVABLE                                                                                                      \
  "FROM journal AS j LEFT JOIN reservation AS r ON r.id = j.permit "                                                   \
  "WHERE j.seq > ?1 AND j.seq <= ?2 AND j.at < ?3 "                                                                    \
  "AND (r.id IS NULL OR ((r.state = 'settled' OR r.state = 'released') AND r.seq <= ?4))"

struct portion {
  int64_t after, upto, before_us, newest;
};

// A statement with the bounds of a portion, as many of them as it has.
static hg_err run(struct hg_ledger *ledger, const char *sql, const struct portion *portion, hg_error *why) {
  const int64_t bounds[] = {portion->after, portion->upto, portion->before_us, portion->newest};
  sqlite3_stmt *statement = NULL;
  hg_err err = hg_sql_prepare(ledger->db, sql, &statement, why);
  for (int i = 0; err == HG_OK && i < sqlite3_bind_parameter_count(statement); i++)
    sqlite3_bind_int64(statement, i + 1, bounds[i]);
  if (err == HG_OK) err = hg_sql_finish(ledger->db, statement, "fold old rows", why);
  sqlite3_finalize(statement);
  return err;
}

// The last two statements look at what the others left: a reservation that is gone does not hold its rows back.
static hg_err remove_rows(struct hg_ledger *ledger, const struct portion *portion, uint64_t *folded, hg_error *why) {
  static const char *const steps[] = {
      "INSERT INTO fold(budget, used, reserved, upto) SELECT j.budget, sum(coalesce(j.used_delta, 0)), "
      "sum(coalesce(j.reserved_delta, 0)), max(j.seq) " REMOVABLE " GROUP BY j.budget "
      "ON CONFLICT(budget) DO UPDATE SET used = used + excluded.used, reserved = reserved + excluded.reserved, "
      "upto = max(upto, excluded.upto)",
      "DELETE FROM usage_id WHERE seq > ?1 AND seq <= ?2 AND seq IN (SELECT j.seq " REMOVABLE ")",
      "DELETE FROM reservation WHERE id IN (SELECT r.id " REMOVABLE " AND r.seq = j.seq)",
      "DELETE FROM journal_detail WHERE seq IN (SELECT j.seq " REMOVABLE ")",
      "DELETE FROM journal WHERE seq IN (SELECT j.seq " REMOVABLE ")"};
  hg_err err = hg_sql_run(ledger->db, "BEGIN IMMEDIATE", "begin a transaction", why);
  for (size_t i = 0; err == HG_OK && i < sizeof steps / sizeof *steps; i++)
    err = run(ledger, steps[i], portion, why);
  *folded = err == HG_OK ? (uint64_t)sqlite3_changes(ledger->db) : 0;
  if (err == HG_OK) err = hg_sql_run(ledger->db, "COMMIT", "commit", why);
  return err;
}

// Two numbers of the first row. HG_ERR_EMPTY: there is none.
static hg_err look(struct hg_ledger *ledger, const char *sql, int64_t first, int64_t second, int64_t out[2],
                   hg_error *why) {
  sqlite3_stmt *statement = NULL;
  hg_err err = hg_sql_prepare(ledger->db, sql, &statement, why);
  if (err != HG_OK) return err;
  sqlite3_bind_int64(statement, 1, first);
  sqlite3_bind_int64(statement, 2, second);
  const int code = sqlite3_step(statement);
  for (int i = 0; i < 2; i++)
    out[i] = sqlite3_column_int64(statement, i);
  if (code != SQLITE_ROW) err = code == SQLITE_DONE ? HG_ERR_EMPTY : hg_sql_fail(ledger->db, why, "read the journal");
  sqlite3_finalize(statement);
  return err;
}

// Rows are in the order of time, so halving finds the newest old one. Where a clock went back it may be another one:
// then rows stay longer, and young ones stay anyway.
static hg_err find_newest_old(struct hg_ledger *ledger, int64_t before_us, int64_t *out, hg_error *why) {
  int64_t old = 0, young = (int64_t)ledger->last_seq + 1, found[2];
  while (young - old > 1) {
    const int64_t middle = old + (young - old) / 2;
    const hg_err err = look(ledger, "SELECT seq, at FROM journal WHERE seq >= ?1 AND seq < ?2 ORDER BY seq LIMIT 1",
                            middle, young, found, why);
    if (err != HG_OK && err != HG_ERR_EMPTY) return err;
    if (err == HG_OK && found[1] < before_us) old = found[0];
    else young = middle;
  }
  *out = old;
  return HG_OK;
}

hg_err hg_ledger_fold(struct hg_ledger *ledger, int64_t now_us, uint32_t rows, uint64_t *folded, bool *more,
                      hg_error *why) {
  struct hg_ledger_fold *pass = &ledger->fold;
  *folded = 0;
  *more = false;
  assert(!ledger->audit);
  if (ledger->config->keep_days == 0 || ledger->uncertain) return HG_OK;
  hg_err err = HG_OK;
  if (!pass->under_way) {
    *pass = (struct hg_ledger_fold){.under_way = true, .before_us = now_us - ledger->config->keep_days * DAY_US};
    err = find_newest_old(ledger, pass->before_us, &pass->newest, why);
    if (err != HG_OK) return err;
  }
  int64_t last[2];
  err = look(ledger, "SELECT max(seq), count(*) FROM (SELECT seq FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2)",
             pass->at, rows, last, why);
  if (err != HG_OK) return err;
  if (last[1] == 0 || pass->at >= pass->newest) {
    pass->under_way = false;
    return HG_OK;
  }
  const struct portion portion = {pass->at, last[0] < pass->newest ? last[0] : pass->newest, pass->before_us,
                                  pass->newest};
  err = hg_ledger_judge_write(ledger, remove_rows(ledger, &portion, folded, why), why);
  if (err == HG_OK) pass->at = portion.upto;
  *more = err == HG_OK;
  return err;
}
