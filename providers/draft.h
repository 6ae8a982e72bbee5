// A call on its way from the line to hg_prepared, as request.c and caps.c share it.
#ifndef HG_DRAFT_H
#define HG_DRAFT_H

#include "providers/native.h"
#include "providers/request.h"
#include "base/json_scan.h"

// The members of a body that matter.
enum field {
  MODEL,
  STREAM,
  STREAM_OPTIONS,
  N,
  BEST_OF,
  MAX_TOKENS,
  MAX_COMPLETION_TOKENS,
  MAX_OUTPUT_TOKENS,
  OWN_CAP, // llm.outputCapField, where it is none of the three above
  MESSAGES,
  INPUT,
  PROMPT,
  SYSTEM,
  INSTRUCTIONS,
  TOOLS,
  FUNCTIONS,
  PREDICTION,
  FIRST_OUTSIDE, // from here on: members that bring in text, or start work, that the body does not show
  PREVIOUS_RESPONSE_ID = FIRST_OUTSIDE,
  CONVERSATION,
  BACKGROUND,
  MCP_SERVERS,
  CONTAINER,
  WEB_SEARCH_OPTIONS,
  SEARCH_PARAMETERS,
  DATA_SOURCES,
  PLUGINS,
  CHAT_TEMPLATE,
  FIELDS
};

struct draft {
  const char *url;
  const struct hg_llm_config *llm;
  const char *body;
  size_t body_len;
  struct hg_json root;
  struct hg_json_field fields[FIELDS];
  struct hg_native native; // form NULL: the members above say it all
  const char *model;       // what to write, NULL: leave it
  enum field cap_field;    // where the cap is written; FIELDS: nowhere
  struct hg_prepared out;
  hg_error *why;
};

// caps.c
// The name of llm.outputCapField where it is none of the usual ones; NULL: it is, or nothing is configured.
const char *hg_draft_own_cap(const struct draft *d);
// A count from 1 up; absent or null leaves *out as it is.
hg_err hg_draft_count(struct draft *d, enum field f, int64_t *out);
// The cap of one choice into d->out, and where it is to be written.
hg_err hg_draft_cap(struct draft *d);

#endif
