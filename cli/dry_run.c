// headgate run --dry-run: what the lines that are still to run may cost at most, and whether that fits under the
// limits, without a call and without a change to any file.
#include "cli/run_flags.h"

#include "cli/cli.h"
#include "cli/control.h"
#include "cli/run_other_ledger.h"
#include "providers/request.h"
#include "base/money.h"

#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOLD_MAX 20   // lines that are named one by one, and budgets that are short
#define GLANCE_MS 100 // for a ledger that somebody holds
#define UNKNOWN UINT32_MAX

struct costs {
  const struct hg_run_flags *flags;
  const struct hg_config *config;
  struct hg_site site;
  bool live;                     // a runtime holds the ledger: it is asked
  bool new_ledger;               // there is none yet
  struct hg_other_ledger other;  // what the results say of the one that there was
  struct hg_ledger_budget *held; // by budget: how it stands; name "": not asked yet
  int64_t *needs;                // by budget: what the lines that it pays for may cost at most
  bool overflow;                 // a sum passes HG_TOKENS_MAX
  uint64_t requests, bad, unbounded, too_large, told;
  int64_t smallest, largest;
  uint32_t last; // the budget of the last line: nearly all have the same
};

static void tell(void *context, const char *text) {
  struct costs *costs = context;
  if (costs->told++ < TOLD_MAX) hg_run_say(text);
}

static void tell_bad(struct costs *costs, uint64_t line, const char *text) {
  char longer[HG_ERROR_TEXT_MAX + 40];
  costs->bad++;
  snprintf(longer, sizeof longer, "line %" PRIu64 ": %s", line, text);
  tell(costs, longer);
}

// ---------------------------------------------------------------------------------------------- the budgets

// All at once from the ledger; HG_OK too when there is none yet.
static hg_err read_ledger(struct costs *costs, hg_error *why) {
  costs->site.config = (struct hg_config *)costs->config; // borrowed, and only read
  hg_err err = hg_places_of(costs->config->ledger_path, getenv("XDG_RUNTIME_DIR"), &costs->site.places, why);
  if (!err) err = hg_ledger_read_budgets(costs->config, &costs->site.places, GLANCE_MS, costs->held, why);
  costs->live = err == HG_ERR_LEDGER_IN_USE;
  costs->new_ledger = err == HG_ERR_EMPTY;
  for (uint32_t i = 0; err == HG_ERR_EMPTY && i < costs->config->budget_count; i++) {
    costs->held[i] = (struct hg_ledger_budget){.is_new = true};
    memcpy(costs->held[i].name, costs->config->budgets[i].name, sizeof costs->held[i].name);
  }
  return err == HG_ERR_EMPTY || costs->live ? HG_OK : err;
}

static hg_err ask_runtime(struct costs *costs, uint32_t budget, hg_error *why) {
  struct hg_control control;
  struct hg_message report;
  struct hg_ledger_budget *held = &costs->held[budget];
  const struct hg_budget_config *configured = &costs->config->budgets[budget];
  hg_err err = hg_site_status(&costs->site, configured->name, &control, &report, why);
  struct hg_text said = {NULL, 0};
  if (!err) said = report.as.status_report.unit;
  const hg_unit unit = hg_unit_said(said.data, said.size);
  if (!err && unit != costs->config->unit)
    err = hg_fail(why, HG_ERR_CONFIG, "ConfigurationError: %s: the runtime that lives on its ledger counts %s",
                  costs->config->source, hg_unit_words(unit));
  if (!err) {
    // What flag or file said last is not known here: a --limit counts as news.
    const bool flag = budget == 0 && costs->flags->limit > 0;
    *held = (struct hg_ledger_budget){.used = report.as.status_report.used,
                                      .reserved = report.as.status_report.reserved,
                                      .hard_limit = report.as.status_report.hard_limit,
                                      .configured_limit = flag ? 0 : configured->hard_limit};
    memcpy(held->name, configured->name, sizeof held->name);
  }
  hg_control_close(&control);
  return err;
}

static int64_t limit_of(const struct costs *costs, uint32_t budget) {
  const int64_t configured = costs->config->budgets[budget].hard_limit;
  const struct hg_ledger_budget *held = &costs->held[budget];
  return hg_ledger_limit_is_news(held, configured) ? configured : held->hard_limit;
}

static int64_t available_of(const struct costs *costs, uint32_t budget) {
  return limit_of(costs, budget) - costs->held[budget].used - costs->held[budget].reserved;
}

static uint32_t find_budget(struct costs *costs, const char *name) {
  const struct hg_config *config = costs->config;
  if (!name) name = costs->flags->budget ? costs->flags->budget : "default";
  if (strcmp(config->budgets[costs->last].name, name) == 0) return costs->last;
  for (uint32_t i = 0; i < config->budget_count; i++)
    if (strcmp(config->budgets[i].name, name) == 0) return costs->last = i;
  return UNKNOWN;
}

// ---------------------------------------------------------------------------------------------- the lines

