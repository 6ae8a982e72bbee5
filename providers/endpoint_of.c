// Which endpoint the url of a line names.
#include "providers/request.h"

#include <string.h>

static bool ends_with(const char *url, const char *end) {
  size_t len = strcspn(url, "?#");
  while (len > 1 && url[len - 1] == '/')
    len--;
  return len >= strlen(end) && memcmp(url + len - strlen(end), end, strlen(end)) == 0;
}

bool hg_endpoint_only_reads(const char *url) {
  static const char *const ends[] = {"/score",    "/rerank",      "/pooling",     "/classify",
                                     "/tokenize", "/moderations", "/count_tokens"};
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
    if (ends_with(url, ends[i])) return true;
  return false;
}

bool hg_endpoint_streams(const char *url) {
  return ends_with(url, ":streamGenerateContent") || ends_with(url, "/converse-stream");
}

enum hg_endpoint hg_endpoint_of(const char *url) {
  static const struct {
    const char *end;
    enum hg_endpoint endpoint;
  } known[] = {{"/chat/completions", HG_ENDPOINT_CHAT},
               {"/responses", HG_ENDPOINT_RESPONSES},
               {"/completions", HG_ENDPOINT_COMPLETIONS},
               {"/embeddings", HG_ENDPOINT_EMBEDDINGS},
               {"/messages", HG_ENDPOINT_MESSAGES}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (ends_with(url, known[i].end)) return known[i].endpoint;
  return HG_ENDPOINT_OTHER;
}
