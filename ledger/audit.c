// The audit in portions: what is stored is remembered as it stands when the audit begins, the journal is read up to
// that moment, and the sums are compared. Rows are never changed, so it makes no difference what is written meanwhile.
#include "ledger/audit_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *hg_audit_check_name(enum hg_audit_check check) {
  static const char *const names[HG_AUDIT_CHECKS] = {
      [HG_AUDIT_USED] = "used",     [HG_AUDIT_RESERVED] = "reserved", [HG_AUDIT_HELD] = "open_permits",
      [HG_AUDIT_PERMIT] = "permit", [HG_AUDIT_SEQUENCE] = "sequence", [HG_AUDIT_CHAIN] = "prev",
      [HG_AUDIT_TOPIC] = "topic",   [HG_AUDIT_LATCH] = "throttled",   [HG_AUDIT_BUDGET] = "budget",
      [HG_AUDIT_DETAIL] = "detail"};
  return names[check];
}

void hg_audit_differ(struct hg_audit *audit, enum hg_audit_check check, const char *subject, uint64_t permit,
                     int64_t seq, int64_t stored, int64_t summed, const char *format, ...) {
  struct hg_audit_report *report = &audit->report;
  report->differences++;
  // So that many of one kind do not crowd out the others.
  if (audit->listed_of[check] == HG_AUDIT_LISTED_MAX / HG_AUDIT_CHECKS) return;
  audit->listed_of[check]++;
  struct hg_audit_difference *found = &report->list[report->listed++];
  *found = (struct hg_audit_difference){
      .permit = permit, .seq = seq > 0 ? (uint64_t)seq : 0, .stored = stored, .summed = summed};
  snprintf(found->check, sizeof found->check, "%s", hg_audit_check_name(check));
  hg_text_copy(found->subject, sizeof found->subject, hg_text_of(subject));
  va_list arguments;
  va_start(arguments, format);
  char text[2 * HG_AUDIT_TEXT_MAX];
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  hg_text_copy(found->text, sizeof found->text, hg_text_of(text));
  hg_text_clean(found->subject); // a damaged file may say anything
  hg_text_clean(found->text);
}

// ------------------------------------------------------------------------------------------------ budgets

static int compare_budget(const void *name, const void *budget) {
  return strcmp(name, ((const struct hg_audit_budget *)budget)->name);
}

struct hg_audit_budget *hg_audit_find_budget(struct hg_audit *audit, const char *name) {
  struct hg_audit_budget *newest = &audit->budgets[audit->newest_budget];
  if (audit->budget_count && strcmp(newest->name, name) == 0) return newest;
  struct hg_audit_budget *found =
      bsearch(name, audit->budgets, audit->budget_count, sizeof *audit->budgets, compare_budget);
  if (found) audit->newest_budget = (uint32_t)(found - audit->budgets);
  return found;
}

// Adds up along the tree what each budget has itself. A wrap-around is a difference too.
static void sum_up(struct hg_audit *audit) {
  for (uint32_t i = 0; i < audit->budget_count; i++) {
    const struct hg_audit_budget *own = &audit->budgets[i];
    uint32_t at = i;
    for (unsigned depth = 0; depth < HG_BUDGET_DEPTH_MAX; depth++) {
      struct hg_audit_budget *on_path = &audit->budgets[at];
      (void)__builtin_add_overflow(on_path->sum_used, own->own_used, &on_path->sum_used);
      (void)__builtin_add_overflow(on_path->sum_reserved, own->own_reserved, &on_path->sum_reserved);
      (void)__builtin_add_overflow(on_path->sum_held, own->own_held, &on_path->sum_held);
      if (on_path->parent == at) break;
      at = on_path->parent;
    }
  }
}

struct hg_audit_amount hg_audit_amount(const struct hg_audit *audit, int64_t amount) {
  struct hg_audit_amount shown;
  if (audit->unit == HG_UNIT_NANODOLLARS) hg_money_print(amount, shown.text);
  else snprintf(shown.text, sizeof shown.text, "%lld", (long long)amount);
  return shown;
}

