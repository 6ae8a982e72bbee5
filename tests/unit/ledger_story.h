// For the tests of the ledger: a ledger in a directory of its own, and a story, which builds valid sequences of events
// as the tracker would (numbers, totals along the tree) and encodes them as FACTS payloads.
#ifndef HG_LEDGER_STORY_H
#define HG_LEDGER_STORY_H

#include "support/test.h"

#include "bus/frames.h"
#include "ledger/internal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

// What a test rests on. Not CHECK: the killed children of the tests use these functions too, and may not talk to
// Criterion.
#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                  \
      abort();                                                                                                         \
    }                                                                                                                  \
  } while (0)

// Three budgets in a line: default, research below it, papers below research.
enum { DEFAULT, RESEARCH, PAPERS, BUDGETS };

struct bed {
  char directory[64], path[96];
  struct hg_budget_config budgets[BUDGETS];
  struct hg_config config;
  struct hg_places places;
};

static inline void bed_make(struct bed *bed) {
  const char *tmp = getenv("TMPDIR");
  *bed =
      (struct bed){.budgets = {{"default", 0, 1000000000}, {"research", 0, 50000000}, {"papers", RESEARCH, 9000000}}};
  snprintf(bed->directory, sizeof bed->directory, "%s/hg-ledger-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
  MUST(mkdtemp(bed->directory) != NULL);
  snprintf(bed->path, sizeof bed->path, "%s/ledger.db", bed->directory);
  bed->config.source = "test.json";
  bed->config.ledger_path = bed->path;
  bed->config.budgets = bed->budgets;
  bed->config.budget_count = BUDGETS;
  snprintf(bed->places.lock_file, sizeof bed->places.lock_file, "%s.lock", bed->path);
  snprintf(bed->places.directory, sizeof bed->places.directory, "%s.d", bed->path);
  snprintf(bed->places.events_endpoint, sizeof bed->places.events_endpoint, "ipc://%s.d/events.ipc", bed->path);
  snprintf(bed->places.control_endpoint, sizeof bed->places.control_endpoint, "ipc://%s.d/control.ipc", bed->path);
}

static inline void bed_remove(const struct bed *bed) {
  static const char *const ends[] = {"", "-wal", "-shm", "-journal", ".lock", ".copy", ".copy-wal", ".copy-shm"};
  char path[128];
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
    snprintf(path, sizeof path, "%s%s", bed->path, ends[i]);
    unlink(path);
  }
  rmdir(bed->places.directory);
  MUST(rmdir(bed->directory) == 0);
}

static inline struct hg_ledger *bed_open(const struct bed *bed, struct hg_ledger_state *state) {
  struct hg_ledger *ledger = NULL;
  hg_error why = HG_ERROR_INIT;
  const hg_err err = hg_ledger_open(&bed->config, &bed->places, &ledger, state, &why);
  if (err != HG_OK) fprintf(stderr, "%s\n", why.text);
  MUST(err == HG_OK);
  return ledger;
}

static inline sqlite3 *sql_open(const char *path) {
  sqlite3 *db = NULL;
  MUST(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK);
  return db;
}

static inline int64_t sql_in(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement = NULL;
  MUST(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK);
  MUST(sqlite3_step(statement) == SQLITE_ROW);
  const int64_t number = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  return number;
}

// The number that a query gives, over a connection of its own: what another program would see.
static inline int64_t sql_number(const char *path, const char *sql) {
  sqlite3 *db = sql_open(path);
  const int64_t number = sql_in(db, sql);
  sqlite3_close(db);
  return number;
}

struct story {
  uint64_t seq, topic_last[HG_EVENT_KINDS];
  int64_t used[BUDGETS], reserved[BUDGETS], limit[BUDGETS];
  uint8_t *bytes;
  size_t size, capacity;
};

static inline void story_begin(struct story *story, const struct hg_ledger_state *state) {
  *story = (struct story){.seq = state->last_seq};
  memcpy(story->topic_last, state->topic_last, sizeof story->topic_last);
  for (uint32_t i = 0; i < state->budget_count; i++) {
    story->used[i] = state->budgets[i].used;
    story->reserved[i] = state->budgets[i].reserved;
    story->limit[i] = state->budgets[i].hard_limit;
  }
}

static inline void story_end(struct story *story) {
  free(story->bytes);
}

static inline struct hg_message story_event(struct story *story, enum hg_kind kind, uint32_t budget) {
  struct hg_message event;
  hg_message_init(&event, kind);
  uint64_t *newest = &story->topic_last[(unsigned)kind - HG_EVENT_FIRST];
  event.as.head = (struct hg_event_head){++story->seq, *newest, 1763894400000000 + (int64_t)story->seq, budget};
  *newest = story->seq;
  return event;
}

