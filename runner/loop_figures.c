// Follows a run for its progress line and summary: events of the throttle, figures of budget and queue.
#include "runner/loop_private.h"

#include "client/client.h"
#include "base/fail.h"
#include "schemas/message.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RATE_EVERY_MS 1000
#define LINES_EVERY_MS 1000 // at the latest; or when one in a hundred has ended

static int64_t utc_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

hg_err hg_loop_watch(struct hg_loop *loop, hg_error *why) {
  static const char *const topics[] = {
      "CONCURRENCY_THROTTLED", "CONCURRENCY_RESTORED", "BUDGET_OVERRUN", "STORE_DEGRADED",
      "STORE_RECOVERED",       "AUDIT_DONE",           "HEARTBEAT"};
  hg_filter filter = HG_FILTER_INIT;
  filter.topics = topics;
  filter.topic_count = sizeof topics / sizeof *topics;
  hg_err err = hg_subscribe(loop->options.runtime, &filter, &loop->events);
  hg_usage usage = HG_USAGE_INIT;
  hg_queue queue = HG_QUEUE_INIT;
  if (!err) err = hg_get_usage(loop->options.client, loop->options.runner.budget, &usage, 10000);
  if (!err) err = hg_get_queue(loop->options.client, &queue, 10000);
  if (err) return hg_fail(why, err, "the runtime does not answer: %s", hg_err_text(err));
  loop->figures.usage = usage;
  loop->figures.queue = queue;
  if (usage.throttled) {
    loop->closed = loop->figures.throttles = 1;
    loop->closed_at_us = utc_us();
  }
  return HG_OK;
}

static void opened(struct hg_loop *loop, int64_t at_us) {
  if (loop->closed == 0 || --loop->closed > 0) return;
  loop->figures.throttled_us += at_us - loop->closed_at_us;
}

void hg_loop_take_events(struct hg_loop *loop) {
  hg_event event = HG_EVENT_INIT;
  while (hg_next_event(loop->events, &event, 0) == HG_OK) {
    if (strcmp(event.type, "BUDGET_OVERRUN") == 0) {
      loop->figures.overruns++;
    } else if (strcmp(event.type, "CONCURRENCY_RESTORED") == 0) {
      opened(loop, event.at);
    } else if (strcmp(event.type, "CONCURRENCY_THROTTLED") == 0) {
      loop->figures.throttles++;
      if (loop->closed++ == 0) loop->closed_at_us = event.at;
    } else {
      hg_loop_take_store_event(loop, &event);
    }
  }
}

void hg_loop_close_figures(struct hg_loop *loop) {
  hg_loop_take_events(loop);
  while (loop->closed > 0)
    opened(loop, utc_us());
}

void hg_loop_ask(struct hg_loop *loop, int timeout_ms) {
  hg_usage usage = HG_USAGE_INIT;
  hg_queue queue = HG_QUEUE_INIT;
  if (hg_get_usage(loop->options.client, loop->options.runner.budget, &usage, timeout_ms) == HG_OK)
    loop->figures.usage = usage;
  if (hg_get_queue(loop->options.client, &queue, timeout_ms) == HG_OK) loop->figures.queue = queue;
}

void hg_loop_count(struct hg_loop *loop) {
  struct hg_run_figures *figures = &loop->figures;
  hg_runner_count(loop->runner, &figures->run);
  hg_batch_count(loop->options.batch, &figures->batch);
  figures->elapsed_ms = loop->now_ms - loop->started_ms;
  const int64_t since = loop->now_ms - loop->rate_at_ms;
  if (since < RATE_EVERY_MS) return;
  figures->tokens_per_second = (figures->run.tokens - loop->rate_tokens) * 1000 / since;
  loop->rate_tokens = figures->run.tokens;
  loop->rate_at_ms = loop->now_ms;
}

// What could not be told is told the next time.
void hg_loop_tell_savings(struct hg_loop *loop) {
  const struct hg_runner_counts *run = &loop->figures.run;
  if (loop->ledger_lost || (run->saved == loop->saved_told && run->overran == loop->overran_told)) return;
  if (hg_client_tell_savings(loop->options.client, run->saved - loop->saved_told, run->overran - loop->overran_told))
    return;
  loop->saved_told = run->saved;
  loop->overran_told = run->overran;
}

// ------------------------------------------------------------------------------------------------ lines that are left

// Lines that are not read yet and will run, as far as the start counted them.
static uint64_t unread_lines(const struct hg_loop *loop) {
  const struct hg_run_figures *figures = &loop->figures;
  struct hg_batch_counts batch;
  const char *text;
  hg_batch_count(loop->options.batch, &batch);
  if (hg_runner_stopped(loop->runner, &text) != HG_STOP_NONE || figures->run.input_ended) return 0;
  const uint64_t unread = figures->lines > batch.lines ? figures->lines - batch.lines : 0;
  const uint64_t done = batch.results > batch.done_before ? batch.results - batch.done_before : 0;
  return unread > done ? unread - done : 0;
}

// What could not be told is told the next time.
static void tell_of(struct hg_loop *loop, uint32_t place, const char *budget, uint64_t lines, bool again) {
  uint64_t *told = &loop->lines_told[place];
  const uint64_t change = lines > *told ? lines - *told : *told - lines;
  if (again ? lines == 0 && *told == 0 : change == 0 || change < *told / 100) return;
  if (hg_client_tell_lines(loop->options.client, budget, lines, lines ? loop->figures.run.allowed : 0) == HG_OK)
    *told = lines;
}

// Which budgets unread lines name nobody knows: taken to be as those before them.
void hg_loop_tell_lines(struct hg_loop *loop) {
  uint32_t count;
  uint64_t taken = 0;
  const struct hg_line_budget *places = hg_runner_line_budgets(loop->runner, &count);
  const bool again = loop->now_ms - loop->lines_told_at_ms >= LINES_EVERY_MS;
  if (loop->ledger_lost) return;
  if (again) loop->lines_told_at_ms = loop->now_ms;
  for (uint32_t i = 0; i < count; i++)
    taken += places[i].taken;
  const double unread = (double)unread_lines(loop);
  for (uint32_t i = 0; i < count && taken > 0; i++) {
    const double share = unread * (double)places[i].taken / (double)taken;
    tell_of(loop, i, places[i].budget, places[i].open + (uint64_t)share, again);
  }
}

void hg_loop_forget_lines(struct hg_loop *loop) {
  uint32_t count;
  const struct hg_line_budget *places = hg_runner_line_budgets(loop->runner, &count);
  for (uint32_t i = 0; i < count && !loop->ledger_lost; i++)
    tell_of(loop, i, places[i].budget, 0, false);
}
