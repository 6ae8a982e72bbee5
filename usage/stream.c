// The events of a stream, and how it ends. Usages in streams are cumulative: of each figure the last value that is not
// null stays, whatever it is (some servers lower one later).
#include "usage/stream.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TYPE_MAX 48

// ---------------------------------------------------------------------------------------------- kinds

// Types of events that tell the kind of the stream by their beginning, and those that end it.
static const struct {
  const char *type;
  enum hg_stream_kind kind;
} beginnings[] = {
    {"response.", HG_STREAM_RESPONSES}, {"message_", HG_STREAM_ANTHROPIC}, {"content_block_", HG_STREAM_ANTHROPIC},
    {"message-", HG_STREAM_COHERE},     {"content-", HG_STREAM_COHERE},    {"tool-", HG_STREAM_COHERE},
    {"stream-start", HG_STREAM_COHERE}, {"citation-", HG_STREAM_COHERE},   {"text-generation", HG_STREAM_COHERE},
    {"stream-end", HG_STREAM_COHERE},
};

static const struct {
  const char *type;
  bool failed;
} ends[] = {
    {"response.completed", false},
    {"response.incomplete", false},
    {"response.failed", true},
    {"response.cancelled", false},
    {"message_stop", false},
    {"message-end", false},
    {"stream-end", false},
    {"transcript.text.done", false},
    {"speech.audio.done", false},
    {"image_edit.completed", false},
    {"image_generation.completed", false},
};

// Of Bedrock's events each has one member, which says what it is.
static bool first_name(const struct hg_answer *event, char name[TYPE_MAX]) {
  const char *cursor = NULL;
  struct hg_json key, value;
  return hg_json_next(&event->root, &cursor, &key, &value) && hg_json_copy(&key, name, TYPE_MAX);
}

static bool ends_with(const char *text, const char *end) {
  const size_t len = strlen(text), more = strlen(end);
  return len >= more && strcmp(text + len - more, end) == 0;
}

static bool is_bedrock(const char *name) {
  static const char *const names[] = {"messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop",
                                      "messageStop"};
  for (size_t i = 0; i < COUNT(names); i++)
    if (strcmp(name, names[i]) == 0) return true;
  return ends_with(name, "Exception");
}

static bool has(const struct hg_answer *event, enum hg_answer_member member) {
  return !hg_json_is_absent(hg_answer_member(event, member));
}

static enum hg_stream_kind recognise(const struct hg_answer *event, const char *type) {
  char name[TYPE_MAX];
  for (size_t i = 0; i < COUNT(beginnings); i++)
    if (strncmp(type, beginnings[i].type, strlen(beginnings[i].type)) == 0) return beginnings[i].kind;
  if (hg_answer_member(event, HG_ANSWER_CHOICES)->type == HG_JSON_ARRAY) return HG_STREAM_CHAT;
  if (has(event, HG_ANSWER_CANDIDATES) || has(event, HG_ANSWER_USAGE_METADATA) ||
      has(event, HG_ANSWER_USAGE_METADATA_SNAKE) || has(event, HG_ANSWER_PROMPT_FEEDBACK))
    return HG_STREAM_GEMINI;
  const enum hg_json_type done = hg_answer_member(event, HG_ANSWER_DONE)->type;
  if (done == HG_JSON_TRUE || done == HG_JSON_FALSE) return HG_STREAM_OLLAMA;
  return first_name(event, name) && is_bedrock(name) ? HG_STREAM_BEDROCK : HG_STREAM_OTHER;
}

// ---------------------------------------------------------------------------------------------- errors

static void say(struct hg_stream *stream, const char *text) {
  if (!stream->text[0]) snprintf(stream->text, sizeof stream->text, "%s", text);
}

// Something came that counts from before are not the last of: an error, or more of a choice that had not ended.
static void go_on(struct hg_stream *stream) {
  stream->counted_too_early |= stream->counted;
  stream->counted = stream->counted_apart = false;
}

static void fail(struct hg_stream *stream, const struct hg_json *error) {
  struct hg_json_field message = {.name = "message"};
  char text[HG_STREAM_TEXT_MAX];
  hg_json_pick(error, &message, 1);
  hg_json_show(error->type == HG_JSON_STRING ? error : &message.value, text, sizeof text);
  say(stream, text[0] ? text : "an error came inside the stream");
  hg_counts_forget(&stream->counts);
  go_on(stream);
  stream->failed = true;
}

