// A directory of its own for each test of the batch files, whole files in and out, and a seeded random number.
#ifndef BATCH_FILES_H
#define BATCH_FILES_H

#include "support/test.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct scratch {
  char directory[64];
  char path[PATH_MAX]; // the file asked for last
};

static inline void scratch_open(struct scratch *scratch) {
  strcpy(scratch->directory, "/tmp/headgate-test-XXXXXX");
  CHECK(mkdtemp(scratch->directory) != NULL);
}

static inline const char *scratch_file(struct scratch *scratch, const char *name) {
  snprintf(scratch->path, sizeof scratch->path, "%s/%s", scratch->directory, name);
  return scratch->path;
}

static inline void scratch_close(struct scratch *scratch) {
  DIR *directory = opendir(scratch->directory);
  CHECK(directory != NULL);
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
    if (entry->d_name[0] != '.') CHECK(unlinkat(dirfd(directory), entry->d_name, 0) == 0);
  closedir(directory);
  CHECK(rmdir(scratch->directory) == 0);
}

static inline void write_bytes(const char *path, const char *data, size_t len) {
  FILE *file = fopen(path, "wb");
  CHECK(file != NULL);
  CHECK_EQ(fwrite(data, 1, len, file), len);
  CHECK(fclose(file) == 0);
}

static inline void write_text(const char *path, const char *text) {
  write_bytes(path, text, strlen(text));
}

// The whole file, ended by a NUL; free it. NULL: there is no such file.
static inline char *read_text(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  char *text = NULL;
  size_t len = 0, got;
  do {
    text = realloc(text, len + 65536 + 1);
    CHECK(text != NULL);
    got = fread(text + len, 1, 65536, file);
    len += got;
  } while (got > 0);
  fclose(file);
  text[len] = '\0';
  return text;
}

static inline void check_file(const char *path, const char *wanted) {
  char *text = read_text(path);
  CHECK_STR(text, wanted);
  free(text);
}

// xorshift64*: the same numbers for the same seed everywhere. Set HG_TEST_SEED to run a failure again.
static inline uint64_t test_seed(void) {
  const char *given = getenv("HG_TEST_SEED");
  const uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + (uint64_t)getpid();
  fprintf(stderr, "run it again with HG_TEST_SEED=%llu\n", (unsigned long long)seed);
  return seed ? seed : 1;
}

static inline uint64_t test_random(uint64_t *state, uint64_t below) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return (*state * UINT64_C(2685821657736338717) >> 33) % below;
}

#endif
