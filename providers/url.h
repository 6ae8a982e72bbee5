// The parts of an http(s) URL that matter for joining and for keeping keys off plain http.
#ifndef HG_PROVIDERS_URL_H
#define HG_PROVIDERS_URL_H

#include "headgate.h"

#include <stdbool.h>

// Spans of the URL that was read; not ended by a NUL.
struct hg_url {
  bool https;
  const char *host; // without brackets and port
  size_t host_len;
  size_t origin_len; // scheme, host and port
  const char *path;  // from the first slash, trailing slashes left out
  size_t path_len;
  const char *query; // behind the '?'
  size_t query_len;
};

// HG_ERR_CONFIG with `why`: no http(s) URL, or one with a user, a password, a fragment, spaces or control characters.
// The URL itself is not repeated in the text: it may carry a key. `what` says where it came from.
hg_err hg_url_read(const char *text, const char *what, struct hg_url *out, hg_error *why);

// localhost, 127.0.0.0/8, [::1].
bool hg_url_is_loopback(const struct hg_url *url);

// Whether the host is `domain` or ends in ".domain", whatever the case of its letters.
bool hg_url_is_in(const struct hg_url *url, const char *domain);

#endif
