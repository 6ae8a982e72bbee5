// How lines come in: as many as keep the slots busy, never more than fit into memory.
#include "runner/task_private.h"

#include <stdio.h>
#include <string.h>

#define LINES_A_TURN 1024 // so that a file of lines that can't run does not keep the loop from its other work

// Held ones need nothing any more.
static uint32_t unheld(const struct hg_runner *runner) {
  return runner->open - runner->in_state[HG_TASK_HELD];
}

uint32_t hg_runner_open_lines(const struct hg_runner *runner) {
  return unheld(runner) - runner->aside;
}

static bool has_room(const struct hg_runner *runner) {
  if (runner->stop != HG_STOP_NONE || runner->input_ended || runner->sync_failing_since_ms >= 0) return false;
  const bool probing = !runner->admitted && runner->now_ms < runner->probe_until_ms;
  const uint32_t aside_max = runner->options.aside_max, aside = runner->aside;
  const uint32_t open = unheld(runner) - (aside < aside_max ? aside : aside_max);
  if (open >= (probing && HG_PROBE_CALLS < runner->open_max ? HG_PROBE_CALLS : runner->open_max)) return false;
  return runner->bodies < runner->options.bodies_max || unheld(runner) == 0;
}

bool hg_runner_may_read(const struct hg_runner *runner) {
  return !runner->input_quiet && has_room(runner);
}

bool hg_runner_wants_input(const struct hg_runner *runner) {
  return runner->input_quiet && has_room(runner);
}

void hg_runner_has_input(struct hg_runner *runner) {
  runner->input_quiet = false;
}

// A line that memory is too short for.
static void give_back(struct hg_runner *runner, const struct hg_batch_line *line) {
  runner->io.leave(runner->io.context, line->id_hash);
  runner->counts.left++;
  hg_runner_stop(runner, HG_STOP_INPUT, "line %llu: no memory", (unsigned long long)line->line_number);
}

// *code: of a line that can't be run.
static hg_err prepare(const struct hg_runner *runner, const struct hg_batch_line *line, struct hg_prepared *out,
                      const char **code, hg_error *why) {
  const struct hg_runner_options *options = &runner->options;
  hg_err err = hg_request_prepare(line->url, line->body, line->body_len, options->llm, options->model, out, why);
  *code = err == HG_ERR_RANGE ? "unbounded_request" : "invalid_request";
  if (err || options->unit == HG_UNIT_TOKENS) return err;
  err = hg_prepared_price(out, &options->llm->prices, why);
  if (err == HG_ERR_CONFIG) *code = "unknown_price";
  return err;
}

static void take_line(struct hg_runner *runner, const struct hg_batch_line *line) {
  struct hg_prepared prepared = {.body = NULL};
  hg_error why = HG_ERROR_INIT;
  const char *code;
  const hg_err err = prepare(runner, line, &prepared, &code, &why);
  const bool room = err != HG_ERR_NO_MEMORY && hg_task_heap_reserve(&runner->timers, runner->open + 1);
  struct hg_run_task *task = room ? hg_task_new(line, &prepared) : NULL;
  if (!task) {
    hg_prepared_clear(&prepared);
    give_back(runner, line);
    return;
  }
  hg_runner_adopt(runner, task);
  if (err) {
    hg_runner_fail_line(runner, task, code, why.text);
    return;
  }
  runner->counts.unbounded += task->prepared.unbounded;
  hg_runner_step(runner, task);
}

