// The loop of write_all.h.
#include "cli/write_all.h"

#include <errno.h>
#include <unistd.h>

bool hg_write_all(int fd, const char *text, size_t size) {
  while (size) {
    const ssize_t written = write(fd, text, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text += written;
    size -= (size_t)written;
  }
  return true;
}
