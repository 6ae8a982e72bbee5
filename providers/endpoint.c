// Joins URLs and resolves base, key and headers for the two families of providers.
#include "providers/endpoint.h"

#include "providers/fail.h"
#include "providers/secrets.h"
#include "providers/url.h"

#include <stdlib.h>
#include <string.h>

#define KEY_MAX 8192 // bytes; tokens of cloud identities reach some thousands

// ---------------------------------------------------------------------------------------------- joining

// The length of a version segment ("v1", "v1beta", "v4") at `at`, 0: none.
static size_t version_len(const char *at, const char *end) {
  const char *p = at;
  if (p == end || *p++ != 'v' || p == end || *p < '0' || *p > '9') return 0;
  while (p < end && ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z')))
    p++;
  return p == end || *p == '/' ? (size_t)(p - at) : 0;
}

static bool ends_in_version(const struct hg_url *base) {
  const char *end = base->path + base->path_len, *segment = end;
  while (segment > base->path && segment[-1] != '/')
    segment--;
  return version_len(segment, end) > 0;
}

static hg_err check_path(const char *path, hg_error *why) {
  const size_t len = strlen(path);
  if (path[0] != '/' || path[1] == '/')
    return fail(why, HG_ERR_INVALID,
                "\"url\" must be a path such as /v1/chat/completions; the host comes from the base URL");
  if (len > HG_PATH_MAX) return fail(why, HG_ERR_INVALID, "\"url\" is longer than %d bytes", HG_PATH_MAX);
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)path[i] <= ' ' || (unsigned char)path[i] >= 0x7f || strchr("\\#\"<>", path[i]))
      return fail(why, HG_ERR_INVALID, "\"url\" has a character at place %zu that no URL path has", i + 1);
  return HG_OK;
}

hg_err hg_url_join(const char *base, const char *path, char **out, hg_error *why) {
  struct hg_url url;
  hg_err err = hg_url_read(base, "the base URL", &url, why);
  if (!err) err = check_path(path, why);
  if (err) return err;
  const size_t version = version_len(path + 1, path + 1 + strcspn(path + 1, "/?"));
  const bool messages = hg_endpoint_of(path) == HG_ENDPOINT_MESSAGES;
  if (version > 0 && (messages ? ends_in_version(&url) : url.path_len > 0)) path += 1 + version;
  const size_t size = url.origin_len + url.path_len + strlen(path) + url.query_len + 2;
  char *joined = malloc(size);
  if (!joined) return fail(why, HG_ERR_NO_MEMORY, "no memory for a URL of %zu bytes", size);
  const char *separator = url.query_len == 0 ? "" : strchr(path, '?') ? "&" : "?";
  snprintf(joined, size, "%.*s%.*s%s%s%.*s", (int)url.origin_len, base, (int)url.path_len, url.path, path, separator,
           (int)url.query_len, url.query);
  *out = joined;
  return HG_OK;
}

// ---------------------------------------------------------------------------------------------- headers

// A NULL-terminated list that grows.
struct list {
  char **items;
  size_t count;
};

static hg_err append(struct list *list, const char *name, const char *value, hg_error *why) {
  char **items = realloc(list->items, (list->count + 2) * sizeof *items);
  if (items) list->items = items;
  char *line = NULL;
  if (!items || asprintf(&line, "%s%s%s", name, *value ? ": " : "", value) < 0)
    return fail(why, HG_ERR_NO_MEMORY, "no memory for the headers");
  items[list->count++] = line;
  items[list->count] = NULL;
  return HG_OK;
}

static bool replaced(const struct hg_llm_config *llm, const char *name) {
  for (size_t i = 0; i < llm->header_count; i++)
    if (hg_header_has_name(llm->headers[i], name)) return true;
  return false;
}

// A default header, unless llm.headers has one of that name.
static hg_err append_default(struct list *list, const struct hg_llm_config *llm, const char *name, const char *value,
                             hg_error *why) {
  return replaced(llm, name) ? HG_OK : append(list, name, value, why);
}

// "Name: value", the name an HTTP token, the value printable. The value may be a secret and is not repeated.
static hg_err check_header(const char *header, size_t index, hg_error *why) {
  const char *colon = strchr(header, ':');
  const size_t len = strspn(header, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
  if (!colon || len == 0 || header + len != colon)
    return fail(why, HG_ERR_CONFIG, "llm.headers, number %zu, is not of the form \"Name: value\"", index + 1);
  for (const char *p = colon; *p; p++)
    if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
      return fail(why, HG_ERR_CONFIG, "llm.headers: the value of %.*s has a control character or a line break",
                  (int)(len > 64 ? 64 : len), header);
  return HG_OK;
}

static hg_err check_key(const char *key, const char *env, hg_error *why) {
  const size_t len = strlen(key);
  if (len > KEY_MAX) return fail(why, HG_ERR_CONFIG, "the key in %s is longer than %d bytes", env, KEY_MAX);
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)key[i] <= ' ' || (unsigned char)key[i] >= 0x7f)
      return fail(
          why, HG_ERR_CONFIG,
          "the key in %s has a space, a line break or another character that no key has (place %zu of %zu); set "
          "the variable to the key alone",
          env, i + 1, len);
  return HG_OK;
}

// ---------------------------------------------------------------------------------------------- resolving

