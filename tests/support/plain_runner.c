// Runs the registered tests one after another in this process. Used where Criterion cannot run (ThreadSanitizer).
#include "support/test.h"

#ifdef HG_PLAIN_TESTS
static struct hg_plain_test *first;

void hg_plain_register(struct hg_plain_test *test) {
  test->next = first;
  first = test;
}

void hg_plain_fail(const char *file, int line, const char *text) {
  fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
  abort();
}

int main(int argc, char **argv) {
  unsigned ran = 0;
  for (struct hg_plain_test *test = first; test; test = test->next) {
    if (argc > 1 && !strstr(test->name, argv[1])) continue;
    fprintf(stderr, "[ RUN  ] %s.%s\n", test->suite, test->name);
    test->body();
    ran++;
  }
  printf("%u passed, 0 failed\n", ran);
  return ran == 0;
}
#else
typedef int hg_plain_runner_unused;
#endif
