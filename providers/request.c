// Prepares one call: reads the few members that matter out of the body, bounds what it can use, and writes the output
// cap (and the model) into the text where they belong, leaving every other byte alone.
#include "providers/request.h"

#include "providers/bound.h"
#include "providers/draft.h"
#include "providers/edit.h"
#include "providers/fail.h"
#include "providers/output_cap.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const field_names[FIELDS] = {
    [MODEL] = "model",
    [STREAM] = "stream",
    [STREAM_OPTIONS] = "stream_options",
    [N] = "n",
    [BEST_OF] = "best_of",
    [MAX_TOKENS] = "max_tokens",
    [MAX_COMPLETION_TOKENS] = "max_completion_tokens",
    [MAX_OUTPUT_TOKENS] = "max_output_tokens",
    [MESSAGES] = "messages",
    [INPUT] = "input",
    [PROMPT] = "prompt",
    [SYSTEM] = "system",
    [INSTRUCTIONS] = "instructions",
    [TOOLS] = "tools",
    [FUNCTIONS] = "functions",
    [PREDICTION] = "prediction",
    [PREVIOUS_RESPONSE_ID] = "previous_response_id",
    [CONVERSATION] = "conversation",
    [BACKGROUND] = "background",
    [MCP_SERVERS] = "mcp_servers",
    [CONTAINER] = "container",
    [WEB_SEARCH_OPTIONS] = "web_search_options",
    [SEARCH_PARAMETERS] = "search_parameters",
    [DATA_SOURCES] = "data_sources",
    [PLUGINS] = "plugins",
    [CHAT_TEMPLATE] = "chat_template",
};

// ---------------------------------------------------------------------------------------------- reading

static hg_err read_body(struct draft *d) {
  if (d->body_len > HG_BODY_MAX)
    return fail(d->why, HG_ERR_INVALID, "the body has %zu bytes; at most %d are sent", d->body_len, HG_BODY_MAX);
  size_t where;
  const char *fault = hg_json_check(d->body, d->body_len, &d->root, &where);
  if (fault) return fail(d->why, HG_ERR_INVALID, "the body is not JSON: %s at byte %zu", fault, where + 1);
  if (d->root.type != HG_JSON_OBJECT) return fail(d->why, HG_ERR_INVALID, "the body is not a JSON object");
  for (enum field f = 0; f < FIELDS; f++)
    d->fields[f].name = field_names[f];
  const char *own_cap = hg_draft_own_cap(d);
  if (own_cap && strlen(own_cap) > HG_LABEL_MAX)
    return fail(d->why, HG_ERR_CONFIG, "llm.outputCapField is longer than %d bytes", HG_LABEL_MAX);
  d->fields[OWN_CAP].name = own_cap;
  hg_json_pick(&d->root, d->fields, FIELDS);
  for (enum field f = 0; f < FIELDS; f++)
    if (d->fields[f].repeated)
      return fail(d->why, HG_ERR_INVALID, "\"%s\" is in the body more than once, and servers differ in which they obey",
                  d->fields[f].name);
  const enum hg_json_type stream = d->fields[STREAM].value.type;
  d->out.streams = hg_endpoint_streams(d->url, stream == HG_JSON_TRUE, stream == HG_JSON_FALSE);
  if (stream != HG_JSON_NONE && stream != HG_JSON_NULL && stream != HG_JSON_FALSE && stream != HG_JSON_TRUE)
    return fail(d->why, HG_ERR_INVALID, "\"stream\" is neither true nor false");
  return HG_OK;
}

// ---------------------------------------------------------------------------------------------- the bound

static const char *outside_member(const struct draft *d) {
  for (enum field f = FIRST_OUTSIDE; f < FIELDS; f++) {
    const struct hg_json *value = &d->fields[f].value;
    const char *cursor = NULL;
    struct hg_json first;
    const bool empty = value->type == HG_JSON_ARRAY && !hg_json_next(value, &cursor, NULL, &first);
    if (!hg_json_is_absent(value) && value->type != HG_JSON_FALSE && !empty) return field_names[f];
  }
  if (d->out.endpoint == HG_ENDPOINT_RESPONSES && !hg_json_is_absent(&d->fields[PROMPT].value)) return "prompt";
  return NULL;
}

