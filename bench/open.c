// Opening must not depend on the length of the journal. Makes ledgers of 10^4, 10^5, 10^6 (and with --large 10^7)
// acquires and settles, and measures hg_open to hg_close on each, in turns, so that the machine's moods meet all of
// them. The first one of each ledger is not counted. The limit is the smallest ledger.
#include "bench/bench.h"
#include "bench/process.h"
#include "bench/workplace.h"

#include "headgate.h"
#include "ledger/ledger.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZES_MAX 4
#define PERMITS_A_TRANSACTION 100000
#define TOKENS 100

struct ledger {
  long permits;
  char folder[HG_BENCH_FOLDER_MAX];
  struct hg_bench_row opened, closed, both;
};

// Text of the configuration: `budgets` of them beside the default one.
static char *config_of(const struct ledger *ledger, long budgets) {
  const size_t room = 1000 + 100 * (size_t)budgets;
  char *text = hg_bench_claim(room);
  size_t at = (size_t)snprintf(text, room,
                               "{\"ledger\":{\"path\":\"%s/headgate.db\"},\"tokenBudget\":{\"hardLimitTokens\":"
                               "9007199254740991,\"budgets\":{",
                               ledger->folder);
  for (long i = 0; i < budgets; i++)
    at += (size_t)snprintf(text + at, room - at, "%s\"team-%ld\":{\"hardLimitTokens\":1000000}", i ? "," : "", i);
  snprintf(text + at, room - at, "}}}");
  return text;
}

static void open_and_close(const struct ledger *ledger, const char *config, double *opened_ms, double *closed_ms) {
  hg_runtime *runtime;
  hg_error why = HG_ERROR_INIT;
  const double start = hg_bench_now_s();
  if (hg_open_json(config, strlen(config), ledger->folder, &runtime, &why) != HG_OK) hg_bench_die("%s", why.text);
  const double between = hg_bench_now_s();
  if (hg_close(&runtime, 0) != HG_OK) hg_bench_die("a ledger did not close");
  *opened_ms = (between - start) * 1000;
  *closed_ms = (hg_bench_now_s() - between) * 1000;
}

// ------------------------------------------------------------------------------------------------ making ledgers

// The rows of an acquire and its settle, as the tracker tells them.
static const char rows[] =
    "WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2), "
    "kind(k, event) AS (VALUES (1, 'TOKENS_RESERVED'), (2, 'TASK_STARTED'), (3, 'TOKENS_SETTLED'), (4, "
    "'TASK_FINISHED')) "
    "INSERT INTO journal(event, seq, at, prev, budget, permit, task_id, attempt, used_delta, reserved_delta, used, "
    "reserved, hard_limit) "
    "SELECT event, ?3 + 4 * i + k, 1763894400000000 + 4 * i + k, CASE i WHEN 0 THEN 0 ELSE ?3 + 4 * (i - 1) + k END, "
    "'default', 4294967296 + i, 'task-' || i, 1, CASE k WHEN 1 THEN 0 WHEN 3 THEN ?4 END, "
    "CASE k WHEN 1 THEN ?4 WHEN 3 THEN -?4 END, CASE k WHEN 1 THEN ?4 * i WHEN 3 THEN ?4 * (i + 1) END, "
    "CASE k WHEN 1 THEN ?4 WHEN 3 THEN 0 END, CASE WHEN k IN (1, 3) THEN 9007199254740991 END FROM n CROSS JOIN kind";
static const char reservations[] =
    "WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2) "
    "INSERT INTO reservation(id, budget, task_id, tokens, state, used, attempt, seq) "
    "SELECT 4294967296 + i, 'default', 'task-' || i, ?4, 'settled', ?4, 1, ?3 + 4 * i + 3 FROM n";
static const char totals[] = "UPDATE token_budget SET total_used = ?2 * ?4 WHERE name = 'default'";
static const char topics[] =
    "INSERT INTO topic SELECT event, max(seq) FROM journal WHERE seq > ?3 + 4 * (?2 - 1) GROUP BY event";

static void sql(sqlite3 *db, const char *text, long first, long end, int64_t base) {
  sqlite3_stmt *statement;
  const int64_t values[] = {first, end, base, TOKENS};
  if (sqlite3_prepare_v2(db, text, -1, &statement, NULL) != SQLITE_OK) hg_bench_die("%s", sqlite3_errmsg(db));
  for (int i = 0; i < sqlite3_bind_parameter_count(statement); i++)
    sqlite3_bind_int64(statement, i + 1, values[i]);
  if (sqlite3_step(statement) != SQLITE_DONE) hg_bench_die("%s", sqlite3_errmsg(db));
  sqlite3_finalize(statement);
}

static int64_t newest_row(sqlite3 *db) {
  sqlite3_stmt *statement;
  if (sqlite3_prepare_v2(db, "SELECT max(seq) FROM journal", -1, &statement, NULL) != SQLITE_OK ||
      sqlite3_step(statement) != SQLITE_ROW)
    hg_bench_die("%s", sqlite3_errmsg(db));
  const int64_t newest = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  return newest;
}

