// links: program
// The live line and the summary of a run.
#include "runner/progress.h"
#include "runner/summary.h"
#include "support/test.h"

#include <jansson.h>

static struct hg_run_figures half_way(void) {
  struct hg_run_figures figures = {.lines = 1200, .elapsed_ms = 60000, .tokens_per_second = 1234};
  figures.run = (struct hg_runner_counts){.done = 590, .failed = 3, .running = 1, .waiting = 20};
  figures.batch = (struct hg_batch_counts){.lines = 620, .done_before = 10};
  figures.usage = (hg_usage)HG_USAGE_INIT;
  strcpy(figures.usage.budget, "default");
  figures.usage.used = 300000;
  figures.usage.reserved = 604000;
  figures.usage.hard_limit = 1000000;
  figures.usage.remaining = 700000;
  figures.usage.available = 96000;
  figures.usage.usage_percent_hundredths = 3000;
  figures.usage.throttle_percent = 90;
  figures.queue = (hg_queue)HG_QUEUE_INIT;
  figures.queue.max_concurrency = figures.queue.effective_concurrency = 4;
  figures.queue.running = 1;
  return figures;
}

static void let_wait(struct hg_run_figures *figures) {
  figures->queue.waiting = 3;
  figures->queue.needed = 104112;
  strcpy(figures->queue.waits_for, "default");
}

static const char *line_of(const struct hg_run_figures *figures, unsigned columns, bool utf8) {
  static char line[HG_PROGRESS_MAX];
  hg_progress_line(figures, columns, utf8, line);
  CHECK(hg_text_columns(line) <= columns);
  return line;
}

TEST(progress, says_what_it_waits_for) {
  struct hg_run_figures figures = half_way();
  let_wait(&figures);
  CHECK(strstr(line_of(&figures, 200, true), "running 1/4 · 3 wait for budget (104,112 each, 96,000 free)") != NULL);
  strcpy(figures.queue.waits_for, "research"); // another budget than the one whose figures are shown
  CHECK(strstr(line_of(&figures, 200, true), "3 wait for research (104,112 each) ·") != NULL);
  figures.queue.throttled = true;
  CHECK(strstr(line_of(&figures, 200, true), "3 wait for the throttle (30.00 % used)") != NULL);
  figures.queue.waits_for[0] = '\0'; // they wait for a slot, as always
  CHECK(strstr(line_of(&figures, 200, true), "wait") == NULL);
  figures.run.pausing = 2;
  CHECK(strstr(line_of(&figures, 200, true), "2 pause before another try") != NULL);
}

TEST(progress, whole_line) {
  const struct hg_run_figures figures = half_way();
  CHECK_STR(line_of(&figures, 200, true), "600/1,200 done · 3 failed · running 1/4 · ██████▒▒▒▒▒▒▒▒▒▒▒▒│░░ "
                                          "30.00 % of 1,000,000 · 1,234 tokens/s · 1:00 left");
  CHECK_STR(line_of(&figures, 200, false), "600/1,200 done - 3 failed - running 1/4 - ######++++++++++++|.. "
                                           "30.00 % of 1,000,000 - 1,234 tokens/s - 1:00 left");
}

TEST(progress, what_is_zero_is_not_shown) {
  struct hg_run_figures figures = half_way();
  figures.run.failed = 0;
  figures.batch.bad = figures.batch.duplicates = 0;
  figures.queue.waiting = figures.run.pausing = 0;
  figures.tokens_per_second = 0;
  strcpy(figures.queue.waits_for, "default");
  const char *line = line_of(&figures, 200, false);
  CHECK(strstr(line, "fail") == NULL && strstr(line, "wait") == NULL && strstr(line, "tokens/s") == NULL);
  CHECK(strstr(line, " - running 1/4 - ######") != NULL);
}

TEST(progress, fits_any_width) {
  struct hg_run_figures figures = half_way();
  let_wait(&figures);
  for (unsigned columns = 0; columns <= 300; columns++) {
    CHECK(hg_text_columns(line_of(&figures, columns, true)) <= columns);
    const char *ascii = line_of(&figures, columns, false);
    CHECK_EQ(strlen(ascii), hg_text_columns(ascii));
  }
  CHECK_STR(line_of(&figures, 80, true), // more important than the bar
            "600/1,200 done · running 1/4 · 3 wait for budget (104,112 each, 96,000 free)");
  figures.queue.waiting = 0;
  CHECK_STR(line_of(&figures, 40, true), "600/1,200 done · running 1/4 · 30.00 %");
  CHECK_STR(line_of(&figures, 30, true), "600/1,200 done · running 1/4");
  CHECK_STR(line_of(&figures, 3, true), "600");
}

