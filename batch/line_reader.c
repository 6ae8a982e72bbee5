// Reads a file line by line: one buffer, which grows up to the longest line allowed.
#include "batch/line_reader.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_CAPACITY ((size_t)64 * 1024)

void hg_line_reader_init(struct hg_line_reader *reader, int fd, size_t line_max) {
  struct stat kind;
  *reader = (struct hg_line_reader){.fd = fd, .line_max = line_max};
  reader->may_wait = fstat(fd, &kind) == 0 && !S_ISREG(kind.st_mode);
}

void hg_line_reader_clear(struct hg_line_reader *reader) {
  free(reader->buffer);
  *reader = (struct hg_line_reader){.fd = -1};
}

// Moves what is left to the front and makes room behind it. Room for line_max bytes, CRLF and a BOM is always enough.
static hg_err make_room(struct hg_line_reader *r) {
  if (r->start > 0) {
    memmove(r->buffer, r->buffer + r->start, r->end - r->start);
    r->end -= r->start;
    r->start = 0;
  }
  if (r->end < r->capacity) return HG_OK;
  const size_t most = r->line_max + 5;
  size_t capacity = r->capacity ? r->capacity * 2 : FIRST_CAPACITY;
  if (capacity > most) capacity = most;
  if (capacity <= r->end) return HG_ERR_RANGE;
  char *buffer = realloc(r->buffer, capacity);
  if (!buffer) return HG_ERR_NO_MEMORY;
  r->buffer = buffer;
  r->capacity = capacity;
  return HG_OK;
}

static bool has_input(const struct hg_line_reader *r) {
  if (!r->may_wait) return true;
  struct pollfd input = {.fd = r->fd, .events = POLLIN};
  return poll(&input, 1, 0) != 0; // an error too: the read says which
}

static hg_err fill(struct hg_line_reader *r) {
  const hg_err err = make_room(r);
  if (err) return err;
  if (!has_input(r)) return HG_ERR_BUSY;
  ssize_t got;
  do
    got = read(r->fd, r->buffer + r->end, r->capacity - r->end);
  while (got < 0 && errno == EINTR);
  if (got < 0) return errno == EAGAIN ? HG_ERR_BUSY : HG_ERR_SYSTEM;
  if (got == 0) r->at_eof = true;
  r->end += (size_t)got;
  return HG_OK;
}

// Takes `bytes` off the front.
static void consume(struct hg_line_reader *r, size_t bytes) {
  r->start += bytes;
  r->start_offset += bytes;
  r->searched = 0;
}

// Steps over the rest of a line that does not fit.
static hg_err skip_line(struct hg_line_reader *r) {
  r->skipping = true;
  for (;;) {
    char *feed = r->end > r->start ? memchr(r->buffer + r->start, '\n', r->end - r->start) : NULL;
    if (feed) {
      consume(r, (size_t)(feed - (r->buffer + r->start)) + 1);
      r->line_ended = true;
    } else {
      consume(r, r->end - r->start);
    }
    if (feed || r->at_eof) {
      r->skipping = false;
      return HG_ERR_RANGE;
    }
    const hg_err err = fill(r);
    if (err) return err;
  }
}

// Finds the next line as it stands: *len without the '\n'.
static hg_err find_line(struct hg_line_reader *r, size_t *len) {
  for (;;) {
    const size_t have = r->end - r->start;
    char *feed = have > r->searched ? memchr(r->buffer + r->start + r->searched, '\n', have - r->searched) : NULL;
    if (feed) {
      *len = (size_t)(feed - (r->buffer + r->start));
      r->line_ended = true;
      return HG_OK;
    }
    r->searched = have;
    if (r->at_eof) {
      *len = have;
      return have > 0 ? HG_OK : HG_ERR_EMPTY;
    }
    const hg_err err = fill(r);
    if (err) return err;
  }
}

static bool is_blank(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r') return false;
  }
  return true;
}

// Hands out the line that was found, unless it is blank or too long.
static hg_err take_line(struct hg_line_reader *r, size_t whole, const char **text, size_t *len) {
  const char *line = r->buffer + r->start;
  size_t line_len = whole;
  consume(r, whole + (r->line_ended ? 1 : 0));
  if (r->line_number == 1 && line_len >= 3 && memcmp(line, "\xEF\xBB\xBF", 3) == 0) line += 3, line_len -= 3;
  if (line_len > 0 && line[line_len - 1] == '\r') line_len--;
  if (is_blank(line, line_len)) return HG_ERR_EMPTY;
  if (line_len > r->line_max) return HG_ERR_RANGE;
  *text = line;
  *len = line_len;
  return HG_OK;
}

hg_err hg_line_reader_next(struct hg_line_reader *r, const char **text, size_t *len) {
  if (r->skipping) return skip_line(r);
  for (;;) {
    const uint64_t offset = r->start_offset;
    size_t whole;
    r->line_ended = false;
    hg_err err = find_line(r, &whole);
    if (err && err != HG_ERR_RANGE) return err;
    r->line_number++;
    r->line_offset = offset;
    if (err) return skip_line(r);
    err = take_line(r, whole, text, len);
    if (err != HG_ERR_EMPTY) return err;
  }
}