static hg_err charge(struct costs *costs, uint32_t budget, int64_t need, hg_error *why) {
  bool too_large = false;
  for (;; budget = costs->config->budgets[budget].parent) {
    const hg_err err = costs->held[budget].name[0] ? HG_OK : ask_runtime(costs, budget, why);
    if (err) return err;
    const bool fits = need <= HG_TOKENS_MAX - costs->needs[budget];
    costs->overflow = costs->overflow || !fits;
    costs->needs[budget] = fits ? costs->needs[budget] + need : HG_TOKENS_MAX;
    too_large = too_large || need > available_of(costs, budget);
    if (budget == 0) break;
  }
  costs->too_large += too_large;
  return HG_OK;
}

static hg_err add_request(struct costs *costs, const struct hg_prepared *prepared, uint32_t budget, hg_error *why) {
  const int64_t need = prepared->most > 0 ? prepared->most : 1;
  costs->smallest = costs->requests == 0 || need < costs->smallest ? need : costs->smallest;
  costs->largest = need > costs->largest ? need : costs->largest;
  costs->requests++;
  costs->unbounded += prepared->unbounded;
  return charge(costs, budget, need, why);
}

static hg_err add_line(struct costs *costs, const struct hg_batch_line *line, hg_error *why) {
  struct hg_prepared prepared = {.body = NULL};
  const uint32_t budget = find_budget(costs, line->budget);
  hg_err err = HG_OK;
  if (budget == UNKNOWN) snprintf(why->text, sizeof why->text, "there is no budget \"%s\"", line->budget);
  else
    err = hg_request_prepare(line->url, line->body, line->body_len, &costs->config->llm, costs->flags->model, &prepared,
                             why);
  if (err == HG_OK && budget != UNKNOWN && costs->config->unit == HG_UNIT_NANODOLLARS)
    err = hg_prepared_price(&prepared, &costs->config->llm.prices, why);
  if (err == HG_ERR_NO_MEMORY) return err;
  if (err || budget == UNKNOWN) tell_bad(costs, line->line_number, why->text);
  err = err || budget == UNKNOWN ? HG_OK : add_request(costs, &prepared, budget, why);
  hg_prepared_clear(&prepared);
  return err;
}

static hg_err add_lines(struct costs *costs, struct hg_batch *batch, hg_error *why) {
  for (;;) {
    const struct hg_batch_line *line;
    hg_err err = hg_batch_next(batch, &line, why);
    if (err == HG_ERR_EMPTY) return HG_OK;
    if (err == HG_ERR_BUSY) {
      struct pollfd input = {.fd = hg_batch_input_fd(batch), .events = POLLIN};
      (void)poll(&input, 1, -1);
      continue;
    }
    if (!err) err = add_line(costs, line, why);
    if (err) return err;
  }
}

// ---------------------------------------------------------------------------------------------- telling

// The first budget under whose limit not all of it fits; UNKNOWN: none.
static uint32_t first_short(const struct costs *costs, uint32_t from) {
  for (uint32_t i = from; i < costs->config->budget_count; i++)
    if (costs->needs[i] > 0 && costs->needs[i] > available_of(costs, i)) return i;
  return UNKNOWN;
}

// Of nothing it can't be said.
static json_t *fits_as_json(const struct costs *costs, bool fits) {
  return costs->requests > 0 ? json_boolean(fits) : json_null();
}

