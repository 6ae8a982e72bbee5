// The simulated disk itself, and the ledger on it: what is synced stays, what is not may go, and a WAL that a failed
// sync left in memory alone does no harm wherever the power fails in the next opening. labels: budget
#include "simulation/power_vfs.h"
#include "unit/ledger_story.h"

static void tell(struct story *story, struct hg_ledger *ledger, unsigned rows) {
  for (unsigned i = 0; i < rows; i++)
    story_usage(story, PAPERS, 1, "a task", true);
  story_write(story, ledger);
}

static struct hg_ledger *begin(struct bed *bed, struct story *story, uint64_t seed) {
  struct hg_ledger_state state;
  hg_power_begin(seed);
  bed_make(bed);
  struct hg_ledger *ledger = bed_open(bed, &state);
  story_begin(story, &state);
  hg_ledger_state_clear(&state);
  return ledger;
}

static void end(struct bed *bed, struct story *story) {
  story_end(story);
  bed_remove(bed);
}

static void die(struct hg_ledger **ledger, bool cut) {
  hg_power()->is_off = true;
  (void)hg_ledger_close(ledger);
  hg_power_restore(cut);
}

// Opens the ledger and says how far its rows reach.
static uint64_t rows_after(const struct bed *bed, struct hg_ledger **ledger) {
  struct hg_ledger_state state;
  *ledger = bed_open(bed, &state);
  const uint64_t rows = state.last_seq;
  hg_ledger_state_clear(&state);
  CHECK_EQ(sql_in((*ledger)->db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
  return rows;
}

TEST(power_vfs, commits_survive_a_cut_when_they_are_synced) {
  unsigned lost = 0;
  for (uint64_t seed = 1; seed <= 400; seed++) {
    const bool full = seed % 2;
    struct bed bed;
    struct story story;
    struct hg_ledger *ledger = begin(&bed, &story, seed);
    if (!full) CHECK_EQ(sqlite3_exec(ledger->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL), SQLITE_OK);
    tell(&story, ledger, 5);
    tell(&story, ledger, 3);
    die(&ledger, true);
    const uint64_t rows = rows_after(&bed, &ledger);
    CHECK(full ? rows == 8 : rows == 8 || rows == 5 || rows == 0);
    lost += rows < 8;
    CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
    end(&bed, &story);
  }
  CHECK(lost > 50);
  hg_power_end();
}

// False: the opening was over before the power failed.
static bool cut_in_opening(struct bed *bed, uint64_t change) {
  struct hg_ledger *ledger = NULL;
  struct hg_ledger_state state;
  hg_error why = HG_ERROR_INIT;
  hg_power()->cut_before = hg_power()->changes + change;
  if (hg_ledger_open(&bed->config, &bed->places, &ledger, &state, &why) == HG_OK) hg_ledger_state_clear(&state);
  const bool in_opening = !ledger;
  if (ledger) die(&ledger, true);
  hg_power_restore(true);
  return in_opening;
}

TEST(power_vfs, wal_that_was_never_on_the_disk_does_no_harm) {
  unsigned cuts = 0;
  for (uint64_t seed = 1; seed <= 20; seed++) {
    bool in_opening = true;
    for (uint64_t change = 1; in_opening; change++) {
      struct bed bed;
      struct story story;
      struct hg_ledger *ledger = begin(&bed, &story, seed);
      hg_error why = HG_ERROR_INIT;
      uint64_t stored = 0;
      tell(&story, ledger, 100);
      CHECK_EQ(hg_ledger_recover(ledger, &stored, &why), HG_OK); // all is in the database, nothing in the WAL
      hg_power()->forgets = true;
      hg_power()->syncs = (struct hg_power_fault){1, 1}; // not of the header: of the frames
      for (unsigned i = 0; i < 200; i++)
        story_usage(&story, PAPERS, 1, "a task", true);
      CHECK_EQ(story_try_write(&story, ledger, &why), HG_ERR_STORE);
      die(&ledger, false); // before it can recover; the next process reads what is in memory
      in_opening = cut_in_opening(&bed, change);
      cuts += in_opening;
      const uint64_t rows = rows_after(&bed, &ledger);
      CHECK(rows == 100 || rows == 300);
      CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
      end(&bed, &story);
    }
  }
  CHECK(cuts > 100);
  hg_power_end();
}

// The first commit after an opening also begins the WAL: its head is written and synced.
TEST(power_vfs, pages_of_a_commit_are_written_together) {
  struct bed bed;
  struct story story;
  struct hg_ledger *ledger = begin(&bed, &story, 1);
  tell(&story, ledger, 1);
  for (unsigned i = 0; i < 5; i++) {
    const uint64_t before = hg_power()->changes;
    tell(&story, ledger, 500);                 // a dozen pages and more
    CHECK_EQ(hg_power()->changes - before, 2); // a write and a sync
  }
  CHECK(ledger->wal_pages > 5 * 12);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  end(&bed, &story);
  hg_power_end();
}

static void fail_for_want_of_room(struct story *story, struct hg_ledger *ledger) {
  hg_error why = HG_ERROR_INIT;
  hg_power()->is_full = true;
  for (unsigned i = 0; i < 100; i++)
    story_usage(story, PAPERS, 1, "a task", true);
  CHECK_EQ(story_try_write(story, ledger, &why), HG_ERR_BUSY);
}

TEST(power_vfs, full_disk_takes_nothing_and_loses_nothing) {
  struct bed bed;
  struct story story;
  struct hg_ledger *ledger = begin(&bed, &story, 1);
  hg_error why = HG_ERROR_INIT;
  uint64_t stored = 0;
  tell(&story, ledger, 5);
  fail_for_want_of_room(&story, ledger);
  hg_power_heal();
  CHECK_EQ(hg_ledger_recover(ledger, &stored, &why), HG_OK);
  CHECK_EQ(stored, 5);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  end(&bed, &story);
  hg_power_end();
}

TEST(power_vfs, full_disk_is_recovered_from_by_cutting_off_the_wal) {
  struct bed bed;
  struct story story;
  struct hg_ledger *ledger = begin(&bed, &story, 1);
  hg_error why = HG_ERROR_INIT;
  uint64_t stored = 0;
  tell(&story, ledger, 5);
  CHECK_EQ(hg_ledger_recover(ledger, &stored, &why), HG_OK); // all is in the database
  tell(&story, ledger, 1);                                   // its pages are in the database already
  fail_for_want_of_room(&story, ledger);
  CHECK_EQ(hg_ledger_recover(ledger, &stored, &why), HG_OK);
  CHECK_EQ(stored, 6);
  hg_power_heal();
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  end(&bed, &story);
  hg_power_end();
}
