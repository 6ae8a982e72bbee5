// Reading a ledger that no runtime lives on, from a file that is opened for a moment: the figures of a budget, an
// audit.
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

static const char newest_audit[] = "SELECT audited, differences, reason FROM event "
                                   "WHERE seq = (SELECT last_seq FROM topic WHERE name = 'AUDIT_DONE')";

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
      err = hg_fail(why, HG_ERR_UNKNOWN_BUDGET, "ledger \"%s\" has no budget \"%s\"", sqlite3_db_filename(db, "main"),
                    budget);
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

// Of a ledger that was never audited, or whose newest audit was folded, nothing is told.
static hg_err read_audit(sqlite3 *db, struct hg_ledger_figures *out, hg_error *why) {
  sqlite3_stmt *statement = NULL;
  hg_err err = hg_sql_prepare(db, newest_audit, &statement, why);
  const int code = err == HG_OK ? sqlite3_step(statement) : SQLITE_DONE;
  if (code == SQLITE_ROW) {
    out->audited = (uint64_t)sqlite3_column_int64(statement, 0);
    out->differences = (uint64_t)sqlite3_column_int64(statement, 1);
    out->audit_failed = out->differences == 0 && sqlite3_column_type(statement, 2) != SQLITE_NULL;
  } else if (code != SQLITE_DONE) err = hg_sql_fail(db, why, "read the newest audit");
  sqlite3_finalize(statement);
  return err;
}

static hg_err read_all(sqlite3 *db, const char *budget, struct hg_ledger_figures *out, hg_error *why) {
  int64_t seq = 0;
  hg_err err = read_budget(db, budget, out, why);
  if (err == HG_OK) err = count_permits(db, budget, out, why);
  if (err == HG_OK) err = hg_sql_number(db, newest_seq, &seq, why);
  if (err == HG_OK) err = read_audit(db, out, why);
  if (err == HG_OK) err = hg_state_read_unit(db, &out->unit, why);
  out->seq = (uint64_t)seq;
  return err;
}

static hg_err refuse_missing(const char *path, hg_error *why) {
  return hg_fail(why, HG_ERR_EMPTY, "there is no ledger \"%s\" yet: the first run makes it", path);
}

// The ledger, held for a moment. HG_ERR_EMPTY: there is none.
struct glance {
  struct hg_lock lock;
  sqlite3 *db;
};

static hg_err open_glance(const struct hg_config *config, const struct hg_places *places, int patience_ms,
                          struct glance *out, hg_error *why) {
  const char *path = config->ledger_path;
  bool is_empty = false;
  struct stat found;
  *out = (struct glance){.lock.fd = -1};
  if (stat(path, &found) != 0 && (errno == ENOENT || errno == ENOTDIR)) return refuse_missing(path, why);
  hg_err err = hg_lock_take(&out->lock, places, path, patience_ms, why);
  if (err == HG_OK) err = hg_database_open(path, config->shared_readers, &out->db, &is_empty, why);
  return err == HG_OK && is_empty ? refuse_missing(path, why) : err;
}

static void close_glance(struct glance *glance) {
  sqlite3_close(glance->db);
  hg_lock_give_back(&glance->lock);
}

hg_err hg_ledger_read_figures(const struct hg_config *config, const struct hg_places *places, const char *budget,
                              struct hg_ledger_figures *out, hg_error *why) {
  const char *name = budget ? budget : "default";
  struct glance glance;
  struct hg_ledger_figures figures = {0};
  hg_err err = open_glance(config, places, HG_LOCK_GLANCE_MS, &glance, why);
  if (err == HG_OK) err = read_all(glance.db, name, &figures, why);
  close_glance(&glance);
  if (err != HG_OK) return err;
  hg_text_copy(figures.name, sizeof figures.name, hg_text_of(name));
  *out = figures;
  return HG_OK;
}

static hg_err read_orphan(sqlite3 *db, uint64_t after, struct hg_ledger_orphan *out, hg_error *why) {
  sqlite3_stmt *statement = NULL;
  hg_err err = hg_sql_prepare(
      db,
      "SELECT id, budget, tokens, CASE WHEN state <> 'orphaned' THEN state WHEN used = tokens THEN 'charged' ELSE "
      "'released' END, task_id FROM reservation "
      "WHERE (state = 'open' OR state = 'kept' OR state = 'orphaned') AND id > ?1 ORDER BY id LIMIT 1",
      &statement, why);
  *out = (struct hg_ledger_orphan){0};
  if (err == HG_OK) sqlite3_bind_int64(statement, 1, (int64_t)after);
  const int code = err == HG_OK ? sqlite3_step(statement) : SQLITE_DONE;
  if (code == SQLITE_ROW) {
    out->id = (uint64_t)sqlite3_column_int64(statement, 0);
    hg_sql_column(statement, 1, out->budget, sizeof out->budget);
    out->tokens = sqlite3_column_int64(statement, 2);
    hg_sql_column(statement, 3, out->state, sizeof out->state);
    hg_sql_column(statement, 4, out->task_id, sizeof out->task_id);
  } else if (code != SQLITE_DONE) {
    err = hg_sql_fail(db, why, "read the orphans");
  }
  sqlite3_finalize(statement);
  return err;
}

hg_err hg_ledger_read_orphan(const struct hg_config *config, const struct hg_places *places, uint64_t after,
                             struct hg_ledger_orphan *out, hg_error *why) {
  struct glance glance;
  hg_err err = open_glance(config, places, HG_LOCK_GLANCE_MS, &glance, why);
  if (err == HG_OK) err = read_orphan(glance.db, after, out, why);
  if (err == HG_OK) err = hg_state_read_unit(glance.db, &out->unit, why);
  close_glance(&glance);
  return err;
}

hg_err hg_ledger_audit_file(const struct hg_config *config, const struct hg_places *places, struct hg_audit_report *out,
                            hg_error *why) {
  struct glance glance;
  struct hg_audit *audit = NULL;
  const struct hg_audit_report *report = NULL;
  hg_err err = open_glance(config, places, HG_LOCK_GLANCE_MS, &glance, why);
  if (err == HG_OK) err = hg_audit_begin(glance.db, &audit, why);
  while (err == HG_OK && !report)
    err = hg_audit_go_on(audit, UINT32_MAX, &report, why);
  if (report) *out = *report;
  hg_audit_end(&audit);
  close_glance(&glance);
  return err;
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
  struct glance glance;
  sqlite3_stmt *find = NULL;
  hg_err err = open_glance(config, places, patience_ms, &glance, why);
  if (err == HG_OK) err = hg_state_check_unit(glance.db, config, why);
  if (err == HG_OK)
    err = hg_sql_prepare(
        glance.db,
        "SELECT total_used, reserved, hard_limit, configured_limit, throttled FROM token_budget WHERE name = ?", &find,
        why);
  for (uint32_t i = 0; err == HG_OK && i < config->budget_count; i++)
    err = read_stored(glance.db, find, &config->budgets[i], &out[i], why);
  sqlite3_finalize(find);
  close_glance(&glance);
  return err;
}

hg_err hg_ledger_read_config(const struct hg_config *config, const struct hg_places *places, int patience_ms,
                             char **out, hg_error *why) {
  struct glance glance;
  hg_err err = open_glance(config, places, patience_ms, &glance, why);
  if (err == HG_OK) err = hg_policies_read(glance.db, out, why);
  close_glance(&glance);
  return err;
}
