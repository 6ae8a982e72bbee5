// What a whole answer with a good status is: a result, an error that hides behind the status, or nothing that its
// endpoint answers. Gateways say errors inside a 200, and the responses API has a status of its own. Pure.
#ifndef HG_FAULT_H
#define HG_FAULT_H

#include "providers/request.h"
#include "usage/answer.h"
#include "usage/stream.h"

#define HG_FAULT_TEXT_MAX 120

enum hg_answer_kind {
  HG_ANSWER_RESULT, // as far as can be told; one that was cut at max_output_tokens is one
  HG_ANSWER_FAULT,  // an error; `out` is filled in
  HG_ANSWER_NONE    // not what the endpoint answers; `out` has a text
};

struct hg_answer_fault {
  long status; // the HTTP status that would say the same; where the words are unknown 400, of a broken stream 500
  bool quota;  // the account is empty
  bool worked; // there are parts of a result, or figures of usage, in it: it may have been billed
  char text[HG_FAULT_TEXT_MAX]; // what it says, for a person
};

// A result of the five known endpoints holds an array: `choices`, `output`, `data` or `content`. Of choices one must be
// good. Any other endpoint may answer with any object or array (HG_ENDPOINT_OTHER): that asks for the least.
// `streamed`: how the stream ended that the answer is made of; NULL: it was none. A broken one is always a fault.
enum hg_answer_kind hg_answer_kind_of(const struct hg_answer *answer, const struct hg_streamed *streamed,
                                      enum hg_endpoint endpoint, struct hg_answer_fault *out);

// Of an answer with a bad status: whether its code or type says that the account is empty.
bool hg_answer_is_quota(const struct hg_answer *answer);
// The provider's own words: error.message, or what it says as a plain "error", "message" or "detail"; "": none.
void hg_answer_words(const struct hg_answer *answer, char *out, size_t capacity);

#endif
