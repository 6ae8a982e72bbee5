// links: program
// The results file: repair after a crash at every byte, groups on a failing disk, the lock, --fresh.
#include "batch/results_file.h"
#include "unit/batch_files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

// A disk that fails: these stand before the C library's own, for all code in this program.
static struct {
  uint64_t random;
  unsigned chance; // of 100 calls, how many fail; 0: none
  unsigned failed, cut;
} disk;

static bool disk_fails(void) {
  const bool fails = disk.chance > 0 && test_random(&disk.random, 100) < disk.chance;
  disk.failed += fails;
  if (fails) errno = test_random(&disk.random, 2) ? EIO : ENOSPC;
  return fails;
}

int fdatasync(int fd) {
  return disk_fails() ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate(int fd, off_t length) {
  return disk_fails() ? -1 : (disk.cut++, (int)syscall(SYS_ftruncate, fd, length));
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset) {
  if (disk_fails()) return -1;
  if (disk.chance > 0 && len > 1) len = 1 + test_random(&disk.random, len); // a short write
  return syscall(SYS_pwrite64, fd, data, len, offset);
}

struct heard {
  unsigned lines, notes;
  char ids[256], last_note[512];
  hg_err answer;
};

static hg_err hear_line(void *context, const struct hg_result_line *line) {
  struct heard *heard = context;
  heard->lines++;
  const size_t used = strlen(heard->ids);
  snprintf(heard->ids + used, sizeof heard->ids - used, "%s%s ", line->custom_id, line->succeeded ? "" : "!");
  return heard->answer;
}

static void hear_note(void *context, const char *text) {
  struct heard *heard = context;
  heard->notes++;
  snprintf(heard->last_note, sizeof heard->last_note, "%s", text);
}

static hg_err open_heard(const char *path, bool fresh, struct heard *heard, struct hg_results_file **out,
                         hg_error *why) {
  *heard = (struct heard){.answer = heard->answer};
  const struct hg_results_visitor visitor = {hear_line, hear_note, heard};
  return hg_results_file_open(path, fresh, &visitor, out, why);
}

static struct hg_result result_of(const char *custom_id) {
  return (struct hg_result){
      .custom_id = custom_id, .permit = 7, .request_hash = 8, .status = 200, .body = "{}", .body_len = 2};
}

static void append(struct hg_results_file *file, const char *custom_id) {
  const struct hg_result result = result_of(custom_id);
  CHECK_EQ(hg_results_file_append(file, &result, NULL), HG_OK);
}

static char *lines_of(const char *const *ids, size_t count) {
  struct hg_text_buffer out = {0};
  for (size_t i = 0; i < count; i++) {
    const struct hg_result result = result_of(ids[i]);
    CHECK_EQ(hg_result_line_print(&out, &result), HG_OK);
  }
  CHECK_EQ(hg_text_buffer_add(&out, "", 1), HG_OK);
  return out.data;
}

TEST(batch_results, a_group_is_written_by_its_sync) {
  struct scratch scratch;
  scratch_open(&scratch);
  const char *path = scratch_file(&scratch, "r.jsonl");
  struct hg_results_file *file;
  CHECK_EQ(hg_results_file_open(path, false, NULL, &file, NULL), HG_OK);
  append(file, "a");
  append(file, "b");
  check_file(path, "");
  CHECK_EQ(hg_results_file_sync(file, NULL), HG_OK);
  char *wanted = lines_of((const char *[]){"a", "b"}, 2);
  check_file(path, wanted);
  CHECK_EQ(hg_results_file_length(file), strlen(wanted));
  CHECK_EQ(hg_results_file_sync(file, NULL), HG_OK); // an empty group
  append(file, "lost");
  hg_results_file_close(&file, false);
  CHECK(file == NULL);
  check_file(path, wanted);
  free(wanted);
  struct heard heard = {0};
  CHECK_EQ(open_heard(path, false, &heard, &file, NULL), HG_OK);
  CHECK_STR(heard.ids, "a b ");
  CHECK_EQ(heard.notes, 0);
  hg_results_file_close(&file, true);
  CHECK(access(path, F_OK) == 0);
  scratch_close(&scratch);
}

TEST(batch_results, the_last_line_torn_at_every_byte) {
  struct scratch scratch;
  scratch_open(&scratch);
  const char *path = scratch_file(&scratch, "r.jsonl");
  char *two = lines_of((const char *[]){"a", "b"}, 2), *three = lines_of((const char *[]){"a", "b", "c"}, 3);
  for (size_t len = strlen(two); len <= strlen(three); len++) {
    struct hg_results_file *file;
    struct heard heard = {0};
    write_bytes(path, three, len);
    CHECK_EQ(open_heard(path, false, &heard, &file, NULL), HG_OK);
    const bool whole = len >= strlen(three) - 1;
    CHECK_STR(heard.ids, whole ? "a b c " : "a b ");
    CHECK_EQ(heard.notes, len == strlen(two) || len == strlen(three) ? 0 : 1);
    check_file(path, whole ? three : two);
    append(file, "d");
    CHECK_EQ(hg_results_file_sync(file, NULL), HG_OK);
    hg_results_file_close(&file, false);
    char *after =
        lines_of(whole ? (const char *[]){"a", "b", "c", "d"} : (const char *[]){"a", "b", "d"}, whole ? 4 : 3);
    check_file(path, after);
    free(after);
  }
  free(two);
  free(three);
  scratch_close(&scratch);
}

TEST(batch_results, blocks_that_a_crash_never_filled_are_cut) {
  struct scratch scratch;
  scratch_open(&scratch);
  const char *path = scratch_file(&scratch, "r.jsonl");
  char *one = lines_of((const char *[]){"a"}, 1);
  char data[1024] = "";
  memcpy(data, one, strlen(one));
  write_bytes(path, data, sizeof data);
  struct hg_results_file *file;
  CHECK_EQ(hg_results_file_open(path, false, NULL, &file, NULL), HG_OK);
  CHECK_EQ(hg_results_file_length(file), strlen(one));
  hg_results_file_close(&file, false);
  check_file(path, one);
  free(one);
  scratch_close(&scratch);
}

TEST(batch_results, garbage_is_told_and_kept) {
  struct scratch scratch;
  scratch_open(&scratch);
  const char *path = scratch_file(&scratch, "r.jsonl");
  char *one = lines_of((const char *[]){"a"}, 1), text[1024];
  snprintf(text, sizeof text, "what is this\n%s{\"id\":\"batch_req_torn\n%s\nof mine", one, one);
  write_text(path, text);
  struct hg_results_file *file;
  struct heard heard = {0};
  CHECK_EQ(open_heard(path, false, &heard, &file, NULL), HG_OK);
  CHECK_STR(heard.ids, "a a ");
  CHECK_EQ(heard.notes, 4); // lines 1, 3, 6, and the end that line 6 got
  hg_results_file_close(&file, false);
  strcat(text, "\n");
  check_file(path, text);
  free(one);
  scratch_close(&scratch);
}

TEST(batch_results, a_file_of_something_else_is_not_touched) {
  struct scratch scratch;
  scratch_open(&scratch);
  const char *path = scratch_file(&scratch, "r.jsonl");
  static const char *const others[] = {"{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1\",\"body\":{}}\n",
                                       "my diary", "a\nb\n{"};
  for (size_t i = 0; i < 3; i++) {
    struct hg_results_file *file;
    hg_error why = HG_ERROR_INIT;
    write_text(path, others[i]);
    CHECK_EQ(hg_results_file_open(path, false, NULL, &file, &why), HG_ERR_INVALID);
    CHECK(strstr(why.text, path) && strstr(why.text, "--fresh"));
    check_file(path, others[i]);
  }
  scratch_close(&scratch);
}

// How many descriptors of the file a program that is started from here would get.
static unsigned descriptors_passed_on(const char *path) {
  unsigned count = 0, found = 0;
  for (int fd = 0; fd < 64; fd++) {
    char link[64], target[PATH_MAX] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, target, sizeof target - 1) < 0 || strcmp(target, path) != 0) continue;
    found++;
    count += !(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  }
  CHECK_EQ(found, 1);
  return count;
}

