// The values of flags.
#ifndef HG_OPTIONS_H
#define HG_OPTIONS_H

#include "headgate.h"

// As getopt_long, but for words: each comes as HG_CLI_WORD, in optarg, and what is behind a "-" and a digit is one
// ("-3k").
#define HG_CLI_WORD 1
struct option;
int hg_cli_next_option(int argc, char **argv, const struct option *options);

// A number of tokens from 1 to HG_TOKENS_MAX, exactly: 200000, 2_000_000, 200k, 1.5M, 2G (k, M and G are powers of
// 1,000). False: it is none, or its fraction is finer than a token.
bool hg_cli_parse_tokens(const char *text, int64_t *out);
// An amount of a budget, and of what it is: a number of tokens as above, or dollars, exactly: $20, $12.50, 20usd.
struct hg_amount {
  hg_unit unit;
  int64_t amount;
};
bool hg_cli_parse_amount(const char *text, struct hg_amount *out);
// A whole number without sign, from `min` to `max`.
bool hg_cli_parse_whole(const char *text, unsigned long min, unsigned long max, unsigned long *out);
// One of the words of a NULL-terminated list: its place, or -1.
int hg_cli_parse_word(const char *text, const char *const *words);

#endif
