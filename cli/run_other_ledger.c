// Adds up what lines of another ledger say that their calls used, and tells of it.
#include "cli/run_other_ledger.h"

#include <stdio.h>

// What an answer without figures used was charged there by its reservation, which is not known here.
void hg_run_other_ledger_add(struct hg_other_ledger *other, hg_unit unit, const struct hg_result_line *line) {
  hg_usage_report used = HG_USAGE_REPORT_INIT;
  other->calls++;
  const int64_t charged = hg_result_charged(line, unit);
  if (unit == HG_UNIT_NANODOLLARS || charged > 0) used.tokens = charged > 0 ? charged : 0;
  else if (!line->body || hg_usage_from_response(line->body, line->body_len, &used) != HG_OK) return;
  other->tokens = used.tokens <= HG_TOKENS_MAX - other->tokens ? other->tokens + used.tokens : HG_TOKENS_MAX;
}

void hg_run_other_ledger_tell(const struct hg_other_ledger *other, hg_unit unit, const char *results,
                              const char *ledger_path) {
  char text[3 * HG_ERROR_TEXT_MAX];
  if (other->calls == 0) return;
  snprintf(text, sizeof text,
           "%.400s: another ledger counted %s of its calls, which used %s by their answers; %.400s does not have "
           "them, so its limit begins anew. Name the ledger that has them, or lower the limit by as much",
           results, hg_figure_count((int64_t)other->calls).text, hg_figure_tokens(unit, other->tokens).text,
           ledger_path);
  hg_run_say(text);
}
