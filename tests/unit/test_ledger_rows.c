// The journal against its source: 100,000 random events are read back with plain SQL, column by column, and by a
// replay, frame by frame. labels: budget
#include "ledger_story.h"

#include <time.h>

struct permit {
  uint64_t id;
  uint32_t budget;
  int64_t tokens;
};

// One event that is true of the story, of any kind: those that change totals in their order, others with random
// content.
static void tell_something(struct story *story, uint64_t *seed, struct permit *open, unsigned *open_count) {
  const uint32_t budget = (uint32_t)hg_test_draw(seed, BUDGETS);
  const uint64_t choice = hg_test_draw(seed, 20);
  if (choice < 8) story_usage(story, budget, (int64_t)hg_test_draw(seed, 90), choice % 2 ? "task-7" : "", choice < 2);
  else if (choice < 12 && *open_count < 64) {
    open[*open_count] = (struct permit){(story->seq + 1) << 8, budget, 1 + (int64_t)hg_test_draw(seed, 400)};
    story_reserve(story, open[*open_count].id, budget, open[*open_count].tokens, "task-8");
    ++*open_count;
  } else if (choice < 16 && *open_count > 0) {
    const unsigned which = (unsigned)hg_test_draw(seed, *open_count);
    const struct permit permit = open[which];
    open[which] = open[--*open_count];
    if (choice == 12) story_release(story, permit.id, permit.budget, permit.tokens);
    else story_settle(story, permit.id, permit.budget, permit.tokens, (int64_t)hg_test_draw(seed, 500), false);
  } else if (choice == 16) story_throttle(story, budget, hg_test_draw(seed, 2) == 0);
  else {
    static const enum hg_kind others[] = {HG_CONCURRENCY_THROTTLED, HG_MAX_CONCURRENCY_CHANGED, HG_TASK_WAITING,
                                          HG_TASK_STARTED,          HG_TASK_FINISHED,           HG_TASK_FAILED,
                                          HG_STORE_DEGRADED,        HG_STORE_RECOVERED};
    char scratch[HG_EVENT_FRAME_MAX];
    struct hg_message event = story_event(story, others[hg_test_draw(seed, sizeof others / sizeof others[0])], budget);
    const struct hg_event_head head = event.as.head;
    hg_message_random(&event, event.kind, seed, scratch, sizeof scratch);
    event.as.head = head;
    if (event.kind == HG_STORE_RECOVERED) event.as.store_recovered.lasted_us >>= 1;
    if (event.kind == HG_TASK_STARTED) event.as.task_started.permit >>= 1;
    if (event.kind == HG_TASK_FINISHED) event.as.task_finished.permit >>= 1;
    if (event.kind == HG_TASK_FAILED) event.as.task_failed.permit >>= 1;
    story_put(story, &event);
  }
}

// Is the column what the field says? An empty text, an unknown figure, no id: NULL.
static bool column_equals(sqlite3_stmt *row, int column, const struct hg_field *field, const struct hg_message *event) {
  const char *at = (const char *)event + field->offset;
  if (field->type == HG_FIELD_text || field->type == HG_FIELD_source) {
    struct hg_text text = {NULL, 0};
    if (field->type == HG_FIELD_text) memcpy(&text, at, sizeof text);
    else if (*(const uint32_t *)(const void *)at)
      text = hg_text_of(hg_source_name(*(const uint32_t *)(const void *)at));
    if (text.size == 0) return sqlite3_column_type(row, column) == SQLITE_NULL;
    const char *stored = (const char *)sqlite3_column_text(row, column);
    return hg_text_equal(text, (struct hg_text){stored, (uint32_t)sqlite3_column_bytes(row, column)});
  }
  const bool is_null = sqlite3_column_type(row, column) == SQLITE_NULL;
  const int64_t stored = sqlite3_column_int64(row, column);
  if (strcmp(field->name, "late") == 0) return *(const bool *)at ? stored == 1 : is_null;
  if (field->type == HG_FIELD_flag) return !is_null && stored == *(const bool *)at;
  if (field->type == HG_FIELD_u32 || field->type == HG_FIELD_percent) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value == 0 && strcmp(field->name, "attempt") == 0 ? is_null : !is_null && stored == value;
  }
  int64_t value;
  memcpy(&value, at, sizeof value);
  if (value == 0 && (strcmp(field->name, "from_parent") == 0 || strcmp(field->name, "to_parent") == 0)) return is_null;
  if (field->type == HG_FIELD_opt) return value == HG_UNKNOWN ? is_null : !is_null && stored == value;
  return field->type == HG_FIELD_id && value == 0 ? is_null : !is_null && stored == value;
}

