// The ledger in bad times: contradictions, a full disk, a killed process. Nothing acknowledged is lost, and a batch is
// there whole or not at all.
//
// labels: budget
#include "ledger_story.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static struct hg_ledger *begin(struct bed *bed, struct story *story) {
  bed_make(bed);
  struct hg_ledger *ledger = story_open(bed, story);
  return ledger;
}

static uint64_t recover(struct hg_ledger *ledger) {
  hg_error why = HG_ERROR_INIT;
  uint64_t stored = UINT64_MAX;
  const hg_err err = hg_ledger_recover(ledger, &stored, &why);
  if (err != HG_OK) fprintf(stderr, "%s\n", why.text);
  CHECK_EQ(err, HG_OK);
  return stored;
}

// The story as it was: what was told since is forgotten. The bytes are kept, so that they are freed once.
static void story_back(struct story *story, const struct story *before) {
  struct story back = *before;
  back.bytes = story->bytes;
  back.capacity = story->capacity;
  back.size = 0;
  *story = back;
}

enum fault {
  WRONG_SEQ,
  WRONG_PREV,
  WRONG_BUDGET,
  WRONG_USED,
  WRONG_RESERVED,
  NOT_JOURNALLED,
  OVER_RANGE,
  BELOW_ZERO,
  PERMIT_TWICE,
  PERMIT_UNKNOWN,
  POLICY_UNKNOWN,
  PERMIT_ZERO,
  FAULTS
};

// Tells a record that cannot be true.
static void tell_false_record(struct story *story, enum fault fault) {
  struct hg_message event = story_event(story, HG_USAGE_RECORDED, RESEARCH);
  struct hg_usage_recorded_message *usage = &event.as.usage_recorded;
  STORY_TOTALS(story, usage, 5, 0);
  if (fault == WRONG_SEQ) usage->head.seq += 1;
  if (fault == WRONG_PREV) usage->head.prev += 1;
  if (fault == WRONG_BUDGET) usage->head.budget = BUDGETS;
  if (fault == WRONG_USED) usage->used += 1;
  if (fault == WRONG_RESERVED) usage->reserved += 1;
  if (fault == OVER_RANGE) usage->used_delta = HG_TOKENS_MAX;
  if (fault == BELOW_ZERO) usage->reserved_delta = -100000;
  story_put(story, &event);
}

static void tell_fault(struct story *story, enum fault fault) {
  if (fault == PERMIT_TWICE) story_reserve(story, 1, PAPERS, 10, "again");
  else if (fault == PERMIT_UNKNOWN) story_settle(story, 99, PAPERS, 0, 10, false);
  else if (fault == POLICY_UNKNOWN) story_orphan(story, 1, PAPERS, 100, "forgive");
  else if (fault == PERMIT_ZERO) story_reserve(story, 0, PAPERS, 10, "nobody");
  else if (fault == NOT_JOURNALLED) {
    const struct hg_message heartbeat = story_event(story, HG_HEARTBEAT, DEFAULT);
    story_put(story, &heartbeat);
  } else tell_false_record(story, fault);
}

TEST(ledger_faults, contradiction_leaves_nothing_of_its_batch) {
  struct bed bed;
  struct story story;
  struct hg_ledger *ledger = begin(&bed, &story);
  story_reserve(&story, 1, PAPERS, 100, "first");
  story_usage(&story, DEFAULT, 7, "first", false);
  story_write(&story, ledger);
  const struct story before = story;
  for (int fault = 0; fault < FAULTS; fault++) {
    hg_error why = HG_ERROR_INIT;
    for (unsigned i = 0; i < 150; i++)
      story_usage(&story, PAPERS, 3, "lost", i % 2);
    story_reserve(&story, 2, RESEARCH, 11, "lost");
    story_throttle(&story, DEFAULT, true);
    tell_fault(&story, (enum fault)fault);
    CHECK_EQ(story_try_write(&story, ledger, &why), HG_ERR_STORE);
    CHECK_EQ(why.code, HG_ERR_STORE);
    CHECK(strlen(why.text) > 20);
    CHECK_EQ(story_try_write(&story, ledger, &why), HG_ERR_STORE); // refused until it has recovered
    CHECK(strstr(why.text, "recover") != NULL);
    CHECK_EQ(recover(ledger), before.seq);
    CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM journal"), 2);
    CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM reservation"), 1);
    CHECK_EQ(
        sql_in(ledger->db, "SELECT sum(total_used) * 10000 + sum(reserved) * 10 + sum(throttled) FROM token_budget"),
        73000);
    story_back(&story, &before);
  }
  story_settle(&story, 1, PAPERS, 100, 5, false);
  story_write(&story, ledger);
  CHECK_EQ(sql_in(ledger->db, "SELECT total_used FROM token_budget WHERE name = 'default'"), 12);
  story_close(&bed, &story, ledger);
}

