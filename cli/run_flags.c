// Reads the flags of `headgate run` and makes the configuration that they mean.
#include "cli/run_flags.h"

#include "cli/cli.h"
#include "cli/control.h"
#include "cli/options.h"
#include "base/money.h"

#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: headgate run BATCH.jsonl -o RESULTS.jsonl [--limit LIMIT] [--config FILE] [flags]\n"
    "Makes the calls of an OpenAI Batch file in parallel, inside a hard budget. Run again, it goes on where it\n"
    "ended: what succeeded is not called again. The file may be a pipe; - is standard input.\n"
    "  -o, --output FILE      the results, a line for each success; failures go to RESULTS.errors.jsonl. - is "
    "standard\n"
    "                         output: each result as its call ends, but a run again calls every line again; failures\n"
    "                         go to BATCH.errors.jsonl then (headgate.errors.jsonl for a batch from standard input)\n"
    "  --errors FILE          failures, bad lines and duplicates go here\n"
    "  --limit LIMIT          the hard limit, such as 200k, 2M, 2_000_000; without --config the ledger is RESULTS.db\n"
    "                         (with -o - BATCH.db, or headgate.db); '$20' or 20usd with a --config that has "
    "llm.prices\n"
    "  --config FILE          the configuration (default: " HG_CLI_CONFIG_FILE ", where there is one and no --limit)\n"
    "  --base-url URL         where to call (default: llm.baseUrl, then OPENAI_BASE_URL or ANTHROPIC_BASE_URL)\n"
    "  --model NAME           replaces the model of every request\n"
    "  --budget NAME          which budget pays for lines that name none (default: default)\n"
    "  --max-concurrency N    calls at once\n"
    "  --bind ENDPOINT        publish events here too (ipc://PATH or tcp://127.0.0.1:PORT); may be given again\n"
    "  --progress WHEN        the live line: auto (at a terminal), always or never\n"
    "  --json                 the summary as one JSON object on stdout\n"
    "  --dry-run              call nothing: say what the rest may cost at most and whether that fits\n"
    "  --fresh                move existing results aside and start anew\n"
    "  --changed WHAT         a request that changed since it succeeded: stop (default), redo or keep\n"
    "  --order WHAT           the results stand as calls ended (completion, the default), or are put into the order "
    "of\n"
    "                         the batch file at the end (input; it must be a file)\n"
    "Exit: 0 all done (with --dry-run: the rest fits), 1 some requests failed, or lines are not valid, twice there, "
    "or\n"
    "left because the provider asks for a longer wait than a run's, 2 nothing was started: wrong flags, "
    "configuration,\n"
    "key, URL or input, or something that the system refuses (an address, open files); or the run had to stop, and "
    "its\n"
    "summary says what was done: nobody serves it any more, an answer was longer than its cap, a request changed, or "
    "the\n"
    "input can't be read any further, 3 the budget ended first (with --dry-run: the rest may not fit), 4 the ledger "
    "or\n"
    "the results can't be written, or calls were not settled as they should be, 130 interrupted.\n";

enum flag {
  NO_FLAG = 1,
  OUTPUT = 'o',
  HELP = 'h',
  LIMIT = 256,
  CONFIG,
  BASE_URL,
  MODEL,
  BUDGET,
  MAX,
  BIND,
  PROGRESS,
  JSON,
  DRY,
  FRESH,
  CHANGED,
  ORDER,
  ERRORS
};

static const struct option options[] = {{"output", required_argument, NULL, OUTPUT},
                                        {"errors", required_argument, NULL, ERRORS},
                                        {"limit", required_argument, NULL, LIMIT},
                                        {"config", required_argument, NULL, CONFIG},
                                        {"base-url", required_argument, NULL, BASE_URL},
                                        {"model", required_argument, NULL, MODEL},
                                        {"budget", required_argument, NULL, BUDGET},
                                        {"max-concurrency", required_argument, NULL, MAX},
                                        {"bind", required_argument, NULL, BIND},
                                        {"progress", required_argument, NULL, PROGRESS},
                                        {"json", no_argument, NULL, JSON},
                                        {"dry-run", no_argument, NULL, DRY},
                                        {"fresh", no_argument, NULL, FRESH},
                                        {"order", required_argument, NULL, ORDER},
                                        {"changed", required_argument, NULL, CHANGED},
                                        {"help", no_argument, NULL, HELP},
                                        {NULL, 0, NULL, 0}};

void hg_run_say(const char *text) {
  fprintf(stderr, "headgate run: %s\n", text);
}

__attribute__((format(printf, 1, 2))) static bool bad(const char *format, ...) {
  fputs("headgate run: ", stderr);
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputs(" (headgate run --help)\n", stderr);
  return false;
}

static bool take_number(const char *text, uint32_t *out) {
  unsigned long number;
  if (!hg_cli_parse_whole(text, 1, HG_CONCURRENCY_MAX, &number))
    return bad("--max-concurrency takes a whole number from 1 to %d; found \"%s\"", HG_CONCURRENCY_MAX, text);
  *out = (uint32_t)number;
  return true;
}

