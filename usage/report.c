// Checks a usage report before anything is made of it.
#include "usage/report.h"

#include <stddef.h>
#include <string.h>

void hg_report_drop_impossible(hg_usage_report *report) {
  const int64_t input = report->input_tokens, cached = report->cached_tokens, written = report->cache_write_tokens;
  if (report->output_tokens != HG_UNKNOWN && report->reasoning_tokens > report->output_tokens)
    report->reasoning_tokens = HG_UNKNOWN;
  if (input == HG_UNKNOWN || (cached > 0 ? cached : 0) + (written > 0 ? written : 0) <= input) return;
  report->cached_tokens = report->cache_write_tokens = HG_UNKNOWN;
  report->cache_doubtful = true;
}

hg_err hg_report_read(const hg_usage_report *from, hg_unit unit, hg_usage_report *to) {
  const hg_usage_report defaults = HG_USAGE_REPORT_INIT;
  *to = defaults;
  if (!from || from->size < offsetof(hg_usage_report, task_id)) return HG_ERR_INVALID;
  memcpy(to, from, from->size < sizeof *to ? from->size : sizeof *to);
  to->size = (uint32_t)sizeof *to;
  if (to->tokens < 0 || to->tokens > HG_TOKENS_MAX) return HG_ERR_RANGE;
  const int64_t parts[] = {to->input_tokens, to->cached_tokens, to->cache_write_tokens, to->output_tokens,
                           to->reasoning_tokens};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (parts[i] < HG_UNKNOWN || parts[i] > HG_TOKENS_MAX) return HG_ERR_RANGE;
  if ((unsigned)to->source > HG_SOURCE_MISSING || (unsigned)to->outcome > HG_OUTCOME_RETRY) return HG_ERR_INVALID;
  hg_report_drop_impossible(to);
  if (to->unit != unit && to->source == HG_SOURCE_MISSING) to->tokens = 0; // of something else
  return to->unit == unit || to->source == HG_SOURCE_MISSING ? HG_OK : HG_ERR_INVALID;
}