static void make(struct ledger *ledger, const char *config) {
  double ignored;
  char path[256];
  sqlite3 *db;
  open_and_close(ledger, config, &ignored, &ignored); // makes the tables
  snprintf(path, sizeof path, "%s/headgate.db", ledger->folder);
  if (sqlite3_open(path, &db) != SQLITE_OK) hg_bench_die("%s", sqlite3_errmsg(db));
  if (sqlite3_exec(db, "PRAGMA synchronous = OFF; PRAGMA cache_size = -65536", NULL, NULL, NULL) != SQLITE_OK)
    hg_bench_die("%s", sqlite3_errmsg(db));
  const int64_t base = newest_row(db);
  for (long first = 0; first < ledger->permits; first += PERMITS_A_TRANSACTION) {
    const long end = first + PERMITS_A_TRANSACTION < ledger->permits ? first + PERMITS_A_TRANSACTION : ledger->permits;
    sql(db, "BEGIN", 0, 0, 0);
    sql(db, rows, first, end, base);
    sql(db, reservations, first, end, base);
    sql(db, "COMMIT", 0, 0, 0);
  }
  sql(db, totals, 0, ledger->permits, base);
  sql(db, topics, 0, ledger->permits, base);
  sqlite3_close(db);
}

// What was made is a ledger that Headgate could have written; the audit is timed on the way.
static void check(const struct ledger *ledger) {
  struct hg_audit_report *report = hg_bench_claim(sizeof *report);
  struct hg_config *config;
  struct hg_places places;
  hg_error why = HG_ERROR_INIT;
  char path[256];
  snprintf(path, sizeof path, "%s/headgate.db", ledger->folder);
  if (hg_config_minimal(HG_TOKENS_MAX, path, &config, &why) != HG_OK ||
      hg_places_of(path, NULL, &places, &why) != HG_OK)
    hg_bench_die("%s", why.text);
  const double start = hg_bench_now_s();
  if (hg_ledger_audit_file(config, &places, report, &why) != HG_OK) hg_bench_die("%s", why.text);
  if (report->differences) hg_bench_die("%s", report->list[0].text);
  hg_bench_note("%ld acquires and settles: %llu rows, audited in %.2f s", ledger->permits,
                (unsigned long long)report->rows, hg_bench_now_s() - start);
  hg_config_destroy(&config);
  free(report);
}

// ------------------------------------------------------------------------------------------------ measuring

static void name_row(struct hg_bench_row *row, const char *what, long permits) {
  snprintf(row->bench, sizeof row->bench, "%s %ld", what, permits);
  row->unit = "ms";
}

static void make_ledgers(struct ledger *ledgers, char **configs, int count, long budgets, bool keep) {
  for (int i = 0; i < count; i++) {
    ledgers[i].permits = i == 0 ? 10000 : ledgers[i - 1].permits * 10;
    name_row(&ledgers[i].opened, "open", ledgers[i].permits);
    name_row(&ledgers[i].closed, "close", ledgers[i].permits);
    name_row(&ledgers[i].both, "open and close", ledgers[i].permits);
    if (keep) hg_bench_make_folder(ledgers[i].folder);
    else hg_bench_make_place(ledgers[i].folder);
    configs[i] = config_of(&ledgers[i], budgets);
    make(&ledgers[i], configs[i]);
    check(&ledgers[i]);
  }
}

static void measure_one(struct ledger *ledger, const char *config, bool counts) {
  double opened, closed;
  open_and_close(ledger, config, &opened, &closed);
  if (!counts) return;
  hg_series_add(&ledger->opened.value, opened);
  hg_series_add(&ledger->closed.value, closed);
  hg_series_add(&ledger->both.value, opened + closed);
}

static void report(const struct hg_bench_flags *flags, struct ledger *ledgers, int count) {
  for (int i = 0; i < count; i++) {
    ledgers[i].opened.limit = ledgers[0].opened.value;
    ledgers[i].closed.limit = ledgers[0].closed.value;
    ledgers[i].both.limit = ledgers[0].both.value;
    hg_bench_print(flags, &ledgers[i].opened);
    hg_bench_print(flags, &ledgers[i].closed);
    hg_bench_print(flags, &ledgers[i].both);
  }
}

static void run(const struct hg_bench_flags *flags, int count, long budgets, bool keep) {
  struct ledger *ledgers = hg_bench_claim((size_t)count * sizeof *ledgers);
  char *configs[SIZES_MAX];
  make_ledgers(ledgers, configs, count, budgets, keep);
  for (int round = -1; round < flags->rounds; round++)
    for (int i = 0; i < count; i++) {
      hg_bench_heed_interrupt();
      measure_one(&ledgers[i], configs[i], round >= 0);
    }
  report(flags, ledgers, count);
  for (int i = 0; i < count; i++) {
    if (keep) hg_bench_note("%s", ledgers[i].folder);
    free(configs[i]);
  }
  free(ledgers);
}

static int help(FILE *to, int code) {
  fputs("usage: headgate-bench open [--large] [--budgets N] [--rounds N] [--keep] [--json]\n"
        "Ledgers of 10,000, 100,000 and 1,000,000 acquires and settles (--large: of 10,000,000 too) are opened and "
        "closed\n"
        "in turns (21 rounds); the limit is the smallest of them: 1.00 is as flat as it can be.\n"
        "  --budgets N   beside the default one\n"
        "  --keep        leave the ledgers where they are\n",
        to);
  return code;
}

int hg_bench_open(int argc, char **argv) {
  static const struct option options[] = {{"large", no_argument, NULL, 'l'},
                                          {"budgets", required_argument, NULL, 'b'},
                                          {"keep", no_argument, NULL, 'k'},
                                          HG_BENCH_OPTIONS};
  struct hg_bench_flags flags = {.rounds = 21};
  int sizes = SIZES_MAX - 1;
  long budgets = 0;
  bool keep = false;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'l') sizes = SIZES_MAX;
    else if (option == 'b') budgets = hg_bench_whole("--budgets", optarg, 0, 10000);
    else if (option == 'k') keep = true;
    else if (!hg_bench_take(option, &flags)) return option == 'h' ? help(stdout, 0) : help(stderr, 2);
  }
  hg_bench_open_workplace();
  run(&flags, sizes, budgets, keep);
  return 0;
}
