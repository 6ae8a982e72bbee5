// Finds the caps in a body and writes lower ones.
#include "providers/output_cap.h"

#include "providers/edit.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int64_t hg_output_least(const struct hg_json *body, int64_t cap) {
  struct hg_json_field tied[] = {{.name = "thinking"}, {.name = "min_tokens"}};
  hg_json_pick(body, tied, 2);
  const bool untied = hg_json_is_absent(&tied[0].value) && hg_json_is_absent(&tied[1].value);
  return untied && cap > HG_OUTPUT_FLOOR ? HG_OUTPUT_FLOOR : cap;
}

int64_t hg_output_paid(const struct hg_prepared *prepared, int64_t granted) {
  const int64_t whole = prepared->max_tokens - prepared->input_bound, left = granted - prepared->input_bound;
  if (prepared->price) return hg_price_output_for(prepared->price, prepared->input_bound, granted, whole);
  return left < 0 ? 0 : left < whole ? left : whole;
}

hg_err hg_output_lower(const struct hg_prepared *prepared, const struct hg_llm_config *llm, int64_t granted,
                       struct hg_lowered *out) {
  assert(granted >= prepared->least && granted < prepared->most && prepared->output_cap > 0);
  enum { CAPS = 4 };
  const int64_t cap = hg_output_paid(prepared, granted) / prepared->choices - prepared->predicted;
  assert(cap >= 1 && cap <= prepared->output_cap);
  struct hg_json root;
  struct hg_json_field fields[CAPS] = {
      {.name = "max_tokens"}, {.name = "max_completion_tokens"}, {.name = "max_output_tokens"}};
  fields[CAPS - 1].name = llm->output_cap_field; // found twice it is written once
  for (size_t i = 0; i < CAPS - 1; i++)
    if (fields[CAPS - 1].name && strcmp(fields[CAPS - 1].name, fields[i].name) == 0) fields[CAPS - 1].name = NULL;
  const char *fault = hg_json_check(prepared->body, prepared->body_len, &root, NULL);
  assert(!fault);
  hg_json_pick(&root, fields, CAPS);
  struct hg_edit edits[CAPS];
  size_t count = 0;
  for (size_t i = 0; i < CAPS; i++) {
    const struct hg_json *old = &fields[i].value;
    int64_t tokens;
    if (hg_json_tokens(old, &tokens) || tokens <= cap) continue; // no cap, or one that is low enough
    edits[count] = (struct hg_edit){.at = old->at, .cut = old->len};
    snprintf(edits[count++].text, sizeof edits->text, "%" PRId64, cap);
  }
  assert(count > 0 || cap == prepared->output_cap);
  *out = (struct hg_lowered){.output_max = prepared->choices * (cap + prepared->predicted)};
  out->body = hg_edits_apply(prepared->body, prepared->body_len, edits, count, &out->body_len);
  return out->body ? HG_OK : HG_ERR_NO_MEMORY;
}
