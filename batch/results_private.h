// What the two halves of a results file (opening and writing) share.
#ifndef HG_RESULTS_PRIVATE_H
#define HG_RESULTS_PRIVATE_H

#include "batch/results_file.h"

struct hg_results_file {
  int fd;
  char *path;
  uint64_t synced;             // the length that the last sync left: everything before it is durable
  struct hg_text_buffer group; // lines that are not durable yet
  bool torn;                   // bytes behind `synced` could not be cut off yet
  bool stream;                 // standard output: what is written is gone
};

// HG_ERR_STORE with the file's name, what failed and errno's text.
hg_err hg_results_fail(const struct hg_results_file *file, const char *what, hg_error *why);

#endif
