// headgate init: writes a configuration to start from. JSON has no comments, so a section of its own explains the
// fields; sections that are not ours are left alone by our reader.
#include "cli/cli.h"

#include "cli/control.h"
#include "cli/options.h"
#include "cli/write_all.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: headgate init [--limit TOKENS] [FILE]\n"
    "Writes a configuration to start from (default: " HG_CLI_CONFIG_FILE "); never over a file that is there.\n"
    "  --limit TOKENS  its hard limit, such as 200k, 2M, 2_000_000 (default: 200k); in dollars: what the file\n"
    "                  says of hardLimitUsd\n"
    "Exit: 0 written, 1 the disk is full, 2 wrong flags, or FILE is there already or can't be made.\n";

#define LIMIT_TO_START_FROM 200000

// With the limit in it. Every other value is the default: a line may be left out.
static const char start[] =
    "{\n"
    "  \"_comment\": [\n"
    "    \"Headgate reads the six sections below and leaves every other one alone, this one too.\",\n"
    "    \"tokenBudget.hardLimitTokens: the most tokens that all work together may use. There is no default: choose "
    "it.\",\n"
    "    \"Or in dollars: tokenBudget.hardLimitUsd, such as 20 or \\\"12.50\\\", in its place and in that of every "
    "budget,"
    " with llm.prices: what models cost in nano-dollars a token (2500 is 2.50 dollars a million), such as "
    "[{\\\"model\\\": \\\"gpt-4o*\\\", \\\"input\\\": 2500, \\\"cached\\\": 1250, \\\"cacheWrite\\\": 2500, "
    "\\\"output\\\": 10000}].\",\n"
    "    \"tokenBudget.throttlePercent: from here on work runs scheduler.throttledConcurrency at a time; 100: "
    "never.\",\n"
    "    \"tokenBudget.throttleBasis: the percent counts what is used, or with committed also what is reserved.\",\n"
    "    \"tokenBudget.restoreBelowPercent: below it the full concurrency returns.\",\n"
    "    \"tokenBudget.orphanedReservations: what becomes of reservations whose process died: charge, keep or "
    "release.\",\n"
    "    \"tokenBudget.budgets: parts of the whole, such as {\\\"research\\\": {\\\"hardLimitTokens\\\": 50000}}.\",\n"
    "    \"ledger.path: the file that counts, relative to this one.\",\n"
    "    \"ledger.keepDays: after how many days old journal rows are folded into a sum; 0: never.\",\n"
    "    \"ledger.sharedReaders: true lets other programs read the ledger during a run, at some cost in speed.\",\n"
    "    \"scheduler.maxConcurrency: how many calls run at once. throttledConcurrency: how many under the "
    "throttle.\",\n"
    "    \"eventBus.bind: more endpoints for events, such as ipc://run/events.ipc or tcp://127.0.0.1:5599.\",\n"
    "    \"eventBus.maxSubscribers: connections that events have at once. curve: keys, for tcp beyond loopback.\",\n"
    "    \"serve: the same for commands from other programs: bind, maxClients, curve; and metrics, for Prometheus.\",\n"
    "    \"llm.baseUrl and llm.apiKeyEnv may be added: by default the environment (OPENAI_BASE_URL, OPENAI_API_KEY, "
    "ANTHROPIC_*) says where to call and with which key.\",\n"
    "    \"llm.defaultMaxTokens: the output cap that is written into requests which have none.\",\n"
    "    \"llm.mayCapOutput: true lowers the cap of a request to what its budget has left instead of waiting or "
    "leaving "
    "it.\",\n"
    "    \"llm.reservation: bound (provable), or what the provider counts or calls were learnt to use: counted, "
    "learned.\",\n"
    "    \"llm.maxTokensPerMedia: what an image or a file may cost at most; 0: such calls are refused as "
    "unbounded.\",\n"
    "    \"llm.unbounded: refuse, or allow calls whose input cannot be bounded; then the limit is not provable.\",\n"
    "    \"llm.timeoutSeconds, llm.maxAttempts: of one call. retryUnknownOutcome: retries after a call that may be "
    "billed.\"\n"
    "  ],\n"
    "  \"tokenBudget\": {\n"
    "    \"hardLimitTokens\": %lld,\n"
    "    \"throttlePercent\": 90,\n"
    "    \"throttleBasis\": \"used\",\n"
    "    \"restoreBelowPercent\": 90,\n"
    "    \"orphanedReservations\": \"charge\",\n"
    "    \"budgets\": {}\n"
    "  },\n"
    "  \"ledger\": { \"path\": \"headgate.db\", \"keepDays\": 0, \"sharedReaders\": false },\n"
    "  \"scheduler\": { \"maxConcurrency\": 4, \"throttledConcurrency\": 1 },\n"
    "  \"eventBus\": { \"bind\": [], \"maxSubscribers\": 64 },\n"
    "  \"serve\": { \"bind\": [], \"maxClients\": 256 },\n"
    "  \"llm\": {\n"
    "    \"defaultMaxTokens\": 4096,\n"
    "    \"mayCapOutput\": false,\n"
    "    \"maxTokensPerMedia\": 0,\n"
    "    \"unbounded\": \"refuse\",\n"
    "    \"timeoutSeconds\": 600,\n"
    "    \"maxAttempts\": 5,\n"
    "    \"retryUnknownOutcome\": 1\n"
    "  }\n"
    "}\n";

static int write_start(const char *path, int64_t limit) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 && errno == EEXIST) {
    fprintf(stderr, "headgate init: \"%s\" is there already and was left as it is: name another file\n", path);
    return HG_EXIT_USAGE;
  }
  if (fd < 0) {
    fprintf(stderr, "headgate init: cannot create \"%s\": %s\n", path, strerror(errno));
    return HG_EXIT_USAGE;
  }
  char text[sizeof start + 32];
  const int len = snprintf(text, sizeof text, start, (long long)limit);
  const bool written = hg_write_all(fd, text, (size_t)len);
  const int reason = errno;
  if ((close(fd) == 0) & written) {
    printf("wrote %s with a hard limit (tokenBudget.hardLimitTokens) of %lld tokens; next\n"
           "  headgate run BATCH.jsonl -o RESULTS.jsonl --config %s\n",
           path, (long long)limit, path);
    return HG_EXIT_DONE;
  }
  unlink(path);
  fprintf(stderr, "headgate init: cannot write \"%s\": %s\n", path, strerror(reason));
  return HG_EXIT_FAILED;
}

int hg_cli_init(int argc, char **argv) {
  static const struct option options[] = {
      {"limit", required_argument, NULL, 'l'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
  int64_t limit = LIMIT_TO_START_FROM;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option != 'l') return hg_cli_usage(usage, option == 'h');
    if (!hg_cli_parse_tokens(optarg, &limit)) {
      fprintf(stderr, "headgate init: \"%s\" is not a number of tokens from 1 to %lld, such as 200k, 2M or 2_000_000\n",
              optarg, (long long)HG_TOKENS_MAX);
      return HG_EXIT_USAGE;
    }
  }
  if (argc - optind > 1) return hg_cli_usage(usage, false);
  return write_start(optind < argc ? argv[optind] : HG_CLI_CONFIG_FILE, limit);
}
