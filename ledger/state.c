// From the file into memory: what a runtime needs to go on, and what an opening enters. Reads a few rows however long
// the journal is.
#include "ledger/internal.h"
#include "base/money.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void hg_ledger_state_clear(struct hg_ledger_state *state) {
  free(state->budgets);
  free(state->permits);
  free(state->reporters);
  *state = (struct hg_ledger_state){0};
}

// ------------------------------------------------------------------------------------------------ opening

// A random UUID (version 4), as text.
static hg_err make_uuid(char out[37], hg_error *why) {
  uint8_t b[16];
  if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
    return hg_fail(why, HG_ERR_SYSTEM, "the system gives no random numbers for the id of a new ledger");
  b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
  b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
  snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
           b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
  return HG_OK;
}

static hg_err make_schema(sqlite3 *db, hg_unit unit, hg_error *why) {
  char id[37];
  hg_err err = make_uuid(id, why);
  if (err == HG_OK) err = hg_sql_run(db, hg_ledger_sql, "create the tables", why);
  sqlite3_stmt *insert = NULL;
  if (err == HG_OK)
    err = hg_sql_prepare(db, "INSERT INTO meta VALUES ('ledger_id', ?), ('opening', 0), ('unit', ?)", &insert, why);
  if (err == HG_OK) {
    sqlite3_bind_text(insert, 1, id, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 2, hg_unit_name(unit), -1, SQLITE_STATIC);
    err = hg_sql_finish(db, insert, "name the ledger", why);
  }
  sqlite3_finalize(insert);
  return err;
}

hg_err hg_state_read_unit(sqlite3 *db, hg_unit *out, hg_error *why) {
  char name[16] = "";
  sqlite3_stmt *unit = NULL;
  hg_err err = hg_sql_prepare(db, "SELECT value FROM meta WHERE key = 'unit'", &unit, why);
  const int code = err == HG_OK ? sqlite3_step(unit) : SQLITE_DONE;
  if (code == SQLITE_ROW) hg_sql_column(unit, 0, name, sizeof name);
  else if (err == HG_OK && code != SQLITE_DONE) err = hg_sql_fail(db, why, "read the ledger's unit");
  sqlite3_finalize(unit);
  if (err != HG_OK || hg_unit_of_name(name, strlen(name), out)) return err;
  return hg_fail(why, HG_ERR_STORE, "ledger \"%s\" does not say what it counts" HG_SQL_DAMAGED,
                 sqlite3_db_filename(db, "main"));
}

hg_err hg_state_check_unit(sqlite3 *db, const struct hg_config *config, hg_error *why) {
  hg_unit unit;
  const hg_err err = hg_state_read_unit(db, &unit, why);
  if (err != HG_OK || unit == config->unit) return err;
  return hg_fail(why, HG_ERR_CONFIG,
                 "ConfigurationError: %s: its limits are in %s, but ledger \"%s\" counts %s, and that cannot change: "
                 "give limits in %s, or set ledger.path to another file",
                 config->source, hg_unit_words(config->unit), sqlite3_db_filename(db, "main"), hg_unit_words(unit),
                 hg_unit_words(unit));
}

// Looks the budget up: is it new, and is it where it was?
static hg_err find_budget(sqlite3 *db, sqlite3_stmt *find, const struct hg_config *config, const char *parent,
                          struct hg_ledger_total *total, hg_error *why) {
  sqlite3_bind_text(find, 1, total->name, -1, SQLITE_STATIC);
  const int code = sqlite3_step(find);
  const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(find, 0) : NULL;
  const char *stored = text ? text : "", *wanted = parent ? parent : "";
  hg_err err = HG_OK;
  total->is_new = code == SQLITE_DONE;
  if (code != SQLITE_ROW && code != SQLITE_DONE) err = hg_sql_fail(db, why, "read the budgets");
  else if (code == SQLITE_ROW && strcmp(stored, wanted) != 0)
    err = hg_fail(why, HG_ERR_CONFIG,
                  "ConfigurationError: %s: tokenBudget.budgets.%s.parent is \"%s\", but ledger \"%s\" has it under "
                  "\"%s\", and that cannot change: put it back, or give the budget a new name",
                  config->source, total->name, wanted, sqlite3_db_filename(db, "main"), stored);
  sqlite3_reset(find);
  return err;
}

