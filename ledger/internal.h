// What the files of the ledger share: the connection, its statements, and the figures as of the newest commit.
#ifndef HG_LEDGER_INTERNAL_H
#define HG_LEDGER_INTERNAL_H

#include "ledger/ledger.h"
#include "base/fail.h"

#include <sqlite3.h>
#include <sys/types.h>

#define HG_LEDGER_APPLICATION_ID 0x48474154 // "HGAT"
#define HG_LEDGER_VERSION 3
#define HG_LEDGER_RUN 64         // journal rows of one statement
#define HG_LEDGER_COLUMNS 24     // of one event in one table
#define HG_LEDGER_REPORTERS 16   // whose numbers are kept until the end of a transaction
#define HG_LEDGER_TIME_TEXT 28   // "2025-11-23T13:46:40.123456Z"
#define HG_LOCK_PATIENCE_MS 5000 // a starter waits so long for whoever holds the ledger
#define HG_LOCK_GLANCE_MS 100    // a reader so long

extern const char hg_ledger_sql[];

#define HG_SQL_NEWEST_SEQ                                                                                              \
  "SELECT max(coalesce((SELECT max(seq) FROM journal), 0), coalesce((SELECT max(last_seq) FROM topic), 0))"
#define HG_SQL_UNSETTLED "(state = 'open' OR state = 'kept' OR state = 'orphaned')" // as the partial index has it

// ---------------------------------------------------------------------------------------------- lock.c, places
struct hg_lock {
  int fd;
};
// Takes the lock file, which is made when it is not there; HG_ERR_LEDGER_IN_USE names the holder.
hg_err hg_lock_take(struct hg_lock *lock, const struct hg_places *places, const char *ledger_path, int patience_ms,
                    hg_error *why);
// Writes into the lock file who holds it.
hg_err hg_lock_announce(const struct hg_lock *lock, const struct hg_places *places, bool momentary, hg_error *why);
void hg_lock_give_back(struct hg_lock *lock);
// Makes the directory of the sockets, or checks that the one that is there is ours alone.
hg_err hg_ledger_secure_directory(const char *directory, hg_error *why);

// ---------------------------------------------------------------------------------------------- sql.c: SQLite, checked
#define HG_SQL_DAMAGED                                                                                                 \
  "; the file is damaged: copy it and its -wal aside, then try sqlite3's .recover, or set ledger.path to another file"
// The newest failure of the connection in words: what could not be done and what SQLite and the system say.
hg_err hg_sql_fail(sqlite3 *db, hg_error *why, const char *doing);
// Whether what made the newest call fail may go by itself: no room, or another program in the way.
bool hg_sql_may_pass(sqlite3 *db);
hg_err hg_sql_run(sqlite3 *db, const char *sql, const char *doing, hg_error *why);
hg_err hg_sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, hg_error *why);
// Runs a bound statement that gives no rows, and resets it.
hg_err hg_sql_finish(sqlite3 *db, sqlite3_stmt *statement, const char *doing, hg_error *why);
hg_err hg_sql_number(sqlite3 *db, const char *sql, int64_t *out, hg_error *why); // the first column of the first row
// Copies a column of text, cut when longer.
void hg_sql_column(sqlite3_stmt *statement, int column, char *to, size_t room);
void hg_ledger_time_text(int64_t at_us, char out[HG_LEDGER_TIME_TEXT]);
int64_t hg_ledger_utc_us(void);

// ---------------------------------------------------------------------------------------------- database.c
// Makes an empty file that only its owner can read, when there is none.
hg_err hg_database_create(const char *path, hg_error *why);
// Opens a file that exists: checks that it is a ledger of ours or empty, applies the pragmas, passes the checkpoint
// law.
hg_err hg_database_open(const char *path, bool shared_readers, sqlite3 **out, bool *is_empty, hg_error *why);
// Moves the whole WAL into the database and cuts it to nothing, synced: what was read before is now certain to stay.
hg_err hg_database_settle(sqlite3 *db, hg_error *why);

