// headgate describe: prints what other programs build on: the schema of events and commands, their documentation, the
// error codes.
#include "cli/cli.h"

#include "headgate.h"
#include "schemas/describe.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] = "usage: headgate describe --schema | --markdown | --errors\n"
                            "  --schema     the JSON Schema of every event and control command\n"
                            "  --markdown   the same as a page for people\n"
                            "  --errors     every error code: number, name, meaning\n";

static void describe_errors(FILE *to) {
#define ERROR(name, number, text) fprintf(to, "%2d  %-24s  %s\n", number, "HG_" #name, text);
#include "schemas/errors.def"
#undef ERROR
}

int hg_cli_describe(int argc, char **argv) {
  static const struct option options[] = {{"schema", no_argument, NULL, 's'},
                                          {"markdown", no_argument, NULL, 'm'},
                                          {"errors", no_argument, NULL, 'e'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  int what = 0;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'h') return fputs(usage, stdout), 0;
    if (option == '?' || what) return fputs(usage, stderr), 2;
    what = option;
  }
  if (!what || optind < argc) return fputs(usage, stderr), 2;
  if (what == 's') hg_describe_json_schema(stdout);
  else if (what == 'm') hg_describe_markdown(stdout);
  else describe_errors(stdout);
  if (fflush(stdout) == 0 && !ferror(stdout)) return 0;
  if (errno != EPIPE) fprintf(stderr, "headgate describe: cannot write: %s\n", strerror(errno));
  return errno == EPIPE ? 0 : 1;
}
