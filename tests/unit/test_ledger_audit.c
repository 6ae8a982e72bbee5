// The audit: clean on every ledger that was written by Headgate, exact about whatever is changed behind its back, and
// the same while more is written between its portions.
//
// labels: budget
#include "ledger_story.h"

#define AT_ONCE 1000000

static struct hg_audit_report report; // large

// Writes a ledger with something of everything; closed afterwards.
static void tell_everything(struct story *story) {
  for (uint64_t id = 1; id <= 60; id++) {
    const uint32_t budget = (uint32_t)(id % BUDGETS);
    story_reserve(story, id, budget, 100, "task");
    if (id % 6 == 0) story_settle(story, id, budget, 100, 70 + (int64_t)id, false);
    if (id % 6 == 1) story_release(story, id, budget, 100);
    if (id % 6 == 2) story_orphan(story, id, budget, 100, "charge");
    if (id % 6 == 3) story_orphan(story, id, budget, 100, "keep");
    if (id % 6 == 4) story_orphan(story, id, budget, 100, "release");
    story_usage(story, budget, 11, "task", id % 2);
  }
  for (uint64_t id = 2; id <= 30; id += 6)
    story_settle(story, id, (uint32_t)(id % BUDGETS), 100, 30, true);
  for (uint64_t id = 3; id <= 30; id += 6)
    story_settle(story, id, (uint32_t)(id % BUDGETS), 100, 130, false);
  story_throttle(story, PAPERS, true);
  story_throttle(story, RESEARCH, true);
  story_throttle(story, RESEARCH, false);
  story_limit(story, PAPERS, 77777, "command");
}

static void make(struct bed *bed) {
  struct story story;
  bed_make(bed);
  struct hg_ledger *ledger = story_open(bed, &story);
  tell_everything(&story);
  story_write(&story, ledger);
  story_end(&story);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
}

static void audit(const struct bed *bed) {
  hg_error why = HG_ERROR_INIT;
  memset(&report, 0xee, sizeof report);
  const hg_err err = hg_ledger_audit_file(&bed->config, &bed->places, &report, &why);
  if (err != HG_OK) fprintf(stderr, "%s\n", why.text);
  CHECK_EQ(err, HG_OK);
}

static void print_report(void) {
  for (uint32_t i = 0; i < report.listed; i++)
    fprintf(stderr, "%s: %s\n", report.list[i].check, report.list[i].text);
}

static void expect_clean(const struct bed *bed) {
  audit(bed);
  if (report.differences) print_report();
  CHECK_EQ(report.differences, 0);
  CHECK_EQ(report.listed, 0);
}