// Which files the connection has open. Another program may take them away; what is written then is lost, and what is
// acknowledged must not be.
struct hg_file_id {
  dev_t device;
  ino_t inode; // 0: there was none
};
struct hg_database_files {
  struct hg_file_id database, wal;
};
hg_err hg_database_note_files(sqlite3 *db, struct hg_database_files *out, hg_error *why);
hg_err hg_database_check_files(sqlite3 *db, const struct hg_database_files *files, hg_error *why);

// ---------------------------------------------------------------------------------------------- the ledger itself
struct hg_ledger_total {
  char name[HG_BUDGET_NAME_MAX + 1];
  uint32_t name_size;
  uint32_t parent; // index; the root is its own
  int64_t used, reserved, hard_limit, configured_limit;
  int64_t changed_at;
  bool throttled, is_new, touched;
};

// A field of an event that is a column.
struct hg_ledger_column {
  const char *name;
  uint16_t offset; // into hg_message
  enum hg_field_type type;
  bool may_be_null;
  int64_t nothing; // the number, of a text its length, that is NULL in the column
  int place;       // in the rows of the replay
};

// What one table holds of an event.
struct hg_ledger_part {
  struct hg_ledger_column columns[HG_LEDGER_COLUMNS]; // the first is seq
  uint32_t count;
  uint32_t short_count;       // columns before the tail of those that may be NULL
  sqlite3_stmt *insert[2][2]; // [with the tail][a whole run]; prepared when first needed
};
enum hg_ledger_table { HG_TABLE_JOURNAL, HG_TABLE_DETAIL, HG_TABLES };

// How one kind of event is stored. Offsets into hg_message; 0: it has no such field.
struct hg_ledger_kind {
  const struct hg_kind_info *info;
  uint16_t used_delta, reserved_delta, used, reserved, permit, usage_id, reporter, number;
  struct hg_ledger_part parts[HG_TABLES];
};

// What happens to a permit within a transaction; its row is written once, at the end.
struct hg_permit_change {
  uint64_t id, seq;
  struct hg_text task_id;
  int64_t tokens, used; // added to those of its row
  uint32_t budget, attempt, slot;
  const char *state; // NULL: as it was
  bool is_new;
};
struct hg_permit_changes {
  struct hg_permit_change *list;
  uint32_t count, capacity;
  uint32_t *slots; // 2 * capacity of them, open addressing: index into list + 1; 0: free
};

// The newest number of a reporter within a transaction.
struct hg_reporter_change {
  struct hg_text name;
  int64_t number;
};

enum hg_ledger_statement {
  HG_SQL_SAVE_BUDGET,
  HG_SQL_SAVE_TOPIC,
  HG_SQL_NEW_RESERVATION,
  HG_SQL_CHANGE_RESERVATION,
  HG_SQL_FIND_RESERVATION,
  HG_SQL_NEW_USAGE_ID,
  HG_SQL_FIND_USAGE_ID,
  HG_SQL_SAVE_REPORTER,
  HG_SQL_STATEMENTS
};

// A pass over rows that are old enough to be folded.
struct hg_ledger_fold {
  bool under_way;
  int64_t at, newest; // it is over up to `at`, and ends with `newest`
  int64_t before_us;  // rows before this moment are old
};

struct hg_ledger {
  sqlite3 *db;
  struct hg_lock lock;
  bool uncertain; // a write failed: nothing is written before hg_ledger_recover
  struct hg_database_files files;
  int wal_pages; // in the WAL and not yet in the database
  sqlite3_stmt *statements[HG_SQL_STATEMENTS];

  // As of the newest commit; within a transaction, as of its newest event.
  struct hg_ledger_total *totals;
  uint32_t budget_count;
  uint64_t last_seq;
  uint64_t topic_last[HG_EVENT_KINDS];

  // The transaction.
  uint32_t *touched; // budgets
  uint32_t touched_count;
  bool topic_touched[HG_EVENT_KINDS];
  struct hg_permit_changes permits;
  struct hg_reporter_change reporters[HG_LEDGER_REPORTERS];
  uint32_t reporter_count;
  struct hg_message run[HG_LEDGER_RUN]; // rows of one kind that wait for their statements
  uint32_t run_count;

