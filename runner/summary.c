// Prints how a run ended.
#include "runner/summary.h"

#include "base/money.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#define SHOWN_MS_MIN 1000
#define SHOWN_US_MIN 50000 // less is "0.0 s"

const char *hg_stop_name(enum hg_stop stop) {
  switch (stop) {
  case HG_STOP_NONE: return "none";
  case HG_STOP_INTERRUPT: return "interrupted";
  case HG_STOP_ACCESS: return "access";
  case HG_STOP_CAP: return "cap_ignored";
  case HG_STOP_CHANGED: return "changed";
  case HG_STOP_INPUT: return "input";
  case HG_STOP_LEDGER: return "ledger";
  case HG_STOP_RESULTS: return "results";
  }
  return "none";
}

int hg_summary_exit(const struct hg_summary *summary) {
  if (summary->not_durable || summary->figures.run.unsettled > 0) return 4;
  switch (summary->stop) {
  case HG_STOP_LEDGER:
  case HG_STOP_RESULTS: return 4;
  case HG_STOP_INTERRUPT: return 130;
  case HG_STOP_ACCESS:
  case HG_STOP_CAP:
  case HG_STOP_CHANGED:
  case HG_STOP_INPUT: return 2;
  case HG_STOP_NONE: break;
  }
  if (summary->figures.run.left_for_budget > 0) return 3;
  return hg_lines_failed(&summary->figures) > 0 || hg_lines_left(&summary->figures) > 0;
}

int64_t hg_throttled_us_at(const struct hg_run_figures *figures, uint32_t concurrency) {
  if (figures->throttled_us <= 0 || concurrency == 0) return -1;
  return figures->throttled_us * figures->throttled_concurrency / concurrency;
}

// ---------------------------------------------------------------------------------------------- for people

struct table {
  FILE *to;
  const char *dot;
};

static const char *count(struct hg_figure *figure, uint64_t number) {
  *figure = hg_figure_count((int64_t)number);
  return figure->text;
}

static void print_requests(const struct table *table, const struct hg_run_figures *figures) {
  struct hg_figure number;
  const struct hg_batch_counts *batch = &figures->batch;
  fprintf(table->to, "requests   %s done", count(&number, figures->run.done));
  if (batch->done_before > 0) fprintf(table->to, "%s%s done before", table->dot, count(&number, batch->done_before));
  if (figures->run.failed > 0) {
    fprintf(table->to, "%s%s failed (", table->dot, count(&number, figures->run.failed));
    for (size_t i = 0; i < HG_FAILURE_KINDS_MAX && figures->run.failures[i].count > 0; i++)
      fprintf(table->to, "%s%s %s", i > 0 ? ", " : "", count(&number, figures->run.failures[i].count),
              figures->run.failures[i].code);
    fputc(')', table->to);
  }
  if (batch->bad > 0) fprintf(table->to, "%s%s not valid", table->dot, count(&number, batch->bad));
  if (batch->duplicates > 0) fprintf(table->to, "%s%s twice there", table->dot, count(&number, batch->duplicates));
  if (batch->changed > 0) fprintf(table->to, "%s%s changed", table->dot, count(&number, batch->changed));
  const uint64_t left = hg_lines_left(figures);
  if (left > 0) fprintf(table->to, "%s%s left", table->dot, count(&number, left));
  fputc('\n', table->to);
}

static void print_counts(const struct table *table, const struct hg_runner_counts *run) {
  struct hg_figure number;
  fprintf(table->to, "           %s requests did not fit with their bounds and were counted by the provider",
          count(&number, run->counted));
  if (run->count_failures > 0) fprintf(table->to, ", %s could not be", count(&number, run->count_failures));
  fputc('\n', table->to);
}

