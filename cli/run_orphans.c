// The calls of earlier runs that nobody settled: what the results and the errors of that run say of them, and the rest.
#include "cli/run_orphans.h"

#include "cli/control.h"
#include "cli/run_signals.h"
#include "runner/retry.h"
#include "runner/task_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 30000

void hg_run_orphans_clear(struct hg_run_orphans *orphans) {
  free(orphans->list);
  orphans->list = NULL;
}

hg_err hg_run_orphans_list(struct hg_run_orphans *orphans, hg_error *why) {
  hg_permit after = {0};
  for (size_t capacity = 0;;) {
    hg_orphan orphan = HG_ORPHAN_INIT;
    const hg_err err = hg_next_orphan(orphans->client, after, &orphan, ANSWER_MS);
    if (err == HG_ERR_EMPTY) return HG_OK;
    if (err) return hg_fail(why, err, "the runtime: %s", hg_err_text(err));
    if (hg_run_signals_came()) return hg_fail(why, HG_ERR_CANCELLED, HG_RUN_INTERRUPTED);
    if (orphans->count == capacity) {
      capacity = capacity ? 2 * capacity : 16;
      hg_orphan *longer = realloc(orphans->list, capacity * sizeof *longer);
      if (!longer) return hg_fail(why, HG_ERR_NO_MEMORY, "run: %s", hg_err_text(HG_ERR_NO_MEMORY));
      orphans->list = longer;
    }
    orphans->list[orphans->count++] = orphan;
    after = orphan.permit;
  }
}

// ---------------------------------------------------------------------------------------------- settling

// Whether a failure without an HTTP answer says that nothing had left.
static bool never_left(const struct hg_result_line *line) {
  return strcmp(line->error_code, "invalid_request") == 0;
}

// As the runner names it.
static const char *reason_of(const struct hg_result_line *line, char text[32]) {
  if (line->error_code[0]) return line->error_code;
  snprintf(text, 32, "http_%ld", line->status);
  return text;
}

static hg_err release(const struct hg_run_orphans *orphans, const struct hg_result_line *line) {
  char reason[32];
  return hg_release(orphans->client, (hg_permit){line->permit}, HG_OUTCOME_FAILED, reason_of(line, reason), ANSWER_MS);
}

// As the runner settled it, or would have at the end of the call. Which endpoint answered changes no cost.
static hg_err settle(const struct hg_run_orphans *orphans, const hg_orphan *orphan, const struct hg_result_line *line) {
  const struct hg_http_end end = {
      .kind = HG_HTTP_ANSWERED, .left = true, .status = line->status, .body = line->body, .body_len = line->body_len};
  struct hg_usage_found found;
  struct hg_judgement judgement;
  hg_judge(&end, HG_ENDPOINT_OTHER, &found, &judgement);
  const int64_t said = hg_result_charged(line, orphans->unit);
  if (said == HG_UNKNOWN && judgement.cost == HG_COST_NOTHING) return release(orphans, line);
  if (said != HG_UNKNOWN) {
    found.report.tokens = said;
    found.report.source = line->estimated ? HG_SOURCE_ESTIMATED : HG_SOURCE_EXACT;
  } else if (judgement.cost == HG_COST_WHOLE || orphans->unit == HG_UNIT_NANODOLLARS) {
    found.report.tokens = orphan->tokens; // a line does not show its request, whose price it is
    found.report.source = HG_SOURCE_ESTIMATED;
  }
  found.report.unit = orphans->unit;
  char reason[32];
  if (!line->succeeded) {
    found.report.outcome = HG_OUTCOME_FAILED;
    found.report.reason = reason_of(line, reason);
  }
  return hg_settle(orphans->client, orphan->permit, &found.report, ANSWER_MS);
}

// Whether this is the line of that call, and not one that got the number of another by hand or by a copied ledger.
static bool is_its_line(const hg_orphan *orphan, const struct hg_result_line *line) {
  char run[HG_TASK_ID_MAX + 1], task[HG_TASK_ID_MAX + 1];
  if (!line->custom_id) return false;
  snprintf(run, sizeof run, "%.*s", (int)strcspn(orphan->task_id, "/"), orphan->task_id);
  hg_run_task_id(run, line->custom_id, task);
  return strcmp(task, orphan->task_id) == 0;
}

