/* options.c: one table of flags, from which they are parsed, checked and explained. */
#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_SWITCH, KIND_WHOLE, KIND_DECIMAL, KIND_TEXT, KIND_LATENCY };

struct flag {
  const char *name;
  const char *argument; /* as the help shows it */
  enum kind kind;
  size_t offset;
  uint64_t min, max;
  const char *help;
};

#define AT(field) offsetof(struct options, field)
enum { LATENCY_MS_MAX = 3600 * 1000, TOKENS_MAX = 10 * 1000 * 1000, TEXT_BYTES_MAX = 64 * 1024 };

static const struct flag flags[] = {
    {"port", "N", KIND_WHOLE, AT(port), 0, 65535, "port on 127.0.0.1 (default 0: any free one)"},
    {"base-path", "PREFIX", KIND_TEXT, AT(base_path), 0, 0,
     "serve PREFIX/v1/..., or PREFIX/... when PREFIX names a version itself"},
    {"require-key", "KEY", KIND_TEXT, AT(require_key), 0, 0, "answer 401 to a request without this API key"},
    {"log", "FILE", KIND_TEXT, AT(log_path), 0, 0, "write a JSON line for each request (flushed by SIGUSR1)"},
    {"seed", "N", KIND_WHOLE, AT(seed), 0, UINT64_MAX, "draw other faults and latencies (default 0)"},
    {"output-fill", "PERCENT", KIND_WHOLE, AT(output_fill_percent), 0, 100,
     "use exactly this part of the output cap (default: drawn)"},
    {"output-mean", "TOKENS", KIND_WHOLE, AT(output_mean_tokens), 1, TOKENS_MAX,
     "draw the output from half to one and a half of TOKENS, within the cap"},
    {"text-bytes", "N", KIND_WHOLE, AT(text_bytes_max), 0, TEXT_BYTES_MAX, "most bytes of text shown (default 200)"},
    {"ignore-cap", NULL, KIND_SWITCH, AT(ignore_cap), 0, 0, "answer with half as much again as the cap allows"},
    {"latency-ms", "MS", KIND_DECIMAL, AT(latency_ms), 0, LATENCY_MS_MAX, "time for each answer (default 0)"},
    {"latency-jitter-ms", "MS", KIND_DECIMAL, AT(latency_jitter_ms), 0, LATENCY_MS_MAX, "and up to MS more, uniform"},
    {"latency", "lognormal:MEDIAN_MS,SIGMA", KIND_LATENCY, 0, 0, LATENCY_MS_MAX, "time drawn with a long tail"},
    {"rate-429", "PERCENT", KIND_DECIMAL, AT(rate_429), 0, 100, "answer 429 with Retry-After"},
    {"retry-after", "SECONDS", KIND_WHOLE, AT(retry_after_s), 0, 86400, "what Retry-After says (default 1)"},
    {"rate-500", "PERCENT", KIND_DECIMAL, AT(rate_500), 0, 100, "answer 500"},
    {"rate-cut", "PERCENT", KIND_DECIMAL, AT(rate_cut), 0, 100, "close the connection in the middle of the body"},
    {"rate-malformed", "PERCENT", KIND_DECIMAL, AT(rate_malformed), 0, 100, "answer 200 with what is not JSON"},
    {"rate-no-usage", "PERCENT", KIND_DECIMAL, AT(rate_no_usage), 0, 100, "answer 200 without usage"},
    {"rate-stream-error", "PERCENT", KIND_DECIMAL, AT(rate_stream_error), 0, 100,
     "end a stream with an error after half of the answer; what is no stream is answered"},
    {"rate-count-500", "PERCENT", KIND_DECIMAL, AT(rate_count_500), 0, 100, "answer 500 to questions for a count"},
    {"count-percent", "PERCENT", KIND_WHOLE, AT(count_percent), 1, 1000,
     "counts say this part of what is billed (default 100)"},
    {"no-counts", NULL, KIND_SWITCH, AT(no_counts), 0, 0, "answer 404 to questions for a count"},
    {"always-status", "CODE", KIND_WHOLE, AT(always_status), 400, 599, "answer every call with this status"},
    {"quota", NULL, KIND_SWITCH, AT(quota), 0, 0, "429 says insufficient_quota, not rate_limit_exceeded"},
};
enum { FLAG_COUNT = sizeof flags / sizeof *flags };

static void print_help(void) {
  puts("llm-sim: a simulated LLM provider.\n\n"
       "  POST /v1/chat/completions /v1/responses /v1/completions /v1/embeddings /v1/messages\n"
       "  POST /v1/responses/input_tokens /v1/messages/count_tokens /tokenize, which count and bill nothing\n"
       "  GET /healthz, GET /stats; POST /reset forgets counters and attempts, POST /reset?only=stats counters only\n\n"
       "Answers follow from the request alone, faults and latency from the request, its attempt and the seed.\n"
       "Prints `listening on http://127.0.0.1:PORT` once ready; SIGTERM or SIGINT ends it.\n");
  for (size_t i = 0; i < FLAG_COUNT; i++) {
    char usage[64];
    snprintf(usage, sizeof usage, "--%s%s%s", flags[i].name, flags[i].argument ? " " : "",
             flags[i].argument ? flags[i].argument : "");
    printf("  %-36s %s\n", usage, flags[i].help);
  }
  printf("  %-36s %s\n", "--help", "show this");
}

