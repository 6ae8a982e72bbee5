// One row of the journal for each event, and one of journal_detail for what few events say, written from the
// descriptors of its fields: a new event needs a column only when it has a field that no other event has. Rows of the
// same kind that follow one another share a statement, because that is where SQLite is fast.
#include "ledger/internal.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static const char *const tables[HG_TABLES] = {[HG_TABLE_JOURNAL] = "journal", [HG_TABLE_DETAIL] = "journal_detail"};

// ------------------------------------------------------------------------------------------------ columns

// Numbers and flags of which most rows say nothing, by a 0.
static bool zero_says_nothing(const struct hg_field *field) {
  static const char *const names[] = {"attempt", "from_parent", "to_parent", "late"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(field->name, names[i]) == 0) return true;
  return false;
}

// A column that says nothing is NULL: a text or id that is not there, a figure that is not known.
static struct hg_ledger_column column_of(const struct hg_field *field) {
  const bool may_be_null = field->type == HG_FIELD_text || field->type == HG_FIELD_opt ||
                           field->type == HG_FIELD_source || field->type == HG_FIELD_id || zero_says_nothing(field);
  return (struct hg_ledger_column){.name = field->name,
                                   .offset = field->offset,
                                   .type = field->type,
                                   .may_be_null = may_be_null,
                                   .nothing = field->type == HG_FIELD_opt ? HG_UNKNOWN : 0};
}

// The field as a number; of a text its length; -1: it is over INT64_MAX.
static int64_t number_of(const struct hg_ledger_column *column, const struct hg_message *event) {
  const void *value = (const char *)event + column->offset;
  switch (column->type) {
  case HG_FIELD_flag: return *(const bool *)value;
  case HG_FIELD_u32:
  case HG_FIELD_percent:
  case HG_FIELD_source:
  case HG_FIELD_budget: return *(const uint32_t *)value;
  case HG_FIELD_u64:
  case HG_FIELD_id: {
    const uint64_t number = *(const uint64_t *)value;
    return number > INT64_MAX ? -1 : (int64_t)number;
  }
  case HG_FIELD_num:
  case HG_FIELD_tokens:
  case HG_FIELD_opt:
  case HG_FIELD_amount:
  case HG_FIELD_time: return *(const int64_t *)value;
  case HG_FIELD_text: return ((const struct hg_text *)value)->size;
  case HG_FIELD_body:
  case HG_FIELD_bytes: return ((const struct hg_bytes *)value)->size;
  }
  return 0;
}

static bool is_null(const struct hg_ledger_column *column, int64_t number) {
  return column->may_be_null && number == column->nothing;
}

static int bind_value(const struct hg_ledger *ledger, sqlite3_stmt *statement, int at,
                      const struct hg_ledger_column *column, const struct hg_message *event) {
  const int64_t number = number_of(column, event);
  if (is_null(column, number)) return sqlite3_bind_null(statement, at);
  switch (column->type) {
  case HG_FIELD_u64:
  case HG_FIELD_id: return number < 0 ? SQLITE_TOOBIG : sqlite3_bind_int64(statement, at, number);
  case HG_FIELD_flag:
  case HG_FIELD_u32:
  case HG_FIELD_percent:
  case HG_FIELD_num:
  case HG_FIELD_tokens:
  case HG_FIELD_opt:
  case HG_FIELD_amount:
  case HG_FIELD_time: return sqlite3_bind_int64(statement, at, number);
  case HG_FIELD_budget: {
    const struct hg_ledger_total *budget = &ledger->totals[number];
    return sqlite3_bind_text(statement, at, budget->name, (int)budget->name_size, SQLITE_STATIC);
  }
  case HG_FIELD_source: return sqlite3_bind_text(statement, at, hg_source_name((uint32_t)number), -1, SQLITE_STATIC);
  case HG_FIELD_text: {
    const struct hg_text *text = (const void *)((const char *)event + column->offset);
    return sqlite3_bind_text(statement, at, text->data, (int)number, SQLITE_STATIC);
  }
  case HG_FIELD_body:
  case HG_FIELD_bytes: break; // only a heartbeat has them, and it has no row
  }
  return SQLITE_MISUSE;
}

static uint16_t offset_of(const struct hg_kind_info *info, const char *name) {
  for (uint32_t i = 0; i < info->field_count; i++)
    if (strcmp(info->fields[i].name, name) == 0) return info->fields[i].offset;
  return 0;
}

