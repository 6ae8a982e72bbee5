// tokenBudget.budgets: names, limits and parents, checked to be a tree under "default" and laid out parents first.
#include "config/sections.h"
#include "config/suggest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOT "default"

// A budget while it is read. Names are borrowed from the JSON text.
struct draft {
  const char *name, *parent_name;
  const struct draft *parent; // NULL: the root
  int64_t hard_limit;
  unsigned depth; // budgets on the path, itself and the root included
};

struct drafts {
  struct draft *list; // in the order of the file
  const struct draft **by_name;
  size_t count;
  const struct hg_path *path; // tokenBudget.budgets
};

static int compare_names(const void *a, const void *b) {
  return strcmp((*(const struct draft *const *)a)->name, (*(const struct draft *const *)b)->name);
}

static int compare_name_to_draft(const void *name, const void *draft) {
  return strcmp(name, (*(const struct draft *const *)draft)->name);
}

static const struct draft *find(const struct drafts *drafts, const char *name) {
  const struct draft *const *found =
      bsearch(name, drafts->by_name, drafts->count, sizeof(struct draft *), compare_name_to_draft);
  return found ? *found : NULL;
}

static bool is_budget_name(const char *name) {
  const size_t len = strlen(name);
  static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return len > 0 && len <= HG_BUDGET_NAME_MAX && strspn(name, allowed) == len;
}

static void read_draft(struct hg_config_reader *reader, const struct hg_path *path, json_t *json, hg_unit unit,
                       struct draft *draft) {
  struct hg_object object;
  if (strcmp(path->key, ROOT) == 0) {
    hg_reader_fail(reader, path, HG_AT_KEY, "may not appear here: its limit is tokenBudget.hardLimitTokens");
    return;
  }
  if (!is_budget_name(path->key)) {
    hg_reader_fail(reader, path, HG_AT_KEY, "is not a budget's name: 1 to %d letters, digits and . _ -",
                   HG_BUDGET_NAME_MAX);
    return;
  }
  *draft = (struct draft){.name = path->key, .parent_name = ROOT};
  hg_object_open(&object, reader, json, path);
  draft->hard_limit = hg_read_hard_limit_in(&object, unit);
  hg_object_text(&object, "parent", HG_BUDGET_NAME_MAX, &draft->parent_name);
  hg_object_close(&object);
}

static void refuse_parent(struct hg_config_reader *reader, const struct hg_path *path, const struct drafts *drafts,
                          const struct draft *draft) {
  const char **names = calloc(drafts->count, sizeof *names);
  if (!names) {
    hg_reader_no_memory(reader);
    return;
  }
  for (size_t i = 0; i < drafts->count; i++)
    names[i] = drafts->list[i].name;
  const char *nearest = hg_suggest(draft->parent_name, names, drafts->count);
  hg_reader_fail(reader, path, HG_AT_VALUE, "names a budget that does not exist: \"%.64s\"%s%s%s", draft->parent_name,
                 nearest ? " (did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?)" : "");
  free(names);
}

static void link_parents(struct hg_config_reader *reader, struct drafts *drafts) {
  for (size_t i = 0; i < drafts->count && reader->err == HG_OK; i++) {
    struct draft *draft = &drafts->list[i];
    const struct hg_path budget = {.parent = drafts->path, .key = draft->name};
    const struct hg_path path = {.parent = &budget, .key = "parent"};
    if (strcmp(draft->parent_name, ROOT) == 0) continue;
    draft->parent = find(drafts, draft->parent_name);
    if (!draft->parent) refuse_parent(reader, &path, drafts, draft);
  }
}

// Walks to the root, never further than the deepest path, so that 10,000 budgets stay cheap and a cycle ends.
static void measure_depths(struct hg_config_reader *reader, struct drafts *drafts) {
  for (size_t i = 0; i < drafts->count && reader->err == HG_OK; i++) {
    struct draft *draft = &drafts->list[i];
    const struct draft *up = draft->parent;
    for (draft->depth = 2; up && draft->depth <= HG_BUDGET_DEPTH_MAX; up = up->parent)
      draft->depth++;
    if (draft->depth <= HG_BUDGET_DEPTH_MAX) continue;
    const struct hg_path budget = {.parent = drafts->path, .key = draft->name};
    const struct hg_path path = {.parent = &budget, .key = "parent"};
    for (size_t steps = 0; up && steps < drafts->count; steps++)
      up = up->parent;
    if (up)
      hg_reader_fail(reader, &path, HG_AT_VALUE, "leads into a circle and never to \"" ROOT "\" (by way of \"%s\")",
                     up->name);
    else
      hg_reader_fail(reader, &path, HG_AT_VALUE, "is too deep: a path has at most %d budgets, \"" ROOT "\" included",
                     HG_BUDGET_DEPTH_MAX);
  }
}

static int compare_depths(const void *a, const void *b) {
  const struct draft *x = *(const struct draft *const *)a, *y = *(const struct draft *const *)b;
  return x->depth != y->depth ? (x->depth < y->depth ? -1 : 1) : strcmp(x->name, y->name);
}

