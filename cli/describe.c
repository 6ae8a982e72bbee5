// headgate describe: prints what other programs build on: the schemas of events and commands, their documentation, the
// error codes, the counters.
#include "cli/cli.h"

#include "cli/control.h"
#include "metrics/exposition.h"
#include "schemas/counters.h"
#include "schemas/describe.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
    "usage: headgate describe --schema | --commands | --markdown | --errors | --counters | --metrics\n"
    "  --schema     the JSON Schema of every event\n"
    "  --commands   the JSON Schema of the commands of the control socket and their answers\n"
    "  --markdown   both for people\n"
    "  --errors     every error code: number, name, meaning\n"
    "  --counters   every counter: name, unit, meaning\n"
    "  --metrics    every metric of serve.metrics, as a table in Markdown\n"
    "Exit: 0 printed, 1 the output can't be written, 2 wrong flags.\n";

static void describe_errors(FILE *to) {
#define ERROR(name, number, text) fprintf(to, "%2d  %-24s  %s\n", number, "HG_" #name, text);
#include "schemas/errors.def"
#undef ERROR
}

static void describe_counters(FILE *to) {
  for (unsigned i = 0; i < HG_COUNTER_COUNT; i++) {
    const struct hg_counter_info *info = hg_counter_info((enum hg_counter_id)i);
    fprintf(to, "%-20s %-13s %s\n", info->name, info->unit, info->doc);
  }
}

int hg_cli_describe(int argc, char **argv) {
  static const struct option options[] = {{"schema", no_argument, NULL, 's'},   {"commands", no_argument, NULL, 'o'},
                                          {"markdown", no_argument, NULL, 'm'}, {"errors", no_argument, NULL, 'e'},
                                          {"counters", no_argument, NULL, 'c'}, {"metrics", no_argument, NULL, 'x'},
                                          {"help", no_argument, NULL, 'h'},     {NULL, 0, NULL, 0}};
  int what = 0;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'h' || option == '?' || what) return hg_cli_usage(usage, option == 'h');
    what = option;
  }
  if (!what || optind < argc) return hg_cli_usage(usage, false);
  if (what == 's') hg_describe_events_schema(stdout);
  else if (what == 'o') hg_describe_commands_schema(stdout);
  else if (what == 'm') hg_describe_outside(stdout);
  else if (what == 'e') describe_errors(stdout);
  else if (what == 'x') hg_metrics_describe(stdout);
  else describe_counters(stdout);
  return HG_EXIT_DONE;
}
