// The path of a record: client -> tracker -> persister -> commit -> answer, beside raw SQLite inserting rows with the
// same columns, 8,192 a transaction, 64 rows a statement. Both in each round.
#include "bench/bench.h"

#include "headgate.h"

#include <getopt.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_A_STATEMENT 64
#define ROWS_A_TRANSACTION 8192
#define COLUMNS 9

static double headgate_rate(const char *folder, long records) {
  char config[512];
  snprintf(config, sizeof config,
           "{\"tokenBudget\":{\"hardLimitTokens\":9007199254740991},\"ledger\":{\"path\":\"%s/headgate.db\"}}", folder);
  hg_runtime *runtime;
  hg_client *client;
  hg_error why = HG_ERROR_INIT;
  if (hg_open_json(config, strlen(config), NULL, &runtime, &why) != HG_OK) hg_bench_die("%s", why.text);
  if (hg_client_new(runtime, &client) != HG_OK) hg_bench_die("no client");
  char task[32];
  const double start = hg_bench_now_s();
  hg_completion done = HG_COMPLETION_INIT;
  for (long i = 0; i < records; i++) {
    hg_usage_report used = HG_USAGE_REPORT_INIT;
    snprintf(task, sizeof task, "task-%011ld", i);
    used.task_id = task;
    used.tokens = 100 + i % 900;
    hg_ticket ticket;
    hg_err err;
    while ((err = hg_record_usage_start(client, &used, &ticket)) == HG_ERR_BUSY)
      if (hg_client_next(client, &done, 1000) != HG_OK) hg_bench_die("no answer");
    if (err != HG_OK) hg_bench_die("%s", hg_err_text(err));
  }
  if (hg_flush(client, 60000) != HG_OK) hg_bench_die("not durable");
  const double seconds = hg_bench_now_s() - start;
  hg_client_destroy(&client);
  if (hg_close(&runtime, 10000) != HG_OK) hg_bench_die("not closed");
  return (double)records / seconds;
}

static void run_sql(sqlite3 *db, const char *sql) {
  if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) hg_bench_die("%s", sqlite3_errmsg(db));
}

static sqlite3_stmt *prepare_insert(sqlite3 *db) {
  char sql[4096] = "INSERT INTO journal VALUES";
  for (int row = 0; row < ROWS_A_STATEMENT; row++)
    strcat(sql, row ? ",(?,?,?,?,?,?,?,?,?)" : "(?,?,?,?,?,?,?,?,?)");
  sqlite3_stmt *insert;
  if (sqlite3_prepare_v2(db, sql, -1, &insert, NULL) != SQLITE_OK) hg_bench_die("%s", sqlite3_errmsg(db));
  return insert;
}

static void bind_row(sqlite3_stmt *insert, int at, long i, char *task) {
  snprintf(task, 32, "task-%011ld", i);
  sqlite3_bind_int64(insert, at + 1, i + 1);
  sqlite3_bind_int64(insert, at + 2, 1700000000000000 + i);
  sqlite3_bind_text(insert, at + 3, "USAGE_RECORDED", 14, SQLITE_STATIC);
  sqlite3_bind_int64(insert, at + 4, i);
  sqlite3_bind_text(insert, at + 5, "default", 7, SQLITE_STATIC);
  sqlite3_bind_text(insert, at + 6, task, 16, SQLITE_STATIC);
  sqlite3_bind_int64(insert, at + 7, 100 + i % 900);
  sqlite3_bind_int64(insert, at + 8, 500 * i);
  sqlite3_bind_int64(insert, at + 9, 9007199254740991);
}

static double sqlite_rate(const char *folder, long records) {
  char path[512];
  static char tasks[ROWS_A_STATEMENT][32];
  snprintf(path, sizeof path, "%s/raw.db", folder);
  sqlite3 *db;
  if (sqlite3_open(path, &db) != SQLITE_OK) hg_bench_die("cannot open raw.db");
  run_sql(
      db,
      "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
      "CREATE TABLE journal(seq INTEGER PRIMARY KEY, at INTEGER, event TEXT, prev INTEGER, budget TEXT, task_id TEXT,"
      " used_delta INTEGER, used INTEGER, hard_limit INTEGER) STRICT");
  sqlite3_stmt *insert = prepare_insert(db);
  const double start = hg_bench_now_s();
  for (long i = 0; i < records;) {
    run_sql(db, "BEGIN IMMEDIATE");
    for (long end = i + ROWS_A_TRANSACTION; i < end && i < records;) {
      for (int row = 0; row < ROWS_A_STATEMENT; row++, i++)
        bind_row(insert, row * COLUMNS, i, tasks[row]);
      if (sqlite3_step(insert) != SQLITE_DONE) hg_bench_die("%s", sqlite3_errmsg(db));
      sqlite3_reset(insert);
    }
    run_sql(db, "COMMIT");
  }
  const double seconds = hg_bench_now_s() - start;
  sqlite3_finalize(insert);
  sqlite3_close(db);
  return (double)records / seconds;
}

static void measure(const struct hg_bench_flags *flags, long records) {
  struct hg_bench_row *row = hg_bench_claim(sizeof *row);
  snprintf(row->bench, sizeof row->bench, "record");
  row->unit = "records/s";
  for (int round = 0; round < flags->rounds; round++) {
    char folder[HG_BENCH_FOLDER_MAX];
    hg_bench_make_folder(folder);
    hg_series_add(&row->limit, sqlite_rate(folder, records));
    hg_series_add(&row->value, headgate_rate(folder, records));
    hg_bench_remove_folder(folder);
  }
  hg_bench_print(flags, row);
  free(row);
}

static int help(FILE *to, int code) {
  fputs("usage: headgate-bench record [--records N] [--rounds N] [--json]\n"
        "One client records N usages (default 1000000), as many in flight as it may have, until all are durable. The "
        "limit\n"
        "is raw SQLite inserting the same columns, 8,192 rows a transaction, 64 a statement.\n",
        to);
  return code;
}

int hg_bench_record(int argc, char **argv) {
  static const struct option options[] = {{"records", required_argument, NULL, 'n'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  struct hg_bench_flags flags = {.rounds = 5};
  long records = 1000000;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'n') records = hg_bench_whole("--records", optarg, ROWS_A_STATEMENT, 1000000000);
    else if (option == 'r') flags.rounds = (int)hg_bench_whole("--rounds", optarg, 1, HG_BENCH_ROUNDS_MAX);
    else if (option == 'j') flags.json = true;
    else return option == 'h' ? help(stdout, 0) : help(stderr, 2);
  }
  measure(&flags, records / ROWS_A_STATEMENT * ROWS_A_STATEMENT);
  return 0;
}
