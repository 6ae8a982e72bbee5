// Lines out of pieces, events out of lines.
#include "usage/events.h"

#include <string.h>
#include <strings.h>

static const char byte_order_mark[] = "\xef\xbb\xbf";

static bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void refuse(struct hg_events *events, hg_err err, const char *fault) {
  events->err = err;
  events->fault = fault;
}

void hg_events_init(struct hg_events *events, const char *content_type, hg_event_fn *on_event, void *context) {
  *events = (struct hg_events){.on_event = on_event, .context = context};
  const char *type = content_type ? content_type : "";
  if (strcasestr(type, "amazon.eventstream"))
    refuse(events, HG_ERR_PROTOCOL, "AWS's binary event stream is not read: hand over its events as JSON lines");
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
    refuse(events, HG_ERR_PROTOCOL,
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

static void take_json_line(struct hg_events *events, const char *line, size_t len) {
  while (len > 0 && is_space(line[len - 1]))
    len--;
  while (len > 0 && is_space(*line))
    line++, len--;
  if (len > 0) events->on_event(events->context, false, line, len);
}

static void take_line(struct hg_events *events, const char *line, size_t len) {
  if (len > HG_BODY_MAX) refuse(events, HG_ERR_PROTOCOL, "a line of the stream is over 16 MiB");
  else if (events->form == HG_EVENTS_LINES) take_json_line(events, line, len);
  else take_sent_line(events, line, len);
}

// ---------------------------------------------------------------------------------------------- pieces to lines

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
  if (*at == '{' || (*at == '[' && events->form == HG_EVENTS_UNKNOWN)) events->form = HG_EVENTS_LINES;
  else if (events->form == HG_EVENTS_UNKNOWN) events->form = HG_EVENTS_SENT;
  return at;
}

// Where the line ends: a line feed or, of server-sent events, also a carriage return. NULL: not in here. Byte by byte,
// because a search for each of the two alone would read the piece again and again when only the other one comes.
static const char *find_end(const struct hg_events *events, const char *at, const char *end) {
  if (events->form == HG_EVENTS_LINES) return memchr(at, '\n', (size_t)(end - at));
  while (at < end && *at != '\n' && *at != '\r')
    at++;
  return at < end ? at : NULL;
}

hg_err hg_events_feed(struct hg_events *events, const char *bytes, size_t len) {
  const char *at = bytes, *end = bytes + len;
  if (!events->err && !events->begun) at = begin(events, at, end);
  while (!events->err && at < end) {
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
  return events->err;
}

hg_err hg_events_end(struct hg_events *events) {
  if (!events->err && events->line.len > 0) take_line(events, events->line.data, events->line.len);
  events->line.len = 0;
  if (!events->err) end_event(events);
  return events->err;
}