static const char *forecast_of(struct hg_run_figures figures, int64_t task_tokens, bool throttled) {
  figures.usage.task_tokens = task_tokens;
  figures.usage.throttled = throttled;
  figures.usage.threshold_in_ms = 12 * 60000 + 20000;
  figures.usage.limit_in_ms = 40 * 60000;
  return line_of(&figures, 200, true);
}

// 597 lines are left, 700,000 tokens, and 600,000 before the throttle closes.
TEST(progress, tells_of_a_queue_that_will_not_fit) {
  struct hg_run_figures figures = half_way();
  const char *line = forecast_of(figures, 1000, false);
  CHECK(strstr(line, "fit") == NULL && strstr(line, "in ~") == NULL); // all of them fit below the throttle
  CHECK(strstr(forecast_of(figures, 1100, false), "30.00 % of 1,000,000 · throttle in ~12 min · 1,234 tokens/s") !=
        NULL);
  CHECK(strstr(forecast_of(figures, 1100, true), "in ~") == NULL); // it is closed, and the rest fits
  CHECK(strstr(forecast_of(figures, 1500, false), " · throttle in ~12 min, ~466 more fit · ") != NULL);
  CHECK(strstr(forecast_of(figures, 1500, true), " · limit in ~40 min, ~466 more fit · ") != NULL);
  figures.usage.throttle_percent = 100;
  CHECK(strstr(forecast_of(figures, 1500, false), " · limit in ~40 min, ~466 more fit · ") != NULL);
  CHECK(strstr(forecast_of(figures, 1100, false), "in ~") == NULL);
  figures.usage.remaining = -5;
  CHECK(strstr(forecast_of(figures, 1500, false), "~0 more fit") != NULL);
  CHECK(strstr(forecast_of(figures, 0, false), "fit") == NULL); // nothing to judge by
  figures.lines = 0;                                            // nor here: a pipe
  CHECK(strstr(forecast_of(figures, 1500, false), "fit") == NULL);
}

TEST(progress, no_rate_no_moment) {
  struct hg_run_figures figures = half_way();
  figures.usage.task_tokens = 1500;
  figures.usage.threshold_in_ms = figures.usage.limit_in_ms = HG_UNKNOWN;
  CHECK(strstr(line_of(&figures, 200, true), "1,000,000 · ~466 more fit · 1,234") != NULL);
}

TEST(progress, about) {
  CHECK_STR(hg_figure_about(1).text, "10 s");
  CHECK_STR(hg_figure_about(36000).text, "40 s");
  CHECK_STR(hg_figure_about(89000).text, "90 s");
  CHECK_STR(hg_figure_about(90000).text, "2 min");
  CHECK_STR(hg_figure_about(89 * 60000).text, "89 min");
  CHECK_STR(hg_figure_about(90 * 60000).text, "2 h");
  CHECK_STR(hg_figure_about(47 * 3600000).text, "47 h");
  CHECK_STR(hg_figure_about(INT64_C(48) * 3600000).text, "2 days");
  CHECK_STR(hg_figure_about(INT64_MAX).text, "106751991167 days");
}

TEST(progress, no_time_left_before_it_can_be_judged) {
  struct hg_run_figures figures = half_way();
  figures.elapsed_ms = 999;
  CHECK(strstr(line_of(&figures, 200, true), "left") == NULL);
  figures = half_way();
  figures.run.done = figures.run.failed = 1;
  CHECK(strstr(line_of(&figures, 200, true), "left") == NULL);
  figures = half_way();
  figures.lines = figures.batch.lines = 603;
  CHECK(strstr(line_of(&figures, 200, true), "left") == NULL);
  figures.lines = 0; // a pipe: nobody knows
  CHECK(strstr(line_of(&figures, 200, true), "left") == NULL);
  CHECK(strncmp(line_of(&figures, 200, true), "600 done · ", strlen("600 done · ")) == 0);
}

