// links: program
// A batch run's files together: what runs, what a resume skips, what is refused and where it is told.
#include "unit/batch_run.h"

#include <signal.h>
#include <sys/resource.h>

static void check_error(const char *path, unsigned n, const char *custom_id, const char *code, const char *words,
                        int line) {
  json_t *tree = line_at(path, n);
  const json_t *error = json_object_get(tree, "error"), *id = json_object_get(tree, "custom_id");
  if (custom_id) CHECK_STR(json_string_value(id), custom_id);
  else CHECK(json_is_null(id));
  CHECK_STR(json_string_value(json_object_get(error, "code")), code);
  CHECK(strstr(json_string_value(json_object_get(error, "message")), words) != NULL);
  CHECK_EQ(json_integer_value(json_object_get(error, "line")), line);
  CHECK(json_is_null(json_object_get(tree, "response")));
  json_decref(tree);
}

TEST(batch_run, runs_once_and_resumes) {
  struct run run;
  run_new(&run);
  write_text(run.input, LINE("a", "{}") LINE("-b", "{}") LINE("c", "{}"));
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_STR(run_all(&run), "a -b c ");
  struct hg_batch_counts counts = counts_of(&run);
  CHECK(counts.lines == 3 && counts.done_now == 2 && counts.failed == 1 && counts.running == 0 &&
        counts.done_before == 0);
  hg_batch_close(&run.batch);
  json_t *failed = line_at(run.errors, 0);
  CHECK_STR(json_string_value(json_object_get(failed, "custom_id")), "-b");
  CHECK_EQ(json_integer_value(json_object_get(json_object_get(failed, "response"), "status_code")), 400);
  json_decref(failed);

  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_STR(run_all(&run), "-b "); // what failed is tried again, what succeeded is not
  counts = counts_of(&run);
  CHECK(counts.lines == 3 && counts.done_before == 2 && counts.done_now == 0 && counts.failed == 1 &&
        counts.results == 2);
  run_end(&run);
}

TEST(batch_run, no_failure_leaves_no_errors_file) {
  struct run run;
  run_new(&run);
  write_text(run.input, "\xEF\xBB\xBF\r\n" LINE("a", "{}"));
  write_text(run.errors, "{\"custom_id\":\"old\",\"response\":null,\"error\":{\"code\":\"request_timeout\"}}\n");
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_STR(hg_batch_errors_path(run.batch), run.errors);
  CHECK_STR(run_all(&run), "a ");
  CHECK(access(run.errors, F_OK) == 0); // there while the run goes on
  hg_batch_close(&run.batch);
  CHECK(access(run.errors, F_OK) != 0);
  run_end(&run);
}

TEST(batch_run, bad_lines_and_duplicates_are_told_and_the_rest_runs) {
  struct run run;
  run_new(&run);
  write_text(run.input, LINE("a", "{}") "oops\n\n" LINE("a", "{\"other\":1}") LINE("b", "[]") LINE("c", "{}"));
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_STR(run_all(&run), "a c ");
  struct hg_batch_counts counts = counts_of(&run);
  CHECK(counts.lines == 5 && counts.bad == 2 && counts.duplicates == 1 && counts.done_now == 2 && counts.failed == 0);
  check_error(run.errors, 0, NULL, "invalid_line", "line 2, byte 1", 2);
  check_error(run.errors, 1, "a", "duplicate_custom_id", "line 4", 4);
  check_error(run.errors, 2, "b", "invalid_line", "\"body\" is not an object", 5);
  hg_batch_close(&run.batch);

  run_open(&run, HG_CHANGED_STOP, NULL); // on a resume the duplicate is still one
  CHECK_STR(run_all(&run), "");
  CHECK_EQ(counts_of(&run).duplicates, 1);
  CHECK_EQ(counts_of(&run).done_before, 2);
  run_end(&run);
}

TEST(batch_run, a_line_that_is_too_long_is_told) {
  struct run run;
  run_new(&run);
  const size_t len = HG_BODY_MAX + 100;
  char *text = malloc(len + 200);
  CHECK(text != NULL);
  memset(text, 'x', len);
  strcpy(text + len, "\n" LINE("a", "{}"));
  write_text(run.input, text);
  free(text);
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_STR(run_all(&run), "a ");
  CHECK_EQ(counts_of(&run).bad, 1);
  check_error(run.errors, 0, NULL, "invalid_line", "line 1: it is longer than", 1);
  run_end(&run);
}

