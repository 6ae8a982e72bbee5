// Reads what a call used out of a streamed answer, piece by piece, whatever the pieces are. The kind of the stream is
// recognised from its events, as the shape of an answer is. Pure but for its memory, which is bounded (usage/events.h).
#ifndef HG_STREAM_H
#define HG_STREAM_H

#include "usage/events.h"
#include "usage/usage.h"

#define HG_STREAM_CHOICES_MAX 256
#define HG_STREAM_TEXT_MAX 240

enum hg_stream_kind {
  HG_STREAM_OTHER,     // not known (yet)
  HG_STREAM_CHAT,      // OpenAI's chat completions and completions, and what is compatible; ends with [DONE]
  HG_STREAM_RESPONSES, // ends with response.completed, response.incomplete, response.failed or response.cancelled
  HG_STREAM_ANTHROPIC, // ends with message_stop
  HG_STREAM_GEMINI,    // ends when every candidate that came has its finishReason
  HG_STREAM_BEDROCK,   // Converse, its events as JSON; ends with metadata
  HG_STREAM_OLLAMA,    // ends with "done": true
  HG_STREAM_COHERE     // ends with message-end (v2) or stream-end (v1)
};

// An error of the stream itself, not of one choice.
struct hg_stream_error {
  struct hg_json value; // an object with its words, or a text
  struct hg_json name;  // what it is called where the value does not say so; HG_JSON_NONE
};

// Called for each event that is a JSON object, up to the one that ends the stream; all of it is valid during the call.
// `error` is NULL for most.
typedef void hg_stream_event_fn(void *context, enum hg_stream_kind kind, const struct hg_answer *event,
                                const struct hg_stream_error *error);

// Its members are its own. It must stay where it is.
struct hg_stream {
  struct hg_events events;
  struct hg_token_counts counts;
  enum hg_stream_kind kind;
  hg_stream_event_fn *on_event;
  void *context;
  int64_t choices; // that were asked for
  bool ended, failed, malformed;
  bool erred;             // with an error of its own, not one of a choice
  bool worked;            // an event came that is more than a beginning or an error
  bool crowded;           // more choices than are kept apart
  bool counted;           // the newest counts came with the end of the last choice, or after it; of another kind: last
  bool counted_too_early; // counts came before that
  bool counted_apart;     // the newest counts came with no choice, and none went on after them
  unsigned times_counted; // how often counts came …
  unsigned times_apart;   // and how often with no choice
  uint64_t open[HG_STREAM_CHOICES_MAX / 64], finished[HG_STREAM_CHOICES_MAX / 64];
  char text[HG_STREAM_TEXT_MAX];
};

// How the stream ended.
struct hg_streamed {
  // HG_SOURCE_EXACT only if it ended as its kind ends, could be read throughout, and its last figures are those of its
  // end. Else HG_SOURCE_MISSING, every figure HG_UNKNOWN and the total 0, whatever had come: part of a count is no
  // count. Then the reservation is what to settle at. The labels are filled in as far as they came.
  struct hg_usage_found found;
  enum hg_stream_kind kind;
  bool ended;                    // as its kind ends; false: it broke off
  bool failed;                   // an error came inside
  bool broken;                   // so that none of it stands: not one choice of several that ended
  bool worked;                   // something of an answer came, with the error or before it
  char text[HG_STREAM_TEXT_MAX]; // for a person: the error's words, or what is wrong with the stream; "": nothing
};

enum hg_stream_look { HG_STREAM_NOT_YET, HG_STREAM_IT_IS, HG_STREAM_IT_IS_NOT };

// Whether an answer whose body begins with these bytes is a stream. Servers that were asked for one may answer with
// plain JSON all the same, or with a page; others stream unasked, which only the Content-Type can tell. NOT_YET:
// nothing was said so far; *blank bytes are known to say nothing, 0 at first.
enum hg_stream_look hg_stream_look(const char *content_type, bool asked, const char *bytes, size_t len, size_t *blank);

// `choices`: how many were asked for, at least 1. `content_type` and `on_event` may be NULL.
void hg_stream_init(struct hg_stream *stream, const char *content_type, int64_t choices, hg_stream_event_fn *on_event,
                    void *context);
// As hg_events_feed.
hg_err hg_stream_feed(struct hg_stream *stream, const char *bytes, size_t len);
// No more will come. `whole`: the transport says that nothing is lacking (a body of its Content-Length, a last chunk;
// not a connection that was closed). A stream without a last event (a chat's without [DONE], and every one of Gemini's)
// ended only then, or with every choice that was asked for and its counts in an event of their own. HG_OK: the usage is
// exact. HG_ERR_NO_USAGE: missing, with a reason. Others: as hg_stream_feed.
hg_err hg_stream_end(struct hg_stream *stream, bool whole, struct hg_streamed *out);
void hg_stream_clear(struct hg_stream *stream);

#endif
