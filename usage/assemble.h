// Makes the answer that a call without a stream would have got out of the events of one: a chat completion, a
// completion, an Anthropic message, a response. Of other kinds {"object": "stream", "events": [...]}, with every event.
// An error that came inside is the member "error", as in any answer. Give hg_assembly_take to hg_stream_init.
#ifndef HG_ASSEMBLE_H
#define HG_ASSEMBLE_H

#include "usage/merge.h"
#include "usage/stream.h"

// Its members are its own.
struct hg_assembly {
  struct hg_merge merge;
  enum hg_stream_kind kind;
};

void hg_assembly_init(struct hg_assembly *assembly);
// A hg_stream_event_fn; `context` is the assembly. Keeps at most HG_BODY_MAX bytes.
void hg_assembly_take(void *context, enum hg_stream_kind kind, const struct hg_answer *event,
                      const struct hg_stream_error *error);
// What has come so far, as JSON, behind what `out` has. HG_ERR_RANGE: over HG_BODY_MAX, or more choices or members
// than any answer has. HG_ERR_NO_MEMORY.
hg_err hg_assembly_print(const struct hg_assembly *assembly, struct hg_text_buffer *out);
// Takes the usage out, wherever a reader of the answer looks for it: what came of it is not what was used
// (hg_stream_end says so), and nobody must take it for that later.
void hg_assembly_forget_usage(struct hg_assembly *assembly);
void hg_assembly_clear(struct hg_assembly *assembly);

#endif
