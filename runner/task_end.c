// What the end of a call means for its task: a result, another try, or the end of the run.
#include "runner/figures.h"
#include "runner/task_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELD_ANSWER_MAX ((size_t)64 * 1024) // what says more is written at once

// ---------------------------------------------------------------------------------------------- the cost

static int64_t output_max_of(const struct hg_run_task *task) {
  return task->lowered.body ? task->lowered.output_max : task->prepared.max_tokens - task->prepared.input_bound;
}

// More output than the body allowed, or more in all than the body can mean, however little was reserved for it.
static bool is_over_cap(const struct hg_run_task *task) {
  const struct hg_prepared *prepared = &task->prepared;
  const int64_t output_max = output_max_of(task);
  if (prepared->output_cap > 0 && task->found.report.output_tokens > output_max) return true;
  return !prepared->unbounded && task->used_tokens > prepared->input_bound + output_max;
}

static bool costs_too_much(const struct hg_run_task *task) {
  const struct hg_prepared *prepared = &task->prepared;
  int64_t most;
  return prepared->price && !prepared->unbounded &&
         hg_price_bound(prepared->price, prepared->input_bound, output_max_of(task), &most) &&
         task->found.report.tokens > most;
}

static void ignore_of_cap(struct hg_runner *runner, struct hg_run_task *task) {
  hg_copy_text(task->reason, sizeof task->reason, "cap_ignored");
  runner->counts.cap_ignored++;
  char name[81];
  hg_copy_text(name, sizeof name, task->custom_id);
  hg_runner_stop(
      runner, HG_STOP_CAP,
      "the answer to \"%s\" used %s of %s reserved: the provider does not obey the output cap, so the limit can't be "
      "promised",
      name, hg_figure_tokens(runner->options.unit, task->found.report.tokens).text,
      hg_figure_amount(runner->options.unit, task->granted).text);
}

// What a call that was cut down used says nothing about the others.
static void learn(struct hg_runner *runner, const struct hg_run_task *task) {
  const int64_t used = task->found.report.tokens;
  if (runner->options.learned && !task->lowered.body)
    hg_learned_add(runner->options.learned, task->prepared.model, task->prepared.most, used);
  runner->counts.overran += used > task->granted && (runner->options.learned || task->less > 0);
}

// Of a total that does not say what its parts are it is known what it costs at least; what the body can't mean is taken
// for the dearest.
static int64_t price_total(const struct hg_run_task *task) {
  const struct hg_price *price = task->prepared.price;
  return is_over_cap(task) ? hg_price_most(price, task->used_tokens) : hg_price_least(price, task->used_tokens);
}

// The usage in the unit of the ledger. What can't be priced by its parts costs the reservation, and not less than is
// known.
static enum hg_cost price(const struct hg_runner *runner, struct hg_run_task *task, enum hg_cost cost) {
  hg_usage_report *used = &task->found.report;
  const struct hg_price *of_model = task->prepared.price;
  task->used_tokens = cost == HG_COST_NOTHING ? 0 : cost == HG_COST_USAGE ? used->tokens : task->paced_tokens;
  used->unit = runner->options.unit;
  if (cost != HG_COST_USAGE) used->tokens = 0;
  if (cost != HG_COST_USAGE || !of_model) return cost;
  if (hg_price_usage_of(of_model, used, &used->tokens) == HG_OK) return cost;
  used->tokens = price_total(task);
  return HG_COST_WHOLE;
}

static void charge(struct hg_runner *runner, struct hg_run_task *task, const struct hg_judgement *judgement) {
  hg_usage_report *used = &task->found.report;
  const enum hg_cost cost = price(runner, task, judgement->cost);
  used->attempt = task->attempts;
  task->settles = cost != HG_COST_NOTHING;
  task->reason[0] = '\0';
  if (cost == HG_COST_WHOLE) {
    if (used->tokens < task->granted) used->tokens = task->granted;
    used->source = HG_SOURCE_ESTIMATED;
    runner->counts.estimated++;
  }
  const bool over = judgement->cost == HG_COST_USAGE && is_over_cap(task);
  if (over || (cost == HG_COST_USAGE && costs_too_much(task))) ignore_of_cap(runner, task);
  else if (cost == HG_COST_USAGE) learn(runner, task);
}

// ---------------------------------------------------------------------------------------------- results

static void name_failure(struct hg_run_task *task, const struct hg_http_end *end,
                         const struct hg_judgement *judgement) {
  const bool http = end->kind == HG_HTTP_ANSWERED && end->status >= 300 && !judgement->unknown && !judgement->later;
  task->error_code = http ? NULL : judgement->code;
  hg_copy_text(task->message, sizeof task->message, judgement->message);
  if (http) snprintf(task->reason, sizeof task->reason, "http_%ld", end->status);
  else hg_copy_text(task->reason, sizeof task->reason, judgement->code);
}

