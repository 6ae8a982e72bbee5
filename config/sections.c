// The sections of the configuration but for llm (llm.c); budgets and endpoints have files of their own.
#include "config/sections.h"
#include "config/suggest.h"

#include <stdlib.h>
#include <string.h>

static const char *const section_names[] = {"tokenBudget", "ledger", "scheduler", "eventBus", "serve", "llm"};
#define SECTIONS (sizeof section_names / sizeof section_names[0])
#define COMMITTED_RESTORE_PERCENT 80 // lower than the throttle, or each grant would flap it

static const char *const bases[] = {[HG_THROTTLE_USED] = "used", [HG_THROTTLE_COMMITTED] = "committed"};
static const char *const policies[] = {
    [HG_ORPHAN_CHARGE] = "charge", [HG_ORPHAN_KEEP] = "keep", [HG_ORPHAN_RELEASE] = "release"};

const char *hg_throttle_basis_name(enum hg_throttle_basis basis) {
  return bases[basis];
}

const char *hg_orphan_policy_name(enum hg_orphan_policy policy) {
  return policies[policy];
}

static void read_throttle(struct hg_object *object, struct hg_config *config) {
  unsigned basis = HG_THROTTLE_USED;
  hg_read_u32(object, "throttlePercent", 1, 100, "percent", &config->throttle_percent);
  hg_object_choice(object, "throttleBasis", bases, 2, &basis);
  config->throttle_basis = (enum hg_throttle_basis)basis;
  config->restore_below_percent = config->throttle_percent;
  if (config->throttle_basis == HG_THROTTLE_COMMITTED && config->restore_below_percent > COMMITTED_RESTORE_PERCENT)
    config->restore_below_percent = COMMITTED_RESTORE_PERCENT;
  hg_read_u32(object, "restoreBelowPercent", 1, config->throttle_percent, "percent (at most throttlePercent)",
              &config->restore_below_percent);
}

static void read_token_budget(struct hg_object *object, struct hg_config *config) {
  unsigned policy = HG_ORPHAN_CHARGE;
  const int64_t hard_limit = hg_read_hard_limit(object, &config->unit);
  read_throttle(object, config);
  hg_object_choice(object, "orphanedReservations", policies, 3, &policy);
  config->orphan_policy = (enum hg_orphan_policy)policy;
  hg_read_budgets(object, hard_limit, config);
}

static void read_ledger(struct hg_object *object, struct hg_config *config) {
  const struct hg_path path = {.parent = object->path, .key = "path"};
  const char *name = "headgate.db";
  hg_object_text(object, path.key, HG_PATH_MAX, &name);
  hg_read_u32(object, "keepDays", 0, 36500, "days (0: for ever)", &config->keep_days);
  hg_object_bool(object, "sharedReaders", &config->shared_readers);
  if (object->reader->err != HG_OK) return;
  const size_t len = strlen(name);
  if (name[len - 1] == '/' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
    hg_reader_fail(object->reader, &path, HG_AT_VALUE, "must name a file, not a directory; found \"%.64s\"", name);
    return;
  }
  config->ledger_path = hg_path_absolute(config->base_dir, name);
  if (!config->ledger_path) hg_reader_no_memory(object->reader);
  else if (strlen(config->ledger_path) > HG_LEDGER_PATH_MAX)
    hg_reader_fail(object->reader, &path, json_object_get(object->json, "path") ? HG_AT_VALUE : HG_AT_PARENT,
                   "is too long: as an absolute path it has %zu bytes, SQLite takes %d", strlen(config->ledger_path),
                   HG_LEDGER_PATH_MAX);
}

static void read_scheduler(struct hg_object *object, struct hg_config *config) {
  hg_read_u32(object, "maxConcurrency", 1, HG_CONCURRENCY_MAX, "tasks", &config->max_concurrency);
  hg_read_u32(object, "throttledConcurrency", 1, config->max_concurrency, "tasks (at most maxConcurrency)",
              &config->throttled_concurrency);
}

static void read_event_bus(struct hg_object *object, struct hg_config *config) {
  hg_read_curve(object, config, &config->event_curve);
  const struct hg_binds binds = hg_read_binds(object, config, config->event_curve.secret_key_file != NULL);
  config->event_binds = binds.endpoints;
  config->event_bind_count = binds.count;
  hg_read_u32(object, "maxSubscribers", 1, HG_CONNECTIONS_MAX, "connections", &config->max_subscribers);
  hg_object_unsupported(object, "replay", "leave it out");
}

static void read_serve(struct hg_object *object, struct hg_config *config) {
  hg_read_curve(object, config, &config->serve_curve);
  const struct hg_binds binds = hg_read_binds(object, config, config->serve_curve.secret_key_file != NULL);
  config->serve_binds = binds.endpoints;
  config->serve_bind_count = binds.count;
  hg_read_u32(object, "maxClients", 1, HG_CONNECTIONS_MAX, "connections", &config->max_clients);
  hg_read_metrics(object, &config->metrics);
}

static bool is_section(const char *name) {
  for (size_t i = 0; i < SECTIONS; i++)
    if (strcmp(name, section_names[i]) == 0) return true;
  return false;
}

// Other sections are the larger program's, whose file this is; but a slip of the pen would be ignored in silence.
static void warn_of_slips(struct hg_config_reader *reader, json_t *root) {
  const char *name = NULL;
  json_t *value = NULL;
  json_object_foreach(root, name, value) {
    const struct hg_path path = {.key = name};
    const bool own = is_section(name) || strcmp(name, "server") == 0; // many a program has a section of that name
    const char *nearest = own ? NULL : hg_suggest(name, section_names, SECTIONS);
    if (nearest) hg_reader_warn(reader, &path, "is left alone as another program's: did you mean \"%s\"?", nearest);
  }
}

static void read_llm(struct hg_object *object, struct hg_config *config) {
  hg_read_llm(object, &config->llm);
}

void hg_read_sections(struct hg_config_reader *reader, json_t *root, struct hg_config *config) {
  static void (*const readers[SECTIONS])(struct hg_object *, struct hg_config *) = {
      read_token_budget, read_ledger, read_scheduler, read_event_bus, read_serve, read_llm};
  struct hg_object object;
  hg_object_open(&object, reader, root, NULL); // refuses a list
  hg_read_limit_is_there(&object);
  for (size_t i = 0; i < SECTIONS && reader->err == HG_OK; i++) {
    const struct hg_path path = {.key = section_names[i]};
    hg_object_open(&object, reader, json_object_get(root, section_names[i]), &path);
    readers[i](&object, config);
    hg_object_close(&object);
  }
  warn_of_slips(reader, root);
}
