// Reading a ledger that no runtime lives on: the figures of one budget, from a file that is opened for a moment.
#include "ledger/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static const char budget_figures[] =
    "SELECT total_used, reserved, hard_limit, throttled FROM token_budget WHERE name = ?";
static const char open_permits[] =
    "WITH RECURSIVE below(name) AS (SELECT ?1 UNION ALL SELECT b.name FROM token_budget AS b JOIN below ON b.parent = "
    "below.name) SELECT count(*) FROM reservation WHERE (state = 'open' OR state = 'kept' OR state = 'orphaned') AND "
    "state <> 'orphaned' "
    "AND "
    "budget IN below";
static const char newest_seq[] = "SELECT coalesce(max(last_seq), 0) FROM topic";

static hg_err read_budget(sqlite3 *db, const char *budget, struct hg_ledger_figures *out, hg_error *why) {
  sqlite3_stmt *statement = NULL;
  hg_err err = hg_sql_prepare(db, budget_figures, &statement, why);
  if (err == HG_OK) {
    sqlite3_bind_text(statement, 1, budget, -1, SQLITE_STATIC);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
      out->used = sqlite3_column_int64(statement, 0);
      out->reserved = sqlite3_column_int64(statement, 1);
      out->hard_limit = sqlite3_column_int64(statement, 2);
      out->throttled = sqlite3_column_int(statement, 3) != 0;
    } else if (code == SQLITE_DONE)
      err = hg_ledger_fail(why, HG_ERR_UNKNOWN_BUDGET, "ledger \"%s\" has no budget \"%s\"",
                           sqlite3_db_filename(db, "main"), budget);
    else err = hg_sql_fail(db, why, "read the totals");
  }
  sqlite3_finalize(statement);
  return err;
}

static hg_err count_permits(sqlite3 *db, const char *budget, struct hg_ledger_figures *out, hg_error *why) {
  sqlite3_stmt *statement = NULL;
  hg_err err = hg_sql_prepare(db, open_permits, &statement, why);
  if (err == HG_OK) {
    sqlite3_bind_text(statement, 1, budget, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW) out->open_permits = (uint32_t)sqlite3_column_int64(statement, 0);
    else err = hg_sql_fail(db, why, "count the open permits");
  }
  sqlite3_finalize(statement);
  return err;
}

static hg_err read_all(sqlite3 *db, const char *budget, struct hg_ledger_figures *out, hg_error *why) {
  int64_t seq = 0;
  hg_err err = read_budget(db, budget, out, why);
  if (err == HG_OK) err = count_permits(db, budget, out, why);
  if (err == HG_OK) err = hg_sql_number(db, newest_seq, &seq, why);
  out->seq = (uint64_t)seq;
  return err;
}

static hg_err refuse_missing(const char *path, hg_error *why) {
  return hg_ledger_fail(why, HG_ERR_EMPTY, "there is no ledger \"%s\" yet: the first run makes it", path);
}

// Opens the ledger for a moment. HG_ERR_EMPTY: there is none.
static hg_err look_in(const struct hg_config *config, const struct hg_places *places, int patience_ms,
                      struct hg_lock *lock, sqlite3 **db, hg_error *why) {
  const char *path = config->ledger_path;
  struct stat found;
  bool is_empty = false;
  *db = NULL;
  *lock = (struct hg_lock){.fd = -1};
  if (stat(path, &found) != 0 && (errno == ENOENT || errno == ENOTDIR)) return refuse_missing(path, why);
  hg_err err = hg_lock_take(lock, places, path, patience_ms, why);
  if (err == HG_OK) err = hg_database_open(path, config->shared_readers, db, &is_empty, why);
  return err == HG_OK && is_empty ? refuse_missing(path, why) : err;
}

static void look_away(struct hg_lock *lock, sqlite3 *db) {
  sqlite3_close(db);
  hg_lock_give_back(lock);
}

hg_err hg_ledger_read_figures(const struct hg_config *config, const struct hg_places *places, const char *budget,
                              struct hg_ledger_figures *out, hg_error *why) {
  const char *name = budget ? budget : "default";
  struct hg_ledger_figures figures = {0};
  struct hg_lock lock;
  sqlite3 *db;
  hg_err err = look_in(config, places, HG_LOCK_GLANCE_MS, &lock, &db, why);
  if (err == HG_OK) err = read_all(db, name, &figures, why);
  look_away(&lock, db);
  if (err != HG_OK) return err;
  hg_text_copy(figures.name, sizeof figures.name, hg_text_of(name));
  *out = figures;
  return HG_OK;
}

static hg_err read_stored(sqlite3 *db, sqlite3_stmt *find, const struct hg_budget_config *budget,
                          struct hg_ledger_budget *out, hg_error *why) {
  *out = (struct hg_ledger_budget){.parent = budget->parent};
  memcpy(out->name, budget->name, sizeof out->name);
  sqlite3_bind_text(find, 1, budget->name, -1, SQLITE_STATIC);
  const int code = sqlite3_step(find);
  if (code == SQLITE_ROW) {
    out->used = sqlite3_column_int64(find, 0);
    out->reserved = sqlite3_column_int64(find, 1);
    out->hard_limit = sqlite3_column_int64(find, 2);
    out->configured_limit = sqlite3_column_int64(find, 3);
    out->throttled = sqlite3_column_int(find, 4) != 0;
  }
  out->is_new = code == SQLITE_DONE;
  const hg_err err = code == SQLITE_ROW || code == SQLITE_DONE ? HG_OK : hg_sql_fail(db, why, "read the totals");
  sqlite3_reset(find);
  return err;
}

hg_err hg_ledger_read_budgets(const struct hg_config *config, const struct hg_places *places, int patience_ms,
                              struct hg_ledger_budget *out, hg_error *why) {
  struct hg_lock lock;
  sqlite3 *db;
  sqlite3_stmt *find = NULL;
  hg_err err = look_in(config, places, patience_ms, &lock, &db, why);
  if (err == HG_OK)
    err = hg_sql_prepare(
        db, "SELECT total_used, reserved, hard_limit, configured_limit, throttled FROM token_budget WHERE name = ?",
        &find, why);
  for (uint32_t i = 0; err == HG_OK && i < config->budget_count; i++)
    err = read_stored(db, find, &config->budgets[i], &out[i], why);
  sqlite3_finalize(find);
  look_away(&lock, db);
  return err;
}
