// Finds caps, media and tools of native requests.
#include "providers/native.h"

#include "providers/fail.h"
#include "providers/request.h"

#include <inttypes.h>
#include <string.h>

#define DEPTH_MAX 16 // as in bound.c

// Members go by two names where the server takes both (protobuf's JSON); the first is the one that is written.
struct hg_native_form {
  const char *ends[3]; // of the url's path
  const char *groups[2], *caps[2], *choices[2];
  const char *messages[2], *systems[2];
  const char *outside[4];   // members that bring in text that the body does not show
  const char *payloads[5];  // members of a part that make it media; NULL behind the last
  bool payload_has_source;  // or else they are no such thing
  const char *tool_group;   // the member that has the tools; NULL: the body
  const char *own_tools[3]; // what a tool that the caller runs is called; NULL: tools are as in chat
};

static const struct hg_native_form forms[] = {{.ends = {":generateContent", ":streamGenerateContent"},
                                               .groups = {"generationConfig", "generation_config"},
                                               .caps = {"maxOutputTokens", "max_output_tokens"},
                                               .choices = {"candidateCount", "candidate_count"},
                                               .messages = {"contents"},
                                               .systems = {"systemInstruction", "system_instruction"},
                                               .outside = {"cachedContent", "cached_content"},
                                               .payloads = {"inlineData", "inline_data", "fileData", "file_data"},
                                               .own_tools = {"functionDeclarations", "function_declarations"}},
                                              {.ends = {"/api/chat", "/api/generate"},
                                               .groups = {"options"},
                                               .caps = {"num_predict"},
                                               .messages = {"messages"},
                                               .systems = {"system"},
                                               .outside = {"template"}},
                                              {.ends = {"/converse", "/converse-stream"},
                                               .groups = {"inferenceConfig"},
                                               .caps = {"maxTokens"},
                                               .messages = {"messages"},
                                               .systems = {"system"},
                                               .outside = {"promptVariables"},
                                               .payloads = {"image", "document", "video", "audio"},
                                               .payload_has_source = true,
                                               .tool_group = "toolConfig",
                                               .own_tools = {"toolSpec", "cachePoint"}}};

const struct hg_native_form *hg_native_form_of(const char *url) {
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
    for (size_t k = 0; k < 2; k++)
      if (hg_endpoint_ends_with(url, forms[i].ends[k])) return &forms[i];
  return NULL;
}

// ---------------------------------------------------------------------------------------------- the cap

// A member under either of its names. NULL, or the fault.
static const char *pick(const struct hg_json *object, const char *const names[2], struct hg_json *out) {
  struct hg_json_field fields[] = {{.name = names[0]}, {.name = names[1]}};
  *out = (struct hg_json){.type = HG_JSON_NONE};
  if (!names[0] || object->type != HG_JSON_OBJECT) return NULL;
  hg_json_pick(object, fields, names[1] ? 2 : 1);
  const bool both = fields[0].value.type != HG_JSON_NONE && fields[1].value.type != HG_JSON_NONE;
  *out = fields[fields[0].value.type == HG_JSON_NONE].value;
  return both || fields[0].repeated || fields[1].repeated ? "is in the body more than once" : NULL;
}

static const char *read_count(const struct hg_json *value, int64_t *out) {
  if (hg_json_is_absent(value)) return NULL;
  const char *fault = hg_json_tokens(value, out);
  return fault ? fault : *out == 0 ? "is 0" : NULL;
}

#define ADDITIONS "additionalModelRequestFields"

// NULL: the members that are looked at are there once at most, as servers differ in which they obey.
static const char *repeated_member(const struct hg_native_form *form, const struct hg_json *body) {
  struct hg_json_field fields[] = {{.name = form->messages[0]}, {.name = form->systems[0]}, {.name = form->systems[1]},
                                   {.name = form->outside[0]},  {.name = form->outside[1]}, {.name = form->tool_group},
                                   {.name = ADDITIONS},         {.name = "images"}};
  struct hg_json_field tools = {.name = "tools"};
  const size_t count = sizeof fields / sizeof *fields;
  hg_json_pick(body, fields, count);
  for (size_t i = 0; i < count; i++)
    if (fields[i].repeated) return fields[i].name;
  if (fields[5].value.type == HG_JSON_OBJECT) hg_json_pick(&fields[5].value, &tools, 1);
  return tools.repeated ? tools.name : NULL;
}

