// Whether a whole 2xx answer is a result: gateways say errors inside a 200, and the responses API has a status of its
// own. Pure.
#ifndef HG_ANSWER_H
#define HG_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#define HG_FAULT_TEXT_MAX 120

struct hg_answer_fault {
  long status;                  // the HTTP status that would say the same; 400 where the answer's words are unknown
  bool quota;                   // the account is empty
  bool worked;                  // there are parts of a result, or figures of usage, in it: it may have been billed
  char text[HG_FAULT_TEXT_MAX]; // what it says, for a person
};

// False: it is a result, as far as can be told, or not even JSON. An answer that was cut at max_output_tokens is one.
bool hg_answer_is_fault(const char *body, size_t len, struct hg_answer_fault *out);

#endif
