// Lines out of pieces, events out of lines; elements and frames out of pieces.
#include "usage/events.h"

#include "usage/aws_frame.h"

#include <string.h>
#include <strings.h>

#define RECORD_SEPARATOR '\x1e'

static const char byte_order_mark[] = "\xef\xbb\xbf";

static bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_reading(const struct hg_events *events) {
  return !events->err && !events->ended;
}

static void refuse(struct hg_events *events, hg_err err, const char *fault) {
  events->err = err;
  events->fault = fault;
}

void hg_events_init(struct hg_events *events, const char *content_type, hg_event_fn *on_event, void *context) {
  *events = (struct hg_events){.on_event = on_event, .context = context};
  const char *type = content_type ? content_type : "";
  if (strcasestr(type, "amazon.eventstream")) events->form = HG_EVENTS_FRAMES;
  else if (strcasestr(type, "event-stream")) events->form = HG_EVENTS_SENT;
  else if (strcasestr(type, "json")) events->form = HG_EVENTS_LINES;
}

void hg_events_clear(struct hg_events *events) {
  hg_text_buffer_clear(&events->line);
  hg_text_buffer_clear(&events->data);
}

// Adds to the line or the data, within the bound. False: refused.
static bool add(struct hg_events *events, struct hg_text_buffer *buffer, const char *bytes, size_t len) {
  if (len > HG_BODY_MAX - buffer->len)
    refuse(events, HG_ERR_RANGE,
           buffer == &events->line ? "a line of the stream is over 16 MiB" : "an event of the stream is over 16 MiB");
  else if (hg_text_buffer_add(buffer, bytes, len)) refuse(events, HG_ERR_NO_MEMORY, "no memory for an event");
  return !events->err;
}

// ---------------------------------------------------------------------------------------------- lines to events

static void end_event(struct hg_events *events) {
  if (events->has_data) events->on_event(events->context, events->is_error, events->data.data, events->data.len);
  events->has_data = events->is_error = false;
  events->data.len = 0;
}

static bool is(const char *text, size_t len, const char *word) {
  return len == strlen(word) && memcmp(text, word, len) == 0;
}

static void take_sent_line(struct hg_events *events, const char *line, size_t len) {
  if (len == 0) {
    end_event(events);
    return;
  }
  const char *colon = memchr(line, ':', len);
  const size_t name = colon ? (size_t)(colon - line) : len;
  const char *value = line + name + (colon ? 1 : 0);
  size_t value_len = (size_t)(line + len - value);
  if (value_len > 0 && *value == ' ') value++, value_len--;
  if (is(line, name, "event")) events->is_error = is(value, value_len, "error");
  if (!is(line, name, "data")) return; // a comment, an id, a time to wait before the next connection
  if (events->has_data && !add(events, &events->data, "\n", 1)) return;
  events->has_data = add(events, &events->data, value, value_len);
}

static void take_line(struct hg_events *events, const char *line, size_t len) {
  if (len > HG_BODY_MAX) refuse(events, HG_ERR_RANGE, "a line of the stream is over 16 MiB");
  else if (events->form == HG_EVENTS_SENT) take_sent_line(events, line, len);
  else events->on_event(events->context, false, line, len);
}

// ---------------------------------------------------------------------------------------------- pieces to lines

// A comment, or the name of a field: data, event, id, retry. No JSON begins so.
static bool begins_sent_event(char c) {
  return c != '\0' && strchr(":deir", c);
}

// Passes over a byte-order mark and white space, to the byte that makes the form certain.
static const char *begin(struct hg_events *events, const char *at, const char *end) {
  while (at < end && events->mark < 3 && *at == byte_order_mark[events->mark])
    at++, events->mark++;
  while (at < end && is_space(*at)) {
    events->mark = 3;
    at++;
  }
  if (at == end) return at;
  events->begun = true;
  if (*at == '{') events->form = HG_EVENTS_LINES;
  else if (*at == RECORD_SEPARATOR) events->form = HG_EVENTS_RECORDS;
  else if (*at == '[') events->form = HG_EVENTS_ARRAY, at++;
  else if (*at == '\0') events->form = HG_EVENTS_FRAMES; // as they are far shorter than 2^24 bytes
  else if (events->form == HG_EVENTS_UNKNOWN || begins_sent_event(*at)) events->form = HG_EVENTS_SENT;
  return at;
}

// Where the line ends: a line feed or, of server-sent events, also a carriage return; a record has lines of its own,
// and ends where the next one begins. NULL: not in here. Byte by byte, because a search for each of the two alone would
// read the piece again and again when only the other one comes.
static const char *find_end(const struct hg_events *events, const char *at, const char *end) {
  const char json_end = events->form == HG_EVENTS_RECORDS ? RECORD_SEPARATOR : '\n';
  if (events->form != HG_EVENTS_SENT) return memchr(at, json_end, (size_t)(end - at));
  while (at < end && *at != '\n' && *at != '\r')
    at++;
  return at < end ? at : NULL;
}

