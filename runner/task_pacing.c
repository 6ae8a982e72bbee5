// When calls may start, and how many at once: requests and tokens a minute, and what a provider that pushes back (429)
// lets run. Apart from the budget and its throttle, which the runtime keeps.
//
// Calls wait for the minute in their turn, with their permits, as long as they are not many: who would wait for long by
// the rates asks for a permit later, among the crowded. What is given back, or what an answer says, moves the turns of
// all.
#include "runner/task_private.h"

#include <stdio.h>
#include <string.h>

#define LOOK_AGAIN_MS 1000
#define LONG_WAIT_MS (60 * 1000) // who would wait for longer asks for a permit later
// Who has one gives it back only then: not every word of the provider is a reason.
#define TOO_LONG_WAIT_MS (2 * LONG_WAIT_MS)

void hg_runner_init_pacing(struct hg_runner *runner) {
  runner->requests.per_minute = runner->options.llm->requests_per_minute;
  runner->tokens.per_minute = runner->options.llm->tokens_per_minute;
  hg_pushback_init(&runner->pushback, runner->options.max_concurrency);
  runner->counts.pushed_back_to = runner->options.max_concurrency;
  runner->pace_ms = INT64_MAX;
}

static int64_t later(int64_t left, int64_t right) {
  return left > right ? left : right;
}

static void wake_at(struct hg_runner *runner, int64_t at_ms) {
  if (at_ms < runner->pace_ms) runner->pace_ms = at_ms;
}

// ---------------------------------------------------------------------------------------------- what bounds a call

// What a call with its grant, or with what it asks for, can use in tokens: a minute counts these, whatever the ledger
// counts. Of money nothing is learnt of tokens, whose parts cost so differently.
static int64_t tokens_of(const struct hg_runner *runner, const struct hg_run_task *task) {
  const struct hg_prepared *prepared = &task->prepared;
  const int64_t granted = task->granted > 0 ? task->granted : hg_runner_need_of(runner, task);
  if (!prepared->price) return granted;
  const int64_t saved = hg_prepared_input_cost(prepared, task->less);
  if (task->granted > 0 && task->granted < task->need)
    return prepared->input_bound - task->less + hg_output_paid(prepared, task->granted + saved);
  return prepared->max_tokens - task->less;
}

// Its model's. NULL: there are too many.
static struct hg_model_pace *pace_of(struct hg_runner *runner, struct hg_run_task *task) {
  if (task->pace) return task->pace;
  size_t i = 0;
  while (i < runner->paced_models && strcmp(runner->paces[i].model, task->prepared.model) != 0)
    i++;
  if (i == HG_PACED_MODELS_MAX) return NULL;
  task->pace = &runner->paces[i];
  if (i < runner->paced_models) return task->pace;
  runner->paced_models++;
  hg_copy_text(task->pace->model, sizeof task->pace->model, task->prepared.model);
  return task->pace;
}

// Requests and tokens, by turns.
static unsigned paces_of(struct hg_runner *runner, struct hg_run_task *task, struct hg_pace *out[HG_PACES_MAX]) {
  struct hg_model_pace *pace = pace_of(runner, task);
  out[0] = &runner->requests, out[1] = &runner->tokens;
  if (!pace) return 2;
  out[2] = &pace->requests, out[3] = &pace->tokens;
  return 4;
}

// Of tokens no more than can be summed up.
static int64_t units_of(const struct hg_run_task *task, unsigned place) {
  if (place % 2 == 0) return 1;
  return task->paced_tokens < HG_PACE_UNITS_MAX ? task->paced_tokens : HG_PACE_UNITS_MAX;
}

// How long others keep one that has no permit yet waiting: those in their turns, and those that ask as it does. That
// may change with time, or with their ends.
static int64_t backlog_of(struct hg_runner *runner, struct hg_pace *pace) {
  const int64_t before = pace->queued + hg_pace_asked(pace, runner->now_ms);
  const int64_t backlog = hg_pace_backlog_ms(pace, before, runner->now_ms);
  if (backlog > LONG_WAIT_MS) wake_at(runner, runner->now_ms + LOOK_AGAIN_MS);
  return backlog;
}

static int64_t backlog_ms(struct hg_runner *runner, struct hg_run_task *task) {
  struct hg_pace *paces[HG_PACES_MAX];
  int64_t backlog = 0;
  for (unsigned i = paces_of(runner, task, paces); i-- > 0;)
    backlog = later(backlog, task->in_turn          ? hg_pace_debt_ms(paces[i], runner->now_ms)
                             : task->permit.id != 0 ? hg_pace_backlog_ms(paces[i], paces[i]->queued, runner->now_ms)
                                                    : backlog_of(runner, paces[i]));
  return backlog;
}

