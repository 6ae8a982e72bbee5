// links: program
// The line reader: lines of every kind, their numbers and offsets, at every size of what a read returns.
#include "batch/line_reader.h"
#include "unit/batch_files.h"

#include <fcntl.h>
#include <poll.h>

struct opened {
  struct scratch scratch;
  struct hg_line_reader reader;
};

static void open_reader(struct opened *o, const char *data, size_t len, size_t line_max) {
  scratch_open(&o->scratch);
  const char *path = scratch_file(&o->scratch, "lines");
  write_bytes(path, data, len);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  hg_line_reader_init(&o->reader, fd, line_max);
}

static void close_reader(struct opened *o) {
  close(o->reader.fd);
  hg_line_reader_clear(&o->reader);
  scratch_close(&o->scratch);
}

static void expect(struct opened *o, hg_err err, const char *wanted, uint64_t number, uint64_t offset) {
  const char *text = NULL;
  size_t len = 0;
  CHECK_EQ(hg_line_reader_next(&o->reader, &text, &len), err);
  if (err == HG_ERR_EMPTY) return;
  CHECK_EQ(o->reader.line_number, number);
  CHECK_EQ(o->reader.line_offset, offset);
  if (err) return;
  CHECK_EQ(len, strlen(wanted));
  CHECK(memcmp(text, wanted, len) == 0);
}

TEST(batch_reader, lines_of_every_kind) {
  struct opened o;
  static const char text[] = "\xEF\xBB\xBFone\r\n\n \t\r\ntwo\nthree";
  open_reader(&o, text, sizeof text - 1, 1000);
  expect(&o, HG_OK, "one", 1, 0);
  CHECK(o.reader.line_ended);
  expect(&o, HG_OK, "two", 4, 13);
  expect(&o, HG_OK, "three", 5, 17);
  CHECK(!o.reader.line_ended);
  expect(&o, HG_ERR_EMPTY, NULL, 0, 0);
  expect(&o, HG_ERR_EMPTY, NULL, 0, 0);
  close_reader(&o);
}

TEST(batch_reader, empty_files) {
  static const char *const texts[] = {"", "\n", "\r\n\r\n", "\xEF\xBB\xBF", "  "};
  for (size_t i = 0; i < 5; i++) {
    struct opened o;
    open_reader(&o, texts[i], strlen(texts[i]), 1000);
    expect(&o, HG_ERR_EMPTY, NULL, 0, 0);
    close_reader(&o);
  }
}

TEST(batch_reader, too_long_lines_are_stepped_over) {
  struct opened o;
  enum { MAX = 100000 };
  char *data = malloc(4 * MAX);
  CHECK(data != NULL);
  size_t len = 0;
  memset(data, 'a', MAX), len = MAX, data[len++] = '\n';                // as long as may be
  memset(data + len, 'b', MAX + 1), len += MAX + 1, data[len++] = '\n'; // one more
  memcpy(data + len, "short\n", 6), len += 6;
  memset(data + len, 'c', MAX + 50), len += MAX + 50; // the last, without its end
  open_reader(&o, data, len, MAX);
  const char *text;
  size_t got;
  CHECK_EQ(hg_line_reader_next(&o.reader, &text, &got), HG_OK);
  CHECK_EQ(got, MAX);
  expect(&o, HG_ERR_RANGE, NULL, 2, MAX + 1);
  CHECK(o.reader.line_ended);
  expect(&o, HG_OK, "short", 3, 2 * MAX + 3);
  expect(&o, HG_ERR_RANGE, NULL, 4, 2 * MAX + 9);
  CHECK(!o.reader.line_ended);
  expect(&o, HG_ERR_EMPTY, NULL, 0, 0);
  CHECK(o.reader.capacity <= MAX + 16);
  close_reader(&o);
  free(data);
}

// Waits as the loop of a run does.
static hg_err next_when_there(struct hg_line_reader *reader, const char **text, size_t *len) {
  for (;;) {
    const hg_err err = hg_line_reader_next(reader, text, len);
    if (err != HG_ERR_BUSY) return err;
    struct pollfd input = {.fd = reader->fd, .events = POLLIN};
    CHECK(poll(&input, 1, -1) == 1);
  }
}