hg_err hg_native_read(const struct hg_native_form *form, const struct hg_json *body, struct hg_native *out,
                      hg_error *why) {
  *out = (struct hg_native){.form = form, .body = *body, .choices = 1};
  struct hg_json choices;
  const char *twice = repeated_member(form, body);
  if (twice) return fail(why, HG_ERR_INVALID, "\"%s\" is in the body more than once", twice);
  const char *fault = pick(body, form->groups, &out->group);
  if (!fault && !hg_json_is_absent(&out->group) && out->group.type != HG_JSON_OBJECT) fault = "is no object";
  if (fault) return fail(why, HG_ERR_INVALID, "\"%s\" %s", form->groups[0], fault);
  fault = pick(&out->group, form->caps, &out->cap);
  if (!fault) fault = read_count(&out->cap, &out->output_cap);
  if (fault)
    return fail(why, HG_ERR_INVALID, "\"%s.%s\" %s; a whole number from 1 to 2^53 - 1 is needed", form->groups[0],
                form->caps[0], fault);
  fault = pick(&out->group, form->choices, &choices);
  if (!fault) fault = read_count(&choices, &out->choices);
  return fault ? fail(why, HG_ERR_INVALID, "\"%s.%s\" %s", form->groups[0], form->choices[0], fault) : HG_OK;
}

static bool is_empty(const struct hg_json *object) {
  const char *cursor = NULL;
  struct hg_json name, first;
  return !hg_json_next(object, &cursor, &name, &first);
}

void hg_native_write(const struct hg_native *native, int64_t cap, bool alone, struct hg_edit *edit) {
  const struct hg_json *old = native->cap.type != HG_JSON_NONE ? &native->cap : &native->group;
  const char *group = native->form->groups[0], *name = native->form->caps[0];
  *edit = (struct hg_edit){.at = old->at, .cut = old->len};
  if (native->cap.type != HG_JSON_NONE) {
    snprintf(edit->text, sizeof edit->text, "%" PRId64, cap);
  } else if (native->group.type == HG_JSON_OBJECT) {
    edit->at++;
    edit->cut = 0;
    snprintf(edit->text, sizeof edit->text, "\"%s\":%" PRId64 "%s", name, cap, is_empty(&native->group) ? "" : ",");
  } else if (native->group.type != HG_JSON_NONE) {
    snprintf(edit->text, sizeof edit->text, "{\"%s\":%" PRId64 "}", name, cap);
  } else {
    edit->at = native->body.at + 1;
    edit->cut = 0;
    snprintf(edit->text, sizeof edit->text, "\"%s\":{\"%s\":%" PRId64 "}%s", group, name, cap,
             alone && is_empty(&native->body) ? "" : ",");
  }
}

// ---------------------------------------------------------------------------------------------- the bound

// A part's payload is media, and its base64 no text. False: it is no payload.
static bool take_payload(const struct hg_native_form *form, struct hg_bound *bound, const struct hg_json *payload) {
  struct hg_json_field source = {.name = "source"}, data = {.name = form->payload_has_source ? "bytes" : "data"};
  if (payload->type != HG_JSON_OBJECT) return false;
  if (form->payload_has_source) hg_json_pick(payload, &source, 1);
  else source.value = *payload;
  if (source.value.type != HG_JSON_OBJECT) return false;
  hg_json_pick(&source.value, &data, 1);
  if (data.value.type == HG_JSON_STRING) bound->text_bytes -= (int64_t)data.value.len;
  bound->media++;
  return true;
}

// What tools are given and give back is text, whatever its members are called.
static void find_media(const struct hg_native_form *form, struct hg_bound *bound, const struct hg_json *value,
                       int depth) {
  static const char *const texts[] = {"args", "response", "input", "json", NULL};
  const char *cursor = NULL;
  struct hg_json name, inner;
  while (depth < DEPTH_MAX && hg_json_next(value, &cursor, &name, &inner)) {
    if (hg_json_is_one_of(&name, texts)) continue;
    if (hg_json_is_one_of(&name, form->payloads) && take_payload(form, bound, &inner)) continue;
    if (inner.type == HG_JSON_OBJECT || inner.type == HG_JSON_ARRAY) find_media(form, bound, &inner, depth + 1);
  }
}

