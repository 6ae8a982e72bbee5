// Reads what a call used out of a provider's answer. Pure: bytes in, a normal form out.
#ifndef HG_USAGE_H
#define HG_USAGE_H

#include "headgate.h"
#include "schemas/limits.h"
#include "usage/answer.h"
#include "usage/counts.h"

struct hg_usage_found {
  hg_usage_report report; // model and response_id point into the two buffers below, or are NULL
  char model[HG_LABEL_MAX + 1];
  char response_id[HG_LABEL_MAX + 1];
  const char *reason; // why the usage is missing, or what is odd about it; a static text, NULL: nothing
};

// What the counts come to: HG_SOURCE_EXACT, or HG_SOURCE_MISSING with a reason.
void hg_usage_settle(const struct hg_token_counts *counts, struct hg_usage_found *out);

void hg_usage_copy(const struct hg_usage_found *from, struct hg_usage_found *to);

// HG_OK: the usage is exact. HG_ERR_NO_USAGE: missing, with a reason (model and response id are filled in where they
// could be read). HG_ERR_PROTOCOL: the answer can't be read.
hg_err hg_usage_find(const struct hg_answer *answer, struct hg_usage_found *out);

#endif
