// A strict reader: what it does not know it refuses, because a URL that is read differently here and by the HTTP client
// could carry a key where it must not go.
#include "providers/url.h"

#include "providers/fail.h"
#include "schemas/limits.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

static bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Host and port from `at`; NULL: wrong, else where they end.
static const char *read_authority(const char *at, struct hg_url *out) {
  if (*at == '[') {
    out->host = ++at;
    out->host_len = strspn(at, "0123456789abcdefABCDEF:.");
    at += out->host_len;
    if (*at++ != ']') return NULL;
  } else {
    out->host = at;
    while (is_alnum(*at) || *at == '-' || *at == '.' || *at == '_')
      at++;
    out->host_len = (size_t)(at - out->host);
  }
  if (out->host_len == 0) return NULL;
  if (*at == ':') {
    unsigned port = 0;
    const char *digits = ++at;
    for (; *at >= '0' && *at <= '9' && port <= 65535; at++)
      port = port * 10 + (unsigned)(*at - '0');
    if (at == digits || port == 0 || port > 65535) return NULL;
  }
  return *at == '\0' || *at == '/' || *at == '?' ? at : NULL;
}

hg_err hg_url_read(const char *text, const char *what, struct hg_url *out, hg_error *why) {
  static const char advice[] = "write it as https://host[:port][/path]";
  *out = (struct hg_url){.https = strncasecmp(text, "https://", 8) == 0};
  if (!out->https && strncasecmp(text, "http://", 7) != 0)
    return fail(why, HG_ERR_CONFIG, "%s is no http or https URL; %s", what, advice);
  const size_t len = strlen(text);
  if (len > HG_PATH_MAX) return fail(why, HG_ERR_CONFIG, "%s is longer than %d bytes", what, HG_PATH_MAX);
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f || strchr("\\#\"<>", text[i]))
      return fail(why, HG_ERR_CONFIG, "%s has a character at place %zu that no base URL has; %s", what, i + 1, advice);
  const char *authority = text + (out->https ? 8 : 7);
  if (memchr(authority, '@', strcspn(authority, "/?")))
    return fail(why, HG_ERR_CONFIG, "%s has a user or password in it; give the key by llm.apiKeyEnv", what);
  const char *end = read_authority(authority, out);
  if (!end) return fail(why, HG_ERR_CONFIG, "%s has no valid host and port; %s", what, advice);
  out->origin_len = (size_t)(end - text);
  out->path = end;
  out->path_len = strcspn(end, "?");
  out->query = end + out->path_len + (end[out->path_len] == '?');
  out->query_len = strlen(out->query);
  while (out->path_len > 0 && out->path[out->path_len - 1] == '/')
    out->path_len--;
  return HG_OK;
}

bool hg_url_is_loopback(const struct hg_url *url) {
  char host[64];
  if (url->host_len >= sizeof host) return false;
  memcpy(host, url->host, url->host_len);
  host[url->host_len] = '\0';
  struct in_addr four;
  struct in6_addr six;
  if (inet_pton(AF_INET, host, &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
  if (inet_pton(AF_INET6, host, &six) == 1) return IN6_IS_ADDR_LOOPBACK(&six);
  return strcasecmp(host, "localhost") == 0;
}

bool hg_url_is_in(const struct hg_url *url, const char *domain) {
  const size_t len = strlen(domain);
  if (url->host_len < len || strncasecmp(url->host + url->host_len - len, domain, len) != 0) return false;
  return url->host_len == len || url->host[url->host_len - len - 1] == '.';
}