// Random lines around the buffer's sizes, through a pipe, whose reads return whatever is there.
TEST(batch_reader, random_lines_through_a_pipe) {
  uint64_t random = test_seed();
  int ends[2];
  CHECK(pipe(ends) == 0);
  enum { LINES = 300 };
  size_t lengths[LINES];
  for (int i = 0; i < LINES; i++)
    lengths[i] = test_random(&random, 10) ? test_random(&random, 300) : test_random(&random, 200000);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    char *line = malloc(200001);
    for (int i = 0; line && i < LINES; i++) {
      memset(line, 'a' + i % 26, lengths[i]);
      line[lengths[i]] = '\n';
      for (size_t done = 0; done < lengths[i] + 1;) {
        const ssize_t wrote = write(ends[1], line + done, lengths[i] + 1 - done);
        if (wrote <= 0) _exit(1);
        done += (size_t)wrote;
      }
    }
    _exit(0);
  }
  close(ends[1]);
  struct hg_line_reader reader;
  hg_line_reader_init(&reader, ends[0], 150000);
  uint64_t offset = 0;
  for (int i = 0; i < LINES; offset += lengths[i] + 1, i++) {
    if (lengths[i] == 0) continue;
    const char *text;
    size_t len;
    CHECK_EQ(next_when_there(&reader, &text, &len), lengths[i] > 150000 ? HG_ERR_RANGE : HG_OK);
    CHECK_EQ(reader.line_number, i + 1);
    CHECK_EQ(reader.line_offset, offset);
    if (lengths[i] > 150000) continue;
    CHECK_EQ(len, lengths[i]);
    CHECK(text[0] == 'a' + i % 26 && text[len - 1] == text[0]);
  }
  const char *text;
  size_t len;
  CHECK_EQ(next_when_there(&reader, &text, &len), HG_ERR_EMPTY);
  hg_line_reader_clear(&reader);
  close(ends[0]);
}

TEST(batch_reader, a_read_error_is_told) {
  struct hg_line_reader reader;
  const int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  CHECK(fd >= 0);
  hg_line_reader_init(&reader, fd, 100);
  const char *text;
  size_t len;
  CHECK_EQ(hg_line_reader_next(&reader, &text, &len), HG_ERR_SYSTEM);
  hg_line_reader_clear(&reader);
  close(fd);
}

// ---------------------------------------------------------------------------------------------- pipes

TEST(batch_reader, a_quiet_pipe_is_told_and_goes_on) {
  struct hg_line_reader reader;
  const char *text;
  size_t len;
  int ends[2];
  CHECK(pipe(ends) == 0);
  hg_line_reader_init(&reader, ends[0], 100);
  CHECK_EQ(hg_line_reader_next(&reader, &text, &len), HG_ERR_BUSY);
  CHECK(dprintf(ends[1], "on") == 2);
  CHECK_EQ(hg_line_reader_next(&reader, &text, &len), HG_ERR_BUSY);
  CHECK(dprintf(ends[1], "e\n\ntwo\nthr") == 10);
  CHECK_EQ(hg_line_reader_next(&reader, &text, &len), HG_OK);
  CHECK(len == 3 && memcmp(text, "one", 3) == 0 && reader.line_number == 1);
  CHECK_EQ(hg_line_reader_next(&reader, &text, &len), HG_OK);
  CHECK(len == 3 && memcmp(text, "two", 3) == 0 && reader.line_number == 3);
  CHECK_EQ(hg_line_reader_next(&reader, &text, &len), HG_ERR_BUSY);
  for (int i = 0; i < 50; i++) { // a line that is too long, piece by piece
    CHECK(dprintf(ends[1], "xxxxxxxxxx") == 10);
    CHECK_EQ(hg_line_reader_next(&reader, &text, &len), HG_ERR_BUSY);
  }
  CHECK(dprintf(ends[1], "\nlast") == 5);
  CHECK_EQ(hg_line_reader_next(&reader, &text, &len), HG_ERR_RANGE);
  CHECK(reader.line_number == 4 && reader.line_ended);
  CHECK_EQ(hg_line_reader_next(&reader, &text, &len), HG_ERR_BUSY);
  close(ends[1]);
  CHECK_EQ(hg_line_reader_next(&reader, &text, &len), HG_OK);
  CHECK(len == 4 && memcmp(text, "last", 4) == 0 && reader.line_number == 5 && !reader.line_ended);
  CHECK_EQ(hg_line_reader_next(&reader, &text, &len), HG_ERR_EMPTY);
  hg_line_reader_clear(&reader);
  close(ends[0]);
}

TEST(batch_reader, lines_are_counted) {
  struct scratch scratch;
  scratch_open(&scratch);
  const char *path = scratch_file(&scratch, "lines");
  CHECK_EQ(hg_count_lines(path), -1);
  static const struct {
    const char *text;
    int64_t lines;
  } cases[] = {{"", 0}, {"\n \t\r\n", 0}, {"a", 1}, {"a\n", 1}, {"\na\n\nb\r\n  c", 3}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    write_text(path, cases[i].text);
    CHECK_EQ(hg_count_lines(path), cases[i].lines);
  }
  char *many = malloc(300000);
  CHECK(many != NULL);
  for (size_t i = 0; i < 300000; i++)
    many[i] = "ab\n"[i % 3];
  write_bytes(path, many, 300000);
  free(many);
  CHECK_EQ(hg_count_lines(path), 100000);
  CHECK_EQ(hg_count_lines(scratch.directory), -1);
  CHECK(unlink(path) == 0 && mkfifo(path, 0600) == 0);
  CHECK_EQ(hg_count_lines(path), 0);
  scratch_close(&scratch);
}