TEST(batch_run, a_changed_request) {
  struct run run;
  const struct hg_batch_line *line;
  hg_error why = HG_ERROR_INIT;
  run_new(&run);
  write_text(run.input, LINE("a", "{}") LINE("b", "{}"));
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_STR(run_all(&run), "a b ");
  hg_batch_close(&run.batch);
  write_text(run.input, LINE("a", "{}") LINE("b", "{\"new\":1}") LINE("c", "{}"));

  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_EQ(hg_batch_next(run.batch, &line, &why), HG_ERR_CONFLICT);
  CHECK(strstr(why.text, "\"b\"") && strstr(why.text, "line 2") && strstr(why.text, "--changed redo"));
  hg_batch_close(&run.batch);

  run_open(&run, HG_CHANGED_KEEP, NULL);
  CHECK_STR(run_all(&run), "c ");
  CHECK_EQ(counts_of(&run).changed, 1);
  CHECK_EQ(counts_of(&run).done_before, 2);
  hg_batch_close(&run.batch);

  run_open(&run, HG_CHANGED_REDO, NULL);
  CHECK_STR(run_all(&run), "b ");
  CHECK_EQ(counts_of(&run).done_before, 2);
  CHECK_EQ(counts_of(&run).done_now, 1);
  hg_batch_close(&run.batch);

  run_open(&run, HG_CHANGED_STOP, NULL); // the newer of the two results of "b" counts
  CHECK_STR(run_all(&run), "");
  CHECK_EQ(counts_of(&run).results, 3);
  run_end(&run);
}

TEST(batch_run, another_model_is_another_request) {
  struct run run;
  const struct hg_batch_line *line;
  run_new(&run);
  write_text(run.input, LINE("a", "{}"));
  run_open(&run, HG_CHANGED_STOP, "small");
  CHECK_STR(run_all(&run), "a ");
  hg_batch_close(&run.batch);
  run_open(&run, HG_CHANGED_STOP, "small");
  CHECK_STR(run_all(&run), "");
  hg_batch_close(&run.batch);
  run_open(&run, HG_CHANGED_STOP, "large");
  CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_ERR_CONFLICT);
  hg_batch_close(&run.batch);
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_ERR_CONFLICT);
  run_end(&run);
}

TEST(batch_run, results_of_other_programs_count_as_done) {
  struct run run;
  run_new(&run);
  write_text(run.input, LINE("a", "{}") LINE("b", "{}"));
  write_text(run.output,
             "{\"id\":\"batch_req_x\",\"custom_id\":\"b\",\"response\":{\"status_code\":200,\"request_id\":\"r\","
             "\"body\":{}},\"error\":null}\n{\"id\":\"vllm-1\",\"custom_id\":\"a\",\"response\":{\"status_code\":"
             "500,\"body\":null},\"error\":\"broken\"}\n");
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_STR(run_all(&run), "a ");
  run_end(&run);
}

TEST(batch_run, lines_that_are_left_run_the_next_time) {
  struct run run;
  const struct hg_batch_line *line;
  run_new(&run);
  write_text(run.input, LINE("a", "{}") LINE("b", "{}"));
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_OK);
  CHECK(hg_batch_leave(run.batch, line->id_hash));
  CHECK(!hg_batch_leave(run.batch, line->id_hash));
  const struct hg_result late = {.custom_id = "a", .status = 200};
  CHECK_EQ(hg_batch_finish_ok(run.batch, line->id_hash, &late, NULL), HG_ERR_INVALID);
  CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_OK);
  finish(&run, line, true);
  CHECK_EQ(hg_batch_sync(run.batch, NULL), HG_OK);
  CHECK_EQ(counts_of(&run).left, 1);
  CHECK_EQ(counts_of(&run).done_now, 1);
  hg_batch_close(&run.batch);
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_STR(run_all(&run), "a ");
  run_end(&run);
}

TEST(batch_run, an_input_that_changes_while_it_runs) {
  struct run run;
  const struct hg_batch_line *line;
  run_new(&run);
  enum { LINES = 3000 };
  FILE *file = fopen(run.input, "w");
  CHECK(file != NULL);
  for (int i = 0; i < LINES; i++)
    fprintf(file, "{\"custom_id\":\"%d\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":{}}\n", i);
  fclose(file);
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_OK);
  finish(&run, line, true);
  CHECK(truncate(run.input, 100000) == 0); // in the middle of a line
  unsigned ran = 1;
  hg_err err;
  while ((err = hg_batch_next(run.batch, &line, NULL)) == HG_OK)
    finish(&run, line, true), ran++;
  CHECK_EQ(err, HG_ERR_EMPTY);
  CHECK(ran > 1000 && ran < LINES);
  CHECK_EQ(counts_of(&run).bad, 1);
  write_text(run.input, "");
  CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_ERR_EMPTY);
  CHECK_EQ(hg_batch_sync(run.batch, NULL), HG_OK);
  run_end(&run);
}

