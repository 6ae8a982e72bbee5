// links: program
// How a batch run's files are opened: what is refused and left as it is, what earlier runs left open, inputs that wait.
#include "unit/batch_run.h"

#include <fcntl.h>
#include <poll.h>

// Takes every line as a look does, which finishes none: "a b ".
static const char *look_at_all(struct run *run) {
  static char seen[256];
  const struct hg_batch_line *line;
  hg_err err;
  seen[0] = '\0';
  while ((err = hg_batch_next(run->batch, &line, NULL)) == HG_OK)
    strcat(strcat(seen, line->custom_id), " ");
  CHECK_EQ(err, HG_ERR_EMPTY);
  return seen;
}

TEST(batch_opening, orphans_with_a_line_are_told_before_the_errors_are_emptied) {
  struct run run;
  run_new(&run);
  write_text(run.input, LINE("a", "{}") LINE("-b", "{}") LINE("c", "{}") LINE("d", "{}"));
  run_open(&run, HG_CHANGED_STOP, NULL);
  run_all(&run);
  CHECK_EQ(run.orphans, 0);
  hg_batch_close(&run.batch);
  const uint64_t orphans[] = {104, 999, 102, 101}; // the permits of d, none, -b (in the errors file), a
  struct hg_batch_options options = options_of(&run);
  options.orphans = orphans;
  options.orphan_count = 4;
  run.orphan_error = HG_ERR_STORE; // the first can't be settled: nothing is lost yet
  char *errors = read_text(run.errors);
  CHECK_EQ(hg_batch_open(&options, &run.batch, NULL), HG_ERR_STORE);
  CHECK_EQ(run.orphans, 1);
  check_file(run.errors, errors);
  run.orphan_error = HG_OK;
  run.orphan_text[0] = '\0';
  CHECK_EQ(hg_batch_open(&options, &run.batch, NULL), HG_OK);
  CHECK_STR(run.orphan_text, "101=200{\"t\":1} 104=200{\"t\":1} 102=400{\"t\":1} ");
  check_file(run.errors, "");
  free(errors);
  run_end(&run);
}

// Every ledger gives the same numbers to its first permits.
TEST(batch_opening, lines_of_another_ledger_tell_of_no_orphan_and_are_told_themselves) {
  struct run run;
  const uint64_t orphans[] = {101, 102};
  run_new(&run);
  write_text(run.input, LINE("a", "{}") LINE("-b", "{}"));
  struct hg_batch_options options = options_of(&run);
  options.ledger = 7;
  CHECK_EQ(hg_batch_open(&options, &run.batch, NULL), HG_OK);
  run_all(&run);
  options.orphans = orphans;
  options.orphan_count = 2;
  const uint64_t ledgers[] = {8, 7}; // the errors are there once
  for (size_t i = 0; i < 2; i++) {
    char *errors = i == 0 ? read_text(run.errors) : NULL;
    hg_batch_close(&run.batch);
    options.ledger = ledgers[i];
    CHECK_EQ(hg_batch_open(&options, &run.batch, NULL), HG_OK);
    CHECK_STR(run.orphan_text, ledgers[i] == 7 ? "101=200{\"t\":1} 102=400{\"t\":1} " : "");
    CHECK_EQ(run.others, 2); // both files, and none when it is theirs
    if (errors) write_text(run.errors, errors);
    free(errors);
  }
  run_end(&run);
}

static bool stop_at_the_third(void *context) {
  return ++((struct run *)context)->asked == 3;
}

TEST(batch_opening, a_long_reading_can_be_stopped) {
  struct run run;
  run_new(&run);
  write_text(run.input, LINE("a", "{}") LINE("b", "{}") LINE("-c", "{}") LINE("d", "{}"));
  run_open(&run, HG_CHANGED_STOP, NULL);
  run_all(&run);
  hg_batch_close(&run.batch);
  char *results = read_text(run.output), *errors = read_text(run.errors);
  struct hg_batch_options options = options_of(&run);
  options.is_stopped = stop_at_the_third;
  CHECK_EQ(hg_batch_open(&options, &run.batch, NULL), HG_ERR_CANCELLED);
  check_file(run.output, results);
  check_file(run.errors, errors);
  CHECK_EQ(hg_batch_open(&options, &run.batch, NULL), HG_OK); // and gone on with
  CHECK_EQ(run.asked, 3 + 4);
  CHECK_STR(run_all(&run), "-c ");
  free(results);
  free(errors);
  run_end(&run);
}

TEST(batch_opening, orphans_are_told_before_fresh_moves_their_results_aside) {
  struct run run;
  run_new(&run);
  write_text(run.input, LINE("a", "{}") LINE("b", "{}"));
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_STR(run_all(&run), "a b ");
  hg_batch_close(&run.batch);
  const uint64_t orphans[] = {102};
  struct hg_batch_options options = options_of(&run);
  options.fresh = true;
  options.orphans = orphans;
  options.orphan_count = 1;
  CHECK_EQ(hg_batch_open(&options, &run.batch, NULL), HG_OK);
  CHECK_STR(run.orphan_text, "102=200{\"t\":1} ");
  CHECK_STR(run_all(&run), "a b "); // all the same
  run_end(&run);
}