static const char *bar_of(int64_t used, int64_t reserved, int64_t limit, uint32_t mark) {
  static char text[256];
  hg_usage usage = HG_USAGE_INIT;
  usage.used = used;
  usage.reserved = reserved;
  usage.hard_limit = limit;
  usage.throttle_percent = mark;
  struct hg_text_line line = {text, 0, sizeof text};
  text[0] = '\0';
  hg_progress_bar(&usage, 10, false, &line);
  return text;
}

TEST(progress, bar) {
  CHECK_STR(bar_of(0, 0, 100, 90), ".........|.");
  CHECK_STR(bar_of(1, 0, 1000000, 90), "#........|."); // anything shows
  CHECK_STR(bar_of(50, 20, 100, 90), "#####++..|.");
  CHECK_STR(bar_of(99, 0, 100, 90), "#########|."); // only a full budget fills it
  CHECK_STR(bar_of(100, 0, 100, 90), "#########|#");
  CHECK_STR(bar_of(250, 0, 100, 90), "#########|#"); // an overrun
  CHECK_STR(bar_of(50, 0, 100, 100), "#####.....");  // never throttled
  CHECK_STR(bar_of(HG_TOKENS_MAX, 0, HG_TOKENS_MAX, 90), "#########|#");
  CHECK_STR(bar_of(5, 0, 10, 5), "#|####.....");
}

TEST(progress, figures) {
  CHECK_STR(hg_figure_count(0).text, "0");
  CHECK_STR(hg_figure_count(-1234567).text, "-1,234,567");
  CHECK_STR(hg_figure_count(999).text, "999");
  CHECK_STR(hg_figure_count(INT64_MIN).text, "-9,223,372,036,854,775,808");
  CHECK_STR(hg_figure_percent(9050).text, "90.50 %");
  CHECK_STR(hg_figure_time(440).text, "0.4 s");
  CHECK_STR(hg_figure_time(59940).text, "59.9 s");
  CHECK_STR(hg_figure_time(59950).text, "1:00");
  CHECK_STR(hg_figure_time(3723000).text, "1:02:03");
}

// ---------------------------------------------------------------------------------------------- the summary

static struct hg_summary summary_of(struct hg_run_figures figures) {
  return (struct hg_summary){.figures = figures,
                             .stop_text = "",
                             .hint = "",
                             .go_on = "",
                             .results = "results.jsonl",
                             .errors = "results.errors.jsonl"};
}

static struct hg_run_figures all_done(void) {
  struct hg_run_figures figures = half_way();
  figures.lines = figures.batch.lines = 600;
  figures.run = (struct hg_runner_counts){.done = 590, .calls = 590, .input_ended = true};
  return figures;
}

TEST(summary, exit_codes) {
  struct hg_summary summary = summary_of(all_done());
  CHECK_EQ(hg_summary_exit(&summary), 0);
  summary.figures.batch.duplicates = 1;
  CHECK_EQ(hg_summary_exit(&summary), 1);
  summary.figures.run.failed = 1;
  CHECK_EQ(hg_summary_exit(&summary), 1);
  summary.figures.run.left_for_budget = 1;
  CHECK_EQ(hg_summary_exit(&summary), 3);
  static const int codes[] = {
      [HG_STOP_INTERRUPT] = 130, [HG_STOP_ACCESS] = 2, [HG_STOP_CAP] = 2,    [HG_STOP_CHANGED] = 2,
      [HG_STOP_INPUT] = 2,       [HG_STOP_LEDGER] = 4, [HG_STOP_RESULTS] = 4};
  for (int stop = HG_STOP_INTERRUPT; stop <= HG_STOP_RESULTS; stop++) {
    summary.stop = (enum hg_stop)stop;
    CHECK_EQ(hg_summary_exit(&summary), codes[stop]);
    CHECK(strcmp(hg_stop_name(summary.stop), "none") != 0);
  }
  summary = summary_of(all_done());
  summary.not_durable = true;
  CHECK_EQ(hg_summary_exit(&summary), 4);
  summary = summary_of(all_done());
  summary.figures.run.unsettled = 1;
  CHECK_EQ(hg_summary_exit(&summary), 4);
  summary.stop = HG_STOP_INTERRUPT; // whatever else it says
  CHECK_EQ(hg_summary_exit(&summary), 4);
}

