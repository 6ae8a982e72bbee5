/* stats.h: the counters of llm-sim, as GET /stats and the last line on stderr show them. */
#ifndef LLM_SIM_STATS_H
#define LLM_SIM_STATS_H

#include "text.h"

#include <stdint.h>

/* Every request ends in exactly one of: answered, rejected_429, failed_500, cut_off, malformed, stream_errors,
 * unauthorized, bad_requests, abandoned, counted. */
#define STATS_TABLE(X)                                                                                                 \
  X(requests, "requests to anything but /healthz, /stats and /reset")                                                  \
  X(answered, "whole 200 answers that were sent")                                                                      \
  X(tokens, "billed: input + output of every answer that was begun, cut off, malformed or abandoned too")              \
  X(tokens_delivered, "input + output of the whole 200 answers")                                                       \
  X(rejected_429, "answers with status 429")                                                                           \
  X(failed_500, "answers with status 500 or more")                                                                     \
  X(cut_off, "answers whose connection was closed in the middle of the body")                                          \
  X(malformed, "answers with status 200 that are not JSON")                                                            \
  X(stream_errors, "streams that ended with an error")                                                                 \
  X(no_usage, "whole 200 answers without usage")                                                                       \
  X(unauthorized, "answers with status 401")                                                                           \
  X(bad_requests, "answers with any other status from 400 to 499")                                                     \
  X(abandoned, "answers that the client was no longer there to read")                                                  \
  X(counted, "questions how many input tokens a request has that were answered")                                       \
  X(duplicates, "whole 200 answers to a request body that had one before")                                             \
  X(untracked, "requests that the table of attempts had no place for: their duplicates are not seen")                  \
  X(in_flight, "requests being worked on now")                                                                         \
  X(max_in_flight, "the most requests that were being worked on at once")

struct stats {
#define X(name, doc) uint64_t name;
  STATS_TABLE(X)
#undef X
};

/* Appends them as one JSON object. */
void stats_write(const struct stats *stats, struct text *out);
/* Zeroes what counts the past; requests in flight stay what they are. */
void stats_reset(struct stats *stats);

#endif