static int column_named(sqlite3_stmt *row, const char *name) {
  for (int i = 0; i < sqlite3_column_count(row); i++)
    if (strcmp(sqlite3_column_name(row, i), name) == 0) return i;
  return -1;
}

static void check_row(sqlite3_stmt *row, const struct hg_message *event, const struct bed *bed) {
  const struct hg_kind_info *info = hg_kind_info(event->kind);
  const struct hg_event_head *head = &event->as.head;
  CHECK_EQ(sqlite3_column_int64(row, column_named(row, "seq")), head->seq);
  CHECK_EQ(sqlite3_column_int64(row, column_named(row, "at")), head->at);
  CHECK_EQ(sqlite3_column_int64(row, column_named(row, "prev")), head->prev);
  CHECK_STR((const char *)sqlite3_column_text(row, column_named(row, "event")), info->name);
  CHECK_STR((const char *)sqlite3_column_text(row, column_named(row, "budget")), bed->budgets[head->budget].name);
  unsigned said = 5;
  for (uint32_t i = 0; i < info->field_count; i++) {
    const int column = column_named(row, info->fields[i].name);
    const bool same = column >= 0 && column_equals(row, column, &info->fields[i], event);
    if (!same) fprintf(stderr, "row %llu: %s.%s\n", (unsigned long long)head->seq, info->name, info->fields[i].name);
    CHECK(same);
    said += sqlite3_column_type(row, column) != SQLITE_NULL;
  }
  for (int i = 0; i < sqlite3_column_count(row); i++)
    said -= sqlite3_column_type(row, i) != SQLITE_NULL;
  CHECK_EQ(said, 0); // nothing stands in columns of other events
}

static void check_journal(const struct bed *bed, const uint8_t *all, size_t size, unsigned count) {
  sqlite3 *db = sql_open(bed->path);
  sqlite3_stmt *rows = NULL;
  CHECK_EQ(sqlite3_prepare_v2(db, "SELECT * FROM event ORDER BY seq", -1, &rows, NULL), SQLITE_OK);
  unsigned read = 0;
  for (size_t at = 0, taken = 0; at < size; at += taken, read++) {
    struct hg_message event;
    CHECK_EQ(hg_frame_decode_next(all + at, size - at, &event, &taken), HG_OK);
    CHECK_EQ(sqlite3_step(rows), SQLITE_ROW);
    check_row(rows, &event, bed);
  }
  CHECK_EQ(read, count);
  CHECK_EQ(sqlite3_step(rows), SQLITE_DONE);
  sqlite3_finalize(rows);
  sqlite3_close(db);
}

// What was written, frame for frame.
struct expected {
  const uint8_t *bytes;
  size_t at, size;
  uint64_t last;
  unsigned taken, stop_after;
};

static bool compare(void *self, const struct hg_message *event) {
  struct expected *expected = self;
  uint8_t frame[HG_EVENT_FRAME_MAX];
  struct hg_message written;
  size_t taken = 0;
  CHECK_EQ(hg_frame_decode_next(expected->bytes + expected->at, expected->size - expected->at, &written, &taken),
           HG_OK);
  const size_t size = hg_frame_encode(event, frame, sizeof frame);
  const bool same = size == taken && memcmp(frame, expected->bytes + expected->at, size) == 0;
  if (!same) fprintf(stderr, "row %llu was read back otherwise\n", (unsigned long long)event->as.head.seq);
  CHECK(same);
  expected->at += taken;
  expected->last = event->as.head.seq;
  return ++expected->taken != expected->stop_after;
}

static void check_replay(struct hg_ledger *ledger, const struct story *story, uint64_t *seed) {
  struct expected expected = {.bytes = story->bytes, .size = story->size};
  hg_error why = HG_ERROR_INIT;
  while (expected.at < expected.size) {
    const unsigned before = expected.taken, rows = 1 + (unsigned)hg_test_draw(seed, 3000);
    expected.stop_after = before + 1 + (unsigned)hg_test_draw(seed, 4000);
    const unsigned stop = expected.stop_after - before, left = (unsigned)(story->seq - expected.last);
    const unsigned due = rows < stop ? rows : stop;
    CHECK_EQ(hg_ledger_replay(ledger, expected.last, rows, compare, &expected, &why), HG_OK);
    CHECK_EQ(expected.taken - before, due < left ? due : left);
  }
  CHECK_EQ(expected.last, story->seq);
  CHECK_EQ(hg_ledger_replay(ledger, expected.last, 10, compare, &expected, &why), HG_OK);
  CHECK_EQ(hg_ledger_replay(ledger, UINT64_MAX, 10, compare, &expected, &why), HG_OK);
  CHECK_EQ(expected.taken, story->seq);
}

