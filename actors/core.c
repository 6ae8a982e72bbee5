// The common ground of a runtime and its clients.
#include "actors/core.h"

#include "bus/unread.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile uint32_t *fork_page(void) {
  uint32_t *page =
      mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return NULL;
  if (madvise(page, (size_t)sysconf(_SC_PAGESIZE), MADV_WIPEONFORK) != 0) {
    munmap(page, (size_t)sysconf(_SC_PAGESIZE));
    return NULL;
  }
  *page = 1;
  return page;
}

hg_err hg_core_new(struct hg_config *config, const struct hg_places *places, const char *ledger_id, uint64_t opening,
                   struct hg_core **out) {
  struct hg_core *core = calloc(1, sizeof *core);
  if (!core) return HG_ERR_NO_MEMORY;
  core->not_forked = fork_page();
  const hg_err err = core->not_forked ? hg_context_new(&core->context) : HG_ERR_SYSTEM;
  if (err != HG_OK) {
    if (core->not_forked) munmap((void *)core->not_forked, (size_t)sysconf(_SC_PAGESIZE));
    free(core);
    return err;
  }
  core->config = config;
  core->places = *places;
  memcpy(core->ledger_id, ledger_id, sizeof core->ledger_id);
  atomic_init(&core->next_id, (opening << HG_IDS_AN_OPENING_BITS) + 1);
  atomic_init(&core->references, 1);
  pthread_mutex_init(&core->workers_lock, NULL);
  pthread_mutex_init(&core->farewells.lock, NULL);
  *out = core;
  return HG_OK;
}

struct hg_core *hg_core_hold(struct hg_core *core) {
  atomic_fetch_add(&core->references, 1);
  return core;
}

void hg_core_release(struct hg_core *core) {
  if (!core || atomic_fetch_sub(&core->references, 1) != 1) return;
  // libzmq must not be touched in a forked child: its threads are not there.
  if (*core->not_forked) hg_context_destroy(core->context);
  munmap((void *)core->not_forked, (size_t)sysconf(_SC_PAGESIZE));
  pthread_mutex_destroy(&core->workers_lock);
  pthread_mutex_destroy(&core->farewells.lock);
  hg_unread_destroy(&core->unread);
  hg_config_destroy(&core->config);
  free(core);
}

void hg_core_close(struct hg_core *core) {
  atomic_store(&core->closed, true);
  hg_context_shutdown(core->context);
}

hg_err hg_core_check(const struct hg_core *core) {
  if (!*core->not_forked) return HG_ERR_FORKED;
  return atomic_load_explicit(&core->closed, memory_order_relaxed) ? HG_ERR_CLOSED : HG_OK;
}

uint64_t hg_core_take_ids(struct hg_core *core, uint64_t count) {
  return atomic_fetch_add_explicit(&core->next_id, count, memory_order_relaxed);
}