static void change(const struct bed *bed, const char *sql) {
  sqlite3 *db = sql_open(bed->path);
  CHECK_EQ(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
}

static const struct hg_audit_difference *found(const char *check, const char *subject, uint64_t permit) {
  for (uint32_t i = 0; i < report.listed; i++) {
    const struct hg_audit_difference *one = &report.list[i];
    if (strcmp(one->check, check) == 0 && (!subject || strcmp(one->subject, subject) == 0) && one->permit == permit)
      return one;
  }
  print_report();
  fprintf(stderr, "no difference of %s %s %llu\n", check, subject ? subject : "", (unsigned long long)permit);
  CHECK(false);
  return NULL;
}

static void expect(const char *check, const char *subject, uint64_t permit, int64_t stored, int64_t summed) {
  const struct hg_audit_difference *one = found(check, subject, permit);
  CHECK_EQ(one->stored, stored);
  CHECK_EQ(one->summed, summed);
  CHECK(strlen(one->text) > 20);
}

TEST(ledger_audit, what_headgate_wrote_is_clean) {
  struct bed bed;
  hg_error why = HG_ERROR_INIT;
  bed_make(&bed);
  CHECK_EQ(hg_ledger_audit_file(&bed.config, &bed.places, &report, &why), HG_ERR_EMPTY);
  bed_remove(&bed);
  make(&bed);
  expect_clean(&bed);
  CHECK_EQ(report.seq, sql_number(bed.path, "SELECT max(seq) FROM journal"));
  CHECK_EQ(report.rows, report.seq);
  CHECK_EQ(report.permits, 60);
  bed_remove(&bed);
}

TEST(ledger_audit, totals_are_compared_along_the_tree) {
  struct bed bed;
  make(&bed);
  const int64_t used = sql_number(bed.path, "SELECT total_used FROM token_budget WHERE name = 'papers'");
  const int64_t all = sql_number(bed.path, "SELECT total_used FROM token_budget WHERE name = 'default'");
  const int64_t reserved = sql_number(bed.path, "SELECT reserved FROM token_budget WHERE name = 'research'");
  change(&bed, "UPDATE token_budget SET total_used = total_used + 5 WHERE name = 'papers'");
  audit(&bed);
  CHECK_EQ(report.differences, 1);
  expect("used", "papers", 0, used + 5, used);
  CHECK(strstr(report.list[0].text, "difference is 5") != NULL);

  change(&bed, "UPDATE token_budget SET total_used = total_used - 5 WHERE name = 'papers'");
  change(&bed, "UPDATE token_budget SET reserved = reserved - 1 WHERE name = 'research'");
  audit(&bed);
  CHECK_EQ(report.differences, 2);
  expect("reserved", "research", 0, reserved - 1, reserved);
  expect("open_permits", "research", 0, reserved - 1, reserved);
  change(&bed, "UPDATE token_budget SET reserved = reserved + 1 WHERE name = 'research'");

  // A row of a child counts in all above it.
  change(&bed, "UPDATE journal SET used_delta = used_delta + 3 WHERE seq = (SELECT min(seq) FROM journal WHERE event = "
               "'USAGE_RECORDED' AND budget = 'papers')");
  audit(&bed);
  CHECK_EQ(report.differences, 3);
  expect("used", "papers", 0, used, used + 3);
  expect("used", "default", 0, all, all + 3);
  (void)found("used", "research", 0);
  bed_remove(&bed);
}

TEST(ledger_audit, a_row_that_is_gone_is_missed) {
  struct bed bed;
  make(&bed);
  const int64_t seq =
      sql_number(bed.path, "SELECT seq FROM journal WHERE event = 'USAGE_RECORDED' AND budget = 'default' LIMIT 1");
  char sql[128];
  snprintf(sql, sizeof sql, "DELETE FROM journal WHERE seq = %lld", (long long)seq);
  change(&bed, sql);
  audit(&bed);
  expect("sequence", "", 0, seq + 1, seq);
  (void)found("used", "default", 0);
  (void)found("prev", "USAGE_RECORDED", 0);
  expect("detail", "", 0, seq, 0);
  CHECK_EQ(report.differences, 4);
  bed_remove(&bed);

  make(&bed);
  const int64_t newest = sql_number(bed.path, "SELECT max(seq) FROM journal");
  change(&bed, "DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)");
  audit(&bed);
  CHECK_EQ(report.differences, 3);
  expect("topic", "LIMIT_CHANGED", 0, newest, 0);
  expect("sequence", "", 0, newest, newest - 1);
  expect("detail", "", 0, newest, 0);
  bed_remove(&bed);
}

TEST(ledger_audit, details_belong_to_a_row) {
  struct bed bed;
  make(&bed);
  const int64_t newest = sql_number(bed.path, "SELECT max(seq) FROM journal");
  const int64_t seq = sql_number(bed.path, "SELECT max(seq) FROM event WHERE event = 'USAGE_RECORDED' AND model <> ''");
  char sql[200];
  snprintf(sql, sizeof sql,
           "DELETE FROM journal WHERE seq = %lld; INSERT INTO journal_detail(seq, model) VALUES (-4, 'x'), (%lld, 'x')",
           (long long)seq, (long long)newest + 9);
  change(&bed, sql);
  audit(&bed);
  unsigned details = 0;
  for (uint32_t i = 0; i < report.listed; i++)
    if (strcmp(report.list[i].check, "detail") == 0) {
      const int64_t stored[] = {-4, seq, newest + 9};
      CHECK(details < 3);
      CHECK_EQ(report.list[i].stored, stored[details++]);
    }
  CHECK_EQ(details, 3);
  bed_remove(&bed);
}

TEST(ledger_audit, permits_are_compared_with_their_rows) {
  struct bed bed;
  make(&bed);
  change(&bed, "UPDATE reservation SET used = used + 2 WHERE id = 6");     // settled
  change(&bed, "UPDATE reservation SET tokens = 99 WHERE id = 5");         // open
  change(&bed, "UPDATE reservation SET state = 'settled' WHERE id = 1");   // released
  change(&bed, "UPDATE reservation SET state = 'released' WHERE id = 32"); // orphaned
  change(&bed, "DELETE FROM reservation WHERE id = 12");
  change(&bed, "INSERT INTO reservation(id, budget, tokens, state, seq) VALUES (77, 'default', 5, 'released', 3)");
  change(&bed, "UPDATE reservation SET seq = seq + 1 WHERE id = 7");
  change(&bed, "UPDATE reservation SET budget = 'papers' WHERE id = 18"); // of default
  audit(&bed);
  expect("permit", "default", 6, 78, 76);
  expect("permit", "papers", 5, 99, 100);
  CHECK(strstr(found("permit", NULL, 1)->text, "settled, and its rows leave it released"));
  CHECK(strstr(found("permit", NULL, 32)->text, "released, and its rows leave it orphaned"));
  CHECK(strstr(found("permit", NULL, 12)->text, "no reservation"));
  CHECK(strstr(found("permit", NULL, 77)->text, "row 3"));
  CHECK(found("permit", NULL, 7));
  CHECK(strstr(found("permit", "papers", 18)->text, "default"));
  CHECK_EQ(report.differences, 8 + 3); // and the open permits of papers and above hold one less
  bed_remove(&bed);
}

TEST(ledger_audit, topics_chains_and_latches_are_checked) {
  struct bed bed;
  make(&bed);
  const int64_t throttled = sql_number(bed.path, "SELECT last_seq FROM topic WHERE name = 'CONCURRENCY_THROTTLED'");
  change(&bed, "UPDATE topic SET last_seq = last_seq - 1 WHERE name = 'CONCURRENCY_THROTTLED'");
  change(&bed, "UPDATE journal SET prev = prev - 1 WHERE event = 'CONCURRENCY_THROTTLED' AND budget = 'research'");
  change(&bed, "UPDATE token_budget SET throttled = 0 WHERE name = 'papers'");
  audit(&bed);
  CHECK_EQ(report.differences, 3);
  expect("topic", "CONCURRENCY_THROTTLED", 0, throttled - 1, throttled);
  expect("prev", "CONCURRENCY_THROTTLED", 0, throttled - 2, throttled - 1);
  expect("throttled", "papers", 0, 0, 1);

  change(&bed, "UPDATE journal SET budget = 'papers' WHERE event = 'CONCURRENCY_THROTTLED'");
  audit(&bed);
  CHECK(strstr(found("throttled", "papers", 0)->text, "second CONCURRENCY_THROTTLED"));
  CHECK(strstr(found("throttled", "research", 0)->text, "second CONCURRENCY_RESTORED"));
  bed_remove(&bed);
}

TEST(ledger_audit, budgets_that_went_must_have_come_to_nothing) {
  struct bed bed;
  make(&bed);
  const int64_t used = sql_number(bed.path, "SELECT sum(used_delta) FROM journal WHERE budget = 'papers'");
  change(&bed, "DELETE FROM token_budget WHERE name = 'papers'");
  audit(&bed);
  expect("budget", "papers", 0, 0, used);
  bed_remove(&bed);
}

TEST(ledger_audit, many_differences_are_counted_and_some_told) {
  struct bed bed;
  make(&bed);
  change(&bed,
         "UPDATE journal SET prev = prev + 1000; UPDATE token_budget SET total_used = 1; UPDATE journal SET budget "
         "= x'ff0a' || 'x' WHERE seq = 1");
  audit(&bed);
  CHECK(report.differences > HG_AUDIT_LISTED_MAX);
  unsigned chains = 0;
  for (uint32_t i = 0; i < report.listed; i++)
    chains += strcmp(report.list[i].check, "prev") == 0;
  CHECK_EQ(chains, HG_AUDIT_LISTED_MAX / HG_AUDIT_CHECKS); // so that there is room for the others
  (void)found("used", "default", 0);
  for (uint32_t i = 0; i < report.listed; i++)
    CHECK(hg_text_valid(hg_text_of(report.list[i].text)) && hg_text_valid(hg_text_of(report.list[i].subject)));
  bed_remove(&bed);
}

// What is written while an audit is under way is none of its business.
TEST(ledger_audit, is_exact_while_more_is_written) {
  struct bed bed;
  struct story story;
  hg_error why = HG_ERROR_INIT;
  bool done = false;
  bed_make(&bed);
  struct hg_ledger *ledger = story_open(&bed, &story);
  tell_everything(&story);
  story_write(&story, ledger);
  const uint64_t upto = story.seq;
  unsigned portions = 0;
  for (bool anew = true; !done; anew = false) {
    CHECK_EQ(hg_ledger_audit(ledger, anew, 3, &report, &done, &why), HG_OK);
    const uint64_t id = 1000 + portions++;
    story_reserve(&story, id, (uint32_t)(id % BUDGETS), 100, "meanwhile");
    if (portions % 2) story_settle(&story, id, (uint32_t)(id % BUDGETS), 100, 5, false);
    if (portions == 2) story_settle(&story, 5, PAPERS, 100, 40, false); // open when the audit began
    if (portions == 3) story_settle(&story, 32, PAPERS, 100, 40, true); // orphaned then
    if (portions == 4) story_throttle(&story, PAPERS, false);
    story_write(&story, ledger);
    if (portions % 5 == 0) CHECK_EQ(hg_ledger_checkpoint(ledger, true, &why), HG_OK);
  }
  if (report.differences) print_report();
  CHECK_EQ(report.differences, 0);
  CHECK_EQ(report.seq, upto);
  CHECK_EQ(report.rows, upto);
  CHECK(portions > upto / 3 + 60 / 3);

  // A new one sees it all, and one that is begun anew leaves the other one behind.
  CHECK_EQ(hg_ledger_audit(ledger, true, 3, &report, &done, &why), HG_OK);
  story_usage(&story, DEFAULT, 1, "one more", false);
  story_write(&story, ledger);
  CHECK_EQ(hg_ledger_audit(ledger, true, AT_ONCE, &report, &done, &why), HG_OK);
  while (!done)
    CHECK_EQ(hg_ledger_audit(ledger, false, AT_ONCE, &report, &done, &why), HG_OK);
  CHECK_EQ(report.differences, 0);
  CHECK_EQ(report.seq, story.seq);
  story_end(&story);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  expect_clean(&bed);
  bed_remove(&bed);
}
