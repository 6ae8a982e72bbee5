// headgate-sim: runs seeds of the simulation, in as many processes as asked for. It ends with 1 when an invariant was
// broken, and says which seed did it and how to run that one again.
#define _POSIX_C_SOURCE 200809L
#include "simulation/simulation.h"

#include <getopt.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_MAX 64

struct plan {
  uint64_t first, seeds, cuts, reach; // cuts: power cuts after which it is enough; 0: every seed
  unsigned jobs;
  struct hg_sim_options options;
};
// What a process has reached, for all to see.
struct progress {
  uint64_t seed, step;
  struct hg_sim_totals totals;
};
static struct progress *mine;

_Noreturn void hg_plain_fail(const char *file, int line, const char *text) {
  fprintf(stderr, "\n%s:%d: failed: %s\n", file, line, text);
  mine->step = hg_sim_step();
  abort();
}

static void usage(void) {
  puts("headgate-sim [--seeds N] [--from SEED] [--steps N] [--seed SEED] [--jobs N] [--reach N]\n"
       "             [--cuts N] [--normal] [--death-every STEPS]\n"
       "  --seed SEED    that one alone\n"
       "  --reach N      fails when a situation was reached fewer times\n"
       "  --cuts N       the power is cut again and again, at least N times in all\n"
       "  --normal       with synchronous=NORMAL: acknowledged facts are lost, and counted");
}

static bool read_options(int argc, char **argv, struct plan *plan) {
  static const struct option known[] = {{"seeds", 1, 0, 'n'}, {"from", 1, 0, 'f'},   {"steps", 1, 0, 's'},
                                        {"seed", 1, 0, 'x'},  {"jobs", 1, 0, 'j'},   {"reach", 1, 0, 'r'},
                                        {"cuts", 1, 0, 'c'},  {"normal", 0, 0, 'N'}, {"death-every", 1, 0, 'd'},
                                        {"help", 0, 0, 'h'},  {0, 0, 0, 0}};
  for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
    const uint64_t number = optarg ? strtoull(optarg, NULL, 10) : 0;
    switch (option) {
    case 'n': plan->seeds = number; break;
    case 'f': plan->first = number; break;
    case 's': plan->options.steps = number; break;
    case 'x':
      plan->first = number;
      plan->seeds = 1;
      break;
    case 'j': plan->jobs = number < 1 ? 1 : number > JOBS_MAX ? JOBS_MAX : (unsigned)number; break;
    case 'r': plan->reach = number; break;
    case 'c':
      plan->cuts = number;
      plan->options.only_cuts = true;
      if (plan->options.death_every > 40) plan->options.death_every = 40;
      break;
    case 'N': plan->options.synchronous_normal = true; break;
    case 'd': plan->options.death_every = number ? (uint32_t)number : 1; break;
    default: return false;
    }
  }
  return optind == argc;
}

static void work(const struct plan *plan, unsigned job) {
  for (uint64_t i = job; i < plan->seeds; i += plan->jobs) {
    if (plan->cuts && mine->totals.cuts >= plan->cuts / plan->jobs + 1) break;
    mine->seed = plan->first + i;
    hg_sim_run(mine->seed, &plan->options, &mine->totals);
  }
}

static void report_failure(const char *program, const struct plan *plan, const struct progress *at, int status) {
  fprintf(stderr, "seed %llu failed at step %llu (%s %d); again:\n  %s --seed %llu --steps %llu --death-every %u%s%s\n",
          (unsigned long long)at->seed, (unsigned long long)at->step, WIFSIGNALED(status) ? "signal" : "exit",
          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), program, (unsigned long long)at->seed,
          (unsigned long long)plan->options.steps, plan->options.death_every,
          plan->options.only_cuts ? " --cuts 1000000" : "", plan->options.synchronous_normal ? " --normal" : "");
}

static bool add_up(const struct plan *plan, const struct progress *all) {
  struct hg_sim_totals sum = {0};
  const size_t words = sizeof sum / sizeof(uint64_t);
  for (unsigned job = 0; job < plan->jobs; job++)
    for (size_t i = 0; i < words; i++)
      ((uint64_t *)(void *)&sum)[i] += ((const uint64_t *)(const void *)&all[job].totals)[i];
  printf("%llu grants, %llu facts, %llu commits, %llu power cuts, %llu kills, %llu stops, %llu faults, %llu failed "
         "syncs\n",
         (unsigned long long)sum.grants, (unsigned long long)sum.facts, (unsigned long long)sum.commits,
         (unsigned long long)sum.cuts, (unsigned long long)sum.kills, (unsigned long long)sum.stops,
         (unsigned long long)sum.failures, (unsigned long long)sum.failed_syncs);
  bool enough = true;
  for (unsigned i = 0; i < HG_SIM_SITUATION_COUNT; i++) {
    const bool few = sum.situations[i] < plan->reach;
    printf("%12llu  %s%s\n", (unsigned long long)sum.situations[i], hg_sim_situation_name((enum hg_sim_situation)i),
           few ? "  TOO FEW" : "");
    enough &= !few;
  }
  if (plan->cuts) printf("%12llu  runs lost an acknowledged fact\n", (unsigned long long)sum.lost);
  // NORMAL has to lose some: it proves that the test can see it.
  if (plan->options.synchronous_normal && sum.lost == 0) enough = false;
  if (plan->cuts > sum.cuts && !plan->options.synchronous_normal) enough = false;
  return enough;
}

int main(int argc, char **argv) {
  struct plan plan = {.first = 1, .seeds = 100, .jobs = 1, .options = {.steps = 2000, .death_every = 500}};
  if (!read_options(argc, argv, &plan)) {
    usage();
    return 2;
  }
  struct progress *all = mmap(NULL, plan.jobs * sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) return 2;
  printf("seeds %llu to %llu, %llu steps each\n", (unsigned long long)plan.first,
         (unsigned long long)(plan.first + plan.seeds - 1), (unsigned long long)plan.options.steps);
  fflush(stdout);
  pid_t workers[JOBS_MAX];
  for (unsigned job = 0; job < plan.jobs; job++) {
    mine = &all[job];
    workers[job] = fork();
    if (workers[job] == 0) {
      work(&plan, job);
      hg_power_end();
      exit(0);
    }
  }
  bool passed = true;
  for (unsigned job = 0; job < plan.jobs; job++) {
    int status = 0;
    if (workers[job] < 0 || waitpid(workers[job], &status, 0) < 0 || status == 0) continue;
    report_failure(argv[0], &plan, &all[job], status);
    passed = false;
  }
  passed &= add_up(&plan, all);
  return passed ? 0 : 1;
}
