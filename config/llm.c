// The llm section: how providers are called. Values that may hold a secret are never repeated in a message.
#include "config/sections.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_letter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// A letter or "_", then letters, digits and what is in `also`.
static bool is_name(const char *text, const char *also) {
  if (!is_letter(*text) && *text != '_') return false;
  for (const char *c = text; *c; c++)
    if (!is_letter(*c) && !is_digit(*c) && *c != '_' && !strchr(also, *c)) return false;
  return true;
}

// The characters that a header's name may have (RFC 9110, token).
static bool is_header_name(const char *text) {
  for (const char *c = text; *c; c++)
    if (!is_letter(*c) && !is_digit(*c) && !strchr("!#$%&'*+-.^_`|~", *c)) return false;
  return *text != '\0';
}

static bool is_printable_ascii(const char *text, bool spaces) {
  for (const char *c = text; *c; c++)
    if (*c < 0x20 || *c > 0x7e || (*c == ' ' && !spaces)) return false;
  return true;
}

static void read_base_url(struct hg_object *llm, struct hg_llm_config *config) {
  const struct hg_path path = {.parent = llm->path, .key = "baseUrl"};
  const char *url = NULL;
  hg_object_text(llm, path.key, HG_PATH_MAX, &url);
  if (!url) return;
  const size_t scheme = strncasecmp(url, "https://", 8) == 0 ? 8 : strncasecmp(url, "http://", 7) == 0 ? 7 : 0;
  if (scheme == 0 || strchr("/?#", url[scheme]) || !is_printable_ascii(url, false))
    hg_reader_fail(llm->reader, &path, HG_AT_VALUE, "must be a URL such as https://api.openai.com, without spaces");
  else config->base_url = hg_reader_copy(llm->reader, url);
}

static void read_key_env(struct hg_object *llm, struct hg_llm_config *config) {
  const struct hg_path path = {.parent = llm->path, .key = "apiKeyEnv"};
  const char *name = NULL;
  hg_object_text(llm, path.key, HG_LABEL_MAX, &name);
  if (!name) return;
  if (!is_name(name, ""))
    hg_reader_fail(llm->reader, &path, HG_AT_VALUE,
                   "must be the name of an environment variable, such as OPENAI_API_KEY, and never the key itself");
  else config->api_key_env = hg_reader_copy(llm->reader, name);
}

static void read_auth(struct hg_object *llm, struct hg_llm_config *config) {
  static const char *const ways[] = {"auto", "bearer", "x-api-key", "api-key", "none"};
  unsigned way = 0;
  hg_object_choice(llm, "auth", ways, 5, &way);
  config->auth = hg_reader_copy(llm->reader, ways[way]);
}

static void read_cap_field(struct hg_object *llm, struct hg_llm_config *config) {
  const struct hg_path path = {.parent = llm->path, .key = "outputCapField"};
  const char *field = "auto";
  hg_object_text(llm, path.key, HG_BUDGET_NAME_MAX, &field);
  if (!is_name(field, "-"))
    hg_reader_fail(llm->reader, &path, HG_AT_VALUE, "must be \"auto\" or a field name such as \"max_tokens\"");
  else config->output_cap_field = hg_reader_copy(llm->reader, field);
}

// "Name: value", or NULL when it was refused.
static char *header_line(struct hg_config_reader *reader, const struct hg_path *path, const json_t *json) {
  const char *value = hg_reader_text(reader, path, json, HG_PATH_MAX);
  if (!value) return NULL;
  if (!is_header_name(path->key) || strlen(path->key) > HG_LABEL_MAX) {
    hg_reader_fail(reader, path, HG_AT_KEY, "is not a header's name: 1 to %d letters, digits and -", HG_LABEL_MAX);
    return NULL;
  }
  if (!is_printable_ascii(value, true)) {
    hg_reader_fail(reader, path, HG_AT_VALUE, "has a character that a header cannot carry: printable ASCII only");
    return NULL;
  }
  const size_t size = strlen(path->key) + strlen(value) + 3;
  char *line = malloc(size);
  if (!line) hg_reader_no_memory(reader);
  else snprintf(line, size, "%s: %s", path->key, value);
  return line;
}

static void read_headers(struct hg_object *llm, struct hg_llm_config *config) {
  const struct hg_path path = {.parent = llm->path, .key = "headers"};
  struct hg_object headers;
  const char *name = NULL;
  json_t *value = NULL;
  json_t *json = hg_object_get(llm, path.key);
  hg_object_open(&headers, llm->reader, json, &path);
  if (!json || llm->reader->err != HG_OK) return;
  if (json_object_size(json) > HG_HEADERS_MAX) {
    hg_reader_fail(llm->reader, &path, HG_AT_VALUE, "has %zu headers, %d are possible", json_object_size(json),
                   HG_HEADERS_MAX);
    return;
  }
  config->headers = calloc(json_object_size(json) + 1, sizeof *config->headers);
  if (!config->headers) {
    hg_reader_no_memory(llm->reader);
    return;
  }
  json_object_foreach(json, name, value) {
    const struct hg_path header = {.parent = &path, .key = name};
    char *line = header_line(llm->reader, &header, value);
    if (!line) return;
    config->headers[config->header_count++] = line;
  }
}

void hg_read_llm(struct hg_object *llm, struct hg_llm_config *config) {
  static const char *const unbounded[] = {"refuse", "allow"};
  static const char *const reservations[] = {
      [HG_RESERVE_BOUND] = "bound", [HG_RESERVE_COUNTED] = "counted", [HG_RESERVE_LEARNED] = "learned"};
  static const char *const counters[] = {[HG_COUNT_BY_ENDPOINT] = "auto", [HG_COUNT_BY_VLLM] = "vllm"};
  unsigned allow = 0, reservation = HG_RESERVE_BOUND, counter = HG_COUNT_BY_ENDPOINT;
  read_base_url(llm, config);
  read_key_env(llm, config);
  read_auth(llm, config);
  read_headers(llm, config);
  read_cap_field(llm, config);
  hg_object_choice(llm, "unbounded", unbounded, 2, &allow);
  config->allow_unbounded = allow == 1;
  hg_object_choice(llm, "reservation", reservations, 3, &reservation);
  config->reservation = (enum hg_reservation)reservation;
  hg_object_choice(llm, "counter", counters, 2, &counter);
  config->counter = (enum hg_count_by)counter;
  hg_object_bool(llm, "mayCapOutput", &config->may_cap_output);
  hg_object_integer(llm, "maxTokensPerMedia", 0, HG_TOKENS_MAX, "tokens (0: no bound)", &config->max_tokens_per_media);
  hg_object_integer(llm, "defaultMaxTokens", 1, HG_TOKENS_MAX, "tokens", &config->default_max_tokens);
  hg_object_integer(llm, "tokensPerMinute", 1, HG_TOKENS_MAX, "tokens", &config->tokens_per_minute);
  hg_object_integer(llm, "requestsPerMinute", 1, HG_TOKENS_MAX, "requests", &config->requests_per_minute);
  hg_read_prices(llm, &config->prices);
  hg_read_u32(llm, "timeoutSeconds", 1, 86400, "seconds", &config->timeout_seconds);
  hg_read_u32(llm, "maxAttempts", 1, 100, "attempts", &config->max_attempts);
  hg_read_u32(llm, "retryUnknownOutcome", 0, 100, "retries", &config->retry_unknown_outcome);
}
