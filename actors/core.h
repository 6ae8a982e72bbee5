// What a runtime and its clients hold in common: the ZeroMQ context, the configuration and the source of ids. It lives
// until the last of them lets go. None of it is shared between actors: clients are the embedder's threads.
#ifndef HG_CORE_H
#define HG_CORE_H

#include "bus/door.h"
#include "config/config.h"

#include <pthread.h>
#include <stdatomic.h>

// Clients that are destroyed and whose last word finds no room yet (client/farewell.c).
struct hg_farewells {
  pthread_mutex_t lock; // of the embedder's threads and of the one that says them
  pthread_t thread;
  struct hg_client *first;
  bool running, started; // the thread; started: to be joined
  bool over;             // the runtime closes: nothing is said any more
};

struct hg_core {
  void *context;
  struct hg_config *config;
  struct hg_places places;                    // of a guest: where the runtime is that it is the guest of
  struct hg_door *door;                       // of the runtime
  struct hg_outward_endpoints events_outside; // where events are bound
  struct hg_unread *unread;                   // answers that clients outside leave; NULL: of a guest
  char ledger_id[37];
  bool is_guest;            // another process holds the ledger
  _Atomic uint64_t next_id; // ids are unique over the ledger's life: the opening in the upper bits, a count below
  _Atomic uint32_t clients;
  _Atomic uint32_t references;
  _Atomic bool closed;
  volatile uint32_t *not_forked; // a page that reads 0 in a forked child
  pthread_mutex_t workers_lock;  // of the embedder's threads that call hg_run first at the same time
  struct hg_farewells farewells;
  hg_err (*start_workers)(struct hg_runtime *runtime);
  struct hg_runtime *runtime; // NULL once it is closed
};

hg_err hg_core_new(struct hg_config *config, const struct hg_places *places, const char *ledger_id, uint64_t opening,
                   struct hg_core **out);
struct hg_core *hg_core_hold(struct hg_core *core);
// The last one destroys the context and the configuration.
void hg_core_release(struct hg_core *core);
// From now on every call answers HG_ERR_CLOSED, those that wait too.
void hg_core_close(struct hg_core *core);
// After hg_core_close, before the runtime lets go of the core.
void hg_core_end_farewells(struct hg_core *core);
// HG_OK, HG_ERR_CLOSED or HG_ERR_FORKED.
hg_err hg_core_check(const struct hg_core *core);
// The first of `count` fresh ids.
uint64_t hg_core_take_ids(struct hg_core *core, uint64_t count);

struct hg_core *hg_runtime_core(hg_runtime *runtime);

#endif