// The result that the task has when this is its last end; the body is the caller's.
static void describe(struct hg_run_task *task, const struct hg_http_end *end, const struct hg_judgement *judgement) {
  const bool answered = end->kind == HG_HTTP_ANSWERED;
  task->success = judgement->success;
  task->outcome = judgement->success ? HG_OUTCOME_DONE : HG_OUTCOME_FAILED;
  task->error_code = NULL;
  if (!judgement->success) name_failure(task, end, judgement);
  memcpy(task->request_id, end->request_id, sizeof task->request_id);
  task->result = (struct hg_result){.status = answered ? end->status : 0,
                                    .body = answered ? end->body : NULL,
                                    .body_len = answered ? end->body_len : 0,
                                    .body_is_json = judgement->success};
}

static void retry(struct hg_runner *runner, struct hg_run_task *task, const struct hg_http_end *end) {
  task->outcome = HG_OUTCOME_RETRY;
  task->pause_ms = hg_backoff_ms(task->attempts, end->retry_after_ms, runner->io.random(runner->io.context));
  runner->counts.retries++;
  if (task->settles || task->pause_ms > HG_SHORT_PAUSE_MS) {
    hg_runner_close_permit(runner, task, HG_NEXT_RETRY);
    return;
  }
  task->due_ms = runner->now_ms + task->pause_ms;
  hg_runner_move(runner, task, HG_TASK_PAUSING);
  hg_task_heap_push(&runner->timers, task);
}

// ---------------------------------------------------------------------------------------------- being let in

void hg_runner_let_in(struct hg_runner *runner) {
  if (runner->admitted) return;
  runner->admitted = true;
  runner->turned_away = 0;
  for (struct hg_run_task *task; (task = hg_task_list_pop(&runner->parked)) != NULL;) {
    hg_runner_move(runner, task, HG_TASK_WANTS_PERMIT);
    hg_runner_step(runner, task);
  }
}

static long refused_status(const struct hg_http_end *end) {
  switch (end->kind) {
  case HG_HTTP_ANSWERED: return end->status;
  case HG_HTTP_BROKEN:
  case HG_HTTP_TOO_LARGE:
  case HG_HTTP_UNREADABLE: return HG_REFUSED_UNREADABLE;
  case HG_HTTP_NO_CONNECTION:
  case HG_HTTP_TIMED_OUT:
  case HG_HTTP_CUT: break;
  }
  return 0;
}

static void remember_refusal(struct hg_runner *runner, const struct hg_run_task *task, const struct hg_http_end *end,
                             const struct hg_judgement *judgement) {
  runner->counts.refused_endpoint = task->prepared.endpoint;
  snprintf(runner->turned_away_text, sizeof runner->turned_away_text, "%s%s%s", judgement->message,
           judgement->said[0] ? ": " : "", judgement->said);
  runner->counts.refused_status = refused_status(end);
  runner->counts.out_of_quota = end->status == 402 || strcmp(judgement->code, "insufficient_quota") == 0;
}

// Until somebody was let in, a refusal of the key, the model or the route says nothing about the line: it is held back.
// An empty account ends the run at any time, since every further call would be refused.
static bool turned_away(struct hg_runner *runner, struct hg_run_task *task, const struct hg_http_end *end,
                        const struct hg_judgement *judgement) {
  const bool unreachable =
      end->kind == HG_HTTP_NO_CONNECTION && !hg_may_retry(&runner->limits, judgement, task->attempts, task->unknown);
  const bool quota = judgement->access && strcmp(judgement->code, "insufficient_quota") == 0;
  if (!quota && (runner->admitted || !(judgement->access || unreachable))) return false;
  if (runner->turned_away++ == 0) remember_refusal(runner, task, end, judgement);
  if (runner->admitted) hg_runner_stop(runner, HG_STOP_ACCESS, "%s", runner->turned_away_text);
  task->outcome = HG_OUTCOME_RETRY;
  task->pause_ms = 0;
  hg_runner_close_permit(runner, task, HG_NEXT_PARK);
  return true;
}

// ---------------------------------------------------------------------------------------------- being served

static void forget_request(struct hg_runner *runner, struct hg_run_task *task) {
  runner->bodies -= task->prepared.body_len;
  hg_prepared_clear(&task->prepared);
}

