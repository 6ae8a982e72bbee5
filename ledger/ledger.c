// The life of a ledger: open, write batches, recover from a failed one, checkpoint, close.
#include "ledger/internal.h"

#include "bus/frames.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define WAL_PAGES_MAX (16 * 1024 * 1024 / 4096) // a checkpoint is due

// ------------------------------------------------------------------------------------------------ open and close

static int note_wal_pages(void *ledger, sqlite3 *db, const char *name, int pages) {
  (void)db;
  (void)name;
  ((struct hg_ledger *)ledger)->wal_pages = pages;
  return SQLITE_OK;
}

static hg_err prepare_statements(struct hg_ledger *ledger, hg_error *why) {
  static const char *const texts[HG_SQL_STATEMENTS] = {
      [HG_SQL_SAVE_BUDGET] = "UPDATE token_budget SET total_used = ?1, reserved = ?2, hard_limit = ?3, "
                             "configured_limit = ?4, throttled = ?5, updated_at = ?6 WHERE name = ?7",
      [HG_SQL_SAVE_TOPIC] = "INSERT INTO topic(name, last_seq) VALUES (?1, ?2) "
                            "ON CONFLICT(name) DO UPDATE SET last_seq = excluded.last_seq",
      [HG_SQL_NEW_RESERVATION] = "INSERT INTO reservation(id, budget, task_id, tokens, state, used, attempt, seq) "
                                 "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
      [HG_SQL_CHANGE_RESERVATION] = "UPDATE reservation SET state = coalesce(?2, state), used = used + ?3, seq = ?4, "
                                    "tokens = tokens + ?5 WHERE id = ?1",
      [HG_SQL_FIND_RESERVATION] = "SELECT state, used, tokens FROM reservation WHERE id = ?1",
      [HG_SQL_NEW_USAGE_ID] = "INSERT INTO usage_id(key, seq, content_hash) VALUES (?1, ?2, ?3)",
      [HG_SQL_FIND_USAGE_ID] = "SELECT seq, content_hash FROM usage_id WHERE key = ?1",
      [HG_SQL_SAVE_REPORTER] = "INSERT INTO reporter(id, last_number) VALUES (?1, ?2) "
                               "ON CONFLICT(id) DO UPDATE SET last_number = excluded.last_number",
  };
  hg_err err = HG_OK;
  for (unsigned i = 0; err == HG_OK && i < HG_SQL_STATEMENTS; i++)
    err = hg_sql_prepare(ledger->db, texts[i], &ledger->statements[i], why);
  return err;
}

static hg_err copy_budgets(struct hg_ledger *ledger, const struct hg_config *config, hg_error *why) {
  ledger->totals = calloc(config->budget_count, sizeof *ledger->totals);
  ledger->touched = calloc(config->budget_count, sizeof *ledger->touched);
  if (!ledger->totals || !ledger->touched)
    return hg_fail(why, HG_ERR_NO_MEMORY, "not enough memory for %u budgets", config->budget_count);
  ledger->budget_count = config->budget_count;
  for (uint32_t i = 0; i < config->budget_count; i++) {
    struct hg_ledger_total *total = &ledger->totals[i];
    memcpy(total->name, config->budgets[i].name, sizeof total->name);
    total->name_size = (uint32_t)strlen(total->name);
    total->parent = config->budgets[i].parent;
    assert(i == 0 ? total->parent == 0 : total->parent < i);
  }
  return HG_OK;
}

