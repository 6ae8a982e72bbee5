// What connections leave unread, counted by marks.
#include "bus/unread.h"

#include "base/id_map.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

#define FRAME_COST 128  // that ZeroMQ and the heap take for a frame beside its bytes, about
#define MARK_EVERY 4096 // bytes: so that an answer to a short command costs no more than before
#define SWEEP_LEAST 512 // connections
#define TRIM_FROM (32 << 20)

// Shared with whoever lets go of frames. The last reference frees it.
struct total {
  _Atomic uint64_t bytes, references;
};
struct reader {
  struct total *total;
  _Atomic uint64_t bytes, references;
  uint64_t unmarked; // sent since the last mark; of the sender alone
};
struct mark {
  struct reader *reader;
  uint64_t bytes;
  uint8_t frame[];
};

struct hg_unread {
  struct total *total;
  struct hg_id_map readers; // by peer
  hg_peer newest_peer;      // who was sent something last
  struct reader *newest;
  size_t sweep_at;
  uint64_t least, most; // of a connection whatever others do; that waited since the heap was trimmed
};

static void release_total(struct total *total) {
  if (atomic_fetch_sub_explicit(&total->references, 1, memory_order_acq_rel) == 1) free(total);
}

static void release(struct reader *reader) {
  if (atomic_fetch_sub_explicit(&reader->references, 1, memory_order_acq_rel) != 1) return;
  release_total(reader->total);
  free(reader);
}

static uint64_t bytes_of(const _Atomic uint64_t *bytes) {
  return atomic_load_explicit(bytes, memory_order_relaxed);
}

struct hg_unread *hg_unread_new(uint64_t least) {
  struct hg_unread *unread = calloc(1, sizeof *unread);
  struct total *total = calloc(1, sizeof *total);
  if (!unread || !total) {
    free(unread);
    free(total);
    return NULL;
  }
  atomic_init(&total->references, 1);
  *unread = (struct hg_unread){.total = total, .least = least, .sweep_at = SWEEP_LEAST};
  return unread;
}

void hg_unread_destroy(struct hg_unread **unread_p) {
  struct hg_unread *unread = *unread_p;
  struct reader *reader;
  if (!unread) return;
  *unread_p = NULL;
  for (size_t at = 0; (reader = hg_id_map_next(&unread->readers, &at));)
    release(reader);
  hg_id_map_destroy(&unread->readers);
  release_total(unread->total);
  free(unread);
}

// ---------------------------------------------------------------------------------------------------- who reads

// Those who have read all, or are gone, which is the same here.
static void sweep(struct hg_unread *unread) {
  struct hg_id_map kept = {0};
  for (size_t i = 0; i < unread->readers.capacity; i++) {
    const struct hg_id_slot *slot = &unread->readers.slots[i];
    if (!slot->value) continue;
    struct reader *reader = slot->value;
    if (bytes_of(&reader->bytes) == 0 || !hg_id_map_put(&kept, slot->id, reader)) release(reader);
  }
  hg_id_map_destroy(&unread->readers);
  unread->readers = kept;
  unread->newest_peer = 0;
  unread->sweep_at = 2 * kept.count > SWEEP_LEAST ? 2 * kept.count : SWEEP_LEAST;
}

static struct reader *add(struct hg_unread *unread, hg_peer peer) {
  if (unread->readers.count >= unread->sweep_at) sweep(unread);
  struct reader *reader = calloc(1, sizeof *reader);
  if (!reader || !hg_id_map_put(&unread->readers, peer, reader)) {
    free(reader);
    return NULL;
  }
  reader->total = unread->total;
  atomic_init(&reader->references, 1);
  atomic_fetch_add_explicit(&unread->total->references, 1, memory_order_relaxed);
  return reader;
}

// NULL: no memory.
static struct reader *find(struct hg_unread *unread, hg_peer peer) {
  if (peer == unread->newest_peer) return unread->newest;
  struct reader *reader = hg_id_map_get(&unread->readers, peer);
  if (!reader) reader = add(unread, peer);
  if (reader) unread->newest_peer = peer;
  unread->newest = reader;
  return reader;
}

// ---------------------------------------------------------------------------------------------------- bounds

uint64_t hg_unread_bytes(const struct hg_unread *unread) {
  return bytes_of(&unread->total->bytes);
}

struct bounds {
  uint64_t all, one, least;
};

static bool may_have_more(const struct hg_unread *unread, const struct reader *reader, struct bounds bounds) {
  const uint64_t all = hg_unread_bytes(unread), own = bytes_of(&reader->bytes);
  const uint64_t free = all < bounds.all ? bounds.all - all : 0;
  return own < bounds.least || (own < bounds.one && own < free / 2);
}

bool hg_unread_keeps_up(void *self, hg_peer peer) {
  const struct hg_unread *unread = self;
  const struct reader *reader = hg_id_map_get(&unread->readers, peer);
  const struct bounds bounds = {HG_UNREAD_LONG_MAX, HG_UNREAD_ONE_LONG_MAX, HG_UNREAD_LONG_LEAST};
  return !reader || may_have_more(unread, reader, bounds);
}

// The heap keeps what a flood took, unless it is told.
static void trim(struct hg_unread *unread) {
  const uint64_t all = hg_unread_bytes(unread);
  if (all > unread->most) unread->most = all;
  if (unread->most < TRIM_FROM || all > unread->most / 8) return;
  unread->most = all;
#ifdef __GLIBC__
  (void)malloc_trim(0);
#endif
}

bool hg_unread_may_send(struct hg_unread *unread, hg_peer peer) {
  const struct reader *reader = find(unread, peer);
  trim(unread);
  return reader && may_have_more(unread, reader, (struct bounds){HG_UNREAD_MAX, HG_UNREAD_ONE_MAX, unread->least});
}

// ---------------------------------------------------------------------------------------------------- marks

uint8_t *hg_unread_mark(struct hg_unread *unread, hg_peer peer, size_t size, void **out) {
  struct reader *reader = find(unread, peer);
  if (!reader) return NULL;
  reader->unmarked += size + FRAME_COST;
  if (reader->unmarked < MARK_EVERY) return NULL;
  struct mark *mark = malloc(sizeof *mark + size);
  if (!mark) return NULL;
  mark->reader = reader;
  mark->bytes = reader->unmarked;
  reader->unmarked = 0;
  atomic_fetch_add_explicit(&reader->bytes, mark->bytes, memory_order_relaxed);
  atomic_fetch_add_explicit(&reader->total->bytes, mark->bytes, memory_order_relaxed);
  atomic_fetch_add_explicit(&reader->references, 1, memory_order_relaxed);
  *out = mark;
  return mark->frame;
}

void hg_unread_let_go(void *data, void *hint) {
  struct mark *mark = hint;
  (void)data;
  atomic_fetch_sub_explicit(&mark->reader->bytes, mark->bytes, memory_order_relaxed);
  atomic_fetch_sub_explicit(&mark->reader->total->bytes, mark->bytes, memory_order_relaxed);
  release(mark->reader);
  free(mark);
}
