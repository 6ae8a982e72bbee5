// A provider's whole answer: checked once as JSON, its outermost object walked once. Whoever judges an answer, or looks
// for its usage, reads it here. Pure.
#ifndef HG_ANSWER_H
#define HG_ANSWER_H

#include "base/json_scan.h"

enum hg_answer_member {
  HG_ANSWER_ID,
  HG_ANSWER_MODEL,
  HG_ANSWER_OBJECT,
  HG_ANSWER_TYPE,
  HG_ANSWER_ERROR,
  HG_ANSWER_STATUS,
  HG_ANSWER_DETAILS, // incomplete_details
  HG_ANSWER_OUTPUT,
  HG_ANSWER_CHOICES,
  HG_ANSWER_CONTENT,
  HG_ANSWER_DATA,
  HG_ANSWER_USAGE,
  HG_ANSWER_USAGE_METADATA,
  HG_ANSWER_USAGE_METADATA_SNAKE,
  HG_ANSWER_META,
  HG_ANSWER_METADATA,
  HG_ANSWER_RESPONSE,
  HG_ANSWER_BATCHED,
  HG_ANSWER_BODY,
  HG_ANSWER_MESSAGE,
  HG_ANSWER_DELTA,
  HG_ANSWER_X_GROQ,
  HG_ANSWER_CANDIDATES,
  HG_ANSWER_PROMPT_FEEDBACK,
  HG_ANSWER_EVENT_TYPE,
  HG_ANSWER_DONE,
  HG_ANSWER_PROMPT_EVAL_COUNT,
  HG_ANSWER_EVAL_COUNT,
  HG_ANSWER_EMBEDDING,
  HG_ANSWER_EMBEDDINGS,
  HG_ANSWER_RESPONSE_ID,
  HG_ANSWER_RESPONSE_ID_SNAKE,
  HG_ANSWER_MODEL_VERSION,
  HG_ANSWER_MODEL_VERSION_SNAKE,
  HG_ANSWER_INVOCATION_METRICS,
  HG_ANSWER_MEMBERS
};

struct hg_answer {
  struct hg_json root;                             // HG_JSON_NONE: it can't be read
  const char *fault;                               // why not, a static text
  struct hg_json_field members[HG_ANSWER_MEMBERS]; // HG_JSON_NONE each where the root is no object
};

// A byte-order mark in front is passed over. The answer points into `body`, which may be NULL for none at all.
void hg_answer_read(const char *body, size_t len, struct hg_answer *out);

// The same of an object inside an answer that was read.
void hg_answer_read_inner(const struct hg_json *object, struct hg_answer *out);

static inline const struct hg_json *hg_answer_member(const struct hg_answer *answer, enum hg_answer_member member) {
  return &answer->members[member].value;
}

// The name as it stands in the JSON.
const char *hg_answer_name(enum hg_answer_member member);

#endif
