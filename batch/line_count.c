// Counts the lines of a file that are not blank.
#include "batch/line_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)64 * 1024)

struct count {
  int64_t lines;
  bool blank; // the line that is under way, so far
};

static void count_block(struct count *count, const char *at, const char *end) {
  while (at < end) {
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    for (const char *stop = newline ? newline : end; at < stop && count->blank; at++)
      count->blank = *at == ' ' || *at == '\t' || *at == '\r';
    if (!newline) return;
    count->lines += !count->blank;
    count->blank = true;
    at = newline + 1;
  }
}

// From where the descriptor stands, which does not move.
static int64_t count_regular(int fd) {
  char block[BLOCK_BYTES];
  struct count count = {0, true};
  off_t at = lseek(fd, 0, SEEK_CUR);
  for (ssize_t got; at >= 0; at += got) {
    do
      got = pread(fd, block, sizeof block, at);
    while (got < 0 && errno == EINTR);
    if (got < 0) return -1;
    if (got == 0) return count.lines + !count.blank;
    count_block(&count, block, block + got);
  }
  return -1;
}

// Opening a named pipe and closing it again would end its writer.
int64_t hg_count_lines(const char *path) {
  const bool standard = strcmp(path, "-") == 0;
  struct stat kind;
  if ((standard ? fstat(STDIN_FILENO, &kind) : stat(path, &kind)) != 0) return -1;
  if (!S_ISREG(kind.st_mode) && !S_ISDIR(kind.st_mode)) return 0;
  const int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  const int64_t lines = fd < 0 ? -1 : count_regular(fd);
  const int error = errno;
  if (fd >= 0 && !standard) close(fd);
  errno = error;
  return lines;
}