static hg_err insert_budget(sqlite3 *db, sqlite3_stmt *insert, const struct hg_budget_config *budget,
                            const char *parent, hg_error *why) {
  char moment[HG_LEDGER_TIME_TEXT];
  hg_ledger_time_text(hg_ledger_utc_us(), moment);
  sqlite3_bind_text(insert, 1, budget->name, -1, SQLITE_STATIC);
  sqlite3_bind_text(insert, 2, parent, -1, SQLITE_STATIC);
  sqlite3_bind_int64(insert, 3, budget->hard_limit);
  sqlite3_bind_text(insert, 4, moment, -1, SQLITE_STATIC);
  return hg_sql_finish(db, insert, "enter a budget", why);
}

static hg_err enter_budgets(struct hg_ledger *ledger, const struct hg_config *config, hg_error *why) {
  sqlite3_stmt *find = NULL, *insert = NULL;
  hg_err err = hg_sql_prepare(ledger->db, "SELECT parent FROM token_budget WHERE name = ?", &find, why);
  if (err == HG_OK)
    err = hg_sql_prepare(ledger->db,
                         "INSERT INTO token_budget(name, parent, hard_limit, configured_limit, updated_at) "
                         "VALUES (?1, ?2, ?3, ?3, ?4)",
                         &insert, why);
  for (uint32_t i = 0; err == HG_OK && i < ledger->budget_count; i++) {
    struct hg_ledger_total *total = &ledger->totals[i];
    const char *parent = total->parent == i ? NULL : ledger->totals[total->parent].name; // NULL: the root
    err = find_budget(ledger->db, find, config, parent, total, why);
    if (err == HG_OK && total->is_new) err = insert_budget(ledger->db, insert, &config->budgets[i], parent, why);
  }
  sqlite3_finalize(find);
  sqlite3_finalize(insert);
  return err;
}

// Budgets that the configuration does not name: those that never held anything go, but for those whose limit was set by
// hand, which stay for the configuration that names them; others stop the opening.
static hg_err check_removed(sqlite3 *db, const struct hg_config *config, hg_error *why) {
  sqlite3_stmt *all = NULL, *drop = NULL;
  hg_err err = hg_sql_prepare(db,
                              "SELECT name, total_used <> 0 OR reserved <> 0 OR throttled <> 0 OR name IN "
                              "(SELECT budget FROM reservation INDEXED BY reservation_unsettled WHERE " HG_SQL_UNSETTLED
                              "), hard_limit <> configured_limit FROM token_budget",
                              &all, why);
  if (err == HG_OK) err = hg_sql_prepare(db, "DELETE FROM token_budget WHERE name = ?", &drop, why);
  int code = SQLITE_DONE;
  while (err == HG_OK && (code = sqlite3_step(all)) == SQLITE_ROW) {
    char name[HG_BUDGET_NAME_MAX + 1];
    hg_sql_column(all, 0, name, sizeof name);
    uint32_t index;
    if (hg_config_find_budget(config, name, strlen(name), &index)) continue;
    if (sqlite3_column_int(all, 1))
      err = hg_fail(why, HG_ERR_CONFIG,
                    "ConfigurationError: %s: tokenBudget.budgets does not name \"%s\", which has usage in ledger "
                    "\"%s\": put it back",
                    config->source, name, sqlite3_db_filename(db, "main"));
    else if (!sqlite3_column_int(all, 2)) {
      sqlite3_bind_text(drop, 1, name, -1, SQLITE_STATIC);
      err = hg_sql_finish(db, drop, "remove an unused budget", why);
    }
  }
  if (err == HG_OK && code != SQLITE_DONE) err = hg_sql_fail(db, why, "read the budgets");
  sqlite3_finalize(all);
  sqlite3_finalize(drop);
  return err;
}