TEST(batch_opening, fresh_starts_anew_and_keeps_the_old_results) {
  struct run run;
  run_new(&run);
  write_text(run.input, LINE("a", "{}"));
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_STR(run_all(&run), "a ");
  hg_batch_close(&run.batch);
  char *old = read_text(run.output);
  struct hg_batch_options options = options_of(&run);
  options.fresh = true;
  CHECK_EQ(hg_batch_open(&options, &run.batch, NULL), HG_OK);
  CHECK_STR(run_all(&run), "a ");
  check_file(scratch_file(&run.scratch, "out.jsonl.1"), old);
  free(old);
  run_end(&run);
}

TEST(batch_opening, two_runs_on_one_output) {
  struct run run;
  run_new(&run);
  write_text(run.input, LINE("a", "{}"));
  run_open(&run, HG_CHANGED_STOP, NULL);
  struct hg_batch_options options = options_of(&run);
  struct hg_batch *second;
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_batch_open(&options, &second, &why), HG_ERR_BUSY);
  CHECK(strstr(why.text, "another run is writing to") != NULL);
  CHECK_STR(run_all(&run), "a ");
  run_end(&run);
}

static void check_refused_open(struct run *run, const char *words) {
  const struct hg_batch_options options = options_of(run);
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_batch_open(&options, &run->batch, &why), HG_ERR_INVALID);
  if (!strstr(why.text, words)) fprintf(stderr, "%s\n", why.text);
  CHECK(strstr(why.text, words) != NULL);
}

TEST(batch_opening, inputs_that_cannot_be_run) {
  struct run run;
  run_new(&run);
  check_refused_open(&run, "in.jsonl: the batch file can't be read");
  CHECK(access(run.output, F_OK) != 0); // and nothing was made
  strcpy(run.input, run.scratch.directory);
  check_refused_open(&run, "is a directory");
  run_end(&run);
}

TEST(batch_opening, the_input_is_never_overwritten) {
  struct run run;
  run_new(&run);
  static const char text[] = LINE("a", "{}");
  write_text(run.input, text);
  CHECK(symlink(run.input, run.output) == 0);
  check_refused_open(&run, "is the batch file itself");
  CHECK(unlink(run.output) == 0);
  CHECK(link(run.input, run.errors) == 0);
  check_refused_open(&run, "out.errors.jsonl is the batch file itself");
  check_file(run.input, text);
  run_end(&run);
}

// Each of these would be lost if the errors of a run were written over it.
TEST(batch_opening, an_errors_file_that_holds_something_else_is_left_as_it_is) {
  static const char *const texts[] = {
      "{\"custom_id\":\"a\",\"response\":{\"status_code\":200,\"body\":{}},\"error\":null}\n", // another run's results
      "notes of mine\n", "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":{}}\n"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    struct run run;
    run_new(&run);
    write_text(run.input, LINE("a", "{}"));
    write_text(run.errors, texts[i]);
    check_refused_open(&run, i == 0 ? "out.errors.jsonl holds results" : "holds something other than failures");
    check_file(run.errors, texts[i]);
    run_end(&run);
  }
}

TEST(batch_opening, failures_of_every_kind_may_be_written_over) {
  struct run run;
  run_new(&run);
  write_text(run.input, "oops\n" LINE("a", "{}") LINE("a", "{}") LINE("-b", "{}"));
  for (int round = 0; round < 2; round++) {
    run_open(&run, HG_CHANGED_STOP, NULL);
    (void)run_all(&run);
    CHECK_EQ(counts_of(&run).bad, 1);
    hg_batch_close(&run.batch);
  }
  write_text(run.errors, "{\"id\":\"batch_req_00"); // torn
  run_open(&run, HG_CHANGED_STOP, NULL);
  run_end(&run);
}

TEST(batch_opening, an_errors_file_that_somebody_else_made_meanwhile_stays) {
  struct run run;
  run_new(&run);
  write_text(run.input, LINE("a", "{}"));
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_STR(run_all(&run), "a ");
  CHECK(unlink(run.errors) == 0);
  write_text(run.errors, "another file");
  hg_batch_close(&run.batch);
  check_file(run.errors, "another file");
  run_end(&run);
}

// ---------------------------------------------------------------------------------------------- only a look