static bool take_limit(struct hg_run_flags *flags, const char *text) {
  struct hg_amount limit;
  if (!hg_cli_parse_amount(text, &limit))
    return bad(
        "--limit takes a number of tokens from 1 to %lld, such as 200k, 2M or 2_000_000, or an amount of dollars, "
        "such as '$20' or 20usd; found \"%s\"",
        (long long)HG_TOKENS_MAX, text);
  flags->limit = limit.amount;
  flags->limit_unit = limit.unit;
  return true;
}

static bool take_bind(struct hg_run_flags *flags, const char *endpoint) {
  if (flags->bind_count == HG_RUN_BINDS_MAX) return bad("--bind may be given %d times", HG_RUN_BINDS_MAX);
  flags->binds[flags->bind_count++] = endpoint;
  return true;
}

static bool take_word(const char *flag, const char *text, const char *const *words, const char *all, int *out) {
  *out = hg_cli_parse_word(text, words);
  return *out >= 0 || bad("--%s takes %s; found \"%s\"", flag, all, text);
}

// A flag without a value, or one whose value is taken as it is.
static bool take_plain(struct hg_run_flags *flags, int flag, const char *value) {
  switch (flag) {
  case OUTPUT: flags->output = value; return true;
  case ERRORS: flags->errors = value; return value[0] || bad("--errors takes a file");
  case CONFIG: flags->config_file = value; return true;
  case BASE_URL: flags->base_url = value; return true;
  case MODEL: flags->model = value; return value[0] || bad("--model takes a name");
  case BUDGET: flags->budget = value; return value[0] || bad("--budget takes a name");
  case JSON: flags->json = true; return true;
  case DRY: flags->dry_run = true; return true;
  case FRESH: flags->fresh = true; return true;
  default: fputs("See headgate run --help.\n", stderr); return false;
  }
}

static bool take(struct hg_run_flags *flags, int flag, const char *value) {
  static const char *const progress[] = {"auto", "always", "never", NULL};
  static const char *const changed[] = {"stop", "redo", "keep", NULL};
  static const char *const orders[] = {"completion", "input", NULL};
  int word = 0;
  switch (flag) {
  case LIMIT: return take_limit(flags, value);
  case MAX: return take_number(value, &flags->max_concurrency);
  case BIND: return take_bind(flags, value);
  case PROGRESS:
    if (!take_word("progress", value, progress, "auto, always or never", &word)) return false;
    flags->progress = (enum hg_progress_flag)word;
    return true;
  case ORDER:
    if (!take_word("order", value, orders, "completion or input", &word)) return false;
    flags->input_order = word == 1;
    return true;
  case CHANGED:
    if (!take_word("changed", value, changed, "stop, redo or keep", &word)) return false;
    flags->changed = (enum hg_changed_policy)word;
    return true;
  default: return take_plain(flags, flag, value);
  }
}

static bool take_file(struct hg_run_flags *flags, const char *path) {
  if (flags->input) return bad("one batch file at a time; what is \"%s\"?", path);
  flags->input = path;
  return true;
}

// What is not there, the opening tells.
static bool is_read_again(const char *path) {
  struct stat found;
  return strcmp(path, "-") != 0 && (stat(path, &found) != 0 || S_ISREG(found.st_mode) || S_ISDIR(found.st_mode));
}

static bool check(struct hg_run_flags *flags) {
  if (!flags->input) return bad("which batch file? Name one");
  if (flags->input_order && !is_read_again(flags->input))
    return bad("--order input needs a batch file that can be read again, not standard input or a pipe");
  if (flags->output ? !flags->output[0] : !flags->dry_run)
    return bad("where should the results go? Name a file with -o");
  if (flags->output && hg_run_has_stream(flags)) {
    if (flags->input_order) return bad("--order input needs results in a file, not on standard output");
    if (flags->json && !flags->dry_run) return bad("--json and -o - both want standard output");
  }
  if (flags->errors && strcmp(flags->errors, "-") == 0) return bad("--errors takes a file, not standard output");
  if (flags->limit > 0 && flags->limit_unit == HG_UNIT_NANODOLLARS && !flags->config_file)
    return bad(
        "ConfigurationError: --limit in dollars needs llm.prices, what models cost: give a configuration that has "
        "them with --config FILE");
  if (flags->config_file || flags->limit > 0) return true;
  if (access(HG_CLI_CONFIG_FILE, F_OK) != 0)
    return bad("ConfigurationError: tokenBudget.hardLimitTokens is not set and has no default: give --limit 2M, or "
               "--config FILE; there is no " HG_CLI_CONFIG_FILE " here (headgate init writes one)");
  flags->config_file = HG_CLI_CONFIG_FILE;
  return true;
}

