// Reads, checks and builds a configuration: the entry points and the life of struct hg_config. What the sections mean
// is in sections.c and the files beside it.
#include "config/config.h"
#include "config/sections.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// An error that has no place in a text.
__attribute__((format(printf, 3, 4))) static hg_err refuse(hg_error *why, hg_err code, const char *format, ...) {
  static const char prefix[] = "ConfigurationError: ";
  const size_t used = code == HG_ERR_CONFIG ? sizeof prefix - 1 : 0;
  va_list args;
  memcpy(why->text, prefix, used);
  va_start(args, format);
  vsnprintf(why->text + used, sizeof why->text - used, format, args);
  va_end(args);
  why->code = code;
  return code;
}

// The end of a path that is too long for a message.
static const char *tail_of(const char *path) {
  const size_t len = strlen(path);
  return path + (len > 200 ? len - 200 : 0);
}

// ------------------------------------------------------------------------------------------------ life of the struct

static void free_prices(struct hg_prices *prices) {
  for (size_t i = 0; i < prices->count; i++)
    free(prices->list[i].model);
  free(prices->list);
}

static void free_list(char **list, size_t count) {
  for (size_t i = 0; i < count; i++)
    free(list[i]);
  free((void *)list);
}

void hg_config_destroy(struct hg_config **config) {
  if (!config || !*config) return;
  struct hg_config *c = *config;
  free(c->source);
  free(c->base_dir);
  free(c->budgets);
  free(c->budgets_by_name);
  free(c->ledger_path);
  free_list(c->event_binds, c->event_bind_count);
  free_list(c->serve_binds, c->serve_bind_count);
  free(c->metrics.host);
  free(c->event_curve.secret_key_file);
  free(c->event_curve.allowed_keys_file);
  free(c->serve_curve.secret_key_file);
  free(c->serve_curve.allowed_keys_file);
  free(c->llm.base_url);
  free(c->llm.api_key_env);
  free(c->llm.auth);
  free(c->llm.output_cap_field);
  free_list(c->llm.headers, c->llm.header_count);
  free_prices(&c->llm.prices);
  free(c->warnings);
  free(c);
  *config = NULL;
}

// What relative paths are relative to, absolute; NULL with the error set.
static char *find_base(struct hg_config_reader *reader, const char *base_dir) {
  if (base_dir && base_dir[0] == '/') {
    char *base = hg_path_absolute("/", base_dir);
    if (!base) hg_reader_no_memory(reader);
    return base;
  }
  char *here = getcwd(NULL, 0);
  if (here && here[0] != '/') errno = ENOENT; // "(unreachable)/…": a directory outside the process's root
  if (!here || here[0] != '/') {
    free(here);
    reader->err = refuse(reader->why, errno == ENOMEM ? HG_ERR_NO_MEMORY : HG_ERR_SYSTEM,
                         "the working directory, which paths are relative to, cannot be found: %s", strerror(errno));
    return NULL;
  }
  char *base = hg_path_absolute(here, base_dir && base_dir[0] ? base_dir : ".");
  if (!base) hg_reader_no_memory(reader);
  free(here);
  return base;
}

static struct hg_config *new_config(struct hg_config_reader *reader, const char *base_dir) {
  struct hg_config *config = calloc(1, sizeof *config);
  if (!config) {
    hg_reader_no_memory(reader);
    return NULL;
  }
  config->throttle_percent = TOKEN_THROTTLE_THRESHOLD_PERCENT;
  config->max_concurrency = 4;
  config->max_subscribers = HG_SUBSCRIBERS_DEFAULT;
  config->max_clients = HG_OUTSIDE_CLIENTS_DEFAULT;
  config->throttled_concurrency = 1;
  config->llm.timeout_seconds = 600;
  config->llm.max_attempts = 5;
  config->llm.retry_unknown_outcome = 1;
  config->llm.default_max_tokens = 4096;
  config->source = hg_reader_copy(reader, reader->source);
  config->base_dir = find_base(reader, base_dir);
  return config;
}

// ------------------------------------------------------------------------------------------------------ text and file

static void fill_in(struct hg_config_reader *reader, struct hg_config *config) {
  json_t *root = hg_reader_load(reader);
  if (root) hg_read_sections(reader, root, config);
  json_decref(root);
  if (!reader->warnings && reader->err == HG_OK) reader->warnings = hg_reader_copy(reader, "");
}

