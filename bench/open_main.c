#include "bench/open.h"

int main(int argc, char **argv) {
  return hg_bench_open(argc, argv);
}
