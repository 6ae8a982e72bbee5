// Asking for figures, and headgate status --metrics.
#include "cli/metrics_ask.h"

#include "actors/tracker.h"
#include "base/money.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FETCH_MS 10000L // longer than the runtime lets itself be asked
#define IPC "ipc://"

// ------------------------------------------------------------------------------------------------ of a runtime

static bool take_budget(struct hg_metrics_figures *out, const struct hg_snapshot_budget_message *told) {
  struct hg_metrics_budget *budget = hg_metrics_add_budget(out, told->budget.data, told->budget.size);
  if (!budget) return false;
  budget->hard_limit = told->hard_limit;
  budget->used = told->used;
  budget->reserved = told->reserved;
  budget->usage_percent = told->usage_percent;
  budget->throttled = told->throttled;
  budget->open_permits = told->open_permits;
  budget->per_minute = told->per_minute;
  budget->threshold_in_ms = told->threshold_in_ms;
  budget->limit_in_ms = told->limit_in_ms;
  budget->task_tokens = told->task_tokens;
  (void)hg_unit_of_name(told->unit.data, told->unit.size, &out->unit);
  return true;
}

static void take_report(struct hg_metrics_figures *out, const struct hg_snapshot_report_message *report) {
  out->live = out->has_state = true;
  out->seq = report->seq;
  out->audited = report->audited;
  out->differences = report->differences;
  out->audit_failed = report->audit_failed;
  out->max_concurrency = report->max_concurrency;
  out->effective_concurrency = report->effective_concurrency;
  out->running = report->running;
  out->waiting = report->waiting;
}

hg_err hg_metrics_ask(struct hg_control *control, int64_t deadline_us, struct hg_metrics_figures *out) {
  struct hg_message question, answer;
  hg_message_init(&question, HG_SNAPSHOT);
  hg_err err = hg_control_send(control, &question);
  while (err == HG_OK && !out->has_state) {
    err = hg_control_receive(control, deadline_us, &answer);
    if (err != HG_OK) break;
    if (answer.kind == HG_SNAPSHOT_BUDGET && !take_budget(out, &answer.as.snapshot_budget)) err = HG_ERR_NO_MEMORY;
    else if (answer.kind == HG_SNAPSHOT_REPORT) take_report(out, &answer.as.snapshot_report);
    else if (answer.kind == HG_COMMAND_DONE) err = (hg_err)answer.as.command_done.error;
  }
  if (err != HG_OK) hg_metrics_clear(out);
  return err;
}

// ------------------------------------------------------------------------------------------------ of a ledger

static hg_err take_stored(const struct hg_config *config, const struct hg_ledger_budget *stored,
                          const struct hg_ledger_figures *root, struct hg_metrics_figures *out) {
  for (uint32_t i = 0; i < config->budget_count; i++) {
    struct hg_metrics_budget *budget = hg_metrics_add_budget(out, stored[i].name, strlen(stored[i].name));
    if (!budget) return HG_ERR_NO_MEMORY;
    budget->hard_limit = stored[i].hard_limit;
    budget->used = stored[i].used;
    budget->reserved = stored[i].reserved;
    budget->usage_percent = hg_usage_percent(stored[i].used, stored[i].hard_limit);
    budget->throttled = stored[i].throttled;
    if (i == 0) budget->open_permits = root->open_permits;
  }
  out->unit = config->unit;
  out->has_state = true;
  out->seq = root->seq;
  out->audited = root->audited;
  out->differences = root->differences;
  out->audit_failed = root->audit_failed;
  return HG_OK;
}

