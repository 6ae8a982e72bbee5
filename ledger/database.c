// Opening the file: is it ours, is it set up as the promises need it, and is all that it shows certain to stay?
#include "ledger/internal.h"
#include "ledger/wal_buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 5000

// SQLite alone would make the file readable for all. Only when it is not there: to open and close a database that this
// process has open would drop SQLite's locks.
hg_err hg_database_create(const char *path, hg_error *why) {
  const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, S_IRUSR | S_IWUSR);
  if (fd >= 0) close(fd);
  if (fd >= 0 || errno == EEXIST) return HG_OK;
  return hg_fail(why, HG_ERR_STORE, "cannot create ledger \"%s\": %s; check who may write to its directory", path,
                 strerrordesc_np(errno));
}

// SQLite's own words for these would be of I/O errors and half a path.
static hg_err check_kind(const char *path, hg_error *why) {
  struct stat found;
  const char *is = NULL;
  if (stat(path, &found) != 0) {
    const int error = errno;
    const bool is_link = lstat(path, &found) == 0 && S_ISLNK(found.st_mode);
    return hg_fail(why, HG_ERR_STORE, "cannot open ledger \"%s\"%s: %s; set ledger.path to another file", path,
                   is_link ? ", which is a symbolic link" : "", strerrordesc_np(error));
  }
  if (S_ISDIR(found.st_mode)) is = "a directory";
  else if (S_ISFIFO(found.st_mode)) is = "a pipe";
  else if (S_ISSOCK(found.st_mode)) is = "a socket";
  else if (!S_ISREG(found.st_mode)) is = "a device";
  if (!is) return HG_OK;
  return hg_fail(why, HG_ERR_LEDGER_FOREIGN, "\"%s\" is %s, and a ledger is a file: set ledger.path to another one",
                 path, is);
}

// In place of a file name that SQLite gives a meaning of its own (":memory:", "file:...").
static int open_file(const char *path, bool shared_readers, sqlite3 **out) {
  char *name = sqlite3_mprintf("%s%s", path[0] == '/' ? "" : "./", path);
  if (!name) return SQLITE_NOMEM;
  const char *vfs = shared_readers ? NULL : hg_wal_buffer_vfs(); // it must be the only one that writes
  const int code = sqlite3_open_v2(name, out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, vfs);
  sqlite3_free(name);
  return code;
}

static hg_err refuse_foreign(sqlite3 *db, const char *what, hg_error *why) {
  return hg_fail(why, HG_ERR_LEDGER_FOREIGN, "\"%s\" %s; it was left as it is: set ledger.path to another file",
                 sqlite3_db_filename(db, "main"), what);
}

static hg_err identify(sqlite3 *db, bool *is_empty, hg_error *why) {
  int64_t application = 0, version = 0, tables = 0;
  hg_err err = hg_sql_number(db, "PRAGMA application_id", &application, why);
  if (err == HG_OK) err = hg_sql_number(db, "PRAGMA user_version", &version, why);
  if (err == HG_OK) err = hg_sql_number(db, "SELECT count(*) FROM sqlite_schema", &tables, why);
  if (err != HG_OK) {
    const int code = sqlite3_errcode(db);
    if (code == SQLITE_NOTADB) return refuse_foreign(db, "is not a ledger of Headgate", why);
    if (code == SQLITE_BUSY && why) why->code = HG_ERR_LEDGER_IN_USE;
    return code == SQLITE_BUSY ? HG_ERR_LEDGER_IN_USE : err;
  }
  *is_empty = application == 0 && version == 0 && tables == 0;
  if (*is_empty) return HG_OK;
  if (application != HG_LEDGER_APPLICATION_ID)
    return refuse_foreign(db, "is a database of another program, not a ledger of Headgate", why);
  if (version < 1) return refuse_foreign(db, "has no format that a Headgate ever wrote", why);
  if (version == HG_LEDGER_VERSION) return HG_OK;
  return hg_fail(why, HG_ERR_LEDGER_FOREIGN,
                 "ledger \"%s\" was made by %s Headgate (its format is %lld, this one reads %d): use that one",
                 sqlite3_db_filename(db, "main"), version > HG_LEDGER_VERSION ? "a newer" : "an older",
                 (long long)version, HG_LEDGER_VERSION);
}