// What the endpoint reads; the overhead of one request, and into *prompts how many prompts get choices of their own.
static int64_t count_input(const struct draft *d, struct hg_bound *bound, int64_t *prompts) {
  const struct hg_json_field *f = d->fields;
  *prompts = 1;
  bool chat = false;
  switch (d->out.endpoint) {
  case HG_ENDPOINT_CHAT:
    hg_bound_messages(bound, &f[MESSAGES].value);
    hg_bound_tools(bound, &f[FUNCTIONS].value);
    chat = true;
    break;
  case HG_ENDPOINT_RESPONSES:
    hg_bound_messages(bound, &f[INPUT].value);
    bound->system = bound->system || f[INSTRUCTIONS].value.type == HG_JSON_STRING;
    chat = true;
    break;
  case HG_ENDPOINT_MESSAGES:
    hg_bound_messages(bound, &f[MESSAGES].value);
    hg_bound_messages(bound, &f[SYSTEM].value);
    chat = true;
    break;
  case HG_ENDPOINT_COMPLETIONS: *prompts = hg_bound_prompts(bound, &f[PROMPT].value); break;
  case HG_ENDPOINT_EMBEDDINGS:
    hg_bound_prompts(bound, &f[INPUT].value);
    hg_bound_messages(bound, &f[MESSAGES].value); // multimodal embeddings of compatible servers
    break;
  case HG_ENDPOINT_OTHER:
    chat = d->native.form || hg_endpoint_is_cohere_chat(d->url);
    if (d->native.form) hg_native_count(&d->native, bound);
    else if (chat) hg_bound_cohere_chat(bound, &d->root);
    else if (hg_endpoint_embeds(d->url)) hg_bound_inputs(bound, &d->root);
    else hg_bound_other(bound, &d->root);
    break;
  }
  if (!d->native.form) hg_bound_tools(bound, &f[TOOLS].value);
  if (!chat) return HG_BOUND_ITEM;
  const bool own_system = bound->system || f[SYSTEM].value.type == HG_JSON_STRING;
  return own_system ? HG_BOUND_CHAT : HG_BOUND_CHAT_DEFAULT_SYSTEM;
}

static hg_err refuse_unbounded(struct draft *d, const char *what, const char *advice) {
  d->out.unbounded = true;
  if (d->llm->allow_unbounded) return HG_OK;
  return fail(d->why, HG_ERR_RANGE,
              "unbounded_request: %s %s; or set llm.unbounded to \"allow\" and give up the proof of the limit", what,
              advice);
}

static hg_err check_bounded(struct draft *d, const struct hg_bound *bound) {
  const char *member = outside_member(d);
  const char *what = member ? member : bound->unbounded;
  if (what) return refuse_unbounded(d, what, "uses tokens that the body does not show: remove it");
  if (d->out.endpoint == HG_ENDPOINT_OTHER && d->out.output_cap == 0 && !hg_endpoint_only_reads(d->url))
    return refuse_unbounded(d, "the output of this endpoint", "has no cap: put one into the body (max_tokens)");
  if (bound->media > 0 && d->llm->max_tokens_per_media <= 0)
    return refuse_unbounded(d, "media (image, audio, video or document)",
                            "in the body has no bound: set llm.maxTokensPerMedia to the most that one can cost");
  return HG_OK;
}

static hg_err sum_up(struct draft *d, const struct hg_bound *bound, int64_t overhead, int64_t prompts) {
  struct hg_prepared *out = &d->out;
  const int64_t per_media = d->llm->max_tokens_per_media > 0 ? d->llm->max_tokens_per_media : 0;
  const struct hg_json *prediction = &d->fields[PREDICTION].value;
  const int64_t predicted = out->output_cap > 0 && !hg_json_is_absent(prediction) ? (int64_t)prediction->len : 0;
  int64_t media, output;
  if (__builtin_mul_overflow(bound->media, per_media, &media) ||
      __builtin_add_overflow(hg_bound_tokens(bound, overhead), media, &out->input_bound) ||
      __builtin_mul_overflow(out->choices, prompts, &out->choices) ||
      __builtin_mul_overflow(out->shown, prompts, &out->shown) ||
      __builtin_mul_overflow(out->choices, out->output_cap + predicted, &output) ||
      __builtin_add_overflow(out->input_bound, output, &out->max_tokens) || out->max_tokens > HG_TOKENS_MAX ||
      out->choices > HG_TOKENS_MAX)
    return fail(
        d->why, HG_ERR_INVALID,
        "the request may use more than 2^53 - 1 tokens: lower its output cap, its \"n\" or llm.maxTokensPerMedia");
  out->predicted = predicted;
  const bool may_cap = d->llm->may_cap_output && !d->native.form;
  const int64_t least = may_cap ? hg_output_least(&d->root, out->output_cap) : out->output_cap;
  out->least = out->min_tokens = out->max_tokens - out->choices * (out->output_cap - least);
  out->most = out->max_tokens;
  return HG_OK;
}

// ---------------------------------------------------------------------------------------------- writing

// Replaces the member's value, or puts the member first into the object.
static void set_member(const struct draft *d, enum field f, const char *value, bool last, struct hg_edit *edit) {
  const struct hg_json *old = &d->fields[f].value;
  if (old->type != HG_JSON_NONE) {
    edit->at = old->at;
    edit->cut = old->len;
    snprintf(edit->text, sizeof edit->text, "%s", value);
    return;
  }
  char name[2 * HG_LABEL_MAX + 3];
  hg_json_quote(name, d->fields[f].name);
  edit->at = d->root.at + 1;
  edit->cut = 0;
  snprintf(edit->text, sizeof edit->text, "%s:%s%s", name, value, last ? "" : ",");
}

