// Raw SQLite: the widest transactions and the narrowest.
#include "bench/raw_sqlite.h"

#include "bench/bench.h"
#include "bench/runtime.h"
#include "ledger/internal.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define ROWS_A_TRANSACTION 8192
#define COLUMNS 9

static void run_sql(sqlite3 *db, const char *sql) {
  if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) hg_bench_die("%s", sqlite3_errmsg(db));
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement;
  if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) hg_bench_die("%s", sqlite3_errmsg(db));
  return statement;
}

static sqlite3_stmt *prepare_insert(sqlite3 *db, int rows) {
  char sql[4096] = "INSERT INTO journal(seq, at, event, prev, budget, task_id, used_delta, used, hard_limit) VALUES";
  for (int row = 0; row < rows; row++)
    strcat(sql, row ? ",(?,?,?,?,?,?,?,?,?)" : "(?,?,?,?,?,?,?,?,?)");
  return prepare(db, sql);
}

static void bind_row(sqlite3_stmt *insert, int at, long i, char *task) {
  hg_bench_name_task(task, i);
  sqlite3_bind_int64(insert, at + 1, i + 1);
  sqlite3_bind_int64(insert, at + 2, 1700000000000000 + i);
  sqlite3_bind_text(insert, at + 3, "USAGE_RECORDED", 14, SQLITE_STATIC);
  sqlite3_bind_int64(insert, at + 4, i);
  sqlite3_bind_text(insert, at + 5, "default", 7, SQLITE_STATIC);
  sqlite3_bind_text(insert, at + 6, task, HG_BENCH_TASK_ID_SIZE, SQLITE_STATIC);
  sqlite3_bind_int64(insert, at + 7, hg_bench_tokens(i));
  sqlite3_bind_int64(insert, at + 8, 500 * i);
  sqlite3_bind_int64(insert, at + 9, 9007199254740991);
}

static void step(sqlite3 *db, sqlite3_stmt *statement) {
  if (sqlite3_step(statement) != SQLITE_DONE) hg_bench_die("%s", sqlite3_errmsg(db));
  sqlite3_reset(statement);
}

static sqlite3 *open_fresh(const char *folder, char path[512]) {
  snprintf(path, 512, "%s/raw.db", folder);
  sqlite3 *db;
  if (sqlite3_open(path, &db) != SQLITE_OK) hg_bench_die("cannot open %s", path);
  run_sql(
      db,
      "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0");
  run_sql(db, hg_ledger_sql);
  return db;
}

static void close_full(sqlite3 *db, const char *path, long rows) {
  long long tokens = 0;
  for (long i = 0; i < rows; i++)
    tokens += hg_bench_tokens(i);
  if (sqlite3_close(db) != SQLITE_OK) hg_bench_die("cannot close %s", path);
  hg_bench_expect(path, "SELECT count(*) FROM journal", rows);
  hg_bench_expect(path, "SELECT sum(used_delta) FROM journal", tokens);
}

double hg_bench_raw_rate(const char *folder, long rows) {
  char path[512];
  static char tasks[HG_RAW_ROWS_A_STATEMENT][HG_BENCH_TASK_ID_SIZE + 1];
  sqlite3 *db = open_fresh(folder, path);
  sqlite3_stmt *insert = prepare_insert(db, HG_RAW_ROWS_A_STATEMENT);
  const double start = hg_bench_now_s();
  for (long i = 0; i < rows;) {
    run_sql(db, "BEGIN IMMEDIATE");
    for (long end = i + ROWS_A_TRANSACTION; i < end && i < rows;) {
      for (int row = 0; row < HG_RAW_ROWS_A_STATEMENT; row++, i++)
        bind_row(insert, row * COLUMNS, i, tasks[row]);
      step(db, insert);
    }
    run_sql(db, "COMMIT");
  }
  const double seconds = hg_bench_now_s() - start;
  sqlite3_finalize(insert);
  close_full(db, path, rows);
  return (double)rows / seconds;
}

struct hg_speed hg_bench_raw_commits(const char *folder, long ms) {
  char path[512], task[HG_BENCH_TASK_ID_SIZE + 1];
  struct hg_latencies took = {0};
  sqlite3 *db = open_fresh(folder, path);
  sqlite3_stmt *begin = prepare(db, "BEGIN IMMEDIATE"), *insert = prepare_insert(db, 1),
               *commit = prepare(db, "COMMIT");
  const double start = hg_bench_now_s(), end = start + (double)ms / 1000;
  double now = start;
  for (long i = 0; now < end; i++) {
    const double before = now;
    step(db, begin);
    bind_row(insert, 0, i, task);
    step(db, insert);
    step(db, commit);
    now = hg_bench_now_s();
    hg_latencies_add(&took, now - before);
  }
  sqlite3_finalize(begin);
  sqlite3_finalize(insert);
  sqlite3_finalize(commit);
  close_full(db, path, (long)took.count);
  return hg_latencies_end(&took, now - start);
}

void hg_bench_expect(const char *path, const char *query, long long expected) {
  sqlite3 *db;
  if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) hg_bench_die("cannot open %s", path);
  sqlite3_stmt *statement = prepare(db, query);
  if (sqlite3_step(statement) != SQLITE_ROW) hg_bench_die("%s: %s", path, sqlite3_errmsg(db));
  const long long found = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  if (found != expected) hg_bench_die("%s: %s: %lld, not %lld", path, query, found, expected);
}