// Runs a pragma and checks what it answers (NULL: whatever it is).
static hg_err demand(sqlite3 *db, const char *sql, const char *answer, hg_error *why) {
  sqlite3_stmt *statement = NULL;
  hg_err err = hg_sql_prepare(db, sql, &statement, why);
  if (err == HG_OK) {
    const int code = sqlite3_step(statement);
    const char *got = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : "";
    if (code != SQLITE_ROW && code != SQLITE_DONE) err = hg_sql_fail(db, why, "set up the connection");
    else if (answer && (!got || strcmp(got, answer) != 0))
      err = hg_fail(why, HG_ERR_STORE,
                    "ledger \"%s\": %s answers \"%s\" instead of \"%s\"; its file system must support WAL",
                    sqlite3_db_filename(db, "main"), sql, got ? got : "", answer);
  }
  sqlite3_finalize(statement);
  return err;
}

// FULL: a commit is synced before it is told. Checkpoints are ours to time. No mmap: an I/O error must be an error and
// not a signal. The cache holds a whole batch, so that a transaction is written once, at its commit.
static hg_err set_up(sqlite3 *db, hg_error *why) {
  static const struct {
    const char *sql, *answer;
  } settings[] = {
      {"PRAGMA journal_mode = WAL", "wal"},   {"PRAGMA synchronous = FULL", ""}, {"PRAGMA synchronous", "2"},
      {"PRAGMA wal_autocheckpoint = 0", "0"}, {"PRAGMA mmap_size = 0", NULL},    {"PRAGMA cell_size_check = OFF", ""},
      {"PRAGMA temp_store = MEMORY", ""},     {"PRAGMA cache_size = -8192", ""}, {"PRAGMA trusted_schema = OFF", ""}};
  hg_err err = HG_OK;
  for (size_t i = 0; err == HG_OK && i < sizeof settings / sizeof settings[0]; i++)
    err = demand(db, settings[i].sql, settings[i].answer, why);
  return err;
}

hg_err hg_database_settle(sqlite3 *db, hg_error *why) {
  int left = 0, moved = 0;
  if (sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, &left, &moved) != SQLITE_OK)
    return hg_sql_fail(db, why, "checkpoint");
  if (left != 0)
    return hg_fail(why, HG_ERR_STORE, "ledger \"%s\": a checkpoint left %d pages behind",
                   sqlite3_db_filename(db, "main"), left);
  return HG_OK;
}

