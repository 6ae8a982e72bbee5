// The turn of the task runner: what happened is taken in, results become durable, permits are closed. [8_RISKS-REQ-031]
#include "runner/task_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYNC_PAUSE_MIN_MS 100
#define SYNC_PAUSE_MAX_MS 5000
#define BEHIND_PAUSE_MS 5

// ---------------------------------------------------------------------------------------------- life

hg_err hg_runner_new(const struct hg_runner_options *options, const struct hg_runner_io *io, struct hg_runner **out) {
  assert(options->run_name && options->llm && options->max_concurrency > 0);
  struct hg_runner *runner = calloc(1, sizeof *runner);
  if (!runner) return HG_ERR_NO_MEMORY;
  const uint32_t most = options->max_concurrency;
  *runner = (struct hg_runner){
      .options = *options,
      .limits = {options->llm->max_attempts, options->llm->retry_unknown_outcome},
      .io = *io,
      .open_max = most + (most + 16 < HG_LINES_AHEAD_MAX ? most + 16 : HG_LINES_AHEAD_MAX),
      .probe_until_ms = INT64_MAX,
      .sync_failing_since_ms = -1,
      .line_budgets = {{.budget = "default"}},
      .line_budget_count = 1,
  };
  hg_runner_init_pacing(runner);
  if (runner->options.bodies_max == 0) runner->options.bodies_max = HG_BODIES_MAX;
  if (runner->options.aside_max == 0) runner->options.aside_max = HG_LINES_ASIDE_MAX;
  *out = runner;
  return HG_OK;
}

void hg_runner_destroy(struct hg_runner **runner) {
  struct hg_runner *old = *runner;
  if (!old) return;
  for (struct hg_run_task *task = old->newest, *older; task; task = older) {
    older = task->older;
    hg_task_destroy(task);
  }
  hg_id_map_destroy(&old->commands);
  free(old->timers.items);
  free(old);
  *runner = NULL;
}

void hg_runner_move(struct hg_runner *runner, struct hg_run_task *task, enum hg_task_state to) {
  assert(hg_task_may_move(task->state, to));
  runner->in_state[task->state]--;
  runner->in_state[to]++;
  if (task->aside && task->state == HG_TASK_BACKING_OFF) runner->shut_out--;
  if (task->aside && to == HG_TASK_BACKING_OFF) runner->shut_out++;
  task->state = to;
}

// Its place, a new one if need be.
static struct hg_line_budget *line_budget_of(struct hg_runner *runner, const struct hg_run_task *task) {
  const char *name = hg_runner_budget_of(runner, task);
  struct hg_line_budget *places = runner->line_budgets;
  for (uint32_t i = 0; i < runner->line_budget_count; i++)
    if (strcmp(places[i].budget, name) == 0) return &places[i];
  if (runner->line_budget_count == HG_LINE_BUDGETS_MAX || strlen(name) > HG_BUDGET_NAME_MAX) return &places[0];
  hg_copy_text(places[runner->line_budget_count].budget, sizeof places[0].budget, name);
  return &places[runner->line_budget_count++];
}

void hg_runner_adopt(struct hg_runner *runner, struct hg_run_task *task) {
  assert(task->state == HG_TASK_WANTS_PERMIT);
  task->older = runner->newest;
  if (task->older) task->older->newer = task;
  runner->newest = task;
  runner->in_state[task->state]++;
  runner->open++;
  struct hg_line_budget *place = line_budget_of(runner, task);
  place->taken++;
  place->open++;
  runner->bodies += task->prepared.body_len;
}

void hg_runner_drop(struct hg_runner *runner, struct hg_run_task *task, bool left) {
  hg_runner_move(runner, task, HG_TASK_GONE);
  runner->in_state[HG_TASK_GONE]--;
  if (task->records) runner->counts.uncounted_tokens += task->found.report.tokens; // the ledger was lost before
  if (left) {
    runner->io.leave(runner->io.context, task->id_hash);
    runner->counts.left++;
  }
  if (task->newer) task->newer->older = task->older;
  else runner->newest = task->older;
  if (task->older) task->older->newer = task->newer;
  hg_runner_put_aside(runner, task, false);
  runner->open--;
  line_budget_of(runner, task)->open--;
  runner->bodies -= task->prepared.body_len;
  hg_task_destroy(task);
}

// ---------------------------------------------------------------------------------------------- durable results

// A reader may take its time: it is only waited for. One that is gone does not come back.
static void sync_is_behind(struct hg_runner *runner, hg_err err, const char *text) {
  runner->behind = true;
  if (runner->sync_failing_since_ms < 0) runner->sync_failing_since_ms = runner->now_ms;
  runner->next_sync_ms = runner->now_ms + BEHIND_PAUSE_MS;
  if (err == HG_ERR_CLOSED || runner->stop == HG_STOP_INTERRUPT) hg_runner_lose_results(runner, text);
}

