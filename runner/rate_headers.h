// What the headers of an answer say of a provider's rate limits: OpenAI's x-ratelimit-* and Anthropic's
// anthropic-ratelimit-*. Pure: text in, figures out.
#ifndef HG_RATE_HEADERS_H
#define HG_RATE_HEADERS_H

#include <stdint.h>

struct hg_rate_limit {
  int64_t limit;     // a minute; 0: not said
  int64_t remaining; // of it; -1: not said; 0 without a limit: of input or of output alone nothing is left
  int64_t reset_ms;  // until all of it is there again; 0: not said
};
struct hg_rate_limits {
  struct hg_rate_limit requests, tokens;
};

// The value of a header of an answer; NULL: it has none of that name.
typedef const char *hg_header_of(const void *answer, const char *name);
// `now`: seconds since the epoch, for resets that are moments.
void hg_rate_headers_read(hg_header_of *header_of, const void *answer, int64_t now, struct hg_rate_limits *out);

// "1s", "6m0s", "1h2m3.5s", "20ms", "7.66s" or a count of seconds; milliseconds, -1: it is none of them.
int64_t hg_rate_duration_ms(const char *text);

#endif