static void print_tokens(const struct table *table, const struct hg_run_figures *figures, bool lost) {
  const hg_usage *usage = &figures->usage;
  const hg_unit unit = usage->unit;
  fprintf(table->to, "budget     %s of %s used (%s)", hg_figure_amount(unit, usage->used).text,
          hg_figure_tokens(unit, usage->hard_limit).text, hg_figure_percent(usage->usage_percent_hundredths).text);
  if (usage->reserved > 0)
    fprintf(table->to, "%s%s reserved", table->dot, hg_figure_amount(unit, usage->reserved).text);
  if (lost) fprintf(table->to, " when it was heard last");
  fprintf(table->to, "\nthis run   %s%s%s %sin%s%s out", hg_figure_tokens(unit, figures->run.tokens).text, table->dot,
          hg_figure_count(figures->run.input_tokens).text, unit == HG_UNIT_TOKENS ? "" : "tokens ", table->dot,
          hg_figure_count(figures->run.output_tokens).text);
  struct hg_figure number;
  if (figures->run.estimated > 0)
    fprintf(table->to, "%s%s charged in full as estimates", table->dot, count(&number, figures->run.estimated));
  if (figures->overruns > 0) fprintf(table->to, "%s%s overruns", table->dot, count(&number, figures->overruns));
  fputc('\n', table->to);
  if (figures->run.capped > 0)
    fprintf(table->to, "           %s calls were sent with a lower output cap, that of what the budget had left\n",
            count(&number, figures->run.capped));
  if (figures->run.count_calls > 0) print_counts(table, &figures->run);
  if (figures->run.saved > 0)
    fprintf(table->to, "           %s were reserved less than the bounds; %s calls used more than that\n",
            hg_figure_tokens(unit, figures->run.saved).text, count(&number, figures->run.overran));
  if (figures->run.unbounded > 0)
    fprintf(table->to, "           %s requests had no provable bound: the limit was not provable\n",
            count(&number, figures->run.unbounded));
}

static void print_unsettled(const struct table *table, hg_unit unit, const struct hg_runner_counts *run) {
  struct hg_figure number;
  if (run->unsettled == 0) return;
  fprintf(table->to, "unsettled  %s call%s not settled as %s should be", count(&number, run->unsettled),
          run->unsettled == 1 ? " was" : "s were", run->unsettled == 1 ? "it" : "they");
  if (run->recorded_tokens > 0)
    fprintf(table->to, "%s%s recorded beside what others said, perhaps counted twice", table->dot,
            hg_figure_tokens(unit, run->recorded_tokens).text);
  if (run->uncounted_tokens > 0)
    fprintf(table->to, "%s%s not counted", table->dot, hg_figure_tokens(unit, run->uncounted_tokens).text);
  fputc('\n', table->to);
}

static void print_orphans(const struct table *table, const struct hg_run_figures *figures) {
  static const char *const outcomes[] = {[HG_ASSUMED_CHARGED] = "stay charged",
                                         [HG_ASSUMED_KEPT] = "stay reserved",
                                         [HG_ASSUMED_RELEASED] = "were given back"};
  const struct hg_run_orphans_figures *orphans = &figures->orphans;
  struct hg_figure number;
  if (orphans->settled > 0)
    fprintf(table->to, "before     %s calls of an interrupted run settled from their results\n",
            count(&number, orphans->settled));
  for (enum hg_assumed assumed = HG_ASSUMED_CHARGED; assumed < HG_ASSUMPTIONS; assumed++)
    if (orphans->assumed[assumed].calls > 0)
      fprintf(table->to, "before     %s calls of an interrupted run ended unknown: %s %s\n",
              count(&number, orphans->assumed[assumed].calls),
              hg_figure_tokens(figures->usage.unit, orphans->assumed[assumed].tokens).text, outcomes[assumed]);
}

static void print_other_ledger(const struct table *table, hg_unit unit, const struct hg_other_ledger *other) {
  struct hg_figure number;
  if (other->calls > 0)
    fprintf(table->to, "elsewhere  %s of %s earlier calls are in the budget of another ledger, not in this one\n",
            hg_figure_tokens(unit, other->tokens).text, count(&number, other->calls));
}

static void print_throttle(const struct table *table, const struct hg_run_figures *figures) {
  if (figures->throttles == 0 || figures->throttled_us < SHOWN_US_MIN) return;
  const uint32_t most = figures->queue.max_concurrency;
  fprintf(table->to, "throttle   %" PRIu32 " time%s, %s in all with %" PRIu32 " at a time", figures->throttles,
          figures->throttles == 1 ? "" : "s", hg_figure_time(figures->throttled_us / 1000).text,
          figures->throttled_concurrency);
  const int64_t other = hg_throttled_us_at(figures, most);
  if (other >= 0 && most > figures->throttled_concurrency)
    fprintf(table->to, "; with scheduler.throttledConcurrency %" PRIu32 " about %s", most,
            hg_figure_time(other / 1000).text);
  fputc('\n', table->to);
}

