// Which endpoint the url of a line names, and which model.
#include "providers/request.h"

#include <string.h>

bool hg_endpoint_ends_with(const char *url, const char *end) {
  size_t len = strcspn(url, "?#");
  while (len > 1 && url[len - 1] == '/')
    len--;
  return len >= strlen(end) && memcmp(url + len - strlen(end), end, strlen(end)) == 0;
}

static bool ends_with_one_of(const char *url, const char *const *ends) {
  for (; *ends; ends++)
    if (hg_endpoint_ends_with(url, *ends)) return true;
  return false;
}

bool hg_endpoint_embeds(const char *url) {
  static const char *const ends[] = {"/embed", "/api/embeddings", ":embedContent", ":batchEmbedContents", NULL};
  return ends_with_one_of(url, ends);
}

bool hg_endpoint_only_reads(const char *url) {
  static const char *const ends[] = {"/score",    "/rerank",      "/pooling",      "/classify",
                                     "/tokenize", "/moderations", "/count_tokens", NULL};
  return hg_endpoint_embeds(url) || ends_with_one_of(url, ends);
}

bool hg_endpoint_is_cohere_chat(const char *url) {
  return hg_endpoint_ends_with(url, "/v2/chat");
}

bool hg_endpoint_streams(const char *url, bool asked, bool declined) {
  static const char *const always[] = {":streamGenerateContent", "/converse-stream", "/invoke-with-response-stream",
                                       NULL};
  static const char *const unless_declined[] = {"/api/chat", "/api/generate", NULL};
  return asked || ends_with_one_of(url, always) || (!declined && ends_with_one_of(url, unless_declined));
}

enum hg_endpoint hg_endpoint_of(const char *url) {
  static const struct {
    const char *end;
    enum hg_endpoint endpoint;
  } known[] = {{"/api/embeddings", HG_ENDPOINT_OTHER}, // Ollama's older one answers otherwise than OpenAI's
               {"/chat/completions", HG_ENDPOINT_CHAT},   {"/responses", HG_ENDPOINT_RESPONSES},
               {"/completions", HG_ENDPOINT_COMPLETIONS}, {"/embeddings", HG_ENDPOINT_EMBEDDINGS},
               {"/messages", HG_ENDPOINT_MESSAGES}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (hg_endpoint_ends_with(url, known[i].end)) return known[i].endpoint;
  return HG_ENDPOINT_OTHER;
}

// ---------------------------------------------------------------------------------------------- the model

static int digit_of(char c) {
  return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

// Percent-decoded. What no model is called leaves it empty: too long, or with other characters than printable ASCII.
static void copy_name(const char *from, size_t len, char out[HG_LABEL_MAX + 1]) {
  size_t count = 0;
  for (size_t i = 0; i < len; i++) {
    int c = (unsigned char)from[i];
    if (c == '%' && i + 2 < len && digit_of(from[i + 1]) >= 0 && digit_of(from[i + 2]) >= 0) {
      c = digit_of(from[i + 1]) * 16 + digit_of(from[i + 2]);
      i += 2;
    }
    if (c <= ' ' || c >= 0x7f || count == HG_LABEL_MAX) {
      count = 0;
      break;
    }
    out[count++] = (char)c;
  }
  out[count] = '\0';
}

// The segment of the path behind the one that is called `name`; NULL: there is none.
static const char *segment_behind(const char *path, size_t path_len, const char *name, size_t *len) {
  const size_t name_len = strlen(name);
  for (const char *at = path, *end = path + path_len; at < end; at++) {
    if (*at != '/' || (size_t)(end - at) < name_len + 2 || memcmp(at + 1, name, name_len) != 0) continue;
    if (at[name_len + 1] != '/') continue;
    const char *segment = at + name_len + 2;
    for (*len = 0; segment + *len < end && segment[*len] != '/';)
      ++*len;
    if (*len > 0) return segment;
  }
  return NULL;
}

void hg_endpoint_model(const char *url, char out[HG_LABEL_MAX + 1]) {
  const size_t path_len = strcspn(url, "?#");
  size_t len = 0;
  out[0] = '\0';
  const char *segment = segment_behind(url, path_len, "models", &len);
  const char *method = segment ? memchr(segment, ':', len) : NULL;
  if (method && segment + len == url + path_len) {
    copy_name(segment, (size_t)(method - segment), out);
    return;
  }
  segment = segment_behind(url, path_len, "model", &len);
  if (!segment || segment + len == url + path_len) segment = segment_behind(url, path_len, "deployments", &len);
  if (segment) copy_name(segment, len, out);
}
