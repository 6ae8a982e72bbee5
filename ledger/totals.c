// What an event does to budgets: totals along the tree, limits, latches; and which is the newest row of each topic. The
// figures change in memory, event by event, and are written once, at the end of the transaction.
#include "ledger/internal.h"

#include <assert.h>

#define BATCH_NOT_STORED "nothing of its batch was stored; this is a fault of Headgate, please report it"

hg_err hg_ledger_contradiction(hg_error *why, const struct hg_message *event, const char *what) {
  const struct hg_kind_info *info = hg_kind_info(event->kind);
  return hg_fail(why, HG_ERR_STORE, "event %llu (%s) %s: " BATCH_NOT_STORED, (unsigned long long)event->as.head.seq,
                 info ? info->name : "?", what);
}

static int64_t number_at(const struct hg_message *event, uint16_t offset) {
  return *(const int64_t *)(const void *)((const char *)event + offset);
}

static struct hg_ledger_total *touch(struct hg_ledger *ledger, uint32_t index, int64_t at) {
  struct hg_ledger_total *total = &ledger->totals[index];
  if (!total->touched) ledger->touched[ledger->touched_count++] = index;
  total->touched = true;
  total->changed_at = at;
  return total;
}

static bool add(int64_t *total, int64_t delta) {
  int64_t sum;
  if (__builtin_add_overflow(*total, delta, &sum) || sum < 0 || sum > HG_TOKEN_SUM_MAX) return false;
  *total = sum;
  return true;
}

static hg_err charge(struct hg_ledger *ledger, const struct hg_message *event, int64_t used_delta,
                     int64_t reserved_delta, hg_error *why) {
  for (uint32_t index = event->as.head.budget;;) {
    struct hg_ledger_total *total = touch(ledger, index, event->as.head.at);
    if (!add(&total->used, used_delta) || !add(&total->reserved, reserved_delta))
      return hg_ledger_contradiction(why, event, "takes a total out of the range 0 to 2^53 - 1");
    if (total->parent == index) return HG_OK;
    assert(total->parent < index);
    index = total->parent;
  }
}

// What an event sets rather than adds.
static hg_err set(struct hg_ledger *ledger, const struct hg_message *event, hg_error *why) {
  const uint32_t budget = event->as.head.budget;
  const int64_t at = event->as.head.at;
  if (event->kind == HG_LIMIT_CHANGED) {
    const struct hg_limit_changed_message *change = &event->as.limit_changed;
    if (change->hard_limit < 1) return hg_ledger_contradiction(why, event, "sets a limit below 1");
    struct hg_ledger_total *total = touch(ledger, budget, at);
    total->hard_limit = change->hard_limit;
    if (hg_text_equal(change->reason, hg_text_of("configuration"))) total->configured_limit = change->hard_limit;
  } else if (event->kind == HG_CONCURRENCY_THROTTLED || event->kind == HG_CONCURRENCY_RESTORED) {
    touch(ledger, budget, at)->throttled = event->kind == HG_CONCURRENCY_THROTTLED;
  }
  return HG_OK;
}

static hg_err take_number(struct hg_ledger *ledger, const struct hg_message *event, hg_error *why) {
  const struct hg_event_head *head = &event->as.head;
  const unsigned topic = (unsigned)event->kind - HG_EVENT_FIRST;
  if (head->seq != ledger->last_seq + 1)
    return hg_ledger_contradiction(why, event, "does not follow the newest stored row");
  if (head->prev != ledger->topic_last[topic])
    return hg_ledger_contradiction(why, event, "does not name the newest row of its topic");
  if (head->budget >= ledger->budget_count) return hg_ledger_contradiction(why, event, "names no budget");
  ledger->last_seq = ledger->topic_last[topic] = head->seq;
  ledger->topic_touched[topic] = true;
  return HG_OK;
}

hg_err hg_totals_apply(struct hg_ledger *ledger, const struct hg_message *event, hg_error *why) {
  const struct hg_ledger_kind *kind = hg_journal_kind(ledger, event->kind);
  if (!kind) return hg_ledger_contradiction(why, event, "is of a kind that has no place in the journal");
  hg_err err = take_number(ledger, event, why);
  if (err == HG_OK && kind->used_delta)
    err = charge(ledger, event, number_at(event, kind->used_delta), number_at(event, kind->reserved_delta), why);
  if (err == HG_OK) err = set(ledger, event, why);
  if (err != HG_OK || !kind->used) return err;
  const struct hg_ledger_total *total = &ledger->totals[event->as.head.budget];
  if (number_at(event, kind->used) != total->used || number_at(event, kind->reserved) != total->reserved)
    return hg_ledger_contradiction(why, event, "tells other totals than the ledger has");
  return HG_OK;
}

static hg_err save_budget(struct hg_ledger *ledger, const struct hg_ledger_total *total, hg_error *why) {
  sqlite3_stmt *save = ledger->statements[HG_SQL_SAVE_BUDGET];
  char moment[HG_LEDGER_TIME_TEXT];
  hg_ledger_time_text(total->changed_at, moment);
  sqlite3_bind_int64(save, 1, total->used);
  sqlite3_bind_int64(save, 2, total->reserved);
  sqlite3_bind_int64(save, 3, total->hard_limit);
  sqlite3_bind_int64(save, 4, total->configured_limit);
  sqlite3_bind_int(save, 5, total->throttled);
  sqlite3_bind_text(save, 6, moment, -1, SQLITE_STATIC);
  sqlite3_bind_text(save, 7, total->name, (int)total->name_size, SQLITE_STATIC);
  const hg_err err = hg_sql_finish(ledger->db, save, "write a budget's totals", why);
  if (err == HG_OK && sqlite3_changes(ledger->db) != 1)
    return hg_fail(why, HG_ERR_STORE, "budget \"%s\" is no longer in the ledger: " BATCH_NOT_STORED, total->name);
  return err;
}

static hg_err save_topic(struct hg_ledger *ledger, unsigned topic, hg_error *why) {
  sqlite3_stmt *save = ledger->statements[HG_SQL_SAVE_TOPIC];
  sqlite3_bind_text(save, 1, ledger->kinds[topic].info->name, -1, SQLITE_STATIC);
  sqlite3_bind_int64(save, 2, (int64_t)ledger->topic_last[topic]);
  return hg_sql_finish(ledger->db, save, "write a topic's newest row", why);
}

hg_err hg_totals_save(struct hg_ledger *ledger, hg_error *why) {
  hg_err err = HG_OK;
  for (uint32_t i = 0; err == HG_OK && i < ledger->touched_count; i++)
    err = save_budget(ledger, &ledger->totals[ledger->touched[i]], why);
  for (unsigned topic = 0; err == HG_OK && topic < HG_EVENT_KINDS; topic++)
    if (ledger->topic_touched[topic]) err = save_topic(ledger, topic, why);
  return err;
}

void hg_totals_forget(struct hg_ledger *ledger) {
  for (uint32_t i = 0; i < ledger->touched_count; i++)
    ledger->totals[ledger->touched[i]].touched = false;
  ledger->touched_count = 0;
  for (unsigned topic = 0; topic < HG_EVENT_KINDS; topic++)
    ledger->topic_touched[topic] = false;
}
