// A ledger whose files are taken away while it is open: the next write, the next checkpoint and the recovery say so,
// and a file that stands in its place is left alone.
//
// labels: budget
#include "ledger_story.h"

static struct hg_ledger *begin(struct bed *bed, struct story *story) {
  bed_make(bed);
  struct hg_ledger *ledger = story_open(bed, story);
  story_usage(story, PAPERS, 10, "before", false);
  story_write(story, ledger);
  return ledger;
}

static void expect_noticed(const struct bed *bed, struct story *story, struct hg_ledger *ledger) {
  hg_error why = HG_ERROR_INIT;
  uint64_t stored = 0;
  CHECK_EQ(hg_ledger_checkpoint(ledger, false, &why), HG_ERR_STORE);
  CHECK(strstr(why.text, "was moved") != NULL && strstr(why.text, bed->path) != NULL);
  story_usage(story, PAPERS, 1, "after", false);
  CHECK_EQ(story_try_write(story, ledger, &why), HG_ERR_STORE);
  CHECK(strstr(why.text, "was moved") != NULL);
  CHECK_EQ(hg_ledger_recover(ledger, &stored, &why), HG_ERR_STORE);
  CHECK(strstr(why.text, "was moved") != NULL);
  CHECK_EQ(story_try_write(story, ledger, &why), HG_ERR_STORE);
}

TEST(ledger_moved, a_removed_file_is_noticed) {
  struct bed bed;
  struct story story;
  struct hg_ledger *ledger = begin(&bed, &story);
  CHECK(unlink(bed.path) == 0);
  expect_noticed(&bed, &story, ledger);
  CHECK_EQ(hg_ledger_close(&ledger), HG_ERR_STORE);
  CHECK(access(bed.path, F_OK) != 0);
  story_end(&story);
  bed_remove(&bed);
}

TEST(ledger_moved, a_removed_wal_is_noticed) {
  struct bed bed;
  struct story story;
  char wal[128];
  struct hg_ledger *ledger = begin(&bed, &story);
  snprintf(wal, sizeof wal, "%s-wal", bed.path);
  CHECK(unlink(wal) == 0);
  expect_noticed(&bed, &story, ledger);
  CHECK_EQ(hg_ledger_close(&ledger), HG_ERR_STORE);
  CHECK_EQ(sql_number(bed.path, "SELECT total_used FROM token_budget WHERE name = 'papers'"), 11); // by the checkpoint
  story_end(&story);
  bed_remove(&bed);
}

TEST(ledger_moved, what_was_moved_is_whole) {
  struct bed bed;
  struct story story;
  char copy[128];
  struct hg_ledger *ledger = begin(&bed, &story);
  snprintf(copy, sizeof copy, "%s.copy", bed.path);
  CHECK(rename(bed.path, copy) == 0);
  expect_noticed(&bed, &story, ledger);
  CHECK_EQ(hg_ledger_close(&ledger), HG_ERR_STORE);
  CHECK(sql_number(copy, "SELECT total_used FROM token_budget WHERE name = 'papers'") >= 10);
  story_end(&story);
  bed_remove(&bed);
}

TEST(ledger_moved, a_file_in_its_place_is_left_alone) {
  struct bed bed;
  struct story story;
  char copy[128], other[128];
  struct hg_ledger *ledger = begin(&bed, &story);
  snprintf(copy, sizeof copy, "%s.copy", bed.path);
  sqlite3 *db = sql_open(copy);
  CHECK_EQ(sqlite3_exec(db, "PRAGMA journal_mode = WAL; CREATE TABLE other(x); INSERT INTO other VALUES (42)", NULL,
                        NULL, NULL),
           SQLITE_OK);
  CHECK_EQ(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
  CHECK(rename(copy, bed.path) == 0);
  expect_noticed(&bed, &story, ledger);
  CHECK_EQ(hg_ledger_close(&ledger), HG_ERR_STORE);
  snprintf(other, sizeof other, "%s-wal", bed.path); // of the ledger that is gone: it would not fit
  unlink(other);
  CHECK_EQ(sql_number(bed.path, "SELECT x FROM other"), 42);
  CHECK_EQ(sql_number(bed.path, "SELECT count(*) FROM sqlite_schema"), 1);
  story_end(&story);
  bed_remove(&bed);
}

TEST(ledger_moved, a_symbolic_link_may_lead_to_it) {
  struct bed bed, through;
  struct story story;
  hg_error why = HG_ERROR_INIT;
  struct hg_ledger_state state;
  bed_make(&bed);
  through = bed;
  snprintf(through.path, sizeof through.path, "%s/ledger.db.copy", bed.directory);
  through.config.ledger_path = through.path;
  struct hg_ledger *ledger = bed_open(&bed, &state);
  hg_ledger_state_clear(&state);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  CHECK(symlink(bed.path, through.path) == 0);
  ledger = bed_open(&through, &state);
  story_begin(&story, &state);
  hg_ledger_state_clear(&state);
  story_usage(&story, PAPERS, 10, "through a link", false);
  story_write(&story, ledger);
  CHECK_EQ(hg_ledger_checkpoint(ledger, true, &why), HG_OK);
  story_close(&bed, &story, ledger);
}
