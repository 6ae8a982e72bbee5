// Finds Node and runs record_peer.mjs in it.
#include "bench/node.h"

#include "bench/bench.h"
#include "bench/process.h"
#include "bench/raw_sqlite.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void hg_bench_beside(const char *name, char path[PATH_MAX]) {
  char ourselves[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", ourselves, sizeof ourselves - 1);
  if (size < 0) hg_bench_die("cannot find this program");
  ourselves[size] = '\0';
  if (snprintf(path, PATH_MAX, "%s/%s", dirname(ourselves), name) >= PATH_MAX) hg_bench_die("a path is too long");
}

bool hg_bench_find_node(const char *script) {
  char path[PATH_MAX], command[PATH_MAX + 64], said[200] = "";
  hg_bench_beside(script, path);
  snprintf(command, sizeof command, "node '%s' --probe 2>&1", path);
  FILE *probe = popen(command, "r");
  const bool told = probe && fgets(said, sizeof said, probe);
  const bool found = probe && pclose(probe) == 0 && told;
  said[strcspn(said, "\n")] = '\0';
  hg_bench_note(found ? "peer: %s" : "peer: no Node (%s)", said);
  return found;
}

struct hg_speed hg_bench_node_callers(const char *folder, long callers, long ms) {
  static const char *const members[HG_SPEED_FIGURES] = {NULL, "p50Ns", "p99Ns", "p999Ns"};
  char script[PATH_MAX], db[PATH_MAX], out[PATH_MAX], callers_text[24], ms_text[24];
  struct hg_bench_end end;
  hg_bench_beside(HG_BENCH_RECORD_PEER, script);
  snprintf(db, sizeof db, "%s/node.db", folder);
  snprintf(out, sizeof out, "%s/node.json", folder);
  snprintf(callers_text, sizeof callers_text, "%ld", callers);
  snprintf(ms_text, sizeof ms_text, "%ld", ms);
  char *const argv[] = {(char[]){"node"}, script, db, callers_text, ms_text, NULL};
  hg_bench_time(argv, out, &end);
  if (end.code != 0) hg_bench_die("%s ended with exit %d", HG_BENCH_RECORD_PEER, end.code);
  const long long records = hg_bench_read_json(out, NULL, "records");
  hg_bench_expect(db, "SELECT count(*) FROM journal", records);
  hg_bench_expect(db, "SELECT sum(used_delta) FROM journal", hg_bench_read_json(out, NULL, "tokens"));
  struct hg_speed speed = {{(double)records * 1e6 / (double)hg_bench_read_json(out, NULL, "elapsedUs")}};
  for (int i = HG_SPEED_P50; i < HG_SPEED_FIGURES; i++)
    speed.figures[i] = (double)hg_bench_read_json(out, NULL, members[i]) / 1000;
  return speed;
}