static hg_err has_column(sqlite3 *db, const char *table, const char *name, bool *out, hg_error *why) {
  const int code = sqlite3_table_column_metadata(db, "main", table, name, NULL, NULL, NULL, NULL, NULL);
  *out = code == SQLITE_OK;
  return *out || code == SQLITE_ERROR ? HG_OK : hg_sql_fail(db, why, "look for a column of the journal");
}

// A field belongs to the tables that have a column of its name: seq to both, the others to one.
static hg_err find_columns(sqlite3 *db, struct hg_ledger_kind *kind, hg_error *why) {
  for (uint32_t i = 0; i < kind->info->frame_field_count; i++) {
    const struct hg_field *field = &kind->info->frame_fields[i];
    bool found = false;
    for (unsigned table = 0; table < HG_TABLES; table++) {
      struct hg_ledger_part *part = &kind->parts[table];
      bool is_there;
      const hg_err err = has_column(db, tables[table], field->name, &is_there, why);
      if (err != HG_OK) return err;
      if (!is_there) continue;
      assert(part->count < HG_LEDGER_COLUMNS);
      part->columns[part->count] = column_of(field);
      if (!part->columns[part->count++].may_be_null) part->short_count = part->count;
      found = true;
    }
    if (!found)
      return hg_fail(why, HG_ERR_STORE, "ledger \"%s\" has no column for %s of %s", sqlite3_db_filename(db, "main"),
                     field->name, kind->info->name);
  }
  return HG_OK;
}

hg_err hg_journal_init(struct hg_ledger *ledger, hg_error *why) {
  hg_err err = HG_OK;
  for (unsigned i = 0; err == HG_OK && i < HG_EVENT_KINDS; i++) {
    struct hg_ledger_kind *kind = &ledger->kinds[i];
    const struct hg_kind_info *info = hg_kind_info(HG_EVENT_FIRST + i);
    if (!info || HG_IS_NEVER_A_ROW(info->kind)) continue;
    kind->info = info;
    kind->used_delta = offset_of(info, "used_delta");
    kind->reserved_delta = offset_of(info, "reserved_delta");
    kind->used = offset_of(info, "used");
    kind->reserved = offset_of(info, "reserved");
    kind->permit = offset_of(info, "permit");
    kind->usage_id = offset_of(info, "usage_id");
    kind->reporter = offset_of(info, "reporter");
    kind->number = offset_of(info, "number");
    assert(!kind->used == !kind->reserved && !kind->used_delta == !kind->reserved_delta); // totals.c compares them
    err = find_columns(ledger->db, kind, why);
  }
  return err;
}

struct hg_ledger_kind *hg_journal_kind(struct hg_ledger *ledger, enum hg_kind kind) {
  const unsigned index = (unsigned)kind - HG_EVENT_FIRST;
  return index < HG_EVENT_KINDS && ledger->kinds[index].info ? &ledger->kinds[index] : NULL;
}

// ------------------------------------------------------------------------------------------------ rows

// The name of the event is part of the statement.
static hg_err prepare_insert(sqlite3 *db, const struct hg_ledger_kind *kind, enum hg_ledger_table table,
                             uint32_t columns, uint32_t rows, sqlite3_stmt **out, hg_error *why) {
  const struct hg_ledger_part *part = &kind->parts[table];
  sqlite3_str *sql = sqlite3_str_new(db);
  sqlite3_str_appendf(sql, "INSERT INTO %s(%s", tables[table], table == HG_TABLE_JOURNAL ? "event, " : "");
  for (uint32_t i = 0; i < columns; i++)
    sqlite3_str_appendf(sql, "%s%s", i ? ", " : "", part->columns[i].name);
  sqlite3_str_appendall(sql, ") VALUES ");
  for (uint32_t row = 0; row < rows; row++) {
    sqlite3_str_appendall(sql, row ? ",(" : "(");
    if (table == HG_TABLE_JOURNAL) sqlite3_str_appendf(sql, "'%s',", kind->info->name);
    for (uint32_t i = 0; i < columns; i++)
      sqlite3_str_appendall(sql, i ? ",?" : "?");
    sqlite3_str_appendchar(sql, 1, ')');
  }
  char *text = sqlite3_str_finish(sql);
  if (!text) return hg_fail(why, HG_ERR_NO_MEMORY, "not enough memory for a statement of the ledger");
  const hg_err err = hg_sql_prepare(db, text, out, why);
  sqlite3_free(text);
  return err;
}

