// One row of the journal for each event, written from the descriptors of its fields: a new event needs a column here
// only when it has a field that no other event has. Rows of the same shape that follow one another share a statement,
// because that is where SQLite is fast.
#include "ledger/internal.h"

#include <stddef.h>
#include <string.h>

#define HEAD_COLUMNS 4 // seq, at, prev, budget; the event's name is part of the statement

static const void *value_of(const struct hg_field *field, const struct hg_message *event) {
  return (const char *)event + field->offset;
}

// Numbers of which most rows say nothing, by a 0.
static bool zero_says_nothing(const struct hg_field *field) {
  return strcmp(field->name, "attempt") == 0 || strcmp(field->name, "from_parent") == 0 ||
         strcmp(field->name, "to_parent") == 0;
}

// A column that says nothing is NULL: a text or id that is not there, a figure that is not known.
static bool may_be_null(const struct hg_field *field) {
  return field->type == HG_FIELD_text || field->type == HG_FIELD_opt || field->type == HG_FIELD_source ||
         field->type == HG_FIELD_id || zero_says_nothing(field);
}

static bool is_null(const struct hg_field *field, const struct hg_message *event) {
  const void *value = value_of(field, event);
  switch (field->type) {
  case HG_FIELD_text: return ((const struct hg_text *)value)->size == 0;
  case HG_FIELD_opt: return *(const int64_t *)value == HG_UNKNOWN;
  case HG_FIELD_source: return *(const uint32_t *)value == HG_SOURCE_EXACT;
  case HG_FIELD_id: return *(const uint64_t *)value == 0;
  case HG_FIELD_u32: return *(const uint32_t *)value == 0 && zero_says_nothing(field);
  case HG_FIELD_tokens: return *(const int64_t *)value == 0 && zero_says_nothing(field);
  case HG_FIELD_flag:
  case HG_FIELD_u64:
  case HG_FIELD_num:
  case HG_FIELD_percent:
  case HG_FIELD_time:
  case HG_FIELD_budget:
  case HG_FIELD_bytes: return false;
  }
  return false;
}

static int bind_value(sqlite3_stmt *statement, int column, const struct hg_field *field,
                      const struct hg_message *event) {
  if (is_null(field, event)) return sqlite3_bind_null(statement, column);
  const void *value = value_of(field, event);
  switch (field->type) {
  case HG_FIELD_flag: return sqlite3_bind_int(statement, column, *(const bool *)value);
  case HG_FIELD_u32:
  case HG_FIELD_percent:
  case HG_FIELD_budget: return sqlite3_bind_int64(statement, column, *(const uint32_t *)value);
  case HG_FIELD_u64:
  case HG_FIELD_id: {
    const uint64_t number = *(const uint64_t *)value;
    return number > INT64_MAX ? SQLITE_TOOBIG : sqlite3_bind_int64(statement, column, (int64_t)number);
  }
  case HG_FIELD_num:
  case HG_FIELD_tokens:
  case HG_FIELD_opt:
  case HG_FIELD_time: return sqlite3_bind_int64(statement, column, *(const int64_t *)value);
  case HG_FIELD_source:
    return sqlite3_bind_text(statement, column, hg_source_name(*(const uint32_t *)value), -1, SQLITE_STATIC);
  case HG_FIELD_text: {
    const struct hg_text *text = value;
    return sqlite3_bind_text(statement, column, text->data, (int)text->size, SQLITE_STATIC);
  }
  case HG_FIELD_bytes: {
    const struct hg_bytes *bytes = value;
    return sqlite3_bind_blob(statement, column, bytes->data, (int)bytes->size, SQLITE_STATIC);
  }
  }
  return SQLITE_MISUSE;
}

static uint16_t offset_of(const struct hg_kind_info *info, const char *name) {
  for (uint32_t i = 0; i < info->field_count; i++)
    if (strcmp(info->fields[i].name, name) == 0) return info->fields[i].offset;
  return 0;
}

void hg_journal_init(struct hg_ledger *ledger) {
  for (unsigned i = 0; i < HG_EVENT_KINDS; i++) {
    struct hg_ledger_kind *kind = &ledger->kinds[i];
    const struct hg_kind_info *info = hg_kind_info(HG_EVENT_FIRST + i);
    if (!info || info->kind == HG_HEARTBEAT) continue;
    kind->info = info;
    kind->short_count = info->field_count;
    while (kind->short_count > 0 && may_be_null(&info->fields[kind->short_count - 1]))
      kind->short_count--;
    kind->used_delta = offset_of(info, "used_delta");
    kind->reserved_delta = offset_of(info, "reserved_delta");
    kind->used = offset_of(info, "used");
    kind->reserved = offset_of(info, "reserved");
    kind->permit = offset_of(info, "permit");
    kind->usage_id = offset_of(info, "usage_id");
    kind->reporter = offset_of(info, "reporter");
    kind->number = offset_of(info, "number");
  }
}

struct hg_ledger_kind *hg_journal_kind(struct hg_ledger *ledger, enum hg_kind kind) {
  const unsigned index = (unsigned)kind - HG_EVENT_FIRST;
  return index < HG_EVENT_KINDS && ledger->kinds[index].info ? &ledger->kinds[index] : NULL;
}