TEST(batch_opening, a_look_changes_nothing) {
  struct run run;
  run_new(&run);
  write_text(run.input,
             LINE("a", "{}") "oops\n" LINE("-b", "{}") LINE("c", "{}") LINE("c", "{}") LINE("d", "{\"n\":1}"));
  struct hg_batch_options options = options_of(&run);
  options.look_only = true;
  CHECK_EQ(hg_batch_open(&options, &run.batch, NULL), HG_OK);
  CHECK_STR(look_at_all(&run), "a -b c d ");
  CHECK_EQ(run.notes, 2);
  hg_batch_close(&run.batch);
  CHECK(access(run.output, F_OK) != 0 && access(run.errors, F_OK) != 0);

  run_open(&run, HG_CHANGED_STOP, NULL);
  (void)run_all(&run);
  write_text(run.input, LINE("a", "{}") LINE("-b", "{}") LINE("d", "{\"n\":2}") LINE("e", "{}"));
  struct hg_batch *look; // while the run goes on
  options.changed = HG_CHANGED_REDO;
  CHECK_EQ(hg_batch_open(&options, &look, NULL), HG_OK);
  hg_batch_close(&look);
  hg_batch_close(&run.batch);
  char *results = read_text(run.output), *errors = read_text(run.errors);
  results = realloc(results, strlen(results) + 20);
  CHECK(results != NULL);
  strcat(results, "{\"id\":\"batch_r"); // torn
  write_text(run.output, results);
  CHECK_EQ(hg_batch_open(&options, &run.batch, NULL), HG_OK);
  CHECK_STR(look_at_all(&run), "-b d e ");
  CHECK_EQ(counts_of(&run).done_before, 1);
  CHECK_EQ(counts_of(&run).changed, 1);
  hg_batch_close(&run.batch);
  options.fresh = true;
  CHECK_EQ(hg_batch_open(&options, &run.batch, NULL), HG_OK);
  CHECK_STR(look_at_all(&run), "a -b d e ");
  check_file(run.output, results);
  check_file(run.errors, errors);
  CHECK(access(scratch_file(&run.scratch, "out.jsonl.1"), F_OK) != 0);
  hg_batch_close(&run.batch);
  options.output = NULL; // there are no results then
  CHECK_EQ(hg_batch_open(&options, &run.batch, NULL), HG_OK);
  CHECK_STR(look_at_all(&run), "a -b d e ");
  free(results);
  free(errors);
  run_end(&run);
}

// ---------------------------------------------------------------------------------------------- inputs that wait

static void expect_next(struct run *run, const char *custom_id) {
  const struct hg_batch_line *line = NULL;
  CHECK_EQ(hg_batch_next(run->batch, &line, NULL), HG_OK);
  CHECK_STR(line->custom_id, custom_id);
  finish(run, line, true);
}

static bool is_readable(const struct run *run) {
  struct pollfd input = {.fd = hg_batch_input_fd(run->batch), .events = POLLIN};
  return poll(&input, 1, 0) == 1;
}

TEST(batch_opening, a_named_pipe_is_never_waited_for) {
  struct run run;
  const struct hg_batch_line *line;
  run_new(&run);
  CHECK(mkfifo(run.input, 0600) == 0);
  run_open(&run, HG_CHANGED_STOP, NULL); // nobody writes to it yet
  for (int i = 0; i < 3; i++)
    CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_ERR_BUSY);
  CHECK(!is_readable(&run));
  const int writer = open(run.input, O_WRONLY | O_CLOEXEC);
  CHECK(writer >= 0);
  CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_ERR_BUSY);
  CHECK(dprintf(writer, "%s%.20s", LINE("a", "{}"), LINE("b", "{}")) > 0);
  CHECK(is_readable(&run));
  expect_next(&run, "a");
  CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_ERR_BUSY);
  CHECK_EQ(hg_batch_sync(run.batch, NULL), HG_OK); // what came is durable although more may come
  CHECK(dprintf(writer, "%s", &LINE("b", "{}")[20]) > 0);
  expect_next(&run, "b");
  close(writer);
  CHECK(is_readable(&run));
  CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_ERR_EMPTY);
  run_end(&run);
}

TEST(batch_opening, standard_input) {
  struct run run;
  const struct hg_batch_line *line;
  hg_error why = HG_ERROR_INIT;
  int ends[2];
  const int before = dup(STDIN_FILENO);
  run_new(&run);
  strcpy(run.input, "-");
  CHECK(pipe(ends) == 0 && dup2(ends[0], STDIN_FILENO) == STDIN_FILENO);
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_ERR_BUSY);
  CHECK((fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK) == 0); // others may share the descriptor
  CHECK(dprintf(ends[1], "%s", LINE("a", "{}")) > 0);
  expect_next(&run, "a");
  close(ends[1]);
  CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_ERR_EMPTY);
  hg_batch_close(&run.batch);
  CHECK(close(STDIN_FILENO) == 0);
  const struct hg_batch_options options = options_of(&run);
  CHECK_EQ(hg_batch_open(&options, &run.batch, &why), HG_ERR_INVALID);
  CHECK(strstr(why.text, "standard input: the batch file can't be read") != NULL);
  CHECK(dup2(before, STDIN_FILENO) == STDIN_FILENO || before < 0);
  close(ends[0]);
  close(before);
  run_end(&run);
}