static void count_items(struct hg_bound *bound, const struct hg_json *messages) {
  const char *cursor = NULL;
  struct hg_json message;
  bound->items++;
  while (messages->type == HG_JSON_ARRAY && hg_json_next(messages, &cursor, NULL, &message))
    bound->items++;
}

// Ollama's: an array of base64, in the body or in a message.
static void take_images(struct hg_bound *bound, const struct hg_json *object) {
  struct hg_json_field images = {.name = "images"};
  const char *cursor = NULL;
  struct hg_json image;
  if (object->type == HG_JSON_OBJECT) hg_json_pick(object, &images, 1);
  while (images.value.type == HG_JSON_ARRAY && hg_json_next(&images.value, &cursor, NULL, &image)) {
    if (image.type == HG_JSON_STRING) bound->text_bytes -= (int64_t)image.len;
    bound->media++;
  }
}

static void take_images_of_all(struct hg_bound *bound, const struct hg_json *body, const struct hg_json *messages) {
  const char *cursor = NULL;
  struct hg_json message;
  take_images(bound, body);
  while (messages->type == HG_JSON_ARRAY && hg_json_next(messages, &cursor, NULL, &message))
    take_images(bound, &message);
}

// One entry of the tools: it may declare several, and whatever else it is the server runs.
static void count_tool(const struct hg_native_form *form, struct hg_bound *bound, const struct hg_json *tool) {
  const char *cursor = NULL, *inside = NULL;
  struct hg_json name, value, declared;
  while (tool->type == HG_JSON_OBJECT && hg_json_next(tool, &cursor, &name, &value)) {
    if (!hg_json_is_one_of(&name, form->own_tools)) bound->unbounded = "a tool that the server runs";
    while (value.type == HG_JSON_ARRAY && hg_json_next(&value, &inside, NULL, &declared))
      bound->tools++;
    inside = NULL;
  }
}

static void count_tools(const struct hg_native *native, struct hg_bound *bound) {
  struct hg_json_field group = {.name = native->form->tool_group}, tools = {.name = "tools"};
  if (group.name) hg_json_pick(&native->body, &group, 1);
  const struct hg_json *holder = group.name ? &group.value : &native->body;
  if (holder->type == HG_JSON_OBJECT) hg_json_pick(holder, &tools, 1);
  hg_bound_tools(bound, &tools.value);
  const char *cursor = NULL;
  struct hg_json tool;
  while (native->form->own_tools[0] && tools.value.type == HG_JSON_ARRAY &&
         hg_json_next(&tools.value, &cursor, NULL, &tool))
    count_tool(native->form, bound, &tool);
}

// What Converse hands to a model as it is: fields of its own API, which may have tools, texts and caps of theirs.
static const char *unknown_addition(const struct hg_json *body) {
  static const char *const known[] = {"thinking", "reasoning_config", "top_k", NULL};
  struct hg_json_field more = {.name = ADDITIONS};
  const char *cursor = NULL;
  struct hg_json name, value;
  hg_json_pick(body, &more, 1);
  while (more.value.type == HG_JSON_OBJECT && hg_json_next(&more.value, &cursor, &name, &value))
    if (!hg_json_is_one_of(&name, known)) return more.name;
  return NULL;
}

static const char *outside_member(const struct hg_native *native) {
  for (size_t i = 0; i < 4 && native->form->outside[i]; i++) {
    struct hg_json_field field = {.name = native->form->outside[i]};
    hg_json_pick(&native->body, &field, 1);
    if (!hg_json_is_absent(&field.value)) return field.name;
  }
  return native->form->tool_group ? unknown_addition(&native->body) : NULL;
}

void hg_native_count(const struct hg_native *native, struct hg_bound *bound) {
  const struct hg_native_form *form = native->form;
  struct hg_json messages, system;
  (void)pick(&native->body, form->messages, &messages);
  (void)pick(&native->body, form->systems, &system);
  if (form->payloads[0]) {
    count_items(bound, &messages);
    find_media(form, bound, &native->body, 0);
  } else {
    hg_bound_messages(bound, &messages);
    take_images_of_all(bound, &native->body, &messages);
  }
  bound->system = bound->system || !hg_json_is_absent(&system);
  count_tools(native, bound);
  const char *outside = outside_member(native);
  if (outside) bound->unbounded = outside;
}
