// Cuts the bytes of a stream into its events: server-sent events (the WHATWG's rules), JSON lines, JSON behind record
// separators (RFC 7464), the elements of one JSON array, or AWS's binary frames. The bytes may come in pieces of any
// size. Memory is bounded: one line and one event are kept, each of HG_BODY_MAX bytes at most.
#ifndef HG_EVENTS_H
#define HG_EVENTS_H

#include "schemas/limits.h"
#include "base/text_buffer.h"

// One event: the data of its lines joined by line feeds, the line, the element, or the frame as JSON. `error`: it is of
// the type "error". Valid during the call.
typedef void hg_event_fn(void *context, bool error, const char *data, size_t len);

enum hg_events_form {
  HG_EVENTS_UNKNOWN,
  HG_EVENTS_SENT,
  HG_EVENTS_LINES,
  HG_EVENTS_RECORDS,
  HG_EVENTS_ARRAY,
  HG_EVENTS_FRAMES
};

// Where in an array a piece ended.
enum hg_array_place {
  HG_ARRAY_BEGUN,  // nothing came yet
  HG_ARRAY_INSIDE, // an element
  HG_ARRAY_BEHIND, // one: a comma must come, or the end
  HG_ARRAY_BEFORE  // one, behind a comma
};

// Its members are its own.
struct hg_events {
  hg_event_fn *on_event;
  void *context;
  enum hg_events_form form;
  hg_err err; // why nothing more is read, and in words; HG_OK, NULL: all is well
  const char *fault;
  struct hg_text_buffer line, data;
  bool begun; // the form is certain
  bool ended; // what comes behind is not looked at: the array has ended, or whoever reads the events has seen their end
  bool has_data, is_error, after_return;
  unsigned mark; // bytes of a byte-order mark that were seen
  enum hg_array_place place;
  unsigned depth;          // containers that are open inside the element
  bool in_string, escaped; // inside a string of it, behind a backslash
};

// The Content-Type of the answer, NULL: not known. The first byte that is not white space decides where it can be of
// one form only: `{`, `[`, a record separator, NUL of a frame, `:` and the names of fields of server-sent events. Else
// the type does.
void hg_events_init(struct hg_events *events, const char *content_type, hg_event_fn *on_event, void *context);
// HG_OK; HG_ERR_RANGE: a line or an event is over HG_BODY_MAX; HG_ERR_PROTOCOL: an array or a frame is broken;
// HG_ERR_NO_MEMORY. Then, and ever after, nothing more is read, and `fault` says why.
hg_err hg_events_feed(struct hg_events *events, const char *bytes, size_t len);
// What came last is an event even without its end: it is for whoever reads it to see whether it is whole.
hg_err hg_events_end(struct hg_events *events);
// An array that has not come to its end; of the other forms none has one.
static inline bool hg_events_are_open(const struct hg_events *events) {
  return events->form == HG_EVENTS_ARRAY && !events->ended;
}
void hg_events_clear(struct hg_events *events);

#endif
