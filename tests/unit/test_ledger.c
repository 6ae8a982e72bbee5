// The ledger in good times: what is written is there after a reopening, in tables that plain SQL can read.
// labels: budget
#include "ledger_story.h"

TEST(ledger, fresh_file_is_made_and_private) {
  struct bed bed;
  struct hg_ledger_state state;
  struct stat found;
  bed_make(&bed);
  struct hg_ledger *ledger = bed_open(&bed, &state);
  CHECK_EQ(state.opening, 1);
  CHECK_EQ(state.last_seq, 0);
  CHECK_EQ(strlen(state.ledger_id), 36);
  CHECK_EQ(state.ledger_id[14], '4');
  CHECK_EQ(state.budget_count, BUDGETS);
  CHECK_EQ(state.permit_count, 0);
  CHECK_STR(state.budgets[PAPERS].name, "papers");
  CHECK_EQ(state.budgets[PAPERS].parent, RESEARCH);
  CHECK(state.budgets[PAPERS].is_new);
  CHECK_EQ(state.budgets[PAPERS].hard_limit, 9000000);
  CHECK_EQ(state.budgets[PAPERS].configured_limit, 9000000);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'"), 1);
  CHECK_EQ(sql_in(ledger->db, "PRAGMA synchronous"), 2);
  CHECK(stat(bed.path, &found) == 0 && (found.st_mode & 0777) == 0600);
  CHECK(stat(bed.places.lock_file, &found) == 0 && (found.st_mode & 0777) == 0600);
  CHECK(stat(bed.places.directory, &found) == 0 && (found.st_mode & 0777) == 0700);
  hg_ledger_state_clear(&state);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  CHECK(ledger == NULL);
  CHECK_EQ(sql_number(bed.path, "PRAGMA application_id"), HG_LEDGER_APPLICATION_ID);
  CHECK_EQ(sql_number(bed.path, "PRAGMA user_version"), HG_LEDGER_VERSION);
  CHECK_EQ(
      sql_number(bed.path, "SELECT count(*) FROM token_budget WHERE updated_at LIKE '20__-__-__T__:__:__.______Z'"), 3);
  bed_remove(&bed);
}

TEST(ledger, reopening_finds_totals_limits_latch_and_numbers) {
  struct bed bed;
  struct hg_ledger_state state;
  struct story story;
  bed_make(&bed);
  struct hg_ledger *ledger = bed_open(&bed, &state);
  char id[37];
  memcpy(id, state.ledger_id, sizeof id);
  story_begin(&story, &state);
  hg_ledger_state_clear(&state);
  story_usage(&story, PAPERS, 700, "a", false);
  story_usage(&story, RESEARCH, 30, "b", true);
  story_limit(&story, PAPERS, 1000, "command");
  story_limit(&story, RESEARCH, 40000, "configuration");
  story_throttle(&story, PAPERS, true);
  story_throttle(&story, RESEARCH, true);
  story_write(&story, ledger);
  story_throttle(&story, RESEARCH, false);
  story_write(&story, ledger);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  ledger = bed_open(&bed, &state);
  CHECK_STR(state.ledger_id, id);
  CHECK_EQ(state.opening, 2);
  CHECK_EQ(state.last_seq, 7);
  CHECK_EQ(state.topic_last[HG_USAGE_RECORDED - HG_EVENT_FIRST], 2);
  CHECK_EQ(state.topic_last[HG_CONCURRENCY_RESTORED - HG_EVENT_FIRST], 7);
  CHECK_EQ(state.topic_last[HG_TASK_FAILED - HG_EVENT_FIRST], 0);
  CHECK_EQ(state.budgets[DEFAULT].used, 730);
  CHECK_EQ(state.budgets[RESEARCH].used, 730);
  CHECK_EQ(state.budgets[PAPERS].used, 700);
  CHECK_EQ(state.budgets[PAPERS].hard_limit, 1000);
  CHECK_EQ(state.budgets[PAPERS].configured_limit, 9000000);
  CHECK_EQ(state.budgets[RESEARCH].hard_limit, 40000);
  CHECK_EQ(state.budgets[RESEARCH].configured_limit, 40000);
  CHECK(state.budgets[PAPERS].throttled && !state.budgets[RESEARCH].throttled && !state.budgets[DEFAULT].throttled);
  CHECK(!state.budgets[PAPERS].is_new);
  hg_ledger_state_clear(&state);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  CHECK_EQ(sql_number(bed.path, "SELECT count(*) FROM token_budget WHERE name = 'papers' AND "
                                "updated_at = '2025-11-23T10:40:00.000005Z'"),
           1);
  story_end(&story);
  bed_remove(&bed);
}

