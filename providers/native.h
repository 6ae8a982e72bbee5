// Requests in the forms of Gemini, Ollama and Bedrock's Converse, whose output cap is inside of a member: where it is,
// and what such a body brings in beside its text.
#ifndef HG_NATIVE_H
#define HG_NATIVE_H

#include "providers/bound.h"
#include "providers/edit.h"

// NULL: the url names none of them.
struct hg_native_form;
const struct hg_native_form *hg_native_form_of(const char *url);

struct hg_native {
  const struct hg_native_form *form; // NULL: not such a request
  struct hg_json body, group, cap;   // of type HG_JSON_NONE where the body has none
  int64_t output_cap, choices;       // 0: no cap; at least 1
};
// HG_ERR_INVALID with `why`: the cap is there twice, under either of its names, or is no count.
hg_err hg_native_read(const struct hg_native_form *form, const struct hg_json *body, struct hg_native *out,
                      hg_error *why);
// Puts a cap where the body has none. `alone`: nothing else is put into the body.
void hg_native_write(const struct hg_native *native, int64_t cap, bool alone, struct hg_edit *edit);
// What the body can mean beside its bytes, and what makes that unbounded.
void hg_native_count(const struct hg_native *native, struct hg_bound *bound);

#endif
