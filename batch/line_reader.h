// Reads a file line by line in bounded memory.
#ifndef HG_LINE_READER_H
#define HG_LINE_READER_H

#include "headgate.h"

struct hg_line_reader {
  int fd;               // borrowed
  size_t line_max;      // bytes of the longest line that is handed out
  uint64_t line_number; // of the line handed out last, from 1; blank lines count
  uint64_t line_offset; // bytes from the start of the file to that line
  bool line_ended;      // whether that line had its '\n': false only for the last one
  // Private.
  char *buffer;
  size_t capacity, start, end; // the bytes not handed out yet are buffer[start .. end)
  uint64_t start_offset;       // of buffer[start] in the file
  size_t searched;             // bytes from `start` that have no '\n'
  bool at_eof, may_wait;       // may_wait: no regular file, a read could block
  bool skipping;               // inside a line that is too long
};

// Starts at the descriptor's position, which is taken as the file's start. The reader never waits: where a pipe or a
// terminal has nothing to read it says so. (O_NONBLOCK is not needed, and would reach others who share the descriptor.)
void hg_line_reader_init(struct hg_line_reader *reader, int fd, size_t line_max);
void hg_line_reader_clear(struct hg_line_reader *reader);

// The next line that is not blank, without its end (LF or CRLF) and without a byte order mark at the file's start; the
// text is valid until the next call. HG_ERR_EMPTY: the end. HG_ERR_RANGE: the line is longer than line_max; it was
// stepped over and the next call goes on behind it. HG_ERR_BUSY: nothing to read now, poll the descriptor and ask
// again. HG_ERR_SYSTEM: errno says why. HG_ERR_NO_MEMORY: asking again is fine.
hg_err hg_line_reader_next(struct hg_line_reader *reader, const char **text, size_t *len);

// How many lines that are not blank a file has ("-": standard input, from where it stands); 0 for a pipe or a terminal,
// of which what is read is gone; -1: it can't be read, errno says why.
int64_t hg_count_lines(const char *path);

#endif