TEST(batch_results, one_run_at_a_time) {
  struct scratch scratch;
  scratch_open(&scratch);
  const char *path = scratch_file(&scratch, "r.jsonl");
  struct hg_results_file *first, *second;
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_results_file_open(path, false, NULL, &first, NULL), HG_OK);
  CHECK_EQ(hg_results_file_open(path, false, NULL, &second, &why), HG_ERR_BUSY);
  CHECK(strstr(why.text, "another run is writing to") && strstr(why.text, path));
  CHECK_EQ(hg_results_file_open(path, true, NULL, &second, &why), HG_ERR_BUSY); // --fresh moves nothing away from a run
  CHECK_EQ(hg_results_file_open_empty(path, NULL, &second, &why), HG_ERR_BUSY);
  hg_results_file_close(&first, false);
  CHECK_EQ(hg_results_file_open(path, false, NULL, &second, NULL), HG_OK);
  CHECK_EQ(descriptors_passed_on(path), 0);
  hg_results_file_close(&second, true);
  CHECK(access(path, F_OK) != 0); // empty, and asked to be removed
  scratch_close(&scratch);
}

TEST(batch_results, fresh_moves_old_results_to_the_first_free_name) {
  struct scratch scratch;
  scratch_open(&scratch);
  char path[PATH_MAX], aside[PATH_MAX + 8];
  strcpy(path, scratch_file(&scratch, "r.jsonl"));
  char *old = lines_of((const char *[]){"a"}, 1);
  write_text(path, old);
  write_text(scratch_file(&scratch, "r.jsonl.1"), "mine");
  struct hg_results_file *file, *second;
  struct heard heard = {0};
  CHECK_EQ(open_heard(path, true, &heard, &file, NULL), HG_OK);
  CHECK_EQ(heard.lines, 1); // of the old file: what they say is not lost
  CHECK_EQ(heard.notes, 1);
  check_file(path, "");
  check_file(scratch_file(&scratch, "r.jsonl.1"), "mine");
  snprintf(aside, sizeof aside, "%s.2", path);
  check_file(aside, old);
  CHECK(strstr(heard.last_note, aside) != NULL);
  CHECK_EQ(hg_results_file_open(path, false, NULL, &second, NULL), HG_ERR_BUSY);
  hg_results_file_close(&file, false);
  CHECK_EQ(open_heard(path, true, &heard, &file, NULL), HG_OK); // an empty file is not worth a name
  CHECK_EQ(heard.notes, 0);
  hg_results_file_close(&file, false);
  free(old);
  scratch_close(&scratch);
}

