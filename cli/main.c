// The headgate program: finds the subcommand and hands over.
#include "cli/cli.h"
#include "headgate.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static const struct command {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *what;
} commands[] = {
    {"run", hg_cli_run, "make the calls of a batch file inside a token budget"},
    {"serve", hg_cli_serve, "be the runtime of programs in any language"},
    {"status", hg_cli_status, "how a budget stands"},
    {"watch", hg_cli_watch, "print events as they are committed"},
    {"limit", hg_cli_limit, "raise or lower a hard limit"},
    {"orphans", hg_cli_orphans, "list calls whose owners are gone, and what was charged for them"},
    {"settle", hg_cli_settle, "say what such a call really used"},
    {"correct", hg_cli_correct, "add to or take from what a budget has used, with a reason"},
    {"audit", hg_cli_audit, "compare the ledger with its journal"},
    {"keygen", hg_cli_keygen, "make a key for endpoints that are open to the network"},
    {"init", hg_cli_init, "write a configuration to start from"},
    {"describe", hg_cli_describe, "print messages, errors and counters as documentation or JSON Schema"},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void print_help(FILE *to) {
  fputs("headgate: keeps parallel LLM work inside a hard token budget\n\nusage: headgate COMMAND ...\n\n", to);
  for (size_t i = 0; i < COMMAND_COUNT; i++)
    fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].what);
  fputs("\nheadgate COMMAND --help says more; headgate --version prints the version.\n", to);
}

// A standard stream that was closed keeps its number: what is printed must not end in the file that is opened next. It
// can't be written, so that printing to it fails and is told.
static bool hold_standard_streams(void) {
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd) return false;
  return true;
}

// Keys, of the API and of CURVE, are in the memory of most subcommands: none leaves a core file.
static void leave_no_core(void) {
  const struct rlimit none = {0, 0};
  (void)setrlimit(RLIMIT_CORE, &none);
}

// A file that may not grow any more (ulimit -f) is a full disk, and no reason to die.
static void live_with_limits(void) {
  (void)signal(SIGXFSZ, SIG_IGN);
}

// Output that got lost is no success, whatever the subcommand printed.
static int end_output(const char *name, int code) {
  const bool failed = ferror(stdout) != 0;
  errno = 0;
  if (fclose(stdout) == 0 && !failed) return code;
  fprintf(stderr, "headgate %s: the output can't be written%s%s\n", name, errno ? ": " : "",
          errno ? strerror(errno) : "");
  return code == HG_EXIT_DONE ? HG_EXIT_FAILED : code;
}

static int run_command(const char *name, int argc, char **argv) {
  for (size_t i = 0; i < COMMAND_COUNT; i++)
    if (strcmp(name, commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
  if (name[0]) fprintf(stderr, "headgate: there is no command \"%s\"\n\n", name);
  print_help(stderr);
  return HG_EXIT_USAGE;
}

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "";
  int code = HG_EXIT_DONE;
  if (!hold_standard_streams()) return HG_EXIT_FAILED;
  leave_no_core();
  live_with_limits();
  if (strcmp(name, "--version") == 0) printf("headgate %s\n", hg_version());
  else if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) print_help(stdout);
  else code = run_command(name, argc, argv);
  return end_output(name, code);
}