static void compare_sum(struct hg_audit *audit, enum hg_audit_check check, const struct hg_audit_budget *budget,
                        int64_t stored, int64_t summed, const char *what) {
  int64_t difference;
  if (stored == summed) return;
  (void)__builtin_sub_overflow(stored, summed, &difference);
  hg_audit_differ(audit, check, budget->name, 0, 0, stored, summed,
                  "budget \"%s\": %s is stored as %s, %s is the sum, the difference is %s", budget->name, what,
                  hg_audit_amount(audit, stored).text, hg_audit_amount(audit, summed).text,
                  hg_audit_amount(audit, difference).text);
}

static void compare_latch(struct hg_audit *audit, const struct hg_audit_budget *budget) {
  // What the folded rows said last is not known.
  if (audit->folded > 0 && budget->latch_seq <= audit->folded) return;
  if (budget->throttled == budget->closed) return;
  hg_audit_differ(audit, HG_AUDIT_LATCH, budget->name, 0, budget->latch_seq, budget->throttled, budget->closed,
                  "budget \"%s\": the throttle is stored as %s, and the journal leaves it %s", budget->name,
                  budget->throttled ? "closed" : "open", budget->closed ? "closed" : "open");
}

static void compare_budgets(struct hg_audit *audit) {
  sum_up(audit);
  for (uint32_t i = 0; i < audit->budget_count; i++) {
    const struct hg_audit_budget *budget = &audit->budgets[i];
    compare_sum(audit, HG_AUDIT_USED, budget, budget->used, budget->sum_used, "used");
    compare_sum(audit, HG_AUDIT_RESERVED, budget, budget->reserved, budget->sum_reserved, "reserved");
    compare_sum(audit, HG_AUDIT_HELD, budget, budget->reserved, budget->sum_held, "reserved, by its open permits,");
    compare_latch(audit, budget);
  }
  const struct hg_audit_stray *stray = &audit->stray;
  if (stray->used != 0 || stray->reserved != 0)
    hg_audit_differ(audit, HG_AUDIT_BUDGET, stray->name, 0, stray->seq, 0, stray->used,
                    "budget \"%s\" is not in the ledger, and its rows add up to %s used and %s reserved", stray->name,
                    hg_audit_amount(audit, stray->used).text, hg_audit_amount(audit, stray->reserved).text);
}

static void compare_topics(struct hg_audit *audit) {
  for (unsigned i = 0; i < HG_EVENT_KINDS; i++) {
    const int64_t stored = audit->topic_stored[i], seen = audit->topic_seen[i];
    const bool may_be_folded = seen <= audit->folded && stored >= seen && stored <= audit->folded;
    if (stored == seen || may_be_folded) continue;
    const char *name = hg_kind_info(HG_EVENT_FIRST + i)->name;
    hg_audit_differ(audit, HG_AUDIT_TOPIC, name, 0, seen, stored, seen,
                    "topic %s: its newest row is stored as %lld, and the journal has %lld", name, (long long)stored,
                    (long long)seen);
  }
  const int64_t last = audit->at > audit->folded ? audit->at : audit->folded;
  if (last < audit->newest)
    hg_audit_differ(audit, HG_AUDIT_SEQUENCE, "", 0, audit->newest, audit->newest, last,
                    "the newest row should be %lld, and the journal ends with %lld", (long long)audit->newest,
                    (long long)last);
}

// ------------------------------------------------------------------------------------------------ beginning

// Steps through a query, a row at a time.
static hg_err for_each(struct hg_audit *audit, const char *sql, hg_err (*take)(struct hg_audit *, sqlite3_stmt *),
                       hg_error *why) {
  sqlite3_stmt *all = NULL;
  hg_err err = hg_sql_prepare(audit->db, sql, &all, why);
  int code = SQLITE_DONE;
  while (err == HG_OK && (code = sqlite3_step(all)) == SQLITE_ROW)
    if ((err = take(audit, all)) != HG_OK) hg_fail(why, err, "not enough memory for an audit");
  if (err == HG_OK && code != SQLITE_DONE) err = hg_sql_fail(audit->db, why, "read what is to be audited");
  sqlite3_finalize(all);
  return err;
}