static inline void story_put(struct story *story, const struct hg_message *event) {
  if (story->capacity - story->size < HG_EVENT_FRAME_MAX) {
    story->capacity = 2 * story->capacity + HG_FACTS_BYTES;
    story->bytes = realloc(story->bytes, story->capacity);
    MUST(story->bytes != NULL);
  }
  const size_t size = hg_frame_encode(event, story->bytes + story->size, story->capacity - story->size);
  MUST(size > 0);
  story->size += size;
}

static inline void story_charge(struct story *story, uint32_t budget, int64_t used, int64_t reserved) {
  for (;; budget = budget == PAPERS ? RESEARCH : DEFAULT) {
    story->used[budget] += used;
    story->reserved[budget] += reserved;
    if (budget == DEFAULT) return;
  }
}

// Charges the budget and fills in the figures of an event that has them all.
#define STORY_TOTALS(story_, message, added_used, added_reserved)                                                      \
  do {                                                                                                                 \
    const uint32_t budget_ = (message)->head.budget;                                                                   \
    story_charge((story_), budget_, (added_used), (added_reserved));                                                   \
    (message)->used_delta = (added_used);                                                                              \
    (message)->reserved_delta = (added_reserved);                                                                      \
    (message)->used = (story_)->used[budget_];                                                                         \
    (message)->reserved = (story_)->reserved[budget_];                                                                 \
    (message)->hard_limit = (story_)->limit[budget_];                                                                  \
  } while (0)

static inline void story_usage(struct story *story, uint32_t budget, int64_t tokens, const char *task, bool detailed) {
  struct hg_message event = story_event(story, HG_USAGE_RECORDED, budget);
  struct hg_usage_recorded_message *usage = &event.as.usage_recorded;
  usage->task_id = hg_text_of(task);
  STORY_TOTALS(story, usage, tokens, 0);
  if (detailed) {
    usage->model = hg_text_of("gpt-4o");
    usage->input_tokens = tokens / 2;
    usage->cached_tokens = 0;
    usage->output_tokens = tokens - tokens / 2;
    usage->source = HG_SOURCE_ESTIMATED;
    usage->attempt = 2;
  }
  story_put(story, &event);
}

static inline void story_reserve(struct story *story, uint64_t permit, uint32_t budget, int64_t tokens,
                                 const char *task) {
  struct hg_message event = story_event(story, HG_TOKENS_RESERVED, budget);
  struct hg_tokens_reserved_message *grant = &event.as.tokens_reserved;
  grant->permit = permit;
  grant->task_id = hg_text_of(task);
  grant->attempt = 1;
  STORY_TOTALS(story, grant, 0, tokens);
  story_put(story, &event);
}

// Late: the reservation was charged in full before.
static inline void story_settle(struct story *story, uint64_t permit, uint32_t budget, int64_t tokens, int64_t actual,
                                bool late) {
  struct hg_message event = story_event(story, HG_TOKENS_SETTLED, budget);
  struct hg_tokens_settled_message *end = &event.as.tokens_settled;
  end->permit = permit;
  end->late = late;
  end->input_tokens = actual;
  STORY_TOTALS(story, end, late ? actual - tokens : actual, late ? 0 : -tokens);
  story_put(story, &event);
}

static inline void story_release(struct story *story, uint64_t permit, uint32_t budget, int64_t tokens) {
  struct hg_message event = story_event(story, HG_TOKENS_RELEASED, budget);
  struct hg_tokens_released_message *end = &event.as.tokens_released;
  end->permit = permit;
  end->reason = hg_text_of("cancelled");
  STORY_TOTALS(story, end, 0, -tokens);
  story_put(story, &event);
}

static inline void story_orphan(struct story *story, uint64_t permit, uint32_t budget, int64_t tokens,
                                const char *policy) {
  struct hg_message event = story_event(story, HG_RESERVATION_ORPHANED, budget);
  struct hg_reservation_orphaned_message *orphan = &event.as.reservation_orphaned;
  orphan->permit = permit;
  orphan->policy = hg_text_of(policy);
  const bool charged = policy[0] == 'c', kept = policy[0] == 'k';
  STORY_TOTALS(story, orphan, charged ? tokens : 0, kept ? 0 : -tokens);
  story_put(story, &event);
}

