// When calls may start, and how many at once: requests and tokens a minute, and what a provider that pushes back (429)
// lets run. Apart from the budget and its throttle, which the runtime keeps.
#include "runner/task_private.h"

#include <stdio.h>
#include <string.h>

#define LONG_WAIT_MS (60 * 1000) // nobody keeps a permit for longer only to wait

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

static struct hg_model_pace *pace_of(struct hg_runner *runner, const struct hg_run_task *task, bool add) {
  for (size_t i = 0; i < runner->paced_models; i++)
    if (strcmp(runner->paces[i].model, task->prepared.model) == 0) return &runner->paces[i];
  if (!add || runner->paced_models == HG_PACED_MODELS_MAX) return NULL;
  struct hg_model_pace *pace = &runner->paces[runner->paced_models++];
  hg_copy_text(pace->model, sizeof pace->model, task->prepared.model);
  return pace;
}

static int64_t later(int64_t left, int64_t right) {
  return left > right ? left : right;
}

static int64_t shut_until(const struct hg_model_pace *pace) {
  return pace ? later(pace->requests.shut_ms, pace->tokens.shut_ms) : 0;
}

static void tell_shut(struct hg_runner *runner, struct hg_model_pace *pace, int64_t wait_ms) {
  if (pace->told) return;
  pace->told = true;
  const bool leaves = wait_ms > HG_RETRY_AFTER_MAX_MS;
  char text[320];
  snprintf(text, sizeof text, "the provider takes no calls of model \"%s\" for %lld s (its rate limit headers): %s",
           pace->model, (long long)(wait_ms / 1000),
           leaves ? "its lines are left to a later run" : "its lines wait for that");
  runner->io.note(runner->io.context, text);
}

// Nobody else has to wait for a permit that waits. As with Retry-After, what takes longer than a run waits is left.
bool hg_runner_is_shut_out(struct hg_runner *runner, struct hg_run_task *task) {
  struct hg_model_pace *pace = pace_of(runner, task, false);
  const int64_t wait_ms = shut_until(pace) - runner->now_ms;
  if (wait_ms <= HG_SHORT_PAUSE_MS) return false;
  if (wait_ms > LONG_WAIT_MS) tell_shut(runner, pace, wait_ms);
  if (wait_ms > HG_RETRY_AFTER_MAX_MS) {
    runner->counts.left_for_rate++;
    hg_runner_drop(runner, task, true);
  } else {
    runner->counts.paced_ms += (uint64_t)wait_ms;
    hg_runner_back_off(runner, task, shut_until(pace));
  }
  return true;
}

// Of a rate that was learnt no call takes more than a minute: the provider would have to refuse it.
static int64_t take(struct hg_pace *pace, int64_t units, int64_t now_ms, int64_t *took_us) {
  const int64_t most = pace->per_minute > 0 && units > pace->per_minute ? pace->per_minute : units;
  return hg_pace_take(pace, most, now_ms, took_us);
}

int64_t hg_runner_take_request(struct hg_runner *runner, const struct hg_run_task *task) {
  struct hg_model_pace *pace = pace_of(runner, task, false);
  int64_t us;
  const int64_t due = hg_pace_take(&runner->requests, 1, runner->now_ms, &us);
  return pace ? later(due, take(&pace->requests, 1, runner->now_ms, &us)) : due;
}

// Only one of the two has a rate.
static int64_t take_tokens(struct hg_runner *runner, struct hg_run_task *task) {
  struct hg_model_pace *pace = pace_of(runner, task, false);
  task->paced_tokens = tokens_of(runner, task);
  int64_t learnt_us = 0;
  int64_t due = hg_pace_take(&runner->tokens, task->paced_tokens, runner->now_ms, &task->paced_us);
  if (pace) due = later(due, take(&pace->tokens, task->paced_tokens, runner->now_ms, &learnt_us));
  task->paced_us += learnt_us;
  return due;
}

// In its turn, with its permit: the queue of the minute is short, or the rate is what bounds the run anyway. A permit
// that would wait for long is given back, the turn is kept.
static bool wait_for_minute(struct hg_runner *runner, struct hg_run_task *task) {
  const int64_t now = runner->now_ms, due = later(hg_runner_take_request(runner, task), take_tokens(runner, task));
  task->paced = true;
  if (due <= now) return false;
  runner->counts.paced_ms += (uint64_t)(due - now);
  if (due - now > LONG_WAIT_MS) {
    task->pause_ms = due - now;
    hg_runner_release_unused(runner, task, HG_NEXT_RETRY);
    return true;
  }
  task->settles = false;
  task->outcome = HG_OUTCOME_RETRY;
  task->due_ms = due;
  hg_runner_move(runner, task, HG_TASK_PAUSING);
  hg_task_heap_push(&runner->timers, task);
  return true;
}

bool hg_runner_has_turn(struct hg_runner *runner, struct hg_run_task *task) {
  const bool pushed_back = hg_pushback_lasts(&runner->pushback) &&
                           runner->in_state[HG_TASK_CALLING] >= hg_pushback_allowed(&runner->pushback);
  if (pushed_back || shut_until(pace_of(runner, task, false)) - runner->now_ms > HG_SHORT_PAUSE_MS) {
    hg_runner_release_unused(runner, task, HG_NEXT_WAIT);
    return false;
  }
  return task->paced || !wait_for_minute(runner, task);
}

// ---------------------------------------------------------------------------------------------- what answers tell

// Nothing is left of the minute: whoever starts before it is over is refused.
static void learn(struct hg_pace *pace, int64_t configured, const struct hg_rate_limit *told, int64_t now_ms) {
  if (told->limit == 0) return;
  if (configured == 0) pace->per_minute = told->limit;
  if (told->remaining == 0 && told->reset_ms > 0) pace->shut_ms = later(pace->shut_ms, now_ms + told->reset_ms);
}

static void give_back(struct hg_runner *runner, const struct hg_run_task *task) {
  struct hg_model_pace *pace = pace_of(runner, task, false);
  const int64_t unused = task->paced_tokens - task->used_tokens;
  if (unused <= 0 || task->paced_us == 0) return;
  const int64_t us = (int64_t)((double)task->paced_us * ((double)unused / (double)task->paced_tokens));
  hg_pace_give_back(runner->tokens.per_minute > 0 ? &runner->tokens : &pace->tokens, us);
}

void hg_runner_learn_pace(struct hg_runner *runner, struct hg_run_task *task, const struct hg_http_end *end,
                          const struct hg_judgement *judgement) {
  const struct hg_llm_config *llm = runner->options.llm;
  const struct hg_rate_limits *rates = &end->rates;
  struct hg_model_pace *pace = pace_of(runner, task, rates->requests.limit > 0 || rates->tokens.limit > 0);
  give_back(runner, task);
  if (pace) learn(&pace->requests, llm->requests_per_minute, &rates->requests, runner->now_ms);
  if (pace) learn(&pace->tokens, llm->tokens_per_minute, &rates->tokens, runner->now_ms);
  if (judgement->pushed) push_back(runner, task);
  else if (judgement->served) serve(runner);
}