static hg_err take_budget(struct hg_audit *audit, sqlite3_stmt *row) {
  if ((audit->budget_count & (audit->budget_count - 1)) == 0) {
    const size_t capacity = audit->budget_count ? 2 * (size_t)audit->budget_count : 1;
    struct hg_audit_budget *larger = realloc(audit->budgets, capacity * sizeof *larger);
    if (!larger) return HG_ERR_NO_MEMORY;
    audit->budgets = larger;
  }
  struct hg_audit_budget *budget = &audit->budgets[audit->budget_count];
  *budget = (struct hg_audit_budget){.parent = audit->budget_count++,
                                     .used = sqlite3_column_int64(row, 1),
                                     .reserved = sqlite3_column_int64(row, 2),
                                     .throttled = sqlite3_column_int(row, 3) != 0};
  hg_sql_column(row, 0, budget->name, sizeof budget->name);
  return HG_OK;
}

static hg_err take_parent(struct hg_audit *audit, sqlite3_stmt *row) {
  char name[HG_BUDGET_NAME_MAX + 1];
  hg_sql_column(row, 0, name, sizeof name);
  struct hg_audit_budget *budget = hg_audit_find_budget(audit, name);
  hg_sql_column(row, 1, name, sizeof name);
  const struct hg_audit_budget *parent = hg_audit_find_budget(audit, name);
  if (budget && parent) budget->parent = (uint32_t)(parent - audit->budgets);
  return HG_OK;
}

static hg_err take_fold(struct hg_audit *audit, sqlite3_stmt *row) {
  char name[HG_BUDGET_NAME_MAX + 1];
  hg_sql_column(row, 0, name, sizeof name);
  struct hg_audit_budget *budget = hg_audit_find_budget(audit, name);
  const int64_t used = sqlite3_column_int64(row, 1), reserved = sqlite3_column_int64(row, 2);
  const int64_t upto = sqlite3_column_int64(row, 3);
  if (upto > audit->folded) audit->folded = upto;
  if (!budget) memcpy(audit->stray.name, name, sizeof name);
  int64_t *own_used = budget ? &budget->own_used : &audit->stray.used;
  int64_t *own_reserved = budget ? &budget->own_reserved : &audit->stray.reserved;
  (void)__builtin_add_overflow(*own_used, used, own_used);
  (void)__builtin_add_overflow(*own_reserved, reserved, own_reserved);
  return HG_OK;
}

static hg_err take_topic(struct hg_audit *audit, sqlite3_stmt *row) {
  char name[64];
  hg_sql_column(row, 0, name, sizeof name);
  const struct hg_kind_info *info = hg_kind_by_name(hg_text_of(name));
  if (info && info->is_event) audit->topic_stored[info->kind - HG_EVENT_FIRST] = sqlite3_column_int64(row, 1);
  return HG_OK;
}

// The open ones only, as an opening reads them.
static hg_err take_held(struct hg_audit *audit, sqlite3_stmt *row) {
  char name[HG_BUDGET_NAME_MAX + 1];
  hg_sql_column(row, 0, name, sizeof name);
  struct hg_audit_budget *budget = hg_audit_find_budget(audit, name);
  if (budget) (void)__builtin_add_overflow(budget->own_held, sqlite3_column_int64(row, 1), &budget->own_held);
  return HG_OK;
}

static hg_err remember(struct hg_audit *audit, hg_error *why) {
  hg_err err = hg_sql_number(audit->db, HG_SQL_NEWEST_SEQ, &audit->newest, why);
  if (err == HG_OK) err = hg_sql_number(audit->db, "SELECT max(seq) FROM journal_detail", &audit->newest_detail, why);
  if (err == HG_OK)
    err = for_each(audit, "SELECT name, total_used, reserved, throttled FROM token_budget ORDER BY name", take_budget,
                   why);
  if (err == HG_OK)
    err = for_each(audit, "SELECT name, parent FROM token_budget WHERE parent IS NOT NULL", take_parent, why);
  if (err == HG_OK) err = for_each(audit, "SELECT budget, used, reserved, upto FROM fold", take_fold, why);
  if (err == HG_OK) err = for_each(audit, "SELECT name, last_seq FROM topic", take_topic, why);
  if (err == HG_OK)
    err = for_each(audit,
                   "SELECT budget, tokens FROM reservation INDEXED BY reservation_unsettled WHERE " HG_SQL_UNSETTLED
                   " AND state <> 'orphaned'",
                   take_held, why);
  audit->report.seq = (uint64_t)audit->newest;
  return err;
}

