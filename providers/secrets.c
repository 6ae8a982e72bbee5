// Finds credentials in texts and covers them.
#include "providers/secrets.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool hg_header_has_name(const char *header, const char *name) {
  const size_t len = strcspn(header, ":");
  return strlen(name) == len && strncasecmp(header, name, len) == 0;
}

static const char *value_of(const char *header) {
  const char *colon = strchr(header, ':');
  return colon ? colon + 1 + strspn(colon + 1, " \t") : "";
}

bool hg_is_credential(const char *header) {
  static const char *const names[] = {"authorization", "proxy-authorization", "x-api-key",
                                      "api-key",       "x-goog-api-key",      "cookie"};
  if (!*value_of(header)) return false;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (hg_header_has_name(header, names[i])) return true;
  return false;
}

// Without the scheme ("Bearer") that may stand before it.
static const char *secret_of(const char *header) {
  const char *value = value_of(header), *space = strchr(value, ' ');
  const bool scheme = hg_header_has_name(header, "authorization") || hg_header_has_name(header, "proxy-authorization");
  return scheme && space ? space + strspn(space, " ") : value;
}

static int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  digit |= 0x20;
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

// The length of one character of a text that stands for `wanted`, as it is or escaped; 0: it is another one.
static size_t match_character(const char *at, const char *end, char wanted) {
  if (at < end && *at == wanted) return wanted == '\\' && end - at > 1 && at[1] == '\\' ? 2 : 1;
  if (end - at < 2 || at[0] != '\\') return 0;
  if (at[1] == wanted) return wanted == '/' || wanted == '"' ? 2 : 0;
  if (end - at < 6 || at[1] != 'u' || at[2] != '0' || at[3] != '0') return 0;
  const int high = hex_value(at[4]), low = hex_value(at[5]);
  return high >= 0 && low >= 0 && high * 16 + low == wanted ? 6 : 0;
}

static size_t match(const char *at, const char *end, const char *secret) {
  const char *start = at;
  for (; *secret; secret++) {
    const size_t len = match_character(at, end, *secret);
    if (len == 0) return 0;
    at += len;
  }
  return (size_t)(at - start);
}

// In the copy once there is one.
static hg_err cover(const char *secret, const char *text, size_t len, char **copy) {
  for (size_t at = 0; at < len;) {
    const char *from = *copy ? *copy : text;
    const size_t found = match(from + at, from + len, secret);
    if (found > 0 && !*copy) {
      *copy = malloc(len);
      if (!*copy) return HG_ERR_NO_MEMORY;
      memcpy(*copy, text, len);
    }
    if (found > 0) memset(*copy + at, '*', found);
    at += found > 0 ? found : 1;
  }
  return HG_OK;
}

hg_err hg_target_hide_keys(const struct hg_target *target, const char *text, size_t len, char **out) {
  char *const *lists[] = {target->openai_headers, target->anthropic_headers};
  hg_err err = HG_OK;
  *out = NULL;
  for (size_t i = 0; i < 2 && len > 0; i++)
    for (char *const *header = lists[i]; header && *header && !err; header++) {
      if (!hg_is_credential(*header)) continue;
      const char *secret = secret_of(*header);
      if (strlen(secret) >= HG_SECRET_LEAST) err = cover(secret, text, len, out);
    }
  if (!err) return HG_OK;
  free(*out);
  *out = NULL;
  return err;
}