bool hg_run_flags_parse(struct hg_run_flags *flags, int argc, char **argv, int *exit_code) {
  *flags = (struct hg_run_flags){.argc = argc, .argv = argv};
  *exit_code = HG_EXIT_USAGE;
  // The '-' leaves the arguments in their order, in which the command that goes on is told.
  for (int flag; (flag = getopt_long(argc, argv, "-o:h", options, NULL)) != -1;) {
    if (flag == HELP) {
      fputs(usage, stdout);
      *exit_code = HG_EXIT_DONE;
      return false;
    }
    if (flag == NO_FLAG ? !take_file(flags, optarg) : !take(flags, flag, optarg)) return false;
  }
  for (; optind < argc; optind++) // behind "--"
    if (!take_file(flags, argv[optind])) return false;
  return check(flags);
}

// ---------------------------------------------------------------------------------------------- the configuration

// RESULTS.jsonl -> RESULTS.db.
static hg_err limit_only(const struct hg_run_flags *flags, struct hg_config **out, hg_error *why) {
  const char *base = hg_run_base(flags);
  size_t len = strlen(base);
  if (len > 6 && strcmp(base + len - 6, ".jsonl") == 0) len -= 6;
  char *ledger = malloc(len + 4);
  if (!ledger) return hg_fail(why, HG_ERR_NO_MEMORY, "no memory for the configuration");
  snprintf(ledger, len + 4, "%.*s.db", (int)len, base);
  const hg_err err = hg_config_minimal(flags->limit, ledger, out, why);
  free(ledger);
  return err;
}

// An endpoint is checked where those of a file are: as the configuration of a file that holds nothing else.
static hg_err add_bind(struct hg_config *config, const char *endpoint, hg_error *why) {
  json_t *json = json_pack("{s:{s:i}, s:{s:[s]}}", "tokenBudget", "hardLimitTokens", 1, "eventBus", "bind", endpoint);
  char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
  json_decref(json);
  if (!text) return hg_fail(why, HG_ERR_CONFIG, "ConfigurationError: --bind takes UTF-8 text");
  struct hg_config *checked = NULL;
  hg_err err = hg_config_parse(text, strlen(text), "--bind", NULL, &checked, why);
  free(text);
  if (err) return err;
  char **binds = realloc(config->event_binds, (config->event_bind_count + 1) * sizeof(char *));
  if (binds) {
    config->event_binds = binds;
    binds[config->event_bind_count++] = checked->event_binds[0];
    checked->event_binds[0] = NULL; // moved
    checked->event_bind_count = 0;
  } else {
    err = hg_fail(why, HG_ERR_NO_MEMORY, "no memory for the configuration");
  }
  hg_config_destroy(&checked);
  return err;
}

static hg_err check_budget(const struct hg_config *config, const char *name, hg_error *why) {
  for (uint32_t i = 0; !name || i < config->budget_count; i++)
    if (!name || strcmp(config->budgets[i].name, name) == 0) return HG_OK;
  return hg_fail(why, HG_ERR_CONFIG, "ConfigurationError: %s has no budget \"%.*s\" in tokenBudget.budgets",
                 config->source, HG_BUDGET_NAME_MAX, name);
}

// The flag takes the place of what the file says of the whole. Without prices every line of a money budget would fail.
static hg_err set_limit(const struct hg_run_flags *flags, struct hg_config *config, hg_error *why) {
  if (flags->limit > 0 && flags->limit_unit != config->unit && config->budget_count > 1)
    return hg_fail(
        why, HG_ERR_CONFIG,
        "ConfigurationError: --limit is in %s and tokenBudget.budgets of %s are in %s: a ledger counts one unit",
        hg_unit_words(flags->limit_unit), config->source, hg_unit_words(config->unit));
  if (flags->limit > 0) {
    config->budgets[0].hard_limit = flags->limit;
    config->unit = flags->limit_unit;
  }
  if (config->unit == HG_UNIT_TOKENS || config->llm.prices.count > 0) return HG_OK;
  return hg_fail(
      why, HG_ERR_CONFIG,
      "ConfigurationError: %s has no llm.prices: with a limit in dollars each model needs a price (a list of "
      "{\"model\": \"gpt-4o*\", \"input\": 2500, \"output\": 10000}, nano-dollars a token)",
      config->source);
}

hg_err hg_run_flags_config(const struct hg_run_flags *flags, struct hg_config **out, hg_error *why) {
  struct hg_config *config = NULL;
  hg_err err = flags->config_file ? hg_config_read(flags->config_file, &config, why) : limit_only(flags, &config, why);
  if (err || !config) return err;
  fputs(config->warnings, stderr);
  err = set_limit(flags, config, why);
  if (flags->max_concurrency > 0) config->max_concurrency = flags->max_concurrency;
  for (size_t i = 0; i < flags->bind_count && !err; i++)
    err = add_bind(config, flags->binds[i], why);
  if (!err) err = check_budget(config, flags->budget, why);
  if (err) hg_config_destroy(&config);
  else *out = config;
  return err;
}