static const struct hg_ledger_permit *permit_of(const struct hg_ledger_state *state, uint64_t id) {
  for (size_t i = 0; i < state->permit_count; i++)
    if (state->permits[i].id == id) return &state->permits[i];
  return NULL;
}

// Closes and opens again, so that `state` says what the file says.
static struct hg_ledger *reopen(const struct bed *bed, struct hg_ledger *ledger, struct hg_ledger_state *state) {
  hg_ledger_state_clear(state);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  return bed_open(bed, state);
}

TEST(ledger, permits_are_listed_until_they_are_settled) {
  struct bed bed;
  struct hg_ledger_state state;
  struct story story;
  bed_make(&bed);
  struct hg_ledger *ledger = bed_open(&bed, &state);
  story_begin(&story, &state);
  const uint64_t huge = INT64_MAX; // the greatest id that there is
  for (uint64_t id = 1; id <= 5; id++)
    story_reserve(&story, id, PAPERS, 100, id == 1 ? "" : "task");
  story_reserve(&story, huge, DEFAULT, 60, "huge");
  story_write(&story, ledger);
  story_settle(&story, 2, PAPERS, 100, 70, false);
  story_write(&story, ledger);
  ledger = reopen(&bed, ledger, &state);
  CHECK_EQ(state.permit_count, 5);
  CHECK(permit_of(&state, 2) == NULL);
  CHECK_EQ(permit_of(&state, 1)->tokens, 100);
  CHECK_EQ(permit_of(&state, 1)->budget, PAPERS);
  CHECK_EQ(permit_of(&state, 1)->attempt, 1);
  CHECK(!permit_of(&state, 1)->orphaned);
  CHECK_STR(permit_of(&state, 1)->task_id, "");
  CHECK_STR(permit_of(&state, huge)->task_id, "huge");
  CHECK_EQ(state.budgets[DEFAULT].reserved, 460);

  story_orphan(&story, 1, PAPERS, 100, "charge");
  story_orphan(&story, 3, PAPERS, 100, "keep");
  story_orphan(&story, 4, PAPERS, 100, "release");
  story_release(&story, 5, PAPERS, 100);
  story_write(&story, ledger);
  ledger = reopen(&bed, ledger, &state);
  CHECK_EQ(state.permit_count, 4);
  CHECK(permit_of(&state, 1)->orphaned && permit_of(&state, 1)->guess == 100);
  CHECK(!permit_of(&state, 3)->orphaned && permit_of(&state, 3)->kept);
  CHECK(permit_of(&state, 4)->orphaned && permit_of(&state, 4)->guess == 0);
  CHECK(permit_of(&state, 5) == NULL);
  CHECK_EQ(state.budgets[PAPERS].used, 170);
  CHECK_EQ(state.budgets[PAPERS].reserved, 100);

  story_settle(&story, 1, PAPERS, 100, 40, true);
  story_settle(&story, 3, PAPERS, 100, 90, false);
  story_write(&story, ledger);
  ledger = reopen(&bed, ledger, &state);
  CHECK_EQ(state.permit_count, 2);
  CHECK_EQ(state.budgets[PAPERS].used, 200);
  CHECK_EQ(sql_in(ledger->db, "SELECT used FROM reservation WHERE id = 1 AND state = 'settled'"), 40);
  CHECK_EQ(sql_in(ledger->db, "SELECT used FROM reservation WHERE id = 3 AND state = 'settled'"), 90);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM reservation WHERE state = 'released'"), 1);
  CHECK_EQ(sql_in(ledger->db, "SELECT task_id IS NULL FROM reservation WHERE id = 1"), 1);
  hg_ledger_state_clear(&state);
  story_close(&bed, &story, ledger);
}

TEST(ledger, permit_that_ends_in_its_own_batch_is_one_row) {
  struct bed bed;
  struct hg_ledger_state state;
  struct story story;
  bed_make(&bed);
  struct hg_ledger *ledger = bed_open(&bed, &state);
  story_begin(&story, &state);
  const int64_t before = sqlite3_total_changes(ledger->db);
  for (uint64_t id = 1; id <= 300; id++) { // more than the first table of changes holds
    story_reserve(&story, id * 1000, PAPERS, 50, "task");
    if (id % 3) story_settle(&story, id * 1000, PAPERS, 50, 20, false);
  }
  story_write(&story, ledger);
  // 500 rows of the journal, 200 of them with details, 300 permits, 3 budgets, 2 topics: nothing is written twice.
  CHECK_EQ(sqlite3_total_changes(ledger->db) - before, 500 + 200 + 300 + 3 + 2);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM reservation WHERE state = 'settled' AND used = 20 AND tokens = 50"),
           200);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM reservation WHERE state = 'open' AND used = 0"), 100);
  CHECK_EQ(sql_in(ledger->db, "SELECT seq FROM reservation WHERE id = 1000"), 2);
  hg_ledger_state_clear(&state);
  story_close(&bed, &story, ledger);
}

