// JSON that grows: objects that come in pieces are merged into one tree, in which strings are kept as they were written
// and only put end to end. So half a surrogate pair finds its other half, and nothing is decoded. Pure but for its
// memory.
#ifndef HG_MERGE_H
#define HG_MERGE_H

#include "base/json_scan.h"
#include "base/text_buffer.h"

#define HG_MERGE_SIBLINGS_MAX 256
#define HG_MERGE_NODES_MAX 16384

enum hg_merge_form {
  HG_MERGE_EMPTY,
  HG_MERGE_VALUE,  // a JSON text
  HG_MERGE_TEXT,   // what stands between the quotes of a string
  HG_MERGE_JSON,   // the same, of a string that is JSON itself: printed as what it means
  HG_MERGE_LIST,   // the elements of an array with commas between them
  HG_MERGE_OBJECT, // children with names
  HG_MERGE_INDEXED // an array of objects that are told apart by an index; in its order
};

struct hg_merge_node {
  enum hg_merge_form form;
  struct hg_text_buffer name, text; // the name with its quotes
  int64_t index;
  bool shows_index; // INDEXED: printed as a member of each
  size_t children;
  struct hg_merge_node *first, *next;
};

// Its members are its own, but for `root`.
struct hg_merge {
  struct hg_merge_node root;
  size_t nodes, bytes; // below the root; of all names and texts
  hg_err err; // HG_ERR_NO_MEMORY; HG_ERR_RANGE: more than HG_BODY_MAX bytes or too many members. Nothing is merged then
};

// How strings and arrays that come again are merged; null never takes the place of anything.
enum hg_merge_rule {
  HG_MERGE_REPLACE, // the newest one stays
  HG_MERGE_CHOICE,  // strings as before, but for "text"; arrays grow; what is in "delta" grows into "message"
  HG_MERGE_GROW     // strings are put end to end, but for those that name something; arrays grow
};

void hg_merge_init(struct hg_merge *merge);
void hg_merge_clear(struct hg_merge *merge);

// The child with the name (or index), made when it is not there. NULL: merge->err. The parent becomes an object (or an
// indexed array). The name is one that needs no escape, or stays as it was written.
struct hg_merge_node *hg_merge_member(struct hg_merge *merge, struct hg_merge_node *parent, const char *name);
struct hg_merge_node *hg_merge_named(struct hg_merge *merge, struct hg_merge_node *parent, const struct hg_json *name);
struct hg_merge_node *hg_merge_element(struct hg_merge *merge, struct hg_merge_node *parent, int64_t index);
// What follows takes a NULL node and does nothing then.
void hg_merge_value(struct hg_merge *merge, struct hg_merge_node *node, const struct hg_json *value,
                    enum hg_merge_rule rule);
void hg_merge_set(struct hg_merge *merge, struct hg_merge_node *node, const struct hg_json *value);
// The same of an object's members, each for itself.
void hg_merge_set_members(struct hg_merge *merge, struct hg_merge_node *node, const struct hg_json *object);
// Puts a string behind what is there; `form` is TEXT or JSON.
void hg_merge_append(struct hg_merge *merge, struct hg_merge_node *node, const struct hg_json *string,
                     enum hg_merge_form form);
void hg_merge_empty_array(struct hg_merge *merge, struct hg_merge_node *node);
void hg_merge_add_element(struct hg_merge *merge, struct hg_merge_node *node, const struct hg_json *element);

hg_err hg_merge_print(const struct hg_merge *merge, const struct hg_merge_node *node, struct hg_text_buffer *out);

#endif
