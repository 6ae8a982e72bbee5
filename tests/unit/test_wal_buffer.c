// Two databases, one through the buffer of the WAL's writes and one without, get the same random transactions, many of
// them larger than the cache and the buffer, some rolled back: after each commit a third connection, which has no part
// in the buffer, finds in the first one's files what the second holds. labels: budget
#include "ledger/wal_buffer.h"
#include "ledger_story.h"

#define TRANSACTIONS 150
#define KEYS 2000

static void run(sqlite3 *db, const char *sql) {
  char *why = NULL;
  if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) fprintf(stderr, "%s: %s\n", sql, why);
  CHECK(why == NULL);
}

static sqlite3 *open_in(const char *folder, const char *name, const char *vfs) {
  char path[128];
  sqlite3 *db;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  CHECK_EQ(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs), SQLITE_OK);
  return db;
}

// A cache of 20 pages, so that pages go into the WAL before their commit, and are read back from there.
static sqlite3 *begin(const char *folder, const char *name, const char *vfs) {
  sqlite3 *db = open_in(folder, name, vfs);
  run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 20;"
          "CREATE TABLE thing(key INTEGER PRIMARY KEY, value TEXT)");
  return db;
}

// The same statements for both.
static void change(sqlite3 *dbs[2], uint64_t *seed, uint64_t rows) {
  char sql[160];
  for (uint64_t i = 0; i < rows; i++) {
    const unsigned key = (unsigned)hg_test_draw(seed, KEYS), length = (unsigned)hg_test_draw(seed, 3000);
    snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO thing VALUES (%u, substr(hex(zeroblob(1500)), 1, %u) || %u)", key,
             length, (unsigned)hg_test_draw(seed, 1000000));
    for (unsigned k = 0; k < 2; k++)
      run(dbs[k], sql);
  }
}

static void both(sqlite3 *dbs[2], const char *sql) {
  run(dbs[0], sql);
  run(dbs[1], sql);
}

static void transact(sqlite3 *dbs[2], uint64_t *seed) {
  both(dbs, "BEGIN");
  change(dbs, seed, hg_test_draw(seed, 4) ? hg_test_draw(seed, 20) : hg_test_draw(seed, 300));
  if (hg_test_draw(seed, 4) == 0) {
    both(dbs, "SAVEPOINT part");
    change(dbs, seed, hg_test_draw(seed, 100));
    both(dbs, hg_test_draw(seed, 2) ? "ROLLBACK TO part" : "RELEASE part");
    change(dbs, seed, hg_test_draw(seed, 10));
  }
  both(dbs, hg_test_draw(seed, 5) ? "COMMIT" : "ROLLBACK");
  if (hg_test_draw(seed, 20) == 0)
    both(dbs, hg_test_draw(seed, 2) ? "PRAGMA wal_checkpoint(PASSIVE)" : "PRAGMA wal_checkpoint(TRUNCATE)");
}

TEST(wal_buffer, files_hold_what_was_committed) {
  const char *sum = "SELECT coalesce(sum((key * 31 + length(value)) % 1000003 + substr(value, -3)), 0) FROM thing";
  char folder[] = "/tmp/headgate-wal-XXXXXX", command[64];
  uint64_t seed = hg_test_seed("wal_buffer") * 2 + 1;
  CHECK(mkdtemp(folder) != NULL);
  sqlite3 *dbs[2] = {begin(folder, "buffered", hg_wal_buffer_vfs()), begin(folder, "plain", NULL)};
  sqlite3 *reader = open_in(folder, "buffered", NULL);
  CHECK(hg_wal_buffer_vfs() != NULL);
  int64_t earlier = 0, changes = 0;
  for (unsigned i = 0; i < TRANSACTIONS; i++) {
    transact(dbs, &seed);
    const int64_t expected = sql_in(dbs[1], sum);
    CHECK_EQ(sql_in(reader, sum), expected);
    CHECK_EQ(sql_in(dbs[0], sum), expected);
    changes += expected != earlier;
    earlier = expected;
  }
  CHECK(changes > TRANSACTIONS / 2);
  CHECK_EQ(sql_in(reader, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
  CHECK_EQ(sqlite3_close(reader), SQLITE_OK);
  CHECK_EQ(sqlite3_close(dbs[0]), SQLITE_OK);
  CHECK_EQ(sqlite3_close(dbs[1]), SQLITE_OK);
  snprintf(command, sizeof command, "rm -r %s", folder);
  CHECK_EQ(system(command), 0);
}
