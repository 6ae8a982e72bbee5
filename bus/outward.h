// Binding where other processes can reach us: ipc and tcp endpoints.
#ifndef HG_OUTWARD_H
#define HG_OUTWARD_H

#include "bus/links.h"

// Binds an ipc or tcp endpoint. For ipc it makes the folder (0700) when it is missing, and refuses a path where something
// other than a stale socket stands: libzmq would delete a file and steal the socket of a living process in silence.
hg_err hg_outward_bind(struct hg_link *link, const char *endpoint, hg_error *why);

#endif