hg_err hg_config_parse(const char *json, size_t len, const char *source, const char *base_dir, struct hg_config **out,
                       hg_error *why) {
  struct hg_config_reader reader = {
      .text = len ? json : "", .len = len, .source = source ? source : "<json>", .why = why};
  if (len >= 3 && memcmp(json, "\xef\xbb\xbf", 3) == 0) { // a byte-order mark, which some editors leave
    reader.text += 3;
    reader.len -= 3;
  }
  struct hg_config *config = new_config(&reader, base_dir);
  if (reader.err == HG_OK && len > HG_CONFIG_BYTES_MAX)
    hg_reader_fail(&reader, NULL, HG_AT_VALUE, "has %zu bytes, %d are possible: is it the right file?", len,
                   HG_CONFIG_BYTES_MAX);
  if (reader.err == HG_OK) fill_in(&reader, config);
  if (reader.err != HG_OK) {
    free(reader.warnings);
    hg_config_destroy(&config);
    return reader.err;
  }
  config->warnings = reader.warnings;
  *out = config;
  return HG_OK;
}

// The whole of a file, or one byte more than the most that is accepted. NULL: errno says why.
static char *read_file(const char *path, size_t *len) {
  FILE *file = fopen(path, "rbe");
  if (!file) return NULL;
  char *text = NULL;
  bool failed = false;
  size_t size = 0;
  for (*len = 0; !failed && *len == size && size <= HG_CONFIG_BYTES_MAX;) {
    size = size == 0 ? 16384 : size * 2 > HG_CONFIG_BYTES_MAX ? HG_CONFIG_BYTES_MAX + 1 : size * 2;
    char *longer = realloc(text, size);
    failed = !longer;
    if (failed) break;
    text = longer;
    *len += fread(text + *len, 1, size - *len, file);
    failed = ferror(file) != 0;
  }
  const int reason = errno;
  fclose(file);
  if (!failed) return text;
  free(text);
  errno = reason;
  return NULL;
}

hg_err hg_config_read(const char *path, struct hg_config **out, hg_error *why) {
  size_t len = 0;
  errno = 0;
  char *text = read_file(path, &len);
  if (!text)
    return refuse(why, errno == ENOMEM ? HG_ERR_NO_MEMORY : HG_ERR_CONFIG,
                  "%s: cannot be read (%s): name a file that sets tokenBudget.hardLimitTokens", tail_of(path),
                  strerror(errno));
  const char *slash = strrchr(path, '/');
  char *directory = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;
  const hg_err err = slash && !directory
                         ? refuse(why, HG_ERR_NO_MEMORY, "there is not enough memory to read the configuration")
                         : hg_config_parse(text, len, path, directory, out, why);
  free(directory);
  free(text);
  return err;
}

// ------------------------------------------------------------------------------------------------------- without a
// file

hg_err hg_config_minimal(int64_t hard_limit, const char *ledger_path, struct hg_config **out, hg_error *why) {
  char text[96];
  struct hg_config *config = NULL;
  if (hard_limit < 1 || hard_limit > HG_TOKENS_MAX)
    return refuse(why, HG_ERR_CONFIG,
                  "tokenBudget.hardLimitTokens must be a whole number from 1 to %lld tokens; found %lld",
                  (long long)HG_TOKENS_MAX, (long long)hard_limit);
  const size_t len = ledger_path ? strlen(ledger_path) : 0;
  if (len == 0 || ledger_path[len - 1] == '/') return refuse(why, HG_ERR_CONFIG, "ledger.path must name a file");
  snprintf(text, sizeof text, "{\"tokenBudget\":{\"hardLimitTokens\":%lld}}", (long long)hard_limit);
  const hg_err err = hg_config_parse(text, strlen(text), "<limit>", NULL, &config, why);
  if (err != HG_OK) return err;
  // Set here and not in the text, because a path need not be UTF-8.
  free(config->ledger_path);
  config->ledger_path = hg_path_absolute(config->base_dir, ledger_path);
  const bool copied = config->ledger_path != NULL;
  if (copied && strlen(config->ledger_path) <= HG_LEDGER_PATH_MAX) {
    *out = config;
    return HG_OK;
  }
  hg_config_destroy(&config);
  if (!copied) return refuse(why, HG_ERR_NO_MEMORY, "there is not enough memory for a configuration");
  return refuse(why, HG_ERR_CONFIG, "ledger.path is too long: as an absolute path SQLite takes %d bytes",
                HG_LEDGER_PATH_MAX);
}