TEST(summary, lines_that_were_never_read_are_left) {
  struct hg_run_figures figures = all_done();
  CHECK_EQ(hg_lines_left(&figures), 0);
  figures.run.input_ended = false;
  figures.lines = 1000;
  CHECK_EQ(hg_lines_left(&figures), 400);
  figures.run.failed = 5;
  figures.batch.bad = 3;
  CHECK_EQ(hg_lines_left(&figures), 392);
}

TEST(summary, what_another_throttled_concurrency_would_have_cost) {
  struct hg_run_figures figures = all_done();
  figures.throttled_concurrency = 1;
  CHECK_EQ(hg_throttled_us_at(&figures, 4), -1);
  figures.throttled_us = 41000000;
  CHECK_EQ(hg_throttled_us_at(&figures, 4), 10250000);
  CHECK_EQ(hg_throttled_us_at(&figures, 1), 41000000);
}

static const char *table_of(const struct hg_summary *summary) {
  static char text[8192];
  FILE *to = fmemopen(text, sizeof text, "w");
  CHECK(to != NULL && hg_summary_print(summary, true, to));
  fclose(to);
  return text;
}

// Of the one line that is printed.
static json_t *json_of(const struct hg_summary *summary) {
  char text[8192];
  FILE *to = fmemopen(text, sizeof text, "w");
  CHECK(to != NULL && hg_summary_print_json(summary, to));
  fclose(to);
  CHECK(strchr(text, '\n') == text + strlen(text) - 1);
  json_t *json = json_loads(text, 0, NULL);
  CHECK(json != NULL);
  return json;
}

TEST(summary, table) {
  struct hg_summary summary = summary_of(all_done());
  const char *plain = table_of(&summary);
  CHECK(strstr(plain, "requests   590 done · 10 done before\n") != NULL);
  CHECK(strstr(plain, "300,000 of 1,000,000 tokens used (30.00 %) · 604,000 reserved\n") != NULL);
  CHECK(strstr(plain, "throttle") == NULL && strstr(plain, "left") == NULL && strstr(plain, "stopped") == NULL);
  struct hg_run_figures *figures = &summary.figures;
  figures->run.failed = 3;
  figures->run.failures[0] = (struct hg_failure_kind){"http_400", 2};
  figures->run.failures[1] = (struct hg_failure_kind){"request_timeout", 1};
  figures->run.left_for_budget = 7;
  figures->run.smallest_need = 1300;
  figures->run.left_need = 9100;
  strcpy(figures->run.short_budget, "default");
  figures->throttles = 2;
  figures->throttled_us = 41000000;
  figures->throttled_concurrency = 1;
  figures->orphans.assumed[HG_ASSUMED_CHARGED] = (struct hg_assumed_figures){2, 2600};
  figures->orphans.assumed[HG_ASSUMED_KEPT] = (struct hg_assumed_figures){3, 3900};
  figures->orphans.assumed[HG_ASSUMED_RELEASED] = (struct hg_assumed_figures){4, 5200};
  summary.go_on = "headgate run b.jsonl -o results.jsonl --limit 1009100";
  const char *full = table_of(&summary);
  CHECK(strstr(full, "3 failed (2 http_400, 1 request_timeout)") != NULL);
  CHECK(strstr(full, "2 times, 41.0 s in all with 1 at a time; with scheduler.throttledConcurrency 4 about 10.2 s") !=
            NULL ||
        strstr(full, "2 times, 41.0 s in all with 1 at a time; with scheduler.throttledConcurrency 4 about 10.3 s") !=
            NULL);
  CHECK(strstr(full, "2 calls of an interrupted run ended unknown: 2,600 tokens stay charged") != NULL);
  CHECK(strstr(full, "3 calls of an interrupted run ended unknown: 3,900 tokens stay reserved") != NULL);
  CHECK(strstr(full, "4 calls of an interrupted run ended unknown: 5,200 tokens were given back") != NULL);
  CHECK(strstr(full, "7 requests need more than budget \"default\" has left: the smallest 1,300 tokens, all 9,100") !=
        NULL);
  CHECK(strstr(full, "go on      headgate run b.jsonl -o results.jsonl --limit 1009100\n") != NULL);
  CHECK(strstr(full, "errors     results.errors.jsonl\n") != NULL);
}