  struct hg_ledger_kind kinds[HG_EVENT_KINDS];
  sqlite3_stmt *replay; // prepared when first needed
  int replay_name;      // where its rows have the name of the event
  const struct hg_config *config;
  struct hg_audit *audit; // under way
  struct hg_ledger_fold fold;
};

// ledger.c. After a transaction: one that failed, or whose files are gone, is uncertain until the recovery; what may
// pass has a code of its own.
hg_err hg_ledger_judge_write(struct hg_ledger *ledger, hg_err err, hg_error *why);

// journal.c: one row an event, and a second one for details.
// Finds the columns of each event in the tables of the open database.
hg_err hg_journal_init(struct hg_ledger *ledger, hg_error *why);
struct hg_ledger_kind *hg_journal_kind(struct hg_ledger *ledger, enum hg_kind kind); // NULL: not journalled
// The next free place of the run; the event that the caller decodes into it is taken by hg_journal_add.
struct hg_message *hg_journal_place(struct hg_ledger *ledger);
hg_err hg_journal_add(struct hg_ledger *ledger, hg_error *why);
hg_err hg_journal_flush(struct hg_ledger *ledger, hg_error *why);
void hg_journal_clear(struct hg_ledger *ledger); // finalizes its statements

// totals.c: what an event does to budgets, latches, limits and topics.
hg_err hg_totals_apply(struct hg_ledger *ledger, const struct hg_message *event, hg_error *why);
hg_err hg_totals_save(struct hg_ledger *ledger, hg_error *why);
void hg_totals_forget(struct hg_ledger *ledger); // the transaction is over
// An event that contradicts what is stored: a fault of Headgate, told as an error so that nothing is lost by it.
hg_err hg_ledger_contradiction(hg_error *why, const struct hg_message *event, const char *what);

// reservations.c: what an event does to permits.
hg_err hg_reservations_apply(struct hg_ledger *ledger, const struct hg_message *event, hg_error *why);
hg_err hg_reservations_save(struct hg_ledger *ledger, hg_error *why);
void hg_reservations_forget(struct hg_ledger *ledger);
void hg_reservations_clear(struct hg_ledger *ledger); // gives back the memory

// exactly_once.c: what an event does to usage ids and reporters.
hg_err hg_once_apply(struct hg_ledger *ledger, const struct hg_message *event, hg_error *why);
hg_err hg_once_save(struct hg_ledger *ledger, hg_error *why);
void hg_once_forget(struct hg_ledger *ledger);
hg_err hg_once_tell(struct hg_ledger *ledger, struct hg_ledger_state *out, hg_error *why);

// ledger.c: a failure that may pass gets a code of its own.
hg_err hg_ledger_judge(const struct hg_ledger *ledger, hg_err err, hg_error *why);

// audit.c: one audit, a portion a call. Statements are reset after each, so that writes and checkpoints may come
// between.
struct hg_audit;
hg_err hg_audit_begin(sqlite3 *db, struct hg_audit **out, hg_error *why);
// NULL in `report`: there is more to do.
hg_err hg_audit_go_on(struct hg_audit *audit, uint32_t rows, const struct hg_audit_report **report, hg_error *why);
void hg_audit_end(struct hg_audit **audit);

// state.c: from the file into memory.
// Counts the opening and enters what the configuration adds, in one transaction.
hg_err hg_state_begin_life(struct hg_ledger *ledger, const struct hg_config *config, bool is_empty, hg_error *why);
// policies.c: entered at each opening; read back as the text of a configuration, malloc'd, with budgets and limits as
// the configuration said them last
hg_err hg_policies_enter(sqlite3 *db, const struct hg_config *config, hg_error *why);
hg_err hg_policies_read(sqlite3 *db, char **out, hg_error *why);
hg_err hg_state_read_unit(sqlite3 *db, hg_unit *out, hg_error *why);
// HG_ERR_CONFIG: the ledger counts another unit than the configuration.
hg_err hg_state_check_unit(sqlite3 *db, const struct hg_config *config, hg_error *why);
hg_err hg_state_load(struct hg_ledger *ledger, hg_error *why); // totals, last_seq, topic_last
hg_err hg_state_tell(struct hg_ledger *ledger, const struct hg_config *config, struct hg_ledger_state *out,
                     hg_error *why);

#endif