static bool print_json(const struct costs *costs, const struct hg_batch_counts *counts, bool fits) {
  const uint32_t short_one = first_short(costs, 0);
  json_t *json = json_pack(
      "{s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:s s:o s:s}", "requests", (json_int_t)costs->requests,
      "doneBefore", (json_int_t)counts->done_before, "changed", (json_int_t)counts->changed, "invalid",
      (json_int_t)costs->bad + (json_int_t)counts->bad, "duplicates", (json_int_t)counts->duplicates, "unbounded",
      (json_int_t)costs->unbounded, "tooLarge", (json_int_t)costs->too_large, "mostTokens", (json_int_t)costs->needs[0],
      "smallestRequest", (json_int_t)costs->smallest, "largestRequest", (json_int_t)costs->largest, "hardLimit",
      (json_int_t)limit_of(costs, 0), "totalUsed", (json_int_t)costs->held[0].used, "reserved",
      (json_int_t)costs->held[0].reserved, "available", (json_int_t)available_of(costs, 0), "shortBudget",
      short_one == UNKNOWN ? "" : costs->config->budgets[short_one].name, "fits", fits_as_json(costs, fits), "unit",
      hg_unit_name(costs->config->unit));
  const bool printed = json && json_dumpf(json, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF;
  json_decref(json);
  return printed && fflush(stdout) == 0;
}

static void print_budget(const struct costs *costs, uint32_t budget) {
  const struct hg_ledger_budget *held = &costs->held[budget];
  const hg_unit unit = costs->config->unit;
  if (budget != 0)
    printf("budget     \"%s\": at most %s of these\n", costs->config->budgets[budget].name,
           hg_figure_tokens(unit, costs->needs[budget]).text);
  printf("available  %s of %s (%s used, %s reserved)\n", hg_figure_amount(unit, available_of(costs, budget)).text,
         hg_figure_tokens(unit, limit_of(costs, budget)).text, hg_figure_amount(unit, held->used).text,
         hg_figure_amount(unit, held->reserved).text);
}

static bool print_text(const struct costs *costs, const struct hg_batch_counts *counts, bool fits) {
  const hg_unit unit = costs->config->unit;
  printf("requests   %s to run, %s done before\n", hg_figure_count((int64_t)costs->requests).text,
         hg_figure_count((int64_t)counts->done_before).text);
  const uint64_t bad = costs->bad + counts->bad;
  if (bad > 0) printf("not valid  %s\n", hg_figure_count((int64_t)bad).text);
  if (counts->duplicates > 0) printf("twice      %s\n", hg_figure_count((int64_t)counts->duplicates).text);
  if (counts->changed > 0) printf("changed    %s\n", hg_figure_count((int64_t)counts->changed).text);
  if (costs->unbounded > 0)
    printf("unbounded  %s, whose bound can't be proven\n", hg_figure_count((int64_t)costs->unbounded).text);
  if (costs->requests > 0)
    printf("at most    %s%s for these, %s to %s a request\n", costs->overflow ? "over " : "",
           hg_figure_tokens(unit, costs->needs[0]).text, hg_figure_amount(unit, costs->smallest).text,
           hg_figure_amount(unit, costs->largest).text);
  print_budget(costs, 0);
  unsigned told = 0;
  for (uint32_t i = first_short(costs, 1); i != UNKNOWN && told++ < TOLD_MAX; i = first_short(costs, i + 1))
    print_budget(costs, i);
  if (costs->requests == 0) printf("fits       nothing is to run\n");
  else if (costs->too_large > 0)
    printf("fits       no: %s requests alone need more than is available\n",
           hg_figure_count((int64_t)costs->too_large).text);
  else
    printf("fits       %s\n", fits ? "yes, whatever the answers are"
                                   : "only if answers are shorter than their caps; the rest is left for a next run");
  return fflush(stdout) == 0 && !ferror(stdout);
}

static int end(const struct costs *costs, const struct hg_batch_counts *counts) {
  if (costs->told > TOLD_MAX) fprintf(stderr, "headgate run: and %" PRIu64 " more\n", costs->told - TOLD_MAX);
  const bool fits = !costs->overflow && costs->unbounded == 0 && first_short(costs, 0) == UNKNOWN;
  const bool printed = costs->flags->json ? print_json(costs, counts, fits) : print_text(costs, counts, fits);
  if (!printed) return HG_EXIT_FAILED;
  if (costs->bad + counts->bad + counts->duplicates > 0) return HG_EXIT_FAILED;
  return fits ? HG_EXIT_DONE : HG_EXIT_BUDGET;
}

// ---------------------------------------------------------------------------------------------- all of it

// Which ledger it is that exists, only a run knows.
static void on_other_ledger(void *context, const struct hg_result_line *line) {
  struct costs *costs = context;
  if (costs->new_ledger && !costs->flags->fresh) hg_run_other_ledger_add(&costs->other, costs->config->unit, line);
}

static int look(struct costs *costs) {
  const struct hg_run_flags *flags = costs->flags;
  const bool file = flags->output && !hg_run_has_stream(flags);
  const struct hg_batch_options options = {.input = flags->input,
                                           .output = file ? flags->output : NULL,
                                           .look_only = true,
                                           .fresh = flags->fresh,
                                           .changed = flags->changed,
                                           .model = flags->model,
                                           .on_other_ledger = on_other_ledger,
                                           .on_note = tell,
                                           .context = costs};
  struct hg_batch *batch = NULL;
  struct hg_batch_counts counts;
  hg_error why = HG_ERROR_INIT;
  hg_err err = flags->output ? hg_run_check_output(flags, costs->config->ledger_path, &why) : HG_OK;
  if (!err) err = read_ledger(costs, &why);
  if (!err && !costs->held[0].name[0]) err = ask_runtime(costs, 0, &why); // it is told in any case
  if (!err) err = hg_batch_open(&options, &batch, &why);
  if (!err && file)
    hg_run_other_ledger_tell(&costs->other, costs->config->unit, flags->output, costs->config->ledger_path);
  if (!err) err = add_lines(costs, batch, &why);
  why.code = err;
  if (!err) hg_batch_count(batch, &counts);
  hg_batch_close(&batch);
  if (!err) return end(costs, &counts);
  const int code = hg_cli_exit("run", &why);
  return code == HG_EXIT_FAILED ? HG_EXIT_USAGE : code;
}

int hg_dry_run(const struct hg_run_flags *flags, const struct hg_config *config) {
  struct costs costs = {.flags = flags,
                        .config = config,
                        .held = calloc(config->budget_count, sizeof *costs.held),
                        .needs = calloc(config->budget_count, sizeof *costs.needs)};
  int code = HG_EXIT_USAGE;
  if (costs.held && costs.needs) code = look(&costs);
  else hg_run_say(hg_err_text(HG_ERR_NO_MEMORY));
  free(costs.held);
  free(costs.needs);
  return code;
}
