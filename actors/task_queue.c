// The tree of lines of task_queue.h. [8_RISKS-REQ-031]
#include "actors/task_queue.h"

#include <stdlib.h>

static bool reserve_children(struct hg_task_queue *queue, const struct hg_config *config) {
  uint32_t *children = calloc(queue->count, sizeof *children);
  if (!children) return false;
  for (uint32_t i = 1; i < queue->count; i++)
    children[config->budgets[i].parent]++;
  bool enough = true;
  for (uint32_t i = 0; i < queue->count && enough; i++)
    enough = children[i] == 0 || hg_heap_reserve(&queue->lines[i].children, children[i]);
  free(children);
  return enough;
}

bool hg_task_queue_init(struct hg_task_queue *queue, const struct hg_config *config) {
  *queue = (struct hg_task_queue){.count = config->budget_count};
  queue->lines = calloc(queue->count, sizeof *queue->lines);
  if (!queue->lines) return false;
  for (uint32_t i = 0; i < queue->count; i++)
    queue->lines[i].parent = config->budgets[i].parent;
  return reserve_children(queue, config);
}

void hg_task_queue_destroy(struct hg_task_queue *queue) {
  for (uint32_t i = 0; queue->lines && i < queue->count; i++) {
    hg_heap_destroy(&queue->lines[i].tasks);
    hg_heap_destroy(&queue->lines[i].children);
  }
  free(queue->lines);
  *queue = (struct hg_task_queue){0};
}

// Gives the budget, and those above it, the place in their parents' heaps that their first task gives them.
static void refresh(struct hg_task_queue *queue, uint32_t at) {
  while (at != 0) {
    struct hg_line *line = &queue->lines[at];
    int64_t own, below;
    const bool task = hg_heap_first(&line->tasks, &own), child = hg_heap_first(&line->children, &below);
    struct hg_heap *siblings = &queue->lines[line->parent].children;
    if ((task || child) && !line->blocked) hg_heap_put(siblings, &line->in_parent, own < below ? own : below);
    else hg_heap_remove(siblings, &line->in_parent);
    at = line->parent;
  }
}

bool hg_task_queue_put(struct hg_task_queue *queue, struct hg_queued_task *task) {
  struct hg_heap *tasks = &queue->lines[task->budget].tasks;
  if (!hg_heap_reserve(tasks, tasks->count + 1)) return false;
  hg_heap_put(tasks, &task->in_line, task->arrival);
  refresh(queue, task->budget);
  return true;
}

void hg_task_queue_remove(struct hg_task_queue *queue, struct hg_queued_task *task) {
  hg_heap_remove(&queue->lines[task->budget].tasks, &task->in_line);
  refresh(queue, task->budget);
}

struct hg_queued_task *hg_task_queue_first(const struct hg_task_queue *queue) {
  const struct hg_line *line = &queue->lines[0];
  if (line->blocked) return NULL;
  for (;;) {
    int64_t own, below;
    struct hg_heap_node *task = hg_heap_first(&line->tasks, &own);
    struct hg_heap_node *child = hg_heap_first(&line->children, &below);
    if (task && own < below) return HG_HOLDER(task, struct hg_queued_task, in_line);
    if (!child) return NULL;
    line = HG_HOLDER(child, struct hg_line, in_parent);
  }
}

struct hg_queued_task *hg_task_queue_next_waiting(const struct hg_task_queue *queue, uint32_t *budget,
                                                  uint32_t *count) {
  for (; *budget < queue->count; ++*budget) {
    int64_t arrival;
    const struct hg_heap *tasks = &queue->lines[*budget].tasks;
    struct hg_heap_node *first = hg_heap_first(tasks, &arrival);
    *count = (uint32_t)tasks->count;
    if (first) return HG_HOLDER(first, struct hg_queued_task, in_line);
  }
  *count = 0;
  return NULL;
}

void hg_task_queue_block(struct hg_task_queue *queue, uint32_t budget, bool blocked) {
  queue->lines[budget].blocked = blocked;
  refresh(queue, budget);
}