static hg_orphan *find(const struct hg_run_orphans *orphans, const struct hg_result_line *line) {
  for (size_t i = 0; i < orphans->count; i++)
    if (orphans->list[i].permit.id == line->permit)
      return is_its_line(&orphans->list[i], line) ? &orphans->list[i] : NULL;
  return NULL;
}

hg_err hg_run_orphans_settle(struct hg_run_orphans *orphans, const struct hg_result_line *line, hg_error *why) {
  hg_orphan *orphan = find(orphans, line);
  if (!orphan) return HG_OK; // of another call, or settled already: there are two lines of it
  hg_err err = HG_OK;
  if (line->status > 0 || hg_result_charged(line, orphans->unit) != HG_UNKNOWN) err = settle(orphans, orphan, line);
  else if (never_left(line)) err = release(orphans, line);
  else return HG_OK; // nobody knows
  const bool refused = err == HG_ERR_CONFLICT || err == HG_ERR_UNKNOWN_PERMIT || err == HG_ERR_RANGE;
  if (err)
    hg_fail(why, err, "call %016llx of an earlier run can't be settled and stays charged: %s",
            (unsigned long long)line->permit, hg_err_text(err));
  if (refused) hg_run_say(why->text);
  if (err) return refused ? HG_OK : err;
  orphans->settled++;
  *orphan = orphans->list[--orphans->count];
  return HG_OK;
}

// ---------------------------------------------------------------------------------------------- telling

static enum hg_assumed assumed_of(const hg_orphan *orphan) {
  if (orphan->kept) return HG_ASSUMED_KEPT;
  return orphan->charged == orphan->tokens ? HG_ASSUMED_CHARGED : HG_ASSUMED_RELEASED;
}

static bool is_of_run(const hg_orphan *orphan, const char *run_name) {
  const size_t len = strlen(run_name);
  return strncmp(orphan->task_id, run_name, len) == 0 && orphan->task_id[len] == '/';
}

// Those whose process died last; older ones were told when they became orphans. `run_name` NULL: of all runs.
static void add_up(const struct hg_run_orphans *orphans, const char *run_name,
                   struct hg_assumed_figures out[HG_ASSUMPTIONS]) {
  memset(out, 0, HG_ASSUMPTIONS * sizeof *out);
  for (size_t i = 0; i < orphans->count; i++) {
    const hg_orphan *orphan = &orphans->list[i];
    if (!orphan->at_opening || (run_name && !is_of_run(orphan, run_name))) continue;
    struct hg_assumed_figures *assumed = &out[assumed_of(orphan)];
    assumed->calls++;
    assumed->tokens += orphan->tokens;
  }
}

// The tracker keeps one that there is no room to charge, whatever the policy says: so there may be several kinds.
void hg_run_orphans_tell(const struct hg_run_orphans *orphans, const struct hg_run_flags *flags,
                         const struct hg_config *config) {
  static const char *const outcomes[] = {[HG_ASSUMED_CHARGED] = "stay charged, the most that it can be",
                                         [HG_ASSUMED_KEPT] = "stay reserved, the most that it can be",
                                         [HG_ASSUMED_RELEASED] =
                                             "that were reserved were given back, which may be too much"};
  struct hg_assumed_figures figures[HG_ASSUMPTIONS];
  add_up(orphans, NULL, figures);
  for (enum hg_assumed assumed = HG_ASSUMED_CHARGED; assumed < HG_ASSUMPTIONS; assumed++) {
    const uint64_t count = figures[assumed].calls;
    if (count == 0) continue;
    char text[2 * HG_ERROR_TEXT_MAX];
    char *command = hg_orphans_command(flags, config);
    snprintf(text, sizeof text, "%s call%s open when the last run died, and nobody knows what %s used: %s %s; see %s",
             hg_figure_count((int64_t)count).text, count == 1 ? " was" : "s were", count == 1 ? "it" : "they",
             hg_figure_tokens(config->unit, figures[assumed].tokens).text, outcomes[assumed],
             command ? command : "headgate orphans");
    free(command);
    hg_run_say(text);
  }
}

void hg_run_orphans_count(const struct hg_run_orphans *orphans, const char *run_name,
                          struct hg_run_orphans_figures *out) {
  out->settled = orphans->settled;
  add_up(orphans, run_name, out->assumed);
}