static hg_err prepare(struct hg_audit *audit, hg_error *why) {
  hg_err err = hg_sql_prepare(audit->db,
                              "SELECT seq, event, prev, budget, permit, used_delta, reserved_delta, parent, "
                              "coalesce(from_parent, 0) - coalesce(to_parent, 0), policy IS 'keep' FROM event "
                              "WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
                              &audit->rows, why);
  if (err == HG_OK)
    err = hg_sql_prepare(audit->db,
                         "SELECT seq FROM journal_detail AS d WHERE seq > ?1 AND seq <= ?2 "
                         "AND NOT EXISTS (SELECT 1 FROM journal AS j WHERE j.seq = d.seq)",
                         &audit->details, why);
  if (err == HG_OK)
    err = hg_sql_prepare(audit->db, "SELECT seq, state, tokens, used, budget FROM reservation WHERE id = ?",
                         &audit->reservation, why);
  if (err == HG_OK)
    err = hg_sql_prepare(audit->db,
                         "SELECT r.id, r.seq, r.state, j.permit, j.parent FROM (SELECT id, seq, state FROM reservation "
                         "WHERE id > ?1 ORDER BY id LIMIT ?2) AS r LEFT JOIN journal AS j ON j.seq = r.seq",
                         &audit->reservations, why);
  return err;
}

hg_err hg_audit_begin(sqlite3 *db, struct hg_audit **out, hg_error *why) {
  struct hg_audit *audit = calloc(1, sizeof *audit);
  if (!audit) return hg_fail(why, HG_ERR_NO_MEMORY, "not enough memory for an audit");
  audit->db = db;
  audit->at = audit->reservation_at = INT64_MIN;
  hg_err err = hg_state_read_unit(db, &audit->unit, why);
  if (err == HG_OK) err = remember(audit, why);
  if (err == HG_OK) err = prepare(audit, why);
  if (err == HG_OK) *out = audit;
  else hg_audit_end(&audit);
  return err;
}

void hg_audit_end(struct hg_audit **audit) {
  if (!*audit) return;
  sqlite3_finalize((*audit)->rows);
  sqlite3_finalize((*audit)->details);
  sqlite3_finalize((*audit)->reservation);
  sqlite3_finalize((*audit)->reservations);
  hg_audit_forget_permits(*audit);
  free((*audit)->budgets);
  free(*audit);
  *audit = NULL;
}

// ------------------------------------------------------------------------------------------------ portions

hg_err hg_audit_go_on(struct hg_audit *audit, uint32_t rows, const struct hg_audit_report **report, hg_error *why) {
  bool done = false;
  hg_err err = HG_OK;
  assert(audit);
  *report = NULL;
  switch (audit->phase) {
  case HG_AUDITING_ROWS:
    err = hg_audit_read_rows(audit, rows, &done, why);
    if (err == HG_OK && done) {
      compare_budgets(audit);
      compare_topics(audit);
    }
    break;
  case HG_AUDITING_OPEN: err = hg_audit_compare_open(audit, rows, &done, why); break;
  case HG_AUDITING_RESERVATIONS: err = hg_audit_read_reservations(audit, rows, &done, why); break;
  case HG_AUDITING_DONE: break;
  }
  if (err == HG_OK && done) audit->phase++;
  if (err == HG_OK && audit->phase == HG_AUDITING_DONE) *report = &audit->report;
  return err;
}

hg_err hg_ledger_audit(struct hg_ledger *ledger, bool anew, uint32_t rows, struct hg_audit_report *out, bool *done,
                       hg_error *why) {
  const struct hg_audit_report *report = NULL;
  *done = false;
  if (anew) hg_audit_end(&ledger->audit);
  hg_err err = ledger->audit ? HG_OK : hg_audit_begin(ledger->db, &ledger->audit, why);
  if (err == HG_OK && !anew) err = hg_audit_go_on(ledger->audit, rows, &report, why);
  if (report) *out = *report;
  *done = report != NULL;
  if (*done || err != HG_OK) hg_audit_end(&ledger->audit);
  return err;
}