static void sync_failed(struct hg_runner *runner, const char *text) {
  const int64_t now = runner->now_ms;
  if (runner->sync_failing_since_ms < 0) {
    char note[HG_ERROR_TEXT_MAX + 80];
    snprintf(note, sizeof note, "%s; nothing new starts, trying again for %d seconds", text,
             HG_SYNC_PATIENCE_MS / 1000);
    runner->io.note(runner->io.context, note);
    runner->sync_failing_since_ms = now;
    runner->sync_pause_ms = SYNC_PAUSE_MIN_MS / 2;
  }
  runner->sync_pause_ms *= 2;
  if (runner->sync_pause_ms > SYNC_PAUSE_MAX_MS) runner->sync_pause_ms = SYNC_PAUSE_MAX_MS;
  runner->next_sync_ms = now + runner->sync_pause_ms;
  if (runner->stop == HG_STOP_INTERRUPT || now - runner->sync_failing_since_ms >= HG_SYNC_PATIENCE_MS)
    hg_runner_lose_results(runner, text);
}

static void count_failure(struct hg_runner_counts *counts, const char *code) {
  counts->failed++;
  struct hg_failure_kind *kind = counts->failures;
  for (size_t i = 0; i < HG_FAILURE_KINDS_MAX; i++, kind++) {
    if (kind->count > 0 && strcmp(kind->code, code) != 0 && i + 1 < HG_FAILURE_KINDS_MAX) continue;
    const bool last = i + 1 == HG_FAILURE_KINDS_MAX;
    if (kind->count++ == 0 || last) hg_copy_text(kind->code, sizeof kind->code, last ? "other" : code);
    return;
  }
}

bool hg_runner_sync(struct hg_runner *runner) {
  hg_error why = HG_ERROR_INIT;
  const hg_err err = runner->io.sync(runner->io.context, &why);
  if (err) {
    if (err == HG_ERR_BUSY || err == HG_ERR_CLOSED) sync_is_behind(runner, err, why.text);
    else sync_failed(runner, why.text);
    return false;
  }
  if (runner->sync_failing_since_ms >= 0 && !runner->behind)
    runner->io.note(runner->io.context, "results are written again; going on");
  runner->sync_failing_since_ms = -1;
  runner->behind = false;
  runner->unsynced = false;
  struct hg_task_list group = runner->written;
  runner->written = (struct hg_task_list){NULL, NULL};
  for (struct hg_run_task *task; (task = hg_task_list_pop(&group)) != NULL;) {
    if (task->success) runner->counts.done++;
    else count_failure(&runner->counts, task->reason);
    if (task->permit.id != 0) hg_runner_close_permit(runner, task, HG_NEXT_GONE);
    else hg_runner_drop(runner, task, false);
  }
  return true;
}

// ---------------------------------------------------------------------------------------------- what happened

void hg_runner_completed(struct hg_runner *runner, const hg_completion *completion, int64_t now_ms) {
  runner->now_ms = now_ms;
  struct hg_run_task *task = hg_id_map_remove(&runner->commands, completion->ticket.id);
  if (!task) return; // of a command that this runner did not start, or gave up
  task->ticket.id = 0;
  if (task->state == HG_TASK_ACQUIRING) hg_runner_acquired(runner, task, completion);
  else hg_runner_closed(runner, task, completion->err);
}

void hg_runner_called(struct hg_runner *runner, void *tag, const struct hg_http_end *end, int64_t now_ms) {
  struct hg_run_task *task = tag;
  assert(task->state == HG_TASK_CALLING || task->state == HG_TASK_COUNTING);
  runner->now_ms = now_ms;
  task->call = NULL;
  if (task->state == HG_TASK_COUNTING) {
    hg_runner_counted(runner, task, end);
    return;
  }
  hg_runner_end(runner, task, end);
  if (runner->sync_failing_since_ms < 0 && runner->io.group_full(runner->io.context)) (void)hg_runner_sync(runner);
}

// ---------------------------------------------------------------------------------------------- the turn

static void start_due(struct hg_runner *runner) {
  while (runner->timers.count > 0 && runner->timers.items[0]->due_ms <= runner->now_ms) {
    struct hg_run_task *task = hg_task_heap_pop(&runner->timers);
    hg_runner_move(runner, task, task->state == HG_TASK_PAUSING ? HG_TASK_WANTS_CALL : HG_TASK_WANTS_PERMIT);
    hg_runner_step(runner, task);
  }
}

