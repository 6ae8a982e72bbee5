// The journal read back: each row becomes the event that it was written from, by the same columns (journal.c).
#include "ledger/internal.h"

#include <string.h>

static hg_err damaged(const struct hg_ledger *ledger, sqlite3_stmt *row, const char *what, hg_error *why) {
  return hg_fail(why, HG_ERR_STORE, "ledger \"%s\": row %lld of the journal has %s" HG_SQL_DAMAGED,
                 sqlite3_db_filename(ledger->db, "main"), (long long)sqlite3_column_int64(row, 0), what);
}

// Where the statement's result has a column.
static int place_of(sqlite3_stmt *statement, const char *name) {
  int place = 0;
  while (strcmp(sqlite3_column_name(statement, place), name) != 0)
    place++;
  return place;
}

static void map_columns(struct hg_ledger *ledger, sqlite3_stmt *statement) {
  ledger->replay_name = place_of(statement, "event");
  for (unsigned kind = 0; kind < HG_EVENT_KINDS; kind++)
    for (unsigned table = 0; ledger->kinds[kind].info && table < HG_TABLES; table++) {
      struct hg_ledger_part *part = &ledger->kinds[kind].parts[table];
      for (uint32_t i = 0; i < part->count; i++)
        part->columns[i].place = place_of(statement, part->columns[i].name);
    }
}

static hg_err prepare(struct hg_ledger *ledger, hg_error *why) {
  if (ledger->replay) return HG_OK;
  const hg_err err =
      hg_sql_prepare(ledger->db, "SELECT * FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2", &ledger->replay, why);
  if (err == HG_OK) map_columns(ledger, ledger->replay);
  return err;
}

static struct hg_text text_of(sqlite3_stmt *row, int place) {
  const char *data = (const char *)sqlite3_column_text(row, place);
  return (struct hg_text){data, data ? (uint32_t)sqlite3_column_bytes(row, place) : 0};
}

static hg_err read_column(const struct hg_ledger *ledger, sqlite3_stmt *row, const struct hg_ledger_column *column,
                          struct hg_message *event, hg_error *why) {
  void *to = (char *)event + column->offset;
  const bool is_null = sqlite3_column_type(row, column->place) == SQLITE_NULL;
  const int64_t number = is_null ? column->nothing : sqlite3_column_int64(row, column->place);
  switch (column->type) {
  case HG_FIELD_flag: *(bool *)to = number != 0; return HG_OK;
  case HG_FIELD_u32:
  case HG_FIELD_percent: *(uint32_t *)to = (uint32_t)number; return HG_OK;
  case HG_FIELD_u64:
  case HG_FIELD_id: *(uint64_t *)to = (uint64_t)number; return HG_OK;
  case HG_FIELD_num:
  case HG_FIELD_tokens:
  case HG_FIELD_opt:
  case HG_FIELD_amount:
  case HG_FIELD_time: *(int64_t *)to = number; return HG_OK;
  case HG_FIELD_text: *(struct hg_text *)to = text_of(row, column->place); return HG_OK;
  case HG_FIELD_source:
    if (is_null) *(uint32_t *)to = (uint32_t)number;
    else if (!hg_source_by_name(text_of(row, column->place), to))
      return damaged(ledger, row, "a source that no event has", why);
    return HG_OK;
  case HG_FIELD_budget: {
    const struct hg_text name = text_of(row, column->place);
    if (!hg_config_find_budget(ledger->config, name.data, name.size, to))
      return damaged(ledger, row, "a budget that the configuration has not", why);
    return HG_OK;
  }
  case HG_FIELD_body:
  case HG_FIELD_bytes: break; // only a heartbeat has them, and it has no row
  }
  return damaged(ledger, row, "a field that no event has", why);
}

static hg_err read_event(struct hg_ledger *ledger, sqlite3_stmt *row, struct hg_message *event, hg_error *why) {
  const struct hg_kind_info *info = hg_kind_by_name(text_of(row, ledger->replay_name));
  const struct hg_ledger_kind *kind = info ? hg_journal_kind(ledger, info->kind) : NULL;
  if (!kind) return damaged(ledger, row, "an event of an unknown name", why);
  hg_message_init(event, kind->info->kind);
  hg_err err = HG_OK;
  for (unsigned table = 0; table < HG_TABLES; table++)
    for (uint32_t i = 0; err == HG_OK && i < kind->parts[table].count; i++)
      err = read_column(ledger, row, &kind->parts[table].columns[i], event, why);
  return err;
}

hg_err hg_ledger_replay(struct hg_ledger *ledger, uint64_t after, uint32_t rows, hg_ledger_take *take, void *self,
                        hg_error *why) {
  if (after > INT64_MAX) return HG_OK; // no row is there
  hg_err err = prepare(ledger, why);
  if (err != HG_OK) return err;
  sqlite3_stmt *row = ledger->replay;
  sqlite3_bind_int64(row, 1, (int64_t)after);
  sqlite3_bind_int64(row, 2, rows);
  bool more = true;
  int code = SQLITE_ROW;
  while (err == HG_OK && more && (code = sqlite3_step(row)) == SQLITE_ROW) {
    struct hg_message event;
    err = read_event(ledger, row, &event, why);
    if (err == HG_OK) more = take(self, &event);
  }
  if (code != SQLITE_ROW && code != SQLITE_DONE) err = hg_sql_fail(ledger->db, why, "read the journal");
  sqlite3_reset(row);
  return hg_ledger_judge(ledger, err, why);
}