TEST(batch_results, a_full_disk_and_room_again) {
  struct scratch scratch;
  scratch_open(&scratch);
  const char *path = scratch_file(&scratch, "r.jsonl");
  struct hg_results_file *file;
  hg_error why = HG_ERROR_INIT;
  struct rlimit before, little;
  CHECK_EQ(hg_results_file_open(path, false, NULL, &file, NULL), HG_OK);
  append(file, "a");
  CHECK_EQ(hg_results_file_sync(file, NULL), HG_OK);
  char *one = lines_of((const char *[]){"a"}, 1), *all = lines_of((const char *[]){"a", "b", "c"}, 3);
  append(file, "b");
  signal(SIGXFSZ, SIG_IGN);
  CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
  little = before;
  little.rlim_cur = strlen(one) + 10;
  CHECK(setrlimit(RLIMIT_FSIZE, &little) == 0);
  const hg_err first = hg_results_file_sync(file, &why), second = hg_results_file_sync(file, NULL);
  char *meanwhile = read_text(path);
  CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
  CHECK_EQ(first, HG_ERR_STORE);
  CHECK_EQ(second, HG_ERR_STORE);
  CHECK(strstr(why.text, path) && strstr(why.text, strerror(EFBIG)));
  CHECK_STR(meanwhile, one);
  append(file, "c");
  CHECK_EQ(hg_results_file_sync(file, NULL), HG_OK);
  check_file(path, all);
  hg_results_file_close(&file, false);
  free(one), free(all), free(meanwhile);
  scratch_close(&scratch);
}

// Every call to the disk may fail or write short: what was acknowledged stays, and in the end each line is there once.
TEST(batch_results, a_disk_that_fails_at_random) {
  struct scratch scratch;
  scratch_open(&scratch);
  const char *path = scratch_file(&scratch, "r.jsonl");
  disk.random = test_seed();
  struct hg_results_file *file;
  struct hg_text_buffer all = {0};
  unsigned refused = 0;
  CHECK_EQ(hg_results_file_open(path, false, NULL, &file, NULL), HG_OK);
  for (unsigned n = 0; n < 400; n++) {
    char id[16];
    snprintf(id, sizeof id, "line %u", n);
    const struct hg_result result = result_of(id);
    append(file, id);
    CHECK_EQ(hg_result_line_print(&all, &result), HG_OK);
    if (test_random(&disk.random, 3)) continue;
    const uint64_t durable = hg_results_file_length(file);
    disk.chance = 20;
    const hg_err err = hg_results_file_sync(file, NULL);
    disk.chance = 0;
    CHECK(err == HG_OK || err == HG_ERR_STORE);
    refused += err != HG_OK;
    CHECK_EQ(hg_results_file_length(file), err ? durable : all.len);
    char *text = read_text(path);
    CHECK(strlen(text) >= hg_results_file_length(file) && memcmp(text, all.data, hg_results_file_length(file)) == 0);
    free(text);
  }
  CHECK_EQ(hg_results_file_sync(file, NULL), HG_OK);
  hg_results_file_close(&file, false);
  CHECK_EQ(hg_text_buffer_add(&all, "", 1), HG_OK);
  check_file(path, all.data);
  CHECK(refused > 10 && disk.cut > 10);
  hg_text_buffer_clear(&all);
  scratch_close(&scratch);
}