// What tells one family from the other.
struct family {
  const char *base_env, *key_env, *base, *auth;
};
static const struct family openai = {"OPENAI_BASE_URL", "OPENAI_API_KEY", "https://api.openai.com", "bearer"};
static const struct family anthropic = {"ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "https://api.anthropic.com",
                                        "x-api-key"};

static const char *environment(const char *name) {
  const char *value = getenv(name);
  return value && *value ? value : NULL;
}

static hg_err append_key(struct list *list, const struct hg_llm_config *llm, const char *auth, const char *key,
                         hg_error *why) {
  if (strcmp(auth, "x-api-key") == 0) return append_default(list, llm, "x-api-key", key, why);
  if (strcmp(auth, "api-key") == 0) return append_default(list, llm, "api-key", key, why);
  char bearer[KEY_MAX + sizeof "Bearer "];
  snprintf(bearer, sizeof bearer, "Bearer %s", key);
  return append_default(list, llm, "Authorization", bearer, why);
}

// The way the key is sent: as configured, or as the family and the host want it. NULL: not at all. HG_ERR_CONFIG:
// unknown.
static hg_err choose_auth(const struct hg_llm_config *llm, const struct family *family, const struct hg_url *url,
                          const char **auth, hg_error *why) {
  static const char *const known[] = {"bearer", "x-api-key", "api-key"};
  const char *wish = llm->auth ? llm->auth : "auto";
  *auth = NULL;
  if (strcmp(wish, "none") == 0) return HG_OK;
  *auth = family->auth;
  if (family == &openai && hg_url_is_in(url, "azure.com")) *auth = "api-key";
  if (strcmp(wish, "auto") == 0) return HG_OK;
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    *auth = known[i];
    if (strcmp(wish, known[i]) == 0) return HG_OK;
  }
  return fail(why, HG_ERR_CONFIG, "llm.auth must be auto, bearer, x-api-key, api-key or none");
}

static hg_err refuse_plain_http(const struct hg_url *url, const char *credential, hg_error *why) {
  if (url->https || hg_url_is_loopback(url)) return HG_OK;
  return fail(
      why, HG_ERR_CONFIG,
      "%s would go over plain http to %.*s, readable on the way; use an https base URL, or, if that server needs no "
      "key, take it away (unset it for this run, or llm.auth \"none\")",
      credential, (int)(url->host_len > 200 ? 200 : url->host_len), url->host);
}

// One family: checks, then the list of headers.
static hg_err resolve_headers(const struct family *family, const struct hg_llm_config *llm, const struct hg_url *url,
                              const char *key_env, struct list *list, bool *has_key, hg_error *why) {
  const char *auth;
  hg_err err = choose_auth(llm, family, url, &auth, why);
  const char *key = auth ? environment(key_env) : NULL;
  if (!err && key) err = check_key(key, key_env, why);
  if (!err && key) err = refuse_plain_http(url, key_env, why);
  if (!err && key) err = append_key(list, llm, auth, key, why);
  if (!err && family == &anthropic) err = append_default(list, llm, "anthropic-version", "2023-06-01", why);
  *has_key = key != NULL;
  for (size_t i = 0; i < llm->header_count && !err; i++) {
    err = check_header(llm->headers[i], i, why);
    if (!err && hg_is_credential(llm->headers[i])) {
      *has_key = true;
      err = refuse_plain_http(url, "a credential in llm.headers", why);
    }
    if (!err) err = append(list, llm->headers[i], "", why);
  }
  return err;
}

static hg_err resolve_family(const struct family *family, const char *flag, const struct hg_llm_config *llm,
                             char **base, char ***headers, char **key_env, bool *has_key, hg_error *why) {
  const char *from_environment = environment(family->base_env);
  const char *text = flag ? flag : llm->base_url ? llm->base_url : from_environment ? from_environment : family->base;
  const char *what = flag ? "--base-url" : llm->base_url ? "llm.baseUrl" : family->base_env;
  const char *variable = llm->api_key_env ? llm->api_key_env : family->key_env;
  struct hg_url url;
  hg_err err = hg_url_read(text, what, &url, why);
  if (err) return err;
  *base = strdup(text);
  *key_env = strdup(variable);
  struct list list = {calloc(1, sizeof(char *)), 0};
  if (*base && *key_env && list.items) err = resolve_headers(family, llm, &url, variable, &list, has_key, why);
  else err = fail(why, HG_ERR_NO_MEMORY, "no memory for the headers");
  *headers = list.items;
  return err;
}

hg_err hg_target_resolve(const char *base_url_flag, const struct hg_llm_config *llm, struct hg_target *out,
                         hg_error *why) {
  *out = (struct hg_target){.openai_base = NULL};
  hg_err err = resolve_family(&openai, base_url_flag, llm, &out->openai_base, &out->openai_headers,
                              &out->openai_key_env, &out->openai_has_key, why);
  if (!err)
    err = resolve_family(&anthropic, base_url_flag, llm, &out->anthropic_base, &out->anthropic_headers,
                         &out->anthropic_key_env, &out->anthropic_has_key, why);
  if (err) hg_target_clear(out);
  return err;
}

static void free_list(char **list) {
  for (char **item = list; item && *item; item++)
    free(*item);
  free(list);
}

void hg_target_clear(struct hg_target *target) {
  free_list(target->openai_headers);
  free_list(target->anthropic_headers);
  free(target->openai_base);
  free(target->anthropic_base);
  free(target->openai_key_env);
  free(target->anthropic_key_env);
  *target = (struct hg_target){.openai_base = NULL};
}
