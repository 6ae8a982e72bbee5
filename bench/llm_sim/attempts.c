/* attempts.c: a table of request hashes, open addressing, doubled whenever it is half full. */
#include "attempts.h"

#include <stdlib.h>

enum { FIRST_PLACES = 1024 };

static struct attempt *place_of(const struct attempts *attempts, uint64_t hash) {
  size_t at = (size_t)hash & (attempts->places - 1);
  while (attempts->entries[at].hash != 0 && attempts->entries[at].hash != hash)
    at = (at + 1) & (attempts->places - 1);
  return &attempts->entries[at];
}

static bool grow(struct attempts *attempts) {
  struct attempts larger = {.places = attempts->places ? attempts->places * 2 : FIRST_PLACES, .used = attempts->used};
  larger.entries = calloc(larger.places, sizeof *larger.entries);
  if (!larger.entries) return false;
  for (size_t i = 0; i < attempts->places; i++)
    if (attempts->entries[i].hash != 0) *place_of(&larger, attempts->entries[i].hash) = attempts->entries[i];
  free(attempts->entries);
  *attempts = larger;
  return true;
}

static uint64_t key_of(uint64_t hash) {
  return hash ? hash : 1;
}

uint32_t attempts_next(struct attempts *attempts, uint64_t hash) {
  if (attempts->places == 0 && !grow(attempts)) return 0;
  struct attempt *entry = place_of(attempts, key_of(hash));
  if (entry->hash == 0) {
    if (attempts->used == ATTEMPTS_ENTRIES_MAX) return 0;
    if (attempts->used * 2 >= attempts->places) {
      if (!grow(attempts)) return 0;
      entry = place_of(attempts, key_of(hash));
    }
    entry->hash = key_of(hash);
    attempts->used++;
  }
  if (entry->count < UINT32_MAX) entry->count++;
  return entry->count;
}

bool attempts_answered(struct attempts *attempts, uint64_t hash) {
  if (attempts->places == 0) return false;
  struct attempt *const entry = place_of(attempts, key_of(hash));
  if (entry->hash == 0) return false;
  const bool before = entry->answered > 0;
  if (entry->answered < UINT32_MAX) entry->answered++;
  return before;
}

void attempts_free(struct attempts *attempts) {
  free(attempts->entries);
  *attempts = (struct attempts){0};
}
