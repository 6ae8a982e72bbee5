// Walks messages, tools and prompts and counts what bound.h names.
#include "providers/bound.h"

#include <string.h>

// No server reads content deeper than this (message, content, tool result, content, document, source, content, image);
// the limit keeps a hostile body from costing its length times its depth.
#define WALK_DEPTH_MAX 16

// ---------------------------------------------------------------------------------------------- content

static const char *const media_types[] = {"image_url",
                                          "input_image",
                                          "image",
                                          "input_audio",
                                          "audio_url",
                                          "video_url",
                                          "audio",
                                          "video",
                                          "input_video",
                                          "file",
                                          "input_file",
                                          "document",
                                          "image_pil",
                                          "image_embeds",
                                          "audio_embeds",
                                          "computer_screenshot",
                                          "document_url",
                                          "container_upload",
                                          "image_generation_call",
                                          NULL};
// Members that make an object a media part whatever its type says, as servers that know the part by its member read it.
static const char *const media_members[] = {"image_url", "input_audio", "audio_url", "video_url", "document_url",
                                            "file_data", "file_id",     "file_url",  NULL};
static const char *const gemini_media_members[] = {"inlineData", "inline_data", "fileData", NULL};
// Strings inside a media part that are its content, or its address, and no text for the model.
static const char *const payload_members[] = {"data",      "url",          "image_url", "audio_url", "video_url",
                                              "file_data", "document_url", "result",    NULL};

// A document whose source is text in the body is text, not media.
static bool is_text_source(const struct hg_json *source) {
  struct hg_json_field type = {.name = "type"};
  hg_json_pick(source, &type, 1);
  return hg_json_is(&type.value, "text") || hg_json_is(&type.value, "content");
}

// Cohere's documents are text, in a member of that name.
static bool is_media(const struct hg_bound *bound, const struct hg_json *part) {
  const char *cursor = NULL;
  struct hg_json name, value;
  bool by_type = false, by_member = false, text_document = false, document = false;
  while (hg_json_next(part, &cursor, &name, &value)) {
    if (hg_json_is(&name, "source")) text_document = is_text_source(&value);
    if (hg_json_is(&name, "type")) {
      document = hg_json_is(&value, "document");
      by_type = by_type || hg_json_is_one_of(&value, media_types);
    }
    if (bound->dialect == HG_BOUND_COHERE && hg_json_is(&name, "document")) text_document = true;
    if (hg_json_is_absent(&value)) continue;
    if (hg_json_is_one_of(&name, media_members)) by_member = true;
    if (bound->dialect == HG_BOUND_GEMINI && hg_json_is_one_of(&name, gemini_media_members)) by_member = true;
  }
  return by_member || (by_type && !(document && text_document));
}

static void omit_payload(struct hg_bound *bound, const struct hg_json *part, int depth) {
  const char *cursor = NULL;
  struct hg_json name, value;
  while (depth < WALK_DEPTH_MAX && hg_json_next(part, &cursor, &name, &value)) {
    if (value.type == HG_JSON_STRING && hg_json_is_one_of(&name, payload_members))
      bound->text_bytes -= (int64_t)value.len;
    else omit_payload(bound, &value, depth + 1);
  }
}

static void walk(struct hg_bound *bound, const struct hg_json *value, int depth) {
  if (depth == WALK_DEPTH_MAX) return;
  if (value->type == HG_JSON_OBJECT && is_media(bound, value)) {
    bound->media++;
    omit_payload(bound, value, depth);
    return;
  }
  const char *cursor = NULL;
  struct hg_json name, inner;
  while (hg_json_next(value, &cursor, &name, &inner)) {
    if (hg_json_is(&name, "type") && hg_json_is(&inner, "item_reference")) bound->unbounded = "an item_reference";
    if (inner.type == HG_JSON_OBJECT || inner.type == HG_JSON_ARRAY) walk(bound, &inner, depth + 1);
  }
}

void hg_bound_messages(struct hg_bound *bound, const struct hg_json *messages) {
  bound->items++;
  walk(bound, messages, 0);
  if (messages->type != HG_JSON_ARRAY) return;
  const char *cursor = NULL;
  struct hg_json message;
  while (hg_json_next(messages, &cursor, NULL, &message)) {
    bound->items++;
    struct hg_json_field fields[] = {{.name = "role"}, {.name = "type"}, {.name = "id"}};
    hg_json_pick(&message, fields, 3);
    if (hg_json_is(&fields[0].value, "system") || hg_json_is(&fields[0].value, "developer")) bound->system = true;
    // An item that is nothing but an id stands for a stored one.
    if (hg_json_is_absent(&fields[0].value) && hg_json_is_absent(&fields[1].value) &&
        !hg_json_is_absent(&fields[2].value))
      bound->unbounded = "an item that is only an id";
  }
}

