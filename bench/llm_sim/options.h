/* options.h: what the flags of llm-sim say. */
#ifndef LLM_SIM_OPTIONS_H
#define LLM_SIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { OUTPUT_FILL_HASHED = 101 }; /* no --output-fill: the output is drawn from the hash */

struct options {
  uint64_t port;
  const char *base_path; /* without a slash at its end */
  const char *require_key;
  const char *log_path;
  uint64_t seed;

  uint64_t output_fill_percent;
  uint64_t output_mean_tokens; /* 0 = none */
  uint64_t text_bytes_max;
  bool ignore_cap;

  double latency_ms, latency_jitter_ms;
  bool lognormal;
  double lognormal_median_ms, lognormal_sigma;

  double rate_429, rate_500, rate_cut, rate_malformed, rate_no_usage, rate_stream_error; /* percent */
  double rate_count_500;                                                                 /* of questions for a count */
  uint64_t count_percent;
  bool no_counts;
  uint64_t retry_after_s;
  uint64_t always_status; /* 0 = no */
  bool quota;
};

enum options_result { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_BAD };

/* Prints the help to stdout or what is wrong to stderr. The strings in `options` point into argv. */
enum options_result options_parse(struct options *options, int argc, char **argv);

#endif
