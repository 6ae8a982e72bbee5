// Cuts the bytes of a stream into its events: server-sent events (the WHATWG's rules) or JSON lines. The bytes may come
// in pieces of any size. Memory is bounded: one line and one event are kept, each of HG_BODY_MAX bytes at most.
#ifndef HG_EVENTS_H
#define HG_EVENTS_H

#include "schemas/limits.h"
#include "usage/text_buffer.h"

// One event: the data of its lines joined by line feeds, or the line. `error`: it is of the type "error". Valid during
// the call.
typedef void hg_event_fn(void *context, bool error, const char *data, size_t len);

enum hg_events_form { HG_EVENTS_UNKNOWN, HG_EVENTS_SENT, HG_EVENTS_LINES };

// Its members are its own.
struct hg_events {
  hg_event_fn *on_event;
  void *context;
  enum hg_events_form form;
  hg_err err; // why nothing more is read, and in words; HG_OK, NULL: all is well
  const char *fault;
  struct hg_text_buffer line, data;
  bool begun; // the form is certain
  bool has_data, is_error, after_return;
  unsigned mark; // bytes of a byte-order mark that were seen
};

// The Content-Type of the answer, NULL: not known. It decides, but for a first byte `{`, which no server-sent event
// begins with; where it says nothing the first byte that is not white space does. AWS's binary event stream is refused.
void hg_events_init(struct hg_events *events, const char *content_type, hg_event_fn *on_event, void *context);
// HG_OK; HG_ERR_PROTOCOL: a line or an event is over HG_BODY_MAX, or the form is not read here; HG_ERR_NO_MEMORY. Then,
// and ever after, nothing more is read, and `fault` says why.
hg_err hg_events_feed(struct hg_events *events, const char *bytes, size_t len);
// What came last is an event even without its end: it is for whoever reads it to see whether it is whole.
hg_err hg_events_end(struct hg_events *events);
void hg_events_clear(struct hg_events *events);

#endif
