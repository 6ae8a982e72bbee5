// SQLite with every answer checked: a failure becomes an hg_err and a sentence that says what could not be done, and
// why.
#include "ledger/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *advice(int code) {
  switch (code & 0xff) {
  case SQLITE_FULL: return "; free some space on its disk";
  case SQLITE_READONLY:
  case SQLITE_PERM:
  case SQLITE_CANTOPEN: return "; check who may write to the file and its directory";
  case SQLITE_BUSY:
  case SQLITE_LOCKED: return "; another program has the file open: close it";
  case SQLITE_CORRUPT: return HG_SQL_DAMAGED;
  default: return "";
  }
}

hg_err hg_sql_fail(sqlite3 *db, hg_error *why, const char *doing) {
  const int code = sqlite3_extended_errcode(db);
  const int system = sqlite3_system_errno(db);
  const char *path = sqlite3_db_filename(db, "main");
  const bool tells_system = system != 0 && (code & 0xff) != SQLITE_OK && (code & 0xff) != SQLITE_BUSY;
  const char *said = tells_system ? strerrordesc_np(system) : NULL;
  return hg_fail(why, (code & 0xff) == SQLITE_NOMEM ? HG_ERR_NO_MEMORY : HG_ERR_STORE,
                 "ledger \"%s\": cannot %s: %s%s%s (SQLite error %d)%s", path ? path : "", doing, sqlite3_errmsg(db),
                 said ? ", " : "", said ? said : "", code, advice(code));
}

// A failed COMMIT does not reach sqlite3_system_errno: the WAL's file is asked itself.
static int errno_of_wal(sqlite3 *db) {
  sqlite3_file *wal = NULL;
  int error = 0;
  if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&wal) == SQLITE_OK && wal && wal->pMethods)
    wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO, &error);
  return error;
}

static bool is_no_room(int error) {
  return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

bool hg_sql_may_pass(sqlite3 *db) {
  const int code = sqlite3_errcode(db) & 0xff;
  if (code == SQLITE_IOERR) return is_no_room(sqlite3_system_errno(db)) || is_no_room(errno_of_wal(db));
  return code == SQLITE_FULL || code == SQLITE_BUSY || code == SQLITE_LOCKED;
}

hg_err hg_sql_run(sqlite3 *db, const char *sql, const char *doing, hg_error *why) {
  return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? HG_OK : hg_sql_fail(db, why, doing);
}

hg_err hg_sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, hg_error *why) {
  const int code = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
  return code == SQLITE_OK ? HG_OK : hg_sql_fail(db, why, "prepare a statement");
}

hg_err hg_sql_finish(sqlite3 *db, sqlite3_stmt *statement, const char *doing, hg_error *why) {
  const int code = sqlite3_step(statement);
  assert(code != SQLITE_ROW);
  const hg_err err = code == SQLITE_DONE ? HG_OK : hg_sql_fail(db, why, doing);
  sqlite3_reset(statement);
  return err;
}

hg_err hg_sql_number(sqlite3 *db, const char *sql, int64_t *out, hg_error *why) {
  sqlite3_stmt *statement = NULL;
  hg_err err = hg_sql_prepare(db, sql, &statement, why);
  if (err == HG_OK) {
    if (sqlite3_step(statement) == SQLITE_ROW) *out = sqlite3_column_int64(statement, 0);
    else err = hg_sql_fail(db, why, "read");
  }
  sqlite3_finalize(statement);
  return err;
}

void hg_sql_column(sqlite3_stmt *statement, int column, char *to, size_t room) {
  const char *text = (const char *)sqlite3_column_text(statement, column);
  const int size = sqlite3_column_bytes(statement, column);
  hg_text_copy(to, room, (struct hg_text){text, text ? (uint32_t)size : 0});
}

void hg_ledger_time_text(int64_t at_us, char out[HG_LEDGER_TIME_TEXT]) {
  // What a four-digit year can say; anything else would be a clock gone wild.
  const int64_t latest = INT64_C(253402300799999999);
  const int64_t at = at_us < 0 ? 0 : at_us > latest ? latest : at_us;
  const time_t seconds = (time_t)(at / 1000000);
  struct tm parts;
  char date[20];
  gmtime_r(&seconds, &parts);
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(out, HG_LEDGER_TIME_TEXT, "%s.%06uZ", date, (unsigned)(at % 1000000));
}

int64_t hg_ledger_utc_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}
