// Who runs in whose slot: a permit that runs in another's is its child. When one ends, its slot stays taken as long as
// somebody runs in it.
#ifndef HG_FAMILY_H
#define HG_FAMILY_H

#include "actors/holder.h"

// Embedded in what has parents and children; zero: it has neither.
struct hg_family {
  struct hg_family *parent, *first_child;
  struct hg_family *before, *after; // its siblings
};

void hg_family_join(struct hg_family *child, struct hg_family *parent); // the child must have no parent
// Takes one out. Its children are its parent's from then on; without a parent the first of them takes its place, and
// the others are that one's: it is returned, otherwise NULL.
struct hg_family *hg_family_leave(struct hg_family *member);

#endif