static bool bad(const char *name, const char *message) {
  fprintf(stderr, "llm-sim: --%s %s (see --help)\n", name, message);
  return false;
}

static bool parse_decimal(const char *value, double max, double *out, char until) {
  char *end = NULL;
  errno = 0;
  const double number = value[0] >= '0' && value[0] <= '9' ? strtod(value, &end) : -1.0;
  if (!end || *end != until || errno != 0 || !(number >= 0 && number <= max)) return false;
  *out = number;
  return true;
}

static bool parse_whole(const struct flag *flag, const char *value, uint64_t *out) {
  char *end = NULL;
  errno = 0;
  const unsigned long long number = value[0] >= '0' && value[0] <= '9' ? strtoull(value, &end, 10) : 0;
  if (!end || *end != 0 || errno != 0 || number < flag->min || number > flag->max) return false;
  *out = number;
  return true;
}

static bool parse_lognormal(const struct flag *flag, const char *value, struct options *options) {
  static const char form[] = "lognormal:";
  const char *const comma = strchr(value, ',');
  if (strncmp(value, form, sizeof form - 1) != 0 || !comma) return false;
  options->lognormal = true;
  return parse_decimal(value + sizeof form - 1, (double)flag->max, &options->lognormal_median_ms, ',') &&
         parse_decimal(comma + 1, 10, &options->lognormal_sigma, 0);
}

static bool set(struct options *options, const struct flag *flag, const char *value) {
  void *const field = (char *)options + flag->offset;
  char message[96];
  bool good = true;
  switch (flag->kind) {
  case KIND_SWITCH: *(bool *)field = true; break;
  case KIND_TEXT: *(const char **)field = value; break;
  case KIND_WHOLE: good = parse_whole(flag, value, field); break;
  case KIND_DECIMAL: good = parse_decimal(value, (double)flag->max, field, 0); break;
  case KIND_LATENCY: good = parse_lognormal(flag, value, options); break;
  }
  if (good) return true;
  if (flag->kind == KIND_LATENCY) return bad(flag->name, "takes lognormal:MEDIAN_MS,SIGMA");
  snprintf(message, sizeof message, "takes a %snumber from %llu to %llu", flag->kind == KIND_WHOLE ? "whole " : "",
           (unsigned long long)flag->min, (unsigned long long)flag->max);
  return bad(flag->name, message);
}

/* "--name value" and "--name=value"; steps *i over what it took. */
static bool take(struct options *options, int argc, char **argv, int *i) {
  const char *const argument = argv[*i];
  if (strncmp(argument, "--", 2) != 0) {
    fprintf(stderr, "llm-sim: what is `%s`? (see --help)\n", argument);
    return false;
  }
  const char *const name = argument + 2;
  const size_t length = strcspn(name, "=");
  const struct flag *flag = flags;
  while (flag < flags + FLAG_COUNT && (strlen(flag->name) != length || strncmp(flag->name, name, length) != 0))
    flag++;
  if (flag == flags + FLAG_COUNT) return bad(name, "is not a flag");
  const char *value = name[length] ? name + length + 1 : NULL;
  if (!flag->argument) return value ? bad(flag->name, "takes no value") : set(options, flag, "");
  if (!value && *i + 1 < argc) value = argv[++*i];
  return value ? set(options, flag, value) : bad(flag->name, "needs a value");
}

static bool check(const struct options *options) {
  const double rates = options->rate_429 + options->rate_500 + options->rate_cut + options->rate_malformed +
                       options->rate_no_usage + options->rate_stream_error;
  const size_t base_length = strlen(options->base_path);
  if (rates > 100.0 + 1e-9) return bad("rate-...", "add up to more than 100");
  if (options->lognormal && options->latency_ms + options->latency_jitter_ms > 0)
    return bad("latency", "excludes --latency-ms and --latency-jitter-ms");
  if (options->output_mean_tokens && options->output_fill_percent <= 100)
    return bad("output-mean", "excludes --output-fill");
  if (options->quota && options->always_status != 429 && options->rate_429 <= 0)
    return bad("quota", "needs --always-status 429 or --rate-429");
  if (base_length > 0 && (options->base_path[0] != '/' || options->base_path[base_length - 1] == '/'))
    return bad("base-path", "must begin with a slash and not end with one");
  return true;
}

enum options_result options_parse(struct options *options, int argc, char **argv) {
  *options = (struct options){.base_path = "",
                              .output_fill_percent = OUTPUT_FILL_HASHED,
                              .text_bytes_max = 200,
                              .count_percent = 100,
                              .retry_after_s = 1};
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0) {
      print_help();
      return OPTIONS_HELP;
    }
    if (!take(options, argc, argv, &i)) return OPTIONS_BAD;
  }
  return check(options) ? OPTIONS_RUN : OPTIONS_BAD;
}
