// headgate run --dry-run: what a batch file may cost at most, line by line, without a call and without a ledger.
#include "cli/run_flags.h"

#include "batch/line_reader.h"
#include "cli/cli.h"
#include "providers/request.h"
#include "runner/figures.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TOLD_MAX 20 // bad lines that are named one by one

struct costs {
  const struct hg_run_flags *flags;
  const struct hg_config *config;
  uint64_t requests, bad, unbounded;
  int64_t sum, smallest, largest;
  bool overflow; // the sum passes HG_TOKENS_MAX
};

static void tell_bad(struct costs *costs, uint64_t line, const char *text) {
  if (costs->bad++ >= TOLD_MAX) return;
  if (strncmp(text, "line ", 5) == 0) fprintf(stderr, "headgate run: %s\n", text);
  else fprintf(stderr, "headgate run: line %" PRIu64 ": %s\n", line, text);
}

static void add_request(struct costs *costs, const struct hg_prepared *prepared) {
  const int64_t need = prepared->max_tokens > 0 ? prepared->max_tokens : 1;
  costs->smallest = costs->requests == 0 || need < costs->smallest ? need : costs->smallest;
  costs->largest = need > costs->largest ? need : costs->largest;
  costs->requests++;
  costs->unbounded += prepared->unbounded;
  costs->overflow = costs->overflow || costs->sum > HG_TOKENS_MAX - need;
  if (!costs->overflow) costs->sum += need;
}

static hg_err add_line(struct costs *costs, const char *text, size_t len, uint64_t number) {
  const struct hg_hash_key key = {1, 2}; // nothing is looked up by the hashes
  struct hg_batch_line line;
  struct hg_prepared prepared = {.body = NULL};
  hg_error why = HG_ERROR_INIT;
  hg_err err = hg_batch_line_parse(text, len, number, key, &line, &why);
  if (!err) {
    err = hg_request_prepare(line.url, line.body, line.body_len, &costs->config->llm, costs->flags->model, &prepared,
                             &why);
    hg_batch_line_clear(&line);
  }
  if (err == HG_ERR_NO_MEMORY) return err;
  if (err) tell_bad(costs, number, why.text);
  else add_request(costs, &prepared);
  hg_prepared_clear(&prepared);
  return HG_OK;
}

static hg_err add_lines(struct costs *costs, int fd) {
  struct hg_line_reader reader;
  hg_line_reader_init(&reader, fd, HG_BODY_MAX);
  hg_err err = HG_OK;
  while (!err) {
    const char *text;
    size_t len;
    err = hg_line_reader_next(&reader, &text, &len);
    if (!err) {
      err = add_line(costs, text, len, reader.line_number);
    } else if (err == HG_ERR_RANGE) {
      tell_bad(costs, reader.line_number, "it is longer than a line may be");
      err = HG_OK;
    }
  }
  hg_line_reader_clear(&reader);
  return err == HG_ERR_EMPTY ? HG_OK : err;
}

static bool print_json(const struct costs *costs, int64_t limit, bool fits) {
  json_t *json = json_pack("{s:I s:I s:I s:I s:I s:I s:I s:b}", "requests", (json_int_t)costs->requests, "invalid",
                           (json_int_t)costs->bad, "unbounded", (json_int_t)costs->unbounded, "mostTokens",
                           (json_int_t)costs->sum, "smallestRequest", (json_int_t)costs->smallest, "largestRequest",
                           (json_int_t)costs->largest, "hardLimit", (json_int_t)limit, "fits", fits);
  const bool printed = json && json_dumpf(json, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF;
  json_decref(json);
  return printed;
}

static void print_text(const struct costs *costs, int64_t limit, bool fits) {
  printf("requests   %s\n", hg_figure_count((int64_t)costs->requests).text);
  if (costs->bad > 0) printf("not valid  %s\n", hg_figure_count((int64_t)costs->bad).text);
  if (costs->unbounded > 0)
    printf("unbounded  %s, whose bound can't be proven\n", hg_figure_count((int64_t)costs->unbounded).text);
  printf("at most    %s%s tokens in all, %s to %s a request\n", costs->overflow ? "over " : "",
         hg_figure_count(costs->sum).text, hg_figure_count(costs->smallest).text, hg_figure_count(costs->largest).text);
  printf("limit      %s tokens: %s\n", hg_figure_count(limit).text,
         fits ? "all of it fits, whatever the answers are"
         : costs->largest > limit
             ? "some requests alone pass it"
             : "it fits only if answers are shorter than their caps; what does not fit is left for a next run");
}

int hg_dry_run(const struct hg_run_flags *flags, const struct hg_config *config) {
  const int fd = open(flags->input, O_RDONLY | O_CLOEXEC);
  struct costs costs = {.flags = flags, .config = config};
  hg_err err = fd < 0 ? HG_ERR_SYSTEM : add_lines(&costs, fd);
  if (err)
    fprintf(stderr, "headgate run: %s: %s\n", flags->input, err == HG_ERR_SYSTEM ? strerror(errno) : hg_err_text(err));
  if (fd >= 0) close(fd);
  if (err) return HG_EXIT_USAGE;
  const int64_t limit = config->budgets[0].hard_limit;
  const bool fits = !costs.overflow && costs.sum <= limit && costs.unbounded == 0;
  if (flags->json) {
    if (!print_json(&costs, limit, fits)) return HG_EXIT_USAGE;
  } else {
    print_text(&costs, limit, fits);
  }
  if (costs.bad > 0) return HG_EXIT_FAILED;
  return fits ? HG_EXIT_DONE : HG_EXIT_BUDGET;
}
