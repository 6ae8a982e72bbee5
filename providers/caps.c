// Which cap on its output a body has, and where one is written that has none.
#include "providers/draft.h"
#include "providers/fail.h"

#include <inttypes.h>
#include <string.h>

static bool has_own_cap(const struct draft *d) {
  return d->llm->output_cap_field && strcmp(d->llm->output_cap_field, "auto") != 0;
}

// The field of llm.outputCapField, whether it is a usual name or another one.
static enum field own_cap_field(const struct draft *d) {
  for (enum field f = MAX_TOKENS; f <= MAX_OUTPUT_TOKENS; f++)
    if (strcmp(d->llm->output_cap_field, d->fields[f].name) == 0) return f;
  return OWN_CAP;
}

const char *hg_draft_own_cap(const struct draft *d) {
  return has_own_cap(d) && own_cap_field(d) == OWN_CAP ? d->llm->output_cap_field : NULL;
}

hg_err hg_draft_count(struct draft *d, enum field f, int64_t *out) {
  const struct hg_json *value = &d->fields[f].value;
  if (hg_json_is_absent(value)) return HG_OK;
  int64_t count;
  const char *fault = hg_json_tokens(value, &count);
  if (!fault && count == 0) fault = "is 0";
  if (fault)
    return fail(d->why, HG_ERR_INVALID, "\"%s\" %s; a whole number from 1 to 2^53 - 1 is needed", d->fields[f].name,
                fault);
  if (count > *out) *out = count;
  return HG_OK;
}

// OpenAI's reasoning models refuse max_tokens; most other servers know nothing else.
static bool wants_max_completion_tokens(const char *model) {
  static const char *const families[] = {"o1", "o3", "o4", "gpt-5"};
  const char *slash = strrchr(model, '/');
  const char *name = slash ? slash + 1 : model;
  for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
    if (strncmp(name, families[i], strlen(families[i])) == 0) return true;
  return false;
}

static enum field usual_chat_field(const struct draft *d) {
  char model[HG_LABEL_MAX + 1];
  if (d->model) return wants_max_completion_tokens(d->model) ? MAX_COMPLETION_TOKENS : MAX_TOKENS;
  hg_json_copy(&d->fields[MODEL].value, model, sizeof model);
  return wants_max_completion_tokens(model) ? MAX_COMPLETION_TOKENS : MAX_TOKENS;
}

// Which caps the endpoint may obey, as a set of fields, and the one to write when there is none.
static unsigned cap_fields(const struct draft *d, enum field *usual) {
  const unsigned own = 1u << OWN_CAP;
  *usual = FIELDS;
  switch (d->out.endpoint) {
  case HG_ENDPOINT_CHAT: *usual = usual_chat_field(d); return own | 1u << MAX_TOKENS | 1u << MAX_COMPLETION_TOKENS;
  case HG_ENDPOINT_RESPONSES: *usual = MAX_OUTPUT_TOKENS; return 1u << MAX_OUTPUT_TOKENS;
  case HG_ENDPOINT_COMPLETIONS: *usual = MAX_TOKENS; return own | 1u << MAX_TOKENS;
  case HG_ENDPOINT_MESSAGES: *usual = MAX_TOKENS; return 1u << MAX_TOKENS;
  case HG_ENDPOINT_EMBEDDINGS: return 0;
  case HG_ENDPOINT_OTHER:
    if (!hg_endpoint_is_cohere_chat(d->url)) break;
    *usual = MAX_TOKENS;
    return 1u << MAX_TOKENS;
  }
  return own | 1u << MAX_TOKENS | 1u << MAX_COMPLETION_TOKENS | 1u << MAX_OUTPUT_TOKENS;
}

static hg_err take_default(struct draft *d, int64_t *cap) {
  *cap = d->llm->default_max_tokens;
  if (*cap >= 1 && *cap <= HG_TOKENS_MAX) return HG_OK;
  return fail(d->why, HG_ERR_CONFIG, "llm.defaultMaxTokens is %" PRId64 "; 1 to 2^53 - 1 is needed", *cap);
}

static hg_err native_cap(struct draft *d, const struct hg_native_form *form) {
  hg_err err = hg_native_read(form, &d->root, &d->native, d->why);
  d->cap_field = FIELDS;
  d->out.output_cap = d->native.output_cap;
  d->out.choices = d->native.choices;
  if (!err && d->out.output_cap == 0) err = take_default(d, &d->out.output_cap);
  return err;
}

hg_err hg_draft_cap(struct draft *d) {
  const struct hg_native_form *form = hg_native_form_of(d->url);
  d->out.choices = 1;
  if (form) return native_cap(d, form);
  enum field usual;
  unsigned set = cap_fields(d, &usual);
  // Where servers differ, the configured field is the only one known to be obeyed: it is written beside any other.
  const bool differs = d->out.endpoint == HG_ENDPOINT_CHAT || d->out.endpoint == HG_ENDPOINT_COMPLETIONS;
  const bool own = differs && has_own_cap(d);
  if (own) {
    usual = own_cap_field(d);
    set |= 1u << usual;
  }
  int64_t cap = 0;
  for (enum field f = MAX_TOKENS; f <= OWN_CAP; f++) {
    const hg_err err = set & 1u << f ? hg_draft_count(d, f, &cap) : HG_OK;
    if (err) return err;
  }
  d->cap_field = FIELDS;
  if (usual != FIELDS && (cap == 0 || (own && hg_json_is_absent(&d->fields[usual].value)))) d->cap_field = usual;
  const hg_err err = cap == 0 && usual != FIELDS ? take_default(d, &cap) : HG_OK;
  if (err) return err;
  d->out.output_cap = cap;
  return HG_OK;
}
