/* answer.h: answers and errors in the shape of the provider that each endpoint belongs to. */
#ifndef LLM_SIM_ANSWER_H
#define LLM_SIM_ANSWER_H

#include "call.h"
#include "plan.h"
#include "text.h"

/* The body of a 200: whole, without usage, or spoilt, as the plan says. (A cut is made when it is sent.) */
void answer_write(struct text *out, const struct call *call, const struct plan *plan, uint64_t text_bytes_max);
/* How many input tokens there are, in the shape of who counts; /tokenize lists them as well. */
void answer_count(struct text *out, enum question question, enum endpoint endpoint, const struct plan *plan);
void answer_error(struct text *out, enum endpoint endpoint, const struct plan *plan, bool quota);

#endif
