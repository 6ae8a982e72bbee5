// What an event does to permits, and how one ended. A permit that is granted and ends in the same transaction is
// written once.
#include "ledger/internal.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64
#define NO_MEMORY_FOR_PERMITS "not enough memory for the permits of a batch"

// Neighbouring ids must not crowd: the multiplier spreads them over the high bits.
static uint32_t home(const struct hg_permit_changes *changes, uint64_t id) {
  return (uint32_t)((id * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (2 * changes->capacity - 1);
}

// The slot of this id, or the free one where it belongs. There is always a free one: at most half are taken.
static uint32_t find_slot(const struct hg_permit_changes *changes, uint64_t id) {
  uint32_t slot = home(changes, id);
  while (changes->slots[slot] != 0 && changes->list[changes->slots[slot] - 1].id != id)
    slot = (slot + 1) & (2 * changes->capacity - 1);
  return slot;
}

static bool grow(struct hg_permit_changes *changes) {
  const uint32_t capacity = changes->capacity ? 2 * changes->capacity : FIRST_CAPACITY;
  struct hg_permit_change *list = realloc(changes->list, capacity * sizeof *list);
  if (!list) return false;
  changes->list = list;
  uint32_t *slots = calloc(2 * (size_t)capacity, sizeof *slots);
  if (!slots) return false;
  free(changes->slots);
  changes->slots = slots;
  changes->capacity = capacity;
  for (uint32_t i = 0; i < changes->count; i++) {
    list[i].slot = find_slot(changes, list[i].id);
    slots[list[i].slot] = i + 1;
  }
  return true;
}

// The change of this permit, a blank one when it had none in this transaction. NULL: no memory.
static struct hg_permit_change *change_of(struct hg_permit_changes *changes, uint64_t id) {
  if (changes->count == changes->capacity && !grow(changes)) return NULL;
  const uint32_t slot = find_slot(changes, id);
  if (changes->slots[slot] != 0) return &changes->list[changes->slots[slot] - 1];
  struct hg_permit_change *change = &changes->list[changes->count++];
  changes->slots[slot] = changes->count;
  *change = (struct hg_permit_change){.id = id, .slot = slot};
  return change;
}

static const char *state_of_policy(struct hg_text policy) {
  if (hg_text_equal(policy, hg_text_of("keep"))) return "kept";
  const bool is_guessed = hg_text_equal(policy, hg_text_of("charge")) || hg_text_equal(policy, hg_text_of("release"));
  return is_guessed ? "orphaned" : NULL;
}

static hg_err open_reservation(struct hg_permit_change *change, const struct hg_message *event, hg_error *why) {
  const struct hg_tokens_reserved_message *grant = &event->as.tokens_reserved;
  if (change->state) return hg_ledger_contradiction(why, event, "grants a permit that exists");
  change->is_new = true;
  change->state = "open";
  change->budget = grant->head.budget;
  change->task_id = grant->task_id;
  change->tokens = grant->reserved_delta + grant->from_parent;
  change->attempt = grant->attempt;
  return HG_OK;
}

// Reserved tokens that an event moves between a permit and its parent.
struct move {
  uint64_t parent;
  int64_t to_child; // negative: to the parent
};

static struct move move_of(const struct hg_message *event) {
  if (event->kind == HG_TOKENS_RESERVED)
    return (struct move){event->as.tokens_reserved.parent, event->as.tokens_reserved.from_parent};
  if (event->kind == HG_TOKENS_SETTLED)
    return (struct move){event->as.tokens_settled.parent, -event->as.tokens_settled.to_parent};
  if (event->kind == HG_TOKENS_RELEASED)
    return (struct move){event->as.tokens_released.parent, -event->as.tokens_released.to_parent};
  return (struct move){event->as.reservation_orphaned.parent, -event->as.reservation_orphaned.to_parent};
}

static hg_err change_parent(struct hg_ledger *ledger, const struct hg_message *event, uint64_t child, hg_error *why) {
  const struct move move = move_of(event);
  if (move.to_child == 0) return HG_OK;
  if (move.parent == 0 || move.parent > INT64_MAX || move.parent == child)
    return hg_ledger_contradiction(why, event, "moves tokens from or to no parent");
  struct hg_permit_change *parent = change_of(&ledger->permits, move.parent);
  if (!parent) return hg_fail(why, HG_ERR_NO_MEMORY, NO_MEMORY_FOR_PERMITS);
  parent->seq = event->as.head.seq;
  if (__builtin_sub_overflow(parent->tokens, move.to_child, &parent->tokens))
    return hg_ledger_contradiction(why, event, "takes what a parent has reserved out of range");
  return HG_OK;
}

// How this event leaves its permit. NULL: it does nothing to permits.
static const char *next_state(const struct hg_message *event, int64_t *used_delta, bool *is_known) {
  *is_known = true;
  if (event->kind == HG_TOKENS_SETTLED) {
    *used_delta = event->as.tokens_settled.used_delta;
    return "settled";
  }
  if (event->kind == HG_TOKENS_RELEASED) {
    *used_delta = event->as.tokens_released.used_delta;
    return "released";
  }
  if (event->kind != HG_RESERVATION_ORPHANED) return NULL;
  *used_delta = event->as.reservation_orphaned.used_delta;
  const char *state = state_of_policy(event->as.reservation_orphaned.policy);
  *is_known = state != NULL;
  return state;
}

hg_err hg_reservations_apply(struct hg_ledger *ledger, const struct hg_message *event, hg_error *why) {
  int64_t used_delta = 0;
  bool is_known = true;
  const char *state = next_state(event, &used_delta, &is_known);
  if (!is_known) return hg_ledger_contradiction(why, event, "has a policy that is not charge, keep or release");
  if (!state && event->kind != HG_TOKENS_RESERVED) return HG_OK;
  const uint16_t offset = hg_journal_kind(ledger, event->kind)->permit;
  uint64_t id;
  memcpy(&id, (const char *)event + offset, sizeof id);
  if (id == 0 || id > INT64_MAX) return hg_ledger_contradiction(why, event, "has a permit id outside 1 to 2^63 - 1");
  const hg_err err = change_parent(ledger, event, id, why);
  if (err != HG_OK) return err;
  struct hg_permit_change *change = change_of(&ledger->permits, id);
  if (!change) return hg_fail(why, HG_ERR_NO_MEMORY, NO_MEMORY_FOR_PERMITS);
  change->seq = event->as.head.seq;
  if (!state) return open_reservation(change, event, why);
  change->state = state;
  if (__builtin_add_overflow(change->used, used_delta, &change->used))
    return hg_ledger_contradiction(why, event, "takes what a permit used out of range");
  return HG_OK;
}

static hg_err insert(struct hg_ledger *ledger, const struct hg_permit_change *change, hg_error *why) {
  sqlite3_stmt *statement = ledger->statements[HG_SQL_NEW_RESERVATION];
  const struct hg_ledger_total *budget = &ledger->totals[change->budget];
  sqlite3_bind_int64(statement, 1, (int64_t)change->id);
  sqlite3_bind_text(statement, 2, budget->name, (int)budget->name_size, SQLITE_STATIC);
  if (change->task_id.size)
    sqlite3_bind_text(statement, 3, change->task_id.data, (int)change->task_id.size, SQLITE_STATIC);
  else sqlite3_bind_null(statement, 3);
  sqlite3_bind_int64(statement, 4, change->tokens);
  sqlite3_bind_text(statement, 5, change->state, -1, SQLITE_STATIC);
  sqlite3_bind_int64(statement, 6, change->used);
  if (change->attempt) sqlite3_bind_int64(statement, 7, change->attempt);
  else sqlite3_bind_null(statement, 7);
  sqlite3_bind_int64(statement, 8, (int64_t)change->seq);
  return hg_sql_finish(ledger->db, statement, "write a reservation", why);
}

static hg_err update(struct hg_ledger *ledger, const struct hg_permit_change *change, hg_error *why) {
  sqlite3_stmt *statement = ledger->statements[HG_SQL_CHANGE_RESERVATION];
  sqlite3_bind_int64(statement, 1, (int64_t)change->id);
  sqlite3_bind_text(statement, 2, change->state, -1, SQLITE_STATIC);
  sqlite3_bind_int64(statement, 3, change->used);
  sqlite3_bind_int64(statement, 4, (int64_t)change->seq);
  sqlite3_bind_int64(statement, 5, change->tokens);
  const hg_err err = hg_sql_finish(ledger->db, statement, "write a reservation's change", why);
  if (err == HG_OK && sqlite3_changes(ledger->db) != 1)
    return hg_fail(
        why, HG_ERR_STORE,
        "event %llu changes permit %016llx, which the ledger does not know: nothing of its batch was stored; "
        "this is a fault of Headgate, please report it",
        (unsigned long long)change->seq, (unsigned long long)change->id);
  return err;
}

hg_err hg_reservations_save(struct hg_ledger *ledger, hg_error *why) {
  hg_err err = HG_OK;
  for (uint32_t i = 0; err == HG_OK && i < ledger->permits.count; i++) {
    const struct hg_permit_change *change = &ledger->permits.list[i];
    err = change->is_new ? insert(ledger, change, why) : update(ledger, change, why);
  }
  return err;
}

void hg_reservations_forget(struct hg_ledger *ledger) {
  struct hg_permit_changes *changes = &ledger->permits;
  for (uint32_t i = 0; i < changes->count; i++)
    changes->slots[changes->list[i].slot] = 0;
  changes->count = 0;
}

void hg_reservations_clear(struct hg_ledger *ledger) {
  free(ledger->permits.list);
  free(ledger->permits.slots);
  ledger->permits = (struct hg_permit_changes){0};
}

static enum hg_permit_end end_of(const char *state) {
  if (strcmp(state, "settled") == 0) return HG_PERMIT_SETTLED;
  return strcmp(state, "released") == 0 ? HG_PERMIT_RELEASED : (enum hg_permit_end)0;
}

hg_err hg_ledger_find_permit(struct hg_ledger *ledger, uint64_t permit, struct hg_ended_permit *out, hg_error *why) {
  *out = (struct hg_ended_permit){0};
  if (permit > INT64_MAX) return HG_OK;
  sqlite3_stmt *find = ledger->statements[HG_SQL_FIND_RESERVATION];
  sqlite3_bind_int64(find, 1, (int64_t)permit);
  const int code = sqlite3_step(find);
  hg_err err = HG_OK;
  if (code == SQLITE_ROW)
    *out = (struct hg_ended_permit){.end = end_of((const char *)sqlite3_column_text(find, 0)),
                                    .used = sqlite3_column_int64(find, 1),
                                    .reserved = sqlite3_column_int64(find, 2)};
  else if (code != SQLITE_DONE) err = hg_ledger_judge(ledger, hg_sql_fail(ledger->db, why, "look for a permit"), why);
  sqlite3_reset(find);
  return err;
}
