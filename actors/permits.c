// The permits of permits.h: a map of all, a sorted array of the few orphans, a ring of those that ended.
#include "actors/permits.h"

#include <stdlib.h>
#include <string.h>

bool hg_permits_init(struct hg_permits *permits) {
  *permits = (struct hg_permits){.closed = calloc(HG_CLOSED_PERMITS, sizeof *permits->closed)};
  return permits->closed != NULL;
}

void hg_permits_destroy(struct hg_permits *permits) {
  size_t at = 0;
  for (void *permit; (permit = hg_id_map_next(&permits->map, &at));)
    free(permit);
  hg_id_map_destroy(&permits->map);
  hg_id_map_destroy(&permits->closed_map);
  free(permits->orphans);
  free(permits->closed);
  *permits = (struct hg_permits){0};
}

struct hg_permit_record *hg_permits_get(const struct hg_permits *permits, uint64_t id) {
  return hg_id_map_get(&permits->map, id);
}

const struct hg_ended_permit *hg_permits_closed(const struct hg_permits *permits, uint64_t id) {
  const struct hg_closed_permit *closed = hg_id_map_get(&permits->closed_map, id);
  return closed ? &closed->ended : NULL;
}

int64_t hg_usage_charged(int64_t reserved, int64_t said) {
  const int64_t least = HG_USAGE_MISSING(said); // which takes itself back
  return said >= 0 ? said : least > reserved ? least : reserved;
}

bool hg_permit_ended_so(const struct hg_ended_permit *ended, enum hg_permit_end end, int64_t said) {
  if (ended->end != end) return false;
  return end == HG_PERMIT_RELEASED || ended->used == hg_usage_charged(ended->reserved, said);
}

struct hg_permit_record *hg_permits_open(struct hg_permits *permits, uint64_t id, struct hg_text task_id) {
  assert(!hg_permits_get(permits, id));
  struct hg_permit_record *permit = malloc(sizeof *permit + task_id.size);
  if (!permit) return NULL;
  *permit = (struct hg_permit_record){.id = id, .state = HG_PERMIT_OPEN, .task_size = task_id.size};
  if (task_id.size) memcpy(permit->task_id, task_id.data, task_id.size);
  if (hg_id_map_put(&permits->map, id, permit)) return permit;
  free(permit);
  return NULL;
}

// The index of the first orphan with an id over `after`.
static size_t orphan_index(const struct hg_permits *permits, uint64_t after) {
  size_t low = 0, high = permits->orphan_count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (permits->orphans[middle]->id > after) high = middle;
    else low = middle + 1;
  }
  return low;
}

bool hg_permits_orphan(struct hg_permits *permits, struct hg_permit_record *permit, enum hg_permit_state state) {
  assert(permit->state == HG_PERMIT_OPEN && state != HG_PERMIT_OPEN);
  if (permits->orphan_count == permits->orphan_capacity) {
    const size_t capacity = permits->orphan_capacity ? 2 * permits->orphan_capacity : 16;
    struct hg_permit_record **larger = realloc(permits->orphans, capacity * sizeof(void *));
    if (!larger) return false;
    permits->orphans = larger;
    permits->orphan_capacity = capacity;
  }
  struct hg_permit_record **at = &permits->orphans[orphan_index(permits, permit->id)];
  memmove(at + 1, at, (size_t)(permits->orphans + permits->orphan_count - at) * sizeof(void *));
  *at = permit;
  permits->orphan_count++;
  permit->state = state;
  return true;
}

const struct hg_permit_record *hg_permits_orphan_after(const struct hg_permits *permits, uint64_t after) {
  const size_t at = orphan_index(permits, after);
  return at < permits->orphan_count ? permits->orphans[at] : NULL;
}

static void remove_orphan(struct hg_permits *permits, const struct hg_permit_record *permit) {
  const size_t at = orphan_index(permits, permit->id - 1);
  assert(at < permits->orphan_count && permits->orphans[at] == permit);
  permits->orphan_count--;
  memmove(&permits->orphans[at], &permits->orphans[at + 1], (permits->orphan_count - at) * sizeof(void *));
}

// Without memory for the map an end is not remembered: the same settle again is then an unknown permit, which is safe.
static void remember(struct hg_permits *permits, struct hg_closed_permit ended) {
  struct hg_closed_permit *place = &permits->closed[permits->closed_next];
  permits->closed_next = (permits->closed_next + 1) % HG_CLOSED_PERMITS;
  if (place->id != 0) hg_id_map_remove(&permits->closed_map, place->id);
  *place = ended;
  if (!hg_id_map_put(&permits->closed_map, ended.id, place)) place->id = 0;
}

void hg_permits_close(struct hg_permits *permits, struct hg_permit_record *permit, enum hg_permit_end end,
                      int64_t used) {
  if (permit->state != HG_PERMIT_OPEN) remove_orphan(permits, permit);
  remember(permits, (struct hg_closed_permit){permit->id, {end, used, permit->tokens}});
  hg_id_map_remove(&permits->map, permit->id);
  free(permit);
}

struct hg_text hg_permit_task(const struct hg_permit_record *permit) {
  return (struct hg_text){permit->task_id, permit->task_size};
}