TEST(ledger_faults, bytes_that_are_no_event_are_refused) {
  static const uint8_t rubbish[] = {0xc1, 0xff, 0x00, 0x93};
  struct bed bed;
  struct story story;
  struct hg_ledger *ledger = begin(&bed, &story);
  story_usage(&story, DEFAULT, 7, "task", false);
  const struct hg_bytes payloads[] = {{story.bytes, (uint32_t)story.size}, {rubbish, sizeof rubbish}};
  const struct hg_bytes cut = {story.bytes, (uint32_t)story.size - 1};
  hg_error why = HG_ERROR_INIT;
  CHECK(hg_ledger_write(ledger, payloads, 2, &why) != HG_OK);
  CHECK_EQ(recover(ledger), 0);
  CHECK(hg_ledger_write(ledger, &cut, 1, &why) != HG_OK);
  CHECK_EQ(recover(ledger), 0);
  CHECK_EQ(hg_ledger_write(ledger, payloads, 1, &why), HG_OK);
  CHECK_EQ(recover(ledger), 1); // harmless when nothing failed
  story_close(&bed, &story, ledger);
}

static void tell_much(struct story *story, unsigned events) {
  for (unsigned i = 0; i < events; i++)
    story_usage(story, PAPERS, 1, "a task with quite a long name", true);
}

TEST(ledger_faults, full_database_loses_nothing) {
  struct bed bed;
  struct story story;
  struct hg_ledger *ledger = begin(&bed, &story);
  char sql[64];
  hg_error why = HG_ERROR_INIT;
  tell_much(&story, 100);
  story_write(&story, ledger);
  snprintf(sql, sizeof sql, "PRAGMA max_page_count = %lld", (long long)sql_in(ledger->db, "PRAGMA page_count") + 2);
  (void)sql_in(ledger->db, sql);
  tell_much(&story, 5000);
  CHECK_EQ(story_try_write(&story, ledger, &why), HG_ERR_BUSY);
  CHECK(strstr(why.text, "full") != NULL && strstr(why.text, bed.path) != NULL);
  CHECK_EQ(recover(ledger), 100);
  CHECK_EQ(story_try_write(&story, ledger, &why), HG_ERR_BUSY); // still full
  CHECK_EQ(recover(ledger), 100);
  (void)sql_in(ledger->db, "PRAGMA max_page_count = 1000000");
  story_write(&story, ledger); // the same batch
  CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM journal"), 5100);
  CHECK_EQ(sql_in(ledger->db, "SELECT total_used FROM token_budget WHERE name = 'default'"), 5100);
  story_close(&bed, &story, ledger);
}

static void limit_file_size(rlim_t bytes) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
  limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

