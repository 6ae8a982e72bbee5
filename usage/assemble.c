// What each kind's events do to the answer.
#include "usage/assemble.h"

static const struct hg_json null = {HG_JSON_NULL, "null", 4};

void hg_assembly_init(struct hg_assembly *assembly) {
  hg_merge_init(&assembly->merge);
  assembly->kind = HG_STREAM_OTHER;
}

void hg_assembly_clear(struct hg_assembly *assembly) {
  hg_merge_clear(&assembly->merge);
}

static void put(struct hg_assembly *assembly, const char *name, const struct hg_json *value) {
  struct hg_merge *merge = &assembly->merge;
  if (value->type != HG_JSON_NONE) hg_merge_set(merge, hg_merge_member(merge, &merge->root, name), value);
}

// ---------------------------------------------------------------------------------------------- Anthropic

static struct hg_merge_node *block_of(struct hg_assembly *assembly, const struct hg_json *index) {
  int64_t number;
  struct hg_merge *merge = &assembly->merge;
  if (hg_json_tokens(index, &number)) return NULL;
  return hg_merge_element(merge, hg_merge_member(merge, &merge->root, "content"), number);
}

// A piece of a block: text, thinking, a signature; the tool's input as text; a citation.
static void take_piece(struct hg_assembly *assembly, struct hg_merge_node *block, const struct hg_json *piece) {
  struct hg_merge *merge = &assembly->merge;
  const char *cursor = NULL;
  struct hg_json name, value;
  while (hg_json_next(piece, &cursor, &name, &value)) {
    const bool text = value.type == HG_JSON_STRING;
    if (hg_json_is(&name, "type")) continue;
    if (hg_json_is(&name, "citation")) hg_merge_add_element(merge, hg_merge_member(merge, block, "citations"), &value);
    else if (text && hg_json_is(&name, "partial_json"))
      hg_merge_append(merge, hg_merge_member(merge, block, "input"), &value, HG_MERGE_JSON);
    else if (text) hg_merge_append(merge, hg_merge_named(merge, block, &name), &value, HG_MERGE_TEXT);
    else hg_merge_set(merge, hg_merge_named(merge, block, &name), &value);
  }
}

// The strings that a block begins with grow; what names something does not.
static void begin_block(struct hg_assembly *assembly, struct hg_merge_node *block, const struct hg_json *begun) {
  struct hg_merge *merge = &assembly->merge;
  const char *cursor = NULL;
  struct hg_json name, value;
  if (!block) return;
  hg_merge_value(merge, block, begun, HG_MERGE_REPLACE);
  while (hg_json_next(begun, &cursor, &name, &value)) {
    const bool grows = hg_json_is(&name, "text") || hg_json_is(&name, "thinking") || hg_json_is(&name, "signature");
    if (grows && value.type == HG_JSON_STRING)
      hg_merge_append(merge, hg_merge_named(merge, block, &name), &value, HG_MERGE_TEXT);
  }
}

// The output of the first event is no count; null stands in its place until there is one.
static void begin_message(struct hg_assembly *assembly, const struct hg_json *message) {
  struct hg_merge *merge = &assembly->merge;
  struct hg_json_field usage = {.name = "usage"}, output = {.name = "output_tokens"};
  hg_merge_value(merge, &merge->root, message, HG_MERGE_REPLACE);
  hg_json_pick(message, &usage, 1);
  hg_json_pick(&usage.value, &output, 1);
  if (output.value.type != HG_JSON_NONE)
    hg_merge_set(merge, hg_merge_member(merge, hg_merge_member(merge, &merge->root, "usage"), "output_tokens"), &null);
  hg_merge_empty_array(merge, hg_merge_member(merge, &merge->root, "content"));
}

static void take_anthropic(struct hg_assembly *assembly, const struct hg_answer *event) {
  struct hg_merge *merge = &assembly->merge;
  struct hg_json_field fields[] = {{.name = "index"}, {.name = "content_block"}};
  const struct hg_json *type = hg_answer_member(event, HG_ANSWER_TYPE);
  const struct hg_json *delta = hg_answer_member(event, HG_ANSWER_DELTA);
  hg_json_pick(&event->root, fields, 2);
  if (hg_json_is(type, "message_start")) {
    begin_message(assembly, hg_answer_member(event, HG_ANSWER_MESSAGE));
  } else if (hg_json_is(type, "content_block_start")) {
    begin_block(assembly, block_of(assembly, &fields[0].value), &fields[1].value);
  } else if (hg_json_is(type, "content_block_delta")) {
    take_piece(assembly, block_of(assembly, &fields[0].value), delta);
  } else if (hg_json_is(type, "message_delta")) {
    hg_merge_value(merge, &merge->root, delta, HG_MERGE_REPLACE);
    const struct hg_json *usage = hg_answer_member(event, HG_ANSWER_USAGE);
    hg_merge_value(merge, hg_merge_member(merge, &merge->root, "usage"), usage, HG_MERGE_REPLACE);
  }
}

