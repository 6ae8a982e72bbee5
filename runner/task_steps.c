// What a task does next: ask for a permit, perhaps for a count of its input, call, write its result, close the permit.
// Each step ends in a state that waits for somebody else, or among the stalled when the other side is full.
#include "runner/task_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void stall(struct hg_runner *runner, struct hg_run_task *task) {
  hg_task_list_push(&runner->stalled, task);
}

// Errors after which the runtime can't be relied upon.
static bool is_loss(hg_err err) {
  return err == HG_ERR_STORE || err == HG_ERR_CLOSED || err == HG_ERR_SYSTEM || err == HG_ERR_FORKED ||
         err == HG_ERR_NO_MEMORY || err == HG_ERR_PROTOCOL;
}

static void lose_ledger(struct hg_runner *runner, hg_err err) {
  char text[256];
  snprintf(text, sizeof text, "the ledger is lost: %s (%s)", hg_err_text(err), hg_err_name(err));
  hg_runner_lose_ledger(runner, text);
}

// A command is under way; its completion finds the task by the ticket.
static bool expect(struct hg_runner *runner, struct hg_run_task *task, hg_ticket ticket) {
  task->ticket = ticket;
  if (hg_id_map_put(&runner->commands, ticket.id, task)) return true;
  lose_ledger(runner, HG_ERR_NO_MEMORY);
  return false;
}

// ---------------------------------------------------------------------------------------------- permits

static void refused(struct hg_runner *runner, struct hg_run_task *task, hg_err err) {
  if (err == HG_ERR_CANCELLED || err == HG_ERR_TIMEOUT || is_loss(err)) { // which come when nothing more starts
    if (is_loss(err)) lose_ledger(runner, err);
    hg_runner_drop(runner, task, true);
  } else if (err == HG_ERR_BUSY) {
    if (task->state != HG_TASK_WANTS_PERMIT) hg_runner_move(runner, task, HG_TASK_WANTS_PERMIT);
    stall(runner, task);
  } else {
    hg_runner_fail_line(runner, task, err == HG_ERR_UNKNOWN_BUDGET ? "unknown_budget" : "refused", hg_err_text(err));
  }
}

static void count(struct hg_runner *runner, struct hg_run_task *task) {
  hg_runner_move(runner, task, HG_TASK_WANTS_COUNT);
  hg_runner_step(runner, task);
}

static void count_or_leave(struct hg_runner *runner, struct hg_run_task *task, int64_t left) {
  if (hg_runner_may_fit(runner, task, left)) count(runner, task);
  else hg_runner_leave_exhausted(runner, task);
}

static void ask_for_permit(struct hg_runner *runner, struct hg_run_task *task) {
  if (runner->stop != HG_STOP_NONE) {
    hg_runner_drop(runner, task, true);
    return;
  }
  if (hg_runner_is_exhausted(runner, task)) {
    count_or_leave(runner, task, runner->exhausted_left);
    return;
  }
  if (!hg_runner_comes_back(runner, task)) return;
  if (hg_runner_is_shut_out(runner, task) || !hg_runner_has_room_for(runner, task)) return;
  char task_id[HG_TASK_ID_MAX + 1];
  hg_run_task_id(runner->options.run_name, task->custom_id, task_id);
  hg_request request = HG_REQUEST_INIT;
  request.task_id = task_id;
  request.budget = hg_runner_budget_of(runner, task);
  request.min_tokens = hg_runner_least_of(runner, task);
  request.max_tokens = task->need = hg_runner_need_of(runner, task);
  request.attempt = task->attempts + 1;
  request.first_in_line = task->attempts > 0 || task->count_over; // it had its turn
  request.no_wait = hg_runner_may_count(runner, task);
  hg_ticket ticket = {0};
  const hg_err err = runner->io.acquire(runner->io.context, &request, &ticket);
  if (err) {
    refused(runner, task, err);
  } else if (expect(runner, task, ticket)) {
    task->cancelled = false;
    hg_runner_asks(runner, task);
    if (runner->probe_until_ms == INT64_MAX) runner->probe_until_ms = runner->now_ms + HG_PROBE_MS;
    hg_runner_move(runner, task, HG_TASK_ACQUIRING);
  } else {
    hg_runner_drop(runner, task, true);
  }
}