static hg_err start(struct hg_ledger *ledger, const struct hg_config *config, const struct hg_places *places,
                    struct hg_ledger_state *state, hg_error *why) {
  bool is_empty = false;
  hg_err err = hg_lock_take(&ledger->lock, places, config->ledger_path, HG_LOCK_PATIENCE_MS, why);
  if (err == HG_OK) err = hg_lock_announce(&ledger->lock, places, config->for_a_moment, why);
  if (err == HG_OK) err = hg_database_create(config->ledger_path, why);
  if (err == HG_OK) err = hg_database_open(config->ledger_path, config->shared_readers, &ledger->db, &is_empty, why);
  if (err == HG_OK) err = hg_ledger_secure_directory(places->directory, why);
  if (err == HG_OK) err = copy_budgets(ledger, config, why);
  if (err != HG_OK) return err;
  sqlite3_wal_hook(ledger->db, note_wal_pages, ledger);
  err = hg_state_begin_life(ledger, config, is_empty, why);
  if (err == HG_OK) err = hg_journal_init(ledger, why);
  if (err == HG_OK) err = hg_database_note_files(ledger->db, &ledger->files, why);
  if (err == HG_OK) err = hg_state_load(ledger, why);
  if (err == HG_OK) err = hg_state_tell(ledger, config, state, why);
  if (err == HG_OK) err = prepare_statements(ledger, why);
  return err;
}

static void destroy(struct hg_ledger *ledger) {
  hg_audit_end(&ledger->audit);
  hg_journal_clear(ledger);
  sqlite3_finalize(ledger->replay);
  for (unsigned i = 0; i < HG_SQL_STATEMENTS; i++)
    sqlite3_finalize(ledger->statements[i]);
  const int code = sqlite3_close(ledger->db);
  assert(code == SQLITE_OK);
  (void)code;
  hg_lock_give_back(&ledger->lock);
  hg_reservations_clear(ledger);
  free(ledger->totals);
  free(ledger->touched);
  free(ledger);
}

hg_err hg_ledger_open(const struct hg_config *config, const struct hg_places *places, struct hg_ledger **out,
                      struct hg_ledger_state *state, hg_error *why) {
  struct hg_ledger *ledger = calloc(1, sizeof *ledger);
  if (!ledger) return hg_fail(why, HG_ERR_NO_MEMORY, "not enough memory to open the ledger");
  ledger->lock.fd = -1;
  ledger->config = config;
  *state = (struct hg_ledger_state){0};
  const hg_err err = start(ledger, config, places, state, why);
  if (err != HG_OK) {
    hg_ledger_state_clear(state);
    destroy(ledger);
    return err;
  }
  *out = ledger;
  return HG_OK;
}

hg_err hg_ledger_close(struct hg_ledger **ledger) {
  if (!*ledger) return HG_OK;
  if (!sqlite3_get_autocommit((*ledger)->db)) sqlite3_exec((*ledger)->db, "ROLLBACK", NULL, NULL, NULL);
  hg_err err = hg_database_settle((*ledger)->db, NULL);
  if (err == HG_OK) err = hg_database_check_files((*ledger)->db, &(*ledger)->files, NULL);
  destroy(*ledger);
  *ledger = NULL;
  return err;
}

// ------------------------------------------------------------------------------------------------ write

static hg_err apply(struct hg_ledger *ledger, const struct hg_message *event, hg_error *why) {
  hg_err err = hg_totals_apply(ledger, event, why);
  if (err == HG_OK) err = hg_reservations_apply(ledger, event, why);
  if (err == HG_OK) err = hg_once_apply(ledger, event, why);
  if (err == HG_OK) err = hg_journal_add(ledger, why);
  return err;
}

static hg_err write_payload(struct hg_ledger *ledger, struct hg_bytes payload, hg_error *why) {
  for (size_t at = 0; at < payload.size;) {
    struct hg_message *event = hg_journal_place(ledger);
    size_t taken = 0;
    hg_err err = hg_frame_decode_next(payload.data + at, payload.size - at, event, &taken);
    if (err != HG_OK)
      return hg_fail(why, err, "a batch for the ledger has no event at byte %zu: nothing of it was stored", at);
    assert(taken > 0);
    err = apply(ledger, event, why);
    if (err != HG_OK) return err;
    at += taken;
  }
  return HG_OK;
}

static hg_err write_batch(struct hg_ledger *ledger, const struct hg_bytes *payloads, size_t count, hg_error *why) {
  hg_err err = hg_sql_run(ledger->db, "BEGIN IMMEDIATE", "begin a transaction", why);
  for (size_t i = 0; err == HG_OK && i < count; i++)
    err = write_payload(ledger, payloads[i], why);
  if (err == HG_OK) err = hg_journal_flush(ledger, why);
  if (err == HG_OK) err = hg_reservations_save(ledger, why);
  if (err == HG_OK) err = hg_once_save(ledger, why);
  if (err == HG_OK) err = hg_totals_save(ledger, why);
  if (err == HG_OK) err = hg_sql_run(ledger->db, "COMMIT", "commit", why);
  return err;
}

