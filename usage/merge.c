// The tree, and what is done when something comes again.
#include "usage/merge.h"

#include "schemas/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void hg_merge_init(struct hg_merge *merge) {
  *merge = (struct hg_merge){.err = HG_OK};
}

static void drop(struct hg_merge *merge, struct hg_text_buffer *buffer) {
  merge->bytes -= buffer->len;
  hg_text_buffer_clear(buffer);
}

static void clear_node(struct hg_merge *merge, struct hg_merge_node *node) {
  while (node->first) {
    struct hg_merge_node *child = node->first;
    node->first = child->next;
    clear_node(merge, child);
    drop(merge, &child->name);
    free(child);
    merge->nodes--;
  }
  node->children = 0;
  drop(merge, &node->text);
  node->form = HG_MERGE_EMPTY;
}

void hg_merge_clear(struct hg_merge *merge) {
  clear_node(merge, &merge->root);
}

static void become(struct hg_merge *merge, struct hg_merge_node *node, enum hg_merge_form form) {
  if (node->form == form) return;
  clear_node(merge, node);
  node->form = form;
}

static void add(struct hg_merge *merge, struct hg_text_buffer *buffer, const char *text, size_t len) {
  if (!merge->err && len > HG_BODY_MAX - merge->bytes) merge->err = HG_ERR_RANGE;
  if (!merge->err) merge->err = hg_text_buffer_add(buffer, text, len);
  if (!merge->err) merge->bytes += len;
}

static struct hg_merge_node *new_child(struct hg_merge *merge, struct hg_merge_node *parent,
                                       struct hg_merge_node **place) {
  const bool full = parent->children == HG_MERGE_SIBLINGS_MAX || merge->nodes == HG_MERGE_NODES_MAX;
  struct hg_merge_node *child = merge->err || full ? NULL : calloc(1, sizeof *child);
  if (!child) {
    if (!merge->err) merge->err = full ? HG_ERR_RANGE : HG_ERR_NO_MEMORY;
    return NULL;
  }
  child->next = *place;
  *place = child;
  parent->children++;
  merge->nodes++;
  return child;
}

static struct hg_merge_node *member(struct hg_merge *merge, struct hg_merge_node *parent, const char *name,
                                    size_t len) {
  if (merge->err || !parent) return NULL;
  become(merge, parent, HG_MERGE_OBJECT);
  struct hg_merge_node **place = &parent->first;
  for (; *place; place = &(*place)->next)
    if ((*place)->name.len == len && memcmp((*place)->name.data, name, len) == 0) return *place;
  struct hg_merge_node *child = new_child(merge, parent, place);
  if (child) add(merge, &child->name, name, len);
  return merge->err ? NULL : child;
}

struct hg_merge_node *hg_merge_member(struct hg_merge *merge, struct hg_merge_node *parent, const char *name) {
  char quoted[64];
  const int len = snprintf(quoted, sizeof quoted, "\"%s\"", name);
  return member(merge, parent, quoted, (size_t)len);
}

struct hg_merge_node *hg_merge_named(struct hg_merge *merge, struct hg_merge_node *parent, const struct hg_json *name) {
  return member(merge, parent, name->at, name->len);
}

struct hg_merge_node *hg_merge_element(struct hg_merge *merge, struct hg_merge_node *parent, int64_t index) {
  if (merge->err || !parent) return NULL;
  become(merge, parent, HG_MERGE_INDEXED);
  struct hg_merge_node **place = &parent->first;
  for (; *place && (*place)->index <= index; place = &(*place)->next)
    if ((*place)->index == index) return *place;
  struct hg_merge_node *child = new_child(merge, parent, place);
  if (child) child->index = index;
  return child;
}

// ---------------------------------------------------------------------------------------------- merging

void hg_merge_set(struct hg_merge *merge, struct hg_merge_node *node, const struct hg_json *value) {
  if (merge->err || !node) return;
  become(merge, node, HG_MERGE_VALUE);
  merge->bytes -= node->text.len;
  node->text.len = 0;
  add(merge, &node->text, value->at, value->len);
}

void hg_merge_set_members(struct hg_merge *merge, struct hg_merge_node *node, const struct hg_json *object) {
  const char *cursor = NULL;
  struct hg_json name, value;
  if (merge->err || !node) return;
  become(merge, node, HG_MERGE_EMPTY);
  become(merge, node, HG_MERGE_OBJECT);
  while (!merge->err && hg_json_next(object, &cursor, &name, &value))
    hg_merge_set(merge, hg_merge_named(merge, node, &name), &value);
}

void hg_merge_append(struct hg_merge *merge, struct hg_merge_node *node, const struct hg_json *string,
                     enum hg_merge_form form) {
  if (merge->err || !node) return;
  become(merge, node, form);
  add(merge, &node->text, string->at + 1, string->len - 2);
}