// ---------------------------------------------------------------------------------------------- tools and prompts

void hg_bound_tools(struct hg_bound *bound, const struct hg_json *tools) {
  if (tools->type != HG_JSON_ARRAY) return;
  // Templates print the schemas again with indentation: at most about one more token for a byte of them.
  bound->tool_bytes += (int64_t)tools->len;
  const char *cursor = NULL;
  struct hg_json tool;
  while (hg_json_next(tools, &cursor, NULL, &tool)) {
    bound->tools++;
    const char *inside = NULL;
    struct hg_json name, value;
    while (hg_json_next(&tool, &inside, &name, &value))
      if (hg_json_is(&name, "type") && !hg_json_is_absent(&value) && !hg_json_is(&value, "function") &&
          !hg_json_is(&value, "custom"))
        bound->unbounded = "a tool that the server runs";
  }
}

// Takes an array of numbers out of the text. False: it is none.
static bool take_token_ids(struct hg_bound *bound, const struct hg_json *array) {
  const char *cursor = NULL;
  struct hg_json id;
  int64_t count = 0;
  for (; hg_json_next(array, &cursor, NULL, &id); count++)
    if (id.type != HG_JSON_NUMBER) return false;
  if (count == 0) return false;
  bound->token_ids += count;
  bound->text_bytes -= (int64_t)array->len;
  return true;
}

int64_t hg_bound_prompts(struct hg_bound *bound, const struct hg_json *prompts) {
  int64_t count = 1;
  if (prompts->type == HG_JSON_ARRAY && !take_token_ids(bound, prompts)) {
    count = 0;
    const char *cursor = NULL;
    struct hg_json prompt;
    for (; hg_json_next(prompts, &cursor, NULL, &prompt); count++)
      if (prompt.type != HG_JSON_ARRAY || !take_token_ids(bound, &prompt)) walk(bound, &prompt, 0);
    if (count == 0) count = 1;
  } else if (prompts->type == HG_JSON_OBJECT) {
    walk(bound, prompts, 0);
  }
  bound->items += count;
  return count;
}

void hg_bound_other(struct hg_bound *bound, const struct hg_json *body) {
  int64_t most = 1, beside = 0;
  const char *cursor = NULL;
  struct hg_json name, value;
  while (hg_json_next(body, &cursor, &name, &value)) {
    const char *inside = NULL;
    struct hg_json element;
    int64_t count = 0;
    if (value.type == HG_JSON_ARRAY)
      while (hg_json_next(&value, &inside, NULL, &element))
        count++;
    if (count <= most) continue;
    most = count;
    beside = (int64_t)(body->len - value.len);
  }
  const int64_t media = bound->media;
  walk(bound, body, 0);
  bound->media += (bound->media - media) * (most - 1); // any of them may be the part that is read again
  bound->text_bytes += beside * (most - 1);
  bound->items += most;
}

// Images may be strings, Cohere's are. Whatever else a member is, it is one item, or one for each element.
void hg_bound_inputs(struct hg_bound *bound, const struct hg_json *body) {
  const char *cursor = NULL;
  struct hg_json name, value, element;
  while (hg_json_next(body, &cursor, &name, &value)) {
    const char *inside = NULL;
    bound->items++;
    while (value.type == HG_JSON_ARRAY && hg_json_next(&value, &inside, NULL, &element)) {
      bound->items++;
      if (element.type != HG_JSON_STRING || !hg_json_is(&name, "images")) continue;
      bound->media++;
      bound->text_bytes -= (int64_t)element.len;
    }
  }
  bound->dialect = HG_BOUND_GEMINI;
  walk(bound, body, 0);
}

void hg_bound_cohere_chat(struct hg_bound *bound, const struct hg_json *body) {
  struct hg_json_field fields[] = {{.name = "messages"}, {.name = "documents"}};
  const char *cursor = NULL;
  struct hg_json document;
  hg_json_pick(body, fields, 2);
  bound->dialect = HG_BOUND_COHERE;
  hg_bound_messages(bound, &fields[0].value);
  while (fields[1].value.type == HG_JSON_ARRAY && hg_json_next(&fields[1].value, &cursor, NULL, &document))
    bound->tools++;
}

int64_t hg_bound_tokens(const struct hg_bound *bound, int64_t overhead) {
  int64_t tokens = overhead + bound->text_bytes + bound->token_ids + bound->items * HG_BOUND_ITEM;
  if (bound->tools > 0) tokens += HG_BOUND_TOOLS + bound->tools * HG_BOUND_TOOL + bound->tool_bytes;
  return tokens;
}
