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
};

const char *hg_answer_name(enum hg_answer_member member) {
  return names[member];
}

void hg_answer_read(const char *body, size_t len, struct hg_answer *out) {
  const char *text = body ? body : "";
  const size_t mark = hg_json_mark(text, len);
  out->root = (struct hg_json){HG_JSON_NONE, NULL, 0};
  out->fault = len > HG_BODY_MAX ? "it is over 16 MiB" : hg_json_check(text + mark, len - mark, &out->root, NULL);
  if (out->fault) out->root.type = HG_JSON_NONE;
  for (enum hg_answer_member i = 0; i < HG_ANSWER_MEMBERS; i++)
    out->members[i].name = names[i];
  hg_json_pick(&out->root, out->members, HG_ANSWER_MEMBERS);
}