static bool keep_answer(struct hg_run_task *task, const struct hg_http_end *end) {
  const size_t len = task->result.body_len;
  if (len == 0) return true;
  assert(end->body);
  if (len > HELD_ANSWER_MAX) return false;
  task->answer = malloc(len);
  if (task->answer) task->result.body = memcpy(task->answer, end->body, len);
  return task->answer != NULL;
}

// Whether the line or the provider is to blame is told by what becomes of the calls that are sent from now on. The
// permit is closed in the meantime: a line that waits for others must not keep the slot that they need.
static void end_unserved(struct hg_runner *runner, struct hg_run_task *task, const struct hg_http_end *end,
                         const struct hg_judgement *judgement) {
  runner->unserved_row++;
  task->unserved = ++runner->unserved;
  remember_refusal(runner, task, end, judgement);
  describe(task, end, judgement);
  if (keep_answer(task, end)) {
    forget_request(runner, task);
    hg_runner_close_permit(runner, task, HG_NEXT_HOLD);
  } else {
    hg_runner_write(runner, task);
  }
}

void hg_runner_hold(struct hg_runner *runner, struct hg_run_task *task) {
  hg_runner_move(runner, task, HG_TASK_HELD);
  hg_task_list_push(&runner->held, task);
  if (task->unserved <= runner->cleared) hg_runner_write_held(runner, runner->cleared);
}

void hg_runner_write_held(struct hg_runner *runner, uint64_t last) {
  struct hg_task_list held = runner->held;
  runner->held = (struct hg_task_list){NULL, NULL};
  for (struct hg_run_task *task; (task = hg_task_list_pop(&held)) != NULL;) {
    if (task->unserved <= last) hg_runner_write(runner, task);
    else hg_task_list_push(&runner->held, task);
  }
}

// A call that had been sent before a refusal came proves nothing about it: it was only slower.
static void note_served(struct hg_runner *runner, const struct hg_run_task *task) {
  runner->unserved_row = 0;
  runner->counts.served_before = true;
  if (task->unserved_before <= runner->cleared) return;
  runner->cleared = task->unserved_before;
  hg_runner_write_held(runner, runner->cleared);
}

// ---------------------------------------------------------------------------------------------- the end

static void go_by(struct hg_runner *runner, struct hg_run_task *task, const struct hg_http_end *end,
                  const struct hg_judgement *judgement) {
  task->unknown += judgement->unknown;
  charge(runner, task, judgement);
  hg_runner_learn_pace(runner, task, end, judgement);
  if (end->kind == HG_HTTP_ANSWERED && !judgement->access) hg_runner_let_in(runner);
  if (judgement->served) note_served(runner, task);

  const bool again = hg_may_retry(&runner->limits, judgement, task->attempts, task->unknown);
  if (judgement->success) {
    describe(task, end, judgement);
    hg_runner_write(runner, task);
  } else if (turned_away(runner, task, end, judgement)) {
    return;
  } else if (end->kind == HG_HTTP_CUT || (again && runner->stop != HG_STOP_NONE)) {
    task->outcome = HG_OUTCOME_RETRY;
    hg_runner_close_permit(runner, task, HG_NEXT_LEAVE);
  } else if (again) {
    retry(runner, task, end);
  } else if (judgement->unserved) {
    end_unserved(runner, task, end, judgement);
  } else {
    describe(task, end, judgement);
    hg_runner_write(runner, task);
  }
}

// Whatever is told of a failed call (a sentence, a line of the errors file) is taken from its answer, and a provider
// may repeat the key in it. The copy, if one was needed, is the caller's to free.
static char *cover(struct hg_runner *runner, struct hg_run_task *task, struct hg_http_end *end,
                   struct hg_judgement *judgement) {
  char *hidden = NULL;
  if (runner->io.hide_keys(runner->io.context, end->body, end->body_len, &hidden) != HG_OK) {
    end->body = NULL;
    end->body_len = 0;
    hg_copy_text(judgement->message, sizeof judgement->message, "no memory for what the provider says");
    judgement->said[0] = '\0';
  } else if (hidden) {
    end->body = hidden;
    hg_judge(end, task->prepared.endpoint, &task->found, judgement); // its texts quote the answer
  }
  return hidden;
}

// A result is the provider's, byte for byte; that of a stream is made of its events.
void hg_runner_end(struct hg_runner *runner, struct hg_run_task *task, const struct hg_http_end *end) {
  struct hg_judgement judgement;
  hg_judge(end, task->prepared.endpoint, &task->found, &judgement);
  struct hg_http_end shown = *end;
  const bool tells = end->kind == HG_HTTP_ANSWERED && !judgement.success && end->body_len > 0;
  char *hidden = tells ? cover(runner, task, &shown, &judgement) : NULL;
  go_by(runner, task, &shown, &judgement);
  free(hidden);
}
