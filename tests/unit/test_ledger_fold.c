// Retention: what is old goes, what it added up to stays, and nobody can tell the difference by the sums. Permits that
// have not ended keep their rows.
//
// labels: budget
#include "ledger_story.h"

#define FIRST_US 1763894400000000 // the moment of row n is this + n
#define DAY_US (INT64_C(24) * 60 * 60 * 1000000)

static struct hg_audit_report report; // large

static struct hg_ledger *begin(struct bed *bed, struct story *story) {
  bed_make(bed);
  bed->config.keep_days = 1;
  struct hg_ledger *ledger = story_open(bed, story);
  return ledger;
}

// A pass in which the rows before `seq` are old; audits between its portions.
static uint64_t fold_before(struct hg_ledger *ledger, int64_t seq, uint32_t rows) {
  hg_error why = HG_ERROR_INIT;
  uint64_t folded, all = 0;
  bool more;
  do {
    const hg_err err = hg_ledger_fold(ledger, FIRST_US + seq + DAY_US, rows, &folded, &more, &why);
    if (err != HG_OK) fprintf(stderr, "%s\n", why.text);
    CHECK_EQ(err, HG_OK);
    CHECK(folded <= rows);
    all += folded;
    story_audit(ledger, 100000);
  } while (more);
  return all;
}

// 10 rows of each kind of permit, and usage.
static void tell_rows(struct story *story, uint64_t first_id) {
  for (uint64_t id = first_id; id < first_id + 10; id++) {
    story_reserve(story, id, (uint32_t)(id % BUDGETS), 50, "task");
    story_usage(story, (uint32_t)(id % BUDGETS), 5, "task", false);
  }
  for (uint64_t id = first_id; id < first_id + 10; id++) {
    if (id % 5 == 0) story_settle(story, id, (uint32_t)(id % BUDGETS), 50, 20, false);
    if (id % 5 == 1) story_release(story, id, (uint32_t)(id % BUDGETS), 50);
    if (id % 5 == 2) story_orphan(story, id, (uint32_t)(id % BUDGETS), 50, "charge");
    if (id % 5 == 3) story_orphan(story, id, (uint32_t)(id % BUDGETS), 50, "keep");
  }
}

static int64_t numbers(struct hg_ledger *ledger) {
  return sql_in(ledger->db, "SELECT sum(total_used) * 1000000 + sum(reserved) FROM token_budget");
}

TEST(ledger_fold, sums_stay_and_permits_that_have_not_ended_keep_their_rows) {
  struct bed bed;
  struct story story;
  struct hg_ledger *ledger = begin(&bed, &story);
  tell_rows(&story, 10);
  story_throttle(&story, PAPERS, true);
  const int64_t last_old = (int64_t)story.seq;
  tell_rows(&story, 30);
  story_write(&story, ledger);
  const int64_t before = numbers(ledger), fact_rows = (int64_t)story.seq;
  // 10 usages, 2 settled and 2 released permits, and the throttle; 6 permits have not ended.
  CHECK_EQ(fold_before(ledger, last_old + 1, 7), 10 + 4 + 4 + 1);
  CHECK_EQ(numbers(ledger), before);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM journal"), fact_rows - 19);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM reservation WHERE id < 30"), 6);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM journal WHERE permit < 30"), 6 + 4);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM reservation WHERE id >= 30"), 10);
  CHECK_EQ(sql_in(ledger->db, "SELECT sum(used) FROM fold"), 10 * 5 + 2 * 20);
  CHECK_EQ(sql_in(ledger->db, "SELECT max(upto) FROM fold"), last_old);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM fold WHERE reserved <> 0"), 0);
  CHECK_EQ(fold_before(ledger, last_old + 1, 7), 0); // once is enough

  // When they end they go too, once their end is old.
  story_settle(&story, 12, DEFAULT, 50, 9, true);
  story_settle(&story, 13, RESEARCH, 50, 9, false);
  story_settle(&story, 14, PAPERS, 50, 9, false);
  story_usage(&story, DEFAULT, 1, "last", false);
  story_write(&story, ledger);
  CHECK_EQ(fold_before(ledger, (int64_t)story.seq - 3, 1000), 10 + 4 + 4); // the second ten
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM reservation WHERE id IN (12, 13, 14)"), 3);
  CHECK_EQ(fold_before(ledger, (int64_t)story.seq, 1000), 3 + 3 + 2);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM reservation WHERE id IN (12, 13, 14)"), 0);
  story_close(&bed, &story, ledger);
}