static hg_err prepare_insert(sqlite3 *db, const struct hg_kind_info *info, uint32_t fields, uint32_t rows,
                             sqlite3_stmt **out, hg_error *why) {
  sqlite3_str *sql = sqlite3_str_new(db);
  sqlite3_str_appendall(sql, "INSERT INTO journal(event, seq, at, prev, budget");
  for (uint32_t i = 0; i < fields; i++)
    sqlite3_str_appendf(sql, ", %s", info->fields[i].name);
  sqlite3_str_appendall(sql, ") VALUES ");
  for (uint32_t row = 0; row < rows; row++) {
    sqlite3_str_appendf(sql, "%s('%s'", row ? "," : "", info->name);
    for (uint32_t i = 0; i < HEAD_COLUMNS + fields; i++)
      sqlite3_str_appendall(sql, ",?");
    sqlite3_str_appendchar(sql, 1, ')');
  }
  char *text = sqlite3_str_finish(sql);
  if (!text) return hg_fail(why, HG_ERR_NO_MEMORY, "not enough memory for a statement of the ledger");
  const hg_err err = hg_sql_prepare(db, text, out, why);
  sqlite3_free(text);
  return err;
}

static int bind_row(const struct hg_ledger *ledger, sqlite3_stmt *statement, int first, const struct hg_kind_info *info,
                    uint32_t fields, const struct hg_message *event) {
  const struct hg_event_head *head = &event->as.head;
  const struct hg_ledger_total *budget = &ledger->totals[head->budget];
  int code = sqlite3_bind_int64(statement, first, (int64_t)head->seq);
  if (code == SQLITE_OK) code = sqlite3_bind_int64(statement, first + 1, head->at);
  if (code == SQLITE_OK) code = sqlite3_bind_int64(statement, first + 2, (int64_t)head->prev);
  if (code == SQLITE_OK)
    code = sqlite3_bind_text(statement, first + 3, budget->name, (int)budget->name_size, SQLITE_STATIC);
  for (uint32_t i = 0; code == SQLITE_OK && i < fields; i++)
    code = bind_value(statement, first + HEAD_COLUMNS + (int)i, &info->fields[i], event);
  return code;
}

// Writes `count` rows of the run with one statement.
static hg_err write_rows(struct hg_ledger *ledger, uint32_t first, uint32_t count, hg_error *why) {
  struct hg_ledger_kind *kind = hg_journal_kind(ledger, ledger->run[first].kind);
  const uint32_t fields = ledger->run_long ? kind->info->field_count : kind->short_count;
  sqlite3_stmt **insert = &kind->insert[ledger->run_long][count > 1];
  if (!*insert) {
    const hg_err err = prepare_insert(ledger->db, kind->info, fields, count, insert, why);
    if (err != HG_OK) return err;
  }
  for (uint32_t row = 0; row < count; row++) {
    const struct hg_message *event = &ledger->run[first + row];
    const int code = bind_row(ledger, *insert, (int)(row * (HEAD_COLUMNS + fields)) + 1, kind->info, fields, event);
    if (code == SQLITE_TOOBIG)
      return hg_ledger_contradiction(why, event, "has a number over 2^63 - 1 or a text without end");
    if (code != SQLITE_OK) return hg_sql_fail(ledger->db, why, "bind a row of the journal");
  }
  return hg_sql_finish(ledger->db, *insert, "write to the journal", why);
}

hg_err hg_journal_flush(struct hg_ledger *ledger, hg_error *why) {
  hg_err err = HG_OK;
  if (ledger->run_count == HG_LEDGER_RUN) err = write_rows(ledger, 0, HG_LEDGER_RUN, why);
  else
    for (uint32_t i = 0; err == HG_OK && i < ledger->run_count; i++)
      err = write_rows(ledger, i, 1, why);
  ledger->run_count = 0;
  return err;
}

struct hg_message *hg_journal_place(struct hg_ledger *ledger) {
  return &ledger->run[ledger->run_count];
}

static bool has_tail(const struct hg_ledger_kind *kind, const struct hg_message *event) {
  for (uint32_t i = kind->short_count; i < kind->info->field_count; i++)
    if (!is_null(&kind->info->fields[i], event)) return true;
  return false;
}

hg_err hg_journal_add(struct hg_ledger *ledger, hg_error *why) {
  const struct hg_message *event = hg_journal_place(ledger);
  const bool is_long = has_tail(hg_journal_kind(ledger, event->kind), event);
  if (ledger->run_count > 0 && (event->kind != ledger->run[0].kind || is_long != ledger->run_long)) {
    const struct hg_message next = *event;
    const hg_err err = hg_journal_flush(ledger, why);
    if (err != HG_OK) return err;
    ledger->run[0] = next;
  }
  ledger->run_long = is_long;
  ledger->run_count++;
  return ledger->run_count == HG_LEDGER_RUN ? hg_journal_flush(ledger, why) : HG_OK;
}

void hg_journal_clear(struct hg_ledger *ledger) {
  for (unsigned i = 0; i < HG_EVENT_KINDS; i++)
    for (unsigned shape = 0; shape < 4; shape++)
      sqlite3_finalize(ledger->kinds[i].insert[shape / 2][shape % 2]);
}
