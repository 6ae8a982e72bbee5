// Tasks, the table of their lives, and their containers.
#include "runner/task.h"

#include "base/siphash.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIT(name) (1u << HG_TASK_##name)

static const unsigned may_become[HG_TASK_STATE_COUNT] = {
    [HG_TASK_WANTS_PERMIT] = BIT(ACQUIRING) | BIT(WANTS_COUNT) | BIT(WANTS_WRITE) | BIT(BACKING_OFF) | BIT(GONE),
    [HG_TASK_ACQUIRING] = BIT(WANTS_PERMIT) | BIT(WANTS_COUNT) | BIT(WANTS_CALL) | BIT(WANTS_WRITE) | BIT(GONE),
    [HG_TASK_WANTS_COUNT] = BIT(COUNTING) | BIT(WANTS_PERMIT) | BIT(BACKING_OFF) | BIT(GONE),
    [HG_TASK_COUNTING] = BIT(WANTS_PERMIT) | BIT(BACKING_OFF) | BIT(GONE),
    [HG_TASK_WANTS_CALL] = BIT(CALLING) | BIT(WANTS_WRITE) | BIT(WANTS_CLOSE) | BIT(PAUSING),
    [HG_TASK_CALLING] = BIT(WANTS_WRITE) | BIT(WANTS_CLOSE) | BIT(PAUSING),
    [HG_TASK_WANTS_WRITE] = BIT(WRITTEN) | BIT(WANTS_CLOSE) | BIT(GONE),
    [HG_TASK_WRITTEN] = BIT(WANTS_CLOSE) | BIT(GONE),
    [HG_TASK_WANTS_CLOSE] = BIT(CLOSING) | BIT(GONE),
    [HG_TASK_CLOSING] = BIT(WANTS_CLOSE) | BIT(WANTS_PERMIT) | BIT(BACKING_OFF) | BIT(PARKED) | BIT(HELD) | BIT(GONE),
    [HG_TASK_PAUSING] = BIT(WANTS_CALL) | BIT(WANTS_CLOSE),
    [HG_TASK_BACKING_OFF] = BIT(WANTS_PERMIT) | BIT(GONE),
    [HG_TASK_PARKED] = BIT(WANTS_PERMIT) | BIT(GONE),
    [HG_TASK_HELD] = BIT(WANTS_WRITE) | BIT(GONE),
    [HG_TASK_GONE] = 0,
};

bool hg_task_may_move(enum hg_task_state from, enum hg_task_state to) {
  return (may_become[from] & (1u << to)) != 0;
}

static const char *put_text(char **at, const char *text) {
  if (!text) return NULL;
  const size_t size = strlen(text) + 1;
  char *copy = memcpy(*at, text, size);
  *at += size;
  return copy;
}

struct hg_run_task *hg_task_new(const struct hg_batch_line *line, struct hg_prepared *prepared) {
  const size_t texts =
      strlen(line->custom_id) + strlen(line->url) + (line->budget ? strlen(line->budget) : 0) + 3 /* NULs */;
  struct hg_run_task *task = calloc(1, sizeof *task + texts);
  if (!task) return NULL;
  char *at = (char *)(task + 1);
  task->custom_id = put_text(&at, line->custom_id);
  task->path = put_text(&at, line->url);
  task->budget = put_text(&at, line->budget);
  task->id_hash = line->id_hash;
  task->line_number = line->line_number;
  task->prepared = *prepared;
  *prepared = (struct hg_prepared){.body = NULL};
  return task;
}

void hg_task_destroy(struct hg_run_task *task) {
  hg_prepared_clear(&task->prepared);
  free(task->lowered.body);
  free(task->question);
  free(task->answer);
  free(task);
}

// The longest piece of `text` that fits into `room` bytes and ends between two characters.
static size_t whole_characters(const char *text, size_t room) {
  size_t len = strnlen(text, room + 1);
  if (len <= room) return len;
  for (len = room; len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80;)
    len--;
  return len;
}

void hg_copy_text(char *out, size_t capacity, const char *text) {
  const size_t len = whole_characters(text, capacity - 1);
  memcpy(out, text, len);
  out[len] = '\0';
}

void hg_run_task_id(const char *run_name, const char *custom_id, char out[HG_TASK_ID_MAX + 1]) {
  static const struct hg_hash_key key = {UINT64_C(0x7461736b2d696421), UINT64_C(0x6865616467617465)};
  enum { TAIL = 17 }; // '~' and 16 hex digits
  const size_t run_len = strlen(run_name), id_len = strlen(custom_id);
  const bool fits = run_len + 1 + id_len <= HG_TASK_ID_MAX;
  size_t at = fits ? run_len : whole_characters(run_name, HG_TASK_ID_MAX - TAIL - 1);
  memcpy(out, run_name, at);
  out[at++] = '/';
  if (fits) {
    memcpy(out + at, custom_id, id_len + 1);
    return;
  }
  const size_t taken = whole_characters(custom_id, HG_TASK_ID_MAX - TAIL - at);
  memcpy(out + at, custom_id, taken);
  const uint64_t parts[] = {hg_siphash(key, run_name, run_len), hg_siphash(key, custom_id, id_len)};
  snprintf(out + at + taken, TAIL + 1, "~%016llx", (unsigned long long)hg_siphash(key, parts, sizeof parts));
}

// ---------------------------------------------------------------------------------------------- containers

void hg_task_list_push(struct hg_task_list *list, struct hg_run_task *task) {
  task->next = NULL;
  if (list->last) list->last->next = task;
  else list->first = task;
  list->last = task;
}

struct hg_run_task *hg_task_list_pop(struct hg_task_list *list) {
  struct hg_run_task *task = list->first;
  if (!task) return NULL;
  list->first = task->next;
  if (!list->first) list->last = NULL;
  task->next = NULL;
  return task;
}

void hg_task_list_append(struct hg_task_list *list, struct hg_task_list *rest) {
  if (!rest->first) return;
  if (list->last) list->last->next = rest->first;
  else list->first = rest->first;
  list->last = rest->last;
  *rest = (struct hg_task_list){NULL, NULL};
}

bool hg_task_heap_reserve(struct hg_task_heap *heap, size_t count) {
  if (count <= heap->capacity) return true;
  size_t capacity = heap->capacity ? heap->capacity : 64;
  while (capacity < count)
    capacity *= 2;
  struct hg_run_task **items = realloc(heap->items, capacity * sizeof(struct hg_run_task *));
  if (!items) return false;
  heap->items = items;
  heap->capacity = capacity;
  return true;
}

void hg_task_heap_push(struct hg_task_heap *heap, struct hg_run_task *task) {
  assert(heap->count < heap->capacity);
  size_t place = heap->count++;
  while (place > 0 && heap->items[(place - 1) / 2]->due_ms > task->due_ms) {
    heap->items[place] = heap->items[(place - 1) / 2];
    place = (place - 1) / 2;
  }
  heap->items[place] = task;
}

struct hg_run_task *hg_task_heap_pop(struct hg_task_heap *heap) {
  if (heap->count == 0) return NULL;
  struct hg_run_task *first = heap->items[0], *last = heap->items[--heap->count];
  size_t place = 0;
  for (;;) {
    size_t child = 2 * place + 1;
    if (child >= heap->count) break;
    if (child + 1 < heap->count && heap->items[child + 1]->due_ms < heap->items[child]->due_ms) child++;
    if (heap->items[child]->due_ms >= last->due_ms) break;
    heap->items[place] = heap->items[child];
    place = child;
  }
  if (heap->count > 0) heap->items[place] = last;
  return first;
}
