// What an answer used, under libFuzzer (scripts/fuzz). Whatever the bytes are: what is exact is a count that no
// message refuses, and what is missing has no figure and a reason.
#include "fuzz/fuzz.h"

#include "usage/report.h"
#include "usage/usage.h"

#include <stdlib.h>
#include <string.h>

static bool within(int64_t part, int64_t whole) {
  return part == HG_UNKNOWN || whole == HG_UNKNOWN || part <= whole;
}

static void check(hg_err err, const hg_usage_report *report) {
  hg_usage_report copy;
  need(hg_report_read(report, HG_UNIT_TOKENS, &copy) == HG_OK);
  need((err == HG_OK) == (report->source == HG_SOURCE_EXACT));
  const int64_t input = report->input_tokens, output = report->output_tokens;
  if (err != HG_OK) {
    need(report->source == HG_SOURCE_MISSING && report->tokens == 0 && input == HG_UNKNOWN && output == HG_UNKNOWN);
    need(report->cached_tokens == HG_UNKNOWN && report->cache_write_tokens == HG_UNKNOWN);
    return;
  }
  need((input == HG_UNKNOWN ? 0 : input) + (output == HG_UNKNOWN ? 0 : output) <= report->tokens);
  need(within(report->cached_tokens, input) && within(report->cache_write_tokens, input));
  need(within(report->reasoning_tokens, output));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct hg_answer answer;
  struct hg_usage_found found;
  hg_usage_report report = HG_USAGE_REPORT_INIT;
  hg_answer_read((const char *)data, size, &answer);
  const hg_err err = hg_usage_find(&answer, &found);
  check(err, &found.report);
  need(err == HG_OK || (found.reason && *found.reason));
  need((err == HG_ERR_PROTOCOL) == (answer.fault != NULL));
  need(hg_usage_from_response((const char *)data, size, &report) == err);
  need(report.tokens == found.report.tokens && report.source == found.report.source);
  return 0;
}
