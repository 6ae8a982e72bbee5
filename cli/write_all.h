// Writing to a file or a terminal to the last byte.
#ifndef HG_WRITE_ALL_H
#define HG_WRITE_ALL_H

#include <stdbool.h>
#include <stddef.h>

// Goes on after signals and short writes. False: errno says why.
bool hg_write_all(int fd, const char *text, size_t size);

#endif
