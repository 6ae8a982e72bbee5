// Inputs of a fuzz target without libFuzzer: replay FILE... runs each once, so that what was found stays mended in
// every build.
#include "fuzz/fuzz.h"

#include <stdlib.h>

static bool replay(const char *path) {
  FILE *from = fopen(path, "rb");
  if (!from || fseek(from, 0, SEEK_END) != 0) return false;
  const long size = ftell(from);
  uint8_t *bytes =
      size < 0 ? NULL
               : malloc(size > 0 ? (size_t)size : 1); // exactly as long, so that a sanitizer sees what is read beyond
  rewind(from);
  const bool read = bytes && fread(bytes, 1, (size_t)size, from) == (size_t)size;
  fclose(from);
  if (read) (void)LLVMFuzzerTestOneInput(bytes, (size_t)size);
  free(bytes);
  return read;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    fprintf(stderr, "%s\n", argv[i]); // the last one is where it failed
    if (!replay(argv[i])) return 2;
  }
  printf("%d inputs\n", argc - 1);
  return 0;
}