// Cohere's last event says in its finish_reason whether the model failed, and perhaps in an error why.
static bool is_failed_end(const struct hg_answer *event, struct hg_json *out) {
  static const char error[] = "\"the finish_reason is ERROR\"", timeout[] = "\"the finish_reason is TIMEOUT\"";
  const struct hg_json *delta = hg_answer_member(event, HG_ANSWER_DELTA); // only v2 has it
  struct hg_json_field fields[] = {{.name = "finish_reason"}, {.name = "error"}};
  hg_json_pick(delta->type == HG_JSON_OBJECT ? delta : &event->root, fields, COUNT(fields));
  const bool late = hg_json_is(&fields[0].value, "TIMEOUT");
  if (!late && !hg_json_is(&fields[0].value, "ERROR")) return false;
  *out = hg_json_says_something(&fields[1].value) ? fields[1].value
         : late                                   ? (struct hg_json){HG_JSON_STRING, timeout, sizeof timeout - 1}
                                                  : (struct hg_json){HG_JSON_STRING, error, sizeof error - 1};
  return true;
}

static bool is_end_of_cohere(const char *type) {
  return strcmp(type, "message-end") == 0 || strcmp(type, "stream-end") == 0;
}

// False: the event is none.
static bool find_error(const struct hg_stream *stream, const struct hg_answer *event, const char *type, bool named,
                       struct hg_stream_error *out) {
  const struct hg_json *error = hg_answer_member(event, HG_ANSWER_ERROR);
  const char *cursor = NULL;
  char name[TYPE_MAX];
  *out = (struct hg_stream_error){.value = *error};
  if (hg_json_says_something(error)) return true;
  if ((stream->kind == HG_STREAM_BEDROCK || named) && first_name(event, name) && ends_with(name, "Exception"))
    return hg_json_next(&event->root, &cursor, &out->name, &out->value);
  if (is_end_of_cohere(type) && is_failed_end(event, &out->value)) return true;
  out->value = event->root;
  return named || strcmp(type, "error") == 0;
}

static bool says_part(const struct hg_answer *event) {
  static const enum hg_answer_member parts[] = {
      HG_ANSWER_OUTPUT, HG_ANSWER_CHOICES, HG_ANSWER_CONTENT,        HG_ANSWER_CANDIDATES,
      HG_ANSWER_USAGE,  HG_ANSWER_DATA,    HG_ANSWER_USAGE_METADATA, HG_ANSWER_USAGE_METADATA_SNAKE};
  for (size_t i = 0; i < COUNT(parts); i++)
    if (hg_json_says_something(hg_answer_member(event, parts[i]))) return true;
  return false;
}

// Whether somebody worked for the event: it may be billed then, whatever comes behind it. Some streams are begun before
// anybody works, and in a chat only choices and figures say something.
static bool shows_work(const struct hg_stream *stream, const struct hg_answer *event, const char *type, bool error) {
  static const char *const beginnings_only[] = {"response.created", "response.queued", "response.in_progress",
                                                "message-start",    "stream-start",    "ping"};
  if (says_part(event)) return true;
  for (size_t i = 0; i < COUNT(beginnings_only); i++)
    if (strcmp(type, beginnings_only[i]) == 0) return false;
  return is_end_of_cohere(type) || (!error && stream->kind != HG_STREAM_CHAT);
}

// ---------------------------------------------------------------------------------------------- choices

// Of how many choices something was heard.
static int64_t count_heard(const struct hg_stream *stream) {
  int64_t heard = 0;
  for (size_t i = 0; i < COUNT(stream->open); i++)
    heard += __builtin_popcountll(stream->open[i]);
  return heard;
}

static bool has_several(const struct hg_stream *stream) {
  return stream->choices > 1 || count_heard(stream) > 1 || stream->crowded;
}

// Of the choices that were heard of: some servers ignore how many were asked for.
static bool all_finished(const struct hg_stream *stream) {
  for (size_t i = 0; i < COUNT(stream->open); i++)
    if (stream->open[i] & ~stream->finished[i]) return false;
  return count_heard(stream) > 0 && !stream->crowded;
}

// A choice of a chat or a candidate of Gemini: an upstream that fails while it writes is told in its finish_reason.
static void take_choice(struct hg_stream *stream, const struct hg_json *choice, const char *finish) {
  struct hg_json_field fields[] = {{.name = "index"}, {.name = finish}, {.name = "error"}};
  int64_t index = 0;
  hg_json_pick(choice, fields, COUNT(fields));
  hg_json_tokens(&fields[0].value, &index);
  if (hg_json_says_something(&fields[2].value)) fail(stream, &fields[2].value);
  else if (hg_json_is(&fields[1].value, "error")) fail(stream, choice);
  if (index >= HG_STREAM_CHOICES_MAX) {
    stream->crowded = true;
    go_on(stream);
    return;
  }
  const uint64_t bit = UINT64_C(1) << (index % 64);
  if (!(stream->finished[index / 64] & bit)) go_on(stream);
  stream->open[index / 64] |= bit;
  if (hg_json_says_something(&fields[1].value)) stream->finished[index / 64] |= bit;
}