TEST(summary, throttle_that_took_no_time_is_not_shown) {
  struct hg_summary summary = summary_of(all_done());
  summary.figures.throttles = 1;
  summary.figures.throttled_us = 49999;
  CHECK(strstr(table_of(&summary), "throttle") == NULL);
  summary.figures.throttled_us = 50000;
  CHECK(strstr(table_of(&summary), "throttle   1 time, 0.1 s in all") != NULL);
}

TEST(summary, what_another_ledger_counted) {
  struct hg_summary summary = summary_of(all_done());
  CHECK(strstr(table_of(&summary), "elsewhere") == NULL);
  summary.figures.other_ledger = (struct hg_other_ledger){7, 1234};
  CHECK(strstr(table_of(&summary), "elsewhere  1,234 tokens of 7 earlier calls are in the budget of another ledger") !=
        NULL);
  json_t *json = json_of(&summary), *other = json_object_get(json, "otherLedger");
  CHECK_EQ(json_integer_value(json_object_get(other, "calls")), 7);
  CHECK_EQ(json_integer_value(json_object_get(other, "tokens")), 1234);
  json_decref(json);
}

TEST(summary, what_was_not_settled) {
  struct hg_summary summary = summary_of(all_done());
  CHECK(strstr(table_of(&summary), "unsettled") == NULL);
  summary.figures.run.unsettled = 3;
  CHECK(strstr(table_of(&summary), "unsettled  3 calls were not settled as they should be\n") != NULL);
  summary.figures.run.recorded_tokens = 1234;
  summary.figures.run.uncounted_tokens = 56;
  CHECK(strstr(table_of(&summary),
               "unsettled  3 calls were not settled as they should be · 1,234 tokens recorded beside "
               "what others said, perhaps counted twice · 56 tokens not counted\n") != NULL);
  json_t *json = json_of(&summary), *run = json_object_get(json, "run");
  CHECK_EQ(json_integer_value(json_object_get(json, "exit")), 4);
  CHECK_EQ(json_integer_value(json_object_get(run, "unsettled")), 3);
  CHECK_EQ(json_integer_value(json_object_get(run, "recordedTokens")), 1234);
  CHECK_EQ(json_integer_value(json_object_get(run, "uncountedTokens")), 56);
  json_decref(json);
}

TEST(summary, json_shows_every_percent_with_two_decimals_at_most) {
  struct hg_summary summary = summary_of(all_done());
  const uint32_t some[] = {0, 1, 895, 9050, 10001, UINT32_MAX - 1};
  for (uint32_t i = 0; i < 12000; i++) {
    const uint32_t hundredths = i < sizeof some / sizeof *some ? some[i] : i;
    char text[8192], digits[32];
    summary.figures.usage.usage_percent_hundredths = hundredths;
    FILE *to = fmemopen(text, sizeof text, "w");
    CHECK(to != NULL && hg_summary_print_json(&summary, to));
    fclose(to);
    const char *said = strstr(text, "\"usagePercent\":");
    CHECK(said != NULL);
    snprintf(digits, sizeof digits, "%u.%02u", hundredths / 100, hundredths % 100);
    if (digits[strlen(digits) - 1] == '0') digits[strlen(digits) - 1] = '\0'; // 90.5, 90.0
    CHECK_EQ(strncmp(said + 15, digits, strlen(digits)), 0);
    CHECK_EQ(said[15 + strlen(digits)], ',');
  }
}

TEST(summary, json_is_one_line_whatever_the_texts_hold) {
  struct hg_summary summary = summary_of(all_done());
  summary.stop = HG_STOP_ACCESS;
  summary.stop_text = "HTTP 401: \"no\"\nsecond line";
  summary.results = "r\xff.jsonl"; // no UTF-8
  summary.go_on = "headgate run 'a\xff'";
  summary.figures.run.failures[0] = (struct hg_failure_kind){"http_400", 2};
  json_t *json = json_of(&summary);
  CHECK_EQ(json_integer_value(json_object_get(json, "exit")), 2);
  CHECK_STR(json_string_value(json_object_get(json, "reason")), summary.stop_text);
  CHECK_STR(json_string_value(json_object_get(json, "results")), "r?.jsonl");
  CHECK_EQ(json_integer_value(json_object_get(json_object_get(json, "requests"), "doneNow")), 590);
  CHECK_EQ(json_integer_value(json_object_get(json_object_get(json, "budget"), "totalUsed")), 300000);
  CHECK(json_object_get(json, "run") != NULL);
  json_decref(json);
}
