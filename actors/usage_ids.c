// The usage ids of usage_ids.h: a map by hash, and a list in the order in which they were entered.
#include "actors/usage_ids.h"

#include "base/siphash.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(struct hg_text key) {
  static const struct hg_hash_key fixed = {UINT64_C(0x75736167652d6964), UINT64_C(0x6c6174656c792121)};
  const uint64_t hash = hg_siphash(fixed, key.data, key.size);
  return hash ? hash : 1;
}

void hg_usage_ids_destroy(struct hg_usage_ids *ids) {
  while (ids->oldest) {
    struct hg_usage_id *next = ids->oldest->next;
    free(ids->oldest);
    ids->oldest = next;
  }
  hg_id_map_destroy(&ids->map);
  *ids = (struct hg_usage_ids){0};
}

struct hg_usage_id *hg_usage_ids_find(const struct hg_usage_ids *ids, struct hg_text key) {
  struct hg_usage_id *id = hg_id_map_get(&ids->map, hash_of(key));
  while (id && !hg_text_equal((struct hg_text){id->key, id->size}, key))
    id = id->same_hash;
  return id;
}

struct hg_usage_id *hg_usage_ids_add(struct hg_usage_ids *ids, struct hg_text key) {
  struct hg_usage_id *id = malloc(sizeof *id + key.size);
  if (!id) return NULL;
  *id = (struct hg_usage_id){.hash = hash_of(key), .size = key.size};
  memcpy(id->key, key.data, key.size);
  id->same_hash = hg_id_map_get(&ids->map, id->hash);
  if (!hg_id_map_put(&ids->map, id->hash, id)) {
    free(id);
    return NULL;
  }
  if (ids->newest) ids->newest->next = id;
  else ids->oldest = id;
  ids->newest = id;
  ids->count++;
  return id;
}

// The oldest of all is the last of those with its hash.
static void forget_oldest(struct hg_usage_ids *ids) {
  struct hg_usage_id *oldest = ids->oldest, *at = hg_id_map_get(&ids->map, oldest->hash);
  assert(at);
  if (at == oldest) {
    hg_id_map_remove(&ids->map, oldest->hash);
  } else {
    while (at->same_hash != oldest)
      at = at->same_hash;
    at->same_hash = NULL;
  }
  ids->oldest = oldest->next;
  if (!ids->oldest) ids->newest = NULL;
  ids->count--;
  free(oldest);
}

void hg_usage_ids_forget(struct hg_usage_ids *ids, uint64_t durable) {
  while (ids->count > HG_USAGE_IDS_KEPT && ids->oldest->seq <= durable)
    forget_oldest(ids);
}