// How many choices the event has.
static size_t take_choices(struct hg_stream *stream, const struct hg_json *choices, const char *finish) {
  const char *cursor = NULL;
  struct hg_json choice;
  size_t count = 0;
  for (; hg_json_next(choices, &cursor, NULL, &choice); count++)
    take_choice(stream, &choice, finish);
  return count;
}

static bool says_counts(const struct hg_answer *event) {
  struct hg_token_counts now;
  hg_counts_init(&now);
  hg_counts_take(&now, event);
  return hg_counts_say_any(&now);
}

// Counts may come with every event; those that are the last must be told from those that came on the way. Where some
// came on the way and the stream has no end of its own, more may have been to come; where there are several choices,
// each may count itself alone. All later ones are doubtful then, but for those of an event of their own, of several
// choices only where it is the only one.
static void note_counts(struct hg_stream *stream, const struct hg_answer *event, size_t choices) {
  const bool counts = says_counts(event), finished = all_finished(stream);
  if (counts) stream->counted = finished, stream->counted_apart = choices == 0;
  if (counts && !finished) stream->counted_too_early = true;
  stream->times_counted += counts;
  stream->times_apart += counts && choices == 0;
}

// ---------------------------------------------------------------------------------------------- events

static void take_kind(struct hg_stream *stream, const struct hg_answer *event) {
  struct hg_json_field block = {.name = "blockReason"};
  switch (stream->kind) {
  case HG_STREAM_CHAT:
    note_counts(stream, event, take_choices(stream, hg_answer_member(event, HG_ANSWER_CHOICES), "finish_reason"));
    return;
  case HG_STREAM_GEMINI:
    hg_json_pick(hg_answer_member(event, HG_ANSWER_PROMPT_FEEDBACK), &block, 1);
    if (!hg_json_is_absent(&block.value)) stream->choices = 1, stream->open[0] |= 1, stream->finished[0] |= 1;
    note_counts(stream, event, take_choices(stream, hg_answer_member(event, HG_ANSWER_CANDIDATES), "finishReason"));
    return;
  case HG_STREAM_BEDROCK: stream->ended = has(event, HG_ANSWER_METADATA); return;
  case HG_STREAM_OLLAMA: stream->ended = hg_answer_member(event, HG_ANSWER_DONE)->type == HG_JSON_TRUE; return;
  case HG_STREAM_OTHER: stream->counted = says_counts(event); return;
  case HG_STREAM_RESPONSES:
  case HG_STREAM_ANTHROPIC:
  case HG_STREAM_COHERE: return;
  }
}

static void set_kind(struct hg_stream *stream, enum hg_stream_kind kind) {
  if (stream->kind != HG_STREAM_OTHER || kind == HG_STREAM_OTHER) return;
  stream->kind = kind;
  stream->counted = false;
  stream->counted_too_early = hg_counts_say_any(&stream->counts);
}

static void take_object(struct hg_stream *stream, const struct hg_answer *event, bool named_error) {
  char type[TYPE_MAX] = "";
  const bool typed = has(event, HG_ANSWER_TYPE);
  hg_json_copy(hg_answer_member(event, typed ? HG_ANSWER_TYPE : HG_ANSWER_EVENT_TYPE), type, sizeof type);
  if (stream->kind == HG_STREAM_OTHER) set_kind(stream, recognise(event, type));
  struct hg_stream_error error;
  bool failed_end = false;
  const bool erred = find_error(stream, event, type, named_error, &error);
  if (erred) fail(stream, &error.value);
  take_kind(stream, event);
  for (size_t i = 0; i < COUNT(ends); i++) {
    if (strcmp(type, ends[i].type) != 0) continue;
    stream->ended = true;
    if (!ends[i].failed) continue;
    struct hg_json_field inner = {.name = "error"};
    hg_json_pick(hg_answer_member(event, HG_ANSWER_RESPONSE), &inner, 1);
    fail(stream, &inner.value);
    stream->erred = failed_end = true;
  }
  stream->ended |= has(event, HG_ANSWER_INVOCATION_METRICS); // Bedrock's, with the last of a model's own events
  stream->erred |= erred;
  stream->worked |= shows_work(stream, event, type, erred || failed_end);
  hg_counts_take(&stream->counts, event);
  // The output of Anthropic's first event is no count: the request has not been worked on.
  if (stream->kind == HG_STREAM_ANTHROPIC && strcmp(type, "message_start") == 0)
    stream->counts.of[HG_COUNT_OUTPUT] = (struct hg_token_count){.count = HG_UNKNOWN};
  if (stream->on_event) stream->on_event(stream->context, stream->kind, event, erred ? &error : NULL);
}

static void trim(const char **data, size_t *len) {
  static const char space[] = " \t\n\r";
  while (*len > 0 && memchr(space, (*data)[*len - 1], sizeof space - 1))
    --*len;
  while (*len > 0 && memchr(space, **data, sizeof space - 1))
    ++*data, --*len;
}

