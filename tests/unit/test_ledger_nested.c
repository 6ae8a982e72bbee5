// labels: budget
// The rows of permits that lend their reservation: at every row Σ open reservations is what their budget has reserved,
// whether parent and child change in one transaction or in several, and after a crash.
#include "ledger_story.h"

#define OPEN_SUM "SELECT coalesce(sum(tokens), 0) FROM reservation WHERE state = 'open' OR state = 'kept'"

// Writes the story so far, when that is to be a transaction, and compares what another connection sees.
static void maybe_write(struct story *story, struct hg_ledger *ledger, const struct bed *bed, bool each) {
  if (!each) return;
  story_write(story, ledger);
  CHECK_EQ(sql_number(bed->path, OPEN_SUM), story->reserved[RESEARCH]);
}

static void tell(struct story *story, struct hg_ledger *ledger, const struct bed *bed, bool each) {
  story_reserve(story, 10, RESEARCH, 1000, "parent");
  maybe_write(story, ledger, bed, each);
  story_lend(story, 11, 10, RESEARCH, 300);
  story_lend(story, 12, 10, RESEARCH, 200);
  story_lend(story, 13, 10, RESEARCH, 100);
  maybe_write(story, ledger, bed, each);
  story_lend(story, 14, 11, RESEARCH, 50); // of the child's own
  maybe_write(story, ledger, bed, each);
  story_settle_lent(story, 11, 10, RESEARCH, 250, 150);
  maybe_write(story, ledger, bed, each);
  story_release_lent(story, 12, 10, RESEARCH, 200, false);
  story_release_lent(story, 13, 10, RESEARCH, 100, true);
  maybe_write(story, ledger, bed, each);
}

static void expect_end(struct hg_ledger *ledger, uint64_t permit, int end, int64_t used, int64_t reserved) {
  struct hg_ended_permit ended;
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_ledger_find_permit(ledger, permit, &ended, &why), HG_OK);
  CHECK_EQ((int)ended.end, end);
  CHECK_EQ(ended.used, used);
  CHECK_EQ(ended.reserved, reserved);
}

TEST(ledger_nested, rows_of_parent_and_child_follow_each_other) {
  for (int each = 0; each <= 1; each++) {
    struct bed bed;
    struct story story;
    struct hg_ledger_state state;
    bed_make(&bed);
    bed.config.shared_readers = true;
    struct hg_ledger *ledger = story_open(&bed, &story);
    tell(&story, ledger, &bed, each);
    if (!each) story_write(&story, ledger);
    CHECK_EQ(sql_number(bed.path, "SELECT tokens FROM reservation WHERE id = 10"), 1000 - 600 + 100 + 200 + 100);
    CHECK_EQ(sql_number(bed.path, "SELECT tokens FROM reservation WHERE id = 14"), 50);
    CHECK_EQ(sql_number(bed.path, "SELECT sum(tokens) FROM reservation WHERE state = 'open'"), 850);
    CHECK_EQ(sql_number(bed.path, "SELECT reserved FROM token_budget WHERE name = 'research'"), 850);
    CHECK_EQ(sql_number(bed.path, "SELECT to_parent FROM journal WHERE event = 'TOKENS_SETTLED'"), 100);
    CHECK_EQ(sql_number(bed.path, "SELECT parent FROM journal WHERE event = 'TOKENS_SETTLED'"), 10);
    CHECK_EQ(sql_number(bed.path, "SELECT count(*) FROM journal WHERE from_parent > 0 AND reserved_delta = 0"), 4);
    expect_end(ledger, 11, HG_PERMIT_SETTLED, 150, 250); // what it lent is not its own
    expect_end(ledger, 12, HG_PERMIT_RELEASED, 0, 200);
    expect_end(ledger, 10, 0, 0, 800);
    expect_end(ledger, 99, 0, 0, 0);
    expect_end(ledger, UINT64_MAX, 0, 0, 0);
    CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
    ledger = bed_open(&bed, &state); // as after a crash: the two that are open, and an orphan that was given back
    CHECK_EQ(state.permit_count, 3);
    CHECK_EQ(state.permits[0].tokens, 800);
    CHECK(state.permits[1].orphaned && state.permits[1].guess == 0);
    CHECK_EQ(state.permits[2].tokens, 50);
    hg_ledger_state_clear(&state);
    CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
    story_end(&story);
    bed_remove(&bed);
  }
}

