// Results in the order of the batch file.
// links: program
#include "batch/order.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct files {
  char folder[64], input[96], output[96], temporary[112];
};

static void write_text(const char *path, const char *text) {
  FILE *to = fopen(path, "w");
  CHECK(to && fputs(text, to) >= 0 && fclose(to) == 0);
}

static void begin(struct files *files, const char *input, const char *output) {
  snprintf(files->folder, sizeof files->folder, "/tmp/hg-order-XXXXXX");
  CHECK(mkdtemp(files->folder) != NULL);
  snprintf(files->input, sizeof files->input, "%s/batch.jsonl", files->folder);
  snprintf(files->output, sizeof files->output, "%s/results.jsonl", files->folder);
  snprintf(files->temporary, sizeof files->temporary, "%s.ordered", files->output);
  write_text(files->input, input);
  write_text(files->output, output);
}

static void end(struct files *files) {
  CHECK(access(files->temporary, F_OK) != 0);
  unlink(files->input);
  unlink(files->output);
  CHECK_EQ(rmdir(files->folder), 0);
}

static void check_text(const char *path, const char *wanted) {
  static char text[65536];
  FILE *from = fopen(path, "r");
  CHECK(from != NULL);
  text[fread(text, 1, sizeof text - 1, from)] = '\0';
  fclose(from);
  CHECK_STR(text, wanted);
}

#define LINE(id) "{\"custom_id\":\"" id "\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":{}}\n"
#define RESULT(id)                                                                                                     \
  "{\"id\":\"batch_req_1\",\"custom_id\":\"" id                                                                        \
  "\",\"response\":{\"status_code\":200,\"request_id\":\"r\",\"body\":{\"of\":\"" id "\"}},\"error\":null}\n"

static bool put_in_order(struct files *files) {
  hg_error why = HG_ERROR_INIT;
  bool changed;
  const hg_err err = hg_order_results(files->input, files->output, &changed, &why);
  if (err != HG_OK) fprintf(stderr, "%s\n", why.text);
  CHECK_EQ(err, HG_OK);
  return changed;
}

TEST(batch_order, lines_are_put_where_they_belong) {
  struct files files;
  begin(&files, LINE("a") LINE("b") LINE("c") LINE("d"), RESULT("d") RESULT("b") RESULT("a"));
  CHECK_EQ(chmod(files.output, 0640), 0);
  write_text(files.temporary, "of a run that died here");
  CHECK(put_in_order(&files));
  check_text(files.output, RESULT("a") RESULT("b") RESULT("d"));
  struct stat found;
  CHECK(stat(files.output, &found) == 0 && (found.st_mode & 0777) == 0640);
  CHECK(!put_in_order(&files));
  end(&files);
}

TEST(batch_order, what_the_batch_file_does_not_have_stays_behind) {
  struct files files;
  begin(&files, "no JSON\n\n{\"custom_id\":\"older\"}\n" LINE("b") LINE("a") LINE("b"),
        RESULT("old") RESULT("a") RESULT("older") RESULT("b"));
  CHECK(put_in_order(&files));
  check_text(files.output, RESULT("b") RESULT("a") RESULT("old") RESULT("older"));
  end(&files);
}

TEST(batch_order, nothing_is_changed_where_all_is_right) {
  struct files files;
  begin(&files, LINE("a") LINE("b"), "");
  CHECK(!put_in_order(&files));
  check_text(files.output, "");
  write_text(files.output, RESULT("a") RESULT("b"));
  struct stat before, after;
  CHECK_EQ(stat(files.output, &before), 0);
  CHECK(!put_in_order(&files));
  CHECK(stat(files.output, &after) == 0 && before.st_ino == after.st_ino);
  end(&files);
}

TEST(batch_order, what_fails_leaves_the_results) {
  struct files files;
  hg_error why = HG_ERROR_INIT;
  bool changed = true;
  begin(&files, LINE("a") LINE("b"), RESULT("b") RESULT("a"));
  CHECK_EQ(mkdir(files.temporary, 0700), 0); // in the way
  CHECK_EQ(hg_order_results(files.input, files.output, &changed, &why), HG_ERR_STORE);
  CHECK(!changed && strstr(why.text, ".ordered"));
  check_text(files.output, RESULT("b") RESULT("a"));
  CHECK_EQ(rmdir(files.temporary), 0);
  unlink(files.input);
  CHECK_EQ(hg_order_results(files.input, files.output, &changed, &why), HG_ERR_SYSTEM);
  CHECK_EQ(mkfifo(files.input, 0600), 0); // nobody will ever write to it
  CHECK_EQ(hg_order_results(files.input, files.output, &changed, &why), HG_ERR_SYSTEM);
  CHECK(strstr(why.text, files.input) && strstr(why.text, "no file"));
  check_text(files.output, RESULT("b") RESULT("a"));
  end(&files);
}