static int compare_draft_to_entry(const void *draft, const void *entry) {
  return compare_depths(&draft, entry);
}

// Fills in config->budgets behind the root, by depth and name. by_name is sorted anew.
static void lay_out(struct drafts *drafts, struct hg_config *config) {
  const struct draft **sorted = drafts->by_name;
  if (drafts->count > 0) qsort(sorted, drafts->count, sizeof(struct draft *), compare_depths);
  for (size_t i = 0; i < drafts->count; i++) {
    struct hg_budget_config *budget = &config->budgets[config->budget_count++];
    snprintf(budget->name, sizeof budget->name, "%s", sorted[i]->name);
    budget->hard_limit = sorted[i]->hard_limit;
    if (!sorted[i]->parent) continue; // the root is index 0
    const struct draft **parent =
        bsearch(sorted[i]->parent, sorted, drafts->count, sizeof(struct draft *), compare_draft_to_entry);
    budget->parent = (uint32_t)(parent - sorted) + 1;
  }
}

static void read_drafts(struct hg_config_reader *reader, json_t *json, hg_unit unit, struct drafts *drafts) {
  const char *name = NULL;
  json_t *value = NULL;
  json_object_foreach(json, name, value) {
    const struct hg_path path = {.parent = drafts->path, .key = name};
    if (reader->err != HG_OK) return;
    read_draft(reader, &path, value, unit, &drafts->list[drafts->count]);
    drafts->by_name[drafts->count] = &drafts->list[drafts->count];
    drafts->count++;
  }
  if (drafts->count > 0 && reader->err == HG_OK)
    qsort(drafts->by_name, drafts->count, sizeof(struct draft *), compare_names);
  link_parents(reader, drafts);
  measure_depths(reader, drafts);
}

static int compare_index(const void *left, const void *right, void *budgets) {
  const struct hg_budget_config *list = budgets;
  return strcmp(list[*(const uint32_t *)left].name, list[*(const uint32_t *)right].name);
}

static bool index_names(struct hg_config *config) {
  config->budgets_by_name = calloc(config->budget_count, sizeof *config->budgets_by_name);
  if (!config->budgets_by_name) return false;
  for (uint32_t i = 0; i < config->budget_count; i++)
    config->budgets_by_name[i] = i;
  qsort_r(config->budgets_by_name, config->budget_count, sizeof *config->budgets_by_name, compare_index,
          config->budgets);
  return true;
}

// As strcmp, for a name that does not end in a NUL.
static int compare_name(const char *name, size_t len, const char *other) {
  const int order = strncmp(name, other, len);
  return order != 0 ? order : -(other[len] != '\0');
}

bool hg_config_take_budgets(struct hg_config *config, struct hg_budget_config *budgets, uint32_t count) {
  free(config->budgets);
  free(config->budgets_by_name);
  config->budgets = budgets;
  config->budget_count = count;
  config->budgets_by_name = NULL;
  return index_names(config);
}

bool hg_config_find_budget(const struct hg_config *config, const char *name, size_t len, uint32_t *out) {
  if (len == 0 || len > HG_BUDGET_NAME_MAX || memchr(name, '\0', len)) return false;
  for (uint32_t first = 0, end = config->budget_count; first < end;) {
    const uint32_t middle = config->budgets_by_name ? first + (end - first) / 2 : first;
    const uint32_t index = config->budgets_by_name ? config->budgets_by_name[middle] : middle;
    const int order = compare_name(name, len, config->budgets[index].name);
    if (order == 0) {
      *out = index;
      return true;
    }
    if (config->budgets_by_name && order < 0) end = middle;
    else first = middle + 1;
  }
  return false;
}

void hg_read_budgets(struct hg_object *token_budget, int64_t hard_limit, struct hg_config *config) {
  const struct hg_path path = {.parent = token_budget->path, .key = "budgets"};
  struct hg_config_reader *reader = token_budget->reader;
  json_t *json = hg_object_get(token_budget, path.key);
  struct hg_object object;
  hg_object_open(&object, reader, json, &path);
  const size_t count = json_object_size(json);
  if (count >= HG_BUDGETS_MAX)
    hg_reader_fail(reader, &path, HG_AT_VALUE, "has %zu budgets, %d are possible", count, HG_BUDGETS_MAX - 1);
  if (reader->err != HG_OK) return;

  struct drafts drafts = {.path = &path};
  drafts.list = calloc(count + 1, sizeof *drafts.list);
  drafts.by_name = calloc(count + 1, sizeof(struct draft *));
  config->budgets = calloc(count + 1, sizeof *config->budgets);
  if (drafts.list && drafts.by_name && config->budgets) {
    snprintf(config->budgets[0].name, sizeof config->budgets[0].name, ROOT);
    config->budgets[0].hard_limit = hard_limit;
    config->budget_count = 1;
    read_drafts(reader, json, config->unit, &drafts);
    if (reader->err == HG_OK) lay_out(&drafts, config);
    if (reader->err == HG_OK && !index_names(config)) hg_reader_no_memory(reader);
  } else {
    hg_reader_no_memory(reader);
  }
  free(drafts.list);
  free((void *)drafts.by_name);
}
