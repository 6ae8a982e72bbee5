// How the body of an answer begins, and what its type says: whether it is a stream.
#include "usage/stream.h"

#include <string.h>

static bool is_one_of(const char *content_type, const char *const *types) {
  for (; content_type && *types; types++)
    if (strcasestr(content_type, *types)) return true;
  return false;
}

// False: white space, behind a byte-order mark or a part of one.
static bool says_anything(const char *bytes, size_t len, size_t *blank) {
  static const char mark[] = "\xef\xbb\xbf";
  if (len == 0 || (*blank == 0 && len < sizeof mark - 1 && memcmp(bytes, mark, len) == 0)) return false;
  if (*blank == 0) *blank = hg_json_mark(bytes, len);
  while (*blank < len && bytes[*blank] && strchr(" \t\r\n", bytes[*blank]))
    ++*blank;
  return *blank < len;
}

// JSON is a stream where its type says that more may follow. Where the type is that of events, which begin with another
// byte, it is one only for whoever asked for a stream: some servers call whatever they send events.
enum hg_stream_look hg_stream_look(const char *content_type, bool asked, const char *bytes, size_t len, size_t *blank) {
  static const char *const lines[] = {"ndjson", "jsonl", "json-seq", "stream+json", NULL};
  static const char *const events[] = {"event-stream", "eventstream", NULL}, *const streams[] = {"stream", NULL};
  if (!says_anything(bytes, len, blank)) return HG_STREAM_NOT_YET;
  const char first = bytes[*blank];
  bool is = is_one_of(content_type, lines);
  if (first == '{' || (first == '[' && !asked)) is |= asked && is_one_of(content_type, streams);
  else is |= asked || is_one_of(content_type, events);
  return is && first != '<' ? HG_STREAM_IT_IS : HG_STREAM_IT_IS_NOT;
}