static void check_totals(const struct bed *bed, const struct story *story) {
  char sql[300];
  static const char *const below[BUDGETS] = {"'default','research','papers'", "'research','papers'", "'papers'"};
  for (unsigned i = 0; i < BUDGETS; i++) {
    snprintf(sql, sizeof sql, "SELECT total_used FROM token_budget WHERE name = '%s'", bed->budgets[i].name);
    CHECK_EQ(sql_number(bed->path, sql), story->used[i]);
    snprintf(sql, sizeof sql, "SELECT sum(used_delta) FROM journal WHERE budget IN (%s)", below[i]);
    CHECK_EQ(sql_number(bed->path, sql), story->used[i]);
    snprintf(sql, sizeof sql, "SELECT reserved FROM token_budget WHERE name = '%s'", bed->budgets[i].name);
    CHECK_EQ(sql_number(bed->path, sql), story->reserved[i]);
    snprintf(sql, sizeof sql,
             "SELECT coalesce(sum(tokens), 0) FROM reservation WHERE state = 'open' AND budget IN (%s)", below[i]);
    CHECK_EQ(sql_number(bed->path, sql), story->reserved[i]);
  }
}

TEST(ledger_rows, a_hundred_thousand_events_read_back_equal) {
  struct bed bed;
  struct story story;
  uint64_t seed = hg_test_seed("ledger_rows") * 2 + 1;
  bed_make(&bed);
  struct hg_ledger *ledger = story_open(&bed, &story);
  struct permit open[64];
  unsigned open_count = 0;
  const unsigned events = hg_test_rounds(100000, 4000);
  for (size_t written = 0; story.seq < events;) {
    const uint64_t batch = 1 + hg_test_draw(&seed, 3000);
    const size_t first = written;
    size_t middle = written;
    for (uint64_t i = 0; i < batch && story.seq < events; i++) {
      tell_something(&story, &seed, open, &open_count);
      if (i == batch / 2) middle = story.size;
    }
    written = story.size;
    // Two payloads in one transaction.
    const struct hg_bytes payloads[] = {{story.bytes + first, (uint32_t)(middle - first)},
                                        {story.bytes + middle, (uint32_t)(written - middle)}};
    hg_error why = HG_ERROR_INIT;
    const hg_err err = hg_ledger_write(ledger, payloads, 2, &why);
    if (err != HG_OK) fprintf(stderr, "%s\n", why.text);
    CHECK_EQ(err, HG_OK);
    CHECK_EQ(hg_ledger_checkpoint(ledger, hg_test_draw(&seed, 8) == 0, &why), HG_OK);
  }
  check_replay(ledger, &story, &seed);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  check_journal(&bed, story.bytes, story.size, events);
  check_totals(&bed, &story);
  story_end(&story);
  bed_remove(&bed);
}

static bool count(void *self, const struct hg_message *event) {
  CHECK_EQ(event->kind, HG_USAGE_RECORDED);
  ++*(unsigned *)self;
  return true;
}

TEST(ledger_rows, row_that_no_event_was_written_from_is_told) {
  static const char *const damages[] = {"UPDATE journal SET event = 'USAGE_DOUBLED' WHERE seq = 2",
                                        "UPDATE journal SET budget = 'nobody' WHERE seq = 2",
                                        "INSERT INTO journal_detail(seq, source) VALUES (2, 'rumour')"};
  for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
    struct bed bed;
    struct story story;
    hg_error why = HG_ERROR_INIT;
    bed_make(&bed);
    struct hg_ledger *ledger = story_open(&bed, &story);
    for (unsigned row = 0; row < 3; row++)
      story_usage(&story, PAPERS, 10, "a task", false);
    story_write(&story, ledger);
    CHECK_EQ(sqlite3_exec(ledger->db, damages[i], NULL, NULL, NULL), SQLITE_OK);
    unsigned taken = 0;
    CHECK_EQ(hg_ledger_replay(ledger, 0, 10, count, &taken, &why), HG_ERR_STORE);
    CHECK(strstr(why.text, "row 2 of the journal") != NULL);
    CHECK_EQ(taken, 1);
    CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
    story_end(&story);
    bed_remove(&bed);
  }
}
