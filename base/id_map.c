// Linear probing; a removal shifts back what follows, so that no marks are left and lookups stay short.
#include "base/id_map.h"

#include <assert.h>
#include <stdlib.h>

#define FIRST_CAPACITY 64

// Ids may be anything, consecutive numbers too: the multiplication spreads them, the high bits are taken.
static size_t home(const struct hg_id_map *map, uint64_t id) {
  const uint64_t mixed = (id ^ (id >> 32)) * UINT64_C(0x9e3779b97f4a7c15);
  return (size_t)(mixed >> 32) & (map->capacity - 1);
}

// Where the id is, or the free slot where it would go. Needs at least one free slot.
static size_t find(const struct hg_id_map *map, uint64_t id) {
  size_t at = home(map, id);
  while (map->slots[at].id != 0 && map->slots[at].id != id)
    at = (at + 1) & (map->capacity - 1);
  return at;
}

static bool grow(struct hg_id_map *map) {
  struct hg_id_map larger = {.count = map->count, .capacity = map->capacity ? map->capacity * 2 : FIRST_CAPACITY};
  larger.slots = calloc(larger.capacity, sizeof *larger.slots);
  if (!larger.slots) return false;
  for (size_t i = 0; i < map->capacity; i++)
    if (map->slots[i].id != 0) larger.slots[find(&larger, map->slots[i].id)] = map->slots[i];
  free(map->slots);
  *map = larger;
  return true;
}

void *hg_id_map_get(const struct hg_id_map *map, uint64_t id) {
  if (map->count == 0 || id == 0) return NULL;
  return map->slots[find(map, id)].value;
}

bool hg_id_map_put(struct hg_id_map *map, uint64_t id, void *value) {
  assert(id != 0 && value);
  if (4 * (map->count + 1) > 3 * map->capacity && !grow(map)) return false;
  struct hg_id_slot *slot = &map->slots[find(map, id)];
  map->count += slot->id == 0;
  *slot = (struct hg_id_slot){id, value};
  return true;
}

void *hg_id_map_remove(struct hg_id_map *map, uint64_t id) {
  if (map->count == 0 || id == 0) return NULL;
  const size_t mask = map->capacity - 1;
  size_t hole = find(map, id);
  void *value = map->slots[hole].value;
  if (!value) return NULL;
  // A later one of the run may move into the hole unless its home lies behind the hole.
  for (size_t at = (hole + 1) & mask; map->slots[at].id != 0; at = (at + 1) & mask) {
    const size_t distance = (at - home(map, map->slots[at].id)) & mask;
    if (distance < ((at - hole) & mask)) continue;
    map->slots[hole] = map->slots[at];
    hole = at;
  }
  map->slots[hole] = (struct hg_id_slot){0, NULL};
  map->count--;
  return value;
}

void *hg_id_map_next(const struct hg_id_map *map, size_t *at) {
  while (*at < map->capacity) {
    const struct hg_id_slot *slot = &map->slots[(*at)++];
    if (slot->id != 0) return slot->value;
  }
  return NULL;
}

void hg_id_map_destroy(struct hg_id_map *map) {
  free(map->slots);
  *map = (struct hg_id_map){0};
}