// Streams of OpenAI's older endpoints, and of what is compatible with them, say what they used only when they are asked
// to. A body that says no is obeyed, and charged its whole reservation. False: nothing is to be written.
static bool ask_for_usage(const struct draft *d, struct hg_edit *edit) {
  const struct hg_json *options = &d->fields[STREAM_OPTIONS].value;
  const bool silent = d->out.endpoint == HG_ENDPOINT_CHAT || d->out.endpoint == HG_ENDPOINT_COMPLETIONS;
  struct hg_json_field include = {.name = "include_usage"};
  if (!d->out.streams || !silent) return false;
  if (hg_json_is_absent(options)) {
    set_member(d, STREAM_OPTIONS, "{\"include_usage\":true}", false, edit);
    return true;
  }
  hg_json_pick(options, &include, 1);
  if (options->type != HG_JSON_OBJECT || !hg_json_is_absent(&include.value)) return false;
  if (include.value.type == HG_JSON_NULL) {
    *edit = (struct hg_edit){.at = include.value.at, .cut = include.value.len, .text = "true"};
    return true;
  }
  const char *cursor = NULL;
  struct hg_json name, first;
  *edit = (struct hg_edit){.at = options->at + 1};
  const bool has_more = hg_json_next(options, &cursor, &name, &first);
  snprintf(edit->text, sizeof edit->text, "\"include_usage\":true%s", has_more ? "," : "");
  return true;
}

static hg_err check_model(struct draft *d, char quoted[2 * HG_LABEL_MAX + 3]) {
  struct hg_json root;
  if (strlen(d->model) > HG_LABEL_MAX)
    return fail(d->why, HG_ERR_INVALID, "the model's name is longer than %d bytes", HG_LABEL_MAX);
  hg_json_quote(quoted, d->model);
  if (hg_json_check(quoted, strlen(quoted), &root, NULL))
    return fail(d->why, HG_ERR_INVALID, "the model's name is not UTF-8 or has control characters");
  return HG_OK;
}

static hg_err write_body(struct draft *d) {
  struct hg_edit edits[3];
  size_t count = 0;
  const char *cursor = NULL;
  struct hg_json name, first;
  const bool empty = !hg_json_next(&d->root, &cursor, &name, &first);
  if (d->native.form && d->native.output_cap == 0)
    hg_native_write(&d->native, d->out.output_cap, !d->model, &edits[count++]);
  if (d->cap_field != FIELDS) {
    char value[24];
    snprintf(value, sizeof value, "%" PRId64, d->out.output_cap);
    set_member(d, d->cap_field, value, empty && !d->model, &edits[count++]);
  }
  if (d->model) {
    char quoted[2 * HG_LABEL_MAX + 3];
    const hg_err err = check_model(d, quoted);
    if (err) return err;
    set_member(d, MODEL, quoted, empty, &edits[count++]);
  }
  count += ask_for_usage(d, &edits[count]);
  d->out.body = hg_edits_apply(d->body, d->body_len, edits, count, &d->out.body_len);
  return d->out.body ? HG_OK : fail(d->why, HG_ERR_NO_MEMORY, "no memory for a body of %zu bytes", d->body_len);
}

static hg_err prepare(struct draft *d) {
  hg_err err = read_body(d);
  if (!err) err = hg_draft_cap(d);
  const bool has_choices = d->out.output_cap > 0 && !d->native.form && d->out.endpoint != HG_ENDPOINT_RESPONSES &&
                           d->out.endpoint != HG_ENDPOINT_MESSAGES;
  if (!err && has_choices) err = hg_draft_count(d, N, &d->out.choices);
  d->out.shown = d->out.choices;
  if (!err && has_choices) err = hg_draft_count(d, BEST_OF, &d->out.choices);
  if (!err) err = write_body(d);
  if (err) return err;
  int64_t prompts;
  struct hg_bound bound = {.text_bytes = (int64_t)d->out.body_len};
  const int64_t overhead = count_input(d, &bound, &prompts);
  err = sum_up(d, &bound, overhead, prompts);
  return err ? err : check_bounded(d, &bound);
}

hg_err hg_request_prepare(const char *url, const char *body, size_t body_len, const struct hg_llm_config *llm,
                          const char *model, struct hg_prepared *out, hg_error *why) {
  struct draft d = {.url = url, .llm = llm, .body = body, .body_len = body_len, .model = model, .why = why};
  d.out.endpoint = hg_endpoint_of(url);
  hg_endpoint_model(url, d.out.model);
  const bool by_url = d.out.model[0] != '\0';
  if (by_url) d.model = NULL;
  const hg_err err = prepare(&d);
  if (!err && d.model) snprintf(d.out.model, sizeof d.out.model, "%s", model);
  else if (!err && !by_url) hg_json_copy(&d.fields[MODEL].value, d.out.model, sizeof d.out.model);
  if (err) hg_prepared_clear(&d.out);
  *out = d.out;
  return err;
}

void hg_prepared_clear(struct hg_prepared *prepared) {
  free(prepared->body);
  *prepared = (struct hg_prepared){.endpoint = HG_ENDPOINT_OTHER};
}