static bool says_anything(const struct hg_ledger_part *part, uint32_t from, const struct hg_message *event) {
  for (uint32_t i = from; i < part->count; i++)
    if (!is_null(&part->columns[i], number_of(&part->columns[i], event))) return true;
  return false;
}

// Writes what a table holds of these events with one statement.
static hg_err write_rows(struct hg_ledger *ledger, enum hg_ledger_table table, const struct hg_message *const *events,
                         uint32_t count, hg_error *why) {
  struct hg_ledger_kind *kind = hg_journal_kind(ledger, events[0]->kind);
  struct hg_ledger_part *part = &kind->parts[table];
  bool tail = false;
  for (uint32_t row = 0; !tail && row < count; row++)
    tail = says_anything(part, part->short_count, events[row]);
  const uint32_t columns = tail ? part->count : part->short_count;
  sqlite3_stmt **insert = &part->insert[tail][count > 1];
  if (!*insert) {
    const hg_err err = prepare_insert(ledger->db, kind, table, columns, count, insert, why);
    if (err != HG_OK) return err;
  }
  int at = 0;
  for (uint32_t row = 0; row < count; row++)
    for (uint32_t i = 0; i < columns; i++) {
      const int code = bind_value(ledger, *insert, ++at, &part->columns[i], events[row]);
      if (code == SQLITE_TOOBIG)
        return hg_ledger_contradiction(why, events[row], "has a number over 2^63 - 1 or a text without end");
      if (code != SQLITE_OK) return hg_sql_fail(ledger->db, why, "bind a row of the journal");
    }
  return hg_sql_finish(ledger->db, *insert, "write to the journal", why);
}

// One statement when the run is full, else one a row.
static hg_err write_run(struct hg_ledger *ledger, enum hg_ledger_table table, const struct hg_message *const *events,
                        uint32_t count, hg_error *why) {
  if (count == HG_LEDGER_RUN) return write_rows(ledger, table, events, count, why);
  hg_err err = HG_OK;
  for (uint32_t i = 0; err == HG_OK && i < count; i++)
    err = write_rows(ledger, table, &events[i], 1, why);
  return err;
}

hg_err hg_journal_flush(struct hg_ledger *ledger, hg_error *why) {
  const struct hg_message *all[HG_LEDGER_RUN], *detailed[HG_LEDGER_RUN];
  uint32_t details = 0;
  for (uint32_t i = 0; i < ledger->run_count; i++) {
    all[i] = &ledger->run[i];
    const struct hg_ledger_part *part = &hg_journal_kind(ledger, all[i]->kind)->parts[HG_TABLE_DETAIL];
    if (says_anything(part, 1, all[i])) detailed[details++] = all[i]; // seq alone is nothing
  }
  hg_err err = write_run(ledger, HG_TABLE_JOURNAL, all, ledger->run_count, why);
  if (err == HG_OK) err = write_run(ledger, HG_TABLE_DETAIL, detailed, details, why);
  ledger->run_count = 0;
  return err;
}

struct hg_message *hg_journal_place(struct hg_ledger *ledger) {
  return &ledger->run[ledger->run_count];
}

hg_err hg_journal_add(struct hg_ledger *ledger, hg_error *why) {
  const struct hg_message *event = hg_journal_place(ledger);
  if (ledger->run_count > 0 && event->kind != ledger->run[0].kind) {
    const struct hg_message next = *event;
    const hg_err err = hg_journal_flush(ledger, why);
    if (err != HG_OK) return err;
    ledger->run[0] = next;
  }
  ledger->run_count++;
  return ledger->run_count == HG_LEDGER_RUN ? hg_journal_flush(ledger, why) : HG_OK;
}

void hg_journal_clear(struct hg_ledger *ledger) {
  for (unsigned i = 0; i < HG_EVENT_KINDS; i++)
    for (unsigned table = 0; table < HG_TABLES; table++)
      for (unsigned shape = 0; shape < 4; shape++)
        sqlite3_finalize(ledger->kinds[i].parts[table].insert[shape / 2][shape % 2]);
}
