// What the two halves of the HTTP part share: http.c drives libcurl's multi handle, http_call.c one call.
#ifndef HG_HTTP_PRIVATE_H
#define HG_HTTP_PRIVATE_H

#include "runner/http.h"
#include "usage/assemble.h"

#include <curl/curl.h>

// An answer that comes as a stream: its events are read as they come, and only what is made of them is kept.
struct hg_http_stream {
  struct hg_stream stream;
  struct hg_assembly assembly;
  struct hg_streamed streamed;
  struct hg_text_buffer answer;
};

struct hg_http_call {
  CURL *easy;
  const struct curl_slist *headers; // set in the handle now
  char *url;                        // set in the handle now
  size_t url_capacity;
  void *tag;
  char *body; // of the answer
  size_t body_len, body_capacity;
  size_t blank;                  // of it, bytes at its beginning that say nothing
  int64_t headers_us;            // when its headers came, by the monotonic clock; 0: they have not
  bool streams;                  // a stream was asked for
  bool looked;                   // it is known whether the answer is one
  int64_t choices;               // that were asked for
  uint32_t timeout_ms;           // of a call that says none
  struct hg_http_stream *stream; // NULL: the answer is none, or nothing of it has come
  uint32_t starts;               // how often libcurl was about to send the request
  bool resent;                   // it wanted to send it once more, and was stopped
  bool too_large;
  bool no_memory;
  char detail[CURL_ERROR_SIZE];
  struct hg_http_call *next, *previous; // in the list of running or of idle calls
};

// A handle with everything that is the same for all calls. NULL: no memory.
struct hg_http_call *hg_http_call_new(const struct hg_http_options *options);
void hg_http_call_destroy(struct hg_http_call *call);
// Sets what this request wants; the rest stays as the call before left it.
hg_err hg_http_call_prepare(struct hg_http_call *call, const struct hg_http_request *request,
                            const struct curl_slist *headers, hg_error *why);
// The hosts that no proxy is used for: loopback, and those of the environment's no_proxy (NULL: none), whose place ours
// would take otherwise. malloc'd; NULL: no memory.
char *hg_http_no_proxy(const char *environment);
bool hg_http_call_left(const struct hg_http_call *call);
// Describes how the transfer ended.
void hg_http_call_end(struct hg_http_call *call, CURLcode code, struct hg_http_end *out);
// Forgets the answer.
void hg_http_call_rest(struct hg_http_call *call);

// Of a Retry-After header: whole or fractional seconds, or a date. -1: neither. `now` is seconds since the epoch.
int64_t hg_retry_after_ms(const char *text, int64_t now);

#endif