TEST(ledger_fold, an_opening_goes_on_from_a_journal_that_is_all_folded) {
  struct bed bed;
  struct hg_ledger_state state, again;
  struct story story;
  struct hg_ledger *ledger = begin(&bed, &story);
  tell_rows(&story, 10);
  for (uint64_t id = 12; id < 20; id++)
    if (id % 5 > 1) story_settle(&story, id, (uint32_t)(id % BUDGETS), 50, 7, id % 5 == 2);
  story_throttle(&story, PAPERS, true);
  story_write(&story, ledger);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  ledger = bed_open(&bed, &state);
  CHECK_EQ(fold_before(ledger, (int64_t)story.seq + 1, 1000), story.seq);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM journal"), 0);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM journal_detail"), 0);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM reservation"), 0);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  ledger = bed_open(&bed, &again);
  CHECK_EQ(again.last_seq, state.last_seq);
  CHECK(memcmp(again.topic_last, state.topic_last, sizeof again.topic_last) == 0);
  for (uint32_t i = 0; i < BUDGETS; i++)
    CHECK(again.budgets[i].used == state.budgets[i].used && again.budgets[i].reserved == state.budgets[i].reserved &&
          again.budgets[i].throttled == state.budgets[i].throttled);
  story_throttle(&story, PAPERS, false); // names rows that are gone
  story_usage(&story, PAPERS, 3, "on", false);
  story_write(&story, ledger);
  story_audit(ledger, 100000);
  hg_ledger_state_clear(&state);
  hg_ledger_state_clear(&again);
  story_close(&bed, &story, ledger);
}

TEST(ledger_fold, nothing_goes_for_ever_and_usage_ids_go_with_their_rows) {
  struct bed bed;
  struct story story;
  struct hg_ledger *ledger = begin(&bed, &story);
  for (unsigned i = 0; i < 20; i++)
    story_usage(&story, DEFAULT, 1, "task", false);
  story_write(&story, ledger);
  CHECK_EQ(sqlite3_exec(ledger->db, "INSERT INTO usage_id SELECT 'id-' || seq, seq, 7 FROM journal", NULL, NULL, NULL),
           SQLITE_OK);
  bed.config.keep_days = 0;
  CHECK_EQ(fold_before(ledger, 1000, 5), 0);
  bed.config.keep_days = 1;
  CHECK_EQ(fold_before(ledger, -5, 5), 0);
  CHECK_EQ(fold_before(ledger, 8, 5), 7);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM usage_id"), 13);
  CHECK_EQ(sql_in(ledger->db, "SELECT min(seq) FROM usage_id"), 8);
  // A row whose clock ran ahead stays until its time comes, whatever comes behind it.
  CHECK_EQ(sqlite3_exec(ledger->db, "UPDATE journal SET at = at + 1000000000 WHERE seq = 10", NULL, NULL, NULL),
           SQLITE_OK);
  CHECK(fold_before(ledger, 21, 5) <= 12);
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM journal WHERE seq = 10"), 1);
  story_close(&bed, &story, ledger);
}

// An audit finds what was changed in a fold, and rows that are gone without one.
TEST(ledger_fold, audits_count_what_was_folded) {
  struct bed bed;
  struct story story;
  hg_error why = HG_ERROR_INIT;
  bool done = false;
  struct hg_ledger *ledger = begin(&bed, &story);
  tell_rows(&story, 10);
  tell_rows(&story, 30);
  story_write(&story, ledger);
  CHECK(fold_before(ledger, 29, 9) > 0);
  CHECK_EQ(sqlite3_exec(ledger->db,
                        "UPDATE fold SET used = used + 4 WHERE budget = 'papers';"
                        "UPDATE reservation SET tokens = tokens + 1 WHERE id = 14;"
                        "DELETE FROM journal WHERE seq = (SELECT max(seq) - 5 FROM journal)",
                        NULL, NULL, NULL),
           SQLITE_OK);
  for (bool anew = true; !done; anew = false)
    CHECK_EQ(hg_ledger_audit(ledger, anew, 100000, &report, &done, &why), HG_OK);
  bool used = false, sequence = false, permit = false;
  for (uint32_t i = 0; i < report.listed; i++) {
    used |= strcmp(report.list[i].check, "used") == 0 && strcmp(report.list[i].subject, "papers") == 0;
    sequence |= strcmp(report.list[i].check, "sequence") == 0;
    permit |= strcmp(report.list[i].check, "permit") == 0 && report.list[i].permit == 14;
  }
  CHECK(used && sequence && permit);
  story_close(&bed, &story, ledger);
}

static uint64_t draw(uint64_t *seed, uint64_t below) {
  *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (*seed >> 33) % below;
}

#define PLACES 8 // each has one permit at a time, of the budget place % BUDGETS

// A permit that has not ended, as far as the story knows.
struct open_permit {
  uint64_t id; // 0: none
  int64_t tokens;
  uint64_t lender; // 0: nobody lent it its reservation
};

// What lent this one its reservation, when it is open still.
static struct open_permit *lender_of(struct open_permit open[PLACES], const struct open_permit *permit) {
  for (uint32_t i = 0; permit->lender && i < PLACES; i++)
    if (open[i].id == permit->lender) return &open[i];
  return NULL;
}