static int64_t backlog_of_all_ms(struct hg_runner *runner) {
  return later(backlog_of(runner, &runner->requests), backlog_of(runner, &runner->tokens));
}

static bool is_far_behind(int64_t backlog) {
  return backlog > LONG_WAIT_MS;
}

static void begin_to_wait(struct hg_runner *runner, struct hg_run_task *task) {
  if (task->paced_since_ms == 0) task->paced_since_ms = runner->now_ms;
}

static void end_to_wait(struct hg_runner *runner, struct hg_run_task *task) {
  if (task->paced_since_ms > 0) runner->counts.paced_ms += (uint64_t)(runner->now_ms - task->paced_since_ms);
  task->paced_since_ms = 0;
}

// ---------------------------------------------------------------------------------------------- how many at once

// Those that will soon run, too; who has asked for a permit for longer waits for something else.
static int64_t busy(struct hg_runner *runner) {
  return hg_pace_asked(&runner->requests, runner->now_ms) + runner->in_state[HG_TASK_WANTS_CALL] +
         runner->in_state[HG_TASK_CALLING] + runner->in_state[HG_TASK_PAUSING];
}

static bool is_crowded(struct hg_runner *runner) {
  if (!hg_pushback_lasts(&runner->pushback) || busy(runner) < hg_pushback_allowed(&runner->pushback)) return false;
  wake_at(runner, runner->now_ms + LOOK_AGAIN_MS);
  return true;
}

void hg_runner_put_aside(struct hg_runner *runner, struct hg_run_task *task, bool aside) {
  if (aside && !task->aside) runner->aside++;
  if (!aside && task->aside) runner->aside--;
  task->aside = aside;
}

static bool has_room_for_one_aside(const struct hg_runner *runner) {
  return hg_runner_open_lines(runner) < runner->open_max;
}

// Who is only behind others of its model goes aside, so that lines of other models are reached.
bool hg_runner_has_room_for(struct hg_runner *runner, struct hg_run_task *task) {
  const bool behind = is_far_behind(backlog_ms(runner, task)) || (task->pace && task->pace->crowded.first);
  if (!behind && !is_crowded(runner)) return true;
  if (behind) begin_to_wait(runner, task);
  const bool of_its_model = behind && task->pace && !is_far_behind(backlog_of_all_ms(runner));
  if (of_its_model) hg_runner_put_aside(runner, task, true);
  hg_task_list_push(of_its_model ? &task->pace->crowded : &runner->crowded, task);
  return false;
}

static bool may_let_in(struct hg_runner *runner) {
  return runner->stop == HG_STOP_NONE && !is_crowded(runner) && !is_far_behind(backlog_of_all_ms(runner));
}

// Those that come back to the list are behind again.
static void let_model_in(struct hg_runner *runner, struct hg_task_list *crowded) {
  struct hg_task_list waiting = *crowded;
  *crowded = (struct hg_task_list){NULL, NULL};
  while (waiting.first && !crowded->first && has_room_for_one_aside(runner) && may_let_in(runner))
    hg_runner_step(runner, hg_task_list_pop(&waiting));
  hg_task_list_append(crowded, &waiting);
}

void hg_runner_let_crowded_in(struct hg_runner *runner) {
  for (size_t i = 0; i < runner->paced_models; i++)
    let_model_in(runner, &runner->paces[i].crowded);
  struct hg_task_list waiting = runner->crowded;
  runner->crowded = (struct hg_task_list){NULL, NULL};
  while (waiting.first && may_let_in(runner))
    hg_runner_step(runner, hg_task_list_pop(&waiting));
  hg_task_list_append(&runner->crowded, &waiting);
}

void hg_runner_asks(struct hg_runner *runner, struct hg_run_task *task) {
  struct hg_pace *paces[HG_PACES_MAX];
  task->paced_tokens = tokens_of(runner, task);
  task->asked_ms = runner->now_ms;
  for (unsigned i = paces_of(runner, task, paces); i-- > 0;)
    hg_pace_ask(paces[i], units_of(task, i), runner->now_ms);
}

void hg_runner_has_asked(struct hg_runner *runner, struct hg_run_task *task) {
  struct hg_pace *paces[HG_PACES_MAX];
  for (unsigned i = paces_of(runner, task, paces); i-- > 0;)
    hg_pace_answer(paces[i], units_of(task, i), task->asked_ms, runner->now_ms);
}

