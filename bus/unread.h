// Answers that were sent and not read: how many bytes of them wait for each connection, and for all together. ZeroMQ
// does not tell, so some frames are marked: a mark stands for what was sent to its connection since the one before, and
// is taken off when ZeroMQ lets go of its frame, which the system has then, or nobody.
//
// The bytes are shared as places are (actors/outside_shares.c): a connection may have more while it has fewer than half
// of what is free, and some whatever others do. What n of them leave unread is HG_UNREAD_MAX and n times `least`, at
// most. Long answers stop at half of that, so that they take nobody's room for short ones.
#ifndef HG_UNREAD_H
#define HG_UNREAD_H

#include "actors/actor.h"

struct hg_unread; // of a socket; of the one thread that sends there

// `least`: bytes that a connection may leave unread whatever others do. NULL: no memory.
struct hg_unread *hg_unread_new(uint64_t least);
// Marks may live on, with the socket and after it: ZeroMQ closes sockets later. NULL: nothing.
void hg_unread_destroy(struct hg_unread **unread);

// Whether a connection has read enough for a long answer, as of the gateway's `readers`; `self` is the hg_unread.
bool hg_unread_keeps_up(void *self, hg_peer peer);
uint64_t hg_unread_bytes(const struct hg_unread *unread); // of all together

// Before each frame is sent. False: the connection left too much unread.
bool hg_unread_may_send(struct hg_unread *unread, hg_peer peer);
// A frame of `size` bytes is sent next. NULL: as it is; else by ZeroMQ's zero copy, from these bytes of a mark, with
// hg_unread_let_go and the mark to free them.
uint8_t *hg_unread_mark(struct hg_unread *unread, hg_peer peer, size_t size, void **mark);
void hg_unread_let_go(void *data, void *mark); // in any thread

#endif