// An array that stood there as a value goes on as a list.
static void become_list(struct hg_merge *merge, struct hg_merge_node *node) {
  if (node->form == HG_MERGE_LIST) return;
  struct hg_text_buffer old = node->text;
  node->text = (struct hg_text_buffer){NULL, 0, 0};
  const bool array = node->form == HG_MERGE_VALUE && old.len > 0 && old.data[0] == '[';
  become(merge, node, HG_MERGE_LIST);
  const struct hg_json before = {HG_JSON_ARRAY, old.data, old.len};
  const char *cursor = NULL;
  struct hg_json element;
  while (array && hg_json_next(&before, &cursor, NULL, &element))
    hg_merge_add_element(merge, node, &element);
  drop(merge, &old);
}

void hg_merge_add_element(struct hg_merge *merge, struct hg_merge_node *node, const struct hg_json *element) {
  if (merge->err || !node) return;
  become_list(merge, node);
  if (node->text.len > 0) add(merge, &node->text, ",", 1);
  add(merge, &node->text, element->at, element->len);
}

void hg_merge_empty_array(struct hg_merge *merge, struct hg_merge_node *node) {
  if (!merge->err && node) become(merge, node, HG_MERGE_INDEXED);
}

// Strings that name something come once, or whole each time; what comes empty later says nothing.
static bool is_name(const struct hg_json *key) {
  static const char *const names[] = {"id",     "type",  "role",   "name",          "object",
                                      "format", "model", "status", "finish_reason", "tool_call_id"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (hg_json_is(key, names[i])) return true;
  return false;
}

static void merge_any(struct hg_merge *merge, struct hg_merge_node *node, const struct hg_json *key,
                      const struct hg_json *value, enum hg_merge_rule rule);

static bool has_delta(const struct hg_json *choice) {
  struct hg_json_field delta = {.name = "delta"};
  hg_json_pick(choice, &delta, 1);
  return !hg_json_is_absent(&delta.value);
}

static void merge_object(struct hg_merge *merge, struct hg_merge_node *node, const struct hg_json *value,
                         enum hg_merge_rule rule, bool indexed) {
  static const char renamed[] = "\"message\"";
  const char *cursor = NULL;
  struct hg_json key, inner;
  become(merge, node, HG_MERGE_OBJECT);
  while (!merge->err && hg_json_next(value, &cursor, &key, &inner)) {
    if (indexed && hg_json_is(&key, "index")) continue;
    const bool message = rule == HG_MERGE_CHOICE && hg_json_is(&key, "message");
    const bool delta = message || (rule == HG_MERGE_CHOICE && hg_json_is(&key, "delta"));
    if (message && has_delta(value)) continue; // Perplexity's: all that came so far, once more
    const enum hg_merge_rule inside = delta ? HG_MERGE_GROW : rule;
    struct hg_merge_node *child =
        delta ? member(merge, node, renamed, sizeof renamed - 1) : member(merge, node, key.at, key.len);
    if (child && message) become(merge, child, HG_MERGE_EMPTY); // it is whole
    if (child) merge_any(merge, child, &key, &inner, inside);
  }
}

static void merge_element(struct hg_merge *merge, struct hg_merge_node *node, const struct hg_json *element,
                          enum hg_merge_rule rule) {
  struct hg_json_field field = {.name = "index"};
  hg_json_pick(element, &field, 1);
  int64_t index = 0;
  const bool indexed = !hg_json_tokens(&field.value, &index);
  if (node->form == HG_MERGE_LIST || element->type != HG_JSON_OBJECT ||
      (!indexed && node->children == 0 && !node->shows_index)) {
    hg_merge_add_element(merge, node, element);
    return;
  }
  if (!indexed && !node->shows_index)
    for (const struct hg_merge_node *child = node->first; child; child = child->next)
      index = child->index + 1;
  struct hg_merge_node *child = hg_merge_element(merge, node, index);
  if (child) merge_object(merge, child, element, rule, true);
}

static void merge_array(struct hg_merge *merge, struct hg_merge_node *node, const struct hg_json *value,
                        enum hg_merge_rule rule) {
  const char *cursor = NULL;
  struct hg_json element;
  if (node->form != HG_MERGE_INDEXED) become_list(merge, node);
  if (node->form == HG_MERGE_LIST && node->text.len == 0) node->form = HG_MERGE_INDEXED; // until an element says else
  while (!merge->err && hg_json_next(value, &cursor, NULL, &element))
    merge_element(merge, node, &element, rule);
}

static void merge_string(struct hg_merge *merge, struct hg_merge_node *node, const struct hg_json *key,
                         const struct hg_json *value, enum hg_merge_rule rule) {
  static const struct hg_json whole = {HG_JSON_STRING, "\"chat.completion\"", 17};
  const bool grows = rule == HG_MERGE_GROW ? !is_name(key) : rule == HG_MERGE_CHOICE && hg_json_is(key, "text");
  const bool there = node->form == HG_MERGE_VALUE && node->text.len > 0 && node->text.data[0] == '"';
  if (grows) hg_merge_append(merge, node, value, HG_MERGE_TEXT);
  else if (value->len > 2 || !there)
    hg_merge_set(merge, node, hg_json_is(value, "chat.completion.chunk") ? &whole : value);
}

static void merge_any(struct hg_merge *merge, struct hg_merge_node *node, const struct hg_json *key,
                      const struct hg_json *value, enum hg_merge_rule rule) {
  const bool choices = rule == HG_MERGE_REPLACE && value->type == HG_JSON_ARRAY && hg_json_is(key, "choices");
  if (choices) node->shows_index = true;
  switch (value->type) {
  case HG_JSON_NONE: return;
  case HG_JSON_NULL:
    if (node->form == HG_MERGE_EMPTY) hg_merge_set(merge, node, value);
    return;
  case HG_JSON_STRING: merge_string(merge, node, key, value, rule); return;
  case HG_JSON_OBJECT: merge_object(merge, node, value, rule, false); return;
  case HG_JSON_ARRAY:
    if (choices) merge_array(merge, node, value, HG_MERGE_CHOICE);
    else if (rule == HG_MERGE_REPLACE) hg_merge_set(merge, node, value);
    else merge_array(merge, node, value, HG_MERGE_GROW);
    return;
  case HG_JSON_FALSE:
  case HG_JSON_TRUE:
  case HG_JSON_NUMBER: hg_merge_set(merge, node, value); return;
  }
}

void hg_merge_value(struct hg_merge *merge, struct hg_merge_node *node, const struct hg_json *value,
                    enum hg_merge_rule rule) {
  static const struct hg_json no_key = {HG_JSON_STRING, "\"\"", 2};
  if (!merge->err && node) merge_any(merge, node, &no_key, value, rule);
}

// ---------------------------------------------------------------------------------------------- printing

static hg_err put(struct hg_text_buffer *out, const char *text, size_t len) {
  return len > HG_BODY_MAX - out->len ? HG_ERR_RANGE : hg_text_buffer_add(out, text, len);
}

static hg_err put_quoted(struct hg_text_buffer *out, const struct hg_text_buffer *text) {
  hg_err err = put(out, "\"", 1);
  if (!err) err = put(out, text->data, text->len);
  return err ? err : put(out, "\"", 1);
}

// A string that is JSON: as JSON; when it is none (it was cut, perhaps) as the string that it is; nothing is {}.
static hg_err put_json(struct hg_text_buffer *out, const struct hg_text_buffer *text) {
  struct hg_text_buffer quoted = {NULL, 0, 0};
  hg_err err = put_quoted(&quoted, text);
  char *decoded = err ? NULL : malloc(quoted.len);
  size_t len;
  struct hg_json root;
  const struct hg_json string = {HG_JSON_STRING, quoted.data, quoted.len};
  if (!decoded) err = HG_ERR_NO_MEMORY;
  else if (text->len == 0) err = put(out, "{}", 2);
  else if (hg_json_decode(&string, decoded, &len) && !hg_json_check(decoded, len, &root, NULL))
    err = put(out, root.at, root.len);
  else err = put(out, quoted.data, quoted.len);
  free(decoded);
  hg_text_buffer_clear(&quoted);
  return err;
}

static hg_err put_object(const struct hg_merge *merge, const struct hg_merge_node *node, const char *index,
                         struct hg_text_buffer *out) {
  hg_err err = put(out, "{", 1);
  if (!err) err = put(out, index, strlen(index));
  for (const struct hg_merge_node *child = node->first; !err && child; child = child->next) {
    if (out->data[out->len - 1] != '{') err = put(out, ",", 1);
    if (!err) err = put(out, child->name.data, child->name.len);
    if (!err) err = put(out, ":", 1);
    if (!err) err = hg_merge_print(merge, child, out);
  }
  return err ? err : put(out, "}", 1);
}

static hg_err put_indexed(const struct hg_merge *merge, const struct hg_merge_node *node, struct hg_text_buffer *out) {
  hg_err err = put(out, "[", 1);
  for (const struct hg_merge_node *child = node->first; !err && child; child = child->next) {
    char index[40] = "";
    if (node->shows_index) snprintf(index, sizeof index, "\"index\":%" PRId64, child->index);
    if (child != node->first) err = put(out, ",", 1);
    if (!err) err = put_object(merge, child, index, out);
  }
  return err ? err : put(out, "]", 1);
}

hg_err hg_merge_print(const struct hg_merge *merge, const struct hg_merge_node *node, struct hg_text_buffer *out) {
  if (merge->err) return merge->err;
  switch (node->form) {
  case HG_MERGE_EMPTY: return put(out, "null", 4);
  case HG_MERGE_VALUE: return put(out, node->text.data, node->text.len);
  case HG_MERGE_TEXT: return put_quoted(out, &node->text);
  case HG_MERGE_JSON: return put_json(out, &node->text);
  case HG_MERGE_OBJECT: return put_object(merge, node, "", out);
  case HG_MERGE_INDEXED: return put_indexed(merge, node, out);
  case HG_MERGE_LIST: break;
  }
  hg_err err = put(out, "[", 1);
  if (!err) err = put(out, node->text.data, node->text.len);
  return err ? err : put(out, "]", 1);
}
