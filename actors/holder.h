// From a node that is embedded in something to that something: of heaps, families.
#ifndef HG_HOLDER_H
#define HG_HOLDER_H

#include <stddef.h>

// `node` points to the `member` of a `type`.
#define HG_HOLDER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

#endif