hg_err hg_state_begin_life(struct hg_ledger *ledger, const struct hg_config *config, bool is_empty, hg_error *why) {
  hg_err err = hg_sql_run(ledger->db, "BEGIN IMMEDIATE", "begin a transaction", why);
  if (err == HG_OK && is_empty) err = make_schema(ledger->db, config->unit, why);
  if (err == HG_OK) err = hg_state_check_unit(ledger->db, config, why);
  if (err == HG_OK)
    err = hg_sql_run(ledger->db, "UPDATE meta SET value = value + 1 WHERE key = 'opening'", "count the opening", why);
  if (err == HG_OK) err = check_removed(ledger->db, config, why);
  if (err == HG_OK) err = enter_budgets(ledger, config, why);
  if (err == HG_OK) err = hg_policies_enter(ledger->db, config, why);
  if (err == HG_OK) err = hg_sql_run(ledger->db, "COMMIT", "commit the opening", why);
  if (!sqlite3_get_autocommit(ledger->db)) sqlite3_exec(ledger->db, "ROLLBACK", NULL, NULL, NULL);
  return err;
}

// ------------------------------------------------------------------------------------------------ figures

static hg_err load_totals(struct hg_ledger *ledger, hg_error *why) {
  sqlite3_stmt *find = NULL;
  hg_err err = hg_sql_prepare(ledger->db,
                              "SELECT total_used, reserved, hard_limit, configured_limit, throttled FROM token_budget "
                              "WHERE name = ?",
                              &find, why);
  for (uint32_t i = 0; err == HG_OK && i < ledger->budget_count; i++) {
    struct hg_ledger_total *total = &ledger->totals[i];
    sqlite3_bind_text(find, 1, total->name, (int)total->name_size, SQLITE_STATIC);
    const int code = sqlite3_step(find);
    if (code == SQLITE_ROW) {
      total->used = sqlite3_column_int64(find, 0);
      total->reserved = sqlite3_column_int64(find, 1);
      total->hard_limit = sqlite3_column_int64(find, 2);
      total->configured_limit = sqlite3_column_int64(find, 3);
      total->throttled = sqlite3_column_int(find, 4) != 0;
    } else if (code == SQLITE_DONE)
      err = hg_fail(why, HG_ERR_STORE, "ledger \"%s\": budget \"%s\" was removed from it",
                    sqlite3_db_filename(ledger->db, "main"), total->name);
    else err = hg_sql_fail(ledger->db, why, "read the totals");
    sqlite3_reset(find);
  }
  sqlite3_finalize(find);
  return err;
}

static hg_err load_topics(struct hg_ledger *ledger, hg_error *why) {
  sqlite3_stmt *all = NULL;
  hg_err err = hg_sql_prepare(ledger->db, "SELECT name, last_seq FROM topic", &all, why);
  memset(ledger->topic_last, 0, sizeof ledger->topic_last);
  int code = SQLITE_DONE;
  while (err == HG_OK && (code = sqlite3_step(all)) == SQLITE_ROW) {
    char name[64];
    hg_sql_column(all, 0, name, sizeof name);
    const struct hg_kind_info *info = hg_kind_by_name(hg_text_of(name));
    if (!info || !hg_journal_kind(ledger, info->kind)) continue; // nothing that this version could write
    ledger->topic_last[(unsigned)info->kind - HG_EVENT_FIRST] = (uint64_t)sqlite3_column_int64(all, 1);
  }
  if (err == HG_OK && code != SQLITE_DONE) err = hg_sql_fail(ledger->db, why, "read the topics");
  sqlite3_finalize(all);
  return err;
}

hg_err hg_state_load(struct hg_ledger *ledger, hg_error *why) {
  int64_t newest = 0;
  hg_err err = hg_sql_number(ledger->db, HG_SQL_NEWEST_SEQ, &newest, why);
  if (err == HG_OK) err = load_totals(ledger, why);
  if (err == HG_OK) err = load_topics(ledger, why);
  if (err == HG_OK) ledger->last_seq = (uint64_t)newest;
  return err;
}

// ------------------------------------------------------------------------------------------------ for the runtime