// After a sync that failed the system may take pages for written that are in its memory alone. A process that starts
// then reads a WAL that is not on the disk: when the power fails in a checkpoint from it, the database is half written
// and nothing is left to mend it from. So the WAL is written once more, as it was read, and synced before it is used.
static hg_err secure_wal(sqlite3 *db, hg_error *why) {
  sqlite3_file *wal = NULL;
  (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
  if (!wal || !wal->pMethods) return HG_OK; // a new file has none
  sqlite3_int64 size = 0;
  char part[65536];
  int code = wal->pMethods->xFileSize(wal, &size);
  for (sqlite3_int64 at = 0; code == SQLITE_OK && at < size; at += (int)sizeof part) {
    const int bytes = size - at < (int)sizeof part ? (int)(size - at) : (int)sizeof part;
    code = wal->pMethods->xRead(wal, part, bytes, at);
    if (code == SQLITE_OK) code = wal->pMethods->xWrite(wal, part, bytes, at);
  }
  if (code == SQLITE_OK && size > 0) code = wal->pMethods->xSync(wal, SQLITE_SYNC_FULL);
  if (code == SQLITE_OK) return HG_OK;
  return hg_fail(why, HG_ERR_STORE, "ledger \"%s\": its -wal cannot be written again (%s)",
                 sqlite3_db_filename(db, "main"), sqlite3_errstr(code));
}

// SQLite takes a file that ends within its last page for a whole one. After a checkpoint every page is in it.
static hg_err check_length(sqlite3 *db, hg_error *why) {
  const char *path = sqlite3_db_filename(db, "main");
  int64_t pages = 0, size = 0;
  struct stat found;
  hg_err err = hg_sql_number(db, "PRAGMA page_count", &pages, why);
  if (err == HG_OK) err = hg_sql_number(db, "PRAGMA page_size", &size, why);
  if (err != HG_OK || stat(path, &found) != 0 || found.st_size >= pages * size) return err;
  return hg_fail(why, HG_ERR_STORE, "ledger \"%s\" is cut off: it has %lld bytes of %lld" HG_SQL_DAMAGED, path,
                 (long long)found.st_size, (long long)pages * size);
}

static hg_err prepare_connection(sqlite3 *db, bool shared_readers, bool *is_empty, hg_error *why) {
  sqlite3_extended_result_codes(db, 1);
  sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
  // Before the first read: then the WAL's index is in our memory and no file that other connections could map.
  hg_err err = demand(db, shared_readers ? "PRAGMA locking_mode = NORMAL" : "PRAGMA locking_mode = EXCLUSIVE",
                      shared_readers ? "normal" : "exclusive", why);
  if (err == HG_OK) err = identify(db, is_empty, why);
  if (err == HG_OK && sqlite3_db_readonly(db, "main"))
    err = hg_fail(why, HG_ERR_STORE, "ledger \"%s\" is read-only: make it writable, or set ledger.path to another file",
                  sqlite3_db_filename(db, "main"));
  if (err == HG_OK) err = set_up(db, why);
  if (err == HG_OK) err = secure_wal(db, why);
  if (err == HG_OK) err = hg_database_settle(db, why);
  if (err == HG_OK) err = check_length(db, why);
  return err;
}

hg_err hg_database_open(const char *path, bool shared_readers, sqlite3 **out, bool *is_empty, hg_error *why) {
  sqlite3 *db = NULL;
  hg_err err = check_kind(path, why);
  if (err != HG_OK) return err;
  if (open_file(path, shared_readers, &db) == SQLITE_OK) err = prepare_connection(db, shared_readers, is_empty, why);
  else if (db) {
    const char *said = strerrordesc_np(sqlite3_system_errno(db));
    err = hg_fail(why, HG_ERR_STORE, "cannot open ledger \"%s\": %s; check who may write to it and its directory", path,
                  said ? said : sqlite3_errmsg(db));
  } else err = hg_fail(why, HG_ERR_NO_MEMORY, "ledger \"%s\": not enough memory to open it", path);
  if (err != HG_OK) {
    sqlite3_close(db);
    return err;
  }
  *out = db;
  return HG_OK;
}

// ------------------------------------------------------------------------------------------------ is it still there?

static bool is_same(const char *path, const struct hg_file_id *id) {
  struct stat found;
  return id->inode == 0 || (stat(path, &found) == 0 && found.st_ino == id->inode && found.st_dev == id->device);
}

static struct hg_file_id id_of(const char *path) {
  struct stat found;
  if (stat(path, &found) != 0) return (struct hg_file_id){0};
  return (struct hg_file_id){found.st_dev, found.st_ino};
}

static hg_err tell_moved(sqlite3 *db, hg_error *why) {
  return hg_fail(why, HG_ERR_STORE,
                 "ledger \"%s\" (or its -wal) was moved, removed or replaced while it was in use: nothing more is "
                 "written to it; put both files back, or start again without them",
                 sqlite3_db_filename(db, "main"));
}

hg_err hg_database_note_files(sqlite3 *db, struct hg_database_files *out, hg_error *why) {
  const char *path = sqlite3_db_filename(db, "main");
  int has_moved = 0;
  *out = (struct hg_database_files){id_of(path), id_of(sqlite3_filename_wal(path))};
  // What was noted is what SQLite has open.
  (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved);
  return has_moved ? tell_moved(db, why) : HG_OK;
}

hg_err hg_database_check_files(sqlite3 *db, const struct hg_database_files *files, hg_error *why) {
  const char *path = sqlite3_db_filename(db, "main");
  if (is_same(path, &files->database) && is_same(sqlite3_filename_wal(path), &files->wal)) return HG_OK;
  return tell_moved(db, why);
}