// ---------------------------------------------------------------------------------------------- all kinds

static void take_as_it_is(struct hg_assembly *assembly, const struct hg_answer *event) {
  static const struct hg_json stream = {HG_JSON_STRING, "\"stream\"", 8};
  struct hg_merge *merge = &assembly->merge;
  put(assembly, "object", &stream);
  hg_merge_add_element(merge, hg_merge_member(merge, &merge->root, "events"), &event->root);
}

static void put_error(struct hg_assembly *assembly, const struct hg_stream_error *error) {
  struct hg_merge *merge = &assembly->merge;
  put(assembly, "error", &error->value);
  if (error->name.type == HG_JSON_NONE || error->value.type != HG_JSON_OBJECT) return;
  struct hg_merge_node *node = hg_merge_member(merge, &merge->root, "error");
  hg_merge_value(merge, node, &error->value, HG_MERGE_REPLACE); // an object, so that it takes one more member
  hg_merge_set(merge, hg_merge_member(merge, node, "type"), &error->name);
}

void hg_assembly_take(void *context, enum hg_stream_kind kind, const struct hg_answer *event,
                      const struct hg_stream_error *error) {
  struct hg_assembly *assembly = context;
  struct hg_merge *merge = &assembly->merge;
  const struct hg_json *response = hg_answer_member(event, HG_ANSWER_RESPONSE);
  if (kind != assembly->kind && !merge->err) { // what came before it was known says nothing of the answer
    hg_merge_clear(merge);
    hg_merge_init(merge);
    assembly->kind = kind;
  }
  const bool is_error = error && error->value.at == event->root.at;
  switch (kind) {
  case HG_STREAM_CHAT:
    if (!is_error) hg_merge_value(merge, &merge->root, &event->root, HG_MERGE_REPLACE);
    break;
  case HG_STREAM_ANTHROPIC: take_anthropic(assembly, event); break;
  case HG_STREAM_RESPONSES:
    if (response->type == HG_JSON_OBJECT) hg_merge_set_members(merge, &merge->root, response);
    break;
  case HG_STREAM_GEMINI:
  case HG_STREAM_BEDROCK:
  case HG_STREAM_OLLAMA:
  case HG_STREAM_COHERE:
  case HG_STREAM_OTHER: take_as_it_is(assembly, event); break;
  }
  if (error) put_error(assembly, error);
}

// Null in the place of each member that counts are read out of. A single choice may have a usage of its own.
static void forget(struct hg_merge *merge, struct hg_merge_node *object, bool is_choice) {
  for (struct hg_merge_node *member = object->first; member; member = member->next) {
    const struct hg_json name = {HG_JSON_STRING, member->name.data, member->name.len};
    const bool counts = is_choice ? hg_json_is(&name, "usage") : hg_counts_stand_in(&name);
    if (counts) hg_merge_set(merge, member, &null);
    if (is_choice || !hg_json_is(&name, "choices")) continue;
    for (struct hg_merge_node *choice = member->first; choice; choice = choice->next)
      forget(merge, choice, true);
  }
}

void hg_assembly_forget_usage(struct hg_assembly *assembly) {
  switch (assembly->kind) {
  case HG_STREAM_CHAT:
  case HG_STREAM_RESPONSES:
  case HG_STREAM_ANTHROPIC:
    put(assembly, "usage", &null);
    forget(&assembly->merge, &assembly->merge.root, false);
    return;
  case HG_STREAM_GEMINI: // of these it stands inside the events, where no reader of an answer looks
  case HG_STREAM_BEDROCK:
  case HG_STREAM_OLLAMA:
  case HG_STREAM_COHERE:
  case HG_STREAM_OTHER: return;
  }
}

hg_err hg_assembly_print(const struct hg_assembly *assembly, struct hg_text_buffer *out) {
  const struct hg_merge *merge = &assembly->merge;
  if (merge->root.form == HG_MERGE_EMPTY && !merge->err)
    return hg_text_buffer_add_text(out, "{\"object\":\"stream\",\"events\":[]}");
  return hg_merge_print(merge, &merge->root, out);
}
