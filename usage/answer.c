// One check of the whole text, one walk over its outermost object.
#include "usage/answer.h"

#include "schemas/limits.h"

static const char *const names[HG_ANSWER_MEMBERS] = {
    [HG_ANSWER_ID] = "id",
    [HG_ANSWER_MODEL] = "model",
    [HG_ANSWER_OBJECT] = "object",
    [HG_ANSWER_TYPE] = "type",
    [HG_ANSWER_ERROR] = "error",
    [HG_ANSWER_STATUS] = "status",
    [HG_ANSWER_DETAILS] = "incomplete_details",
    [HG_ANSWER_OUTPUT] = "output",
    [HG_ANSWER_CHOICES] = "choices",
    [HG_ANSWER_CONTENT] = "content",
    [HG_ANSWER_DATA] = "data",
    [HG_ANSWER_USAGE] = "usage",
    [HG_ANSWER_USAGE_METADATA] = "usageMetadata",
    [HG_ANSWER_USAGE_METADATA_SNAKE] = "usage_metadata",
    [HG_ANSWER_META] = "meta",
    [HG_ANSWER_METADATA] = "metadata",
    [HG_ANSWER_RESPONSE] = "response",
    [HG_ANSWER_BATCHED] = "result",
    [HG_ANSWER_BODY] = "body",
    [HG_ANSWER_MESSAGE] = "message",
    [HG_ANSWER_DELTA] = "delta",
    [HG_ANSWER_X_GROQ] = "x_groq",
    [HG_ANSWER_CANDIDATES] = "candidates",
    [HG_ANSWER_PROMPT_FEEDBACK] = "promptFeedback",
    [HG_ANSWER_EVENT_TYPE] = "event_type",
    [HG_ANSWER_DONE] = "done",
    [HG_ANSWER_PROMPT_EVAL_COUNT] = "prompt_eval_count",
    [HG_ANSWER_EVAL_COUNT] = "eval_count",
    [HG_ANSWER_EMBEDDING] = "embedding",
    [HG_ANSWER_EMBEDDINGS] = "embeddings",
    [HG_ANSWER_RESPONSE_ID] = "responseId",
    [HG_ANSWER_RESPONSE_ID_SNAKE] = "response_id",
    [HG_ANSWER_MODEL_VERSION] = "modelVersion",
    [HG_ANSWER_MODEL_VERSION_SNAKE] = "model_version",
    [HG_ANSWER_INVOCATION_METRICS] = "amazon-bedrock-invocationMetrics",
};

const char *hg_answer_name(enum hg_answer_member member) {
  return names[member];
}

static void pick(struct hg_answer *out) {
  for (enum hg_answer_member i = 0; i < HG_ANSWER_MEMBERS; i++)
    out->members[i].name = names[i];
  hg_json_pick(&out->root, out->members, HG_ANSWER_MEMBERS);
}

void hg_answer_read_inner(const struct hg_json *object, struct hg_answer *out) {
  out->root = *object;
  out->fault = NULL;
  pick(out);
}

void hg_answer_read(const char *body, size_t len, struct hg_answer *out) {
  const char *text = body ? body : "";
  const size_t mark = hg_json_mark(text, len);
  out->root = (struct hg_json){HG_JSON_NONE, NULL, 0};
  out->fault = len > HG_BODY_MAX ? "it is over 16 MiB" : hg_json_check(text + mark, len - mark, &out->root, NULL);
  if (out->fault) out->root.type = HG_JSON_NONE;
  pick(out);
}
