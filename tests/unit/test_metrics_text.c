// links: program
// Figures as Prometheus' text: what is escaped, what is left out, and what a histogram looks like.
#include "metrics/figures.h"
#include "schemas/message.h"
#include "support/test.h"

static char *printed(const struct hg_metrics_figures *figures) {
  struct hg_text_buffer text = {0};
  CHECK_EQ(hg_metrics_print(figures, &text), HG_OK);
  CHECK_EQ(hg_text_buffer_add(&text, "", 1), HG_OK);
  return text.data; // ended by its NUL; the caller's
}

static bool has_line(const char *text, const char *line) {
  const size_t len = strlen(line);
  for (const char *at = text; (at = strstr(at, line)); at++)
    if ((at == text || at[-1] == '\n') && at[len] == '\n') return true;
  fprintf(stderr, "not there: %s\nin:\n%s", line, text);
  return false;
}

TEST(metrics_text, labels_and_help_are_escaped) {
  struct hg_exposition out = {0};
  const struct hg_metric metric = {"m", HG_METRIC_gauge, "a, b", "one \\ two\nthree \"four\""};
  const struct hg_metric_sample sample = {.labels = {{"a", "x\"y\\z\nw"}, {"b", NULL}, {"c", ""}}, .value = "1"};
  hg_exposition_add(&out, &metric, &sample);
  hg_exposition_add(&out, &metric, &(struct hg_metric_sample){.suffix = "_sum", .value = "2"});
  CHECK_EQ(hg_text_buffer_add(&out.text, "", 1), HG_OK);
  CHECK_STR(out.text.data, "# HELP m one \\\\ two\\nthree \"four\"\n# TYPE m gauge\n"
                           "m{a=\"x\\\"y\\\\z\\nw\",c=\"\"} 1\nm_sum 2\n");
  hg_text_buffer_clear(&out.text);
}

TEST(metrics_text, nothing_is_made_up) {
  struct hg_metrics_figures figures = {0};
  char *text = printed(&figures);
  CHECK(has_line(text, "headgate_up 0"));
  CHECK(!strstr(text, "headgate_budget") && !strstr(text, "headgate_tasks") && !strstr(text, "_total"));
  CHECK(!strstr(text, "start_time") && !strstr(text, "gen_ai") && !strstr(text, "degraded"));
  free(text);
}

TEST(metrics_text, a_budget_tells_what_is_known_of_it) {
  struct hg_metrics_figures figures = {.has_state = true, .live = true, .seq = 9007199254740991, .running = 3};
  struct hg_metrics_budget *budget = hg_metrics_add_budget(&figures, "a", 1);
  budget->hard_limit = 100;
  budget->used = 95;
  budget->reserved = 10;
  budget->usage_percent = 9500;
  budget->throttled = true;
  budget->limit_in_ms = 0;
  budget->per_minute = HG_TOKENS_MAX;
  budget = hg_metrics_add_budget(&figures, "b", 1);
  budget->hard_limit = HG_TOKENS_MAX;
  budget->usage_percent = 1;
  budget->limit_in_ms = 61005;
  budget->per_minute = 1;
  char *text = printed(&figures);
  CHECK(has_line(text, "headgate_budget_limit_tokens{budget=\"b\"} 9007199254740991"));
  CHECK(has_line(text, "headgate_budget_available_tokens{budget=\"a\"} -5"));
  CHECK(has_line(text, "headgate_budget_usage_ratio{budget=\"a\"} 0.9500"));
  CHECK(has_line(text, "headgate_budget_usage_ratio{budget=\"b\"} 0.0001"));
  CHECK(has_line(text, "headgate_budget_throttled{budget=\"a\"} 1"));
  CHECK(has_line(text, "headgate_budget_to_limit_seconds{budget=\"a\"} 0.000"));
  CHECK(has_line(text, "headgate_budget_to_limit_seconds{budget=\"b\"} 61.005"));
  CHECK(has_line(text, "headgate_budget_tokens_per_second{budget=\"a\"} 150119987579016.516"));
  CHECK(has_line(text, "headgate_budget_tokens_per_second{budget=\"b\"} 0.016"));
  CHECK(!strstr(text, "to_threshold") && !strstr(text, "open_permits"));
  CHECK(has_line(text, "headgate_tasks_running 3"));
  CHECK(has_line(text, "headgate_journal_seq 9007199254740991"));
  free(text);
  hg_metrics_clear(&figures);
}