static void forget_transaction(struct hg_ledger *ledger) {
  hg_totals_forget(ledger);
  hg_reservations_forget(ledger);
  hg_once_forget(ledger);
  ledger->run_count = 0;
}

hg_err hg_ledger_judge(const struct hg_ledger *ledger, hg_err err, hg_error *why) {
  if (err != HG_ERR_STORE || !hg_sql_may_pass(ledger->db)) return err;
  if (why) why->code = HG_ERR_BUSY;
  return HG_ERR_BUSY;
}

hg_err hg_ledger_judge_write(struct hg_ledger *ledger, hg_err err, hg_error *why) {
  err = err == HG_OK ? hg_database_check_files(ledger->db, &ledger->files, why) : hg_ledger_judge(ledger, err, why);
  ledger->uncertain = err != HG_OK;
  return err;
}

hg_err hg_ledger_write(struct hg_ledger *ledger, const struct hg_bytes *payloads, size_t count, hg_error *why) {
  if (ledger->uncertain)
    return hg_fail(why, HG_ERR_STORE, "ledger \"%s\": the last write failed and was not recovered from",
                   sqlite3_db_filename(ledger->db, "main"));
  const hg_err err = hg_ledger_judge_write(ledger, write_batch(ledger, payloads, count, why), why);
  forget_transaction(ledger);
  return err;
}

// ------------------------------------------------------------------------------------------------ recover, checkpoint

hg_err hg_ledger_recover(struct hg_ledger *ledger, uint64_t *stored_seq, hg_error *why) {
  ledger->uncertain = true;
  // SQLite has rolled back by itself after some errors: then there is no transaction to end.
  hg_err err = HG_OK;
  if (!sqlite3_get_autocommit(ledger->db)) err = hg_sql_run(ledger->db, "ROLLBACK", "roll back", why);
  if (err == HG_OK) err = hg_database_settle(ledger->db, why);
  if (err == HG_OK) err = hg_state_load(ledger, why);
  if (err != HG_OK) return hg_ledger_judge(ledger, err, why);
  err = hg_database_check_files(ledger->db, &ledger->files, why);
  if (err != HG_OK) return err;
  ledger->wal_pages = 0;
  ledger->uncertain = false;
  *stored_seq = ledger->last_seq;
  return HG_OK;
}

// PASSIVE copies all of the WAL when nobody reads, and the next commit begins at the WAL's start again: in a file that
// has its length already, which a sync finds cheaper than one that grows. It never waits for a reader of shared mode,
// who may leave some of it for the next time.
hg_err hg_ledger_checkpoint(struct hg_ledger *ledger, bool idle, hg_error *why) {
  const hg_err gone = hg_database_check_files(ledger->db, &ledger->files, why);
  if (gone != HG_OK) return gone;
  if (ledger->uncertain || ledger->wal_pages == 0 || (!idle && ledger->wal_pages < WAL_PAGES_MAX)) return HG_OK;
  int in_wal = 0, moved = 0;
  const int code = sqlite3_wal_checkpoint_v2(ledger->db, "main", SQLITE_CHECKPOINT_PASSIVE, &in_wal, &moved);
  const bool waits = ledger->config->shared_readers && (code == SQLITE_BUSY || (code == SQLITE_OK && moved < in_wal));
  if (waits) return HG_OK;
  if (code != SQLITE_OK) return hg_ledger_judge(ledger, hg_sql_fail(ledger->db, why, "checkpoint"), why);
  if (moved != in_wal)
    return hg_fail(why, HG_ERR_STORE, "ledger \"%s\": a checkpoint left %d of %d pages behind",
                   sqlite3_db_filename(ledger->db, "main"), in_wal - moved, in_wal);
  ledger->wal_pages = 0;
  return HG_OK;
}
