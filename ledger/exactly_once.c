// What makes a command count once however often it is sent: the usage ids that callers bring, and the newest number of
// each reporter that has a lasting name. Both change in the transaction of the row that they belong to.
#include "ledger/internal.h"

#include "bus/frames.h"
#include "base/siphash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct hg_text text_at(const struct hg_message *event, uint16_t offset) {
  return offset ? *(const struct hg_text *)(const void *)((const char *)event + offset) : (struct hg_text){NULL, 0};
}

// ------------------------------------------------------------------------------------------------ usage ids

// What an event says, without when it was said, by whom, and what the totals were: its frame with all of that left out.
uint64_t hg_usage_content(const struct hg_message *event, struct hg_text budget) {
  static const struct hg_hash_key key = {UINT64_C(0x75736167652d6964), UINT64_C(0x636f6e74656e7421)};
  struct hg_message said = *event;
  said.as.head = (struct hg_event_head){0};
  if (event->kind == HG_USAGE_RECORDED) {
    struct hg_usage_recorded_message *recorded = &said.as.usage_recorded;
    recorded->used = recorded->reserved = recorded->hard_limit = 0;
    recorded->reporter = (struct hg_text){NULL, 0};
    recorded->number = HG_UNKNOWN;
  } else {
    assert(event->kind == HG_USAGE_CORRECTED);
    struct hg_usage_corrected_message *corrected = &said.as.usage_corrected;
    corrected->used = corrected->reserved = corrected->hard_limit = 0;
    corrected->reporter = (struct hg_text){NULL, 0};
    corrected->number = HG_UNKNOWN;
  }
  uint8_t bytes[HG_EVENT_FRAME_MAX + HG_BUDGET_NAME_MAX];
  const size_t size = hg_frame_encode(&said, bytes, HG_EVENT_FRAME_MAX);
  assert(size && budget.size <= HG_BUDGET_NAME_MAX);
  memcpy(bytes + size, budget.data, budget.size);
  return hg_siphash(key, bytes, size + budget.size);
}

static hg_err note_usage_id(struct hg_ledger *ledger, const struct hg_message *event, struct hg_text usage_id,
                            hg_error *why) {
  if (usage_id.size == 0) return HG_OK;
  const struct hg_ledger_total *budget = &ledger->totals[event->as.head.budget];
  sqlite3_stmt *insert = ledger->statements[HG_SQL_NEW_USAGE_ID];
  sqlite3_bind_text(insert, 1, usage_id.data, (int)usage_id.size, SQLITE_STATIC);
  sqlite3_bind_int64(insert, 2, (int64_t)event->as.head.seq);
  sqlite3_bind_int64(insert, 3, (int64_t)hg_usage_content(event, (struct hg_text){budget->name, budget->name_size}));
  const hg_err err = hg_sql_finish(ledger->db, insert, "write a usage id", why);
  if (err == HG_OK || (sqlite3_errcode(ledger->db) & 0xff) != SQLITE_CONSTRAINT) return err;
  return hg_ledger_contradiction(why, event, "has a usage id that was counted before");
}

hg_err hg_ledger_find_usage(struct hg_ledger *ledger, struct hg_text usage_id, uint64_t *seq, uint64_t *content,
                            hg_error *why) {
  sqlite3_stmt *find = ledger->statements[HG_SQL_FIND_USAGE_ID];
  sqlite3_bind_text(find, 1, usage_id.data, (int)usage_id.size, SQLITE_STATIC);
  const int code = sqlite3_step(find);
  hg_err err = HG_OK;
  *seq = *content = 0;
  if (code == SQLITE_ROW) {
    *seq = (uint64_t)sqlite3_column_int64(find, 0);
    *content = (uint64_t)sqlite3_column_int64(find, 1);
  } else if (code != SQLITE_DONE) {
    err = hg_ledger_judge(ledger, hg_sql_fail(ledger->db, why, "look for a usage id"), why);
  }
  sqlite3_reset(find);
  return err;
}

// ------------------------------------------------------------------------------------------------ reporters

static hg_err save_reporter(struct hg_ledger *ledger, const struct hg_reporter_change *change, hg_error *why) {
  sqlite3_stmt *save = ledger->statements[HG_SQL_SAVE_REPORTER];
  sqlite3_bind_text(save, 1, change->name.data, (int)change->name.size, SQLITE_STATIC);
  sqlite3_bind_int64(save, 2, change->number);
  return hg_sql_finish(ledger->db, save, "write a reporter's newest number", why);
}

hg_err hg_once_save(struct hg_ledger *ledger, hg_error *why) {
  hg_err err = HG_OK;
  for (uint32_t i = 0; err == HG_OK && i < ledger->reporter_count; i++)
    err = save_reporter(ledger, &ledger->reporters[i], why);
  ledger->reporter_count = 0;
  return err;
}

// Few reporters have rows in one transaction; when there are many, some are written more than once.
static hg_err note_number(struct hg_ledger *ledger, const struct hg_message *event, struct hg_text name, int64_t number,
                          hg_error *why) {
  if (name.size == 0) return HG_OK;
  if (number < 1) return hg_ledger_contradiction(why, event, "names a reporter but no number");
  uint32_t at = 0;
  while (at < ledger->reporter_count && !hg_text_equal(ledger->reporters[at].name, name))
    at++;
  if (at == HG_LEDGER_REPORTERS) {
    const hg_err err = hg_once_save(ledger, why);
    if (err != HG_OK) return err;
    at = 0;
  }
  if (at == ledger->reporter_count) ledger->reporter_count++;
  ledger->reporters[at] = (struct hg_reporter_change){name, number};
  return HG_OK;
}

hg_err hg_once_apply(struct hg_ledger *ledger, const struct hg_message *event, hg_error *why) {
  const struct hg_ledger_kind *kind = hg_journal_kind(ledger, event->kind);
  const hg_err err = note_usage_id(ledger, event, text_at(event, kind->usage_id), why);
  if (err != HG_OK || !kind->reporter) return err;
  int64_t number;
  memcpy(&number, (const char *)event + kind->number, sizeof number);
  return note_number(ledger, event, text_at(event, kind->reporter), number, why);
}

void hg_once_forget(struct hg_ledger *ledger) {
  ledger->reporter_count = 0;
}

hg_err hg_once_tell(struct hg_ledger *ledger, struct hg_ledger_state *out, hg_error *why) {
  sqlite3_stmt *all = NULL;
  hg_err err = hg_sql_prepare(ledger->db, "SELECT id, last_number FROM reporter", &all, why);
  size_t capacity = 0;
  int code = SQLITE_DONE;
  while (err == HG_OK && (code = sqlite3_step(all)) == SQLITE_ROW) {
    if (out->reporter_count == capacity) {
      capacity = capacity ? 2 * capacity : 16;
      struct hg_ledger_reporter *more = realloc(out->reporters, capacity * sizeof *more);
      if (!more) {
        err = hg_fail(why, HG_ERR_NO_MEMORY, "not enough memory for the reporters");
        break;
      }
      out->reporters = more;
    }
    struct hg_ledger_reporter *reporter = &out->reporters[out->reporter_count++];
    hg_sql_column(all, 0, reporter->name, sizeof reporter->name);
    reporter->last = (uint64_t)sqlite3_column_int64(all, 1);
  }
  if (err == HG_OK && code != SQLITE_DONE) err = hg_sql_fail(ledger->db, why, "read the reporters");
  sqlite3_finalize(all);
  return err;
}