void hg_runner_acquired(struct hg_runner *runner, struct hg_run_task *task, const hg_completion *completion) {
  hg_runner_has_asked(runner, task);
  if (completion->err == HG_ERR_BUDGET_EXHAUSTED) {
    hg_runner_note_exhausted(runner, task, completion->tokens, completion->budget);
    count_or_leave(runner, task, completion->tokens);
    return;
  }
  if (completion->err == HG_ERR_TIMEOUT && runner->stop == HG_STOP_NONE) {
    count(runner, task);
    return;
  }
  if (completion->err) {
    refused(runner, task, completion->err);
    return;
  }
  task->permit = completion->permit;
  task->granted = completion->tokens;
  if (task->granted == task->need) runner->counts.saved += hg_runner_bound_of(task) - task->need;
  hg_runner_move(runner, task, HG_TASK_WANTS_CALL);
  hg_runner_step(runner, task);
}

// ---------------------------------------------------------------------------------------------- the call

// Less was granted than the call can use: so it is sent with a lower cap.
static bool fit_body(struct hg_runner *runner, struct hg_run_task *task) {
  if (task->granted >= task->need || task->lowered.body) return true;
  struct hg_prepared counted = task->prepared;
  counted.input_bound -= task->less;
  counted.max_tokens -= task->less;
  counted.min_tokens -= task->less;
  counted.most -= hg_prepared_input_cost(&task->prepared, task->less);
  counted.least -= hg_prepared_input_cost(&task->prepared, task->less);
  return hg_output_lower(&counted, runner->options.llm, task->granted, &task->lowered) == HG_OK;
}

static void start_call(struct hg_runner *runner, struct hg_run_task *task) {
  if (runner->stop != HG_STOP_NONE) {
    hg_runner_release_unused(runner, task, HG_NEXT_LEAVE);
    return;
  }
  if (!hg_runner_has_turn(runner, task)) return;
  hg_error why = HG_ERROR_INIT;
  const struct hg_prepared *prepared = &task->prepared;
  const struct hg_lowered *lowered = &task->lowered;
  hg_err err = fit_body(runner, task) ? HG_OK : HG_ERR_NO_MEMORY;
  if (!err)
    err = runner->io.call(runner->io.context, task->path, prepared, lowered->body ? lowered->body : prepared->body,
                          lowered->body ? lowered->body_len : prepared->body_len, task, &task->call, &why);
  if (err == HG_ERR_NO_MEMORY || err == HG_ERR_BUSY) {
    stall(runner, task);
  } else if (err) {
    hg_runner_fail_line(runner, task, "invalid_request", why.text);
  } else {
    hg_runner_move(runner, task, HG_TASK_CALLING);
    task->attempts++;
    task->sent_ms = runner->now_ms;
    hg_runner_take_turn(runner, task);
    task->unserved_before = runner->unserved;
    runner->counts.calls++;
    runner->counts.capped += lowered->body != NULL;
    if (runner->counts.calls == 1) runner->probe_until_ms = runner->now_ms + HG_PROBE_MS;
  }
}

// ---------------------------------------------------------------------------------------------- the result

static void describe_result(const struct hg_runner *runner, struct hg_run_task *task) {
  task->result.custom_id = task->custom_id;
  task->result.permit = task->permit.id;
  task->result.request_id = task->request_id[0] ? task->request_id : NULL;
  task->result.error_code = task->error_code;
  task->result.error_message = task->error_code ? task->message : NULL;
  task->result.line_number = task->error_code ? task->line_number : 0;
  // So that a later run, which knows neither the request nor the events of a stream, can settle what this one did not.
  task->result.has_cost = task->settles;
  task->result.estimated = task->found.report.source == HG_SOURCE_ESTIMATED;
  task->result.unit = runner->options.unit;
  task->result.cost = task->found.report.tokens;
}

static hg_err add_result(struct hg_runner *runner, struct hg_run_task *task) {
  hg_error why = HG_ERROR_INIT;
  const struct hg_runner_io *io = &runner->io;
  hg_err err = io->finish(io->context, task->id_hash, task->success, &task->result, &why);
  if (err == HG_ERR_BUSY && runner->sync_failing_since_ms < 0 && hg_runner_sync(runner))
    err = io->finish(io->context, task->id_hash, task->success, &task->result, &why);
  return err;
}