static void step_stalled(struct hg_runner *runner) {
  struct hg_task_list stalled = runner->stalled;
  runner->stalled = (struct hg_task_list){NULL, NULL};
  for (struct hg_run_task *task; (task = hg_task_list_pop(&stalled)) != NULL;)
    hg_runner_step(runner, task);
}

// There are no others any more.
static bool only_waits_for_others(const struct hg_runner *runner) {
  return runner->input_ended && runner->in_state[HG_TASK_PARKED] + runner->in_state[HG_TASK_HELD] == runner->open;
}

// Nobody was let in, and either that is enough or there is nobody left to try.
static bool all_turned_away(const struct hg_runner *runner) {
  if (runner->admitted || runner->in_state[HG_TASK_PARKED] == 0) return false;
  return runner->turned_away >= HG_PROBE_CALLS || only_waits_for_others(runner);
}

static void judge_row(struct hg_runner *runner) {
  const uint32_t *in_state = runner->in_state;
  const uint32_t tried =
      in_state[HG_TASK_CALLING] + in_state[HG_TASK_PAUSING] + in_state[HG_TASK_BACKING_OFF] - runner->shut_out;
  if (runner->unserved_row >= HG_UNSERVED_ROW && runner->unserved_row >= tried)
    hg_runner_stop(runner, HG_STOP_ACCESS, "%u requests in a row were not served, whatever was tried; the last: %s",
                   runner->unserved_row, runner->turned_away_text);
  else if (in_state[HG_TASK_PARKED] == 0 && only_waits_for_others(runner))
    hg_runner_write_held(runner, runner->unserved); // there is nobody left to tell more
}

static int64_t earliest(int64_t left, int64_t right) {
  return left < right ? left : right;
}

static int64_t next_turn(const struct hg_runner *runner) {
  const int64_t now = runner->now_ms;
  if (hg_runner_finished(runner)) return now;
  int64_t next = runner->timers.count > 0 ? runner->timers.items[0]->due_ms : INT64_MAX;
  if (runner->stalled.first || runner->cancelling) next = earliest(next, now + 1);
  if (runner->unsynced && !runner->results_lost) next = earliest(next, runner->next_sync_ms);
  if (runner->stop == HG_STOP_NONE) next = earliest(next, runner->pace_ms);
  if (runner->stop == HG_STOP_NONE && !runner->input_ended) {
    if (!runner->admitted && now < runner->probe_until_ms) next = earliest(next, runner->probe_until_ms);
    if (hg_runner_may_read(runner)) next = now;
  }
  return next;
}

int64_t hg_runner_turn(struct hg_runner *runner, int64_t now_ms) {
  runner->now_ms = now_ms;
  start_due(runner);
  step_stalled(runner);
  runner->pace_ms = INT64_MAX;
  hg_runner_let_counts_start(runner);
  hg_runner_take_turns(runner);
  hg_runner_let_crowded_in(runner);
  hg_runner_let_back_in(runner);
  hg_runner_read(runner);
  if (runner->stop == HG_STOP_NONE) judge_row(runner);
  if (runner->unsynced && !runner->results_lost && now_ms >= runner->next_sync_ms) (void)hg_runner_sync(runner);
  if (all_turned_away(runner)) hg_runner_stop(runner, HG_STOP_ACCESS, "%s", runner->turned_away_text);
  if (runner->stop != HG_STOP_NONE) hg_runner_wind_down(runner);
  return next_turn(runner);
}

bool hg_runner_finished(const struct hg_runner *runner) {
  if (runner->results_lost) return runner->open == 0; // and every permit is closed
  return runner->open == 0 && !runner->unsynced && (runner->input_ended || runner->stop != HG_STOP_NONE);
}

enum hg_stop hg_runner_stopped(const struct hg_runner *runner, const char **text) {
  *text = runner->stop_text;
  return runner->stop;
}

const struct hg_line_budget *hg_runner_line_budgets(const struct hg_runner *runner, uint32_t *count) {
  *count = runner->line_budget_count;
  return runner->line_budgets;
}

void hg_runner_count(const struct hg_runner *runner, struct hg_runner_counts *out) {
  const uint32_t *in_state = runner->in_state;
  *out = runner->counts;
  out->waiting = in_state[HG_TASK_WANTS_PERMIT] + in_state[HG_TASK_ACQUIRING] + in_state[HG_TASK_WANTS_COUNT] +
                 in_state[HG_TASK_COUNTING];
  out->running = in_state[HG_TASK_CALLING];
  out->pausing = in_state[HG_TASK_PAUSING] + in_state[HG_TASK_BACKING_OFF];
  out->open = runner->open;
  out->allowed = hg_pushback_lasts(&runner->pushback) ? hg_pushback_allowed(&runner->pushback) : 0;
  out->input_quiet = runner->input_quiet;
  out->input_ended = runner->input_ended;
}
