// Binding where other processes can reach us: ipc and tcp endpoints.
#ifndef HG_OUTWARD_H
#define HG_OUTWARD_H

#include "bus/links.h"

#include <sys/types.h>

// Binds an ipc or tcp endpoint. For ipc it makes the folder (0700) when it is missing, and refuses a path where
// something other than a stale socket stands: libzmq would delete a file and steal the socket of a living process in
// silence. `is_ours`: in a directory that is ours alone, and while we hold its lock: whoever still listens there, such
// as a child that was forked from an earlier runtime, does so in vain.
hg_err hg_outward_bind(struct hg_link *link, const char *endpoint, bool is_ours, hg_error *why);

// Where an outward socket is bound: the one that is always there, and those of a list. All borrowed.
struct hg_outward_endpoints {
  const char *first;
  char *const *more;
  size_t more_count;
};
// A connection as a peer, known by more than its descriptor, which the next one gets. 0: there is none any more.
hg_peer hg_outward_peer(int fd);
// Its descriptor, as long as that is still this connection; -1.
int hg_outward_fd(hg_peer peer);

// Cuts a connection to one of them, by its descriptor. ZeroMQ owns the descriptor and may have closed it meanwhile, so
// that it is something else now: false, and nothing is done, unless it is a connection to one of these endpoints.
enum hg_cut {
  HG_CUT_AT_ONCE, // nothing goes in or out any more
  HG_CUT_INPUT    // nothing comes in any more, upon which ZeroMQ ends it in order (tcp: at once)
};
bool hg_outward_cut(int fd, const struct hg_outward_endpoints *endpoints, enum hg_cut how);

// How many bytes the other end of a tcp connection has taken. UINT64_MAX: it is none.
uint64_t hg_outward_taken(int fd);

// The socket file of a bound ipc endpoint. It is removed when the runtime closes, or a child that was forked from it
// would seem to listen there still.
struct hg_outward_file {
  dev_t device;
  ino_t inode; // 0: none
};
void hg_outward_note(const char *endpoint, struct hg_outward_file *out);
// Only if it is still the one that was noted.
void hg_outward_remove(const char *endpoint, const struct hg_outward_file *file);

#endif