static void write_result(struct hg_runner *runner, struct hg_run_task *task) {
  describe_result(runner, task);
  const hg_err err = add_result(runner, task);
  if (err == HG_ERR_BUSY || err == HG_ERR_NO_MEMORY) {
    stall(runner, task);
    return;
  }
  if (err) { // the batch does not know the line: there is nothing to write, but the call was made and is paid for
    runner->io.note(runner->io.context, "a result has no line in the batch any more; it is not written");
    task->success = false;
  }
  free(task->answer);
  task->answer = NULL;
  hg_runner_move(runner, task, HG_TASK_WRITTEN);
  hg_task_list_push(&runner->written, task);
  runner->unsynced = true;
}

void hg_runner_write(struct hg_runner *runner, struct hg_run_task *task) {
  hg_runner_move(runner, task, HG_TASK_WANTS_WRITE);
  hg_runner_step(runner, task);
  if (task->state != HG_TASK_WANTS_WRITE || task->answer || task->result.body_len == 0) return;
  task->answer = malloc(task->result.body_len); // the caller's body goes away
  if (!task->answer) {
    task->result.body_len = 0;
    hg_runner_lose_results(runner, "there is no memory to keep an answer that can't be written yet");
    return;
  }
  memcpy(task->answer, task->result.body, task->result.body_len);
  task->result.body = task->answer;
}

void hg_runner_fail_line(struct hg_runner *runner, struct hg_run_task *task, const char *code, const char *message) {
  task->success = false;
  task->result = (struct hg_result){.status = 0};
  task->error_code = code;
  hg_copy_text(task->message, sizeof task->message, message);
  hg_copy_text(task->reason, sizeof task->reason, code);
  task->settles = false;
  task->outcome = HG_OUTCOME_FAILED;
  hg_runner_write(runner, task);
}

// ---------------------------------------------------------------------------------------------- closing the permit

// Under an id of the permit, so that it counts once however often it is sent.
static hg_err record(struct hg_runner *runner, struct hg_run_task *task, hg_ticket *ticket) {
  char task_id[HG_TASK_ID_MAX + 1], usage_id[32];
  hg_run_task_id(runner->options.run_name, task->custom_id, task_id);
  snprintf(usage_id, sizeof usage_id, "permit-%016llx", (unsigned long long)task->permit.id);
  hg_usage_report used = task->found.report;
  used.task_id = task_id;
  used.budget = hg_runner_budget_of(runner, task);
  used.usage_id = usage_id;
  return runner->io.record(runner->io.context, &used, ticket);
}

static hg_err end_permit(struct hg_runner *runner, struct hg_run_task *task, hg_ticket *ticket) {
  const struct hg_runner_io *io = &runner->io;
  const char *reason = task->reason[0] ? task->reason : NULL;
  if (!task->settles) return io->release(io->context, task->permit, task->outcome, reason, ticket);
  task->found.report.outcome = task->outcome;
  task->found.report.reason = reason;
  return io->settle(io->context, task->permit, &task->found.report, ticket);
}

static void close_permit(struct hg_runner *runner, struct hg_run_task *task) {
  if (runner->ledger_lost) {
    hg_runner_drop(runner, task, task->after != HG_NEXT_GONE);
    return;
  }
  hg_ticket ticket = {0};
  const hg_err err = task->records ? record(runner, task, &ticket) : end_permit(runner, task, &ticket);
  if (err == HG_ERR_BUSY) {
    stall(runner, task);
    return;
  }
  hg_runner_move(runner, task, HG_TASK_CLOSING);
  if (err) hg_runner_closed(runner, task, err);
  else if (!expect(runner, task, ticket)) hg_runner_drop(runner, task, task->after != HG_NEXT_GONE);
}

void hg_runner_close_permit(struct hg_runner *runner, struct hg_run_task *task, enum hg_task_next after) {
  task->after = after;
  hg_runner_move(runner, task, HG_TASK_WANTS_CLOSE);
  hg_runner_step(runner, task);
}

void hg_runner_release_unused(struct hg_runner *runner, struct hg_run_task *task, enum hg_task_next after) {
  task->settles = false;
  task->outcome = HG_OUTCOME_RETRY;
  task->reason[0] = '\0';
  hg_runner_close_permit(runner, task, after);
}

void hg_runner_back_off(struct hg_runner *runner, struct hg_run_task *task, int64_t due_ms) {
  task->due_ms = due_ms;
  hg_runner_move(runner, task, HG_TASK_BACKING_OFF);
  hg_task_heap_push(&runner->timers, task);
}

