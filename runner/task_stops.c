// How a run stops: nothing more starts, what waits is given up, and running calls end, or are cut off.
#include "runner/task_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void hg_runner_stop(struct hg_runner *runner, enum hg_stop why, const char *format, ...) {
  const bool worse = why >= HG_STOP_LEDGER && runner->stop < HG_STOP_LEDGER;
  if (runner->stop != HG_STOP_NONE && !worse) return;
  runner->stop = why;
  runner->cancelling = true;
  va_list arguments;
  va_start(arguments, format);
  char text[2 * HG_ERROR_TEXT_MAX];
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  hg_copy_text(runner->stop_text, sizeof runner->stop_text, text);
}

void hg_runner_lose_ledger(struct hg_runner *runner, const char *text) {
  runner->ledger_lost = true;
  runner->cancelling = true; // also where it had stopped before
  hg_runner_stop(runner, HG_STOP_LEDGER, "%s", text);
}

void hg_runner_lose_results(struct hg_runner *runner, const char *text) {
  runner->results_lost = true;
  hg_runner_stop(runner, HG_STOP_RESULTS, "%s", text);
}

void hg_runner_lost(struct hg_runner *runner, const char *text, int64_t now_ms) {
  runner->now_ms = now_ms;
  hg_runner_lose_ledger(runner, text);
}

// What waits for the runtime, or for a count, once the runtime no longer answers or nothing more may start.
static void stop_waiting(struct hg_runner *runner) {
  runner->cancelling = false;
  for (struct hg_run_task *task = runner->newest, *older; task; task = older) {
    older = task->older;
    const bool waits = task->state == HG_TASK_ACQUIRING || task->state == HG_TASK_CLOSING;
    if (task->state == HG_TASK_COUNTING) {
      (void)runner->io.cut(runner->io.context, task->call);
      hg_runner_drop(runner, task, true);
    } else if (waits && runner->ledger_lost) {
      hg_id_map_remove(&runner->commands, task->ticket.id);
      hg_runner_drop(runner, task, task->state == HG_TASK_ACQUIRING || task->after != HG_NEXT_GONE);
    } else if (task->state == HG_TASK_ACQUIRING && !task->cancelled) {
      const hg_err err = runner->io.cancel(runner->io.context, task->ticket);
      task->cancelled = err != HG_ERR_BUSY;
      runner->cancelling = runner->cancelling || err == HG_ERR_BUSY;
    }
  }
}

static void cut_calls(struct hg_runner *runner) {
  for (struct hg_run_task *task = runner->newest, *older; task; task = older) {
    older = task->older;
    if (task->state != HG_TASK_CALLING) continue;
    const struct hg_http_end end = {
        .kind = HG_HTTP_CUT, .left = runner->io.cut(runner->io.context, task->call), .retry_after_ms = -1};
    task->call = NULL;
    hg_runner_end(runner, task, &end); // which drops no other task
  }
}

// A result that can't be written any more. Its line runs again, but what it used is known.
static void lose_result(struct hg_runner *runner, struct hg_run_task *task) {
  task->outcome = HG_OUTCOME_RETRY;
  task->reason[0] = '\0';
  if (task->permit.id != 0) hg_runner_close_permit(runner, task, HG_NEXT_GONE);
  else hg_runner_drop(runner, task, false);
}

static void lose_all_results(struct hg_runner *runner) {
  struct hg_task_list stalled = runner->stalled;
  runner->stalled = (struct hg_task_list){NULL, NULL};
  cut_calls(runner);
  for (struct hg_run_task *task; (task = hg_task_list_pop(&runner->written)) != NULL;)
    lose_result(runner, task);
  for (struct hg_run_task *task; (task = hg_task_list_pop(&stalled)) != NULL;) {
    if (task->state == HG_TASK_WANTS_WRITE) lose_result(runner, task);
    else hg_task_list_push(&runner->stalled, task);
  }
}

static void drop_all(struct hg_runner *runner, struct hg_task_list *list) {
  for (struct hg_run_task *task; (task = hg_task_list_pop(list)) != NULL;)
    hg_runner_drop(runner, task, true);
}

void hg_runner_wind_down(struct hg_runner *runner) {
  for (struct hg_run_task *task; (task = hg_task_heap_pop(&runner->timers)) != NULL;) {
    if (task->state == HG_TASK_PAUSING) hg_runner_close_permit(runner, task, HG_NEXT_LEAVE);
    else hg_runner_drop(runner, task, true);
  }
  for (struct hg_run_task *task; (task = hg_task_list_pop(&runner->turns)) != NULL;)
    hg_runner_close_permit(runner, task, HG_NEXT_LEAVE);
  struct hg_task_list *const waiting[] = {&runner->parked, &runner->held, &runner->crowded, &runner->set_aside,
                                          &runner->counts_waiting};
  for (size_t i = 0; i < sizeof waiting / sizeof *waiting; i++)
    drop_all(runner, waiting[i]);
  for (size_t i = 0; i < runner->paced_models; i++)
    drop_all(runner, &runner->paces[i].crowded);
  if (runner->cancelling) stop_waiting(runner);
  if (runner->results_lost) lose_all_results(runner);
}

void hg_runner_interrupt(struct hg_runner *runner, int64_t now_ms) {
  runner->now_ms = now_ms;
  hg_runner_stop(runner, HG_STOP_INTERRUPT, "interrupted");
  runner->next_sync_ms = now_ms; // a results file that fails gets one more try
}

void hg_runner_cut(struct hg_runner *runner, int64_t now_ms) {
  hg_runner_interrupt(runner, now_ms);
  cut_calls(runner);
}