TEST(ledger, opening_reads_unsettled_permits_by_their_index) {
  struct bed bed;
  struct hg_ledger_state state;
  bed_make(&bed);
  struct hg_ledger *ledger = bed_open(&bed, &state);
  sqlite3_stmt *plan = NULL;
  CHECK_EQ(sqlite3_prepare_v2(ledger->db,
                              "EXPLAIN QUERY PLAN SELECT id, budget, tokens, state, attempt, task_id FROM reservation "
                              "WHERE (state = 'open' OR state = 'kept' OR state = 'orphaned') ORDER BY id",
                              -1, &plan, NULL),
           SQLITE_OK);
  CHECK_EQ(sqlite3_step(plan), SQLITE_ROW);
  CHECK(strstr((const char *)sqlite3_column_text(plan, 3), "reservation_unsettled") != NULL);
  CHECK_EQ(sqlite3_step(plan), SQLITE_DONE);
  sqlite3_finalize(plan);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM pragma_index_list('journal')"), 0);
  hg_ledger_state_clear(&state);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  bed_remove(&bed);
}

static const char *column_type(enum hg_field_type type) {
  if (type == HG_FIELD_bytes) return "BLOB";
  return type == HG_FIELD_text || type == HG_FIELD_source ? "TEXT" : "INTEGER";
}

// seq of both tables, any other field of one.
TEST(ledger, every_field_of_every_event_is_a_column) {
  struct bed bed;
  struct hg_ledger_state state;
  bed_make(&bed);
  struct hg_ledger *ledger = bed_open(&bed, &state);
  sqlite3_stmt *find = NULL;
  CHECK_EQ(sqlite3_prepare_v2(ledger->db,
                              "SELECT type FROM pragma_table_info('journal') WHERE name = ?1 UNION ALL "
                              "SELECT type FROM pragma_table_info('journal_detail') WHERE name = ?1 AND NOT pk",
                              -1, &find, NULL),
           SQLITE_OK);
  unsigned fields = 0;
  const struct hg_kind_info *info;
  for (unsigned at = 0; (info = hg_kind_at(at)) != NULL; at++) {
    if (!info->is_event || HG_IS_NEVER_A_ROW(info->kind)) continue;
    const struct hg_ledger_kind *kind = hg_journal_kind(ledger, info->kind);
    CHECK(kind != NULL);
    CHECK_EQ(kind->parts[HG_TABLE_JOURNAL].count + kind->parts[HG_TABLE_DETAIL].count, info->frame_field_count + 1);
    CHECK_STR(kind->parts[HG_TABLE_JOURNAL].columns[0].name, "seq");
    CHECK_STR(kind->parts[HG_TABLE_DETAIL].columns[0].name, "seq");
    for (uint32_t i = 0; i < info->field_count; i++, fields++) {
      sqlite3_bind_text(find, 1, info->fields[i].name, -1, SQLITE_STATIC);
      if (sqlite3_step(find) != SQLITE_ROW) fprintf(stderr, "%s.%s has no column\n", info->name, info->fields[i].name);
      CHECK_STR((const char *)sqlite3_column_text(find, 0), column_type(info->fields[i].type));
      CHECK_EQ(sqlite3_step(find), SQLITE_DONE);
      sqlite3_reset(find);
    }
  }
  CHECK(fields > 80);
  sqlite3_finalize(find);
  hg_ledger_state_clear(&state);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  bed_remove(&bed);
}

static int runs_of(const struct hg_ledger *ledger, enum hg_kind kind, enum hg_ledger_table table, bool whole) {
  int runs = 0;
  for (unsigned tail = 0; tail < 2; tail++) {
    sqlite3_stmt *insert = ledger->kinds[(unsigned)kind - HG_EVENT_FIRST].parts[table].insert[tail][whole];
    if (insert) runs += sqlite3_stmt_status(insert, SQLITE_STMTSTATUS_RUN, 0);
  }
  return runs;
}

