// Reads the values of flags, exactly or not at all.
#include "cli/options.h"

#include "base/money.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int hg_cli_next_option(int argc, char **argv, const struct option *options) {
  if (optind >= argc) return -1; // behind "--" getopt would go back to the first word
  const bool number = argv[optind][0] == '-' && isdigit((unsigned char)argv[optind][1]);
  const int option = number ? -1 : getopt_long(argc, argv, "+", options, NULL);
  if (option != -1 || optind >= argc) return option;
  optarg = argv[optind++];
  return HG_CLI_WORD;
}

// Appends a digit. False: it would pass the greatest number of tokens.
static bool add_digit(int64_t *number, char digit) {
  if (*number > (HG_TOKENS_MAX - (digit - '0')) / 10) return false;
  *number = *number * 10 + (digit - '0');
  return true;
}

// How many zeros a unit stands for; -1: it is no unit.
static int zeros_of(const char *unit) {
  if (unit[0] != '\0' && unit[1] != '\0') return -1;
  switch (unit[0]) {
  case '\0': return 0;
  case 'k':
  case 'K': return 3;
  case 'm':
  case 'M': return 6;
  case 'g':
  case 'G': return 9;
  default: return -1;
  }
}

bool hg_cli_parse_tokens(const char *text, int64_t *out) {
  int64_t number = 0;
  int decimals = -1; // digits behind the point; -1: no point
  const char *at = text;
  if (!isdigit((unsigned char)*at)) return false;
  for (;; at++) {
    if (isdigit((unsigned char)*at)) {
      if (!add_digit(&number, *at)) return false;
      if (decimals >= 0) decimals++;
    } else if (*at == '.' && decimals < 0 && isdigit((unsigned char)at[1])) {
      decimals = 0;
    } else if (*at != '_' || decimals >= 0 || !isdigit((unsigned char)at[1])) {
      break;
    }
  }
  int zeros = zeros_of(at) - (decimals > 0 ? decimals : 0);
  if (zeros_of(at) < 0) return false;
  for (; zeros > 0; zeros--)
    if (!add_digit(&number, '0')) return false;
  for (; zeros < 0; zeros++, number /= 10)
    if (number % 10 != 0) return false;
  if (number < 1) return false;
  *out = number;
  return true;
}

bool hg_cli_parse_amount(const char *text, struct hg_amount *out) {
  const size_t len = strlen(text);
  out->unit = HG_UNIT_NANODOLLARS;
  if (text[0] == '$') return hg_money_parse(text + 1, len - 1, &out->amount);
  if (len > 3 && strcasecmp(text + len - 3, "usd") == 0) return hg_money_parse(text, len - 3, &out->amount);
  out->unit = HG_UNIT_TOKENS;
  return hg_cli_parse_tokens(text, &out->amount);
}

bool hg_cli_parse_whole(const char *text, unsigned long min, unsigned long max, unsigned long *out) {
  char *end = NULL;
  errno = 0;
  const unsigned long number = isdigit((unsigned char)text[0]) ? strtoul(text, &end, 10) : 0;
  if (!end || *end || errno || number < min || number > max) return false;
  *out = number;
  return true;
}

int hg_cli_parse_word(const char *text, const char *const *words) {
  for (int i = 0; words[i]; i++)
    if (strcmp(words[i], text) == 0) return i;
  return -1;
}
