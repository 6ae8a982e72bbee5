// Parents, children, and what becomes of the children.
#include "actors/family.h"

#include <assert.h>

void hg_family_join(struct hg_family *child, struct hg_family *parent) {
  assert(!child->parent && child != parent);
  child->parent = parent;
  child->before = NULL;
  child->after = parent->first_child;
  if (child->after) child->after->before = child;
  parent->first_child = child;
}

static void part(struct hg_family *child) {
  if (!child->parent) return;
  if (child->before) child->before->after = child->after;
  else child->parent->first_child = child->after;
  if (child->after) child->after->before = child->before;
  child->parent = child->before = child->after = NULL;
}

struct hg_family *hg_family_leave(struct hg_family *member) {
  struct hg_family *const parent = member->parent;
  struct hg_family *heir = parent, *child;
  part(member);
  while ((child = member->first_child)) {
    part(child);
    if (heir) hg_family_join(child, heir);
    else heir = child;
  }
  return parent ? NULL : heir;
}