TEST(ledger, details_stand_beside_the_rows_that_have_some) {
  struct bed bed;
  struct story story;
  bed_make(&bed);
  struct hg_ledger *ledger = story_open(&bed, &story);
  for (unsigned i = 0; i < 2 * HG_LEDGER_RUN; i++)
    story_usage(&story, PAPERS, 10, "task", true);
  for (unsigned i = 0; i < 2 * HG_LEDGER_RUN; i++) // every second one has details
    story_usage(&story, PAPERS, 10, "task", i % 2);
  story_throttle(&story, PAPERS, true);
  story_write(&story, ledger);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM journal"), 4 * HG_LEDGER_RUN + 1);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM journal_detail"), 3 * HG_LEDGER_RUN + 1);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM event"), 4 * HG_LEDGER_RUN + 1);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM event WHERE model = 'gpt-4o'"), 3 * HG_LEDGER_RUN);
  CHECK_EQ(runs_of(ledger, HG_USAGE_RECORDED, HG_TABLE_JOURNAL, true), 4);
  CHECK_EQ(runs_of(ledger, HG_USAGE_RECORDED, HG_TABLE_JOURNAL, false), 0);
  CHECK_EQ(runs_of(ledger, HG_USAGE_RECORDED, HG_TABLE_DETAIL, true), 2);
  CHECK_EQ(runs_of(ledger, HG_USAGE_RECORDED, HG_TABLE_DETAIL, false), HG_LEDGER_RUN);
  story_close(&bed, &story, ledger);
}

// The plan of a query, its steps one after another.
static void plan_of(sqlite3 *db, const char *query, char *out, size_t room) {
  char sql[256];
  sqlite3_stmt *plan = NULL;
  snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", query);
  CHECK_EQ(sqlite3_prepare_v2(db, sql, -1, &plan, NULL), SQLITE_OK);
  size_t at = 0;
  for (*out = 0; sqlite3_step(plan) == SQLITE_ROW && at < room;)
    at += (size_t)snprintf(out + at, room - at, "%s; ", (const char *)sqlite3_column_text(plan, 3));
  CHECK(at < room);
  sqlite3_finalize(plan);
}

TEST(ledger, the_view_finds_rows_by_their_number_and_reads_no_details_for_nothing) {
  struct bed bed;
  struct story story;
  char plan[512];
  bed_make(&bed);
  struct hg_ledger *ledger = story_open(&bed, &story);
  plan_of(ledger->db, "SELECT * FROM event WHERE seq > 7 AND seq <= 9 ORDER BY seq", plan, sizeof plan);
  CHECK_STR(plan, "SEARCH journal USING INTEGER PRIMARY KEY (rowid>? AND rowid<?); "
                  "SEARCH journal_detail USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN; ");
  plan_of(ledger->db, "SELECT seq, event, reason FROM event WHERE seq > 7", plan, sizeof plan);
  CHECK_STR(plan, "SEARCH journal USING INTEGER PRIMARY KEY (rowid>?); ");
  story_close(&bed, &story, ledger);
}

TEST(ledger, checkpoint_moves_the_wal_into_the_database) {
  struct bed bed;
  struct hg_ledger_state state;
  struct story story;
  hg_error why = HG_ERROR_INIT;
  bed_make(&bed);
  struct hg_ledger *ledger = bed_open(&bed, &state);
  story_begin(&story, &state);
  story_usage(&story, PAPERS, 10, "a", false);
  story_write(&story, ledger);
  CHECK(ledger->wal_pages > 0);
  CHECK_EQ(hg_ledger_checkpoint(ledger, false, &why), HG_OK); // not due
  CHECK(ledger->wal_pages > 0);
  CHECK_EQ(hg_ledger_checkpoint(ledger, true, &why), HG_OK);
  CHECK_EQ(ledger->wal_pages, 0);
  char command[320], copy[128]; // the database alone, without its WAL
  snprintf(copy, sizeof copy, "%s.copy", bed.path);
  snprintf(command, sizeof command, "cp '%s' '%s'", bed.path, copy);
  CHECK_EQ(system(command), 0);
  CHECK_EQ(sql_number(copy, "SELECT total_used FROM token_budget WHERE name = 'default'"), 10);
  for (unsigned i = 0; i < 30 && ledger->wal_pages < 16 * 1024 * 1024 / 4096; i++) {
    for (unsigned j = 0; j < 12000; j++)
      story_usage(&story, DEFAULT, 1, "some task with a longer name", true);
    story_write(&story, ledger);
  }
  CHECK_EQ(hg_ledger_checkpoint(ledger, false, &why), HG_OK); // due by size
  CHECK_EQ(ledger->wal_pages, 0);
  hg_ledger_state_clear(&state);
  story_close(&bed, &story, ledger);
}
