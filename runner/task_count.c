// Asks the provider how many input tokens a request has, when its bound has been found not to fit (llm.reservation
// "counted"). The task holds no permit meanwhile; whatever becomes of the question, it asks for a permit again after
// it, and one whose question came to nothing waits for its bound.
#include "runner/task_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 2

static enum hg_input_counter counter_of(const struct hg_runner *runner, const struct hg_run_task *task) {
  return hg_input_counter_of(task->prepared.endpoint, runner->options.llm);
}

static bool is_refused(const struct hg_runner *runner, const struct hg_run_task *task) {
  for (uint32_t i = 0; i < runner->uncounted_models && i < HG_UNCOUNTED_MODELS_MAX; i++)
    if (runner->uncounted[i].counter == counter_of(runner, task) &&
        strcmp(runner->uncounted[i].model, task->prepared.model) == 0)
      return true;
  return false;
}

bool hg_runner_may_count(const struct hg_runner *runner, const struct hg_run_task *task) {
  if (runner->options.llm->reservation != HG_RESERVE_COUNTED || task->count_over) return false;
  return counter_of(runner, task) != HG_INPUT_COUNTER_NONE && !is_refused(runner, task);
}

// However few tokens its input has, its output is asked for all the same.
static int64_t least_at_all(const struct hg_run_task *task) {
  return task->prepared.min_tokens - task->prepared.input_bound + 1;
}

bool hg_runner_may_fit(const struct hg_runner *runner, const struct hg_run_task *task, int64_t left) {
  return hg_runner_may_count(runner, task) && least_at_all(task) <= left;
}

// ---------------------------------------------------------------------------------------------- the question

static void ask_again(struct hg_runner *runner, struct hg_run_task *task) {
  hg_runner_move(runner, task, HG_TASK_WANTS_PERMIT);
  hg_runner_step(runner, task);
}

static void give_up(struct hg_runner *runner, struct hg_run_task *task) {
  task->count_over = true;
  ask_again(runner, task);
}

static bool is_crowded(const struct hg_runner *runner) {
  uint32_t most = runner->options.max_concurrency;
  if (hg_pushback_lasts(&runner->pushback) && hg_pushback_allowed(&runner->pushback) < most)
    most = hg_pushback_allowed(&runner->pushback);
  return runner->in_state[HG_TASK_COUNTING] >= most;
}

static hg_err send(struct hg_runner *runner, struct hg_run_task *task, hg_error *why) {
  const enum hg_input_counter counter = counter_of(runner, task);
  hg_err err = HG_OK;
  if (!task->question) err = hg_count_request(&task->prepared, counter, &task->question, &task->question_len);
  return err ? err
             : runner->io.count(runner->io.context, task->path, task->prepared.endpoint, counter, task->question,
                                task->question_len, task, &task->call, why);
}

void hg_runner_ask_for_count(struct hg_runner *runner, struct hg_run_task *task) {
  if (runner->stop != HG_STOP_NONE) {
    hg_runner_drop(runner, task, true);
    return;
  }
  if (!hg_runner_may_count(runner, task)) { // its counter has been found not to know it meanwhile
    give_up(runner, task);
    return;
  }
  if (hg_runner_is_shut_out(runner, task)) return;
  if (is_crowded(runner) || !hg_runner_may_request(runner, task)) { // counts are requests of the minute as well
    hg_task_list_push(&runner->counts_waiting, task);
    return;
  }
  hg_error why = HG_ERROR_INIT;
  if (send(runner, task, &why) != HG_OK) {
    give_up(runner, task);
    return;
  }
  hg_runner_move(runner, task, HG_TASK_COUNTING);
  task->count_tries++;
  hg_runner_take_request(runner, task);
  runner->counts.count_calls++;
}

void hg_runner_let_counts_start(struct hg_runner *runner) {
  struct hg_task_list waiting = runner->counts_waiting;
  runner->counts_waiting = (struct hg_task_list){NULL, NULL};
  while (runner->stop == HG_STOP_NONE && waiting.first && !is_crowded(runner))
    hg_runner_step(runner, hg_task_list_pop(&waiting));
  hg_task_list_append(&runner->counts_waiting, &waiting);
}

// ---------------------------------------------------------------------------------------------- the answer

// What a server says to a URL that it does not know, or for a model that it can't count.
static bool is_unknown_there(const struct hg_http_end *end) {
  const long status = end->kind == HG_HTTP_ANSWERED ? end->status : 0;
  return (status >= 300 && status <= 399) || status == 404 || status == 405 || status == 410 || status == 501;
}

static bool may_try_again(const struct hg_run_task *task, const struct hg_http_end *end) {
  if (task->count_tries >= TRIES_MAX || end->retry_after_ms > HG_BACKOFF_MAX_MS) return false;
  if (end->kind == HG_HTTP_NO_CONNECTION || end->kind == HG_HTTP_BROKEN) return true;
  return end->kind == HG_HTTP_ANSWERED &&
         (end->status == 408 || end->status == 409 || end->status == 429 || end->status >= 500);
}

static void remember_refusal(struct hg_runner *runner, const struct hg_run_task *task, const struct hg_http_end *end) {
  struct hg_uncounted_model *place = &runner->uncounted[runner->uncounted_models % HG_UNCOUNTED_MODELS_MAX];
  place->counter = counter_of(runner, task);
  memcpy(place->model, task->prepared.model, sizeof place->model);
  if (runner->uncounted_models++ > 0) return;
  char note[HG_LABEL_MAX + 160];
  snprintf(note, sizeof note,
           "the provider does not count input tokens of model \"%s\" (HTTP %ld): its calls reserve their bounds",
           task->prepared.model, end->status);
  runner->io.note(runner->io.context, note);
}

void hg_runner_counted(struct hg_runner *runner, struct hg_run_task *task, const struct hg_http_end *end) {
  int64_t tokens = 0;
  const bool good = end->kind == HG_HTTP_ANSWERED && end->status >= 200 && end->status <= 299 &&
                    hg_count_read(counter_of(runner, task), end->body, end->body_len, &tokens);
  if (runner->stop != HG_STOP_NONE) {
    hg_runner_drop(runner, task, true);
  } else if (!good && !is_unknown_there(end) && may_try_again(task, end)) {
    hg_runner_back_off(runner, task,
                       runner->now_ms + hg_backoff_ms(1, end->retry_after_ms, runner->io.random(runner->io.context)));
  } else {
    free(task->question);
    task->question = NULL;
    if (good) task->less = hg_count_less(&task->prepared, tokens);
    else runner->counts.count_failures++;
    runner->counts.counted += good;
    if (is_unknown_there(end) && !is_refused(runner, task)) remember_refusal(runner, task, end);
    give_up(runner, task); // nothing is left to be asked
  }
}
