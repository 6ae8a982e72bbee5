// Many HTTP calls at once in one thread, over libcurl's multi interface: connections are kept and shared, handles are
// reused, answers are bounded. Redirects are not followed, so a key goes only where it was meant to go.
#ifndef HG_HTTP_H
#define HG_HTTP_H

#include "headgate.h"
#include "runner/rate_headers.h"
#include "schemas/limits.h"
#include "usage/stream.h"

enum hg_http_kind {
  HG_HTTP_ANSWERED,      // a whole answer with a status; a stream that ended, or told of an error
  HG_HTTP_NO_CONNECTION, // nothing of the request was sent
  HG_HTTP_TIMED_OUT,
  HG_HTTP_BROKEN,     // the connection, or the stream in it, ended before the answer did, or what came is not HTTP
  HG_HTTP_TOO_LARGE,  // the answer is longer than HG_BODY_MAX
  HG_HTTP_UNREADABLE, // a good answer whose Content-Encoding can't be undone
  HG_HTTP_CUT         // ended from this side
};

// How a call ended. Pointers are valid during the callback.
struct hg_http_end {
  enum hg_http_kind kind;
  bool left;        // something of the request may have reached the provider
  long status;      // HG_HTTP_ANSWERED only
  const char *body; // of a stream: the answer that is made of its events (usage/assemble.h)
  size_t body_len;
  const struct hg_streamed *streamed; // HG_HTTP_ANSWERED by a stream; else NULL
  int64_t retry_after_ms;             // -1: not said
  struct hg_rate_limits rates;        // what its headers say; as of when they came
  int64_t headers_ms_ago;             // when they came
  char request_id[HG_LABEL_MAX + 1];  // of x-request-id or request-id; "": none
  char detail[160];                   // what libcurl says of a failure
};

struct hg_http_request {
  const char *url;
  char *const *headers; // NULL-terminated "Name: value" lines; the same pointer means the same headers for ever
  const char *body;     // stays valid until the end
  size_t body_len;
  bool streams;        // a stream is asked for; a good answer may be one all the same
  int64_t choices;     // that are asked for, to know whether a stream has all of them; 0: one
  uint32_t timeout_ms; // of the whole call; 0: as the options say
  void *tag;           // comes back
};

struct hg_http_options {
  uint32_t calls_max;   // that will run at once; connections are kept for as many
  uint32_t sockets_max; // connections at most; further calls wait for one; 0: as many as calls
  uint32_t timeout_ms;  // of a whole call
  uint32_t connect_timeout_ms;
  // Called from hg_http_run only. May start other calls.
  void (*on_end)(void *context, void *tag, const struct hg_http_end *end);
  void *context;
};

struct hg_http;
struct hg_http_call;

hg_err hg_http_new(const struct hg_http_options *options, struct hg_http **out, hg_error *why);
// Calls that still run are dropped without a callback.
void hg_http_destroy(struct hg_http **http);

// HG_ERR_NO_MEMORY; HG_ERR_INVALID with `why`: libcurl refuses the URL or a header.
hg_err hg_http_start(struct hg_http *http, const struct hg_http_request *request, struct hg_http_call **out,
                     hg_error *why);
// Ends a call at once, without a callback; tells whether it had left.
bool hg_http_cut(struct hg_http *http, struct hg_http_call **call);

// Readable when hg_http_run has something to do.
int hg_http_fd(const struct hg_http *http);
// Milliseconds until hg_http_run has something to do all the same; -1: nothing.
int hg_http_wait_ms(const struct hg_http *http);
// Does what can be done without waiting, and calls on_end for each call that ended.
hg_err hg_http_run(struct hg_http *http);

struct hg_http_counts {
  uint64_t started, ended, connections;
  uint32_t running;
};
void hg_http_count(const struct hg_http *http, struct hg_http_counts *out);

#endif
