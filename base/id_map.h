// A map from a 64-bit id (never 0) to a pointer: open addressing, backward-shift deletion, grows by doubling.
#ifndef HG_ID_MAP_H
#define HG_ID_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hg_id_map {
  struct hg_id_slot {
    uint64_t id;
    void *value;
  } * slots;
  size_t count, capacity;
};
void *hg_id_map_get(const struct hg_id_map *map, uint64_t id);       // NULL: not there
bool hg_id_map_put(struct hg_id_map *map, uint64_t id, void *value); // replaces; false: no memory
void *hg_id_map_remove(struct hg_id_map *map, uint64_t id);          // what was there, or NULL
// Walks: *at from 0; NULL at the end. The map must not change meanwhile.
void *hg_id_map_next(const struct hg_id_map *map, size_t *at);
void hg_id_map_destroy(struct hg_id_map *map); // not the values

#endif
