// A whole answer: its counts gathered and settled.
#include "usage/usage.h"

#include <stddef.h>
#include <string.h>

static void point_to_labels(struct hg_usage_found *found) {
  found->report.response_id = found->response_id[0] ? found->response_id : NULL;
  found->report.model = found->model[0] ? found->model : NULL;
}

void hg_usage_copy(const struct hg_usage_found *from, struct hg_usage_found *to) {
  *to = *from;
  point_to_labels(to);
}

void hg_usage_settle(const struct hg_token_counts *counts, struct hg_usage_found *out) {
  const hg_usage_report unknown = HG_USAGE_REPORT_INIT;
  hg_usage_report report;
  const char *remark = NULL;
  *out = (struct hg_usage_found){.report = unknown};
  out->report.source = HG_SOURCE_MISSING;
  out->reason = hg_counts_settle(counts, &report, &remark);
  if (!out->reason) {
    out->report = report;
    out->reason = remark;
  }
  memcpy(out->response_id, counts->response_id, sizeof out->response_id);
  memcpy(out->model, counts->model, sizeof out->model);
  point_to_labels(out);
}

hg_err hg_usage_find(const struct hg_answer *answer, struct hg_usage_found *out) {
  struct hg_token_counts counts;
  hg_counts_init(&counts);
  if (!answer->fault) hg_counts_take(&counts, answer);
  if (!hg_counts_say_any(&counts)) hg_counts_take_attributes(&counts, &answer->root);
  hg_usage_settle(&counts, out);
  if (answer->fault || answer->root.type != HG_JSON_OBJECT)
    out->reason = answer->fault ? answer->fault : "the answer is not a JSON object";
  if (answer->fault) return HG_ERR_PROTOCOL;
  return out->report.source == HG_SOURCE_EXACT ? HG_OK : HG_ERR_NO_USAGE;
}

hg_err hg_usage_from_response(const char *body, size_t len, hg_usage_report *out) {
  if (!out || out->size < offsetof(hg_usage_report, unit) || (!body && len > 0)) return HG_ERR_INVALID;
  struct hg_answer answer;
  struct hg_usage_found found;
  hg_answer_read(body, len, &answer);
  const hg_err err = hg_usage_find(&answer, &found);
  found.report.size = out->size;
  found.report.task_id = out->task_id;
  found.report.budget = out->budget;
  found.report.attempt = out->attempt;
  found.report.model = found.report.response_id = NULL;
  memcpy(out, &found.report, out->size < sizeof *out ? out->size : sizeof *out);
  return err;
}
