// Opening must not depend on the length of the journal. Makes ledgers of 10^4, 10^5, 10^6 (and with --large 10^7)
// acquires and settles, and measures hg_open to hg_close on each, in turns, so that the machine's moods meet all of
// them. The first one of each ledger is not counted. Prints medians, and the ratio to the smallest ledger.
//   open [--large] [--budgets N] [--rounds N] [--keep]
#include "bench/open.h"

#include "headgate.h"
#include "ledger/ledger.h"

#include <getopt.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SIZES_MAX 4
#define ROUNDS_MAX 1000
#define PERMITS_A_TRANSACTION 100000
#define TOKENS 100

struct ledger {
  long permits;
  char folder[200];
  double opened[ROUNDS_MAX], closed[ROUNDS_MAX]; // ms
};

static double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

static void die(const char *what) {
  fprintf(stderr, "bench open: %s\n", what);
  exit(1);
}

static void *claim(size_t size) {
  void *memory = calloc(1, size);
  if (!memory) die("not enough memory");
  return memory;
}

// Text of the configuration: `budgets` of them beside the default one.
static char *config_of(const struct ledger *ledger, long budgets) {
  const size_t room = 1000 + 100 * (size_t)budgets;
  char *text = claim(room);
  size_t at = (size_t)snprintf(text, room,
                               "{\"ledger\":{\"path\":\"%s/headgate.db\"},\"tokenBudget\":{\"hardLimitTokens\":"
                               "9007199254740991,\"budgets\":{",
                               ledger->folder);
  for (long i = 0; i < budgets; i++)
    at += (size_t)snprintf(text + at, room - at, "%s\"team-%ld\":{\"hardLimitTokens\":1000000}", i ? "," : "", i);
  snprintf(text + at, room - at, "}}}");
  return text;
}

static void open_and_close(const struct ledger *ledger, const char *config, double *opened, double *closed) {
  hg_runtime *runtime;
  hg_error why = HG_ERROR_INIT;
  const double start = now_ms();
  if (hg_open_json(config, strlen(config), ledger->folder, &runtime, &why) != HG_OK) die(why.text);
  const double between = now_ms();
  if (hg_close(&runtime, 0) != HG_OK) die("a ledger did not close");
  *opened = between - start;
  *closed = now_ms() - between;
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
  if (sqlite3_prepare_v2(db, text, -1, &statement, NULL) != SQLITE_OK) die(sqlite3_errmsg(db));
  for (int i = 0; i < sqlite3_bind_parameter_count(statement); i++)
    sqlite3_bind_int64(statement, i + 1, values[i]);
  if (sqlite3_step(statement) != SQLITE_DONE) die(sqlite3_errmsg(db));
  sqlite3_finalize(statement);
}

static int64_t newest_row(sqlite3 *db) {
  sqlite3_stmt *statement;
  if (sqlite3_prepare_v2(db, "SELECT max(seq) FROM journal", -1, &statement, NULL) != SQLITE_OK ||
      sqlite3_step(statement) != SQLITE_ROW)
    die(sqlite3_errmsg(db));
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
  if (sqlite3_open(path, &db) != SQLITE_OK) die(sqlite3_errmsg(db));
  if (sqlite3_exec(db, "PRAGMA synchronous = OFF; PRAGMA cache_size = -65536", NULL, NULL, NULL) != SQLITE_OK)
    die(sqlite3_errmsg(db));
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
  struct hg_audit_report *report = claim(sizeof *report);
  struct hg_config *config;
  struct hg_places places;
  hg_error why = HG_ERROR_INIT;
  char path[256];
  snprintf(path, sizeof path, "%s/headgate.db", ledger->folder);
  if (hg_config_minimal(HG_TOKENS_MAX, path, &config, &why) != HG_OK ||
      hg_places_of(path, NULL, &places, &why) != HG_OK)
    die(why.text);
  const double start = now_ms();
  if (hg_ledger_audit_file(config, &places, report, &why) != HG_OK) die(why.text);
  if (report->differences) die(report->list[0].text);
  printf("%ld acquires and settles: %llu rows, audited in %.2f s\n", ledger->permits, (unsigned long long)report->rows,
         (now_ms() - start) / 1000);
  hg_config_destroy(&config);
  free(report);
}

// ------------------------------------------------------------------------------------------------ measuring

static int compare(const void *left, const void *right) {
  const double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, compare);
  return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void report(struct ledger *ledgers, int count, int rounds) {
  double smallest = 0;
  printf("%12s %10s %10s %10s %8s\n", "permits", "open ms", "close ms", "both ms", "ratio");
  for (int i = 0; i < count; i++) {
    double both[ROUNDS_MAX];
    for (int round = 0; round < rounds; round++)
      both[round] = ledgers[i].opened[round] + ledgers[i].closed[round];
    const double all = median(both, rounds);
    if (i == 0) smallest = all;
    printf("%12ld %10.2f %10.2f %10.2f %8.2f\n", ledgers[i].permits, median(ledgers[i].opened, rounds),
           median(ledgers[i].closed, rounds), all, all / smallest);
  }
}

static void run(int count, long budgets, int rounds, bool keep) {
  struct ledger *ledgers = claim((size_t)count * sizeof *ledgers);
  char *configs[SIZES_MAX], command[256];
  const char *under = getenv("TMPDIR");
  for (int i = 0; i < count; i++) {
    ledgers[i].permits = i == 0 ? 10000 : ledgers[i - 1].permits * 10;
    snprintf(ledgers[i].folder, sizeof ledgers[i].folder, "%s/bench-open.XXXXXX", under ? under : "/var/tmp");
    if (!mkdtemp(ledgers[i].folder)) die("cannot make a folder");
    configs[i] = config_of(&ledgers[i], budgets);
    make(&ledgers[i], configs[i]);
    check(&ledgers[i]);
  }
  for (int round = -1; round < rounds; round++)
    for (int i = 0; i < count; i++) {
      const int at = round < 0 ? 0 : round; // the first one is written over
      open_and_close(&ledgers[i], configs[i], &ledgers[i].opened[at], &ledgers[i].closed[at]);
    }
  report(ledgers, count, rounds);
  for (int i = 0; i < count; i++) {
    snprintf(command, sizeof command, "rm -rf '%s'", ledgers[i].folder);
    if (keep) printf("%s\n", ledgers[i].folder);
    else if (system(command) != 0) die("cannot clean up");
    free(configs[i]);
  }
  free(ledgers);
}

int hg_bench_open(int argc, char **argv) {
  static const struct option options[] = {{"large", no_argument, NULL, 'l'},
                                          {"budgets", required_argument, NULL, 'b'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"keep", no_argument, NULL, 'k'},
                                          {NULL, 0, NULL, 0}};
  int sizes = SIZES_MAX - 1;
  long budgets = 0, rounds = 21;
  bool keep = false;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'l') sizes = SIZES_MAX;
    else if (option == 'b') budgets = strtol(optarg, NULL, 10);
    else if (option == 'r') rounds = strtol(optarg, NULL, 10);
    else if (option == 'k') keep = true;
    else return fputs("usage: open [--large] [--budgets N] [--rounds N] [--keep]\n", stderr), 2;
  }
  if (budgets < 0 || budgets > 10000 || rounds < 1 || rounds > ROUNDS_MAX)
    die("--budgets is from 0 to 10000, --rounds from 1 to 1000");
  run(sizes, budgets, (int)rounds, keep);
  return 0;
}
