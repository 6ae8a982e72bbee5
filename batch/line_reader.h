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
  bool at_eof;
};

// Starts at the descriptor's position, which is taken as the file's start.
void hg_line_reader_init(struct hg_line_reader *reader, int fd, size_t line_max);
void hg_line_reader_clear(struct hg_line_reader *reader);

// The next line that is not blank, without its end (LF or CRLF) and without a byte order mark at the file's start; the
// text is valid until the next call. HG_ERR_EMPTY: the end. HG_ERR_RANGE: the line is longer than line_max; it was
// stepped over and the next call goes on behind it. HG_ERR_SYSTEM: errno says why. HG_ERR_NO_MEMORY: asking again is
// fine.
hg_err hg_line_reader_next(struct hg_line_reader *reader, const char **text, size_t *len);

#endif
