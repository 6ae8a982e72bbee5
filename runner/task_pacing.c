// When calls may start, and how many at once: requests and tokens a minute, and what a provider that pushes back (429)
// lets run. Apart from the budget and its throttle, which the runtime keeps.
#include "runner/task_private.h"

#include <stdio.h>

void hg_runner_init_pacing(struct hg_runner *runner) {
  runner->requests.per_minute = runner->options.llm->requests_per_minute;
  runner->tokens.per_minute = runner->options.llm->tokens_per_minute;
  hg_pushback_init(&runner->pushback, runner->options.max_concurrency);
  runner->counts.pushed_back_to = runner->options.max_concurrency;
}

// ---------------------------------------------------------------------------------------------- how many at once

static uint32_t busy(const struct hg_runner *runner) {
  return runner->in_state[HG_TASK_ACQUIRING] + runner->in_state[HG_TASK_WANTS_CALL] +
         runner->in_state[HG_TASK_CALLING] + runner->in_state[HG_TASK_PAUSING];
}

static bool is_crowded(const struct hg_runner *runner) {
  return hg_pushback_lasts(&runner->pushback) && busy(runner) >= hg_pushback_allowed(&runner->pushback);
}

bool hg_runner_has_room_for(struct hg_runner *runner, struct hg_run_task *task) {
  if (!is_crowded(runner)) return true;
  hg_task_list_push(&runner->crowded, task);
  return false;
}

void hg_runner_let_crowded_in(struct hg_runner *runner) {
  while (runner->stop == HG_STOP_NONE && runner->crowded.first && !is_crowded(runner))
    hg_runner_step(runner, hg_task_list_pop(&runner->crowded));
}

static void push_back(struct hg_runner *runner, const struct hg_run_task *task) {
  struct hg_runner_counts *counts = &runner->counts;
  const uint32_t running = runner->in_state[HG_TASK_CALLING], before = hg_pushback_allowed(&runner->pushback);
  if (!hg_pushback_push(&runner->pushback, task->sent_ms, running, runner->now_ms)) return;
  const uint32_t allowed = hg_pushback_allowed(&runner->pushback);
  runner->io.push(runner->io.context, before, allowed);
  char text[160];
  snprintf(text, sizeof text, "the provider pushes back (429): %u call%s at a time for now", allowed,
           allowed == 1 ? "" : "s");
  if (counts->pushbacks++ == 0) runner->io.note(runner->io.context, text); // the progress line shows the others
  if (allowed < counts->pushed_back_to) counts->pushed_back_to = allowed;
}

static void serve(struct hg_runner *runner) {
  if (hg_pushback_serve(&runner->pushback))
    runner->io.push(runner->io.context, runner->pushback.most - 1, runner->pushback.most);
}

// ---------------------------------------------------------------------------------------------- how fast

// What a call with its grant can use in tokens: a minute counts these, whatever the ledger counts.
static int64_t tokens_of(const struct hg_runner *runner, const struct hg_run_task *task) {
  const struct hg_prepared *prepared = &task->prepared;
  if (!prepared->price) return task->granted;
  const int64_t saved = hg_prepared_input_cost(prepared, task->less);
  if (task->granted < task->need)
    return prepared->input_bound - task->less + hg_output_paid(prepared, task->granted + saved);
  const int64_t bound = prepared->max_tokens - task->less;
  return runner->options.learned ? hg_learned_reserve(runner->options.learned, prepared->model, bound) : bound;
}

// In its turn, with its permit: the queue of the minute is short, or the rate is what bounds the run anyway.
static bool wait_for_minute(struct hg_runner *runner, struct hg_run_task *task) {
  const int64_t now = runner->now_ms;
  int64_t due = hg_pace_take(&runner->requests, 1, now);
  task->paced_tokens = tokens_of(runner, task);
  const int64_t tokens_due = hg_pace_take(&runner->tokens, task->paced_tokens, now);
  task->paced = true;
  if (tokens_due > due) due = tokens_due;
  if (due <= now) return false;
  runner->counts.paced_ms += (uint64_t)(due - now);
  task->settles = false;
  task->outcome = HG_OUTCOME_RETRY;
  task->due_ms = due;
  hg_runner_move(runner, task, HG_TASK_PAUSING);
  hg_task_heap_push(&runner->timers, task);
  return true;
}

bool hg_runner_has_turn(struct hg_runner *runner, struct hg_run_task *task) {
  if (hg_pushback_lasts(&runner->pushback) &&
      runner->in_state[HG_TASK_CALLING] >= hg_pushback_allowed(&runner->pushback)) {
    hg_runner_release_unused(runner, task, HG_NEXT_WAIT);
    return false;
  }
  return task->paced || !wait_for_minute(runner, task);
}

// ---------------------------------------------------------------------------------------------- what answers tell

// The configuration's word counts before the headers'.
static void take_rate(struct hg_pace *pace, int64_t configured, int64_t told) {
  if (configured == 0 && told > 0) pace->per_minute = told;
}

// Nothing is left of the minute: whoever starts before it is over is refused.
static void wait_out(struct hg_pace *pace, const struct hg_rate_limit *limit, int64_t now_ms) {
  if (limit->remaining != 0 || limit->reset_ms <= 0 || pace->per_minute == 0) return;
  const int64_t until_us = (now_ms + limit->reset_ms + HG_PACE_BURST_MS) * 1000;
  if (pace->taken_us < until_us) pace->taken_us = until_us;
}

void hg_runner_learn_pace(struct hg_runner *runner, struct hg_run_task *task, const struct hg_http_end *end,
                          const struct hg_judgement *judgement) {
  const struct hg_llm_config *llm = runner->options.llm;
  hg_pace_give_back(&runner->tokens, task->paced_tokens - task->used_tokens);
  take_rate(&runner->requests, llm->requests_per_minute, end->rates.requests.limit);
  take_rate(&runner->tokens, llm->tokens_per_minute, end->rates.tokens.limit);
  wait_out(&runner->requests, &end->rates.requests, runner->now_ms);
  wait_out(&runner->tokens, &end->rates.tokens, runner->now_ms);
  if (judgement->pushed) push_back(runner, task);
  else if (judgement->served) serve(runner);
}