static void tell_opening(struct story *story, uint64_t *seed, struct open_permit open[PLACES], uint32_t place,
                         uint64_t id) {
  const uint32_t budget = place % BUDGETS;
  struct open_permit *lender = &open[(place + BUDGETS) % PLACES];
  if ((place + BUDGETS) % PLACES % BUDGETS != budget || lender->tokens < 10 || draw(seed, 4) == 0) {
    open[place] = (struct open_permit){id, 40, 0};
    story_reserve(story, id, budget, 40, "task");
  } else {
    open[place] = (struct open_permit){id, 1 + (int64_t)draw(seed, (uint64_t)lender->tokens), lender->id};
    lender->tokens -= open[place].tokens;
    story_lend(story, id, lender->id, budget, open[place].tokens);
  }
}

static void tell_lent_end(struct story *story, uint64_t *seed, uint32_t budget, const struct open_permit *permit,
                          struct open_permit *lender) {
  const int64_t used = (int64_t)draw(seed, (uint64_t)permit->tokens + 1);
  const uint64_t how = draw(seed, 3);
  lender->tokens += how == 0 ? permit->tokens - used : permit->tokens;
  if (how == 0) story_settle_lent(story, permit->id, lender->id, budget, permit->tokens, used);
  else story_release_lent(story, permit->id, lender->id, budget, permit->tokens, how == 1);
}

static void tell_end(struct story *story, uint64_t *seed, struct open_permit open[PLACES], uint32_t place) {
  const uint32_t budget = place % BUDGETS;
  const struct open_permit permit = open[place];
  struct open_permit *lender = lender_of(open, &permit);
  const uint64_t how = draw(seed, 5);
  open[place] = (struct open_permit){.id = 0};
  if (lender && draw(seed, 2)) tell_lent_end(story, seed, budget, &permit, lender);
  else if (how == 0 && !lender) story_settle(story, permit.id, budget, permit.tokens, (int64_t)draw(seed, 60), false);
  else if (how == 1 && !lender) story_release(story, permit.id, budget, permit.tokens);
  else if (how == 2 && !lender) story_orphan(story, permit.id, budget, permit.tokens, "release");
  else if (how == 3) story_orphan(story, permit.id, budget, permit.tokens, "keep");
  else {
    story_orphan(story, permit.id, budget, permit.tokens, "charge"); // and much later, or never
    if (draw(seed, 2)) story_settle(story, permit.id, budget, permit.tokens, 3, true);
  }
}

static void tell_something(struct story *story, uint64_t *seed, struct open_permit open[PLACES], uint64_t *next_id) {
  const uint32_t place = (uint32_t)draw(seed, PLACES);
  const uint64_t what = draw(seed, 6);
  if (what < 2) story_usage(story, (uint32_t)draw(seed, BUDGETS), (int64_t)draw(seed, 50), "task", what);
  else if (what == 2 && draw(seed, 4) == 0)
    story_limit(story, place % BUDGETS, 1000000 + (int64_t)draw(seed, 9), "command");
  else if (open[place].id == 0) tell_opening(story, seed, open, place, (*next_id)++);
  else tell_end(story, seed, open, place);
}

TEST(ledger_fold, any_history_folds_without_a_trace) {
  uint64_t seed = hg_test_seed("ledger_fold");
  struct bed bed;
  struct story story;
  struct hg_ledger *ledger = begin(&bed, &story);
  struct open_permit open[PLACES] = {{0}};
  uint64_t next_id = 1, folded = 0;
  const unsigned rounds = hg_test_rounds(60, 10);
  for (unsigned round = 0; round < rounds; round++) {
    for (uint64_t i = draw(&seed, 40) + 1; i > 0; i--)
      tell_something(&story, &seed, open, &next_id);
    story_write(&story, ledger);
    const int64_t before = numbers(ledger);
    folded += fold_before(ledger, (int64_t)draw(&seed, story.seq + 2), 1 + (uint32_t)draw(&seed, 30));
    CHECK_EQ(numbers(ledger), before);
    CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM journal") + (int64_t)folded, (int64_t)story.seq);
    CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM journal_detail WHERE seq NOT IN (SELECT seq FROM journal)"), 0);
    // Of a permit that has not ended nothing is missing.
    CHECK_EQ(sql_in(ledger->db,
                    "SELECT count(*) FROM reservation AS r WHERE r.state NOT IN ('settled', 'released') AND NOT "
                    "EXISTS (SELECT 1 FROM journal AS j WHERE j.permit = r.id AND event = 'TOKENS_RESERVED')"),
             0);
  }
  CHECK(folded > rounds * 5 / 3);
  story_close(&bed, &story, ledger);
}