TEST(metrics_text, a_ledger_of_dollars_tells_dollars_exactly) {
  struct hg_metrics_figures figures = {.has_state = true, .unit = HG_UNIT_NANODOLLARS};
  struct hg_metrics_budget *budget = hg_metrics_add_budget(&figures, "a", 1);
  budget->hard_limit = HG_TOKENS_MAX;
  budget->used = 1;
  budget->per_minute = 1500000000;
  budget = hg_metrics_add_budget(&figures, "b", 1);
  budget->used = HG_TOKENS_MAX;
  budget->task_tokens = 0;
  char *text = printed(&figures);
  CHECK(has_line(text, "headgate_budget_limit_dollars{budget=\"a\"} 9007199.254740991"));
  CHECK(has_line(text, "headgate_budget_used_dollars{budget=\"a\"} 0.000000001"));
  CHECK(has_line(text, "headgate_budget_available_dollars{budget=\"a\"} 9007199.254740990"));
  CHECK(has_line(text, "headgate_budget_available_dollars{budget=\"b\"} -9007199.254740991"));
  CHECK(has_line(text, "headgate_budget_dollars_per_second{budget=\"a\"} 0.025000000"));
  CHECK(has_line(text, "headgate_budget_task_dollars{budget=\"b\"} 0.000000000"));
  CHECK(!strstr(text, "tokens") && !strstr(text, "per_second{budget=\"b\"}"));
  free(text);
  hg_metrics_clear(&figures);
}

TEST(metrics_text, a_histogram_is_cumulative) {
  static struct hg_fold fold; // large
  struct hg_metrics_figures figures = {.fold = &fold, .has_histograms = true};
  fold.model_count = 2;
  hg_text_copy(fold.models[1].name, sizeof fold.models[1].name, hg_text_of("q\"m"));
  fold.models[1].tokens[HG_TOKENS_INPUT] =
      (struct hg_histogram){.counts = {1, 0, 2, [14] = 1}, .count = 4, .sum = 70000000};
  fold.models[0].failed = (struct hg_histogram){.counts = {[3] = 1}, .count = 1, .sum = 50001};
  char *text = printed(&figures);
#define INPUT "{gen_ai_token_type=\"input\",gen_ai_response_model=\"q\\\"m\""
  CHECK(has_line(text, "gen_ai_client_token_usage_bucket" INPUT ",le=\"1\"} 1"));
  CHECK(has_line(text, "gen_ai_client_token_usage_bucket" INPUT ",le=\"4\"} 1"));
  CHECK(has_line(text, "gen_ai_client_token_usage_bucket" INPUT ",le=\"16\"} 3"));
  CHECK(has_line(text, "gen_ai_client_token_usage_bucket" INPUT ",le=\"67108864\"} 3"));
  CHECK(has_line(text, "gen_ai_client_token_usage_bucket" INPUT ",le=\"+Inf\"} 4"));
  CHECK(has_line(text, "gen_ai_client_token_usage_sum" INPUT "} 70000000"));
  CHECK(has_line(text, "gen_ai_client_token_usage_count" INPUT "} 4"));
  CHECK(!strstr(text, "\"output\""));
#define LASTED "gen_ai_client_operation_duration_seconds"
  CHECK(has_line(text, LASTED "_bucket{error_type=\"_OTHER\",le=\"0.04\"} 0"));
  CHECK(has_line(text, LASTED "_bucket{error_type=\"_OTHER\",le=\"0.08\"} 1"));
  CHECK(has_line(text, LASTED "_bucket{error_type=\"_OTHER\",le=\"81.92\"} 1"));
  CHECK(has_line(text, LASTED "_sum{error_type=\"_OTHER\"} 0.050001"));
  free(text);
}
