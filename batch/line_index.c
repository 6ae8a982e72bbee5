// A hash table in many small parts that grow one by one: the copy that growing takes is only of one part, so that the
// whole never needs much more than it holds. Keys are keyed hashes already and are used as they are.
#include "batch/line_index.h"

#include <assert.h>
#include <stdlib.h>

#define PARTS_LOG2 10
#define PARTS (1u << PARTS_LOG2)
#define SLOT_BYTES (2 * sizeof(uint64_t) + 1)

// The slots of a part lie in one allocation, as three arrays; an id of 0 marks a free slot.
struct part {
  uint64_t *ids;
  uint64_t *request_hashes;
  uint8_t *states;
  uint32_t capacity, used;
};

struct hg_line_index {
  struct part parts[PARTS];
  uint64_t counts[HG_LINE_STATES];
  size_t bytes, peak_bytes;
};

hg_err hg_line_index_new(struct hg_line_index **out) {
  struct hg_line_index *index = calloc(1, sizeof *index);
  if (!index) return HG_ERR_NO_MEMORY;
  index->bytes = index->peak_bytes = sizeof *index;
  *out = index;
  return HG_OK;
}

void hg_line_index_destroy(struct hg_line_index **index) {
  if (!*index) return;
  for (unsigned i = 0; i < PARTS; i++)
    free((*index)->parts[i].ids);
  free(*index);
  *index = NULL;
}

// The top bits choose the part, the low ones the slot, so that the two are independent.
static unsigned part_of(uint64_t id_hash) {
  return (unsigned)(id_hash >> (64 - PARTS_LOG2));
}

// The slot that holds the id, or the free one where it belongs. The part must have a free slot.
static uint32_t slot_of(const struct part *part, uint64_t id_hash) {
  uint32_t slot = (uint32_t)((id_hash & UINT32_MAX) * part->capacity >> 32);
  while (part->ids[slot] != 0 && part->ids[slot] != id_hash)
    slot = slot + 1 == part->capacity ? 0 : slot + 1;
  return slot;
}

static void fill_slot(struct part *part, uint64_t id_hash, struct hg_line_entry entry) {
  const uint32_t slot = slot_of(part, id_hash);
  part->ids[slot] = id_hash;
  part->request_hashes[slot] = entry.request_hash;
  part->states[slot] = (uint8_t)entry.state;
  part->used++;
}

static hg_err grow(struct hg_line_index *index, struct part *part) {
  // By a quarter: never less than 0.64 full, and never more than 0.8, where probing would become slow.
  if (part->capacity > UINT32_MAX / 2) return HG_ERR_NO_MEMORY;
  struct part bigger = {.capacity = part->capacity + part->capacity / 4 + 4};
  bigger.ids = calloc(bigger.capacity, SLOT_BYTES);
  if (!bigger.ids) return HG_ERR_NO_MEMORY;
  bigger.request_hashes = bigger.ids + bigger.capacity;
  bigger.states = (uint8_t *)(bigger.request_hashes + bigger.capacity);
  for (uint32_t i = 0; i < part->capacity; i++) {
    if (part->ids[i] == 0) continue;
    const struct hg_line_entry entry = {part->request_hashes[i], (enum hg_line_state)part->states[i]};
    fill_slot(&bigger, part->ids[i], entry);
  }
  index->bytes += bigger.capacity * SLOT_BYTES;
  if (index->bytes > index->peak_bytes) index->peak_bytes = index->bytes;
  index->bytes -= part->capacity * SLOT_BYTES;
  free(part->ids);
  *part = bigger;
  return HG_OK;
}

hg_err hg_line_index_put(struct hg_line_index *index, uint64_t id_hash, struct hg_line_entry entry) {
  assert(id_hash != 0);
  struct part *part = &index->parts[part_of(id_hash)];
  if (part->capacity > 0 && part->ids[slot_of(part, id_hash)] == id_hash) return HG_ERR_CONFLICT;
  if (((uint64_t)part->used + 1) * 5 > (uint64_t)part->capacity * 4) {
    const hg_err err = grow(index, part);
    if (err) return err;
  }
  fill_slot(part, id_hash, entry);
  index->counts[entry.state]++;
  return HG_OK;
}

bool hg_line_index_find(const struct hg_line_index *index, uint64_t id_hash, struct hg_line_entry *out) {
  const struct part *part = &index->parts[part_of(id_hash)];
  if (part->capacity == 0) return false;
  const uint32_t slot = slot_of(part, id_hash);
  if (id_hash == 0 || part->ids[slot] != id_hash) return false;
  *out = (struct hg_line_entry){part->request_hashes[slot], (enum hg_line_state)part->states[slot]};
  return true;
}

bool hg_line_index_set(struct hg_line_index *index, uint64_t id_hash, struct hg_line_entry entry) {
  struct part *part = &index->parts[part_of(id_hash)];
  if (part->capacity == 0) return false;
  const uint32_t slot = slot_of(part, id_hash);
  if (id_hash == 0 || part->ids[slot] != id_hash) return false;
  index->counts[part->states[slot]]--;
  index->counts[entry.state]++;
  part->request_hashes[slot] = entry.request_hash;
  part->states[slot] = (uint8_t)entry.state;
  return true;
}

uint64_t hg_line_index_count(const struct hg_line_index *index, enum hg_line_state state) {
  return index->counts[state];
}

size_t hg_line_index_bytes(const struct hg_line_index *index) {
  return index->bytes;
}

size_t hg_line_index_peak_bytes(const struct hg_line_index *index) {
  return index->peak_bytes;
}