static void print_pacing(const struct table *table, const struct hg_runner_counts *run) {
  struct hg_figure number;
  if (run->pushbacks > 0)
    fprintf(table->to, "pushback   the provider was too busy %s time%s: down to %" PRIu32 " call%s at once\n",
            count(&number, run->pushbacks), run->pushbacks == 1 ? "" : "s", run->pushed_back_to,
            run->pushed_back_to == 1 ? "" : "s");
  if (run->paced_ms >= SHOWN_MS_MIN)
    fprintf(table->to, "pace       calls waited %s in all for the requests or tokens of a minute\n",
            hg_figure_time((int64_t)run->paced_ms).text);
}

static void print_time(const struct table *table, const struct hg_run_figures *figures) {
  struct hg_figure number;
  const double seconds = (double)figures->elapsed_ms / 1000;
  fprintf(table->to, "time       %s%s%s calls", hg_figure_time(figures->elapsed_ms).text, table->dot,
          count(&number, figures->run.calls));
  if (figures->run.retries > 0) fprintf(table->to, ", %s of them again", count(&number, figures->run.retries));
  if (seconds > 0) fprintf(table->to, "%s%.1f calls/s", table->dot, (double)figures->run.calls / seconds);
  fputc('\n', table->to);
}

static void print_end(const struct table *table, const struct hg_summary *summary) {
  const struct hg_runner_counts *run = &summary->figures.run;
  const hg_unit unit = summary->figures.usage.unit;
  struct hg_figure number;
  if (hg_lines_failed(&summary->figures) > 0) fprintf(table->to, "errors     %s\n", summary->errors);
  if (run->left_for_budget > 0)
    fprintf(table->to, "left       %s requests need more than budget \"%s\"%s has left: the smallest %s, all %s\n",
            count(&number, run->left_for_budget), run->short_budget, run->several_short ? " or another one" : "",
            hg_figure_tokens(unit, run->smallest_need).text, hg_figure_amount(unit, run->left_need).text);
  if (run->left_for_rate > 0)
    fprintf(table->to, "left       %s requests are of models that take no calls for longer than 10 minutes\n",
            count(&number, run->left_for_rate));
  if (summary->stop != HG_STOP_NONE) fprintf(table->to, "stopped    %s\n", summary->stop_text);
  if (summary->not_durable) fputs("ledger     not everything could be made durable\n", table->to);
  if (summary->hint[0]) fprintf(table->to, "hint       %s\n", summary->hint);
  if (summary->go_on[0]) fprintf(table->to, "go on      %s\n", summary->go_on);
}

bool hg_summary_print(const struct hg_summary *summary, bool utf8, FILE *to) {
  const struct table table = {to, utf8 ? " · " : ", "};
  print_requests(&table, &summary->figures);
  print_tokens(&table, &summary->figures, summary->stop == HG_STOP_LEDGER);
  print_unsettled(&table, summary->figures.usage.unit, &summary->figures.run);
  print_orphans(&table, &summary->figures);
  print_other_ledger(&table, summary->figures.usage.unit, &summary->figures.other_ledger);
  print_throttle(&table, &summary->figures);
  print_pacing(&table, &summary->figures.run);
  print_time(&table, &summary->figures);
  print_end(&table, summary);
  return fflush(to) == 0 && !ferror(to);
}

// ---------------------------------------------------------------------------------------------- for programs

static json_t *json_of(uint64_t number) {
  return json_integer((json_int_t)number);
}

// A path may hold any bytes, JSON text may not.
static json_t *json_of_text(const char *text) {
  json_t *value = json_string(text);
  if (value) return value;
  char shown[HG_PATH_MAX + 1];
  snprintf(shown, sizeof shown, "%s", text);
  for (char *at = shown; *at; at++)
    if ((unsigned char)*at >= 0x80) *at = '?';
  return json_string(shown);
}

static json_t *requests_json(const struct hg_run_figures *figures) {
  const struct hg_runner_counts *run = &figures->run;
  json_t *failures = json_object();
  for (size_t i = 0; i < HG_FAILURE_KINDS_MAX && run->failures[i].count > 0; i++)
    json_object_set_new(failures, run->failures[i].code, json_of(run->failures[i].count));
  return json_pack("{s:o s:o s:o s:o s:o s:o s:o s:o s:o s:o s:o}", "lines", json_of(figures->lines), "doneNow",
                   json_of(run->done), "doneBefore", json_of(figures->batch.done_before), "failed",
                   json_of(run->failed), "failures", failures, "invalid", json_of(figures->batch.bad), "duplicates",
                   json_of(figures->batch.duplicates), "changed", json_of(figures->batch.changed), "left",
                   json_of(hg_lines_left(figures)), "leftForBudget", json_of(run->left_for_budget), "leftForRate",
                   json_of(run->left_for_rate));
}