static void feed_lines(struct hg_events *events, const char *at, const char *end) {
  while (is_reading(events) && at < end) {
    if (events->after_return && *at == '\n') at++;
    events->after_return = false;
    const char *stop = at < end ? find_end(events, at, end) : NULL;
    if (!stop) {
      add(events, &events->line, at, (size_t)(end - at));
      break;
    }
    events->after_return = *stop == '\r';
    if (events->line.len == 0) {
      take_line(events, at, (size_t)(stop - at));
    } else if (add(events, &events->line, at, (size_t)(stop - at))) {
      take_line(events, events->line.data, events->line.len);
      events->line.len = 0;
    }
    at = stop + 1;
  }
}

// ---------------------------------------------------------------------------------------------- pieces to elements

static void end_element(struct hg_events *events, enum hg_array_place place) {
  events->on_event(events->context, false, events->line.data, events->line.len);
  events->line.len = 0;
  events->place = place;
}

// The byte behind those of the element that are in here; the element may end with it, or by what comes next. Whoever
// reads it sees whether it is JSON: here only strings and containers are told apart.
static const char *feed_element(struct hg_events *events, const char *at, const char *end) {
  const char *from = at;
  bool closed = false, stopped = false;
  for (; at < end && !closed; at++) {
    if (events->escaped) events->escaped = false;
    else if (events->in_string) events->escaped = *at == '\\', events->in_string = *at != '"';
    else if (*at == '"') events->in_string = true;
    else if (*at == '{' || *at == '[') events->depth++;
    else if ((*at == '}' || *at == ']') && events->depth > 0) closed = --events->depth == 0;
    else if (events->depth == 0 && (*at == ',' || *at == ']')) {
      stopped = true;
      break;
    }
  }
  if (!add(events, &events->line, from, (size_t)(at - from))) return end;
  if (closed || stopped) end_element(events, HG_ARRAY_BEHIND);
  return at;
}

static const char *feed_between(struct hg_events *events, const char *at) {
  if (is_space(*at)) return at + 1;
  const bool first = events->place == HG_ARRAY_BEGUN, behind = events->place == HG_ARRAY_BEHIND;
  if (*at == ']' && (first || behind)) events->ended = true;
  else if (*at == ',' && behind) events->place = HG_ARRAY_BEFORE;
  else if (behind || *at == ',' || *at == ']') refuse(events, HG_ERR_PROTOCOL, "the array of the stream is not JSON");
  else {
    events->place = HG_ARRAY_INSIDE;
    return at;
  }
  return at + 1;
}

static void feed_array(struct hg_events *events, const char *at, const char *end) {
  while (is_reading(events) && at < end)
    at = events->place == HG_ARRAY_INSIDE ? feed_element(events, at, end) : feed_between(events, at);
}

// ---------------------------------------------------------------------------------------------- pieces to frames

static void take_frame(struct hg_events *events) {
  bool error;
  const char *fault = NULL;
  const hg_err err = hg_aws_frame_read(events->line.data, events->line.len, &events->data, &error, &fault);
  if (err) refuse(events, err, fault ? fault : "no memory for an event");
  else if (events->data.len > 0) events->on_event(events->context, error, events->data.data, events->data.len);
  events->line.len = events->data.len = 0;
}

// First as much as says how long the frame is, then the rest.
static void feed_frames(struct hg_events *events, const char *at, const char *end) {
  while (is_reading(events) && at < end) {
    size_t whole = HG_AWS_PRELUDE_BYTES;
    const char *fault = NULL;
    hg_err err = HG_OK;
    if (events->line.len >= HG_AWS_PRELUDE_BYTES) err = hg_aws_frame_len(events->line.data, &whole, &fault);
    if (err) {
      refuse(events, err, fault);
      return;
    }
    const size_t lacks = whole - events->line.len, left = (size_t)(end - at), more = left < lacks ? left : lacks;
    if (!add(events, &events->line, at, more)) return;
    at += more;
    if (whole > HG_AWS_PRELUDE_BYTES && more == lacks) take_frame(events);
  }
}

hg_err hg_events_feed(struct hg_events *events, const char *bytes, size_t len) {
  const char *at = bytes, *end = bytes + len;
  if (!events->begun) at = begin(events, at, end);
  if (events->form == HG_EVENTS_ARRAY) feed_array(events, at, end);
  else if (events->form == HG_EVENTS_FRAMES) feed_frames(events, at, end);
  else feed_lines(events, at, end);
  return events->err;
}

hg_err hg_events_end(struct hg_events *events) {
  const bool lines = events->form != HG_EVENTS_ARRAY && events->form != HG_EVENTS_FRAMES;
  if (is_reading(events) && events->line.len > 0) {
    if (lines) take_line(events, events->line.data, events->line.len);
    else events->on_event(events->context, false, events->line.data, events->line.len);
  }
  events->line.len = 0;
  if (is_reading(events)) end_event(events);
  return events->err;
}