static void orphan_lent(struct story *story, uint64_t permit, int64_t tokens, const char *policy) {
  struct hg_message event = story_event(story, HG_RESERVATION_ORPHANED, RESEARCH);
  struct hg_reservation_orphaned_message *orphan = &event.as.reservation_orphaned;
  const bool charge = strcmp(policy, "charge") == 0;
  orphan->permit = permit;
  orphan->policy = hg_text_of(policy);
  STORY_TOTALS(story, orphan, charge ? tokens : 0, charge ? -tokens : 0);
  story_put(story, &event);
}

static void expect_clean_audit(const struct bed *bed) {
  static struct hg_audit_report report;
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_ledger_audit_file(&bed->config, &bed->places, &report, &why), HG_OK);
  if (report.differences) fprintf(stderr, "%s\n", report.list[0].text);
  CHECK_EQ(report.differences, 0);
}

TEST(ledger_nested, audit_follows_what_moves_between_parent_and_child) {
  struct bed bed;
  struct story story;
  struct hg_ledger_state state;
  bed_make(&bed);
  struct hg_ledger *ledger = story_open(&bed, &story);
  tell(&story, ledger, &bed, false); // 10 and 14 are open, and 10's newest row is one of 13
  story_write(&story, ledger);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  expect_clean_audit(&bed);

  ledger = bed_open(&bed, &state);
  hg_ledger_state_clear(&state);
  story_lend(&story, 15, 10, RESEARCH, 800); // all that 10 has left
  orphan_lent(&story, 10, 0, "keep");
  orphan_lent(&story, 14, 50, "keep");
  orphan_lent(&story, 15, 800, "charge");
  story_write(&story, ledger);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  expect_clean_audit(&bed);
  story_end(&story);
  bed_remove(&bed);
}

TEST(ledger_nested, refuses_a_batch_that_lends_what_is_not_there) {
  for (int which = 0; which < 3; which++) {
    struct bed bed;
    struct story story;
    bed_make(&bed);
    struct hg_ledger *ledger = story_open(&bed, &story);
    story_reserve(&story, 10, RESEARCH, 1000, "parent");
    story_write(&story, ledger);
    if (which == 0) story_lend(&story, 11, 10, RESEARCH, 1001); // more than it has
    if (which == 1) story_lend(&story, 11, 9, RESEARCH, 10);    // of one that does not exist
    if (which == 2) story_lend(&story, 11, 0, RESEARCH, 10);    // of nobody
    hg_error why = HG_ERROR_INIT;
    CHECK_EQ(story_try_write(&story, ledger, &why), HG_ERR_STORE);
    uint64_t stored = 0;
    CHECK_EQ(hg_ledger_recover(ledger, &stored, &why), HG_OK);
    CHECK_EQ(stored, story.seq - 1);
    CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
    CHECK_EQ(sql_number(bed.path, OPEN_SUM), 1000);
    story_end(&story);
    bed_remove(&bed);
  }
}

// What an open parent has lent to permits that are folded can't be seen any more; sums agree all the same.
TEST(ledger_nested, audits_and_retention_know_what_was_lent) {
  struct bed bed;
  struct story story;
  hg_error why = HG_ERROR_INIT;
  bed_make(&bed);
  bed.config.keep_days = 1;
  struct hg_ledger *ledger = story_open(&bed, &story);
  tell(&story, ledger, &bed, false);
  story_write(&story, ledger);
  story_audit(ledger, 3);
  uint64_t folded, all = 0;
  bool more = true;
  while (more) {
    CHECK_EQ(hg_ledger_fold(ledger, INT64_MAX, 2, &folded, &more, &why), HG_OK);
    all += folded;
    story_audit(ledger, 3);
  }
  CHECK_EQ(all, 4); // the two children that have ended
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM reservation WHERE id IN (10, 13, 14)"), 3);
  story_close(&bed, &story, ledger);
}