static json_t *budget_json(const struct hg_run_figures *figures) {
  const hg_usage *usage = &figures->usage;
  return json_pack("{s:s s:I s:I s:I s:I s:f s:b s:s}", "budget", usage->budget, "hardLimit",
                   (json_int_t)usage->hard_limit, "totalUsed", (json_int_t)usage->used, "reserved",
                   (json_int_t)usage->reserved, "remaining", (json_int_t)usage->remaining, "usagePercent",
                   usage->usage_percent_hundredths / 100.0, "shouldThrottle", usage->should_throttle, "unit",
                   hg_unit_name(usage->unit));
}

static json_t *run_json(const struct hg_run_figures *figures) {
  const struct hg_runner_counts *run = &figures->run;
  return json_pack("{s:I s:I s:I s:o s:o s:o s:o s:o s:o s:o s:I s:I s:o s:I s:I s:o s:I s:o s:o s:I s:o s:o s:o s:I}",
                   "tokens", (json_int_t)run->tokens, "inputTokens", (json_int_t)run->input_tokens, "outputTokens",
                   (json_int_t)run->output_tokens, "calls", json_of(run->calls), "retries", json_of(run->retries),
                   "estimated", json_of(run->estimated), "capIgnored", json_of(run->cap_ignored), "capped",
                   json_of(run->capped), "unbounded", json_of(run->unbounded), "unsettled", json_of(run->unsettled),
                   "recordedTokens", (json_int_t)run->recorded_tokens, "uncountedTokens",
                   (json_int_t)run->uncounted_tokens, "overruns", json_of(figures->overruns), "throttles",
                   (json_int_t)figures->throttles, "throttledMs", (json_int_t)(figures->throttled_us / 1000),
                   "pushbacks", json_of(run->pushbacks), "pushedBackTo", (json_int_t)run->pushed_back_to, "pacedMs",
                   json_of(run->paced_ms), "overran", json_of(run->overran), "savedTokens", (json_int_t)run->saved,
                   "countCalls", json_of(run->count_calls), "counted", json_of(run->counted), "countFailures",
                   json_of(run->count_failures), "elapsedMs", (json_int_t)figures->elapsed_ms);
}

static json_t *assumed_json(const struct hg_assumed_figures *assumed) {
  return json_pack("{s:o s:I}", "calls", json_of(assumed->calls), "tokens", (json_int_t)assumed->tokens);
}

static json_t *orphans_json(const struct hg_run_orphans_figures *orphans) {
  return json_pack("{s:o s:o s:o s:o}", "settled", json_of(orphans->settled), "charged",
                   assumed_json(&orphans->assumed[HG_ASSUMED_CHARGED]), "kept",
                   assumed_json(&orphans->assumed[HG_ASSUMED_KEPT]), "released",
                   assumed_json(&orphans->assumed[HG_ASSUMED_RELEASED]));
}

// The percent has two decimals; with as many digits as it has at most, no trace of its binary form shows.
#define JSON_FORM (JSON_COMPACT | JSON_REAL_PRECISION(12))

bool hg_summary_print_json(const struct hg_summary *summary, FILE *to) {
  const struct hg_run_figures *figures = &summary->figures;
  json_t *all = json_pack(
      "{s:i s:s s:o s:s s:o s:o s:o s:o s:o s:o s:s s:I s:I s:o s:{s:o s:I}}", "exit", hg_summary_exit(summary),
      "stopped", hg_stop_name(summary->stop), "reason", json_of_text(summary->stop_text), "hint", summary->hint, "goOn",
      json_of_text(summary->go_on), "results", json_of_text(summary->results), "errors", json_of_text(summary->errors),
      "requests", requests_json(figures), "budget", budget_json(figures), "run", run_json(figures), "shortBudget",
      figures->run.short_budget, "smallestNeed", (json_int_t)figures->run.smallest_need, "leftNeed",
      (json_int_t)figures->run.left_need, "orphans", orphans_json(&figures->orphans), "otherLedger", "calls",
      json_of(figures->other_ledger.calls), "tokens", (json_int_t)figures->other_ledger.tokens);
  const bool printed = all && json_dumpf(all, to, JSON_FORM) == 0 && fputc('\n', to) != EOF && fflush(to) == 0;
  json_decref(all);
  return printed;
}