hg_err hg_metrics_read(struct hg_site *site, struct hg_metrics_figures *out, hg_error *why) {
  struct hg_ledger_figures root;
  hg_err err = hg_site_learn(site, HG_CONTROL_PATIENCE_MS, why);
  if (err != HG_OK) return err;
  struct hg_ledger_budget *stored = calloc(site->config->budget_count, sizeof *stored);
  if (!stored) return hg_fail(why, HG_ERR_NO_MEMORY, "%s", hg_err_text(HG_ERR_NO_MEMORY));
  err = hg_ledger_read_budgets(site->config, &site->places, HG_CONTROL_PATIENCE_MS, stored, why);
  if (err == HG_OK) err = hg_ledger_read_figures(site->config, &site->places, "default", &root, why);
  if (err == HG_OK && (err = take_stored(site->config, stored, &root, out)) != HG_OK)
    hg_fail(why, err, "%s", hg_err_text(err));
  free(stored);
  return err;
}

// ------------------------------------------------------------------------------------------------ where it is exported

bool hg_metrics_socket(const char *control_endpoint, char *out, size_t room) {
  static const char from[] = "/control.ipc", to[] = "/metrics.ipc";
  const size_t len = strlen(control_endpoint);
  if (strncmp(control_endpoint, IPC, strlen(IPC)) != 0 || len < strlen(IPC) + strlen(from) ||
      strcmp(control_endpoint + len - strlen(from), from) != 0)
    return false;
  const int written =
      snprintf(out, room, "%.*s%s", (int)(len - strlen(IPC) - strlen(from)), control_endpoint + strlen(IPC), to);
  return written > 0 && (size_t)written < room;
}

static size_t take_body(char *data, size_t size, size_t count, void *text) {
  return hg_text_buffer_add(text, data, size * count) == HG_OK ? size * count : 0;
}

hg_err hg_metrics_fetch(const char *socket_path, struct hg_text_buffer *text) {
  CURL *curl = curl_easy_init();
  long code = 0;
  if (!curl) return HG_ERR_NO_MEMORY;
  curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
  curl_easy_setopt(curl, CURLOPT_URL, "http://localhost" HG_METRICS_PATH);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, FETCH_MS);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, text);
  const CURLcode result = curl_easy_perform(curl);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
  curl_easy_cleanup(curl);
  if (result == CURLE_OK && code == 200) return HG_OK;
  hg_text_buffer_clear(text);
  return HG_ERR_NO_RUNTIME;
}

// ------------------------------------------------------------------------------------------------ status

// What does not export its figures, such as a program that embeds Headgate, tells less: no counters, no histograms.
static hg_err ask_or_fetch(struct hg_control *control, struct hg_text_buffer *text, hg_error *why) {
  struct hg_metrics_figures figures = {0};
  char path[HG_PATH_MAX + 1];
  if (hg_metrics_socket(control->holder.control, path, sizeof path) && hg_metrics_fetch(path, text) == HG_OK)
    return HG_OK;
  const int64_t deadline = hg_clock_now().monotonic_us + HG_CONTROL_PATIENCE_MS * INT64_C(1000);
  hg_err err = hg_metrics_ask(control, deadline, &figures);
  if (err == HG_OK) err = hg_metrics_print(&figures, text);
  if (err != HG_OK) hg_fail(why, err, "the runtime gave no answer: %s", hg_err_text(err));
  hg_metrics_clear(&figures);
  return err;
}

static hg_err read_stored(struct hg_site *site, struct hg_text_buffer *text, hg_error *why) {
  struct hg_metrics_figures figures = {0};
  hg_err err = hg_metrics_read(site, &figures, why);
  if (err == HG_OK && (err = hg_metrics_print(&figures, text)) != HG_OK) hg_fail(why, err, "%s", hg_err_text(err));
  hg_metrics_clear(&figures);
  return err;
}

hg_err hg_status_metrics(struct hg_site *site, hg_error *why) {
  struct hg_control control = {0};
  struct hg_message report;
  struct hg_text_buffer text = {0};
  hg_err err = hg_site_status(site, "default", &control, &report, why);
  if (err == HG_OK)
    err = report.as.status_report.live ? ask_or_fetch(&control, &text, why) : read_stored(site, &text, why);
  if (err == HG_OK && text.len) fwrite(text.data, 1, text.len, stdout);
  hg_control_close(&control);
  hg_text_buffer_clear(&text);
  return err;
}
