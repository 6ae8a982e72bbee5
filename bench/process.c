// Starts, times and ends other programs.
#include "bench/process.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static volatile sig_atomic_t interrupted;
static pid_t living; // the server that we have started: ended with us, whatever ends us

static void on_signal(int number) {
  interrupted = number;
}

// Waits for its end, since it writes into a folder that is removed next.
static void kill_living(void) {
  if (living <= 0) return;
  kill(living, SIGTERM);
  while (waitpid(living, NULL, 0) < 0 && errno == EINTR) {}
}

void hg_bench_heed_signals(void) {
  const struct sigaction action = {.sa_handler = on_signal}; // no SA_RESTART: a wait is to be interrupted
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  if (atexit(kill_living) != 0) hg_bench_die("no memory");
}

void hg_bench_heed_interrupt(void) {
  if (interrupted) hg_bench_die("interrupted");
}

static pid_t start(char *const argv[], posix_spawn_file_actions_t *files) {
  pid_t pid;
  const int failure = posix_spawnp(&pid, argv[0], files, NULL, argv, environ);
  if (failure) hg_bench_die("cannot start %s: %s", argv[0], strerror(failure));
  posix_spawn_file_actions_destroy(files);
  return pid;
}

static int await(pid_t pid, struct rusage *used) {
  int status;
  while (wait4(pid, &status, 0, used) < 0) {
    if (errno != EINTR) hg_bench_die("cannot wait: %s", strerror(errno));
    if (!interrupted) continue;
    kill(pid, SIGKILL);
    hg_bench_die("interrupted");
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static pid_t start_into(char *const argv[], const char *out_path) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  return start(argv, &files);
}

void hg_bench_time(char *const argv[], const char *out_path, struct hg_bench_end *end) {
  struct rusage used;
  const double began = hg_bench_now_s();
  end->code = await(start_into(argv, out_path), &used);
  end->seconds = hg_bench_now_s() - began;
  end->peak_mib = (double)used.ru_maxrss / 1024;
}

pid_t hg_bench_start_server(char *const argv[], const char *out_path) {
  return living = start_into(argv, out_path);
}

int hg_bench_stop_server(pid_t pid) {
  struct rusage used;
  kill(pid, SIGTERM);
  const int code = await(pid, &used);
  living = 0;
  return code;
}

// ---------------------------------------------------------------------------------------------- llm-sim

static void read_url(struct hg_bench_sim *sim, int fd) {
  static const char before[] = "listening on ";
  char line[128];
  FILE *said = fdopen(fd, "r");
  if (!said || !fgets(line, sizeof line, said) || strncmp(line, before, sizeof before - 1) != 0)
    hg_bench_die("llm-sim did not start");
  line[strcspn(line, "\n")] = '\0';
  snprintf(sim->url, sizeof sim->url, "%.63s", line + sizeof before - 1);
  fclose(said); // it says no more
}

void hg_bench_start_sim(struct hg_bench_sim *sim, const char *program, long latency_ms, const char *folder) {
  char latency[24], path[PATH_MAX];
  int ends[2];
  snprintf(latency, sizeof latency, "%ld", latency_ms);
  snprintf(path, sizeof path, "%s", program);
  snprintf(sim->stats_path, sizeof sim->stats_path, "%s/sim.json", folder);
  if (pipe2(ends, O_CLOEXEC) != 0) hg_bench_die("no pipe: %s", strerror(errno));
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, sim->stats_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  char *const argv[] = {path, (char[]){"--latency-ms"}, latency, NULL};
  living = sim->pid = start(argv, &files);
  close(ends[1]);
  read_url(sim, ends[0]);
}

long long hg_bench_read_json(const char *path, const char *object, const char *member) {
  json_t *root = json_load_file(path, 0, NULL);
  const json_t *value = json_object_get(object ? json_object_get(root, object) : root, member);
  if (!json_is_integer(value)) hg_bench_die("%s has no %s", path, member);
  const long long figure = json_integer_value(value);
  json_decref(root);
  return figure;
}

long long hg_bench_stop_sim(struct hg_bench_sim *sim, long calls) {
  const int code = hg_bench_stop_server(sim->pid);
  if (code != 0) hg_bench_die("llm-sim ended with exit %d", code);
  const long long requests = hg_bench_read_json(sim->stats_path, NULL, "requests");
  const long long answered = hg_bench_read_json(sim->stats_path, NULL, "answered");
  if (requests != calls || answered != calls)
    hg_bench_die("llm-sim answered %lld of %lld requests; there should have been %ld", answered, requests, calls);
  return hg_bench_read_json(sim->stats_path, NULL, "tokens");
}