static void push_back(struct hg_runner *runner, const struct hg_run_task *task) {
  struct hg_runner_counts *counts = &runner->counts;
  const uint32_t running = runner->in_state[HG_TASK_CALLING], before = hg_pushback_allowed(&runner->pushback);
  if (!hg_pushback_push(&runner->pushback, task->sent_ms, running, runner->now_ms)) return;
  const uint32_t allowed = hg_pushback_allowed(&runner->pushback);
  runner->io.push(runner->io.context, before, allowed);
  char text[160];
  snprintf(text, sizeof text, "the provider pushes back: %u call%s at a time for now", allowed,
           allowed == 1 ? "" : "s");
  if (counts->pushbacks++ == 0) runner->io.note(runner->io.context, text); // the progress line shows the others
  if (allowed < counts->pushed_back_to) counts->pushed_back_to = allowed;
}

static void serve(struct hg_runner *runner) {
  if (hg_pushback_serve(&runner->pushback))
    runner->io.push(runner->io.context, runner->pushback.most - 1, runner->pushback.most);
}

// ---------------------------------------------------------------------------------------------- how fast

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

// Not all at once: a model may be shut again by the first of its answers.
bool hg_runner_comes_back(struct hg_runner *runner, struct hg_run_task *task) {
  if (!task->aside) return true;
  if (has_room_for_one_aside(runner)) {
    hg_runner_put_aside(runner, task, false);
    return true;
  }
  hg_task_list_push(&runner->set_aside, task);
  return false;
}

void hg_runner_let_back_in(struct hg_runner *runner) {
  while (runner->stop == HG_STOP_NONE && runner->set_aside.first && has_room_for_one_aside(runner))
    hg_runner_step(runner, hg_task_list_pop(&runner->set_aside));
}

// Nobody else has to wait for a permit that waits. As with Retry-After, what takes longer than a run waits is left.
bool hg_runner_is_shut_out(struct hg_runner *runner, struct hg_run_task *task) {
  struct hg_model_pace *pace = pace_of(runner, task);
  const int64_t wait_ms = shut_until(pace) - runner->now_ms;
  if (!pace || wait_ms <= HG_SHORT_PAUSE_MS) return false;
  if (wait_ms > LONG_WAIT_MS) tell_shut(runner, pace, wait_ms);
  if (wait_ms > HG_RETRY_AFTER_MAX_MS) {
    runner->counts.left_for_rate++;
    hg_runner_drop(runner, task, true);
  } else {
    end_to_wait(runner, task);
    runner->counts.paced_ms += (uint64_t)wait_ms;
    hg_runner_put_aside(runner, task, true);
    hg_runner_back_off(runner, task, shut_until(pace));
  }
  return true;
}

bool hg_runner_may_request(struct hg_runner *runner, struct hg_run_task *task) {
  struct hg_pace *paces[HG_PACES_MAX];
  int64_t due = runner->now_ms;
  const unsigned count = paces_of(runner, task, paces);
  for (unsigned i = 0; i < count; i += 2)
    due = later(due, hg_pace_due(paces[i], 1, runner->now_ms));
  if (due <= runner->now_ms) return true;
  begin_to_wait(runner, task);
  wake_at(runner, due);
  return false;
}

void hg_runner_take_request(struct hg_runner *runner, struct hg_run_task *task) {
  struct hg_pace *paces[HG_PACES_MAX];
  struct hg_pace_take take;
  const unsigned count = paces_of(runner, task, paces);
  for (unsigned i = 0; i < count; i += 2) {
    hg_pace_start(paces[i], 1, runner->now_ms, &take);
    hg_pace_end(paces[i], &take, 1, true, runner->now_ms);
    hg_pace_miss(paces[i], &take, runner->now_ms);
  }
  end_to_wait(runner, task);
}

// Nobody passes another that waits for the same. Its model's come first: who is kept by others of its model keeps
// nobody of another.
static int64_t turn_of(struct hg_runner *runner, struct hg_run_task *task) {
  struct hg_pace *paces[HG_PACES_MAX];
  int64_t due = runner->now_ms;
  bool behind = false;
  task->paced_tokens = tokens_of(runner, task);
  for (unsigned i = paces_of(runner, task, paces); i-- > 0;) {
    const int64_t turn = hg_pace_due(paces[i], units_of(task, i), runner->now_ms);
    behind = behind || paces[i]->holds;
    paces[i]->holds = paces[i]->holds || (turn > runner->now_ms && due <= runner->now_ms && !behind);
    due = later(due, turn);
  }
  return behind ? INT64_MAX : due;
}