// The WAL, and then in the recovery the database, cannot be written as far as they must.
static void run_into_file_size(rlim_t room) {
  struct bed bed;
  struct story story;
  struct hg_ledger *ledger = begin(&bed, &story);
  hg_error why = HG_ERROR_INIT;
  uint64_t stored = 0;
  tell_much(&story, 2000);
  story_write(&story, ledger);
  tell_much(&story, 3000);
  limit_file_size(room);
  CHECK_EQ(story_try_write(&story, ledger, &why), HG_ERR_BUSY);
  const hg_err err = hg_ledger_recover(ledger, &stored, &why);
  CHECK(err == HG_OK ? stored == 2000 : err == HG_ERR_BUSY);
  if (err != HG_OK) CHECK_EQ(story_try_write(&story, ledger, &why), HG_ERR_STORE);
  limit_file_size(RLIM_INFINITY);
  CHECK_EQ(recover(ledger), 2000);
  story_write(&story, ledger);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  CHECK_EQ(sql_number(bed.path, "SELECT sum(used_delta) FROM journal"), 5000);
  CHECK_EQ(sql_number(bed.path, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
  story_end(&story);
  bed_remove(&bed);
}

TEST(ledger_faults, files_that_cannot_grow_lose_nothing) {
  signal(SIGXFSZ, SIG_IGN);
  run_into_file_size(64 * 1024);  // not even the checkpoint fits
  run_into_file_size(600 * 1024); // the checkpoint fits
  signal(SIGXFSZ, SIG_DFL);
}

// Writes batches without end, and tells each number once it is acknowledged.
static _Noreturn void write_until_killed(const struct bed *bed, int report) {
  struct story story;
  struct hg_ledger *ledger = story_open(bed, &story);
  for (unsigned round = 0;; round++) {
    for (unsigned i = 0; i < 1 + round % 70; i++)
      story_usage(&story, i % BUDGETS, 1 + i, "task", i % 2);
    story_reserve(&story, story.seq << 8, PAPERS, 9, "task");
    const uint64_t permit = (story.seq - 1) << 8;
    if (round % 2) story_settle(&story, permit, PAPERS, 9, 4, false);
    story_write(&story, ledger);
    hg_error why = HG_ERROR_INIT;
    if (hg_ledger_checkpoint(ledger, round % 16 == 0, &why) != HG_OK) _exit(1);
    if (write(report, &story.seq, sizeof story.seq) != (ssize_t)sizeof story.seq) _exit(1);
  }
}

// Kills a writer after it has acknowledged some batches; returns the newest number that it told.
static uint64_t kill_a_writer(const struct bed *bed, unsigned batches) {
  int pipes[2];
  CHECK(pipe2(pipes, O_CLOEXEC) == 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    close(pipes[0]);
    write_until_killed(bed, pipes[1]);
  }
  close(pipes[1]);
  uint64_t told = 0, newest = 0;
  int status = 0;
  for (unsigned i = 0; i < batches; i++) {
    CHECK_EQ(read(pipes[0], &told, sizeof told), sizeof told);
    newest = told;
  }
  CHECK(kill(child, SIGKILL) == 0);
  while (read(pipes[0], &told, sizeof told) == (ssize_t)sizeof told)
    newest = told;
  close(pipes[0]);
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  return newest;
}

TEST(ledger_faults, killed_writer_loses_nothing_acknowledged) {
  struct bed bed;
  bed_make(&bed);
  const unsigned rounds = hg_test_rounds(12, 3);
  for (unsigned round = 0; round < rounds; round++) {
    const uint64_t acknowledged = kill_a_writer(&bed, 1 + round * 17);
    struct hg_ledger_state state;
    struct hg_ledger *ledger = bed_open(&bed, &state);
    CHECK(state.last_seq >= acknowledged);
    CHECK_EQ(state.opening, 2 * round + 2);
    CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM journal"), state.last_seq);
    CHECK_EQ(sql_in(ledger->db, "SELECT sum(used_delta) FROM journal"), state.budgets[DEFAULT].used);
    CHECK_EQ(sql_in(ledger->db, "SELECT sum(used_delta) FROM journal WHERE budget = 'papers'"),
             state.budgets[PAPERS].used);
    CHECK_EQ(sql_in(ledger->db, "SELECT coalesce(sum(tokens), 0) FROM reservation WHERE state = 'open'"),
             state.budgets[DEFAULT].reserved);
    CHECK_EQ(sql_in(ledger->db, "SELECT count(*) FROM reservation WHERE state = 'open'"), state.permit_count);
    hg_ledger_state_clear(&state);
    CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
    static struct hg_audit_report report;
    CHECK_EQ(hg_ledger_audit_file(&bed.config, &bed.places, &report, NULL), HG_OK);
    CHECK_EQ(report.differences, 0);
  }
  bed_remove(&bed);
}
