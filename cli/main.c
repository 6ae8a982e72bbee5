// The headgate program: finds the subcommand and hands over.
#include "cli/cli.h"
#include "headgate.h"

#include <stdio.h>
#include <string.h>

static const struct command {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *what;
} commands[] = {
    {"run", hg_cli_run, "make the calls of a batch file inside a token budget"},
    {"status", hg_cli_status, "how a budget stands"},
    {"watch", hg_cli_watch, "print events as they are committed"},
    {"limit", hg_cli_limit, "raise or lower a hard limit"},
    {"orphans", hg_cli_orphans, "list calls whose owners are gone, and what was charged for them"},
    {"settle", hg_cli_settle, "say what such a call really used"},
    {"correct", hg_cli_correct, "add to or take from what a budget has used, with a reason"},
    {"audit", hg_cli_audit, "compare the ledger with its journal"},
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

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "";
  if (strcmp(name, "--version") == 0) return printf("headgate %s\n", hg_version()) < 0;
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
    print_help(stdout);
    return HG_EXIT_DONE;
  }
  for (size_t i = 0; i < COMMAND_COUNT; i++)
    if (strcmp(name, commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
  if (name[0]) fprintf(stderr, "headgate: there is no command \"%s\"\n\n", name);
  print_help(stderr);
  return HG_EXIT_USAGE;
}