TEST(batch_results, somebody_else_writing_to_the_file_is_noticed) {
  struct scratch scratch;
  scratch_open(&scratch);
  const char *path = scratch_file(&scratch, "r.jsonl");
  struct hg_results_file *file;
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_results_file_open(path, false, NULL, &file, NULL), HG_OK);
  write_text(path, "their line\n");
  append(file, "a");
  CHECK_EQ(hg_results_file_sync(file, &why), HG_ERR_STORE);
  CHECK(strstr(why.text, "another program") != NULL);
  check_file(path, "their line\n");
  hg_results_file_close(&file, false);
  scratch_close(&scratch);
}

TEST(batch_results, a_group_has_a_bound) {
  struct scratch scratch;
  scratch_open(&scratch);
  struct hg_results_file *file;
  CHECK_EQ(hg_results_file_open(scratch_file(&scratch, "r.jsonl"), false, NULL, &file, NULL), HG_OK);
  char *body = malloc(HG_GROUP_BYTES);
  CHECK(body != NULL);
  memset(body, 'x', HG_GROUP_BYTES);
  struct hg_result result = result_of("a");
  result.body = body, result.body_len = HG_GROUP_BYTES;
  for (int i = 0; i < 8; i++) {
    CHECK_EQ(hg_results_file_group_full(file), i > 0);
    CHECK_EQ(hg_results_file_append(file, &result, NULL), HG_OK);
  }
  CHECK_EQ(hg_results_file_append(file, &result, NULL), HG_ERR_BUSY);
  CHECK_EQ(hg_results_file_sync(file, NULL), HG_OK);
  CHECK_EQ(hg_results_file_append(file, &result, NULL), HG_OK);
  hg_results_file_close(&file, false);
  free(body);
  scratch_close(&scratch);
}

TEST(batch_results, places_that_can_hold_no_results) {
  struct hg_results_file *file;
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(hg_results_file_open("/tmp", false, NULL, &file, &why), HG_ERR_STORE);
  CHECK(strstr(why.text, "/tmp: ") != NULL);
  CHECK_EQ(hg_results_file_open("/dev/full", false, NULL, &file, &why), HG_ERR_INVALID);
  CHECK(strstr(why.text, "regular file") != NULL);
  CHECK_EQ(hg_results_file_open("/tmp/no/such/directory/r.jsonl", false, NULL, &file, &why), HG_ERR_STORE);
}

TEST(batch_results, an_error_of_the_visitor_ends_the_opening) {
  struct scratch scratch;
  scratch_open(&scratch);
  const char *path = scratch_file(&scratch, "r.jsonl");
  char *two = lines_of((const char *[]){"a", "b"}, 2);
  write_bytes(path, two, strlen(two) - 3); // torn, and to stay so
  struct hg_results_file *file;
  struct heard heard = {.answer = HG_ERR_NO_MEMORY};
  CHECK_EQ(open_heard(path, false, &heard, &file, NULL), HG_ERR_NO_MEMORY);
  CHECK_EQ(heard.lines, 1);
  two[strlen(two) - 3] = '\0';
  check_file(path, two);
  free(two);
  scratch_close(&scratch);
}

TEST(batch_results, names_of_the_errors_file) {
  static const char *const names[][2] = {{"out/R.jsonl", "out/R.errors.jsonl"},
                                         {"R", "R.errors.jsonl"},
                                         {"R.json", "R.json.errors.jsonl"},
                                         {".jsonl", ".jsonl.errors.jsonl"}};
  for (size_t i = 0; i < 4; i++) {
    char *path = hg_errors_path(names[i][0]);
    CHECK_STR(path, names[i][1]);
    free(path);
  }
}