// A reservation that comes out of that of a parent which is open and has as much.
static inline void story_lend(struct story *story, uint64_t child, uint64_t parent, uint32_t budget, int64_t tokens) {
  struct hg_message event = story_event(story, HG_TOKENS_RESERVED, budget);
  struct hg_tokens_reserved_message *grant = &event.as.tokens_reserved;
  grant->permit = child;
  grant->parent = parent;
  grant->from_parent = tokens;
  grant->attempt = 1;
  STORY_TOTALS(story, grant, 0, 0);
  story_put(story, &event);
}

// What the child did not use goes back to the parent, which is open still.
static inline void story_settle_lent(struct story *story, uint64_t child, uint64_t parent, uint32_t budget,
                                     int64_t tokens, int64_t used) {
  struct hg_message event = story_event(story, HG_TOKENS_SETTLED, budget);
  struct hg_tokens_settled_message *end = &event.as.tokens_settled;
  end->permit = child;
  end->to_parent = tokens - used;
  end->parent = parent;
  STORY_TOTALS(story, end, used, -used);
  story_put(story, &event);
}

static inline void story_release_lent(struct story *story, uint64_t child, uint64_t parent, uint32_t budget,
                                      int64_t tokens, bool orphan) {
  struct hg_message event = story_event(story, orphan ? HG_RESERVATION_ORPHANED : HG_TOKENS_RELEASED, budget);
  if (orphan) {
    struct hg_reservation_orphaned_message *end = &event.as.reservation_orphaned;
    end->permit = child;
    end->policy = hg_text_of("release");
    end->to_parent = tokens;
    end->parent = parent;
    STORY_TOTALS(story, end, 0, 0);
  } else {
    struct hg_tokens_released_message *end = &event.as.tokens_released;
    end->permit = child;
    end->to_parent = tokens;
    end->parent = parent;
    STORY_TOTALS(story, end, 0, 0);
  }
  story_put(story, &event);
}

static inline void story_limit(struct story *story, uint32_t budget, int64_t limit, const char *reason) {
  struct hg_message event = story_event(story, HG_LIMIT_CHANGED, budget);
  struct hg_limit_changed_message *change = &event.as.limit_changed;
  change->used = story->used[budget];
  change->reserved = story->reserved[budget];
  change->previous_limit = story->limit[budget];
  change->hard_limit = story->limit[budget] = limit;
  change->reason = hg_text_of(reason);
  story_put(story, &event);
}

static inline void story_throttle(struct story *story, uint32_t budget, bool closed) {
  struct hg_message event = story_event(story, closed ? HG_CONCURRENCY_THROTTLED : HG_CONCURRENCY_RESTORED, budget);
  // Both kinds have the same fields.
  struct hg_concurrency_throttled_message *crossing = &event.as.concurrency_throttled;
  crossing->from_count = closed ? 4 : 1;
  crossing->to_count = closed ? 1 : 4;
  crossing->usage_percent = closed ? 9050 : 8999;
  story_put(story, &event);
}

static inline hg_err story_try_write(struct story *story, struct hg_ledger *ledger, hg_error *why) {
  const struct hg_bytes payload = {story->bytes, (uint32_t)story->size};
  return hg_ledger_write(ledger, &payload, 1, why);
}

// Writes what was told since the last write.
static inline void story_write(struct story *story, struct hg_ledger *ledger) {
  hg_error why = HG_ERROR_INIT;
  const hg_err err = story_try_write(story, ledger, &why);
  if (err != HG_OK) fprintf(stderr, "%s\n", why.text);
  MUST(err == HG_OK);
  story->size = 0;
}

// The ledger of a bed, and a story that goes on from what it holds.
static inline struct hg_ledger *story_open(const struct bed *bed, struct story *story) {
  struct hg_ledger_state state;
  struct hg_ledger *ledger = bed_open(bed, &state);
  story_begin(story, &state);
  hg_ledger_state_clear(&state);
  return ledger;
}

static inline void story_close(const struct bed *bed, struct story *story, struct hg_ledger *ledger) {
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  story_end(story);
  bed_remove(bed);
}

// An audit in portions of so many rows finds nothing.
static inline void story_audit(struct hg_ledger *ledger, uint32_t rows) {
  static struct hg_audit_report report; // large
  hg_error why = HG_ERROR_INIT;
  bool done = false;
  for (bool anew = true; !done; anew = false)
    CHECK_EQ(hg_ledger_audit(ledger, anew, rows, &report, &done, &why), HG_OK);
  for (uint32_t i = 0; i < report.listed; i++)
    fprintf(stderr, "%s: %s\n", report.list[i].check, report.list[i].text);
  CHECK_EQ(report.differences, 0);
}

#endif
