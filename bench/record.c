// The path of a record: client -> tracker -> persister -> commit -> answer, beside raw SQLite inserting the same
// rows, 8,192 a transaction, 64 rows a statement, and beside what others would do. All in each round.
#include "bench/bench.h"
#include "bench/node.h"
#include "bench/raw_sqlite.h"
#include "bench/redis.h"
#include "bench/runtime.h"
#include "bench/workplace.h"

#include <stdio.h>
#include <stdlib.h>

// They are slower: fewer records give their rates as well.
#define REDIS_SHARE 5
#define NODE_MS 1000
#define NODE_CALLERS 64

static double headgate_rate(const char *folder, long records) {
  hg_runtime *runtime = hg_bench_open_runtime(folder, 4);
  hg_client *client = hg_bench_new_client(runtime);
  const double start = hg_bench_now_s();
  const long long tokens = hg_bench_record_all(client, records);
  const double seconds = hg_bench_now_s() - start;
  hg_client_destroy(&client);
  hg_bench_close_runtime(&runtime, folder, "USAGE_RECORDED", records, tokens);
  return (double)records / seconds;
}

static double raw_rate(const char *folder, long records) {
  return hg_bench_raw_rate(folder, records);
}

static double redis_rate(const char *folder, long records) {
  return hg_bench_redis_rate(folder, records / REDIS_SHARE);
}

static double node_rate(const char *folder, long records) {
  (void)records;
  return hg_bench_node_callers(folder, NODE_CALLERS, NODE_MS).figures[HG_SPEED_RATE];
}

static void add(struct hg_series *series, double (*rate)(const char *folder, long records), long records) {
  char place[HG_BENCH_FOLDER_MAX];
  hg_bench_make_place(place);
  hg_series_add(series, rate(place, records));
  hg_bench_remove_folder(place);
}

static void measure(const struct hg_bench_flags *flags, long records) {
  struct hg_bench_row *row = hg_bench_claim(sizeof *row);
  struct hg_series *redis = hg_bench_claim(sizeof *redis);
  const bool has_node = hg_bench_find_node(HG_BENCH_RECORD_PEER), has_redis = hg_bench_find_redis();
  snprintf(row->bench, sizeof row->bench, "record");
  row->unit = "records/s";
  for (int round = 0; round < flags->rounds; round++) {
    add(&row->limit, raw_rate, records);
    add(&row->value, headgate_rate, records);
    if (has_node) add(&row->peer, node_rate, records);
    if (has_redis) add(redis, redis_rate, records);
  }
  hg_bench_print(flags, row);
  hg_bench_print_beside(flags, row, "Redis", redis);
  free(redis);
  free(row);
}

static int help(FILE *to, int code) {
  fputs("usage: headgate-bench record [--records N] [--rounds N] [--json]\n"
        "One client records N usages (default 1000000), as many in flight as it may have, until all are durable. The "
        "limit\n"
        "is raw SQLite inserting the same rows, 8,192 rows a transaction, 64 a statement. Peers: Node with "
        "better-sqlite3,\n"
        "a transaction a record, and Redis, INCRBY with appendfsync always over one connection, all in flight.\n",
        to);
  return code;
}

int hg_bench_record(int argc, char **argv) {
  static const struct option options[] = {{"records", required_argument, NULL, 'n'}, HG_BENCH_OPTIONS};
  struct hg_bench_flags flags = {.rounds = 5};
  long records = 1000000;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'n') records = hg_bench_whole("--records", optarg, HG_RAW_ROWS_A_STATEMENT, 1000000000);
    else if (!hg_bench_take(option, &flags)) return option == 'h' ? help(stdout, 0) : help(stderr, 2);
  }
  hg_bench_open_workplace();
  measure(&flags, records / HG_RAW_ROWS_A_STATEMENT * HG_RAW_ROWS_A_STATEMENT);
  return 0;
}