void hg_runner_read(struct hg_runner *runner) {
  for (unsigned lines = 0; lines < LINES_A_TURN && hg_runner_may_read(runner); lines++) {
    const struct hg_batch_line *line = NULL;
    hg_error why = HG_ERROR_INIT;
    const hg_err err = runner->io.next_line(runner->io.context, &line, &why);
    runner->unsynced = true; // bad lines and duplicates are told in the errors file
    if (err == HG_OK) take_line(runner, line);
    else if (err == HG_ERR_BUSY) runner->input_quiet = true;
    else if (err == HG_ERR_EMPTY) runner->input_ended = true;
    else if (err == HG_ERR_CONFLICT) hg_runner_stop(runner, HG_STOP_CHANGED, "%s", why.text);
    else if (err != HG_ERR_STORE) hg_runner_stop(runner, HG_STOP_INPUT, "%s", why.text);
    else if (!hg_runner_sync(runner)) return;
  }
}

// ---------------------------------------------------------------------------------------------- exhausted budgets

const char *hg_runner_budget_of(const struct hg_runner *runner, const struct hg_run_task *task) {
  if (task->budget) return task->budget;
  return runner->options.budget ? runner->options.budget : "default";
}

int64_t hg_runner_bound_of(const struct hg_run_task *task) {
  return task->prepared.most > 0 ? task->prepared.most : 1;
}

int64_t hg_runner_need_of(const struct hg_runner *runner, const struct hg_run_task *task) {
  const int64_t bound = hg_runner_bound_of(task) - hg_prepared_input_cost(&task->prepared, task->less);
  return runner->options.learned ? hg_learned_reserve(runner->options.learned, task->prepared.model, bound) : bound;
}

int64_t hg_runner_least_of(const struct hg_runner *runner, const struct hg_run_task *task) {
  const int64_t less = hg_prepared_input_cost(&task->prepared, task->less);
  const int64_t least = task->prepared.least > 0 ? task->prepared.least - less : 1;
  const int64_t need = hg_runner_need_of(runner, task);
  return least < need ? least : need;
}

bool hg_runner_is_exhausted(const struct hg_runner *runner, const struct hg_run_task *task) {
  return runner->now_ms < runner->exhausted_until_ms && hg_runner_least_of(runner, task) > runner->exhausted_left &&
         strcmp(hg_runner_budget_of(runner, task), runner->exhausted_budget) == 0;
}

void hg_runner_note_exhausted(struct hg_runner *runner, const struct hg_run_task *task, int64_t left,
                              const char *short_budget) {
  runner->exhausted_left = left;
  runner->exhausted_until_ms = runner->now_ms + 1000; // a limit may be raised at any time
  hg_copy_text(runner->exhausted_budget, sizeof runner->exhausted_budget, hg_runner_budget_of(runner, task));
  hg_copy_text(runner->short_budget, sizeof runner->short_budget, short_budget);
}

static int64_t sum_of(int64_t sum, int64_t need) {
  return need <= HG_TOKENS_MAX - sum ? sum + need : HG_TOKENS_MAX;
}

static void add_left_need(struct hg_runner_counts *counts, const char *budget, int64_t need) {
  struct hg_left_budget *place = counts->left_budgets;
  for (unsigned i = 0; i < HG_LEFT_BUDGETS_MAX; i++, place++) {
    if (place->need > 0 && strcmp(place->budget, budget) != 0) continue;
    hg_copy_text(place->budget, sizeof place->budget, budget);
    place->need = sum_of(place->need, need);
    return;
  }
}

void hg_runner_leave_exhausted(struct hg_runner *runner, struct hg_run_task *task) {
  struct hg_runner_counts *counts = &runner->counts;
  const int64_t need = hg_runner_need_of(runner, task), least = hg_runner_least_of(runner, task);
  counts->left_for_budget++;
  counts->left_need = sum_of(counts->left_need, need);
  add_left_need(counts, hg_runner_budget_of(runner, task), need);
  if (counts->smallest_need > 0 && strcmp(counts->short_budget, runner->short_budget) != 0)
    counts->several_short = true;
  if (counts->smallest_need == 0 || least < counts->smallest_need) {
    counts->smallest_need = least;
    hg_copy_text(counts->short_budget, sizeof counts->short_budget, runner->short_budget);
  }
  hg_runner_drop(runner, task, true);
}