static hg_err read_permit(const struct hg_ledger *ledger, const struct hg_config *config, sqlite3_stmt *row,
                          struct hg_ledger_permit *out, hg_error *why) {
  char budget[HG_BUDGET_NAME_MAX + 1], state[16];
  *out = (struct hg_ledger_permit){.id = (uint64_t)sqlite3_column_int64(row, 0),
                                   .tokens = sqlite3_column_int64(row, 2),
                                   .attempt = (uint32_t)sqlite3_column_int64(row, 4)};
  hg_sql_column(row, 1, budget, sizeof budget);
  hg_sql_column(row, 3, state, sizeof state);
  hg_sql_column(row, 5, out->task_id, sizeof out->task_id);
  out->orphaned = strcmp(state, "orphaned") == 0;
  out->guess = sqlite3_column_int64(row, 6);
  out->kept = strcmp(state, "kept") == 0;
  if (hg_config_find_budget(config, budget, strlen(budget), &out->budget)) return HG_OK;
  return hg_fail(why, HG_ERR_STORE, "ledger \"%s\": permit %016llx belongs to budget \"%s\", which it does not have",
                 sqlite3_db_filename(ledger->db, "main"), (unsigned long long)out->id, budget);
}

static hg_err tell_permits(struct hg_ledger *ledger, const struct hg_config *config, struct hg_ledger_state *out,
                           hg_error *why) {
  sqlite3_stmt *all = NULL;
  hg_err err =
      hg_sql_prepare(ledger->db,
                     "SELECT id, budget, tokens, state, attempt, task_id, used FROM reservation WHERE " HG_SQL_UNSETTLED
                     " ORDER BY id",
                     &all, why);
  size_t capacity = 0;
  int code = SQLITE_DONE;
  while (err == HG_OK && (code = sqlite3_step(all)) == SQLITE_ROW) {
    if (out->permit_count == capacity) {
      capacity = capacity ? 2 * capacity : 16;
      struct hg_ledger_permit *more = realloc(out->permits, capacity * sizeof *more);
      if (!more) {
        err = hg_fail(why, HG_ERR_NO_MEMORY, "not enough memory for the open permits");
        break;
      }
      out->permits = more;
    }
    err = read_permit(ledger, config, all, &out->permits[out->permit_count++], why);
  }
  if (err == HG_OK && code != SQLITE_DONE) err = hg_sql_fail(ledger->db, why, "read the open permits");
  sqlite3_finalize(all);
  return err;
}

static hg_err tell_meta(struct hg_ledger *ledger, struct hg_ledger_state *out, hg_error *why) {
  sqlite3_stmt *id = NULL;
  hg_err err = hg_sql_prepare(ledger->db, "SELECT value FROM meta WHERE key = 'ledger_id'", &id, why);
  if (err == HG_OK && sqlite3_step(id) != SQLITE_ROW) err = hg_sql_fail(ledger->db, why, "read the ledger's id");
  if (err == HG_OK) hg_sql_column(id, 0, out->ledger_id, sizeof out->ledger_id);
  sqlite3_finalize(id);
  int64_t opening = 0;
  if (err == HG_OK) err = hg_sql_number(ledger->db, "SELECT value FROM meta WHERE key = 'opening'", &opening, why);
  out->opening = (uint64_t)opening;
  return err;
}

hg_err hg_state_tell(struct hg_ledger *ledger, const struct hg_config *config, struct hg_ledger_state *out,
                     hg_error *why) {
  out->budgets = calloc(ledger->budget_count, sizeof *out->budgets);
  if (!out->budgets) return hg_fail(why, HG_ERR_NO_MEMORY, "not enough memory for %u budgets", ledger->budget_count);
  out->budget_count = ledger->budget_count;
  for (uint32_t i = 0; i < ledger->budget_count; i++) {
    const struct hg_ledger_total *total = &ledger->totals[i];
    struct hg_ledger_budget *budget = &out->budgets[i];
    *budget = (struct hg_ledger_budget){.parent = total->parent,
                                        .used = total->used,
                                        .reserved = total->reserved,
                                        .hard_limit = total->hard_limit,
                                        .configured_limit = total->configured_limit,
                                        .throttled = total->throttled,
                                        .is_new = total->is_new};
    memcpy(budget->name, total->name, sizeof budget->name);
  }
  out->last_seq = ledger->last_seq;
  memcpy(out->topic_last, ledger->topic_last, sizeof out->topic_last);
  hg_err err = tell_meta(ledger, out, why);
  if (err == HG_OK) err = tell_permits(ledger, config, out, why);
  return err == HG_OK ? hg_once_tell(ledger, out, why) : err;
}