static void take_event(struct hg_stream *stream, bool error, const char *data, size_t len) {
  struct hg_answer event;
  hg_answer_read(data, len, &event);
  if (event.fault) stream->malformed = true;
  else if (event.root.type == HG_JSON_OBJECT) take_object(stream, &event, error);
}

// What comes after the end is not looked at: so the end says the same, wherever the rest is cut.
static void on_event(void *context, bool error, const char *data, size_t len) {
  struct hg_stream *stream = context;
  trim(&data, &len);
  if (len == 6 && memcmp(data, "[DONE]", 6) == 0) stream->ended = true;
  else if (len > 0) take_event(stream, error, data, len);
  stream->events.ended |= stream->ended;
}

void hg_stream_init(struct hg_stream *stream, const char *content_type, int64_t choices, hg_stream_event_fn *event_fn,
                    void *context) {
  *stream = (struct hg_stream){.choices = choices, .on_event = event_fn, .context = context};
  hg_events_init(&stream->events, content_type, on_event, stream);
  hg_counts_init(&stream->counts);
}

hg_err hg_stream_feed(struct hg_stream *stream, const char *bytes, size_t len) {
  return hg_events_feed(&stream->events, bytes, len);
}

void hg_stream_clear(struct hg_stream *stream) {
  hg_events_clear(&stream->events);
}

// ---------------------------------------------------------------------------------------------- the end

// Whether the newest figures are those of the end. `marked`: the stream has said that it ends.
static bool counted_last(const struct hg_stream *stream, bool marked) {
  const bool several = has_several(stream);
  switch (stream->kind) {
  case HG_STREAM_CHAT:
    if (several)
      return stream->counted_apart ? stream->times_apart == 1 : stream->counted && stream->times_counted == 1;
    return stream->counted_apart || (stream->counted && (!stream->counted_too_early || marked));
  case HG_STREAM_GEMINI:
  case HG_STREAM_OTHER: return stream->counted;
  case HG_STREAM_RESPONSES: // these count with their last event
  case HG_STREAM_ANTHROPIC:
  case HG_STREAM_BEDROCK:
  case HG_STREAM_OLLAMA:
  case HG_STREAM_COHERE: break;
  }
  return true;
}

// NULL: what was counted is what was used. Else why not.
static const char *doubt(const struct hg_stream *stream, bool marked) {
  if (stream->events.fault) return stream->events.fault;
  if (stream->malformed) return "an event of the stream is not JSON";
  if (!stream->ended) return stream->failed ? "the stream broke off with an error" : "the stream broke off";
  if (!hg_counts_say_any(&stream->counts)) return NULL;
  if (stream->counts.of_choice && has_several(stream))
    return "the usage in the stream is that of one choice of several";
  return counted_last(stream, marked) ? NULL : "the usage in the stream may not be that of its end";
}

hg_err hg_stream_end(struct hg_stream *stream, bool whole, struct hg_streamed *out) {
  const hg_usage_report unknown = HG_USAGE_REPORT_INIT;
  const bool malformed = stream->malformed;
  hg_events_end(&stream->events);
  if (!malformed && stream->malformed) say(stream, "the stream broke off inside an event");
  // Counts in an event of their own are the last of an answer, even if its connection was cut behind them.
  const bool marked = stream->ended, all_said = count_heard(stream) >= stream->choices && stream->counted_apart;
  if (stream->kind == HG_STREAM_CHAT || stream->kind == HG_STREAM_GEMINI)
    stream->ended |= (whole || all_said) && all_finished(stream) && !hg_events_are_open(&stream->events);
  *out = (struct hg_streamed){.kind = stream->kind, .failed = stream->failed};
  out->ended = stream->ended && !stream->malformed && !stream->events.fault;
  out->broken = stream->failed && (stream->erred || !out->ended);
  out->worked = stream->worked;
  hg_usage_settle(&stream->counts, &out->found);
  const char *reason = doubt(stream, marked);
  if (!reason && stream->kind == HG_STREAM_CHAT && !hg_counts_say_any(&stream->counts))
    reason = "the stream has no usage: it comes with \"stream_options\": {\"include_usage\": true}";
  if (reason) {
    const char *id = out->found.report.response_id, *model = out->found.report.model;
    out->found.report = unknown;
    out->found.report.source = HG_SOURCE_MISSING;
    out->found.report.response_id = id;
    out->found.report.model = model;
    out->found.reason = reason;
  }
  if (!out->ended) say(stream, reason);
  memcpy(out->text, stream->text, sizeof out->text);
  if (stream->events.err) return stream->events.err;
  return out->found.report.source == HG_SOURCE_EXACT ? HG_OK : HG_ERR_NO_USAGE;
}