static void wait_in_turn(struct hg_runner *runner, struct hg_run_task *task) {
  struct hg_pace *paces[HG_PACES_MAX];
  for (unsigned i = paces_of(runner, task, paces); i-- > 0;)
    paces[i]->queued += units_of(task, i);
  begin_to_wait(runner, task);
  task->in_turn = true;
  task->settles = false;
  task->outcome = HG_OUTCOME_RETRY;
  hg_runner_move(runner, task, HG_TASK_PAUSING);
  hg_task_list_push(&runner->turns, task);
}

void hg_runner_take_turns(struct hg_runner *runner) {
  struct hg_task_list waiting = runner->turns;
  runner->turns = (struct hg_task_list){NULL, NULL};
  runner->requests.holds = runner->tokens.holds = false;
  for (size_t i = 0; i < runner->paced_models; i++)
    runner->paces[i].requests.holds = runner->paces[i].tokens.holds = false;
  while (waiting.first && !runner->requests.holds && !runner->tokens.holds) {
    struct hg_run_task *task = hg_task_list_pop(&waiting);
    struct hg_pace *paces[HG_PACES_MAX];
    for (unsigned i = paces_of(runner, task, paces); i-- > 0;)
      paces[i]->queued -= units_of(task, i);
    hg_runner_move(runner, task, HG_TASK_WANTS_CALL);
    hg_runner_step(runner, task);
  }
  hg_task_list_append(&runner->turns, &waiting);
}

bool hg_runner_has_turn(struct hg_runner *runner, struct hg_run_task *task) {
  const bool pushed_back = hg_pushback_lasts(&runner->pushback) &&
                           runner->in_state[HG_TASK_CALLING] >= hg_pushback_allowed(&runner->pushback);
  if (pushed_back || shut_until(pace_of(runner, task)) - runner->now_ms > HG_SHORT_PAUSE_MS ||
      backlog_ms(runner, task) > TOO_LONG_WAIT_MS) {
    task->in_turn = false;
    hg_runner_release_unused(runner, task, HG_NEXT_WAIT);
    return false;
  }
  const int64_t due = turn_of(runner, task);
  if (due <= runner->now_ms) return true;
  if (due < INT64_MAX) wake_at(runner, due);
  wait_in_turn(runner, task);
  return false;
}

void hg_runner_take_turn(struct hg_runner *runner, struct hg_run_task *task) {
  struct hg_pace *paces[HG_PACES_MAX];
  for (unsigned i = paces_of(runner, task, paces); i-- > 0;)
    hg_pace_start(paces[i], units_of(task, i), runner->now_ms, &task->takes[i]);
  task->in_turn = false;
  end_to_wait(runner, task);
}

// ---------------------------------------------------------------------------------------------- what answers tell

// Nothing is left of the minute: whoever starts before it is over is refused.
static void learn(struct hg_pace *pace, int64_t configured, const struct hg_rate_limit *told,
                  const struct hg_run_task *task, const struct hg_pace_take *take, int64_t heard_ms, int64_t now_ms) {
  const bool tells = told->limit > 0 && configured == 0;
  if (tells) hg_pace_tell(pace, told->limit, told->remaining, task->sent_ms, heard_ms, now_ms);
  if (!tells || told->remaining < 0) hg_pace_miss(pace, take, now_ms);
  if (told->remaining == 0 && told->reset_ms > 0) pace->shut_ms = later(pace->shut_ms, heard_ms + told->reset_ms);
}

void hg_runner_learn_pace(struct hg_runner *runner, struct hg_run_task *task, const struct hg_http_end *end,
                          const struct hg_judgement *judgement) {
  const struct hg_llm_config *llm = runner->options.llm;
  const bool served = judgement->cost == HG_COST_USAGE;
  const int64_t now_ms = runner->now_ms;
  struct hg_pace *paces[HG_PACES_MAX];
  const unsigned count = paces_of(runner, task, paces);
  for (unsigned i = 0; i < count; i++)
    hg_pace_end(paces[i], &task->takes[i], i % 2 == 0 ? 1 : task->used_tokens, served, now_ms);
  if (count == HG_PACES_MAX) {
    const int64_t heard_ms = now_ms - end->headers_ms_ago;
    learn(paces[2], llm->requests_per_minute, &end->rates.requests, task, &task->takes[2], heard_ms, now_ms);
    learn(paces[3], llm->tokens_per_minute, &end->rates.tokens, task, &task->takes[3], heard_ms, now_ms);
  }
  if (judgement->pushed) push_back(runner, task);
  else if (judgement->served) serve(runner);
}