static void go_on(struct hg_runner *runner, struct hg_run_task *task) {
  task->permit.id = 0;
  task->granted = 0;
  task->records = false;
  free(task->lowered.body);
  task->lowered.body = NULL;
  const bool ends = task->after == HG_NEXT_GONE || task->after == HG_NEXT_LEAVE;
  if (ends || runner->stop != HG_STOP_NONE) {
    hg_runner_drop(runner, task, task->after != HG_NEXT_GONE);
  } else if (task->after == HG_NEXT_WAIT) {
    hg_runner_move(runner, task, HG_TASK_WANTS_PERMIT);
    hg_runner_step(runner, task);
  } else if (task->after == HG_NEXT_HOLD) {
    hg_runner_hold(runner, task);
  } else if (task->after == HG_NEXT_PARK && !runner->admitted) {
    hg_runner_move(runner, task, HG_TASK_PARKED);
    hg_task_list_push(&runner->parked, task);
  } else {
    hg_runner_back_off(runner, task, runner->now_ms + task->pause_ms);
  }
}

static void count_used(struct hg_runner_counts *counts, const struct hg_run_task *task) {
  const hg_usage_report *used = &task->found.report;
  counts->tokens += used->tokens;
  if (task->records) counts->recorded_tokens += used->tokens;
  if (used->input_tokens > 0) counts->input_tokens += used->input_tokens;
  if (used->output_tokens > 0) counts->output_tokens += used->output_tokens;
}

static void note_unsettled(struct hg_runner *runner, const struct hg_run_task *task, hg_err err) {
  if (runner->counts.unsettled++ > 0) return; // the summary has their number
  char note[256];
  snprintf(note, sizeof note, "permit %016llx could not be settled: %s; see the summary for all such calls",
           (unsigned long long)task->permit.id, hg_err_text(err));
  runner->io.note(runner->io.context, note);
}

// What others said of the call is not known here: to count its usage beside that may count it twice, but never too
// little. A permit that is still open keeps its reservation, and is an orphan when the run ends.
static void not_closed(struct hg_runner *runner, struct hg_run_task *task, hg_err err) {
  const bool gone = err == HG_ERR_CONFLICT || err == HG_ERR_UNKNOWN_PERMIT;
  if (!task->records) note_unsettled(runner, task, err);
  if (task->settles && gone && !task->records) {
    task->records = true;
    hg_runner_close_permit(runner, task, task->after);
    return;
  }
  if (task->settles) runner->counts.uncounted_tokens += task->found.report.tokens;
  go_on(runner, task);
}

void hg_runner_closed(struct hg_runner *runner, struct hg_run_task *task, hg_err err) {
  if (err == HG_OK) {
    if (task->settles) count_used(&runner->counts, task);
    go_on(runner, task);
  } else if (is_loss(err)) {
    lose_ledger(runner, err);
    hg_runner_drop(runner, task, task->after != HG_NEXT_GONE);
  } else if (err == HG_ERR_BUSY) {
    hg_runner_move(runner, task, HG_TASK_WANTS_CLOSE);
    stall(runner, task);
  } else {
    not_closed(runner, task, err);
  }
}

// ---------------------------------------------------------------------------------------------- one step

void hg_runner_step(struct hg_runner *runner, struct hg_run_task *task) {
  switch (task->state) {
  case HG_TASK_WANTS_PERMIT: ask_for_permit(runner, task); break;
  case HG_TASK_WANTS_COUNT: hg_runner_ask_for_count(runner, task); break;
  case HG_TASK_WANTS_CALL: start_call(runner, task); break;
  case HG_TASK_WANTS_WRITE: write_result(runner, task); break;
  case HG_TASK_WANTS_CLOSE: close_permit(runner, task); break;
  case HG_TASK_ACQUIRING:
  case HG_TASK_COUNTING:
  case HG_TASK_CALLING:
  case HG_TASK_WRITTEN:
  case HG_TASK_CLOSING:
  case HG_TASK_PAUSING:
  case HG_TASK_BACKING_OFF:
  case HG_TASK_PARKED:
  case HG_TASK_HELD:
  case HG_TASK_GONE:
  case HG_TASK_STATE_COUNT: assert(0 && "a task that waits has no step"); break;
  }
}