TEST(batch_run, a_full_disk_loses_nothing) {
  struct run run;
  const struct hg_batch_line *line;
  run_new(&run);
  write_text(run.input, LINE("a", "{}") LINE("-b", "{}"));
  run_open(&run, HG_CHANGED_STOP, NULL);
  struct rlimit before, little;
  signal(SIGXFSZ, SIG_IGN);
  CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
  little = before;
  little.rlim_cur = 20;
  CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_OK);
  finish(&run, line, true);
  CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_OK);
  finish(&run, line, false);
  CHECK(setrlimit(RLIMIT_FSIZE, &little) == 0);
  const hg_err err = hg_batch_sync(run.batch, NULL);
  CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
  CHECK_EQ(err, HG_ERR_STORE);
  check_file(run.output, "");
  CHECK_EQ(hg_batch_sync(run.batch, NULL), HG_OK);
  hg_batch_close(&run.batch);
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_STR(run_all(&run), "-b ");
  run_end(&run);
}

TEST(batch_run, results_that_are_moved_away_are_noticed) {
  struct run run;
  const struct hg_batch_line *line;
  hg_error why = HG_ERROR_INIT;
  char aside[PATH_MAX];
  run_new(&run);
  strcpy(aside, scratch_file(&run.scratch, "aside"));
  write_text(run.input, LINE("a", "{}") LINE("b", "{}"));
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_OK);
  finish(&run, line, true);
  CHECK_EQ(hg_batch_sync(run.batch, NULL), HG_OK);
  CHECK(rename(run.output, aside) == 0);
  CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_OK);
  finish(&run, line, true);
  CHECK_EQ(hg_batch_sync(run.batch, &why), HG_ERR_STORE);
  CHECK(strstr(why.text, "was moved or removed") != NULL);
  write_text(run.output, "mine"); // not the file either
  CHECK_EQ(hg_batch_sync(run.batch, NULL), HG_ERR_STORE);
  check_file(run.output, "mine");
  CHECK(rename(aside, run.output) == 0);
  CHECK_EQ(hg_batch_sync(run.batch, NULL), HG_OK);
  hg_batch_close(&run.batch);
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_EQ(counts_of(&run).results, 2);
  run_end(&run);
}

// Bad lines alone, far more than a group holds: `next` makes room by itself.
TEST(batch_run, a_file_of_nothing_but_bad_lines) {
  struct run run;
  const struct hg_batch_line *line;
  run_new(&run);
  FILE *file = fopen(run.input, "w");
  CHECK(file != NULL);
  for (int i = 0; i < 60000; i++)
    fputs("bad\n", file);
  fclose(file);
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_EQ(hg_batch_next(run.batch, &line, NULL), HG_ERR_EMPTY);
  CHECK_EQ(counts_of(&run).bad, 60000);
  CHECK_EQ(hg_batch_sync(run.batch, NULL), HG_OK);
  check_error(run.errors, 59999, NULL, "invalid_line", "line 60000", 60000);
  run_end(&run);
}

// Crashes at random places: whatever was synced is not run again, whatever was not is, and each result is there once.
TEST(batch_run, random_crashes_and_resumes) {
  uint64_t random = test_seed();
  enum { LINES = 120 };
  struct run run;
  run_new(&run);
  FILE *file = fopen(run.input, "w");
  CHECK(file != NULL);
  for (int i = 0; i < LINES; i++)
    fprintf(file, "{\"custom_id\":\"%d\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":{\"n\":%d}}\n", i, i);
  fclose(file);
  unsigned durable = 0, crashes = 0;
  for (bool ended = false; !ended;) {
    run_open(&run, HG_CHANGED_STOP, NULL);
    CHECK_EQ(counts_of(&run).results, durable);
    unsigned waiting = 0;
    for (uint64_t steps = 1 + test_random(&random, 20); steps > 0 && !ended; steps--) {
      const struct hg_batch_line *line;
      ended = hg_batch_next(run.batch, &line, NULL) == HG_ERR_EMPTY;
      if (!ended) finish(&run, line, true), waiting++;
      if (!ended && test_random(&random, 4)) continue;
      CHECK_EQ(hg_batch_sync(run.batch, NULL), HG_OK);
      durable += waiting;
      waiting = 0;
    }
    hg_batch_close(&run.batch);
    if (ended || (crashes > 0 && test_random(&random, 2))) continue;
    char *text = read_text(run.output); // a line that was being written when the power went
    const size_t len = strlen(text), tail = test_random(&random, 40);
    text = realloc(text, len + 64);
    CHECK(text != NULL);
    memcpy(text + len, "{\"id\":\"batch_req_0000000000000000000000000000", tail);
    write_bytes(run.output, text, len + tail);
    free(text);
    crashes++;
  }
  CHECK_EQ(durable, LINES);
  run_open(&run, HG_CHANGED_STOP, NULL);
  CHECK_STR(run_all(&run), "");
  CHECK(crashes > 0);
  char *text = read_text(run.output);
  unsigned lines = 0;
  for (const char *at = text; (at = strchr(at, '\n')); at++)
    lines++;
  CHECK_EQ(lines, LINES);
  free(text);
  run_end(&run);
}
